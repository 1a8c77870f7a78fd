"""EmoEEG-MC (OpenNeuro ds005540): seven emotions, seen on film and imagined; open."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import bids, edf, files, open_bids, recordings, tables
from .shared.facts import EMOEEG_CHANNELS, EMOEEG_ORDERS
from .shared.recordings import Continuous, Mark
from .shared.signals import OnlySignals, rated
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import EMOTIONS, Generator

_DATASET, _RATE, _TRIAL_S, _TRIALS = "ds005540", 200, 30, 21
_CLASSES = {"sad": "sad", "dis": "disgust", "fear": "fear", "neu": "neutral", "joy": "joy",
            "ten": "tenderness", "ins": "inspiration"}
_CODES = {float(k): name for k, name in enumerate(_CLASSES.values())}
_NUMBERS = {word: k for k, word in enumerate(_CLASSES)}
_NEGATIVE, _POSITIVE = ("sad", "disgust", "fear"), ("joy", "tenderness", "inspiration")
_RATINGS = ("joy", "inspiration", "tenderness", "sadness", "fear", "disgust", "arousal", "valence",
            "familiarity", "liking")
#: Film comes first: it is what other corpora show. Of the owners' trials, imagery has 1 to 21.
_KINDS = {1: "vid", 2: "ima"}
_CONTEXTS = {"vid": "video", "ima": "imagery"}
_LIST = re.compile(r"\[((?:\s*'[a-z]{3,4}\d'\s*,?)+)\]")
_README = "README.md"


class EmoEegMc(OnlySignals, SimulatedCorpus):
    """Reader and simulator of EmoEEG-MC.

    A recording has no table of events: its annotations are codes, other ones for each subject, and
    the README says which, and in which order the stimuli were. A trial ends where rating begins;
    its last 30 s are taken, as the owners do.
    """

    name = "EMOEEG-MC"
    title = (
        "EmoEEG-MC (ds005540). Xu et al.: EmoEEG-MC: a multi-context emotional EEG dataset for "
        "cross-context emotion decoding. OpenNeuro, 10.18112/openneuro.ds005540.v1.0.7"
    )
    access = (
        "open: bench data get EMOEEG-MC, or https://openneuro.org/datasets/ds005540"
    )
    download = open_bids.openneuro(
        _DATASET, "1.0.7",
        licence="CC0 (dataset_description.json)",
        citation="Xu et al., 10.18112/openneuro.ds005540.v1.0.7",
        leave_out=("stimuli/*", "*_physio.*"),
    )
    layout = """ds005540/
  dataset_description.json
  README.md                                      (codes and orders of each subject)
  sub-02/eeg/sub-02_task-emotion_eeg.edf ...     (no table of events)
  sub-02/beh/sub-02_task-emotion_beh.tsv ...     (ratings)"""
    folder = _DATASET
    subjects = 59
    first = 2
    channels = EMOEEG_CHANNELS
    rate = float(_RATE)
    trials_per_session = _TRIALS
    tasks = (
        Task("7", tuple(_CODES.values()), "class", codes=_CODES,
             doc="What the film clip, or the scene to be imagined, is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class", codes={
            k: "negative" if v in _NEGATIVE else "positive" if v in _POSITIVE else v
            for k, v in _CODES.items()
        }, doc="Sad, disgust and fear are negative; joy, tenderness and inspiration positive."),
        *rated("Own rating of how {}, from 0 to 7.", scale=(0.0, 7.0), threshold=3.5,
               optional=True),
    )

    def found(self, root: Path) -> Inventory:
        """List the recordings, see :meth:`CorpusAdapter.inventory`: two sessions of a subject.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder = open_bids.located(self, root, _DATASET)
        found = bids.dataset(folder)
        readme = folder / _README
        if not readme.is_file():
            raise DataError(folder, f"{_README}, which says what the codes mean", "none")
        people: dict[int, list[bids.BidsRecording]] = {}
        here, skipped = open_bids.here(found.recordings)
        for r in here:
            people.setdefault(r.number, []).append(r)
        recorded = []
        for number, parts in people.items():
            others = dict.fromkeys(p for r in parts for p in r.files if p != parts[0].path)
            recorded += [Recording(parts[0].path, number, session, (*others, readme))
                         for session in _KINDS]
        return open_bids.inventory(folder, recorded, found, skipped, [])

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Trials of one session: the last 30 s of each, 64 electrodes, in microvolt.

        Raises
        ------
        DataError
        """
        kind = _KINDS[recording.session]
        order = _order(recording, kind)
        code = _codes(recording)
        length = seconds(_TRIAL_S, read_marker(recording.path.parents[2]))
        spans: list[tuple[Continuous, float, float]] = []
        for path in (recording.path, *(p for p in recording.others if p.suffix == ".edf")):
            source = recordings.open_recording(path)
            spans += [(source, a, b) for a, b in _spans(source.marks, code[kind], code["rating"])]
        if len(spans) != len(order):
            raise DataError(
                recording.path, f"{len(order)} trials of {_CONTEXTS[kind]}, as {_README} lists",
                f"{len(spans)} marks {code[kind]} that a mark {code['rating']} follows")
        trials = []
        for number, (source, begin, end) in enumerate(spans, start=1):
            start = max(begin, end - length)
            stop = start + int(end - start)
            if stop - start < 1:
                raise DataError(f"{source.path} trial {number}", "a second at least",
                                f"{end - begin:g} s")
            unit = source.unit(self.channels)[0]
            trials.append(TrialSignal(number, source.cut(self.channels, start, stop, _RATE, unit)))
        return trials

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Stimulus, class, rank and ratings of each trial of a session.

        Raises
        ------
        DataError
        """
        kind = _KINDS[recording.session]
        order = _order(recording, kind)
        ratings = _ratings(recording, kind)
        if len(ratings) != len(order):
            files.once(notices, "EMOEEG-MC: of some subjects ratings are not of as many trials as "
                                "there are, and are left out")
            ratings = [{} for _ in order]
        out = {}
        for i, (word, own) in enumerate(zip(order, ratings, strict=True)):
            name, clip = word[:-1], int(word[-1])
            values = {"class": float(_NUMBERS[name]), **own}
            out[i + 1] = TrialInfo(10 * _NUMBERS[name] + clip, i, values)
        return out

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` writes of a session, in order of presentation."""
        return [
            PlannedTrial(i + 1, i, EMOTIONS[_CLASSES[word[:-1]]], seconds(_TRIAL_S, recipe) * _RATE,
                         {"class": float(_NUMBERS[word[:-1]])})
            for i, word in enumerate(EMOEEG_ORDERS[subject % len(EMOEEG_ORDERS)])
        ]

    def write(self, folder: Path, generator: Generator) -> None:
        """Write EDF with codes as annotations; sub-01 has no file."""
        lists, codes = [], []
        (folder / "sub-01" / "beh").mkdir(parents=True)
        for subject in (1, *self.people(generator.recipe)):
            order = EMOEEG_ORDERS[subject % len(EMOEEG_ORDERS)]
            base = 10 * (subject % 5)
            lists.append(f"{subject}. `[{', '.join(map(repr, order))}]`")
            codes.append(f"     sub-{subject:02d}: vid-{base + 6} rating-{base + 4} ima-{base + 5} "
                         f"fade-{base + 3}")
            if subject > 1:
                self._person(folder / f"sub-{subject:02d}", subject, base, generator)
        (folder / _README).write_text("# Simulated\n\n" + "\n".join([*lists, "", *codes]) + "\n")
        open_bids.describe(folder, self.name)

    def _person(self, place: Path, subject: int, base: int, generator: Generator) -> None:
        rng = np.random.default_rng([generator.recipe.seed, subject])
        for part in ("eeg", "beh"):
            (place / part).mkdir(parents=True)
        pieces = [10 * rng.standard_normal((len(self.channels), 2 * _RATE))]
        marks: list[tuple[float, float, str]] = []
        beh: list[str] = []
        for session in (2, 1):  # imagery was first
            for p in self.design(generator.recipe, subject, session):
                at = sum(x.shape[1] for x in pieces) / _RATE
                pieces.append(generator.trial(subject, session, p))
                pieces.append(10 * rng.standard_normal((len(self.channels), 2 * _RATE)))
                marks += [(at - 1, 0.0, f"{base + 3}"), (at, 0.0, f"{base + 4 + session % 2 + 1}"),
                          (at + p.samples / _RATE, 0.0, f"{base + 4}")]
                scores = np.clip(3.5 + 3 * p.emotion.valence + rng.normal(0, 0.5, 10), 0, 7)
                beh.append("\t".join([f"{len(beh) + 1}", "35", *(f"{s:.2f}" for s in scores)]))
        name = f"sub-{subject:02d}_task-emotion"
        edf.write(place / "eeg" / f"{name}_eeg.edf", self.channels, _RATE,
                  np.concatenate(pieces, 1), marks)
        open_bids.sidecar(place / "eeg" / f"{name}_eeg.json", TaskName="emotion",
                          SamplingFrequency=1200, EEGChannelCount=64)
        head = "\t".join(["trial_number", "video_name", *(f"score_{i}" for i in range(1, 11))])
        open_bids.table(place / "beh" / f"{name}_beh.tsv", head, beh)


def _readme(recording: Recording) -> tuple[Path, str]:
    path = next(p for p in recording.others if p.name == _README)
    return path, tables.text_of(path, 1 << 20)


def _codes(recording: Recording) -> dict[str, int]:
    """Code of "vid", "ima", "rating" and "fade" of a subject.

    Raises
    ------
    DataError
        The README has no such line.
    """
    path, text = _readme(recording)
    line = re.search(rf"^\s*sub-0*{recording.subject}:(.*)$", text, re.MULTILINE)
    found = {word: int(code) for word, code in
             re.findall(r"(vid|ima|rating|fade)-(\d{1,4})\b", line[1] if line else "")}
    if not {"vid", "ima", "rating"} <= set(found) or len(set(found.values())) < len(found):
        raise DataError(path, f"codes vid-N, ima-N and rating-N of sub-{recording.subject:02d}",
                        repr(line[1].strip()[:60]) if line else "no such line")
    return found


def _order(recording: Recording, kind: str) -> list[str]:
    """Stimuli of a subject in order of presentation: ``["joy5", "ins5", ...]``.

    Raises
    ------
    DataError
        The README lists none, or strange ones.
    """
    path, text = _readme(recording)
    subject, found = recording.subject, []
    owner, contexts = 0, tuple(_CONTEXTS.values())
    for line in text.splitlines():
        numbered = re.match(r"\s*(\d{1,2})\.\s+`", line)
        named = re.search(r"\*\*sub0*(\d{1,2})\b", line)
        if numbered or named:
            owner = int((numbered or named)[1])  # type: ignore[index]
            contexts = tuple(_CONTEXTS.values())
        said = tuple(c for c in ("imagery", "video") if c in line.lower())
        contexts = said or contexts
        match = _LIST.search(line)
        if match and owner == subject and _CONTEXTS[kind] in contexts:
            found = re.findall(r"'([a-z]+\d)'", match[1])
        if line.startswith("#"):
            owner = 0
    wrong = [w for w in found if w[:-1] not in _CLASSES]
    if not found or wrong or len(found) > _TRIALS or len(set(found)) < len(found):
        raise DataError(path, f"up to {_TRIALS} stimuli of sub-{subject:02d} in "
                        f"{_CONTEXTS[kind]}, each once", ", ".join(wrong or found)[:80] or "none")
    return found


def _spans(marks: tuple[Mark, ...], begin: int, end: int) -> list[tuple[float, float]]:
    """Begin and end of each trial: a mark of its kind, and the mark of a rating that comes next."""
    spans: list[tuple[float, float]] = []
    started: float | None = None
    for mark in marks:
        match = re.fullmatch(r"\D{0,40}(\d{1,4})(?:\.0)?", mark.text)
        code = int(match[1]) if match else -1
        if code == begin:
            started = mark.onset
        elif code == end and started is not None:
            spans.append((started, mark.onset))
            started = None
    return spans


def _ratings(recording: Recording, kind: str) -> list[dict[str, float]]:
    """Ratings of each trial of a session that there is, in order.

    Raises
    ------
    DataError
        A rating is no number.
    """
    out: list[dict[str, float]] = []
    for row in bids.behaviour(open_bids.again(recording)):
        number = tables.number(row.get("trial_number", ""))
        if number is None:
            raise DataError(recording.path, "a trial_number in each row of ratings", repr(row)[:60])
        texts = [row.get(f"score_{i}", "") for i in range(1, len(_RATINGS) + 1)]
        if (number <= _TRIALS) != (kind == "ima") or all(map(tables.empty, texts)):
            continue
        values = {n: v for n, t in zip(_RATINGS, texts, strict=True)
                  if (v := tables.number(t)) is not None}
        out.append({n: values[n] for n in ("valence", "arousal") if n in values})
    return out
