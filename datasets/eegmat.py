"""EEGMAT: 36 people at rest, then at mental arithmetic; open (PhysioNet)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.downloads.source import Download
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import edf, files, recordings
from .shared.facts import EEGMAT_CHANNELS
from .shared.signals import OnlySignals
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_RATE = 500
_NAME, _WORDS = r"Subject(\d\d)_([12])\.edf", "Subject00_1.edf, Subject00_2.edf, ..."
_COMPANIONS = r"subjectsinfo\.xlsx|subjectinfo\.csv|.*\.txt|records|index\.html|.*\.md|.*\.json"
#: Length of a trial, in s, which the owners have not: they recorded each class in one stretch.
_PIECE_S, _MOST = 10, 99
#: Pieces of a whole recording of rest, and of arithmetic; a simulated one has four at least.
_PIECES = {1: 18, 2: 6}
_FEWEST = 4
_ONE = (
    "EEGMAT: each class is one recording, rest always first, so that few-shot calibrates and tests "
    "on the same recording"
)


class Eegmat(OnlySignals, SimulatedCorpus):
    """Reader and simulator of EEGMAT."""

    name = "EEGMAT"
    title = (
        "EEG During Mental Arithmetic Tasks. Zyma et al.: Electroencephalograms during mental "
        "arithmetic task performance. Data 2019, 10.3390/data4010014"
    )
    access = (
        "open, ODC-By 1.0: bench data get EEGMAT, or https://physionet.org/content/eegmat/1.0.0/"
    )
    download = Download(
        url="https://physionet.org/files/eegmat/1.0.0", kind="sums", version="1.0.0",
        page="https://physionet.org/content/eegmat/1.0.0/",
        licence="Open Data Commons Attribution License 1.0 (ODC-By): attribution is required",
        citation="Zyma et al. 2019, 10.3390/data4010014; PhysioNet, 10.13026/C2JQ1P; Goldberger et "
        "al. 2000, 10.1161/01.CIR.101.23.e215",
    )
    layout = """eegmat/
  Subject00_1.edf ... Subject35_1.edf   (rest)
  Subject00_2.edf ... Subject35_2.edf   (arithmetic)
  subject-info.csv                      (not read)"""
    folder = "eegmat"
    subjects = 36
    first = 0
    channels = EEGMAT_CHANNELS
    rate = float(_RATE)
    trials_per_session = 2
    pieces_s = float(_PIECE_S)
    tasks = (
        Task("rest", ("rest", "arithmetic"), "class", codes={1.0: "rest", 2.0: "arithmetic"},
             doc="What the subject does: nothing, or serial subtraction."),
    )

    def found(self, root: Path) -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder = files.locate_files(self, root, _NAME, _WORDS)
        named, skipped = self.matching(folder, folder, _NAME, _WORDS, _COMPANIONS)
        halves = {(s, int(match[2])) for _, s, match in named}
        lost = [f"subject {s} has no Subject{s:02d}_{k}.edf" for s in sorted({s for s, _ in halves})
                for k in (1, 2) if (s, k) not in halves]
        return self.listed(folder, [Recording(p, s, 1) for p, s, _ in named], skipped, lost)

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """One recording in pieces of 10 s, 19 electrodes, in microvolt.

        Raises
        ------
        DataError
        """
        path = recording.path
        source = recordings.open_recording(path)
        if source.rate != _RATE:
            raise DataError(path, f"{_RATE} samples per second", f"{source.rate:g}")
        length = seconds(_PIECE_S, read_marker(path.parent))
        count = int(source.seconds / length)
        if not 1 <= count <= _MOST:
            raise DataError(path, f"a recording of {length} to {_MOST * length} s",
                            f"{source.seconds:g} s")
        first = _first(path)
        unit = source.unit(self.channels)[0]
        return [
            TrialSignal(first + i, source.cut(
                self.channels, i * length, (i + 1) * length, _RATE, unit))
            for i in range(count)
        ]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Class and rank of each piece that there may be: arithmetic follows rest."""
        files.once(notices, _ONE)
        first = _first(recording.path)
        values = {"class": 1.0 if first == 1 else 2.0}
        return {n: TrialInfo(n, n - 1, values) for n in range(first, first + _MOST)}

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """The two recordings of a subject, as :meth:`write` writes them: in one stretch each."""
        length = seconds(_PIECE_S, recipe) * _RATE
        plans = []
        for k, arousal in ((1, -0.7), (2, 0.7)):
            samples = length * max(_FEWEST, round(recipe.length * _PIECES[k]))
            felt = Emotion(0.0, arousal)
            plans.append(PlannedTrial(k, k - 1, felt, samples, {"class": float(k)}))
        return plans

    def attainable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> None:
        """Not known: pieces of one recording share what is its own."""

    def write(self, folder: Path, generator: Generator) -> None:
        """Write EDF, with the ears and the heart, and the table."""
        lines = ["Subject,Age,Gender,Recording year,Number of subtractions,Count quality"]
        for subject in self.people(generator.recipe):
            for plan in self.design(generator.recipe, subject, 1):
                _write(folder / f"Subject{subject:02d}_{plan.number}.edf", generator, subject, plan)
            lines.append(f"Subject{subject:02d},{18 + subject % 9},{'FM'[subject % 2]},2011,"
                         f"{10 + subject % 20},{subject % 2}")
        (folder / "subject-info.csv").write_text("\n".join(lines) + "\n")
        (folder / "._Subject00_1.edf").write_bytes(files.JUNK)


def _first(path: Path) -> int:
    """Number of the first piece of a recording: rest from 1, arithmetic from 101."""
    return 1 if path.stem.endswith("_1") else 101


def _write(path: Path, generator: Generator, subject: int, plan: PlannedTrial) -> None:
    signal = generator.trial(subject, 1, plan)
    rng = np.random.default_rng([generator.recipe.seed, subject, plan.number])
    others = 30 * rng.standard_normal((2, plan.samples))
    names = [*(f"EEG {_OLD.get(n, n)}" for n in generator.channels), "EEG A2-A1", "ECG ECG"]
    edf.write(path, names, _RATE, np.concatenate([signal, others]))


_OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
