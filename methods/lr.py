"""Logistic regression on flattened windows: the plainest baseline there is."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.method import Params, hyper

from .shallow import Shallow


class LogisticParams(Params):
    """Parameters of a logistic regression."""

    C: float = hyper(1.0, "inverse strength of the L2 penalty", stage="fit", gt=0,
                     tune=(1e-4, 1e2), scale="log")
    max_iter: int = hyper(1000, "most iterations of L-BFGS", stage="fit", ge=1)


class LogisticRegressionMethod(Shallow):
    """Multinomial logistic regression (scikit-learn)."""

    name: ClassVar[str] = "lr"
    Params = LogisticParams
    params: LogisticParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        return logistic(self.params)


def logistic(params: LogisticParams) -> Any:
    """Logistic regression, also the last step of adapted methods."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=params.C, max_iter=params.max_iter)
