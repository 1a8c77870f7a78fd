"""Alarms: what cannot be, or says less than it seems, told from records wherever they are shown."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.auditing.alarms import alarms, one_class
from bench.auditing.checks import check_records
from bench.cells.engine import run_cell
from bench.errors import DivergedError
from bench.protocols.few_shot import FewShot
from bench.registry import load
from bench.reporting import ReportOptions
from bench.reports.leaderboard import write
from bench.reports.run import show
from bench.store.records import Store

from records import RECIPE, guesses, put
from support import Means, cell_of


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def simulated(store, method, scores, **more):
    return put(store, method, scores, simulated=RECIPE, **more)


def counted(record, predicted, true=(50, 50)):
    """The record with these windows in each fold."""
    for fold in record.folds:
        fold |= {"true_windows": list(true), "predicted_windows": list(predicted)}
    return record


def said(*records, **options):
    return [(f.severity, f.what, f.where) for f in alarms(records, **options)]


NEAR = [0.33, 0.34, 0.32, 0.33, 0.35, 0.33]


class TestWarnings:
    def test_a_solver_that_was_cut_short_is_said_and_what_to_do(self, tmp_path):
        cls = load("methods", "lr")
        cell = cell_of(cls(cls.parse({"max_iter": 1, "C": 1e6})))
        with warnings.catch_warnings(record=True) as outside:
            record = run_cell(cell, Store(tmp_path))
        (text,) = record.info["warnings"]
        assert text.startswith("ConvergenceWarning: lbfgs failed to converge")
        (_, what, where), = [s for s in said(record) if "warned" in s[1]]
        assert what.endswith("; --set max_iter=N gives it more")
        assert where.startswith("lr ")
        assert not [w for w in outside if "converge" in str(w.message)]

    @pytest.mark.filterwarnings("ignore:old")
    def test_what_is_warned_of_in_pre_training_stays_with_what_was_pre_trained(self, tmp_path):
        store = Store(tmp_path)
        first, again = (
            run_cell(cell_of(Warned(), seed=0, protocol=FewShot(calibration_trials=n)), store)
            for n in (1, 2)
        )
        assert (first.info["pretraining_reused"], again.info["pretraining_reused"]) == (False, True)
        assert first.info["warnings"] == again.info["warnings"] == [
            "RuntimeWarning: far too large", "UserWarning: not sure"]

    def test_what_is_for_authors_or_of_a_training_that_failed_is_warned_of(self, tmp_path):
        with pytest.warns(DeprecationWarning, match="old"):
            run_cell(cell_of(Warned()), Store(tmp_path))
        with (pytest.warns(DeprecationWarning, match="old"),
              pytest.warns(UserWarning, match="not sure"),
              pytest.raises(DivergedError)):
            run_cell(cell_of(Failing()), Store(tmp_path / "failing"))

    @pytest.mark.parametrize(("kept", "said_of"), [
        (7, 0), ("text", 0), ({"a": 1}, 0), ([None, 3, "x"], 1), (None, 0)])
    def test_a_record_that_says_nonsense_raises_nothing(self, store, kept, said_of):
        record = simulated(store, "lda", [0.5] * 6)
        record.info["warnings"] = kept
        assert len([what for _, what, _ in said(record) if "a library warned" in what]) == said_of


class Warned(Means):
    """Warns of this and that."""

    def pretrain(self, source, ctx):
        warnings.warn("far too large\nand more", RuntimeWarning, stacklevel=2)
        return super().pretrain(source, ctx)

    def fit(self, view, state, ctx):
        warnings.warn("not sure.", UserWarning, stacklevel=2)
        warnings.warn("old", DeprecationWarning, stacklevel=2)
        return super().fit(view, state, ctx)


class Failing(Warned):
    """Warns, and fails."""

    def fit(self, view, state, ctx):
        super().fit(view, state, ctx)
        raise DivergedError("lost")


class TestAboveAttainable:
    def test_is_a_leak(self, store):
        best = simulated(store, "attainable", [1 / 3] * 6, kind="control", target="SEED:3")
        leaky = simulated(store, "leaky", [0.91, 0.85, 0.8, 0.83, 0.88, 0.9], target="SEED:3")
        ((severity, what, where),) = said(best, leaky)
        assert severity == "leak"
        assert "above the best attainable: balanced accuracy per window 86.2, and who knows the " \
            "generator reaches 33.3" in what
        assert where == f"leaky SEED:3→SEED:3 {leaky.id[:8]}"

    @pytest.mark.parametrize(("ours", "best"), [
        (NEAR, [1 / 3] * 6), ([0.9] * 6, [0.95] * 6), ([0.36, 0.4, 0.3, 0.42, 0.37, 0.39], NEAR),
        ([0.9, 0.9], [0.5, 0.5]),  # two subjects prove nothing
    ])
    def test_chance_and_what_can_be_reached_are_none(self, store, ours, best):
        assert said(simulated(store, "attainable", best, kind="control"),
                    simulated(store, "honest", ours)) == []

    def test_an_oracle_is_declared_anyway(self, store):
        assert said(simulated(store, "attainable", [0.5] * 6, kind="control"),
                    simulated(store, "leaky", [0.9] * 6, kind="oracle")) == []

    @pytest.mark.parametrize("apart", [{"seed": 1}, {"source": "SEED-IV:4"},
                                       {"protocol": "zero-shot"}])
    def test_only_what_was_tested_alike_is_compared(self, store, apart):
        assert said(simulated(store, "attainable", [0.5] * 6, kind="control"),
                    simulated(store, "leaky", [0.9] * 6, **apart)) == []

    def test_null_data_raise_none(self, store):
        """Scores at chance, as noisy as those of six trials, a thousand times."""
        rng = np.random.default_rng(0)
        best = simulated(store, "attainable", [0.5] * 6, kind="control")
        for fold in best.folds:
            fold["scores"]["trial"]["balanced_accuracy"] = 0.5
        record = simulated(store, "honest", [0.5] * 6)
        raised = 0
        for _ in range(1000):
            for fold in record.folds:
                for unit in ("window", "trial"):
                    fold["scores"][unit]["balanced_accuracy"] = rng.binomial(6, 0.5) / 6
            raised += bool(alarms([best, record]))
        assert raised <= 2


class TestOneClass:
    def test_is_said_with_the_auroc_beside(self, store):
        record = counted(put(store, "dann", [0.5] * 4), (99, 1))
        ((severity, what, _),) = said(record)
        assert severity == "warning"
        assert "one class for over 98 %" in what
        assert "balanced accuracy 50.0, AUROC 53.0" in what
        for fold in record.folds:
            for unit in ("window", "trial"):
                fold["scores"][unit]["average_precision"] = 0.61
        ((_, what, _),) = said(record)
        assert "balanced accuracy 50.0, AUROC 53.0, average precision 61.0" in what

    def test_may_be_another_class_in_each_subject(self, store):
        record = counted(put(store, "dann", [0.5] * 4), (100, 0))
        for fold in record.folds[:2]:
            fold["predicted_windows"] = [0, 100]
        assert len(said(record)) == 1

    def test_may_be_so_of_trials_alone(self, store):
        record = counted(put(store, "svm", [0.5] * 4), (80, 20))
        for fold in record.folds:
            fold |= {"true_trials": [5, 5], "predicted_trials": [10, 0]}
        ((severity, what, _),) = said(record)
        assert severity == "warning"
        assert "one class for over 98 % of the trials of a subject" in what
        assert "per trial balanced accuracy 55.0, AUROC 58.0" in what
        assert (one_class(record, "window"), one_class(record, "trial")) == (False, True)

    @pytest.mark.parametrize("named", [[0, 10], [4, 6]])
    def test_of_windows_alone_it_is_of_windows(self, store, named):
        record = counted(put(store, "svm", [0.5] * 4), (100, 0))
        for fold in record.folds:
            fold |= {"true_trials": [5, 5], "predicted_trials": named}
        ((_, what, _),) = said(record)
        assert "of the windows" in what
        assert one_class(record, "trial") is (named == [0, 10])

    def test_few_trials_are_of_one_class_by_chance(self, store):
        record = counted(put(store, "svm", [0.5] * 4), (50, 50))
        for fold in record.folds:
            fold |= {"true_trials": [1, 1], "predicted_trials": [2, 0]}
        assert said(record) == []

    def test_of_the_first_edition_it_cannot_be_told(self, store):
        frame = guesses(2)
        frame["p0"], frame["p1"] = 0.9, 0.1
        record = put(store, "dann", [0.5] * 4, predictions=frame)
        assert said(record) == []
        record.edition = 1
        ((severity, what, _),) = said(record)
        assert severity == "note"
        assert "of edition 1" in what
        assert "cannot be told" in what
        assert not one_class(record, "window")

    @pytest.mark.parametrize("predicted", [(97, 3), (50, 50)])
    def test_others_are_not(self, store, predicted):
        assert said(counted(put(store, "dann", [0.5] * 4), predicted)) == []

    def test_majority_is_what_it_is(self, store):
        assert said(counted(put(store, "majority", [0.5] * 4, kind="control"), (100, 0))) == []


def test_a_class_that_a_subject_lacks(store):
    record = counted(put(store, "dann", [0.6] * 4), (40, 60))
    record.folds[2]["true_windows"] = [100, 0]
    ((_, what, _),) = said(record)
    assert what == ("DEAP:valence: a class is missing from the tested windows of subject 3: chance "
                    "is not 1/2 there")


def test_smoothing_across_a_trial(store):
    def features(how):
        return {"features": {"kind": "de", "by": "owner:de_LDS", "smoothing": how}}

    ((_, what, _),) = said(put(store, "dann", [0.6] * 4, identity=features("LDS")))
    assert "smoothed these features over whole trials (LDS)" in what
    assert said(put(store, "dann", [0.6] * 4, identity=features("none"))) == []


class TestSaturated:
    def test_all_methods_at_100(self, store):
        ((_, what, where),) = said(put(store, "a", [1.0] * 4), put(store, "b", [1.0] * 4))
        assert what.startswith("all 2 methods score 100 % per window")
        assert where == "SEED:3→DEAP:valence"

    def test_one_that_is_not(self, store):
        records = [put(store, "a", [1.0] * 4), put(store, "b", [1.0, 0.9, 1.0, 1.0])]
        for fold in records[1].folds:
            fold["scores"]["trial"]["balanced_accuracy"] = 0.95
        assert said(*records) == []


class TestIdentical:
    def test_the_same_predictions_under_two_names(self, store):
        frame = guesses(2)
        one, two = (put(store, m, [0.6, 0.7, 0.65, 0.7], predictions=frame) for m in "ab")
        ((_, what, where),) = said(one, two)
        assert what.startswith("identical predictions: the same thing twice")
        assert where == (f"a SEED:3→DEAP:valence {one.id[:8]} and "
                         f"b SEED:3→DEAP:valence {two.id[:8]}")

    def test_scores_where_no_predictions_are_there(self, store):
        ((_, what, _),) = said(put(store, "a", [0.6, 0.7]), put(store, "b", [0.6, 0.7]))
        assert what.startswith("identical scores in every metric and subject")

    def test_a_parameter_without_effect(self, store):
        assert len(said(put(store, "a", [0.6, 0.7], params={"width": 1}),
                        put(store, "a", [0.6, 0.7], params={"width": 2}, origin="set"))) == 1

    def test_a_method_that_is_its_own_control(self, store):
        assert len(said(put(store, "scmm", [0.6, 0.7]), put(
            store, "target-only", [0.6, 0.7], kind="control", params={"network": "scmm"}))) == 1

    def test_what_is_alike_by_design(self, store):
        controls = [put(store, "target-only", [0.6, 0.7], kind="control", params={"network": n})
                    for n in ("scmm", "simclr")]  # one network
        tuned = [put(store, "a", [0.65, 0.7], origin=o) for o in ("default", "tuned")]
        rules = [put(store, "b", [0.66, 0.7], identity={"selection": s})
                 for s in ("last", "source-val")]
        assert said(*controls, *tuned, *rules) == []


def test_a_stranger_s_record_is_passed_over(store):
    record = put(store, "a", [0.6])
    record.folds = [{"subject": "one"}]
    failed = put(store, "b", [], status="failed", reason="no")
    assert said(record, failed) == []


class TestWhereTheyAreShown:
    @pytest.fixture
    def leaky(self, store):
        best = simulated(store, "attainable", [0.5] * 4, kind="control")
        record = simulated(store, "leaky", [0.9, 0.92, 0.91, 0.9])
        record.controls = [best]
        return record

    def test_on_the_screen_of_a_run(self, leaky):
        console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        show(leaky, console)
        assert "LEAK: above the best attainable" in console.export_text()

    def test_average_precision_stands_by_the_auroc_where_accuracies_say_nothing(self, store):
        record = counted(put(store, "svm", [0.5] * 4), (80, 20))
        for fold in record.folds:
            fold |= {"true_trials": [5, 5], "predicted_trials": [10, 0]}
            for unit in ("window", "trial"):
                fold["scores"][unit]["average_precision"] = 0.61
        console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        show(record, console)
        window, _, trial = console.export_text().partition("per trial")
        assert "AP 61.0" not in window
        assert "AP 61.0 ± 0.0" in trial
        assert "% of the trials of a subject" in " ".join(trial.split())

    def test_in_the_reports(self, leaky, store, tmp_path):
        write(store, tmp_path, ReportOptions())
        assert "⚠ LEAK: above the best attainable" in (tmp_path / "leaderboard.md").read_text()

    def test_in_the_audit_of_records_where_it_counts_as_a_leak(self, leaky, store, bench):
        report = check_records(store.root)
        assert report.leaks == 1
        done = bench("audit", "--records", str(store.root))
        assert done.returncode == 1
        assert "above the best attainable" in " ".join(done.stdout.split())


def test_a_run_that_knows_one_class_says_so_and_keeps_its_counts(bench, tiny_root, tmp_path):
    done = bench("run", "--method", "sklearn:sklearn.dummy.DummyClassifier", "--data", tiny_root,
                 "--runs", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert "predicts one class for over 98 %" in " ".join(done.stdout.split())
    assert "AUROC 50.0" in " ".join(done.stdout.split())
    for path in (tmp_path / "r").glob("cells/*/predictions.parquet"):
        frame = pd.read_parquet(path)
        for fold in json.loads((path.parent / "record.json").read_text())["folds"]:
            mine = frame[frame["subject"] == fold["subject"]]
            named = mine[[c for c in mine if c.startswith("p")]].to_numpy().argmax(axis=1)
            k = len(fold["true_windows"])
            assert fold["true_windows"] == np.bincount(mine["y"], minlength=k).tolist()
            assert fold["predicted_windows"] == np.bincount(named, minlength=k).tolist()
