"""Tested stimuli kept out of training: a film that a method has learnt from tells no emotion.

Subjects and sessions of a corpus, and sometimes two corpora, share their stimuli. A method may then
know a film instead of an emotion. With ``--hold-out stimulus`` the stimuli of the target are put
into five groups, and each group is tested after a training without its stimuli, whoever was shown
them. That costs windows: those of a fifth of what is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.pair import STRIDE, Pair
from ..data.windows import UnlabelledWindows, Windows
from ..errors import IncompatibleError
from .base import Fold, Folds, LeftOut, View

#: Of stimuli, ``set/number``.
Names = NDArray[np.str_]
#: Groups of stimuli, each tested after a training of its own.
GROUPS = 5
#: The shortcut of an audit that lets the tested stimuli be trained on, and others in their place be
#: left out.
TESTED_STIMULI = "tested-stimuli"
#: How the notice begins that says what holding out costs.
HELD_OUT = "tested stimuli are held out of training"
#: How the notice of a protocol ends that is void where stimuli are held out.
SEEN_BEFORE = "so that a method may know a film instead of an emotion"


def without_tested_stimuli(cut: Folds, pair: Pair, *, others: bool = False) -> Folds:
    """Folds in parts, by groups of stimuli: no view holds a stimulus that its part is tested on.

    Parameters
    ----------
    cut : Folds
        Of a protocol, not scaled yet. Folds that share a source share what is left of it.
    pair : Pair
        What they were cut from.
    others : bool
        Leave the stimuli of the next group out of training in place of the tested ones: as many
        windows, and the tested stimuli are known. What that adds is what they are worth.

    Raises
    ------
    IncompatibleError
        No tested stimulus is trained on.
    """
    groups, known = groups_of(pair.target), _Known(pair)
    folds: list[Fold] = []
    left_out = list(cut.left_out)
    for fold in cut.folds:
        parts, reason = _parts(fold, groups, known, others)
        folds += parts
        if reason:
            left_out.append(LeftOut(fold.subject, fold.session, reason))
    if not known.lost:
        raise IncompatibleError(
            f"holding stimuli out changes nothing on {pair.source_name}→{pair.target_name}: no "
            "stimulus that is tested is trained on", _ADVICE,
        )
    notices = [n for n in cut.notices if not n.endswith(SEEN_BEFORE)]
    return Folds(folds, left_out, [*notices, known.said(len(groups))])


def _parts(
    fold: Fold, groups: Sequence[Names], known: _Known, others: bool
) -> tuple[list[Fold], str]:
    """Parts of a fold, or why there are none: a part that cannot be trained leaves none."""
    test = fold.open_test()
    shown, parts = known.of(test), []
    for number, group in enumerate(groups):
        tested = np.isin(shown, group)
        if not tested.any():
            continue
        where = (number + 1) % len(groups) if others else number
        view = known.view(fold.view, where, groups[where], shown)
        if lacking := _lacking(fold.view, view):
            return [], f"without the stimuli of a group, {lacking}"
        parts.append(
            Fold(fold.subject, fold.session, view, test.take(tested), number + 1))
    return parts, ""


def _lacking(before: View, after: View) -> str:
    """What is gone of a view that cannot be trained without it."""
    for name in ("source", "calibration", "unlabelled"):
        had, has = getattr(before, name), getattr(after, name)
        if had is not None and not len(has):
            return f"there is no {name} window left"
        if isinstance(had, Windows) and len(np.unique(has.y)) < len(np.unique(had.y)):
            return f"a class is missing from the {name} windows"
    return ""


_ADVICE = (
    "Leave --hold-out out. It matters under --protocol within (the other subjects, or the "
    "subject's other sessions, were shown the same films), and where two corpora showed the same "
    "films and say so by the name of the set: from_arrays(..., stimulus_set=NAME), or stimulus_set "
    "of a corpus's adapter."
)


def groups_of(target: Windows, count: int = GROUPS) -> list[Names]:
    """Names of the target's stimuli in groups, each of as equal classes and number as can be.

    A stimulus counts as of the class that most of its windows are of. Nothing is drawn: the groups
    are the same for every seed and method.

    Examples
    --------
    >>> from bench.data.windows import Windows
    >>> films = np.repeat(np.arange(10), 2)
    >>> w = Windows.from_arrays(np.zeros((20, 1, 5)), films % 2, subject=1, trial=films,
    ...     channels=["FZ"], labels=["a", "b"], corpus="LAB")
    >>> [group.tolist() for group in groups_of(w)][:2]
    [['LAB/0', 'LAB/1'], ['LAB/2', 'LAB/3']]
    """
    names, first, which = np.unique(
        names_of(target), return_index=True, return_inverse=True)
    counts = np.zeros((len(names), max(1, target.n_classes)), np.int64)
    np.add.at(counts, (which.ravel(), target.y), 1)
    order = np.lexsort((target.stimulus[first], counts.argmax(axis=1)))
    return [names[order[n::count]] for n in range(min(count, len(names)))]


def names_of(windows: Windows, joined: bool = False) -> Names:
    """Name of each window's stimulus, ``set/number``: equal ones are the same clip.

    Parameters
    ----------
    joined : bool
        Several corpora are joined, whose stimuli are numbered on.
    """
    sets = dict(windows.stimulus_sets)
    corpora, which = np.unique(windows.corpus, return_inverse=True)
    numbers = windows.stimulus % STRIDE if joined else windows.stimulus
    pairs, place = np.unique(
        np.stack([which.ravel(), numbers]), axis=1, return_inverse=True)
    names = [f"{sets.get(str(corpora[c]), corpora[c])}/{n}" for c, n in pairs.T.tolist()]
    return np.array(names, dtype=np.str_)[place.ravel()]


class _Known:
    """Stimuli of all windows of a pair, and views without some of them."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        #: Windows of each view, and how many of them are left.
        self.sizes: list[tuple[int, int]] = []
        self._sources: dict[int, tuple[Any, Names, dict[int, Any]]] = {}
        self._trials: dict[str, str] = {}

    @property
    def lost(self) -> int:
        """Windows left out of all views together."""
        return sum(before - after for before, after in self.sizes)

    def of(self, windows: Windows | UnlabelledWindows) -> Names:
        """Names of the stimuli of windows; of unlabelled ones, by their trials."""
        if isinstance(windows, Windows):
            of_target = str(windows.corpus[0]) in self.pair.target.corpus[:1]
            return names_of(windows, joined=bool(self.pair.parts) and not of_target)
        if not self._trials:
            for side in (self.pair.source, self.pair.target):
                keys, first = np.unique(side.trial_key(), return_index=True)
                names = self.of(side)[first]
                self._trials |= dict(zip(keys.tolist(), names.tolist(), strict=True))
        keys, which = np.unique(windows.trial_key(), return_inverse=True)
        return np.array([self._trials[k] for k in keys.tolist()], np.str_)[which.ravel()]

    def view(self, view: View, group: int, out: Names, tested: Names) -> View:
        """A view without the stimuli of a group: of the tested subject's own, those tested."""
        had = [view.source, view.calibration, view.unlabelled]
        source, mine = self._source(view.source, group, out), np.intersect1d(out, tested)
        calibration, unlabelled = (
            None if w is None else _without(w, self.of(w), mine) for w in had[1:])
        self.sizes.append(tuple(  # type: ignore[arg-type]
            sum(len(w) for w in parts if w is not None)
            for parts in (had, (source, calibration, unlabelled))
        ))
        return View(source, calibration, unlabelled, view.classes)

    def _source(self, source: Any, group: int, out: Names) -> Any:
        """What is left of a source: one object for all folds and parts that share it."""
        if source is None:
            return None
        if id(source) not in self._sources:  # and it is kept, so that no other takes its number
            self._sources[id(source)] = source, self.of(source), {}
        _, names, left = self._sources[id(source)]
        if group not in left:
            left[group] = _without(source, names, out)
        return left[group]

    def said(self, groups: int) -> str:
        """What holding out costs, in words."""
        before, after = (sum(sizes) / len(sizes) for sizes in zip(*self.sizes, strict=True))
        return (f"{HELD_OUT}, in {groups} groups, each tested after a training of its own: "
                f"{100 * (1 - after / before):.0f} % of the training windows are lost "
                f"({round(after):,} of {round(before):,} are left on average)")


def _without(windows: Any, names: Names, out: Names) -> Any:
    """Windows but those of some stimuli; the same object where there are none."""
    kept = ~np.isin(names, out)
    return windows if kept.all() else windows.take(kept)
