"""V-REx: equal risk for all source subjects (Krueger et al., ICML 2021).

Equation
--------
(mean_d L_d + lambda * Var_d L_d) / max(1, lambda), lambda at most 1 at first, then weight

Adapted
-------
a batch holds as many windows of each subject as chance gives
    batches of one size for each of 15 to 32 subjects would cost far more than those of other
    methods.
the whole loss is divided by a weight above 1
    gradients keep their size, where DomainBed starts Adam anew.
"""

from __future__ import annotations

from torch import Tensor

from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, domain_means, mean_of_domains, vrex
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .shared.training.finetuning import NetworkParams


class PenaltyParams(NetworkParams):
    """Parameters of a penalty that sets in after a while."""

    weight: float = hyper(
        10.0, "weight of the penalty once it has set in", stage="pretrain", ge=0,
        tune=(0.1, 1000.0), scale="log", per_model=0,
    )
    anneal: float = hyper(
        0.1, "share of the training with a weight of at most 1", stage="pretrain", ge=0, le=1
    )

    def at(self, progress: Tensor) -> Tensor:
        """Weight at a point of the training: (), or (K,) where models have weights of their own."""
        weight: float | Tensor = self.weight
        first = weight.clamp(max=1.0) if isinstance(weight, Tensor) else min(1.0, weight)
        late = (progress >= self.anneal).to(progress.dtype)
        return first * (1 - late) + weight * late

    def scaled(self, risk: Tensor, penalty: Tensor, progress: Tensor) -> Tensor:
        """Risk and weighted penalty (K,), divided so that steps do not jump when it sets in."""
        weight = self.at(progress)
        return (risk + weight * penalty) / weight.clamp(min=1.0)


class VREx(Supervised):
    """Minimise mean_d L_d + weight * Var_d L_d over source subjects d."""

    name = "vrex"
    Params = PenaltyParams
    params: PenaltyParams

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean and variance of the subjects' risks."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        means, present = domain_means(cross_entropy(logits, batch.y), batch.domain, net.domains)
        risk = mean_of_domains(means, present)
        penalty = vrex(means, present)
        total = self.params.scaled(risk, penalty, batch.progress)
        return {"total": total, "risk": risk, "variance": penalty}
