"""SEED-IV: 15 subjects, 3 sessions of 24 film clips each, other clips in each session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import Features, Inventory, OfficialFeatures, Recording, TrialInfo
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.errors import DataError

from .shared import files as _files
from .shared import matlab as _matlab
from .shared import seed_files as _seed_files
from .shared.facts import (
    SEED_CHANNELS,
    SEED_IV_DATES,
    SEED_IV_LABELS,
    SEED_IV_SAMPLES_1,
    SEED_IV_WINDOWS,
)
from .shared.simulated import PlannedTrial, seconds

if TYPE_CHECKING:
    from .shared.simulator import Generator

_RAW = "eeg_raw_data"
_OFFICIAL = "eeg_feature_smooth"
_CLASSES = {0.0: "neutral", 1.0: "sad", 2.0: "fear", 3.0: "happy"}
_TRIALS = 24
_WINDOW_S = 4
_LARGEST_README = 1_000_000


class SeedIV(_seed_files.SeedLike):
    """Reader and simulator of SEED-IV."""

    name: ClassVar[str] = "SEED-IV"
    title: ClassVar[str] = (
        "SEED-IV. Zheng, Liu, Lu, Lu & Cichocki: EmotionMeter: a multimodal framework for "
        "recognizing human emotions. IEEE Trans. Cybernetics 2019, 10.1109/TCYB.2018.2797176"
    )
    access: ClassVar[str] = (
        "apply at https://bcmi.sjtu.edu.cn/home/seed/ (licence agreement, academic research only)"
    )
    layout: ClassVar[str] = """SEED_IV/
  eeg_raw_data/{1,2,3}/{subject}_{YYYYMMDD}.mat          15 each   (features=bench)
  eeg_feature_smooth/{1,2,3}/{subject}_{YYYYMMDD}.mat    15 each   (features=official)
  ReadMe.txt                                             (labels)"""
    channels: ClassVar[tuple[str, ...]] = SEED_CHANNELS
    rate: ClassVar[float] = float(_seed_files.RATE)
    trials_per_session: ClassVar[int] = _TRIALS
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("4", tuple(_CLASSES.values()), "class", codes=_CLASSES,
             doc="What the film clip is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class",
             codes={1.0: "negative", 0.0: "neutral", 3.0: "positive"}, dropped=frozenset({2.0}),
             doc="Sad is negative, happy is positive, fear is dropped."),
        Task("3-fear-negative", ("negative", "neutral", "positive"), "class",
             codes={1.0: "negative", 2.0: "negative", 0.0: "neutral", 3.0: "positive"},
             doc="Sad and fear are negative, happy is positive."),
    )
    official_kinds: ClassVar[tuple[str, ...]] = (
        "de_LDS", "de_movingAve", "psd_LDS", "psd_movingAve",
    )

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; the folder's number is the session.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder, found = _files.locate(self, root, (_RAW if features == "bench" else _OFFICIAL,))
        recordings: list[Recording] = []
        skipped: list[tuple[Path, str]] = []
        for entry in _files.entries(found[0]):
            numbered = entry.name in ("1", "2", "3") and entry.is_dir()
            if numbered and _files.inside(entry, folder):
                some, passed = self._recordings(folder, entry)
                recordings += some
                skipped += passed
            elif numbered:
                skipped.append((entry, "a link that leaves the corpus's folder"))
            elif not re.fullmatch(_seed_files.COMPANIONS, _files.plain(entry.name)):
                skipped.append((entry, "not one of the sessions' folders 1, 2, 3"))
        if not recordings:
            raise _files.no_recordings(self, found, f"{{1,2,3}}/{_seed_files.FILE_WORDS}", skipped)
        _files.unique(recordings, lambda r: f"subject {r.subject} in session {r.session}")
        return _seed_files.finished(folder, recordings, skipped)

    def _recordings(
        self, root: Path, folder: Path
    ) -> tuple[list[Recording], list[tuple[Path, str]]]:
        files, skipped = _files.matching(
            folder, root, _seed_files.FILE, _seed_files.FILE_WORDS, _seed_files.COMPANIONS
        )
        recordings = []
        for path, match in files:
            why = _seed_files.unknown_subject(self, int(match[1]))
            if why:
                skipped.append((path, why))
            else:
                recordings.append(Recording(path, int(match[1]), int(folder.name)))
        return recordings, skipped

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Windows of 4 s, always.

        Raises
        ------
        UnknownNameError
        """
        kind = _seed_files.kind_of(self.name, official_kind, self.official_kinds)
        return _seed_files.described(kind, float(_WINDOW_S))

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip classes from ``ReadMe.txt``, or the published ones; each session has its own clips.

        Raises
        ------
        DataError
            A list in ``ReadMe.txt`` is not one of 24 classes.
        """
        session = recording.session
        labels = self._labels(inventory, session, notices)
        marker = read_marker(inventory.root)
        expected = [_samples(session, i, marker) for i in range(_TRIALS)]
        _seed_files.note_lengths(self.name, recording.path, expected, notices)
        return {
            number: TrialInfo(
                (session - 1) * _TRIALS + number, number - 1, {"class": float(label)}
            )
            for number, label in enumerate(labels, start=1)
        }

    def _labels(
        self, inventory: Inventory, session: int, notices: list[str]
    ) -> tuple[int, ...]:
        published = SEED_IV_LABELS[session - 1]
        files = _files.loose_files(inventory.root, inventory.root, "ReadMe.txt", "ReadMe")
        for path in files:
            labels = _parse_labels(path, session)
            if labels and labels != published:
                _files.once(notices, f"SEED-IV: session{session}_label in {path.name} differs "
                                     "from the published labels; the file's are used")
            if labels:
                return labels
        absent = "has no list of labels" if files else "not found"
        which = f" for session {session}" if files else ""
        _files.once(notices, f"SEED-IV: ReadMe.txt {absent}{which}; the published labels "
                             "are used")
        return published

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`simulate` writes into the recording of a subject and session."""
        from .shared.simulator import EMOTIONS

        return [
            PlannedTrial(
                number=i + 1, order=i, emotion=EMOTIONS[_CLASSES[float(label)]],
                samples=_samples(session, i, recipe), values={"class": float(label)},
            )
            for i, label in enumerate(SEED_IV_LABELS[session - 1])
        ]

    def simulate(self, root: Path, recipe: Recipe) -> None:
        """Write ``SEED_IV`` below ``root``: signals, features, ``ReadMe.txt``, decoys."""
        generator = self.generator(recipe)
        folder = root / "SEED_IV"
        subjects, sessions = _files.expected_size(recipe, len(SEED_IV_DATES), len(SEED_IV_LABELS))
        for session in range(1, sessions + 1):
            for name in (_RAW, _OFFICIAL):
                (folder / name / str(session)).mkdir(parents=True)
            for subject in range(1, subjects + 1):
                self._write(folder, generator, subject, session)
        (folder / _RAW / "1" / "._1_20160518.mat").write_bytes(_files.JUNK)
        (folder / "Channel Order.xlsx").write_bytes(b"")
        lists = "\n".join(
            f"session{i}_label = [{','.join(map(str, labels))}];"
            for i, labels in enumerate(SEED_IV_LABELS, start=1)
        )
        (folder / "ReadMe.txt").write_text(
            "Simulated; no recording of a person.\nThe labels 0, 1, 2, 3 are neutral, sad, fear, "
            f"happy.\n\n{lists}\n"
        )
        write_marker(folder, self.name, recipe)

    def _write(self, folder: Path, generator: Generator, subject: int, session: int) -> None:
        recipe = generator.recipe
        rng = np.random.default_rng([recipe.seed, subject])
        prefix = _seed_files.prefix_of(rng, subject)  # the same in a subject's sessions
        file = f"{subject}_{SEED_IV_DATES[subject][session - 1]}.mat"
        raw: dict[str, NDArray[np.float64]] = {}
        features: dict[str, NDArray[np.float64]] = {}
        for plan in self.design(recipe, subject, session):
            signal = generator.signal(
                subject, session, plan.number, plan.order, plan.emotion, plan.samples
            )
            signal = np.round(signal * 64) / 64
            raw[f"{prefix}_eeg{plan.number}"] = signal
            for kind, value in _seed_files.owner_features(signal, _WINDOW_S).items():
                features[f"{kind}{plan.number}"] = value
        compress = (subject, session) == (1, 1)  # as the owner's; all of them would take a minute
        target = folder / _RAW / str(session) / file
        _matlab.write(target, _seed_files.shuffled(rng, raw), compress)
        target = folder / _OFFICIAL / str(session) / file
        _matlab.write(target, _seed_files.shuffled(rng, features))


def _samples(session: int, index: int, recipe: Recipe | None) -> int:
    """Samples of a trial, from 0; published for the first session, else from its windows."""
    rate = _seed_files.RATE
    if session == 1:
        true_s = (SEED_IV_SAMPLES_1[index] - 1) / rate
    else:  # W windows of 4 s fit trials of 4 W to 4 W + 3 s: the middle
        true_s = _WINDOW_S * SEED_IV_WINDOWS[session - 1][index] + 2
    return seconds(true_s, recipe) * rate + 1


def _parse_labels(path: Path, session: int) -> tuple[int, ...]:
    """Classes of a session's trials; empty if the file has no such list."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_README).decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(path, "a text file", f"{error.strerror}") from error
    match = re.search(
        rf"session\s*_?{session}_?label\w*\s*=\s*\[([^\]]*)\]", text, flags=re.IGNORECASE
    )
    if match is None:
        return ()
    words = re.split(r"[,;\s]+", match[1].strip(" ,;\t\r\n"))
    if len(words) != _TRIALS or not all(re.fullmatch("[0-3]", w) for w in words):
        raise DataError(
            f"{path} session{session}_label", f"{_TRIALS} labels among 0, 1, 2, 3",
            f"{len(words)}: {', '.join(words[:30])}",
        )
    return tuple(int(w) for w in words)
