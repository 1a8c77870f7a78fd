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

from bench.method import Context
from bench.protocols.base import View

from .majority import Constant, Majority


class Random(Majority):
    """Draw classes with the frequencies that majority counts, and needs for it what that does."""

    name = "random"
    seeded = True

    def fit(self, view: View, state: Any, ctx: Context) -> Draw:
        """Count the windows of each class."""
        return Draw(super().fit(view, state, ctx).shares, ctx.seed("classes"))

    def restore(self, payload: dict[str, Any]) -> Draw:
        """Predictor from a saved payload."""
        return Draw(np.asarray(payload["shares"], dtype=np.float64), int(payload["seed"]))


class Draw(Constant):
    """All probability on one class, drawn from a hash of seed and window.

    A generator would make a window's class depend on how many were predicted before it.
    """

    def __init__(self, shares: NDArray[np.float64], seed: int) -> None:
        super().__init__(shares)
        self.seed = seed

    def payload(self) -> dict[str, Any]:
        """Shares and seed, for saving."""
        return super().payload() | {"seed": self.seed}

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
