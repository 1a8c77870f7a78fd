"""What shallow methods share: flattened windows, one scikit-learn classifier, its probabilities.

A shallow method has no encoder whose head could be replaced. So it works in the classes that source
and target share. Where the protocol grants calibration windows it learns both sides at once, with a
stated share for the source: a corpus of thousands of windows would drown a few trials. Without a
source it is plain learning on the calibration trials (``target-only``), in the target's own
classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import IncompatibleError
from bench.method import Context, Job, Method, Needs, Params, Predictor, hyper
from bench.protocols.base import View

#: Rows of windows, channels and features in a line.
Matrix = NDArray[np.float64]
#: Of rows, (n,).
Weights = NDArray[np.float64]


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


def training_rows(
    view: View, share: float, source: Matrix | None = None, own: Matrix | None = None
) -> tuple[Matrix, NDArray[np.int64], Weights | None]:
    """Rows, classes and weights of all labelled windows: the source's, then those of calibration.

    A calibration window weighs 1, as it does alone, and the source's windows together
    ``share / (1 - share)`` times as much as all of them. No weights (None) where one side stands
    alone. ``source`` and ``own`` are rows made of the windows of a side, if not the windows as
    they are.
    """
    sides = [] if view.calibration is None else [(view.calibration, own)]
    if view.source is not None or not sides:
        sides.insert(0, (labelled_source(view), source))
    x = np.concatenate([flat(windows.x) if rows is None else rows for windows, rows in sides])
    y = np.concatenate([windows.y for windows, _ in sides])
    if len(sides) == 1:
        return x, y, None
    return x, y, weights_of(len(sides[0][0]), len(sides[1][0]), share)


def weights_of(source: int, own: int, share: float) -> Weights:
    """Weights of so many source windows, then of so many calibration windows."""
    return np.repeat([share / (1 - share) * own / source, 1.0], [source, own])


def repeated(weights: Weights, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of rows, each as often as it weighs: for whoever knows no weights.

    Rows of one weight are all taken as often as it says in whole numbers; what is left over is
    drawn among them without repetition.
    """
    out = []
    for weight in np.unique(weights):
        rows = np.flatnonzero(weights == weight)
        whole, rest = divmod(round(weight * len(rows)), len(rows))
        out += [np.tile(rows, whole), np.sort(rng.choice(rows, rest, replace=False))]
    return np.sort(np.concatenate(out))


#: Values of an inverse penalty that are compared on the calibration trials, the strongest first.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
#: Its value where there is nothing to compare them on: no calibration, or one trial a class.
STRENGTH = 1.0
#: Most folds of calibration trials.
FOLDS = 3


def chosen_strength(estimator: Any, x: Matrix, y: NDArray[np.int64],
                    trial: NDArray[np.int64]) -> float:
    """C of an estimator by cross-validation within labelled trials, (n,) each.

    Whole trials are held out, some of each class in every fold; the highest mean balanced accuracy
    wins, of equal ones the strongest penalty. :data:`STRENGTH` where a class has one trial.
    """
    fold = folds_of_trials(y, trial)
    if fold is None:
        return STRENGTH
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    search = GridSearchCV(estimator, {"C": STRENGTHS}, scoring="balanced_accuracy", refit=False,
                          cv=PredefinedSplit(fold))
    return float(search.fit(x, y).best_params_["C"])


def folds_of_trials(
    y: NDArray[np.int64], trial: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Fold of each window: trials of a class are dealt in turn; None if a class has one trial."""
    numbers, first, which = np.unique(trial, return_index=True, return_inverse=True)
    classes = y[first]
    count = min(FOLDS, int(np.unique(classes, return_counts=True)[1].min()))
    if count < 2:
        return None
    fold = np.zeros(len(numbers), dtype=np.int64)
    for label in np.unique(classes):
        mine = np.flatnonzero(classes == label)
        fold[mine] = np.arange(len(mine)) % count
    return fold[which]


def seed_of(ctx: Context, purpose: str = "estimator") -> int:
    """Seed that scikit-learn accepts (32 bits)."""
    return ctx.seed(purpose) % 2**32


def fit_estimator(
    estimator: Any, x: Matrix, y: NDArray[np.int64], weights: Weights | None = None,
    rng: np.random.Generator | None = None,
) -> Any:
    """Fit; a single class, which most classifiers refuse, is then always predicted.

    A classifier without weights is given each row as often as it weighs, by draws of ``rng``.
    """
    from sklearn.utils.validation import has_fit_parameter

    if len(np.unique(y)) < 2:
        from sklearn.dummy import DummyClassifier

        estimator = DummyClassifier()
    if weights is None:
        return estimator.fit(x, y)
    if has_fit_parameter(estimator, "sample_weight"):
        return estimator.fit(x, y, sample_weight=weights)
    rows = repeated(weights, rng or np.random.default_rng(0))
    return estimator.fit(x[rows], y[rows])


class ShallowParams(Params):
    """Parameters of every shallow method."""

    source_share: float = hyper(
        0.5, "share that the source has in what is learnt, against the calibration trials; without "
        "calibration the source is all there is", stage="pretrain", gt=0, lt=1, tune=(0.1, 0.9),
    )


class Shallow(Method):
    """Fit one scikit-learn classifier; a subclass gives :meth:`estimator`."""

    Params = ShallowParams
    params: ShallowParams
    maps_labels = True
    needs = Needs(source="labelled")
    #: Folds that learn from the same windows share one classifier.
    together = True

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier."""
        raise NotImplementedError

    def scratch(self) -> tuple[str, dict[str, Any]]:
        """The same classifier."""
        return self.name, self.params.only("network", "fit")

    def settled(self, estimator: Any, own: Windows | None, x: Matrix | None = None) -> Any:
        """The classifier with the penalty that calibration windows choose, if they are to.

        ``x`` are their rows where these are not their features. The source has no say, so that a
        method and its ``target-only`` have one penalty, and differ in the source alone.
        """
        if own is not None and getattr(self.params, "C", None) == "auto":
            rows = flat(own.x) if x is None else x
            estimator.set_params(C=chosen_strength(estimator, rows, own.y, own.trial))
        return estimator

    def depends_on(self, view: View) -> object:
        """What a fit depends on beside the parameters: folds equal in this share one."""
        return id(view.source) if view.calibration is None else id(view)

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit source and, where granted, calibration windows."""
        if view.calibration is None:
            ctx = ctx.shared("shallow")  # nothing of the fold decides, so its seed may not either
        estimator = self.settled(self.estimator(seed_of(ctx)), view.calibration)
        rows = training_rows(view, self.params.source_share)
        fitted = fit_estimator(estimator, *rows, ctx.rng("source windows"))
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


class Linear(Shallow):
    """A classifier whose probabilities follow from weights and biases: it can be saved."""

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """As every shallow method; what predicts knows its payload."""
        found = super().fit(view, state, ctx)
        return LinearPredictor(found.estimator, found.classes)  # type: ignore[attr-defined]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload."""
        weights, biases, seen = (np.asarray(payload[n]) for n in ("weights", "biases", "seen"))
        return WeightsPredictor(weights, biases, seen, payload["classes"])


class LinearPredictor(ShallowPredictor):
    """A fitted linear classifier."""

    def payload(self) -> dict[str, Any]:
        """Weights (rows, n features) and biases (rows,); one row for two classes. For saving."""
        fitted, seen = self.estimator, self.estimator.classes_.tolist()
        if len(seen) < 2:  # one class, always predicted
            return {"weights": [], "biases": [], "seen": seen, "classes": self.classes}
        return {"weights": fitted.coef_.tolist(), "biases": fitted.intercept_.tolist(),
                "seen": seen, "classes": self.classes}


class WeightsPredictor:
    """Softmax of a linear decision; of two classes, the first's is 0.

    Parameters
    ----------
    weights : (rows, n) float
    biases : (rows,) float
    seen : (m,) int
        Classes of the training; the others have probability 0.
    classes : int
        Number of columns.
    """

    def __init__(self, weights: Any, biases: Any, seen: Any, classes: int) -> None:
        self.weights, self.biases, self.seen, self.classes = weights, biases, seen, classes

    def predict_proba(self, x: NDArray[np.float32]) -> Matrix:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        out = np.zeros((len(x), self.classes))
        if len(self.seen) < 2:
            out[:, self.seen] = 1
        else:
            out[:, self.seen] = softmax(flat(x) @ self.weights.T + self.biases)
        return out


def softmax(decision: Matrix) -> Matrix:
    """Probabilities (n, classes) of a decision (n, classes), or (n, 1) for the second of two."""
    if decision.shape[1] == 1:
        decision = np.concatenate([np.zeros_like(decision), decision], axis=1)
    p = np.exp(decision - decision.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


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
        return softmax(decision[:, None])
    if decision.shape[1] != len(estimator.classes_):
        raise IncompatibleError(
            f"{type(estimator).__name__} gives {decision.shape[1]} decisions for "
            f"{len(estimator.classes_)} classes, which cannot be turned into probabilities",
            "Choose one decision for each class, e.g. decision_function_shape='ovr'.",
        )
    return softmax(decision)


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


Strength = Annotated[float, Gt(0)] | Literal["auto"]


def strength() -> Any:
    """Declare the inverse strength of an L2 penalty."""
    return hyper(
        "auto", "inverse strength of the L2 penalty; auto: chosen by cross-validation within the "
        f"calibration trials, and {STRENGTH:g} where there is one a class or none", stage="fit",
        tune=(1e-4, 1e2), scale="log", start=STRENGTH,
    )


def fixed(c: float | str) -> float:
    """An inverse strength as a number, before anything has chosen it."""
    return STRENGTH if isinstance(c, str) else c


class LogisticParams(ShallowParams):
    """Parameters of a logistic regression."""

    C: Strength = strength()
    max_iter: int = hyper(1000, "most iterations of L-BFGS", stage="fit", ge=1)


def logistic(params: LogisticParams) -> Any:
    """Logistic regression, also the last step of adapted methods."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=fixed(params.C), max_iter=params.max_iter)
