"""A cell in progress: its folds, its trainings, who watches them, and its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, IncompatibleError
from ..method import Context, Job, Method, Predictor
from ..protocols.base import Fold
from ..scoring.metrics import FoldOutcome
from ..selection.observer import Key, Observer, Report, Scorer, SelectedEpoch, Tell, columns, oracle
from ..selection.rules import check_selection, evaluated, held_out, rule
from ..store.hashing import code_hash, key_of
from ..store.provenance import provenance
from ..store.records import Record, Store
from .cell import Cell, Event, OnEvent
from .contract import check_probabilities, restrict_source, restrict_views
from .shortcuts import more_windows, per_subject, recut, scaled_folds, stretched, test_scaled_alone

if TYPE_CHECKING:
    import pandas as pd

#: What a stage of training is called while it goes on.
_DOING = {
    "pretrain": "pre-training", "fit": "calibrating", "adapt": "adapting",
    "source-head": "training the head of",
}


@dataclass(frozen=True)
class PretrainSpec:
    """A pre-trained state that folds of a cell start from.

    Attributes
    ----------
    key : str
        Its name in the run folder.
    digest : str
        Of the source.
    source : Windows or UnlabelledWindows
        What it is trained on.
    context : Context
    stored : bool
        Whether one that is stored may take its place.
    """

    key: str
    digest: str
    source: Windows | UnlabelledWindows
    context: Context
    stored: bool


class Run:
    """A cell in progress: what is trained for it, and the record that comes of it."""

    def __init__(
        self, cell: Cell, store: Store, on_event: OnEvent, name: str = "",
        report: Report | None = None,
    ) -> None:
        check_selection(cell.selection, cell.protocol)
        cell.check()
        if cell.save_models and type(cell.method).restore is Method.restore:
            raise IncompatibleError(
                f"models of {cell.method.name} cannot be saved", "Leave out --save-models."
            )
        self.cell, self.store, self.on_event, self.name = cell, store, on_event, name
        self.report = report
        self.record = Record(identity=cell.identity(), kind=cell.kind)
        self.rule = rule(cell.selection)
        self.whole: list[Fold] = []
        self.folds: list[Fold] = []
        self.unlabelled: dict[Key, UnlabelledWindows | None] = {}
        self.planned: dict[Key, dict[str, SelectedEpoch]] = {}
        self.reused = True
        self.more = 1.0

    def known(self) -> Record | None:
        """The record, if the cell is done already."""
        known, cell = self.store.get(self.record.id), self.cell
        if known is not None and known.status == "done" and has_extras(
            known, cell.save_models, cell.diagnostics
        ):
            return known
        return None

    def finish(self, training: Training, info: Callable[[], Mapping[str, Any]]) -> Record:
        """Score what was trained on all that is granted; ``info`` is read before it is written."""
        import pandas as pd

        cell, record, observer = self.cell, self.record, training.observer
        predictors = training.predictors
        finals = [self._predict(f, p) for f, p in zip(self.folds, predictors, strict=True)]
        observer.finish(predictors)
        found = columns(evaluated(cell.selection, cell.protocol), observer, finals)
        record.selections = {name: column for name, (column, _) in found.items()}
        _, chosen = found["oracle" if "epoch" in cell.test_access else cell.selection]
        table = pd.concat(map(_predictions, self.folds, chosen), ignore_index=True)
        if cell.shortcut:
            outcomes = per_subject(self.folds, table)
        else:
            outcomes = [_outcome(f, p) for f, p in zip(self.folds, chosen, strict=True)]
            record.oracle = oracle(observer, record.selections)
        record.folds = [outcome.as_dict() for outcome in outcomes]
        record.curves |= observer.curves
        if cell.diagnostics and record.kind == "method":
            from .diagnostics import diagnose

            record.diagnostics = diagnose(cell, self.folds, predictors)
        count = getattr(predictors[0], "parameters", None)
        record.info |= {
            **provenance(cell.device, {"seed": cell.seed}),
            "parameters": count() if callable(count) else None,
            "pretraining_reused": self.reused, **info(),
        }
        self._write(predictors, table)
        return record

    def cut(self) -> None:
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
        whole = recut(cell.shortcut, cut.folds, cell.seed)
        self.more = more_windows(cut.folds, whole)
        scaled = scaled_folds(cell.shortcut, whole, cell.scaling, cell.seed)
        self.unlabelled = {(f.subject, f.session): f.view.unlabelled for f in scaled}
        self.folds = self._handed(scaled)
        if "scaling" in cell.test_access:
            self.folds = [test_scaled_alone(fold, cell.scaling) for fold in self.folds]
        self.whole = whole

    def _handed(self, folds: list[Fold]) -> list[Fold]:
        return restrict_views(folds, self.cell.method.needs_under(self.cell.protocol.grants))

    def validation(self) -> Training | None:
        """Training without what the rule holds out; None if it holds out nothing."""
        cell, what = self.cell, self.rule.holds_out
        if not what:
            return None
        scaled = held_out(self.whole, what, cell.scaling, cell.seed)
        missing = [f for f in self.whole if (f.subject, f.session) not in
                   {(g.subject, g.session) for g in scaled}]
        if missing:
            self.record.notices.append(_nothing_to_hold_out(missing, what))
        if not scaled:
            return None
        unlabelled = {(f.subject, f.session): f.view.unlabelled for f in scaled}
        names = [r.name for r in evaluated(cell.selection, cell.protocol) if r.holds_out]

        def observer(folds: Sequence[Fold]) -> Observer:
            return Observer(
                folds, _scorer(names, unlabelled), self._teller("choosing the epoch: "),
                chosen=cell.selection, report=self.report, tested=False,
                pretrained=self.pretrains_predictor,
            )

        return Training(self, self._handed(scaled), observer)

    def validated(self, training: Training) -> None:
        """Keep what each rule picked where something was held out, by fold."""
        training.observer.finish(training.predictors)
        self.record.curves["validation"] = training.observer.curves
        self.planned = training.observer.picks

    def training(self) -> Training:
        """Training on all that the protocol grants."""
        names = [
            r.name for r in evaluated(self.cell.selection, self.cell.protocol)
            if r.scored and not r.holds_out
        ]

        def observer(folds: Sequence[Fold]) -> Observer:
            return Observer(
                folds, _scorer(names, self.unlabelled), self._teller(),
                chosen=self.cell.selection, report=self.report, planned=self.planned,
                pretrained=self.pretrains_predictor,
            )

        return Training(self, self.folds, observer)

    def _teller(self, prefix: str = "") -> Tell:
        def tell(stage: str, number: int, of: int, detail: str) -> None:
            doing = f"{prefix}{_DOING.get(stage, stage)} {self.cell.method.name}"
            self.on_event(Event(doing, number, of, detail))

        return tell

    @property
    def pretrains_predictor(self) -> bool:
        """Whether what is pre-trained predicts in the end."""
        return self.cell.method.pretrains_predictor(self.cell.protocol.grants)

    def wanted(self, fold: Fold) -> PretrainSpec | None:
        """Pre-trained state that a fold starts from; None without one."""
        cell = self.cell
        source = restrict_source(fold.view.source, cell.method.needs.source)
        if not cell.method.pretrains or source is None:
            return None
        digest = source.digest()
        key = key_of(
            "pretrained", cell.method.name, cell.method.params.only("network", "pretrain"),
            code_hash(*cell.method.parts()), type(source).__name__, digest, cell.seed,
            vars(cell.budget)["pretrain"], cell.precision,
        )
        self.record.info["pretrained"] = key
        # A stored state has no epochs to choose from.
        return PretrainSpec(key, digest, source, self._context("pretrain", fold),
                      not self.pretrains_predictor)

    def job(self, fold: Fold, state: Any) -> Job:
        """What is to be fitted on a fold."""
        target = self.cell.pair.target_name
        context = self._context(
            "fit", fold, target=target, subject=fold.subject, session=fold.session
        )
        longer = stretched(context.budget, self.more)
        return Job(fold.view, state, replace(context, budget=longer))

    def _context(self, stage: str, fold: Fold, **axes: Any) -> Context:
        return replace(
            self.cell.context(stage, **axes), cell=self.name,
            fold_key=(fold.subject, fold.session), params=self.cell.method.params,
        )

    def _predict(self, fold: Fold, predictor: Predictor) -> np.ndarray:
        """Test probabilities of the last epoch; checks that windows are predicted on their own."""
        test = fold.open_test()
        proba = np.asarray(predictor.predict_proba(test.x), dtype=np.float64)
        check_probabilities(self.cell.method, predictor, test, proba, len(fold.view.classes))
        return proba

    def _write(self, predictors: list[Predictor], table: pd.DataFrame) -> None:
        models = {}
        if self.cell.save_models:
            from .models import pack

            models = {
                f"subject{f.subject:03d}_session{f.session}.pt": pack(self.cell.method, p)
                for f, p in zip(self.folds, predictors, strict=True)
            }
        self.store.put(self.record, table, models)


class Training:
    """One training of folds of a cell, and who watches it.

    Attributes
    ----------
    run : Run
    folds : list of Fold
    observer : Observer
    predictors : list of Predictor
        One for each fold, once they are trained.
    """

    def __init__(
        self, run: Run, folds: list[Fold], watching: Callable[[Sequence[Fold]], Observer]
    ) -> None:
        self.run, self.folds, self._watching = run, folds, watching
        self.predictors: list[Predictor] = []
        self.begin()

    def begin(self) -> None:
        """Forget what was seen before."""
        self.observer = self._watching(self.folds)

    def wanted(self) -> dict[int, PretrainSpec]:
        """Pre-trained states of the sources that occur, by the source's identity.

        Only ``within`` has more than one: there, curves are kept of the last.
        """
        out: dict[int, PretrainSpec] = {}
        for fold in self.folds:
            if id(fold.view.source) not in out:
                found = self.run.wanted(fold)
                if found is not None:
                    out[id(fold.view.source)] = found
        return out

    def jobs(self, states: Mapping[int, Any]) -> list[Job]:
        """What is to be fitted, from the states of the sources."""
        return [self.run.job(f, states.get(id(f.view.source))) for f in self.folds]


def _scorer(names: list[str], unlabelled: dict[Key, UnlabelledWindows | None]) -> Scorer:
    """Scorer of some rules; scikit-learn is imported only if there are any."""
    if not names:
        return lambda fold, predictor: {}
    from ..selection.validators import scorer_of

    return scorer_of(names, unlabelled)


def _nothing_to_hold_out(folds: list[Fold], what: str) -> str:
    """Notice of folds that are scored at the last epoch, whatever the rule."""
    why = "one calibration trial of a class" if what == "calibration" else "one source subject"
    names = ", ".join(f"{f.subject}/{f.session}" for f in folds)
    return f"only {why}, so nothing is held out and the last epoch is scored: subject {names}"


def _outcome(fold: Fold, proba: NDArray[np.float64]) -> FoldOutcome:
    """Score the test probabilities (n, classes) of a fold."""
    test, calibration = fold.open_test(), fold.view.calibration
    trials = np.array([]) if calibration is None else calibration.trial
    return FoldOutcome.of(
        (fold.subject, fold.session), test.y, proba, test.trial_ids(), test_trials=test.trial,
        calibration_trials=trials, calibration_windows=len(trials),
    )


def _predictions(fold: Fold, proba: NDArray[np.float64]) -> pd.DataFrame:
    """Table of a fold's test windows and their probabilities (n, classes)."""
    import pandas as pd

    test = fold.open_test()
    return pd.DataFrame({
        "subject": test.subject, "session": test.session, "trial": test.trial,
        "stimulus": test.stimulus, "onset": test.onset, "y": test.y,
        **{f"p{k}": proba[:, k].astype(np.float32) for k in range(proba.shape[1])},
    })


def has_extras(known: Record, models: bool, diagnostics: bool) -> bool:
    """Whether a finished record has what is asked for beside its scores."""
    if models and known.path is not None and not (known.path / "models").is_dir():
        return False
    return not diagnostics or known.kind != "method" or known.has_diagnostics
