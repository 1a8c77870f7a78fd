"""VICReg: equal views, varied and uncorrelated dimensions, no negatives (Bardes et al., ICLR 2022).

Adapted: augmentations of log power per band (:mod:`.views`); the projector is the shared one (128
wide, one hidden layer) instead of three layers of 8,192.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.method import hyper

from .shared.losses.selfsupervised import vicreg
from .shared.networks.layers import State
from .shared.training.selfsupervised import SelfSupervised
from .shared.training.views import AugmentedParams, TwoViews, halves


class VICRegParams(AugmentedParams):
    """Parameters of VICReg."""

    invariance: float = hyper(
        25.0, "weight of the difference between views", stage="pretrain", ge=0, le=1000
    )
    variance: float = hyper(
        25.0, "weight of dimensions that vary too little", stage="pretrain", ge=0, le=1000
    )
    covariance: float = hyper(
        1.0, "weight of covariances between dimensions", stage="pretrain", ge=0, le=1000,
        tune=(0.1, 10.0), scale="log", per_model=0,
    )


class VICRegTask(TwoViews):
    """Agreement of two views, kept from collapsing by variance and covariance."""

    params: VICRegParams

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Weighted sum and its terms for windows (K, B, C, F), each (K,)."""
        q = self.params
        terms = vicreg(*halves(self.project(p, self.views(x, noise))))
        total = (
            q.invariance * terms["invariance"] + q.variance * terms["variance"]
            + q.covariance * terms["covariance"]
        )
        return {"total": total, **terms}


class VICReg(SelfSupervised):
    """Variance-invariance-covariance regularisation."""

    name: ClassVar[str] = "vicreg"
    Params = VICRegParams
    task = VICRegTask
