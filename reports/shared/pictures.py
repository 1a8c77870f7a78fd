"""The frame of every picture: find what there is to draw, draw it, save it.

A plot report is its data (``find``), its drawing (``draw``) and a :class:`Picture` of the two.
Panels are placed by inches, so that type keeps its size whatever the figure's.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.scoring.inference import Paired
from bench.store.files import write_bytes, write_text
from bench.store.records import Store

from .cells import collect
from .files import csv_text
from .style import COLUMNS, INK, MUTED, ONE_COLUMN, SETTINGS, colours, luminance
from .table import Table, tables
from .text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
#: Size of the lines under a headline, points.
_NOTE = 6.5
T = TypeVar("T")


@dataclass(frozen=True)
class Picture(Generic[T]):
    """A report that is one figure for each table: call it to write PNG, PDF and SVG.

    Attributes
    ----------
    name : str
        Of the files; tables that must not be mixed get figures of their own, ``NAME-1``, ...
    find : callable
        What there is to draw of a table; None or empty where there is nothing.
    draw : callable
        Figure of a table and what was found in it.
    title : str or callable
        Title in the files' metadata, or what makes it of a table and what was found in it.
    nothing, hint : str
        The error where no table has anything to draw; ``{root}`` stands for the run folder.
    rows : callable or None
        Lines of the CSV beside the picture, which holds what is drawn, unrounded.
    too_few : callable or None
        Why a picture could say nothing with so few subjects; empty where it can. It is not drawn
        then.
    """

    name: str
    find: Callable[[Table], T | None]
    draw: Callable[[Table, T], Figure]
    title: str | Callable[[Table, T], str]
    nothing: str
    hint: str = ""
    rows: Callable[[Table, T], Iterable[Mapping[str, Any]]] | None = None
    too_few: Callable[[Table, T], str] | None = None

    def __call__(self, store: Store, out: Path, options: ReportOptions) -> list[Path]:
        """Write the figures of a run folder; an error of bench where there is nothing to draw."""
        shown = drawable(store, options, self.find, self.nothing, self.hint)
        if self.too_few is not None:
            reasons = [self.too_few(table, made) for table, made in shown]
            if all(reasons):
                raise BenchError(reasons[0], "More subjects, or fewer methods at a time.")
            shown = [s for s, why in zip(shown, reasons, strict=True) if not why]
        return save_all(shown, self.draw, out / self.name, self.title, options, rows=self.rows)


#: Tables that are drawn, the largest first; the leaderboard says how many are not.
MOST_TABLES = 12


def drawable(
    store: Store, options: ReportOptions, find: Callable[[Table], T | None], nothing: str,
    hint: str = "",
) -> list[tuple[Table, T]]:
    """Tables of a run folder with what there is to draw of each, without those that have nothing.

    Raises
    ------
    BenchError
        No table has anything; its message is ``nothing`` with the folder for ``{root}``.
    """
    every = tables(collect(store, options), options)
    shown = [(table, made) for table in every if (made := find(table))]
    if not shown:
        raise BenchError(nothing.replace("{root}", str(store.root)), hint)
    return shown


def save_all(
    shown: Sequence[tuple[Table, T]], draw: Callable[[Table, T], Figure], stem: Path,
    title: str | Callable[[Table, T], str], options: ReportOptions, *,
    rows: Callable[[Table, T], Iterable[Mapping[str, Any]]] | None = None,
) -> list[Path]:
    """Draw and write a figure for each table: ``heatmap``, or ``heatmap-1``, ``heatmap-2``, ...

    Of the largest :data:`MOST_TABLES`, that is, since each takes half a second. Beside each stands
    a CSV of the same name with what is drawn, if ``rows`` are given.
    """
    paths = []
    for number, (table, made) in enumerate(shown[:MOST_TABLES], 1):
        path = stem if len(shown) == 1 else stem.with_name(f"{stem.name}-{number}")
        told = title if isinstance(title, str) else title(table, made)
        with house_style(options.columns):
            paths += save(draw(table, made), path, told, options)
        if rows is not None:
            said = "simulated" if table.simulated else "no"
            text = csv_text({**row, "simulated": said} for row in rows(table, made))
            paths.append(path.with_name(f"{path.name}.csv"))
            write_text(paths[-1], text)
    return paths


@contextmanager
def house_style(columns: int = 0) -> Iterator[None]:
    """Draw and save within this, for so many columns of a paper; 0 for what suits each picture."""
    import matplotlib

    token = COLUMNS.set(columns)
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        # A name in a script that the font lacks shows as boxes; that is no reason to complain.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        try:
            yield
        finally:
            COLUMNS.reset(token)


def save(figure: Figure, stem: Path, title: str, options: ReportOptions) -> list[Path]:
    """Write a figure as PNG (300 dpi), PDF and SVG, or those of them that the options name.

    Parameters
    ----------
    figure : Figure
    stem : Path
        Path without an ending.
    title : str
        Title in the files' metadata.
    options : ReportOptions
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    paths = []
    for kind in filter(options.wants_format, FORMATS):
        buffer = io.BytesIO()
        # Without a date the same records give the same bytes.
        dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
        figure.savefig(buffer, format=kind, dpi=300, metadata={"Title": title, **dates})
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        write_bytes(paths[-1], buffer.getvalue())
    return paths


@dataclass(frozen=True)
class Grid:
    """Panels of one size on a figure, in inches; row 0 is on top."""

    figure: Figure
    left: float
    top: float
    wide: float
    high: float
    gap_x: float
    gap_y: float

    @classmethod
    def make(
        cls, width: float, shape: tuple[int, int], margins: tuple[float, float, float, float],
        gaps: tuple[float, float] = (0.0, 0.0), *, high: float | None = None, most: float = inf,
    ) -> Grid:
        """Grid on a new figure as high as it needs.

        Parameters
        ----------
        width : float
            Of the figure.
        shape : (int, int)
            Rows and columns.
        margins : (float, float, float, float)
            Left, right, top, bottom.
        gaps : (float, float)
            Between columns, between rows.
        high : float, optional
            Height of a panel; panels are square if it is not given.
        most : float
            A panel is no wider.
        """
        from matplotlib.figure import Figure

        (rows, columns), (left, right, top, bottom) = shape, margins
        wide = min((width - left - right - gaps[0] * (columns - 1)) / columns, most)
        high = wide if high is None else high
        height = top + rows * high + (rows - 1) * gaps[1] + bottom
        return cls(Figure(figsize=(width, height)), left, top, wide, high, *gaps)

    def __getitem__(self, at: tuple[int, int]) -> Axes:
        """New axes in a row and column."""
        return place(self.figure, *self.corner(*at), self.wide, self.high)

    def corner(self, row: int, column: int) -> tuple[float, float]:
        """Lower left corner of a panel."""
        _, height = self.figure.get_size_inches()
        y = height - self.top - (row + 1) * self.high - row * self.gap_y
        # Rounded, since a line would snap to the next pixel for an error in the last digit.
        return self.left + column * (self.wide + self.gap_x), round(float(y), 9)


def place(figure: Figure, x: float, y: float, wide: float, high: float) -> Axes:
    """New axes with the lower left corner at (x, y)."""
    width, height = figure.get_size_inches()
    return figure.add_axes((x / width, y / height, wide / width, high / height))


def head(figure: Figure, table: Table, name: str, below: str) -> None:
    """Title and the line under it; names are cut so that "simulated" stays on the picture."""
    wide = figure.get_size_inches()[0] > ONE_COLUMN
    headline(figure, table, clean(name, 60 if wide else 26), 40 if wide else 14)
    note(figure, below)


def headline(figure: Figure, table: Table, name: str, longest: int) -> None:
    """Bold line: name, protocol, "shared classes", "simulated"; smaller where it would not fit."""
    width, height = figure.get_size_inches()
    protocol = clean(table.setting.protocol, longest)
    protocol += ", shared classes" if table.setting.classes else ""
    protocol += f", {clean(table.setting.hold_out, 12)} held out" if table.setting.hold_out else ""
    protocol += " · pieces of recordings" if table.pieces else ""
    text = f"{name} · {protocol}" + (" · simulated" if table.simulated else "")
    size = _fitting(text, 8.5, 72 * (width - 0.16))
    text_at(figure, height - 0.1, text, weight="bold", size=size, va="top")


def note(figure: Figure, text: str, **look: Any) -> None:
    """Small grey lines under the headline; a line too long is wrapped, and the figure made higher.

    Call it when all axes are in place: they keep their distance from the lower edge.
    """
    lines = text.split("\n")
    points = 72 * (figure.get_size_inches()[0] - 0.16)
    whole = [part for line in lines for part in _wrapped(line, _NOTE, points)]
    _heighten(figure, (len(whole) - len(lines)) * _NOTE * 1.25 / 72)
    text_at(figure, figure.get_size_inches()[1] - 0.27, "\n".join(whole), size=_NOTE, color=MUTED,
            va="top", **look)


def _wrapped(line: str, size: float, points: float) -> list[str]:
    """Line in as many as it needs to be no wider than this."""
    out = [""]
    for word in line.split(" "):
        longer = f"{out[-1]} {word}".lstrip(" ")
        if out[-1] and _width(longer, size) > points:
            out.append(word)
        else:
            out[-1] = longer
    return out


def _heighten(figure: Figure, more: float) -> None:
    """Add room of so many inches at the top; what is drawn stays where it is."""
    if more <= 0:
        return
    width, height = figure.get_size_inches()
    share = height / (height + more)
    figure.set_size_inches(width, height + more)
    for axes in figure.axes:
        x, y, wide, high = axes.get_position().bounds
        axes.set_position((x, y * share, wide, high * share))
    for text in figure.texts:
        # The headline hangs from the upper edge.
        at = text.get_position()[1] * height
        text.set_y((at + more if at > height - 0.2 else at) / (height + more))


def text_at(figure: Figure, y: float, text: str, x: float = 0.08, **look: Any) -> None:
    """Text so many inches from the lower edge, and from the left one."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, **look)


def _fitting(text: str, size: float, points: float) -> float:
    """Size at which a bold line is no wider than this, at most ``size``."""
    return min(size, size * points / max(1.0, _width(text, size, "bold")))


def _width(text: str, size: float, weight: str = "normal") -> float:
    """Of a line, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text, size=size, prop=FontProperties(weight=weight))
    # Outlines of letters turn at their corners; to look along the curves takes ten times as long.
    x = path.vertices[path.codes != path.CLOSEPOLY, 0]
    return float(x.max() - x.min())


def legend(
    figure: Figure, looks: Sequence[tuple[str, Mapping[str, Any]]], handlelength: float
) -> None:
    """Lines and their names along the lower edge; see :func:`legend_height`."""
    from matplotlib.lines import Line2D

    width = figure.get_size_inches()[0]
    longest = 22 if width == ONE_COLUMN else 25
    names = [clean(name, longest) for name, _ in looks]
    figure.legend([Line2D([], [], **look) for _, look in looks], names,
                  loc="lower left", ncols=_across(width), frameon=False,
                  fontsize=6.5, handlelength=handlelength, columnspacing=1.2, labelspacing=0.3,
                  bbox_to_anchor=(0.01, 0.0), borderaxespad=0.3)


def legend_height(count: int, width: float) -> float:
    """Room that so many names need at the lower edge of a figure of this width."""
    return 0.14 * -(-count // _across(width))


def _across(width: float) -> int:
    return 2 if width == ONE_COLUMN else 4


def square(axes: Axes, column: int, row: int, face: Any, **look: Any) -> str:
    """Fill a field of a matrix; returns the colour of a text that can be read on it."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, **look))
    return "white" if isinstance(face, tuple) and luminance(face) < 0.25 else INK


def field_text(
    axes: Axes, column: int, row: int, text: str, down: float = 0.5, **look: Any
) -> None:
    """Text in the middle of a field of a matrix, ``down`` of its height from the top."""
    axes.text(column + 0.5, row + down, text, ha="center", va="center", **look)


def colour_bar(axes: Axes, highest: float) -> Any:
    """Scale of :func:`colours` from 0 to ``highest``."""
    from matplotlib.colorbar import ColorbarBase
    from matplotlib.colors import Normalize

    bar = ColorbarBase(axes, cmap=colours(), norm=Normalize(0, highest))
    bar.outline.set_visible(False)
    axes.tick_params(length=0, pad=3, labelsize=6.5)
    return bar


def difference_mark(
    axes: Axes, test: Paired, y: float, colour: str, marker: str, *, size: float, linewidth: float
) -> None:
    """Mean difference in points with its interval, on a line of its own."""
    if test.interval is not None:
        axes.plot([100 * v for v in test.interval], [y, y], color=colour, linewidth=linewidth,
                  solid_capstyle="butt", zorder=2)
    axes.scatter([100 * test.mean], [y], s=size, color=colour, marker=marker, linewidths=0,
                 zorder=3)
