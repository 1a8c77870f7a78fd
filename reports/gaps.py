"""Two differences with their intervals: what an oracle would add, and what the source is worth.

The oracle gap is the price of honesty: the score at the epoch that is best on the test set, less
the score at the epoch that was chosen without it. The source gain is what pre-training adds to the
same network from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.scoring.inference import Paired, paired
from bench.store.records import Store

from .shared.against import against_target_only
from .shared.cells import Column, collect
from .shared.style import (
    GREY,
    LINES,
    MARKERS,
    ONE_COLUMN,
    head,
    house_style,
    plain_axes,
    save,
    stems,
    two_rows,
)
from .shared.table import Table, TableRow, tables
from .shared.text import METRIC_NAMES, clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Methods drawn in one figure.
MOST = 20


@dataclass(frozen=True)
class Gap:
    """A difference on one pair, paired over target subjects."""

    label: str
    column: Column
    test: Paired


def source_gains(table: Table) -> list[Gap]:
    """Method less target-only: the comparisons of the leaderboard."""
    return [Gap(c.row.label, c.column, c.test) for c in against_target_only(table)]


def oracle_gaps(table: Table) -> list[Gap]:
    """Oracle less honest, on the subjects and seeds that both have."""
    honest = {(r.key.method, r.key.variant): r for r in table.methods}
    found = []
    for oracle in table.oracles:
        if oracle.key.shortcut:  # the twin of an audit, which has a report of its own
            continue
        row = honest.get((oracle.key.method, oracle.key.variant))
        for column in table.columns:
            if row is None or column not in row.values or column not in oracle.values:
                continue
            test = _paired(oracle, row, column, table)
            if test is not None:
                found.append((table.methods.index(row), Gap(row.label, column, test)))
    return [gap for _, gap in sorted(found, key=lambda f: f[0])]


def _paired(one: TableRow, two: TableRow, column: Column, table: Table) -> Paired | None:
    a, b = (
        {c.seed: c.subject_scores(table.metric, table.unit) for c in r.cells[column]}
        for r in (one, two)
    )
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    subjects = sorted(set.intersection(*(set(x[s]) for x in (a, b) for s in seeds)))
    if not subjects:
        return None
    x, y = ([sum(v[s][who] for s in seeds) / len(seeds) for who in subjects] for v in (a, b))
    return paired(x, y)


def write_oracle(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``oracle_gap.png``, ``.pdf`` and ``.svg``.

    Raises
    ------
    BenchError
        No method has an oracle score beside its own.
    """
    return _write(store, out, options, name="oracle_gap", gaps=oracle_gaps, texts=(
        "What an oracle would add", "epoch of best test accuracy − epoch chosen honestly",
    ))


def write_gain(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``source_gain.png``, ``.pdf`` and ``.svg``.

    Raises
    ------
    BenchError
        No method has a target-only control.
    """
    return _write(store, out, options, name="source_gain", gaps=source_gains, texts=(
        "What the source is worth", "method − its network from scratch (target-only)",
    ))


def _write(
    store: Store, out: Path, options: ReportOptions, *, name: str,
    gaps: Callable[[Table], list[Gap]], texts: tuple[str, str],
) -> list[Path]:
    shown = [(t, g) for t in tables(collect(store, options), options) if (g := gaps(t))]
    if not shown:
        raise BenchError(
            f"no finished record of a method in {store.root} has both sides: {texts[1]}",
            "Run with controls; oracle scores need a method that calls ctx.epoch(...).",
        )
    paths = []
    for stem, (table, found) in zip(stems(out, name, len(shown)), shown, strict=True):
        with house_style():
            paths += save(draw(table, found, *texts), stem, texts[0], options)
    return paths


def draw(table: Table, found: Sequence[Gap], name: str, what: str) -> Figure:
    """Figure of a table: a band for each method, a mark with its interval for each pair."""
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(g.label for g in found))
    hidden, labels = len(labels) - MOST, labels[:MOST]
    columns = [c for c in table.columns if any(g.column == c for g in found)]
    step = 0.085
    band = step * max(2.2, len(columns) + 1)
    legend = 0.14 * -(-len(columns) // 2)
    top, bottom, left = 0.78, 0.46 + legend, 1.15
    height = top + band * len(labels) + bottom
    figure = Figure(figsize=(ONE_COLUMN, height))
    axes = figure.add_axes((left / ONE_COLUMN, bottom / height,
                            (ONE_COLUMN - left - 0.12) / ONE_COLUMN, band * len(labels) / height))
    for gap in found:
        if gap.label in labels:
            j = columns.index(gap.column)
            y = labels.index(gap.label) * band + band / 2 + (j - (len(columns) - 1) / 2) * step
            _mark(axes, gap, y, j)
    plain_axes(axes, "x")
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.set(ylim=(band * len(labels), 0))
    for i in range(1, len(labels)):
        axes.axhline(i * band, color="#eceff2", linewidth=0.6, zorder=0)
    axes.set_yticks([(i + 0.5) * band for i in range(len(labels))], [two_rows(n) for n in labels])
    axes.set_xlabel("difference in percentage points", size=6.5, labelpad=2)
    _legend(figure, table, columns)
    metric = f"{METRIC_NAMES[table.metric]} per {table.unit}"
    more = f"\n{hidden} more methods left out" if hidden > 0 else ""
    below = f"{metric}\n{what}\nmean and 95 % interval over target subjects{more}"
    head(figure, table, name, below)
    return figure


def _mark(axes: Axes, gap: Gap, y: float, j: int) -> None:
    colour = LINES[j % len(LINES)]
    if gap.test.interval is not None:
        axes.plot([100 * v for v in gap.test.interval], [y, y], color=colour, linewidth=1.0,
                  solid_capstyle="butt", zorder=2)
    axes.scatter([100 * gap.test.mean], [y], s=11, color=colour, marker=MARKERS[j % len(MARKERS)],
                 linewidths=0, zorder=3)


def _legend(figure: Figure, table: Table, columns: Sequence[Column]) -> None:
    from matplotlib.lines import Line2D

    labels = table.short_labels()
    handles = [
        Line2D([], [], color=LINES[j % len(LINES)], marker=MARKERS[j % len(MARKERS)],
               markersize=3, linewidth=1)
        for j in range(len(columns))
    ]
    figure.legend(handles, [clean(labels[c], 26) for c in columns], loc="lower left", ncols=2,
                  frameon=False, fontsize=6.5, handlelength=1.6, columnspacing=1.2,
                  labelspacing=0.3, bbox_to_anchor=(0.01, 0.0), borderaxespad=0.3)
