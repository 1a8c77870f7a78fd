"""TENT: minimise the entropy of predictions (Wang et al., ICLR 2021).

Equation
--------
mean_i H(p_i) over tested windows, by scale and shift of each normalisation

Adapted
-------
all tested windows are one batch
    batches of neighbouring windows, as in a stream, would each hold one trial and one class.
several steps are taken on it
    the published method takes one step on each batch of a stream.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method import hyper

from .shared.losses.transfer import entropy
from .shared.networks.layers import State, norm_names
from .shared.training.predicting import NetworkPredictor
from .shared.training.testtime import TestTime, TestTimeParams


class TENTParams(TestTimeParams):
    """Parameters of TENT."""

    steps: int = hyper(10, "steps of adaptation", stage="fit", ge=1, le=1000)
    tent_lr: float = hyper(
        1e-3, "learning rate of the adaptation", stage="fit", gt=0, le=1, tune=(1e-4, 1e-2),
        scale="log", per_model=0,
    )


class TENT(TestTime):
    """Batch statistics of the tested windows; gamma and beta minimise mean_i H(p_i).

    All tested windows are one batch and several steps are taken on it, where the published method
    takes one step on each batch of a stream.
    """

    name = "tent"
    Params = TENTParams
    params: TENTParams

    def adapted(self, base: NetworkPredictor, p: State, x: Tensor) -> Tensor:
        """Adapt scale and shift of each normalisation, then predict."""
        leaves = [p[n].requires_grad_() for n in norm_names(p)]
        adam = torch.optim.Adam(leaves, lr=self.params.tent_lr)
        for _ in range(self.params.steps):
            adam.zero_grad()
            h = base.encoder(p, x, training=True, dropout=False)
            entropy(base.head(p, h)).mean().backward()
            adam.step()
        with torch.no_grad():
            return base.head(p, base.encoder(p, x, training=True, dropout=False))
