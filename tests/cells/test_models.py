"""Saved models: weights and settings, never code."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from bench.cells.engine import run_cell
from bench.cells.models import load_model, pack
from bench.errors import BenchError, DataError, IncompatibleError, UnknownNameError
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.registry import load
from bench.store.records import Store
from bench.store.seal import sealed

from support import Means, cell_of, paired, synthetic

SMALL = {"fit_epochs": 2}


@pytest.mark.parametrize(("name", "params"), [
    ("scmm", {"epochs": 1, "batch": 32, **SMALL}),
    ("scmm", {"epochs": 1, "batch": 32, "finetune": "probe"}),
    ("target-only", SMALL), ("majority", {}), ("lr", {}), ("lda", {}), ("svm", {}),
    ("target-only", {"network": "lr"}),
])
def test_a_saved_model_predicts_the_same(tmp_path, name, params):
    cls = load("methods", name)
    pair = paired(None, synthetic(2, corpus="B", labels=("low", "high")))
    cell = cell_of(cls(cls.parse(params)), pair, save_models=True)
    record = run_cell(cell, Store(tmp_path))
    files = sorted((record.path / "models").iterdir())
    assert [f.name for f in files] == ["subject001_session1.pt", "subject002_session1.pt"]
    table = record.predictions()
    for fold, file in zip(FewShot().folds(pair, 0).folds, files, strict=True):
        test = Scaling().folds([fold])[0].open_test()
        proba = load_model(file).predict_proba(test.x)
        stored = table[table.subject == fold.subject][["p0", "p1"]].to_numpy()
        assert np.array_equal(proba.astype(np.float32), stored)


def test_models_are_written_for_a_record_that_has_none(tmp_path):
    cls = load("methods", "majority")
    store = Store(tmp_path)
    first = run_cell(cell_of(cls()), store)
    assert not (first.path / "models").exists()
    second = run_cell(cell_of(cls(), save_models=True), store)
    assert second.id == first.id
    assert len(list((second.path / "models").iterdir())) == 3
    assert run_cell(cell_of(cls()), store).path == second.path


class Hostile:
    """Runs a command when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("how", ["torch", "pickle", "inside"])
def test_a_hostile_file_runs_nothing(tmp_path, how):
    path, sign = tmp_path / "model.pt", tmp_path / "it ran"
    if how == "pickle":
        path.write_bytes(sealed(pickle.dumps(Hostile(f"'{sign}'"), 2)))
    elif how == "torch":
        save(Hostile(f"'{sign}'"), path)
    else:
        save({"format": "bench-model-2", "method": "majority", "params": {},
              "payload": {"shares": Hostile(f"'{sign}'")}}, path)
    with pytest.raises(DataError, match=r"model\.pt: expected a model saved by bench"):
        load_model(path)
    assert not sign.exists()


def save(content, path):
    """Write what a stranger may write: with a checksum that is right."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(sealed(buffer.getvalue()))


@pytest.mark.parametrize("content", [{"format": "other"}, [1, 2], {"w": torch.zeros(2)}, 3])
def test_another_file_of_torch_is_refused(tmp_path, content):
    save(content, tmp_path / "model.pt")
    with pytest.raises(DataError, match="expected a model saved by bench, found something else"):
        load_model(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_a_torn_file_is_refused(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match="expected a model saved by bench"):
        load_model(tmp_path / "model.pt")


def test_no_file_and_no_method(tmp_path):
    with pytest.raises(BenchError, match="is not there"):
        load_model(tmp_path / "model.pt")
    save({"format": "bench-model-2", "method": "gone", "params": {}, "payload": {}},
         tmp_path / "model.pt")
    with pytest.raises(UnknownNameError, match="no method named 'gone'"):
        load_model(tmp_path / "model.pt")


def test_a_model_with_one_bit_flipped_is_refused(tmp_path):
    cls = load("methods", "majority")
    record = run_cell(cell_of(cls(), save_models=True), Store(tmp_path))
    path = next((record.path / "models").iterdir())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        with pytest.raises(DataError, match="checksum"):
            load_model(path)
    path.write_bytes(whole)
    load_model(path)


def doubled(times):
    value = ()
    for _ in range(times):
        value = (value, value)
    return value


@pytest.mark.parametrize("changes", [
    {"method": 3}, {"method": None}, {"params": None}, {"params": []}, {"params": {"nope": 1}},
    {"params": {"network": 3}}, {"payload": None}, {"payload": {}}, {"payload": {"shares": "x"}},
    {"payload": [1]}, {"payload": {"shares": [[1, 2], [3]]}}, {"method": doubled(40)},
    {"params": {"network": doubled(40)}}, {"payload": doubled(40)},
    {"payload": {"shares": torch.zeros(1).expand(1 << 40)}},
])
@pytest.mark.parametrize("method", ["majority", "target-only", "scmm", "lr"])
def test_a_model_of_wrong_contents_is_one_clear_error(tmp_path, method, changes):
    save({"format": "bench-model-2", "method": method, "params": {}, "payload": {}, **changes},
         tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"model\.pt: expected a model (saved by bench|of )"):
        load_model(tmp_path / "model.pt")


def test_a_key_that_takes_forever_to_hash_is_refused_in_a_moment(tmp_path):
    """Two to the power of 40 parts, in a hundred bytes; PyTorch's own reader would hash them."""
    bomb = b"\x80\x02}(" + b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"K\x01u."
    buffer = io.BytesIO()
    torch.save({"format": "x"}, buffer)
    out = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, bomb if name.endswith("data.pkl") else old.read(name))
    (tmp_path / "model.pt").write_bytes(sealed(out.getvalue()))
    with pytest.raises(DataError, match="nested too deep"):
        load_model(tmp_path / "model.pt")


def test_a_predictor_that_cannot_be_saved_says_so():
    with pytest.raises(BenchError, match="models of means cannot be saved"):
        pack(Means(), object())


def test_what_cannot_be_saved_is_refused_before_it_runs(tmp_path):
    cell = cell_of(Means(), save_models=True)
    with pytest.raises(IncompatibleError, match="models of means cannot be saved"):
        run_cell(cell, Store(tmp_path))
    assert not (tmp_path / "cells").exists()
