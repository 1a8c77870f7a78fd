"""Masked autoencoder: reconstruct what was hidden from the rest (He et al., CVPR 2022).

Equation
--------
mean over hidden entries of (decoder(encoder(x with a token in hidden places)) - x)^2

Adapted
-------
a patch is a channel with all its bands, or a single entry
    windows of differential entropy are maps of the scalp.
hidden entries hold a learnt token
    the shared encoder takes windows of full size; the original leaves them out.
the decoder is a small perceptron
    windows have some hundred entries, not 196 patches of an image.
half of the patches are hidden, not 75 %
    channels are fewer than patches of an image, and differ more.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.scmm import window_mask
from .shared.losses.selfsupervised import masked_error
from .shared.networks.layers import Mlp, State
from .shared.training.arranging import PretextParams
from .shared.training.selfsupervised import Pretext, SelfSupervised


class MAEParams(PretextParams):
    """Parameters of the masked autoencoder."""

    mask_ratio: float = hyper(
        0.5, "share of patches that is hidden", stage="pretrain", gt=0, lt=1, tune=(0.2, 0.9),
        per_model=0,
    )
    patch: Literal["channel", "entry"] = hyper(
        "channel", "what is hidden as a whole: a channel, or single entries (of raw windows: "
        "stretches)", stage="pretrain",
    )
    decoder: int = hyper(256, "hidden units of the decoder", stage="pretrain", ge=1, le=8192)


class MAETask(Pretext):
    """Encoder of windows with a token in hidden places, and decoder."""

    params: MAEParams

    @property
    def decoder(self) -> Mlp:
        """From an encoding to all entries of a window."""
        entries = self.encoder.channels * self.encoder.features
        return Mlp("decoder", self.encoder.width, entries, self.params.decoder)

    def init(self, g: Draws) -> State:
        """Decoder, and the token (C, F) that stands for a hidden entry."""
        decoder = self.decoder.init(g)
        return decoder | {"token": 0.02 * g.normal(self.encoder.channels, self.encoder.features)}

    def noise(self, batch: int, g: Draws) -> Tensor:
        """Which entries to keep, (K, B, C, F) booleans."""
        whole = 1.0 if self.params.patch == "channel" else 0.0
        shape = (batch, self.encoder.channels, self.encoder.features)
        return window_mask(shape, self.params.mask_ratio, whole, g, self.encoder.raw)

    def losses(self, p: State, x: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Error over hidden entries of windows (K, B, C, F), (K,)."""
        seen = torch.where(keep, x, p["token"].unsqueeze(1))
        reconstruction = self.decoder(p, self.encoder(p, seen, training=True)).view_as(x)
        return {"total": masked_error(reconstruction, x, keep)}


class MAE(SelfSupervised):
    """Masked autoencoder of channels."""

    name = "mae"
    Params = MAEParams
    task = MAETask
