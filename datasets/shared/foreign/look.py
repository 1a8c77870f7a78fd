"""What looking at a folder of any make needs: names, channels, rates and units, and a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.channels import ALIASES, POSITIONS, canonical
from bench.data.features import listed
from bench.errors import DataError, SettingError

from .. import bids, files
from ..ingest import IngestReport
from ..recordings import Continuous, Unit, open_recording
from . import names
from .description import RatingPart
from .sources import below

#: Files that are opened to see what they hold.
_LOOKED_AT = 24


@dataclass(frozen=True)
class Folder:
    """A folder to look at, and what its owner says of it.

    Attributes
    ----------
    path : Path
    name : str
        What to call it.
    make, files, unit : str
        As in the TOML; told from the folder where empty.
    rate : float or None
    channels : tuple of str
    classes : tuple of str
        ``TEXT=CLASS``, or texts that are classes by themselves; others are dropped.
    cut, length : float
        Seconds of pieces, and of trials.
    events : str
        ``COLUMN=TEXT``: rows of a table of events that begin a trial.
    column : str
        Column of a table of events that names what is shown.
    ends : tuple of str
        Texts of events that end a trial.
    ratings : tuple of str
        ``COLUMN`` or ``COLUMN=LOW:HIGH``: ratings and their scales.
    report : IngestReport
        Told of what is taken for what, also where it cannot be told in the end.
    """

    path: Path
    name: str
    make: str = ""
    files: str = ""
    unit: str = ""
    rate: float | None = None
    channels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    cut: float = 0.0
    length: float = 0.0
    events: str = ""
    column: str = ""
    ends: tuple[str, ...] = ()
    ratings: tuple[str, ...] = ()
    report: IngestReport = field(default_factory=IngestReport, compare=False)


@dataclass
class Draft:
    """What is known so far of a folder."""

    folder: Folder
    report: IngestReport
    values: dict[str, Any] = field(default_factory=dict)
    #: Texts that may be classes, and how many trials have each.
    texts: Counter[str] = field(default_factory=Counter)
    #: Whether the same code means another thing in another recording, as it seems.
    varying: bool = False

    def has_rate(self, rate: float, why: str) -> None:
        """Say what the rate is, and who says so."""
        self.values["rate"] = rate
        self.report.took("rate", f"{rate:g} samples a second, {why}")

    def has_unit(self, unit: Unit | str, words: str, *, doubt: bool = False) -> None:
        """Say what the unit is, and why."""
        self.values["unit"] = unit
        (self.report.doubt if doubt else self.report.took)("units", words)

    def lacks(self, what: str, option: str) -> SettingError:
        """The error for something that cannot be told and must be given."""
        return SettingError(f"{self.folder.path}: nothing tells {what}", f"Give it: {option}")


def pattern_of(draft: Draft, paths: Sequence[Path]) -> names.NamePattern:
    """Pattern of file names: as given, else proposed.

    Raises
    ------
    SettingError
        None can be told.
    """
    folder = draft.folder
    root = folder.path.resolve()
    if folder.files:
        pattern = names.NamePattern.parse(folder.files)
        draft.report.took("names", f"{folder.files}, as given")
    else:
        found = names.propose([p.relative_to(root).as_posix() for p in paths])
        if found is None:
            raise draft.lacks(
                "which part of the file names is the subject",
                "--files 'S{subject}_{class}.edf' (fields: "
                + ", ".join(f"{{{f}}}" for f in names.FIELDS) + "; * is anything)")
        pattern = found.pattern
        draft.report.took("names", f"{pattern.text}; {'; '.join(found.why)}")
        for text in found.unsure:
            draft.report.doubt("names", text)
    draft.values["files"] = pattern.text
    return pattern


def sampled(items: Sequence[Any], most: int = _LOOKED_AT) -> list[Any]:
    """Some of many, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def openings(draft: Draft, paths: Sequence[Path]) -> list[Continuous]:
    """Recordings that can be opened; the others are named in the report.

    Raises
    ------
    DataError
        None can.
    """
    out: list[Continuous] = []
    first: DataError | None = None
    for path in paths:
        try:
            out.append(open_recording(path))
        except DataError as error:
            first = first or error
            draft.report.doubt("files", f"{path.name} cannot be read: {error.message}")
    if not out and first is not None:
        raise first
    return out


def agree(draft: Draft, opened: Sequence[Continuous]) -> None:
    """Channels, rate and unit that recordings have in common."""
    report = draft.report
    counts: Counter[str] = Counter(canonical(n) for r in opened for n in dict.fromkeys(r.names))
    spelt = {canonical(n): n for r in reversed(opened) for n in r.names}
    everywhere = [n for n in dict.fromkeys(canonical(n) for n in opened[0].names)
                  if counts[n] == len(opened)]
    channels(draft, [spelt[n] for n in everywhere])
    lost = [n for n in counts if counts[n] < len(opened) and n in POSITIONS]
    if lost:
        report.doubt("channels", f"{', '.join(lost[:8])} are in some recordings only, and left out")
    rates = Counter(r.rate for r in opened)
    rate = draft.folder.rate or rates.most_common(1)[0][0]
    if len(rates) > 1:
        draft.values["rate"] = rate
        report.doubt("rate", f"recordings have {', '.join(f'{r:g}' for r in sorted(rates))} "
                     f"samples a second; all are brought to {rate:g}, filtered first")
    else:
        draft.has_rate(rate, "as the files say")
    unit(draft, opened)


def channels(draft: Draft, there: Sequence[str]) -> None:
    """Electrodes among names; others are left out, and old names told.

    Raises
    ------
    SettingError
        None of them is an electrode.
    """
    report, folder = draft.report, draft.folder
    if folder.channels:
        chosen = list(folder.channels)
        report.took("channels", f"{len(chosen)}, as given")
    else:
        chosen = [n for n in there if canonical(n) in POSITIONS]
        others = [n for n in there if canonical(n) not in POSITIONS]
        if not chosen:
            raise draft.lacks("which channels are electrodes: " + ", ".join(there)[:120],
                              "--channels Fp1,Fp2,...")
        report.took("channels", f"{len(chosen)} electrodes of the 10-05 system by name: "
                    + ", ".join(chosen[:6]) + (" ..." if len(chosen) > 6 else ""))
        if others:
            report.skipped("channels", f"{listed(others, 8)}: no electrode of that name is known")
    old = [f"{n} is {ALIASES[b]}" for n in chosen if (b := _bare(n)) in ALIASES]
    if old:
        report.took("channels", f"old names: {', '.join(old[:8])}")
    draft.values["channels"] = chosen


def _bare(name: str) -> str:
    """A name without what files write around it, the old spelling kept."""
    text = name.strip().upper()
    for part in ("EEG ", "EEG-"):
        text = text.removeprefix(part)
    return text.partition("-")[0].rstrip(".")


def unit(draft: Draft, opened: Sequence[Continuous]) -> None:
    """Unit of recordings, by their size, held against what the files say."""
    report, chosen = draft.report, draft.values["channels"]
    if draft.folder.unit:
        draft.has_unit(draft.folder.unit, f"{draft.folder.unit}, as given")
        return
    told: Counter[Unit] = Counter()
    sizes: list[float] = []
    for recording in opened:
        try:
            by_size, spread = recording.unit(chosen)
        except DataError as error:
            report.doubt("units", error.message)
            continue
        told[by_size] += 1
        sizes.append(spread)
    said = sorted({recording.units.get(n, "") for recording in opened for n in recording.names
                   if canonical(n) in {canonical(c) for c in chosen}} - {""})
    words = f"the files say {' and '.join(map(repr, said))}" if said else "the files say no unit"
    usual = float(np.median(sizes)) if sizes else 0.0
    if set(told) == {"V"}:
        draft.has_unit("V", f"{words}; standard deviation {usual * 1e6:.3g} uV")
    elif set(told) == {"uV"}:
        draft.has_unit("uV", f"{words}, and read so, signals would have a standard deviation of "
                       f"{usual:.3g} V: the numbers were taken for microvolts", doubt=True)
    elif told["V"] and told["uV"] and not told["by size"]:
        draft.has_unit("by size", f"{told['V']} recordings are in volts and {told['uV']} in "
                       "microvolts, by their size: each is read by its own", doubt=True)
    else:
        draft.has_unit("V", f"{words}; the standard deviation is {usual * 1e6:.3g} uV, which no "
                       "EEG has: look at the unit, or give it by --unit", doubt=True)


def unit_of_numbers(draft: Draft, spreads: Sequence[float]) -> None:
    """Unit of numbers that no file says a unit of, by their size."""
    if draft.folder.unit:
        draft.has_unit(draft.folder.unit, f"{draft.folder.unit}, as given")
        return
    usual = float(np.median(spreads))
    kinds = {"V" if 1e-7 <= s <= 1e-3 else "uV" if 0.1 <= s <= 2e3 else "" for s in spreads}
    words = f"no file says a unit; a standard deviation of {usual:.3g}"
    if kinds in ({"V"}, {"uV"}):
        unit = kinds.pop()
        draft.has_unit(unit, f"{words} is that of EEG in {unit}")
    elif kinds == {"V", "uV"}:
        draft.has_unit("by size", "some files are in volts and some in microvolts, by their size: "
                       "each trial is read by its own", doubt=True)
    else:
        draft.has_unit("uV", f"{words} is that of no EEG: taken for microvolts; look at the unit, "
                       "or give it by --unit", doubt=True)


def ratings(draft: Draft, there: Mapping[str, Sequence[float]], match: str = "") -> None:
    """Ratings that were asked for, and their scales.

    Parameters
    ----------
    there : mapping of str to sequence of float
        Values by column.

    Raises
    ------
    SettingError
        No such column.
    """
    out: dict[str, RatingPart] = {}
    for item in draft.folder.ratings:
        column, _, scale = item.partition("=")
        values = [v for v in there.get(column.strip(), ()) if np.isfinite(v)]
        if not values:
            raise SettingError(f"{draft.folder.path}: no rating is called {column.strip()!r}",
                               f"Columns of numbers: {', '.join(there) or 'none'}")
        low, high = min(values), max(values)
        if scale:
            try:
                bounds = tuple(float(v) for v in scale.split(":"))
                part = RatingPart(column=column.strip(), scale=bounds, match=match)  # type: ignore[arg-type]
            except ValueError as error:
                raise SettingError(f"--rating {item!r} is not of the form COLUMN=LOW:HIGH",
                                   "For example valence=1:9") from error
        else:
            usual = next((s for s in ((1.0, 5.0), (1.0, 7.0), (0.0, 7.0), (1.0, 9.0), (0.0, 10.0),
                                      (0.0, 100.0)) if s[0] <= low and high <= s[1]), (low, high))
            if low == high:
                raise SettingError(f"all ratings {column.strip()!r} are {low:g}")
            part = RatingPart(column=column.strip(), scale=usual, match=match)
            draft.report.doubt("ratings", f"{column.strip()} runs from {low:g} to {high:g}: its "
                               f"scale was taken to be {usual[0]:g} to {usual[1]:g}, high above "
                               f"{part.cut:g}")
        out[class_name(column.strip()).lower()] = part
    if out:
        draft.values["ratings"] = {n: p.model_dump() for n, p in out.items()}


def class_name(text: str) -> str:
    """A text as a name of a class: without what separates words on the command line."""
    return " ".join(text.translate(str.maketrans(",=:", "   ")).split())[:60] or "class"


def numbers_of(labels: Sequence[str]) -> dict[str, int]:
    """Table of numbers, where labels are no numbers themselves; else none is needed."""
    found = bids.numbered(labels)
    own = all(label.isdecimal() and int(label) == number for label, number in found.items())
    return {} if own else found


def usable(draft: Draft, endings: Sequence[str]) -> list[Path]:
    """Files with one of the endings that can be read; the others are named in the report."""
    root, out = draft.folder.path.resolve(), []
    for path in below(root, endings):
        try:
            fits = path.is_file() and files.inside(path, root) and path.stat().st_size > 0
        except OSError:
            fits = False
        if fits:
            out.append(path)
        else:
            draft.report.at("skipped", "files", "empty, or a link that leads nowhere", path)
    return out
