"""Methods whose inflation under each shortcut can be worked out by hand."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from bench.method import Context, Method, Needs, Params, hyper
from bench.protocols.base import View
from bench.registry import Entry


class Given:
    """Probabilities from a function of windows to classes."""

    def __init__(self, name: Any, classes: int) -> None:
        self.name, self.classes = name, classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """One class of all, for certain."""
        return np.eye(self.classes)[self.name(x)]


class Memory(Method):
    """Nearest neighbour: knows every window it has seen, and nothing else."""

    name: ClassVar[str] = "memory"
    needs: ClassVar[Needs] = Needs(source="labelled")
    fitted: ClassVar[int] = 0

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Calibration windows where there are any, else the source."""
        if "calibration" in grants:
            return Needs(source="none", calibration=True)
        return self.needs

    def fit(self, view: View, state: Any, ctx: Context) -> Given:
        """Keep the windows."""
        type(self).fitted += 1
        known: Any = view.source if view.calibration is None else view.calibration
        points, labels = known.x.reshape(len(known), -1).astype(float), known.y

        def nearest(x: np.ndarray) -> np.ndarray:
            far = np.square(x.reshape(len(x), 1, -1) - points[None]).sum(axis=2)
            return labels[far.argmin(axis=1)]

        return Given(nearest, len(view.classes))


class Threshold(Method):
    """High above one half, low below: right if the target is scaled by what is tested."""

    name: ClassVar[str] = "threshold"
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> Given:
        """Learn nothing."""
        return Given(lambda x: (x.mean(axis=(1, 2)) > 0.5).astype(int), 2)


class Answer(Params):
    """Which windows are called high."""

    rule: Literal["right", "wrong", "low"] = hyper(
        "low", "above zero, below zero, or none", stage="fit", tune=["right", "wrong"],
        scale="choice",
    )


class Chosen(Method):
    """Right, wrong or blind as its parameter says; with seed 1 it is right by itself."""

    name: ClassVar[str] = "chosen"
    Params = Answer
    params: Answer
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> Given:
        """Learn nothing."""
        rule = "right" if ctx.seed_axes["seed"] == 1 else self.params.rule
        sign = {"right": 1, "wrong": -1, "low": 0}[rule]
        return Given(lambda x: (sign * x.mean(axis=(1, 2)) > 0).astype(int), 2)

    def shortcuts(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """A released code that is always right."""
        return [("released", "the released code test_access", "chosen", {"rule": "right"})]


class Coin(Method):
    """Fifty epochs of guesses that depend on the trial alone."""

    name: ClassVar[str] = "coin"
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> Given:
        """Guess anew in each epoch."""
        rng, classes = ctx.rng("guess"), len(view.classes)
        guess = None
        for epoch in range(1, 51):
            w = rng.normal(size=(10, classes))
            guess = Given(lambda x, w=w: (x.reshape(len(x), -1) @ w).argmax(axis=1), classes)
            ctx.epoch(epoch, 50, {"total": 1.0}, guess)
        assert guess is not None
        return guess


CATALOGUE = [
    Entry("memory", ":Memory"), Entry("threshold", ":Threshold"), Entry("chosen", ":Chosen"),
    Entry("coin", ":Coin"),
]
