"""AdaBN: batch normalisation by the statistics of the tested windows (Li et al., 2018).

Equation
--------
f(h), each normalisation by mean and variance of the tested windows

Adapted
-------
all tested windows are one batch
    batches of neighbouring windows, as in a stream, would each hold one trial and one class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .shared.networks.layers import State
from .shared.training.predicting import NetworkPredictor
from .shared.training.testtime import TestTime


class AdaBN(TestTime):
    """Replace mean and variance of each normalisation by those of the windows to predict."""

    name = "adabn"

    def adapted(self, base: NetworkPredictor, p: State, x: Tensor) -> Tensor:
        """One pass with batch statistics; nothing is learnt."""
        with torch.no_grad():
            return base.head(p, base.encoder(p, x, training=True, dropout=False))
