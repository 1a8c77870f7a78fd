"""CORAL: source windows with the target's mean and covariance (Sun et al., AAAI 2016).

Equation
--------
x_s <- (x_s - m_s) C_s^-1/2 C_t^1/2 and x_t <- x_t - m_t, with means m and shrunk covariances C of
the sides; then lr
"""

from __future__ import annotations

from typing import Any

from .shared.adapted import Adapted
from .shared.shallow import Matrix


class CORAL(Adapted):
    """Whiten the source, colour it as the target; covariances are shrunk (skada)."""

    name = "coral"

    def adapter(self, source: Matrix, target: Matrix) -> Any:
        """Unfitted adapter."""
        from skada import CORALAdapter

        return CORALAdapter()
