"""A file of windows: NumPy arrays and a table ``about.json`` in a zip that nothing compresses.

The table holds the digest of the windows, which is checked whenever they are read: it is the one
that stands in a record's identity. So a file that was damaged, or changed, is no corpus any more.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import BenchError, SettingError
from ...registry import ABOUT, about_windows
from ...store.files import write_whole
from ..windows import Space, Windows

FORMAT = 1
#: Names that a corpus may have: none of the signs that join names, or name a task.
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?")

#: Fields of windows that say something of a corpus: pairs of its name and what is said.
MARKS = tuple(f.name for f in fields(Windows)
              if f.name not in ("x", "space", "labels", *Windows.columns()))


def save_windows(windows: Windows, path: Path | str, name: str | None = None) -> Path:
    """Write windows of your own into a file; by ``--include FILE`` they are a corpus by name.

    Parameters
    ----------
    windows : Windows
    path : Path or str
        Ends in ``.npz``.
    name : str, optional
        What the corpus is called, if not as the windows say.

    Returns
    -------
    Path

    Raises
    ------
    SettingError
        A name that no corpus can have, no ``.npz``, or a file that cannot be written.
    BenchError
        There is no window, one that is not finite, or windows of several corpora.

    Examples
    --------
    >>> save_windows(own, "MYLAB.npz", name="MYLAB")  # doctest: +SKIP
    >>> bench.run("lda", "MYLAB", "DEAP", include=["MYLAB.npz"])  # doctest: +SKIP
    """
    path = Path(path).expanduser()
    if path.suffix != ".npz":
        raise SettingError(f"{path} does not end in .npz", "Windows are stored in such a file.")
    named = as_corpus(windows, name)

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as parts:
            # A date of its own would make two files of the same windows differ.
            parts.writestr(zipfile.ZipInfo(ABOUT), json.dumps(_about(named), indent=1))
            for column in ("x", *Windows.columns()):
                with parts.open(zipfile.ZipInfo(f"{column}.npy"), "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, getattr(named, column), allow_pickle=False)

    try:
        write_whole(path, write)
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror or error}",
                           "Choose another place for the windows.") from error
    return path


def as_corpus(windows: Windows, name: str | None = None) -> Windows:
    """Windows as those of one corpus of that name.

    Raises
    ------
    BenchError
        As of :func:`save_windows`.
    """
    if not len(windows):
        raise BenchError("there is no window to save")
    names = np.unique(windows.corpus).tolist()
    if len(names) > 1:
        raise BenchError(
            f"these are windows of {len(names)} corpora, {', '.join(names)}",
            "Save each alone: windows.take(windows.corpus == NAME). Two sources are named "
            "A+B in a run.",
        )
    name = names[0] if name is None else name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SettingError(f"{name!r} can be no name of a corpus",
                           "A letter first, then letters, digits and - _ . : at most 32 in all.")
    if not np.isfinite(windows.x).all():
        raise BenchError(f"{(~np.isfinite(windows.x)).sum():,} values of {name} are not finite",
                         "Leave out their windows: windows.take(...).")
    if name == names[0]:
        return windows
    marks: dict[str, Any] = {
        mark: tuple((name, value) for _, value in getattr(windows, mark)) for mark in MARKS}
    return replace(windows, corpus=np.full(len(windows), name), **marks)


def _about(windows: Windows) -> dict[str, Any]:
    pairs = np.unique(np.stack([windows.subject, windows.session], axis=1), axis=0)
    return {
        "format": FORMAT, "name": str(windows.corpus[0]), "digest": windows.digest(),
        "windows": len(windows), "recordings": pairs.tolist(), "labels": list(windows.labels),
        "space": asdict(windows.space),
        "marks": {name: [list(mark) for mark in getattr(windows, name)] for name in MARKS},
    }


def load_windows(path: Path | str) -> Windows:
    """Windows that :func:`save_windows` wrote.

    Raises
    ------
    BenchError
        It is no such file, or does not hold what was written into it.
    """
    path = Path(path).expanduser()
    about = about_windows(path)
    try:
        with zipfile.ZipFile(path) as parts:
            arrays: dict[str, Any] = {column: _array(parts, f"{column}.npy")
                                      for column in ("x", *Windows.columns())}
        marks: dict[str, Any] = {
            name: tuple((corpus, value) for corpus, value in about["marks"].get(name, ()))
            for name in MARKS}
        windows = Windows(**arrays, **marks, space=space_of(about),
                          labels=tuple(map(str, about["labels"])))
        digest = windows.digest()
    except BenchError as error:
        raise _damaged(path, error.message) from error
    except Exception as error:  # NumPy and zipfile raise many types
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if digest != about["digest"] or set(windows.corpus.tolist()) != {about["name"]}:
        raise _damaged(path, "they do not match their checksum")
    return windows


def space_of(about: Mapping[str, Any]) -> Space:
    """What the axes of stored windows mean."""
    space = about["space"]
    return Space(**{
        **space, "channels": tuple(map(str, space["channels"])),
        "bands": tuple((float(low), float(high)) for low, high in space["bands"]),
    })


def _array(parts: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of a part that takes as much of the file as of the memory."""
    if parts.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with parts.open(name) as part:
        return np.asarray(np.lib.format.read_array(part, allow_pickle=False))


def _damaged(path: Path, why: str) -> BenchError:
    return BenchError(f"{path} does not hold the windows that were written into it: {why}",
                      "Remove it, and write it again: bench.save_windows(windows, FILE).")
