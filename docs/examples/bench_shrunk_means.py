"""shrunk-means: nearest class mean, pulled towards the source corpus."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.method import Context, Method, Needs, Params, hyper
from bench.protocols.base import View
from bench.registry import Entry

CATALOGUE = [Entry("shrunk-means", ":ShrunkMeans", "class means, pulled to the source")]


class ShrunkMeansParams(Params):
    """Parameters of shrunk-means."""

    trust: float = hyper(0.3, "weight of the source's means; 0 ignores the source",
                         stage="fit", ge=0, le=1, tune=(0.0, 1.0))


class ShrunkMeans(Method):
    """Class means of the calibration windows, mixed with those of the source."""

    name = "shrunk-means"
    Params = ShrunkMeansParams
    needs = Needs(source="labelled", calibration=True)
    maps_labels = True  # both corpora in the classes they have in common

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Mix the means; no randomness, so nothing is drawn from ``ctx``."""
        trust, classes = self.params.trust, range(len(view.classes))
        near, far = (
            np.stack([part.x[part.y == k].mean(axis=0) for k in classes])
            for part in (view.calibration, view.source)
        )
        return Predictor((1 - trust) * near + trust * far)


class Predictor:
    """What a fold's training yields."""

    def __init__(self, means: np.ndarray) -> None:
        self.means = means

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of windows (n, channels, features), each on its own."""
        far = ((x[:, None] - self.means) ** 2).sum(axis=(2, 3))
        p = np.exp(far.min(axis=1, keepdims=True) - far).astype(float)
        return p / p.sum(axis=1, keepdims=True)
