"""Mixup between source subjects (Zhang et al., ICLR 2018; as in DomainBed, batch against batch)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, mixed
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

    name: ClassVar[str] = "mixup"
    Params = MixupParams
    params: MixupParams

    def draw(self, net: Network, batch: int, g: Draws) -> tuple[Tensor, Tensor]:
        """Shares s (K,), and which windows are mixed in (K, batch)."""
        return g.beta(self.params.alpha, self.params.alpha), g.permutation(batch)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of mixed windows with both classes."""
        share, partner = batch.drawn[0].to(batch.x), batch.drawn[1]
        logits = net.head(p, net.encoder(p, mixed(batch.x, share, partner), training=True))
        own = cross_entropy(logits, batch.y).mean(dim=1)
        other = cross_entropy(logits, batch.y.gather(1, partner)).mean(dim=1)
        return {"total": share * own + (1 - share) * other}
