"""Deep CORAL: equal covariances of encodings (Sun and Saenko, ECCV workshops 2016)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.method import hyper

from .shared.losses.transfer import coral
from .shared.networks.layers import State
from .shared.training.alignment import Alignment, AlignmentParams
from .shared.training.deep import Batch, Encodings, Network


class DeepCORALParams(AlignmentParams):
    """Parameters of Deep CORAL."""

    weight: float = hyper(
        100.0, "weight of the adaptation term, reached on a ramp; the term is divided by 4 W^2 "
        "and hence small", stage="pretrain", ge=0, tune=(1.0, 10_000.0), scale="log", per_model=0,
    )


class DeepCORAL(Alignment):
    """CE(f(h_s), y) + weight * |C_s - C_t|_F^2 / (4 W^2)."""

    name: ClassVar[str] = "deep-coral"
    Params = DeepCORALParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Distance of the covariances."""
        return coral(*h)
