"""Small texts beside recordings: tables (``.tsv``, ``.csv``) and JSON, read strictly and bounded.

Sidecars come from strangers: one may be huge, nested without end, of another encoding, or half a
file. Whatever is wrong is a :class:`~bench.errors.DataError` that names the file.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from bench.errors import DataError

#: Bytes of a sidecar, rows and columns of a table, characters of a cell, levels of JSON.
LARGEST, MOST_ROWS, MOST_COLUMNS, LONGEST, DEEPEST = 16 << 20, 200_000, 1024, 20_000, 32
#: What BIDS and others write where there is no value.
EMPTY = frozenset({"", "n/a", "na", "nan", "none", "null", "-"})


def text_of(path: Path, largest: int = LARGEST) -> str:
    """Text of a small file.

    Raises
    ------
    DataError
        Not there, too large, or neither UTF-8 nor Latin-1.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(path, f"a text of {largest >> 20} MiB at most", f"{size >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(path, "a file that can be read", error.strerror or str(error)) from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(path, "text", f"bytes that are none: {error.reason}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise DataError(path, "text", "a binary file, or one that is torn")
    return text


def rows(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    """Rows of a table whose first line names the columns; cells are stripped of spaces.

    Raises
    ------
    DataError
        No such table: a column without a name or named twice, a row of another length, too much.
    """
    text = text_of(path)
    lines = csv.reader(text.splitlines(), delimiter=delimiter, strict=False)
    out: list[dict[str, str]] = []
    try:
        head = [name.strip() for name in next(lines, [])]
        _check_head(path, head)
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path} line {lines.line_num}"
            if len(cells) != len(head):
                raise DataError(where, f"{len(head)} cells, as the first line names",
                                f"{len(cells)}", "The file may be torn, or its delimiter another.")
            if len(out) >= MOST_ROWS:
                raise DataError(path, f"{MOST_ROWS} rows at most", "more")
            out.append({n: c.strip() for n, c in zip(head, cells, strict=True)})
    except csv.Error as error:
        raise DataError(path, "a table", str(error)) from error
    return out


def _check_head(path: Path, head: list[str]) -> None:
    if not any(head):
        raise DataError(path, "a first line that names columns", "none")
    twice = sorted({n for n in head if head.count(n) > 1})
    if twice or len(head) > MOST_COLUMNS or max(map(len, head)) > LONGEST:
        found = f"{', '.join(twice)[:60] or 'nothing'} twice" if twice else f"{len(head)} columns"
        raise DataError(path, "columns with names of their own", found)


def object_of(path: Path) -> dict[str, Any]:
    """Object that a JSON file holds.

    Raises
    ------
    DataError
        Not JSON, not an object, or nested too deep.
    """
    text = text_of(path)
    if _depth(text) > DEEPEST:
        raise DataError(path, f"JSON of at most {DEEPEST} levels", "deeper")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(path, "JSON", str(error)[:100]) from error
    if not isinstance(value, dict):
        raise DataError(path, "a JSON object", type(value).__name__)
    return value


def _depth(text: str) -> int:
    """Most brackets that are open at once; those in strings count too, which does no harm."""
    depth = deepest = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def number(text: str) -> float | None:
    """A finite number, or None where there is none.

    Examples
    --------
    >>> [number(t) for t in ("3.5", "n/a", "12_2", "1e400")]
    [3.5, None, None, None]
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def empty(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().lower() in EMPTY
