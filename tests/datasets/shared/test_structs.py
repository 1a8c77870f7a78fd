"""Nested structs of MATLAB files: against SciPy, which shares no code with our reader."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from mutants import inner_mutant, mutant
from scipy.io import loadmat, savemat

from bench.datasets.shared import structs
from bench.errors import DataError


def everything(way):
    return True


def cell(*items) -> np.ndarray:
    made = np.empty((len(items), 1), object)
    for i, item in enumerate(items):
        made[i, 0] = item
    return made


CONTENT = {
    "first": np.eye(3),
    "S": {
        "numbers": np.arange(12.0).reshape(3, 4), "text": "Zoë", "empty": np.zeros((0, 0)),
        "whole": np.arange(6, dtype=np.int16).reshape(2, 3), "small": np.uint8(7),
        "cells": cell(np.ones((2, 2), np.float32), "x", cell(np.int64(-5))),
        "inner": {"deep": {"deeper": np.full((1, 2), 2.5)}},
    },
    "A": np.array([[(np.array([[i]]), "t" * i)] for i in range(3)],
                  [("n", object), ("word", object)]),
    "last": np.ones((2, 2)),
}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(request, tmp_path: Path) -> Path:
    savemat(tmp_path / "x.mat", CONTENT, do_compression=request.param)
    return tmp_path / "x.mat"


def test_content_is_what_scipy_reads(path):
    theirs = loadmat(path)["S"][0, 0]
    ours = structs.load(path, "S", everything)
    for name in ("numbers", "whole", "small"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert ours["text"] == theirs["text"][0] == "Zoë"
    assert ours["empty"].shape == (0, 0)
    assert ours["cells"][1] == "x"
    assert ours["cells"][0].dtype == np.float32
    assert ours["cells"][2][0] == -5
    assert ours["inner"]["deep"]["deeper"].tolist() == [[2.5, 2.5]]
    assert [(e["n"][0, 0], e["word"]) for e in structs.load(path, "A", everything)[1:]] == \
        [(1, "t"), (2, "tt")]
    assert structs.load(path, "last", everything).shape == (2, 2)


def test_what_is_not_wanted_is_none(path):
    found = structs.load(path, "S", lambda way: way in (("cells",), ("cells", 1), ("text",)))
    assert found["cells"] == [None, "x", None]
    assert found["numbers"] is None
    with pytest.raises(DataError, match="no variable T, but first, S, A, last"):
        structs.load(path, "T", everything)


def test_passing_over_takes_no_memory(tmp_path):
    large = np.random.default_rng(0).normal(size=(200, 2_000))
    savemat(tmp_path / "x.mat", {"S": {"a": cell(*[large] * 3), "b": np.ones((1, 3))}},
            do_compression=True)
    tracemalloc.start()
    found = structs.load(tmp_path / "x.mat", "S", lambda way: way == ("b",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["b"].tolist() == [[1, 1, 1]]
    assert peak < 5e6  # of 10 MB


def test_a_file_that_grows_without_end_is_refused(tmp_path):
    savemat(tmp_path / "x.mat", {"S": {"a": np.zeros((500, 10_000))}}, do_compression=True)
    assert (tmp_path / "x.mat").stat().st_size < 1e6
    with pytest.raises(DataError, match="grows without end"):
        structs.load(tmp_path / "x.mat", "S", lambda way: False)


@pytest.mark.parametrize("value", [
    np.array([[1 + 2j]]), np.array([(1, 2)], object),
])
def test_complex_numbers_are_refused_and_odd_cells_read(tmp_path, value):
    savemat(tmp_path / "x.mat", {"S": {"a": value}})
    if value.dtype == object:
        assert structs.load(tmp_path / "x.mat", "S", everything)["a"] is not None
        return
    with pytest.raises(DataError, match="complex"):
        structs.load(tmp_path / "x.mat", "S", everything)


def test_sparse_arrays_are_refused(tmp_path):
    from scipy.sparse import csc_array

    savemat(tmp_path / "x.mat", {"S": csc_array(np.eye(3))})
    with pytest.raises(DataError, match="neither numbers nor text"):
        structs.load(tmp_path / "x.mat", "S", everything)


def test_counts_that_do_not_fit_are_refused(tmp_path):
    savemat(tmp_path / "x.mat", {"S": cell(np.ones((1, 1)))})
    content = (tmp_path / "x.mat").read_bytes()
    at = content.index(struct.pack("<II", 5, 8)) + 8
    (tmp_path / "x.mat").write_bytes(content[:at] + struct.pack("<ii", 2**30, 2) + content[at + 8:])
    with pytest.raises(DataError, match="2147483648 elements in"):
        structs.load(tmp_path / "x.mat", "S", everything)


@pytest.mark.parametrize("change", [mutant, inner_mutant])
def test_mutants_are_refused_in_words(tmp_path, change):
    savemat(tmp_path / "x.mat", CONTENT, do_compression=change is inner_mutant)
    content, refused = (tmp_path / "x.mat").read_bytes(), 0
    for seed in range(400):
        (tmp_path / "x.mat").write_bytes(change(content, seed))
        for name in ("S", "A"):
            with contextlib.suppress(DataError):
                structs.load(tmp_path / "x.mat", name, everything)
                refused -= 1
            refused += 1
    assert refused > 150


def test_other_files_are_refused(tmp_path):
    for content in (b"", b"x" * 300, zlib.compress(b"y" * 300)):
        (tmp_path / "x.mat").write_bytes(content)
        with pytest.raises(DataError, match=r"a MATLAB file \(v5\)"):
            structs.load(tmp_path / "x.mat", "S", everything)
