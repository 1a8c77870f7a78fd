"""Scaling as fitted state with a declared scope.

Which windows the statistics come from is as much part of a result as the method: min-max fitted
on the test split, as in much published code, is transductive use of test data. The scope is
written into each record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import UnknownNameError, UnsuitedError
from .protocol import Fold, Protocol, View
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
    """Which scaler; the source goes by its own statistics, the target by what is granted of it.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    """

    kind: str = "min-max"

    def folds(self, folds: Sequence[Fold]) -> list[Fold]:
        """Folds with every part scaled; folds that share a source go on sharing it."""
        sources: dict[int, tuple[Scaler, Windows | UnlabelledWindows]] = {}
        return [self._fold(fold, sources) for fold in folds]

    def _fold(
        self, fold: Fold, sources: dict[int, tuple[Scaler, Windows | UnlabelledWindows]]
    ) -> Fold:
        view = fold.view
        source, scaler = view.source, None
        if source is not None:
            if id(source) not in sources:
                own = Scaler.fit(source.x, self.kind)
                sources[id(source)] = own, source.with_x(own(source.x))
            scaler, source = sources[id(source)]
        # Not the tested windows: where the protocol grants them, they stand in ``unlabelled``.
        granted = view.unlabelled if view.calibration is None else view.calibration
        if granted is not None:
            scaler = Scaler.fit(granted.x, self.kind)
        if scaler is None:
            raise UnsuitedError("the protocol grants no window to scale the target by")
        changed = View(
            source=source, classes=view.classes,
            calibration=None if view.calibration is None else scaler.apply(view.calibration),
            unlabelled=None if view.unlabelled is None else scaler.apply(view.unlabelled),
        )
        return Fold(fold.subject, fold.session, changed, scaler.apply(fold.open_test()))

    def describe(self, protocol: Protocol) -> dict[str, str]:
        """Scope of the statistics under a protocol, for the record."""
        target = "source"
        if "calibration" in protocol.grants:
            target = "calibration"
        elif "unlabelled" in protocol.grants:
            target = "unlabelled (tested windows)" if protocol.transductive else "unlabelled"
        return {"name": self.kind, "source": "source", "target": target}
