"""Optimal transport of the source onto the target (Courty et al., TPAMI 2017).

Equation
--------
x_i <- sum_j T_ij x_j / sum_j T_ij for source windows i and target windows j, T = argmin sum_ij T_ij
|x_i - x_j|^2 (+ entropy sum_ij T_ij log T_ij, costs divided by the largest), all windows of a side
of one weight; then lr
"""

from __future__ import annotations

from typing import Any

from bench.method import hyper

from .shared.adapted import Adapted, CappedParams
from .shared.shallow import Matrix


class TransportParams(CappedParams):
    """Parameters of optimal transport."""

    entropy: float = hyper(
        0.0, "weight of the plan's entropy, costs scaled to at most 1; 0 for the exact plan",
        stage="fit", ge=0, le=10,
    )


class OTDA(Adapted):
    """Move each source window to the mean of the target windows it is sent to (skada, POT)."""

    name = "otda"
    Params = TransportParams
    params: TransportParams

    def adapter(self, source: Matrix, target: Matrix) -> Any:
        """Unfitted adapter."""
        from skada import EntropicOTMappingAdapter, OTMappingAdapter

        if self.params.entropy > 0:
            return EntropicOTMappingAdapter(reg_e=self.params.entropy, norm="max")
        return OTMappingAdapter()
