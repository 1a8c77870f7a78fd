"""Linear probe: how much a frozen encoder's output says about the classes, linearly."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.windows import Windows

from ..networks.backbones import encoder_from
from ..networks.layers import Encoder, State


class ProbePredictor:
    """Multinomial logistic regression on the standardised output of a frozen encoder.

    Parameters
    ----------
    weight : (classes, width) Tensor
        On the encoder's output; the standardisation is multiplied in.
    bias : (classes,) Tensor
        Minus infinity for classes that did not occur.
    """

    def __init__(self, encoder: Encoder, state: State, weight: Tensor, bias: Tensor) -> None:
        self.encoder, self.state, self.weight, self.bias = encoder, state, weight, bias

    @classmethod
    def fit(
        cls, encoder: Encoder, state: State, calibration: Windows, classes: tuple[str, ...]
    ) -> ProbePredictor:
        """Fit on calibration windows (n, channels, features)."""
        from sklearn.linear_model import LogisticRegression

        h = _encode(encoder, state, calibration.x).double().numpy()
        mean, scale = h.mean(axis=0), h.std(axis=0)
        scale[scale == 0] = 1.0
        model = LogisticRegression(max_iter=2000, C=0.1).fit((h - mean) / scale, calibration.y)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.r_[0.0, intercepts]
        weight = np.zeros((len(classes), encoder.width))
        bias = np.full(len(classes), -np.inf)
        weight[model.classes_] = coefficients / scale
        bias[model.classes_] = intercepts - (coefficients / scale) @ mean
        return cls(encoder, state, torch.from_numpy(weight), torch.from_numpy(bias))

    @classmethod
    def restore(cls, payload: dict[str, Any]) -> ProbePredictor:
        """From a saved payload."""
        return cls(
            encoder_from(payload["encoder"]), payload["state"], payload["weight"],
            payload["bias"],
        )

    def payload(self) -> dict[str, Any]:
        """Shapes and weights, for saving."""
        return {"encoder": asdict(self.encoder), "state": self.state, "weight": self.weight,
                "bias": self.bias}

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        h = _encode(self.encoder, self.state, x).double()
        return torch.softmax(h @ self.weight.T + self.bias, dim=1).numpy()

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Output of the frozen encoder (n, width) for windows (n, channels, features)."""
        return _encode(self.encoder, self.state, x).double().numpy()

    def parameters(self) -> int:
        """Number of trained parameters: those of the linear map."""
        return self.weight.numel() + self.bias.numel()


def _encode(encoder: Encoder, state: State, x: NDArray[np.float32]) -> Tensor:
    """Output (n, width) of the encoder under its running statistics."""
    with torch.no_grad():
        p = {name: t.unsqueeze(0).float() for name, t in state.items()}
        return encoder(p, torch.from_numpy(x).unsqueeze(0), training=False)[0]
