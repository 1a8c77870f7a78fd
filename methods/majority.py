"""Majority class: what a method that ignores the EEG would score."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.method import Context, Method, Needs
from bench.protocols.base import View
from bench.registry import ANY_FEATURES


class Majority(Method):
    """Predict the class frequencies of the calibration windows, whatever the window."""

    name: ClassVar[str] = "majority"
    kind: ClassVar[str] = "control"
    needs: ClassVar[Needs] = Needs(source="none", calibration=True, features=ANY_FEATURES)

    def fit(self, view: View, state: Any, ctx: Context) -> Constant:
        """Count the calibration windows of each class."""
        if view.calibration is None:
            raise ValueError("majority needs calibration windows")
        counts = np.bincount(view.calibration.y, minlength=len(view.classes))
        return Constant(counts / counts.sum())

    def restore(self, payload: dict[str, Any]) -> Constant:
        """Predictor from a saved payload."""
        return Constant(np.asarray(payload["shares"]))


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
