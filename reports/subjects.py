"""Every target subject: a method beside its target-only control, joined by a line.

A mean hides whether pre-training helps everybody a little or one subject a lot; this shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.scoring.inference import mean_interval
from bench.store.shown import counted

from .heatmap import is_mapped
from .shared.against import Comparison, against_target_only
from .shared.caption import title
from .shared.cells import Column
from .shared.pictures import Grid, Picture, headline, note, text_at
from .shared.style import BLUE, GREY, INK, MUTED, ONE_COLUMN, ORANGE, PALE, TWO_COLUMNS, chance_line
from .shared.table import Table, TableRow
from .shared.text import clean, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Methods drawn in one figure, the best first; the page has all.
MOST = 12


@dataclass(frozen=True)
class Panel:
    """A method on a pair.

    Attributes
    ----------
    row : str
        Label of the method.
    column : Column
    method : dict
        Subject to score.
    comparison : Comparison or None
        None where there is no target-only record with the same network, pair and seed.
    """

    row: str
    column: Column
    method: dict[str, float]
    comparison: Comparison | None


def panels(table: Table) -> dict[tuple[str, Column], Panel]:
    """Panels of the figure, by method and pair.

    Methods that have a control are shown alone, if there is any: the figure is about the gain.
    """
    compared = {(c.row.label, c.column): c for c in against_target_only(table)}
    rows: list[TableRow] = [r for r in table.methods if any(k[0] == r.label for k in compared)]
    made = {}
    for row in rows or table.methods:
        for column, value in row.values.items():
            c = compared.get((row.label, column))
            scores = c.method if c else value.subjects
            made[row.label, column] = Panel(row.label, column, scores, c)
    return made


def draw(table: Table, shown: dict[tuple[str, Column], Panel]) -> Figure:
    """Figure of a table: scores share one axis, so that panels can be compared."""
    every = list(dict.fromkeys(label for label, _ in shown))
    rows, hidden = every[:MOST], len(every) - MOST
    columns = [c for c in table.columns if any(k[1] == c for k in shown)]
    n = len(columns)
    width = ONE_COLUMN if n < 3 else max(TWO_COLUMNS, 0.55 + 1.05 * n)
    top, bottom = (0.96, 0.58) if width == ONE_COLUMN else (0.84, 0.46)
    top += 0.1 if any(is_mapped(table, c) for c in columns) else 0.0
    grid = Grid.make(width, (len(rows), n), (0.55, 0.1, top, bottom), (0.1, 0.5), high=1.55)
    low, top_value = _limits(table, shown)
    for i, label in enumerate(rows):
        for j, column in enumerate(columns):
            axes = grid[i, j]
            axes.set(xlim=(-0.5, 1.5), ylim=(low, top_value))
            _draw_panel(axes, shown.get((label, column)), table.chance(column), label)
            _trim(axes, first=j == 0)
            if i == 0:
                axes.set_title(_heading(table, column), size=6.5, pad=14, weight="normal")
            if j == 0:
                axes.set_ylabel(clean(label, 24), weight="bold", size=7.5, labelpad=4)
    _head(grid.figure, table, list(shown.values()), hidden)
    return grid.figure


def _limits(table: Table, shown: dict[tuple[str, Column], Panel]) -> tuple[float, float]:
    """Percent, from a little under the lowest point, or chance, to a little over the highest."""
    values = [v for p in shown.values() for v in p.method.values()]
    values += [v for p in shown.values() if p.comparison for v in p.comparison.control.values()]
    values += [c for _, col in shown if (c := table.chance(col)) is not None]
    return 100 * min(values) - 4, min(102.0, 100 * max(values) + 4)


def _draw_panel(axes: Axes, panel: Panel | None, chance: float | None, label: str) -> None:
    if chance is not None:
        chance_line(axes, chance)
    if panel is None:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", color=GREY, size=6.5)
        axes.set_xticks([])
        return
    c = panel.comparison
    right = [100 * v for v in panel.method.values()]
    if c is None:
        axes.scatter([0.5] * len(right), right, s=9, color=BLUE, alpha=0.75, linewidths=0)
        _mean(axes, 0.5, right, BLUE)
        axes.set_xticks([0.5], [clean(label, 14)])
        return
    left = [100 * c.control[s] for s in panel.method]
    for a, b in zip(left, right, strict=True):
        colour, dashes = _stroke(a, b)
        axes.plot([0, 1], [a, b], color=colour, linewidth=0.8, alpha=0.55, linestyle=dashes)
    axes.scatter([0] * len(left), left, s=8, color=GREY, linewidths=0, zorder=3)
    axes.scatter([1] * len(right), right, s=8, color=BLUE, linewidths=0, zorder=3)
    _mean(axes, -0.22, left, GREY)
    _mean(axes, 1.22, right, BLUE)
    method = clean(label.partition(" [")[0], 11)
    axes.set_xticks([0, 1], ["target-\nonly", method])
    t = c.test
    spread = "" if t.interval is None else f" [{signed(t.interval[0])}, {signed(t.interval[1])}]"
    axes.text(0.5, 1.03, f"{signed(t.mean)}{spread}", transform=axes.transAxes, ha="center",
              va="bottom", size=6.2, color=INK)


def _stroke(before: float, after: float) -> tuple[str, Any]:
    """Colour and dashes of a subject's line."""
    if after == before:
        return GREY, (0, (1, 1.2))
    return (BLUE, "-") if after > before else (ORANGE, (0, (3, 1.5)))


def _mean(axes: Axes, x: float, values: list[float], colour: str) -> None:
    """Mean as a diamond with its interval over subjects; none for a single one."""
    if len(values) < 2:
        return
    middle = sum(values) / len(values)
    interval = mean_interval(values)
    if interval is not None:
        axes.plot([x, x], interval, color=colour, linewidth=1.2, solid_capstyle="butt", zorder=4)
    axes.scatter([x], [middle], s=20, marker="D", color=colour, edgecolors="white",
                 linewidths=0.6, zorder=5)


def _trim(axes: Axes, first: bool) -> None:
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(axis="both", length=0, pad=2)
    axes.tick_params(axis="x", labelsize=6)
    if not first:
        axes.tick_params(axis="y", labelleft=False)


def _heading(table: Table, column: Column) -> str:
    source, arrow, target = table.short_labels()[column].partition("→")
    text = clean(source, 22) + (f"\n→ {clean(target, 22)}" if arrow else "")
    return text + (f"\n{len(column.classes)} classes" if is_mapped(table, column) else "")


def _head(figure: Figure, table: Table, shown: Sequence[Panel], hidden: int) -> None:
    """Title, what the numbers are, and the signs; one line more where the figure is narrow."""
    wide = figure.get_size_inches()[0] > ONE_COLUMN
    compared = [p.comparison for p in shown if p.comparison]
    several = any(len(p.method) > 1 for p in shown)
    name = "Each target subject" if several else "Target subject"
    name += ": pre-trained or from scratch" if compared and wide else ""
    headline(figure, table, name, 40 if wide else 14)
    lines = [f"{table.measured} in %"]
    if hidden > 0:
        lines.append(f"{counted(hidden, 'more method')} left out")
    marks = ["◆ mean and 95 % interval"] if several else ["● the one subject"]
    marks += ["– – chance"] if any(table.chance(p.column) is not None for p in shown) else []
    signs = ["    ".join(marks)]
    if compared:
        lines.append("over each panel: mean difference [95 % interval]" if several else
                     "over each panel: difference")
        ties = any(c.control[s] == v for c in compared for s, v in c.method.items())
        signs.append("solid: better than target-only, broken: worse" + ", dotted: equal" * ties)
    note(figure, ("; " if wide else "\n").join(lines))
    legend = ("    " if wide else "\n").join(signs)
    text_at(figure, 0.06, legend, size=6, color=MUTED, va="bottom")


def _rows(_: Table, shown: dict[tuple[str, Column], Panel]) -> Iterator[dict[str, Any]]:
    for panel in shown.values():
        for subject, score in panel.method.items():
            c = panel.comparison
            yield {"method": panel.row, "pair": panel.column.pair, "subject": subject,
                   "score": score, "target_only": c.control[subject] if c else None}


#: ``subjects.png``, ``.pdf`` and ``.svg``: a row of panels a method, a column a pair.
write = Picture(
    "subjects", panels, draw, lambda table, _: f"Target subjects, {title(table)}",
    "no finished record of a method in {root}: there are no subjects to show",
    "bench report prints which records failed, and why.", _rows,
)
