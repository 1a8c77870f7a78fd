"""Label spaces, tasks, and the named, versioned maps between label spaces.

A *task* is part of a corpus's name: ``DEAP:arousal``, ``SEED-IV:3``. It turns what the owner
stores for a trial (a stimulus class, a self-rating) into a class of a label space, or drops the
trial. No owner gives a map between corpora, so every map here has a name and a version and is
written into each record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import IncompatibleError, LabelValueError, SettingError
from .windows import Windows


@dataclass(frozen=True)
class LabelRule:
    """How self-ratings become classes.

    Attributes
    ----------
    threshold : float
        Ratings above it are high, others low (1 to 9 scale).
    drop_middle : (float, float) or None
        Trials rated inside this closed band are dropped.
    """

    threshold: float = 5.0
    drop_middle: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= 9:
            raise SettingError(f"rating threshold {self.threshold:g} is outside the scale 1 to 9")
        if self.drop_middle is not None:
            low, high = self.drop_middle
            if not 1 <= low <= high <= 9:
                raise SettingError(
                    f"middle band {low:g}:{high:g} is not an interval inside the scale 1 to 9"
                )


@dataclass(frozen=True)
class Task:
    """One way to label a corpus.

    Attributes
    ----------
    name : str
        What follows the colon, e.g. ``"valence"``.
    classes : tuple of str
        Class names in order.
    key : str
        Which of a trial's stored values decides.
    codes : mapping of number to class name
        For stimulus classes; a value that is not in it is dropped, if listed in ``dropped``.
    dropped : frozenset of float
        Values of ``key`` that mean "not part of this task".
    version : int
        Raised whenever the meaning changes.
    doc : str
        One sentence.
    """

    name: str
    classes: tuple[str, ...]
    key: str
    codes: Mapping[float, str] = field(default_factory=dict)
    dropped: frozenset[float] = frozenset()
    version: int = 1
    doc: str = ""

    def __hash__(self) -> int:
        return hash((self.name, self.classes, self.version))

    def label(self, values: Mapping[str, float], rule: LabelRule) -> int | None:
        """Class index of a trial, or None if the task drops it.

        Raises
        ------
        KeyError
            If the trial has no value ``key``.
        LabelValueError
            If the value is none that the owner uses.
        """
        value = values[self.key]
        if self.codes:
            if value in self.dropped:
                return None
            if value not in self.codes:
                known = ", ".join(f"{v:g}" for v in sorted({*self.codes, *self.dropped}))
                raise LabelValueError(f"a label among {known}", f"{value:g}")
            return self.classes.index(self.codes[value])
        if not (np.isfinite(value) and 1 <= value <= 9):
            raise LabelValueError(f"a {self.key} rating from 1 to 9", f"{value:g}")
        if rule.drop_middle and rule.drop_middle[0] <= value <= rule.drop_middle[1]:
            return None
        return int(value > rule.threshold)


@dataclass(frozen=True)
class LabelMap:
    """Named map from the classes of one label space to those of a shared one.

    Classes not in ``to`` are dropped.
    """

    name: str
    version: int
    to: Mapping[str, str]


#: Source and target classes meet here when a protocol compares them directly.
MAPS: tuple[LabelMap, ...] = (
    LabelMap("identity", 1, {}),
    LabelMap("polarity-3", 1, {
        "negative": "negative", "neutral": "neutral", "positive": "positive",
        "sad": "negative", "happy": "positive",
    }),
    LabelMap("polarity-2", 1, {
        "negative": "negative", "positive": "positive", "sad": "negative", "happy": "positive",
        "low valence": "negative", "high valence": "positive",
    }),
)


def shared_classes(*spaces: tuple[str, ...]) -> tuple[LabelMap, tuple[str, ...]]:
    """Map that keeps most classes of all label spaces, and the classes it leads to.

    Raises
    ------
    IncompatibleError
        If no map relates them (valence and arousal, say).
    """
    if len({frozenset(space) for space in spaces}) == 1:  # in the order of the last, the target's
        return LabelMap("identity", 1, {c: c for c in spaces[-1]}), spaces[-1]
    candidates = []
    for label_map in MAPS[1:]:
        reached = [{label_map.to[c] for c in space if c in label_map.to} for space in spaces]
        if all(r == reached[0] for r in reached) and len(reached[0]) > 1:
            order = dict.fromkeys(label_map.to.values())
            candidates.append((label_map, tuple(c for c in order if c in reached[0])))
    if not candidates:
        raise IncompatibleError(
            f"no label map relates the classes {' and '.join(', '.join(s) for s in spaces)}",
            "Choose tasks that have the same classes, or a protocol that gives the target its "
            "own (few-shot).",
        )
    return max(candidates, key=lambda known: len(known[1]))


def apply_map(windows: Windows, label_map: LabelMap, classes: tuple[str, ...]) -> Windows:
    """Windows in the classes of the map; windows of dropped classes are left out."""
    if windows.labels == classes and all(label_map.to.get(c) == c for c in classes):
        return windows
    lookup = np.array([
        classes.index(label_map.to[c]) if label_map.to.get(c) in classes else -1
        for c in windows.labels
    ])
    y = lookup[windows.y]
    return replace(windows.take(y >= 0), y=y[y >= 0], labels=classes)
