"""Mixup between source subjects (Zhang et al., ICLR 2018), as DomainBed does it.

facebookresearch/DomainBed@b93c22a: domains stand in a circle drawn anew for each batch, and windows
of one are mixed with those of the next, with a share for each pair of domains. The paper mixes any
two windows.

Equation
--------
mean over pairs of subjects (a, b) of s CE(f(x'), y_a) + (1 - s) CE(f(x'), y_b),
x' = s x_a + (1 - s) x_b, s drawn from Beta(alpha, alpha) for each pair

Adapted
-------
where a subject has fewer windows in the batch than the one before it, they are used again
    DomainBed's minibatches are of one size; batches here hold what chance gives of each subject.
all mixed windows of a batch share one batch normalisation
    a pass for each pair of 15 to 32 subjects would cost far more than those of other methods.
"""

from __future__ import annotations

from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import (
    cross_entropy,
    domain_means,
    mean_of_domains,
    mixed,
    partners,
)
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .shared.training.finetuning import NetworkParams


class MixupParams(NetworkParams):
    """Parameters of Mixup."""

    alpha: float = hyper(
        0.2, "shares are drawn from Beta(alpha, alpha): small mixes little", stage="pretrain",
        gt=0, le=10, tune=(0.1, 10.0), scale="log", per_model=0,
    )


class Mixup(Supervised):
    """Train on x' = s x_i + (1 - s) x_j with loss s CE(f(x'), y_i) + (1 - s) CE(f(x'), y_j)."""

    name = "mixup"
    Params = MixupParams
    params: MixupParams

    def draw(self, net: Network, batch: int, g: Draws) -> tuple[Tensor, Tensor]:
        """Shares (K, D) of the subjects' own windows, and the order (K, D) of the subjects."""
        alpha = self.params.alpha
        return g.beta(alpha, alpha, net.domains), g.permutation(net.domains)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of mixed windows with both classes."""
        shares, order = batch.drawn[0].to(batch.x), batch.drawn[1]
        share, partner = shares.gather(1, batch.domain), partners(batch.domain, order)
        logits = net.head(p, net.encoder(p, mixed(batch.x, share, partner), training=True))
        own = cross_entropy(logits, batch.y)
        other = cross_entropy(logits, batch.y.gather(1, partner))
        each = share * own + (1 - share) * other
        return {"total": mean_of_domains(*domain_means(each, batch.domain, net.domains))}
