"""Excel files (``.xlsx``): the cells of the first sheet, as text, and nothing else."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from bench.errors import DataError

from .torn import refused

_LARGEST = 10_000_000
_SHEET, _STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"


def rows(path: Path) -> list[list[str]]:
    """Cells that are not empty, row by row.

    Raises
    ------
    DataError
        Not such a file, or one that is larger than a table of labels.
    """
    with refused(path, "an Excel file (.xlsx)"):
        with zipfile.ZipFile(path) as archive:
            parts = {
                name: _parsed(archive, name) for name in (_SHEET, _STRINGS)
                if name in archive.namelist()
            }
        shared = parts[_STRINGS].iterfind(".//{*}si") if _STRINGS in parts else ()
        strings = [_text(item) for item in shared]
        return [
            [text for cell in row.iterfind(".//{*}c") if (text := _cell(cell, strings).strip())]
            for row in parts[_SHEET].iterfind(".//{*}row")
        ]


def _parsed(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > _LARGEST:
        raise ValueError(f"{name} is larger than {_LARGEST} bytes")
    content = archive.read(name)
    if b"<!" in content:  # a document type may define entities that grow without end
        raise ValueError(f"{name} has a document type")
    return ElementTree.fromstring(content)  # noqa: S314 - no entities, and bounded


def _text(element: ElementTree.Element) -> str:
    return "".join(t.text or "" for t in element.iterfind(".//{*}t"))


def _cell(cell: ElementTree.Element, strings: Sequence[str]) -> str:
    value = "".join(v.text or "" for v in cell.iterfind(".//{*}v"))
    if cell.get("t") == "s":
        return strings[int(value)]
    return value or _text(cell)


def sessions(path: Path, emotions: Collection[str], trials: int) -> dict[int, tuple[str, ...]]:
    """Emotion of each trial of a session, in lower case.

    A row of the owners' table begins with "Session N" and goes on with one emotion a trial; rows
    between hold names of clips.

    Raises
    ------
    DataError
        Not such a file, or a row with another number of emotions.
    """
    found: dict[int, tuple[str, ...]] = {}
    for row in rows(path):
        number = re.search(r"session\s*_?(\d+)", row[0], re.IGNORECASE) if row else None
        words = tuple(cell.lower() for cell in row[1:])
        if number is None or not set(words) & set(emotions):
            continue
        if len(words) != trials or not set(words) <= set(emotions) or int(number[1]) in found:
            listed = f"{len(words)}: {', '.join(words)[:80]}"
            raise DataError(f"{path} session {number[1]}", f"{trials} emotions among "
                            f"{', '.join(emotions)}, once", listed)
        found[int(number[1])] = words
    return found


def write(path: Path, table: Sequence[Sequence[str]]) -> None:
    """Write a table of texts: what the simulator needs of the format."""
    lines = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(text)}</t></is></c>' for text in row)
        + "</row>" for row in table
    )
    sheet = ('<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
             f"<sheetData>{lines}</sheetData></worksheet>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(_SHEET)  # of a fixed date: the same table, the same bytes
        archive.writestr(member, sheet)
