"""Values by which rules choose: balanced accuracy on held-out windows, and validators of skada.

The validators of skada score fitted estimators of scikit-learn; here they are handed small objects
that answer for a predictor. At most :data:`MOST` windows of each side are looked at, evenly spaced
over all, the same in every epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from ..data.windows import UnlabelledWindows, Windows
from ..method import Predictor
from ..protocols.base import Fold
from ..scoring.metrics import scores
from .observer import Key

#: Most windows of a side that a validator looks at; some cost their square.
MOST = 300
SOURCE, TARGET = 1, -1
Array = NDArray[Any]
#: A setting of scikit-learn that skada needs: its import makes it for one thread, and for good.
_routed = config_context(enable_metadata_routing=True)


class RuleScorer:
    """Gives the values of some rules, and says which windows it looks at.

    Rules that hold windows out find them in place of a fold's test windows; the others use the
    ``unlabelled`` windows of the fold. A rule without a value (all predictions alike, say) is left
    out.
    """

    def __init__(
        self, names: Sequence[str], unlabelled: Mapping[Key, UnlabelledWindows | None]
    ) -> None:
        self.names, self.unlabelled = names, unlabelled
        self._some: dict[Key, Array] = {}

    def windows(self, fold: Fold) -> list[Array]:
        """Arrays that a predictor of a fold is asked for as a whole."""
        held = [fold.open_test().x] if any(n in _HELD_OUT for n in self.names) else []
        target = self._target(fold)
        return held if target is None else [*held, target]

    def _target(self, fold: Fold) -> Array | None:
        """Unlabelled windows of a fold that rules look at, the same array each time."""
        key = fold.key
        target = self.unlabelled.get(key)
        if target is None or not any(n in _TARGET for n in self.names):
            return None
        return self._some.setdefault(key, some(target.x))

    def __call__(self, fold: Fold, predictor: Predictor) -> dict[str, float]:
        """Values by rule."""
        names, target = self.names, self.unlabelled.get(fold.key)
        found: dict[str, float] = {}
        if any(n in _HELD_OUT for n in names):
            held, classes = fold.open_test(), len(fold.view.classes)
            found |= {n: _balanced(predictor, held, classes) for n in names if n in _HELD_OUT}
            if target is not None:
                found |= {n: _BOTH[n](predictor, held, target) for n in names if n in _BOTH}
        x = self._target(fold)
        if x is not None:
            proba = np.asarray(predictor.predict_proba(x), dtype=np.float64)
            found |= {n: _TARGET[n](predictor, x, proba) for n in names if n in _TARGET}
        return {n: v for n, v in found.items() if np.isfinite(v)}


def some(x: Array, most: int = MOST) -> Array:
    """At most so many rows, evenly spaced."""
    if len(x) <= most:
        return x
    return x[np.linspace(0, len(x) - 1, most).round().astype(int)]


def _balanced(predictor: Predictor, held: Windows, classes: int) -> float:
    """Balanced accuracy on held-out windows."""
    value = scores(held.y, predictor.predict_proba(held.x), classes)["balanced_accuracy"]
    return float("nan") if value is None else value


@_routed
def entropy(predictor: Predictor, x: Array, proba: Array) -> float:
    """Minus the mean entropy of predictions (Morerio et al., ICLR 2018)."""
    from skada.metrics import PredictionEntropyScorer

    return _scored(PredictionEntropyScorer(), ProbaAdapter(), proba)


@_routed
def snd(predictor: Predictor, x: Array, proba: Array) -> float:
    """Soft neighbourhood density (Saito et al., ICCV 2021)."""
    from skada.metrics import SoftNeighborhoodDensity

    return _scored(SoftNeighborhoodDensity(), ProbaAdapter(), proba)


@_routed
def mano(predictor: Predictor, x: Array, proba: Array) -> float:
    """Matrix norm of predictions (Xie et al., NeurIPS 2024), of the probabilities as they are.

    Their Taylor softmax of logits, as skada 0.6 computes it for networks, is the same for all
    networks of two classes.
    """
    from skada.metrics import MaNoScorer

    return _scored(MaNoScorer(), ProbaAdapter(), proba)


@_routed
def mixval(predictor: Predictor, x: Array, proba: Array) -> float:
    """Consistency on mixtures of target windows (Hu et al., NeurIPS 2023)."""
    from skada.metrics import MixValScorer

    return _scored(MixValScorer(random_state=0), PredictorAdapter(predictor), x)


@_routed
def importance_weighted(
    predictor: Predictor, held: Windows, target: UnlabelledWindows
) -> float:
    """Accuracy on held-out source windows weighted by density (Sugiyama et al., JMLR 2007)."""
    from skada.metrics import ImportanceWeightedScorer

    scorer = ImportanceWeightedScorer(weight_estimator=Density())
    return _scored(scorer, PredictorAdapter(predictor), *_both(held, target))


@_routed
def dev(predictor: Predictor, held: Windows, target: UnlabelledWindows) -> float:
    """Minus the deep embedded validation risk (You et al., ICML 2019).

    Encodings are the predictor's ``features(x)``, where it has them, else the windows. The loss is
    given as a column: that of skada 0.6 is a row, which its weights turn into a table of all pairs.
    """
    from skada.metrics import DeepEmbeddedValidation

    scorer = DeepEmbeddedValidation(loss_func=_log_loss, random_state=0)
    return _scored(scorer, PredictorAdapter(predictor), *_both(held, target))


def _log_loss(y: Array, proba: Array) -> Array:
    right = proba[np.arange(len(y)), y.astype(int)]
    return -np.log(np.clip(right, 1e-15, 1.0))[:, None]


def _both(held: Windows, target: UnlabelledWindows) -> tuple[Array, Array, Array]:
    """Windows, classes (-1 for the target) and domains of both sides."""
    index = some(np.arange(len(held)))
    unknown = some(target.x)
    return (
        np.concatenate([held.x[index], unknown]),
        np.concatenate([held.y[index], np.full(len(unknown), -1)]),
        np.repeat([SOURCE, TARGET], [len(index), len(unknown)]),
    )


def _scored(
    scorer: Any, estimator: Any, x: Array, y: Array | None = None, domain: Array | None = None
) -> float:
    """Value of a scorer of skada; not finite where it has none."""
    y = np.full(len(x), -1) if y is None else y
    domain = np.full(len(x), TARGET) if domain is None else domain
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of weights that vanish, or of means of nothing
        return float(scorer(estimator, x, y, sample_domain=domain))


class ProbaAdapter(Pipeline):
    """Stands for a classifier whose probabilities are handed in place of windows."""

    def __init__(self) -> None:
        super().__init__([("given", "passthrough")])

    def predict_proba(self, X: Array, **kept: Any) -> Array:
        """The probabilities."""
        return X


class _Module:
    layer_name = "encoder"


class PredictorAdapter(ClassifierMixin, BaseEstimator):
    """Stands for a fitted classifier that is a predictor of ours."""

    #: What skada calls for of the last layer but one.
    module_ = _Module()
    __metadata_request__score: Mapping[str, bool] = {
        "sample_weight": True, "sample_domain": True, "allow_source": True,
    }

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def fit(self, X: Array, y: Array) -> PredictorAdapter:
        """Nothing: the predictor is fitted."""
        return self

    def predict_proba(self, X: Array, **kept: Any) -> Array:
        """Probabilities (n, classes)."""
        return np.asarray(self.predictor.predict_proba(X.astype(np.float32)), dtype=np.float64)

    def predict(self, X: Array, **kept: Any) -> Array:
        """Classes (n,)."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_features(self, X: Array) -> Array:
        """Encodings (n, width), or the windows flat."""
        features: Callable[[Array], Array] | None = getattr(self.predictor, "embed", None)
        return X.reshape(len(X), -1) if features is None else features(X.astype(np.float32))

    def score(
        self, X: Array, y: Array, sample_weight: Array | None = None, **kept: Any
    ) -> float:
        """Accuracy, weighted."""
        return float(np.average(self.predict(X) == y, weights=sample_weight))


class Density(BaseEstimator):
    """Gaussian kernel density of bandwidth 1, but for a constant that cancels in ratios.

    As scikit-learn's ``KernelDensity()``, whose trees take a hundred times as long in hundreds of
    dimensions.
    """

    def fit(self, X: Array) -> Density:
        """Keep the points (n, features)."""
        self.points_ = X.astype(np.float64)
        return self

    def score_samples(self, X: Array) -> Array:
        """Logarithm of the density at points (m, features), shape (m,)."""
        x = X.astype(np.float64)
        far = np.square(x).sum(axis=1)[:, None] + np.square(self.points_).sum(axis=1)
        far -= 2 * x @ self.points_.T
        return logsumexp(-far / 2, axis=1) - np.log(len(self.points_))


_HELD_OUT = ("source-val", "calibration-val")
_BOTH = {"importance-weighted": importance_weighted, "dev": dev}
_TARGET = {"entropy": entropy, "snd": snd, "mixval": mixval, "mano": mano}
