"""DEAP: 32 subjects, 40 music videos of a minute, rated by the subjects themselves."""

from __future__ import annotations

import csv
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.corpus import Inventory, Recording, TrialInfo, TrialSignal
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError

from .shared import files, matlab, pickles
from .shared.facts import DEAP_CHANNELS
from .shared.signals import OnlySignals, rated
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import Emotion, Generator

_PYTHON = "data_preprocessed_python"
_MATLAB = "data_preprocessed_matlab"
_CSV = "participant_ratings.csv"
_RATINGS = ("valence", "arousal", "dominance", "liking")
_VIDEOS = 40
_RATE = 128
_BASELINE = 3 * _RATE
_TRIAL_S = 60
_PLAIN_PICKLE = 2  # this simulated subject's file is one that Python 3 wrote
_NO_ORDER = (
    "DEAP: participant_ratings.csv not found, so the order of presentation is unknown; "
    "calibration trials will be drawn, stratified by class and seeded"
)
_DISAGREE = "DEAP: valence in participant_ratings.csv differs from the recordings' in trials of"


class Deap(OnlySignals, SimulatedCorpus):
    """Reader and simulator of DEAP's preprocessed release."""

    name = "DEAP"
    title = (
        "DEAP. Koelstra et al.: DEAP: a database for emotion analysis using physiological "
        "signals. IEEE Trans. Affective Computing 2012, 10.1109/T-AFFC.2011.15"
    )
    access = (
        "form at http://www.eecs.qmul.ac.uk/mmv/datasets/deap/ (licence signed by academic staff)"
    )
    layout = """DEAP/
  data_preprocessed_python/s01.dat ... s32.dat   (or data_preprocessed_matlab/s01.mat ...)
  metadata_csv/participant_ratings.csv           (order of presentation)"""
    folder = "DEAP"
    subjects = 32
    channels = DEAP_CHANNELS
    rate = float(_RATE)
    trials_per_session = _VIDEOS
    tasks = rated("Own rating of how {}, cut at the threshold.")

    def found(self, root: Path) -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; the Python release goes first.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder, places = files.locate(self, root, (_PYTHON, _MATLAB))
        return self.first_of(folder, places, self._recordings, "s01.dat ... s32.dat")

    def _recordings(
        self, root: Path, folder: Path
    ) -> tuple[list[Recording], files.Skipped]:
        ending = "dat" if files.plain(folder.name) == files.plain(_PYTHON) else "mat"
        named, skipped = self.matching(
            folder, root, rf"s(\d\d)\.{ending}", f"s01.{ending} ... s32.{ending}",
            r"readme(\.txt)?|.*\.xlsx?",
        )
        return [Recording(path, subject, 1) for path, subject, _ in named], skipped

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Forty trials of one file, 32 electrodes, without the 3 s before each video.

        Raises
        ------
        DataError
        """
        path = recording.path
        arrays = _load(path, ("data", "labels"))
        data = arrays["data"]
        marker = read_marker(path.parent.parent)
        samples = _BASELINE + _RATE * seconds(_TRIAL_S, marker)
        if data.ndim != 3 or data.shape not in ((_VIDEOS, n, samples) for n in (40, 32)):
            raise DataError(f"{path} data", f"shape ({_VIDEOS}, 40, {samples}), videos x channels "
                            "x samples, or 32 channels", f"{data.shape}")
        ratings = _ratings(path, arrays["labels"], recording.subject)
        return [
            TrialSignal(
                number=i + 1,
                data=np.array(data[i, : len(self.channels), _BASELINE:], dtype=np.float64),
                values=dict(zip(_RATINGS, ratings[i].tolist(), strict=True)),
            )
            for i in range(_VIDEOS)
        ]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Videos, and their rank in order of presentation if ``participant_ratings.csv`` tells.

        Raises
        ------
        DataError
            That file cannot be made sense of.
        """
        order: dict[int, int | None] = dict.fromkeys(range(1, _VIDEOS + 1))
        tables = files.loose_files(inventory.root, inventory.root, _CSV)
        rows = _read_csv(tables[0]).get(recording.subject, {}) if tables else {}
        if not tables:
            files.once(notices, _NO_ORDER)
        elif set(rows) != set(order):
            count = len(set(rows) & set(order))
            files.once(notices, f"DEAP: {_CSV} has {count} of {_VIDEOS} videos of subject "
                                 f"{recording.subject}, whose order of presentation is unknown")
        else:
            ranked = sorted(rows, key=lambda video: rows[video][0])
            order.update({video: rank for rank, video in enumerate(ranked)})
            _compare(recording, {v: r[1] for v, r in rows.items()}, notices)
        return {video: TrialInfo(video, rank) for video, rank in order.items()}

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` puts into the file of a subject, in order of the videos."""
        generator = self.generator(recipe)
        shown = generator.presentation_order(subject, 1, _VIDEOS)
        rank = np.argsort(shown)
        plans = []
        for i, evoked in enumerate(_videos()):
            ratings = generator.ratings(subject, i + 1, evoked)
            # What the subject felt, not what the video is meant to evoke: labels are self-ratings.
            felt = Emotion((ratings["valence"] - 5) / 4, (ratings["arousal"] - 5) / 4)
            samples = _RATE * seconds(_TRIAL_S, recipe)
            plans.append(PlannedTrial(i + 1, int(rank[i]), felt, samples, ratings))
        return plans

    def write(self, folder: Path, generator: Generator) -> None:
        """Write pickles as of Python 2, and the table of ratings."""
        (folder / _PYTHON).mkdir()
        (folder / "metadata_csv").mkdir()
        (folder / _PYTHON / "._s01.dat").write_bytes(files.JUNK)
        lines = ["Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,"
                 "Familiarity"]
        for subject in self.people(generator.recipe):
            plans = self.design(generator.recipe, subject, 1)
            arrays = {
                "labels": np.array([[p.values[r] for r in _RATINGS] for p in plans]),
                "data": _signals(generator, subject, plans),
            }
            content = (
                pickle.dumps(arrays, protocol=2) if subject == _PLAIN_PICKLE
                else pickles.dump_python2(arrays)
            )
            (folder / _PYTHON / f"s{subject:02d}.dat").write_bytes(content)
            lines += [_csv_line(subject, p) for p in sorted(plans, key=lambda p: p.order)]
        (folder / "metadata_csv" / _CSV).write_text(
            "\n".join(lines) + "\n", encoding="utf-8", newline="\n"
        )


def _load(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Arrays of a subject's file, in either release."""
    read = matlab.arrays if path.suffix == ".mat" else pickles.load_arrays
    arrays = read(path, names)
    lost = [n for n in names if n not in arrays]
    if lost:
        raise DataError(path, "arrays named data and labels", f"no {' and no '.join(lost)}")
    return arrays


def _ratings(path: Path, labels: NDArray[Any], subject: int) -> NDArray[np.float64]:
    """(40, 4) ratings, each from 1 to 9."""
    if labels.shape != (_VIDEOS, len(_RATINGS)):
        raise DataError(f"{path} labels", f"shape ({_VIDEOS}, {len(_RATINGS)}), videos x "
                        f"{', '.join(_RATINGS)}", f"{labels.shape}")
    wrong = np.argwhere(~((labels >= 1) & (labels <= 9)))  # NaN is wrong, too
    if len(wrong):
        i, k = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(f"{path} subject {subject} trial {i + 1}",
                        f"a {_RATINGS[k]} rating from 1 to 9", f"{labels[i, k]:g}{more}")
    return labels.astype(np.float64)


def _read_csv(path: Path) -> dict[int, dict[int, tuple[int, float]]]:
    """Per participant and video: trial number in order of presentation, and valence."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(path, "a text file", f"{error.strerror}") from error
    head = text.splitlines()[0] if text else ""
    lines = io.StringIO(text, newline=None)  # an old spreadsheet ends lines by CR alone
    rows = csv.reader(lines, delimiter=";" if ";" in head else ",")
    try:
        return _ranks(path, rows)
    except csv.Error as error:
        raise DataError(f"{path} line {rows.line_num}", "a table of ratings", f"{error}") from error


def _ranks(path: Path, rows: Any) -> dict[int, dict[int, tuple[int, float]]]:
    """Table of an open file."""
    names = [files.plain(cell.strip()) for cell in next(rows, [])]
    wanted = ("Participant_id", "Trial", "Experiment_id", "Valence")
    lost = [w for w in wanted if files.plain(w) not in names]
    if lost:
        raise DataError(path, f"columns {', '.join(wanted)}", f"no {', '.join(lost)}")
    columns = [names.index(files.plain(w)) for w in wanted]
    table: dict[int, dict[int, tuple[int, float]]] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path} line {rows.line_num}"
        participant, trial, video, valence = _numbers(where, row, columns)
        videos = table.setdefault(int(participant), {})
        if int(video) in videos or int(trial) in (t for t, _ in videos.values()):
            raise DataError(where, f"each trial and video of participant {int(participant)} once",
                            f"trial {int(trial)}, video {int(video)} again")
        videos[int(video)] = (int(trial), valence)
    return table


def _numbers(where: str, row: list[str], columns: list[int]) -> list[float]:
    try:
        values = [float(row[c].strip().replace(",", ".")) for c in columns]
    except (IndexError, ValueError):
        values = [np.nan]
    if not all(v.is_integer() for v in values[:3]) or len(values) < len(columns):
        raise DataError(where, "whole numbers for participant, trial and video, and a valence",
                        ", ".join(row)[:80])
    return values


def _compare(recording: Recording, valence: dict[int, float], notices: list[str]) -> None:
    """Tell of trials whose valence is not the recording's; one notice for all subjects."""
    try:
        stored = _load(recording.path, ("labels",))["labels"]
    except DataError:
        return  # reading the file tells better
    if stored.shape != (_VIDEOS, len(_RATINGS)):
        return
    listed = np.array([valence[v] for v in range(1, _VIDEOS + 1)])
    count = int((~(np.abs(listed - stored[:, 0]) <= 0.01)).sum())
    if not count:
        return
    places = [i for i, n in enumerate(notices) if n.startswith(_DISAGREE)]
    known = re.findall(r"subject (\d+) \((\d+)\)", notices[places[0]]) if places else []
    counts = {**{int(s): int(n) for s, n in known}, recording.subject: count}
    words = ", ".join(f"subject {s} ({n})" for s, n in sorted(counts.items()))
    text = f"{_DISAGREE} {words}, {sum(counts.values())} in all; the recordings' are used"
    if places:
        notices[places[0]] = text
    else:
        notices.append(text)


def _videos() -> list[Emotion]:
    """What each video evokes: ten in each quadrant, in blocks, as the owner numbered them."""
    quadrants = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    sizes = np.linspace(0.3, 0.9, 10)
    return [
        Emotion(float(v * sizes[k]), float(a * sizes[(7 * k + 3) % 10]))
        for v, a in quadrants for k in range(10)
    ]


def _signals(
    generator: Generator, subject: int, plans: list[PlannedTrial]
) -> NDArray[np.float64]:
    """(40, 40, samples): 32 electrodes and 8 other sensors, with 3 s before each video."""
    data = np.empty((_VIDEOS, 40, _BASELINE + plans[0].samples))
    n = len(DEAP_CHANNELS)
    rng = np.random.default_rng([generator.recipe.seed, subject])
    for i, p in enumerate(plans):
        data[i, :n, :_BASELINE] = generator.signal(
            subject, 1, p.number, p.order, Emotion(0.0, 0.0), _BASELINE
        )
        data[i, :n, _BASELINE:] = generator.trial(subject, 1, p)
    # Eye, muscle, skin, breath, pulse, temperature: slow and far larger than EEG.
    steps = rng.standard_normal((_VIDEOS, 40 - n, data.shape[2]), dtype=np.float32)
    data[:, n:] = 1000 + 20 * np.cumsum(steps, axis=2)
    return np.round(data * 64) / 64


def _csv_line(subject: int, plan: PlannedTrial) -> str:
    # The owner has no familiarity of three subjects.
    familiarity = "" if subject in (2, 15, 23) else str(1 + (plan.number * 7 + subject) % 5)
    ratings = ",".join(f"{plan.values[r]:g}" for r in _RATINGS)
    start = 1_000_000 + 90_000_000 * plan.order
    return f"{subject},{plan.order + 1},{plan.number},{start},{ratings},{familiarity}"
