"""Folds for a process that holds no labels: what a cut grants, said by the places of windows.

Who holds the labels cuts, follows the windows by numbers of its own, and hands on a
:class:`Granted`. Whoever has read the same corpora, and has forgotten their labels
(:func:`blind`), makes of it the same folds: with the labels that are granted, and no others.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.pair import Pair
from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, IncompatibleError
from .base import Fold, Folds, LeftOut, View

#: What tells the class of a window, or the film that it was seen at.
SECRET = ("y", "stimulus", "trial", "order")
#: What is compared to see that windows are those of a place.
_KNOWN = ("corpus", "subject", "session", "onset")
#: Windows of a part that are compared number by number.
_COMPARED = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class _NumberedUnlabelled(UnlabelledWindows):
    number: NDArray[np.int32]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        return ("number", *super().columns())


@dataclass(frozen=True, eq=False, kw_only=True)
class _Numbered(Windows):
    """Windows that know their place: from 0 in the source, from -1 downwards in the target."""

    number: NDArray[np.int32]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        return ("number", *super().columns())

    def without_labels(self) -> UnlabelledWindows:
        plain = super().without_labels()
        columns = {name: getattr(plain, name) for name in plain.columns()}
        return _NumberedUnlabelled(
            x=plain.x, space=plain.space, number=self.number.copy(), **columns
        )


def numbered(pair: Pair) -> Pair:
    """The pair, whose windows know their places wherever a cut takes them."""
    source = np.arange(len(pair.source), dtype=np.int32)
    target = -1 - np.arange(len(pair.target), dtype=np.int32)
    return replace(
        pair, source=_Numbered(**_fields(pair.source), number=source),
        target=_Numbered(**_fields(pair.target), number=target))


def _fields(windows: Windows) -> dict[str, Any]:
    """All that makes up labelled windows, by name."""
    return {f.name: getattr(windows, f.name) for f in fields(Windows)}


@dataclass(frozen=True, eq=False, kw_only=True)
class BlindWindows(Windows):
    """Windows whose classes, films, trial numbers and order nobody here knows.

    ``y``, ``stimulus`` and ``order`` are -1; trials have random codes.
    """

    def __post_init__(self) -> None:
        super(Windows, self).__post_init__()  # not its check of the classes


def blind(windows: Windows) -> BlindWindows:
    """Forget what tells the classes; copies nothing else."""
    _, code = np.unique(windows.trial_key(), return_inverse=True)
    codes = np.random.default_rng().permutation(code.max() + 1 if len(code) else 0) + 1
    nothing = np.full(len(windows), -1)
    return BlindWindows(**_fields(windows) | {
        "y": nothing, "stimulus": nothing, "order": nothing, "trial": codes[code.ravel()],
    })


@dataclass(frozen=True, eq=False)
class GrantedPart:
    """Some windows of a fold.

    Attributes
    ----------
    of_target : bool
        Whether they are the target's.
    places : (n,) int32 or None
        Which; None: all.
    secret : mapping of str to (n,) int
        Columns of :data:`SECRET`; none where the labels are not granted.
    labels : tuple of str
        Classes, of labelled ones.
    """

    of_target: bool
    places: NDArray[np.int32] | None
    secret: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, windows: Windows | UnlabelledWindows, pair: Pair) -> GrantedPart:
        """Find numbered windows in the pair they were taken from.

        Raises
        ------
        IncompatibleError
            They are not windows of one side as it is.
        """
        number: NDArray[np.int32] | None = getattr(windows, "number", None)
        of_target = number is not None and len(number) > 0 and bool(number[0] < 0)
        if number is None or ((number < 0) != of_target).any():
            raise IncompatibleError(_CHANGED, _TAKE)
        places = -1 - number if of_target else number
        side = pair.target if of_target else pair.source
        some = np.linspace(0, len(places) - 1, min(_COMPARED, len(places))).astype(int)
        same = np.array_equal(windows.x[some], side.x[places[some]]) and all(
            np.array_equal(getattr(windows, name), getattr(side, name)[places]) for name in _KNOWN
        )
        if not same:
            raise IncompatibleError(_CHANGED, _TAKE)
        every = len(places) == len(side) and bool((places == np.arange(len(side))).all())
        secret = {name: _small(getattr(windows, name)) for name in SECRET} \
            if isinstance(windows, Windows) else {}
        labels = windows.labels if isinstance(windows, Windows) else ()
        return cls(of_target, None if every else places, secret, labels)

    def without_labels(self) -> GrantedPart:
        """The same windows, and nothing told of them."""
        return GrantedPart(self.of_target, self.places)

    def windows(self, pair: Pair) -> Windows | UnlabelledWindows:
        """The windows, of a blind pair."""
        side = pair.target if self.of_target else pair.source
        some = side if self.places is None else side.take(self.places)
        if not self.secret:
            return some.without_labels()
        return Windows(**_fields(some) | {"labels": self.labels} | {
            name: array.astype(np.int64) for name, array in self.secret.items()
        })


_CHANGED = "the protocol changes windows, or makes new ones, while it cuts"
_TAKE = ("Cut by windows.take(...) and windows.without_labels() alone, or run without workers: "
         "--workers 1.")


def _small(column: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in as few bytes as they need."""
    for kind in (np.int8, np.int16, np.int32):
        found = column.astype(kind)
        if (found == column).all():
            return found
    return column


@dataclass(frozen=True, eq=False)
class GrantedFold:
    """A fold by its parts; ``source`` is a place in the list of sources, which folds share."""

    subject: int
    session: int
    source: int | None
    calibration: GrantedPart | None
    unlabelled: GrantedPart | None
    test: GrantedPart
    classes: tuple[str, ...]
    part: int = 0


@dataclass(frozen=True, eq=False)
class Granted:
    """What a cut grants.

    Attributes
    ----------
    folds : list of GrantedFold
    sources : list of GrantedPart
    left_out, notices
        As of :class:`~bench.protocols.base.Folds`.
    sizes : (int, int)
        Windows of source and target.
    """

    folds: list[GrantedFold]
    sources: list[GrantedPart]
    left_out: list[LeftOut]
    notices: list[str]
    sizes: tuple[int, int]

    @classmethod
    def by(cls, cut: Folds, pair: Pair) -> Granted:
        """Find the parts of folds cut from :func:`numbered` windows of a pair.

        Raises
        ------
        IncompatibleError
            The protocol hands out windows that are not those of the pair.
        """
        sources: dict[int, int] = {}
        parts: list[GrantedPart] = []
        folds = []
        for fold in cut.folds:
            source, view = fold.view.source, fold.view
            if source is not None and id(source) not in sources:
                sources[id(source)] = len(parts)
                parts.append(GrantedPart.of(source, pair))
            folds.append(GrantedFold(
                fold.subject, fold.session, None if source is None else sources[id(source)],
                None if view.calibration is None else GrantedPart.of(view.calibration, pair),
                None if view.unlabelled is None else GrantedPart.of(view.unlabelled, pair),
                GrantedPart.of(fold.open_test(), pair).without_labels(), view.classes, fold.part,
            ))
        sizes = len(pair.source), len(pair.target)
        return cls(folds, parts, cut.left_out, cut.notices, sizes)

    def cut(self, pair: Pair) -> Folds:
        """The folds, of a pair without labels; what is tested has none.

        Raises
        ------
        BenchError
            The pair is not the one that was cut.
        """
        if self.sizes != (len(pair.source), len(pair.target)):
            raise BenchError("the windows here are not those that were cut")
        sources = [part.windows(pair) for part in self.sources]
        return Folds(
            [self._fold(fold, sources, pair) for fold in self.folds],
            list(self.left_out), list(self.notices),
        )

    def _fold(
        self, fold: GrantedFold, sources: Sequence[Windows | UnlabelledWindows], pair: Pair
    ) -> Fold:
        calibration = None if fold.calibration is None else fold.calibration.windows(pair)
        unlabelled = None if fold.unlabelled is None else fold.unlabelled.windows(pair)
        assert calibration is None or isinstance(calibration, Windows)
        assert not isinstance(unlabelled, Windows)
        source = None if fold.source is None else sources[fold.source]
        view = View(source, calibration, unlabelled, fold.classes)
        return Fold(fold.subject, fold.session, view, fold.test.windows(pair), fold.part)


@dataclass(frozen=True, eq=False)
class Grant:
    """What a process needs of a cell whose labels are in another.

    Attributes
    ----------
    folds : Granted
    identity : mapping
        Of the record.
    protocol : mapping
        Options of the protocol, as they came to be with the labels at hand.
    classes : tuple of str
        Of the target.
    """

    folds: Granted
    identity: Mapping[str, Any]
    protocol: Mapping[str, Any]
    classes: tuple[str, ...]

    def check(self, code: str, digests: tuple[str, str]) -> None:
        """Refuse to run other code, or on other data, than the identity says.

        Raises
        ------
        BenchError
        """
        data = self.identity["source"]["digest"], self.identity["target"]["digest"]
        for what, alike in (("code", code == self.identity["code"]), ("data", digests == data)):
            if not alike:
                raise BenchError(
                    f"{socket.gethostname()} has other {what} than the coordinator",
                    "Install the same version there, and give it the same folder of corpora.",
                )
