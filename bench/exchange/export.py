"""Bundle a run folder into one archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BenchError
from ..store.records import Record, Store
from ..store.seal import DamagedError, read_json, sum_of
from ..version import __version__
from .archive import README, Index, write_archive
from .rescore import predictions_of, split_digest, windows_digest

_PLANS = re.compile(r"(plan|audit)-[0-9a-f]{1,64}\.json")
_TEXT = f"""\
Results of bench {__version__}, a benchmark of cross-corpus EEG emotion recognition.

archive.json            checksums of all files; digests of tested windows and splits
cells/ID/record.json    identity, scores, versions and cost of one run
cells/ID/predictions.parquet   probabilities of every tested window
cells/ID/curves.json    loss of every epoch
plan-*.json             what was to be run; audit-*.json: which records an audit compares

Check it:      bench verify ARCHIVE
Look at it:    bench report ARCHIVE, also together with other archives and run folders
"""


@dataclass
class Exported:
    """What was bundled.

    Attributes
    ----------
    path : Path
    records, files, size : int
        Records and files, and bytes of the archive.
    left_out : list of (Path, str)
        Folders of records that are not whole, and why.
    named : dict of str to list of str
        What an archive says of those who made it: names of machines, folders of data.
    """

    path: Path
    records: int = 0
    files: int = 0
    size: int = 0
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)


def export(runs: Path, out: Path, lab: str = "", models: bool = False) -> Exported:
    """Write records, predictions, curves, plans and audits of a run folder into an archive.

    Parameters
    ----------
    runs : Path
        Run folder; nothing in it is changed.
    out : Path
        The archive; replaced if it is there.
    lab : str
        Who publishes it: the name that stands in tables made of several archives.
    models : bool
        Saved models, too. Pre-trained states are never taken.

    Raises
    ------
    BenchError
        There is no whole record.
    OSError
    """
    bundle = _Bundle(runs, models)
    if not bundle.records:
        raise BenchError(
            f"there are no whole records in {runs}", "Give a run folder, by default ./runs."
        )
    index = Index(lab.strip(), __version__, bundle.files, bundle.records, tuple(bundle.omitted))
    write_archive(out, index, bundle.contents())
    return Exported(out, len(bundle.records), len(bundle.files), out.stat().st_size,
                    bundle.left_out, bundle.named())


def _digests(record: Record) -> dict[str, str]:
    """Digests of the split and of the tested windows of a record that has some."""
    said = {}
    if record.status == "done":
        said["split"] = split_digest(record)
        if "predictions.parquet" in record.files:
            said["windows"] = windows_digest(predictions_of(record))
    return said


class _Bundle:
    """Files of a run folder that go into an archive; read twice, and never all held at once."""

    def __init__(self, runs: Path, models: bool) -> None:
        self.runs, self.models = runs, models
        self.files: dict[str, tuple[str, int]] = {}
        self.records: dict[str, dict[str, str]] = {}
        self.omitted: list[str] = []
        self.left_out: list[tuple[Path, str]] = []
        self._hosts: set[str] = set()
        self._folders: set[str] = set()
        for store in (Store(runs), Store(runs / "audit")):
            for record in store.records():
                self._add(record)
            self.left_out += store.corrupt
        for path in sorted(runs.glob("*.json")):
            if _PLANS.fullmatch(path.name):
                self._plan(path)
        self._enter(README, _TEXT.encode())

    def _add(self, record: Record) -> None:
        assert record.path is not None
        why = record.damaged() if record.files else "it was written before there were checksums"
        try:
            said = {} if why else _digests(record)
        except BenchError as error:
            why = error.message
        if why:
            self.left_out.append((record.path, why))
            return
        inside = record.path.relative_to(self.runs).as_posix()
        self._enter(f"{inside}/record.json", (record.path / "record.json").read_bytes())
        for name in record.files:
            if name.startswith("models/") and not self.models:
                self.omitted.append(f"{inside}/{name}")
            else:
                self._enter(f"{inside}/{name}", (record.path / name).read_bytes())
        self.records[record.id] = said
        self._hosts.add(str(record.info.get("host") or ""))

    def _plan(self, path: Path) -> None:
        try:
            body = read_json(path, old=1)
        except (OSError, DamagedError) as error:
            self.left_out.append((path, str(error)))
            return
        self._enter(path.name, path.read_bytes())
        request = body.get("request") if isinstance(body, dict) else None
        if isinstance(request, dict):
            self._folders.add(str(request.get("data") or ""))

    def _enter(self, name: str, data: bytes) -> None:
        self.files[name] = (sum_of(data), len(data))

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file, in the order of names.

        Raises
        ------
        BenchError
            A file was changed meanwhile.
        """
        for name in sorted(self.files):
            data = _TEXT.encode() if name == README else (self.runs / name).read_bytes()
            if sum_of(data) != self.files[name][0]:
                raise BenchError(
                    f"{self.runs / name} was changed meanwhile", "Wait until no run is at work."
                )
            yield name, data

    def named(self) -> dict[str, list[str]]:
        """What the archive says of who made it."""
        return {what: sorted(names - {""}) for what, names in
                (("machines", self._hosts), ("folders of data", self._folders)) if names - {""}}
