"""What bench verify finds of archives whose checksums are right: they were made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import registry
from bench.cells.engine import run_cell
from bench.errors import BenchError
from bench.exchange.archive import Index, write_archive
from bench.exchange.codes import installed_code
from bench.exchange.export import export
from bench.exchange.rescore import predictions_of, split_digest, windows_digest
from bench.exchange.verify import verify
from bench.registry import load
from bench.store.hashing import identity_hash
from bench.store.records import Record, Store
from bench.store.seal import read_json, sealed_json, sum_of

from support import cell_of


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Three methods on one pair. Do not change it: copy it."""
    root = tmp_path_factory.mktemp("verify") / "runs"
    store = Store(root)
    for name in ("lda", "lr", "majority"):
        method = load("methods", name)
        run_cell(cell_of(method(method.parse({}))), store)
    return root


@pytest.fixture
def runs(honest, tmp_path):
    return shutil.copytree(honest, tmp_path / "runs")


def body_of(folder: Path) -> dict:
    return read_json(folder / "record.json")


def folder_of(runs: Path, method: str) -> Path:
    return next(f for f in (runs / "cells").iterdir()
                if body_of(f)["identity"]["method"] == method)


def seal(folder: Path, body: dict) -> Path:
    """Write a record with all its checksums and its name right, as a forger would."""
    body["files"] = {n: sum_of((folder / n).read_bytes()) for n in body["files"]}
    body["id"] = identity_hash(body["identity"])
    (folder / "record.json").write_text(sealed_json(body))
    return folder.rename(folder.with_name(body["id"]))


def by_hand(runs: Path) -> Path:
    """An archive of whatever lies in a run folder: our export would leave some of it out."""
    contents = sorted((p.relative_to(runs).as_posix(), p.read_bytes())
                      for p in runs.rglob("*") if p.is_file())
    ids = {name.split("/")[1] for name, _ in contents if name.startswith("cells")}
    index = Index("", "0", {n: (sum_of(d), len(d)) for n, d in contents}, {i: {} for i in ids}, ())
    write_archive(runs.parent / "x.zip", index, contents)
    return runs.parent / "x.zip"


def found(runs: Path, name: str) -> list[str]:
    """What is wrong by one kind of check, of an archive that was made of a forged folder."""
    out = runs.parent / "x.zip"
    export(runs, out)
    seen = verify(out)
    assert seen.passed == (not any(o.wrong for o in seen.outcomes.values()))
    return [what for _, what in seen.outcomes[name].wrong]


def change_predictions(folder: Path, change) -> None:
    table = pd.read_parquet(folder / "predictions.parquet")
    change(table).to_parquet(folder / "predictions.parquet", index=False)
    seal(folder, body_of(folder))


def test_a_changed_score_is_found(runs):
    folder = folder_of(runs, "lda")
    body = body_of(folder)
    scores = body["folds"][1]["scores"]["window"]
    scores["balanced_accuracy"] -= 0.001
    body["selections"]["last"]["folds"][1]["scores"] = body["folds"][1]["scores"]
    seal(folder, body)
    (what,) = found(runs, "scores")
    assert "subject 2: balanced_accuracy per window is said to be" in what


def test_a_changed_probability_is_found(runs):
    def turn(table):
        table.loc[3, ["p0", "p1"]] = 0.2, 0.8
        return table

    change_predictions(folder_of(runs, "lda"), turn)
    assert any("predicted windows are not those of its predictions" in w
               for w in found(runs, "scores"))


def test_a_probability_that_is_changed_in_the_archive_alone_is_refused(runs):
    """Without new checksums: the record names the sum of its predictions."""
    folder = folder_of(runs, "lr")
    table = pd.read_parquet(folder / "predictions.parquet")
    table.loc[0, ["p0", "p1"]] = 0.5, 0.5
    table.to_parquet(folder / "predictions.parquet", index=False)
    contents = sorted((p.relative_to(runs).as_posix(), p.read_bytes())
                      for p in runs.rglob("*") if p.is_file())
    records = {r.id: {"split": split_digest(r), "windows": windows_digest(predictions_of(r))}
               for r in Store(runs).records()}
    index = Index("", "0", {n: (sum_of(d), len(d)) for n, d in contents}, records, ())
    write_archive(runs.parent / "x.zip", index, contents)
    seen = verify(runs.parent / "x.zip")
    assert [what for _, what in seen.outcomes["records"].wrong] == [
        "predictions.parquet is not the file that was written with the record"
    ]


def test_a_tested_trial_in_calibration_is_found(runs):
    folder = folder_of(runs, "lr")
    body = body_of(folder)
    fold = body["folds"][0]
    fold["calibration_trials"] = sorted([*fold["calibration_trials"], fold["test_trials"][0]])
    seal(folder, body)
    assert found(runs, "splits") == [
        f"subject 1: trial {fold['test_trials'][0]} stand in calibration and in the test"
    ]


def test_a_record_that_was_cut_otherwise_than_the_others_is_found(runs):
    """Easy trials alone: all numbers of the record follow from what is left."""
    def fewer(table):
        return table[table["trial"] != table["trial"].iloc[0]]

    change_predictions(folder_of(runs, "lda"), fewer)
    made = export(runs, runs.parent / "x.zip")
    (left_out,) = made.left_out
    assert "windows and its folds" in left_out[1]
    (what,) = [w for _, w in verify(by_hand(runs)).outcomes["scores"].wrong]
    assert "windows and its folds" in what


def test_other_tested_windows_than_those_of_the_other_methods_are_found(runs):
    """One that was tested on other labels, with every score, sum and digest right."""
    folder = folder_of(runs, "lda")
    table = pd.read_parquet(folder / "predictions.parquet")
    table["onset"] += 1
    table.to_parquet(folder / "predictions.parquet", index=False)
    seal(folder, body_of(folder))
    (what,) = found(runs, "tested windows")
    assert what == ("cut or tested otherwise than 2 other records of its pair, protocol and seed")


def test_a_record_of_other_code_is_found(runs):
    folder = folder_of(runs, "lda")
    body = body_of(folder)
    body["identity"]["code"] = "0123456789abcdef"
    seal(folder, body)
    (what,) = found(runs, "code")
    assert what.startswith("lda says that it is of bench 0.1.0")
    assert "is not its code as installed here (0123456789abcdef" in what


def test_two_codes_of_one_method_are_found_whatever_is_installed(runs):
    for seed, code in ((1, "a" * 16), (2, "b" * 16)):
        folder = folder_of(runs, "lda")
        copy = shutil.copytree(folder, folder.with_name(f"copy{seed}"))
        body = body_of(copy)
        body["identity"] |= {"code": code, "seed": seed}
        body["info"]["versions"]["bench"] = "0.0.9"
        seal(copy, body)
    out = runs.parent / "x.zip"
    export(runs, out)
    outcome = verify(out).outcomes["code"]
    assert [what for _, what in outcome.wrong][0].startswith("lda is of other code (")
    assert any("it was made by bench 0.0.9, and this is" in what for _, what in outcome.unchecked)


def test_a_cell_of_the_plan_without_record_is_told(runs):
    ids = [f.name for f in (runs / "cells").iterdir()]
    plan = {"schema": 2, "cells": [{"record": i} for i in [*ids, "f" * 20, None]]}
    (runs / "plan-0123.json").write_text(sealed_json(plan))
    out = runs.parent / "x.zip"
    export(runs, out)
    outcome = verify(out).outcomes["plans"]
    assert outcome.checked == 3
    assert outcome.unchecked == [("plan-0123.json", "2 of its 5 cells have no record here")]
    assert not outcome.wrong


def test_a_leak_that_a_record_does_not_declare_is_found(runs):
    folder = folder_of(runs, "lda")
    body = body_of(folder)
    body["identity"]["scaling"]["test"] = "its own statistics"
    seal(folder, body)
    assert any("scaler fitted on tested windows" in w for w in found(runs, "use of test data"))


@pytest.mark.parametrize("change", [
    lambda b: b["folds"][0].pop("scores"),
    lambda b: b["folds"][0].update(subject="one"),
    lambda b: b["folds"][0].update(majority=None),
    lambda b: b.update(classes=[]),
    lambda b: b["identity"].update(protocol=3),
    lambda b: b["identity"].pop("code"),
    lambda b: b["selections"].update(last=[]),
    lambda b: b["info"].update(versions=7),
    lambda b: b["identity"].update(method=["lda"]),
    lambda b: b["folds"][0]["scores"]["window"].update(auroc="high"),
])
def test_whatever_a_stranger_writes_is_answered_in_words(honest, tmp_path, change):
    runs = shutil.copytree(honest, tmp_path / "runs")
    folder = folder_of(runs, "lda")
    body = body_of(folder)
    change(body)
    seal(folder, body)
    assert not verify(by_hand(runs)).passed


def test_predictions_that_unpack_to_more_than_they_say_are_not_read(runs):
    folder = folder_of(runs, "lda")
    table = pd.read_parquet(folder / "predictions.parquet")
    many = table.iloc[np.zeros(3_000_000, dtype=int)]
    many.to_parquet(folder / "predictions.parquet", index=False)
    seal(folder, body_of(folder))
    record = next(r for r in Store(runs).records() if r.identity["method"] == "lda")
    with pytest.raises(BenchError, match="3000000 windows and its folds"):
        predictions_of(record)


def test_predictions_of_other_types_are_refused(runs):
    folder = folder_of(runs, "lda")
    table = pd.read_parquet(folder / "predictions.parquet").astype({"stimulus": str})
    table.to_parquet(folder / "predictions.parquet", index=False)
    seal(folder, body_of(folder))
    record = next(r for r in Store(runs).records() if r.identity["method"] == "lda")
    with pytest.raises(BenchError, match="columns that are no numbers"):
        predictions_of(record)


@pytest.mark.parametrize(("method", "params"), [
    ("sklearn:os.path.join", {}), ("sklearn", {"estimator": "antigravity.X"}),
    ("target-only", {"network": "sklearn:evil.Thing"}), ("no-such-method", {}),
    ("sklearn:sklearn.svm.SVC", {"estimator": "evil.Thing"}),
])
def test_no_name_of_a_stranger_is_imported(method, params, monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    with pytest.raises(BenchError):
        installed_code(method, params)


def test_the_code_of_a_plugin_is_compared_where_it_is_named(tmp_path, clean_registry):
    plugin = Path(__file__).parents[1] / "audit_plugin.py"
    registry.include(str(plugin))
    name = next(e.name for e in registry.include(str(plugin)) if e.group == "methods")
    method = load("methods", name)
    record = Record(identity={"method": name, "code": "0" * 16, "params": {}})
    assert installed_code(name, {}) != record.identity["code"]
    registry._included.clear()
    registry._tables.clear()
    with pytest.raises(BenchError, match="--include"):
        installed_code(name, method.parse({}).model_dump(mode="json"))


def test_the_command_says_what_is_wrong_and_what_it_cannot_tell(bench, runs, tmp_path):
    done = bench("export", runs, "-o", "x.zip", "--lab", "A lab")
    assert done.returncode == 0, done.stderr
    assert "3 records" in done.stdout
    passed = bench("verify", "x.zip")
    assert passed.returncode == 0
    assert "Nothing is wrong of what can be checked." in passed.stdout
    assert "who made it: checksums are no signature" in passed.stdout
    folder = folder_of(runs, "lr")
    body = body_of(folder)
    body["folds"][0]["scores"]["trial"]["auroc"] = 1.0 - json.loads("0.5")
    seal(folder, body)
    assert bench("export", runs, "-o", "y.zip").returncode == 1
    failed = bench("verify", "y.zip")
    assert failed.returncode == 1
    assert "wrong:" in failed.stdout
    refused = bench("report", runs, "y.zip")
    assert refused.returncode == 2
    assert "does not pass" in refused.stderr
    assert "Traceback" not in refused.stderr + failed.stderr
