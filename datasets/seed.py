"""SEED: 15 subjects, 3 sessions, 15 film clips."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.data.corpus import Features, Inventory, OfficialFeatures, Recording
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError, MissingCorpusError

from .shared import files, matlab, seed_files
from .shared.facts import SEED_DATES, SEED_FEATURE_ROWS, SEED_LABELS, SEED_SAMPLES
from .shared.simulated import seconds
from .shared.simulator import Generator

_RAW = "Preprocessed_EEG"
_OFFICIAL = ("ExtractedFeatures_1s", "ExtractedFeatures_4s", "ExtractedFeatures")
_CLASSES = {-1.0: "negative", 0.0: "neutral", 1.0: "positive"}
_TRIALS = len(SEED_LABELS)


class Seed(seed_files.SeedLike):
    """Reader and simulator of SEED."""

    name = "SEED"
    title = (
        "SEED. Zheng & Lu: Investigating critical frequency bands and channels for EEG-based "
        "emotion recognition with deep neural networks. IEEE TAMD 2015, 10.1109/TAMD.2015.2431497"
    )
    layout = """SEED_EEG/
  Preprocessed_EEG/        {subject}_{YYYYMMDD}.mat x 45, label.mat   (features=bench)
  ExtractedFeatures_1s/    {subject}_{YYYYMMDD}.mat x 45, label.mat   (features=official)
  ExtractedFeatures_4s/    or one folder ExtractedFeatures"""
    folder = "SEED_EEG"
    trials_per_session = _TRIALS
    codes = _CLASSES
    tasks = (
        Task("3", ("negative", "neutral", "positive"), "class", codes=_CLASSES,
             doc="What the film clip is meant to evoke."),
    )
    official_kinds = tuple(
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
            folder, places = files.locate(self, root, wanted)
        except MissingCorpusError as error:
            raise self._with_alternative(error, root, features) from None
        return self.first_of(folder, places, self._recordings, seed_files.FILE_WORDS)

    def _with_alternative(
        self, error: MissingCorpusError, root: Path, features: Features
    ) -> MissingCorpusError:
        """The error, with the other half of the corpus named if that is there."""
        other = _OFFICIAL if features == "bench" else (_RAW,)
        option = "official" if features == "bench" else "bench"
        try:
            _, places = files.locate(self, root, other)
        except (MissingCorpusError, DataError):
            return error
        advice = f"There is {places[0]}: read it with --features {option}."
        return MissingCorpusError(error.message, f"{advice}\n{error.hint}")

    def _recordings(
        self, root: Path, folder: Path
    ) -> tuple[list[Recording], files.Skipped]:
        by_subject: dict[int, list[tuple[str, Path]]] = {}
        dated, skipped = self.matching(folder, root, *seed_files.DATED)
        for path, subject, match in dated:
            by_subject.setdefault(subject, []).append((match[2], path))
        recordings = []
        for subject, days in by_subject.items():
            names = [p.name for _, p in days]
            if len(days) > self.sessions or len({d for d, _ in days}) < len(days):
                raise DataError(
                    folder, f"at most {self.sessions} dates of subject {subject}, each once",
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
        kind = seed_files.kind_of(self.name, official_kind, self.official_kinds)
        path = inventory.recordings[0].path
        suffix = re.search(r"([14])s$", files.plain(path.parent.name))
        if suffix:
            return OfficialFeatures(kind, float(suffix[1]), kind.split("_")[1])
        windows = seed_files.read_features(path, kind, _TRIALS)[0].data.shape[1]
        trial_s = self.samples(1, 0, read_marker(inventory.root)) // seed_files.RATE
        for window_s in (1, 4):
            if abs(windows - trial_s // window_s) <= max(1, 0.1 * trial_s / window_s):
                return OfficialFeatures(kind, float(window_s), kind.split("_")[1])
        raise DataError(
            f"{path} trial 1 {kind}", f"{trial_s} windows of 1 s or {trial_s // 4} of 4 s",
            f"{windows}", "Name the folder ExtractedFeatures_1s or ExtractedFeatures_4s.",
        )

    def published(self, session: int) -> tuple[int, ...]:
        """Class of each clip; every session shows the same ones."""
        return SEED_LABELS

    def labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        """Clip classes from ``label.mat``, or the published ones.

        Raises
        ------
        DataError
            ``label.mat`` holds something else.
        """
        places = files.loose_files(inventory.root, recording.path.parent, "label.mat")
        if not places:
            files.once(notices, "SEED: label.mat not found; the published labels are used")
            return SEED_LABELS
        labels = _read_labels(places[0])
        if labels != SEED_LABELS:
            files.once(notices, f"SEED: {places[0].name} differs from the published labels; the "
                                "file's are used")
        return labels

    def samples(self, session: int, index: int, recipe: Recipe | None) -> int:
        """Samples of a trial, the same in each session."""
        true_s = (SEED_SAMPLES[index] - 1) / seed_files.RATE
        return seconds(true_s, recipe) * seed_files.RATE + 1

    def write(self, folder: Path, generator: Generator) -> None:
        """Write signals, two folders of features, labels, decoys."""
        for name in (_RAW, *_OFFICIAL[:2]):
            (folder / name).mkdir()
            matlab.write(folder / name / "label.mat", {"label": np.array([SEED_LABELS], float)})
            (folder / name / "readme.txt").write_text("Simulated; no recording of a person.\n")
        (folder / _RAW / "._1_20131027.mat").write_bytes(files.JUNK)
        (folder / "channel-order.xlsx").write_bytes(b"")
        labels = {"labels": np.array([SEED_LABELS], float)}
        for subject in self.people(generator.recipe):
            for session in self.visits(generator.recipe):
                file = f"{subject}_{SEED_DATES[subject][session - 1]}.mat"
                self.write_recording(
                    generator, subject, session, raw=folder / _RAW / file,
                    official={w: folder / f"ExtractedFeatures_{w}s" / file for w in (1, 4)},
                    extra=labels if subject % 2 == 0 else None,  # some copies have them
                )


def _read_labels(path: Path) -> tuple[int, ...]:
    """Fifteen classes in {-1, 0, 1}."""
    names = [n for n, _ in matlab.shapes(path) if n.lower() == "label"]
    if len(names) != 1:
        raise DataError(path, "one variable 'label'", f"{len(names)}")
    values = matlab.arrays(path, names)[names[0]].ravel()
    if values.shape != (_TRIALS,) or not np.isin(values, list(_CLASSES)).all():
        raise DataError(
            f"{path} variable {names[0]}", f"{_TRIALS} values among -1, 0, 1",
            f"{len(values)}: {', '.join(f'{v:g}' for v in values[:20])}",
        )
    return tuple(int(v) for v in values)
