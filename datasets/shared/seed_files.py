"""What SEED and SEED-IV have in common: files of trials by number, and the owner's features."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import (
    CorpusAdapter,
    Features,
    Inventory,
    OfficialFeatures,
    Recording,
    TrialSignal,
    ordered,
)
from bench.data.recipe import read_marker
from bench.data.windows import FIVE_BANDS
from bench.errors import DataError, SettingError, UnknownNameError

from . import matlab as _matlab
from .facts import SEED_FEATURE_ROWS
from .files import absent, expected_size
from .simulated import SimulatedCorpus

RATE = 200
CHANNELS = 62
SUBJECTS = 15
SESSIONS = 3
RAW_KEY = r"[A-Za-z]+_eeg(\d+)"
FILE = r"(\d{1,2})_(\d{8})\.mat"
FILE_WORDS = "{subject}_{YYYYMMDD}.mat"
#: Names, as `_files.plain` gives them, that belong beside recordings.
COMPANIONS = r"label\.mat|readme(\.txt)?|.*\.xlsx?|time\.txt|subject.*\.txt"
_LONGEST_S = 3600
#: Lengths may be off by this much before the user hears of it.
_TOLERANCE_S = 2


def by_number(
    path: Path, names: Sequence[str], pattern: str, trials: int, described: str
) -> dict[int, str]:
    """Key of each trial number 1 to ``trials``, parsed from the key and never from its place.

    Raises
    ------
    DataError
        Trials are missing, beyond the last, or there twice.
    """
    found: dict[int, str] = {}
    for name in names:
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise DataError(path, f"one array for trial {number}", f"{found[number]} and {name}")
        found[number] = name
    wanted = range(1, trials + 1)
    expected = f"trials 1 to {trials} as {described}"
    if not found:
        raise DataError(path, expected, f"no such array among {_some(names)}")
    lost = [n for n in wanted if n not in found]
    if lost:
        raise DataError(
            path, expected,
            f"{trials - len(lost)} of {trials}: {_some(map(str, lost))} missing",
            "The file may be torn: compare its size with the owner's, and fetch it again.",
        )
    extra = sorted(set(found) - set(wanted))
    if extra:
        raise DataError(path, expected, f"also trial {_some(map(str, extra))}")
    return found


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 24} more" if len(listed) > 24 else ""
    return ", ".join(listed[:24]) + more if listed else "no arrays at all"


def read_raw(path: Path, trials: int) -> list[TrialSignal]:
    """Signals of one file, each (62, samples).

    Raises
    ------
    DataError
        Torn, trials missing, wrong number of channels, under a second.
    """
    listed = _matlab.shapes(path)
    keys = by_number(path, [n for n, _ in listed], RAW_KEY, trials, "{name}_eegN")
    shapes = dict(listed)
    for number, key in keys.items():
        shape = shapes[key]
        if len(shape) != 2 or shape[0] != CHANNELS or not RATE <= shape[1] <= _LONGEST_S * RATE:
            raise DataError(
                f"{path} trial {number}",
                f"shape ({CHANNELS}, samples) with a second to an hour at {RATE} Hz", f"{shape}",
            )
    return _signals(path, keys)


def read_features(path: Path, kind: str, trials: int) -> list[TrialSignal]:
    """Owner's features of one file, each (62, windows, 5).

    Raises
    ------
    DataError
        Torn, trials missing, another shape.
    """
    listed = _matlab.shapes(path)
    keys = by_number(path, [n for n, _ in listed], f"{kind}(\\d+)", trials, f"{kind}N")
    shapes = dict(listed)
    for number, key in keys.items():
        shape = shapes[key]
        if len(shape) != 3 or (shape[0], shape[2]) != (CHANNELS, len(FIVE_BANDS)) or not shape[1]:
            raise DataError(
                f"{path} trial {number} {kind}",
                f"shape ({CHANNELS}, windows, {len(FIVE_BANDS)})", f"{shape}",
            )
    return _signals(path, keys)


def _signals(path: Path, keys: Mapping[int, str]) -> list[TrialSignal]:
    arrays = _matlab.arrays(path, list(keys.values()))
    return [TrialSignal(number, arrays[keys[number]]) for number in sorted(keys)]


def note_lengths(
    corpus: str, path: Path, expected: Sequence[int], notices: list[str]
) -> None:
    """Tell, once a corpus, that trials are not as long as published."""
    start = f"{corpus}: trial lengths differ from the published ones"
    if any(n.startswith(start) for n in notices):
        return
    try:
        shapes = _matlab.shapes(path)
    except DataError:
        return  # reading the file tells better
    for name, shape in shapes:
        match = re.fullmatch(RAW_KEY, name)
        if match is None or len(shape) != 2 or not 1 <= int(match[1]) <= len(expected):
            continue
        usual = expected[int(match[1]) - 1]
        if abs(shape[1] - usual) > _TOLERANCE_S * RATE:
            notices.append(
                f"{start}, first in {path.name} (trial {match[1]}: {shape[1]} samples, published "
                f"{usual}); they are taken as they are"
            )
            return


def kind_of(corpus: str, official_kind: str, known: Sequence[str]) -> str:
    """The kind of owner's features asked for; the first by default.

    Raises
    ------
    UnknownNameError
    SettingError
        A kind that is not per electrode.
    """
    if not official_kind:
        return known[0]
    lower = {k.lower(): k for k in known}
    if official_kind.lower() not in lower:
        raise UnknownNameError(f"kind of official features of {corpus}", official_kind, known)
    kind = lower[official_kind.lower()]
    rows = SEED_FEATURE_ROWS[kind.split("_")[0]]
    if rows != CHANNELS:
        usable = [k for k in known if SEED_FEATURE_ROWS[k.split("_")[0]] == CHANNELS]
        raise SettingError(
            f"{kind} of {corpus} has {rows} pairs of electrodes for rows, not {CHANNELS} "
            "electrodes, so it cannot become windows that another corpus's channels match",
            f"Choose one of {', '.join(usable)}.",
        )
    return kind


def described(kind: str, window_s: float) -> OfficialFeatures:
    """Kind, window length and smoothing of the owner's features."""
    return OfficialFeatures(kind, window_s, kind.split("_")[1])


def finished(
    root: Path, recordings: Sequence[Recording], skipped: Collection[tuple[Path, str]]
) -> Inventory:
    """Inventory of recordings that are checked and complete."""
    subjects, sessions = expected_size(read_marker(root), SUBJECTS, SESSIONS)
    return Inventory(
        root, ordered(recordings), tuple(skipped), absent(recordings, subjects, sessions)
    )


def unknown_subject(owned: CorpusAdapter, subject: int) -> str:
    """Reason to pass over a file whose subject does not exist; empty if it does."""
    if 1 <= subject <= SUBJECTS:
        return ""
    return f"{owned.name} has subjects 1 to {SUBJECTS}, not {subject}"


# Writing.


def prefix_of(rng: np.random.Generator, subject: int) -> str:
    """Two or three letters that the keys of a subject begin with."""
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), size=3 if subject % 3 == 0 else 2)
    return "".join(letters)


def shuffled(
    rng: np.random.Generator, values: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The same keys in random order: readers must not count on any."""
    names = list(values)
    return {names[i]: values[names[i]] for i in rng.permutation(len(names))}


def owner_features(signal: NDArray[np.float64], window_s: int) -> dict[str, NDArray[np.float64]]:
    """Features as the owner computes them, four kinds, each (62, windows, 5).

    Parameters
    ----------
    signal : (62, samples) float64
        Microvolt at 200 Hz.
    """
    length = window_s * RATE
    windows = signal.shape[1] // length
    frames = signal[:, : windows * length].reshape(len(signal), windows, length)
    spectrum = np.fft.rfft(frames * np.hanning(length), axis=2)
    power = np.abs(spectrum) ** 2 / length
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    psd = np.stack(
        [power[..., (hertz >= a) & (hertz < b)].mean(axis=2) for a, b in FIVE_BANDS], axis=2
    )
    de = np.log2(100 * psd)
    return {
        "de_movingAve": _moving_average(de), "de_LDS": _kalman(de),
        "psd_movingAve": _moving_average(psd), "psd_LDS": _kalman(psd),
    }


def _moving_average(x: NDArray[np.float64], width: int = 5) -> NDArray[np.float64]:
    """Mean over ``width`` windows around each, fewer at the ends."""
    sums = np.cumsum(np.pad(x, ((0, 0), (1, 0), (0, 0))), axis=1)
    i = np.arange(x.shape[1])
    low, high = np.maximum(i - width // 2, 0), np.minimum(i + width // 2 + 1, x.shape[1])
    return (sums[:, high] - sums[:, low]) / (high - low)[:, None]


def _kalman(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kalman smoother over the whole trial, with the owner's variances (0.001, 1, 0.1)."""
    step, noise = 0.001, 1.0
    n = x.shape[1]
    mean = np.empty_like(x)
    variance, ahead = np.empty(n), np.empty(n)
    state, spread = x.mean(axis=1), 0.1
    for t in range(n):
        ahead[t] = spread + (step if t else 0.0)
        gain = ahead[t] / (ahead[t] + noise)
        state = state + gain * (x[:, t] - state)
        spread = (1 - gain) * ahead[t]
        mean[:, t], variance[t] = state, spread
    for t in range(n - 2, -1, -1):
        mean[:, t] += variance[t] / ahead[t + 1] * (mean[:, t + 1] - mean[:, t])
    return mean


class SeedLike(SimulatedCorpus):
    """Adapter of a corpus whose files hold trials by number, raw or as the owner's features."""

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of one file, see :meth:`CorpusAdapter.read`.

        Raises
        ------
        DataError, SettingError, UnknownNameError
        """
        if features == "bench":
            return read_raw(recording.path, self.trials_per_session)
        kind = kind_of(self.name, official_kind, self.official_kinds)
        return read_features(recording.path, kind, self.trials_per_session)
