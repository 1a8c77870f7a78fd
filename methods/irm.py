"""IRM: a representation for which one classifier suits all subjects (Arjovsky et al., 2019).

The penalty is the unbiased estimate of DomainBed (facebookresearch/DomainBed@b93c22a), with its
weight of 100 after the first tenth of the training; the authors' own code for Colored MNIST
(facebookresearch/InvariantRiskMinimization@fc185d0) takes the plain square and weighs it by 10,000.
From there is the division of the whole loss by a weight above 1.

Equation
--------
(mean_d L_d + lambda * mean_d g_d1 g_d2) / max(1, lambda), g_d1 and g_d2 the derivatives by w at 1
of the risks L_d(w f) of two halves of the windows of subject d; lambda is 1 at first, then weight

Adapted
-------
domains are source subjects, and a batch holds as many windows of each as chance gives
    batches of one size for each of 15 to 32 subjects would cost far more than those of other
    methods.
Adam is not started anew when the weight jumps
    the division keeps gradients of a size, as in the authors' own code.
"""

from __future__ import annotations

from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, domain_means, irm, mean_of_domains
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .vrex import PenaltyParams


class IRMParams(PenaltyParams):
    """Parameters of IRM."""

    weight: float = hyper(
        100.0, "weight of the penalty once it has set in (lambda)", stage="pretrain", ge=0,
        tune=(0.1, 100_000.0), scale="log", per_model=0,
    )


class IRM(Supervised):
    """IRMv1: minimise mean_d [L_d + weight * |d L_d(w f) / d w at w = 1|^2]."""

    name = "irm"
    Params = IRMParams
    params: IRMParams

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean risk of the subjects and the penalty."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        means, present = domain_means(cross_entropy(logits, batch.y), batch.domain, net.domains)
        risk = mean_of_domains(means, present)
        penalty = irm(logits, batch.y, batch.domain, net.domains)
        total = self.params.scaled(risk, penalty, batch.progress)
        return {"total": total, "risk": risk, "penalty": penalty}
