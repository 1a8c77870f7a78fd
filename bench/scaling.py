"""Scaling as fitted state with a declared scope.

Which windows the statistics come from is as much part of a result as the method: min-max fitted
on the test split, as in much published code, is transductive use of test data. The scope is
written into each record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import UnknownNameError, UnsuitedError
from .protocol import Fold, View
from .windows import UnlabelledWindows, Windows

Kind = Literal["min-max", "z-score", "robust", "none"]
W = TypeVar("W", Windows, UnlabelledWindows)
KINDS: tuple[str, ...] = ("min-max", "z-score", "robust", "none")


@dataclass(frozen=True, eq=False)
class Scaler:
    """Affine map per feature, (x - shift) / scale.

    Attributes
    ----------
    shift, scale : (channels, features) float64
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float32], kind: str = "min-max") -> Scaler:
        """Statistics of (windows, channels, features), one pair per (channel, feature).

        A feature that does not vary keeps scale 1.
        """
        data = x.astype(np.float64)
        if kind == "min-max":
            shift, scale = data.min(axis=0), np.ptp(data, axis=0)
        elif kind == "z-score":
            shift, scale = data.mean(axis=0), data.std(axis=0)
        elif kind == "robust":
            low, shift, high = np.percentile(data, [25, 50, 75], axis=0)
            scale = high - low
        elif kind == "none":
            shift, scale = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
        else:
            raise UnknownNameError("scaling", kind, KINDS)
        return cls(shift, np.where(scale > 0, scale, 1.0))

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale (windows, channels, features)."""
        return ((x - self.shift) / self.scale).astype(np.float32)

    def apply(self, windows: W) -> W:
        """Scale windows, labelled or not."""
        return windows.with_x(self(windows.x))


@dataclass(frozen=True)
class Scaling:
    """Which scaler, fitted on what: the source by its own statistics, the target by ``target``.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    target : {"calibration"}
        Windows the target's statistics come from.
    """

    kind: str = "min-max"
    target: str = "calibration"

    def source(self, source: Windows) -> Windows:
        """Source scaled by its own statistics."""
        return Scaler.fit(source.x, self.kind).apply(source)

    def fold(self, fold: Fold, source: Windows | UnlabelledWindows | None) -> Fold:
        """Fold with a source already scaled, and target parts scaled by what it grants."""
        calibration = fold.view.calibration
        if calibration is None:
            raise UnsuitedError("target scaling by calibration needs a protocol that grants some")
        scaler = Scaler.fit(calibration.x, self.kind)
        unlabelled = fold.view.unlabelled
        view = View(
            source=source, calibration=scaler.apply(calibration),
            unlabelled=None if unlabelled is None else scaler.apply(unlabelled),
            classes=fold.view.classes,
        )
        return Fold(fold.subject, fold.session, view, scaler.apply(fold.open_test()))

    def describe(self) -> dict[str, str]:
        """Scope of the statistics, for the record."""
        return {"name": self.kind, "source": "source", "target": self.target}
