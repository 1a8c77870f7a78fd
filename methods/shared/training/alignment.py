"""What adaptation by a distance shares: cross-entropy of the source plus a weighted term."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from ..losses.transfer import cross_entropy
from ..networks.layers import Mlp, State
from .deep import Adaptation, Batch, Encodings, Network
from .finetuning import NetworkParams


def ramp(progress: Tensor) -> Tensor:
    """Schedule of Ganin et al., 2 / (1 + exp(-10 p)) - 1: from 0 to 1 over the training."""
    return 2 / (1 + torch.exp(-10 * progress)) - 1


class AlignmentParams(NetworkParams):
    """Parameters of adaptation by a distance."""

    weight: float = hyper(
        1.0, "weight of the adaptation term, reached on a ramp", stage="pretrain", ge=0,
        tune=(0.01, 10.0), scale="log", per_model=0,
    )


class Alignment(Adaptation):
    """Minimise CE(source) + weight * ramp(progress) * distance(source, target)."""

    Params = AlignmentParams
    params: AlignmentParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Distance (K,) of the two sides' encodings; all that a method gives."""
        raise NotImplementedError

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of the source and the distance."""
        h = net.encode(p, batch)
        risk = cross_entropy(net.head(p, h[0]), batch.y).mean(dim=1)
        distance = self.distance(net, p, batch, h)
        total = risk + self.strength(batch) * distance
        return {"total": total, "risk": risk, "adaptation": distance}

    def strength(self, batch: Batch) -> Tensor:
        """Weight of the adaptation term at this point of the training."""
        return self.params.weight * ramp(batch.progress)


class Adversarial(Alignment):
    """Adaptation against a domain classifier d: CE(f(h_s), y) + BCE(d(R(h))).

    R is the identity; the gradient it lets through to the encoder is multiplied by
    -weight * ramp(progress), so that d itself is trained at full strength from the start.
    """

    def classifier(self, net: Network) -> Mlp:
        """Shape of the domain classifier."""
        return Mlp("domain", net.encoder.width)

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Domain classifier."""
        return self.classifier(net).init(g)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of the source and of the domain classifier."""
        h = net.encode(p, batch)
        risk = cross_entropy(net.head(p, h[0]), batch.y).mean(dim=1)
        domain = self.distance(net, p, batch, h)
        return {"total": risk + domain, "risk": risk, "domain": domain}
