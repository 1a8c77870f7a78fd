"""Folders in the layout of BIDS-EEG: recordings, what lies beside each, events in seconds.

The layout is at https://bids-specification.readthedocs.io. Real corpora keep to it loosely: case
of names differs between a recording and its events, onsets are in milliseconds or samples, ratings
stand in ``beh/``, data are links that lead nowhere. Nothing of that is believed or passed over in
silence: what was found goes into an :class:`~.ingest.IngestReport`.

A fixed corpus uses :func:`dataset`, :meth:`BidsRecording.events`, :func:`behaviour` and
:func:`numbered`; a described folder (``bench data add``) uses the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.errors import DataError, MissingCorpusError

from . import files, recordings, tables
from .ingest import IngestReport
from .recordings import Mark

TimeUnit = Literal["s", "ms", "samples"]
#: How many subjects, files of a folder, and events of a recording there may be.
_MOST_SUBJECTS, _MOST_FILES, _MOST_EVENTS = 9999, 20_000, 200_000
_NAME = re.compile(r"(?P<entities>(?:[a-zA-Z]+-[a-zA-Z0-9+.]+_)+)(?P<suffix>[a-zA-Z0-9]+)")
#: Folders of a dataset that hold no recordings of its own.
_OTHER = ("derivatives", "sourcedata", "stimuli", "code", "phenotype")
#: Beyond the end of a recording by this share, a last onset is still within.
_SLACK = 1.02


@dataclass(frozen=True)
class BidsEvent:
    """A row of a table of events.

    Attributes
    ----------
    onset, duration : float
        Seconds from the start of the recording; a duration of 0 where none is given.
    cells : mapping of str to str
        The whole row, as written.
    """

    onset: float
    duration: float
    cells: Mapping[str, str]

    def get(self, column: str) -> str:
        """A cell; empty where there is no such column, or no value in it."""
        text = self.cells.get(column, "")
        return "" if tables.empty(text) else text


@dataclass(frozen=True)
class BidsRecording:
    """A recording and what lies beside it.

    Attributes
    ----------
    path : Path
        What is opened; may be a link that leads nowhere (see :attr:`here`).
    subject, session, task, run : str
        Labels as written, without their keys; empty where there is none.
    number, session_number : int
    events_path, channels_path : Path or None
    sidecars : tuple of Path
        JSON files that apply, those of the whole dataset first.
    behaviour : tuple of Path
        Tables of the subject's (and session's) ``beh`` folder.
    """

    path: Path
    subject: str
    session: str
    task: str
    run: str
    number: int
    session_number: int
    events_path: Path | None = None
    channels_path: Path | None = None
    sidecars: tuple[Path, ...] = ()
    behaviour: tuple[Path, ...] = ()

    @property
    def here(self) -> bool:
        """Whether the data is there, and not only a link to it."""
        return self.path.is_file()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that reading uses, the recording's own first."""
        own = recordings.files_of(self.path) if self.here else (self.path,)
        beside = [p for p in (self.events_path, self.channels_path) if p is not None]
        return (*own, *beside, *self.sidecars, *self.behaviour)

    def settings(self) -> dict[str, Any]:
        """What the JSON files say of the recording; nearer ones go before those farther away.

        Raises
        ------
        DataError
        """
        out: dict[str, Any] = {}
        for path in self.sidecars:
            out |= tables.object_of(path)
        return out

    def event_rows(self) -> list[dict[str, str]]:
        """Rows of the table of events as written, in the order of onset.

        Raises
        ------
        DataError
            No such table, or onsets that are no numbers.
        """
        if self.events_path is None:
            return []
        found = tables.rows(self.events_path)
        if found and "onset" not in found[0]:
            raise DataError(self.events_path, "a column 'onset'", ", ".join(found[0])[:80])
        for row in found:
            if tables.number(row["onset"]) is None:
                raise DataError(self.events_path, "onsets that are numbers",
                                repr(row["onset"][:20]))
        return sorted(found, key=lambda row: float(row["onset"]))

    def events(
        self, unit: TimeUnit | None = None, length: float | None = None, rate: float | None = None,
        marks: Sequence[Mark] = (),
    ) -> tuple[list[BidsEvent], TimeUnit, str]:
        """Events in seconds, the unit that they were in, and why it was taken for that.

        Parameters
        ----------
        unit : str, optional
            What onsets and durations are in; told by :func:`time_unit` if not given.
        length, rate : float, optional
            Seconds, and samples per second, of the recording; those of the JSON files if not given.
        marks : sequence of Mark, optional
            Annotations in the recording itself.

        Raises
        ------
        DataError
            No unit puts the events into the recording.
        """
        found = self.event_rows()
        said = self.settings() if length is None or rate is None else {}
        length = length if length is not None else _positive(said.get("RecordingDuration"))
        rate = rate if rate is not None else _positive(said.get("SamplingFrequency"))
        why = "given"
        if unit is None:
            times = [float(row["onset"]) for row in found]
            unit, why = time_unit(times, length, rate, [m.onset for m in marks],
                                  self.events_path or self.path)
        scale = {"s": 1.0, "ms": 1e-3, "samples": 1.0 / rate if rate else np.nan}[unit]
        if not np.isfinite(scale):
            raise DataError(self.path, "a rate, since its onsets are in samples", "none")
        events = []
        for row in found:
            lasts = tables.number(row.get("duration", "")) or 0.0
            events.append(BidsEvent(float(row["onset"]) * scale, max(0.0, lasts * scale), row))
        return events, unit, why


@dataclass(frozen=True)
class BidsDataset:
    """A dataset as it lies in a folder.

    Attributes
    ----------
    root : Path
    recordings : tuple of BidsRecording
        By numbers of subject and session, then by run and task.
    subjects, sessions : mapping of str to int
        Labels and the numbers that stand for them.
    skipped : tuple of (Path, str)
    described : mapping
        Content of ``dataset_description.json``; empty where there is none.
    """

    root: Path
    recordings: tuple[BidsRecording, ...]
    subjects: Mapping[str, int]
    sessions: Mapping[str, int]
    skipped: tuple[tuple[Path, str], ...] = ()
    described: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without_data(self) -> list[str]:
        """Labels of subjects of whom there is a folder and no recording."""
        there = {r.subject for r in self.recordings}
        return [label for label in self.subjects if label not in there]


def is_dataset(root: Path) -> bool:
    """Whether a folder looks like a dataset of BIDS."""
    return (root / "dataset_description.json").is_file() or any(
        p.is_dir() and p.name.startswith("sub-") for p in files.entries(root)[:_MOST_FILES]
    )


def dataset(
    root: Path, numbers: Mapping[str, int] | None = None, task: str | None = None,
    report: IngestReport | None = None,
) -> BidsDataset:
    """List the recordings of a dataset, each with what lies beside it.

    Parameters
    ----------
    root : Path
        The dataset's folder.
    numbers : mapping of str to int, optional
        Numbers of subjects by label; else see :func:`numbered`.
    task : str, optional
        Only recordings of this task.
    report : IngestReport, optional
        Is told of what is odd.

    Raises
    ------
    MissingCorpusError
        No folder of a subject, or no recording in any.
    DataError
        Too much of it.
    """
    root, report = root.resolve(), report or IngestReport()
    people = [p for p in files.subfolders(root, root) if p.name.startswith("sub-")]
    if not people:
        raise MissingCorpusError(f"{root} holds no folder sub-*, as a BIDS dataset does")
    if len(people) > _MOST_SUBJECTS:
        raise DataError(root, f"{_MOST_SUBJECTS} subjects at most", f"{len(people)}")
    labels = [p.name.removeprefix("sub-") for p in people]
    subjects = dict(numbers) if numbers is not None else numbered(labels)
    skipped: files.Skipped = []
    found: list[tuple[Path, dict[str, str], list[Path]]] = []
    for folder in people:
        if folder.name.removeprefix("sub-") not in subjects:
            skipped.append((folder, "a subject without a number"))
            continue
        inner = files.subfolders(folder, root)
        visits = [folder, *(p for p in inner if p.name.startswith("ses-"))]
        for place in (v / "eeg" for v in visits if (v / "eeg").is_dir()):
            there = [p for p in files.entries(place) if not p.name.startswith(".")]
            if len(there) > _MOST_FILES:
                raise DataError(place, f"{_MOST_FILES} files at most", f"{len(there)}")
            for path in there:
                named = entities(path)
                if named is None or named.get("suffix") != "eeg" \
                        or path.suffix.lower() not in recordings.SUFFIXES:
                    continue
                if task is not None and named.get("task", "").lower() != task.lower():
                    continue
                found.append((path, named, there))
    if not found:
        raise MissingCorpusError(
            f"{root} holds no recording *_eeg with one of {', '.join(recordings.SUFFIXES)}")
    sessions = numbered(sorted({n.get("ses", "") for _, n, _ in found} - {""})) or {"": 1}
    shared = [p for p in files.entries(root) if p.suffix.lower() in (".tsv", ".json")]
    out = [_recording(path, named, there, shared=shared, root=root, subjects=subjects,
                      sessions=sessions, report=report)
           for path, named, there in found]
    out.sort(key=lambda r: (r.number, r.session_number, natural(r.run), natural(r.task),
                            r.path.name))
    described = root / "dataset_description.json"
    return BidsDataset(root, tuple(out), {label: subjects[label] for label in labels
                                          if label in subjects}, sessions, tuple(skipped),
                       tables.object_of(described) if described.is_file() else {})


def entities(path: Path) -> dict[str, str] | None:
    """Keys and values in a name, with its suffix; None for a name of another make.

    Examples
    --------
    >>> entities(Path("sub-01_task-rest_run-2_eeg.edf"))
    {'sub': '01', 'task': 'rest', 'run': '2', 'suffix': 'eeg'}
    """
    match = _NAME.fullmatch(path.name.partition(".")[0])
    if match is None:
        return None
    pairs = [part.partition("-") for part in match["entities"].strip("_").split("_")]
    return {**{key.lower(): value for key, _, value in pairs}, "suffix": match["suffix"]}


def _recording(
    path: Path, named: Mapping[str, str], there: Sequence[Path], *, shared: Sequence[Path],
    root: Path, subjects: Mapping[str, int], sessions: Mapping[str, int], report: IngestReport,
) -> BidsRecording:
    """A recording, with the sidecars that apply to it: no entity of theirs says otherwise."""
    label = path.parent.parent.name.removeprefix("sub-") if path.parent.parent.parent == root \
        else path.parent.parent.parent.name.removeprefix("sub-")
    if named.get("sub", "").lower() != label.lower():
        raise DataError(path, f"a name that begins with sub-{label}, as its folder",
                        f"sub-{named.get('sub', '')}")
    between = [] if path.parent.parent.parent == root else files.entries(path.parent.parent.parent)
    around = [*shared, *(p for p in between if p.is_file()),
              *(p for p in files.entries(path.parent.parent) if p.is_file()), *there]
    mine = {k: v.lower() for k, v in named.items() if k != "suffix"}

    def applying(suffix: str, kind: str) -> list[Path]:
        out = []
        for other in around:
            theirs = entities(other) or (
                {"suffix": other.stem} if other.parent == root else None)
            if theirs is None or theirs["suffix"] != suffix or other.suffix.lower() != kind:
                continue
            if all(mine.get(k) == v.lower() for k, v in theirs.items() if k != "suffix"):
                out.append(other)
        return out

    events = applying("events", ".tsv")
    channels = applying("channels", ".tsv")
    for other in (*events, *applying("eeg", ".json")):
        theirs = entities(other) or {}
        if any(named.get(k, v) != v for k, v in theirs.items() if k not in ("suffix",)):
            report.at("doubt", "names", "the case of a recording's name differs from that of what "
                      f"lies beside it ({_varying(named, theirs)}); they were matched all the same",
                      path)
    visit = path.parent.parent
    beside = [p for p in files.entries(visit / "beh")
              if p.suffix.lower() == ".tsv" and not p.name.startswith(".")]
    return BidsRecording(
        path, label, named.get("ses", ""), named.get("task", ""), named.get("run", ""),
        subjects[label], sessions.get(named.get("ses", ""), 1),
        events[-1] if events else None, channels[-1] if channels else None,
        tuple(applying("eeg", ".json")), tuple(beside),
    )


def _varying(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    return ", ".join(f"{k}-{a[k]} and {k}-{v}" for k, v in b.items()
                     if k != "suffix" and k in a and a[k] != v)


def numbered(labels: Iterable[str]) -> dict[str, int]:
    """Numbers of labels: their own where all end in another number after the same word, else 1 on.

    Examples
    --------
    >>> numbered(["01", "10", "2"])
    {'01': 1, '2': 2, '10': 10}
    >>> numbered(["mit003", "mitb2017007"])
    {'mit003': 1, 'mitb2017007': 2}
    """
    known = sorted(set(labels), key=natural)
    parts = [re.fullmatch(r"(\D*)(\d{1,4})", label) for label in known]
    if all(parts) and len({p[1].lower() for p in parts if p}) <= 1:
        own = {label: int(p[2]) for label, p in zip(known, parts, strict=True) if p}
        if len(set(own.values())) == len(own):
            return own
    return {label: i + 1 for i, label in enumerate(known)}


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Key that sorts numbers in a text as numbers: ``S2`` before ``S10``."""
    return tuple((0, int(part)) if part.isdecimal() and len(part) < 19 else (1, part.lower())
                 for part in re.split(r"(\d+)", text) if part)


def time_unit(
    onsets: Sequence[float], length: float | None, rate: float | None,
    own: Sequence[float] = (), where: Path | str = "events",
) -> tuple[TimeUnit, str]:
    """Unit of onsets, and what speaks for it.

    BIDS has seconds. Where these lie beyond the end of the recording, the recording's own
    annotations decide; without any, of milliseconds and samples the one by which the events reach
    farther into the recording, since nobody records on for long after the last event.

    Raises
    ------
    DataError
        No unit puts the events into the recording.

    Examples
    --------
    >>> time_unit([3.0, 250.5], 300.0, 250.0)[0], time_unit([1000, 60_000], 80.0, 250.0)[0]
    ('s', 'ms')
    >>> time_unit([123_630.9, 501_994.0], 2696.4, 250.0)[0]
    'samples'
    """
    if not onsets:
        return "s", "there are no events"
    last = max(onsets)
    if length is None or last <= length * _SLACK:
        return "s", ("as BIDS has it" if length is None else
                     f"the last, at {last:g}, is within the recording's {length:g} s")
    scales: dict[TimeUnit, float] = {"ms": 1e-3}
    if rate:
        scales["samples"] = 1.0 / rate
    fits = {unit: last * scale for unit, scale in scales.items() if last * scale <= length * _SLACK}
    if not fits:
        raise DataError(where, f"events within the recording's {length:g} s",
                        f"one at {last:g}, which is beyond it in s, in ms and in samples")
    if len(own) == len(onsets) and len(own) > 1:
        wide, true = np.ptp(onsets), np.ptp(own)
        for unit, scale in scales.items():
            if unit in fits and abs(wide * scale - true) <= 0.01 * true:
                return unit, "in this unit they lie where the recording's own annotations do"
    shares = ", ".join(f"{unit} {end / length:.0%}" for unit, end in fits.items())
    chosen = max(fits, key=lambda unit: fits[unit])
    return chosen, (f"as seconds the last, at {last:g}, is beyond the recording's {length:g} s; "
                    f"events reach over this share of it: {shares}")


def behaviour(recording: BidsRecording) -> list[dict[str, str]]:
    """Rows of the subject's tables in ``beh/``, those of one file after the other.

    Raises
    ------
    DataError
    """
    return [row for path in recording.behaviour for row in tables.rows(path)]


def channels_of(recording: BidsRecording) -> list[tuple[str, str, str, bool]]:
    """Name, type, unit of each channel, and whether it is good, as ``*_channels.tsv`` says.

    Raises
    ------
    DataError
    """
    if recording.channels_path is None:
        return []
    found = tables.rows(recording.channels_path)
    if found and "name" not in found[0]:
        raise DataError(recording.channels_path, "a column 'name'", ", ".join(found[0])[:80])
    return [(row["name"], row.get("type", "").upper(), row.get("units", ""),
             row.get("status", "").lower() != "bad") for row in found]


def levels(recording: BidsRecording) -> dict[str, str]:
    """What ``*_events.json`` says of codes: ``{"257": "artifact:EOG ..."}``.

    Levels of a column are flattened; a file whose keys are the codes themselves is read, too.

    Raises
    ------
    DataError
    """
    if recording.events_path is None:
        return {}
    path = recording.events_path.with_suffix(".json")
    if not path.is_file():
        return {}
    out: dict[str, str] = {}
    for key, said in tables.object_of(path).items():
        if not isinstance(said, dict):
            continue
        inner = said.get("Levels")
        if isinstance(inner, dict):
            out |= {str(k): str(v) for k, v in inner.items()}
        elif re.fullmatch(r"\d+(-\d+)?", key):
            out[key] = str(said.get("Description") or said.get("LongName") or "")
    return out


def _positive(value: Any) -> float | None:
    """A number above 0 that JSON gives, as a number or as text."""
    number = tables.number(str(value)) if isinstance(value, int | float | str) else None
    return number if number is not None and number > 0 else None
