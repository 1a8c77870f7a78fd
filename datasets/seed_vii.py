"""SEED-VII: 20 subjects, 4 sessions of 20 film clips each, seven emotions."""

from __future__ import annotations

import csv
import datetime
import io
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
from bench.data.recipe import Recipe
from bench.data.windows import FIVE_BANDS
from bench.errors import DataError

from .shared import files, matlab, neuroscan, seed_files
from .shared.facts import SEED_VII_LABELS
from .shared.simulated import PlannedTrial, seconds
from .shared.simulator import Generator
from .shared.tables import text_of
from .shared.torn import TORN

_CLEAN, _RAW, _OFFICIAL = "EEG_preprocessed", "EEG_raw", "EEG_features"
_NAMES = ("disgust", "fear", "sad", "neutral", "happy", "anger", "surprise")
_CLASSES = {float(k): name for k, name in enumerate(_NAMES)}
_CODES = {name: k for k, name in _CLASSES.items()}
_SESSIONS, _TRIALS = 4, 20
_WINDOW_S = 4
#: Recordings whose marks are wrong, and when they began: the owners give times of day instead.
_BY_CLOCK = {"14_20221015_1": "2022-10-15 14:25:34", "9_20221111_3": "2022-11-11 14:01:27"}
_COMPANIONS = r"readme(\.txt)?|.*\.xlsx?|.*\.locs"
#: Seconds of the simulated clips of a session. Made up: the true ones are not published.
_CLIPS_S = (150, 210, 90, 240, 180, 130, 270, 160, 200, 110, 230, 140, 190, 100, 250, 170, 120, 220,
            80, 260)


class SeedVII(seed_files.SeedLike):
    """Reader and simulator of SEED-VII."""

    name = "SEED-VII"
    title = (
        "SEED-VII. Jiang, Liu, Zheng & Lu: SEED-VII: a multimodal dataset of six basic emotions "
        "with continuous labels for emotion recognition. IEEE Trans. Affective Computing 2025, "
        "10.1109/TAFFC.2024.3485057"
    )
    layout = """SEED-VII/
  EEG_preprocessed/{subject}.mat                20 files, 80 trials each   (features=bench), or else
  EEG_raw/{subject}_{YYYYMMDD}_{session}.cnt    80 recordings              (features=bench)
  EEG_features/{subject}.mat                    20 files                   (features=official)
  save_info/*_trigger_info.csv                  (times of two recordings in EEG_raw)
  emotion_label_and_stimuli_order.xlsx          (labels)"""
    folder = "SEED-VII"
    subjects = 20
    sessions = _SESSIONS
    trials_per_session = _TRIALS
    codes = _CLASSES
    new_clips = True
    tasks = (
        Task("7", _NAMES, "class", codes=_CLASSES, doc="What the film clip is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class",
             codes={2.0: "negative", 3.0: "neutral", 4.0: "positive"},
             dropped=frozenset({0.0, 1.0, 5.0, 6.0}),
             doc="Sad is negative, happy is positive; the other four are dropped."),
        Task("3-all-negative", ("negative", "neutral", "positive"), "class",
             codes={**dict.fromkeys((0.0, 1.0, 2.0, 5.0), "negative"), 3.0: "neutral",
                    4.0: "positive"}, dropped=frozenset({6.0}),
             doc="Disgust, fear, sad and anger are negative, happy is positive, surprise dropped."),
    )
    official_kinds = ("de_LDS", "de", "psd")

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; clean signals go before raw ones.

        Raises
        ------
        MissingCorpusError, DataError
        """
        wanted = (_CLEAN, _RAW) if features == "bench" else (_OFFICIAL,)
        folder, places = files.locate(self, root, wanted)
        return self.first_of(folder, places, self._recordings, "1.mat ... 20.mat")

    def _recordings(
        self, root: Path, folder: Path
    ) -> tuple[list[Recording], files.Skipped]:
        raw = files.plain(folder.name) == files.plain(_RAW)
        pattern, words = (
            (r"(\d{1,2})_\d{8}_([1-4])\.cnt", "{subject}_{YYYYMMDD}_{session}.cnt") if raw
            else (r"(\d{1,2})\.mat", "{subject}.mat")
        )
        named, skipped = self.matching(folder, root, pattern, words, _COMPANIONS)
        recordings = []
        for path, subject, match in named:
            if raw:
                times = f"{path.stem}_trigger_info.csv"
                others = files.loose_files(root, root, times) if path.stem in _BY_CLOCK else []
                recordings.append(Recording(path, subject, int(match[2]), tuple(others[:1])))
            else:
                recordings += [Recording(path, subject, s) for s in _sessions_of(path)]
        return self.unique(recordings), skipped

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of one session, see :meth:`CorpusAdapter.read`.

        Raises
        ------
        DataError, UnknownNameError
        """
        path, channels = recording.path, len(self.channels)
        if path.suffix == ".cnt":
            recorded = neuroscan.header(path)
            cuts = _cuts(recording, recorded)
            return neuroscan.trials(recorded, cuts, self.channels, seed_files.RATE)
        if features == "bench":
            arrays = _arrays(path, recording.session, "{}")
            for number, x in arrays.items():
                if not seed_files.is_raw(x.shape):
                    raise DataError(f"{path} trial {number}", seed_files.RAW, f"{x.shape}")
            return [TrialSignal(n, x) for n, x in arrays.items()]
        kind = seed_files.kind_of(self.name, official_kind, self.official_kinds)
        arrays = _arrays(path, recording.session, f"{kind}_{{}}")
        for number, x in arrays.items():
            # Windows, bands, channels: the reverse of SEED's. There may be 5 windows, or 62, so
            # that the order cannot be seen from a shape.
            if x.ndim != 3 or x.shape[1:] != (len(FIVE_BANDS), channels) or not len(x):
                raise DataError(f"{path} trial {number} {kind}",
                                f"shape (windows, {len(FIVE_BANDS)}, {channels})", f"{x.shape}")
        return [TrialSignal(n, x.transpose(2, 0, 1)) for n, x in arrays.items()]

    def published(self, session: int) -> tuple[int, ...]:
        """Class of each clip of a session."""
        return tuple(int(_CODES[word]) for word in SEED_VII_LABELS[session - 1])

    def labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        """Classes from the owners' table, or the published ones.

        Raises
        ------
        DataError
            The table holds something else.
        """
        labels = self.in_sheet(inventory, recording.session, notices)
        return self.compared(labels, recording.session, seed_files.SHEET, notices)

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip and class of each trial, by :meth:`labels`; numbers go on from session to session.

        Raises
        ------
        DataError
        """
        infos = self.infos(self.labels(inventory, recording, notices), recording.session)
        return {info.stimulus: info for info in infos.values()}

    def samples(self, session: int, index: int, recipe: Recipe | None) -> int:
        """Samples of a simulated trial at 200 Hz."""
        return seconds(_CLIPS_S[(index + 5 * session) % _TRIALS], recipe) * seed_files.RATE

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a session, numbered as the owners number all trials."""
        from dataclasses import replace

        before = (session - 1) * _TRIALS
        return [replace(p, number=before + p.number)
                for p in super().design(recipe, subject, session)]

    def write(self, folder: Path, generator: Generator) -> None:
        """Write clean signals, features, labels, decoys."""
        for name in (_CLEAN, _OFFICIAL):
            (folder / name).mkdir()
        for subject in self.people(generator.recipe):
            rng = np.random.default_rng([generator.recipe.seed, subject])
            signals: dict[str, NDArray[Any]] = {}
            features: dict[str, NDArray[Any]] = {}
            for session in self.visits(generator.recipe):
                for p in self.design(generator.recipe, subject, session):
                    signal = np.round(generator.trial(subject, session, p) * 64) / 64
                    signals[str(p.number)] = signal
                    values = seed_files.owner_features(signal, _WINDOW_S)
                    for kind in self.official_kinds:
                        features[f"{kind}_{p.number}"] = values[kind].transpose(1, 2, 0)
            for place, variables in ((_CLEAN, signals), (_OFFICIAL, features)):
                matlab.write(folder / place / f"{subject}.mat", seed_files.shuffled(rng, variables))
        self.write_sheet(folder)
        (folder / _CLEAN / "._1.mat").write_bytes(files.JUNK)


def _sessions_of(path: Path) -> list[int]:
    """Sessions of which a file has a trial; all of them if it cannot be read (reading tells)."""
    try:
        names = [name.rpartition("_")[2] for name, _ in matlab.shapes(path)]
    except DataError:
        return list(range(1, _SESSIONS + 1))
    numbers = {int(n) for n in names if n.isascii() and n.isdigit() and len(n) <= 2}
    return sorted({(n - 1) // _TRIALS + 1 for n in numbers if 1 <= n <= _SESSIONS * _TRIALS})


def _numbers(session: int) -> range:
    """Trials of a session, as the owners number them: 1 to 80 over all sessions."""
    return range((session - 1) * _TRIALS + 1, session * _TRIALS + 1)


def _arrays(path: Path, session: int, named: str) -> dict[int, NDArray[Any]]:
    """Variables of a session's trials, by number."""
    keys = {n: named.format(n) for n in _numbers(session)}
    arrays = matlab.arrays(path, list(keys.values()))
    lost = [k for k in keys.values() if k not in arrays]
    if lost:
        raise DataError(
            path, f"variables {named.format(min(keys))} to {named.format(max(keys))} of "
            f"session {session}", f"no {', '.join(lost)}",
            TORN,
        )
    return {n: arrays[k] for n, k in keys.items()}


def _cuts(recording: Recording, recorded: neuroscan.Recorded) -> dict[int, tuple[int, int]]:
    """First and last sample of each trial: the recording marks its begin and its end in turn."""
    path = recording.path
    if path.stem in _BY_CLOCK:
        if not recording.others:
            raise DataError(
                path, f"save_info/{path.stem}_trigger_info.csv, since the marks in this recording "
                "are wrong", "no such file", "Unpack the owners' save_info beside EEG_raw.",
            )
        samples = _by_clock(recording.others[0], _BY_CLOCK[path.stem], recorded.rate)
    else:
        samples = [sample for sample, _ in neuroscan.events(recorded)][: 2 * _TRIALS]
    if len(samples) != 2 * _TRIALS or samples != sorted(set(samples)):
        raise DataError(path, f"{2 * _TRIALS} marks, begin and end of {_TRIALS} trials in turn",
                        f"{len(samples)}")
    pairs = zip(samples[::2], samples[1::2], strict=True)
    return dict(zip(_numbers(recording.session), pairs, strict=True))


def _by_clock(path: Path, began: str, rate: int) -> list[int]:
    """Samples of the marks that a table gives by date and time of day."""
    text = text_of(path)
    start, samples = datetime.datetime.fromisoformat(began), []
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        try:
            since = datetime.datetime.fromisoformat(row[1].strip()) - start
            samples.append(round(since.total_seconds() * rate))
        except (IndexError, ValueError, TypeError) as error:
            raise DataError(f"{path} line {number}", "a mark, and its date and time",
                            ",".join(row)[:80]) from error
    return samples[: 2 * _TRIALS]
