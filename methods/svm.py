"""Linear support vector machine on flattened windows (Cortes and Vapnik, 1995).

Equation
--------
for each class k: min over w of |w|^2 / 2 + C sum_i s_i max(0, 1 - t_i w . (x_i, 1))^2, t_i = 1
where y_i = k, else -1 (of two classes one w); s_i as of lr; p(x) = softmax_k(w_k . (x, 1))
"""

from __future__ import annotations

from typing import Any

from bench.method import hyper

from .shared.shallow import Linear, ShallowParams, Strength, fixed, strength


class SVMParams(ShallowParams):
    """Parameters of a linear SVM."""

    C: Strength = strength()
    max_iter: int = hyper(2000, "most passes of coordinate descent", stage="fit", ge=1)


class LinearSVM(Linear):
    """Linear SVM, one class against the rest (scikit-learn's LinearSVC).

    It has no probabilities: the softmax of its decision function stands in for them.
    """

    name = "svm"
    Params = SVMParams
    params: SVMParams

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        from sklearn.svm import LinearSVC

        return LinearSVC(
            C=fixed(self.params.C), max_iter=self.params.max_iter, random_state=seed
        )
