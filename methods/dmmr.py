"""DMMR: what one subject's window would be in all others (Wang, Zhang and Tang, AAAI 2024).

An encoder that hides the subject; a decoder for each source subject. What the decoders make of a
noisy window is added up and encoded again, and each decoder is to rebuild from that a window of its
own subject that is of the same class. Then a head is trained on the encoder.

Written from the authors' code (CodeBreathing/DMMR@5fd5e6e model.py, train.py).

Equation
--------
sum over subjects d of |D_d(E(sum_i D_i(h))) - x_d|^2 + beta * CE(s(R(h)), subject); h = E(noisy x),
x_d a window of d of the class of x, R the identity whose gradient is multiplied by -ramp(progress)

Adapted
-------
a window is a sequence of one step
    windows are predicted on their own; the original reads 10 or 30 of them by LSTMs, whose decoders
    are for one step the linear map that they are here.
noise hides a fifth of the channels
    of one step there is no order to shuffle; this is one of the other noises of the authors' code.
no weighting of features before the encoder
    the encoder is that of all methods here; the original's is a softmax over features.
a subject that has no window of a class in the batch is not rebuilt from it
    the original's batches hold a fixed number of each subject's.
a batch holds windows of all subjects, of which one step is taken
    the original takes a step for each subject in turn, 14 times as many as other methods here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.field import reconstruction, same_class_of
from .shared.losses.transfer import cross_entropy, reverse_gradient
from .shared.networks.layers import State, init_linear, linear
from .shared.training.alignment import ramp
from .shared.training.deep import Batch, LabelledPretraining, Network
from .shared.training.finetuning import NetworkParams


class DMMRParams(NetworkParams):
    """Parameters of DMMR."""

    beta: float = hyper(
        0.05, "weight of the subject classifier", stage="pretrain", ge=0, tune=(0.005, 0.5),
        scale="log", per_model=0,
    )
    hidden_channels: float = hyper(
        0.2, "share of the channels that noise hides", stage="pretrain", ge=0, lt=1,
    )


class DMMR(LabelledPretraining):
    """Rebuild windows of every source subject from a mixture of all, hiding the subject."""

    name = "dmmr"
    Params = DMMRParams
    params: DMMRParams

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Decoders of all subjects, and the subject classifier."""
        shape = net.encoder.channels * net.encoder.features
        return (init_linear("decoder", net.domains * shape, net.encoder.width, g)
                | init_linear("subject", net.domains, net.encoder.width, g))

    def draw(self, net: Network, batch: int, g: Draws) -> tuple[Tensor, Tensor]:
        """Channels that are kept (K, C), and what decides between windows of a class (K, B, B)."""
        channels = net.encoder.channels
        hidden = int(channels * self.params.hidden_channels)
        return g.permutation(channels) >= hidden, g.uniform(batch, batch)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Reconstruction of each subject's window, and the subject classifier."""
        kept, chance = batch.drawn
        noisy = batch.x * kept[:, None, :, None]
        h = net.encoder(p, noisy, training=True)
        subject = cross_entropy(
            linear(p, "subject", reverse_gradient(h, ramp(batch.progress))), batch.domain
        ).mean(dim=1)
        mixture = self._decoded(net, p, h).sum(dim=2).view(batch.x.shape)
        rebuilt = self._decoded(net, p, net.encoder(p, mixture, training=True))
        chosen, known = same_class_of(batch.y, batch.domain, net.domains, chance.to(h))
        flat = batch.x.flatten(2)
        models = torch.arange(len(flat), device=flat.device)[:, None, None]
        rebuilding = reconstruction(rebuilt, flat[models, chosen], known)
        total = rebuilding + self.params.beta * subject
        return {"total": total, "reconstruction": rebuilding, "subject": subject}

    @staticmethod
    def _decoded(net: Network, p: State, h: Tensor) -> Tensor:
        """Flattened windows (K, B, D, C * F) of every subject's decoder."""
        return linear(p, "decoder", h).unflatten(2, (net.domains, -1))
