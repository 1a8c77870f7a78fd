"""Conformance of a corpus with its contract: on files it simulates, or on a folder of real ones.

``bench check`` prints the outcome; a plugin's own test asserts that :func:`failures` finds none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from .conformance import Check, CheckFailedError, CheckSkippedError, run_check
from .data.channels import POSITIONS, canonical
from .data.corpus import CorpusAdapter, Inventory, Recording, TrialInfo, TrialSignal
from .data.labels import LabelRule
from .data.reading import ReadOptions, check_signal, read_corpus, simulate_corpus
from .data.recipe import recipe_for
from .errors import BenchError, DataError, MissingCorpusError, SettingError
from .registry import entry, load

#: Of a simulated corpus that is checked, and of the recordings of a real one that are read.
_SMALL, _MOST = recipe_for("demo", subjects=2, length=0.02), 3
#: Median standard deviations, in microvolt, of what can be EEG.
_MICROVOLT = (0.1, 1000.0)
#: By how much recordings of one corpus may differ in size: volts and microvolts by a million.
_SPREAD = 1000.0
_Read = tuple[Recording, list[TrialSignal], dict[int, TrialInfo]]


def check_corpus(corpus: str | type[CorpusAdapter], root: Path | None = None) -> list[Check]:
    """Run all checks on a corpus.

    Parameters
    ----------
    corpus : str or type
        Registered name, or the adapter's class.
    root : Path, optional
        A folder that holds it; else that which it is bound to, or it is simulated.

    Raises
    ------
    SettingError
        No folder, and no simulator; or it is windows already.
    """
    adapter: CorpusAdapter = (load("corpora", corpus) if isinstance(corpus, str) else corpus)()
    if adapter.is_windows:
        raise SettingError(f"{adapter.name} is windows already: it has no signals to be checked",
                           "They are compared with their digest whenever they are used.")
    root = adapter.place or root
    if root is None and not adapter.simulates:
        raise SettingError(f"{adapter.name} has no simulator, so it needs files to be checked on",
                           "bench check NAME --data DIR")
    # The cache goes away, too: what is checked is reading, not what was read before.
    with (tempfile.TemporaryDirectory(prefix="bench-check-") as folder,
          mock.patch.dict(os.environ, BENCH_CACHE=str(Path(folder) / "cache"))):
        if root is None:
            root = Path(folder) / "simulated"
            simulate_corpus(adapter, root, _SMALL)
        suite = _CorpusSuite(adapter, root, Path(folder))
        return [run_check(name, check) for name, check in suite.checks().items()]


def failures(corpus: str | type[CorpusAdapter], root: Path | None = None) -> list[Check]:
    """Checks that a corpus does not pass."""
    return [c for c in check_corpus(corpus, root) if c.passed is False]


class _Opened:
    """Files that Python opens while this is on; what C libraries open is not seen."""

    _hooks: list[set[Path]] = []  # noqa: RUF012 - of the process: a hook cannot be taken out again
    _there = False

    def __enter__(self) -> set[Path]:
        if not _Opened._there:
            sys.addaudithook(_Opened._tell)
            _Opened._there = True
        self._paths: set[Path] = set()
        _Opened._hooks.append(self._paths)
        return self._paths

    def __exit__(self, *error: object) -> None:
        _Opened._hooks.remove(self._paths)

    @staticmethod
    def _tell(event: str, arguments: tuple[Any, ...]) -> None:
        if _Opened._hooks and event == "open" and isinstance(arguments[0], str | os.PathLike):
            for paths in _Opened._hooks:
                paths.add(Path(arguments[0]))


class _CorpusSuite:
    """The checks of one corpus; what was read is shared between them."""

    def __init__(self, adapter: CorpusAdapter, root: Path, scratch: Path) -> None:
        self.adapter, self.root, self.scratch = adapter, root, scratch
        self._read: list[_Read] | None = None

    def checks(self) -> dict[str, Callable[[], str | None]]:
        """Checks by name, in the order they are run."""
        return {
            "declaration": self.declaration,
            "recordings": self.recordings,
            "trials whole, each once": self.trials,
            "reads twice alike": self.repeats,
            "order of presentation": self.order,
            "labels": self.labels,
            "units": self.units,
            "names every file that it reads": self.declares,
            "a changed file is noticed": self.notices_changes,
            "torn files are refused in words": self.refuses,
        }

    def inventory(self) -> Inventory:
        """Of the folder that is checked."""
        return self.adapter.inventory(self.root)

    def read(self) -> list[_Read]:
        """The first recordings, and what is known of their trials."""
        if self._read is None:
            found = self.inventory()
            self._read = [
                (r, self.adapter.read(r), self.adapter.trials(found, r, []))
                for r in found.recordings[:_MOST]
            ]
        return self._read

    def declaration(self) -> str:
        """Name, channels, rate and tasks that can be used."""
        a = self.adapter
        lost = [n for n in ("name", "title", "access", "layout", "channels", "rate", "tasks")
                if not getattr(a, n, None)]
        if lost:
            raise CheckFailedError(f"no {', '.join(lost)}")
        with contextlib.suppress(BenchError):
            if entry("corpora", a.name).name != a.name:
                raise CheckFailedError(f"its name is {a.name}, its catalogue says otherwise")
        names = [canonical(c) for c in a.channels]
        if len(set(names)) < len(names):
            raise CheckFailedError("a channel is named twice")
        few = any(len(t.classes) < 2 for t in a.tasks)
        if few or len({t.name for t in a.tasks}) < len(a.tasks):
            raise CheckFailedError("tasks need names of their own, and two classes at least")
        unknown = [n for n in names if n not in POSITIONS]
        placed = f"; no position is known of {', '.join(unknown[:5])}" if unknown else ""
        return f"{len(names)} channels at {a.rate:g} Hz, {len(a.tasks)} tasks{placed}"

    def recordings(self) -> str:
        """Files that are there, ordered by subject and session."""
        found = self.inventory().recordings
        if not found:
            raise CheckFailedError("no recording, and no MissingCorpusError")
        keys = [(r.subject, r.session) for r in found]
        if keys != sorted(keys):
            raise CheckFailedError("they are not ordered by subject and session as numbers")
        lost = [str(p) for r in found for p in (r.path, *r.others) if not p.is_file()]
        if lost:
            raise CheckFailedError(f"{lost[0]} is no file")
        return f"{len(found)} of {len({s for s, _ in keys})} subjects"

    def trials(self) -> str:
        """Numbers are there once; signals have all channels, are finite and vary."""
        names, count = tuple(canonical(c) for c in self.adapter.channels), 0
        seen: set[tuple[int, int, int]] = set()
        for recording, signals, infos in self.read():
            for signal in signals:
                where, key = f"{recording.path.name} trial {signal.number}", signal.number
                if (recording.subject, recording.session, key) in seen:
                    raise CheckFailedError(f"{where} is there twice in its session")
                seen.add((recording.subject, recording.session, key))
                if key not in infos:
                    raise CheckFailedError(f"{where} is read, but trials() does not know it")
                if signal.data.ndim != 2 or len(signal.data) != len(names):
                    raise CheckFailedError(f"{where} has shape {signal.data.shape}, expected "
                                       f"({len(names)}, samples)")
                if signal.data.shape[1] < self.adapter.rate:
                    raise CheckFailedError(f"{where} is shorter than a second")
                check_signal(signal.data, where, names)
                count += 1
        return f"{count} in the first {len(self.read())} recordings"

    def repeats(self) -> None:
        """The same file gives the same numbers."""
        for recording, signals, _ in self.read()[:2]:
            again = self.adapter.read(recording)
            if len(again) != len(signals) or any(
                a.number != b.number or a.values != b.values or not np.array_equal(a.data, b.data)
                for a, b in zip(signals, again, strict=False)
            ):
                raise CheckFailedError(f"{recording.path.name} reads otherwise the second time")

    def order(self) -> str:
        """Ranks from 0 in a session, each once, or none at all."""
        ranks: dict[tuple[int, int], list[int | None]] = {}
        for recording, signals, infos in self.read():
            known = [infos[s.number].order for s in signals]
            ranks.setdefault((recording.subject, recording.session), []).extend(known)
        for (subject, session), known in ranks.items():
            told = [rank for rank in known if rank is not None]
            if not told:
                return "not told: calibration trials will be drawn"
            if len(told) < len(known) or len(set(told)) < len(told) or min(told) < 0:
                raise CheckFailedError(
                    f"subject {subject}, session {session}: ranks {known[:8]}... are to be numbers "
                    "from 0, each once, or None for all"
                )
        return "told"

    def labels(self) -> str:
        """Every task labels or drops each trial."""
        words = []
        for task in self.adapter.tasks:
            rule = LabelRule().of(self.adapter.name, task)
            labels = [
                task.label({**s.values, **infos[s.number].values}, rule)
                for _, signals, infos in self.read() for s in signals
            ]
            kept = {k for k in labels if k is not None}
            if not kept:
                raise CheckFailedError(f"task {task.name} drops every trial")
            words.append(f"{task.name}: {len(kept)} of {len(task.classes)} classes")
        return ", ".join(words)

    def units(self) -> str:
        """Sizes that EEG can have, the same in every recording."""
        sizes = [float(np.median([s.data.std(axis=1) for s in signals]))
                 for _, signals, _ in self.read()]
        if max(sizes) > _SPREAD * min(sizes):
            raise CheckFailedError(f"standard deviations from {min(sizes):.2g} to "
                                   f"{max(sizes):.2g}: volts and microvolts side by side?")
        middle = float(np.median(sizes))
        low, high = _MICROVOLT
        if low <= middle <= high:
            return f"microvolt: standard deviation {middle:.3g}"
        if low <= middle * 1e6 <= high:
            return f"volt, as it seems: standard deviation {middle:.2g}; microvolt is usual"
        return f"unknown, but the same in all: standard deviation {middle:.2g}"

    def declares(self) -> None:
        """What read() opens below the folder is the recording's path or among its others."""
        root = self.inventory().root.resolve()
        for recording, _, _ in self.read()[:2]:
            with _Opened() as opened:
                self.adapter.read(recording)
            known = {p.resolve() for p in (recording.path, *recording.others)}
            inside = {p.resolve() for p in opened if p.resolve().is_relative_to(root)}
            hidden = sorted(p for p in inside - known if p.name != "bench-simulated.json")
            if hidden:
                raise CheckFailedError(f"read() opens {hidden[0].name}, which is not among the "
                                   "recording's others: a change of it would not be noticed")

    def notices_changes(self) -> str:
        """Whichever file of a recording changes, the digest does, or reading refuses it."""
        try:
            load("corpora", self.adapter.name)
        except BenchError as error:
            raise CheckSkippedError("only a registered corpus can be read as a whole") from error
        copy = self._copy()
        first = self.adapter.inventory(copy).recordings[0]
        only = ReadOptions(exclude=frozenset(
            r.subject for r in self.adapter.inventory(copy).recordings
        ) - {first.subject})
        before = self._digest(copy, only)
        mine = [p for p in (first.path, *first.others) if p.is_relative_to(copy)]
        for path in mine:
            content = path.read_bytes()
            middle = len(content) // 2
            flipped = bytes([content[middle] ^ 1])
            path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
            if self._digest(copy, only) == before:
                raise CheckFailedError(f"{path.name} was changed, and the digest is the same")
            path.write_bytes(content)
        return ", ".join(dict.fromkeys(p.suffix for p in mine))

    def _digest(self, root: Path, options: ReadOptions) -> str:
        try:
            return read_corpus(self.adapter.name, root, options).digest
        except DataError as error:
            return error.message

    def _copy(self) -> Path:
        """A copy of the corpus that may be changed."""
        root = self.inventory().root
        size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
        if size > 2**31:
            raise CheckSkippedError(f"the corpus has {size / 2**30:.0f} GiB: too much to copy")
        copy = self.scratch / "copy" / root.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(root, copy)
        try:
            self.adapter.inventory(copy)
        except MissingCorpusError as error:
            raise CheckSkippedError("it is bound to its folder, and no copy is read") from error
        return copy

    def refuses(self) -> str:
        """Half a file, or none of it, is a DataError that names the file."""
        copy, refused = self._copy(), 0
        first = self.adapter.inventory(copy).recordings[0]
        content = first.path.read_bytes()
        for part in (b"", content[: len(content) // 2], b"\0" * min(len(content), 10_000)):
            first.path.write_bytes(part)
            try:
                self.adapter.trials(self.adapter.inventory(copy), first, [])
                self.adapter.read(first)
            except BenchError as error:
                refused += first.path.name in error.message
        if refused < 3:
            raise CheckFailedError("of an empty file, half a file and one of zeros, not each was a "
                               "DataError that names the file")
        return ""
