"""Source-by-target heat map of every method: which corpus teaches which."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.reporting import ARROW, ReportOptions
from bench.store.records import Store

from .shared.caption import number, title
from .shared.cells import Column, collect
from .shared.style import (
    GREY,
    INK,
    ONE_COLUMN,
    PALE,
    TWO_COLUMNS,
    colours,
    headline,
    house_style,
    luminance,
    save,
    stems,
)
from .shared.table import Table, TableRow, tables
from .shared.text import METRIC_NAMES, clean, natural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Methods drawn in one figure, the best first; the page has all.
MOST = 18


@dataclass(frozen=True)
class Square:
    """One field of a matrix.

    Attributes
    ----------
    mean, sd : float or None
        ``mean`` is None for a pair that was not run.
    height : float or None
        Where ``mean`` stands between chance (0) and perfect (1); below chance is negative.
    same_corpus : bool
        Source and target are one corpus: no cross-corpus pair.
    classes : int
        Number of classes that were scored; 0 where nothing was.
    """

    mean: float | None
    sd: float | None
    height: float | None
    same_corpus: bool
    classes: int = 0


@dataclass(frozen=True)
class Matrix:
    """Heat map of a method, as data.

    Attributes
    ----------
    label : str
    sources, targets : list of str
    squares : list of list of Square
        A list for each source.
    source_classes, target_classes : dict
        Name to the numbers of classes in which its pairs were scored, where those are classes
        that source and target share and not the corpus's own.
    """

    label: str
    sources: list[str]
    targets: list[str]
    squares: list[list[Square]]
    source_classes: dict[str, set[int]]
    target_classes: dict[str, set[int]]


def matrices(table: Table) -> list[Matrix]:
    """One matrix a method, rows sources, columns targets; pairs without a source are left out."""
    columns = [c for c in table.columns if c.source]
    sources = sorted({c.source for c in columns}, key=natural)
    targets = sorted({_target(table, c) for c in columns}, key=natural)
    corpus = {c.source: c.source_corpus for c in columns}
    corpus |= {_target(table, c): c.target_corpus for c in columns}
    found = []
    shared = shared_classes(table, lambda c: c.source), shared_classes(
        table, lambda c: _target(table, c))
    for row in table.methods:
        squares = [
            [_square(table, row, (s, t), corpus[s] == corpus[t]) for t in targets]
            for s in sources
        ]
        if any(q.mean is not None for line in squares for q in line):
            found.append(Matrix(row.label, sources, targets, squares, *shared))
    return found


def shared_classes(table: Table, name: Callable[[Column], str]) -> dict[str, set[int]]:
    """Name of a column to how many classes were scored, where labels were mapped to shared ones."""
    found: dict[str, set[int]] = {}
    for column in table.columns:
        if is_mapped(table, column):
            found.setdefault(name(column), set()).add(len(column.classes))
    return found


def _square(table: Table, row: TableRow, pair: tuple[str, str], same: bool) -> Square:
    column = next((c for c in row.values if (c.source, _target(table, c)) == pair), None)
    if column is None:
        return Square(None, None, None, same)
    value = row.values[column]
    floor = floor_of(table, column)
    return Square(value.mean, value.sd, (value.mean - floor) / (1 - floor), same,
                  len(column.classes))


def _target(table: Table, column: Column) -> str:
    """Target with what tells its data from others of the name: the pair's label less its source."""
    return table.labels[column][len(column.source) + len(ARROW):]


def is_mapped(table: Table, column: Column) -> bool:
    """Whether the column's scores are in classes that source and target share."""
    return any(c.label_map for row in table.rows for c in row.cells.get(column, ()))


def floor_of(table: Table, column: Column) -> float:
    """Colour starts here: chance, for macro F1 that of even classes."""
    level = table.chance(column)
    return level if level is not None else 1 / max(2, len(column.classes))


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``heatmap.png``, ``.pdf`` and ``.svg``: a small matrix for each method.

    With one method (``--methods scmm``) the figure is one column of a paper wide, with several
    it is two. Settings that must not be mixed get figures of their own, ``heatmap-1``, ...

    Raises
    ------
    BenchError
        No method has a score.
    """
    shown = [t for t in tables(collect(store, options), options) if matrices(t)]
    if not shown:
        raise BenchError(
            f"no finished record of a method in {store.root}: a heat map has nothing to show",
            "bench report prints which records failed, and why.",
        )
    paths = []
    for stem, table in zip(stems(out, "heatmap", len(shown)), shown, strict=True):
        with house_style():
            paths += save(draw(table), stem, f"Source by target, {title(table)}", options)
    return paths


def draw(table: Table) -> Figure:
    """Figure of a table."""
    from matplotlib.figure import Figure

    every = matrices(table)
    found, hidden = every[:MOST], len(every) - MOST
    across = min(len(found), 3) if len(found) != 4 else 2
    down = -(-len(found) // across)
    n_rows, n_columns = len(found[0].sources), len(found[0].targets)
    left, right, gap_x, gap_y, bottom = 0.82, 0.72, 0.22, 0.36, 0.52
    top = 0.66 if len(found) > 1 else 0.52
    width = ONE_COLUMN if across == 1 else TWO_COLUMNS
    cell = (width - left - right - gap_x * (across - 1)) / across / n_columns
    cell = min(cell, 1.0)
    width = max(ONE_COLUMN, left + across * cell * n_columns + (across - 1) * gap_x + right)
    high = n_rows * min(0.86 * cell, 0.72)
    height = top + down * high + (down - 1) * gap_y + bottom
    figure = Figure(figsize=(width, height))
    for i, matrix in enumerate(found):
        x = left + (i % across) * (cell * n_columns + gap_x)
        y = height - top - (i // across + 1) * high - (i // across) * gap_y
        axes = figure.add_axes((x / width, y / height, cell * n_columns / width, high / height))
        lowest = i + across >= len(found)
        _draw_matrix(axes, matrix, cell * 72, (lowest, i % across == 0), len(found) > 1)
    x = left + across * cell * n_columns + (across - 1) * gap_x + 0.16
    bar = min(down * high, 1.9)
    _draw_bar(
        figure.add_axes((x / width, (height - top - bar) / height, 0.1 / width, bar / height)),
        table,
    )
    _head(figure, table, found, hidden)
    return figure


def _head(figure: Figure, table: Table, found: list[Matrix], hidden: int) -> None:
    width, height = figure.get_size_inches()
    name = found[0].label if len(found) == 1 else "Source → target"
    # Cut short one by one, so that a long name cannot push "simulated" off the picture.
    headline(figure, table, clean(name, 24), 16)
    spread = any(q.sd is not None for m in found for line in m.squares for q in line)
    what = f"{METRIC_NAMES[table.metric]} per {table.unit} in %, "
    what += "mean ± SD over subjects" if spread else "one subject"
    what += f"; {number(hidden, 'more method')} left out" if hidden > 0 else ""
    figure.text(0.08 / width, 1 - 0.27 / height, what, size=6.5, color="#57606a", va="top")


def _draw_matrix(
    axes: Axes, matrix: Matrix, points: float, names: tuple[bool, bool], heading: bool
) -> None:
    """Fields, values and names; ``points`` is the width of a field."""
    from matplotlib.patches import Rectangle

    size = min(9.0, max(4.5, points / 4.4))
    for i, line in enumerate(matrix.squares):
        for j, square in enumerate(line):
            if square.mean is None or square.height is None:
                axes.add_patch(Rectangle(
                    (j, i), 1, 1, facecolor="white", edgecolor=PALE, linewidth=0,
                    hatch="/////" if square.same_corpus else None,
                ))
                if not square.same_corpus:
                    axes.text(j + 0.5, i + 0.5, "not run", ha="center", va="center",
                              size=size * 0.6, color=GREY)
                continue
            colour = colours()(min(max(square.height, 0.0), 1.0))
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="none"))
            ink = "white" if luminance(colour) < 0.25 else INK
            low = square.sd is not None
            if len(matrix.target_classes.get(matrix.targets[j], ())) > 1:
                axes.text(j + 0.5, i + 0.14, f"{square.classes} classes", size=size * 0.62,
                          ha="center", va="center", color=ink)
            axes.text(j + 0.5, i + (0.42 if low else 0.5), f"{100 * square.mean:.1f}", size=size,
                      ha="center", va="center", color=ink)
            if square.sd is not None:
                axes.text(j + 0.5, i + 0.72, f"±{100 * square.sd:.1f}", size=size * 0.68,
                          ha="center", va="center", color=ink)
    _frame(axes, matrix, names)
    if heading:
        letters = int(points * len(matrix.targets) / 5)
        axes.set_title(clean(matrix.label, max(8, letters)), loc="left", pad=3, size=7.5)


def _frame(axes: Axes, matrix: Matrix, names: tuple[bool, bool]) -> None:
    """White lines between fields, names at the outer edges of the figure only."""
    n_rows, n_columns = len(matrix.sources), len(matrix.targets)
    axes.set(xlim=(0, n_columns), ylim=(n_rows, 0))
    for i in range(1, n_rows):
        axes.axhline(i, color="white", linewidth=1.2)
    for j in range(1, n_columns):
        axes.axvline(j, color="white", linewidth=1.2)
    axes.set_xticks([j + 0.5 for j in range(n_columns)])
    axes.set_yticks([i + 0.5 for i in range(n_rows)])
    x, y = ([two_lines(n, classes.get(n)) for n in side] for side, classes in (
        (matrix.targets, matrix.target_classes), (matrix.sources, matrix.source_classes)))
    axes.set_xticklabels(x if names[0] else [])
    axes.set_yticklabels(y if names[1] else [])
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    if names[0]:
        axes.set_xlabel("tested on", labelpad=2, color="#57606a", size=6.5)
    if names[1]:
        axes.set_ylabel("trained on", labelpad=3, color="#57606a", size=6.5)


def two_lines(name: str, classes: Collection[int] | None = None) -> str:
    r"""Corpus over task; a task that is a number of classes gives way to what was scored.

    Examples
    --------
    >>> two_lines("SEED-IV:4")
    'SEED-IV\n4 classes'
    >>> two_lines("SEED-IV:4", {2, 3})
    'SEED-IV\n2–3 classes'
    """
    corpus, colon, task = name.partition(":")
    if task.isdecimal():
        low, high = (min(classes), max(classes)) if classes else (task, task)
        task = f"{low} classes" if low == high else f"{low}–{high} classes"
    return f"{clean(corpus, 11)}\n{clean(task, 13)}" if colon else clean(corpus, 11)


def _draw_bar(axes: Axes, table: Table) -> None:
    from matplotlib.colorbar import ColorbarBase
    from matplotlib.colors import Normalize

    bar = ColorbarBase(axes, cmap=colours(), norm=Normalize(0, 1))
    floors = {round(floor_of(table, c), 6) for c in table.columns if c.source}
    if len(floors) == 1:
        floor = floors.pop()
        ticks = [0.0] + [(v - floor) / (1 - floor) for v in (0.4, 0.6, 0.8, 1) if v > floor + 0.15]
        names = [f"{100 * (floor + t * (1 - floor)):.0f}" for t in ticks]
        names[0] += "\nchance"
    else:
        # Targets differ in their number of classes: colour runs from each one's own chance.
        ticks, names = [0.0, 0.5, 1.0], ["chance", "half-\nway", "100"]
    bar.set_ticks(ticks, labels=names)
    bar.outline.set_visible(False)
    axes.tick_params(length=0, pad=3, labelsize=6.5)
