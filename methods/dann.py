"""DANN: encodings by which no classifier tells the corpora apart (Ganin et al., JMLR 2016).

Equation
--------
CE(f(h_s), y) + BCE(d(R(h))), R the identity whose gradient is multiplied by
-weight * ramp(progress)

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
"""

from __future__ import annotations

from torch import Tensor

from .shared.losses.transfer import domain_confusion, reverse_gradient
from .shared.networks.layers import State
from .shared.training.alignment import Adversarial
from .shared.training.deep import Batch, Encodings, Network


class DANN(Adversarial):
    """CE(f(h_s), y) + BCE(d(R(h))), R reversing the gradient between encoder and d."""

    name = "dann"

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Cross-entropy of the domain classifier, its gradient reversed for the encoder."""
        classify, strength = self.classifier(net), self.strength(batch)
        logits = [classify(p, reverse_gradient(side, strength)).squeeze(2) for side in h]
        return domain_confusion(logits[0], logits[1])
