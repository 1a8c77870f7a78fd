"""Scores agree with scikit-learn, and say None where nothing is defined."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn import metrics

from bench.errors import BenchError
from bench.scoring.metrics import (
    FoldOutcome,
    confusion,
    fold_scores,
    majority_share,
    scores,
    trial_scores,
)


def _draw(seed: int, n: int, k: int, classes: list[int] | None = None, decimals: int = 3):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes if classes is not None else np.arange(k), n)
    # Rounded, so that equal probabilities and ties in the argmax occur.
    return y, np.round(rng.dirichlet(np.ones(k), n), decimals)


CASES = [
    (0, 60, 2, None, 3), (1, 60, 2, None, 1), (2, 80, 3, None, 3), (3, 80, 3, None, 1),
    (4, 90, 4, None, 3), (5, 30, 4, [0, 2, 3], 3), (6, 30, 3, [0, 2], 1), (7, 9, 3, None, 3),
]


def test_trials_of_equal_windows_are_equal():
    """Sums of 21 and 24 equal numbers differ by their rounding, which is no rank."""
    lengths = [24, 23, 21, 22, 17, 24]
    trial = np.repeat(np.arange(len(lengths)), lengths)
    p = np.tile(np.array([69, 63, 70]) / 202, (len(trial), 1))
    got = trial_scores(trial % 3, p, trial, 3)
    assert got["auroc"] == 0.5


class TestScores:
    @pytest.mark.parametrize("case", CASES)
    def test_agree_with_scikit_learn(self, case):
        y, p = _draw(*case)
        predicted = p.argmax(axis=1)
        got = scores(y, p, case[2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes predicted but not present
            balanced = metrics.balanced_accuracy_score(y, predicted)
        assert got["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted), abs=1e-12)
        assert got["balanced_accuracy"] == pytest.approx(balanced, abs=1e-12)
        f1 = metrics.f1_score(y, predicted, average="macro", zero_division=0)
        assert got["macro_f1"] == pytest.approx(f1, abs=1e-12)
        if case[2] == 2:
            expected = metrics.roc_auc_score(y, p[:, 1])
        else:
            expected = np.mean(
                [metrics.roc_auc_score(y == c, p[:, c]) for c in np.unique(y)]
            )
        assert got["auroc"] == pytest.approx(expected, abs=1e-12)
        one = [1] if case[2] == 2 else np.unique(y)
        expected = np.mean([metrics.average_precision_score(y == c, p[:, c]) for c in one])
        assert got["average_precision"] == pytest.approx(expected, abs=1e-12)

    def test_macro_auroc_is_scikit_learns_where_all_classes_are_present(self):
        y, p = _draw(8, 200, 3, decimals=12)
        p /= p.sum(axis=1, keepdims=True)
        expected = metrics.roc_auc_score(y, p, multi_class="ovr")
        assert scores(y, p, 3)["auroc"] == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("k", [2, 3])
    def test_one_class_has_no_auroc(self, k):
        got = scores(np.zeros(4, int), np.full((4, k), 1 / k), k)
        assert got == {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "auroc": None,
                       "average_precision": None}

    def test_the_first_of_equal_probabilities_is_predicted(self):
        assert scores([0, 1], [[0.5, 0.5], [0.5, 0.5]], 2)["accuracy"] == 0.5
        assert confusion([0, 1], [[0.5, 0.5], [0.5, 0.5]], 2).tolist() == [[1, 0], [1, 0]]

    def test_values_go_into_json(self):
        y, p = _draw(1, 40, 3)
        got = fold_scores(y, p.astype(np.float32), np.arange(40), 3)
        assert set(got) == {"window", "trial"}
        assert all(type(v) is float for unit in got.values() for v in unit.values())
        assert json.loads(json.dumps(got, allow_nan=False)) == got

    @pytest.mark.parametrize(
        ("y", "p", "message"),
        [
            ([], np.zeros((0, 2)), "there is nothing to score: no test windows"),
            ([0, 1], np.zeros((2, 3)), r"probabilities must have shape \(2, 2\), got \(2, 3\)"),
            ([0, 2], np.zeros((2, 2)), "classes must be 0 to 1, got 0 to 2"),
            ([0, 1], [[0.5, 0.5], [np.nan, 1]], "1 of 2 rows of probabilities are not finite"),
            ([0.0, 1.0], np.zeros((2, 2)), "classes must be integers"),
        ],
    )
    def test_refuses(self, y, p, message):
        with pytest.raises(BenchError, match=message):
            scores(y, p, 2)


class TestTrials:
    def test_a_trial_is_the_mean_over_its_windows(self):
        # Two of three windows of trial b say class 0, but their mean says 1.
        y = [0, 1, 1, 1]
        p = [[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]]
        assert scores(y, p, 2)["accuracy"] == 0.5
        assert trial_scores(y, p, ["a", "b", "b", "b"], 2)["accuracy"] == 1.0

    def test_against_a_loop(self):
        rng = np.random.default_rng(3)
        trial = rng.integers(0, 12, 100)
        y = trial % 3
        p = rng.dirichlet(np.ones(3), 100)
        ids = np.unique(trial)
        mean = np.stack([p[trial == t].mean(axis=0) for t in ids])
        assert trial_scores(y, p, trial, 3) == pytest.approx(scores(ids % 3, mean, 3), abs=1e-12)

    def test_a_trial_has_one_class(self):
        with pytest.raises(BenchError, match="trial 7 has windows of more than one class"):
            trial_scores([0, 1, 1], np.full((3, 2), 0.5), [7, 7, 8], 2)


@pytest.mark.parametrize("case", CASES)
def test_confusion_agrees_with_scikit_learn(case):
    y, p = _draw(*case)
    expected = metrics.confusion_matrix(y, p.argmax(axis=1), labels=range(case[2]))
    assert np.array_equal(confusion(y, p, case[2]), expected)


def test_an_outcome_is_stored_by_name_in_a_fixed_order():
    y, p = _draw(1, 40, 3)
    trial = np.arange(40)
    outcome = FoldOutcome.of((np.int64(2), np.int64(1)), y, p, trial.astype(str), test_trials=trial)
    stored = outcome.as_dict()
    assert list(stored) == [
        "subject", "session", "calibration_trials", "test_trials", "calibration_windows",
        "test_windows", "majority", "true_windows", "predicted_windows", "true_trials",
        "predicted_trials", "scores",
    ]
    assert stored["true_windows"] == np.bincount(y, minlength=3).tolist()
    assert stored["predicted_windows"] == np.bincount(p.argmax(axis=1), minlength=3).tolist()
    assert stored["true_trials"] == stored["true_windows"]  # of one window each
    assert stored["predicted_trials"] == stored["predicted_windows"]
    assert json.loads(json.dumps(stored)) == stored
    assert FoldOutcome(**stored) == outcome
    assert (stored["test_windows"], stored["test_trials"]) == (40, trial.tolist())
    assert stored["scores"] == fold_scores(y, p, trial, 3)


def test_trials_are_counted_by_the_mean_over_their_windows():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])
    outcome = FoldOutcome.of((1, 1), [0, 0, 1, 1], p, [5, 5, 6, 6], test_trials=[5, 6])
    assert (outcome.true_windows, outcome.predicted_windows) == ([2, 2], [1, 3])
    assert (outcome.true_trials, outcome.predicted_trials) == ([1, 1], [1, 1])


def test_majority_share():
    assert majority_share([2, 2, 0, 2]) == 0.75


def test_scikit_learn_is_not_imported():
    code = "import sys, bench.scoring.metrics, bench.scoring.inference, bench.reporting; " \
           "sys.exit(any(m in sys.modules for m in ('sklearn', 'scipy', 'torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
