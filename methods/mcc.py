"""MCC: minimum class confusion on the target (Jin et al., ECCV 2020)."""

from __future__ import annotations

from typing import ClassVar

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

    name: ClassVar[str] = "mcc"
    Params = MCCParams
    params: MCCParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Class confusion of the target; the source is not compared with."""
        return class_confusion(net.head(p, h[1]), self.params.temperature)
