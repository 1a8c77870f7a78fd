"""Tuning: what it searches, what it sees, what it stores, and how it goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cells.engine import validate_cells
from bench.data.windows import Windows
from bench.errors import BenchError, IncompatibleError, SettingError, UnknownNameError
from bench.protocols.few_shot import FewShot
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import entries, include, load
from bench.runs.options import Options
from bench.runs.run import run, setting_of, with_tuned
from bench.runs.tuned import Tuned, check_nested, find_tuned
from bench.store.lock import LockedError
from bench.store.memory import TrialStore
from bench.store.records import Store
from bench.tuning.blinded import TrialCell
from bench.tuning.search import TrialResult, TuneOptions, TuningFailedError, tune_cell
from bench.tuning.space import default_rule, search_space
from bench.tuning.tune import tune

import tune_plugin
from support import cell_of, in_order, paired, synthetic
from sweep_plugin import write_toy
from sweep_support import PLUGIN, bench, bench_process, command, environment
from tune_plugin import Biased

TUNE_PLUGIN = Path(tune_plugin.__file__)
#: Ten trials a subject, the first three of each class calibrate and the last two are tested.
TRIALS = in_order([0, 1] * 5, windows=6)


def corpora(effect: float = 0.35, **changes: Any) -> tuple[Windows, Windows]:
    return (synthetic(3, TRIALS, corpus="A", seed=1, effect=effect, **changes),
            synthetic(4, TRIALS, corpus="B", seed=2, effect=effect, **changes))


def tuned(runs: Path, options: TuneOptions, *, params: dict[str, Any] | None = None,
          only: tuple[str, ...] = (), on_trial_end: Any = None, **changes: Any) -> Tuned:
    """Outcome of tuning the method with the known optimum."""
    pair = changes.pop("pair", None) or paired(*corpora())
    cell = cell_of(Biased(Biased.parse(params or {})), pair, **changes)
    setting = setting_of(cell.method, (pair.source_name, pair.target_name), cell.protocol,
                         Options(runs=runs))
    space = search_space(cell.method, only, params or {})
    return tune_cell(cell, setting, Store(runs), options, space, on_trial_end=on_trial_end)


class TestSpace:
    def test_every_default_of_ours_lies_within_its_range(self):
        for name in entries("methods"):
            cls = load("methods", name)
            for key, t in cls.Params.tunable().items():
                low, high = t.values[0], t.values[-1]
                fine = t.default in t.values if t.scale == "choice" else low <= t.first <= high
                assert fine, f"{name}.{key}"
                for value in (low, high):
                    cls.parse({key: value})  # the method takes what tuning may try

    def test_comes_from_the_parameter_model(self):
        space = search_space(Biased())
        assert list(space) == ["bias", "used", "side", "rate"]
        assert space["used"].whole
        assert not space["bias"].whole
        assert space["rate"].scale == "log"

    def test_only_some_and_not_those_that_are_set(self):
        assert list(search_space(Biased(), ["bias"])) == ["bias"]
        assert "bias" not in search_space(Biased(), given=["bias"])
        with pytest.raises(UnknownNameError, match="bais"):
            search_space(Biased(), ["bais"])
        with pytest.raises(IncompatibleError, match="no parameter to tune: bias, used, side, rate"):
            search_space(Biased(), given=["bias", "used", "side", "rate"])

    def test_a_method_without_tunable_parameters_is_refused(self):
        with pytest.raises(IncompatibleError, match="plain has no parameter to tune"):
            search_space(tune_plugin.Plain())

    def test_of_the_control_is_what_it_fine_tunes(self):
        control = load("methods", "target-only")
        made = control(control.parse({"network": "scmm"}))
        assert list(search_space(made)) == ["fit_lr"]


class TestRules:
    @pytest.mark.parametrize(("protocol", "name"), [
        (FewShot(), "calibration-val"), (ZeroShot(), "source-val"), (Unsupervised(), "source-val"),
    ])
    def test_default(self, protocol, name):
        assert default_rule(protocol) == name

    @pytest.mark.parametrize(("rule", "says"), [
        ("oracle", "uses test labels"), ("last", "has no score"),
    ])
    def test_without_a_score_of_its_own(self, rule, says):
        with pytest.raises(SettingError, match=says):
            TuneOptions(rule=rule)

    def test_unknown(self):
        with pytest.raises(UnknownNameError, match="calibration-vall"):
            TuneOptions(rule="calibration-vall")

    def test_no_trials(self):
        with pytest.raises(SettingError, match="at least one"):
            TuneOptions(trials=0)

    def test_what_the_protocol_does_not_grant(self, tmp_path):
        with pytest.raises(IncompatibleError, match="source-val"):
            tuned(tmp_path, TuneOptions(2, rule="source-val"))

    def test_within_is_refused_since_every_trial_is_tested(self):
        with pytest.raises(IncompatibleError, match="would see tested trials"):
            check_nested(cell_of(Biased(), protocol=Within()))
        for protocol in (FewShot(), ZeroShot(), Unsupervised()):
            check_nested(cell_of(Biased(), protocol=protocol))


class TestBlindness:
    def test_a_trial_has_no_test_labels(self):
        cell = cell_of(Biased(), paired(*corpora()))
        blind = TrialCell(**{f: getattr(cell, f) for f in cell.__dataclass_fields__})
        for fold, real in zip(blind.folds().folds, cell.folds().folds, strict=True):
            assert not fold.open_test().y.any()
            assert len(fold.open_test()) == 4 < len(real.open_test())
            assert fold.view.calibration.digest() == real.view.calibration.digest()

    def test_permuting_test_labels_changes_no_tuned_parameter(self, tmp_path):
        """The nested check: equal trials, equal best, though the tested labels are others."""
        source, target = corpora()
        outcomes = []
        for number, changed in enumerate((target, permuted(target))):
            attempts: list[TrialResult] = []
            out = tuned(tmp_path / str(number), TuneOptions(14), pair=paired(source, changed),
                        on_trial_end=attempts.append)
            shown = [(a.state, a.values, a.score) for a in attempts]
            outcomes.append((out.params, out.score, out.default_score, shown))
        assert target.digest() != permuted(target).digest()
        assert outcomes[0] == outcomes[1]
        assert len({repr(s) for s in outcomes[0][3]}) > 10  # and the trials do differ

    def test_permuting_calibration_labels_changes_trials(self, tmp_path):
        """The check above can fail: what tuning does see matters."""
        source, target = corpora()
        scores = []
        for number, changed in enumerate((target, permuted(target, (1, 2)))):
            attempts: list[TrialResult] = []
            tuned(tmp_path / str(number), TuneOptions(5), pair=paired(source, changed),
                  on_trial_end=attempts.append)
            scores.append([a.score for a in attempts])
        assert scores[0] != scores[1]


def permuted(target: Windows, trials: Sequence[int] = (7, 8, 9, 10)) -> Windows:
    """Target in which these trials of each subject have each other's labels."""
    y = target.y.copy()
    for subject in np.unique(target.subject):
        mine = target.subject == subject
        labels = [int(y[mine & (target.trial == t)][0]) for t in trials]
        for trial, label in zip(trials, labels[1:] + labels[:1], strict=True):
            y[mine & (target.trial == trial)] = label
    return replace(target, y=y)


class TestTrials:
    def test_finds_what_is_better_than_the_defaults(self, tmp_path):
        out = tuned(tmp_path, TuneOptions(15), only=("bias",))
        assert out.default_score is not None
        assert out.score > out.default_score
        assert abs(out.params["bias"]) < 0.5
        assert out.rule == "calibration-val"
        assert out.data == "calibration trials of all 4 target subjects: extra access"
        assert set(out.importance) == {"bias"}
        assert not list((tmp_path / "cells").glob("*"))  # trials are no records

    def test_the_first_is_the_defaults_and_a_rerun_repeats(self, tmp_path):
        runs = []
        for name in ("a", "b"):
            attempts: list[TrialResult] = []
            tuned(tmp_path / name, TuneOptions(12), on_trial_end=attempts.append)
            runs.append([(a.index, a.state, a.values, a.score) for a in attempts])
        assert runs[0] == runs[1]
        assert runs[0][0][2] == {"bias": 1.0, "used": 3, "side": "left", "rate": 0.1}
        assert {a[2]["side"] for a in runs[0]} == {"left", "right"}
        assert all(isinstance(a[2]["used"], int) for a in runs[0])

    def test_more_trials_go_on_where_fewer_ended(self, tmp_path):
        once: list[TrialResult] = []
        tuned(tmp_path / "once", TuneOptions(9), on_trial_end=once.append)
        parts: list[TrialResult] = []
        for trials in (1, 4, 9):
            tuned(tmp_path / "parts", TuneOptions(trials), on_trial_end=parts.append)
        assert [(a.index, a.values, a.score) for a in parts] == [
            (a.index, a.values, a.score) for a in once]
        again: list[TrialResult] = []
        tuned(tmp_path / "parts", TuneOptions(9), on_trial_end=again.append)
        assert again == []

    def test_two_settings_are_two_studies(self, tmp_path):
        first = tuned(tmp_path, TuneOptions(2))
        others = [
            tuned(tmp_path, TuneOptions(2), params={"sleep": 0.001}),
            tuned(tmp_path, TuneOptions(2), only=("bias",)),
            tuned(tmp_path, TuneOptions(2), seed=1),
            tuned(tmp_path, TuneOptions(2), scale="table"),
            tuned(tmp_path, TuneOptions(2), selection="calibration-val"),
            tuned(tmp_path, TuneOptions(2), protocol=FewShot(calibration_trials=2)),
            tuned(tmp_path, TuneOptions(2), pair=paired(*corpora(effect=0.5))),
        ]
        assert len({first.study, *(o.study for o in others)}) == 8

    def test_bad_trials_are_given_up_early(self, tmp_path):
        attempts: list[TrialResult] = []
        out = tuned(tmp_path, TuneOptions(15), only=("bias",), on_trial_end=attempts.append,
                    pair=paired(*corpora(effect=1.0)))
        given_up = [a for a in attempts if a.state == "pruned"]
        assert given_up
        assert len(given_up) == out.pruned
        assert all(a.index >= 5 for a in given_up)
        kept = [a.score for a in attempts if a.state == "done"]
        assert max(kept) == out.score

    def test_failures_take_a_place_and_the_others_go_on(self, tmp_path):
        attempts: list[TrialResult] = []
        out = tuned(tmp_path, TuneOptions(8), params={"floor": 0.0}, only=("bias",),
                    on_trial_end=attempts.append)
        failed = [a for a in attempts if a.state == "failed"]
        assert failed
        assert failed[0].reason == "the loss is not finite"
        assert out.failed == len(failed)
        assert out.params["bias"] >= 0
        assert [a.index for a in attempts] == list(range(8))

    def test_all_failed(self, tmp_path):
        with pytest.raises(TuningFailedError, match="all 2 trials of biased failed") as caught:
            tuned(tmp_path, TuneOptions(2), params={"floor": 9.0})
        assert "the loss is not finite" in caught.value.hint
        assert not list((tmp_path / "tuning").glob("*.json"))


class TestTogether:
    """Trials that are chosen at once and trained as one stack."""

    def test_kills_change_nothing(self, tmp_path):
        """Also where some trials of a batch had been told their score and others not."""
        def end_after(count):
            told = []

            def on_trial_end(attempt):
                told.append(attempt)
                if len(told) == count:
                    raise KeyboardInterrupt
            return on_trial_end

        once: list[TrialResult] = []
        whole = tuned(tmp_path / "once", TuneOptions(11, together=4), on_trial_end=once.append)
        for count in (6, 3):  # within the second batch, then within the third
            with pytest.raises(KeyboardInterrupt):
                tuned(
                    tmp_path / "parts", TuneOptions(11, together=4), on_trial_end=end_after(count)
                )
        rest: list[TrialResult] = []
        out = tuned(tmp_path / "parts", TuneOptions(11, together=4), on_trial_end=rest.append)
        shown = [(a.index, a.state, a.values, a.score) for a in rest]
        assert shown == [(a.index, a.state, a.values, a.score) for a in once][-len(rest):]
        assert 0 < len(rest) < 4
        assert (out.params, out.score) == (whole.params, whole.score)
        alone: list[TrialResult] = []
        tuned(tmp_path / "alone", TuneOptions(11), on_trial_end=alone.append)
        assert alone[0].values == once[0].values
        assert [a.values for a in alone] != [a.values for a in once]

    def test_a_stack_gives_the_scores_of_each(self, tmp_path):
        """And a trial that is given up does not end the others."""
        small = {"epochs": 1, "batch": 16, "windows_per_epoch": 32, "fit_epochs": 3}
        cls, stacks = load("methods", "scmm"), []

        class Counting(cls):
            def pretrain_many(self, source, contexts):
                stacks.append(len(contexts))
                return super().pretrain_many(source, contexts)

        made = [
            cell_of(Counting(Counting.parse({**small, **values})), paired(*corpora()),
                    precision="float64", selection="calibration-val", scale="demo")
            for values in ({}, {"lr": 5e-3}, {"temperature": 0.1, "fit_lr": 5e-3})
        ]

        def scores(cells):
            reports = [[] for _ in cells]
            found = validate_cells(cells, TrialStore(Store(tmp_path)), reports=[
                lambda *told, mine=mine: mine.append(told) for mine in reports])
            return [(score, told) for score, told in zip(found, reports, strict=True)]

        assert scores(made) == [scores([cell])[0] for cell in made]
        assert stacks.count(3) == 1  # all others are of the trainings that prove it, and of each
        assert set(stacks) == {1, 3}

    def test_failures_and_what_is_given_up(self, tmp_path):
        attempts: list[TrialResult] = []
        out = tuned(tmp_path, TuneOptions(20, together=4), params={"floor": 0.0}, only=("bias",),
                    on_trial_end=attempts.append, pair=paired(*corpora(effect=1.0)))
        assert [a.index for a in attempts] == list(range(20))
        states = [a.state for a in attempts]
        assert out.failed == states.count("failed") > 0
        assert out.pruned == states.count("pruned")
        assert next(a.reason for a in attempts if a.state == "failed") == "the loss is not finite"

    def test_not_over_a_database(self, tmp_path):
        with pytest.raises(SettingError, match="--together 2: processes that share a database"):
            TuneOptions(together=2, storage="sqlite:///x.db")
        with pytest.raises(SettingError, match="--together 0: at least one"):
            TuneOptions(together=0)


class TestStorage:
    def test_a_database_gives_what_a_journal_gives(self, tmp_path):
        here = tuned(tmp_path / "a", TuneOptions(6))
        url = f"sqlite:///{tmp_path / 'studies.db'}"
        there = tuned(tmp_path / "b", TuneOptions(6, storage=url))
        assert (here.params, here.score) == (there.params, there.score)

    def test_optuna_opens_the_journal(self, tmp_path):
        import optuna

        tuned(tmp_path, TuneOptions(3))
        (path,) = (tmp_path / "tuning").glob("*.journal")
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(path)))
        (study,) = optuna.get_all_study_summaries(storage)
        assert study.n_trials == 3

    @pytest.mark.parametrize("storage", ["nosuch://host/db", "sqlite:////nowhere/at/all.db"])
    def test_that_cannot_be_opened(self, tmp_path, storage):
        with pytest.raises(SettingError, match="cannot be opened"):
            tuned(tmp_path, TuneOptions(2, storage=storage))

    def test_a_file_that_is_no_journal(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("no journal\n" * 3)
        with pytest.raises(SettingError, match=r"notes\.txt cannot be opened"):
            tuned(tmp_path, TuneOptions(2, storage=str(path)))

    def test_half_a_line_and_a_lock_left_by_a_kill(self, tmp_path):
        first = tuned(tmp_path, TuneOptions(3))
        (path,) = (tmp_path / "tuning").glob("*.journal")
        with path.open("a") as file:
            file.write('{"op_code":5,"worker')
        Path(f"{path}.lock").symlink_to(path)
        began = time.monotonic()
        second = tuned(tmp_path, TuneOptions(4))
        assert time.monotonic() - began < 20
        assert second.study == first.study
        assert second.trials == 4

    def test_one_at_a_time(self, tmp_path):
        def on_trial_end(attempt: TrialResult) -> None:
            with pytest.raises(LockedError, match="a tuning is at work"):
                tuned(tmp_path, TuneOptions(3))

        tuned(tmp_path, TuneOptions(1), on_trial_end=on_trial_end)


class TestUse:
    @pytest.fixture(autouse=True)
    def _plugin(self, clean_registry):
        include(str(TUNE_PLUGIN))

    def test_tune_then_run(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(12))
        assert out.record.identity["params_origin"] == "tuned"
        assert out.record.identity["tuning"] == {
            "rule": "calibration-val", "trials": 12, "seed": 0, "study": out.tuned.study,
            "data": "calibration trials of all 4 target subjects: extra access",
            "seen": out.record.identity["tuning"]["seen"]}
        assert out.default.identity["params_origin"] == "default"
        assert "tuning" not in out.default.identity
        assert out.gain().n == 4
        assert out.gain().mean > 0
        again = run("biased", source, target, runs=tmp_path, preset="tuned")
        assert again.id == out.record.id
        assert again.path == out.record.path

    def test_a_network_and_its_control_find_theirs(self, tmp_path):
        """Whether their backbone was left open or is the one it stands for."""
        source, target = corpora()
        options = Options(
            runs=tmp_path, scale="demo", params={"epochs": 1, "fit_epochs": 2})
        found = tune("scmm", source, target, options, TuneOptions(2, only=("fit_lr",)))
        assert [o.tuned.setting.method for o in found] == ["scmm", "target-only"]
        for params in ({}, {"backbone": "cnn"}):
            record = run("scmm", source, target, replace(
                options, preset="tuned", params={**options.params, **params}))
            assert record.identity["params_origin"].startswith("tuned")
            plain, scratch = (r for r in record.controls if r.identity["method"] == "target-only")
            assert scratch.identity["params_origin"].startswith("tuned")
            assert plain.identity["params"]["C"] == "auto"  # it has a choice of its own

    def test_another_seed_uses_them_too(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(2))
        record = run("biased", source, target, runs=tmp_path, preset="tuned", seed=3)
        assert record.identity["tuning"]["seed"] == 0
        assert record.identity["params"] == out.tuned.params

    def test_not_where_that_seed_tests_trials_the_tuning_saw(self, tmp_path):
        """Without an order of presentation, calibration trials are drawn by seed."""
        source, target = corpora()
        drawn = replace(target, order=np.full_like(target.order, -1))
        tune("biased", source, drawn, runs=tmp_path, tuning=TuneOptions(2))
        with pytest.raises(IncompatibleError, match="tested with seed 3"):
            run("biased", source, drawn, runs=tmp_path, preset="tuned", seed=3)
        tune("biased", source, drawn, runs=tmp_path, tuning=TuneOptions(2), seed=3)
        record = run("biased", source, drawn, runs=tmp_path, preset="tuned", seed=3)
        assert record.identity["tuning"]["seed"] == 3

    def test_missing_ones_name_the_command(self, tmp_path):
        source, target = corpora()
        with pytest.raises(SettingError, match="no tuned parameters of biased") as caught:
            run("biased", source, target, runs=tmp_path, preset="tuned")
        assert "bench tune --method biased --src A:own --tgt B:own" in caught.value.hint
        tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(1))
        with pytest.raises(SettingError, match="no tuned parameters"):  # another protocol's are not
            run("biased", source, target, runs=tmp_path, preset="tuned",
                protocol_params={"calibration_trials": 2})

    def test_what_is_set_stays_set(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(3),
                      params={"used": 5})
        assert out.tuned.params["used"] == 5
        record = run("biased", source, target, runs=tmp_path, preset="tuned", params={"used": 5})
        assert record.identity["params_origin"] == "tuned + set"
        assert record.identity["params"] == out.tuned.params

    def test_a_damaged_file_says_so(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(1))
        out.path.write_text("{")
        with pytest.raises(BenchError, match="does not hold tuned parameters"):
            find_tuned(tmp_path, out.tuned.setting, 0)

    def test_what_was_tuned_on_other_trials_is_refused(self, tmp_path):
        """Tuned while the order of presentation is not known, and run when it is."""
        source, target = corpora()
        unknown = replace(target, order=np.full(len(target), -1))
        (out,) = tune("biased", source, unknown, runs=tmp_path, tuning=TuneOptions(1))
        seen = {tuple(name.split("/")) for name in out.tuned.seen}
        cell = cell_of(Biased(), paired(source, target))
        tested = {tuple(name.split("/")) for fold in cell.folds().folds
                  for name in fold.open_test().trial_key()}
        assert seen & tested
        with pytest.raises(IncompatibleError, match="tuned on trials that are tested now"):
            run("biased", source, target, runs=tmp_path, preset="tuned")
        (tmp_path / "again").mkdir()
        (out,) = tune("biased", source, target, runs=tmp_path / "again", tuning=TuneOptions(1))
        record = run("biased", source, target, runs=tmp_path / "again", preset="tuned")
        assert record.status == "done"
        assert len(record.identity["tuning"]["seen"]) == 16

    def test_trials_with_other_numbers_are_known_by_what_is_in_them(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(1))
        last = int(target.trial.max())
        backwards = replace(target, trial=last + 1 - target.trial, order=last - target.order)
        with pytest.raises(IncompatibleError, match="tuned on trials that are tested now"):
            with_tuned(cell_of(Biased(), paired(source, backwards)), out.tuned)

    def test_a_file_that_does_not_say_what_was_seen_is_tuned_again(self, tmp_path):
        source, target = corpora()
        (out,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(1))
        body = json.loads(out.path.read_text())
        out.path.write_text(json.dumps({
            k: v for k, v in body.items() if k not in ("seen", "sha256")} | {"schema": 1}))
        with pytest.raises(BenchError, match="did not write down what it saw"):
            run("biased", source, target, runs=tmp_path, preset="tuned")
        (again,) = tune("biased", source, target, runs=tmp_path, tuning=TuneOptions(1))
        assert again.tuned == out.tuned

    def test_parameters_are_applied_by_name(self, tmp_path):
        out = tuned(tmp_path, TuneOptions(3))
        cell = with_tuned(cell_of(Biased(), paired(*corpora())), out)
        assert cell.method.params.model_dump() == out.params


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two toy corpora."""
    return write_toy(tmp_path_factory.mktemp("toy"))


class TestCommand:
    @staticmethod
    def flags(data: Path, runs: Path, *more: object) -> list[object]:
        return ["tune", "-m", "biased", "--src", "TOYA", "--tgt", "TOYB", "--data", data,
                "--runs", runs, "--include", PLUGIN, "--include", TUNE_PLUGIN, *more]

    def test_prints_parameters_and_what_they_are_worth(self, data, tmp_path):
        shown = bench_process(*self.flags(data, tmp_path, "--trials", 11))
        assert shown.returncode == 0, shown.stderr
        for text in ("bias", "-2 to 2", "11 trials", "by calibration-val",
                     "all 3 target subjects", "--params tuned"):
            assert text in shown.stdout
        assert "[11/11]" in shown.stderr
        assert "defaults" in shown.stderr
        quiet = bench(*self.flags(data, tmp_path, "--trials", 11, "--quiet"))
        assert (quiet.stdout, quiet.stderr) == (shown.stdout, "")

    def test_space(self, data, tmp_path):
        shown = bench("tune", "-m", "scmm", "--space", "--only", "sharpness,lr")
        assert shown.returncode == 0
        assert "0.02 to 1" in shown.stdout
        assert "sharpness of the soft weights" in shown.stdout
        assert "temperature" not in shown.stdout

    @pytest.mark.parametrize(("more", "says"), [
        (["--trials", 0], "at least one is needed"),
        (["--rule", "orcale"], "no selection rule named 'orcale'"),
        (["--rule", "oracle"], "uses test labels"),
        (["--only", "biass"], "'biass'"),
        (["--method", "plain"], "plain has no parameter to tune"),
        (["--storage", "nosuch://a"], "storage nosuch://a cannot be opened"),
        (["--protocol", "zero-shot"], "zero-shot does not grant"),
        (["--set", "floor=9"], "all 20 trials of biased failed"),
    ])
    def test_errors(self, data, tmp_path, more, says):
        shown = bench(*self.flags(data, tmp_path, *more))
        assert shown.returncode == 2
        assert says in shown.stderr
        assert "Traceback" not in shown.stderr

    def test_killed_and_run_again_it_goes_on(self, data, tmp_path):
        """Kill -9 after four trials: the four stay, and the end is that of an undisturbed run."""
        flags = ["--trials", 12, "--set", "sleep=0.05"]
        process = subprocess.Popen(
            command(*self.flags(data, tmp_path / "killed", *flags)), env=environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        while len(finished(tmp_path / "killed")) < 4:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = finished(tmp_path / "killed")
        assert 4 <= len(before) < 12
        shown = bench(*self.flags(data, tmp_path / "killed", *flags))
        assert shown.returncode == 0, shown.stderr
        assert f"[{len(before)}/12]" not in shown.stderr
        assert f"[{len(before) + 1:>2}/12]" in shown.stderr
        after = finished(tmp_path / "killed")
        assert before.items() <= after.items()  # none is run again
        calm = bench(*self.flags(data, tmp_path / "calm", *flags))
        assert calm.returncode == 0, calm.stderr
        for name in ("killed", "calm"):
            assert len(finished(tmp_path / name)) == 12
        assert stored(tmp_path / "killed") == stored(tmp_path / "calm")


def finished(runs: Path) -> dict[int, tuple[Any, ...]]:
    """Trials of the journal that have ended with a result: place to number and time."""
    import optuna

    found = list((runs / "tuning").glob("*.journal")) if runs.is_dir() else []
    if not found or not found[0].stat().st_size:
        return {}
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(found[0])))
    studies = storage.get_all_studies()
    trials = storage.get_all_trials(studies[0]._study_id) if studies else []
    return {t.user_attrs["index"]: (t.number, t.datetime_complete) for t in trials
            if t.state.name in ("COMPLETE", "PRUNED")}


def stored(runs: Path) -> dict[str, Any]:
    """Tuned parameters of a run folder."""
    (path,) = (runs / "tuning").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found
