"""Majority class: what a method that ignores the EEG would score.

Equation
--------
p(k | x) = n_k / n, the share of class k among the windows that are counted
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.windows import Windows
from bench.method import Context, Method, Needs
from bench.protocols.base import View
from bench.registry import ANY_FEATURES


class Majority(Method):
    """Predict the class frequencies of the calibration windows, or else of the source's."""

    name = "majority"
    kind = "control"
    seeded = False
    needs = Needs(source="none", calibration=True, features=ANY_FEATURES)

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Source labels only where there is no calibration to count."""
        if "calibration" in grants:
            return self.needs
        return Needs(source="labelled", features=self.needs.features)

    def fit(self, view: View, state: Any, ctx: Context) -> Constant:
        """Count the windows of each class."""
        known = view.source if view.calibration is None else view.calibration
        if not isinstance(known, Windows):
            raise ValueError(f"{self.name} needs labelled windows to count")
        counts = np.bincount(known.y, minlength=len(view.classes))
        return Constant(counts / counts.sum())

    def restore(self, payload: dict[str, Any]) -> Constant:
        """Predictor from a saved payload."""
        return Constant(np.asarray(payload["shares"], dtype=np.float64))


class Constant:
    """The same probabilities for every window."""

    def __init__(self, shares: NDArray[np.float64]) -> None:
        self.shares = shares

    def payload(self) -> dict[str, Any]:
        """The shares, for saving."""
        return {"shares": self.shares.tolist()}

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.tile(self.shares, (len(x), 1))
