"""CDAN+E: DANN on encodings times class probabilities (Long et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import ClassVar

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

    name: ClassVar[str] = "cdan"

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
