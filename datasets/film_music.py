"""Film music (OpenNeuro ds002721): 31 people rate what clips of film music make them feel; open."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import bids, edf, open_bids, recordings
from .shared.facts import EEGMAT_CHANNELS
from .shared.signals import OnlySignals
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_DATASET = "ds002721"
_RUNS, _TRIALS, _RATE, _FILE_RATE = (2, 3, 4, 5), 10, 250, 1000
_CROSS, _MUSIC, _ASKED = 786, 788, 1092
_QUESTIONS = {800: "pleasant", 801: "energetic", 802: "tense", 803: "angry", 804: "afraid",
              805: "happy", 806: "sad", 807: "tender"}
#: Code of the answer 1, of nine; of the first clip, and the last.
_ANSWER, _CLIPS = 833, (301, 660)
#: Seconds of music that are taken. The README says that a clip has 12 s, and 20 s elsewhere; in
#: each of the 1240 trials the first question follows after 16.0 s.
_TRIAL_S, _UNTIL_ASKED_S = 12, 16
_OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6", "FZ": "Fz", "CZ": "Cz", "PZ": "Pz"}


class FilmMusic(OnlySignals, SimulatedCorpus):
    """Reader and simulator of ds002721.

    Events are bare numbers. A trial is music (788); then each of eight questions is announced
    (1092), shown (800 to 807), and answered (833 to 841 for 1 to 9), beside the code of the
    question that comes next. Read so, each of the 1240 trials of the 31 people has one answer to
    each of eight questions; the codes 901 to 909, which are said to be answers, do not stand at
    their times.
    """

    name = "FILM-MUSIC"
    title = (
        "Film music (ds002721). Daly et al.: Neural and physiological data from participants "
        "listening to affective music. Scientific Data 2020, 10.1038/s41597-020-0507-6"
    )
    access = (
        "open: bench data get FILM-MUSIC, or https://openneuro.org/datasets/ds002721"
    )
    download = open_bids.openneuro(
        _DATASET, "1.0.2",
        licence="CC0 (dataset_description.json), CC BY 4.0 (README): keep to both",
        citation="Daly et al. 2020, 10.1038/s41597-020-0507-6; 10.18112/openneuro.ds002721.v1.0.2",
    )
    layout = """ds002721/
  dataset_description.json
  sub-01/eeg/sub-01_task-run2_eeg.edf, _events.tsv ...   (runs 2 to 5; 1 and 6 are rest)"""
    folder = _DATASET
    subjects = 31
    channels = EEGMAT_CHANNELS
    rate = float(_RATE)
    trials_per_session = len(_RUNS) * _TRIALS
    tasks = (
        Task("valence", ("low valence", "high valence"), "pleasant",
             doc="Own answer to 'the music made me feel pleasant', from 1 to 9."),
        Task("arousal", ("low arousal", "high arousal"), "energetic",
             doc="Own answer to 'the music made me feel energetic', from 1 to 9."),
    )

    def found(self, root: Path) -> Inventory:
        """List the runs with music, see :meth:`CorpusAdapter.inventory`.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder = open_bids.located(self, root, _DATASET)
        found = bids.dataset(folder)
        music = re.compile(rf"run[-_]?[{_RUNS[0]}-{_RUNS[-1]}]", re.IGNORECASE)
        here, skipped, missing = open_bids.tabled(
            [r for r in found.recordings if music.fullmatch(r.task or f"run{r.run}")])
        recorded = [Recording(r.path, r.number, 1, r.files[1:]) for r in here]
        return open_bids.inventory(folder, recorded, found, skipped, missing)

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Ten trials of a run: the first 12 s of music, 19 electrodes, in microvolt.

        Raises
        ------
        DataError
        """
        source = recordings.open_recording(recording.path)
        length = min(_TRIAL_S, seconds(_TRIAL_S, read_marker(recording.path.parents[2])))
        unit = source.unit(self.channels)[0]
        return [
            TrialSignal(
                number, source.cut(self.channels, begin, begin + length, _RATE, unit), values)
            for number, (begin, _, values) in _shown(recording).items()
        ]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clips, and their ranks; answers stand beside the signals.

        Raises
        ------
        DataError
        """
        return {number: TrialInfo(clip or 1000 + number, number - 1)
                for number, (_, clip, _) in _shown(recording).items()}

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a subject, in order of presentation."""
        generator, plans = self.generator(recipe), []
        samples = _FILE_RATE * seconds(_TRIAL_S, recipe)
        for order in range(self.trials_per_session):
            run, trial = _RUNS[order // _TRIALS], order % _TRIALS + 1
            evoked = Emotion(0.8 * (-1) ** order, 0.8 * (-1) ** (order // 2))
            said = generator.ratings(subject, order + 1, evoked)
            valence, arousal = (float(round(said[n])) for n in ("valence", "arousal"))
            felt = Emotion((valence - 5) / 4, (arousal - 5) / 4)
            plans.append(PlannedTrial(100 * run + trial, order, felt, samples // 4, {
                "pleasant": valence, "energetic": arousal}))
        return plans

    def write(self, folder: Path, generator: Generator) -> None:
        """Write EDF, bare numbers as events, two runs of rest."""
        recipe = generator.recipe
        faster = Generator(self.name, recipe, self.channels, _FILE_RATE, self.trials_per_session)
        for subject in self.people(recipe):
            place = folder / f"sub-{subject:02d}" / "eeg"
            place.mkdir(parents=True)
            plans = self.design(recipe, subject, 1)
            for run in range(1, 7):
                mine = [p for p in plans if p.number // 100 == run]
                _write_run(place / f"sub-{subject:02d}_task-run{run}", faster, subject, mine)
        open_bids.describe(folder, self.name)


def _shown(recording: Recording) -> dict[int, tuple[float, int, dict[str, float]]]:
    """Begin of the music, clip (0 if not told) and answers of each trial of a run, by number.

    The first trial of run 2 is 201.

    Raises
    ------
    DataError
        Not ten trials with an answer to each question.
    """
    run = int(re.sub(r"\D", "", recording.path.name.partition("task-")[2].partition("_")[0]) or 0)
    rows = _codes(recording)
    begins = [onset for onset, code in rows if code == _MUSIC]
    if len(begins) != _TRIALS:
        raise DataError(recording.path, f"{_TRIALS} begins of music ({_MUSIC})", f"{len(begins)}")
    out = {}
    for i, begin in enumerate(begins, start=1):
        end = begins[i] if i < _TRIALS else float("inf")
        crosses = [onset for onset, code in rows if code == _CROSS and onset <= begin]
        clips = [code for onset, code in rows if _CLIPS[0] <= code <= _CLIPS[1]
                 and (crosses[-1] if crosses else begin) - 0.2 <= onset <= begin]
        answers = _answers([(o, c) for o, c in rows if begin <= o < end])
        if sorted(answers) != sorted(_QUESTIONS):
            raise DataError(f"{recording.path} trial {i}", "one answer to each of 8 questions",
                            f"answers to {', '.join(map(str, sorted(answers))) or 'none'}")
        values = {_QUESTIONS[q]: float(a) for q, a in answers.items()}
        out[100 * run + i] = (begin, clips[-1] - 300 if clips else 0, values)
    return out


def _answers(rows: list[tuple[float, int]]) -> dict[int, int]:
    """Answer to each question: the first question shown after an announcement is the one."""
    answers: dict[int, int] = {}
    asked, question = float("inf"), 0
    for onset, code in rows:
        if code == _ASKED:
            asked, question = onset, 0
        elif code in _QUESTIONS and onset > asked and not question:
            question = code
        elif _ANSWER <= code < _ANSWER + 9 and question:
            answers.setdefault(question, code - _ANSWER + 1)
    return answers


def _codes(recording: Recording) -> list[tuple[float, int]]:
    rows = open_bids.again(recording).event_rows()
    try:
        return [(float(row["onset"]), int(row["trial_type"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise DataError(
            recording.path, "events whose trial_type is a number", str(error)[:60]) from error


def _write_run(path: Path, generator: Generator, subject: int, plans: list[PlannedTrial]) -> None:
    """One run: what is between the trials is noise, and what is asked takes a second each."""
    rng = np.random.default_rng([generator.recipe.seed, subject, len(plans)])
    length, rows = 6 * _FILE_RATE, ["1.5\t20\t263", "2.0\t20\t257"]
    pieces = [10 * rng.standard_normal((len(generator.channels), length))]
    for p in plans:
        begin = sum(x.shape[1] for x in pieces) / _FILE_RATE
        rows += [f"{begin - 3:g}\t20\t{_CROSS}", f"{begin:g}\t20\t{_MUSIC}",
                 f"{begin:g}\t20\t{301 + (p.order * 7) % 360}"]
        pieces.append(generator.signal(subject, 1, p.number, p.order, p.emotion, 4 * p.samples))
        asked = begin + 4 * p.samples / _FILE_RATE + _UNTIL_ASKED_S - _TRIAL_S
        shown = rng.permutation(list(_QUESTIONS)).tolist()
        for k, q in enumerate(shown):
            answer = int(p.values.get(_QUESTIONS[q], 5.0))
            after = shown[min(k + 1, len(shown) - 1)]
            rows += [f"{asked + k:g}\t20\t{_ASKED}", f"{asked + k + 0.5:g}\t20\t{q}",
                     f"{asked + k + 0.6:g}\t20\t{900 + (answer + 3) % 9 + 1}",
                     f"{asked + k + 0.9:g}\t20\t{after}",
                     f"{asked + k + 0.9:g}\t20\t{_ANSWER + answer - 1}"]
        rest = round((asked + 9 + 3 - begin) * _FILE_RATE) - 4 * p.samples
        pieces.append(10 * rng.standard_normal((len(generator.channels), rest)))
    names = [_OLD.get(n, n) for n in generator.channels]
    edf.write(path.with_name(f"{path.name}_eeg.edf"), names, _FILE_RATE, np.concatenate(pieces, 1))
    rows.sort(key=lambda row: float(row.split("\t")[0]))
    open_bids.table(path.with_name(f"{path.name}_events.tsv"), "onset\tduration\ttrial_type",
                    rows if plans else ["0\t20\t0"])
    open_bids.sidecar(path.with_name(f"{path.name}_eeg.json"), TaskName="Run",
                      SamplingFrequency=_FILE_RATE, EEGChannelCount=len(names))
