"""Conformance of a method with its contract, on windows made up on the spot, in seconds.

What a plugin's method must do so that its numbers mean what everybody else's do. ``bench check``
prints the outcome; a plugin's own test asserts that :func:`failures` finds none.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from .cells.cell import Cell
from .cells.contract import (
    alone_too,
    check_compatible,
    check_probabilities,
    restrict_source,
    restrict_views,
)
from .cells.models import pack
from .data.channels import POSITIONS
from .data.pair import Pair
from .data.windows import Kind, Windows
from .errors import BenchError, IncompatibleError, UnknownNameError
from .method import Budget, Job, Method, Predictor
from .protocols.base import Fold, Protocol
from .protocols.few_shot import FewShot
from .registry import entries, entry, include, load

#: Optimiser steps of the networks that are only looked at from outside, ...
_FEW = Budget(pretrain=1, fit=1)
#: ... and of those that must have learnt something.
_SOME = Budget(pretrain=20, fit=20)
#: Samples per second of made-up raw windows.
_RATE = 128.0


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


class CheckFailedError(Exception):
    """A check that failed, with what was found."""


class CheckSkippedError(Exception):
    """A check that does not apply, with the reason."""


def check_method(
    method: str | type[Method], values: Mapping[str, Any] | None = None
) -> list[Check]:
    """Run all checks on a method.

    Parameters
    ----------
    method : str or type
        Registered name, or the class itself.
    values : mapping, optional
        Parameters other than the defaults.
    """
    cls: type[Method] = load("methods", method) if isinstance(method, str) else method
    suite = _Suite(cls, values or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit of so few steps has not converged
        return [run_check(name, check) for name, check in suite.checks().items()]


def failures(method: str | type[Method], values: Mapping[str, Any] | None = None) -> list[Check]:
    """Checks that a method does not pass."""
    return [c for c in check_method(method, values) if c.passed is False]


def named_by(what: str) -> list[tuple[str, str]]:
    """Group and name of each method and corpus that a name, a module or a file stands for.

    Raises
    ------
    UnknownNameError
        Neither a method, nor a corpus, nor a module.
    """
    if what.lower() in {name.lower() for name in entries("corpora")}:
        return [("corpora", entry("corpora", what).name)]
    try:
        load("methods", what)
    except UnknownNameError:
        if not (what.endswith(".py") or "." in what or _importable(what)):
            raise
    else:
        return [("methods", what if ":" in what else entry("methods", what).name)]
    names = [(e.group, e.name) for e in include(what) if e.group in ("methods", "corpora")]
    if not names:
        raise BenchError(f"the CATALOGUE of {what} names no method and no corpus")
    return names


def table(name: str, checks: Sequence[Check]) -> Table:
    """Outcome of all checks of a method."""
    bad = sum(c.passed is False for c in checks)
    out = Table(title=f"{escape(name)}: " + (f"{bad} of {len(checks)} checks failed" if bad
                                             else "conforms"),
                title_justify="left", box=None, pad_edge=False, show_header=False)
    out.add_column("")
    out.add_column("check", no_wrap=True)
    out.add_column("detail", style="dim", overflow="fold")
    marks = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: "[dim]-[/]"}
    for check in checks:
        out.add_row(marks[check.passed], check.name, escape(check.detail))
    return out


def _importable(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def run_check(name: str, check: Callable[[], str | None]) -> Check:
    """Outcome of a check, whatever it raises."""
    try:
        return Check(name, True, check() or "")
    except CheckSkippedError as reason:
        return Check(name, None, str(reason))
    except CheckFailedError as failure:
        return Check(name, False, str(failure))
    except BenchError as error:
        return Check(name, False, error.message)
    except (Exception, SystemExit) as error:  # whatever a third party's method raises
        return Check(name, False, f"{type(error).__name__}: {error}")


def synthetic(
    corpus: str, classes: int, channels: int, *, subjects: int, trials: int, effect: float,
    kind: Kind = "de",
) -> Windows:
    """Windows whose class raises a feature (or rhythm) of its own in a third of the channels.

    ``trials`` of each class, in turns, of ten windows: long enough for methods that use time.
    """
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
        x, y, subject=subject, trial=trial + 1, channels=list(POSITIONS)[:channels],
        labels=[f"class {k}" for k in range(classes)], corpus=corpus, kind=kind,
        rate=_RATE if kind == "raw" else 0.0,
    )


def synthetic_pair(
    classes: int = 3, channels: int = 14, effect: float = 1.0, kind: Kind = "de"
) -> Pair:
    """Two made-up corpora; leaving out one target subject leaves two to compare."""
    source = synthetic("A", classes, channels, subjects=2, trials=2, effect=effect, kind=kind)
    target = synthetic("B", classes, channels, subjects=3, trials=3, effect=effect, kind=kind)
    return Pair(source, target, "A:own", "B:own", ("a", "b"))


@dataclass(eq=False)
class _Case:
    """Folds of a method under a protocol, narrowed to what it needs, and how they are trained."""

    cell: Cell
    folds: list[Fold]
    budget: Budget = _FEW

    @classmethod
    def of(cls, method: Method, protocol: Protocol, pair: Pair, budget: Budget = _FEW) -> _Case:
        cell = Cell(method, "default", pair, protocol)
        check_compatible(method, protocol, pair)
        folds = cell.scaling.folds(cell.folds().folds[:1])
        if not folds:
            raise CheckFailedError("no fold could be cut")
        return cls(cell, restrict_views(folds, method.needs_under(protocol.grants)), budget)

    def train(self) -> Predictor:
        """Predictor of the first fold."""
        fold, method = self.folds[0], self.cell.method
        source, state = restrict_source(fold.view.source, method.needs.source), None
        if method.pretrains and source is not None:
            context = self.cell.context("pretrain")
            state = method.pretrain(source, dataclasses.replace(context, budget=self.budget))
        context = self.cell.context("fit", target="B:own", subject=fold.subject,
                                    session=fold.session)
        job = Job(fold.view, state, dataclasses.replace(context, budget=self.budget))
        predictors = method.fit_many([job])
        if len(predictors) != 1:
            raise CheckFailedError(f"fit_many returned {len(predictors)} predictors for one job")
        return predictors[0]

    def predict(self, predictor: Predictor, windows: Windows | None = None) -> np.ndarray:
        """Probabilities of the fold's test windows; refused if they are none."""
        test = windows or self.folds[0].open_test()
        proba = np.asarray(predictor.predict_proba(test.x), dtype=np.float64)
        # Two windows are too few to be checked for independence, which is a check of its own.
        few = min(2, len(test))
        check_probabilities(
            self.cell.method, test.take(np.arange(few)), proba[:few], [],
            len(self.folds[0].view.classes),
        )
        if len(proba) != len(test):
            raise CheckFailedError(f"{len(proba)} rows for {len(test)} windows")
        return proba


class _Suite:
    """The checks of one method; trainings are shared between them."""

    def __init__(self, cls: type[Method], values: Mapping[str, Any]) -> None:
        self.cls, self.values = cls, values
        self._known: tuple[_Case, Predictor, np.ndarray] | None = None

    def checks(self) -> dict[str, Callable[[], str | None]]:
        """Checks by name, in the order they are run."""
        return {
            "declaration": self.declaration,
            "protocols, shapes, probabilities": self.protocols,
            "equal seeds, equal predictions": self.repeats,
            "leaves what it is handed alone": self.leaves_alone,
            "no test data touched": self.test_untouched,
            "windows predicted on their own": self.independent,
            "columns in the order of the classes": self.class_order,
            "2 classes, 62 channels": lambda: self.sizes(2, 62),
            "9 classes, 32 channels": lambda: self.sizes(9, 32),
            "one calibration trial of each class": self.one_trial,
            "save and load": self.saves,
            "pickles to workers": self.pickles,
        }

    def method(self) -> Method:
        """A fresh instance."""
        return self.cls(self.cls.parse(self.values))

    def pair(self, classes: int = 3, channels: int = 14, effect: float = 1.0) -> Pair:
        """Two made-up corpora: raw windows if the method refuses differential entropy."""
        made = synthetic_pair(classes, channels, effect)
        try:
            self.method().check_space(made.source.space)
        except IncompatibleError:
            return synthetic_pair(classes, channels, effect, "raw")
        return made

    def suited(self, pair: Pair) -> dict[str, str | Protocol]:
        """Protocols the method fits, and for the others why not."""
        out: dict[str, str | Protocol] = {}
        for name in entries("protocols"):
            protocol: Protocol = load("protocols", name)()
            try:
                check_compatible(self.method(), protocol, pair)
            except IncompatibleError as reason:
                out[name] = reason.message
            else:
                out[name] = protocol
        return out

    def base(self) -> tuple[_Case, Predictor, np.ndarray]:
        """Case under the first protocol that suits, its predictor and predictions."""
        if self._known is None:
            case = self.case(self.pair())
            predictor = case.train()
            self._known = case, predictor, case.predict(predictor)
        return self._known

    def case(self, pair: Pair, budget: Budget = _FEW) -> _Case:
        """Case under the first protocol that suits."""
        suitable = [p for p in self.suited(pair).values() if isinstance(p, Protocol)]
        if not suitable:
            raise CheckFailedError("no protocol suits its needs")
        return _Case.of(self.method(), suitable[0], pair, budget)

    def declaration(self) -> str:
        """Name, parameters that survive a record, a place in reports."""
        method = self.method()
        if not (isinstance(getattr(method, "name", None), str) and method.name):
            raise CheckFailedError("no name")
        if method.kind not in ("method", "control", "oracle"):
            raise CheckFailedError(f"kind = {method.kind!r} is none of method, control, oracle")
        stored = method.params.model_dump(mode="json")
        if self.cls.parse(stored) != method.params:
            raise CheckFailedError("parameters change when they are stored and parsed again")
        return f"{len(stored)} parameters"

    def protocols(self) -> str:
        """Every protocol that suits gives probabilities."""
        pair, case = self.pair(), self.base()[0]
        fits = []
        for name, protocol in self.suited(pair).items():
            if not isinstance(protocol, Protocol):
                continue
            fits.append(name)
            if name != case.cell.protocol.name:
                other = _Case.of(self.method(), protocol, pair)
                other.predict(other.train())
        return ", ".join(fits)

    def repeats(self) -> None:
        """The same seed gives the same numbers, wherever global generators have got to."""
        case, _, proba = self.base()
        again = _Case.of(self.method(), case.cell.protocol, self.pair())
        _same(proba, again.predict(again.train()), "a second training")

    def leaves_alone(self) -> None:
        """Windows that were handed are not written to."""
        fresh = _Case.of(self.method(), self.base()[0].cell.protocol, self.pair())
        for name in ("source", "calibration", "unlabelled"):
            used = getattr(self.base()[0].folds[0].view, name)
            handed_out = getattr(fresh.folds[0].view, name)
            if used is not None and used.digest() != handed_out.digest():
                raise CheckFailedError(f"it changed the {name} windows it was handed")

    def test_untouched(self) -> None:
        """Other tested windows, and other labels of them, train the same predictor."""
        case, _, proba = self.base()
        other = _Case.of(self.method(), case.cell.protocol, self.pair())
        other.folds = [_spoilt(fold) for fold in other.folds]
        again = other.predict(other.train(), case.folds[0].open_test())
        _same(proba, again, "training beside other test windows")

    def independent(self) -> None:
        """A window's row does not depend on which others are passed."""
        case, predictor, proba = self.base()
        if case.cell.method.transductive:
            raise CheckSkippedError("declares that it is transductive")
        method, test = case.cell.method, case.folds[0].open_test()
        alone = [predictor.predict_proba(test.x[i : i + 1]) for i in alone_too(method, test)]
        check_probabilities(method, test, proba, alone, proba.shape[1])

    def class_order(self) -> str:
        """Classes far apart are not found less often than by chance."""
        if self.cls.kind != "method":
            raise CheckSkippedError(f"is a {self.cls.kind}")
        case = self.case(self.pair(classes=2, effect=3.0), _SOME)
        proba, y = case.predict(case.train()), case.folds[0].open_test().y
        recalls = [float((proba[y == k].argmax(axis=1) == k).mean()) for k in (0, 1)]
        score = sum(recalls) / 2
        if score < 0.4:
            raise CheckFailedError(f"balanced accuracy {score:.2f} on two classes far apart: "
                                   "columns must follow view.classes")
        return f"balanced accuracy {score:.2f} on two classes far apart"

    def sizes(self, classes: int, channels: int) -> None:
        """Other numbers of classes and channels."""
        case = self.case(self.pair(classes, channels))
        case.predict(case.train())

    def one_trial(self) -> None:
        """The least that few-shot can grant."""
        pair, protocol = self.pair(), FewShot.model_validate({"calibration_trials": 1})
        try:
            case = _Case.of(self.method(), protocol, pair)
        except IncompatibleError as reason:
            raise CheckSkippedError(reason.message) from reason
        case.predict(case.train())

    def saves(self) -> None:
        """What is loaded predicts as what was saved."""
        import torch

        case, predictor, proba = self.base()
        if getattr(predictor, "payload", None) is None:
            raise CheckSkippedError("its models have no payload()")
        content = torch.load(io.BytesIO(pack(case.cell.method, predictor)), weights_only=True)
        restored = self.cls(self.cls.parse(content["params"])).restore(content["payload"])
        _same(proba, case.predict(restored), "the loaded model", 1e-6)

    def pickles(self) -> None:
        """A worker gets the same method."""
        method = self.method()
        again = pickle.loads(pickle.dumps(method))  # noqa: S301  our own bytes
        if (again.name, again.params) != (method.name, method.params):
            raise CheckFailedError("name or parameters are lost on the way")


def _spoilt(fold: Fold) -> Fold:
    """Fold with tested windows and labels that are wrong."""
    test = fold.open_test()
    wrong = dataclasses.replace(test, x=np.full_like(test.x, np.nan), y=test.y[::-1].copy())
    return Fold(fold.subject, fold.session, fold.view, wrong)


def _same(expected: np.ndarray, proba: np.ndarray, what: str, within: float = 0.0) -> None:
    """Refuse predictions that differ."""
    if expected.shape != proba.shape:
        raise CheckFailedError(f"{what} predicts {proba.shape} instead of {expected.shape}")
    worst = float(np.abs(expected - proba).max())
    if not worst <= within:
        raise CheckFailedError(f"{what} changes predictions by {worst:.2g}")
