"""Subspace alignment of principal components (Fernando et al., ICCV 2013).

Equation
--------
x_s <- (x_s - m_s) P_s P_s^T P_t and x_t <- (x_t - m_t) P_t, with means m and the first principal
axes P (features, components) of the sides; then lr
"""

from __future__ import annotations

from typing import Any

from bench.method import hyper

from .shared.adapted import Adapted, AdaptedParams
from .shared.shallow import Matrix


class SubspaceParams(AdaptedParams):
    """Parameters of subspace alignment."""

    components: int = hyper(20, "most principal components of each side", stage="fit", ge=1,
                            tune=(5, 100), scale="log")


class SubspaceAlignment(Adapted):
    """Turn the source's principal axes into the target's (skada)."""

    name = "sa"
    Params = SubspaceParams
    params: SubspaceParams

    def adapter(self, source: Matrix, target: Matrix) -> Any:
        """Unfitted adapter; there cannot be more components than windows of a side."""
        from skada import SubspaceAlignmentAdapter

        most = min(*source.shape, *target.shape)
        return SubspaceAlignmentAdapter(min(self.params.components, most), random_state=0)
