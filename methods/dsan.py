"""DSAN: local MMD, class by class (Zhu et al., TNNLS 2021).

Where paper and released code (easezyc/deep-transfer-learning@2969ed6) differ, this is the code:
only classes that occur on both sides count, on the target among the most probable classes of the
batch, and the weight is 0.5.

Equation
--------
CE(f(h_s), y) + weight * ramp(progress) * (1 / |C|) sum over c in C of
|| sum_i w_ic phi(h_si) - sum_j v_jc phi(h_tj) ||^2, C the classes on both sides

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
the ramp goes by steps, not by epochs
    at small budgets there are few epochs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method import hyper

from .shared.losses.transfer import local_mmd
from .shared.networks.layers import State
from .shared.training.alignment import Alignment, AlignmentParams
from .shared.training.deep import Batch, Encodings, Network


class DSANParams(AlignmentParams):
    """Parameters of DSAN."""

    weight: float = hyper(
        0.5, "weight of the adaptation term, reached on a ramp", stage="pretrain", ge=0,
        tune=(0.01, 10.0), scale="log", per_model=0,
    )


class DSAN(Alignment):
    """CE(f(h_s), y) + weight * mean_c MMD^2(h_s | y = c, h_t weighted by p(c | h_t))."""

    name = "dsan"
    Params = DSANParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Squared local MMD."""
        return local_mmd(*h, batch.y, torch.softmax(net.head(p, h[1]), dim=2))
