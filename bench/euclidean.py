"""Euclidean alignment: windows whitened by a subject's mean covariance (He and Wu, TBME 2020).

X' = R^(-1/2) X with R the mean of X X^T / T over windows: the mean covariance of every subject is
then the identity, whatever cap, reference and amplifier. Whose windows R comes from is decided by
the scope of the scaling (:mod:`.scaling`), as for every other scaler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .windows import UnlabelledWindows, Windows

W = TypeVar("W", Windows, UnlabelledWindows)
#: Eigenvalues below this share of the largest count as this share: channels of an average
#: reference are linearly dependent.
FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Whitener:
    """Linear map of channels.

    Attributes
    ----------
    matrix : (channels, channels) float64
    """

    matrix: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> Whitener:
        """Inverse square root of the mean covariance of windows (n, channels, samples)."""
        samples = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(x.shape[1], -1)
        covariance = (samples @ samples.T).astype(np.float64) / samples.shape[1]
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, FLOOR * max(values[-1], np.finfo(np.float64).tiny))
        return cls((vectors / np.sqrt(values)) @ vectors.T)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whiten windows (n, channels, samples), each on its own."""
        return np.matmul(self.matrix.astype(np.float32), x)

    def apply(self, windows: W) -> W:
        """Whiten windows, labelled or not."""
        return windows.with_x(self(windows.x))
