"""Windows of one's own are corpora by name: in a sweep, its workers, a rerun, another process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.data.own import stored
from bench.errors import BenchError
from bench.registry import include, load
from bench.runs.own import keep_windows
from bench.store.records import Store
from bench.sweeps.repeat import find_record, repeat
from bench.sweeps.sweep import SweepOptions

from support import synthetic

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache")

PLAN = {"methods": "lda", "pairs": "MYLAB->OTHER", "scale": "null", "controls": False}


@pytest.fixture(scope="module")
def own():
    return {"MYLAB": synthetic(corpus="own", seed=1), "OTHER": synthetic(corpus="OTHER", seed=2)}


def identities(runs):
    return {r.id: r.identity for r in Store(runs).records()}


@pytest.fixture(scope="module")
def swept(own, tmp_path_factory):
    """Run folder of a sweep with two sets of windows."""
    runs = tmp_path_factory.mktemp("swept") / "runs"
    state = bench.sweep(options=SweepOptions(runs=runs), windows=own, **PLAN)
    assert (state.counts["done"], state.exit_code) == (1, 0)
    return runs


def test_a_file_gives_back_what_was_written(own, tmp_path):
    path = bench.save_windows(own["MYLAB"], tmp_path / "x.npz", name="MYLAB")
    back = bench.load_windows(path)
    assert set(back.corpus.tolist()) == {"MYLAB"}
    assert back.space == own["MYLAB"].space
    assert (back.labels, back.pieces) == (own["MYLAB"].labels, ())
    for column in ("x", "y", "trial", "onset", "subject"):
        np.testing.assert_array_equal(getattr(back, column), getattr(own["MYLAB"], column))
    assert bench.load_windows(bench.save_windows(own["OTHER"], tmp_path / "y.npz")).digest() == \
        own["OTHER"].digest()


def test_pieces_keep_their_mark_under_another_name(tmp_path):
    w = bench.Windows.from_arrays(np.zeros((2, 1, 5)), [0, 1], subject=1, trial=[1, 2],
                                  channels=["FZ"], labels=["a", "b"], pieces_s=4)
    assert bench.load_windows(bench.save_windows(w, tmp_path / "x.npz", "LAB")).pieces == (
        ("LAB", 4.0),)


def test_it_is_the_cell_that_bench_run_gives(own, swept, tmp_path):
    named = bench.run("lda", "MYLAB", "OTHER", windows=own, runs=tmp_path / "a", scale="null",
                      controls=False)
    there = bench.load_windows(next((swept / "windows").glob("MYLAB-*.npz")))
    given = bench.run("lda", there, own["OTHER"], runs=tmp_path / "b", scale="null",
                      controls=False)
    assert {named.id: named.identity} == {given.id: given.identity} == identities(swept)


def test_a_sweep_resumed_by_the_files_has_nothing_to_do(swept):
    files = [str(path) for path in (swept / "windows").glob("*.npz")]
    state = bench.sweep(options=SweepOptions(runs=swept), include=files, **PLAN)
    assert (state.earlier, state.counts["done"]) == (1, 1)


def test_folders_may_be_texts(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = bench.SweepOptions(runs="x")
    assert bench.sweep(options=options, windows=own, **PLAN).exit_code == 0
    record = bench.run("lda", "MYLAB", "OTHER", windows=own, scale="null", controls=False,
                       runs="x", data="nowhere")
    assert [p.name for p in (tmp_path / "x" / "cells").iterdir()] == [record.id]


@pytest.mark.slow
def test_another_process_goes_on_by_the_files(swept):
    files = [x for p in sorted((swept / "windows").glob("*.npz")) for x in ("--include", str(p))]
    before = identities(swept)
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "sweep", "--method", "lda,majority", "--pairs",
         "MYLAB->OTHER", "--scale", "null", "--no-controls", "--runs", str(swept), *files],
        capture_output=True, text=True, check=False, env={**os.environ, "TERM": "dumb"})
    assert done.returncode == 0, done.stderr
    assert set(before) < set(identities(swept))
    assert "2 done, 0 failed, 0 left (1 of them before)" in done.stdout


def test_a_rerun_finds_the_windows_and_says_what_is_missing(swept, tmp_path):
    record = next(r for r in Store(swept).records() if r.identity["method"] == "lda")
    again = repeat(find_record(record.id, swept))
    assert again.agrees(1e-9)
    assert again.changed == []
    for file in (swept / "windows").glob("MYLAB-*.npz"):
        file.rename(tmp_path / file.name)
    from bench import registry

    registry._included.clear()
    registry._tables.clear()
    with pytest.raises(BenchError, match="windows of somebody's own, MYLAB, of digest") as said:
        repeat(find_record(record.id, swept))
    assert "--include FILE" in said.value.hint
    (moved,) = tmp_path.glob("*.npz")
    include(str(moved))
    assert repeat(find_record(record.id, swept)).agrees(1e-9)
    moved.rename(swept / "windows" / moved.name)


def test_of_some_subjects_and_other_classes(own, tmp_path):
    changes = {"exclude": {"OTHER": [3]}, "map": ["low=calm", "high=busy"]}
    bench.sweep(options=SweepOptions(runs=tmp_path), windows=own, **PLAN, **changes)
    (record,) = Store(tmp_path).records()
    assert record.identity["target"]["subjects"] == [1, 2]
    assert record.classes == ["calm", "busy"]
    again = repeat(find_record(record.id, tmp_path))
    assert (again.changed, again.agrees(1e-9)) == ([], True)
    with pytest.raises(BenchError, match="OTHER has no subject 9 to exclude"):
        bench.run("lda", "MYLAB", "OTHER", windows=own, runs=tmp_path, exclude={"OTHER": [9]})


def test_every_field_of_windows_is_kept(own, tmp_path):
    """A mark that windows get one day is in the file, too, and in the digest that is checked."""
    marks = {name: (("own", value),) for name, value in zip(
        stored.MARKS, (4.0, "films", *["x"] * len(stored.MARKS)), strict=False)}
    assert "pieces" in marks
    marked = replace(own["MYLAB"], **marks)
    back = bench.load_windows(bench.save_windows(marked, tmp_path / "x.npz"))
    assert back.digest() == marked.digest()
    assert {name: getattr(back, name) for name in marks} == marks


def test_another_spelling_of_a_name_takes_its_place(own, tmp_path):
    for i, name in enumerate(("MyLab", "MYLAB")):
        bench.save_windows(synthetic(corpus="own", seed=i), tmp_path / f"{i}.npz", name)
        include(str(tmp_path / f"{i}.npz"))
    assert load("corpora", "mylab").name == "MYLAB"


def test_a_torn_file_beside_the_records_is_written_again(own, tmp_path):
    (file, _) = keep_windows(own, tmp_path)
    Path(file).write_bytes(b"torn")
    assert keep_windows(own, tmp_path)[0] == file
    assert bench.load_windows(file).digest() == load("corpora", "MYLAB")().windows().digest()


def test_windows_that_changed_are_other_data(own, swept, tmp_path):
    other = {**own, "MYLAB": synthetic(corpus="own", seed=9)}
    bench.sweep(options=SweepOptions(runs=swept), windows=other, **PLAN)
    digests = {r.identity["source"]["digest"] for r in Store(swept).records()}
    assert len(digests) == 2
    assert load("corpora", "MYLAB")().windows().digest() in digests


def test_all_pairs_and_two_sources_have_them(own, tmp_path):
    from bench.sweeps.plan import expand
    from bench.sweeps.request import read_request

    keep_windows({**own, "THIRD": synthetic(corpus="own", seed=3)}, tmp_path)
    plan = expand(read_request(None, {"methods": "majority", "pairs": "MYLAB+THIRD->OTHER",
                                      "controls": False}))
    assert {c.pair for c in plan.cells} == {"MYLAB:own+THIRD:own→OTHER:own"}
    plan = expand(read_request(None, {"methods": "majority", "simulated": True,
                                      "controls": False}))
    assert {"SEED:3→MYLAB:own", "MYLAB:own→SEED:3", "MYLAB:own→THIRD:own"} <= {
        c.pair for c in plan.cells}


@pytest.mark.parametrize(("name", "said"), [
    ("SEED", "taken by the corpus SEED"), ("MY:LAB", "can be no name"), ("A+B", "can be no name"),
    ("", "can be no name"),
])
def test_names_that_are_refused(own, tmp_path, name, said):
    with pytest.raises(BenchError, match=said):
        bench.sweep(options=SweepOptions(runs=tmp_path), windows={name: own["MYLAB"]}, **PLAN)
    assert not (tmp_path / "windows").exists()


def test_what_is_no_windows_is_refused(own, tmp_path):
    with pytest.raises(BenchError, match="is a list, no Windows"):
        bench.run("lda", "MYLAB", "OTHER", windows={"MYLAB": [1]}, runs=tmp_path)
    with pytest.raises(BenchError, match="given by name"):
        bench.sweep(options=SweepOptions(runs=tmp_path), windows=own["MYLAB"], **PLAN)
    both = bench.Windows.concatenate(list(own.values()))
    with pytest.raises(BenchError, match="windows of 2 corpora, OTHER, own"):
        bench.save_windows(both, tmp_path / "x.npz")
    x = own["MYLAB"].x.copy()
    x[0, 0, 0] = np.nan
    with pytest.raises(BenchError, match="1 values of own are not finite"):
        bench.save_windows(own["MYLAB"].with_x(x), tmp_path / "x.npz")
    with pytest.raises(BenchError, match="no window"):
        bench.save_windows(own["MYLAB"].take(own["MYLAB"].y < 0), tmp_path / "x.npz")
    with pytest.raises(BenchError, match=r"does not end in \.npz"):
        bench.save_windows(own["MYLAB"], tmp_path / "x.mat")


def refusal(path):
    try:
        bench.load_windows(path)
    except BenchError as error:
        return error.message
    return ""


def test_a_file_that_was_damaged_is_refused_in_words(own, tmp_path):
    path = bench.save_windows(own["MYLAB"], tmp_path / "x.npz")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    first = bench.load_windows(path).digest()
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        if rng.random() < 0.2:
            del data[rng.integers(len(data)):]
        else:
            for at in rng.integers(len(data), size=rng.integers(1, 4)):
                data[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(data))
        said = refusal(path)
        # A date in the zip, say, is no part of what was written.
        assert str(path) in said if said else bench.load_windows(path).digest() == first
        refused += bool(said)
    assert refused > 180
    np.savez(path, X=np.zeros(3))
    with pytest.raises(BenchError, match="no file of windows") as said:
        include(str(path))
    assert "bench data add" in said.value.hint


@pytest.mark.slow
def test_they_are_looked_at_and_checked_without_a_traceback(own, tmp_path, bench):
    import bench as package

    package.save_windows(own["MYLAB"], tmp_path / "x.npz", "MYLAB")
    for words in (("data", "check", ".", "--include", "x.npz", "--corpus", "MYLAB"),
                  ("data", "check", ".", "--include", "x.npz", "--corpus", "MYLAB", "--read"),
                  ("list", "corpora", "--include", "x.npz")):
        done = bench(*words)
        assert "Traceback" not in done.stderr
        assert "MYLAB" in done.stdout + done.stderr
    assert bench("check", "MYLAB").returncode == 2
    checked = bench("check", "x.npz")
    assert checked.returncode == 2
    assert "MYLAB is windows already" in checked.stderr


@pytest.mark.slow
def test_they_go_through_workers_tuning_and_audit(own, tmp_path):
    state = bench.sweep(options=SweepOptions(runs=tmp_path / "w", workers=2), windows=own,
                        **{**PLAN, "methods": "lda,lr"})
    assert (state.counts["done"], state.exit_code) == (2, 0)
    alone = bench.sweep(options=SweepOptions(runs=tmp_path / "a"), windows=own,
                        **{**PLAN, "methods": "lda,lr"})
    assert alone.counts["done"] == 2
    assert identities(tmp_path / "w") == identities(tmp_path / "a")
    said = {"windows": own, "scale": "null", "runs": tmp_path / "a"}
    found = bench.tune("lr", "MYLAB", "OTHER", tuning=bench.TuneOptions(trials=2), **said)
    assert found[0].tuned.params
    path = bench.audit("lr", "MYLAB", "OTHER", what=bench.AuditOptions(
        seeds=(0,), only=("test-scaler",)), **said)
    assert path.is_file()
