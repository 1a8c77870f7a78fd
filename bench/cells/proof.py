"""Windows made up on the spot, and what a method must show on them to be believed.

``bench check`` tries it on any method. A run does where a method that is not ours takes several
folds at once, or keeps something between them (:mod:`.guard`).
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..data.channels import POSITIONS
from ..data.montage.named import TEN_TWENTY
from ..data.pair import Pair
from ..data.windows import Kind, Space, Windows
from ..errors import BenchError, IncompatibleError
from ..method import Budget, Context, Job, Method, Predictor, observing
from ..protocols.base import Fold, Protocol
from ..registry import entries, load
from ..selection.looking import generators_kept, look
from .cell import Cell
from .contract import (
    check_compatible,
    check_probabilities,
    explained,
    fit_folds,
    fresh,
    predicted,
    restrict_source,
    restrict_views,
)

#: Optimiser steps of networks that are only looked at from outside, ...
FEW = Budget(pretrain=1, fit=1)
#: ... and of those that must have learnt something.
SOME = Budget(pretrain=20, fit=20)
#: Samples per second of made-up raw windows.
_RATE = 128.0
#: Electrodes of made-up windows where a method refuses the first ones of :data:`POSITIONS`.
KNOWN = {
    "the 32 of DEAP": (
        "FP1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1",
        "OZ", "PZ", "FP2", "AF4", "FZ", "F4", "F8", "FC6", "FC2", "CZ", "C4", "T8", "CP6", "CP2",
        "P4", "P8", "PO4", "O2",
    ),
    "the 19 of the 10-20 system": TEN_TWENTY,
}
#: Probabilities of a fold may differ by this much, alone and in a stack, in double precision.
APART = 1e-5


@dataclass(frozen=True)
class Check:
    """Outcome of one check.

    Attributes
    ----------
    name : str
    passed : bool or None
        None if it does not apply.
    detail : str
        What went wrong, or why it does not apply.
    """

    name: str
    passed: bool | None
    detail: str = ""
    #: What was raised that is no outcome of the check itself.
    error: BaseException | None = field(default=None, compare=False, repr=False)


class CheckFailedError(Exception):
    """A check that failed, with what was found."""


class CheckSkippedError(Exception):
    """A check that does not apply, with the reason."""


def run_check(name: str, check: Callable[[], str | None]) -> Check:
    """Run one check."""
    try:
        return Check(name, True, check() or "")
    except CheckSkippedError as reason:
        return Check(name, None, str(reason))
    except CheckFailedError as failure:
        return Check(name, False, str(failure))
    except BenchError as error:
        return Check(name, False, error.message, error)
    except (Exception, SystemExit) as error:  # whatever a third party's method raises
        return Check(name, False, f"{type(error).__name__}: {error}", error)


def check_leaks(make: Callable[[], Method], pair: Pair | None = None) -> list[Check]:
    """The checks of a method by which nothing of one fold gets into another.

    Parameters
    ----------
    make : callable
        Gives a new instance.
    pair : Pair, optional
        Made-up corpora; of a size of their own if not given.
    """
    suite = LeakChecks(make, pair)
    # It may be in the middle of a run, whose observer and random numbers this must not touch.
    with observing(None), generators_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit of so few steps has not converged
        return [run_check(name, check) for name, check in suite.checks().items()]


def synthetic(
    corpus: str, classes: int, channels: int, *, subjects: int, trials: int, effect: float,
    kind: Kind = "de", names: Sequence[str] = (),
) -> Windows:
    """Windows whose class raises a feature (or rhythm) of its own in a third of the channels.

    ``trials`` of each class, in turns, of ten windows: long enough for methods that use time.
    Channels are those of ``names``, or the first ones of :data:`POSITIONS`.
    """
    names = names or list(POSITIONS)[:channels]
    channels = len(names)
    rng = np.random.default_rng([classes, channels, len(corpus), ord(corpus[-1])])
    y = np.tile(np.repeat(np.tile(np.arange(classes), trials), 10), subjects)
    subject = np.repeat(np.arange(subjects), len(y) // subjects) + 1
    trial = np.tile(np.repeat(np.arange(classes * trials), 10), subjects)
    x = rng.normal(size=(len(y), channels, 5 if kind == "de" else round(_RATE)))
    time = np.arange(_RATE) / _RATE
    for k in range(classes):
        if kind == "de":
            x[y == k, k // 5 :: 3, k % 5] += effect
            continue
        phase = rng.uniform(0, 2 * np.pi, size=(int((y == k).sum()), 1, 1))
        x[y == k, k // 5 :: 3] += effect * np.sin(2 * np.pi * (6 + 4 * k) * time + phase)
    return Windows.from_arrays(
        x, y, subject=subject, trial=trial + 1, channels=names,
        labels=[f"class {k}" for k in range(classes)], corpus=corpus, kind=kind,
        rate=_RATE if kind == "raw" else 0.0,
    )


def synthetic_pair(
    classes: int = 3, channels: int = 14, effect: float = 1.0, kind: Kind = "de",
    names: Sequence[str] = (),
) -> Pair:
    """Two made-up corpora; leaving out one target subject leaves two to compare."""
    source, target = (
        synthetic(corpus, classes, channels, subjects=n, trials=n, effect=effect, kind=kind,
                  names=names)
        for corpus, n in (("A", 2), ("B", 3))
    )
    return Pair(source, target, "A:own", "B:own", ("a", "b"))


def pair_like(space: Space, classes: int) -> Pair:
    """Two made-up corpora of a space, in which a third of the numbers go with the class."""
    made = synthetic_pair(classes, channels=2)

    def like(windows: Windows) -> Windows:
        shape = (len(windows), len(space.channels), space.width)
        x = np.random.default_rng(len(windows)).normal(size=shape)
        for k in range(classes):
            x[windows.y == k, :, k % space.width :: 3] += 0.3
        return replace(windows, x=x.astype(np.float32), space=space)

    return replace(made, source=like(made.source), target=like(made.target))


def pair_for(method: Method, classes: int = 3, channels: int = 14, effect: float = 1.0) -> Pair:
    """Two made-up corpora: raw windows if the method refuses differential entropy.

    Where it refuses the channels, those of :data:`KNOWN`: as many of them, or else all.
    """
    some = [known[:channels] for known in KNOWN.values()]
    whole = sorted(KNOWN.values(), key=lambda known: abs(len(known) - channels))
    kinds: tuple[Kind, ...] = ("de", "raw")
    for kind, names in itertools.product(kinds, ((), *some, *whole)):
        made = synthetic_pair(classes, channels, effect, kind, names)
        with contextlib.suppress(IncompatibleError):
            method.check_space(made.source.space)
            return made
    return synthetic_pair(classes, channels, effect, "raw")


def channels_of(pair: Pair) -> str:
    """Which channels made-up windows have, where these are not the first; else ""."""
    names = tuple(pair.source.space.channels)
    if names == tuple(POSITIONS)[: len(names)]:
        return ""
    told = next((title for title, known in KNOWN.items() if names == known), ", ".join(names))
    return f"with other channels, which it knows: {told}"


def suited(method: Method, pair: Pair) -> dict[str, Protocol]:
    """Protocols that a method fits: one at least, or it is none that can be checked."""
    out: dict[str, Protocol] = {}
    for name in entries("protocols"):
        protocol = load("protocols", name)()
        with contextlib.suppress(IncompatibleError):
            check_compatible(method, protocol, pair)
            out[name] = protocol
    if not out:
        raise CheckFailedError("no protocol suits its needs")
    return out


@dataclass(eq=False)
class Case:
    """Folds of a method under a protocol, narrowed to what it needs, and how they are trained."""

    cell: Cell
    folds: list[Fold]
    budget: Budget = FEW
    dtype: str = "float32"

    @classmethod
    def of(
        cls, method: Method, protocol: Protocol, pair: Pair, budget: Budget = FEW, *,
        folds: int = 1, dtype: str = "float32",
    ) -> Case:
        """The first ``folds`` folds of a pair."""
        cell = Cell(method, "default", pair, protocol)
        check_compatible(method, protocol, pair)
        cut = cell.scaling.folds(cell.folds().folds[:folds])
        if not cut:
            raise CheckFailedError("no fold could be cut")
        needs = method.needs_under(protocol.grants)
        return cls(cell, restrict_views(cut, needs), budget, dtype)

    def train(self) -> Predictor:
        """Predictor of the first fold."""
        return self.train_all([0])[0]

    def train_all(self, order: Sequence[int]) -> list[Predictor]:
        """Predictors of some folds, trained in an order; as the engine trains them."""
        states = self._states(order)
        jobs = [Job(self.folds[n].view, states.get(id(self.folds[n].view.source)),
                    self._context("fit", self.folds[n])) for n in order]
        return fit_folds(self.cell.method, jobs)

    def _states(self, order: Sequence[int]) -> dict[int, Any]:
        method, states = self.cell.method, dict[int, Any]()
        for fold in [self.folds[n] for n in order] if method.pretrains else ():
            source = restrict_source(fold.view.source, method.needs.source)
            if source is not None and id(fold.view.source) not in states:
                with explained(method):
                    states[id(fold.view.source)] = fresh(method).pretrain(
                        source, self._context("pretrain", fold)
                    )
        return states

    def _context(self, stage: str, fold: Fold) -> Context:
        axes = {} if stage == "pretrain" else {
            "target": "B:own", "subject": fold.subject, "session": fold.session,
        }
        return replace(
            self.cell.context(stage, **axes), budget=self.budget, dtype=self.dtype,
            params=self.cell.method.params, fold_key=fold.key,
        )

    def predict(
        self, predictor: Predictor, windows: Windows | None = None, fold: int = 0
    ) -> np.ndarray:
        """Probabilities of a fold's test windows, or of others; refused if they are none."""
        test = windows or self.folds[fold].open_test()
        proba = predicted(self.cell.method, predictor, test.x)
        # Two windows are too few to be checked for independence, which is a check of its own.
        few = min(2, len(test))
        check_probabilities(
            self.cell.method, test.take(np.arange(few)), proba[:few], [],
            len(self.folds[0].view.classes),
        )
        if len(proba) != len(test):
            raise CheckFailedError(f"{len(proba)} rows for {len(test)} windows")
        return proba


class LeakChecks:
    """The checks of one method by which nothing of one fold gets into another.

    They are made under ``within``, if the method fits it: there a fold is trained on what the
    others are tested on. All is in double precision, where a stack differs from its models by
    rounding alone.
    """

    def __init__(self, make: Callable[[], Method], pair: Pair | None = None) -> None:
        self.make, self.pair = make, pair
        self._alone: list[np.ndarray] | None = None
        self._watched: tuple[Case, Predictor] | None = None

    def checks(self) -> dict[str, Callable[[], str | None]]:
        """Checks by name."""
        return {
            "folds alone and together, in any order": self.apart,
            "other windows, other predictions": self.learns,
            "watched or not, equal predictions": self.watched,
            "predicting changes nothing": self.still,
        }

    def case(self, pair: Pair | None = None) -> Case:
        """Three folds under the protocol that tells most."""
        method = self.make()
        pair = pair or self.pair or pair_for(method, effect=0.3)
        fitting = suited(method, pair)
        protocol = fitting.get("within") or next(iter(fitting.values()))
        return Case.of(method, protocol, pair, folds=3, dtype="float64")

    def alone(self) -> list[np.ndarray]:
        """Probabilities of each fold, trained with no other."""
        if self._alone is None:
            case = self.case()
            self._alone = [case.predict(case.train_all([n])[0], fold=n)
                           for n in range(len(case.folds))]
        return self._alone

    def apart(self) -> str:
        """A fold gives the same alone, among others, first or last."""
        alone, case = self.alone(), self.case()
        numbers = range(len(case.folds))
        # Alone they were trained in their own order; of a stack, other members and other places.
        orders = [[*numbers[2:], *numbers[:2]], [*numbers[1::-1]]]
        together = case.cell.method.together
        company = "all folds at once" if together else "one fold after the other"
        for order in orders if together else [[*numbers[::-1]]]:
            for n, predictor in zip(order, case.train_all(order), strict=True):
                what = f"training {company} in the order {order}"
                same(alone[n], case.predict(predictor, fold=n), what, APART)
        return f"{len(numbers)} folds under {case.cell.protocol.name}"

    def learns(self) -> None:
        """A predictor is of what it was trained on, not of what was trained on before."""
        case = self.case()
        if case.cell.method.kind != "method":
            raise CheckSkippedError(f"is a {case.cell.method.kind}")
        x = case.folds[0].open_test()
        other = self.case(_upside_down(case.cell.pair))
        if np.array_equal(self.alone()[0], other.predict(other.train_all([0])[0], x)):
            raise CheckFailedError(
                "trained on other windows with other classes it predicts the same to the bit: it "
                "keeps a model between folds, or learns nothing"
            )

    def watched(self) -> None:
        """What the engine looks at while it goes on changes nothing."""
        case = self.case()

        def watch(
            ctx: Context, number: int, of: int, losses: Mapping[str, float],
            predictor: Predictor | None,
        ) -> None:
            if predictor is not None:
                with look(predictor) as shown:
                    shown.predict_proba(case.folds[0].open_test().x)

        with observing(watch):
            self._watched = case, case.train_all([0])[0]
        same(self.alone()[0], case.predict(self._watched[1]), "watching the training")

    def still(self) -> None:
        """A predictor gives the same again, whatever it was asked for in between."""
        case, predictor = self._watched or (case := self.case(), case.train_all([0])[0])
        first = case.predict(predictor)
        case.predict(predictor, case.folds[-1].open_test())
        same(first, case.predict(predictor), "predicting other windows in between", 1e-7)


def _upside_down(pair: Pair) -> Pair:
    """Pair of other numbers, whose windows are of other classes."""

    def turned(windows: Windows) -> Windows:
        x, y = 1 - windows.x[:, ::-1], windows.n_classes - 1 - windows.y
        return replace(windows, x=np.ascontiguousarray(x), y=y)

    return replace(pair, source=turned(pair.source), target=turned(pair.target))


def same(expected: np.ndarray, proba: np.ndarray, what: str, within: float = 0.0) -> None:
    """Refuse predictions that differ."""
    if expected.shape != proba.shape:
        raise CheckFailedError(f"{what} predicts {proba.shape} instead of {expected.shape}")
    worst = float(np.abs(expected - proba).max())
    if not worst <= within:
        raise CheckFailedError(f"{what} changes predictions by {worst:.2g}")
