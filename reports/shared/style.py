"""House style of the pictures: one type size, few lines, colours that all readers can tell apart.

Figures are drawn on the Agg canvas without pyplot, so that no window opens, nothing is kept
between calls and the same records give the same bytes.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from .text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

#: Width of one and of two columns of a paper, inches.
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
#: Columns that the picture being drawn is to be as wide as; 0 for what suits it.
COLUMNS: ContextVar[int] = ContextVar("columns", default=0)
INK, MUTED, GREY, PALE = "#1f2328", "#57606a", "#7a828c", "#d9dde2"
#: Lines between bands, paler than the grid.
FAINT = "#eceff2"
#: Blue and vermilion of Okabe and Ito: told apart in every form of colour blindness, and in grey.
BLUE, ORANGE = "#0072b2", "#d55e00"
#: Okabe and Ito's other colours, for lines that must be told apart; more lines start again.
LINES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#8c564b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

#: Settings of matplotlib within :func:`~.pictures.house_style`.
SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # names come from records: a $ is a $
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "bench",
}


def width_of(suits: float) -> float:
    """Width in inches of a picture that can be drawn for one column and for two."""
    return {1: ONE_COLUMN, 2: TWO_COLUMNS}.get(COLUMNS.get(), suits)


def chance_line(axes: Axes, level: float, named: bool = False) -> None:
    """Broken dark line at a share of 1, over the grid and under the data."""
    axes.axhline(100 * level, color=INK, linewidth=0.75, linestyle=(0, (4, 2.5)), zorder=1)
    if named:
        axes.annotate("chance", (1, 100 * level), (-1, 1.5), size=6, color=GREY, ha="right",
                      xycoords=axes.get_yaxis_transform(), textcoords="offset points")


def plain_axes(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Pale grid behind the data, no frame, no ticks."""
    axes.grid(axis=grid, color=PALE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="both", length=0, pad=2, labelsize=6.5)


def two_rows(label: str) -> str:
    """Method over its variant, for narrow margins."""
    name, _, variant = label.partition(" [")
    return clean(name, 18) + (f"\n{clean(variant.rstrip(']'), 20)}" if variant else "")


def luminance(rgb: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour, 0 to 1: decides between dark and light text."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


#: From paper white through sea green to deep blue. Lightness alone falls all the way, so the scale
#: survives grey printing and every form of colour blindness.
_SCALE = ("#f4f6ec", "#b5dcc6", "#55afb1", "#2773a1", "#263a78")


#: From vermilion through white to blue, for differences.
_DIVERGING = ("#a84300", "#e88a4a", "#f7f7f5", "#5aa5d6", "#00568a")


def colours() -> Colormap:
    """Sequential colours: chance to perfect."""
    return _even("bench", _SCALE)


def diverging() -> Colormap:
    """Colours of differences; zero is white."""
    return _even("bench-difference", _DIVERGING)


@lru_cache
def _even(name: str, stops: tuple[str, ...]) -> Colormap:
    """Colours in even steps to the eye: equal distances along a path in OKLab."""
    import numpy as np
    from matplotlib.colors import ListedColormap, to_rgb

    to_lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                       [0.2119034982, 0.6806995451, 0.1073969566],
                       [0.0883024619, 0.2817188376, 0.6299787005]])
    to_lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                       [1.9779984951, -2.4285922050, 0.4505937099],
                       [0.0259040371, 0.7827717662, -0.8086757660]])
    rgb = np.array([to_rgb(c) for c in stops])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    path = np.cbrt(linear @ to_lms.T) @ to_lab.T
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    at = np.linspace(0, length[-1], 256)
    lab = np.stack([np.interp(at, length, path[:, i]) for i in range(3)], axis=1)
    linear = (lab @ np.linalg.inv(to_lab).T) ** 3 @ np.linalg.inv(to_lms).T
    linear = np.clip(linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return ListedColormap(np.clip(rgb, 0, 1), name=name)
