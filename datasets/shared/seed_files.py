"""What the corpora of SEED's owners share: files of trials by number, and their features."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import (
    Features,
    Inventory,
    OfficialFeatures,
    Recording,
    TrialInfo,
    TrialSignal,
)
from bench.data.features import listed
from bench.data.recipe import Recipe, read_marker
from bench.data.windows import FIVE_BANDS
from bench.errors import DataError, SettingError, UnknownNameError

from . import files, matlab, sheets
from .facts import SEED_CHANNELS, SEED_FEATURE_ROWS
from .simulated import PlannedTrial, SimulatedCorpus
from .simulator import EMOTIONS, Generator
from .torn import TORN

RATE = 200
CHANNELS = 62
#: Of SEED-V and SEED-VII: the owners' table of labels.
SHEET = "emotion_label_and_stimuli_order.xlsx"
RAW = f"shape ({CHANNELS}, samples) with a second to an hour at {RATE} Hz"
RAW_KEY = r"[A-Za-z]+_eeg(\d+)"
FILE_WORDS = "{subject}_{YYYYMMDD}.mat"
#: Names, as `files.plain` gives them, that belong beside recordings.
COMPANIONS = r"label\.mat|readme(\.txt)?|.*\.xlsx?|time\.txt|subject.*\.txt"
#: Names of recordings by subject and date, and what belongs beside them.
DATED = (r"(\d{1,2})_(\d{8})\.mat", FILE_WORDS, COMPANIONS)
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
    keys: dict[int, str] = {}
    for match in filter(None, (re.fullmatch(pattern, name) for name in names)):
        key = keys.setdefault(int(match[1]), match[0])
        if key != match[0]:
            raise DataError(path, f"one array for trial {match[1]}", f"{key} and {match[0]}")
    wanted = range(1, trials + 1)
    expected = f"trials 1 to {trials} as {described}"
    if not keys:
        there = listed(names, 24) or "no arrays at all"
        raise DataError(path, expected, f"no such array among {there}")
    lost = [str(n) for n in wanted if n not in keys]
    if lost:
        raise DataError(
            path, expected,
            f"{trials - len(lost)} of {trials}: {listed(lost, 24)} missing",
            TORN,
        )
    extra = [str(n) for n in sorted(set(keys) - set(wanted))]
    if extra:
        raise DataError(path, expected, f"also trial {listed(extra, 24)}")
    return keys


def read_raw(path: Path, trials: int) -> list[TrialSignal]:
    """Signals of one file, each (62, samples).

    Raises
    ------
    DataError
        Torn, trials missing, wrong number of channels, under a second.
    """
    return _read(
        path, trials, RAW_KEY, named="{name}_eegN", kind="", expected=RAW, fits=is_raw,
    )


def is_raw(shape: tuple[int, ...]) -> bool:
    """Whether signals of a trial have a shape like :data:`RAW`."""
    return len(shape) == 2 and shape[0] == CHANNELS and RATE <= shape[1] <= _LONGEST_S * RATE


def read_features(path: Path, kind: str, trials: int) -> list[TrialSignal]:
    """Owner's features of one file, each (62, windows, 5).

    Raises
    ------
    DataError
        Torn, trials missing, another shape.
    """
    bands = len(FIVE_BANDS)
    return _read(
        path, trials, f"{kind}(\\d+)", named=f"{kind}N", kind=f" {kind}",
        expected=f"shape ({CHANNELS}, windows, {bands})",
        fits=lambda s: len(s) == 3 and (s[0], s[2]) == (CHANNELS, bands) and s[1] > 0,
    )


def _read(
    path: Path, trials: int, pattern: str, *, named: str, kind: str, expected: str,
    fits: Callable[[tuple[int, ...]], bool],
) -> list[TrialSignal]:
    """Arrays of all trials, whose shapes are checked before any is read."""
    shapes = dict(matlab.shapes(path))
    keys = by_number(path, list(shapes), pattern, trials, named)
    for number, key in keys.items():
        if not fits(shapes[key]):
            raise DataError(f"{path} trial {number}{kind}", expected, f"{shapes[key]}")
    arrays = matlab.arrays(path, list(keys.values()))
    return [TrialSignal(number, arrays[keys[number]]) for number in sorted(keys)]


def note_lengths(
    corpus: str, path: Path, expected: Sequence[int], notices: list[str]
) -> None:
    """Tell, once a corpus, that trials are not as long as published."""
    start = f"{corpus}: trial lengths differ from the published ones"
    if any(n.startswith(start) for n in notices):
        return
    try:
        shapes = matlab.shapes(path)
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
    """Features as the owner computes them, smoothed and not, each (62, windows, 5).

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
        "psd_movingAve": _moving_average(psd), "psd_LDS": _kalman(psd), "de": de, "psd": psd,
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
    """Adapter of a corpus whose files hold trials by number, raw or as the owner's features.

    A subclass says where its files lie, and gives :meth:`labels` and :meth:`samples`.
    """

    access: ClassVar[str] = (
        "apply at https://bcmi.sjtu.edu.cn/home/seed/ (licence agreement, academic research only)"
    )
    channels: ClassVar[tuple[str, ...]] = SEED_CHANNELS
    rate: ClassVar[float] = float(RATE)
    subjects: ClassVar[int] = 15
    sessions: ClassVar[int] = 3
    #: Name of each class that a file may hold.
    codes: ClassVar[Mapping[float, str]]
    #: Whether each session shows clips of its own.
    new_clips: ClassVar[bool] = False
    #: Smoothing of the owner's features whose kind says none.
    unsmoothed: ClassVar[str] = "none"

    def published(self, session: int) -> tuple[int, ...]:
        """Class of each trial of a session, as published."""
        raise NotImplementedError

    def labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        """Class of each trial of a recording: by the files, or else as published."""
        raise NotImplementedError

    def samples(self, session: int, index: int, recipe: Recipe | None) -> int:
        """Samples of a trial, counted from 0: the published number, or its simulated share."""
        raise NotImplementedError

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Windows of 4 s, smoothed as the kind says, or else as :attr:`unsmoothed` says.

        Raises
        ------
        SettingError, UnknownNameError
        """
        kind = kind_of(self.name, official_kind, self.official_kinds)
        return OfficialFeatures(kind, 4.0, kind.partition("_")[2] or self.unsmoothed)

    def in_sheet(
        self, inventory: Inventory, session: int, notices: list[str]
    ) -> tuple[int, ...]:
        """Class of each trial of a session by the owners' table, or else as published."""
        known = {word: int(code) for code, word in self.codes.items()}
        tables = files.loose_files(inventory.root, inventory.root, SHEET)
        told = {}
        if tables:
            told = sheets.sessions(tables[0], tuple(known), self.trials_per_session)
        if session not in told:
            absent = f"has no labels of session {session}" if tables else "not found"
            files.once(notices, f"{self.name}: {SHEET} {absent}; the published labels are used")
            return self.published(session)
        return tuple(known[word] for word in told[session])

    def compared(
        self, labels: tuple[int, ...], session: int, source: str, notices: list[str]
    ) -> tuple[int, ...]:
        """The labels of a session; it is told where they are not the published ones."""
        if labels != self.published(session):
            files.once(notices, f"{self.name}: labels of session {session} in {source} differ from "
                                "the published ones; the file's are used")
        return labels

    def write_sheet(self, folder: Path) -> None:
        """Write the owners' table of all sessions."""
        sheets.write(folder / SHEET, [
            line for s in self.visits(None) for line in (
                [f"Session {s}", *(self.codes[c].capitalize() for c in self.published(s))],
                ["", *(f"clip {s}-{i}" for i in range(1, self.trials_per_session + 1))],
            )
        ])

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

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip and class of each trial, by :meth:`labels`.

        Raises
        ------
        DataError
            The file of labels holds something else.
        """
        labels, session = self.labels(inventory, recording, notices), recording.session
        marker = read_marker(inventory.root)
        expected = [self.samples(session, i, marker) for i in range(self.trials_per_session)]
        note_lengths(self.name, recording.path, expected, notices)
        return self.infos(labels, session)

    def infos(self, labels: Sequence[int], session: int) -> dict[int, TrialInfo]:
        """Clip, order and class of each trial of a session, from their classes."""
        before = (session - 1) * self.trials_per_session if self.new_clips else 0
        return {
            number: TrialInfo(before + number, number - 1, {"class": float(label)})
            for number, label in enumerate(labels, start=1)
        }

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` puts into the recording of a subject and session."""
        return [
            PlannedTrial(
                number=i + 1, order=i, emotion=EMOTIONS[self.codes[float(label)]],
                samples=self.samples(session, i, recipe), values={"class": float(label)},
            )
            for i, label in enumerate(self.published(session))
        ]

    def write_recording(
        self, generator: Generator, subject: int, session: int, *, raw: Path,
        official: Mapping[int, Path], extra: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write a simulated recording: its signals, and features by the length of their windows.

        ``extra`` are further variables of the file of signals.
        """
        rng = np.random.default_rng([generator.recipe.seed, subject])
        prefix = prefix_of(rng, subject)  # the same in a subject's sessions
        signals: dict[str, NDArray[Any]] = {}
        features: dict[int, dict[str, NDArray[Any]]] = {window_s: {} for window_s in official}
        for plan in self.design(generator.recipe, subject, session):
            signal = np.round(generator.trial(subject, session, plan) * 64) / 64
            signals[f"{prefix}_eeg{plan.number}"] = signal
            for window_s, values in features.items():
                for kind, value in owner_features(signal, window_s).items():
                    if kind not in ("de", "psd"):  # of SEED-V and SEED-VII
                        values[f"{kind}{plan.number}"] = value
        compress = (subject, session) == (1, 1)  # as the owner's; all of them would take a minute
        matlab.write(raw, shuffled(rng, {**signals, **(extra or {})}), compress)
        for window_s, path in official.items():
            matlab.write(path, shuffled(rng, features[window_s]))
