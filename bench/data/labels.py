"""Label spaces, tasks, and the named, versioned maps between label spaces.

A *task* is part of a corpus's name: ``DEAP:arousal``, ``SEED-IV:3``. It turns what the owner
stores for a trial (a stimulus class, a self-rating) into a class of a label space, or drops the
trial. No owner gives a map between corpora, so every map here has a name and a version and is
written into each record.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import IncompatibleError, LabelValueError, SettingError
from .windows import Windows


@dataclass(frozen=True)
class LabelRule:
    """How self-ratings become classes.

    Attributes
    ----------
    threshold : float or None
        Ratings above it are high, others low. None: the task's own, see :class:`Task`.
    drop_middle : (float, float) or None
        Trials rated inside this closed band are dropped.
    own : tuple of (str, float)
        Thresholds of single corpora, which go before ``threshold``.
    """

    threshold: float | None = None
    drop_middle: tuple[float, float] | None = None
    own: tuple[tuple[str, float], ...] = ()

    def of(self, corpus: str, task: Task) -> LabelRule:
        """The rule as it is for one task of a corpus: with one threshold, on the task's scale.

        Raises
        ------
        SettingError
            Threshold or band is off the scale that the corpus was rated on.
        """
        own = {name.lower(): value for name, value in self.own}
        if not task.rated:
            if corpus.lower() in own:
                raise SettingError(f"{corpus}:{task.name} is not rated, so no threshold cuts it")
            return self
        threshold = own.get(corpus.lower(), self.threshold)
        if threshold is None:
            threshold = task.threshold
        (bottom, top), name = task.scale, f"{corpus}:{task.name}"
        hint = f"For one corpus alone: --threshold {corpus}={task.threshold:g}"
        if not bottom <= threshold <= top:
            raise SettingError(f"rating threshold {threshold:g} is outside the scale {bottom:g} to "
                               f"{top:g} of {name}", hint)
        if self.drop_middle is not None:
            low, high = self.drop_middle
            if not bottom <= low <= high <= top:
                raise SettingError(f"middle band {low:g}:{high:g} is not an interval inside the "
                                   f"scale {bottom:g} to {top:g} of {name}")
        return LabelRule(threshold, self.drop_middle)


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
    scale : (float, float)
        Of a rating: its lowest and highest value.
    threshold : float
        Of a rating: what is above it is high, where the user sets none.
    optional : bool
        Whether a trial may be without the value, and is then left out.
    """

    name: str
    classes: tuple[str, ...]
    key: str
    codes: Mapping[float, str] = field(default_factory=dict)
    dropped: frozenset[float] = frozenset()
    version: int = 1
    doc: str = ""
    scale: tuple[float, float] = (1.0, 9.0)
    threshold: float = 5.0
    optional: bool = False

    @property
    def rated(self) -> bool:
        """Whether a rating decides, and not the class of the stimulus."""
        return not self.codes

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
        if self.optional and np.isnan(value):
            return None
        if self.codes:
            if value in self.dropped:
                return None
            if value not in self.codes:
                known = ", ".join(f"{v:g}" for v in sorted({*self.codes, *self.dropped}))
                raise LabelValueError(f"a label among {known}", f"{value:g}")
            return self.classes.index(self.codes[value])
        low, high = self.scale
        if not (np.isfinite(value) and low <= value <= high):
            raise LabelValueError(f"a {self.key} rating from {low:g} to {high:g}", f"{value:g}")
        if rule.drop_middle and rule.drop_middle[0] <= value <= rule.drop_middle[1]:
            return None
        return int(value > (self.threshold if rule.threshold is None else rule.threshold))


@dataclass(frozen=True)
class LabelMap:
    """Named map from the classes of one label space to those of a shared one.

    Classes not in ``to`` are dropped. Where ``common`` is set, so are those that not every label
    space reaches; else the spaces must all reach the same.
    """

    name: str
    version: int
    to: Mapping[str, str]
    common: bool = False

    def kept(self, *spaces: tuple[str, ...]) -> tuple[str, ...]:
        """Classes that all label spaces have under this map, in its order; none if there is one."""
        reached = [{self.to[c] for c in space if c in self.to} for space in spaces]
        both = set.intersection(*reached)
        if len(both) < 2 or not (self.common or all(r == both for r in reached)):
            return ()
        return tuple(c for c in dict.fromkeys(self.to.values()) if c in both)


_NEGATIVE = ("negative", "anger", "disgust", "fear", "sad", "sadness")
_POSITIVE = ("positive", "happy", "joy", "amusement", "inspiration", "tenderness")
_EMOTIONS = ("anger", "disgust", "fear", "sad", "neutral", "surprise", "happy", "amusement",
             "inspiration", "tenderness")


@dataclass(frozen=True)
class OwnMap:
    """Names that a user gives classes, on both sides: ``rest=relax,task=arithmetic``.

    A class is called what the map says; one that is already called by a new name keeps it; all
    others are dropped. The order of the new names is that of the classes.

    Attributes
    ----------
    pairs : tuple of (corpus, class, name)
        The corpus is empty where all are meant.
    """

    pairs: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, items: Sequence[str]) -> OwnMap:
        """Map from texts ``CLASS=NAME``, or ``CORPUS:CLASS=NAME`` for one corpus alone.

        Raises
        ------
        SettingError
            A text of another form, or a class that is given two names.
        """
        pairs: list[tuple[str, str, str]] = []
        for item in items:
            left, equals, name = (part.strip() for part in item.partition("="))
            corpus, colon, old = (part.strip() for part in left.rpartition(":"))
            if not equals or not old or not name or (colon and not corpus) or "=" in name:
                raise SettingError(
                    f"--map {item!r} is not of the form CLASS=NAME",
                    "For example rest=relax,task=arithmetic, or EEGMAT:rest=relax for one corpus.")
            if any((corpus.lower(), old) == (c.lower(), o) and name != n for c, o, n in pairs):
                raise SettingError(f"--map gives {left!r} two names")
            pairs.append((corpus, old, name))
        if pairs and len({n for *_, n in pairs}) < 2:
            raise SettingError(f"--map leaves one class, {pairs[0][2]!r}",
                               "A class that keeps its name is named, too: rest=rest,task=work")
        return cls(tuple(pairs))

    @property
    def names(self) -> tuple[str, ...]:
        """New names, in order."""
        return tuple(dict.fromkeys(name for *_, name in self.pairs))

    def of(self, corpus: str, classes: Sequence[str]) -> dict[str, str]:
        """New name of each class of a corpus that keeps one."""
        meant = {old: name for c, old, name in self.pairs if not c}
        meant |= {old: name for c, old, name in self.pairs if c.lower() == corpus.lower()}
        return {c: meant.get(c, c) for c in classes if c in meant or c in self.names}

    def strange(self, sides: Mapping[str, Sequence[str]]) -> list[str]:
        """What of the map names no class of any side.

        Parameters
        ----------
        sides : mapping of corpus to classes
        """
        return [f"{c}:{old}" if c else old for c, old, _ in self.pairs if not any(
            old in classes for corpus, classes in sides.items()
            if not c or c.lower() == corpus.lower())]

    def apply(self, windows: Windows, name: str) -> Windows:
        """Windows in the new classes; those of dropped classes are left out.

        Raises
        ------
        IncompatibleError
            Fewer than two classes are left.
        """
        to = self.of(name.partition(":")[0], windows.labels)
        classes = tuple(n for n in self.names if n in to.values())
        if len(classes) < 2:
            kept = f"only {classes[0]!r} is" if classes else "none is"
            raise IncompatibleError(
                f"of the classes of {name} ({', '.join(windows.labels)}) {kept} left under --map "
                + ",".join(f"{c}:{o}={n}" if c else f"{o}={n}" for c, o, n in self.pairs),
                "Name two of its classes at least: " + mapping_for(windows.labels, self.names))
        return apply_map(windows, LabelMap("own", 1, to), classes)


def mapping_for(classes: Sequence[str], names: Sequence[str]) -> str:
    """The flag that would call classes by other names: the most alike, else one after the other.

    Examples
    --------
    >>> mapping_for(["Task", "Relax"], ["relax", "arithmetic"])
    "--map 'Task=arithmetic,Relax=relax'"
    """
    left, chosen = list(names), {}
    for name in classes:
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in left], 1, 0.6)
        if near:
            chosen[name] = left.pop([n.lower() for n in left].index(near[0]))
    for name in classes:
        if name not in chosen and left:
            chosen[name] = left.pop(0)
    return f"--map '{','.join(f'{c}={chosen[c]}' for c in classes if c in chosen)}'"


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
    # Emotions by name, as far as both corpora have them; the rest is dropped.
    LabelMap("emotions", 1, {**{e: e for e in _EMOTIONS}, "sadness": "sad", "joy": "happy"}, True),
    # Every emotion by its sign; surprise has none and is dropped.
    LabelMap("polarity-3-broad", 1, {
        **dict.fromkeys(_NEGATIVE, "negative"), "neutral": "neutral",
        **dict.fromkeys(_POSITIVE, "positive"),
    }),
    LabelMap("polarity-2-broad", 1, {
        **dict.fromkeys((*_NEGATIVE, "low valence"), "negative"),
        **dict.fromkeys((*_POSITIVE, "high valence"), "positive"),
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
    candidates = [(m, kept) for m in MAPS[1:] if (kept := m.kept(*spaces))]
    if not candidates:
        raise IncompatibleError(
            f"no label map relates the classes {' and '.join(', '.join(s) for s in spaces)}",
            "Say which are the same, for instance: " + mapping_for(spaces[0], spaces[-1]) + "\n"
            "Or choose tasks that have the same classes, or a protocol and a method that leave the "
            "target its own (few-shot, --classes own).",
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
