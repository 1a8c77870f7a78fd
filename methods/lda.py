"""Linear discriminant analysis with a shrunk covariance (Fisher, 1936; Ledoit and Wolf, 2004)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

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

    name: ClassVar[str] = "lda"
    Params = LDAParams
    params: LDAParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        if self.params.shrinkage == "none":
            return LinearDiscriminantAnalysis(solver="svd")
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
