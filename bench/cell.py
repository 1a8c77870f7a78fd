"""One cell: method x parameters x pair x protocol x seed, run and turned into a record."""

from __future__ import annotations

import datetime
import functools
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .align import CHANNEL_POLICY, PLUS, Pair, in_shared_classes, with_agreed_source
from .cache import key_of
from .codehash import code_hash
from .errors import BenchError, UnsuitedError
from .features import version_of
from .handing import as_needed, check_probabilities, check_suited, handed
from .labels import LabelMap, LabelRule
from .method import Budget, Context, Job, Method, Predictor, observing
from .protocol import Fold, Folds, Protocol
from .scaling import Scaling
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

_SHORT = {"total": "loss"}
#: What a stage of training is called while it goes on.
_DOING = {
    "pretrain": "pre-training", "fit": "calibrating", "adapt": "adapting",
    "source-head": "training the head of",
}

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
    rule: LabelRule = field(default_factory=LabelRule)
    device: str = "cpu"
    save_models: bool = False

    def __post_init__(self) -> None:
        # Recorded is what is run, not "auto".
        space = self.pair.source.space
        object.__setattr__(self, "method", self.method.settled(space))
        object.__setattr__(self, "scaling", self.scaling.settled(space))

    @property
    def budget(self) -> Budget:
        """Step budget of the scale."""
        return BUDGETS[self.scale]

    @functools.cached_property
    def mapped(self) -> tuple[Pair, LabelMap | None]:
        """The pair in the classes the cell is run in, and the map if they are shared ones."""
        # Under ``within`` the view's source is of the target corpus: it has the same classes.
        joint = self.method.shares_classes and "calibration" in self.protocol.grants
        if self.protocol.shares_classes or joint:
            return in_shared_classes(self.pair)
        return self._agreed[0], None

    @functools.cached_property
    def _agreed(self) -> tuple[Pair, LabelMap | None]:
        """Several sources, in the classes they share if the method learns these."""
        learns = self.method.needs.source == "labelled" and "calibration" in self.protocol.grants
        if self.pair.parts and learns:
            return with_agreed_source(self.pair)
        return self.pair, None

    def folds(self) -> Folds:
        """Folds of the protocol, unscaled; the same for all methods with the same classes."""
        return self.protocol.folds(self.mapped[0], self.seed)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the numbers."""
        space = self.pair.source.space
        return {
            "method": self.method.name,
            "params": self.method.params.model_dump(mode="json"),
            "params_origin": self.params_origin,
            "code": code_hash(*self.method.parts()),
            "source": self._side(self.pair.source, self.pair.source_name, 0),
            "target": self._side(self.pair.target, self.pair.target_name, 1),
            "features": {
                "kind": space.kind, "origin": space.source, "version": version_of(space.kind),
                "window_s": space.window_s, "smoothing": space.smoothing,
                "bands": [list(b) for b in space.bands], "rate": space.rate,
                "channels": list(space.channels), "channel_policy": CHANNEL_POLICY,
            },
            "label_map": self._label_map(),
            **self._source_map(),
            "label_rule": {
                "threshold": self.rule.threshold,
                "drop_middle": self.rule.drop_middle and list(self.rule.drop_middle),
            },
            "scaling": self._scaling(),
            "protocol": self._protocol(),
            "selection": "oracle" if "epoch" in self.peeks else self.selection,
            "scale": self.scale,
            "seed": self.seed,
            "precision": self.precision,
        }

    @property
    def peeks(self) -> frozenset[str]:
        """What of the test set is used; nothing unless the method is an oracle."""
        return self.method.peeks if self.method.kind == "oracle" else frozenset()

    def check(self) -> None:
        """Refuse a method, pair or scaling that does not fit; nothing has been run.

        Raises
        ------
        UnsuitedError
        """
        check_suited(self.method, self.protocol, self.pair)
        self.protocol.check_pair(self.pair)
        self.scaling.check(self.protocol)

    def _scaling(self) -> dict[str, str]:
        tested = {"test": "its own statistics"} if "scaling" in self.peeks else {}
        return {**self.scaling.describe(self.protocol), **tested}

    def _label_map(self) -> dict[str, Any] | None:
        pair, label_map = self.mapped
        return None if label_map is None else _named(label_map, pair.target)

    def _source_map(self) -> dict[str, Any]:
        """How the classes of several sources were brought together, where only they were."""
        pair, label_map = self._agreed
        if label_map is None or self.mapped[1] is not None:
            return {}
        return {"source_label_map": _named(label_map, pair.source)}

    def _protocol(self) -> dict[str, Any]:
        described = self.protocol.describe()
        if self.method.transductive and not self.protocol.transductive:
            described["target_access"] += "; at prediction, the tested windows, unlabelled"
        if self.scaling.transductive and not self.protocol.transductive:
            described["target_access"] += "; for scaling, the tested windows, unlabelled"
        return described

    def _side(self, windows: Windows, name: str, which: int) -> dict[str, Any]:
        names = [part.partition(":") for part in name.split(PLUS)]
        side = {
            "name": name, "corpus": PLUS.join(n[0] for n in names),
            "task": PLUS.join(n[2] for n in names), "sessions": self.sessions,
            "subjects": np.unique(windows.subject).tolist(), "digest": self.pair.digests[which],
        }
        if which == 0 and self.pair.parts:
            # Here and not under "scaling": tables set one source and several side by side.
            side["scaled"] = "each corpus by its own statistics; where the target goes by the " \
                "source's, by all of them together"
            side["parts"] = [
                {"name": p.name, "subjects": list(p.subjects), "digest": p.digest}
                for p in self.pair.parts
            ]
        return side

    def context(self, stage: str, **axes: Any) -> Context:
        """Context whose randomness follows from the seed and the axes alone."""
        return Context(
            seed_axes={"seed": self.seed, "stage": stage, **axes}, device=self.device,
            budget=self.budget, stage=stage, dtype=self.precision,
            fold=f"subject {axes['subject']}" if "subject" in axes else "",
        )


def _named(label_map: LabelMap, windows: Windows) -> dict[str, Any]:
    return {
        "name": label_map.name, "version": label_map.version, "classes": list(windows.labels),
    }


def run_cell(cell: Cell, store: Store, watch: Watch | None = None) -> Record:
    """Run a cell, or return its record if it is done already.

    Raises
    ------
    UnsuitedError
        The method does not fit; nothing is run.
    BenchError
        Training diverged, or the method broke its contract.
    """
    cell.check()
    if cell.save_models and type(cell.method).restore is Method.restore:
        raise UnsuitedError(
            f"models of {cell.method.name} cannot be saved", "Leave out --save-models."
        )
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
        self._cut()
        with observing(self._observe):
            states, reused = self._states()
            predictors = cell.method.fit_many(
                [self._job(f, states[id(f.view.source)]) for f in self.folds]
            )
        if len(predictors) != len(self.folds):
            raise BenchError(
                f"{cell.method.name} returned {len(predictors)} predictors for "
                f"{len(self.folds)} folds"
            )
        tables = [self._score(f, p) for f, p in zip(self.folds, predictors, strict=True)]
        record.oracle = self._oracle()
        record.curves = self.curves
        record.info |= _provenance(cell, predictors)
        record.info |= {
            "wall_s": round(time.perf_counter() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "pretraining_reused": reused,
        }
        self._write(predictors, tables)
        return record

    def _cut(self) -> None:
        """Cut and scale the folds, each with a view of what the method may see."""
        cell, record = self.cell, self.record
        cut = cell.folds()
        record.left_out = [vars(item) for item in cut.left_out]
        record.notices = [*cell.pair.notices, *cut.notices]
        record.classes = list(cell.mapped[0].target.labels)
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
        self.folds = handed(
            cell.scaling.folds(cut.folds), cell.method.needs_under(cell.protocol.grants)
        )
        if "scaling" in cell.peeks:
            self.folds = [test_scaled_alone(fold, cell.scaling) for fold in self.folds]

    def _states(self) -> tuple[dict[int, Any], bool]:
        """Pre-trained state of each source that occurs, by identity; and whether all were known.

        Only ``within`` has more than one: there, curves are kept of the last.
        """
        states: dict[int, Any] = {}
        reused = True
        for view in (fold.view for fold in self.folds):
            if id(view.source) not in states:
                states[id(view.source)], known = self._state(
                    as_needed(view.source, self.cell.method.needs.source)
                )
                reused = reused and known
        return states, reused

    def _state(self, source: Windows | UnlabelledWindows | None) -> tuple[Any, bool]:
        """Pre-trained state, from the store if the same windows were pre-trained on before."""
        cell = self.cell
        if not cell.method.pretrains or source is None:
            return None, False
        key = key_of(
            "pretrained", cell.method.name, cell.method.params.only("network", "pretrain"),
            code_hash(*cell.method.parts()), type(source).__name__, source.digest(), cell.seed,
            vars(cell.budget)["pretrain"], cell.precision,
        )
        self.record.info["pretrained"] = key
        self.curves["pretrain"] = {}
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
        detail = "  ".join(f"{_SHORT.get(k, k)} {v:.4f}" for k, v in losses.items())
        axes = ctx.seed_axes
        curves = self.curves.setdefault(ctx.stage, {})
        if "subject" not in axes:  # a network that all folds share
            _append(curves, row)
            self.watch(Event(f"{_DOING.get(ctx.stage, ctx.stage)} {name}", number, of, detail))
            return
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
        _append(curves.setdefault(f"{fold.subject}/{fold.session}", {}), row)
        doing = _DOING.get(ctx.stage, ctx.stage)
        self.watch(Event(f"{doing} {name}", number, of, f"{ctx.fold}  {detail}"))

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


def test_scaled_alone(fold: Fold, scaling: Scaling) -> Fold:
    """Fold whose tested windows are scaled by their own statistics: for oracles only."""
    test = fold.open_test()
    return Fold(fold.subject, fold.session, fold.view, scaling.fit(test.x).apply(test))


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
    # Whatever library a method's networks or estimators came from.
    versions |= {
        name: str(sys.modules[name].__version__)
        for name in ("torch", "braindecode", "torcheeg", "sklearn", "skada")
        if hasattr(sys.modules.get(name), "__version__")
    }
    torch = sys.modules.get("torch")
    threads = 0
    if torch is not None:
        threads = int(torch.get_num_threads())
    count = getattr(predictors[0], "parameters", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": versions, "device": cell.device, "threads": threads,
        "parameters": count() if callable(count) else None,
        "peak_memory_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
