"""The run folder: whole records or none, and identities that decide."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.store import records as module
from bench.store.files import write_bytes
from bench.store.hashing import identity_hash
from bench.store.records import Record, Store
from bench.store.seal import sealed_json

IDENTITY = {
    "method": "m", "seed": 0, "params": {"lr": 0.1, "names": ["a", "b"]},
    "source": {"name": "SEED:3"}, "target": {"name": "DEAP:valence"},
}
TABLE = pd.DataFrame({"subject": [1, 1], "y": [0, 1], "p0": [0.25, 0.5], "p1": [0.75, 0.5]})


def record(**changes):
    return Record(identity={**copy.deepcopy(IDENTITY), **changes}, classes=["low", "high"],
                  folds=[{"subject": 1, "scores": {"window": {"auroc": None}}}],
                  curves={"pretrain": {"total": [2.0, 1.0]}, "fit": {}}, notices=["é ≥"])


def body_of(text):
    return {k: v for k, v in json.loads(text).items() if k != "sha256"}


def changed(**changes):
    """Damage that keeps the checksum right: by hand, or by another program."""
    return lambda text: sealed_json({**body_of(text), **changes})


def as_old(text):
    """The same record, as it was written before there were checksums."""
    return json.dumps({**{k: v for k, v in body_of(text).items() if k != "files"}, "schema": 1})


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_what_is_put_is_got(tmp_path):
    store = Store(tmp_path / "runs")
    path = store.put(record(), TABLE, {"a.pt": b"123"})
    assert path == tmp_path / "runs" / "cells" / record().id
    assert tree(path) == ["curves.json", "models", "models/a.pt", "predictions.parquet",
                          "record.json"]
    got = Store(tmp_path / "runs").get(record().id)
    assert got.identity == IDENTITY
    assert (got.classes, got.folds, got.notices) == (
        record().classes, record().folds, record().notices)
    assert got.curves == {}  # read only when asked for
    assert got.read_curves() == record().curves
    pd.testing.assert_frame_equal(got.predictions(), TABLE)
    assert got.pair == "SEED:3→DEAP:valence"
    assert [r.id for r in store.records()] == [got.id]
    assert store.corrupt == []


def test_nothing_is_made_before_the_first_record(tmp_path):
    store = Store(tmp_path / "runs")
    assert store.get("a" * 20) is None
    assert list(store.records()) == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("step", ["write_text", "_replace_folder", "_sync"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch, step, error):
    def fail(*args):
        raise error

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, fail)
        with pytest.raises(type(error)):
            store.put(record(), TABLE, {"a.pt": b"1"})
    if step != "_sync" or store.get(record().id) is None:
        assert tree(tmp_path) == ["cells"]
    assert store.corrupt == []


def test_a_failed_rewrite_leaves_the_old_record(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put(record(), TABLE)
    before = tree(tmp_path)

    def fail(path, text):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_text", fail)
        with pytest.raises(OSError, match="disk full"):
            store.put(record(), TABLE)
    assert tree(tmp_path) == before
    assert store.get(record().id).read_curves() == record().curves


def test_a_kill_while_writing_is_no_record(tmp_path):
    """What is on disk at that moment: a folder with a temporary name."""
    store = Store(tmp_path)
    path = store.put(record(), TABLE)
    path.rename(path.with_name(f".{path.name}.123"))
    assert store.get(record().id) is None
    assert list(store.records()) == []
    assert store.corrupt == []
    store.put(record(), TABLE)
    assert len(list(store.records())) == 1


def test_a_record_replaces_the_one_before(tmp_path):
    store = Store(tmp_path)
    store.put(record(), TABLE, {"a.pt": b"1"})
    newer = record()
    newer.notices = ["new"]
    store.put(newer, TABLE)
    assert store.get(newer.id).notices == ["new"]
    assert tree(tmp_path / "cells") == [newer.id, *(f"{newer.id}/{n}" for n in (
        "curves.json", "predictions.parquet", "record.json"))]


@pytest.mark.parametrize("before", [False, True])
def test_two_processes_may_write_one_record_at_once(tmp_path, monkeypatch, before):
    """Another's appears between looking and putting ours there: the last one stays, whole."""
    store, rename, others = Store(tmp_path), Path.rename, []
    theirs = Store(tmp_path / "elsewhere").put(record(), TABLE)
    if before:
        store.put(record(), TABLE)

    def raced(path, target):
        if target == tmp_path / "cells" / record().id and len(others) < 3:
            others.append(shutil.copytree(theirs, target))
        return rename(path, target)

    ours = record()
    ours.notices = ["ours"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", raced)
        store.put(ours, TABLE)
    assert len(others) == 3
    assert store.get(ours.id).notices == ["ours"]
    assert [p.name for p in (tmp_path / "cells").iterdir()] == [ours.id]


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda text: text[:50], "cannot be read"),
    (lambda text: "", "cannot be read"),
    (lambda text: "[]", "it has no checksum"),
    (lambda text: '{"schema": 1}', "is no whole record"),
    (lambda text: text.replace('"schema": 2', '"schema": 1'), "does not match its checksum"),
    (lambda text: text.replace('"seed": 0', '"seed": 1'), "does not match its checksum"),
    (lambda text: text.replace('"sha256"', '"sha257"'), "it has no checksum"),
    (lambda text: json.dumps(json.loads(text)), "it has no checksum"),
    (changed(schema=3), "is no record of schema 2"),
    (changed(files={}), "has no checksums of the files"),
    (changed(identity={"seed": 1}), "does not have the identity its folder"),
    (lambda text: as_old(text).replace('"seed": 0', '"seed": NaN'), "is no whole record"),
    (changed(status="odd"), "its status is 'odd'"),
    (changed(folds=None), "its folds are no list"),
    (changed(folds=[1]), "its folds are no list"),
    (changed(info=[]), "its info is no table"),
    (lambda text: "[" * 100_000, "it is nested too deep"),
    (lambda text: as_old(text).replace("\\u00e9", "\\udc80"), "it is no text of Unicode"),
])
def test_a_torn_record_is_passed_over_and_told(tmp_path, damage, reason):
    store = Store(tmp_path)
    whole = store.put(record(seed=5), TABLE)
    torn = store.put(record(), TABLE)
    file = torn / "record.json"
    file.write_text(damage(file.read_text()))
    assert [r.path for r in store.records()] == [whole]
    assert [path for path, _ in store.corrupt] == [torn]
    assert reason in store.corrupt[0][1]
    fresh = Store(tmp_path)
    assert fresh.get(torn.name) is None
    assert fresh.corrupt[0][0] == torn
    fresh.put(record(), TABLE)  # and it can be written anew
    assert fresh.get(torn.name) is not None


@pytest.mark.parametrize("identity", ["null", "[]", '"x"', "3"])
def test_a_record_whose_identity_is_none_is_torn(tmp_path, identity):
    folder = tmp_path / "cells" / "abc"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(f'{{"schema": 1, "identity": {identity}}}')
    store = Store(tmp_path)
    assert list(store.records()) == []
    assert len(store.corrupt) == 1


def test_strangers_in_the_folder_are_passed_over(tmp_path):
    store = Store(tmp_path)
    store.put(record(), TABLE)
    (tmp_path / "cells" / "notes.txt").write_text("x")
    (tmp_path / "cells" / "my folder").mkdir()
    (tmp_path / "report").mkdir()
    assert len(list(store.records())) == 1
    assert [path.name for path, _ in store.corrupt] == ["my folder"]


def test_a_copied_cell_is_a_record_of_the_other_folder(tmp_path):
    path = Store(tmp_path / "a").put(record(), TABLE)
    shutil.copytree(path, tmp_path / "b" / "cells" / path.name)
    assert Store(tmp_path / "b").get(record().id).identity == IDENTITY


def test_a_record_without_files_says_so(tmp_path):
    path = Store(tmp_path).put(record(), TABLE)
    got = Store(tmp_path).get(record().id)
    (path / "predictions.parquet").unlink()
    with pytest.raises(BenchError, match="has no predictions on disk"):
        got.predictions()
    (path / "predictions.parquet").write_text("bad")
    with pytest.raises(BenchError, match=r"predictions.parquet cannot be read"):
        got.predictions()
    (path / "curves.json").unlink()
    with pytest.raises(BenchError, match="has no curves on disk"):
        got.read_curves()


def test_numbers_that_json_cannot_hold_are_never_written(tmp_path):
    bad = record()
    bad.folds[0]["scores"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).put(bad, TABLE)
    assert tree(tmp_path) == ["cells"]


@pytest.mark.parametrize("name", ["predictions.parquet", "curves.json", "diagnostics.npz",
                                  "models/a.pt"])
def test_a_flipped_bit_beside_a_record_is_named_and_the_cell_is_computed_again(tmp_path, name):
    one = record()
    one.diagnostics = {"z": np.arange(3.0)}
    path = Store(tmp_path).put(one, TABLE, {"a.pt": b"123"})
    whole = (path / name).read_bytes()
    for place in {0, 2, len(whole) // 2, len(whole) - 1}:
        data = bytearray(whole)
        data[place] ^= 1
        (path / name).write_bytes(data)
        store = Store(tmp_path)
        assert store.get(one.id) is None
        assert store.corrupt == [(path, f"{name} does not match its checksum")]
        found = next(iter(store.records()))  # its scores are whole
        for read in (found.predictions, found.read_curves, found.read_diagnostics):
            if {"predictions": "pred", "read_curves": "curv", "read_diagnostics": "diag"}[
                    read.__name__] == name[:4]:
                with pytest.raises(BenchError, match="does not match its checksum"):
                    read()
    (path / name).unlink()
    store = Store(tmp_path)
    assert store.get(one.id) is None
    assert store.corrupt == [(path, f"{name} is not there")]


def test_a_record_of_before_checksums_is_read_and_told(tmp_path):
    store = Store(tmp_path)
    new = store.put(record(seed=5), TABLE)
    old = store.put(record(), TABLE)
    (old / "record.json").write_text(as_old((old / "record.json").read_text()))
    assert {r.path for r in store.records()} == {new, old}
    assert store.unsealed == [old]
    pd.testing.assert_frame_equal(store.get(old.name).predictions(), TABLE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=4), max_leaves=12,
)


def reversed_keys(value):
    if isinstance(value, dict):
        return {k: reversed_keys(value[k]) for k in reversed(list(value))}
    return [reversed_keys(v) for v in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_an_identity_does_not_depend_on_the_order_of_keys(identity):
    assert identity_hash(identity) == identity_hash(reversed_keys(identity))
    assert identity_hash(identity) == identity_hash(json.loads(json.dumps(identity)))
    assert identity_hash({**identity, "one more": 1}) != identity_hash(identity)
    assert len(identity_hash(identity)) == 20


def test_a_pretrained_state_is_kept_and_a_torn_one_is_not(tmp_path):
    store = Store(tmp_path)
    state = {"w": torch.arange(3.0)}
    assert store.get_state("k") is None
    store.put_state("k", state, {"total": [1.0]})
    got, curve = store.get_state("k")
    assert torch.equal(got["w"], state["w"])
    assert curve == {"total": [1.0]}
    path = tmp_path / "pretrained" / "k.pt"
    path.write_bytes(path.read_bytes()[:100])
    assert store.get_state("k") is None
    assert store.corrupt[0][0] == path


@settings(max_examples=60)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_state_with_one_bit_flipped_is_trained_again(tmp_path_factory, place, bit):
    store = Store(tmp_path_factory.mktemp("runs"))
    store.put_state("k", {"w": torch.arange(300.0)}, {"total": [1.0]})
    path = store.root / "pretrained" / "k.pt"
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    assert store.get_state("k") is None
    assert [where for where, _ in store.corrupt] == [path]


def test_a_state_under_the_key_of_another_is_trained_again(tmp_path):
    store = Store(tmp_path)
    store.put_state("k", {"w": torch.arange(3.0)}, {"total": [1.0]})
    shutil.copy(tmp_path / "pretrained" / "k.pt", tmp_path / "pretrained" / "other.pt")
    assert store.get_state("other") is None
    assert store.get_state("k") is not None


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.txt"
    write_bytes(path, b"old")

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
