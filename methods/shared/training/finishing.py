"""How the training of a head ends: averaged weights, and settled batch normalisation.

A head that is trained on few windows by steps of one size ends wherever its last step left it:
tested accuracy then moves by points from epoch to epoch. Here the rate falls to zero (see
:class:`~bench.training.Optimiser`), what predicts are weights averaged over the last part of the
training, and the statistics of batch normalisation are those of the windows that were trained on.

Both hold at any epoch and not only at the last: what is shown to the engine after an epoch is what
would predict if the training ended there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.training import Moment, is_buffer

from ..networks.layers import MOMENTUM, Encoder, State, names_of

#: Most windows by which statistics are settled.
SETTLED_BY = 1024


class Finish:
    """Weights that predict, of K models that are being trained.

    Parameters
    ----------
    encoder : Encoder
    model : dict of (K, ...) Tensor
        What is trained: encoder and head.
    average : float
        Over which share of the steps so far weights are averaged, about; 0: not at all.
    settled_by : (K, n, C, F) Tensor or None
        Windows whose statistics batch normalisation is left with; None: running averages over the
        batches of the training.
    """

    def __init__(
        self, encoder: Encoder, model: State, average: float, settled_by: Tensor | None
    ) -> None:
        self.encoder, self.model, self.settled_by = encoder, model, settled_by
        # Weights of step s count as s to this power: an average over the last share of the steps
        # is as old on the mean, but would have to know where the training ends.
        self.power = None if not average else 2 / average - 2
        plain = self.power is None and settled_by is None
        #: What predicts; the trained tensors themselves where nothing is done to them.
        self.shown: State = model if plain else {
            name: t.detach().clone() for name, t in model.items()
        }

    @torch.no_grad()
    def after_step(self, at: Moment) -> None:
        """Take in the weights of a step; the moment is that of the next."""
        if self.power is None:
            return
        step = at.step.to(next(iter(self.model.values())).dtype)
        share = (self.power + 1) / (step + self.power)
        for name, tensor in self.model.items():
            if not is_buffer(name):
                self.shown[name].lerp_(tensor, share)

    @torch.no_grad()
    def settle(self) -> State:
        """What predicts, with its statistics as they are to be."""
        if self.shown is self.model:
            return self.shown
        for name, tensor in self.model.items():
            if is_buffer(name) or self.power is None:
                self.shown[name].copy_(tensor)
        if self.settled_by is None:
            return self.shown
        statistics = [n for n in names_of(self.encoder) if n.endswith(("_mean", "_var"))
                      and is_buffer(n)]
        if not statistics:
            return self.shown
        for name in statistics:
            self.shown[name].zero_()
        # One pass over all: each layer then works under the statistics that it is left with.
        self.encoder(self.shown, self.settled_by, training=True, dropout=False)
        for name in statistics:
            self.shown[name].div_(MOMENTUM)
        return self.shown


def settling(x: Tensor, draws: Draws) -> Tensor:
    """Windows (K, m, C, F) of (K, n, C, F) to settle statistics by: all, or some of many."""
    if x.shape[1] <= SETTLED_BY:
        return x
    chosen = draws.permutation(x.shape[1], take=SETTLED_BY)
    return torch.stack([windows[index] for windows, index in zip(x, chosen, strict=True)])
