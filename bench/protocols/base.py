"""Contract of a protocol, and the fold it cuts.

A method is handed a :class:`View`, which has no field for test windows. The test part of a
:class:`Fold` is opened by the engine alone, after the method has returned its predictor.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..data.pair import Pair
from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, IncompatibleError
from .calibration import CalibrationSize

#: How calibration trials are chosen within each class: the first ones, or drawn with the seed.
#: ``strictly-later`` cuts the session at one time, so that nothing tested precedes them.
Draw = Literal["chronological", "strictly-later", "random"]


@dataclass(frozen=True, eq=False)
class View:
    """All that a method may see of a fold.

    Attributes
    ----------
    source : Windows or UnlabelledWindows or None
        As the protocol grants and the method declares to need. Under ``within`` these are the
        other subjects of the target corpus.
    calibration : Windows or None
        Labelled windows of the tested subject.
    unlabelled : UnlabelledWindows or None
        Unlabelled target windows, where the protocol grants them.
    classes : tuple of str
        Classes to tell apart, in the order of the predictor's columns.
    """

    source: Windows | UnlabelledWindows | None
    calibration: Windows | None
    unlabelled: UnlabelledWindows | None
    classes: tuple[str, ...]


class Fold:
    """One target subject and session under one protocol.

    Parameters
    ----------
    subject, session : int
    view : View
    test : Windows or UnlabelledWindows
        Nothing in ``view`` refers to it. Without labels where it is predicted in one process and
        scored in another.
    part : int
        Number, from 1, where the subject and session is tested in several parts, each after a
        training of its own; 0 where it is tested as a whole.
    """

    __slots__ = ("__test", "part", "session", "subject", "view")

    def __init__(
        self, subject: int, session: int, view: View, test: Windows | UnlabelledWindows,
        part: int = 0,
    ) -> None:
        self.subject = subject
        self.session = session
        self.view = view
        self.part = part
        self.__test = test

    @property
    def key(self) -> tuple[int, ...]:
        """Subject and session, and the part where there are several."""
        return (self.subject, self.session, *([self.part] if self.part else []))

    def changed(
        self, view: View | None = None, test: Windows | UnlabelledWindows | None = None
    ) -> Fold:
        """The same fold with another view, or other test windows."""
        return Fold(self.subject, self.session, view or self.view,
                    self.__test if test is None else test, self.part)

    @property
    def tested(self) -> Windows | UnlabelledWindows:
        """Test windows, to be predicted or passed on."""
        return self.__test

    def open_test(self) -> Windows:
        """Test windows with their labels, for scoring.

        Raises
        ------
        BenchError
            This process has no labels of them.
        """
        if not isinstance(self.__test, Windows):
            raise BenchError("the labels of the tested windows are not in this process")
        return self.__test


@dataclass(frozen=True)
class LeftOut:
    """A subject and session that could not be cut, and why."""

    subject: int
    session: int
    reason: str


@dataclass(frozen=True, eq=False)
class Folds:
    """All folds of a pair under a protocol.

    Attributes
    ----------
    folds : list of Fold
    left_out : list of LeftOut
    notices : list of str
    """

    folds: list[Fold] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class Protocol(BaseModel, abc.ABC):
    """How a target is cut into folds, and the contract of a protocol.

    Its pydantic fields are its options, each with a default and a description: they become
    ``--set`` of a protocol, part of a record's identity, and text in ``bench list``.

    **What must be there.** ``name``, ``target_access`` (in words, for captions), ``grants`` (which
    of "source", "calibration", "unlabelled" a view holds) and :meth:`folds`. ``maps_labels = True``
    brings both sides to the classes they share before the cut.

    **What is called, and when.** :meth:`check_pair` when the pair is read, before anything is run;
    :meth:`folds` once a cell. The folds are then scaled by what :attr:`scales_by` says, and their
    views narrowed to what the method needs. :meth:`describe` goes into the record.

    **What a cut must keep.** No trial is on both sides: windows of a trial are alike. A fold is one
    subject and session of the target. The cut is a function of pair, options and ``seed``, and
    knows no method, so that all methods are tested on the same windows. Views hold copies
    (:meth:`~bench.data.windows.Windows.take`), so that none leads to the tested windows. Folds may
    share one source object; the engine then trains on it once. A subject and session that cannot be
    cut goes to ``left_out`` with the reason, never silently.

    Examples
    --------
    Test every subject on the second half of its trials, the first half unlabelled:

    >>> from bench.protocols.base import Protocol, cut_target
    >>> from bench.protocols.calibration import CalibrationSize
    >>> class Halves(Protocol):
    ...     name = "halves"
    ...     target_access = "unlabelled: the first half of the trials"
    ...     grants = frozenset({"source", "unlabelled"})
    ...     maps_labels = True
    ...     def folds(self, pair, seed):
    ...         cuts, out = cut_target(pair.target, seed, CalibrationSize.parse("50%"))
    ...         for cut in cuts:
    ...             seen = cut.earlier.without_labels()
    ...             out.folds.append(cut.fold(pair, unlabelled=seen))
    ...         return out
    >>> from bench.conformance import synthetic_pair
    >>> len(Halves().folds(synthetic_pair(), 0).folds)
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Name on the command line.
    name: ClassVar[str]
    #: What of the target a method sees, for records and captions.
    target_access: ClassVar[str]
    #: Whether source and target are brought to the classes they share before the cut.
    maps_labels: ClassVar[bool] = False
    #: What the protocol grants: any of "source", "calibration", "unlabelled".
    grants: ClassVar[frozenset[str]]

    @abc.abstractmethod
    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut the target; equal for all methods.

        ``seed`` matters only where trials are drawn.
        """

    def check_pair(self, pair: Pair) -> None:
        """Refuse a pair that cannot be cut under these options; nothing has been run.

        Raises
        ------
        IncompatibleError
        """

    def resolved(self, target: Windows) -> Self:
        """The protocol on a target: what its options come to there is decided here."""
        return self

    @property
    def draws(self) -> bool:
        """Whether trials are drawn with the seed."""
        return False

    @property
    def transductive(self) -> bool:
        """Whether a view holds the tested windows themselves, unlabelled."""
        return False

    @property
    def scales_by(self) -> str:
        """Which granted windows of the tested subject it may be scaled by, or "source"."""
        if "calibration" in self.grants:
            return "calibration"
        if "unlabelled" in self.grants:
            return "unlabelled (tested windows)" if self.transductive else "unlabelled"
        return "source"

    def access(self) -> str:
        """What of the target a method sees under these options."""
        return self.target_access

    def describe(self) -> dict[str, Any]:
        """Name, options and target access, for the record."""
        return {
            "name": self.name, "params": self.model_dump(), "target_access": self.access(),
        }


def subject_sessions(windows: Windows) -> Sequence[tuple[int, int]]:
    """(subject, session) pairs that occur, ordered as integers."""
    return sorted(set(zip(windows.subject.tolist(), windows.session.tolist(), strict=True)))


def trial_table(windows: Windows) -> np.ndarray:
    """One row (trial, class, order) per trial of one subject and session, by trial number."""
    _, first = np.unique(windows.trial, return_index=True)
    return np.stack([windows.trial[first], windows.y[first], windows.order[first]], axis=1)


def earlier_trials(
    windows: Windows, rng: np.random.Generator, size: CalibrationSize,
    draw: Draw = "chronological",
) -> list[int] | str:
    """Trials of one subject and session that come first in their class, or why there are none.

    Per class, as many as ``size`` says, in order of presentation; one at least is left over. Where
    they are to be drawn, or where the order is unknown, the order is that of a permutation by
    ``rng``.
    """
    table = trial_table(windows)
    chosen: list[int] = []
    for label, name in enumerate(windows.labels):
        trials = table[table[:, 1] == label]
        if len(trials) < 2:
            return f"{len(trials)} trial{'s' * (len(trials) != 1)} of class {name!r}, 2 needed"
        if draw == "random" or (trials[:, 2] < 0).any():
            trials = trials[rng.permutation(len(trials))]
        else:
            trials = trials[np.argsort(trials[:, 2], kind="stable")]
        wanted = size.of(len(trials))
        if wanted is None:
            return (
                f"{len(trials)} trials of class {name!r}, more than {size} needed to "
                f"calibrate on {size} and test on the rest"
            )
        chosen += trials[:wanted, 0].tolist()
    return chosen


def first_trials(windows: Windows, size: CalibrationSize) -> list[int] | str:
    """Trials of one subject and session that come before all tested ones, or why there are none.

    The first share of the session, rounded up, whatever their class; where a class would then
    be on one side only, the cut is moved to the nearest place where each class is on both. With a
    number of trials, the first so many of each class; what comes before the last of them and is not
    among them is on neither side.
    """
    count = size.trials
    table = trial_table(windows)
    table = table[np.argsort(table[:, 2], kind="stable")]
    seen = np.cumsum(table[:, 1, None] == np.arange(len(windows.labels)), axis=0)
    both = (seen[:-1] >= (count or 1)) & (seen[-1] > seen[:-1])
    cuts = np.flatnonzero(both.all(axis=1)) + 1
    if not len(cuts):
        return (f"at no time of the session there are {count or 1} trials of each class before "
                "and one after")
    if size.share is not None:
        wanted = math.ceil(round(size.share * len(table), 9))
        return table[: cuts[np.abs(cuts - wanted).argmin()], 0].tolist()
    early = table[: cuts[0]]
    return [int(t) for label in range(len(windows.labels))
            for t in early[early[:, 1] == label, 0][:count]]


@dataclass(frozen=True, eq=False)
class Cut:
    """Windows of one subject and session, in two parts that share no trial.

    ``later`` is later within each class: a trial of it may precede an earlier one of another class,
    unless the cut is strict.
    """

    subject: int
    session: int
    earlier: Windows
    later: Windows

    @property
    def preceding(self) -> int:
        """Trials of the later part that were shown before the last of the earlier part."""
        before = self.later.order < self.earlier.order.max()
        return len(np.unique(self.later.trial[before]))

    def fold(
        self, pair: Pair, calibration: Windows | None = None,
        unlabelled: UnlabelledWindows | None = None,
    ) -> Fold:
        """The fold that is tested on the later part, with the pair's source and what is granted."""
        view = View(pair.source, calibration, unlabelled, pair.target.labels)
        return Fold(self.subject, self.session, view, self.later)


def check_order(target: Windows) -> None:
    """Refuse windows whose order of presentation is not known.

    Raises
    ------
    IncompatibleError
    """
    if (target.order < 0).any():
        raise IncompatibleError(
            "draw=strictly-later needs the order of presentation, which is not known for all "
            "trials of the target",
            "Add the file that gives it (DEAP: participant_ratings.csv), or use draw=random.",
        )


def cut_target(
    target: Windows, seed: int, size: CalibrationSize, draw: Draw = "chronological",
    curve: Sequence[CalibrationSize] = (),
) -> tuple[list[Cut], Folds]:
    """Cut each subject and session into the first trials of each class and the others, or by draw.

    Later are those that no size of the ``curve`` takes either, if it leaves any.

    Returns the cuts, and folds that hold no fold yet but who was left out and what to note.

    Raises
    ------
    IncompatibleError
        Tested trials are to be strictly later, and the order of presentation is not known.
    """
    if draw == "strictly-later":
        check_order(target)
    cuts, out, unknown = [], Folds(), False
    for subject, session in subject_sessions(target):
        windows = target.take((target.subject == subject) & (target.session == session))
        unknown = unknown or bool((windows.order < 0).any())
        strict = draw == "strictly-later"
        chosen, *others = (
            first_trials(windows, s) if strict else
            earlier_trials(windows, np.random.default_rng([seed, subject, session]), s, draw)
            for s in (size, *curve)
        )
        if isinstance(chosen, str):
            out.left_out.append(LeftOut(subject, session, chosen))
            continue
        taken = {*chosen, *(t for more in others if not isinstance(more, str) for t in more)}
        first, used = (np.isin(windows.trial, list(trials)) for trials in (chosen, taken))
        rest = windows.order > windows.order[used].max() if strict else ~used
        cuts.append(Cut(subject, session, windows.take(first), windows.take(rest)))
    if unknown and draw == "chronological":
        out.notices.append(
            "order of presentation unknown: calibration trials are drawn, stratified by "
            f"class, with seed {seed}"
        )
    return cuts, out
