"""One cell: method x parameters x pair x protocol x seed, run and turned into a record."""

from __future__ import annotations

import datetime
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .align import CHANNEL_POLICY, Pair
from .cache import key_of
from .codehash import code_hash
from .errors import BenchError, UnsuitedError
from .features import VERSION as FEATURES_VERSION
from .method import Budget, Context, Job, Method, Predictor, observing
from .protocol import Fold, Protocol
from .scaling import Scaler, Scaling
from .scoring import fold_scores, majority_share
from .store import Record, Store
from .windows import UnlabelledWindows, Windows

if TYPE_CHECKING:
    import pandas as pd

#: Optimiser steps of each named scale; None is what the parameters say.
BUDGETS: dict[str, Budget] = {
    "demo": Budget(pretrain=400, fit=150),
    "table": Budget(pretrain=100, fit=40),
    "null": Budget(pretrain=20, fit=20),
    "published": Budget(),
}

#: A prediction may change by this much when a window is predicted alone: rounding of float32.
INDEPENDENCE = 1e-4


@dataclass(frozen=True)
class Event:
    """What a run tells whoever watches it.

    Attributes
    ----------
    stage : str
        "reading", "pre-training scmm", "calibrating scmm", ...
    done, total : int
        Progress of the stage.
    detail : str
        Loss, subject.
    """

    stage: str
    done: int
    total: int
    detail: str = ""


Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Cell:
    """What is run: everything here is part of the record's identity, but for ``device``."""

    method: Method
    params_origin: str
    pair: Pair
    protocol: Protocol
    scaling: Scaling = field(default_factory=Scaling)
    selection: str = "last"
    scale: str = "published"
    seed: int = 0
    precision: str = "float32"
    sessions: str = "first"
    device: str = "cpu"
    save_models: bool = False

    @property
    def budget(self) -> Budget:
        """Step budget of the scale."""
        return BUDGETS[self.scale]

    def identity(self) -> dict[str, Any]:
        """Everything that decides the numbers."""
        space = self.pair.source.space
        return {
            "method": self.method.name,
            "params": self.method.params.model_dump(mode="json"),
            "params_origin": self.params_origin,
            "code": code_hash(type(self.method)),
            "source": self._side(self.pair.source, self.pair.source_name, 0),
            "target": self._side(self.pair.target, self.pair.target_name, 1),
            "features": {
                "kind": space.kind, "origin": space.source, "version": FEATURES_VERSION,
                "window_s": space.window_s, "smoothing": space.smoothing,
                "bands": [list(b) for b in space.bands], "rate": space.rate,
                "channels": list(space.channels), "channel_policy": CHANNEL_POLICY,
            },
            "label_map": None,
            "scaling": self._scaling(),
            "protocol": self.protocol.describe(),
            "selection": "oracle" if "epoch" in self.peeks else self.selection,
            "scale": self.scale,
            "seed": self.seed,
            "precision": self.precision,
        }

    @property
    def peeks(self) -> frozenset[str]:
        """What of the test set is used; nothing unless the method is an oracle."""
        return self.method.peeks if self.method.kind == "oracle" else frozenset()

    def _scaling(self) -> dict[str, str]:
        tested = {"test": "its own statistics"} if "scaling" in self.peeks else {}
        return {**self.scaling.describe(), **tested}

    def _side(self, windows: Windows, name: str, which: int) -> dict[str, Any]:
        corpus, _, task = name.partition(":")
        return {
            "name": name, "corpus": corpus, "task": task, "sessions": self.sessions,
            "subjects": np.unique(windows.subject).tolist(), "digest": self.pair.digests[which],
        }

    def context(self, stage: str, **axes: Any) -> Context:
        """Context whose randomness follows from the seed and the axes alone."""
        return Context(
            seed_axes={"seed": self.seed, "stage": stage, **axes}, device=self.device,
            budget=self.budget, stage=stage, dtype=self.precision,
            fold=f"subject {axes['subject']}" if "subject" in axes else "",
        )


def check_suited(method: Method, protocol: Protocol, pair: Pair) -> None:
    """Refuse a method that needs what protocol or features do not give.

    Raises
    ------
    UnsuitedError
        Says what is needed, what is granted, and what to do.
    """
    needs = method.needs
    wanted = {"source"} if needs.source != "none" else set()
    wanted |= {"calibration"} if needs.calibration else set()
    wanted |= {"unlabelled"} if needs.unlabelled else set()
    lacking = sorted(wanted - protocol.grants)
    if lacking:
        raise UnsuitedError(
            f"{method.name} needs {' and '.join(lacking)}, which {protocol.name} does not grant",
            f"{protocol.name} grants: {', '.join(sorted(protocol.grants))}",
        )
    kind = pair.source.space.kind
    if kind not in needs.features:
        raise UnsuitedError(
            f"{method.name} works on {' or '.join(sorted(needs.features))} windows, not on {kind}"
        )


def run_cell(cell: Cell, store: Store, watch: Watch | None = None) -> Record:
    """Run a cell, or return its record if it is done already.

    Raises
    ------
    UnsuitedError
        The method does not fit; nothing is run.
    BenchError
        Training diverged, or the method broke its contract.
    """
    check_suited(cell.method, cell.protocol, cell.pair)
    identity = cell.identity()
    record = Record(identity=identity, kind=cell.method.kind)
    known = store.get(record.id)
    models = known is not None and known.path is not None and (known.path / "models").is_dir()
    if known is not None and known.status == "done" and (models or not cell.save_models):
        return known
    return _Run(cell, store, record, watch or (lambda event: None)).go()


class _Run:
    """State of one cell in progress: the engine's side of the observer."""

    def __init__(self, cell: Cell, store: Store, record: Record, watch: Watch) -> None:
        self.cell, self.store, self.record, self.watch = cell, store, record, watch
        self.folds: list[Fold] = []
        self.best: dict[str, tuple[float, int, np.ndarray]] = {}
        self.curves: dict[str, Any] = {"pretrain": {}, "fit": {}}

    def go(self) -> Record:
        cell, record = self.cell, self.record
        wall, cpu = time.perf_counter(), time.process_time()
        source = self._cut()
        with observing(self._observe):
            state, reused = self._state(source)
            predictors = cell.method.fit_many([self._job(f, state) for f in self.folds])
        if len(predictors) != len(self.folds):
            raise BenchError(
                f"{cell.method.name} returned {len(predictors)} predictors for "
                f"{len(self.folds)} folds"
            )
        tables = [self._score(f, p) for f, p in zip(self.folds, predictors, strict=True)]
        record.oracle = self._oracle()
        record.curves = self.curves
        record.info = _provenance(cell, predictors)
        record.info |= {
            "wall_s": round(time.perf_counter() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "pretraining_reused": reused,
        }
        self._write(predictors, tables)
        return record

    def _cut(self) -> Windows | UnlabelledWindows | None:
        """Cut and scale the folds; the source as the method may see it."""
        cell, record = self.cell, self.record
        cut = cell.protocol.folds(cell.pair, cell.seed)
        record.left_out = [vars(item) for item in cut.left_out]
        record.notices = [*cell.pair.notices, *cut.notices]
        record.classes = list(cell.pair.target.labels)
        recipes = [r for r in cell.pair.recipes if r is not None]
        record.simulated = recipes[-1].model_dump() if recipes else None
        if not cut.folds:
            reasons = "; ".join(
                f"subject {item.subject}: {item.reason}" for item in cut.left_out[:3]
            )
            raise BenchError(
                f"no subject of {cell.pair.target_name} can be tested under {cell.protocol.name}",
                reasons,
            )
        needs = cell.method.needs.source
        source: Windows | UnlabelledWindows | None = None
        if needs != "none":
            scaled = cell.scaling.source(cell.pair.source)
            source = scaled if needs == "labelled" else scaled.without_labels()
        self.folds = [cell.scaling.fold(fold, source) for fold in cut.folds]
        if "scaling" in cell.peeks:
            self.folds = [test_scaled_alone(fold, cell.scaling.kind) for fold in self.folds]
        return source

    def _state(self, source: Windows | UnlabelledWindows | None) -> tuple[Any, bool]:
        """Pre-trained state, from the store if the same view was pre-trained on before."""
        cell = self.cell
        if not cell.method.pretrains or source is None:
            return None, False
        key = key_of(
            "pretrained", cell.method.name, cell.method.params.only("network", "pretrain"),
            code_hash(type(cell.method)), cell.pair.digests[0], list(source.space.channels),
            type(source).__name__, cell.scaling.kind, cell.seed, vars(cell.budget)["pretrain"],
            cell.precision, list(getattr(source, "labels", ())),
        )
        self.record.info["pretrained"] = key
        found = self.store.get_state(key)
        if found is not None:
            state, self.curves["pretrain"] = found
            return state, True
        state = cell.method.pretrain(source, cell.context("pretrain"))
        self.store.put_state(key, state, self.curves["pretrain"])
        return state, False

    def _job(self, fold: Fold, state: Any) -> Job:
        cell = self.cell
        context = cell.context(
            "fit", target=cell.pair.target_name, subject=fold.subject, session=fold.session
        )
        return Job(fold.view, state, context)

    def _observe(
        self, ctx: Context, number: int, of: int, losses: Mapping[str, float],
        predictor: Predictor | None,
    ) -> None:
        """Draw curves and the oracle; the method learns nothing of it."""
        row = {k: round(float(v), 6) for k, v in losses.items()}
        name = self.cell.method.name
        detail = "  ".join(f"{k} {v:.4f}" for k, v in losses.items())
        if ctx.stage == "pretrain":
            _append(self.curves["pretrain"], row)
            self.watch(Event(f"pre-training {name}", number, of, detail))
            return
        axes = ctx.seed_axes
        fold = next(
            f for f in self.folds
            if (f.subject, f.session) == (axes["subject"], axes["session"])
        )
        if predictor is not None:
            test = fold.open_test()
            proba = predictor.predict_proba(test.x)
            row["test_accuracy"] = round(float((proba.argmax(axis=1) == test.y).mean()), 6)
            key = f"{fold.subject}/{fold.session}"
            if key not in self.best or row["test_accuracy"] > self.best[key][0]:
                self.best[key] = (row["test_accuracy"], number, proba)
        _append(self.curves["fit"].setdefault(f"{fold.subject}/{fold.session}", {}), row)
        self.watch(Event(f"calibrating {name}", number, of, f"{ctx.fold}  {detail}"))

    def _score(self, fold: Fold, predictor: Predictor) -> pd.DataFrame:
        """Predict and score one fold; check that windows are predicted on their own."""
        import pandas as pd

        test = fold.open_test()
        classes = len(fold.view.classes)
        proba = np.asarray(predictor.predict_proba(test.x), dtype=np.float64)
        check_probabilities(self.cell.method, predictor, test, proba, classes)
        if "epoch" in self.cell.peeks and self.best:
            proba = self.best[f"{fold.subject}/{fold.session}"][2]
        self.record.folds.append({
            "subject": fold.subject, "session": fold.session,
            "calibration_trials": _trials(fold.view.calibration),
            "test_trials": _trials(test),
            "calibration_windows": 0 if fold.view.calibration is None
            else len(fold.view.calibration),
            "test_windows": len(test),
            "majority": majority_share(test.y),
            "scores": fold_scores(test.y, proba, test.trial, classes),
        })
        return pd.DataFrame({
            "subject": test.subject, "session": test.session, "trial": test.trial,
            "stimulus": test.stimulus, "onset": test.onset, "y": test.y,
            **{f"p{k}": proba[:, k].astype(np.float32) for k in range(classes)},
        })

    def _oracle(self) -> dict[str, Any] | None:
        """Scores at the epoch that is best on the test set: the field's shortcut, measured."""
        if not self.best:
            return None
        folds = []
        for fold in self.folds:
            test = fold.open_test()
            _, epoch, proba = self.best[f"{fold.subject}/{fold.session}"]
            folds.append({
                "subject": fold.subject, "session": fold.session, "epoch": epoch,
                "scores": fold_scores(test.y, proba, test.trial, len(fold.view.classes)),
            })
        return {"selection": "best test epoch", "folds": folds}

    def _write(self, predictors: list[Predictor], tables: list[pd.DataFrame]) -> None:
        import pandas as pd

        models = {}
        if self.cell.save_models:
            from .models import pack

            models = {
                f"subject{f.subject:03d}_session{f.session}.pt": pack(self.cell.method, p)
                for f, p in zip(self.folds, predictors, strict=True)
            }
        self.store.put(self.record, pd.concat(tables, ignore_index=True), models)


def check_probabilities(
    method: Method, predictor: Predictor, test: Windows, proba: np.ndarray, classes: int
) -> None:
    """Refuse predictions that break the contract.

    Raises
    ------
    BenchError
        Wrong shape, not probabilities, or a window's row depends on its neighbours.
    """
    if proba.shape != (len(test), classes):
        raise BenchError(
            f"{method.name} predicted an array of shape {proba.shape} for {len(test)} windows and "
            f"{classes} classes"
        )
    if not np.isfinite(proba).all() or (proba < -1e-9).any() or (
        abs(proba.sum(axis=1) - 1) > 1e-3
    ).any():
        raise BenchError(f"{method.name} predicted rows that are no probabilities")
    if method.transductive or len(test) < 3:
        return
    some = np.unique(np.linspace(0, len(test) - 1, 5).astype(int))[::-1]
    alone = np.concatenate([predictor.predict_proba(test.x[i : i + 1]) for i in some])
    worst = float(np.abs(alone - proba[some]).max())
    if worst > INDEPENDENCE:
        raise UnsuitedError(
            f"{method.name} predicts a window differently alone and among others (by {worst:.2g})",
            "A method that uses test windows together must declare transductive = True.",
        )


def test_scaled_alone(fold: Fold, kind: str) -> Fold:
    """Fold whose tested windows are scaled by their own statistics: for oracles only."""
    test = fold.open_test()
    return Fold(fold.subject, fold.session, fold.view, Scaler.fit(test.x, kind).apply(test))


def _append(curve: dict[str, list[float]], row: Mapping[str, float]) -> None:
    for name, value in row.items():
        curve.setdefault(name, []).append(value)


def _trials(windows: Windows | None) -> list[int]:
    return [] if windows is None else np.unique(windows.trial).tolist()


def _provenance(cell: Cell, predictors: list[Predictor]) -> dict[str, Any]:
    """Versions, machine and size: what is worth knowing but does not decide the numbers."""
    import pandas as pd

    versions = {
        "bench": __version__, "python": platform.python_version(), "numpy": np.__version__,
        "pandas": pd.__version__,
    }
    torch = sys.modules.get("torch")
    threads = 0
    if torch is not None:
        versions["torch"] = str(torch.__version__)
        threads = int(torch.get_num_threads())
    count = getattr(predictors[0], "parameters", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": versions, "device": cell.device, "threads": threads,
        "parameters": count() if callable(count) else None,
        "peak_memory_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
