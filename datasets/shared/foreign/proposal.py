"""What a folder seems to hold: a description of it, and a report of what was taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.errors import SettingError

from .. import bids
from ..ingest import IngestReport
from . import look_arrays, look_bids, look_recordings
from .description import Description, Make, TrialsPart, toml_of
from .look import Draft, Folder, class_name
from .sources import ENDINGS, SourceFile, below, by_session, source_files

#: Samples a second below which the highest bands are lost.
_FEW_RATE = 100
_ORDER: tuple[tuple[Make, str], ...] = (
    ("recordings", "continuous recordings"), ("npz", "NumPy files"), ("mat", "MATLAB files"),
    ("csv", "tables"),
)


@dataclass(frozen=True)
class Proposal:
    """A description, and what led to it.

    Attributes
    ----------
    description : Description
    report : IngestReport
    toml : str
    root : Path
    comments : mapping of str to str
    subjects, sessions, files : int
    trials : Counter of str
        Of each class.
    """

    description: Description
    report: IngestReport
    toml: str
    root: Path
    comments: Mapping[str, str]
    subjects: int
    sessions: int
    files: int
    trials: Counter[str]

    def for_file(self, path: Path) -> str:
        """The TOML as it is written to a file: one outside the folder says where that is."""
        if path.resolve().parent == self.root:
            return self.toml
        return toml_of(self.description.model_copy(update={"folder": str(self.root)}),
                       self.comments)


def propose(folder: Folder) -> Proposal:
    """Look at a folder.

    Raises
    ------
    SettingError
        Something cannot be told and must be given: says which option.
    DataError
        A file cannot be read.
    MissingCorpusError
        Nothing is there.
    """
    if not folder.path.is_dir():
        raise SettingError(f"{folder.path} is no folder", "Give the folder that holds the files.")
    draft = Draft(folder, folder.report)
    make = folder.make or _make_of(folder.path, draft.report)
    draft.values = {"name": folder.name, "make": make}
    looks = {"bids": look_bids.look, "recordings": look_recordings.look,
             "npz": look_arrays.npz, "mat": look_arrays.mat, "csv": look_arrays.csv}
    if make not in looks:
        raise SettingError(f"{make!r} is no make of folder", f"Makes are {', '.join(looks)}.")
    looks[make](draft)
    _classes(draft)
    if folder.cut or folder.length:
        trials = draft.values.get("trials", TrialsPart())
        changes = {"cut": folder.cut or trials.cut, "length": folder.length or trials.length}
        draft.values["trials"] = trials.model_copy(update=changes)
    try:
        description = Description.model_validate({
            key: value.model_dump() if isinstance(value, BaseModel) else value
            for key, value in draft.values.items()
        })
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise SettingError(
            f"{folder.path}: {first['msg'].removeprefix('Value error, ')}"
            + (f" (key {key})" if key else ""),
            "See docs/own-data.md for what can be given.") from error
    return _finished(description, draft)


def _make_of(path: Path, report: IngestReport) -> str:
    """What kind of folder it is: BIDS, else the kind of most of its files."""
    if bids.is_dataset(path):
        report.took("files", "a BIDS dataset: folders sub-*, or dataset_description.json")
        return "bids"
    counts = {make: len(below(path.resolve(), ENDINGS[make])) for make, _ in _ORDER}
    for make, words in _ORDER:
        if counts[make]:
            others = [f"{counts[m]} {w}" for m, w in _ORDER if m != make and counts[m]]
            report.took("files", f"{counts[make]} {words}")
            if others:
                report.skipped("files", f"{' and '.join(others)} beside them; --make says "
                               "otherwise")
            return make
    endings = ", ".join(dict.fromkeys(e for make, _ in _ORDER for e in ENDINGS[make]))
    raise SettingError(f"{path} holds no file that can be read: none ends in {endings}",
                       "Other formats: bench new corpus NAME, or bench.from_signals in Python.")


def _classes(draft: Draft) -> None:
    """Texts that are classes: as given, else all that were found.

    Raises
    ------
    SettingError
        A text that is given is nowhere in the folder.
    """
    given = draft.folder.classes
    if given:
        table: dict[str, str] = {}
        for item in given:
            text, equals, name = item.partition("=")
            table[text.strip()] = (name if equals else text).strip()
        wrong = [t for t in table if draft.texts and t not in draft.texts]
        if wrong:
            raise SettingError(
                f"{', '.join(map(repr, wrong))} is nowhere in {draft.folder.path}",
                f"There: {', '.join(f'{t} ({n})' for t, n in draft.texts.most_common(12))}")
        draft.values["classes"] = table
        left = [t for t in draft.texts if t not in table]
        if left:
            draft.report.skipped("classes", f"{', '.join(left[:12])}: not among those given")
    elif "classes" not in draft.values and draft.texts and not draft.folder.ratings:
        draft.values["classes"] = {t: class_name(t) for t in draft.texts}
    if draft.values.get("classes"):
        shown = ", ".join(t if t == c else f"{t} = {c}"
                          for t, c in draft.values["classes"].items())
        draft.report.took("classes", shown)


def _finished(description: Description, draft: Draft) -> Proposal:
    """A proposal whose files are found by its description, and counted."""
    report, root = draft.report, draft.folder.path.resolve()
    description = _with_order(description, root)
    found, skipped = source_files(root, description, report)
    for path, why in skipped[:8]:
        report.skipped("files", f"{path.relative_to(root).as_posix()}: {why}")
    if len(skipped) > 8:
        report.skipped("files", f"{len(skipped) - 8} more")
    sessions = by_session(found)
    several = [k for k, members in sessions.items() if len({m.path for m in members}) > 1]
    if several:
        report.took("sessions", f"{len(several)} of {len(sessions)} sessions are in several files, "
                    "which are one session each, with trials numbered on")
    trials = _count(description, found, draft)
    few = {c: n for c, n in trials.items() if n <= len(sessions)}
    if few and not description.trials.cut:
        names_ = ", ".join(few)
        report.doubt("trials", f"{names_}: about one trial a subject and session. Few-shot and "
                     "within need two: --cut 20 makes pieces of 20 s, which are marked as such in "
                     "every table, since they measure the recording as much as the class")
    if description.trials.cut:
        report.doubt("trials", f"pieces of {description.trials.cut:g} s of longer recordings stand "
                     "for trials; every table will say so")
    if description.rate < _FEW_RATE:
        report.doubt("rate", f"{description.rate:g} samples a second hold nothing above "
                     f"{description.rate / 2:g} Hz: the bands go to 50 Hz")
    comments = _comments(draft)
    toml = toml_of(description, comments)
    return Proposal(description, report, toml, root, comments, len({s for s, _ in sessions}),
                    len(sessions), len(found), trials)


def _with_order(description: Description, root: Path) -> Description:
    """A description that says whether the order of presentation is known, and numbers of names."""
    pattern = description.pattern
    told = description.trials.source != "file" or bool(description.trials.cut) or (
        pattern is not None and any(kind in ("run", "trial") for kind, _ in pattern.tokens))
    changes: dict[str, Any] = {
        "trials": description.trials.model_copy(update={"order": told})}
    found, _ = source_files(root, description)
    if told and pattern is not None and description.trials.source == "file" \
            and not description.trials.cut:
        for members in by_session(found).values():
            ranks = [(f.get("run"), f.get("trial")) for m in members
                     if (f := pattern.match(m.path.relative_to(root).as_posix()))]
            if len(set(ranks)) < len(ranks):  # numbered within each class
                changes["trials"] = description.trials
    return description.model_copy(update=changes)


def _count(description: Description, found: Sequence[SourceFile], draft: Draft) -> Counter[str]:
    """Trials of each class in all files, read where that is cheap, else reckoned from texts."""
    if draft.texts:
        out: Counter[str] = Counter()
        for text, name in description.classes.items():
            out[name] += draft.texts[text]
        return out
    return Counter(description.classes.get(s.label, "") for s in found if s.label)


def _comments(draft: Draft) -> Mapping[str, str]:
    doubts = [f"look at: {r.what}: {r.text}" for r in draft.report.doubts()]
    head = ["What `bench data add` took this folder for; edit it freely.",
            "Keys: docs/own-data.md. A change here makes other data of it, and other records."]
    return {
        "": "\n".join([*head, *doubts]),
        "files": "Pattern of file names; * is anything.",
        "unit": "Of the numbers as they are read: V, mV, uV, or \"by size\" of each recording.",
        "classes": "TEXT = \"CLASS\", in the order of the classes; a line less is a class less.",
        "subjects": "Numbers of subjects whose names are none.",
        "trials": "What a trial is.",
    }
