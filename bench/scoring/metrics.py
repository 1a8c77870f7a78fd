"""Scores of a fold, per window and per trial, from probabilities.

Values are Python floats, or None where a score is not defined (the AUROC of a test part with one
class), so that they go into a record as they are: JSON has no NaN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BenchError

#: Metrics of a fold, best-known first; every one is in [0, 1] and larger is better.
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
#: Kept beside them: what it is of chance depends on the class shares, so no table is of it alone.
PRECISION = "average_precision"
#: What is scored: every window, or every trial by the mean probability over its windows.
UNITS = ("window", "trial")
#: Decimals of the probability of a trial: coarser than rounding, finer than any difference.
DIGITS = 12

Scores = dict[str, float | None]


@dataclass(frozen=True)
class FoldOutcome:
    """How one subject and session were tested: what a record keeps of a fold.

    Attributes
    ----------
    subject, session : int
    calibration_trials, test_trials : list of int
        Trials that were calibrated on and tested, in ascending order.
    calibration_windows, test_windows : int
        How many windows these have.
    majority : float
        Share of the most frequent class among the tested windows.
    true_windows, predicted_windows : list of int
        Tested windows of each class, and how many were taken for it.
    true_trials, predicted_trials : list of int
        The same of trials.
    scores : dict
        ``{"window": {...}, "trial": {...}}``: see :func:`fold_scores`.
    """

    subject: int
    session: int
    calibration_trials: list[int]
    test_trials: list[int]
    calibration_windows: int
    test_windows: int
    majority: float
    true_windows: list[int]
    predicted_windows: list[int]
    true_trials: list[int]
    predicted_trials: list[int]
    scores: dict[str, Scores]

    @classmethod
    def of(
        cls, key: tuple[int, int], y: ArrayLike, proba: ArrayLike, trial_ids: ArrayLike, *,
        test_trials: ArrayLike, calibration_trials: ArrayLike = (), calibration_windows: int = 0,
    ) -> Self:
        """Score the windows of one subject and session.

        Parameters
        ----------
        key : (int, int)
            Subject and session.
        y : (n,) int
            True class of each window.
        proba : (n, n_classes) float
        trial_ids : (n,) int or str
            What tells the trials apart whose windows are averaged.
        test_trials, calibration_trials : (m,) int
            Numbers of trials; they may repeat, as those of windows do.
        calibration_windows : int
        """
        p = np.asarray(proba)
        k = p.shape[1]
        table, of_trials = confusion(y, p, k), confusion(*trial_means(y, p, trial_ids, k), k)
        return cls(
            int(key[0]), int(key[1]), _numbers(calibration_trials), _numbers(test_trials),
            calibration_windows, len(p), majority_share(y), table.sum(axis=1).tolist(),
            table.sum(axis=0).tolist(), of_trials.sum(axis=1).tolist(),
            of_trials.sum(axis=0).tolist(), fold_scores(y, p, trial_ids, k),
        )

    def as_dict(self) -> dict[str, Any]:
        """Fields by name, in the order in which they are stored."""
        return asdict(self)


def scores(y: ArrayLike, proba: ArrayLike, n_classes: int) -> Scores:
    """Accuracy, balanced accuracy, macro F1, AUROC and average precision.

    Parameters
    ----------
    y : (n,) int
        True classes, 0 to ``n_classes - 1``.
    proba : (n, n_classes) float
        Probabilities. The class predicted is the largest one, the first of equals.
    n_classes : int
        Number of classes of the task, whether present in ``y`` or not.

    Returns
    -------
    dict
        ``accuracy``; ``balanced_accuracy``, the mean recall over the classes present in ``y``;
        ``macro_f1``, the mean F1 over the classes present in ``y`` or predicted; ``auroc``, that
        of class 1 for two classes, else the mean of one class against the rest over the classes
        present, None where ``y`` has one class only; ``average_precision``, of the same classes,
        the mean precision over the recalls that thresholds reach.

    Raises
    ------
    BenchError
        Nothing to score, wrong shapes, classes out of range, probabilities that are not finite.
    """
    truth, p = _checked(y, proba, n_classes)
    table = _table(truth, p.argmax(axis=1), n_classes)
    hits, support, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    present, seen = support > 0, support + predicted > 0
    # F1 = 2 hits / (true + predicted): 0, not undefined, for a class that is only on one side.
    f1 = 2 * hits[seen] / (support + predicted)[seen]
    return {
        "accuracy": float(hits.sum() / len(truth)),
        "balanced_accuracy": float((hits[present] / support[present]).mean()),
        "macro_f1": float(f1.mean()),
        "auroc": _over_classes(_area, truth, p), PRECISION: _over_classes(_precision, truth, p),
    }


def trial_scores(y: ArrayLike, proba: ArrayLike, trial_ids: ArrayLike, n_classes: int) -> Scores:
    """Scores of trials, see :func:`trial_means`; parameters and errors are the same."""
    return scores(*trial_means(y, proba, trial_ids, n_classes), n_classes)


def trial_means(
    y: ArrayLike, proba: ArrayLike, trial_ids: ArrayLike, n_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class and probabilities of each trial: the latter are the mean over its windows.

    Parameters
    ----------
    y : (n,) int
        True class of each window; one class within a trial.
    proba : (n, n_classes) float
    trial_ids : (n,) int or str
        Trial of each window.
    n_classes : int

    Raises
    ------
    BenchError
        As :func:`scores`, or a trial has windows of several classes.
    """
    truth, p = _checked(y, proba, n_classes)
    ids = np.asarray(trial_ids)
    if ids.shape != truth.shape:
        raise BenchError(f"{len(truth)} windows have trial ids of shape {ids.shape}")
    trials, first, of_window = np.unique(ids, return_index=True, return_inverse=True)
    label = truth[first]
    mixed = np.flatnonzero(label[of_window] != truth)
    if mixed.size:
        raise BenchError(f"trial {ids[mixed[0]]} has windows of more than one class")
    total = np.zeros((len(trials), n_classes))
    np.add.at(total, of_window, p)
    # Sums of equal numbers differ by their rounding; a rank would take that for a difference.
    return label, np.round(total / np.bincount(of_window)[:, None], DIGITS)


def fold_scores(
    y: ArrayLike, proba: ArrayLike, trial_ids: ArrayLike, n_classes: int
) -> dict[str, Scores]:
    """What a record keeps of a fold: ``{"window": {...}, "trial": {...}}``."""
    return {
        "window": scores(y, proba, n_classes),
        "trial": trial_scores(y, proba, trial_ids, n_classes),
    }


def subject_scores(
    folds: Iterable[Mapping[str, Any]], unit: str, metric: str = "balanced_accuracy"
) -> dict[int, float]:
    """Subject to score, averaged over sessions."""
    sessions: dict[int, list[float]] = defaultdict(list)
    for fold in folds:
        score = fold["scores"][unit].get(metric)
        if score is not None:
            sessions[int(fold["subject"])].append(float(score))
    return {s: fmean(v) for s, v in sessions.items()}


def confusion(y: ArrayLike, proba: ArrayLike, n: int) -> NDArray[np.int64]:
    """Counts of true class (rows) by predicted class (columns), shape (n, n)."""
    truth, p = _checked(y, proba, n)
    return _table(truth, p.argmax(axis=1), n)


def majority_share(y: ArrayLike) -> float:
    """Share of the most frequent class in ``y``: the accuracy of always naming it."""
    truth = np.asarray(y)
    if truth.size == 0:
        raise BenchError("there is nothing to score: no test windows")
    return float(np.unique(truth, return_counts=True)[1].max() / truth.size)


def _numbers(trials: ArrayLike) -> list[int]:
    return np.unique(np.asarray(trials, dtype=np.int64)).tolist()


def _checked(
    y: ArrayLike, proba: ArrayLike, n_classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth: NDArray[Any] = np.asarray(y)
    p = np.asarray(proba, dtype=np.float64)
    if truth.size == 0:
        raise BenchError("there is nothing to score: no test windows")
    if truth.ndim != 1 or not np.issubdtype(truth.dtype, np.integer):
        raise BenchError(
            f"classes must be integers, one per window, got {truth.dtype} of shape {truth.shape}"
        )
    if p.shape != (len(truth), n_classes):
        raise BenchError(
            f"probabilities must have shape ({len(truth)}, {n_classes}), got {p.shape}"
        )
    if truth.min() < 0 or truth.max() >= n_classes:
        raise BenchError(
            f"classes must be 0 to {n_classes - 1}, got {truth.min()} to {truth.max()}"
        )
    if not np.isfinite(p).all():
        bad = np.flatnonzero(~np.isfinite(p).all(axis=1))
        raise BenchError(f"{len(bad)} of {len(p)} rows of probabilities are not finite")
    return truth.astype(np.int64), p


def _table(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    return np.bincount(truth * n + predicted, minlength=n * n).reshape(n, n)


def _over_classes(
    of: Callable[[NDArray[np.bool_], NDArray[np.float64]], float | None],
    truth: NDArray[np.int64], p: NDArray[np.float64],
) -> float | None:
    """Of class 1 of two; else the mean of one class against the rest, over the classes present."""
    classes = [1] if p.shape[1] == 2 else np.unique(truth).tolist()
    defined = [v for c in classes if (v := of(truth == c, p[:, c])) is not None]
    return float(np.mean(defined)) if defined else None


def _area(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve as the Mann-Whitney statistic; equal scores count one half."""
    n_pos = int(positive.sum())
    n_neg = len(positive) - n_pos
    if n_pos == 0 or n_neg == 0:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def _precision(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """Sum over thresholds of precision times what recall gains; equal scores share a threshold."""
    n_pos = int(positive.sum())
    if n_pos in (0, len(positive)):
        return None
    _, place = np.unique(-score, return_inverse=True)
    named = np.bincount(place)
    hits = np.bincount(place, weights=positive)
    return float((hits / n_pos * np.cumsum(hits) / np.cumsum(named)).sum())
