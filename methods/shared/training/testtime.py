"""What test-time adaptation shares: source training, and a predictor that adapts as it predicts.

Each call of ``predict_proba`` starts from the trained network and sees the windows passed as one
batch: batches of neighbouring windows, as in a stream, would each hold one trial and one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator
from torch import Tensor

from bench.method import Job, LostPredictor, Predictor

from ..networks.layers import State
from .deep import Supervised
from .finetuning import NetworkParams
from .predicting import NetworkPredictor


class TestTimeParams(NetworkParams):
    """Parameters of test-time adaptation; only a trained head can be adapted."""

    @field_validator("finetune")
    @classmethod
    def _trained_head(cls, value: str) -> str:
        if value == "probe":
            raise ValueError("test-time adaptation needs a trained head: finetune=full or partial")
        return value


class TestTime(Supervised):
    """Train as source-only does, adapt to the tested windows at prediction."""

    Params = TestTimeParams
    transductive = True

    def adapted(self, base: NetworkPredictor, p: State, x: Tensor) -> Tensor:
        """Logits (1, n, c) of windows (1, n, C, F); ``p`` is a copy that may be changed."""
        raise NotImplementedError

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Predictors of source-only, made adaptive."""
        return [
            p if isinstance(p, LostPredictor)
            else AdaptivePredictor(self.alone(job.ctx), _network(p))
            for job, p in zip(jobs, super().fit_many(jobs), strict=True)
        ]

    def predicting(self, network: NetworkPredictor) -> Predictor:
        """The network, made adaptive: so its epochs are compared as they would predict."""
        return AdaptivePredictor(self, network)

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload."""
        return AdaptivePredictor(self, _network(super().restore(payload)))


class AdaptivePredictor:
    """Predict by a network that first adapts to the windows to predict."""

    def __init__(self, method: TestTime, base: NetworkPredictor) -> None:
        self.method, self.base = method, base

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features), adapted to all of them."""
        p = {name: t.detach().unsqueeze(0).clone() for name, t in self.base.state.items()}
        some = next(iter(p.values()))
        data = torch.from_numpy(np.ascontiguousarray(x)).to(some.device, some.dtype)
        logits = self.method.adapted(self.base, p, data.unsqueeze(0))[0].detach()
        return torch.softmax(logits.double(), dim=1).cpu().numpy()

    def payload(self) -> dict[str, Any]:
        """Of the network as trained."""
        return self.base.payload()

    def parameters(self) -> int:
        """Number of trained parameters."""
        return self.base.parameters()


def _network(predictor: Predictor) -> NetworkPredictor:
    if not isinstance(predictor, NetworkPredictor):
        raise ValueError(f"test-time adaptation needs a network, not {type(predictor).__name__}")
    return predictor
