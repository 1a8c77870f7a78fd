"""GroupDRO: train for the worst source subject (Sagawa et al., ICLR 2020).

Equation
--------
sum_d q_d L_d, q_d multiplied by exp(step * L_d) at every step and scaled to a sum of 1

Adapted
-------
a batch holds as many windows of each subject as chance gives
    batches of one size for each of 15 to 32 subjects would cost far more than those of other
    methods.
"""

from __future__ import annotations

import torch

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, domain_means, group_dro
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .shared.training.finetuning import NetworkParams

#: A running statistic of the training: no gradient reaches it.
WEIGHTS = "group.running_weights"


class GroupDROParams(NetworkParams):
    """Parameters of GroupDRO."""

    step: float = hyper(
        0.01, "how fast the weight of a subject grows with its loss (eta)", stage="pretrain",
        gt=0, le=10, tune=(1e-3, 1e-1), scale="log", per_model=1,
    )


class GroupDRO(Supervised):
    """Minimise sum_d q_d L_d, where q_d is multiplied by exp(eta L_d) at every step."""

    name = "groupdro"
    Params = GroupDROParams
    params: GroupDROParams

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Equal weights of all subjects."""
        return {WEIGHTS: torch.full((net.domains,), 1 / net.domains)}

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Weighted losses of the subjects in the batch."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        each = cross_entropy(logits, batch.y)
        means, present = domain_means(each, batch.domain, net.domains)
        total, weights = group_dro(means, present, p[WEIGHTS], self.params.step)
        p[WEIGHTS].copy_(weights)
        return {"total": total, "mean": each.mean(dim=1)}
