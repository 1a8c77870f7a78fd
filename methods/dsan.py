"""DSAN: local MMD, class by class (Zhu et al., TNNLS 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .shared.losses.transfer import local_mmd
from .shared.networks.layers import State
from .shared.training.alignment import Alignment
from .shared.training.deep import Batch, Encodings, Network


class DSAN(Alignment):
    """CE(f(h_s), y) + weight * mean_c MMD^2(h_s | y = c, h_t weighted by p(c | h_t))."""

    name: ClassVar[str] = "dsan"

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Squared local MMD."""
        return local_mmd(*h, batch.y, torch.softmax(net.head(p, h[1]), dim=2))
