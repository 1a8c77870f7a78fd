"""Scalp maps: which channels of which band a model needs, by permutation.

Importance is the drop in balanced accuracy when one channel's band is permuted among the test
windows of a subject, averaged over subjects and seeds. Neighbouring channels say much the same, so
that a model can do without each of them: a pale map means redundancy, not that nothing is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.channels import positions
from bench.reporting import ReportOptions
from bench.store.records import Store

from .shared.cells import Column
from .shared.diagnosed import Diagnosed, arrays, drawable_diagnostics, first_made, more_left_out
from .shared.pictures import Grid, colour_bar, head, place, save_all, text_at
from .shared.style import MUTED, ONE_COLUMN, TWO_COLUMNS, colours, two_rows
from .shared.table import Table
from .shared.text import span

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Methods and pairs in one figure.
MOST = 6
_NAMES = ("importance", "importance_subject", "channels", "bands")
#: The field's names of bands, by their lower edge in Hz.
_BANDS = ((1.0, "delta"), (4.0, "theta"), (8.0, "alpha"), (13.0, "beta"), (30.0, "gamma"))


@dataclass(frozen=True, eq=False)
class Scalp:
    """Maps of a method on a pair, as data.

    Attributes
    ----------
    label : str
        Row of the leaderboard.
    column : Column
    channels : list of str
    bands : list of str
    importance : (channels, bands) array
        Drop in balanced accuracy; mean over seeds and sessions, then over subjects.
    subjects, seeds : int
    """

    label: str
    column: Column
    channels: list[str]
    bands: list[str]
    importance: NDArray[np.float64]
    subjects: int
    seeds: int


def scalps(table: Table) -> list[Scalp]:
    """Maps of the first methods and pairs that have them."""
    return first_made(table, _scalp, MOST)


def _scalp(one: Diagnosed) -> Scalp | None:
    import numpy as np

    drops: dict[str, list[NDArray[np.float64]]] = {}
    channels: list[str] = []
    bands: list[list[float]] = []
    for cell in one.cells:
        stored = arrays(cell, *_NAMES)
        if stored is None:
            return None
        names, edges = [str(c) for c in stored["channels"]], stored["bands"].tolist()
        values = stored["importance"].astype(float)
        whole = values.shape == (len(stored["importance_subject"]), len(names), len(edges))
        if not whole or not np.isfinite(values).all() or (channels and channels != names):
            return None
        channels, bands = names, edges
        for subject, value in zip(stored["importance_subject"], values, strict=True):
            drops.setdefault(str(subject), []).append(value)
    positions(channels)  # refuses an unknown channel
    mean = np.mean([np.mean(v, axis=0) for v in drops.values()], axis=0)
    return Scalp(one.row.label, one.column, channels, [band(*b) for b in bands], mean,
                 len(drops), len(one.cells))


def band(low: float, high: float) -> str:
    """Name over edges: ``alpha``, ``8–14 Hz``."""
    name = next((n for edge, n in reversed(_BANDS) if low >= edge), "")
    return f"{name}\n{low:g}–{high:g} Hz".lstrip("\n")


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``scalp.png``, ``.pdf`` and ``.svg``: a row a method, a map for each band.

    Raises
    ------
    BenchError
        No record has the importance of bands.
    """
    shown = drawable_diagnostics(store, options, scalps, "importance", "the importance of bands")
    return save_all(shown, draw, out / "scalp", "Importance of bands on the scalp", options,
                    rows=_rows)


def _rows(_: Table, maps: Sequence[Scalp]) -> Iterator[dict[str, Any]]:
    for one in maps:
        for channel, line in zip(one.channels, one.importance.tolist(), strict=True):
            for name, lost in zip(one.bands, line, strict=True):
                yield {"method": one.label, "pair": one.column.pair, "channel": channel,
                       "band": name.replace("\n", " "), "lost": lost,
                       "n_subjects": one.subjects, "n_seeds": one.seeds}


def draw(table: Table, maps: Sequence[Scalp]) -> Figure:
    """Figure of a table: one scale of colour for all maps."""
    across = max(len(s.bands) for s in maps)
    left, right, top, gap = 0.98, 0.62, 0.88, 0.14
    side = min((TWO_COLUMNS - left - right) / across, 1.25)
    grid = Grid.make(max(ONE_COLUMN, left + across * side + right), (len(maps), across),
                     (left, right, top, 0.1 + gap), (0.0, gap), most=side)
    most = max(1e-3, *(float(s.importance.max()) for s in maps))
    labels = table.short_labels()
    for i, one in enumerate(maps):
        for j, name in enumerate(one.bands):
            x, y = grid.corner(i, j)
            axes = place(grid.figure, x, y, side * 0.96, side)
            _draw(axes, one, j, most)
            if i == 0:
                axes.set_title(name, size=7, weight="normal", pad=2)
        middle = grid.corner(i, 0)[1] + side / 2
        text_at(grid.figure, middle, two_rows(one.label), weight="bold", size=7, va="bottom")
        text_at(grid.figure, middle - 0.04, labels[one.column].replace("→", "\n→ "), size=6,
                va="top", color=MUTED)
    bar = min(len(maps) * side, 1.6)
    at = left + across * side + 0.12, grid.figure.get_size_inches()[1] - top - bar
    axes = place(grid.figure, *at, 0.1, bar)
    colour_bar(axes, 100 * most)
    axes.set_title("points", size=6.5, weight="normal", loc="left", pad=4)
    head(grid.figure, table, "Which bands where",
         "points of balanced accuracy per window lost when one channel's band is permuted among a "
         f"subject's test windows;\nmean over {span([s.subjects for s in maps])} subjects and "
         f"{span([s.seeds for s in maps])} seed(s){more_left_out(table, maps)}. "
         "Neighbours stand in for each other, so single losses are small")
    return grid.figure


def _draw(axes: Axes, one: Scalp, band_number: int, most: float) -> None:
    """One head, drawn by MNE."""
    import logging

    import mne

    logging.getLogger("mne").setLevel(logging.ERROR)
    at = _flat(one.channels)
    mne.viz.plot_topomap(
        one.importance[:, band_number], at, axes=axes, show=False, cmap=colours(),
        vlim=(0.0, most), contours=0, sensors="k.", outlines="head", extrapolate="head",
        sphere=(0.0, 0.0, 0.0, 1.0), res=96,
    )
    for line in [*axes.lines, *axes.collections]:
        line.set(linewidth=0.7)
    for dots in axes.lines:
        if dots.get_marker() == ".":
            dots.set(markersize=0.8, alpha=0.6)


def _flat(channels: Sequence[str]) -> NDArray[np.float64]:
    """Positions (n, 2) seen from above: distance from the vertex along the head, ears at 1."""
    import numpy as np

    xyz = np.array(positions(channels), dtype=float)
    angle = np.arccos(np.clip(xyz[:, 2], -1, 1)) / (np.pi / 2)
    across = np.hypot(xyz[:, 0], xyz[:, 1])
    return xyz[:, :2] / np.maximum(across, 1e-9)[:, None] * angle[:, None]
