"""Several run folders and archives, read as one; each record knows where it is from."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BenchError
from ..store.records import Record, Store
from .archive import Archive, is_zip
from .verify import Verification, verified


@dataclass(frozen=True)
class Place:
    """One place that records come from.

    Attributes
    ----------
    name : str
        For tables: the lab of an archive, else the name of the file or folder.
    store : Store
    stamp : str
        Digest of an archive; empty for a run folder.
    file : str
        Name of an archive's file, without its folder.
    """

    name: str
    store: Store
    stamp: str = ""
    file: str = ""


class MergedStore(Store):
    """Records of several places; a cell that several hold is read once.

    Where two hold a cell with the same scores, its record names both; where the scores differ, the
    first place's is shown and :attr:`differing` says so.
    """

    def __init__(self, parts: Sequence[Place]) -> None:
        super().__init__(Path(" + ".join(part.name for part in parts).replace("/", "-")))
        self.parts = list(parts)
        self.archives = {part.name: part.file for part in parts if part.stamp}

    @property
    def roots(self) -> list[Path]:
        """Run folders that are read."""
        return [part.store.root for part in self.parts]

    def state(self) -> list[tuple[str, int, int]]:
        """Changes whenever a place or a record in it does."""
        out: list[tuple[str, int, int]] = []
        for part in self.parts:
            out.append((f"{part.name} {part.stamp} {part.file}", 0, 0))
            # An archive is unpacked anew each time; its digest stands for its files.
            out += [] if part.stamp else part.store.state()
        return out

    def get(self, cell: str, *, old: bool = False) -> Record | None:
        """Record of a cell in the first place that has it."""
        found = (part.store.get(cell, old=old) for part in self.parts)
        return next((record for record in found if record is not None), None)

    def records(self) -> Iterator[Record]:
        """All whole records, by place and id, each cell once."""
        self.corrupt.clear()
        self.unsealed.clear()
        self.differing.clear()
        known: dict[str, Record] = {}
        for part in self.parts:
            for record in part.store.records():
                first = known.get(record.id)
                if first is None or (first.status != "done" and record.status == "done"):
                    record.origins = [part.name]
                    known[record.id] = record
                elif record.status == "done":
                    self._again(first, record, part.name)
            self.corrupt += part.store.corrupt
            self.unsealed += part.store.unsealed
        yield from known.values()

    def _again(self, first: Record, record: Record, name: str) -> None:
        """A cell that was read from another place already."""
        if first.folds == record.folds:
            first.origins.append(name)
            return
        self.differing.append((first, (
            f"also in {name} with other scores (up to {100 * _apart(first, record):.1f} points); "
            f"shown is that of {first.origins[0]}"
        )))


def _apart(one: Record, other: Record) -> float:
    """Largest difference of a fold's balanced accuracy per window."""
    scores = [{(f.get("subject"), f.get("session")): f["scores"]["window"]["balanced_accuracy"]
               for f in record.folds} for record in (one, other)]
    shared = [abs(scores[0][k] - scores[1][k]) for k in scores[0] if k in scores[1]
              and None not in (scores[0][k], scores[1][k])]
    return max(shared, default=1.0)


@contextlib.contextmanager
def opened(places: Sequence[Path]) -> Iterator[tuple[Store, list[Verification]]]:
    """Run folders and archives as one store, and what was found of the archives.

    A single run folder is a store as any other.

    Raises
    ------
    BenchError
        A place is neither, or an archive is not whole.
    """
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        found: list[Verification] = []
        names = _names(places)
        parts = []
        for number, (place, name) in enumerate(zip(places, names, strict=True)):
            if place.is_dir():
                parts.append(Place(name, Store(place)))
                continue
            if not is_zip(place):
                raise BenchError(f"{place} is not a folder and no archive of results",
                                 "Give run folders, by default ./runs, or archives that "
                                 "bench export wrote.")
            inner = Path(folder) / str(number)
            inner.mkdir()
            archive = Archive(place)
            archive.unpack(inner)
            seen = verified(archive, inner)
            if not seen.whole:
                raise BenchError(f"{place} does not pass: its records are not shown",
                                 f"What is wrong: bench verify {place}")
            found.append(seen)
            parts.append(Place(archive.index.lab or name, Store(inner), archive.digest,
                               place.name))
        if len(parts) == 1 and not parts[0].stamp:
            yield parts[0].store, found
        else:
            yield MergedStore(_told_apart(parts)), found


def _names(places: Sequence[Path]) -> list[str]:
    names = [p.resolve().name if p.is_dir() else p.stem for p in places]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(place)
            for name, place in zip(names, places, strict=True)]


def _told_apart(parts: Sequence[Place]) -> list[Place]:
    """Parts with names of their own: two archives may name the same lab."""
    counts, seen = Counter(part.name for part in parts), Counter[str]()
    out = []
    for part in parts:
        seen[part.name] += 1
        name = part.name if counts[part.name] == 1 else f"{part.name} ({seen[part.name]})"
        out.append(replace(part, name=name))
    return out
