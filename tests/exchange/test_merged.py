"""Several run folders and archives as one leaderboard, and records of other editions."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile

import pytest
from rich.console import Console

from bench.cli.screen.exchange import show, verdict
from bench.errors import BenchError
from bench.exchange.export import export
from bench.exchange.merged import opened
from bench.exchange.verify import verify
from bench.registry import load
from bench.reporting import ReportOptions
from bench.store.records import Store
from bench.store.seal import read_json, sealed_json
from bench.version import EDITION

from records import body, guesses, put

OPTIONS = ReportOptions()


def written(store, out):
    for name in ("leaderboard", "json", "html"):
        load("reports", name)(store, out, OPTIONS)
    return out


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_row_says_where_it_is_from(tmp_path):
    put(Store(tmp_path / "ours"), "scmm", [0.7, 0.8, 0.9])
    put(Store(tmp_path / "theirs"), "dann", [0.6, 0.7, 0.8])
    for name in ("ours", "theirs"):
        put(Store(tmp_path / name), "majority", [0.5, 0.5, 0.5], kind="control")
    with opened([tmp_path / "ours", tmp_path / "theirs"]) as (store, archives):
        assert not archives
        out = written(store, tmp_path / "report")
    found = {r["method"]: r["origins"] for r in rows(out / "leaderboard.csv")}
    assert found == {"scmm": "ours", "dann": "theirs", "majority": "ours; theirs"}
    assert {r["origins"] for r in rows(out / "scores.csv")} == set(found.values())
    table = json.loads((out / "leaderboard.json").read_text())["tables"][0]
    (score,) = table["controls"][0]["scores"].values()
    assert score["origins"] == ["ours", "theirs"]
    line = "Records are from ours: scmm, majority; theirs: dann, majority."
    assert line in (out / "leaderboard.md").read_text()
    page = body(out / "report.html")
    assert "ours; theirs" in page["texts"]
    assert line in page["tables"][0]["views"]["balanced_accuracy/window"]["note"]


def test_a_cell_with_other_scores_elsewhere_is_shown_once_and_told(tmp_path):
    for name, score in (("a", 0.7), ("b", 0.75)):
        put(Store(tmp_path / name), "scmm", [score, 0.8])
    with opened([tmp_path / "a", tmp_path / "b"]) as (store, _):
        out = written(store, tmp_path / "report")
    assert {r["origins"] for r in rows(out / "leaderboard.csv")} == {"a"}
    text = (out / "leaderboard.md").read_text()
    assert "also in b with other scores (up to 5.0 points); shown is that of a" in text


def test_a_finished_record_goes_before_a_failed_one_of_another_place(tmp_path):
    put(Store(tmp_path / "a"), "scmm", [], status="failed", reason="it burnt")
    put(Store(tmp_path / "b"), "scmm", [0.7, 0.8])
    with opened([tmp_path / "a", tmp_path / "b"]) as (store, _):
        (record,) = store.records()
    assert (record.status, record.origins) == ("done", ["b"])


def test_places_are_told_apart_and_what_is_neither_is_refused(tmp_path):
    for parent in ("x", "y"):
        put(Store(tmp_path / parent / "runs"), "scmm", [0.7, 0.8], seed=len(parent))
    places = [tmp_path / "x" / "runs", tmp_path / "y" / "runs"]
    with opened(places) as (store, _):
        (record,) = store.records()
        assert record.origins == [str(p) for p in places]
    with opened(places[:1]) as (store, _):
        assert type(store) is Store
    (tmp_path / "notes.txt").write_text("x")
    for place in (tmp_path / "notes.txt", tmp_path / "nowhere"):
        with pytest.raises(BenchError, match="no archive of results"), opened([place]):
            pass


def real(root, *methods):
    """Records whose scores are those of their predictions."""
    from bench.cells.engine import run_cell

    from support import cell_of

    for name in methods:
        method = load("methods", name)
        run_cell(cell_of(method(method.parse({}))), Store(root))
    return root


def test_archives_are_verified_merged_and_drawn_once(bench, tmp_path):
    export(real(tmp_path / "a", "lda", "majority"), tmp_path / "a.zip", lab="Lab A")
    real(tmp_path / "b", "lr")
    command = ("report", "a.zip", "b", "--out", "out", "--format", "csv,html")
    done = bench(*command)
    assert done.returncode == 0, done.stderr
    assert "verified: a.zip (Lab A, 2 records" in done.stdout
    assert {r["method"]: r["origins"] for r in rows(tmp_path / "out" / "leaderboard.csv")} == {
        "lda": "Lab A", "lr": "b", "majority": "Lab A",
    }
    again = bench(*command)
    assert "written to" not in again.stdout
    assert "up to date in out" in again.stdout


def test_a_record_of_an_archive_is_run_again_from_it(bench, tiny_root, tmp_path):
    ran = bench("run", "-m", "lda", "--src", "SEED", "--tgt", "SEED-IV",
                "--data", tiny_root)
    assert ran.returncode == 0, ran.stderr
    export(tmp_path / "runs", tmp_path / "theirs.zip", lab="Other lab")
    with opened([tmp_path / "theirs.zip"]) as (store, _):
        page = body(written(store, tmp_path / "report") / "report.html")
        assert {(place, tuple(store.archives)) for *_, place in page["records"]} == {
            ("theirs.zip", ("Other lab",))}
    (record,) = (p.name for p in (tmp_path / "runs" / "cells").iterdir()
                 if read_json(p / "record.json")["identity"]["method"] == "lda")
    shutil.rmtree(tmp_path / "runs")
    before = sorted(tmp_path.rglob("*"))
    again = bench("rerun", record, "--runs", "theirs.zip", "--data", tiny_root)
    assert again.returncode == 0, again.stderr
    assert "verified: theirs.zip (Other lab" in again.stdout
    assert "agrees: lda" in again.stdout
    unknown = bench("rerun", "zzz", "--runs", "theirs.zip")
    assert "no records in theirs.zip begin with 'zzz'" in unknown.stderr
    nowhere = bench("rerun", record, "--runs", "nowhere.zip")
    assert "nowhere.zip is not a folder and no archive of results" in nowhere.stderr
    assert sorted(tmp_path.rglob("*")) == before
    with zipfile.ZipFile(tmp_path / "theirs.zip", "a") as file:
        file.writestr("more.txt", "x")
    refused = bench("rerun", record, "--runs", "theirs.zip")
    assert refused.returncode == 2
    assert "theirs.zip is no whole archive of results" in refused.stderr


def test_an_archive_whose_scores_are_changed_is_not_run_again(bench, tmp_path):
    root = real(tmp_path / "a", "lda")
    (cell,) = (root / "cells").iterdir()
    record = read_json(cell / "record.json")
    record["folds"][0]["scores"]["window"]["accuracy"] = 0.99
    (cell / "record.json").write_text(sealed_json(record))
    export(root, tmp_path / "a.zip")
    refused = bench("rerun", cell.name, "--runs", "a.zip")
    assert refused.returncode == 2
    assert "a.zip does not pass" in refused.stderr


def test_one_record_is_said_as_one(tmp_path):
    export(real(tmp_path / "a", "lda"), tmp_path / "a.zip")
    console = Console(file=io.StringIO(), width=100)
    seen = verify(tmp_path / "a.zip")
    verdict(console, seen)
    show(console, seen)
    text = console.file.getvalue()
    assert "a.zip (1 record, sha256" in text
    assert "1 record; written by bench" in text
    assert "records: 1 record whole and named by its identity" in text
    assert "scores: 1 record scored again from its predictions" in text
    assert "1 records" not in text


# --- editions --------------------------------------------------------------------------------

def as_edition(folder, edition):
    """A stored record as another edition wrote it."""
    path = folder / "record.json"
    record = read_json(path)
    record.pop("edition") if edition is None else record.update(edition=edition)
    path.write_text(sealed_json(record))


def test_records_of_other_editions_are_read_marked_and_ranked_with_no_others(tmp_path):
    store = Store(tmp_path / "runs")
    put(store, "scmm", [0.7, 0.8, 0.9])
    old = put(store, "dann", [0.8, 0.9, 1.0])
    as_edition(old.path, None)
    assert [r.edition for r in store.records() if r.id == old.id] == [1]
    out = written(store, tmp_path / "report")
    found = rows(out / "leaderboard.csv")
    assert {(r["method"], r["table"], r["edition"], r["rank"]) for r in found} == {
        ("scmm", "1", "", found[0]["rank"]), ("dann", "2", "edition 1", found[0]["rank"]),
    }
    text = (out / "leaderboard.md").read_text()
    assert "few-shot, records of edition 1: balanced accuracy" in text
    assert "ranked with no others" in text
    assert len(body(out / "report.html")["tables"]) == 2


def test_a_cell_of_another_edition_is_run_again(tmp_path):
    store = Store(tmp_path / "runs")
    record = put(store, "scmm", [0.7, 0.8])
    assert store.get(record.id).edition == EDITION
    for edition in (None, EDITION + 1):
        as_edition(record.path, edition)
        assert store.get(record.id) is None
        assert store.get(record.id, old=True) is not None
    assert not store.corrupt
    as_edition(record.path, "new")
    assert store.get(record.id, old=True) is None
    assert "its edition is 'new'" in store.corrupt[-1][1]


def test_an_old_archive_passes_within_what_its_edition_stored(tmp_path):
    """Edition 1 scored probabilities before they were stored shorter."""
    from bench.exchange.verify import verify

    root = real(tmp_path / "runs", "lda", "lr")
    for folder in (root / "cells").iterdir():
        path = folder / "record.json"
        record = read_json(path)
        del record["edition"]
        record["folds"][0]["scores"]["window"]["auroc"] -= 1e-4
        path.write_text(sealed_json(record))
    export(root, tmp_path / "x.zip")
    seen = verify(tmp_path / "x.zip")
    assert seen.passed
    assert any("of another edition" in note for note in seen.notes)


def test_a_store_in_a_folder_that_was_moved_is_the_same(tmp_path):
    put(Store(tmp_path / "a"), "scmm", [0.7, 0.8], predictions=guesses(2, subjects=2))
    shutil.move(tmp_path / "a", tmp_path / "b")
    with opened([tmp_path / "b"]) as (store, _):
        assert len(list(store.records())) == 1
