"""DAN: multi-kernel maximum mean discrepancy of encodings (Long et al., ICML 2015).

Equation
--------
CE(f(h_s), y) + weight * ramp(progress) * MMD^2(h_s, h_t), five Gaussian kernels

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
one layer is compared, the encoding
    the head is too small to have others.
"""

from __future__ import annotations

from torch import Tensor

from .shared.losses.transfer import mmd
from .shared.networks.layers import State
from .shared.training.alignment import Alignment
from .shared.training.deep import Batch, Encodings, Network


class DAN(Alignment):
    """CE(f(h_s), y) + weight * MMD^2(h_s, h_t) with five Gaussian kernels."""

    name = "dan"

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Squared MMD."""
        return mmd(*h)
