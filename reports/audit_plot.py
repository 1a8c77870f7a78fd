"""Forest plot of an audit: a band for each shortcut, a mark with its interval for each unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.auditing.inflation import MEASURES, Audit, Measure

from .shared.cells import pieces_of
from .shared.pictures import Grid, difference_mark, note, text_at
from .shared.style import BLUE, FAINT, GREY, INK, MUTED, ORANGE, TWO_COLUMNS, plain_axes
from .shared.text import clean, numbers, p_value, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNITS = ((MEASURES[0], "per window", BLUE, "o"), (MEASURES[1], "per trial", ORANGE, "s"))
#: Height of a shortcut; left, right, top and bottom of the plot.
_BAND, _MARGINS = 0.36, (2.65, 1.75, 0.62, 0.5)


def draw(audit: Audit) -> Figure:
    """Figure of an audit: honest run against chance first, then every shortcut."""
    grid = Grid.make(TWO_COLUMNS, (1, 1), _MARGINS, high=_BAND * (len(audit.rows) + 1))
    axes = grid[0, 0]
    plain_axes(axes, "x")
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.set(ylim=(len(audit.rows) + 1, 0))
    axes.set_yticks([])
    _band(axes, 0, "honest run − chance", "what there is before any shortcut",
          [(audit.honest[k], None) for k, *_ in _UNITS])
    axes.axhline(1, color=GREY, linewidth=0.6, zorder=1)
    for i, row in enumerate(audit.rows, 1):
        if i > 1:
            axes.axhline(i, color=FAINT, linewidth=0.6, zorder=0)
        if row.measures:
            measures = [row.measures[k] for k, *_ in _UNITS]
            _band(axes, i, row.name, row.does, [(m, m.holm) for m in measures])
        else:
            _names(axes, i, row.name, row.does, GREY)
            axes.text(1.02, i + 0.5, "–", transform=axes.get_yaxis_transform(), va="center",
                      size=6.5, color=GREY)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -2.0), max(high, 2.0))
    axes.set_xlabel("percentage points of balanced accuracy", size=6.5, labelpad=2)
    _texts(grid.figure, audit)
    return grid.figure


def _band(
    axes: Axes, at: int, name: str, does: str, marks: list[tuple[Measure, float | None]]
) -> None:
    _names(axes, at, name, does, INK)
    for j, ((m, holm), (_, _, colour, marker)) in enumerate(zip(marks, _UNITS, strict=True)):
        y = at + 0.32 + 0.36 * j
        difference_mark(axes, m.test, y, colour, marker, size=13, linewidth=1.1)
        text = signed(m.test.mean)
        if m.test.interval is not None:
            text += f"  [{signed(m.test.interval[0])}, {signed(m.test.interval[1])}]"
        if holm is not None:
            text += f"  p {p_value(holm)}"
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", size=5.8,
                  color=colour)


def _names(axes: Axes, at: int, name: str, does: str, colour: str) -> None:
    where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right"}
    axes.text(-0.02, at + 0.34, clean(name, 34), size=7, color=colour, **where)
    axes.text(-0.02, at + 0.69, clean(does, 62), size=5.2, color=MUTED, **where)


def _texts(figure: Figure, audit: Audit) -> None:
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    identity = audit.first.identity
    title = f"What each shortcut adds · {clean(identity['method'], 30)} · " \
            f"{clean(audit.first.pair, 50)} · {clean(identity['protocol']['name'], 30)}"
    title += " · pieces of recordings" if pieces_of(identity) else ""
    title += " · simulated" if audit.simulated else ""
    seeds = f"seed{'s' * (len(audit.seeds) > 1)} {numbers(audit.seeds)}"
    below = (
        f"leaky twin − honest run on the same target subjects; mean and 95 % interval over "
        f"{audit.subjects} target subjects,\n{seeds}; p: two-sided Wilcoxon, Holm over "
        f"{audit.compared} shortcut{'s' * (audit.compared != 1)}"
    )
    text_at(figure, height - 0.1, title, weight="bold", size=8.5, va="top")
    note(figure, below, linespacing=1.3)
    handles = [Line2D([], [], color=c, marker=m, markersize=3, linewidth=1) for *_, c, m in _UNITS]
    figure.legend(handles, [name for _, name, *_ in _UNITS], loc="lower left", ncols=2,
                  frameon=False, fontsize=6.5, bbox_to_anchor=(0.01, 0.0), borderaxespad=0.3)
    if audit.simulated:
        figure.text(_MARGINS[0] / width, 0.5, "SIMULATED", size=38, weight="bold", color=MUTED,
                    alpha=0.09, rotation=18, ha="left", va="center", zorder=0)
