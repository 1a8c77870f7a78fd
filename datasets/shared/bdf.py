"""Recordings in BioSemi's format (``.bdf``), by MNE: channels by name, one rate, microvolt."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import canonical, positions_of
from bench.errors import DataError

_EXPECTED = "a recording in BioSemi's format (.bdf)"
_TORN = "The file may be torn: compare its size with the owner's, and fetch it again."
#: Median standard deviations that are EEG in volt, and in microvolt.
_VOLT, _MICROVOLT = (1e-7, 1e-3), (1e-1, 1e3)
_CHECKED_S = 300
_MARGIN_S = 1
_LARGEST_EVENTS = 64_000_000

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Source:
    """An opened recording.

    Attributes
    ----------
    path : Path
    raw : mne.io.BaseRaw
        Not loaded: stretches are read when asked for.
    rows : (channels,) int64
        Row of each channel.
    rate : int
        Samples per second of what :meth:`cut` gives.
    unit : float
        What a value is multiplied with to become microvolt.
    """

    path: Path
    raw: Any
    rows: NDArray[np.int64]
    rate: int
    unit: float

    def cut(self, start_s: float, length_s: int) -> NDArray[np.float64]:
        """(channels, samples) from a second on, filtered before samples are left out; microvolt.

        Raises
        ------
        DataError
            The stretch is not within the recording.
        """
        from scipy.signal import resample_poly

        own = round(self.raw.info["sfreq"])
        step, start = own // self.rate, round(start_s * own)
        stop = start + length_s * own
        if start < 0 or stop > self.raw.n_times:
            raise DataError(self.path, f"a recording from {start_s:g} to {start_s + length_s:g} s",
                            f"{self.raw.n_times / own:g} s in all", _TORN)
        before = min(_MARGIN_S * own, start // step * step)
        after = min(_MARGIN_S * own, self.raw.n_times - stop)
        data = _guarded(self.path, lambda: self.raw.get_data(
            picks=self.rows, start=start - before, stop=stop + after))
        if step > 1:
            data = resample_poly(data, 1, step, axis=1, padtype="line")
        first = before // step
        return np.ascontiguousarray(
            data[:, first : first + length_s * self.rate] * self.unit, np.float64
        )


def _guarded(path: Path, make: Callable[[], T]) -> T:
    """What MNE makes of a file; whatever it raises of a broken one becomes a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()
    except Exception as error:
        raise DataError(path, _EXPECTED, f"{type(error).__name__}: {str(error)[:100]}",
                        _TORN) from error


def signals(path: Path, channels: Sequence[str], rate: int) -> Source:
    """Open a recording.

    Parameters
    ----------
    channels : sequence of str
        Taken by name, whatever else the file has and in whatever order.
    rate : int
        Divides the file's.

    Raises
    ------
    DataError
        No such file, channels missing, another rate, or no EEG in volt or microvolt.
    """
    import mne

    raw = _guarded(path, lambda: mne.io.read_raw_bdf(path, preload=False, verbose="ERROR"))
    known = [canonical(n) for n in raw.ch_names]
    lost = [c for c in channels if known.count(canonical(c)) != 1]
    if lost:
        raise DataError(path, f"{len(channels)} channels by name, each once",
                        f"none or several of {', '.join(lost[:5])}")
    own = raw.info["sfreq"]
    if own != round(own) or own < rate or round(own) % rate:
        raise DataError(path, f"a multiple of {rate} samples per second", f"{own:g}")
    rows = positions_of(channels, known)
    stop = min(raw.n_times, _CHECKED_S * round(own))
    start = _guarded(path, lambda: raw.get_data(picks=rows, start=0, stop=stop))
    spread = float(np.median(start.std(axis=1)))
    if _VOLT[0] <= spread <= _VOLT[1]:
        return Source(path, raw, rows, rate, 1e6)
    if _MICROVOLT[0] <= spread <= _MICROVOLT[1]:
        return Source(path, raw, rows, rate, 1.0)
    raise DataError(path, "EEG in volt or in microvolt",
                    f"signals whose standard deviation is {spread:.2g}")


def marks(path: Path) -> list[tuple[float, str]]:
    """Second and text of each annotation of a file, in order of time.

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
