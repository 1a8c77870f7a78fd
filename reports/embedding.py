"""Where an encoder puts windows: a map coloured by corpus, by subject and by emotion.

The map (UMAP where it is installed, else t-SNE) is for the eye: distances between its islands mean
little. The number over each panel is taken in the embedding itself, before it is flattened: how
many of a window's nearest neighbours share its corpus, subject or emotion. Windows of the same
trial are no neighbours here, since they are alike whatever the encoder does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.reporting import ReportOptions
from bench.store.records import Store

from .shared.cells import Column
from .shared.diagnosed import Diagnosed, arrays, drawable_diagnostics, first_made, more_left_out
from .shared.pictures import Grid, head, save_all, text_at
from .shared.style import BLUE, GREY, INK, LINES, MUTED, ORANGE, PALE, TWO_COLUMNS, two_rows
from .shared.table import Table
from .shared.text import clean

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Methods and pairs in one figure, and windows on a map: each map takes seconds.
MOST, POINTS = 4, 1000
#: Neighbours that are asked what they are.
NEIGHBOURS = 15
_NAMES = ("embedding", "target", "subject", "trial", "y", "source_classes", "target_classes",
          "fold")


@dataclass(frozen=True, eq=False)
class Embedding:
    """A map, as data.

    Attributes
    ----------
    label : str
        Row of the leaderboard.
    column : Column
    seed : int
    fold : str
        Subject whose calibrated encoder it is; empty if all folds share it.
    xy : (n, 2) array
        The map.
    target : (n,) array of bool
    groups : dict
        "corpus", "subject", "emotion" to the name of each point's group, (n,) str.
    alike : dict
        The same keys to (share of neighbours of the same group, share expected of a mixed crowd).
    """

    label: str
    column: Column
    seed: int
    fold: str
    xy: NDArray[np.float64]
    target: NDArray[np.bool_]
    groups: dict[str, NDArray[Any]]
    alike: dict[str, tuple[float, float]]


def embeddings(table: Table) -> list[Embedding]:
    """Maps of the first methods and pairs that have an embedding."""
    return first_made(table, _embedding, MOST)


def _embedding(one: Diagnosed) -> Embedding | None:
    import numpy as np

    cell = one.cells[0]
    stored = arrays(cell, *_NAMES)
    if stored is None:
        return None
    x = stored["embedding"]
    n = len(x)
    if x.ndim != 2 or n < 2 * NEIGHBOURS or not np.isfinite(x).all() or any(
        stored[k].shape != (n,) for k in _NAMES[1:5]
    ):
        return None
    if n > POINTS:
        keep = np.sort(np.random.default_rng(0).choice(n, POINTS, replace=False))
        stored |= {k: stored[k][keep] for k in _NAMES[:5]}
    target = stored["target"].astype(bool)
    groups = _groups(one.column, stored, target)
    trial = np.array([f"{t} {s} {k}" for t, s, k in zip(
        target, stored["subject"], stored["trial"], strict=True)])
    return Embedding(
        one.row.label, one.column, cell.seed, clean(stored["fold"], 20),
        flattened(stored["embedding"]), target, groups,
        alike(stored["embedding"], groups, trial),
    )


def _groups(
    column: Column, stored: dict[str, Any], target: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    import numpy as np

    corpora = np.where(target, _corpus(column.target_corpus), _corpus(column.source_corpus))
    subjects = np.array([
        f"{c} {s}" for c, s in zip(corpora, stored["subject"], strict=True)
    ])
    classes = [[clean(v, 14) for v in stored[f"{side}_classes"]] for side in ("source", "target")]
    emotions = np.array([
        classes[int(t)][y] if 0 <= y < len(classes[int(t)]) else "not labelled"
        for t, y in zip(target, stored["y"].astype(int), strict=True)
    ])
    return {"corpus": corpora, "subject": subjects, "emotion": emotions}


def _corpus(name: str) -> str:
    return clean(name, 12) or "?"


def flattened(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Map (n, 2) of an embedding (n, d): UMAP where it is installed, else t-SNE; reproducible."""
    import warnings

    import numpy as np
    from threadpoolctl import threadpool_limits

    # On another number of threads sums run in another order, and the map turns out another.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method() == "UMAP":
            from umap import UMAP

            return np.asarray(UMAP(random_state=0).fit_transform(x), dtype=float)
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(x) - 1) / 3)
        return np.asarray(TSNE(perplexity=perplexity, random_state=0).fit_transform(x), dtype=float)


def method() -> str:
    """Which map is drawn."""
    import importlib.util

    return "UMAP" if importlib.util.find_spec("umap") else "t-SNE"


def alike(
    x: NDArray[np.float32], groups: dict[str, NDArray[Any]], trial: NDArray[Any]
) -> dict[str, tuple[float, float]]:
    """Share of nearest neighbours, of other trials, in a point's group, and what chance gives.

    Chance is the share of the group among all the points of other trials: what neighbours would
    be in a crowd that is mixed evenly.
    """
    import numpy as np
    from scipy.spatial.distance import cdist

    other = trial[:, None] != trial[None, :]
    usable = other.sum(axis=1) >= NEIGHBOURS
    if not usable.any():
        return {}
    distance = np.where(other, cdist(x, x), np.inf)[usable]
    nearest = np.argpartition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    shares = {}
    for name, group in groups.items():
        same = group[nearest] == group[usable][:, None]
        crowd = ((group[None, :] == group[:, None]) & other).sum(axis=1) / other.sum(axis=1)
        shares[name] = (float(same.mean()), float(crowd[usable].mean()))
    return shares


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``embedding.png``, ``.pdf`` and ``.svg``: a row a method, three colourings of its map.

    Raises
    ------
    BenchError
        No record has an embedding.
    """
    shown = drawable_diagnostics(store, options, embeddings, "embedding", "an embedding")
    return save_all(shown, draw, out / "embedding", "Embedding of windows", options, rows=_rows)


def _rows(_: Table, maps: Sequence[Embedding]) -> Iterator[dict[str, Any]]:
    for one in maps:
        for i, (x, y) in enumerate(one.xy.tolist()):
            yield {"method": one.label, "pair": one.column.pair, "fold": one.fold, "x": x, "y": y,
                   "side": "target" if one.target[i] else "source",
                   **{name: str(group[i]) for name, group in one.groups.items()}}


def draw(table: Table, maps: Sequence[Embedding]) -> Figure:
    """Figure of a table."""
    below = 0.62
    grid = Grid.make(TWO_COLUMNS, (len(maps), 3), (0.78, 0.1, 0.78, below), (0.16, below))
    labels = table.short_labels()
    for i, one in enumerate(maps):
        for j, name in enumerate(("corpus", "subject", "emotion")):
            _draw(grid[i, j], one, name)
        top = grid.corner(i, 0)[1] + grid.high
        text_at(grid.figure, top - 0.1, two_rows(one.label), weight="bold", size=7, va="top")
        text_at(grid.figure, top - 0.34, labels[one.column].replace("→", "\n→ "), size=6,
                va="top", color=MUTED)
    folds = sorted({e.fold for e in maps if e.fold})
    whose = f", encoder calibrated for target {folds[0]}" if len(folds) == 1 else ""
    head(grid.figure, table, "What the encoder keeps",
         f"{method()} of source windows (dots) and target test windows (triangles){whose}; seed "
         f"{maps[0].seed}{more_left_out(table, maps)}\nover each panel: share of the "
         f"{NEIGHBOURS} nearest neighbours (in the embedding, other trials) that are alike, and "
         "what chance gives")
    return grid.figure


def _draw(axes: Axes, one: Embedding, name: str) -> None:
    import numpy as np

    group = one.groups[name]
    colours = _colours(one, name)
    order = np.random.default_rng(0).permutation(len(group))  # no group lies on top of another
    face = np.array([colours[g] for g in group])
    for is_target, marker, size in ((False, "o", 4.5), (True, "^", 7)):
        at = order[one.target[order] == is_target]
        axes.scatter(one.xy[at, 0], one.xy[at, 1], s=size, c=face[at], marker=marker,
                     linewidths=0, alpha=0.75, rasterized=True)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(PALE)
    share = one.alike.get(name)
    number = "" if share is None else f"{100 * share[0]:.0f} % alike (chance {100 * share[1]:.0f})"
    axes.set_title(name, loc="left", size=7.5, pad=3)
    axes.set_title(number, loc="right", size=6.2, weight="normal", color=MUTED, pad=3)
    _legend(axes, one, name, colours)


def _colours(one: Embedding, name: str) -> dict[str, Any]:
    """Colour of each group: the target's subject stands out from the many of the source."""
    import numpy as np
    from matplotlib import colormaps

    group = one.groups[name]
    names = list(dict.fromkeys([*group[~one.target], *group[one.target]]))
    if name == "corpus":
        return dict(zip(names, (BLUE, ORANGE), strict=False))
    if name == "emotion":
        return {n: GREY if n == "not labelled" else LINES[i % len(LINES)]
                for i, n in enumerate(sorted(names))}
    own = set(group[one.target])
    sources = [n for n in names if n not in own]
    ramp = colormaps["viridis"](np.linspace(0.05, 0.95, max(1, len(sources))))
    ends = colormaps["autumn"](np.linspace(0.0, 0.7, max(1, len(own))))
    by_group = {n: tuple(c) for n, c in zip(sources, ramp, strict=False)}
    return by_group | {n: tuple(c) for n, c in zip(sorted(own), ends, strict=False)}


def _legend(axes: Axes, one: Embedding, name: str, colours: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    of_target = set(one.groups[name][one.target])
    only_target = of_target - set(one.groups[name][~one.target])
    names = list(colours)
    if name == "subject" and len(names) > 8:
        some = [names[0], names[len(names) // 3], names[2 * len(names) // 3]]
        names = list(dict.fromkeys([*some, *sorted(of_target)[:2]]))
    handles = [
        Line2D([], [], linestyle="", marker="^" if n in only_target else "o", markersize=3,
               color=colours[n])
        for n in names
    ]
    more = len(colours) - len(names)
    texts = [clean(n, 16) for n in names]
    if more:
        handles.append(Line2D([], [], linestyle="", color="none"))
        texts.append(f"+{more} subjects")
    axes.legend(handles, texts, loc="upper left", bbox_to_anchor=(-0.02, -0.01), ncols=3,
                frameon=False, fontsize=5.8, handletextpad=0.1, columnspacing=0.7,
                labelspacing=0.25, borderaxespad=0.2, labelcolor=INK)
