"""VICReg: equal views, varied and uncorrelated dimensions, no negatives (Bardes et al., ICLR 2022).

The variance term is the mean of both views', as in the released code
(facebookresearch/vicreg@4e12602), half of what the paper's equations say.

Equation
--------
invariance * MSE(z, z') + variance * (v(z) + v(z')) / 2 + covariance * (c(z) + c(z'))

Adapted
-------
augmentations are those of log power per band
    images have crops and colours, windows of differential entropy have neither.
the projector is 128 wide with one hidden layer, not three layers of 8,192
    batches have 256 windows of some hundred features; the projector is that of all methods here.
Adam instead of LARS
    LARS is made for batches of 2,048; the optimiser is that of all methods here.
"""

from __future__ import annotations

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

    name = "vicreg"
    Params = VICRegParams
    task = VICRegTask
