"""Corpora on one footing: the same channels, the same bands, the same kind of features.

A source may be several corpora. They are joined to one set of windows: subjects and stimuli are
numbered on, so that those of different corpora stay apart, and the classes are all that occur.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from ..errors import IncompatibleError
from ..registry import PLUS
from ..store.hashing import key_of
from .channels import common_channels, positions_of
from .labels import LabelMap, apply_map, shared_classes
from .montage.loss import interpolated, left_out
from .montage.named import COMMON, electrodes
from .montage.spline import VERSION as SPLINE_VERSION
from .montage.spline import interpolation
from .reading import Reading
from .recipe import Recipe
from .windows import Windows

#: How channels are brought together; part of each record.
CHANNEL_POLICY = "common-by-name-1"
#: Subjects and stimuli of the n-th joined corpus are numbered from n times this; what is left
#: over, ``subject % STRIDE``, is the number their own corpus gives them.
STRIDE = 10_000


@dataclass(frozen=True)
class Part:
    """One of several source corpora.

    Attributes
    ----------
    name : str
        ``CORPUS:TASK``.
    corpus : str
        As in ``Windows.corpus``.
    labels : tuple of str
        Its classes.
    subjects : tuple of int
        As the corpus numbers them.
    digest : str
    """

    name: str
    corpus: str
    labels: tuple[str, ...]
    subjects: tuple[int, ...]
    digest: str


@dataclass(frozen=True, eq=False)
class Pair:
    """A source and a target that may be compared number by number.

    Attributes
    ----------
    source, target : Windows
        Same space; classes may differ.
    source_name, target_name : str
        ``CORPUS:TASK``; of several sources, joined by "+".
    digests : (str, str)
        What each side was made of.
    notices : tuple of str
    recipes : tuple of (Recipe or None)
        Recipes of simulated sides.
    parts : tuple of Part
        The corpora of the source where there are several, else empty.
    thresholds : mapping of str to float
        Of each rated corpus: ratings above it are high.
    montage : str
        "common", or what the signals of all sides were interpolated to.
    """

    source: Windows
    target: Windows
    source_name: str
    target_name: str
    digests: tuple[str, str]
    notices: tuple[str, ...] = ()
    recipes: tuple[Recipe | None, Recipe | None] = (None, None)
    parts: tuple[Part, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    montage: str = COMMON

    @property
    def channel_policy(self) -> dict[str, str]:
        """How channels were brought together, as a record's identity says it."""
        if self.montage == COMMON:
            return {"channel_policy": CHANNEL_POLICY}
        return {"channel_policy": SPLINE_VERSION, "montage": self.montage}


def align(
    source: Reading | Sequence[Reading], target: Reading, montage: str = COMMON
) -> Pair:
    """Bring corpora to their common channels, in the (first) source's order.

    Parameters
    ----------
    source, target : Reading
    montage : str
        What they were interpolated to when they were read; the common channels are then all of it.

    Raises
    ------
    IncompatibleError
        The sides differ in kind of features, window length, smoothing, bands or rate: says in
        what, and what to do.
    """
    sources = [source] if isinstance(source, Reading) else list(source)
    for reading in sources:
        _check_alike(reading, target)
    spaces = [r.windows.space.channels for r in (*sources, target)]
    shared = reduce(common_channels, spaces)
    recipes = [r.recipe for r in sources if r.recipe is not None]
    lost = [left_out(str(r.name), r.windows.space.channels, shared) for r in (*sources, target)]
    return Pair(
        source=joined([on_channels(r.windows, shared) for r in sources]),
        target=on_channels(target.windows, shared),
        source_name=PLUS.join(str(r.name) for r in sources), target_name=str(target.name),
        digests=(sources[0].digest if len(sources) == 1
                 else key_of("sources", [r.digest for r in sources]), target.digest),
        notices=tuple(dict.fromkeys(
            [*(n for r in (*sources, target) for n in r.notices), *filter(None, lost)]
        )),
        recipes=(recipes[0] if recipes else None, target.recipe),
        parts=tuple(_part(r) for r in sources) if len(sources) > 1 else (),
        thresholds={
            r.name.corpus: r.threshold for r in (*sources, target) if r.threshold is not None
        },
        montage=montage,
    )


def _check_alike(source: Reading, target: Reading) -> None:
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
            raise IncompatibleError(
                f"{source.name} and {target.name} differ in {what}: {left} against {right}",
                _remedy(a.source, b.source),
            )


def _remedy(*origins: str) -> str:
    """How to bring two sides to the same features."""
    if "own" in origins:
        return ("bench.from_signals computes from your own signals what --features bench does for "
                "a corpus.")
    return ("Use --features bench, which computes the same unsmoothed features for both"
            + ("." if "bench" in origins else ", or --features official-4s."))


def _part(reading: Reading) -> Part:
    windows = reading.windows
    return Part(
        str(reading.name), str(windows.corpus[0]), windows.labels,
        tuple(np.unique(windows.subject).tolist()), reading.digest,
    )


def joined(sources: Sequence[Windows]) -> Windows:
    """Corpora of one space as one set of windows, in the classes that occur in any.

    Subjects and stimuli are numbered on by :data:`STRIDE`: equal numbers of two corpora are not
    the same person, nor the same film. One corpus alone stays as it is.
    """
    if len(sources) == 1:
        return sources[0]
    labels = tuple(dict.fromkeys(c for w in sources for c in w.labels))
    parts = []
    for n, windows in enumerate(sources):
        if max(windows.subject.max(), windows.stimulus.max()) >= STRIDE:
            raise IncompatibleError(
                f"{windows.corpus[0]} numbers subjects or stimuli beyond {STRIDE - 1}, so that it "
                "cannot be joined with another source"
            )
        place = np.array([labels.index(c) for c in windows.labels])
        parts.append(replace(
            windows, y=place[windows.y], labels=labels, space=sources[0].space,
            subject=windows.subject + n * STRIDE, stimulus=windows.stimulus + n * STRIDE,
        ))
    return Windows.concatenate(parts)


def same_classes(pair: Pair) -> bool:
    """Whether all sides have the very same classes, in any order."""
    return len({frozenset(labels) for labels in (*_spaces(pair), pair.target.labels)}) == 1


def in_shared_classes(pair: Pair) -> tuple[Pair, LabelMap]:
    """Both sides in the classes they share, and the map that led there.

    Windows of classes that the map drops are left out on either side. Of several sources, each
    has all the shared classes.

    Raises
    ------
    IncompatibleError
        No map relates the label spaces.
    """
    label_map, classes = shared_classes(*_spaces(pair), pair.target.labels)
    return replace(
        pair, source=apply_map(pair.source, label_map, classes),
        target=apply_map(pair.target, label_map, classes),
    ), label_map


def dropped_classes(before: Pair, after: Pair, label_map: LabelMap) -> list[str]:
    """What a map leaves out of each side, in words: classes, and how many windows."""
    words = []
    for name, old, new in (
        (before.source_name, before.source, after.source),
        (before.target_name, before.target, after.target),
    ):
        lost = [c for c in old.labels if label_map.to.get(c) not in new.labels]
        if lost:
            words.append(f"{name}: {', '.join(lost)} left out ({len(old) - len(new):,} of "
                         f"{len(old):,} windows) by map {label_map.name}, which has the classes "
                         f"{', '.join(new.labels)}")
    return words


def with_agreed_source(pair: Pair) -> tuple[Pair, LabelMap]:
    """Several sources in the classes they share among themselves; the target keeps its own.

    Raises
    ------
    IncompatibleError
        No map relates the label spaces of the sources.
    """
    label_map, classes = shared_classes(*_spaces(pair))
    return replace(pair, source=apply_map(pair.source, label_map, classes)), label_map


def _spaces(pair: Pair) -> list[tuple[str, ...]]:
    return [part.labels for part in pair.parts] or [pair.source.labels]


def on_channels(windows: Windows, channels: tuple[str, ...]) -> Windows:
    """Windows reduced and reordered to ``channels``, matched by name."""
    index = positions_of(channels, windows.space.channels)
    space = replace(windows.space, channels=channels)
    return windows.with_x(np.ascontiguousarray(windows.x[:, index]), space)


def on_montage(reading: Reading, montage: str) -> Reading:
    """One's own windows on a montage, as a corpus is read; unchanged if it is "common".

    Raises
    ------
    IncompatibleError
        Electrodes of the montage are missing, and the windows are no signals.
    """
    if montage == COMMON:
        return reading
    windows, wanted = reading.windows, electrodes(montage)
    cut = interpolation(windows.space.channels, wanted)
    if cut.made and windows.space.kind != "raw":
        raise IncompatibleError(
            f"{reading.name} has not measured {', '.join(cut.made[:5])} of montage {montage}, and "
            "differential entropy cannot be interpolated: it is a logarithm of power",
            f"Interpolate the signals: bench.from_signals(..., montage={montage!r}).",
        )
    x = np.ascontiguousarray(cut.matrix @ windows.x, np.float32)
    words = interpolated(str(reading.name), montage, cut)
    return replace(
        reading, windows=windows.with_x(x, replace(windows.space, channels=wanted)),
        notices=(*reading.notices, *filter(None, [words])),
    )
