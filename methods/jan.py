"""JAN: joint MMD of encodings and class probabilities (Long et al., ICML 2017).

Equation
--------
CE(f(h_s), y) + weight * ramp(progress) * MMD^2 under k(h, h') exp(-|p - p'|^2 / 1.68)

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .shared.losses.transfer import joint_mmd
from .shared.networks.layers import State
from .shared.training.alignment import Alignment
from .shared.training.deep import Batch, Encodings, Network


class JAN(Alignment):
    """CE(f(h_s), y) + weight * MMD^2 under the product of kernels of h and of p = softmax f(h)."""

    name = "jan"

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Squared joint MMD."""
        return joint_mmd(*h, *(torch.softmax(net.head(p, side), dim=2) for side in h))
