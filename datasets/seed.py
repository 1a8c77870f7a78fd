"""SEED: 15 subjects, 3 sessions, 15 film clips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import Features, Inventory, OfficialFeatures, Recording, TrialInfo
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.errors import DataError, MissingCorpusError

from .shared import files as _files
from .shared import matlab as _matlab
from .shared import seed_files as _seed_files
from .shared.facts import SEED_CHANNELS, SEED_DATES, SEED_FEATURE_ROWS, SEED_LABELS, SEED_SAMPLES
from .shared.simulated import PlannedTrial, seconds

if TYPE_CHECKING:
    from .shared.simulator import Generator

_RAW = "Preprocessed_EEG"
_OFFICIAL = ("ExtractedFeatures_1s", "ExtractedFeatures_4s", "ExtractedFeatures")
_CLASSES = {-1.0: "negative", 0.0: "neutral", 1.0: "positive"}
_TRIALS = len(SEED_LABELS)


class Seed(_seed_files.SeedLike):
    """Reader and simulator of SEED."""

    name: ClassVar[str] = "SEED"
    title: ClassVar[str] = (
        "SEED. Zheng & Lu: Investigating critical frequency bands and channels for EEG-based "
        "emotion recognition with deep neural networks. IEEE TAMD 2015, 10.1109/TAMD.2015.2431497"
    )
    access: ClassVar[str] = (
        "apply at https://bcmi.sjtu.edu.cn/home/seed/ (licence agreement, academic research only)"
    )
    layout: ClassVar[str] = """SEED_EEG/
  Preprocessed_EEG/        {subject}_{YYYYMMDD}.mat x 45, label.mat   (features=bench)
  ExtractedFeatures_1s/    {subject}_{YYYYMMDD}.mat x 45, label.mat   (features=official)
  ExtractedFeatures_4s/    or one folder ExtractedFeatures"""
    channels: ClassVar[tuple[str, ...]] = SEED_CHANNELS
    rate: ClassVar[float] = float(_seed_files.RATE)
    trials_per_session: ClassVar[int] = _TRIALS
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("3", ("negative", "neutral", "positive"), "class", codes=_CLASSES,
             doc="What the film clip is meant to evoke."),
    )
    official_kinds: ClassVar[tuple[str, ...]] = tuple(
        f"{feature}_{smoothing}"
        for feature in SEED_FEATURE_ROWS for smoothing in ("LDS", "movingAve")
    )

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; a session is the rank of its date.

        Raises
        ------
        MissingCorpusError, DataError
        """
        wanted = {"bench": (_RAW,), "official": _OFFICIAL, "official-4s": _OFFICIAL[1:]}[features]
        try:
            folder, found = _files.locate(self, root, wanted)
        except MissingCorpusError as error:
            raise self._with_alternative(error, root, features) from None
        skipped: list[tuple[Path, str]] = []
        for place in found:
            recordings, passed = self._recordings(folder, place)
            skipped += passed
            if recordings:
                return _seed_files.finished(folder, recordings, skipped)
        raise _files.no_recordings(self, found, _seed_files.FILE_WORDS, skipped)

    def _with_alternative(
        self, error: MissingCorpusError, root: Path, features: Features
    ) -> MissingCorpusError:
        """The error, with the other half of the corpus named if that is there."""
        other = _OFFICIAL if features == "bench" else (_RAW,)
        option = "official" if features == "bench" else "bench"
        try:
            _, found = _files.locate(self, root, other)
        except (MissingCorpusError, DataError):
            return error
        advice = f"There is {found[0]}: read it with --features {option}."
        return MissingCorpusError(error.message, f"{advice}\n{error.hint}")

    def _recordings(
        self, root: Path, folder: Path
    ) -> tuple[list[Recording], list[tuple[Path, str]]]:
        files, skipped = _files.matching(
            folder, root, _seed_files.FILE, _seed_files.FILE_WORDS, _seed_files.COMPANIONS
        )
        dated: dict[int, list[tuple[str, Path]]] = {}
        for path, match in files:
            why = _seed_files.unknown_subject(self, int(match[1]))
            if why:
                skipped.append((path, why))
            else:
                dated.setdefault(int(match[1]), []).append((match[2], path))
        recordings = []
        for subject, days in dated.items():
            names = [p.name for _, p in days]
            if len(days) > _seed_files.SESSIONS or len({d for d, _ in days}) < len(days):
                raise DataError(
                    folder, f"at most {_seed_files.SESSIONS} dates of subject {subject}, each once",
                    ", ".join(names), "Remove what does not belong there.",
                )
            recordings += [
                Recording(path, subject, rank)
                for rank, (_, path) in enumerate(sorted(days), start=1)
            ]
        return recordings, skipped

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Window length from the folder's name, or else from the windows of the first trial.

        Raises
        ------
        DataError, SettingError, UnknownNameError
        """
        kind = _seed_files.kind_of(self.name, official_kind, self.official_kinds)
        path = inventory.recordings[0].path
        suffix = re.search(r"([14])s$", _files.plain(path.parent.name))
        if suffix:
            return _seed_files.described(kind, float(suffix[1]))
        windows = _seed_files.read_features(path, kind, _TRIALS)[0].data.shape[1]
        trial_s = seconds(_true_s(0), read_marker(inventory.root))
        for window_s in (1, 4):
            if abs(windows - trial_s // window_s) <= max(1, 0.1 * trial_s / window_s):
                return _seed_files.described(kind, float(window_s))
        raise DataError(
            f"{path} trial 1 {kind}", f"{trial_s} windows of 1 s or {trial_s // 4} of 4 s",
            f"{windows}", "Name the folder ExtractedFeatures_1s or ExtractedFeatures_4s.",
        )

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip classes from ``label.mat``, or the published ones; the same clips each session.

        Raises
        ------
        DataError
            ``label.mat`` holds something else.
        """
        labels = self._labels(inventory, recording, notices)
        marker = read_marker(inventory.root)
        expected = [_samples(i, marker) for i in range(_TRIALS)]
        _seed_files.note_lengths(self.name, recording.path, expected, notices)
        return {
            number: TrialInfo(number, number - 1, {"class": float(label)})
            for number, label in enumerate(labels, start=1)
        }

    def _labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        found = _files.loose_files(inventory.root, recording.path.parent, "label.mat")
        if not found:
            _files.once(notices, "SEED: label.mat not found; the published labels are used")
            return SEED_LABELS
        labels = _read_labels(found[0])
        if labels != SEED_LABELS:
            _files.once(notices, f"SEED: {found[0].name} differs from the published labels; "
                           "the file's are used")
        return labels

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`simulate` writes into the recording of a subject and session."""
        from .shared.simulator import EMOTIONS

        return [
            PlannedTrial(
                number=i + 1, order=i, emotion=EMOTIONS[_CLASSES[float(label)]],
                samples=_samples(i, recipe), values={"class": float(label)},
            )
            for i, label in enumerate(SEED_LABELS)
        ]

    def simulate(self, root: Path, recipe: Recipe) -> None:
        """Write ``SEED_EEG`` below ``root``: signals, two folders of features, labels, decoys."""
        generator = self.generator(recipe)
        folder = root / "SEED_EEG"
        for name in (_RAW, *_OFFICIAL[:2]):
            (folder / name).mkdir(parents=True)
            _matlab.write(folder / name / "label.mat", {"label": np.array([SEED_LABELS], float)})
            (folder / name / "readme.txt").write_text("Simulated; no recording of a person.\n")
        (folder / _RAW / "._1_20131027.mat").write_bytes(_files.JUNK)
        (folder / "channel-order.xlsx").write_bytes(b"")
        subjects, sessions = _files.expected_size(recipe, len(SEED_DATES), _seed_files.SESSIONS)
        for subject in range(1, subjects + 1):
            for session in range(1, sessions + 1):
                self._write(folder, generator, subject, session)
        write_marker(folder, self.name, recipe)

    def _write(self, folder: Path, generator: Generator, subject: int, session: int) -> None:
        recipe = generator.recipe
        rng = np.random.default_rng([recipe.seed, subject])
        prefix = _seed_files.prefix_of(rng, subject)  # the same in a subject's sessions
        file = f"{subject}_{SEED_DATES[subject][session - 1]}.mat"
        raw: dict[str, NDArray[np.float64]] = {}
        features: dict[int, dict[str, NDArray[np.float64]]] = {1: {}, 4: {}}
        for plan in self.design(recipe, subject, session):
            signal = generator.signal(
                subject, session, plan.number, plan.order, plan.emotion, plan.samples
            )
            signal = np.round(signal * 64) / 64
            raw[f"{prefix}_eeg{plan.number}"] = signal
            for window_s, values in features.items():
                for kind, value in _seed_files.owner_features(signal, window_s).items():
                    values[f"{kind}{plan.number}"] = value
        if subject % 2 == 0:
            raw["labels"] = np.array([SEED_LABELS], float)  # some copies have it
        compress = (subject, session) == (1, 1)  # as the owner's; all of them would take a minute
        _matlab.write(folder / _RAW / file, _seed_files.shuffled(rng, raw), compress)
        for window_s, values in features.items():
            target = folder / f"ExtractedFeatures_{window_s}s" / file
            _matlab.write(target, _seed_files.shuffled(rng, values))


def _true_s(index: int) -> float:
    return (SEED_SAMPLES[index] - 1) / _seed_files.RATE


def _samples(index: int, recipe: Recipe | None) -> int:
    return seconds(_true_s(index), recipe) * _seed_files.RATE + 1


def _read_labels(path: Path) -> tuple[int, ...]:
    """Fifteen classes in {-1, 0, 1}."""
    names = [n for n, _ in _matlab.shapes(path) if n.lower() == "label"]
    if len(names) != 1:
        raise DataError(path, "one variable 'label'", f"{len(names)}")
    values = _matlab.arrays(path, names)[names[0]].ravel()
    if values.shape != (_TRIALS,) or not np.isin(values, list(_CLASSES)).all():
        raise DataError(
            f"{path} variable {names[0]}", f"{_TRIALS} values among -1, 0, 1",
            f"{len(values)}: {', '.join(f'{v:g}' for v in values[:20])}",
        )
    return tuple(int(v) for v in values)
