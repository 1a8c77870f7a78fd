"""Trials in files that are no continuous recordings: ``.npz``, ``.mat`` and ``.csv``.

One rule each:

- ``.npz``: one array of trials x channels x samples (or channels x samples: one trial), and beside
  it arrays that say of each trial what it is.
- ``.mat``: one array of channels x samples (or turned round): one trial.
- ``.csv``: the first line names the columns, a column an electrode, a row a sample; a column of
  labels cuts it into trials, one for each run of rows that say the same.

Sizes are checked before memory is taken, and nothing in a file is ever run.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import canonical
from bench.errors import DataError

from .. import matlab, tables
from ..torn import TORN, refused
from .description import Description, KeysPart

#: Bytes of one array, and of a table.
LARGEST, LARGEST_TABLE = 1 << 31, 1 << 30
#: Arrays of a file, and trials in one.
_MOST_ARRAYS, _MOST_TRIALS = 256, 100_000
_MOST_COLUMNS = 1024


@dataclass(frozen=True)
class StoredTrial:
    """A trial as it stands in a file.

    Attributes
    ----------
    data : (channels, samples) float array
        Rows in the order of the description's channels.
    label : str
        What the file says that it is; empty where it does not.
    subject, session : str
        The same.
    values : mapping of str to float
        Ratings, by column or key.
    """

    data: NDArray[np.float64]
    label: str = ""
    subject: str = ""
    session: str = ""
    values: dict[str, float] = field(default_factory=dict)


def npz_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of each array of an ``.npz`` file, without reading it.

    Raises
    ------
    DataError
        No such file, or it holds objects.
    """
    out = {}
    with refused(path, "a file .npz"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MOST_ARRAYS:
            raise ValueError(f"{len(members)} arrays")
        for member in members:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {(1, 0): np.lib.format.read_array_header_1_0,
                        (2, 0): np.lib.format.read_array_header_2_0}.get(version)
                if read is None:
                    raise ValueError(f"version {version} of NumPy's format")
                shape, _, dtype = read(file)
            size = int(np.prod([*shape, 1], dtype=object)) * dtype.itemsize
            if dtype.hasobject:
                raise ValueError(f"{member.filename} holds Python objects, which are not read")
            if size > LARGEST or size > member.file_size:
                raise ValueError(f"{member.filename} claims {size} bytes")
            out[member.filename.removesuffix(".npy")] = (shape, dtype)
    return out


def npz_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file by name; those that are not there are left out.

    Raises
    ------
    DataError
    """
    there, out = npz_shapes(path), {}
    with refused(path, "a file .npz"), zipfile.ZipFile(path) as archive:
        for name in names:
            if name in there:
                member = next(n for n in archive.namelist() if n in (name, f"{name}.npy"))
                content = io.BytesIO(archive.read(member))
                out[name] = np.lib.format.read_array(content, allow_pickle=False)
    return out


def texts(array: NDArray[Any], where: str) -> list[str]:
    """Entries of an array as text: names as they are, whole numbers without a point.

    Raises
    ------
    DataError
        Neither text nor numbers.
    """
    flat = array.ravel()
    if flat.dtype.kind in "US":
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)
                for v in flat.tolist()]
    if flat.dtype.kind in "biu":
        return [str(int(v)) for v in flat.tolist()]
    if flat.dtype.kind == "f":
        return [f"{v:g}" for v in flat.tolist()]
    raise DataError(where, "text or numbers", f"an array of {flat.dtype}")


def read_npz(path: Path, description: Description) -> list[StoredTrial]:
    """Trials of an ``.npz`` file.

    Raises
    ------
    DataError
    """
    keys = description.keys
    columns = [r.column for r in description.ratings.values()]
    wanted = [keys.data, keys.label, keys.subject, keys.session, *columns]
    found = npz_arrays(path, [w for w in dict.fromkeys(wanted) if w])
    if keys.data not in found:
        there = ", ".join(npz_shapes(path))[:200]
        raise DataError(path, f"an array {keys.data!r}", there or "none")
    whole = _as_trials(path, found[keys.data], keys.axes, len(description.channels))
    count = len(whole)

    def of_each(name: str) -> list[str]:
        if not name:
            return [""] * count
        if name not in found:
            raise DataError(path, f"an array {name!r}", ", ".join(found)[:200])
        said = texts(found[name], f"{path} {name}")
        if len(said) == 1:
            return said * count
        if len(said) != count:
            raise DataError(f"{path} {name}", f"{count} values, one a trial", f"{len(said)}")
        return said

    labels, subjects, sessions = (of_each(n) for n in (keys.label, keys.subject, keys.session))
    ratings = {name: [tables.number(v) for v in of_each(name)] for name in columns}
    return [
        StoredTrial(whole[i], labels[i], subjects[i], sessions[i],
                    {n: v for n, r in ratings.items() if (v := r[i]) is not None})
        for i in range(count)
    ]


def _as_trials(
    path: Path, data: NDArray[Any], axes: str, channels: int
) -> NDArray[np.float64]:
    """(trials, channels, samples) of an array whose axes are named.

    Raises
    ------
    DataError
        Other axes, no numbers, or another number of channels.
    """
    if data.dtype.kind not in "fiu" or data.ndim != len(axes):
        raise DataError(path, f"numbers with {len(axes)} axes", f"{data.dtype} of {data.ndim}")
    turned = data.transpose([axes.index(a) for a in "tcs" if a in axes])
    turned = turned if data.ndim == 3 else turned[None]
    if turned.shape[1] != channels or not 0 < turned.shape[0] <= _MOST_TRIALS or \
            turned.shape[2] < 2:
        raise DataError(path, f"{channels} channels, as its TOML names",
                        f"trials x channels x samples of {turned.shape}")
    return np.ascontiguousarray(turned, np.float64)


def read_mat(path: Path, description: Description) -> list[StoredTrial]:
    """The trial of a ``.mat`` file.

    Raises
    ------
    DataError
    """
    name = description.keys.data
    stored = matlab.arrays(path, [name])
    if name not in stored:
        there = ", ".join(n for n, _ in matlab.shapes(path))[:200]
        raise DataError(path, f"a variable {name!r}", there or "none")
    data = stored[name]
    return [StoredTrial(d) for d in _as_trials(
        path, data, description.keys.axes, len(description.channels))]


@dataclass(frozen=True)
class CsvTable:
    """Columns of a ``.csv`` file.

    Attributes
    ----------
    numbers : (columns, rows) float array
        NaN where a cell is no number.
    names : tuple of str
        Of the columns of ``numbers``.
    text : mapping of str to list of str
        Columns asked for as text.
    """

    numbers: NDArray[np.float64]
    names: tuple[str, ...]
    text: dict[str, list[str]]


def csv_head(path: Path) -> tuple[list[str], str]:
    """Columns that the first line names, and the delimiter.

    Raises
    ------
    DataError
    """
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise DataError(path, "a file that can be read", error.strerror or str(error)) from error
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(path, "a table", "a first line that is no text", TORN) from error
    delimiter = max(",;\t", key=text.count)
    names = [n.strip().strip('"').strip() for n in text.split(delimiter)]
    if len(names) > _MOST_COLUMNS or "\0" in text:
        raise DataError(path, f"a first line that names at most {_MOST_COLUMNS} columns",
                        f"{len(names)}", TORN)
    return names, delimiter


def csv_table(path: Path, as_text: Sequence[str] = ()) -> CsvTable:
    """A whole ``.csv`` file.

    Raises
    ------
    DataError
        No table, a column named twice, rows of another length, too large.
    """
    import pandas as pd

    names, delimiter = csv_head(path)
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise DataError(path, "columns with names of their own", f"{', '.join(twice[:5])} twice")
    if path.stat().st_size > LARGEST_TABLE:
        raise DataError(path, f"a table of {LARGEST_TABLE >> 20} MiB at most",
                        f"{path.stat().st_size >> 20} MiB")
    columns = [n or f"column {i + 1}" for i, n in enumerate(names)]
    with refused(path, "a file .csv"):
        frame = pd.read_csv(
            path, sep=delimiter, header=None, skiprows=1, names=columns, index_col=False,
            dtype=dict.fromkeys(as_text, str), keep_default_na=True, encoding="utf-8-sig",
            on_bad_lines="error", low_memory=False, engine="c",
        )
        kept = [c for c in columns if c not in as_text]
        numbers = [pd.to_numeric(frame[c], errors="coerce").to_numpy(np.float64) for c in kept]
    if not len(frame):
        raise DataError(path, "rows of samples", "none", TORN)
    stored = {c: frame[c].fillna("").astype(str).str.strip().tolist() for c in as_text}
    return CsvTable(np.array(numbers).reshape(len(kept), len(frame)), tuple(kept), stored)


def read_csv(path: Path, description: Description) -> list[StoredTrial]:
    """Trials of a ``.csv`` file.

    Raises
    ------
    DataError
    """
    keys = description.keys
    marks = [k for k in (keys.label, keys.trial) if k]
    names, _ = csv_head(path)
    lost = [k for k in (*marks, keys.time) if k and k not in names]
    if lost:
        raise DataError(path, f"a column {lost[0]!r}", ", ".join(names)[:200])
    table = csv_table(path, marks)
    known = [canonical(n) for n in table.names]
    missing = [c for c in description.channels if known.count(canonical(c)) != 1]
    if missing:
        raise DataError(path, f"a column for each of {len(description.channels)} channels",
                        f"none or several of {', '.join(missing[:5])}")
    rows = [known.index(canonical(c)) for c in description.channels]
    whole = table.numbers[rows]
    bad = ~np.isfinite(whole)
    if bad.any():
        channel, at = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(f"{path} line {at + 2}", "a number in every column of a channel",
                        f"none in {description.channels[channel]}", TORN)
    if keys.time:
        _check_clock(path, table.numbers[table.names.index(keys.time)], description)
    out: list[StoredTrial] = []
    if keys.label:
        _check_end(path, table.text[keys.label], description)
    for start, stop in _runs([table.text[k] for k in marks], whole.shape[1]):
        label = table.text[keys.label][start] if keys.label else ""
        values: dict[str, float] = {}
        for rating in description.ratings.values():
            if rating.column in table.names:
                value = float(table.numbers[table.names.index(rating.column), start])
                values |= {rating.column: value} if np.isfinite(value) else {}
        out.append(StoredTrial(np.ascontiguousarray(whole[:, start:stop]), label, values=values))
    if len(out) > _MOST_TRIALS:
        raise DataError(path, f"{_MOST_TRIALS} trials at most", f"{len(out)}")
    return out


def _check_end(path: Path, labels: Sequence[str], description: Description) -> None:
    """Refuse a last row whose label is the start of one: a file that ends in the middle of it."""
    last = labels[-1]
    alone = len(labels) > 1 and labels[-2] != last
    if alone and last not in description.classes and any(
        text.startswith(last) for text in description.classes
    ):
        raise DataError(f"{path} last line", "a whole row", f"one that ends with {last!r}", TORN)


def _runs(columns: Sequence[list[str]], count: int) -> list[tuple[int, int]]:
    """Stretches of rows in which no column changes."""
    if not columns:
        return [(0, count)]
    edges = sorted({i for column in columns for i in range(1, count) if column[i] != column[i - 1]})
    return list(zip([0, *edges], [*edges, count], strict=True))


def clock(times: NDArray[np.float64]) -> tuple[float, str]:
    """Samples per second that a column of times tells, and the unit of the times; 0 if none.

    Steps of 0.05 and more can only be milliseconds: no EEG has less than 20 samples a second.
    """
    steps = np.diff(times)
    steps = steps[np.isfinite(steps)]
    if not len(steps) or not np.median(steps) > 0:
        return 0.0, ""
    step = float(np.median(steps))
    unit = "ms" if step >= 0.05 else "s"
    return (1000.0 if unit == "ms" else 1.0) / step, unit


def _check_clock(path: Path, times: NDArray[np.float64], description: Description) -> None:
    """Refuse times that run back, stand still, or tell another rate."""
    rate, _ = clock(times)
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise DataError(f"{path} {description.keys.time}", "times that run forwards",
                        "some that do not", TORN)
    if abs(rate - description.rate) > 0.02 * description.rate:
        raise DataError(f"{path} {description.keys.time}", f"{description.rate:g} samples a second",
                        f"{rate:g}")


READERS = {"npz": read_npz, "mat": read_mat, "csv": read_csv}


def keys_said(keys: KeysPart) -> str:
    """What was taken for what, in words."""
    said = {"data": "signals", "label": "classes", "subject": "subjects", "session": "sessions",
            "trial": "trials", "time": "times"}
    return ", ".join(f"{value!r} for {said[name]}" for name, value in keys.model_dump().items()
                     if value and name in said)
