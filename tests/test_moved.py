"""``tests/moved.py`` finds a moved number, and nothing where none moved."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from moved_compare import Cell, compare, labels, read
from moved_plan import PLAN

from merged import merged, read_project

ROOT = Path(__file__).resolve().parent.parent
MOVED = Path(__file__).with_name("moved.py")


# --- made-up records -------------------------------------------------------------------------

def identity(method="lda", seed=0, **changes):
    return {
        "method": method, "params": {"lr": 0.001, "batch": 256}, "code": "c0ffee",
        "source": {"name": "SEED:3", "digest": "aa"},
        "target": {"name": "DEAP:valence", "digest": "bb"},
        "protocol": {"name": "few-shot", "params": {"share": 0.6}}, "selection": "last",
        "seed": seed, "precision": "float32",
    } | changes


def scores(accuracy):
    return {"window": {"accuracy": accuracy, "balanced_accuracy": accuracy, "auroc": None}}


def put(runs, name="one", *, p=None, curves=None, folder="cells", of=None, **changes):
    """Write a record as the store lays it out."""
    where = runs / folder / name
    where.mkdir(parents=True)
    fold = {"subject": 1, "session": 1, "scores": scores(0.75)}
    body = {
        "identity": of or identity(), "status": "done", "reason": "", "kind": "method",
        "classes": ["low", "high"], "folds": [fold], "left_out": [], "oracle": None,
        "selections": {"last": {"score": None, "folds": [fold]},
                       "dev": {"score": -0.5, "folds": [fold]}},
        "info": {"wall_s": os.urandom(2)[0]},
    } | changes
    (where / "record.json").write_text(json.dumps(body))
    (where / "curves.json").write_text(json.dumps(curves or {"fit": {"1/1": {"total": [1.5]}}}))
    p = np.array([0.25, 0.5, 0.75], dtype=np.float32) if p is None else p
    if body["status"] == "done":
        pd.DataFrame({
            "subject": 1, "session": 1, "trial": [1, 2, 3][: len(p)],
            "onset": np.zeros(len(p), np.float32), "y": 1, "p0": p, "p1": 1 - p,
        }).to_parquet(where / "predictions.parquet", index=False)


@pytest.fixture
def sides(tmp_path):
    return tmp_path / "there", tmp_path / "here"


def differences(sides, tolerance=0.0):
    """What differs, by cell."""
    return {cell.label: cell.differences for cell in compare(*sides, tolerance) if cell.differences}


LABEL = "lda  SEED:3→DEAP:valence  few-shot  seed 0"


# --- comparison ------------------------------------------------------------------------------

def test_equal_records_differ_in_nothing_whatever_their_code_and_cost(sides):
    put(sides[0])
    put(sides[1], "another-hash", of=identity(code="decaf"))
    assert compare(*sides) == [Cell(LABEL)]


def test_one_unit_in_the_last_place_is_differences(sides):
    p = np.array([0.25, 0.5, 0.75], dtype=np.float32)
    put(sides[0], p=p)
    p[1] = np.nextafter(p[1], np.float32(1))
    put(sides[1], p=p)
    assert differences(sides) == {LABEL: ["probabilities by up to 6e-08"]}
    assert differences(sides, tolerance=1e-6) == {}


def test_probabilities_of_another_type_are_differences(sides):
    p = np.array([0.25, 0.5, 0.75], dtype=np.float32)
    put(sides[0], p=p)
    put(sides[1], p=p.astype(np.float64))
    assert differences(sides) == {LABEL: ["probabilities in their type or the sign of 0"]}


def test_other_tested_windows_are_differences(sides):
    put(sides[0])
    put(sides[1], p=np.array([0.25, 0.5], dtype=np.float32))
    assert differences(sides) == {LABEL: ["3 → 2 tested windows"]}


def test_predictions_that_are_gone_are_differences(sides):
    put(sides[0])
    put(sides[1])
    (sides[1] / "cells" / "one" / "predictions.parquet").unlink()
    assert differences(sides) == {LABEL: ["3 → 0 tested windows"]}


def test_a_missing_record_is_found_on_either_side(sides):
    put(sides[0])
    put(sides[0], "two", of=identity("svm"))
    put(sides[1])
    put(sides[1], "three", of=identity("lda", seed=1))
    assert differences(sides) == {
        LABEL.replace("lda", "svm"): ["only there, not here"],
        LABEL.replace("seed 0", "seed 1"): ["only here, not there"],
    }


def test_scores_and_selections_are_named(sides):
    put(sides[0])
    put(sides[1], folds=[{"subject": 1, "session": 1, "scores": scores(0.75 + 1 / 1024)}])
    assert differences(sides) == {LABEL: ["balanced accuracy by up to 0.098 points",
                                    "folds (accuracy)"]}


def test_a_changed_score_of_a_rule_that_was_not_chosen_is_differences(sides):
    put(sides[0])
    put(sides[1])
    path = sides[1] / "cells" / "one" / "record.json"
    body = json.loads(path.read_text())
    body["selections"]["dev"]["score"] = -0.5000001
    path.write_text(json.dumps(body))
    assert differences(sides) == {LABEL: ["selections (dev)"]}
    del body["selections"]["dev"]
    path.write_text(json.dumps(body))
    assert differences(sides) == {LABEL: ["selections (dev)"]}


@pytest.mark.parametrize(("changes", "words"), [
    ({"curves": {"fit": {"1/1": {"total": [1.25]}}}}, "training curves"),
    ({"oracle": {"window": 0.5}}, "oracle"),
    ({"kind": "control"}, "kind"),
    ({"classes": ["high", "low"]}, "classes"),
    ({"left_out": [{"subject": 2}]}, "left_out"),
    ({"of": identity(source={"name": "SEED:3", "digest": "cc"})}, "data (source.digest)"),
    ({"of": identity(precision="float64")}, "precision float32 → float64"),
])
def test_all_else_that_differs_is_named(sides, changes, words):
    put(sides[0])
    put(sides[1], **changes)
    assert differences(sides) == {LABEL: [words]}


def test_a_cell_that_fails_is_found_with_its_reason(sides):
    put(sides[0])
    put(sides[1], status="failed", reason="loss is not finite", folds=[], selections={})
    first, *_ = differences(sides)[LABEL]
    assert first == "done → failed (loss is not finite)"


def test_a_cell_that_fails_on_both_sides_proves_nothing(sides):
    for side in sides:
        put(side, status="failed", reason="loss is not finite")
    [cell] = compare(*sides)
    assert (cell.differences, cell.proves) == ([], False)


def test_diagnostics_are_compared(sides):
    for number, side in enumerate(sides):
        put(side)
        np.savez(side / "cells" / "one" / "diagnostics.npz", z=np.arange(3.0), a=float(number))
    assert differences(sides) == {LABEL: ["diagnostics (a)"]}


# --- which cells belong together -------------------------------------------------------------

def variants(side, *rates, **more):
    for rate in rates:
        put(side, f"rate{rate}", of=identity(params={"lr": rate, "batch": 256}, **more))


def test_variants_are_matched_by_their_parameters_and_told_apart(sides):
    variants(sides[0], 0.1, 0.2)
    variants(sides[1], 0.1, 0.2)
    assert [c.label for c in compare(*sides)] == [f"{LABEL}  lr=0.1", f"{LABEL}  lr=0.2"]
    assert differences(sides) == {}


def test_a_changed_default_is_one_difference_of_one_cell(sides):
    variants(sides[0], 0.1, 0.2)
    variants(sides[1], 0.1, 0.3)
    assert differences(sides) == {f"{LABEL}  lr=0.2": ["params.lr 0.2 → 0.3"]}


def test_names_of_records_follow_from_the_code_and_are_passed_over(sides):
    for side, digit in zip(sides, "ab", strict=True):
        put(side, of=identity(code=16 * digit, chosen_from=[20 * digit, 20 * digit]))
    assert differences(sides) == {}


def test_other_classes_are_a_difference(sides):
    mapped = identity(label_map={"name": "polarity-2"})
    put(sides[0], of=identity(label_map=None))
    put(sides[1], of=mapped)
    assert differences(sides) == {LABEL: ["label_map None → {'name': 'polarity-2'}"]}
    put(sides[0], "mapped", of=mapped)
    assert differences(sides) == {f"{LABEL}  label_map.name=–": ["only there, not here"]}


def test_a_key_that_only_one_side_knows_is_noted_and_no_difference(sides):
    variants(sides[0], 0.1, 0.2)
    variants(sides[1], 0.1, 0.2, backend="torch")
    cells = compare(*sides)
    assert [c.differences for c in cells] == [[], []]
    assert {key for c in cells for key in c.added} == {"identity.backend"}
    assert not any(c.several for c in cells)


def test_a_new_score_is_noted_and_a_lost_one_is_a_difference(sides):
    more = {"window": scores(0.75)["window"] | {"kappa": 0.5}}
    put(sides[0])
    put(sides[1], folds=[{"subject": 1, "session": 1, "scores": more}])
    [cell] = compare(*sides)
    assert (cell.differences, cell.added) == ([], {"folds.*.scores.window.kappa"})
    assert differences(sides[::-1]) == {LABEL: ["folds (kappa)"]}


def test_several_that_match_equally_well_are_said_to(sides):
    put(sides[0])
    for backend in ("torch", "jax"):
        put(sides[1], backend, of=identity(backend=backend))
    cells = compare(*sides)
    assert sorted((c.several, *c.differences) for c in cells) == [
        (False, "only here, not there"), (True,)]


def test_a_twin_of_an_audit_is_not_taken_for_the_honest_run(sides):
    for side in sides:
        put(side)
        put(side, "twin", of=identity(shortcut="test-scaler"))
        put(side, folder="audit/cells")
    put(sides[0], "tuned", of=identity(tuning={"rule": "dev", "study": "1"}))
    put(sides[1], "tuned", of=identity(tuning={"rule": "dev", "study": "2"}))
    assert differences(sides) == {}
    assert len(read(sides[0])) == 4
    assert set(labels(read(sides[0])).values()) == {
        LABEL, LABEL.replace("lda", "lda + test-scaler"), LABEL.replace("lda", "lda [tuned]")}


# --- the command, on a small program that stands in for bench -----------------------------------

STAND_IN = '''
import json, os, sys
from pathlib import Path

VALUE = 0.5

def main():
    runs = Path(sys.argv[sys.argv.index("--runs") + 1])
    import pandas
    where = runs / "cells" / "one"
    where.mkdir(parents=True)
    identity = json.loads(os.environ["STAND_IN"])
    (where / "record.json").write_text(json.dumps({"identity": identity, "status": "done"}))
    pandas.DataFrame({"p0": [VALUE]}).to_parquet(where / "predictions.parquet")
'''


@pytest.fixture
def stand_in(committed, tmp_path):
    tree = tmp_path / "tree"
    (tree / "bench").mkdir(parents=True)
    (tree / "bench" / "__init__.py").write_text("")
    (tree / "bench" / "start.py").write_text(STAND_IN)
    (tree / "pyproject.toml").write_text("""
        [project]
        name = "eeg-cross-corpus-bench"
        version = "0"
        [project.scripts]
        bench = "bench.start:main"
        [tool.setuptools]
        packages = ["bench"]
    """)
    return committed(tree)


def moved(*arguments, **env):
    return subprocess.run(
        [sys.executable, str(MOVED), *map(str, arguments)], capture_output=True, text=True,
        check=False, timeout=600,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb",
             "STAND_IN": json.dumps(identity()), **env},
    )


def edit(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text())
    assert count == 1, f"{path} has {count} times {pattern}"
    path.write_text(text)


def test_nothing_moved(stand_in):
    done = moved("HEAD", "--tree", stand_in, "--only", "dev,mano")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 cells compared, none differs"


def test_an_uncommitted_change_is_found_and_the_other_side_kept(stand_in, tmp_path):
    edit(stand_in / "bench" / "start.py", "VALUE = 0.5", "VALUE = 0.5000000000000001")
    call = ("HEAD", "--tree", stand_in, "--only", "dev", "--keep", tmp_path / "kept")
    done = moved(*call)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"  {LABEL}: probabilities by up to 1.1e-16\n" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 1 cells differ"
    assert "kept" not in done.stdout
    again = moved(*call)
    assert re.search(r"there +kept  here +\d+ s", again.stdout)
    assert again.stdout.splitlines()[-1] == "1 of 1 cells differ"
    assert moved(*call, "--tolerance", "1e-9").returncode == 0


def test_a_side_that_fails_ends_the_command_with_its_last_lines(stand_in):
    edit(stand_in / "bench" / "start.py", "import pandas", "raise SystemExit('no luck today')")
    done = moved("HEAD", "--tree", stand_in, "--only", "dev")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: here, dev: the run stores no record\n")
    assert "no luck today" in done.stderr
    edit(stand_in / "bench" / "start.py", "raise SystemExit", "raise RuntimeError")
    done = moved("HEAD", "--tree", stand_in, "--only", "dev")
    assert done.returncode == 2
    assert "RuntimeError: no luck today" in done.stderr


def test_a_command_of_another_tree_is_refused(stand_in, tmp_path):
    other = merged(stand_in, tmp_path / "other")
    edit(stand_in / "bench" / "__init__.py", "^", f"__file__ = {str(other / 'bench')!r}\n")
    done = moved("HEAD", "--tree", stand_in, "--only", "dev")
    assert done.returncode == 2
    assert "here, dev: the run imports another bench" in done.stderr


def test_errors_say_what_is_wrong(stand_in, tmp_path):
    done = moved("no-such-commit", "--tree", stand_in)
    assert done.returncode == 2
    assert "has no commit 'no-such-commit'" in done.stderr
    done = moved("HEAD", "--tree", tmp_path)
    assert done.returncode == 2
    assert "is no git checkout" in done.stderr
    done = moved("HEAD", "--only", "nothing-like-it")
    assert done.returncode == 2
    assert "few-shot, shallow" in done.stderr
    assert moved().returncode == 2


def test_the_plan_can_be_shown():
    done = moved("--list")
    assert done.returncode == 0
    assert all(f"{asked.name}: {asked.reaches}" in done.stdout for asked in PLAN)


# --- the plan --------------------------------------------------------------------------------

def asked(key):
    """Values of a key over all requests, single ones and lists alike."""
    out = set()
    for keys in (tomllib.loads(a.toml) for a in PLAN):
        value = keys.get(key, [])
        out |= set(value) if isinstance(value, list) else {value}
    return out


def listed(bench, group):
    return {entry["name"] for entry in json.loads(bench("list", group, "--json").stdout)}


def test_the_plan_reaches_every_method_and_protocol(bench):
    controls = {"majority", "target-only"}  # run beside others
    assert listed(bench, "methods") - asked("methods") == controls
    assert listed(bench, "protocols") - {"few-shot"} <= asked("protocols")
    # Corpora that came later are in no older commit to compare with.
    assert set(re.findall(r"[A-Z-]*[A-Z]", " ".join(asked("pairs")))) <= listed(bench, "corpora")


def test_the_plan_reaches_every_rule_and_scaling():
    assert asked("selection") | {"last"} == {
        "last", "source-val", "calibration-val", "entropy", "snd", "mixval", "mano",
        "importance-weighted", "dev", "oracle"}
    assert asked("scaling") | {"min-max"} == {"min-max", "z-score", "robust", "euclidean", "none"}
    # The scope source-subject came later and is in no older commit to compare with.
    assert asked("scaling_scope") | {"corpus"} == {
        "corpus", "subject", "source", "tested", "subject-tested"}


def test_every_request_has_a_name_of_its_own_and_is_valid_toml():
    assert len({a.name for a in PLAN}) == len(PLAN)
    for a in PLAN:
        assert a.keys.items() <= tomllib.loads(a.toml).items()


# --- for real --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def checkout(committed, tmp_path_factory):
    """This tree as a checkout of its own: whatever is changed in it is committed."""
    tree = tmp_path_factory.mktemp("checkout") / "tree"
    folders = read_project(ROOT)["tool"]["setuptools"]["package-dir"].values()
    for folder in {Path(f).parts[0] for f in folders}:
        shutil.copytree(ROOT / folder, tree / folder,
                        ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return committed(tree)


@pytest.mark.slow
def test_bench_repeats_itself_and_planted_changes_are_found(checkout, tmp_path):
    call = ("HEAD", "--tree", checkout, "--only", "sessions", "--keep", tmp_path / "kept")
    done = moved(*call)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "3 cells compared, none differs"
    # A number in the code of one method, and the default of a parameter of another.
    edit(checkout / "methods" / "lda.py", r'shrinkage="auto"\)', "shrinkage=0.3)")
    edit(checkout / "methods" / "mae.py", r"(mask_ratio: float = hyper\(\s*)0\.\d+", r"\g<1>0.35")
    done = moved(*call)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "2 of 3 cells differ"
    [lda] = [line for line in lines if line.startswith("  lda")]
    [mae] = [line for line in lines if line.startswith("  mae")]
    assert "probabilities by up to" in lda
    assert "params" not in lda
    assert re.search(r"probabilities by up to .*params\.mask_ratio 0\.\d+ → 0\.35", mae)
