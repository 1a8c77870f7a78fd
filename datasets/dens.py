"""DENS (OpenNeuro ds003751): 40 people rate emotional film clips; 128 electrodes; open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.channels import canonical
from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import bids, files, matlab, open_bids, recordings, tables
from .shared.facts import DENS_ELECTRODES
from .shared.signals import OnlySignals, rated
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_DATASET, _RATE = "ds003751", 250
_TRIALS = 11
#: The one subject whose label is no number after "mit".
_OTHERS = {"mitb2017007": 1007}
#: Seconds of a clip, and the shortest and the longest that are believed to be one.
_TRIAL_S, _SHORTEST_S, _LONGEST_S = 60, 5, 120
_RATINGS = ("valence", "arousal", "dominance")
_LABEL = re.compile(r"(neutral_)?(\d+)_(\d+)")
_CLIP = re.compile(r"(neutral_)?(\d+)\.\w+")
_NEUTRAL = 1000
#: Labels of the simulated subjects.
_LABELS = ("mit003", "mit004", "mit007", "mit014", "mit017", "mit022", "mit023", "mit024", "mit032",
           "mit035", "mit039", "mitb2017007")


class Dens(OnlySignals, SimulatedCorpus):
    """Reader and simulator of DENS.

    Onsets are counted in samples, whatever BIDS says: read so, a clip lasts 60.5 s, and clicks lie
    where the table of ratings has them.
    """

    name = "DENS"
    title = (
        "DENS (ds003751). Mishra, Asif, Tiwary & Srinivasan: Dataset on emotion with naturalistic "
        "stimuli. OpenNeuro, 10.18112/openneuro.ds003751.v1.0.2"
    )
    access = "open: bench data get DENS, or https://openneuro.org/datasets/ds003751"
    download = open_bids.openneuro(
        _DATASET, "1.0.2",
        licence="CC0 (dataset_description.json), ODbL (README): keep to both",
        citation="Mishra, Asif, Tiwary & Srinivasan, 10.18112/openneuro.ds003751.v1.0.2",
    )
    layout = """ds003751/
  dataset_description.json
  sub-mit003/eeg/sub-mit003_task-Emotion_eeg.set, .fdt, sub-mit003_task-emotion_events.tsv
  sub-mit003/beh/sub-mit003_task-Emotion_beh.tsv   (ratings)"""
    folder = _DATASET
    channels = tuple(DENS_ELECTRODES)
    rate = float(_RATE)
    trials_per_session = _TRIALS
    tasks = rated("Own rating of how {}, from 1 to 9; clips without one are left out.",
                  optional=True)

    def found(self, root: Path) -> Inventory:
        """List the recordings, see :meth:`CorpusAdapter.inventory`.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder = open_bids.located(self, root, _DATASET)
        labels = [p.name.removeprefix("sub-") for p in files.subfolders(folder, folder)
                  if p.name.startswith("sub-")]
        numbers = {label: _OTHERS[label] if label in _OTHERS else int(label[3:])
                   for label in labels if label in _OTHERS or re.fullmatch(r"mit\d{3}", label)}
        found = bids.dataset(folder, numbers)
        here, skipped, missing = open_bids.tabled(found.recordings)
        missing += [f"sub-{r.subject} has no ratings" for r in here if not r.behaviour]
        recorded = [Recording(r.path, r.number, 1, r.files[1:]) for r in here]
        return open_bids.inventory(folder, recorded, found, skipped, missing)

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Clips of one subject, at most 60 s each, 19 electrodes, in microvolt.

        Raises
        ------
        DataError
        """
        source = recordings.open_recording(recording.path)
        names = _names(recording.path, source.names)
        events, _, _ = open_bids.again(recording).events(
            None, source.seconds, source.rate, source.marks)
        unit, trials = source.unit(names)[0], {}
        most = seconds(_TRIAL_S, read_marker(recording.path.parents[2]))
        for i, event in enumerate(events):
            match = _LABEL.fullmatch(event.get("label"))
            if event.get("trial_type") != "stm" or match is None:
                continue
            later = (e for e in events[i + 1 :] if e.get("trial_type") in ("vlnc", "stm"))
            after = next(later, None)
            if after is None or after.get("trial_type") != "vlnc":
                continue  # broken off: it was not rated
            length = after.onset - event.onset
            if not min(_SHORTEST_S, most) <= length <= _LONGEST_S:
                raise DataError(f"{recording.path} trial {match[3]}",
                                f"a clip of {_SHORTEST_S} to {_LONGEST_S} s", f"{length:g} s")
            stop = event.onset + min(most, int(length))
            trials[int(match[3])] = source.cut(names, event.onset, stop, _RATE, unit)
        if not trials:
            raise DataError(recording.path, "clips (stm) that were rated (vlnc)", "none")
        return [TrialSignal(n, data) for n, data in sorted(trials.items())]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Clip, rank and ratings of each trial.

        Raises
        ------
        DataError
            A rating is none, or a clip was rated twice.
        """
        again, out = open_bids.again(recording), {}
        ratings = _ratings(again)
        for row in again.event_rows():
            match = _LABEL.fullmatch(row.get("label", ""))
            if row.get("trial_type") == "stm" and match:
                clip = int(match[2]) + (_NEUTRAL if match[1] else 0)
                number = int(match[3])
                out[number] = TrialInfo(clip, number - 1, ratings.get(clip, {}))
        return out

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a subject, in order of presentation."""
        generator, plans = self.generator(recipe), []
        for order in range(_TRIALS):
            evoked = Emotion(0.8 * (-1) ** order, 0.8 * (-1) ** (order // 2))
            said = generator.ratings(subject, order + 1, evoked)
            felt = Emotion((said["valence"] - 5) / 4, (said["arousal"] - 5) / 4)
            values = {name: said[name] for name in _RATINGS}
            samples = seconds(_TRIAL_S, recipe) * _RATE
            plans.append(PlannedTrial(order + 1, order, felt, samples, values))
        return plans

    def write(self, folder: Path, generator: Generator) -> None:
        """Write EEGLAB files, onsets in samples, ratings apart."""
        for label in _LABELS[: generator.recipe.subjects]:
            self._person(folder / f"sub-{label}", label, generator)
        open_bids.describe(folder, self.name)

    def _person(self, place: Path, label: str, generator: Generator) -> None:
        subject = _OTHERS[label] if label in _OTHERS else int(label[3:])
        plans = self.design(generator.recipe, subject, 1)
        rng = np.random.default_rng([generator.recipe.seed, subject])
        for part in ("eeg", "beh"):
            (place / part).mkdir(parents=True)
        pieces = [10 * rng.standard_normal((len(self.channels), 5 * _RATE))]
        events, beh = ["40.5\t1000.0\tIBEG\tImpedances Begin\tn/a"], []
        for p in plans:
            at = sum(x.shape[1] for x in pieces)
            clip = f"neutral_{p.number}" if p.number in (1, 8) else f"{p.number + 10}"
            events += [f"{at}.25\t1000.0\tstm\t{clip}_{p.number}\tShowing the stimulation",
                       f"{at + p.samples + 60}.5\t1000.0\tvlnc\tValence\tShowing the Valence"]
            beh.append("\t".join([f"{clip}.mp4", *(f"{p.values[n]:g}" for n in _RATINGS), "{}"]))
            pieces.append(generator.trial(subject, 1, p))
            pieces.append(10 * rng.standard_normal((len(self.channels), 10 * _RATE)))
        _write_set(place / "eeg" / f"sub-{label}_task-Emotion_eeg", np.concatenate(pieces, 1), rng)
        open_bids.table(place / "eeg" / f"sub-{label}_task-emotion_events.tsv",
                        "onset\tduration\ttrial_type\tlabel\tdescription", events)
        open_bids.table(place / "beh" / f"sub-{label}_task-Emotion_beh.tsv",
                        "stimuliName\tvalence\tarousal\tdominance\temotionCateg", beh)
        length = sum(x.shape[1] for x in pieces) / _RATE
        open_bids.sidecar(place / "eeg" / f"sub-{label}_task-emotion_eeg.json",
                          SamplingFrequency=_RATE, RecordingDuration=length, EEGChannelCount=128)


def _names(path: Path, there: tuple[str, ...]) -> list[str]:
    """How a file names our electrodes: as the 10-05 system does, or by the number of the net.

    Raises
    ------
    DataError
        Neither.
    """
    known = {canonical(n): n for n in there}
    numbered = {int(m[1]): n for n in there if (m := re.fullmatch(r"(?:E|EEG ?)?0*(\d+)", n))}
    if all(name in known for name in DENS_ELECTRODES):
        return [known[name] for name in DENS_ELECTRODES]
    if all(number in numbered for number in DENS_ELECTRODES.values()):
        return [numbered[number] for number in DENS_ELECTRODES.values()]
    raise DataError(path, "electrodes of the 10-20 system, or E1 to E128", ", ".join(there)[:80])


def _ratings(recording: bids.BidsRecording) -> dict[int, dict[str, float]]:
    """Ratings of each clip, by its number; what is not given is left out."""
    out: dict[int, dict[str, float]] = {}
    for row in bids.behaviour(recording):
        where, match = recording.behaviour[0], _CLIP.fullmatch(row.get("stimuliName", ""))
        if match is None:
            raise DataError(where, "names of clips such as 12.m4v or neutral_1.mp4",
                            repr(row.get("stimuliName", "")[:40]))
        clip = int(match[2]) + (_NEUTRAL if match[1] else 0)
        if clip in out:
            raise DataError(where, f"one row of {match[0]}", "two")
        out[clip] = {}
        for name in _RATINGS:
            text = row.get(name, "")
            value = tables.number(text)
            if value is None and not tables.empty(text):
                raise DataError(where, f"a number as {name} of {match[0]}", repr(text[:20]))
            if value is not None:
                out[clip][name] = value
    return out


def _write_set(path: Path, data: np.ndarray, rng: np.random.Generator) -> None:
    """EEGLAB's two files: 128 electrodes of the net, of which 19 are ours, and three others."""
    samples = data.shape[1]
    whole = 10 * rng.standard_normal((131, samples))
    whole[[n - 1 for n in DENS_ELECTRODES.values()]] = data
    whole.T.astype("<f4").tofile(path.with_name(f"{path.name}.fdt"))
    places = np.empty((1, 131), [("labels", object)])
    for i in range(131):
        places[0, i] = (f"E{i + 1}" if i < 128 else ("ECG", "EMG1", "EMG2")[i - 128],)
    content: Any = {"EEG": {
        "nbchan": 131.0, "pnts": float(samples), "trials": 1.0, "srate": float(_RATE),
        "data": f"{path.name}.fdt", "chanlocs": places, "event": np.empty((0, 0)),
    }}
    matlab.write(path.with_name(f"{path.name}.set"), content)
