"""What can be checked of results without the data: numbers, checksums, splits, code.

Integrity, not authenticity: whoever can run this program can also write an archive that passes.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..auditing.checks import check_record
from ..errors import BenchError
from ..store.records import Record, Store
from ..store.seal import read_json
from ..store.shown import counted
from ..version import EDITION
from .archive import Archive, Index
from .codes import Codes
from .rescore import (
    UNPREDICTED,
    predictions_of,
    split_digest,
    split_key,
    windows_digest,
    wrong_scores,
    wrong_split,
)

#: What no checksum, score or digest can tell.
LIMITS = (
    "who made it: checksums are no signature. Compare the archive's checksum with the one that was "
    "published elsewhere",
    "that the predictions came from these methods and corpora, and not from a text editor: "
    "bench rerun repeats a record where its corpora are",
    "that the labels are those of the corpora, and the subjects those who are named",
    "what was run and not put into it, but for the cells of its plans",
    "scores of epochs that were not chosen (oracle, other rules of selection): their predictions "
    "are not kept",
)


@dataclass
class Outcome:
    """Outcome of one kind of check.

    Attributes
    ----------
    name : str
    checked : int
        How many things were checked and right.
    of : str
        What they are, for people: "records".
    one : str
        The same of a single one: "record".
    wrong : list of (where, what)
    unchecked : list of (where, what)
        What could not be checked, and why.
    blocks : bool
        Whether what is wrong keeps the archive out of a table: other code is only told.
    """

    name: str
    of: str
    one: str
    checked: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    blocks: bool = True


@dataclass
class Verification:
    """Everything that was found about an archive.

    Attributes
    ----------
    path : Path
    digest : str
        Sha256 of the index, by which an archive is named.
    lab, bench : str
        Who made it, by what version, as it says.
    outcomes : dict of str to Outcome
    records : int
    notes : list of str
        What is no fault and worth knowing.
    """

    path: Path
    digest: str
    lab: str
    bench: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    records: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not any(o.wrong for o in self.outcomes.values())

    @property
    def whole(self) -> bool:
        """Whether it may stand in a table: nothing is wrong but code that is another than here."""
        return not any(o.wrong for o in self.outcomes.values() if o.blocks)


def verify(path: Path) -> Verification:
    """Check an archive; nothing of it is kept.

    Raises
    ------
    ArchiveError
        It is no archive, holds what none may hold, or a file does not match its checksum.
    OSError
    """
    archive = Archive(path)
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as folder:
        archive.unpack(Path(folder))
        return verified(archive, Path(folder))


def verified(archive: Archive, folder: Path) -> Verification:
    """As :func:`verify`, of an archive that lies unpacked in a folder."""
    index = archive.index
    checks = _Checks(index, folder)
    # Records of parameter draws of audits lie apart.
    for store in (Store(folder), Store(folder / "audit")):
        for record in store.records():
            checks.record(record)
        for where, why in store.corrupt:
            checks.at("records").wrong.append((where.name[:8], why.replace(str(folder), "")))
    checks.compared()
    checks.plans()
    checks.at("checksums").checked = len(index.files)
    return Verification(archive.path, archive.digest, index.lab, index.bench, checks.outcomes,
                        checks.count, list(checks.notes()))


class _Checks:
    """Checks of an unpacked archive, record by record and then across records."""

    def __init__(self, index: Index, folder: Path) -> None:
        self.index, self.folder = index, folder
        self.outcomes = {o.name: o for o in (
            Outcome("checksums", "files", "file"),
            Outcome("records", "records whole and named by their identity",
                    "record whole and named by its identity"),
            Outcome("scores", "records scored again from their predictions",
                    "record scored again from its predictions"),
            Outcome("tested windows", "records tested on the windows that they say",
                    "record tested on the windows that it says"),
            Outcome("splits", "records without a tested trial in calibration",
                    "record without a tested trial in calibration"),
            Outcome("use of test data", "records that use no more of it than they say",
                    "record that uses no more of it than it says"),
            Outcome("code", "records of the code that is installed here",
                    "record of the code that is installed here", blocks=False),
            Outcome("plans", "planned cells whose record is here",
                    "planned cell whose record is here"),
        )}
        self.codes = Codes()
        self.count = 0
        self.statuses: Counter[str] = Counter()
        self.makers: Counter[str] = Counter()
        self.dirty = self.old = self.simulated = 0
        self.seen: set[str] = set()
        self._alike: dict[str, list[tuple[Record, str, str]]] = defaultdict(list)

    def at(self, name: str) -> Outcome:
        """Outcome of one kind of check."""
        return self.outcomes[name]

    def record(self, record: Record) -> None:
        """Check one record by itself."""
        self.count += 1
        self.seen.add(record.id)
        where = f"record {record.id[:8]}"
        try:
            where = f"{str(record.identity.get('method'))[:40]} {record.id[:8]}"
            self._record(record, where)
        except BenchError as error:
            self.at("records").wrong.append((where, error.message))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self.at("records").wrong.append((where, f"not laid out as a record: {error!r}"[:200]))

    def _record(self, record: Record, where: str) -> None:
        self.statuses[record.status] += 1
        if record.id not in self.index.records:
            self.at("records").wrong.append((where, "its record is not in the index"))
        damaged = self._beside(record)
        if damaged:
            self.at("records").wrong.append((where, damaged))
            return
        self.at("records").checked += 1
        self._made_by(record)
        if record.status != "done":
            return
        self.codes.compare(record)
        table = None
        if record.identity["method"] == UNPREDICTED:
            self.at("scores").unchecked.append(
                (where, "the best attainable is of windows that are drawn anew and not kept")
            )
        else:
            try:
                table = predictions_of(record)
            except BenchError as error:
                self.at("scores").wrong.append((where, error.message))
                return
        self._numbers(record, table, where)
        leaks = [f.what for f in check_record(record) if f.severity == "leak"
                 and "predictions" not in f.what and "both sides" not in f.what]
        self._note("use of test data", where, leaks)

    def _numbers(self, record: Record, table: Any, where: str) -> None:
        self._note("splits", where, list(wrong_split(record, table)))
        said, windows = self.index.records.get(record.id, {}), ""
        if table is not None:
            self._note("scores", where, list(wrong_scores(record, table)))
            windows = windows_digest(table)
        split = split_digest(record)
        wrong = [f"its {what} are not those of the index" for what, one, other in (
            ("tested windows", windows, said.get("windows", "")),
            ("trials of calibration and test", split, said.get("split", "")),
        ) if one != other]
        self._note("tested windows", where, wrong)
        if table is not None:
            self._alike[split_key(record)].append((record, windows, split))

    def _note(self, name: str, where: str, wrong: list[str]) -> None:
        self.at(name).wrong += [(where, what) for what in wrong]
        self.at(name).checked += not wrong

    def _beside(self, record: Record) -> str:
        """What is wrong with the files beside a record, those that were left out aside."""
        if not record.files:
            return ""
        assert record.path is not None
        inside = record.path.relative_to(self.folder).as_posix()
        kept = {name: digest for name, digest in record.files.items()
                if f"{inside}/{name}" not in self.index.omitted}
        for name, digest in kept.items():
            if self.index.files.get(f"{inside}/{name}", ("", 0))[0] != digest:
                return f"{name[:80]} is not the file that was written with the record"
        return ""

    def _made_by(self, record: Record) -> None:
        versions, git = record.info.get("versions") or {}, record.info.get("git")
        commit = git.get("commit") if isinstance(git, dict) else None
        self.makers[f"bench {versions.get('bench', 'of unknown version')}"
                    + (f" ({str(commit)[:8]})" if commit else "")] += 1
        self.dirty += isinstance(git, dict) and bool(git.get("dirty"))
        self.old += record.edition != EDITION
        self.simulated += record.simulated is not None

    def compared(self) -> None:
        """Compare records with each other: those of one split are tested on the same windows."""
        for group in self._alike.values():
            counts = Counter((windows, split) for _, windows, split in group)
            usual = counts.most_common(1)[0][0]
            for record, windows, split in group:
                if (windows, split) != usual:
                    self.at("tested windows").checked -= 1
                    self.at("tested windows").wrong.append((
                        f"{record.identity['method']} {record.id[:8]}",
                        f"cut or tested otherwise than {counts[usual]} other records of its pair, "
                        "protocol and seed",
                    ))
        code = self.at("code")
        code.checked = self.codes.same
        for found, to in ((self.codes.wrong, code.wrong), (self.codes.unknown, code.unchecked)):
            to += [(record.id[:8], what) for record, what in found]
        missing = sorted(set(self.index.records) - self.seen)
        self.at("records").wrong += [(i[:8], "it is in the index and not here") for i in missing]

    def plans(self) -> None:
        """Look for the record of every cell that was planned."""
        outcome = self.at("plans")
        for path in sorted(self.folder.glob("plan-*.json")):
            try:
                cells = read_json(path, old=1)["cells"]
                records = [cell.get("record") for cell in cells]
            except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
                outcome.wrong.append((path.name, f"it is no plan: {error}"[:200]))
                continue
            outcome.checked += sum(r in self.seen for r in records)
            missing = sum(r not in self.seen for r in records)
            if missing:
                outcome.unchecked.append(
                    (path.name, f"{missing} of its {counted(len(records), 'cell')} "
                     f"{'has' if missing == 1 else 'have'} no record here")
                )

    def notes(self) -> Iterator[str]:
        """What is no fault and worth knowing."""
        if self.makers:
            yield "made by " + ", ".join(f"{k}: {n}" for k, n in self.makers.most_common(5))
        others = {k: n for k, n in self.statuses.items() if k != "done"}
        if others:
            yield "without scores: " + ", ".join(f"{n} {k}" for k, n in sorted(others.items()))
        if self.dirty:
            yield (f"{self.dirty} made by a checkout with changed files: no commit names their "
                   "code, only its hash")
        if self.old:
            yield f"{self.old} of another edition than {EDITION}: scored by other rules, never " \
                "ranked with records of this one"
        if self.simulated:
            yield f"{self.simulated} of simulated corpora: their scores say nothing of EEG"
        if self.index.omitted:
            omitted = len(self.index.omitted)
            yield (f"{counted(omitted, 'file')} {'was' if omitted == 1 else 'were'} left out when "
                   "it was made, such as models")
