"""Corpora of one file a trial, in order and not, that the tests of ``bench check`` build on."""

from __future__ import annotations

import json
import re
from typing import ClassVar

import numpy as np

from bench.data.corpus import CorpusAdapter, Inventory, Recording, TrialInfo, TrialSignal, ordered
from bench.data.labels import Task
from bench.errors import DataError


class Single(CorpusAdapter):
    """One file a trial, as SAM40's: ``s<subject>_<task>_<trial>.npy``; no simulator."""

    name: ClassVar[str] = "SINGLE"
    title: ClassVar[str] = "One file a trial"
    access: ClassVar[str] = "nowhere"
    layout: ClassVar[str] = "s<subject>_<task>_<trial>.npy"
    channels: ClassVar[tuple[str, ...]] = ("Fp1", "FT9", "PO9")
    rate: ClassVar[float] = 100.0
    tasks: ClassVar[tuple[Task, ...]] = (
        Task("task", ("rest", "sums"), "task", codes={0.0: "rest", 1.0: "sums"}),
    )
    use_scale: ClassVar[bool] = False

    def inventory(self, root, features="bench"):
        named = [(p, re.fullmatch(r"s(\d+)_(rest|sums)_(\d)\.npy", p.name))
                 for p in sorted(root.iterdir())]
        extra = (root / "scale.json",) if self.use_scale else ()
        return Inventory(root, ordered([Recording(p, int(m[1]), 1, extra) for p, m in named if m]))

    def number(self, recording):
        _, task, trial = recording.path.stem.split("_")
        return 3 * (task == "sums") + int(trial)

    def read(self, recording, features="bench", official_kind=""):
        try:
            data = np.load(recording.path)
        except Exception as error:
            raise DataError(recording.path, "an array", str(error)) from error
        for path in recording.others:
            data = data * json.loads(path.read_text())
        return [TrialSignal(self.number(recording), data)]

    def trials(self, inventory, recording, notices):
        number = self.number(recording)
        return {number: TrialInfo(number, number - 1, {"task": float(number > 3)})}


class Scaled(Single):
    """Each file of signals goes with a factor in another."""

    use_scale: ClassVar[bool] = True


class Twice(Single):
    def number(self, recording):
        return super().number(recording) % 3 + 1


class Random(Single):
    def read(self, recording, features="bench", official_kind=""):
        (trial,) = super().read(recording)
        return [TrialSignal(trial.number, trial.data + np.random.normal())]  # noqa: NPY002


class Turned(Single):
    def read(self, recording, features="bench", official_kind=""):
        (trial,) = super().read(recording)
        return [TrialSignal(trial.number, trial.data.T)]


class Unknown(Single):
    def trials(self, inventory, recording, notices):
        return {99: TrialInfo(99, 0, {"task": 0.0})}


class Disordered(Single):
    def trials(self, inventory, recording, notices):
        infos = super().trials(inventory, recording, notices)
        return {n: TrialInfo(n, 7, i.values) for n, i in infos.items()}


class Mixed(Single):
    def read(self, recording, features="bench", official_kind=""):
        (trial,) = super().read(recording)
        return [TrialSignal(trial.number, trial.data * (1e-6 if trial.number == 2 else 1))]


class Hidden(Single):
    def read(self, recording, features="bench", official_kind=""):
        (trial,) = super().read(recording)
        factor = json.loads((recording.path.parent / "scale.json").read_text())
        return [TrialSignal(trial.number, trial.data * factor)]


class Bare(Single):
    def read(self, recording, features="bench", official_kind=""):
        return [TrialSignal(self.number(recording), np.load(recording.path))]


class Unsorted(Single):
    def inventory(self, root, features="bench"):
        found = super().inventory(root, features)
        return Inventory(root, tuple(sorted(found.recordings, key=lambda r: str(r.subject))))


class Odd(Single):
    tasks: ClassVar[tuple[Task, ...]] = (Task("mood", ("low", "high"), "mood"),)
