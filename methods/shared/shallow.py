"""What shallow methods share: flattened windows, one scikit-learn classifier, its probabilities.

A shallow method has no encoder whose head could be replaced. So it works in the classes that source
and target share, and where the protocol grants calibration windows they are simply added to the
source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import IncompatibleError
from bench.method import Context, Job, Method, Needs, Params, Predictor, hyper
from bench.protocols.base import View

#: Rows of windows, channels and features in a line.
Matrix = NDArray[np.float64]


def flat(x: NDArray[np.float32]) -> Matrix:
    """Windows (n, channels, features) as rows (n, channels * features)."""
    return np.asarray(x, dtype=np.float64).reshape(len(x), -1)


def labelled_source(view: View) -> Windows:
    """Source in the classes to predict, as the engine hands it to shallow methods.

    Raises
    ------
    ValueError
        The engine handed something else.
    """
    if not isinstance(view.source, Windows) or view.source.labels != view.classes:
        raise ValueError("a shallow method needs a labelled source in the classes to predict")
    return view.source


def training_rows(view: View) -> tuple[Matrix, NDArray[np.int64]]:
    """Rows and classes of all labelled windows: the source's, then those of calibration."""
    parts = [labelled_source(view), *([] if view.calibration is None else [view.calibration])]
    return np.concatenate([flat(p.x) for p in parts]), np.concatenate([p.y for p in parts])


def seed_of(ctx: Context, purpose: str = "estimator") -> int:
    """Seed that scikit-learn accepts (32 bits)."""
    return ctx.seed(purpose) % 2**32


def fit_estimator(estimator: Any, x: Matrix, y: NDArray[np.int64]) -> Any:
    """Fit; a single class, which most classifiers refuse, is then always predicted."""
    if len(np.unique(y)) < 2:
        from sklearn.dummy import DummyClassifier

        estimator = DummyClassifier()
    return estimator.fit(x, y)


class Shallow(Method):
    """Fit one scikit-learn classifier; a subclass gives :meth:`estimator`."""

    maps_labels: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(source="labelled")

    @property
    def together(self) -> bool:
        """Folds that learn from the same windows share one classifier."""
        return True

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        raise NotImplementedError

    def depends_on(self, view: View) -> object:
        """What a fit depends on beside the parameters: folds equal in this share one."""
        return id(view.source) if view.calibration is None else id(view)

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit source and, where granted, calibration windows."""
        if view.calibration is None:
            ctx = ctx.shared("shallow")  # nothing of the fold decides, so its seed may not either
        x, y = training_rows(view)
        fitted = fit_estimator(self.estimator(seed_of(ctx)), x, y)
        return ShallowPredictor(fitted, len(view.classes))

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds; those that learn from the same windows share one classifier."""
        fits: dict[object, Predictor] = {}
        for job in jobs:
            key = self.depends_on(job.view)
            if key not in fits:
                fits[key] = self.fit(job.view, job.state, job.ctx)
        return [fits[self.depends_on(job.view)] for job in jobs]


class ShallowPredictor:
    """Probabilities of a fitted classifier, after an adaptation of the features if there is one.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Fitted on class indices.
    classes : int
        Number of columns; classes that did not occur in training get probability 0.
    adapter : skada adapter, optional
        Fitted; maps target windows.
    """

    def __init__(self, estimator: Any, classes: int, adapter: Any = None) -> None:
        self.estimator, self.classes, self.adapter = estimator, classes, adapter

    def predict_proba(self, x: NDArray[np.float32]) -> Matrix:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        rows = flat(x)
        if self.adapter is not None:
            rows = self.adapter.transform(rows, sample_domain=np.full(len(rows), TARGET))
        out = np.zeros((len(rows), self.classes))
        out[:, self.estimator.classes_] = probabilities(self.estimator, rows)
        return out


#: Domains by skada's convention: sources are positive, targets negative.
SOURCE, TARGET = 1, -2


def probabilities(estimator: Any, x: Matrix) -> Matrix:
    """Probabilities of a fitted classifier, one column for each of its ``classes_``.

    A classifier without any gives the softmax of its decision function; one without that either
    gives 1 to the class it predicts.

    Raises
    ------
    IncompatibleError
        The decision function has another shape, as that of one-against-one SVMs.
    """
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(x), dtype=np.float64)
    if not hasattr(estimator, "decision_function"):
        return (estimator.predict(x)[:, None] == estimator.classes_).astype(np.float64)
    decision = np.asarray(estimator.decision_function(x), dtype=np.float64)
    if decision.ndim == 1:  # two classes: the distance to the second's side
        decision = np.stack([np.zeros_like(decision), decision], axis=1)
    if decision.shape[1] != len(estimator.classes_):
        raise IncompatibleError(
            f"{type(estimator).__name__} gives {decision.shape[1]} decisions for "
            f"{len(estimator.classes_)} classes, which cannot be turned into probabilities",
            "Choose one decision for each class, e.g. decision_function_shape='ovr'.",
        )
    p = np.exp(decision - decision.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def target_of(view: View) -> UnlabelledWindows:
    """Unlabelled target windows, which the engine hands to methods that need them.

    Raises
    ------
    ValueError
        The engine handed none.
    """
    if view.unlabelled is None:
        raise ValueError("the engine handed no unlabelled target windows")
    return view.unlabelled


class LogisticParams(Params):
    """Parameters of a logistic regression."""

    C: float = hyper(1.0, "inverse strength of the L2 penalty", stage="fit", gt=0,
                     tune=(1e-4, 1e2), scale="log")
    max_iter: int = hyper(1000, "most iterations of L-BFGS", stage="fit", ge=1)


def logistic(params: LogisticParams) -> Any:
    """Logistic regression, also the last step of adapted methods."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=params.C, max_iter=params.max_iter)
