"""Source-by-target heat map of every method: which corpus teaches which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.reporting import ARROW
from bench.store.shown import counted

from .shared.caption import title
from .shared.cells import Column
from .shared.pictures import Grid, Picture, colour_bar, field_text, headline, note, place, square
from .shared.style import GREY, MUTED, ONE_COLUMN, PALE, TWO_COLUMNS, colours
from .shared.table import Table, TableRow
from .shared.text import clean, natural

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
    subjects : int
        Target subjects that the score is of.
    """

    mean: float | None
    sd: float | None
    height: float | None
    same_corpus: bool
    classes: int = 0
    subjects: int = 0


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
    made = []
    shared = shared_classes(table, lambda c: c.source), shared_classes(
        table, lambda c: _target(table, c))
    for row in table.methods:
        squares = [
            [_square(table, row, (s, t), corpus[s] == corpus[t]) for t in targets]
            for s in sources
        ]
        if any(q.mean is not None for line in squares for q in line):
            made.append(Matrix(row.label, sources, targets, squares, *shared))
    return made


def shared_classes(table: Table, name: Callable[[Column], str]) -> dict[str, set[int]]:
    """Name of a column to how many classes were scored, where labels were mapped to shared ones."""
    counts: dict[str, set[int]] = {}
    for column in table.columns:
        if is_mapped(table, column):
            counts.setdefault(name(column), set()).add(len(column.classes))
    return counts


def _square(table: Table, row: TableRow, pair: tuple[str, str], same: bool) -> Square:
    column = next((c for c in row.values if (c.source, _target(table, c)) == pair), None)
    if column is None:
        return Square(None, None, None, same)
    value = row.values[column]
    floor = floor_of(table, column)
    return Square(value.mean, value.sd, (value.mean - floor) / (1 - floor), same,
                  len(column.classes), len(value.subjects))


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


def draw(table: Table, every: list[Matrix]) -> Figure:
    """Figure of a table: one column of a paper wide with one method, else two."""
    from matplotlib.figure import Figure

    shown, hidden = every[:MOST], len(every) - MOST
    across = min(len(shown), 3) if len(shown) != 4 else 2
    down = -(-len(shown) // across)
    n_rows, n_columns = len(shown[0].sources), len(shown[0].targets)
    left, right, gap_x, gap_y, bottom = 0.82, 0.72, 0.22, 0.36, 0.52
    top = 0.66 if len(shown) > 1 else 0.52
    width = ONE_COLUMN if across == 1 else TWO_COLUMNS
    cell = (width - left - right - gap_x * (across - 1)) / across / n_columns
    cell = min(cell, 1.0)
    width = max(ONE_COLUMN, left + across * cell * n_columns + (across - 1) * gap_x + right)
    high = n_rows * min(0.86 * cell, 0.72)
    height = top + down * high + (down - 1) * gap_y + bottom
    grid = Grid(Figure(figsize=(width, height)), left, top, cell * n_columns, high, gap_x, gap_y)
    for i, matrix in enumerate(shown):
        lowest = i + across >= len(shown)
        _draw_matrix(grid[divmod(i, across)], matrix, cell * 72, (lowest, i % across == 0),
                     len(shown) > 1)
    x = left + across * cell * n_columns + (across - 1) * gap_x + 0.16
    bar = min(down * high, 1.9)
    _draw_bar(place(grid.figure, x, height - top - bar, 0.1, bar), table)
    _head(grid.figure, table, shown, hidden)
    return grid.figure


def _head(figure: Figure, table: Table, shown: list[Matrix], hidden: int) -> None:
    name = shown[0].label if len(shown) == 1 else "Source → target"
    # Cut short one by one, so that a long name cannot push "simulated" off the picture.
    headline(figure, table, clean(name, 24), 16)
    spread = any(q.sd is not None for m in shown for line in m.squares for q in line)
    what = f"{table.measured} in %, "
    what += "mean ± SD (n) over n subjects" if spread else "one subject"
    what += f"; {counted(hidden, 'more method')} left out" if hidden > 0 else ""
    note(figure, what)


def _draw_matrix(
    axes: Axes, matrix: Matrix, points: float, names: tuple[bool, bool], heading: bool
) -> None:
    """Fields, values and names; ``points`` is the width of a field."""
    size = min(9.0, max(4.5, points / 4.4))
    for i, line in enumerate(matrix.squares):
        for j, one in enumerate(line):
            if one.mean is None or one.height is None:
                square(axes, j, i, "white", edgecolor=PALE, linewidth=0,
                       hatch="/////" if one.same_corpus else None)
                if not one.same_corpus:
                    field_text(axes, j, i, "not run", size=size * 0.6, color=GREY)
                continue
            ink = square(axes, j, i, colours()(min(max(one.height, 0.0), 1.0)), edgecolor="none")
            if len(matrix.target_classes.get(matrix.targets[j], ())) > 1:
                field_text(axes, j, i, f"{one.classes} classes", 0.14, size=size * 0.62, color=ink)
            field_text(axes, j, i, f"{100 * one.mean:.1f}", 0.5 if one.sd is None else 0.42,
                       size=size, color=ink)
            if one.sd is not None:
                field_text(axes, j, i, f"±{100 * one.sd:.1f} ({one.subjects})", 0.72,
                           size=size * 0.6, color=ink)
    x, y = ([two_lines(n, classes.get(n)) for n in side] for side, classes in (
        (matrix.targets, matrix.target_classes), (matrix.sources, matrix.source_classes)))
    frame(axes, x, y, names)
    # White lines between fields.
    for i in range(1, len(y)):
        axes.axhline(i, color="white", linewidth=1.2)
    for j in range(1, len(x)):
        axes.axvline(j, color="white", linewidth=1.2)
    if heading:
        letters = int(points * len(matrix.targets) / 5)
        axes.set_title(clean(matrix.label, max(8, letters)), loc="left", pad=3, size=7.5)


def frame(
    axes: Axes, targets: Sequence[str], sources: Sequence[str],
    names: tuple[bool, bool] = (True, True),
) -> None:
    """Names of targets below and of sources at the left of a matrix, where they are wanted."""
    axes.set(xlim=(0, len(targets)), ylim=(len(sources), 0))
    axes.set_xticks([j + 0.5 for j in range(len(targets))], targets if names[0] else [])
    axes.set_yticks([i + 0.5 for i in range(len(sources))], sources if names[1] else [])
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    if names[0]:
        axes.set_xlabel("tested on", labelpad=2, color=MUTED, size=6.5)
    if names[1]:
        axes.set_ylabel("trained on", labelpad=3, color=MUTED, size=6.5)


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
    bar = colour_bar(axes, 1)
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


def _rows(_: Table, shown: Sequence[Matrix]) -> Iterator[dict[str, Any]]:
    for one in shown:
        for source, line in zip(one.sources, one.squares, strict=True):
            for target, field in zip(one.targets, line, strict=True):
                if field.mean is not None:
                    yield {"method": one.label, "source": source, "target": target,
                           "mean": field.mean, "sd": field.sd, "n_subjects": field.subjects,
                           "between_chance_and_perfect": field.height}


#: ``heatmap.png``, ``.pdf`` and ``.svg``: a small matrix for each method.
write = Picture(
    "heatmap", matrices, draw, lambda table, _: f"Source by target, {title(table)}",
    "no finished record of a method in {root}: a heat map has nothing to show",
    "bench report prints which records failed, and why.", _rows,
)
