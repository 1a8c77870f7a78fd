"""Two differences with their intervals: what an oracle would add, and what the source is worth.

The oracle gap is the price of honesty: the score at the epoch that is best on the test set, less
the score at the epoch that was chosen without it. The source gain is what pre-training adds to the
same network from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.scoring.inference import Paired, paired

from .shared.against import against_target_only, in_common
from .shared.cells import Column
from .shared.pictures import Grid, Picture, difference_mark, head, legend, legend_height
from .shared.style import FAINT, GREY, LINES, MARKERS, ONE_COLUMN, plain_axes, two_rows
from .shared.table import Table
from .shared.text import METRIC_NAMES, clean

if TYPE_CHECKING:
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
    placed = []
    for oracle in table.oracles:
        if oracle.key.shortcut:  # the twin of an audit, which has a report of its own
            continue
        row = honest.get((oracle.key.method, oracle.key.variant))
        for column in table.columns:
            if row is None or column not in row.values or column not in oracle.values:
                continue
            sides = in_common(oracle, row, column, table)
            if sides is not None:
                one, two, _ = sides
                # In this order of subjects the bootstrap has always drawn them.
                test = paired([one[s] for s in sorted(one)], [two[s] for s in sorted(one)])
                placed.append((table.methods.index(row), Gap(row.label, column, test)))
    return [gap for _, gap in sorted(placed, key=lambda f: f[0])]


def draw(table: Table, gaps: Sequence[Gap], name: str, what: str) -> Figure:
    """Figure of a table: a band for each method, a mark with its interval for each pair."""
    labels = list(dict.fromkeys(g.label for g in gaps))
    hidden, labels = len(labels) - MOST, labels[:MOST]
    columns = [c for c in table.columns if any(g.column == c for g in gaps)]
    step = 0.085
    band = step * max(2.2, len(columns) + 1)
    bottom = 0.46 + legend_height(len(columns), ONE_COLUMN)
    grid = Grid.make(ONE_COLUMN, (1, 1), (1.15, 0.12, 0.78, bottom), high=band * len(labels))
    axes = grid[0, 0]
    for gap in gaps:
        if gap.label in labels:
            j = columns.index(gap.column)
            y = labels.index(gap.label) * band + band / 2 + (j - (len(columns) - 1) / 2) * step
            difference_mark(axes, gap.test, y, *_look(j), size=11, linewidth=1.0)
    plain_axes(axes, "x")
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.set(ylim=(band * len(labels), 0))
    for i in range(1, len(labels)):
        axes.axhline(i * band, color=FAINT, linewidth=0.6, zorder=0)
    axes.set_yticks([(i + 0.5) * band for i in range(len(labels))], [two_rows(n) for n in labels])
    axes.set_xlabel("difference in percentage points", size=6.5, labelpad=2)
    short = table.short_labels()
    legend(grid.figure, [
        (clean(short[c], 26), {"color": colour, "marker": marker, "markersize": 3, "linewidth": 1})
        for c, (colour, marker) in zip(columns, map(_look, range(len(columns))), strict=True)
    ], handlelength=1.6)
    metric = f"{METRIC_NAMES[table.metric]} per {table.unit}"
    more = f"\n{hidden} more methods left out" if hidden > 0 else ""
    below = f"{metric}\n{what}\nmean and 95 % interval over target subjects{more}"
    head(grid.figure, table, name, below)
    return grid.figure


def _look(number: int) -> tuple[str, str]:
    """Colour and marker of a pair."""
    return LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]


def _picture(
    name: str, gaps: Callable[[Table], list[Gap]], title: str, what: str
) -> Picture[list[Gap]]:
    return Picture(
        name, gaps, lambda table, its_gaps: draw(table, its_gaps, title, what), title,
        f"no finished record of a method in {{root}} has both sides: {what}",
        "Run with controls; oracle scores need a method that calls ctx.epoch(...).",
    )


#: ``oracle_gap.png``, ``.pdf`` and ``.svg``.
write_oracle = _picture("oracle_gap", oracle_gaps, "What an oracle would add",
                        "epoch of best test accuracy − epoch chosen honestly")
#: ``source_gain.png``, ``.pdf`` and ``.svg``.
write_gain = _picture("source_gain", source_gains, "What the source is worth",
                      "method − its network from scratch (target-only)")
