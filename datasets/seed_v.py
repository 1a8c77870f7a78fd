"""SEED-V: 16 subjects, 3 sessions of 15 film clips each, five emotions."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import (
    Features,
    Inventory,
    Recording,
    TrialInfo,
    TrialSignal,
)
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.data.windows import FIVE_BANDS
from bench.errors import DataError

from .shared import files, neuroscan, pickles, seed_files
from .shared.facts import SEED_V_ENDS, SEED_V_LABELS, SEED_V_STARTS
from .shared.simulated import seconds
from .shared.simulator import Generator
from .shared.tables import text_of

_RAW = "EEG_raw"
_OFFICIAL = "EEG_DE_features"
_TIMES = "trial_start_end_timestamp.txt"
_CLASSES = {0.0: "disgust", 1.0: "fear", 2.0: "sad", 3.0: "neutral", 4.0: "happy"}
_TRIALS = 15
_RECORDED_HZ = 1000
_WINDOW_S = 4
_COMPANIONS = r"readme(\.txt)?|.*\.xlsx?|trialstart.*\.txt|.*\.locs"
_GAP_S = 2  # between simulated trials


class SeedV(seed_files.SeedLike):
    """Reader and simulator of SEED-V."""

    name = "SEED-V"
    title = (
        "SEED-V. Liu, Qiu, Zheng & Lu: Comparing recognition performance and robustness of "
        "multimodal deep learning models for multimodal emotion recognition. IEEE Trans. Cognitive "
        "and Developmental Systems 2022, 10.1109/TCDS.2021.3071170"
    )
    layout = """SEED-V/
  EEG_raw/{subject}_{session}_{YYYYMMDD}.cnt    48 recordings   (features=bench)
  EEG_DE_features/{subject}_123.npz             16 files        (features=official)
  trial_start_end_timestamp.txt                 where trials begin and end in EEG_raw
  emotion_label_and_stimuli_order.xlsx          (labels)"""
    folder = "SEED-V"
    subjects = 16
    trials_per_session = _TRIALS
    codes = _CLASSES
    new_clips = True
    tasks = (
        Task("5", tuple(_CLASSES.values()), "class", codes=_CLASSES,
             doc="What the film clip is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class",
             codes={2.0: "negative", 3.0: "neutral", 4.0: "positive"},
             dropped=frozenset({0.0, 1.0}),
             doc="Sad is negative, happy is positive, disgust and fear are dropped."),
        Task("3-all-negative", ("negative", "neutral", "positive"), "class",
             codes={**dict.fromkeys((0.0, 1.0, 2.0), "negative"), 3.0: "neutral", 4.0: "positive"},
             doc="Disgust, fear and sad are negative, happy is positive."),
    )
    official_kinds = ("de",)
    unsmoothed = "unstated"

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; a feature file has all sessions.

        Raises
        ------
        MissingCorpusError, DataError
        """
        raw = features == "bench"
        folder, places = files.locate(self, root, (_RAW if raw else _OFFICIAL,))
        pattern, words = (
            (r"(\d{1,2})_([1-3])_\d{8}\.cnt", "{subject}_{session}_{YYYYMMDD}.cnt") if raw
            else (r"(\d{1,2})_123\.npz", "{subject}_123.npz")
        )
        named, skipped = self.matching(places[0], folder, pattern, words, _COMPANIONS)
        times = tuple(files.loose_files(folder, folder, _TIMES)[:1]) if raw else ()
        every = self.visits(read_marker(folder))
        recordings = [Recording(path, subject, session, times) for path, subject, match in named
                      for session in ([int(match[2])] if raw else every)]
        if not recordings:
            raise files.no_recordings(self, places, words, skipped)
        return self.listed(folder, self.unique(recordings), skipped)

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of one session: cut from the recording and brought to 200 Hz, or features.

        They are cut at the seconds of the owners' file, or else at the published ones.

        Raises
        ------
        DataError, UnknownNameError
        """
        if features == "bench":
            recorded = neuroscan.header(recording.path)
            session = recording.session - 1
            spans = (_parse_times(recording.others[0], recording.session) if recording.others
                     else zip(SEED_V_STARTS[session], SEED_V_ENDS[session], strict=True))
            cuts = {n: (a * recorded.rate, b * recorded.rate)
                    for n, (a, b) in enumerate(spans, start=1)}
            return neuroscan.trials(recorded, cuts, self.channels, seed_files.RATE)
        seed_files.kind_of(self.name, official_kind, self.official_kinds)
        bands = len(FIVE_BANDS)
        arrays = _session(recording, "data")
        for number, array in arrays.items():
            if array.ndim != 2 or array.shape[1] != len(self.channels) * bands or not len(array):
                raise DataError(f"{recording.path} trial {number} of session {recording.session}",
                                f"shape (windows, {len(self.channels) * bands})", f"{array.shape}")
        return [
            TrialSignal(n, a.reshape(len(a), len(self.channels), bands).transpose(1, 0, 2))
            for n, a in arrays.items()
        ]

    def published(self, session: int) -> tuple[int, ...]:
        """Class of each clip of a session."""
        return SEED_V_LABELS[session - 1]

    def labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        """Classes from the file of features, or the owners' table, or the published ones.

        Raises
        ------
        DataError
            The file of labels holds something else.
        """
        session = recording.session
        if recording.path.suffix == ".npz":
            labels, source = _read_labels(recording), recording.path.name
        else:
            labels, source = self.in_sheet(inventory, session, notices), seed_files.SHEET
        return self.compared(labels, session, source, notices)

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip and class of each trial, by :meth:`labels`.

        Raises
        ------
        DataError
        """
        if recording.path.suffix == ".cnt" and not recording.others:
            files.once(notices, f"SEED-V: {_TIMES} not found; trials are cut at the published "
                                "times")
        return self.infos(self.labels(inventory, recording, notices), recording.session)

    def samples(self, session: int, index: int, recipe: Recipe | None) -> int:
        """Samples of a trial at 200 Hz."""
        true_s = SEED_V_ENDS[session - 1][index] - SEED_V_STARTS[session - 1][index]
        return seconds(true_s, recipe) * seed_files.RATE

    def write(self, folder: Path, generator: Generator) -> None:
        """Write recordings, features, times, labels, decoys."""
        recipe = generator.recipe
        for name in (_RAW, _OFFICIAL):
            (folder / name).mkdir()
        for subject in self.people(recipe):
            features: dict[int, NDArray[np.float64]] = {}
            for session in self.visits(recipe):
                signals = [generator.trial(subject, session, p)
                           for p in self.design(recipe, subject, session)]
                path = folder / _RAW / f"{subject}_{session}_2018{3 + session:02d}{subject:02d}.cnt"
                _write_recording(path, signals, recipe.seed, (subject, session))
                for signal in signals:
                    de = seed_files.owner_features(signal, _WINDOW_S)["de"]
                    features[len(features)] = de.transpose(1, 0, 2).reshape(de.shape[1], -1)
            _write_features(folder / _OFFICIAL / f"{subject}_123.npz", features)
        times = []
        for session in self.visits(None):
            lengths = [self.samples(session, i, recipe) // seed_files.RATE for i in range(_TRIALS)]
            ends = np.cumsum(np.array(lengths) + _GAP_S)
            times.append(f"Session {session}:\nstart_second: {(ends - lengths).tolist()}\n"
                         f"end_second: {ends.tolist()}\n")
        (folder / _TIMES).write_text("\n".join(times), encoding="utf-8")
        self.write_sheet(folder)
        (folder / _RAW / "._1_1_20180401.cnt").write_bytes(files.JUNK)


def _parse_times(path: Path, session: int) -> list[tuple[int, int]]:
    """Seconds from which to which each trial of a session runs."""
    text = text_of(path)
    match = re.search(
        rf"session\s*{session}\s*:?\s*start_second\s*:?\s*\[([^\]]*)\]\W*"
        r"end_second\s*:?\s*\[([^\]]*)\]", text, flags=re.IGNORECASE,
    )
    where = f"{path} session {session}"
    expected = f"{_TRIALS} start_second and {_TRIALS} end_second"
    if match is None:
        raise DataError(where, expected, "no such lists")
    starts, ends = (re.findall(r"[^,\s]+", match[i]) for i in (1, 2))
    if not len(starts) == len(ends) == _TRIALS or not all(
            re.fullmatch("[0-9]{1,6}", second) for second in starts + ends):
        raise DataError(where, f"{expected} in whole seconds", f"{len(starts)} and {len(ends)}: "
                        f"{', '.join(starts + ends)[:80]}")
    spans = [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
    flat = [second for span in spans for second in span]
    if flat != sorted(flat) or any(a == b for a, b in spans):
        raise DataError(where, "trials one after another", ", ".join(map(str, flat))[:80])
    return spans


def _session(recording: Recording, name: str) -> dict[int, NDArray[Any]]:
    """Arrays of the trials of a session, by number from 1; the owners count all from 0."""
    before = (recording.session - 1) * _TRIALS
    keys = {n: str(before + n - 1) for n in range(1, _TRIALS + 1)}
    arrays = pickles.load_arrays(recording.path, list(keys.values()), packed=name)
    lost = [k for k in keys.values() if k not in arrays]
    if lost:
        raise DataError(f"{recording.path} {name}",
                        f"keys {keys[1]} to {keys[_TRIALS]} of session {recording.session}",
                        f"no {', '.join(lost)}")
    return {n: arrays[k] for n, k in keys.items()}


def _read_labels(recording: Recording) -> tuple[int, ...]:
    """Class of each trial: its windows all have the same."""
    labels = []
    for number, array in _session(recording, "label").items():
        values = np.unique(array)
        if len(values) != 1 or float(values[0]) not in _CLASSES:
            raise DataError(f"{recording.path} label of trial {number} of session "
                            f"{recording.session}", "one class among 0, 1, 2, 3, 4",
                            ", ".join(f"{v:g}" for v in values[:5]) or "none")
        labels.append(int(values[0]))
    return tuple(labels)


def _write_recording(
    path: Path, signals: Sequence[NDArray[np.float64]], seed: int, who: tuple[int, int]
) -> None:
    """A recording at 1000 Hz: trials with gaps between, two mastoids and the eyes beside."""
    from scipy.signal import resample_poly

    rng = np.random.default_rng([seed, *who])
    rows = len(signals[0])
    gaps = 5 * rng.standard_normal((len(signals) + 1, rows, _GAP_S * seed_files.RATE))
    parts = [part for pair in zip(gaps, signals, strict=False) for part in pair]
    recorded = resample_poly(
        np.concatenate([*parts, gaps[-1]], axis=1).astype(np.float32),
        _RECORDED_HZ // seed_files.RATE, 1, axis=1,
    )
    beside = np.cumsum(rng.standard_normal((4, recorded.shape[1]), dtype=np.float32), axis=1)
    half = rows // 2  # the owners' files have the mastoids in the middle
    names = [*SeedV.channels[:half], "M1", "M2", *SeedV.channels[half:], "HEO", "VEO"]
    data = np.concatenate([recorded[:half], beside[:2], recorded[half:], beside[2:]])
    numbers = np.clip(np.round(data * 64), -32768, 32767).astype(np.int32)
    # The owners' have 4 bytes a number; half of that is read as well, and is enough for all others.
    neuroscan.write(path, names, _RECORDED_HZ, numbers, 1 / 64, width=4 if who[0] == 1 else 2)


def _write_features(path: Path, features: Mapping[int, NDArray[np.float64]]) -> None:
    labels = {
        k: np.full(len(x), float(SEED_V_LABELS[k // _TRIALS][k % _TRIALS]))
        for k, x in features.items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, data=pickle.dumps(dict(features), 4), label=pickle.dumps(labels, 4))
    path.write_bytes(buffer.getvalue())
