"""Mean ranks of the methods that ran every pair, with cliques that cannot be told apart.

The rank is the leaderboard's. A bar joins methods between which no paired Wilcoxon test, with
Holm's correction over all pairs of methods, finds a difference. The block is the target subject:
scores from different sources on one subject are averaged first, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.scoring.inference import Friedman, compare_all, subjects_needed
from bench.store.shown import counted

from .shared.pictures import Grid, Picture, head
from .shared.power import ALPHA
from .shared.style import BLUE, GREY, INK, ONE_COLUMN, PALE, TWO_COLUMNS, width_of
from .shared.table import Table
from .shared.text import clean, p_value
from .significance import by_subject, friedman_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Methods in one result; more cannot be read.
MOST = 24


@dataclass(frozen=True)
class Ranks:
    """A rank result, as data.

    Attributes
    ----------
    labels : list of str
        Methods, best first.
    ranks : list of float
        Mean rank of each, as in the leaderboard.
    cliques : list of (int, int)
        First and last of the methods that a bar joins.
    blocks : int
        Target subjects compared.
    test : Friedman or None
        None for fewer than two blocks.
    """

    labels: list[str]
    ranks: list[float]
    cliques: list[tuple[int, int]]
    blocks: int
    test: Friedman | None


def ranks(table: Table) -> Ranks | None:
    """Ranks of a table; None for fewer than two complete methods."""
    rows = sorted((r for r in table.methods if r.rank is not None), key=lambda r: r.rank or 0.0)
    if len(rows) < 2:
        return None
    scores, _ = by_subject(table, rows)
    place = {row.label: i for i, row in enumerate(rows)}
    n = len(scores[rows[0].label])
    apart = {
        (place[c.one], place[c.two]) for c in compare_all(scores) if c.holm <= ALPHA
    }
    test = friedman_of(scores)
    return Ranks([r.label for r in rows], [r.rank or 0.0 for r in rows],
                 cliques(len(rows), apart), n, test)


def cliques(n: int, apart: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Longest runs of methods, by rank, in which no two are told apart.

    Examples
    --------
    >>> cliques(4, {(0, 3), (0, 2)})
    [(0, 1), (1, 3)]
    """
    runs: list[tuple[int, int]] = []
    for first in range(n):
        last = first
        while last + 1 < n and not any((i, last + 1) in apart for i in range(first, last + 1)):
            last += 1
        if last > first and not any(a <= first and last <= b for a, b in runs):
            runs.append((first, last))
    return runs


def draw(table: Table, result: Ranks) -> Figure:
    """Figure of a table: one line a method, best on top, bars for cliques."""
    n = min(len(result.labels), MOST)
    bars = [(a, min(b, n - 1)) for a, b in result.cliques if a < n]
    width = width_of(ONE_COLUMN if n <= 12 else TWO_COLUMNS)
    right = 0.16 + 0.09 * min(len(bars), 12)
    grid = Grid.make(width, (1, 1), (1.5, right, 0.9, 0.34), high=0.17 * n)
    axes = grid[0, 0]
    _draw_ranks(axes, result, n)
    _draw_bars(axes, bars)
    lines = [f"{table.measured}; 1 is best; "
             f"{counted(result.blocks, 'target subject')}, {counted(len(table.columns), 'pair')}"]
    if result.test is not None:
        lines.append(f"do they differ at all? Friedman (Iman-Davenport) p {p_value(result.test.p)}")
    lines.append("a bar joins methods not told apart (Wilcoxon, Holm, 0.05)")
    if len(table.columns) > 1:
        lines.append("tests are of means over pairs")
    if len(result.labels) > n:
        lines[-1] += f"; first {n} of {len(result.labels)}"
    head(grid.figure, table, "Mean ranks", "\n".join(lines))
    return grid.figure


def _draw_ranks(axes: Axes, result: Ranks, n: int) -> None:
    worst = max(result.ranks[:n])
    for i in range(n):
        axes.plot([1, result.ranks[i]], [i, i], color=PALE, linewidth=0.8, zorder=1)
        axes.scatter([result.ranks[i]], [i], s=16, color=BLUE, linewidths=0, zorder=3)
        axes.annotate(f"{result.ranks[i]:.2f}", (result.ranks[i], i), (4, 0), size=6.2,
                      textcoords="offset points", va="center", color=INK)
    axes.set(ylim=(n - 0.5, -0.5), xlim=(1, worst + 0.16 * max(1.0, worst - 1)))
    axes.set_yticks(range(n), [clean(name, 27) for name in result.labels[:n]])
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="both", length=0, pad=3, labelsize=6.5)
    axes.set_xlabel("mean rank", size=6.5, labelpad=1)


def _draw_bars(axes: Axes, bars: Sequence[tuple[int, int]]) -> None:
    """Cliques as bars at the right, side by side."""
    transform = axes.get_yaxis_transform()
    inches = axes.figure.get_size_inches()[0] * axes.get_position().width  # type: ignore[union-attr]
    for k, (first, last) in enumerate(bars[:12]):
        x = 1 + (0.08 + 0.09 * k) / inches
        axes.plot([x, x], [first - 0.28, last + 0.28], color=GREY, linewidth=2.2,
                  transform=transform, clip_on=False, solid_capstyle="round")


def _rows(_: Table, result: Ranks) -> list[dict[str, Any]]:
    """Lines of the CSV; ``not_told_apart`` has the numbers of the bars that a method stands at."""
    return [
        {"method": label, "mean_rank": rank, "subjects": result.blocks, "not_told_apart": " ".join(
            str(k) for k, (a, b) in enumerate(result.cliques, 1) if a <= i <= b)}
        for i, (label, rank) in enumerate(zip(result.labels, result.ranks, strict=True))
    ]


def too_few(_: Table, result: Ranks) -> str:
    """Why ranks of so few subjects say nothing; empty where they can."""
    needed = subjects_needed(len(result.labels), ALPHA)
    if result.blocks >= needed:
        return ""
    return (f"ranks of {len(result.labels)} methods over {result.blocks} subjects: with fewer than "
            f"{needed} no two could be told apart, so one bar would join all")


#: ``ranks.png``, ``.pdf`` and ``.svg``.
write = Picture(
    "ranks", ranks, draw, "Mean ranks",
    "fewer than two methods in {root} ran every pair: there are no ranks",
    "Ask for the pairs that they share, with --pairs.", _rows, too_few,
)
