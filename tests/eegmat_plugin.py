"""Real EEG as two corpora: the people of ``eegmat_de_1s.npz``, 18 in each, by --include.

Rest and arithmetic are one recording each, so that trials are pieces of 10 s, marked as such.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.data.corpus import (
    CorpusAdapter,
    Inventory,
    OfficialFeatures,
    Recording,
    TrialInfo,
    TrialSignal,
    ordered,
)
from bench.data.labels import Task
from bench.errors import MissingCorpusError
from bench.registry import Entry

#: Seconds of a piece, and pieces of each class.
PIECE, PIECES = 10, 6


class Odd(CorpusAdapter):
    """Files ``<name>/<subject>.npz`` with ``de`` (2, 60, 19, 5): rest, arithmetic."""

    name: ClassVar[str] = "ODD"
    title: ClassVar[str] = "Half of the people of EEGMAT"
    access: ClassVar[str] = "shared reference numbers"
    layout: ClassVar[str] = "ODD/<subject>.npz"
    channels: ClassVar[tuple[str, ...]] = (
        "FP1", "FP2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4",
        "O1", "O2", "FZ", "CZ", "PZ")
    rate: ClassVar[float] = 500.0
    official_bands: ClassVar[tuple[tuple[float, float], ...]] = (
        (1, 4), (4, 8), (8, 14), (14, 31), (31, 45))
    official_kinds: ClassVar[tuple[str, ...]] = ("de",)
    pieces_s: ClassVar[float] = float(PIECE)
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("state", ("rest", "arithmetic"), "state", codes={0: "rest", 1: "arithmetic"}),
    )

    def inventory(self, root: Path, features: str = "official") -> Inventory:
        folder = Path(root) / self.name
        if not folder.is_dir():
            raise MissingCorpusError(f"no {self.name} in {root}")
        return Inventory(
            folder, ordered([Recording(p, int(p.stem), 1) for p in folder.glob("*.npz")])
        )

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        return OfficialFeatures("de", 1.0, "none")

    def read(
        self, recording: Recording, features: str = "official", official_kind: str = ""
    ) -> list[TrialSignal]:
        with np.load(recording.path) as stored:
            de = stored["de"]
        pieces = de.reshape(2 * PIECES, PIECE, *de.shape[2:])
        return [TrialSignal(n, piece.transpose(1, 0, 2)) for n, piece in enumerate(pieces, 1)]

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        state = {n: (n - 1) // PIECES for n in range(1, 2 * PIECES + 1)}
        return {n: TrialInfo(s + 1, n - 1, {"state": float(s)}) for n, s in state.items()}


class Even(Odd):
    name: ClassVar[str] = "EVEN"


def write_halves(file: Path, root: Path, other_amplifier: bool = False) -> Path:
    """The first 60 s of each state of each person, every other one in the other corpus.

    ``other_amplifier``: EVEN is 20 times as large, which adds 3 nats to all of its entropies.
    """
    with np.load(file) as stored:
        de, subject, label, second = (stored[n] for n in ("de", "subject", "label", "second"))
    for number, person in enumerate(np.unique(subject)):
        states = []
        for state in (0, 1):
            rows = np.flatnonzero((subject == person) & (label == state))
            states.append(de[rows[np.argsort(second[rows])][: PIECE * PIECES]])
        folder = root / ("ODD", "EVEN")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        both = np.stack(states) + 3 * (other_amplifier and number % 2)
        np.savez(folder / f"{number // 2 + 1}.npz", de=both.astype(np.float32))
    return root


CATALOGUE = [Entry(c.name, f":{c.__name__}", "EEGMAT", group="corpora") for c in (Odd, Even)]
