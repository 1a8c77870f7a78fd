"""Logistic regression on flattened windows: the plainest baseline there is (Cox, JRSS B 1958).

Equation
--------
min over W, b of |W|^2 / 2 + C sum_i s_i CE(softmax(W x_i + b), y_i); s_i is 1 of a calibration
window, and source_share / (1 - source_share) * n_calibration / n_source of a source window
"""

from __future__ import annotations

from typing import Any

from .shared.shallow import Linear, LogisticParams, logistic


class LogisticRegressionMethod(Linear):
    """Multinomial logistic regression (scikit-learn)."""

    name = "lr"
    Params = LogisticParams
    params: LogisticParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        return logistic(self.params)
