"""Where one method is better than another: source by target, paired over target subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.reporting import ReportOptions
from bench.scoring.inference import Paired, holm, paired
from bench.store.records import Store

from .heatmap import frame, shared_classes, two_lines
from .shared.cells import Column
from .shared.files import mean_columns, sign_columns
from .shared.pictures import Grid, Picture, field_text, head, square
from .shared.power import too_few_for_intervals
from .shared.style import GREY, ONE_COLUMN, PALE, diverging
from .shared.table import Table, TableRow
from .shared.text import clean, natural, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Difference:
    """Two methods on the pairs that both ran.

    Attributes
    ----------
    one, two : str
        Labels; the difference is ``one - two``.
    tests : dict
        Column to comparison; ``holm`` has the p adjusted over all of them.
    """

    one: str
    two: str
    sources: list[str]
    targets: list[str]
    tests: dict[Column, Paired]
    holm: dict[Column, float]


def difference(table: Table, wanted: Sequence[str] = ()) -> Difference | None:
    """The two methods asked for, in that order, else the two best; None where they never meet."""
    rows = _chosen(table, wanted)
    if rows is None:
        return None
    one, two = rows
    tests = {}
    for column in table.columns:
        if column.source and column in one.values and column in two.values:
            a, b = one.values[column].subjects, two.values[column].subjects
            both = [s for s in a if s in b]
            if both:
                tests[column] = paired([a[s] for s in both], [b[s] for s in both])
    if not tests:
        return None
    adjusted = dict(zip(tests, holm([t.p for t in tests.values()]), strict=True))
    columns = [c for c in table.columns if c.source]
    sources = sorted({c.source for c in columns}, key=natural)
    targets = sorted({c.target for c in columns}, key=natural)
    return Difference(one.label, two.label, sources, targets, tests, adjusted)


def _chosen(table: Table, wanted: Sequence[str]) -> tuple[TableRow, TableRow] | None:
    named = [
        next((r for r in table.methods if r.key.method.lower() == n.lower()), None) for n in wanted
    ]
    rows = [r for r in named if r is not None] if len(wanted) == 2 else table.methods
    return (rows[0], rows[1]) if len(rows) > 1 else None


def draw(table: Table, diff: Difference) -> Figure:
    """Figure of a table."""
    cell = min((ONE_COLUMN - 0.82 - 0.12) / len(diff.targets), 1.0)
    grid = Grid.make(ONE_COLUMN, (1, 1), (0.82, 0.12, 0.98, 0.52), most=cell * len(diff.targets),
                     high=min(0.86 * cell, 0.72) * len(diff.sources))
    axes = grid[0, 0]
    targets = shared_classes(table, lambda c: c.target)
    sources = shared_classes(table, lambda c: c.source)
    frame(axes, [two_lines(n, targets.get(n)) for n in diff.targets],
          [two_lines(n, sources.get(n)) for n in diff.sources])
    # Full colour at five points at least: a small difference is not to look large.
    most = max(0.05, *(abs(t.mean) for t in diff.tests.values()))
    by_name = {(c.source, c.target): c for c in diff.tests}
    for i, source in enumerate(diff.sources):
        for j, target in enumerate(diff.targets):
            column = by_name.get((source, target))
            if column is None:
                square(axes, j, i, "white", edgecolor=PALE, linewidth=1.0)
                field_text(axes, j, i, "–", color=GREY)
            else:
                test, star = diff.tests[column], "*" * (diff.holm[column] < 0.05)
                _field(axes, (j, i), test, star, diverging()(0.5 + 0.5 * test.mean / most))
    head(
        grid.figure, table, "Difference",
        f"{clean(diff.one, 30)} − {clean(diff.two, 30)}\n"
        f"{table.measured}, difference in points, [95 % interval]\n"
        "over target subjects; blue: the first is better, orange: the second\n"
        "* Wilcoxon p < 0.05 after Holm over the pairs shown",
    )
    return grid.figure


def _field(axes: Axes, at: tuple[int, int], test: Paired, star: str, colour: Any) -> None:
    ink = square(axes, *at, colour, edgecolor="white", linewidth=1.0)
    wide = axes.get_position().width * ONE_COLUMN * 72
    size = min(9.0, max(4.0, wide / max(1, len(axes.get_xticks())) / 4.6))
    field_text(axes, *at, f"{signed(test.mean)}{star}", 0.42, size=size, color=ink)
    if test.interval is not None:
        low, high = (signed(v) for v in test.interval)
        field_text(axes, *at, f"[{low}, {high}]", 0.72, size=size * 0.62, color=ink)


def _rows(_: Table, diff: Difference) -> list[dict[str, Any]]:
    return [
        {"first": diff.one, "second": diff.two, "pair": column.pair, "n_subjects": test.n,
         **mean_columns(test), "p_holm": diff.holm[column], **sign_columns(test)}
        for column, test in diff.tests.items()
    ]


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``difference.png``, ``.pdf`` and ``.svg``: of ``--methods``, if two, or the best two.

    Raises
    ------
    BenchError
        No two methods share a pair.
    """
    return Picture(
        "difference", lambda table: difference(table, options.methods), draw,
        lambda _, diff: f"{diff.one} less {diff.two}", "no two methods in {root} share a pair",
        "", _rows, lambda _, diff: too_few_for_intervals(diff.tests.values()),
    )(store, out, options)
