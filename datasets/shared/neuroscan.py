"""NeuroScan recordings (``.cnt``): header, signals and events, read strictly and in pieces.

A recording of an hour is a gigabyte: only the stretches asked for are read. The layout is that of
the maker's SETUP, ELECTLOC and TEEG structures, in which every reader agrees.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import canonical, positions_of
from bench.data.corpus import TrialSignal
from bench.errors import DataError

from .torn import TORN

_EXPECTED = "a NeuroScan recording (.cnt)"
_SETUP, _ELECTRODE, _TEEG = 900, 75, 9
_EVENT = {1: struct.Struct("<HBbi"), 2: struct.Struct("<HBbihhf3b"), 3: struct.Struct("<HBbihhf3b")}
_MOST_CHANNELS, _MOST_EVENTS = 512, 100_000
#: A position in a file from here on does not fit the header's field for it.
_OVERFLOW = 2**31
#: Signal on either side of a stretch that the filter before a change of rate sees, in seconds.
_MARGIN_S = 1


@dataclass(frozen=True, eq=False)
class Recorded:
    """What the header of a recording says.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Channels, as the file spells them.
    rate : int
        Samples per second.
    samples : int
        Per channel.
    width : int
        Bytes per number: 2 or 4.
    block : int
        Samples of a channel that stand together.
    baseline, scale : (channels,) float64
        Microvolt is (number - baseline) * scale.
    """

    path: Path
    names: tuple[str, ...]
    rate: int
    samples: int
    width: int
    block: int
    baseline: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def start(self) -> int:
        """Where the signals begin in the file."""
        return _SETUP + _ELECTRODE * len(self.names)

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.width * len(self.names)


def header(path: Path) -> Recorded:
    """Header of a recording.

    Raises
    ------
    DataError
        Not such a file, torn, or a header that does not fit the file's size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        setup = file.read(_SETUP)
        if len(setup) < _SETUP or not setup.startswith(b"Version"):
            raise DataError(path, _EXPECTED, "another file" if setup else "an empty file")
        channels, rate = _at(setup, "<H", 370), _at(setup, "<H", 376)
        count, block = _at(setup, "<i", 864), _at(setup, "<i", 894)
        if not (0 < channels <= _MOST_CHANNELS and rate > 0 and count > 0):
            raise DataError(path, f"{_EXPECTED} with channels, a rate and samples",
                            f"{channels} channels at {rate} Hz, {count} samples", TORN)
        places = file.read(_ELECTRODE * channels)
    if len(places) < _ELECTRODE * channels:
        raise DataError(path, f"{channels} channels", "an end within their names", TORN)
    fields = [places[i * _ELECTRODE : (i + 1) * _ELECTRODE] for i in range(channels)]
    names = tuple(f[:10].split(b"\0")[0].decode("latin-1").strip() for f in fields)
    width = _width(path, size - _SETUP - len(places), _at(setup, "<i", 886) - _SETUP - len(places),
                   channels, count)
    scale = np.array([_at(f, "<f", 59) * _at(f, "<f", 71) / 204.8 for f in fields])
    dull = [n for n, s in zip(names, scale, strict=True) if not (np.isfinite(s) and s != 0)]
    if dull:
        raise DataError(path, "a calibration of each channel", f"none of {', '.join(dull[:5])}")
    block = block // width if block > 1 else 1
    if block < 1 or count % block:
        raise DataError(path, f"blocks that fit {count} samples", f"blocks of {block}", TORN)
    return Recorded(path, names, rate, count, width, block,
                    np.array([_at(f, "<h", 47) for f in fields], float), scale)


def _at(content: bytes, form: str, place: int) -> Any:
    return struct.unpack_from(form, content, place)[0]


def _width(path: Path, present: int, told: int, channels: int, count: int) -> int:
    """Bytes per number: the header does not say, but where the events begin."""
    for width in (2, 4):
        needed = width * channels * count
        before_events = told == needed or (told <= 0 and present == needed)
        if present >= needed and (before_events or needed + _SETUP >= _OVERFLOW):
            return width
    raise DataError(
        path, f"{count} samples of {channels} channels in 2 or 4 bytes each",
        f"{max(told, 0)} bytes before the events, {max(present, 0)} in all", TORN,
    )


def signal(
    recorded: Recorded, rows: NDArray[np.int64], start: int, stop: int
) -> NDArray[np.float64]:
    """Signals of some channels from sample ``start`` up to ``stop``, (rows, samples), microvolt.

    Raises
    ------
    DataError
        Torn.
    """
    block, channels = recorded.block, len(recorded.names)
    first, last = start // block, -(-stop // block)
    count = (last - first) * block * channels
    with recorded.path.open("rb") as file:
        file.seek(recorded.start + first * block * recorded.frame)
        numbers = np.fromfile(file, f"<i{recorded.width}", count)
    if len(numbers) < count:
        raise DataError(recorded.path, f"{recorded.samples} samples", "an end before that", TORN)
    cut = numbers.reshape(last - first, channels, block)[:, rows].transpose(1, 0, 2)
    flat = cut.reshape(len(rows), -1)[:, start - first * block : stop - first * block]
    return (flat - recorded.baseline[rows, None]) * recorded.scale[rows, None]


def events(recorded: Recorded) -> list[tuple[int, int]]:
    """Sample and code of each event, in order of time.

    Raises
    ------
    DataError
        The table of events is torn, or of a kind that is not known.
    """
    place = recorded.start + recorded.samples * recorded.frame
    with recorded.path.open("rb") as file:
        file.seek(place)
        head = file.read(_TEEG)
        kind, length = struct.unpack("<Bi", head[:5]) if len(head) == _TEEG else (0, 0)
        if kind not in _EVENT or not 0 <= length <= _MOST_EVENTS * _EVENT[kind].size:
            raise DataError(recorded.path, "a table of events", f"one of kind {kind}", TORN)
        table = file.read(length)
    if len(table) < length or length % _EVENT[kind].size:
        raise DataError(recorded.path, f"{length} bytes of events", f"{len(table)}", TORN)
    found = []
    for code, _, _, offset, *_ in _EVENT[kind].iter_unpack(table):
        where = offset * recorded.frame if kind == 3 else offset
        found.append(((where - recorded.start) // recorded.frame, code))
    return sorted(found)


def trials(
    recorded: Recorded, cuts: Mapping[int, tuple[int, int]], channels: Sequence[str], rate: int
) -> list[TrialSignal]:
    """Trials of a recording, at a lower rate.

    Each is filtered against aliasing (polyphase) before samples are left out; taking every fifth
    sample without that, as is common, folds what is above half the new rate into the signal.

    Parameters
    ----------
    cuts : mapping of int to (int, int)
        First sample of each trial, and the one after its last.
    channels : sequence of str
        Taken by name, whatever else the file has and in whatever order.
    rate : int
        Divides the file's.

    Raises
    ------
    DataError
        Channels are missing, the rate does not fit, or a trial is outside of the recording.
    """
    from scipy.signal import resample_poly

    path, step = recorded.path, recorded.rate // rate
    known = [canonical(n) for n in recorded.names]
    lost = [c for c in channels if canonical(c) not in known]
    if lost or len(set(known)) < len(known):
        raise DataError(path, f"{len(channels)} channels by name, each once",
                        f"no {', '.join(lost[:5])}" if lost else f"{', '.join(known)[:80]}")
    if step < 1 or recorded.rate != step * rate:
        raise DataError(path, f"a multiple of {rate} samples per second", f"{recorded.rate}")
    rows, margin, signals = positions_of(channels, known), _MARGIN_S * rate * step, []
    for number, (start, stop) in cuts.items():
        if not 0 <= start < stop - recorded.rate or stop > recorded.samples:
            raise DataError(
                f"{path} trial {number}", "a trial of at least a second within the recording",
                f"{start / recorded.rate:g} to {stop / recorded.rate:g} s of "
                f"{recorded.samples / recorded.rate:g} s", TORN,
            )
        before = min(margin, start // step * step)
        after = min(margin, recorded.samples - stop)
        data = signal(recorded, rows, start - before, stop + after)
        if step > 1:
            data = resample_poly(data, 1, step, axis=1, padtype="line")
        kept = slice(before // step, before // step + (stop - start) // step)
        signals.append(TrialSignal(number, np.ascontiguousarray(data[:, kept])))
    return signals


def write(  # noqa: PLR0917
    path: Path, names: Sequence[str], rate: int, numbers: NDArray[np.int32], scale: float,
    marks: Sequence[tuple[int, int]] = (), width: int = 4,
) -> None:
    """Write a recording: what the simulator needs of the format.

    Parameters
    ----------
    numbers : (channels, samples) int32
        In units of ``scale`` microvolt.
    marks : sequence of (int, int)
        Sample and code of each event.
    width : int
        Bytes per number.
    """
    channels, samples = numbers.shape
    setup, start = bytearray(_SETUP), _SETUP + _ELECTRODE * channels
    setup[:11] = b"Version 3.0"
    end = start + samples * channels * width
    for form, place, value in (("<H", 370, channels), ("<H", 376, rate), ("<i", 864, samples),
                               ("<i", 886, end if end < _OVERFLOW else 0), ("<i", 894, 1)):
        struct.pack_into(form, setup, place, value)
    with path.open("wb") as file:
        file.write(setup)
        for name in names:
            field = bytearray(_ELECTRODE)
            field[: len(name)] = name.encode("ascii")
            struct.pack_into("<f", field, 59, scale * 204.8)
            struct.pack_into("<f", field, 71, 1.0)
            file.write(field)
        file.write(np.ascontiguousarray(numbers.T, f"<i{width}").tobytes())
        event = _EVENT[2]
        file.write(struct.pack("<Bii", 2, event.size * len(marks), 0))
        for sample, code in marks:
            place = start + sample * channels * width
            file.write(event.pack(code, 0, 0, place, 0, 0, 0.0, 0, 0, 0))
