"""SimMTM: reconstruct windows from masked neighbours by similarity (Dong et al., NeurIPS 2023).

Several masked copies of each window are encoded. Their projections' similarities must put copies
of the same window together, and weight the encodings of all other windows and copies, from which
the window is decoded. SCMM (:mod:`.scmm`) is this with soft positives.

As in the released code (thuml/SimMTM@169513b), the contrast is summed over a row's positives, and
every row is rebuilt: a masked copy its own, masked input. The paper rebuilds the windows alone.

Equation
--------
L_c / (2 a^2) + log(1 + a^2) + L_r / (2 b^2) + log(1 + b^2), a and b learnt;
L_c = (1 / N) sum_i - sum over positives j of log softmax_j (cos(z_i, z_j) / t),
L_r = MSE(decoder(sum_j softmax_j (cos(z_i, z_j) / t) h_j), x_i) over all N rows

Adapted
-------
masks hide entries of (channels, bands) on their own; of raw windows stretches of 16 samples
    five bands are no series; the original hides stretches of three samples on average.
no dropout in the encoder
    all methods here share one encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.scmm import balanced_sum, masked_copies, rebuilding, window_mask
from .shared.losses.selfsupervised import aggregation
from .shared.networks.layers import State, init_linear, linear
from .shared.training.arranging import PretextParams
from .shared.training.selfsupervised import Projected, SelfSupervised, temperature


class SimMTMParams(PretextParams):
    """Parameters of SimMTM."""

    mask_ratio: float = hyper(
        0.5, "share of entries that a mask hides", stage="pretrain", gt=0, lt=1, tune=(0.2, 0.8),
        per_model=0,
    )
    masked_copies: int = hyper(3, "masked copies of each window", stage="pretrain", ge=1, le=8)
    temperature: float = temperature(0.2)


class SimMTMTask(Projected):
    """Aggregation of masked copies by similarity, and reconstruction."""

    params: SimMTMParams

    def init(self, g: Draws) -> State:
        """Projector, decoder, balance of the two losses."""
        size = self.encoder.channels * self.encoder.features
        return (
            self.projector.init(g)
            | init_linear("decoder", size, self.encoder.width, g)
            | {"loss_balance": torch.ones(2)}
        )

    def noise(self, batch: int, g: Draws) -> Tensor:
        """Masks (K, m, B, C, F) of one batch."""
        shape = (self.params.masked_copies, batch, self.encoder.channels, self.encoder.features)
        return window_mask(shape, self.params.mask_ratio, 0.0, g, self.encoder.raw)

    def losses(self, p: State, x: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Losses of windows (K, B, C, F) under masks (K, m, B, C, F), each (K,)."""
        windows = x.shape[1]
        rows = masked_copies(x, keep)
        h = self.encoder(p, rows, training=True)
        z = self.projector(p, h, training=True)
        weights, constraint = aggregation(z, windows, self.params.temperature)
        rebuilt = linear(p, "decoder", weights @ h)
        error = rebuilding(rebuilt, rows.flatten(2))
        total = balanced_sum(torch.stack([constraint, error], dim=1), p["loss_balance"])
        return {"total": total, "constraint": constraint, "reconstruction": error}


class SimMTM(SelfSupervised):
    """Simple masked time-series modelling."""

    name = "simmtm"
    Params = SimMTMParams
    task = SimMTMTask
