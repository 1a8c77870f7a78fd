"""BIDS-EEG folders: what their sidecars say, what in them is odd, and which events are trials."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.channels import ALIASES
from bench.errors import BenchError, DataError

from .. import bids, files, tables
from ..ingest import IngestReport
from ..recordings import Continuous
from .description import TrialsPart
from .look import Draft, agree, numbers_of, openings, ratings, sampled
from .look_recordings import _ENDS, _NOISE, MOST_CLASSES, stimuli
from .trials import SHORTEST_S

#: Codes of the General Data Format that mark artefacts, which its users carry into tables.
ARTEFACTS = {"257": "EOG", "258": "ECG", "259": "EMG", "260": "movement",
             "261": "a failing electrode", "262": "sweat", "263": "mains", "264": "breathing",
             "265": "pulse"}
_LICENCES = {
    "CC0": r"\bCC0\b|creative commons zero|public domain dedication", "CC BY-NC": r"CC[ -]BY[ -]NC",
    "CC BY-SA": r"CC[ -]BY[ -]SA",
    "CC BY": r"CC[ -]BY(?![ -](NC|SA|ND))|creative commons attribution",
    "ODbL": r"\bODbL\b|open database licen[sc]e", "PDDL": r"\bPDDL\b", "ODC-By": r"\bODC[ -]By\b",
}
#: Lengths of stimuli as texts give them.
_LENGTHS = re.compile(
    r"(?:clip|stimul\w*|excerpt|video|film|music|trial)[^.\n]{0,60}?"
    r"\b(\d{1,3}(?:\.\d+)?) ?s(?:ec\w*)?\b"
    r"|\b(\d{1,3}(?:\.\d+)?) ?s(?:ec\w*)?\b[^.\n]{0,40}?(?:clip|stimul\w*|excerpt|video|film)",
    re.IGNORECASE)
_COLUMNS = ("trial_type", "stim_type", "condition", "stimulus", "stim_file", "event_type", "label",
            "value")
_LONGEST_TEXT = 1 << 20


def look(draft: Draft) -> None:
    """Fill in what a BIDS dataset seems to hold.

    Raises
    ------
    SettingError, DataError, MissingCorpusError
    """
    root, report = draft.folder.path.resolve(), draft.report
    found = bids.dataset(root, report=report)
    draft.values["subjects"] = numbers_of(list(found.subjects))
    draft.values["sessions"] = numbers_of([s for s in found.sessions if s])
    draft.values["title"] = str(found.described.get("Name", ""))[:200]
    here = [r for r in found.recordings if r.here]
    looked = sampled(here)
    opened = {r.path: o for r in looked for o in openings_of(draft, r)}
    oddities(found, report, opened)
    if not here:
        raise draft.lacks(
            "what its recordings hold: all are links to data that has not been fetched",
            "fetch it, for instance with: datalad get .")
    if not opened:
        openings(draft, [here[0].path])  # says what is wrong with it
    agree(draft, list(opened.values()))
    tabled = [r for r in here if r.events_path is not None]
    if tabled:
        _of_tables(draft, tabled, opened)
    else:
        kinds = stimuli(draft, {
            r.path.name: [(m.text, m.duration) for m in opened[r.path].marks]
            for r in looked if r.path in opened})
        report.doubt("events", "no table of events (*_events.tsv): the recordings' own annotations "
                     f"are all there is, {sum(kinds.values())} that may be stimuli"
                     + _tables_in_readme(root))
        many = len(kinds) > MOST_CLASSES or draft.varying
        if not kinds or (many and not draft.folder.classes):
            shown = ", ".join(f"{t} ({n})" for t, n in kinds.most_common(20))
            raise draft.lacks(f"which annotations are classes: {shown or 'there are none'}",
                              "--classes TEXT=CLASS,TEXT=CLASS")
        draft.texts = kinds
        trials = draft.values.get("trials", TrialsPart())
        draft.values["trials"] = trials.model_copy(update={
            "source": "events", "ends": [*trials.ends, *draft.folder.ends]})
    rows = [row for r in here for row in bids.behaviour(r)]
    there = defaultdict(list)
    for row in rows:
        for column, text in row.items():
            if (value := tables.number(text)) is not None:
                there[column].append(value)
    ratings(draft, there, _clip_column(rows, draft))


def openings_of(draft: Draft, recording: bids.BidsRecording) -> list[Continuous]:
    """A recording opened, or nothing where it cannot be, which the report then says."""
    try:
        return openings(draft, [recording.path])
    except DataError:
        return []


def oddities(
    found: bids.BidsDataset, report: IngestReport, opened: Mapping[Path, Continuous] | None = None
) -> None:
    """Tell all that a reader who believes sidecars would take wrongly.

    Parameters
    ----------
    opened : mapping of Path to Continuous
        Recordings that are there, by path; what they say is held against the sidecars.
    """
    opened = opened or {}
    _of_folder(found, report)
    _of_files(found, report, opened)
    _of_events(found, report, opened)
    _of_behaviour(found, report)


def _of_folder(found: bids.BidsDataset, report: IngestReport) -> None:
    """Licences and lengths that texts say differently."""
    said: dict[str, list[str]] = defaultdict(list)
    lengths: list[str] = []
    licence = str(found.described.get("License", "")).strip()
    if licence:
        for name in _named_licences(licence) or [licence[:60]]:
            said[name].append("dataset_description.json")
    for path, text in _texts(found.root, "readme", "license", "licence"):
        for name in _named_licences(text):
            said[name].append(path.name)
        lengths += [a or b for a, b in _LENGTHS.findall(text)]
    if len(said) > 1:
        report.doubt("licence", "not one: " + "; ".join(
            f"{name} ({', '.join(dict.fromkeys(where))})" for name, where in said.items()))
    elif said:
        report.took("licence", next(iter(said)))
    if len(set(lengths)) > 1:
        named = ", ".join(f"{v} s" for v in sorted(set(lengths), key=float))
        report.doubt("times", f"texts give several lengths of stimuli: {named}")
    if found.without_data:
        shown = ", ".join(f"sub-{s}" for s in found.without_data[:6])
        report.doubt("files", f"{shown}: a folder, and no recording in it")
    others = [n for n in ("derivatives", "sourcedata") if (found.root / n).is_dir()]
    if others:
        report.skipped("files", f"{', '.join(others)}: made from the recordings, and not read "
                       "(their trials may stand in another order)")


def _named_licences(text: str) -> list[str]:
    return [name for name, pattern in _LICENCES.items() if re.search(pattern, text, re.IGNORECASE)]


def _of_files(
    found: bids.BidsDataset, report: IngestReport, opened: Mapping[Path, Continuous]
) -> None:
    """Rates, channels and links of recordings."""
    gone = [r for r in found.recordings if not r.here]
    if gone:
        report.skipped("files", f"{len(gone)} of {len(found.recordings)} recordings are links to "
                       "data that has not been fetched")
    old: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for recording in found.recordings:
        listed = bids.channels_of(recording)
        old.update(n for n, *_ in listed if n.upper() in ALIASES)
        kinds.update(kind for _, kind, *_ in listed if kind and kind != "EEG")
        bad = [n for n, _, _, good in listed if not good]
        if bad:
            report.at("doubt", "channels", f"{', '.join(bad[:6])}: marked bad, and read all the "
                      "same", recording.path)
        own = opened.get(recording.path)
        said = tables.number(str(recording.settings().get("SamplingFrequency", "")))
        if own is not None and said is not None and abs(said - own.rate) > 0.01 * own.rate:
            report.at("doubt", "rate", f"the sidecar says {said:g} samples a second, the recording "
                      f"{own.rate:g}, which is believed", recording.path)
    if old:
        names = ", ".join(f"{n} is {ALIASES[n.upper()]}" for n in old)
        report.took("channels", f"old names of electrodes: {names}")
    if kinds:
        report.skipped("channels", "no EEG: " + ", ".join(kinds))
    runs: dict[tuple[int, int], set[str]] = defaultdict(set)
    for recording in found.recordings:
        runs[recording.number, recording.session_number].add(recording.path.name)
    several = sum(len(names) > 1 for names in runs.values())
    if several:
        report.took("sessions", f"{several} sessions are in several recordings (runs): one session")


def _of_events(
    found: bids.BidsDataset, report: IngestReport, opened: Mapping[Path, Continuous]
) -> None:
    """Units of times, constant durations, bare numbers, artefact codes, what no row says."""
    units: Counter[str] = Counter()
    why = ""
    columns: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    told: dict[str, str] = {}
    lasts: Counter[float] = Counter()
    overlapping = 0
    short: list[str] = []
    tabled = [r for r in found.recordings if r.events_path is not None]
    for recording in tabled:
        own = opened.get(recording.path)
        try:
            rows = recording.event_rows()
            known = (None, own.seconds, own.rate, own.marks) if own else ()
            _, unit, reason = recording.events(*known)
        except DataError as error:
            report.doubt("events", error.message)
            continue
        units[unit] += 1
        why = reason if unit != "s" else why
        told |= bids.levels(recording)
        columns.update(c for row in rows[:1] for c in row)
        if len(rows) <= 2:
            short.append(recording.path.name)
        codes.update(row.get("trial_type", "") for row in rows)
        spans = [(float(row["onset"]), tables.number(row.get("duration", ""))) for row in rows]
        lasts.update(v for _, v in spans if v is not None)
        overlapping += sum(v is not None and a + v > b
                           for (a, v), (b, _) in itertools.pairwise(spans))
    if not tabled:
        report.doubt("events", "no table of events (*_events.tsv) beside any recording")
        return
    if without := len(found.recordings) - len(tabled):
        report.doubt("events", f"{without} recordings have no table of events")
    for told_unit, count in units.items():
        if told_unit != "s":
            words = "milliseconds" if told_unit == "ms" else told_unit
            report.doubt("times", f"onsets of {count} recordings are not in seconds, as BIDS asks "
                         f"for, but in {words}: {why}")
    if units["s"]:
        report.took("times", f"onsets of {units['s']} recordings are in seconds")
    _of_durations(lasts, overlapping, report)
    _of_codes(codes, told, report)
    if short:
        report.doubt("events", f"{len(short)} recordings have one or two events, so no trials: "
                     f"rest, perhaps ({', '.join(short[:2])} ...)")
    if not {"trial_type", "stim_type", "condition"} & columns.keys():
        report.doubt("classes", "no column of the events says what kind a row is: "
                     + ", ".join(columns))


def _of_durations(lasts: Counter[float], overlapping: int, report: IngestReport) -> None:
    """Tell a duration that is the same whatever a row marks, and runs into the next rows."""
    total = sum(lasts.values())
    if not total:
        return
    value, count = lasts.most_common(1)[0]
    if count > 0.95 * total and overlapping > 0.3 * total:
        report.doubt("times", f"duration is {value:g} in {count} of {total} rows, whatever they "
                     "mark, and runs into the next rows: not believed")


def _of_codes(codes: Counter[str], told: Mapping[str, str], report: IngestReport) -> None:
    """Events that are bare numbers, artefacts among them, and those that nothing explains."""
    texts = [c for c in codes if c]
    numbers = [c for c in texts if tables.number(c) is not None]
    if not numbers or len(numbers) < 0.9 * len(texts):
        return
    shown = ", ".join(f"{c} ({n})" for c, n in codes.most_common(6))
    report.doubt("events", f"{len(numbers)} kinds are bare numbers ({shown} ...), and no row says "
                 "that it is a trial or of which class")
    known = {n: text for key, text in told.items() for n in _range(key)}
    artefacts = {c: known.get(c) or f"{ARTEFACTS[c]}, in the General Data Format"
                 for c in numbers if c in ARTEFACTS or "artifact" in known.get(c, "").lower()}
    if artefacts:
        report.skipped("artefacts", ", ".join(
            f"{c}: {text} ({codes[c]})" for c, text in sorted(artefacts.items())))
    dark = [c for c in numbers if c not in known and c not in artefacts]
    if told and dark:
        report.doubt("events", f"{len(dark)} codes are not among those that *_events.json "
                     "explains: " + ", ".join(sorted(dark, key=bids.natural)[:8]) + " ...")


def _range(key: str) -> list[str]:
    """Codes that a key stands for: ``301-360`` for sixty."""
    first, dash, last = key.partition("-")
    if dash and first.isdecimal() and last.isdecimal() and 0 <= int(last) - int(first) < 10_000:
        return [str(n) for n in range(int(first), int(last) + 1)]
    return [key]


def _of_behaviour(found: bids.BidsDataset, report: IngestReport) -> None:
    """Ratings that stand in ``beh/`` and not among the events, and cells that are code."""
    columns: Counter[str] = Counter()
    code = ""
    rated: dict[str, int] = {}
    seen: set[Path] = set()
    for recording in found.recordings:
        new = [p for p in recording.behaviour if p not in seen]
        seen.update(new)
        rows = []
        for path in new:
            try:
                rows += tables.rows(path)
            except DataError as error:
                report.doubt("ratings", error.message)
        rated[recording.subject] = rated.get(recording.subject, 0) + len(rows)
        for row in rows:
            columns.update(c for c, text in row.items() if tables.number(text) is not None)
            code = code or next((c for c, t in row.items() if re.match(r"[{\[].*u'", t)), "")
    if columns:
        report.took("ratings", "they stand in beh/*.tsv, not among the events: "
                    + ", ".join(columns))
    if code:
        report.skipped("ratings", f"column {code!r} holds Python objects as text, which are not "
                       "read")
    empty = [subject for subject, count in rated.items() if not count]
    if empty and seen:
        report.doubt("ratings", f"no ratings of sub-{', sub-'.join(empty[:6])}")


def _of_tables(
    draft: Draft, tabled: Sequence[bids.BidsRecording], opened: Mapping[Path, Continuous]
) -> None:
    """Which column names what is shown, and which rows begin trials.

    Raises
    ------
    SettingError
        It cannot be told.
    """
    folder, report = draft.folder, draft.report
    rows = {r.path: r.event_rows() for r in tabled}
    everywhere = [row for found in rows.values() for row in found]
    there = {c: Counter(t for row in everywhere if not tables.empty(t := row.get(c, "")))
             for c in (everywhere[0] if everywhere else {})}
    only_column, _, only = folder.events.partition("=")
    column = folder.column or next((c for c in _COLUMNS if there.get(c)), "")
    for name in (column, only_column):
        if name and name not in there:
            raise draft.lacks(f"events in a column {name!r}; there are {', '.join(there)}",
                              "--column NAME, --events COLUMN=TEXT")
    chosen = [row for row in everywhere if not only or row[only_column] in only.split("|")]
    texts = Counter(t for row in chosen if not tables.empty(t := row.get(column, "")))
    noise = [t for t in texts if _NOISE.fullmatch(t) or t in ARTEFACTS]
    ends = [t for t in texts if _ENDS.fullmatch(t) and not only]
    for text in (*noise, *ends):
        del texts[text]
    part = TrialsPart(source="events", column=column, only_column=only_column,
                      only=[t for t in only.split("|") if t], ends=[*ends, *folder.ends])
    draft.values["trials"] = part
    draft.texts = texts
    if folder.classes or folder.ratings:
        report.took("events", f"column {column!r} says what is shown")
        return
    numbers = [t for t in texts if tables.number(t) is not None]
    lasting = _lasting(tabled, opened, texts, column)
    if lasting and len(lasting) < len(texts):
        report.skipped("events", "shorter than a second, beside others that last: "
                       + ", ".join(t for t in texts if t not in lasting)[:200])
        draft.texts = texts = Counter({t: n for t, n in texts.items() if t in lasting})
    if not texts or len(texts) > MOST_CLASSES or len(numbers) > 0.5 * len(texts):
        shown = ", ".join(f"{t} ({n})" for t, n in texts.most_common(20))
        raise draft.lacks(
            f"which events are trials, and of which class; column {column!r} has {shown or 'none'}",
            "--classes TEXT=CLASS,TEXT=CLASS (with --column NAME for another column, --events "
            "COLUMN=TEXT for the rows that begin a trial, --ends TEXT, --length SECONDS, and "
            "--rating COLUMN where trials are rated in beh/)")
    report.took("trials", f"each event of a class begins one; column {column!r}: "
                + ", ".join(f"{t} ({n})" for t, n in texts.items()))


def _lasting(
    tabled: Sequence[bids.BidsRecording], opened: Mapping[Path, Continuous], texts: Counter[str],
    column: str,
) -> set[str]:
    """Texts whose events last a second and more."""
    lasts: dict[str, list[float]] = defaultdict(list)
    for recording in tabled:
        own = opened.get(recording.path)
        if own is None:
            continue
        try:
            events, *_ = recording.events(None, own.seconds, own.rate, own.marks)
        except BenchError:
            continue
        for event in events:
            lasts[event.get(column)].append(event.duration)
    return {t for t in texts if lasts.get(t) and float(np.median(lasts[t])) >= SHORTEST_S}


def _clip_column(rows: Sequence[Mapping[str, Any]], draft: Draft) -> str:
    """Column of the tables in ``beh/`` that names clips as the events do."""
    names = {t.lower() for t in draft.texts} | {t.rpartition("_")[0].lower() for t in draft.texts}
    for column in rows[0] if rows else ():
        said = {str(row.get(column, "")).lower() for row in rows}
        stems = {s.rpartition(".")[0] or s for s in said}
        if len(stems & (names - {""})) > 0.5 * len(stems) and \
                not all(tables.number(s) is not None for s in said):
            return column
    return ""


def _tables_in_readme(root: Path) -> str:
    """Where a README seems to say which codes a subject has."""
    for path, text in _texts(root, "readme"):
        lines = re.findall(r"^\s*sub-\w+:.*\d", text, re.MULTILINE)
        if len(lines) > 2:
            return f"; {path.name} has a line of codes for each of {len(lines)} subjects"
    return ""


def _texts(root: Path, *starts: str) -> Iterator[tuple[Path, str]]:
    """Texts in a folder whose names start so; one that cannot be read is left out."""
    for path in files.entries(root):
        if path.name.lower().startswith(starts) and path.is_file():
            with contextlib.suppress(DataError):
                yield path, tables.text_of(path, _LONGEST_TEXT)
