"""Continuous recordings of any make that MNE reads: channels by name, marks in s, microvolt.

``.edf``, ``.bdf``, ``.fif``, ``.set`` (with its ``.fdt``) and ``.vhdr`` (with its ``.eeg`` and
``.vmrk``). Whatever MNE raises of a broken file becomes a :class:`~bench.errors.DataError`.
"""

from __future__ import annotations

import glob
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import canonical, positions_of
from bench.errors import DataError

from . import edf, structs, tables
from .torn import TORN, refused

SUFFIXES = (".edf", ".bdf", ".fif", ".set", ".vhdr")
#: What a stored number may be, or "by size": told from the size of each recording's signals.
Unit = Literal["uV", "mV", "V", "by size"]
#: What MNE's values, which it takes for volt, are multiplied with to become microvolt.
FACTORS = {"V": 1e6, "mV": 1e3, "uV": 1.0}
#: Median standard deviations that are EEG in volt, and in microvolt.
_VOLT, _MICROVOLT = (1e-7, 1e-3), (1e-1, 2e3)
_CHECKED_S, _MARGIN_S = 60, 1
_MOST_MARKS, _LONGEST_TEXT = 200_000, 1000
_LARGEST_HEAD, _LARGEST_EVENTS = 4 << 20, 64_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """A text at a time.

    Attributes
    ----------
    onset, duration : float
        Seconds from the start of the recording.
    text : str
    """

    onset: float
    duration: float
    text: str


#: Reads rows from one sample up to another: (rows, samples), in what is taken for volt.
Stretch = Callable[[NDArray[np.int64], int, int], NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class Continuous:
    """An opened recording; signals are read when asked for.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Channels as the file names them.
    rate : float
        Samples per second.
    samples : int
    units : mapping of str to str
        What the file says of a channel's numbers; "" where it says nothing.
    marks : tuple of Mark
        Annotations in order of time.
    stretch : callable
        See :data:`Stretch`.
    """

    path: Path
    names: tuple[str, ...]
    rate: float
    samples: int
    units: Mapping[str, str]
    marks: tuple[Mark, ...]
    stretch: Stretch

    def __post_init__(self) -> None:
        if not self.names or not 1 <= self.rate <= 100_000 or self.samples < 1:
            raise DataError(self.path, "channels, a rate and samples", f"{len(self.names)} "
                            f"channels, {self.rate:g} Hz, {self.samples} samples", TORN)
        if len(self.marks) > _MOST_MARKS:
            raise DataError(self.path, f"{_MOST_MARKS} annotations at most", f"{len(self.marks)}")
        if not all(math.isfinite(m.onset) and math.isfinite(m.duration) for m in self.marks):
            raise DataError(self.path, "annotations at times", "one at no time", TORN)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate

    def rows(self, channels: Sequence[str]) -> NDArray[np.int64]:
        """Row of each channel, matched by name.

        Raises
        ------
        DataError
            Channels that are missing, or there several times.
        """
        known = [canonical(n) for n in self.names]
        lost = [c for c in channels if known.count(canonical(c)) != 1]
        if lost:
            raise DataError(self.path, f"{len(channels)} channels by name, each once",
                            f"none or several of {', '.join(lost[:5])}",
                            f"It has: {', '.join(self.names)[:300]}")
        return positions_of(channels, known)

    def unit(self, channels: Sequence[str]) -> tuple[Unit, float]:
        """Unit that the size of the signals speaks for, and the median standard deviation.

        The values are those that MNE takes for volt; "by size" where they are of no EEG's size.
        """
        rows, count = self.rows(channels), min(self.samples, round(_CHECKED_S * self.rate))
        begin = (self.samples - count) // 2  # a recording may begin and end with nothing
        data = _guarded(self.path, lambda: self.stretch(rows, begin, begin + count))
        spread = float(np.median(data.std(axis=1)))
        if _VOLT[0] <= spread <= _VOLT[1]:
            return "V", spread
        if _MICROVOLT[0] <= spread <= _MICROVOLT[1]:
            return "uV", spread
        return "by size", spread

    def factor(self, channels: Sequence[str], unit: Unit) -> float:
        """What values are multiplied with to become microvolt.

        Raises
        ------
        DataError
            By size, and the signals have that of no EEG.
        """
        if unit != "by size":
            return FACTORS[unit]
        told, spread = self.unit(channels)
        if told == "by size":
            raise DataError(self.path, "EEG in volt or in microvolt",
                            f"signals whose standard deviation is {spread:.2g}")
        return FACTORS[told]

    def cut(
        self, channels: Sequence[str], start: float, stop: float, rate: float, unit: Unit = "V"
    ) -> NDArray[np.float64]:
        """(channels, samples) from one second to another at a rate, in microvolt.

        Where the rate is another than the file's, signals are filtered before samples are left out.

        Raises
        ------
        DataError
            The stretch is not within the recording, or channels are missing.
        """
        from scipy.signal import resample_poly

        if not (0 <= start < stop <= self.seconds + 1 / self.rate):
            raise DataError(self.path, f"a recording from {start:g} to {stop:g} s",
                            f"{self.seconds:g} s in all", TORN)
        rows, factor = self.rows(channels), self.factor(channels, unit)
        ratio = Fraction(rate / self.rate).limit_denominator(1000)
        margin = 0.0 if ratio == 1 else _MARGIN_S
        first = round(start * self.rate)
        last = min(self.samples, first + round((stop - start) * self.rate))
        before = min(first, round(margin * self.rate))
        after = min(self.samples - last, round(margin * self.rate))
        data = _guarded(self.path, lambda: self.stretch(rows, first - before, last + after))
        if data.shape != (len(rows), last + after - first + before):
            raise DataError(self.path, f"samples up to {stop:g} s", f"shape {data.shape}", TORN)
        if ratio != 1:
            data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1, padtype="line")
        left = round(before * float(ratio))
        count = round((last - first) * float(ratio))
        return np.ascontiguousarray(data[:, left : left + count] * factor, np.float64)


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that a recording is read from, the one that is opened first.

    Raises
    ------
    DataError
        A header names a file that is not there, or that lies elsewhere.
    """
    kind = path.suffix.lower()
    if kind == ".set":
        data = [p for p in path.parent.glob(f"{glob.escape(path.stem)}.*")
                if p.suffix.lower() == ".fdt"]
        return (path, *data)
    if kind == ".vhdr":
        text = tables.text_of(path, _LARGEST_HEAD)
        found = [path]
        for key in ("DataFile", "MarkerFile"):
            named = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
            if named is None and key == "MarkerFile":
                continue
            name = named[1].strip().replace("$b", path.stem) if named else ""
            other = path.parent / name
            if not name or Path(name).name != name or not other.is_file():
                raise DataError(path, f"a {key} beside it", repr(name[:60]), TORN)
            found.append(other)
        return tuple(found)
    return (path,)


def open_recording(path: Path) -> Continuous:
    """Open a recording; its signals are not read yet.

    Raises
    ------
    DataError
        No such file, torn, or of no make that is known.
    """
    import mne

    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(path, f"one of {', '.join(SUFFIXES)}", path.suffix or "no suffix")
    if not path.is_file():
        raise DataError(path, "a file", "none, or a link that leads nowhere")
    if kind == ".set":
        return eeglab(path)
    if kind == ".vhdr":
        # The files that it names are there.
        files_of(path)
    read = {".edf": mne.io.read_raw_edf, ".bdf": mne.io.read_raw_bdf, ".fif": mne.io.read_raw_fif,
            ".vhdr": mne.io.read_raw_brainvision}[kind]
    return by_mne(path, read, edf.units(path) if kind in (".edf", ".bdf") else {})


def by_mne(
    path: Path, read: Callable[..., Any], units: Mapping[str, str] | None = None
) -> Continuous:
    """Open a recording by one of MNE's readers, whatever its header says of the file's size.

    Raises
    ------
    DataError
    """
    raw = _guarded(path, lambda: read(path, preload=False, verbose="ERROR"))
    units = dict(units or {})
    for name, said in (getattr(raw, "_orig_units", None) or {}).items():
        units.setdefault(str(name), str(said))
    notes = raw.annotations
    late = raw.first_time if notes.orig_time is not None else 0.0
    marks = [
        Mark(float(start) - late, float(length), _plain(str(text), path)[:_LONGEST_TEXT])
        for start, length, text in zip(notes.onset, notes.duration, notes.description, strict=True)
    ]
    return Continuous(
        path, tuple(str(n) for n in raw.ch_names), float(raw.info["sfreq"]), int(raw.n_times),
        units, _sorted(marks),
        lambda rows, start, stop: raw.get_data(picks=rows, start=start, stop=stop),
    )


def marks_of(path: Path) -> list[tuple[float, str]]:
    """Second and text of each annotation of a file that may hold nothing else, in order of time.

    Raises
    ------
    DataError
        No such file, or one that cannot be read.
    """
    import mne

    if path.stat().st_size > _LARGEST_EVENTS:
        raise DataError(path, f"a file of marks of at most {_LARGEST_EVENTS} bytes",
                        f"{path.stat().st_size}")
    read = _guarded(path, lambda: mne.read_annotations(path))
    return sorted(
        (float(s), str(w).strip()) for s, w in zip(read.onset, read.description, strict=True)
    )


def _plain(text: str, path: Path) -> str:
    """A text without the type of mark that BrainVision puts before it: ``Stimulus/S  1``."""
    first, slash, rest = text.strip().partition("/")
    vhdr = path.suffix.lower() == ".vhdr"
    return rest.strip() if vhdr and slash and rest.strip() else first + slash + rest


def _sorted(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    return tuple(sorted(marks, key=lambda m: m.onset))


def eeglab(path: Path) -> Continuous:
    """Open a file of EEGLAB; its numbers are in microvolt.

    SciPy's reader, which MNE uses, ends the process on some torn files; ours does not.

    Raises
    ------
    DataError
    """
    content = structs.load(path, "EEG", lambda way: way[0] in _PARTS and (
        way[0] != "chanlocs" or "labels" in way or len(way) < 2 or isinstance(way[-1], int)))
    if not isinstance(content, dict):
        raise DataError(f"{path} EEG", "one struct", type(content).__name__)
    channels, points, trials, rate = (
        _number(path, content, name) for name in ("nbchan", "pnts", "trials", "srate"))
    if trials > 1:
        raise DataError(path, "a continuous recording", f"{trials:g} epochs",
                        "Save the recording before it was cut into epochs.")
    places = content.get("chanlocs")
    places = places if isinstance(places, list) else [places]
    names = tuple(p["labels"] if isinstance(p, dict) and isinstance(p.get("labels"), str) else ""
                  for p in places)
    if len(names) != channels or not all(names):
        raise DataError(f"{path} EEG.chanlocs", f"{channels:g} names", f"{len(names)}")
    count, samples = len(names), int(points)
    data = content.get("data")
    if isinstance(data, str):
        beside = path.with_suffix(".fdt")
        beside = beside if beside.is_file() else path.parent / Path(data).name
        if not beside.is_file() or beside.stat().st_size != 4 * count * samples:
            size = beside.stat().st_size if beside.is_file() else "no file"
            raise DataError(beside, f"{4 * count * samples:,} bytes, {count} channels of {samples} "
                            "samples", f"{size:,}" if isinstance(size, int) else size, TORN)

        def stretch(rows: NDArray[np.int64], start: int, stop: int) -> NDArray[np.floating]:
            stored = np.memmap(beside, "<f4", "r", shape=(samples, count))
            return stored[start:stop, rows].T.astype(np.float64) * 1e-6
    elif isinstance(data, np.ndarray) and data.shape == (count, samples):
        whole = data

        def stretch(rows: NDArray[np.int64], start: int, stop: int) -> NDArray[np.floating]:
            return whole[rows, start:stop].astype(np.float64) * 1e-6
    else:
        found = data.shape if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{path} EEG.data", f"shape ({count}, {samples})", f"{found}")
    marks = _eeglab_events(path, content.get("event"), rate)
    return Continuous(path, names, rate, samples, dict.fromkeys(names, "uV"), marks, stretch)


#: Fields of an EEG struct that are read.
_PARTS = ("nbchan", "pnts", "trials", "srate", "chanlocs", "event", "data")


def _number(path: Path, content: Mapping[str, Any], name: str) -> float:
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.size != 1:
        raise DataError(f"{path} EEG.{name}", "one number", type(value).__name__)
    number = float(value.ravel()[0])
    if not 0 < number < 1e10:
        raise DataError(f"{path} EEG.{name}", "a number above 0", f"{number:g}")
    return number


def _eeglab_events(path: Path, events: Any, rate: float) -> tuple[Mark, ...]:
    """Latencies of events count samples from 1; durations are in samples."""
    marks = []
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, dict):
            continue
        when, length, kind = (event.get(n) for n in ("latency", "duration", "type"))
        if not isinstance(when, np.ndarray) or when.size != 1:
            raise DataError(f"{path} EEG.event", "a latency for each", type(when).__name__)
        lasts = float(length.ravel()[0]) if isinstance(length, np.ndarray) and length.size else 0.0
        word = f"{kind.ravel()[0]:g}" if isinstance(kind, np.ndarray) and kind.size else str(kind)
        marks.append(Mark((float(when.ravel()[0]) - 1) / rate, lasts / rate,
                          word.strip()[:_LONGEST_TEXT]))
    return _sorted(marks)


def _guarded(path: Path, make: Callable[[], T]) -> T:
    """What MNE makes of a file; whatever it raises of a broken one becomes a DataError."""
    kind = path.suffix.lower()
    with refused(path, f"a recording in the format {kind}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()
