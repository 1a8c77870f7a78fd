"""FACED: 123 subjects, 28 film clips of nine emotions, 32 electrodes."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import positions
from bench.data.corpus import (
    Features,
    Inventory,
    OfficialFeatures,
    Recording,
    TrialInfo,
    TrialSignal,
)
from bench.data.features import differential_entropy
from bench.data.labels import Task
from bench.data.recipe import Recipe, read_marker
from bench.errors import DataError, MissingCorpusError, SettingError

from .shared import files, matlab, pickles, recordings, seed_files, structs
from .shared.facts import FACED_CHANNELS, FACED_LABELS
from .shared.signals import rated
from .shared.simulated import PlannedTrial, SimulatedCorpus, seconds
from .shared.simulator import EMOTIONS, Emotion, Generator

_CLEAN, _OFFICIAL, _RAW = "Processed_data", "EEG_Features", "Data"
_REMARKS = "After_remarks.mat"
_RATINGS = ("joy", "tenderness", "inspiration", "amusement", "anger", "disgust", "fear", "sadness",
            "arousal", "valence", "familiarity", "liking")
_CLIPS, _RATE, _TRIAL_S = 28, 250, 30
_ROWS = 32
_HIGHEST = 7.0
_POSITIVE = ("amusement", "inspiration", "joy", "tenderness")
_CODES = {float(k): label for k, label in enumerate(dict.fromkeys(FACED_LABELS))}
_CLASSES = {label: k for k, label in _CODES.items()}
#: Rows of the mastoids A1 and A2, in the two orders that exist: at the end, or in the middle.
_MASTOIDS = ((30, 31), (16, 17))
#: How well an order must fit the distances on the head, and by how much better than the other:
#: of noise alone neither fits by more than 0.15.
_WELL, _BETTER = 0.2, 0.02
_NO_ORDER = (
    f"FACED: {_REMARKS} not found, so the order of presentation and the subjects' own ratings are "
    "unknown; calibration trials will be drawn, stratified by class and seeded"
)


class Faced(SimulatedCorpus):
    """Reader and simulator of FACED."""

    name = "FACED"
    title = (
        "FACED. Chen et al.: A large finer-grained affective computing EEG dataset. Scientific "
        "Data 2023, 10.1038/s41597-023-02650-w"
    )
    access = (
        "https://www.synapse.org/Synapse:syn50614194 (a free account; conditions of use apply)"
    )
    layout = """FACED/
  Processed_data/sub000.pkl ... sub122.pkl              (features=bench), or else
  Data/sub000/data.bdf, evt.bdf                         (features=bench, the last 30 s of a clip)
  EEG_Features/DE/sub000.pkl.pkl ... sub122.pkl.pkl     (features=official)
  Data/sub000/After_remarks.mat ...                     (order of presentation, own ratings)"""
    folder = "FACED"
    subjects = 123
    first = 0
    channels = FACED_CHANNELS
    rate = float(_RATE)
    trials_per_session = _CLIPS
    tasks = (
        Task("9", tuple(_CODES.values()), "class", codes=_CODES,
             doc="What the film clip is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class", codes={
            k: "neutral" if v == "neutral" else "positive" if v in _POSITIVE else "negative"
            for k, v in _CODES.items()
        }, doc="The owners' groups: anger, disgust, fear and sadness are negative; amusement, "
               "inspiration, joy and tenderness positive."),
        *rated("Own rating of how {}, from 0 to 7, cut at the threshold.", scale=(0.0, _HIGHEST),
               threshold=3.5),
    )
    official_kinds = ("de",)
    official_bands = (
        (1, 4), (4, 8), (8, 14), (14, 30), (30, 47),
    )

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; clean signals go before raw ones.

        Raises
        ------
        MissingCorpusError, DataError, SettingError
        """
        if features == "bench":
            try:
                folder, places = files.locate(self, root, (_CLEAN,))
            except MissingCorpusError as error:
                return self._raw_inventory(root, error)
            recordings, skipped = self._pickles(folder, places[0], r"sub(\d{3})\.pkl", "subNNN.pkl")
        else:
            if features == "official-4s":
                raise SettingError("FACED's owners distribute features in windows of 1 s",
                                   "Use --features official, or bench with --window 4.")
            folder, places = files.locate(self, root, (_OFFICIAL,))
            recordings, skipped = self._pickles(
                folder, places[0] / "DE", r"sub(\d{3})(?:\.pkl){1,2}", "subNNN.pkl.pkl"
            )
        if not recordings:
            raise files.no_recordings(self, places, "sub000.pkl ... sub122.pkl", skipped)
        return self.listed(folder, self.unique(recordings), skipped)

    def _pickles(
        self, root: Path, folder: Path, pattern: str, words: str
    ) -> tuple[list[Recording], files.Skipped]:
        named, skipped = self.matching(folder, root, pattern, words, r"readme(\.\w+)?")
        return [Recording(path, subject, 1) for path, subject, _ in named], skipped

    def _raw_inventory(self, root: Path, missing: MissingCorpusError) -> Inventory:
        """Recordings of the amplifier, where there are no clean signals."""
        top = files.existing_folder(self, root)
        for folder in files.walk(top):
            if files.plain(folder.name) != files.plain(_RAW):
                continue
            recordings = [
                Recording(path / "data.bdf", int(path.name[3:]), 1, (path / "evt.bdf",))
                for path in files.subfolders(folder, top)
                if re.fullmatch(r"sub\d{3}", path.name) and int(path.name[3:]) < self.subjects
                and all((path / n).is_file() and files.inside(path / n, top)
                        for n in ("data.bdf", "evt.bdf"))
            ]
            if recordings:
                return self.listed(folder.parent, recordings)
        raise missing

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Windows of 1 s, not smoothed.

        Raises
        ------
        UnknownNameError
        """
        kind = seed_files.kind_of(self.name, official_kind, self.official_kinds)
        return OfficialFeatures(kind, 1.0, "none")

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Twenty-eight clips of one subject, 30 electrodes; the mastoids are left out.

        Raises
        ------
        DataError, UnknownNameError
        """
        path = recording.path
        if path.suffix == ".bdf":
            return self._read_raw(recording)
        if features == "bench":
            trial_s = seconds(_TRIAL_S, read_marker(path.parent.parent))
            data = _load(path, (_CLIPS, _ROWS, trial_s * _RATE), "clips x channels x samples")
            flat = data.transpose(1, 0, 2).reshape(_ROWS, -1)
        else:
            seed_files.kind_of(self.name, official_kind, self.official_kinds)
            trial_s = seconds(_TRIAL_S, read_marker(path.parent.parent.parent))
            shape = (_CLIPS, _ROWS, trial_s, len(self.official_bands))
            data = _load(path, shape, "clips x channels x seconds x bands")
            centred = data - data.mean(axis=2, keepdims=True)
            flat = centred.transpose(1, 0, 2, 3).reshape(_ROWS, -1)
        rows = _electrodes(path, flat)
        return [TrialSignal(i + 1, np.asarray(data[i, rows], np.float64)) for i in range(_CLIPS)]

    def _read_raw(self, recording: Recording) -> list[TrialSignal]:
        """The last 30 s of each clip, from the amplifier's own file, in microvolt.

        Raises
        ------
        DataError
            A clip's marks are missing, or signals are in neither volt nor microvolt.
        """
        import mne

        events = recording.others[0]
        ends = _ends(events, recordings.marks_of(events))
        source = recordings.by_mne(recording.path, mne.io.read_raw_bdf)
        unit = source.unit(self.channels)[0]
        if source.rate % _RATE:
            raise DataError(source.path, f"a multiple of {_RATE} samples per second",
                            f"{source.rate:g}")
        return [TrialSignal(clip, source.cut(self.channels, end - _TRIAL_S, end, _RATE, unit))
                for clip, end in sorted(ends.items())]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Class of each clip; order of presentation and ratings, if ``After_remarks.mat`` tells.

        Raises
        ------
        DataError
            That file cannot be made sense of.
        """
        classes = {clip: _CLASSES[label] for clip, label in enumerate(FACED_LABELS, start=1)}
        remarks = self._remarks(inventory.root, recording.subject)
        if remarks is None:
            files.once(notices, _NO_ORDER)
            return {c: TrialInfo(c, None, {"class": k}) for c, k in classes.items()}
        shown = _read_remarks(remarks)
        return {
            clip: TrialInfo(clip, rank, {"class": classes[clip], **ratings})
            for rank, (clip, ratings) in enumerate(shown)
        }

    def _remarks(self, root: Path, subject: int) -> Path | None:
        for folder in files.subfolders(root, root):
            path = folder / f"sub{subject:03d}" / _REMARKS
            if files.plain(folder.name) == files.plain(_RAW) and path.is_file() \
                    and files.inside(path, root):
                return path
        return None

    def generator(self, recipe: Recipe) -> Generator:
        """Source of simulated signals: 30 electrodes, and two that stand in for the mastoids."""
        return Generator(
            self.name, recipe, (*self.channels, "TP7", "TP8"), self.rate, self.trials_per_session
        )

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` puts into the file of a subject, in order of the clips."""
        generator = self.generator(recipe)
        rank = np.argsort(generator.presentation_order(subject, 1, _CLIPS))
        plans = []
        for i, label in enumerate(FACED_LABELS):
            meant = EMOTIONS[label]
            rated = generator.ratings(subject, i + 1, meant)
            ratings = {n: round((rated[n] - 1) / 8 * _HIGHEST, 2) for n in ("valence", "arousal")}
            felt = (ratings["valence"] / 3.5 - 1, ratings["arousal"] / 3.5 - 1)
            # Half of what the clip is meant to evoke, half of what the subject says.
            emotion = Emotion((meant.valence + felt[0]) / 2, (meant.arousal + felt[1]) / 2)
            samples = _RATE * seconds(_TRIAL_S, recipe)
            values = {"class": _CLASSES[label], **ratings}
            plans.append(PlannedTrial(i + 1, int(rank[i]), emotion, samples, values))
        return plans

    def write(self, folder: Path, generator: Generator) -> None:
        """Write clean signals, features, remarks, decoys."""
        (folder / _CLEAN).mkdir()
        (folder / _OFFICIAL / "DE").mkdir(parents=True)
        (folder / _CLEAN / "._sub000.pkl").write_bytes(files.JUNK)
        for subject in self.people(generator.recipe):
            plans = self.design(generator.recipe, subject, 1)
            signals = np.stack([generator.trial(subject, 1, p) for p in plans])
            features = np.stack([
                differential_entropy(s, _RATE, 1.0, self.official_bands).transpose(1, 0, 2)
                for s in signals
            ])
            if subject == 1:  # both orders of channels are in use: this one has the other
                for clips in (signals, features):
                    clips[:] = np.insert(clips[:, :30], [16, 16], clips[:, 30:], axis=1)
            name = f"sub{subject:03d}.pkl"
            content = {"data": signals} if subject == 2 else signals  # and both kinds of pickle
            (folder / _CLEAN / name).write_bytes(pickle.dumps(content, 4))
            (folder / _OFFICIAL / "DE" / f"{name}.pkl").write_bytes(
                pickle.dumps(features.astype(np.float64), 4)
            )
            (folder / _RAW / f"sub{subject:03d}").mkdir(parents=True)
            matlab.write(folder / _RAW / f"sub{subject:03d}" / _REMARKS, _remark(plans))


def _load(path: Path, shape: tuple[int, ...], words: str) -> NDArray[Any]:
    """The one array of a pickle, or that called "data" in its dict."""
    arrays = pickles.load_arrays(path, ("data",), bare="data")
    if "data" not in arrays:
        raise DataError(path, "an array, or a dict with one called data", "no data")
    if arrays["data"].shape != shape or arrays["data"].dtype.kind != "f":
        raise DataError(path, f"shape {shape}, {words}, of floating-point numbers",
                        f"{arrays['data'].shape} of {arrays['data'].dtype}")
    return arrays["data"]


def _electrodes(path: Path, flat: NDArray[Any]) -> list[int]:
    """Rows of the 30 electrodes: the two orders in use are told apart by the signals.

    Signals of neighbours resemble each other. Of the two orders, that is taken in which the
    correlation of two rows goes better with the nearness of their electrodes.

    Parameters
    ----------
    flat : (32, n)

    Raises
    ------
    DataError
        Neither fits clearly better.
    """
    places = positions(FACED_CHANNELS)
    pairs = np.triu_indices(len(places), 1)
    nearness = (places @ places.T)[pairs]
    step = max(1, flat.shape[1] // 20_000)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        alike = np.atleast_2d(np.corrcoef(np.asarray(flat[:, ::step], np.float64)))
    orders = [[i for i in range(_ROWS) if i not in mastoids] for mastoids in _MASTOIDS]
    if not np.isfinite(alike).all():
        return orders[0]  # a dead channel or a NaN: said of trial and channel by who reads signals
    last, middle = (np.corrcoef(alike[np.ix_(o, o)][pairs], nearness)[0, 1] for o in orders)
    if max(last, middle) < _WELL or abs(last - middle) < _BETTER:
        raise DataError(
            path, "signals that are alike where electrodes are near",
            f"a correlation of {last:.2f} with A1 and A2 last, {middle:.2f} with them as 17th and "
            "18th", "The order of the channels cannot be told. Leave the subject out: --exclude "
            "FACED:SUBJECT",
        )
    return orders[int(middle > last)]


def _read_remarks(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Clip and ratings of each trial, in order of presentation."""
    structs_ = structs.load(path, "After_remark", lambda way: way[-1] in ("vid", "score")
                            or isinstance(way[-1], int))
    if not isinstance(structs_, list) or len(structs_) != _CLIPS:
        found = len(structs_) if isinstance(structs_, list) else type(structs_).__name__
        raise DataError(f"{path} After_remark", f"{_CLIPS} structs", f"{found}")
    shown = []
    for i, remark in enumerate(structs_, start=1):
        vid, score = (remark.get(n) if isinstance(remark, dict) else None for n in ("vid", "score"))
        if not (isinstance(vid, np.ndarray) and vid.size == 1
                and isinstance(score, np.ndarray) and score.size == len(_RATINGS)):
            raise DataError(f"{path} After_remark {i}", f"a vid and {len(_RATINGS)} scores",
                            "something else")
        values = score.ravel().astype(np.float64)
        if not ((values >= 0) & (values <= _HIGHEST)).all():  # NaN is wrong, too
            raise DataError(f"{path} After_remark {i}", f"scores from 0 to {_HIGHEST:g}",
                            ", ".join(f"{v:g}" for v in values))
        shown.append((float(vid.ravel()[0]), dict(zip(_RATINGS, values.tolist(), strict=True))))
    if sorted(clip for clip, _ in shown) != list(range(1, _CLIPS + 1)):
        raise DataError(f"{path} vid", f"each clip from 1 to {_CLIPS} once",
                        ", ".join(f"{clip:g}" for clip, _ in shown))
    return [(int(clip), ratings) for clip, ratings in shown]


def _ends(path: Path, marks: list[tuple[float, str]]) -> dict[int, float]:
    """Second in which each clip ends: its number is marked, then 101 (start) and 102 (end)."""
    ends: dict[int, float] = {}
    clip = 0
    for second, word in marks:
        if word.isdigit() and 1 <= int(word) <= _CLIPS:
            clip = int(word)
        elif word == "102" and clip:
            if clip in ends:
                raise DataError(path, f"one end of clip {clip}", "two")
            ends[clip], clip = second, 0
    if len(ends) != _CLIPS:
        lost = [str(c) for c in range(1, _CLIPS + 1) if c not in ends]
        raise DataError(path, f"marks of {_CLIPS} clips: the clip, 101, 102",
                        f"none of clip {', '.join(lost)}")
    return ends


def _remark(plans: list[PlannedTrial]) -> dict[str, NDArray[Any]]:
    """``After_remarks.mat``, in order of presentation."""
    remarks = np.empty((len(plans), 1), [(n, object) for n in ("score", "trial", "vid")])
    for i, plan in enumerate(sorted(plans, key=lambda p: p.order)):
        scores = np.array([[plan.values.get(n, 0.0) for n in _RATINGS]])
        remarks[i, 0] = (scores, np.array([[i + 1.0]]), np.array([[float(plan.number)]]))
    return {"After_remark": remarks}
