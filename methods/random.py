"""Stratified random: classes drawn by their frequencies, whatever the window.

Equation
--------
p(x) = 1 for one class, drawn with the probabilities n_k / n
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.windows import Windows
from bench.method import Context, Method, Needs
from bench.protocols.base import View
from bench.registry import ANY_FEATURES


class Random(Method):
    """Draw classes with the frequencies of the calibration windows, or else of the source's."""

    name = "random"
    kind = "control"
    needs = Needs(source="none", calibration=True, features=ANY_FEATURES)

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Source labels only where there is no calibration to count."""
        if "calibration" in grants:
            return self.needs
        return Needs(source="labelled", features=self.needs.features)

    def fit(self, view: View, state: Any, ctx: Context) -> Draw:
        """Count the windows of each class."""
        known = view.source if view.calibration is None else view.calibration
        if not isinstance(known, Windows):
            raise ValueError("random needs labelled windows to count")
        counts = np.bincount(known.y, minlength=len(view.classes))
        return Draw(counts / counts.sum(), ctx.seed("classes"))

    def restore(self, payload: dict[str, Any]) -> Draw:
        """Predictor from a saved payload."""
        return Draw(np.asarray(payload["shares"], dtype=np.float64), int(payload["seed"]))


class Draw:
    """All probability on one class, drawn from a hash of seed and window.

    A generator would make a window's class depend on how many were predicted before it.
    """

    def __init__(self, shares: NDArray[np.float64], seed: int) -> None:
        self.shares, self.seed = shares, seed

    def payload(self) -> dict[str, Any]:
        """Shares and seed, for saving."""
        return {"shares": self.shares.tolist(), "seed": self.seed}

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes), each 0 or 1."""
        salt = self.seed.to_bytes(8, "big")
        rows = (np.ascontiguousarray(window, dtype="<f4").tobytes() for window in x)
        draws = [int.from_bytes(hashlib.sha256(salt + row).digest()[:8], "big") for row in rows]
        # The last edge is left out: rounding must not leave a draw beyond all classes.
        drawn = np.searchsorted(
            np.cumsum(self.shares)[:-1], np.array(draws, dtype=np.float64) / 2.0**64, side="right"
        )
        return np.eye(len(self.shares))[drawn]
