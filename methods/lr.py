"""Logistic regression on flattened windows: the plainest baseline there is."""

from __future__ import annotations

from typing import Any, ClassVar

from .shared.shallow import Linear, LogisticParams, logistic


class LogisticRegressionMethod(Linear):
    """Multinomial logistic regression (scikit-learn)."""

    name: ClassVar[str] = "lr"
    Params = LogisticParams
    params: LogisticParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        return logistic(self.params)
