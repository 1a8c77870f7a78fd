"""Files of a described folder, by subject and session, and the trials in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError, MissingCorpusError

from .. import bids, files
from ..ingest import IngestReport
from ..recordings import SUFFIXES, files_of, open_recording
from . import arrays
from .arrays import StoredTrial
from .description import Description
from .trials import TrialCut, cut_trials, in_pieces, occurrences, rated

#: Endings of the files of each make.
ENDINGS = {"recordings": SUFFIXES, "bids": SUFFIXES, "npz": (".npz",), "mat": (".mat",),
           "csv": (".csv", ".tsv", ".txt")}
#: Folder levels and files below a folder that are looked at.
_DEPTH, _MOST_FILES = 5, 50_000


@dataclass(frozen=True)
class SourceFile:
    """A file of trials.

    Attributes
    ----------
    path : Path
    subject, session : int
    label : str
        Class that its name says; empty where it says none.
    recording : BidsRecording or None
    who : (str, str)
        Of a file of several subjects and sessions: whose trials are meant, as the file says it.
    """

    path: Path
    subject: int
    session: int
    label: str = ""
    recording: bids.BidsRecording | None = None
    who: tuple[str, str] = ("", "")

    def all_files(self) -> tuple[Path, ...]:
        """Every file that reading it uses, itself first."""
        if self.recording is not None:
            return self.recording.files
        return files_of(self.path) if self.path.suffix.lower() in SUFFIXES else (self.path,)


def below(root: Path, endings: Sequence[str]) -> list[Path]:
    """Files below a folder with one of the endings, in natural order; no hidden ones, no links out.

    Raises
    ------
    DataError
        Too many.
    """
    def walk(folder: Path, depth: int) -> Iterator[Path]:
        for path in files.entries(folder):
            if path.name.startswith(".") or path.name == "__MACOSX":
                continue
            if path.is_dir():
                if depth and files.inside(path, root):
                    yield from walk(path, depth - 1)
            elif path.suffix.lower() in endings:
                yield path

    found = list(islice(walk(root, _DEPTH), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise DataError(root, f"{_MOST_FILES} files at most", "more")
    return sorted(found, key=lambda p: bids.natural(p.relative_to(root).as_posix()))


def source_files(
    root: Path, description: Description, report: IngestReport | None = None
) -> tuple[list[SourceFile], files.Skipped]:
    """Files of trials, by subject and session, and those that were passed over.

    Raises
    ------
    MissingCorpusError
        There is none.
    DataError
        A subject or session has no number.
    """
    if description.make == "bids":
        return _of_bids(root, description, report or IngestReport())
    pattern = description.pattern
    assert pattern is not None  # the description says so
    found: list[tuple[Path, dict[str, str]]] = []
    skipped: files.Skipped = []
    for path in below(root, ENDINGS[description.make]):
        name = path.relative_to(root).as_posix()
        fields = pattern.match(name)
        if fields is None:
            skipped.append((path, f"its name is not {description.files}"))
        elif not files.inside(path, root) or not path.is_file():
            skipped.append((path, "a link that leads nowhere, or out of the folder"))
        elif path.stat().st_size == 0:
            skipped.append((path, "an empty file"))
        elif fields.get("class") and description.trials.source == "file" and \
                description.classes and fields["class"] not in description.classes:
            skipped.append((path, f"{fields['class']} is not among its classes"))
        else:
            found.append((path, fields))
    if not found:
        over = "; ".join(f"{p.name}: {why}" for p, why in skipped[:3])
        raise MissingCorpusError(
            f"{root} holds no file named {description.files} that can be read, as "
            f"{description.name} asks for" + (f" (passed over: {over})" if over else ""),
            "Look at the key 'files' of its TOML.",
        )
    parts = [(path, fields, *who) for path, fields in found
             for who in _people(path, description, fields)]
    subjects = _numbers(description, "subjects", [p[2] for p in parts])
    sessions = _numbers(description, "sessions", [p[3] for p in parts])

    def place(part: tuple[Path, Mapping[str, str], str, str]) -> tuple[Any, ...]:
        path, fields, subject, session = part
        return (subjects[subject], sessions[session],
                *(bids.natural(fields.get(n, "")) for n in ("run", "trial")),
                bids.natural(path.relative_to(root).as_posix()))

    return [
        SourceFile(path, subjects[subject], sessions[session], fields.get("class", ""),
                   who=(subject, session))
        for path, fields, subject, session in sorted(parts, key=place)
    ], skipped


def _people(
    path: Path, description: Description, fields: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Subjects and sessions that are in a file: as it says itself, or else as its name does."""
    keys = description.keys
    if description.make != "npz" or not (keys.subject or keys.session):
        return [(fields.get("subject", ""), fields.get("session", ""))]
    stored = arrays.npz_arrays(path, [k for k in (keys.subject, keys.session) if k])
    if not stored:
        raise DataError(path, f"an array {keys.subject or keys.session!r}", "none of that name")
    said = {k: arrays.texts(v, f"{path} {k}") for k, v in stored.items()}
    count = max(map(len, said.values()))

    def column(key: str, other: str) -> list[str]:
        values = said.get(key, [fields.get(other, "")])
        return values * count if len(values) == 1 else values

    pairs = zip(column(keys.subject, "subject"), column(keys.session, "session"), strict=False)
    return list(dict.fromkeys(pairs))


def _numbers(description: Description, table: str, labels: Sequence[str]) -> dict[str, int]:
    """Number of each label: of the description's table, else as :func:`bids.numbered` has it."""
    known: Mapping[str, int] = getattr(description, table)
    if known:
        lost = sorted({v for v in labels if v and v not in known}, key=bids.natural)
        if lost:
            raise DataError(f"{description.name}, [{table}]", "a number for each name",
                            f"none for {', '.join(lost[:5])}", "Add it to the TOML.")
        return {"": 1, **known}
    return {"": 1, **bids.numbered(v for v in labels if v)}


def _of_bids(
    root: Path, description: Description, report: IngestReport
) -> tuple[list[SourceFile], files.Skipped]:
    found = bids.dataset(root, description.subjects or None, description.task or None, report)
    out, skipped = [], list(found.skipped)
    for recording in found.recordings:
        if not recording.here:
            skipped.append((recording.path, "a link to data that has not been fetched"))
            continue
        session = description.sessions.get(recording.session, recording.session_number)
        out.append(SourceFile(recording.path, recording.number, session, recording=recording))
    skipped += [(root / f"sub-{label}", "a subject without a recording")
                for label in found.without_data]
    if not out:
        raise MissingCorpusError(
            f"{root} holds no recording of {description.name} that is there: all are links to data "
            "that has not been fetched", "Fetch it, for instance with: datalad get .")
    return out, skipped


def trials_of(source: SourceFile, description: Description) -> list[StoredTrial]:
    """Trials of a file, in the order in which they stand there, those of no class left out.

    Raises
    ------
    DataError
    """
    if description.make in arrays.READERS:
        stored = arrays.READERS[description.make](source.path, description)
        # A trial that says no class itself has that of its file's name.
        stored = [replace(t, label=t.label or source.label) for t in stored if _meant(t, source)]
        wanted = [t for t in stored if _counts(t.label, t.values, description)]
        return [piece for t in wanted for piece in _array_pieces(t, description)]
    opened = open_recording(source.path)
    if description.trials.source == "file":
        cuts = [TrialCut(description.trials.skip, opened.seconds, source.label)]
    else:
        events = occurrences(opened, source.recording, description.trials)
        cuts = cut_trials(events, opened.seconds, description)
    if description.ratings and source.recording is not None:
        cuts = rated(cuts, bids.behaviour(source.recording), description)
    out = []
    for cut in cuts:
        if not _counts(cut.label, cut.values, description):
            continue
        for piece in in_pieces(cut, description.trials.cut):
            data = opened.cut(description.channels, piece.start, piece.stop, description.rate,
                              description.unit)
            out.append(StoredTrial(data, piece.label, values=dict(piece.values)))
    return out


def _meant(trial: StoredTrial, source: SourceFile) -> bool:
    """Whether a trial is of the subject and session that a part of a file stands for."""
    return all(not said or said == meant
               for said, meant in zip((trial.subject, trial.session), source.who, strict=True))


def _counts(label: str, values: Mapping[str, float], description: Description) -> bool:
    """Whether a trial has a class, or a rating that a task goes by."""
    return label in description.classes or any(
        r.column in values for r in description.ratings.values())


def _array_pieces(trial: StoredTrial, description: Description) -> list[StoredTrial]:
    """Pieces of a stored trial, in the unit that signals are handed on in."""
    factor = {"V": 1e6, "mV": 1e3}.get(description.unit, 1.0)
    if description.unit == "by size":
        spread = float(np.median(trial.data.std(axis=1)))
        factor = 1e6 if spread < 1e-3 else 1.0
    seconds = trial.data.shape[1] / description.rate
    skip = round(description.trials.skip * description.rate)
    out = []
    for cut in in_pieces(TrialCut(description.trials.skip, seconds, trial.label),
                         description.trials.cut):
        start = max(skip, round(cut.start * description.rate))
        part = trial.data[:, start : round(cut.stop * description.rate)] * factor
        if part.shape[1] >= description.rate:
            out.append(replace(trial, data=part))
    return out


def by_session(found: Sequence[SourceFile]) -> dict[tuple[int, int], list[SourceFile]]:
    """Files of each subject and session, in order."""
    out: dict[tuple[int, int], list[SourceFile]] = defaultdict(list)
    for source in found:
        out[source.subject, source.session].append(source)
    return dict(out)
