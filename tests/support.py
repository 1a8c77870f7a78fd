"""Small made-up windows, corpora and methods that several test modules build on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.cells.cell import Cell
from bench.data.corpus import CorpusAdapter, Inventory, Recording, TrialInfo, TrialSignal, ordered
from bench.data.labels import Task
from bench.data.pair import Pair, align
from bench.data.reading import CorpusName, Reading
from bench.data.windows import Windows
from bench.errors import DataError, MissingCorpusError
from bench.method import Context, Method, Needs
from bench.protocols.base import Protocol, View
from bench.protocols.few_shot import FewShot
from bench.registry import Entry

CHANNELS = ("FP1", "FZ", "CZ", "PZ", "OZ")
SEED_CLASSES = (2, 1, 0, 0, 1, 2, 0, 1, 2, 2, 1, 0, 1, 2, 0)

#: A trial: (number, class, order of presentation, windows).
Trials = Sequence[tuple[int, int, int, int]]


def in_order(classes: Sequence[int], windows: int = 4) -> Trials:
    """Trials numbered from 1 and shown in that order."""
    return [(i + 1, y, i, windows) for i, y in enumerate(classes)]


def synthetic(
    subjects: Mapping[int, Trials] | int = 3,
    trials: Trials | None = None,
    *,
    corpus: str = "A",
    labels: Sequence[str] = ("low", "high"),
    channels: Sequence[str] = CHANNELS,
    session: int = 1,
    seed: int = 0,
    effect: float = 1.0,
    bands: int = 5,
) -> Windows:
    """Random windows whose mean goes with the class; every row of ``x`` is unique."""
    trials = trials or in_order([0, 1] * 4)
    if isinstance(subjects, int):
        subjects = dict.fromkeys(range(1, subjects + 1), trials)
    rng = np.random.default_rng(seed)
    rows = [
        (s, number, y, order, position)
        for s, mine in subjects.items()
        for number, y, order, n in mine
        for position in range(n)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    direction = rng.normal(size=(len(labels), len(channels), bands))
    x = rng.normal(size=(len(table), len(channels), bands)) + effect * direction[table[:, 2]]
    return Windows.from_arrays(
        x, table[:, 2], subject=table[:, 0], trial=table[:, 1], order=table[:, 3],
        onset=table[:, 4], channels=channels, labels=labels, corpus=corpus, session=session,
        bands=[(1, 4), (4, 8), (8, 14), (14, 31), (31, 50)][:bands],
    )


def read(windows: Windows) -> Reading:
    """Windows as if they had been read from files."""
    name = CorpusName(str(windows.corpus[0]), "own")
    return Reading(name, windows, windows.digest(), (), None)


def paired(source: Windows | None = None, target: Windows | None = None) -> Pair:
    """Two made-up corpora, aligned."""
    return align(
        read(synthetic(corpus="A", seed=1) if source is None else source),
        read(synthetic(corpus="B", seed=2) if target is None else target),
    )


def cell_of(
    method: Method, pair: Pair | None = None, protocol: Protocol | None = None, **changes: Any
) -> Cell:
    """A cell of made-up corpora."""
    return Cell(
        method=method, params_origin="default", pair=pair or paired(),
        protocol=protocol or FewShot(), **changes,
    )


class NearestMean:
    """Softmax of minus the squared distance to each class's mean."""

    def __init__(self, means: np.ndarray) -> None:
        self.means = means

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes)."""
        far = np.square(x[:, None].astype(float) - self.means).mean(axis=(2, 3))
        p = np.exp(far.min(axis=1, keepdims=True) - far)
        return p / p.sum(axis=1, keepdims=True)

    def payload(self) -> dict[str, Any]:
        """For saving."""
        return {"means": self.means.tolist()}


class Means(Method):
    """Nearest class mean of the calibration windows; counts what it is asked to do."""

    name: ClassVar[str] = "means"
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)
    pretrained: ClassVar[int] = 0
    fitted: ClassVar[int] = 0

    def pretrain(self, source: Any, ctx: Context) -> dict[str, int]:
        """Nothing but a count."""
        type(self).pretrained += 1
        return {"windows": len(source)}

    def fit(self, view: View, state: Any, ctx: Context) -> NearestMean:
        """Mean of each class."""
        type(self).fitted += 1
        calibration = view.calibration
        assert calibration is not None
        return NearestMean(np.stack([
            calibration.x[calibration.y == k].astype(float).mean(axis=0)
            for k in range(len(view.classes))
        ]))


class Toy(CorpusAdapter):
    """A corpus of .npz files ``toy/<subject>_<session>.npz`` with a labels.json."""

    name: ClassVar[str] = "TOY"
    title: ClassVar[str] = "Toy corpus"
    access: ClassVar[str] = "nowhere"
    layout: ClassVar[str] = "toy/<subject>_<session>.npz"
    channels: ClassVar[tuple[str, ...]] = ("Fp1", "Fz", "T3", "Oz")
    rate: ClassVar[float] = 128.0
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("valence", ("low", "high"), "valence"),
        Task("film", ("sad", "glad"), "film", codes={0: "sad", 1: "glad"},
             dropped=frozenset({2.0})),
    )
    reads: ClassVar[list[Path]] = []

    def inventory(self, root: Path, features: str = "bench") -> Inventory:
        """All files of the folder."""
        folder = root / "toy"
        if not folder.is_dir():
            raise MissingCorpusError(f"no TOY in {root}", f"{self.access}\n{self.layout}")
        found = [Recording(p, *map(int, p.stem.split("_"))) for p in folder.glob("*.npz")]
        return Inventory(folder, ordered(found))

    def read(
        self, recording: Recording, features: str = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of a file."""
        self.reads.append(recording.path)
        try:
            with np.load(recording.path) as stored:
                return [TrialSignal(int(k), stored[k]) for k in sorted(stored.files, key=int)]
        except ValueError as error:
            raise DataError(recording.path, "an .npz file", str(error)) from error

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Ratings and order from labels.json."""
        table = json.loads((inventory.root / "labels.json").read_text())
        return {
            int(k): TrialInfo(int(k), v.get("order"), {n: v[n] for n in ("valence", "film")})
            for k, v in table.items()
        }

    def simulate(self, root: Path, recipe: Any) -> None:
        """Never."""
        raise DataError(root, "a simulator", "none")


CATALOGUE = [Entry("TOY", ":Toy", group="corpora"), Entry("means", ":Means")]


def write_toy(
    root: Path, recordings: Sequence[tuple[int, int]] = ((1, 1), (2, 1), (10, 1)),
    trials: int = 6, seconds: int = 3, order: bool = True,
) -> Path:
    """Write a toy corpus; ratings alternate 2 and 8, films 0, 1, 2."""
    folder = root / "toy"
    folder.mkdir(parents=True)
    for subject, session in recordings:
        rng = np.random.default_rng([subject, session])
        np.savez(folder / f"{subject}_{session}.npz", **{
            str(t): rng.normal(size=(4, seconds * 128)) for t in range(1, trials + 1)
        })
    (folder / "labels.json").write_text(json.dumps({
        t: {"valence": 2.0 + 6 * (t % 2), "film": float(t % 3)}
        | ({"order": t - 1} if order else {})
        for t in range(1, trials + 1)
    }))
    return root
