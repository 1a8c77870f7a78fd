"""MATLAB files, version 5 (SciPy) and 7.3 (HDF5): named numeric arrays and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

from . import structs
from .torn import refused

_EXPECTED = "a MATLAB file (v5 or v7.3)"
_NUMERIC = "fiu"
#: Classes of MATLAB that hold numbers.
_CLASSES = re.compile(r"double|single|logical|u?int(8|16|32|64)")
#: Bytes that the variables asked for may take together; a session of SEED takes 360 MB.
LARGEST = 1 << 31
#: Text of the header's first 116 bytes: SciPy would write the date, and with it the same recipe
#: would give other bytes, another fingerprint and another cache key each time.
_HEADER = b"MATLAB 5.0 MAT-file, simulated by bench".ljust(116)


def shapes(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the variables of a file, without reading them.

    Raises
    ------
    DataError
        Not a MATLAB file, or torn.
    """
    return _guarded(path, _shapes_hdf5, _shapes_v5)


def arrays(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Named variables of a file.

    Returns
    -------
    dict of str to array
        In MATLAB's axis order, whichever version the file has. Absent names are left out.

    Raises
    ------
    DataError
        Not a MATLAB file, torn, or a variable that is not a numeric array.
    """
    stored = _guarded(
        path, lambda p: _arrays_hdf5(p, names), lambda p: _arrays_v5(p, names)
    )
    for name, value in stored.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in _NUMERIC:
            kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"{path} variable {name}", "a numeric array", f"{kind}")
    return stored


def _guarded(path: Path, hdf5: Any, v5: Any) -> Any:
    """Run one of two readers, of a file that may be broken."""
    import h5py
    from scipy.io.matlab import matfile_version

    with refused(path, _EXPECTED):
        if h5py.is_hdf5(path):
            return hdf5(path)
        if path.stat().st_size == 0:
            raise ValueError("an empty file")
        if matfile_version(str(path), appendmat=False)[0] != 1:
            raise ValueError("another version of MATLAB file, or none")
        return v5(path)


def _shapes_v5(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    from scipy.io import whosmat

    listed = whosmat(str(path), appendmat=False, verify_compressed_data_integrity=False)
    return [(name, tuple(shape)) for name, shape, _ in listed]


def _arrays_v5(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat, whosmat

    total = 0
    for name, shape, kind in whosmat(
        str(path), appendmat=False, verify_compressed_data_integrity=False
    ):
        if name in names and not _CLASSES.fullmatch(kind):  # cells may be nested without end
            raise DataError(f"{path} variable {name}", "a numeric array", f"a {kind}")
        if name in names:
            total += 8 * math.prod(shape)
    _check_size(path, total)
    structs.check(path, names)
    # Some copies of SEED fail zlib's checksum although every sample is there.
    stored = loadmat(
        str(path), variable_names=list(names), appendmat=False,
        verify_compressed_data_integrity=False,
    )
    return {name: stored[name] for name in names if name in stored}


def _shapes_hdf5(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    import h5py

    with h5py.File(path, "r") as file:
        return [
            (name, tuple(reversed(item.shape)))
            for name in file if isinstance(item := _own(file, name), h5py.Dataset)
        ]


def _arrays_hdf5(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    import h5py

    with h5py.File(path, "r") as file:
        items = {name: _own(file, name) for name in names if name in file}
        _check_size(path, sum(item.size * item.dtype.itemsize for item in items.values()
                              if isinstance(item, h5py.Dataset)))
        # HDF5 stores rows first, MATLAB columns first.
        return {
            name: item[()].T if item.dtype.kind in _NUMERIC else np.empty(0, item.dtype)
            for name, item in items.items() if isinstance(item, h5py.Dataset)
        }


def _check_size(path: Path, size: int) -> None:
    """A shape is a claim: a few bytes of a file can ask for all memory there is."""
    if size > LARGEST:
        raise DataError(path, f"variables of {LARGEST >> 20} MiB at most", f"{size >> 20} MiB")


def _own(file: Any, name: str) -> Any:
    """Item that is stored in this very file; links and views of other files give None."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    item = file[name]
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        return None
    return item


def write(path: Path, values: Mapping[str, NDArray[Any]], compress: bool = False) -> None:
    """Write a version 5 file whose bytes depend on nothing but the arrays."""
    from scipy.io import savemat

    savemat(str(path), dict(values), appendmat=False, do_compression=compress)
    with path.open("r+b") as file:
        file.write(_HEADER)
