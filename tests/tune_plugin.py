"""A method of the tuning's tests whose best parameters are known, given to it by --include."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Literal

import numpy as np

from bench.errors import DivergedError
from bench.method import Context, Method, Needs, NoParams, Params, hyper
from bench.protocols.base import View
from bench.registry import Entry

EPOCHS = 6


class BiasedMean:
    def __init__(self, means: np.ndarray, bias: float) -> None:
        self.means, self.bias = means, bias

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        far = np.square(x[:, None].astype(float) - self.means).mean(axis=(2, 3))
        far[:, 0] += self.bias
        p = np.exp(far.min(axis=1, keepdims=True) - far)
        return p / p.sum(axis=1, keepdims=True)


class BiasedParams(Params):
    bias: float = hyper(1.0, "against the first class; 0 is best", stage="fit", tune=(-2.0, 2.0))
    used: int = hyper(3, "features used", stage="fit", ge=1, le=5, tune=(1, 5))
    side: Literal["left", "right"] = hyper(
        "left", "from which side", stage="fit", tune=("left", "right"), scale="choice")
    rate: float = hyper(0.1, "has no effect", stage="fit", gt=0, tune=(0.01, 1.0), scale="log")
    sleep: float = hyper(0.0, "seconds a fold takes", stage="fit", ge=0)
    floor: float = hyper(-9.0, "diverges where the bias is below", stage="fit")


class Biased(Method):
    """Nearest mean of some features, with a bias that wears off while it trains."""

    name: ClassVar[str] = "biased"
    Params = BiasedParams
    params: BiasedParams
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> BiasedMean:
        q = self.params
        time.sleep(q.sleep)
        if q.bias < q.floor:
            raise DivergedError("the loss is not finite")
        assert view.calibration is not None
        c = view.calibration
        means = np.stack([c.x[c.y == k].astype(float).mean(axis=0) for k in range(2)])
        keep = slice(0, q.used) if q.side == "left" else slice(-q.used, None)
        drop = np.ones(means.shape[-1], bool)
        drop[keep] = False
        means[..., drop] = means[..., drop].mean(axis=0)
        for epoch in range(1, EPOCHS + 1):
            found = BiasedMean(means, 0.02 * q.bias * (1 + EPOCHS - epoch))
            ctx.epoch(epoch, EPOCHS, {"total": 1 / epoch}, found)
        return found


class Plain(Method):
    name: ClassVar[str] = "plain"
    Params = NoParams
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> BiasedMean:
        return BiasedMean(np.zeros((2, 1, 1)), 0.0)


CATALOGUE = [Entry("biased", ":Biased"), Entry("plain", ":Plain")]
