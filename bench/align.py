"""Two corpora on one footing: the same channels, the same bands, the same kind of features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .data import Reading
from .errors import UnsuitedError
from .labels import LabelMap, apply_map, shared_classes
from .montage import common_channels, positions_of
from .recipe import Recipe
from .windows import Windows

#: How channels are brought together; part of each record.
CHANNEL_POLICY = "common-by-name-1"


@dataclass(frozen=True, eq=False)
class Pair:
    """A source and a target that may be compared number by number.

    Attributes
    ----------
    source, target : Windows
        Same space; classes may differ.
    source_name, target_name : str
        ``CORPUS:TASK``.
    digests : (str, str)
        What each side was made of.
    notices : tuple of str
    recipes : tuple of (Recipe or None)
        Recipes of simulated sides.
    """

    source: Windows
    target: Windows
    source_name: str
    target_name: str
    digests: tuple[str, str]
    notices: tuple[str, ...] = ()
    recipes: tuple[Recipe | None, Recipe | None] = (None, None)


def align(source: Reading, target: Reading) -> Pair:
    """Bring two corpora to their common channels, in the source's order.

    Raises
    ------
    UnsuitedError
        The sides differ in kind of features, window length, smoothing, bands or rate: says in
        what, and what to do.
    """
    a, b = source.windows.space, target.windows.space
    for what, left, right in (
        ("kind of features", a.kind, b.kind),
        ("origin of features", a.source, b.source),
        ("window length", f"{a.window_s:g} s", f"{b.window_s:g} s"),
        ("smoothing", a.smoothing, b.smoothing),
        ("frequency bands", a.bands, b.bands),
        ("sampling rate", a.rate, b.rate),
    ):
        if left != right:
            owners = a.source != "bench" and b.source != "bench"
            raise UnsuitedError(
                f"{source.name} and {target.name} differ in {what}: {left} against {right}",
                "Use --features bench, which computes the same unsmoothed features for both"
                + (", or --features official-4s." if owners else "."),
            )
    shared = common_channels(a.channels, b.channels)
    return Pair(
        source=on_channels(source.windows, shared),
        target=on_channels(target.windows, shared),
        source_name=str(source.name), target_name=str(target.name),
        digests=(source.digest, target.digest),
        notices=tuple(dict.fromkeys(source.notices + target.notices)),
        recipes=(source.recipe, target.recipe),
    )


def in_shared_classes(pair: Pair) -> tuple[Pair, LabelMap]:
    """Both sides in the classes they share, and the map that led there.

    Windows of classes that the map drops are left out on either side.

    Raises
    ------
    UnsuitedError
        No map relates the two label spaces.
    """
    label_map, classes = shared_classes(pair.source.labels, pair.target.labels)
    return replace(
        pair, source=apply_map(pair.source, label_map, classes),
        target=apply_map(pair.target, label_map, classes),
    ), label_map


def on_channels(windows: Windows, channels: tuple[str, ...]) -> Windows:
    """Windows reduced and reordered to ``channels``, matched by name."""
    index = positions_of(channels, windows.space.channels)
    space = replace(windows.space, channels=channels)
    return windows.with_x(np.ascontiguousarray(windows.x[:, index]), space)
