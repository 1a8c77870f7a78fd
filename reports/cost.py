"""Score against cost: wall time of a cell, and number of parameters of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING, Any

from bench.store.shown import counted

from .shared.cells import BOUNDS
from .shared.pictures import Grid, Picture, head
from .shared.style import (
    BLUE,
    GREY,
    INK,
    ONE_COLUMN,
    PALE,
    TWO_COLUMNS,
    chance_line,
    plain_axes,
    width_of,
)
from .shared.table import Table, TableRow
from .shared.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points that get a name; beyond, only the best do.
NAMED = 12
#: Controls that train nothing.
_FREE = ("majority", *BOUNDS)
#: Costs, and what is written under their axes.
_LABELS = {
    "seconds": "wall time in s, pre-training included, mean over records (log)",
    "parameters": "parameters of the network, mean over records (log)",
}


@dataclass(frozen=True)
class Point:
    """One method.

    Attributes
    ----------
    mean : float
        Mean over all pairs.
    seconds : float or None
        Mean wall time of its records that did their own pre-training.
    parameters : float or None
        Of the network, mean over records: it depends on channels and classes.
    control : bool
    devices : set of str
        Where its records ran: times of different devices are not comparable.
    """

    label: str
    mean: float
    seconds: float | None
    parameters: float | None
    control: bool
    devices: frozenset[str]


def points(table: Table) -> list[Point]:
    """Methods and controls that ran every pair and say what they cost."""
    made = []
    for row in [*table.methods, *table.controls]:
        if row.mean is None or row.key.method in _FREE:
            continue
        seconds, parameters, _, devices = cost_of(row)
        point = Point(row.label, row.mean, seconds, parameters, row.key.kind == "control", devices)
        if point.seconds or point.parameters:
            made.append(point)
    return made


def cost_of(row: TableRow) -> tuple[float | None, float | None, float | None, frozenset[str]]:
    """Seconds, parameters and MB of memory, means over the records of a row, and its devices.

    Seconds are of the records that did their own pre-training.
    """
    every = [c.record.info for c in row.every]
    own = [info for info in every if not info.get("pretraining_reused")]
    return (_mean(own, "wall_s"), _mean(every, "parameters"), _mean(every, "peak_memory_mb"),
            frozenset(clean(info.get("device", "?"), 20) for info in every))


def _mean(infos: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [v for info in infos if isinstance(v := info.get(name), (int, float)) and v > 0]
    return sum(values) / len(values) if values else None


def draw(table: Table, dots: Sequence[Point]) -> Figure:
    """Figure of a table: a panel for each cost that is recorded; they share the score."""
    names = [n for n in _LABELS if any(getattr(p, n) for p in dots)]
    width = width_of(TWO_COLUMNS if len(names) == 2 else ONE_COLUMN)
    wide = width == TWO_COLUMNS
    top, bottom = 0.6 if wide else 0.72, 0.42
    shape = (1, len(names)) if wide else (len(names), 1)
    grid = Grid.make(width, shape, (0.5, 0.15, top, bottom), (0.25, bottom + 0.06),
                     high=2.75 - top - bottom)
    for i, name in enumerate(names):
        axes = grid[(0, i) if wide else (i, 0)]
        _panel(axes, dots, name, table.mean_chance())
        axes.set_xlabel(_LABELS[name], size=6.5, labelpad=2)
        if i and wide:
            axes.tick_params(axis="y", labelleft=False)
    lines = [clean(line, 100) for line in _below(table, dots)]
    between = "; " if wide else "\n"
    head(grid.figure, table, "Score against cost", between.join(lines))
    return grid.figure


def _below(table: Table, dots: Sequence[Point]) -> list[str]:
    """Lines that say what the numbers are, and what is drawn of what was run."""
    pairs = counted(len(table.columns), "pair")
    over = f"mean over {pairs}" if len(table.columns) > 1 else pairs
    missing = sum(r.mean is None for r in table.methods)
    parts = [
        "grey: controls" if any(p.control for p in dots) else "",
        f"on {', '.join(sorted(set().union(*(p.devices for p in dots))))}",
        f"{counted(missing, 'incomplete method')} left out" if missing else "",
    ]
    return [f"{table.measured} in %, {over}",
            "; ".join(p for p in parts if p)]


def _panel(axes: Axes, dots: Sequence[Point], name: str, chance: float | None) -> None:
    shown = [(p, getattr(p, name)) for p in dots if getattr(p, name)]
    plain_axes(axes, "both")
    scores = [100 * p.mean for p in dots] + ([] if chance is None else [100 * chance])
    room = max(2.0, 0.08 * (max(scores) - min(scores)))
    axes.set(xscale="log", ylim=(min(scores) - room, max(scores) + room))
    if chance is not None:
        chance_line(axes, chance)
        axes.text(0.99, 100 * chance, "chance", transform=axes.get_yaxis_transform(), ha="right",
                  va="bottom", size=6, color=GREY)
    best = sorted(shown, key=lambda s: -s[0].mean)[:NAMED]
    for point, cost in shown:
        colour = GREY if point.control else BLUE
        axes.scatter([cost], [100 * point.mean], s=16, color=colour, linewidths=0, zorder=3)
    _named(axes, best)
    low, high = min(c for _, c in shown), max(c for _, c in shown)
    # Room at the right for the names; a single cost needs room on both sides.
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _round(v)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", length=0)
    axes.set_xlim(low / 1.4, high * max(6.0, (high / low) ** 1.1))
    if 10 ** ceil(log10(low / 1.4)) > high:
        # No power of ten near the points.
        axes.set_xticks([low] if high < 1.5 * low else [low, high])


def _round(value: float) -> str:
    """``0.1``, ``10``, ``143k``, ``1M``: three significant digits."""
    value = float(f"{value:.3g}")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _named(axes: Axes, shown: Sequence[tuple[Point, float]]) -> None:
    """Names beside the points, pushed apart where they would lie on each other."""
    low, high = axes.get_ylim()
    step, last = 0.055 * (high - low), high
    right = max((cost for _, cost in shown), default=1.0)
    for point, cost in shown:  # best first
        y = min(100 * point.mean, last - step)
        last = y
        colour = GREY if point.control else INK
        axes.annotate(
            clean(point.label, 32), (cost, 100 * point.mean), (right * 1.25, y), size=6,
            va="center", color=colour,
            arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.6, "shrinkA": 1,
                        "shrinkB": 2, "relpos": (0, 0.5)},
        )


#: ``cost.png``, ``.pdf`` and ``.svg``: against time and against parameters.
write = Picture(
    "cost", lambda table: [] if all(p.control for p in points(table)) else points(table), draw,
    "Score against cost", "no method in {root} ran every pair and says what it cost",
    rows=lambda _, dots: [
        {"method": p.label, "kind": "control" if p.control else "method", "mean": p.mean,
         "seconds": p.seconds, "parameters": p.parameters, "devices": " ".join(sorted(p.devices))}
        for p in dots],
)
