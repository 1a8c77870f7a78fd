"""Source-only: train on the labelled source, nothing else (empirical risk minimisation).

Equation
--------
mean_i CE(f(x_i), y_i) over source windows
"""

from __future__ import annotations

from .shared.training.deep import Supervised


class SourceOnly(Supervised):
    """Minimise mean_i CE(f(x_i), y_i) over all source windows, subjects pooled."""

    name = "source-only"
