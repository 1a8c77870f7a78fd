"""DREAMER: 23 subjects, 18 film clips rated from 1 to 5, a headset of 14 electrodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import canonical, positions_of
from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import files, matlab, structs
from .shared.facts import EPOC_CHANNELS
from .shared.signals import OnlySignals, rated
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_FILE = "DREAMER.mat"
_RATINGS = ("valence", "arousal", "dominance")
_CLIPS, _RATE = 18, 128
_BASELINE_S = 61
_LONGEST_S = 1200
_NO_ORDER = (
    "DREAMER: the file does not tell in which order the clips were shown; calibration trials will "
    "be drawn, stratified by class and seeded"
)
#: Seconds of simulated clips. Made up: of the true ones only the range is known, 65 to 393.
_CLIPS_S = (199, 65, 393, 150, 230, 120, 180, 260, 100, 310, 140, 210, 170, 90, 280, 240, 130, 220)


class Dreamer(OnlySignals, SimulatedCorpus):
    """Reader and simulator of DREAMER."""

    name = "DREAMER"
    title = (
        "DREAMER. Katsigiannis & Ramzan: DREAMER: a database for emotion recognition through EEG "
        "and ECG signals from wireless low-cost off-the-shelf devices. IEEE J. Biomedical and "
        "Health Informatics 2018, 10.1109/JBHI.2017.2688239"
    )
    access = "ask for access at https://zenodo.org/records/546113"
    layout = """DREAMER/
  DREAMER.mat     (one file, 23 subjects)"""
    folder = "DREAMER"
    subjects = 23
    channels = EPOC_CHANNELS
    rate = float(_RATE)
    trials_per_session = _CLIPS
    tasks = rated("Own rating of how {}, from 1 to 5, cut at the threshold.", scale=(1.0, 5.0),
                  threshold=3.0)

    def found(self, root: Path) -> Inventory:
        """List the subjects of the one file, see :meth:`CorpusAdapter.inventory`.

        Raises
        ------
        MissingCorpusError, DataError
        """
        top = files.existing_folder(self, root)
        places = files.loose_files(top, top, _FILE)
        path = files.the_one(self, top, places, f"file {_FILE}", f"file {_FILE}")
        people = self.people(read_marker(path.parent))
        return Inventory(path.parent, tuple(Recording(path, s, 1) for s in people))

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Eighteen clips of one subject, whole; the 61 s before each are left out.

        Raises
        ------
        DataError
        """
        path, number = recording.path, recording.subject
        content = _load(path, number)
        rows, where = _rows(path, content), f"{path} subject {number}"
        subject = _part(where, content, "Data", list)
        if len(subject) < number:
            raise DataError(path, f"{number} subjects at least", f"{len(subject)}")
        person = subject[number - 1]
        clips = _part(where, person, "EEG", dict, "stimuli", list)
        if len(clips) != _CLIPS:
            raise DataError(f"{where} EEG.stimuli", f"{_CLIPS} clips", f"{len(clips)}")
        ratings = [_ratings(where, person, name) for name in _RATINGS]
        signals = []
        for i, clip in enumerate(clips):
            if not (isinstance(clip, np.ndarray) and clip.ndim == 2
                    and clip.shape[1] == len(self.channels)
                    and 2 * _RATE <= len(clip) <= _LONGEST_S * _RATE):
                found = clip.shape if isinstance(clip, np.ndarray) else type(clip).__name__
                raise DataError(f"{where} trial {i + 1}", f"shape (samples, {len(self.channels)}), "
                                f"time x channels, at {_RATE} Hz", f"{found}")
            values = {name: float(r[i]) for name, r in zip(_RATINGS, ratings, strict=True)}
            data = np.ascontiguousarray(clip[:, rows].T, np.float64)
            signals.append(TrialSignal(i + 1, data, values))
        return signals

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clips; the ratings stand beside the signals."""
        files.once(notices, _NO_ORDER)
        return {clip: TrialInfo(clip, None) for clip in range(1, _CLIPS + 1)}

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a subject, in order of the clips."""
        generator = self.generator(recipe)
        shown = np.argsort(generator.presentation_order(subject, 1, _CLIPS))
        plans = []
        for i, evoked in enumerate(_clips()):
            rated = generator.ratings(subject, i + 1, evoked)
            ratings = {name: float(round((rated[name] + 1) / 2)) for name in _RATINGS}
            felt = Emotion((ratings["valence"] - 3) / 2, (ratings["arousal"] - 3) / 2)
            samples = _RATE * seconds(_CLIPS_S[i], recipe)
            plans.append(PlannedTrial(i + 1, int(shown[i]), felt, samples, ratings))
        return plans

    def write(self, folder: Path, generator: Generator) -> None:
        """Write one file of structs and cells."""
        subjects = self.people(generator.recipe)
        people = np.empty((1, len(subjects)), object)
        for i, subject in enumerate(subjects):
            people[0, i] = self._person(generator, subject)
        electrodes = np.empty((1, len(self.channels)), object)
        electrodes[0] = self.channels
        content: Any = {"DREAMER": {
            "Data": people, "EEG_SamplingRate": float(_RATE), "ECG_SamplingRate": 256.0,
            "EEG_Electrodes": electrodes, "noOfSubjects": float(len(subjects)),
            "noOfVideoSequences": float(_CLIPS), "Disclaimer": "Simulated; no recording of a "
            "person.", "Provider": "bench", "Version": "1.0",
        }}
        matlab.write(folder / _FILE, content, compress=True)

    def _person(self, generator: Generator, subject: int) -> dict[str, Any]:
        plans = self.design(generator.recipe, subject, 1)
        rng = np.random.default_rng([generator.recipe.seed, subject])
        rest = _RATE * seconds(_BASELINE_S, generator.recipe)

        def signal(plan: PlannedTrial, emotion: Emotion, samples: int) -> NDArray[np.float64]:
            data = generator.signal(subject, 1, plan.number, plan.order, emotion, samples)
            return np.round(4200 + data.T * 8) / 8  # a headset of this kind adds a large offset

        eeg = {
            "baseline": _cell([signal(p, Emotion(0.0, 0.0), rest) for p in plans]),
            "stimuli": _cell([signal(p, p.emotion, p.samples) for p in plans]),
        }
        hearts = [np.round(2000 + 50 * rng.standard_normal((256, 2))) for _ in plans]
        scores = {f"Score{name.capitalize()}": np.array([[p.values[name]] for p in plans])
                  for name in _RATINGS}
        return {"Age": f"{20 + subject}", "Gender": "female" if subject % 2 else "male",
                "EEG": eeg, "ECG": {"baseline": _cell(hearts), "stimuli": _cell(hearts)}, **scores}


def _load(path: Path, subject: int) -> dict[str, Any]:
    """What of the file concerns a subject's EEG."""
    def wanted(way: tuple[str | int, ...]) -> bool:
        if way[0] != "Data":
            return way[0] in ("EEG_Electrodes", "EEG_SamplingRate")
        if len(way) < 3:
            return len(way) == 1 or way[1] == subject - 1
        if way[2] == "EEG":
            return len(way) == 3 or way[3] == "stimuli"
        return str(way[2]).startswith("Score")

    content = structs.load(path, "DREAMER", wanted)
    if not isinstance(content, dict):
        raise DataError(f"{path} DREAMER", "one struct", type(content).__name__)
    return content


def _part(where: str, content: Any, *steps: str | type) -> Any:
    """What stands at the end of a way of names, each followed by the type of what is there."""
    for name, kind in zip(steps[::2], steps[1::2], strict=True):
        content = content.get(name) if isinstance(content, dict) else None
        if not isinstance(content, kind):  # type: ignore[arg-type]
            words = {list: "a cell", dict: "a struct"}.get(kind, "an array")  # type: ignore[call-overload]
            raise DataError(f"{where} {name}", words, type(content).__name__)
    return content


def _rows(path: Path, content: dict[str, Any]) -> NDArray[np.int64]:
    """Column of each of our channels, by the names in the file; the rate is checked, too."""
    rate = _part(str(path), content, "EEG_SamplingRate", np.ndarray)
    if rate.size != 1 or float(rate.ravel()[0]) != _RATE:
        raise DataError(f"{path} EEG_SamplingRate", f"{_RATE}", f"{rate.ravel()[:3]}")
    names = _part(str(path), content, "EEG_Electrodes", list)
    known = [canonical(n) if isinstance(n, str) else "" for n in names]
    if sorted(known) != sorted(EPOC_CHANNELS):
        raise DataError(f"{path} EEG_Electrodes", ", ".join(EPOC_CHANNELS), ", ".join(known)[:80])
    return positions_of(EPOC_CHANNELS, known)


def _ratings(where: str, person: Any, name: str) -> NDArray[np.float64]:
    """(18,) whole numbers from 1 to 5."""
    key = f"Score{name.capitalize()}"
    values = _part(where, person, key, np.ndarray).ravel().astype(np.float64)
    if values.shape != (_CLIPS,) or not np.isin(values, (1, 2, 3, 4, 5)).all():
        raise DataError(f"{where} {key}", f"{_CLIPS} ratings among 1, 2, 3, 4, 5",
                        f"{len(values)}: {', '.join(f'{v:g}' for v in values[:20])}")
    return values


def _cell(items: list[NDArray[np.float64]]) -> NDArray[Any]:
    cell = np.empty((len(items), 1), object)
    for i, item in enumerate(items):
        cell[i, 0] = item
    return cell


def _clips() -> list[Emotion]:
    """What each clip evokes: two each of nine emotions, which lie all over the plane."""
    centres = ((0.6, -0.7), (0.2, 0.7), (0.8, 0.4), (-0.6, 0.8), (0.7, 0.8), (-0.8, 0.3),
               (0.9, 0.2), (-0.6, 0.6), (-0.8, -0.4))
    return [Emotion(v * size, a * size) for v, a in centres for size in (0.8, 1.0)]
