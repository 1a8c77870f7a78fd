"""The command line in processes of its own: what it prints, writes, refuses and how it exits."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bench.data.locations import corpus_folders
from bench.datasets.shared.pickles import dump_python2
from bench.store.records import Store

SMALL = ("--set", "epochs=1", "--set", "fit_epochs=2")
COMMANDS = ("run", "report", "list", "check", "data", "new")


def refused(done, *words, status=2):
    """One clear message, no traceback, nothing on the screen that looks like a result."""
    assert done.returncode == status, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error:") == 1
    for word in words:
        assert word in done.stderr, done.stderr


def test_help_lists_the_commands(process):
    took = []
    for _ in range(3):  # the best of three: other processes may be busy
        began = time.perf_counter()
        done = process("--help")
        took.append(time.perf_counter() - began)
    assert min(took) < 2  # 0.2 s on an idle machine
    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout


def test_the_command_line_imports_nothing_heavy():
    code = ("import bench.cli.main, sys\n"
            "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'optuna'}\n"
            "assert not heavy & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_installed_script_is_the_same(bench):
    script = Path(sys.executable).parent / "bench"
    if not script.exists():
        pytest.skip("the package is not installed as a script")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False,
                          timeout=60, env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1"})
    assert done.returncode == 0
    assert "data" in done.stdout


@pytest.mark.parametrize("group", ["methods", "corpora", "protocols", "reports"])
def test_lists(bench, group):
    known = {"methods": "scmm", "corpora": "SEED-IV", "protocols": "few-shot",
             "reports": "leaderboard"}[group]
    found = json.loads(bench("list", group, "--json").stdout)
    assert known in {row["name"] for row in found}
    assert all(row["summary"] for row in found)
    assert known in bench("list", group).stdout


@pytest.fixture(scope="module")
def ran(tiny_root, tmp_path_factory):
    """One run of SCMM with its controls; then the same command again."""
    folder = tmp_path_factory.mktemp("ran")
    command = ["run", "--method", "scmm", "--src", "SEED", "--tgt", "DEAP", "--data",
               str(tiny_root), *SMALL]
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1"}
    first = subprocess.run(
        [sys.executable, "-m", "bench.cli", *command], capture_output=True, text=True, cwd=folder,
        timeout=300, check=False, env=environment)
    before = {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("*")}
    second = forked.bench(command, folder, environment)
    return folder / "runs", (first, second), before


def test_a_run_prints_a_table_and_where_it_went(ran):
    runs, (first, _), _ = ran
    assert first.returncode == 0, first.stderr
    for word in ("SEED:3→DEAP:valence", "SIMULATED", "scmm", "target-only", "majority", "chance",
                 "accuracy", "macro F1", "AUROC", "per window", "per trial",
                 "standard deviation over 3 subjects"):
        assert word in first.stdout
    for stage in ("reading SEED:3", "pre-training scmm", "calibrating scmm",
                  "calibrating target-only", "contrastive"):
        assert stage in first.stderr
    records = {r.identity["method"]: r for r in Store(runs).records()}
    assert set(records) >= {"scmm", "target-only", "majority"}
    assert records["scmm"].id in first.stdout
    assert records["scmm"].simulated["length"] == 0.05
    assert records["scmm"].identity["params_origin"] == "set"


def test_a_rerun_finds_everything(ran):
    runs, (first, second), before = ran
    assert second.returncode == 0
    assert second.stdout == first.stdout
    assert "pre-training" not in second.stderr
    assert "calibrating" not in second.stderr
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*")} == before


def test_a_report_is_printed_and_written(ran, bench):
    runs, _, _ = ran
    done = bench("report", runs, "--out", runs.parent / "report")
    assert done.returncode == 0, done.stderr
    assert "scmm" in done.stdout
    assert "simulated" in done.stdout.lower()
    written = {p.suffix for p in (runs.parent / "report").rglob("*") if p.is_file()}
    assert {".csv", ".md", ".png"} <= written


def test_status_counts_the_records_of_a_folder(ran, process):
    runs, _, _ = ran
    done = process("status", runs)
    assert done.returncode == 0, done.stderr
    assert f"records: {len(list((runs / 'cells').iterdir()))} done" in done.stdout
    refused(process("status", runs.parent / "none"), "none is not a folder")


def test_a_card_is_shown(process):
    done = process("show", "dsan")
    assert done.returncode == 0, done.stderr
    assert "Zhu et al., TNNLS 2021" in done.stdout
    assert "Equation" in done.stdout


BAD = "method,target,value,design,access,seen_in\nx,SEED,abc,z,none,w\n"


@pytest.mark.parametrize(("arguments", "words"), [
    (["--only", "heatmp"], ["no report named 'heatmp'", "Did you mean 'heatmap'"]),
    (["--only", "html", "--format", "csv"], ["html with --format csv", "formats of html: html"]),
    (["--published", "bad.csv"], ["bad.csv, line 2, column value: 'abc'", "A percentage"]),
    (["--published", "none.csv"], ["none.csv: there is no such file"]),
    (["--methods", ","], ["--methods names nothing"]),
])
def test_a_report_is_refused_before_anything_is_shown(ran, bench, tmp_path, arguments, words):
    runs, _, _ = ran
    (tmp_path / "bad.csv").write_text(BAD)
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("mine")
    arguments = [str(tmp_path / a) if a.endswith(".csv") else a for a in arguments]
    done = bench("report", runs, "--out", out, *arguments)
    refused(done, *words)
    assert done.stdout == ""
    assert [p.name for p in out.iterdir()] == ["report.html"]


def test_options_of_a_report_take_commas(ran, bench, tmp_path):
    runs, _, _ = ran
    done = bench("report", runs, "--out", tmp_path, "--only", "json, leaderboard", "--only",
                 "latex", "--methods", "scmm,majority", "--pairs", "SEED->DEAP,*->DEAP",
                 "--protocol", "few-shot,", "--format", "json,md,latex")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {
        ".drawn.json", "leaderboard.json", "leaderboard.md", "leaderboard.tex"}
    assert "scmm" in done.stdout


def test_a_report_of_nothing(bench, tmp_path):
    refused(bench("report", tmp_path / "nowhere"), "nowhere is not a folder")


@pytest.mark.parametrize(("arguments", "words"), [
    (["--method", "scmn"], ["no method named 'scmn'", "Did you mean 'scmm'"]),
    (["--src", "SEDE"], ["no corpus named 'SEDE'", "Did you mean 'SEED'"]),
    (["--tgt", "DEAP:arousel"], ["no task of DEAP named 'arousel'", "Did you mean 'arousal'"]),
    (["--scale", "demmo"], ["no scale named 'demmo'", "Did you mean 'demo'"]),
    (["--scaling", "minmax"], ["no scaling named 'minmax'", "Did you mean 'min-max'"]),
    (["--protocol", "fewshot"], ["no protocol named 'fewshot'", "Did you mean 'few-shot'"]),
    (["--features", "oficial"], ["'oficial'", "Did you mean 'official'"]),
    (["-m", "scmm", "--set", "sharpnes=1"],
     ["scmm has no parameter 'sharpnes'", "Did you mean 'sharpness'"]),
    (["--set", "sharpness"], ["--set 'sharpness' is not of the form NAME=VALUE"]),
    (["-m", "scmm", "--set", "epochs=0"], ["scmm: epochs = '0'", "greater than or equal to 1"]),
    (["--recipe", "clas_effect=0"], ["recipe: clas_effect = '0'", "class_effect"]),
    (["--drop-middle", "4"], ["--drop-middle '4' is not of the form LOW:HIGH"]),
    (["--threshold", "12"], ["rating threshold 12 is outside the scale 1 to 9"]),
    (["--exclude", "SEED:x"], ["--exclude 'SEED:x' is not of the form CORPUS:N,N"]),
    (["--src", "DEAP"], ["source and target are the same corpus, DEAP"]),
    (["--include", "nowhere.py"], ["nowhere.py is not there"]),
], ids=lambda v: " ".join(v) if isinstance(v, list) and v[0].startswith("-") else "")
def test_what_does_not_exist_is_refused(bench, tmp_path, arguments, words):
    refused(bench("run", "-m", "majority", "--simulated", *arguments), *words)
    assert not (tmp_path / "runs").exists()


def test_missing_corpora_say_where_to_get_them(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "none.json"))
    refused(bench("run", "-m", "majority"), "no folder is known for SEED", "bcmi.sjtu.edu.cn",
            "Preprocessed_EEG", "--simulated")
    refused(bench("run", "-m", "majority", "--data", "/no/such/folder"), "/no/such/folder")
    (tmp_path / "empty").mkdir()
    refused(bench("run", "-m", "majority", "--data", "empty"), "SEED", "bcmi.sjtu.edu.cn",
            "Preprocessed_EEG")
    assert not (tmp_path / "runs").exists()


# Broken files in a copy of the simulated root.


def seed_file(root: Path) -> Path:
    return root / "SEED" / "SEED_EEG" / "Preprocessed_EEG" / "2_20140404.mat"


def deap_file(root: Path) -> Path:
    return root / "DEAP" / "DEAP" / "data_preprocessed_python" / "s02.dat"


def truncated(root):
    path = seed_file(root)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path, []


def seed_changed(change):
    def damage(root):
        path = seed_file(root)
        content = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
        words = change(content)
        savemat(path, content)
        return path, words

    return damage


def trial_of(content, number):
    return next(k for k in content if k.endswith(f"_eeg{number}"))


def with_nan(content):
    content[trial_of(content, 7)][3, 100] = np.nan
    return ["trial 7", "1 NaN or infinite in"]


def with_dead_channel(content):
    content[trial_of(content, 7)][0] = 3
    return ["trial 7", "constant channel FP1"]


def with_wrong_shape(content):
    key = trial_of(content, 4)
    content[key] = content[key][:61]
    return ["trial 4", "(62, samples)", "61"]


def with_lost_trial(content):
    del content[trial_of(content, 10)]
    return ["trials 1 to 15", "10 missing"]


def hostile(root):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch '{root / 'it ran'}'",)

    path = deap_file(root)
    path.write_bytes(pickle.dumps({"data": Hostile(), "labels": 1}, 2))
    return path, ["system"]


def rating(value):
    def damage(root):
        path = deap_file(root)
        with path.open("rb") as file:
            content = pickle.load(file, encoding="latin1")
        content["labels"] = np.array(content["labels"])
        content["labels"][4, 0] = value
        path.write_bytes(dump_python2(content))
        return path, []

    return damage


def seed_label(root):
    path = seed_file(root).with_name("label.mat")
    labels = loadmat(path)["label"].copy()
    labels[0, 4] = 7
    savemat(path, {"label": labels})
    return path, ["7"]


@pytest.mark.parametrize("damage", [
    truncated, seed_changed(with_nan), seed_changed(with_dead_channel),
    seed_changed(with_wrong_shape), seed_changed(with_lost_trial), hostile, rating(12.0),
    rating(np.nan), seed_label,
], ids=["truncated", "NaN", "constant", "shape", "lost", "hostile", "rating 12", "rating NaN",
        "label 7"])
def test_broken_files_are_refused_by_name(bench, tmp_path, tiny_root, damage):
    root = tmp_path / "corpora"
    for name in ("SEED", "DEAP"):
        shutil.copytree(tiny_root / name, root / name,
                        ignore=shutil.ignore_patterns("ExtractedFeatures*"))
    path, words = damage(root)
    done = bench("run", "-m", "majority", "--data", root)
    refused(done, str(path), "expected", "found", *words)
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()
    assert not (root / "it ran").exists()


# A method of one's own.

OWN = '''"""Nearest class mean."""
import numpy as np

from bench.method import Method, Needs
from bench.registry import Entry

CATALOGUE = [Entry("nearest", ":Nearest", "nearest class mean of the calibration windows")]


class Nearest(Method):
    name = "nearest"
    needs = Needs(source="none", calibration=True)

    def fit(self, view, state, ctx):
        known = view.calibration
        return Means(np.stack([known.x[known.y == k].mean(0) for k in range(len(view.classes))]))


class Means:
    def __init__(self, means):
        self.means = means

    def predict_proba(self, x):
        p = np.exp(-np.square(x[:, None].astype(float) - self.means).mean((2, 3)))
        return p / p.sum(1, keepdims=True)
'''


def test_a_method_of_under_thirty_lines_runs(bench, tmp_path, tiny_root):
    assert len(OWN.splitlines()) < 30
    (tmp_path / "own.py").write_text(OWN)
    done = bench("run", "--include", "own.py", "-m", "nearest", "--data", tiny_root)
    assert done.returncode == 0, done.stderr
    assert "nearest" in done.stdout
    assert "majority" in done.stdout
    assert {r.identity["method"] for r in Store(tmp_path / "runs").records()} >= {
        "nearest", "majority"}
    assert "own.py" in bench("list", "methods", "--include", "own.py", "--json").stdout


# Data.


def test_simulate_check_set_and_run(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "settings.json"))
    small = ("--set", "subjects=2", "--set", "length=0.02")
    made = bench("data", "simulate", "sim", "--corpus", "SEED", "--corpus", "deap", *small)
    assert made.returncode == 0, made.stderr
    assert "bench run --src SEED --tgt DEAP --data sim" in made.stdout
    assert sorted(p.name for p in (tmp_path / "sim").iterdir()) == ["DEAP", "SEED"]
    refused(bench("data", "simulate", "sim", "--corpus", "DEAP", *small), "is not empty")

    seen = bench("data", "check", "sim", "--read")
    assert seen.returncode == 0, seen.stderr
    for word in ("SEED (simulated): 2 recordings, 2 subjects, 1 session", "SEED-IV: not here",
                 "DEAP (simulated): 2 recordings", "windows (negative", "skipped ._s01.dat"):
        assert word in seen.stdout

    kept = bench("data", "set", "SEED=sim", f"DEAP={tmp_path / 'sim' / 'DEAP'}")
    assert kept.returncode == 0, kept.stderr
    assert set(corpus_folders()) == {"SEED", "DEAP"}
    done = bench("run", "-m", "majority", "--tgt", "DEAP:arousal", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "SEED:3→DEAP:arousal" in done.stdout
    assert "SIMULATED" in done.stdout
    assert done.stderr == ""


def test_the_recipe_is_shown_and_nothing_written(bench, tmp_path):
    done = bench("data", "simulate", "sim", "--recipe", "--set", "class_effect=0")
    assert done.returncode == 0
    assert "class_effect" in done.stdout
    assert "label_noise" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_data_commands_refuse_what_is_not_there(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "settings.json"))
    (tmp_path / "empty").mkdir()
    refused(bench("data", "check", "empty"), "empty holds none of SEED, SEED-IV, SEED-V")
    refused(bench("data", "set", "SEED=empty"), "SEED")
    refused(bench("data", "set", "SEDE=empty"), "no corpus named 'SEDE'")
    refused(bench("data", "simulate", "sim", "--set", "subjects=999"), "recipe: subjects = '999'")
    assert not (tmp_path / "settings.json").exists()
    assert not (tmp_path / "sim").exists()


def test_a_broken_corpus_fails_the_check(bench, tmp_path, tiny_root):
    root = tmp_path / "corpora"
    shutil.copytree(tiny_root / "DEAP", root / "DEAP")
    deap_file(root).write_bytes(b"torn")
    done = bench("data", "check", root, "--read")
    assert done.returncode == 2
    assert "s02.dat" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_says_that_nothing_is_lost(tiny_root, heeded, tmp_path):
    command = [sys.executable, "-m", "bench.cli", "run", "--data", str(tiny_root), "--set",
               "epochs=100000", "--scale", "published"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:  # until training has begun
        seen += line
        if "channels in common" in line:
            break
    process.send_signal(signal.SIGINT)
    try:
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()  # else it would train for days
    assert process.returncode == 130
    assert "Stopped." in rest
    assert "nothing of it is kept" in rest
    assert "stored" not in rest
    assert "goes on" not in rest
    assert "Traceback" not in rest
    assert not (tmp_path / "runs" / "cells").exists()
