"""Linear discriminant analysis with a shrunk covariance (Fisher, 1936; Ledoit and Wolf, 2004).

Equation
--------
p(k | x) ~ n_k N(x; m_k, S), S = sum_k (n_k / n) ((1 - g_k) S_k + g_k diag(S_k)); m_k, S_k mean and
covariance of class k's n_k windows, g_k by Ledoit and Wolf on standardised features
"""

from __future__ import annotations

from typing import Any, Literal

from bench.method import hyper

from .shared.shallow import Linear, ShallowParams


class LDAParams(ShallowParams):
    """Parameters of LDA."""

    shrinkage: Literal["auto", "none"] = hyper(
        "auto", "shrink the covariance as Ledoit and Wolf do, or not at all", stage="fit",
        tune=("auto", "none"), scale="choice",
    )


class LDA(Linear):
    """Gaussian classes of one covariance (scikit-learn)."""

    name = "lda"
    Params = LDAParams
    params: LDAParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        if self.params.shrinkage == "none":
            return LinearDiscriminantAnalysis(solver="svd")
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
