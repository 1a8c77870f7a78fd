"""JAN: joint MMD of encodings and class probabilities (Long et al., ICML 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .shared.losses.transfer import joint_mmd
from .shared.networks.layers import State
from .shared.training.alignment import Alignment
from .shared.training.deep import Batch, Network


class JAN(Alignment):
    """CE(f(h_s), y) + weight * MMD^2 under the product of kernels of h and of p = softmax f(h)."""

    name: ClassVar[str] = "jan"

    def distance(
        self, net: Network, p: State, batch: Batch, source: Tensor, target: Tensor
    ) -> Tensor:
        """Squared joint MMD."""
        classes = [torch.softmax(net.head(p, h), dim=2) for h in (source, target)]
        return joint_mmd(source, target, classes[0], classes[1])
