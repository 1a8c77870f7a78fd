"""What predicts of a trained network: encoder and head, each window on its own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.training import groups_of_equal, is_buffer

from ..networks.layers import Encoder, State

#: Most numbers in the windows of one pass of predictions: 256 MB of float32.
PASS = 2**26


class NetworkPredictor:
    """Encoder and head with running statistics: each window on its own.

    Parameters
    ----------
    encoder, head : Encoder and head
    state : dict of Tensor
        Of one model; or of a stack (K, ...), of which it is model ``k``.
    k : int, optional
    """

    def __init__(self, encoder: Encoder, head: Any, state: State, k: int | None = None) -> None:
        self.encoder, self.head, self.k, self._given = encoder, head, k, state

    @functools.cached_property
    def state(self) -> State:
        """Tensors of the model, without an axis of models."""
        if self.k is None:
            return self._given
        return {name: t[self.k] for name, t in self._given.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> NetworkPredictor:
        """The network as it is now: of a model in training, its own part of the stack."""
        now = {name: t.detach().clone() for name, t in self.state.items()}
        return NetworkPredictor(self.encoder, self.head, now)

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        p, h = self._encoded(x)
        with torch.no_grad():
            return torch.softmax(self.head(p, h)[0].double(), dim=1).cpu().numpy()

    @staticmethod
    @torch.no_grad()
    def predict_many(
        pairs: Sequence[tuple[NetworkPredictor, Tensor]]
    ) -> list[NDArray[np.float64]]:
        """Probabilities (n, classes) of pairs of a predictor and windows, in few passes.

        Windows (n, channels, features) may be differently many, and stand on any device: the
        passes are taken there.
        """
        out: dict[int, NDArray[np.float64]] = {}
        for group in groups_of_equal(pairs, lambda pair: (pair[0].encoder, pair[0].head)):
            first = pairs[group[0]]
            size = max(len(pairs[i][1]) for i in group) * first[1][0].numel()
            most = max(1, PASS // size)
            for some in (group[i : i + most] for i in range(0, len(group), most)):
                p = _side_by_side([pairs[i][0] for i in some], first[1])
                # Rows are predicted on their own, so that shorter ones may be filled up.
                x = torch.nn.utils.rnn.pad_sequence([pairs[i][1] for i in some], batch_first=True)
                logits = first[0].head(p, first[0].encoder(p, x, training=False))
                proba = torch.softmax(logits.double(), dim=2).cpu().numpy()
                out |= {i: proba[k, : len(pairs[i][1])] for k, i in enumerate(some)}
        return [out[i] for i in range(len(pairs))]

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Output of the encoder (n, width) for windows (n, channels, features)."""
        return self._encoded(x)[1][0].double().cpu().numpy()

    @torch.no_grad()
    def _encoded(self, x: NDArray[np.float32]) -> tuple[State, Tensor]:
        """State as a stack of one, and encodings (1, n, width) under its running statistics."""
        p = {name: t.detach().unsqueeze(0) for name, t in self.state.items()}
        some = next(iter(p.values()))
        data = torch.from_numpy(np.ascontiguousarray(x)).to(some.device, some.dtype)
        return p, self.encoder(p, data.unsqueeze(0), training=False)

    def payload(self) -> dict[str, Any]:
        """Shapes and weights, for saving."""
        return {
            "encoder": asdict(self.encoder), "head": asdict(self.head),
            "state": {name: t.detach().cpu() for name, t in self.state.items()},
        }

    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(t.numel() for name, t in self.state.items() if not is_buffer(name))


def _side_by_side(predictors: Sequence[NetworkPredictor], like: Tensor) -> State:
    """States of networks of equal shape as a stack, of the type and on the device of a tensor."""
    given = predictors[0]._given
    if [p.k for p in predictors] == list(range(len(next(iter(given.values()))))) and all(
        p._given is given for p in predictors
    ):  # they are a whole stack already
        return {name: t.detach().to(like) for name, t in given.items()}
    states = [p.state for p in predictors]
    return {name: torch.stack([s[name].detach() for s in states]).to(like) for name in states[0]}
