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
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Column, Table

from .cells.contract import alone_too, check_probabilities, predicted
from .cells.guard import explain
from .cells.models import pack
from .cells.proof import (  # noqa: F401  plugins' tests import what is made up from here
    FEW,
    SOME,
    Case,
    Check,
    CheckFailedError,
    CheckSkippedError,
    LeakChecks,
    channels_of,
    pair_for,
    run_check,
    same,
    suited,
    synthetic,
    synthetic_pair,
)
from .data.pair import Pair
from .errors import (
    BenchError,
    IncompatibleError,
    MethodError,
    MissingLibraryError,
    UnknownNameError,
    check_library,
    is_there,
)
from .method import Budget, Method, Predictor
from .protocols.base import Fold
from .protocols.few_shot import FewShot
from .registry import entries, entry, include, load


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
        return [_told(suite, run_check(name, check)) for name, check in suite.checks().items()]


def _told(suite: _Suite, check: Check) -> Check:
    """A check whose error names the author's own line."""
    if check.error is None:
        return check
    error = explain(suite.method(), check.error)
    if not isinstance(error, MethodError):
        return check
    return dataclasses.replace(check, detail=f"{error.message.partition(': ')[2]} ({error.hint})")


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
        if not (what.endswith(".py") or "." in what or is_there(what)):
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
    said = f"{bad} of {len(checks)} checks failed" if bad else "conforms"
    out = Table(
        "", Column(no_wrap=True), Column(style="dim", overflow="fold"), show_header=False,
        title=f"{escape(name)}: {said}", title_justify="left", box=None, pad_edge=False)
    marks = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: "[dim]-[/]"}
    for check in checks:
        out.add_row(marks[check.passed], check.name, escape(check.detail))
    return out


class _Suite:
    """The checks of one method; trainings are shared between them."""

    def __init__(self, cls: type[Method], values: Mapping[str, Any]) -> None:
        self.cls, self.values = cls, values
        self._known: tuple[Case, Predictor, np.ndarray] | None = None

    def checks(self) -> dict[str, Callable[[], str | None]]:
        """Checks by name, in the order they are run."""
        return {
            "declaration": self.declaration,
            "protocols, shapes, probabilities": self.protocols,
            "equal seeds, equal predictions": self.repeats,
            "leaves what it is handed alone": self.leaves_alone,
            "no test data touched": self.test_untouched,
            **LeakChecks(self.method).checks(),
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
        return pair_for(self.method(), classes, channels, effect)

    def base(self) -> tuple[Case, Predictor, np.ndarray]:
        """Case under the first protocol that suits, its predictor and predictions."""
        if self._known is None:
            case = self.case(self.pair())
            predictor = case.train()
            self._known = case, predictor, case.predict(predictor)
        return self._known

    def case(self, pair: Pair, budget: Budget = FEW) -> Case:
        """Case under the first protocol that suits."""
        first = next(iter(suited(self.method(), pair).values()))
        return Case.of(self.method(), first, pair, budget)

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
        fits = suited(self.method(), pair)
        for name, protocol in fits.items():
            if name != case.cell.protocol.name:
                other = Case.of(self.method(), protocol, pair)
                other.predict(other.train())
        return "; ".join(filter(None, [", ".join(fits), channels_of(pair)]))

    def repeats(self) -> None:
        """The same seed gives the same numbers, wherever global generators have got to."""
        case, _, proba = self.base()
        again = Case.of(self.method(), case.cell.protocol, self.pair())
        same(proba, again.predict(again.train()), "a second training")

    def leaves_alone(self) -> None:
        """Windows that were handed are not written to."""
        fresh = Case.of(self.method(), self.base()[0].cell.protocol, self.pair())
        for name in ("source", "calibration", "unlabelled"):
            used = getattr(self.base()[0].folds[0].view, name)
            handed_out = getattr(fresh.folds[0].view, name)
            if used is not None and used.digest() != handed_out.digest():
                raise CheckFailedError(f"it changed the {name} windows it was handed")

    def test_untouched(self) -> None:
        """Other tested windows, and other labels of them, train the same predictor."""
        case, _, proba = self.base()
        other = Case.of(self.method(), case.cell.protocol, self.pair())
        other.folds = [_spoilt(fold) for fold in other.folds]
        again = other.predict(other.train(), case.folds[0].open_test())
        same(proba, again, "training beside other test windows")

    def independent(self) -> None:
        """A window's row does not depend on which others are passed."""
        case, predictor, proba = self.base()
        if case.cell.method.transductive:
            raise CheckSkippedError("declares that it is transductive")
        method, test = case.cell.method, case.folds[0].open_test()
        alone = [predicted(method, predictor, test.x[i : i + 1]) for i in alone_too(method, test)]
        check_probabilities(method, test, proba, alone, proba.shape[1])

    def class_order(self) -> str:
        """Classes far apart are not found less often than by chance."""
        if self.cls.kind != "method":
            raise CheckSkippedError(f"is a {self.cls.kind}")
        case = self.case(self.pair(classes=2, effect=3.0), SOME)
        proba, y = case.predict(case.train()), case.folds[0].open_test().y
        recalls = [float((proba[y == k].argmax(axis=1) == k).mean()) for k in (0, 1)]
        score = sum(recalls) / 2
        if score < 0.4:
            raise CheckFailedError(
                f"balanced accuracy {score:.2f} on two classes far apart: columns must follow "
                "view.classes"
            )
        return f"balanced accuracy {score:.2f} on two classes far apart"

    def sizes(self, classes: int, channels: int) -> str:
        """Other numbers of classes and channels."""
        case = self.case(self.pair(classes, channels))
        case.predict(case.train())
        return channels_of(case.cell.pair)

    def one_trial(self) -> None:
        """The least that few-shot can grant."""
        pair, protocol = self.pair(), FewShot.model_validate({"calibration_trials": 1})
        try:
            case = Case.of(self.method(), protocol, pair)
        except IncompatibleError as reason:
            raise CheckSkippedError(reason.message) from reason
        case.predict(case.train())

    def saves(self) -> None:
        """What is loaded predicts as what was saved."""
        case, predictor, proba = self.base()
        if getattr(predictor, "payload", None) is None:
            raise CheckSkippedError("its models have no payload()")
        try:
            check_library("torch", "a saved model")
        except MissingLibraryError as error:
            raise CheckSkippedError(error.message) from error
        import torch

        content = torch.load(io.BytesIO(pack(case.cell.method, predictor)), weights_only=True)
        restored = self.cls(self.cls.parse(content["params"])).restore(content["payload"])
        same(proba, case.predict(restored), "the loaded model", 1e-6)

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
    return fold.changed(test=wrong)
