"""Two small corpora of the same two classes, for sweeps over sizes of calibration, by --include."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.data.corpus import CorpusAdapter, Inventory, Recording, TrialInfo, TrialSignal, ordered
from bench.data.labels import Task
from bench.errors import DataError, MissingCorpusError
from bench.registry import Entry

#: Trials of each subject, classes in turn, and their length in s.
TRIALS, SECONDS = 12, 5


class Here(CorpusAdapter):
    """Files ``<name>/<subject>.npz``; six trials of each class."""

    name: ClassVar[str] = "HERE"
    title: ClassVar[str] = "Toy corpus of two classes"
    access: ClassVar[str] = "nowhere"
    layout: ClassVar[str] = "HERE/<subject>.npz"
    channels: ClassVar[tuple[str, ...]] = ("Fp1", "Fz", "Cz", "Pz", "Oz")
    rate: ClassVar[float] = 128.0
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("state", ("rest", "task"), "state", codes={0: "rest", 1: "task"}),
    )

    def inventory(self, root: Path, features: str = "bench") -> Inventory:
        folder = Path(root) / self.name
        if not folder.is_dir():
            raise MissingCorpusError(f"no {self.name} in {root}")
        return Inventory(
            folder, ordered([Recording(p, int(p.stem), 1) for p in folder.glob("*.npz")])
        )

    def read(
        self, recording: Recording, features: str = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        with np.load(recording.path) as stored:
            return [TrialSignal(int(k), stored[k]) for k in sorted(stored.files, key=int)]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        return {t: TrialInfo(t, t - 1, {"state": float(t % 2)}) for t in range(1, TRIALS + 1)}

    def simulate(self, root: Path, recipe: Any) -> None:
        raise DataError(root, "a simulator", "none")


class There(Here):
    name: ClassVar[str] = "THERE"
    # The same classes, in another order.
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("state", ("task", "rest"), "state", codes={0: "rest", 1: "task"}),
    )


def write_corpora(root: Path, subjects: int = 6, effect: float = 0.25) -> Path:
    """Noise whose power at some channels goes with the class, in both corpora alike."""
    pattern = np.random.default_rng(0).normal(size=(5, 1))
    for number, name in enumerate(("HERE", "THERE")):
        (root / name).mkdir(parents=True)
        for subject in range(1, subjects + 1):
            rng = np.random.default_rng([number, subject])
            own = rng.normal(size=(5, 1))
            np.savez(root / name / f"{subject}.npz", **{
                str(t): rng.normal(size=(5, SECONDS * 128)) * np.exp(
                    0.3 * own + effect * (t % 2) * pattern + 0.1 * rng.normal(size=(5, 1))
                ) for t in range(1, TRIALS + 1)
            })
    return root


CATALOGUE = [
    Entry("HERE", ":Here", "toy", group="corpora"),
    Entry("THERE", ":There", "toy", group="corpora"),
]
