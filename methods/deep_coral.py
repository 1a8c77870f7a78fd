"""Deep CORAL: equal covariances of encodings (Sun and Saenko, ECCV workshops 2016).

Equation
--------
CE(f(h_s), y) + weight * ramp(progress) * |C_s - C_t|_F^2 / (4 W^2)

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
encodings are compared, not the last layer's outputs
    with two or three classes these have hardly a covariance.
the weight is 100
    over 4 W^2 the term is small; the paper asks for a weight that brings it to the size of the
    risk.
"""

from __future__ import annotations

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

    name = "deep-coral"
    Params = DeepCORALParams

    def distance(self, net: Network, p: State, batch: Batch, h: Encodings) -> Tensor:
        """Distance of the covariances."""
        return coral(*h)
