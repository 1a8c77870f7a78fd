"""MATLAB files: numeric arrays, and no more of them than a memory holds."""

import time
import zlib

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from bench.datasets.shared import matlab
from bench.errors import DataError


def hdf5(path, shape):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape, "<f8")  # nothing is written: the fill value stands for it


def v5(path, shape):
    """A header that claims a shape, before a few numbers."""
    savemat(str(path), {"x": np.zeros((7, 9))})
    data = path.read_bytes()
    claim = np.array([7, 9], "<i4").tobytes()
    assert data.count(claim) == 1
    path.write_bytes(data.replace(claim, np.array(shape, "<i4").tobytes()))


@pytest.mark.parametrize("write", [hdf5, v5])
def test_a_shape_is_a_claim(tmp_path, write):
    write(tmp_path / "x.mat", (60_000, 60_000))
    began = time.process_time()
    with pytest.raises(DataError, match="variables of 2048 MiB at most, found 27465 MiB"):
        matlab.arrays(tmp_path / "x.mat", ["x"])
    assert time.process_time() - began < 1


@pytest.mark.parametrize("value", [
    "text", {"a": 1}, np.array(["a", np.zeros(2)], dtype=object), np.zeros(2, complex) + 1j,
])
def test_what_is_no_numeric_array_is_refused(tmp_path, value):
    savemat(str(tmp_path / "x.mat"), {"x": value, "y": np.arange(3.0)})
    with pytest.raises(DataError, match="numeric array|complex numbers"):
        matlab.arrays(tmp_path / "x.mat", ["x"])
    assert matlab.arrays(tmp_path / "x.mat", ["y"])["y"].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("compress", [False, True])
def test_a_type_of_numbers_that_there_is_not_is_refused(tmp_path, compress):
    """SciPy looks it up in a table, beyond its end: that was the end of the process."""
    path = tmp_path / "x.mat"
    savemat(str(path), {"label": np.linspace(-1, 1, 15)}, do_compression=compress)
    assert matlab.arrays(path, ["label"])["label"].shape == (1, 15)
    data = path.read_bytes()
    if compress:
        inner = zlib.decompress(data[136:])
        inner = inner.replace(b"\x09\0\0\0\x78\0\0\0", b"\x29\0\0\0\x78\0\0\0")
        packed = zlib.compress(inner)
        data = data[:128] + np.array([15, len(packed)], "<u4").tobytes() + packed
    else:
        data = data.replace(b"\x09\0\0\0\x78\0\0\0", b"\x29\0\0\0\x78\0\0\0")
    path.write_bytes(data)
    with pytest.raises(DataError, match="bytes of type 41 for shape"):
        matlab.arrays(path, ["label"])
