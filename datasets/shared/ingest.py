"""Ingest reports: what was taken for what in a foreign folder, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: What was taken for what; what a person should look at; what was passed over.
Kind = Literal["took", "doubt", "skipped"]


@dataclass(frozen=True)
class Remark:
    """One line of a report.

    Attributes
    ----------
    kind : {"took", "doubt", "skipped"}
    what : str
        What it is about: "units", "times", "channels", "events", "classes", "files", "licence", ...
    text : str
        One sentence.
    """

    kind: Kind
    what: str
    text: str


@dataclass
class IngestReport:
    """Remarks, each once; remarks that differ only in the file are counted together."""

    remarks: list[Remark] = field(default_factory=list)
    _places: dict[tuple[Kind, str, str], list[str]] = field(default_factory=dict)

    def took(self, what: str, text: str) -> None:
        """Say what was taken for what."""
        self._add(Remark("took", what, text))

    def doubt(self, what: str, text: str) -> None:
        """Say what a person should look at."""
        self._add(Remark("doubt", what, text))

    def skipped(self, what: str, text: str) -> None:
        """Say what was passed over, and why."""
        self._add(Remark("skipped", what, text))

    def at(self, kind: Kind, what: str, text: str, path: Path) -> None:
        """A remark on one of many files: said once, with the first file and how many more."""
        names = self._places.setdefault((kind, what, text), [])
        if path.name not in names:
            names.append(path.name)

    def _add(self, remark: Remark) -> None:
        if remark not in self.remarks:
            self.remarks.append(remark)

    def __iter__(self) -> Iterator[Remark]:
        yield from self.remarks
        for (kind, what, text), names in self._places.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield Remark(kind, what, f"{text} ({names[0]}{more})")

    def doubts(self) -> list[Remark]:
        """Remarks that a person should look at."""
        return [r for r in self if r.kind == "doubt"]

    def words(self) -> str:
        """All of it as text, a remark a line."""
        return "\n".join(f"{r.kind:8}{r.what}: {r.text}" for r in self)
