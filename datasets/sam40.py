"""SAM40: 40 people who relax, calculate, recognise mirror images and do a Stroop test; open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal, ordered
from bench.data.downloads.source import Download
from bench.data.features import listed
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import files, matlab
from .shared.facts import SAM40_CHANNELS
from .shared.signals import OnlySignals
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_REPEATS, _RATE, _TRIAL_S = 3, 128, 25
_TASKS = ("Relax", "Arithmetic", "Mirror_image", "Stroop")
_CLASSES = ("rest", "arithmetic", "mirror images", "Stroop")
_NAME = rf"({'|'.join(_TASKS)})_sub_(\d{{1,2}})_trial(\d)\.mat"
_WORDS = "Arithmetic_sub_1_trial1.mat, ..."
_FOLDER, _VARIABLE = "filtered_data", "Clean_data"
_COMPANIONS = r".*\.(xlsx?|locs|txt|md|pdf)|benchsimulated\.json"
_NO_ORDER = (
    "SAM40: the files do not tell in which order the tasks were done; calibration trials will be "
    "drawn, stratified by class and seeded"
)


class Sam40(OnlySignals, SimulatedCorpus):
    """Reader and simulator of SAM40's filtered recordings: one file a trial."""

    name = "SAM40"
    title = (
        "SAM 40. Ghosh et al.: SAM 40: dataset of 40 subject EEG recordings to monitor the "
        "induced-stress while performing Stroop color-word test, arithmetic task, and mirror image "
        "recognition task. Data in Brief 2022, 10.1016/j.dib.2021.107772"
    )
    access = (
        "open, CC BY 4.0: bench data get SAM40, or https://doi.org/10.6084/m9.figshare.14562090.v1"
    )
    download = Download(
        url="https://figshare.com/ndownloader/files/27956376", kind="archive", version="1",
        page="https://doi.org/10.6084/m9.figshare.14562090.v1",
        licence="CC BY 4.0, as its page says; look there",
        citation="Ghosh et al. 2022, 10.1016/j.dib.2021.107772",
    )
    layout = """SAM40/
  filtered_data/Arithmetic_sub_1_trial1.mat ... Stroop_sub_40_trial3.mat   (480 files, one a trial)
  raw_data/                                                                (not read)
  scales.xls, Coordinates.locs                                             (not read)"""
    folder = f"SAM40/{_FOLDER}"
    subjects = 40
    channels = SAM40_CHANNELS
    rate = float(_RATE)
    trials_per_session = len(_TASKS) * _REPEATS
    tasks = (
        Task("rest", _CLASSES[:2], "class", codes=dict(enumerate(_CLASSES[:2])),
             dropped=frozenset({2.0, 3.0}),
             doc="Relaxation or arithmetic; mirror images and the Stroop test are dropped."),
        Task("4", _CLASSES, "class", codes=dict(enumerate(_CLASSES)), doc="All four tasks."),
    )

    def found(self, root: Path) -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder = files.locate_files(self, root, _NAME, _WORDS, preferred=_FOLDER)
        named, skipped = files.matching(folder, folder, _NAME, _WORDS, _COMPANIONS)
        found: dict[tuple[int, int], Path] = {}
        for path, match in named:
            subject, repeat = int(match[2]), int(match[3])
            if not (1 <= subject <= self.subjects and 1 <= repeat <= _REPEATS):
                skipped.append((path, f"SAM40 has subjects 1 to {self.subjects}, and trials 1 to "
                                      f"{_REPEATS} of each task"))
                continue
            twin = found.setdefault((subject, _number(match[1], repeat)), path)
            if twin is not path:
                raise DataError(folder, f"one file for {match[1]} trial {repeat} of subject "
                                f"{subject}", f"{twin.name} and {path.name}", "Remove one of them.")
        people = self.people(read_marker(folder))
        lost = [f"{task}_sub_{s}_trial{k}.mat" for s in people for task in _TASKS
                for k in range(1, _REPEATS + 1) if (s, _number(task, k)) not in found]
        whole = len(people) * len(_TASKS) * _REPEATS
        missing = (f"{len(lost)} of {whole} trials are missing: {listed(lost)}",) if lost else ()
        recorded = [Recording(path, s, 1) for (s, _), path in sorted(found.items())]
        return Inventory(folder, ordered(recorded), tuple(skipped), missing)

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """The one trial of a file, 32 electrodes.

        Raises
        ------
        DataError
        """
        path = recording.path
        stored = matlab.arrays(path, (_VARIABLE,))
        shape = (len(self.channels), seconds(_TRIAL_S, read_marker(path.parent)) * _RATE)
        if _VARIABLE not in stored:
            raise DataError(path, f"a variable {_VARIABLE}", "none of that name",
                            f"Point at the owners' {_FOLDER}: raw_data is not filtered.")
        data = stored[_VARIABLE]
        if data.shape != shape:
            raise DataError(f"{path} {_VARIABLE}", f"shape {shape}, channels x samples at {_RATE} "
                            "Hz", f"{data.shape}")
        with np.errstate(invalid="ignore"):  # a NaN of another kind: check_signal names it
            return [TrialSignal(_of(path), np.asarray(data, np.float64))]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Class of the one trial, from the name of its file."""
        files.once(notices, _NO_ORDER)
        number = _of(recording.path)
        return {number: TrialInfo(number, None, {"class": float((number - 1) // _REPEATS)})}

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a subject, in order of the numbers of trials."""
        evoked = (Emotion(0.0, -0.7), Emotion(0.0, 0.7), Emotion(0.2, 0.3), Emotion(-0.4, 0.6))
        shown = np.argsort(
            self.generator(recipe).presentation_order(subject, 1, self.trials_per_session))
        samples = seconds(_TRIAL_S, recipe) * _RATE
        return [
            PlannedTrial(n, int(shown[n - 1]), evoked[(n - 1) // _REPEATS], samples,
                         {"class": float((n - 1) // _REPEATS)})
            for n in range(1, self.trials_per_session + 1)
        ]

    def write(self, folder: Path, generator: Generator) -> None:
        """Write a file a trial, and what is not read beside them."""
        for subject in self.people(generator.recipe):
            for p in self.design(generator.recipe, subject, 1):
                task, repeat = _TASKS[(p.number - 1) // _REPEATS], (p.number - 1) % _REPEATS + 1
                data = generator.trial(subject, 1, p)
                matlab.write(folder / f"{task}_sub_{subject}_trial{repeat}.mat",
                             {_VARIABLE: np.round(data * 64) / 64}, compress=True)
        (folder / "._Relax_sub_1_trial1.mat").write_bytes(files.JUNK)
        (folder.parent / "Coordinates.locs").write_text("".join(
            f"{i}\t0\t0.5\t{name}\n" for i, name in enumerate(self.channels, start=1)))


def _number(task: str, repeat: int) -> int:
    """Number of a trial: those of relaxation are 1 to 3, of arithmetic 4 to 6, and so on."""
    return _TASKS.index(task) * _REPEATS + repeat


def _of(path: Path) -> int:
    task, _, rest = path.stem.partition("_sub_")
    return _number(task, int(rest[-1]))
