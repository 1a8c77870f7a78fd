"""MLDG: steps on some subjects that also help on others (Li et al., AAAI 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses, is_buffer, meeting

from .shared.losses.transfer import cross_entropy
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .shared.training.finetuning import NetworkParams


class MLDGParams(NetworkParams):
    """Parameters of MLDG."""

    inner_lr: float = hyper(
        1e-3, "size of the inner step on the meta-training subjects (alpha)", stage="pretrain",
        gt=0, le=1, tune=(1e-4, 1e-2), scale="log", per_model=0,
    )
    weight: float = hyper(
        1.0, "weight of the loss after the inner step (beta)", stage="pretrain", ge=0,
        tune=(0.1, 10.0), scale="log", per_model=0,
    )
    held_out: float = hyper(
        0.3, "share of the subjects that are held out of the inner step", stage="pretrain", gt=0,
        lt=1,
    )


class MLDG(Supervised):
    """Minimise L_a(p) + beta L_b(p - alpha grad L_a(p)), subjects split anew into a and b.

    The inner gradient is taken as a constant (first order, as in DomainBed).
    """

    name: ClassVar[str] = "mldg"
    Params = MLDGParams
    params: MLDGParams

    def draw(self, net: Network, batch: int, g: Draws) -> Tensor:
        """Which subjects (K, D) are held out: at least one, and not all where there are two."""
        count = round(self.params.held_out * net.domains)
        count = max(1, min(count, net.domains - 1))
        return g.permutation(net.domains) < count

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Losses of both parts."""
        out = batch.drawn.gather(1, batch.domain).to(batch.x)
        inner = self._risk(net, p, batch, 1 - out)
        leaves = {name: t for name, t in p.items() if not is_buffer(name)}
        slopes = torch.autograd.grad(inner.sum(), list(leaves.values()), retain_graph=True)
        moved = {
            name: t - meeting(self.params.inner_lr, slope) * slope
            for (name, t), slope in zip(leaves.items(), slopes, strict=True)
        }
        outer = self._risk(net, p | moved, batch, out)
        return {"total": inner + self.params.weight * outer, "inner": inner, "outer": outer}

    def _risk(self, net: Network, p: State, batch: Batch, weight: Tensor) -> Tensor:
        """Mean cross-entropy (K,) of the windows with weight 1; (K, B) of zeros and ones."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        each = cross_entropy(logits, batch.y)
        return (each * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
