"""Confusion matrices: which emotion is taken for which, from the stored predictions.

Each target subject weighs the same: rows are normalised within a subject (over its seeds), then
averaged over the subjects that have windows of that class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.scoring.metrics import confusion

from .shared.cells import Column
from .shared.pictures import Grid, Picture, field_text, head, square
from .shared.style import GREY, ONE_COLUMN, TWO_COLUMNS, colours, two_rows
from .shared.table import Table, TableRow
from .shared.text import clean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Methods and pairs in one figure.
MOST_ROWS, MOST_COLUMNS = 6, 6
_KEYS = ["subject", "session", "trial", "y"]


@dataclass(frozen=True)
class Confusion:
    """Of a method on a pair; ``shares[i][j]`` of class i was called j, None where i never was."""

    label: str
    column: Column
    shares: list[list[float | None]]
    subjects: int


def confusions(table: Table, rows: int = MOST_ROWS, columns: int = MOST_COLUMNS) -> list[Confusion]:
    """Of the first methods and pairs of a table: predictions are read, which takes time."""
    every = [_confusion(row, column, table.unit) for row in table.methods[:rows]
             for column in table.columns[:columns] if column in row.values]
    return [one for one in every if one is not None]


def _confusion(row: TableRow, column: Column, unit: str) -> Confusion | None:
    import numpy as np

    n = len(column.classes)
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros((n, n), dtype=np.int64))
    for cell in row.cells[column]:
        columns = _KEYS + [f"p{k}" for k in range(n)]
        try:
            _count(counts, cell.record.predictions(columns), n, unit)
        except (BenchError, KeyError, ValueError, IndexError, OSError):
            return None  # without predictions of every seed there is no matrix
    if not counts:
        return None
    every = np.stack(list(counts.values()))
    support = every.sum(axis=2, keepdims=True)
    stack = np.where(support > 0, every / np.maximum(support, 1), np.nan)
    known = np.isfinite(stack).sum(axis=0)
    mean = np.where(known > 0, np.nansum(stack, axis=0) / np.maximum(known, 1), np.nan)
    lines = [[None if np.isnan(v) else float(v) for v in line] for line in mean]
    return Confusion(row.label, column, lines, len(counts))


def _count(
    counts: dict[str, NDArray[np.int64]], table: pd.DataFrame, n: int, unit: str
) -> None:
    """Add the predictions of a record, by subject; a trial is called by its mean probability."""
    names = [f"p{k}" for k in range(n)]
    if unit == "trial":
        table = table.groupby(_KEYS[:3], as_index=False).agg(
            {"y": "first", **dict.fromkeys(names, "mean")}
        )
    for subject, mine in table.groupby("subject"):
        # Refuses a label that is no class of the target.
        counts[str(subject)] += confusion(mine["y"], mine[names], n)


def draw(table: Table, matrices: list[Confusion]) -> Figure:
    """Figure of a table."""
    labels = list(dict.fromkeys(c.label for c in matrices))
    columns = [c for c in table.columns if any(f.column == c for f in matrices)]
    width = ONE_COLUMN if len(columns) < 3 else TWO_COLUMNS
    # Room for whole names: at the left of each panel, and upright under it.
    left, under = _room(columns)
    grid = Grid.make(width, (len(labels), len(columns)), (left + 0.22, 0.1, 0.92, under + 0.06),
                     (left, under + 0.08), most=1.15)
    short = table.short_labels()
    for one in matrices:
        axes = grid[labels.index(one.label), columns.index(one.column)]
        _draw(axes, one, grid.wide * 72)
        if one is next(f for f in matrices if f.column == one.column):
            axes.set_title(_heading(short[one.column]), size=6.5, weight="normal", pad=4)
        if one is next(f for f in matrices if f.label == one.label):
            axes.set_ylabel(two_rows(one.label), size=6.2, weight="bold", labelpad=3)
    hidden = {"methods": len(table.methods) - len(labels),
              "pairs": len(table.columns) - len(columns)}
    more = "".join(f"; {n} {what} left out" for what, n in hidden.items() if n)
    lines = ["rows: true, columns: predicted; % of the true class,",
             f"per {table.unit}, every subject weighs the same{more}"]
    head(grid.figure, table, "Confusion", ("\n" if width == ONE_COLUMN else " ").join(lines))
    return grid.figure


def _names(column: Column) -> list[str]:
    """Classes without the words that all of them share: ``low``, ``high`` of a valence."""
    words = [clean(c, 24).split() for c in column.classes]
    shared = set.intersection(*map(set, words)) if words else set()
    return [clean(" ".join(w for w in its if w not in shared) or " ".join(its), 16) or "?"
            for its in words]


def _room(columns: list[Column]) -> tuple[float, float]:
    """Inches that the longest name of a class takes at the left of a panel, and under it."""
    longest = max((len(name) for c in columns for name in _names(c)), default=1)
    inches = 0.05 + 0.048 * longest
    return max(0.3, inches + 0.03), max(0.3, inches)


def _heading(label: str) -> str:
    source, arrow, target = label.partition("→")
    return clean(source, 16) + (f"\n→ {clean(target, 16)}" if arrow else "")


def _draw(axes: Axes, one: Confusion, points: float) -> None:
    n = len(one.shares)
    size = min(8.0, max(4.0, points / n / 3.4))
    for i, line in enumerate(one.shares):
        for j, share in enumerate(line):
            if share is None:
                field_text(axes, j, i, "–", size=size, color=GREY)
                continue
            ink = square(axes, j, i, colours()(share), edgecolor="white", linewidth=0.6)
            field_text(axes, j, i, f"{100 * share:.0f}", 0.52, size=size, color=ink)
    axes.set(xlim=(0, n), ylim=(n, 0))
    names = _names(one.column)
    at = [k + 0.5 for k in range(n)]
    # Upright where names would touch each other side by side.
    upright = any(3.4 * len(name) > points / n for name in names)
    axes.set_xticks(at, names, rotation=90 if upright else 0)
    axes.set_yticks(at, names)
    axes.tick_params(length=0, pad=1.5, labelsize=5.4)
    axes.spines[:].set_visible(False)


def _rows(_: Table, matrices: list[Confusion]) -> Iterator[dict[str, Any]]:
    for one in matrices:
        classes = one.column.classes
        for true, line in zip(classes, one.shares, strict=True):
            for predicted, share in zip(classes, line, strict=True):
                yield {"method": one.label, "pair": one.column.pair, "true": true,
                       "predicted": predicted, "share": share, "n_subjects": one.subjects}


#: ``confusion.png``, ``.pdf`` and ``.svg``: a row a method, a column a pair.
write = Picture(
    "confusion", confusions, draw, "Confusion matrices",
    "no method in {root} has predictions on disk: no confusion matrix can be drawn",
    rows=_rows,
)
