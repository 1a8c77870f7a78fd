"""Sweeps whose parameters are tuned first."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import IncompatibleError, SettingError, UnknownNameError
from bench.registry import include
from bench.sweeps.manifest import Memo
from bench.sweeps.request import read_request
from bench.sweeps.tuned_plan import planned

import tune_plugin
from sweep_plugin import write_toy
from sweep_support import PLUGIN, bench, records, write_plan

TUNE_PLUGIN = Path(tune_plugin.__file__)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three toy corpora."""
    return write_toy(tmp_path_factory.mktemp("toy"), ("TOYA", "TOYB"))


def request(data, **changes):
    return read_request(None, {
        "methods": "biased,plain", "pairs": "TOYA->TOYB", "data": data, "controls": False,
        "include": [str(PLUGIN), str(TUNE_PLUGIN)], **changes,
    })


@pytest.fixture
def _plugins(clean_registry):
    for path in (PLUGIN, TUNE_PLUGIN):
        include(str(path))


@pytest.mark.usefixtures("_plugins")
class TestPlan:
    def test_tuned_once_for_all_seeds(self, data, tmp_path):
        plan = planned(request(data, seeds=3, tune={"trials": 3}), tmp_path, Memo(tmp_path))
        cells = {(c.method, c.seed): c for c in plan.cells}
        assert len(cells) == 6
        for seed in range(3):
            mine, other = cells["biased", seed], cells["plain", seed]
            assert (mine.origin, other.origin) == ("tuned", "default")
            assert mine.tuning["trials"] == 3
            assert mine.tuning["seed"] == 0
            assert mine.params == cells["biased", 0].params
        assert len(list((tmp_path / "tuning").glob("*.json"))) == 1
        again = planned(request(data, seeds=3, preset="tuned"), tmp_path, Memo(tmp_path))
        assert [c.key for c in again.cells] == [c.key for c in plan.cells]

    def test_each_protocol_for_itself(self, data, tmp_path):
        plan = planned(
            request(data, protocols="few-shot,zero-shot,within", tune={"trials": 2}, methods="lda"),
            tmp_path, Memo(tmp_path))
        origins = {c.protocol: (c.origin, (c.tuning or {}).get("rule")) for c in plan.cells}
        assert origins == {
            "few-shot": ("tuned", "calibration-val"), "zero-shot": ("tuned", "source-val"),
            "within": ("default", None)}

    def test_variants_that_were_set(self, data, tmp_path):
        plan = planned(
            request(data, methods="biased", tune={"trials": 2},
                    params={"biased": [{"used": 1}, {}]}), tmp_path, Memo(tmp_path))
        assert sorted(c.origin for c in plan.cells) == ["tuned", "tuned + set"]
        assert {c.params["used"] for c in plan.cells if c.origin == "tuned + set"} == {1}

    def test_all_trials_failed(self, data, tmp_path):
        plan = planned(
            request(data, methods="biased", tune={"trials": 2}, params={"biased": {"floor": 9}}),
            tmp_path, Memo(tmp_path))
        assert [c.origin for c in plan.cells] == ["default (tuning failed)"]

    def test_stored_ones_are_needed(self, data, tmp_path):
        with pytest.raises(SettingError, match="no tuned parameters of biased"):
            planned(request(data, preset="tuned"), tmp_path, Memo(tmp_path))

    @pytest.mark.parametrize("dry", [True, False])
    @pytest.mark.parametrize(("rule", "kind", "words"), [
        ("oracle", SettingError, "selection oracle uses test labels"),
        ("last", SettingError, "selection last has no score"),
        ("nonsense", UnknownNameError, "selection rule named 'nonsense'"),
        ("source-val", IncompatibleError,
         "tune.rule: selection source-val needs .* few-shot does not"),
    ])
    def test_a_rule_that_tunes_nothing_is_refused(self, data, tmp_path, rule, kind, words, dry):
        asked = request(data, tune={"trials": 2, "rule": rule})
        with pytest.raises(kind, match=words):
            planned(asked, tmp_path, Memo(tmp_path), dry=dry)

    def test_a_rule_that_one_protocol_grants_is_taken(self, data, tmp_path):
        asked = request(data, protocols="few-shot,zero-shot",
                        tune={"trials": 2, "rule": "source-val"})
        assert planned(asked, tmp_path, Memo(tmp_path), dry=True).cells

    def test_dry_tunes_nothing(self, data, tmp_path):
        plan = planned(request(data, tune={"trials": 3}), tmp_path, Memo(tmp_path), dry=True)
        assert {c.method: c.origin for c in plan.cells} == {
            "biased": "to be tuned", "plain": "default"}
        assert not (tmp_path / "tuning").exists()

    @pytest.mark.parametrize(("table", "error", "says"), [
        ({"trials": 0}, SettingError, "tune.trials"), ({"trails": 3}, SettingError, "tune.trails"),
        ({"rule": "calibrationval"}, UnknownNameError, "calibration-val"),
    ])
    def test_wrong_values(self, data, tmp_path, table, error, says):
        with pytest.raises(error, match=says):
            planned(request(data, tune=table), tmp_path, Memo(tmp_path))


def test_a_sweep_with_tuning(data, tmp_path):
    """From a file, with workers for the cells; a second time nothing is done."""
    plan = write_plan(
        tmp_path / "sweep.toml", data, methods=["biased", "plain"], seeds=2,
        include=[str(PLUGIN), str(TUNE_PLUGIN)])
    plan.write_text(plan.read_text() + '[tune]\nrule = "calibration-val"\ntrials = 9\n')
    runs = tmp_path / "runs"
    shown = bench("sweep", plan, "--runs", runs, "--tune", 4, "--workers", 2)
    assert shown.returncode == 0, shown.stderr
    assert "[4/4]" in shown.stderr
    found = records(runs)
    assert len(found) == 4
    for record in found.values():
        tuning = record.identity.get("tuning")
        if record.identity["method"] == "plain":
            assert tuning is None
            continue
        assert record.identity["params_origin"] == "tuned"
        assert (tuning["rule"], tuning["trials"]) == ("calibration-val", 4)
        last = record
    repeated = bench("rerun", last.path, "--data", data, "--include", PLUGIN,
                     "--include", TUNE_PLUGIN)
    assert repeated.returncode == 0, repeated.stderr
    assert "differs in its identity" not in repeated.stdout
    again = bench("sweep", plan, "--runs", runs, "--tune", 4)
    assert again.returncode == 0, again.stderr
    assert "(4 of them before)" in again.stdout
    assert "[1/4]" not in again.stderr
    board = bench("report", runs, "--only", "terminal")
    assert "biased [tuned]" in board.stdout
    assert "4 trials by calibration-val on calibration trials of all 3" in \
        " ".join(board.stdout.split())
