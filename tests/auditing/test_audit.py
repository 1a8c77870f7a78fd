"""The audit: what each shortcut adds where it can be worked out by hand, and what checks find."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import registry
from bench.auditing.audit import AuditOptions, audit, random_draws
from bench.auditing.checks import check_records
from bench.auditing.inflation import Audit, read_audit
from bench.auditing.split import check_split
from bench.cells.shortcuts import (
    SHORTCUTS,
    mixed,
    more_windows,
    scaled_folds,
    split_windows,
    stretched,
)
from bench.data.windows import Windows
from bench.errors import BenchError, DataError, SettingError, UnknownNameError
from bench.method import Budget
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.reporting import ReportOptions
from bench.store.records import Store

from records import guesses, put, side
from support import paired

PLUGIN = Path(__file__).parents[1] / "audit_plugin.py"
CHANNELS = ("FP1", "FZ")
WINDOW, TRIAL = ("balanced_accuracy", "window"), ("balanced_accuracy", "trial")


def corpus(name, level, *, subjects=4, trials=10, windows=12, classes=2, noise=0.001, seed=0):
    """Windows at ``level(subject, trial, class, rng)`` (a number or ten) plus a little noise."""
    rng = np.random.default_rng(seed)
    rows, x = [], []
    for s in range(1, subjects + 1):
        for t in range(1, trials + 1):
            y = (t - 1) % classes
            at = np.broadcast_to(level(s, t, y, rng), 10)
            for _ in range(windows):
                rows.append((s, t, y))
                x.append(at + rng.normal(0, noise, 10))
    table = np.array(rows)
    return Windows.from_arrays(
        np.array(x).reshape(len(x), 2, 5), table[:, 2], subject=table[:, 0], trial=table[:, 1],
        channels=CHANNELS, labels=[f"c{k}" for k in range(classes)], corpus=name,
    )


def own_trials(s, t, y, rng):
    """Every trial somewhere of its own, whatever its class."""
    return rng.normal(0, 10, 10)


SOURCE = corpus("A", own_trials, seed=9)


def audited(tmp_path, method, target, *names, source=SOURCE, seeds=(0,), draws=5, **options):
    """An audit with the plugin's methods."""
    registry.include(str(PLUGIN))
    what = AuditOptions(seeds=seeds, only=names, draws=draws)
    path = audit(method, source, target, runs=tmp_path, what=what, scaling=options.pop(
        "scaling", "none"), **options)
    return read_audit(path)


def only(found: Audit):
    """The one row of an audit."""
    (row,) = found.rows
    return row


pytestmark = pytest.mark.usefixtures("clean_registry")


def test_windows_of_a_trial_on_both_sides_are_remembered(tmp_path):
    target = corpus("B", own_trials, subjects=8, trials=20)
    found = audited(tmp_path, "memory", target, "split-windows")
    measure = only(found).measures[WINDOW]
    assert measure.after == 1.0  # by hand: the nearest window is of the same trial
    assert abs(measure.before - 0.5) < 0.15
    assert measure.test.mean == pytest.approx(1.0 - measure.before)
    assert measure.test.p == pytest.approx(2 / 2**8)
    low, high = found.honest[WINDOW].test.interval
    assert low < 0 < high


@pytest.mark.parametrize("protocol", ["few-shot", "within", "zero-shot"])
def test_mixed_subjects_are_remembered_on_the_same_windows(tmp_path, protocol):
    target = corpus("B", own_trials, subjects=6, trials=20)
    found = audited(tmp_path, "memory", target, "mixed-subjects", protocol=protocol)
    measure = only(found).measures[WINDOW]
    assert measure.after == 1.0
    assert measure.test.n == 6
    assert measure.before < 0.7
    store = Store(tmp_path)
    by_kind = {r.kind: r for r in store.records()}
    keys = ["subject", "session", "trial", "onset"]
    honest, leaky = (by_kind[k].predictions()[keys].sort_values(keys).reset_index(drop=True)
                     for k in ("method", "oracle"))
    pd.testing.assert_frame_equal(honest, leaky)


def test_the_scaler_of_tested_windows_mends_a_shift(tmp_path):
    def shifted(s, t, y, rng):
        return y + (10 if t > 6 else 0)  # later trials are ten higher

    target = corpus("B", shifted, noise=0.0)
    row = only(audited(tmp_path, "threshold", target, "test-scaler", scaling="min-max"))
    # By hand: honestly all tested windows are above, one class right; by themselves 0 and 1.
    assert row.measures[WINDOW].before == 0.5
    assert row.measures[WINDOW].after == 1.0
    row = only(audited(tmp_path, "threshold", target, "transductive-scaling", scaling="min-max"))
    assert row.measures[WINDOW].test.mean == 0.0  # calibration at 0 and 1 of 11: all above again


def test_best_of_seeds_against_their_mean(tmp_path):
    target = corpus("B", lambda s, t, y, rng: 2 * y - 1)
    row = only(audited(tmp_path, "chosen", target, "best-of-seeds", seeds=(0, 1, 2, 3)))
    measure = row.measures[WINDOW]
    assert (measure.before, measure.after) == (0.625, 1.0)  # three are blind, one is right
    assert "best of 4" in row.note


def test_parameters_tuned_on_test(tmp_path):
    target = corpus("B", lambda s, t, y, rng: 2 * y - 1)
    row = only(audited(tmp_path, "chosen", target, "tuned-on-test", draws=6))
    measure = row.measures[TRIAL]
    assert (measure.before, measure.after) == (0.5, 1.0)  # six draws of right or wrong
    kept = [r.kind for r in Store(tmp_path).records()]
    assert sorted(kept) == ["method", "oracle"]  # draws themselves stay out of the leaderboard


def test_a_method_s_own_switches(tmp_path):
    target = corpus("B", lambda s, t, y, rng: 2 * y - 1)
    row = only(audited(tmp_path, "chosen", target, "released"))
    assert row.measures[WINDOW].test.mean == 0.5


def test_null_honest_is_chance_and_the_best_epoch_is_not(tmp_path):
    target = corpus("B", own_trials, subjects=15, trials=15, classes=3)
    source = corpus("A", own_trials, classes=3, seed=5)
    found = audited(tmp_path, "coin", target, "best-test-epoch", source=source, seeds=(0, 1))
    own = found.honest[TRIAL]
    assert own.before == pytest.approx(1 / 3)
    low, high = own.test.interval
    assert low < 0 < high
    added = only(found).measures[TRIAL].test
    assert added.interval is not None
    assert added.interval[0] > 0.07  # the best of fifty guesses of six trials
    assert only(found).measures[TRIAL].holm < 0.001


@pytest.mark.slow
def test_null_of_scmm_on_simulated_corpora(tmp_path):
    """The command of docs/audit.md: fifteen subjects, three classes, fifty epochs, six trials."""
    path = audit(
        "scmm", "DEAP", "SEED", simulated=True, runs=tmp_path,
        recipe={"class_effect": 0, "subjects": 15, "length": 0.05},
        what=AuditOptions(seeds=(0,), only=("best-test-epoch",)),
    )
    found = read_audit(path)
    for key in (WINDOW, TRIAL):
        low, high = found.honest[key].test.interval
        assert low < 0 < high
    assert 0.04 < only(found).measures[WINDOW].after - 1 / 3 < 0.12
    assert only(found).measures[WINDOW].test.interval[0] > 0


def test_what_does_not_apply_says_why(tmp_path):
    target = corpus("B", own_trials)
    found = audited(tmp_path, "memory", target)
    reasons = {r.name: r.reason for r in found.rows}
    assert "not trained in epochs" in reasons["best-test-epoch"]
    assert reasons["test-scaler"] == "nothing is scaled"
    assert "no parameter to tune" in reasons["tuned-on-test"]
    assert "one seed" in reasons["best-of-seeds"]
    assert reasons["split-windows"] == reasons["mixed-subjects"] == ""
    assert found.compared == 2
    found = audited(tmp_path, "memory", target, "split-windows", protocol="within")
    assert "no labelled trials of the tested subject" in only(found).reason


def test_holm_is_over_the_shortcuts_that_apply(tmp_path):
    target = corpus("B", own_trials, subjects=8, trials=20)
    found = audited(tmp_path, "memory", target)
    rows = [r.measures[WINDOW] for r in found.rows if r.measures]
    assert len(rows) == 2
    assert [m.holm for m in rows] == pytest.approx([2 * m.test.p for m in rows])


def test_a_rerun_computes_nothing(tmp_path):
    target = corpus("B", lambda s, t, y, rng: rng.normal(0, 5, 10))
    first = audited(tmp_path, "memory", target, seeds=(0, 1))
    memory = registry.load("methods", "memory")
    count = memory.fitted
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    again = audited(tmp_path, "memory", target, seeds=(0, 1))
    assert memory.fitted == count > 0
    assert again.path == first.path
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files


def test_twins_are_oracles_and_the_honest_record_is_not_touched(tmp_path):
    target = corpus("B", own_trials)
    audited(tmp_path, "memory", target, "split-windows", "mixed-subjects", seeds=(0, 1))
    kinds = [(r.identity.get("shortcut"), r.kind) for r in Store(tmp_path).records()]
    assert sorted(kinds, key=str) == sorted(
        [(None, "method")] * 2 + [("split-windows", "oracle")] * 2
        + [("mixed-subjects", "oracle")] * 2, key=str)
    registry.include(str(PLUGIN))
    import bench

    record = bench.run("memory", SOURCE, target, runs=tmp_path / "alone", scaling="none",
                       controls=False)
    assert Store(tmp_path).get(record.id) is not None  # the ordinary run is the same record


def test_reports_show_twins_apart(tmp_path):
    target = corpus("B", own_trials)
    audited(tmp_path, "memory", target, "split-windows", "mixed-subjects")
    table = registry.load("reports", "frame")(Store(tmp_path), ReportOptions())
    found = set(zip(table["method"], table["shortcut"], table["block"], strict=True))
    assert {("memory", "", "method"), ("memory", "split-windows", "oracle"),
            ("memory", "mixed-subjects", "oracle")} <= found
    registry.load("reports", "leaderboard")(Store(tmp_path), tmp_path / "out", ReportOptions())
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    assert "memory + split windows" in text
    with pytest.raises(BenchError):  # no gap of an oracle epoch: a twin is not one
        registry.load("reports", "selection")(Store(tmp_path), tmp_path / "out", ReportOptions())


def test_report_files(tmp_path):
    target = corpus("B", own_trials, subjects=6)
    found = audited(tmp_path, "memory", target)
    out = tmp_path / "report"
    written = registry.load("reports", "audit")(Store(tmp_path), out, ReportOptions())
    assert {p.name for p in written} == {
        "audit.csv", "audit.md", "audit.json", "audit.png", "audit.pdf", "audit.svg"}
    rows = list(csv.DictReader((out / "audit.csv").open()))
    split = next(r for r in rows if r["shortcut"] == "split-windows"
                 and (r["metric"], r["unit"]) == WINDOW)
    measure = next(r for r in found.rows if r.name == "split-windows").measures[WINDOW]
    assert float(split["inflation"]) == measure.test.mean
    assert float(split["p_holm"]) == measure.holm
    assert any(r["reason"] == "nothing is scaled" and not r["inflation"] for r in rows)
    body = json.loads((out / "audit.json").read_text())
    assert len(body["audits"][0]["rows"]) == len(rows)
    text = (out / "audit.md").read_text()
    assert "test-scaler does not apply: nothing is scaled" in text
    assert "imulated" not in text
    assert registry.load("reports", "audit")(Store(out), out, ReportOptions()) == []


def test_simulated_stands_across_the_plot(tmp_path):
    found = audited(tmp_path, "memory", corpus("B", own_trials), "split-windows")
    from bench.reports.audit_plot import draw

    plain = [t.get_text() for t in draw(found).texts]
    assert "SIMULATED" not in plain
    found.first.simulated = {"subjects": 4}
    assert "SIMULATED" in [t.get_text() for t in draw(found).texts]


def test_wrong_names_and_numbers(tmp_path):
    target = corpus("B", own_trials)
    with pytest.raises(UnknownNameError, match="split-window"):
        audited(tmp_path, "memory", target, "split-window")
    with pytest.raises(SettingError, match="takes shortcuts itself"):
        audited(tmp_path, "scmm-released", target)
    with pytest.raises(SettingError):
        AuditOptions(seeds=())
    with pytest.raises(SettingError):
        AuditOptions(draws=0)
    assert not list(tmp_path.glob("audit-*.json"))


# --- folds -------------------------------------------------------------------------------------

def _folds(protocol):
    target = corpus("B", own_trials, subjects=3, trials=8)
    return protocol.folds(paired(SOURCE, target), 0).folds


def test_split_windows_keeps_the_numbers_of_each_class():
    for fold in _folds(FewShot()):
        leaky = split_windows(fold, 0)
        for old, new in ((fold.view.calibration, leaky.view.calibration),
                         (fold.open_test(), leaky.open_test())):
            assert np.bincount(old.y).tolist() == np.bincount(new.y).tolist()
        shared = set(leaky.view.calibration.trial) & set(leaky.open_test().trial)
        assert shared
        both = np.concatenate([leaky.view.calibration.x, leaky.open_test().x])
        assert len(np.unique(both.reshape(len(both), -1), axis=0)) == len(both)  # no window twice
        assert leaky.view.source is fold.view.source


@pytest.mark.parametrize("protocol", [FewShot(), Within(), ZeroShot()])
def test_mixed_parts_test_each_window_once_and_never_train_on_it(protocol):
    folds = _folds(protocol)
    parts = mixed(folds, 0)
    tested = np.concatenate([p.open_test().x for p in parts])
    honest = np.concatenate([f.open_test().x for f in folds])
    assert sorted(map(bytes, tested)) == sorted(map(bytes, honest))
    for part in parts:
        known = part.view.calibration if part.view.calibration is not None else part.view.source
        assert not set(map(bytes, known.x)) & set(map(bytes, part.open_test().x))
        assert set(part.open_test().subject) <= set(known.subject)


def test_a_budget_is_stretched_by_the_windows_there_are_more():
    folds = _folds(FewShot())
    assert more_windows(folds, folds) == 1.0
    own = len(folds[0].view.calibration)
    expected = np.mean([len(p.view.calibration) for p in mixed(folds, 0)]) / own
    assert more_windows(folds, mixed(folds, 0)) == pytest.approx(expected)
    assert expected > 3
    assert more_windows(_folds(Within()), mixed(_folds(Within()), 0)) == 1.0
    assert stretched(Budget(fit=40), 2.5).fit == 100
    assert stretched(Budget(), 2.5).fit is None


@pytest.mark.parametrize("kind", ["min-max", "z-score", "robust"])
def test_scalers_of_the_shortcuts(kind):
    from bench.protocols.scaling import Scaler

    for fold, alone, both in zip(
        _folds(FewShot()),
        scaled_folds("test-scaler", _folds(FewShot()), Scaling(kind), 0),
        scaled_folds("transductive-scaling", _folds(FewShot()), Scaling(kind), 0), strict=True,
    ):
        x, cal = fold.open_test().x, fold.view.calibration.x
        np.testing.assert_allclose(alone.open_test().x, Scaler.fit(x, kind)(x), atol=2e-4)
        np.testing.assert_allclose(alone.view.calibration.x, Scaler.fit(cal, kind)(cal), atol=2e-4)
        scaler = Scaler.fit(np.concatenate([cal, x]), kind)
        np.testing.assert_allclose(both.open_test().x, scaler(x), atol=2e-4)
        np.testing.assert_allclose(both.view.calibration.x, scaler(cal), atol=2e-4)


def test_without_a_shortcut_folds_are_the_honest_ones():
    folds = _folds(FewShot())
    for a, b in zip(scaled_folds(None, folds, Scaling(), 0), Scaling().folds(folds), strict=True):
        np.testing.assert_array_equal(a.open_test().x, b.open_test().x)
    assert all(s.how != "folds" or s.cut or s.rescale for s in SHORTCUTS.values())


def test_draws_stay_in_their_ranges_and_are_the_same_again():
    scmm = registry.load("methods", "scmm")
    method = scmm(scmm.parse({"temperature": 0.3}))
    drawn = random_draws(method, 20, ("temperature",), seed=1)
    assert drawn == random_draws(method, 20, ("temperature",), seed=1)
    for values in drawn:
        scmm.parse(values)
        assert 0.02 <= values["sharpness"] <= 1.0
        assert values["epochs"] == method.params.epochs
        assert values["temperature"] == 0.3
    assert len({v["lr"] for v in drawn}) == 20


# --- checks of records -------------------------------------------------------------------------

def texts(report, severity):
    """What a report says at one severity."""
    return [f.what for f in report.findings if f.severity == severity]


def test_clean_records_pass(tmp_path):
    audited(tmp_path, "memory", corpus("B", own_trials), "split-windows", seeds=(0, 1))
    report = check_records(tmp_path)
    assert report.leaks == 0
    assert "takes a shortcut: split-windows" in texts(report, "declared")
    assert "trials stand on both sides, calibration and test" in texts(report, "declared")
    assert not any("one seed" in t for t in texts(report, "warning"))


def _predictions():
    table = guesses(2, subjects=4)
    table["trial"] += 7
    return table


@pytest.mark.parametrize(("changes", "expected"), [
    ({"calibration": 4}, "trials stand on both sides"),
    ({"identity": {"scaling": {"name": "min-max", "source": "source",
                               "target": "calibration", "test": "its own statistics"}}},
     "scaler fitted on tested windows"),
    ({"identity": {"selection": "oracle"}}, "epoch chosen on the test set"),
    ({"identity": {"shortcut": "test-scaler"}}, "is not kept as an oracle"),
    ({"identity": {"source": side("DEAP:arousal")}}, "share tested subjects"),
    ({"origin": "tuned", "identity": {"tuning": {"selection": "oracle"}}}, "tuned on the test"),
    ({"predictions": _predictions()}, "scores do not follow"),
])
def test_planted_leaks_are_found(tmp_path, changes, expected):
    store = Store(tmp_path)
    put(store, "ours", [0.6, 0.7, 0.8, 0.9], **changes)
    report = check_records(tmp_path)
    assert any(expected in t for t in texts(report, "leak")), report.findings
    # The same thing in an oracle is declared; a wrong score stays wrong.
    put(Store(tmp_path / "declared"), "ours", [0.6, 0.7, 0.8, 0.9], kind="oracle", **changes)
    declared = check_records(tmp_path / "declared")
    assert declared.leaks == ("predictions" in changes)


def test_transductive_scaling_is_a_warning_where_it_is_stated(tmp_path):
    scaling = {"name": "min-max", "source": "source", "target": "unlabelled (tested windows)"}
    put(Store(tmp_path / "said"), "ours", [0.6, 0.7], protocol="unsupervised",
        access="unlabelled: the tested windows", identity={"scaling": scaling})
    put(Store(tmp_path / "unsaid"), "ours", [0.6, 0.7], identity={"scaling": scaling})
    assert check_records(tmp_path / "said").leaks == 0
    assert any("as stated" in t for t in texts(check_records(tmp_path / "said"), "warning"))
    assert check_records(tmp_path / "unsaid").leaks == 1


def test_warnings(tmp_path):
    put(Store(tmp_path), "ours", [0.6], origin="published (selection unknown)")
    found = texts(check_records(tmp_path), "warning")
    assert any("unknown selection" in t for t in found)
    assert any("one target subject" in t for t in found)
    assert any("one seed" in t for t in found)
    with pytest.raises(BenchError, match="no records"):
        check_records(tmp_path / "nothing")


def test_shared_films_are_warned_of_within_a_corpus(tmp_path):
    audited(tmp_path, "memory", corpus("B", own_trials), "mixed-subjects", protocol="within")
    found = texts(check_records(tmp_path), "warning")
    assert any("same stimuli, shown to other subjects" in t for t in found)


# --- checks of a split -------------------------------------------------------------------------

def split(tmp_path, rows, header="corpus,subject,session,trial,side,stimulus"):
    """A CSV of a split."""
    path = tmp_path / "split.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_clean_split_passes(tmp_path):
    report = check_split(split(tmp_path, [
        "SEED,1,1,1,train,1", "SEED,1,1,2,val,2", "SEED,2,1,3,test,3"]))
    assert report.findings == []
    # Trial 1 of another subject, session or corpus is another trial.
    rows = ["SEED,1,1,1,train,1", "SEED,2,1,1,val,9", "SEED,3,1,1,test,7", "DEAP,1,1,1,train,7"]
    assert check_split(split(tmp_path, rows)).findings == []


def test_what_stands_on_both_sides_of_a_split(tmp_path):
    report = check_split(split(tmp_path, [
        "SEED,1,1,1,train,5", "SEED,1,1,1,test,5", "SEED,1,1,2,test,6", "SEED,2,1,1,val,6"]))
    assert report.leaks == 1
    assert [f.where for f in report.findings if f.severity == "leak"] == ["trial SEED/1/1/1"]
    warned = " ".join(texts(report, "warning"))
    assert "subjects stand on both sides, train and test" in warned
    assert "stimuli stand on both sides, train and test" in warned
    assert "stimuli stand on both sides, validation and test" in warned


def test_folds_of_a_split_are_checked_one_by_one(tmp_path):
    header = "corpus,subject,session,trial,side,fold"
    rows = ["S,1,1,1,train,a", "S,2,1,1,test,a", "S,2,1,1,train,b", "S,1,1,1,test,b"]
    report = check_split(split(tmp_path, rows, header))
    assert report.leaks == 0
    assert any("no column stimulus" in t for t in texts(report, "note"))
    assert check_split(split(tmp_path, [r[:-1] + "a" for r in rows], header)).leaks == 1


def test_files_that_are_no_split(tmp_path):
    with pytest.raises(DataError, match="no trial and no side"):
        check_split(split(tmp_path, ["1,1,1"], "corpus,subject,session"))
    with pytest.raises(UnknownNameError, match="tset"):
        check_split(split(tmp_path, ["S,1,1,1,tset,1"]))
    with pytest.raises(DataError, match="row 3"):
        check_split(split(tmp_path, ["S,1,1,1,test,1", "S,1,,1,test,1"]))
    with pytest.raises(BenchError, match="not there"):
        check_split(tmp_path / "none.csv")


# --- command line ------------------------------------------------------------------------------

def test_command_line(bench, process, tiny_root, tmp_path):
    command = ("audit", "--method", "majority", "--data", tiny_root, "--seeds", "1", "--only",
               "best-test-epoch,test-scaler", "--runs", "r")
    first = process(*command)
    assert first.returncode == 0, first.stderr
    assert "SIMULATED" in first.stdout
    assert "best-test-epoch does not apply: majority is not trained in epochs" in first.stdout
    assert "test-scaler" in first.stderr
    assert (tmp_path / "r" / "report" / "audit.png").is_file()
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "r" / "cells").rglob("*")}
    assert bench(*command, "-q").stdout.splitlines()[1:5] == first.stdout.splitlines()[1:5]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "r" / "cells").rglob("*")} == files

    checked = bench("audit", "--records", "r")
    assert checked.returncode == 0, checked.stderr
    assert "no undeclared leak in 2 records" in checked.stdout
    leaky = bench("audit", "--split", split(tmp_path, ["S,1,1,1,train,1", "S,1,1,1,test,1"]))
    assert leaky.returncode == 1
    assert "1 undeclared leak" in leaky.stdout
    unknown = bench("audit", "--method", "majority", "--only", "test-scale", "--data", tiny_root)
    assert unknown.returncode == 2
    assert "test-scaler" in unknown.stderr


def test_help_and_list(bench):
    text = bench("audit", "--help").stdout
    assert "--records" in text
    assert "--split" in text
    listed = bench("audit", "--list", "--method", "majority").stdout
    assert all(name in listed for name in SHORTCUTS)
