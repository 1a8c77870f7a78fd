"""What the source is worth: a method less the same network from scratch, with its interval.

What choosing the epoch on the test set would add is drawn by ``selection``, beside the honest
rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .shared.against import Comparison, against_target_only
from .shared.files import mean_columns, sign_columns
from .shared.pictures import Grid, Picture, difference_mark, head, legend, legend_height
from .shared.power import too_few_for_intervals
from .shared.style import FAINT, GREY, LINES, MARKERS, ONE_COLUMN, plain_axes, two_rows, width_of
from .shared.table import Table
from .shared.text import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Methods drawn in one figure.
MOST = 20
_TITLE = "What the source is worth"
_WHAT = "method − its network from scratch (target-only)"


def draw(table: Table, gains: Sequence[Comparison]) -> Figure:
    """Figure of a table: a band for each method, a mark with its interval for each pair."""
    labels = list(dict.fromkeys(g.row.label for g in gains))
    hidden, labels = len(labels) - MOST, labels[:MOST]
    columns = [c for c in table.columns if any(g.column == c for g in gains)]
    step = 0.085
    band = step * max(2.2, len(columns) + 1)
    width = width_of(ONE_COLUMN)
    bottom = 0.46 + legend_height(len(columns), width)
    grid = Grid.make(width, (1, 1), (1.15, 0.12, 0.78, bottom), high=band * len(labels))
    axes = grid[0, 0]
    for gain in gains:
        if gain.row.label in labels:
            j = columns.index(gain.column)
            y = labels.index(gain.row.label) * band + band / 2 + (j - (len(columns) - 1) / 2) * step
            difference_mark(axes, gain.test, y, *_look(j), size=11, linewidth=1.0)
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
    more = f"\n{hidden} more methods left out" if hidden > 0 else ""
    below = f"{table.measured}\n{_WHAT}\nmean and 95 % interval over target subjects{more}"
    head(grid.figure, table, _TITLE, below)
    return grid.figure


def _look(number: int) -> tuple[str, str]:
    """Colour and marker of a pair."""
    return LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]


#: ``source_gain.png``, ``.pdf`` and ``.svg``.
write = Picture(
    "source_gain", against_target_only, draw, _TITLE,
    f"no finished record of a method in {{root}} has both sides: {_WHAT}", "Run with controls.",
    lambda _, gains: [
        {"method": g.row.label, "pair": g.column.pair, "n_subjects": g.test.n,
         **mean_columns(g.test), "p_holm": g.holm, **sign_columns(g.test)} for g in gains],
    lambda _, gains: too_few_for_intervals(g.test for g in gains),
)
