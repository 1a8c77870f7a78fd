"""Files that are broken: whatever a parser raises of one is a DataError that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import DataError

TORN = "The file may be torn: compare its size with the owner's, and fetch it again."


@contextmanager
def refused(path: Path, expected: str) -> Iterator[None]:
    """Refuse a file in words: SciPy, zlib, HDF5, MNE and pandas raise dozens of types on torn ones.

    Raises
    ------
    DataError
    """
    try:
        yield
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())[:100] or "no reason"
        raise DataError(path, expected, f"{type(error).__name__}: {said}", TORN) from error
