"""MCC: minimum class confusion on the target (Jin et al., ECCV 2020).

Equation
--------
CE(f(h_s), y) + weight * ramp(progress) * (1 / c) sum over i != j of C_ij, C the confusion P^T
diag(w) P of the target at a temperature, by row

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
the term is reached on a ramp
    as the other distances are; the authors weigh it alike from the start.
"""

from __future__ import annotations

from torch import Tensor

from bench.method import hyper

from .shared.losses.transfer import class_confusion
from .shared.networks.layers import State
from .shared.training.alignment import Alignment, AlignmentParams
from .shared.training.deep import Batch, Encodings, Network


class MCCParams(AlignmentParams):
    """Parameters of MCC."""

    temperature: float = hyper(
        2.5, "temperature that softens the target's probabilities", stage="pretrain", gt=0,
        tune=(1.0, 5.0), per_model=2,
    )


class MCC(Alignment):
    """CE(f(h_s), y) + weight * (1/c) sum_{i != j} C_ij, C the target's class confusion."""

    name = "mcc"
    Params = MCCParams
    params: MCCParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Class confusion of the target; the source is not compared with."""
        return class_confusion(net.head(p, h[1]), self.params.temperature)
