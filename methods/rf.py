"""Random forest on flattened windows (Breiman, 2001).

Equation
--------
p(k | x) = (1 / T) sum_t share of class k in the leaf of tree t that x falls into; a tree is grown
on windows drawn with repetition, each split the purest (Gini) of sqrt(d) features drawn of d
"""

from __future__ import annotations

from typing import Any

from bench.method import hyper

from .shared.shallow import Shallow, ShallowParams


class ForestParams(ShallowParams):
    """Parameters of a random forest."""

    trees: int = hyper(200, "number of trees", stage="fit", ge=1, le=10_000)
    min_leaf: int = hyper(1, "fewest windows in a leaf", stage="fit", ge=1, tune=(1, 64),
                          scale="log")


class RandomForest(Shallow):
    """Random forest (scikit-learn)."""

    name = "rf"
    Params = ForestParams
    params: ForestParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            self.params.trees, min_samples_leaf=self.params.min_leaf, random_state=seed
        )
