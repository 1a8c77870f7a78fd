"""Transfer component analysis (Pan et al., IEEE Transactions on Neural Networks 2011).

Equation
--------
x <- k(x) W, with W the leading eigenvectors of (I + mu K L K)^-1 K H K; K = exp(-|x_i - x_j|^2 / d)
of the windows of both sides, L_ij = 1 / n_s^2, 1 / n_t^2 or -1 / (n_s n_t) by their sides, H
centres; mu is the inverse of the paper's; then lr

Adapted
-------
the eigenvectors are those of a symmetric matrix with the product's lower triangle
    skada's solver takes the product for symmetric, which in general it is not.
"""

from __future__ import annotations

from typing import Any

from bench.method import hyper

from .shared.adapted import Adapted, CappedParams
from .shared.shallow import Matrix


class TCAParams(CappedParams):
    """Parameters of TCA."""

    components: int = hyper(20, "transfer components", stage="fit", ge=1, tune=(5, 100),
                            scale="log")
    mu: float = hyper(0.1, "weight of the distance between the sides", stage="fit", gt=0,
                      tune=(1e-3, 10.0), scale="log")


class TCA(Adapted):
    """Kernel components by which source and target have one mean (skada; Gaussian kernel)."""

    name = "tca"
    Params = TCAParams
    params: TCAParams

    def adapter(self, source: Matrix, target: Matrix) -> Any:
        """Unfitted adapter."""
        from skada import TransferComponentAnalysisAdapter

        most = min(self.params.components, len(source) + len(target))
        return TransferComponentAnalysisAdapter(n_components=most, mu=self.params.mu)
