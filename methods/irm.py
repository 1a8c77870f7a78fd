"""IRM: a representation for which one classifier suits all subjects (Arjovsky et al., 2019)."""

from __future__ import annotations

from typing import ClassVar

from bench.training import Losses

from .shared.losses.transfer import cross_entropy, domain_means, irm
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .vrex import PenaltyParams


class IRM(Supervised):
    """IRMv1: minimise mean_d [L_d + weight * |d L_d(w f) / d w at w = 1|^2]."""

    name: ClassVar[str] = "irm"
    Params = PenaltyParams
    params: PenaltyParams

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean risk of the subjects and the penalty."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        means, present = domain_means(cross_entropy(logits, batch.y), batch.domain, net.domains)
        risk = means.sum(dim=1) / present.sum(dim=1)
        penalty = irm(logits, batch.y, batch.domain, net.domains)
        total = self.params.scaled(risk, penalty, batch.progress)
        return {"total": total, "risk": risk, "penalty": penalty}
