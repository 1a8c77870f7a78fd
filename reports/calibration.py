"""Score against the number of labelled target trials: what calibration is worth.

Settings that differ in nothing but the number of calibration trials make one curve. With
``bench sweep --calibration`` all points are tested on the same trials. Without, the tested trials
differ with the number, since more of a subject's trials calibrate: the caption says which it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.scoring.inference import mean_interval
from bench.store.records import Store

from .shared.cells import BOUNDS, ScoredCell, TableSetting, collect
from .shared.pictures import Grid, head, legend, legend_height, save_all
from .shared.style import (
    GREY,
    LINES,
    MARKERS,
    ONE_COLUMN,
    TWO_COLUMNS,
    chance_line,
    plain_axes,
    width_of,
)
from .shared.table import Table, tables
from .shared.text import clean, settings
from .shared.worth import SIZE, options_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Lines of one panel.
MOST = 8


@dataclass(frozen=True)
class Step:
    """A point of a curve: mean and interval over ``n`` subjects at a number of trials."""

    trials: float
    mean: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Curve:
    """A method on a pair, by number of calibration trials of a subject."""

    label: str
    control: bool
    steps: list[Step]


@dataclass(frozen=True)
class Panels:
    """Curves of one setting by pair; ``table`` is the largest table among them."""

    table: Table
    pairs: dict[str, list[Curve]]
    chance: dict[str, float | None]


def panels(every: Sequence[Table]) -> list[Panels]:
    """Groups of tables that differ in the number of calibration trials only."""
    groups: dict[TableSetting, list[Table]] = defaultdict(list)
    for table in every:
        groups[replace(table.setting, protocol_params=_rest(table))].append(table)
    made = [_group(tables_) for tables_ in groups.values() if len(tables_) > 1]
    return [p for p in made if p.pairs]


def _rest(table: Table) -> str:
    """Parameters of the protocol but the number of calibration trials."""
    return settings({str(k): v for k, v in options_of(table).items() if k not in SIZE})


def _group(members: Sequence[Table]) -> Panels:
    curves: dict[str, dict[str, list[Step]]] = defaultdict(lambda: defaultdict(list))
    chance: dict[str, float | None] = {}
    controls = set()
    for table in members:
        for row in [*table.methods, *table.controls]:
            for column, value in row.values.items():
                trials = _trials(row.cells[column])
                if trials is None or row.key.method in ("majority", *BOUNDS):
                    continue
                name = table.labels[column]
                chance[name] = table.chance(column)
                scores = list(value.subjects.values())
                step = Step(trials, value.mean, mean_interval(scores), len(scores))
                curves[name][row.label].append(step)
                if row.key.kind == "control":
                    controls.add(row.label)
    pairs = {
        name: [
            Curve(label, label in controls, sorted(steps, key=lambda s: s.trials))
            for label, steps in by_row.items() if len({s.trials for s in steps}) > 1
        ]
        for name, by_row in curves.items()
    }
    largest = max(members, key=lambda t: sum(len(r.values) for r in t.rows))
    return Panels(largest, {k: v for k, v in pairs.items() if v}, chance)


def _trials(cells: Sequence[ScoredCell]) -> float | None:
    """Mean number of calibration trials of a subject and session; None if there were none."""
    counts = [_count(fold) for c in cells for fold in c.record.folds]
    known = [n for n in counts if n]
    return sum(known) / len(known) if known and len(known) == len(counts) else None


def _count(fold: Mapping[str, Any]) -> int:
    trials = fold.get("calibration_trials")
    return len(trials) if isinstance(trials, list) else trials if isinstance(trials, int) else 0


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``calibration.png``, ``.pdf`` and ``.svg``: a panel for each pair.

    Raises
    ------
    BenchError
        No method was run with different numbers of calibration trials.
    """
    shown = panels(tables(collect(store, options), options))
    if not shown:
        raise BenchError(
            f"no method in {store.root} was run with different numbers of calibration trials",
            "bench sweep --calibration 1,2,3,60% makes them.",
        )
    sure = [p for p in shown if any(
        s.interval for its in p.pairs.values() for c in its for s in c.steps)]
    if not sure:
        raise BenchError("curves over fewer than 3 subjects have no interval: nothing can be said")
    return save_all([(p.table, p) for p in sure], draw, out / "calibration", "Calibration size",
                    options, rows=_rows)


def _rows(_: Table, group: Panels) -> Iterator[dict[str, Any]]:
    for pair, its in group.pairs.items():
        for curve in its:
            for step in curve.steps:
                low, high = step.interval or (None, None)
                yield {"method": curve.label, "kind": "control" if curve.control else "method",
                       "pair": pair, "calibration_trials": step.trials, "mean": step.mean,
                       "low": low, "high": high, "n_subjects": step.n,
                       "chance": group.chance[pair]}


def draw(table: Table, group: Panels) -> Figure:
    """Figure: at most three panels a row."""
    names = list(group.pairs)
    across = min(len(names), 3)
    width = width_of(ONE_COLUMN if across == 1 else TWO_COLUMNS)
    across = 1 if width == ONE_COLUMN else across
    down = -(-len(names) // across)
    labels = list(dict.fromkeys(c.label for v in group.pairs.values() for c in v))[:MOST]
    above = 0.82 if width == ONE_COLUMN else 0.74
    margins = (0.5, 0.1, above, 0.46 + legend_height(len(labels), width))
    grid = Grid.make(width, (down, across), margins, (0.3, 0.5), high=1.5)
    for i, name in enumerate(names):
        axes = grid[divmod(i, across)]
        _panel(axes, [c for c in group.pairs[name] if c.label in labels], labels,
               group.chance[name])
        axes.set_title(clean(name, 34), size=7, weight="normal", loc="left", pad=3)
        if i + across >= len(names):
            axes.set_xlabel("calibration trials of a subject (log)", size=6.5, labelpad=2)
    controls = {c.label for v in group.pairs.values() for c in v if c.control}
    legend(grid.figure, [(clean(n, 28), _look(n, n in controls, labels)) for n in labels],
           handlelength=2)
    between = "\n" if width == ONE_COLUMN else "; "
    head(grid.figure, table, "Calibration size",
         f"{table.measured} in %{between}mean and 95 % interval over subjects\n{_tested(table)}")
    return grid.figure


def _tested(table: Table) -> str:
    """Whether the points of a curve are tested on the same trials."""
    if "curve=" in table.setting.protocol_params:
        return "all points are tested on the same trials"
    return "the trials tested differ along the axis: what calibrates is not tested"


def _panel(
    axes: Axes, curves: Sequence[Curve], labels: Sequence[str], chance: float | None
) -> None:
    plain_axes(axes)
    if chance is not None:
        chance_line(axes, chance, named=True)
    for k, curve in enumerate(curves):
        look = _look(curve.label, curve.control, labels)
        shift = 1.03 ** (k - (len(curves) - 1) / 2)  # intervals beside, not on each other
        x = [s.trials * shift for s in curve.steps]
        axes.plot(x, [100 * s.mean for s in curve.steps], **look)
        for at, step in zip(x, curve.steps, strict=True):
            if step.interval is not None:
                axes.plot([at, at], [100 * v for v in step.interval], color=look["color"],
                          linewidth=0.7, alpha=0.6)
    ticks = sorted({round(s.trials, 1) for c in curves for s in c.steps})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xticks([], minor=True)


def _look(label: str, control: bool, labels: Sequence[str]) -> dict[str, Any]:
    i = list(labels).index(label)
    return {
        "color": GREY if control else LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)],
        "markersize": 3, "linewidth": 1, "linestyle": "--" if control else "-",
    }
