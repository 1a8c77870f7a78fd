"""Toy corpora and methods of the sweep's tests, given to it by --include: no torch, no time."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.data.corpus import CorpusAdapter, Inventory, Recording, TrialInfo, TrialSignal, ordered
from bench.data.labels import Task
from bench.errors import DataError, MissingCorpusError
from bench.method import Context, Method, Needs, Params, hyper
from bench.protocols.base import View
from bench.registry import Entry


class ToyA(CorpusAdapter):
    """A corpus of files ``<name>/<subject>.npz``."""

    name: ClassVar[str] = "TOYA"
    title: ClassVar[str] = "Toy corpus"
    access: ClassVar[str] = "nowhere"
    layout: ClassVar[str] = "TOYA/<subject>.npz"
    channels: ClassVar[tuple[str, ...]] = ("Fp1", "Fz", "Oz")
    rate: ClassVar[float] = 128.0
    tasks: ClassVar[tuple[Task, ...]] = (Task("valence", ("low", "high"), "valence"),)

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
        try:
            with np.load(recording.path) as stored:
                return [TrialSignal(int(k), stored[k]) for k in sorted(stored.files, key=int)]
        except ValueError as error:
            raise DataError(recording.path, "an .npz file", str(error)) from error

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        return {t: TrialInfo(t, t - 1, {"valence": 2.0 + 6 * (t % 2)}) for t in range(1, 7)}

    def simulate(self, root: Path, recipe: Any) -> None:
        raise DataError(root, "a simulator", "none")


class ToyB(ToyA):
    name: ClassVar[str] = "TOYB"


class ToyC(ToyA):
    name: ClassVar[str] = "TOYC"


def write_toy(root: Path, names: tuple[str, ...] = ("TOYA", "TOYB")) -> Path:
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for subject in (1, 2, 10):
            rng = np.random.default_rng([number, subject])
            np.savez(root / name / f"{subject}.npz", **{
                str(t): rng.normal(size=(3, 3 * 128)) * (1 + t % 2) for t in range(1, 7)
            })
    return root


class Means:
    def __init__(self, means: np.ndarray) -> None:
        self.means = means

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        far = np.square(x[:, None].astype(float) - self.means).mean(axis=(2, 3))
        p = np.exp(far.min(axis=1, keepdims=True) - far)
        return p / p.sum(axis=1, keepdims=True)


class ToyParams(Params):
    noise: float = hyper(0.1, "random shift of the means", stage="fit", ge=0)
    sleep: float = hyper(0.0, "seconds a fold takes", stage="fit", ge=0)


class Good(Method):
    """Nearest mean with random noise: equal only if its randomness is."""

    name: ClassVar[str] = "toy"
    Params = ToyParams
    params: ToyParams
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    @property
    def stacks(self) -> bool:
        return True

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        time.sleep(self.params.sleep)
        assert view.calibration is not None
        c = view.calibration
        means = np.stack([c.x[c.y == k].astype(float).mean(axis=0) for k in range(2)])
        shift = 0.0 if state is None else state["shift"]
        return Means(means + shift + self.params.noise * ctx.rng("means").normal(size=means.shape))


class Other(Good):
    name: ClassVar[str] = "toy-other"


class Pretrained(Good):
    name: ClassVar[str] = "toy-pretrained"

    def pretrain(self, source: Any, ctx: Context) -> dict[str, float]:
        if trace := os.environ.get("TOY_TRACE"):
            with Path(trace).open("a") as file:
                file.write(json.dumps([source.corpus[0], dict(ctx.seed_axes)], default=str) + "\n")
        ctx.epoch(1, 1, {"total": 1.0})
        return {"shift": float(ctx.rng("shift").normal())}


class Raises(Good):
    name: ClassVar[str] = "toy-raises"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        raise RuntimeError("no good")


class Exits(Good):
    name: ClassVar[str] = "toy-exits"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        sys.exit("out of here")


class Dies(Good):
    """Ends its process as the kernel would when memory runs out."""

    name: ClassVar[str] = "toy-dies"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class DiesOnce(Dies):
    """Ends its process the first time that each of its cells is tried."""

    name: ClassVar[str] = "toy-dies-once"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        with Path(os.environ["TOY_TRACE"]).open("a+") as file:
            file.seek(0)
            first = f"seed {ctx.seed_axes['seed']}\n" not in file.readlines()
            file.write(f"seed {ctx.seed_axes['seed']}\n")
        if first:
            super().fit(view, state, ctx)
        return Good.fit(self, view, state, ctx)


class Crashes(Good):
    """Says something, and then reads where nothing is."""

    name: ClassVar[str] = "toy-crashes"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        print("about to crash", file=sys.stderr, flush=True)
        ctypes.string_at(0)
        raise AssertionError("unreachable")


class Says(Good):
    name: ClassVar[str] = "toy-says"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        print("a warning of the method", file=sys.stderr, flush=True)
        return super().fit(view, state, ctx)


class Silent(Good):
    """Holds the interpreter's lock: its worker answers nobody."""

    name: ClassVar[str] = "toy-silent"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        if self.params.sleep:
            ctypes.PyDLL(None).sleep(int(self.params.sleep))
        return Good(self.params.model_copy(update={"sleep": 0.0})).fit(view, state, ctx)


class DiesLate(Good):
    """Ends its process when it is asked for what it computed."""

    name: ClassVar[str] = "toy-dies-late"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        from distributed import get_worker

        get_worker().handlers["get_data"] = lambda *args, **more: os._exit(1)
        return super().fit(view, state, ctx)


class DiesOfOne(Dies):
    """Ends its process at one of its seeds."""

    name: ClassVar[str] = "toy-dies-of-one"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        if ctx.seed_axes["seed"] == 2:
            super().fit(view, state, ctx)
        return Good.fit(self, view, state, ctx)


class Hangs(Good):
    name: ClassVar[str] = "toy-hangs"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        while True:
            time.sleep(1)


class Hungry(Good):
    name: ClassVar[str] = "toy-hungry"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        hold = []
        while True:
            hold.append(np.ones(4_000_000))  # 32 MB, touched
            time.sleep(0.2)  # slowly enough for the last look at its memory to be telling


class Interrupts(Good):
    """As if Ctrl-C were pressed while it runs."""

    name: ClassVar[str] = "toy-interrupts"

    def fit(self, view: View, state: Any, ctx: Context) -> Means:
        raise KeyboardInterrupt


CATALOGUE = [
    *(Entry(c.name, f":{c.__name__}", group="corpora") for c in (ToyA, ToyB, ToyC)),
    *(Entry(m.name, f":{m.__name__}") for m in (
        Good, Other, Pretrained, Raises, Exits, Dies, DiesOnce, Crashes, Says, Silent, DiesLate,
        DiesOfOne, Hangs, Hungry, Interrupts)),
]
