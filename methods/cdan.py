"""CDAN+E: DANN on encodings times class probabilities (Long et al., NeurIPS 2018).

Equation
--------
CE(f(h_s), y) + BCE(d(R(h (x) p))), windows of a side weighted by 1 + exp(-H(p)); R as in dann

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
weights of windows are constants
    as in thuml/Transfer-Learning-Library@c4aa59e; in the authors' first code a reversed gradient
    passes through them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .shared.losses.transfer import domain_confusion, entropy, outer, reverse_gradient
from .shared.networks.layers import Mlp, State
from .shared.training.alignment import Adversarial
from .shared.training.deep import Batch, Encodings, Network


class CDAN(Adversarial):
    """DANN whose domain classifier sees h (x) p, windows weighted by 1 + exp(-entropy).

    Probabilities and weights are constants in the domain loss: only encodings are adversarial.
    """

    name = "cdan"

    def classifier(self, net: Network) -> Mlp:
        """Shape of the domain classifier: it sees every product h_i p_j."""
        return Mlp("domain", net.encoder.width * net.head.classes)

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Weighted cross-entropy of the conditional domain classifier."""
        logits, weights, strength = [], [], self.strength(batch)
        for side in h:
            z = net.head(p, side).detach()
            joint = reverse_gradient(outer(side, torch.softmax(z, dim=2)), strength)
            logits.append(self.classifier(net)(p, joint).squeeze(2))
            weights.append(1 + torch.exp(-entropy(z)))
        return domain_confusion(logits[0], logits[1], weights[0], weights[1])
