"""The studies of the documentation: their parts do what their text says."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data.reading import CorpusName, Reading
from bench.data.windows import Windows
from bench.store.records import Store

from records import put

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"


def study(name):
    if str(STUDIES) not in sys.path:  # as for a script: studies import each other
        sys.path.append(str(STUDIES))
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def null():
    return study("null")


def test_redrawn_classes_belong_to_trials_and_keep_their_numbers(null):
    rng = np.random.default_rng(0)
    trial = np.tile(np.repeat(np.arange(1, 11), 4), 3)
    subject = np.repeat([1, 2, 3], 40)
    y = (trial + subject) % 2
    windows = Windows.from_arrays(
        rng.normal(size=(120, 4, 5)).astype(np.float32), y, subject=subject, trial=trial,
        channels=["FZ", "CZ", "PZ", "OZ"], labels=["low", "high"],
    )
    reading = Reading(CorpusName("own", "own"), windows, "digest", (), None)
    first, again, other = (null.redrawn(reading, n).windows for n in (1, 1, 2))
    np.testing.assert_array_equal(first.y, again.y)
    assert (first.y != other.y).any()
    for s in (1, 2, 3):
        mine = subject == s
        assert sorted(first.y[mine]) == sorted(y[mine])
        for t in range(1, 11):
            assert len(set(first.y[mine & (trial == t)])) == 1
    assert null.redrawn(reading, 1).digest != null.redrawn(reading, 2).digest


def test_verdicts_tell_a_true_difference_and_stay_silent_on_none(null):
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product([range(2), range(15)], names=["run", "subject"])
    scores = pd.DataFrame(
        0.5 + 0.01 * rng.normal(size=(30, len(null.METHODS))), index, list(null.METHODS)
    )
    scores.loc[1, null.METHODS[0]] = 0.7 + 0.01 * rng.normal(size=15)
    found = null.verdicts(scores)
    assert found["pairs, two-sided, Holm"].tolist()[1]
    assert found["each against chance, two-sided, Holm"].tolist()[1]
    # The corrected test finds nothing that the uncorrected one does not find.
    assert (found["pairs, one-sided in the direction seen"]
            | ~found["pairs, two-sided, Holm"]).all()


def test_the_table_compares_with_plain_learning_and_with_the_own_twin():
    table, rows = study("table"), []
    for method, network, score in (
        ("scmm", "", 70.0), ("target-only", "network", 60.0), ("lr", "", 62.0),
        ("target-only", "lr", 66.0), ("majority", "", 50.0),
    ):
        rows += [{
            "size": size, "plain": method, "kind": "control" if method == "majority" else "method",
            "twin": {"scmm": "target-only (network)", "lr": "target-only (lr)"}.get(method, ""),
            "method": f"{method} ({network})" if network else method, "corpus": "DEAP:valence",
            "subject": s, "chance": 50.0,
            "score": score + s / 8 - (4 if size == "1" and method == "scmm" else 0),
        } for s in range(1, 13) for size in ("1", "60%")]
    page = table.page("T", "", pd.DataFrame(rows))
    beside, worth = page.split("What the source was worth")
    assert ("| scmm | 66.8 ± 0.5 (+0.0; +0.0 to +0.0) | 70.8 ± 0.5 (+4.0\\*; +4.0 to +4.0) |"
            in beside)
    assert "| lr | 62.8 ± 0.5 (-4.0°;" in beside
    assert "| scmm | +6.0\\*; +6.0 to +6.0 | +10.0\\*; +10.0 to +10.0 |" in worth
    assert "| lr | -4.0°;" in worth
    assert "majority" not in worth
    assert "Of 2 methods that use a source" in page
    assert "with 1 trial a class none beats it and 1 is worse" in page
    assert "at 60 % 1 beats it" in page


def test_the_last_step_says_what_was_held_and_what_was_missed():
    last = study("last_step")

    def folds(score, lead, spread, by=0.0):
        rng = np.random.default_rng(0)
        return pd.DataFrame({"score": score + by * rng.normal(size=12), "trial": score,
                             "lead": lead, "spread": spread}, index=range(1, 13))

    its = {
        ("scmm", "default", 1): folds(80.0, 1.0, 0.2, 1.0),
        ("scmm", "default", 3): folds(80.0, 1.0, 0.2, 0.5),
        ("scmm", "released head", 1): folds(75.0, 6.0, 2.0, 4.0),
        ("scmm", last.PRESET, 1): folds(81.0, 6.0, 2.0, 1.6),
        ("target-only", "default", 1): folds(79.0, 2.0, 0.6),
        ("target-only", "default", 3): folds(79.0, 2.0, 0.6),
        ("target-only", "released head", 1): folds(79.5, 5.0, 2.0),
        ("target-only", last.PRESET, 1): folds(78.0, 5.0, 2.0),
    }
    said = last.bounds(its)
    assert [line for line in said if "3 seeds" not in line] == [
        "- scmm, against the released head: lead 1.0 (held), spread 0.20 (held), mean +4.9 points "
        "(held), interval 0.25 times as wide (held).",
        "- scmm, against `--params published`: lead 1.0 (held), spread 0.20 (held), mean -1.0 "
        "points (missed), interval 0.62 times as wide (missed).",
        "- target-only, against the released head: lead 2.0 (missed), spread 0.60 (missed), mean "
        "-0.5 points (missed).",
        "- target-only, against `--params published`: lead 2.0 (missed), spread 0.60 (missed), "
        "mean +1.0 points (held).",
    ]
    assert said[3] == (
        "- scmm, 3 seeds, against `--params published`: lead 1.0 (held), spread 0.20 (held), mean "
        "-1.0 points (missed), interval 0.31 times as wide (held).")
    lines = last.table(its)
    assert lines[3].startswith("| scmm | default, 3 seeds | 80.0 (0.4) |")
    assert "| scmm | default | 80.0 (0.7) | 80.0 (0.0) | +1.0 (" in lines[2]
    assert lines[-2].startswith("| target-only | released head | 79.5 (0.0) |")


def test_the_last_step_averages_the_seeds_of_a_subject_and_shows_the_first_alone():
    last = study("last_step")

    def found(seed, scores):
        folds = pd.DataFrame({"score": scores, "trial": scores, "lead": 1.0, "spread": 0.1},
                             index=pd.Index([1, 2], name="subject"))
        return {"method": "scmm", "recipe": "default", "seed": seed, "folds": folds}

    its = last.by_training([found(1, [50.0, 70.0]), found(0, [60.0, 80.0])])
    assert {key: its[key]["score"].tolist() for key in its} == {
        ("scmm", "default", 1): [60.0, 80.0], ("scmm", "default", 2): [55.0, 75.0]}


def test_the_last_step_runs_the_released_values_of_a_pair_where_there_are_more():
    last = study("last_step")
    assert [list(how) for how in last.trainings("scmm", "SEED->DEAP")] == [
        [], ["params"], ["preset"]]
    assert [list(how) for how in last.trainings("scmm", "DEAP->SEED")] == [[], ["params"]]
    assert [list(how) for how in last.trainings("mae", "SEED->DEAP")] == [[], ["params"]]


def test_a_control_with_the_released_head_is_a_row_of_its_own():
    label = study("table").label
    assert label("scmm", {"fit_schedule": "cosine"}) == "scmm"
    assert label("target-only", {"network": "lr"}) == "target-only (lr)"
    assert label("target-only", {"network": "network", "fit_schedule": "constant"}) == (
        "target-only (network, released head)")


def test_controls_of_one_name_are_not_averaged(tmp_path, monkeypatch):
    corpora = study("corpus_effect")
    monkeypatch.setattr(corpora, "STEPS", (0.0,))
    store = Store(tmp_path / "0")
    for network, score in (("lr", 0.5), ("network", 0.7)):
        for seed in (0, 1):
            put(store, "target-only", [score] * 3, kind="control", seed=seed,
                params={"network": network})
    scores = corpora.read(tmp_path).groupby("method")["score"].mean()
    assert scores.to_dict() == pytest.approx(
        {"target-only (lr)": 50.0, "target-only (network)": 70.0})
    assert set(scores.index) <= {m for _, methods, _ in corpora.LINES for m in methods}


def scripts():
    root = STUDIES.parents[1]
    return [p for folder in ("docs", "docs/studies", "speed", "tests")
            for p in sorted((root / folder).glob("*.py"))]


@pytest.mark.parametrize("script", scripts(), ids=lambda p: p.name)
def test_what_a_script_imports_of_bench_is_there(script):
    """Also inside functions, which a study comes to after an hour."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bench":
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.util.find_spec(
                    f"{node.module}.{name.name}"), f"{script.name}:{node.lineno}: {name.name}"


def test_the_pictures_of_studies_are_drawn(null, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(null, "HERE", tmp_path)
    null.draw(pd.DataFrame(0.5 + 0.02 * rng.normal(size=(20, 3)), columns=["a", "b", "c"]))
    corpora = study("corpus_effect")
    monkeypatch.setattr(corpora, "HERE", tmp_path)
    corpora.write(pd.DataFrame([
        {"step": step, "protocol": protocol, "method": method, "pair": pair, "subject": subject,
         "score": 60 + subject + step}
        for step in corpora.STEPS for protocol, methods, _ in corpora.LINES for method in methods
        for pair in corpora.PAIRS for subject in range(1, 9)
    ]))
    assert {p.name for p in tmp_path.iterdir()} == {
        "null.png", "corpus_effect.png", "corpus_effect.md"}


@pytest.mark.slow
def test_no_mutant_is_believed(tmp_path):
    """Two dozen of each format; the page's 200 by the study itself."""
    done = subprocess.run(
        [sys.executable, STUDIES / "damage.py", "--mutants", "24", "--out", tmp_path / "x.md"],
        capture_output=True, text=True, timeout=3000, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "x.md").read_text().count("\n| ") >= 25
