"""BiDANN: a domain classifier for each hemisphere and one for both (Li et al., TAFFC 2021).

10.1109/TAFFC.2018.2885474. An encoder for the electrodes of each side of the head; encodings of the
left, of the right, and of both are such that no classifier tells the corpora apart.

The authors published no code; the sum of the terms, each at its full weight, is that of
XJTU-EEG/LibEER@dddff97 (models/BiDANN.py, Trainer/BiDANNTraining.py).

Equation
--------
CE(f(h_l, h_r), y) + BCE(d_l(R(h_l))) + BCE(d_r(R(h_r))) + BCE(d(R(h_l, h_r))), R the identity whose
gradient is multiplied by -weight * ramp(progress)

Adapted
-------
the encoder of a hemisphere is that of all methods here
    windows are predicted on their own; the original runs LSTMs along nine of them.
electrodes of the midline are left out
    a side's electrodes have their mirror images on the other.
the gradient's factor is reached on a ramp
    as of the other adversarial methods here.
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
under few-shot the head gives way to a new one
    the target's classes are others than the source's there.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from bench.data.windows import Space
from bench.draws import Draws

from .shared.losses.transfer import domain_confusion, reverse_gradient
from .shared.networks.electrodes import Hemispheres, mirrored
from .shared.networks.layers import Mlp, State
from .shared.training.alignment import Adversarial
from .shared.training.deep import Batch, Encodings, Network


class BiDANN(Adversarial):
    """CE + BCE of the left, the right and both, each behind a reversed gradient."""

    name = "bidann"

    def encoder(self, space: Space) -> Hemispheres:
        """The backbone once for each side."""
        rows = mirrored(space.channels)
        left, right = (
            super(BiDANN, self).encoder(
                replace(space, channels=tuple(space.channels[i] for i in side)))
            for side in rows
        )
        return Hemispheres(len(space.channels), space.width, left, right, rows)

    def check_space(self, space: Space) -> None:
        """Also refuse channels of which none has its mirror image."""
        super().check_space(space)
        mirrored(space.channels)

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Domain classifiers of the left, the right and both."""
        state: State = {}
        for classify in self._classifiers(net):
            state |= classify.init(g)
        return state

    @staticmethod
    def _classifiers(net: Network) -> tuple[Mlp, Mlp, Mlp]:
        both = net.encoder
        assert isinstance(both, Hemispheres)
        return (Mlp("domain_left", both.left.width), Mlp("domain_right", both.right.width),
                Mlp("domain", both.width))

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Cross-entropy of the three domain classifiers, reversed for the encoders."""
        both = net.encoder
        assert isinstance(both, Hemispheres)
        edge = both.left.width
        parts = [(side[..., :edge], side[..., edge:], side) for side in h]
        total = h[0].new_zeros(len(h[0]))
        for classify, source, target in zip(self._classifiers(net), *parts, strict=True):
            logits = [classify(p, reverse_gradient(side, self.strength(batch))).squeeze(2)
                      for side in (source, target)]
            total = total + domain_confusion(logits[0], logits[1])
        return total
