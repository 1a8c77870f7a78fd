"""Where one method is better than another: source by target, paired over target subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.scoring.inference import Paired, holm, paired
from bench.store.records import Store

from .heatmap import shared_classes, two_lines
from .shared.cells import Column, collect
from .shared.style import (
    GREY,
    INK,
    ONE_COLUMN,
    PALE,
    diverging,
    head,
    house_style,
    luminance,
    save,
    stems,
)
from .shared.table import Table, TableRow, tables
from .shared.text import METRIC_NAMES, clean, natural, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle


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


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``difference.png``, ``.pdf`` and ``.svg``: of ``--methods``, if two, or the best two.

    Raises
    ------
    BenchError
        No two methods share a pair.
    """
    shown = [
        (t, d) for t in tables(collect(store, options), options)
        if (d := difference(t, options.methods))
    ]
    if not shown:
        raise BenchError(f"no two methods in {store.root} share a pair")
    paths = []
    for stem, (table, found) in zip(stems(out, "difference", len(shown)), shown, strict=True):
        with house_style():
            paths += save(draw(table, found), stem, f"{found.one} less {found.two}", options)
    return paths


def draw(table: Table, found: Difference) -> Figure:
    """Figure of a table."""
    from matplotlib.figure import Figure

    left, right, top, bottom = 0.82, 0.12, 0.98, 0.52
    cell = min((ONE_COLUMN - left - right) / len(found.targets), 1.0)
    high = min(0.86 * cell, 0.72)
    height = top + high * len(found.sources) + bottom
    figure = Figure(figsize=(ONE_COLUMN, height))
    axes = figure.add_axes((
        left / ONE_COLUMN, bottom / height, cell * len(found.targets) / ONE_COLUMN,
        high * len(found.sources) / height,
    ))
    _frame(axes, table, found)
    # Full colour at five points at least: a small difference is not to look large.
    most = max(0.05, *(abs(t.mean) for t in found.tests.values()))
    by_name = {(c.source, c.target): c for c in found.tests}
    for i, source in enumerate(found.sources):
        for j, target in enumerate(found.targets):
            column = by_name.get((source, target))
            if column is None:
                axes.add_patch(_box(j, i, "white", PALE))
                axes.text(j + 0.5, i + 0.5, "–", ha="center", va="center", color=GREY)
            else:
                test, star = found.tests[column], "*" * (found.holm[column] < 0.05)
                _square(axes, (j, i), test, star, diverging()(0.5 + 0.5 * test.mean / most))
    head(
        figure, table, "Difference",
        f"{clean(found.one, 30)} − {clean(found.two, 30)}\n"
        f"{METRIC_NAMES[table.metric]} per {table.unit}, difference in points, [95 % interval]\n"
        "over target subjects; blue: the first is better, orange: the second\n"
        "* Wilcoxon p < 0.05 after Holm over the pairs shown",
    )
    return figure


def _box(x: float, y: float, face: Any, edge: str) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 1, 1, facecolor=face, edgecolor=edge, linewidth=1.0)


def _square(axes: Axes, at: tuple[int, int], test: Paired, star: str, colour: Any) -> None:
    x, y = at
    ink = "white" if luminance(colour) < 0.25 else INK
    axes.add_patch(_box(x, y, colour, "white"))
    wide = axes.get_position().width * ONE_COLUMN * 72
    size = min(9.0, max(4.0, wide / max(1, len(axes.get_xticks())) / 4.6))
    axes.text(x + 0.5, y + 0.42, f"{signed(test.mean)}{star}", ha="center", va="center", size=size,
              color=ink)
    if test.interval is not None:
        low, high = (signed(v) for v in test.interval)
        axes.text(x + 0.5, y + 0.72, f"[{low}, {high}]", ha="center", va="center",
                  size=size * 0.62, color=ink)


def _frame(axes: Axes, table: Table, found: Difference) -> None:
    n_rows, n_columns = len(found.sources), len(found.targets)
    axes.set(xlim=(0, n_columns), ylim=(n_rows, 0))
    sources = shared_classes(table, lambda c: c.source)
    targets = shared_classes(table, lambda c: c.target)
    axes.set_xticks([j + 0.5 for j in range(n_columns)],
                    [two_lines(t, targets.get(t)) for t in found.targets])
    axes.set_yticks([i + 0.5 for i in range(n_rows)],
                    [two_lines(s, sources.get(s)) for s in found.sources])
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("tested on", labelpad=2, color="#57606a", size=6.5)
    axes.set_ylabel("trained on", labelpad=3, color="#57606a", size=6.5)
