"""A cell in progress: its folds, its trainings, who watches them, and its record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from ..data.windows import UnlabelledWindows
from ..devices import dtype_of
from ..errors import BenchError, IncompatibleError, check_library
from ..method import Context, Job, Method, Predictor
from ..protocols.base import Fold
from ..registry import entries
from ..selection.looking import look
from ..selection.looks import Passes
from ..selection.observer import Observer, Report, Scorer, Tell
from ..selection.rules import check_selection, evaluated, held_out, rule
from ..selection.tested import Key, Proba, SelectedEpoch, Show, Tested
from ..store.hashing import code_hash, key_of
from ..store.provenance import GROUP, is_ours, origin_of, provenance
from ..store.records import Record, Store
from .cell import Cell, Event, OnEvent
from .contract import (
    alone_too,
    check_probabilities,
    predicted,
    restrict_source,
    restrict_views,
)
from .scored import Answers, Predicted, Scoring
from .shortcuts import more_windows, recut, scaled_folds, stretched, test_scaled_alone
from .training import PretrainSpec, Training, TrainingResult

#: What a stage of training is called while it goes on.
_DOING = {
    "pretrain": "pre-training", "fit": "calibrating", "adapt": "adapting",
    "source-head": "training the head of",
}


#: What to do where a class has one trial a subject.
_ONE_TRIAL = (
    "\nA trial is never split. Where one recording is all there is of a class, --protocol "
    "zero-shot or unsupervised tests it whole; or cut it into pieces that stand for trials and are "
    "marked so in every table: bench data add DIR --as NAME --cut 20 (from Python: pieces_s of "
    "from_signals)."
)


class Run:
    """Prepares the trainings of a cell, and makes its record of what comes of them.

    Parameters
    ----------
    cell : Cell
    store : Store
    on_event : callable
    index : int
        Place of the cell among those that are trained together.
    report : callable, optional
        As for :func:`bench.cells.engine.run_cell`.

    Raises
    ------
    IncompatibleError
        The cell asks for what does not go together; nothing has been run.
    """

    def __init__(
        self, cell: Cell, store: Store, on_event: OnEvent, index: int = 0,
        report: Report | None = None,
    ) -> None:
        check_selection(cell.selection, cell.protocol)
        if cell.elsewhere is None:
            cell.check()
        else:  # it was looked at where the labels are
            cell.elsewhere.grant.check(
                code_hash(*cell.method.parts()), cell.pair.digests)
        if cell.save_models and not cell.method.savable:
            raise IncompatibleError(
                f"models of {cell.method.name} cannot be saved", "Leave out --save-models."
            )
        if cell.save_models:
            check_library("torch", "--save-models")
        self.cell, self.store, self.on_event = cell, store, on_event
        self.index, self.report = index, report
        self.record = Record(identity=cell.identity(), kind=cell.kind)
        self.rule = rule(cell.selection)
        #: Before scaling: a rule that holds windows out scales what is left.
        self.unscaled: list[Fold] = []
        #: Scaled, and narrowed to what the method needs.
        self.folds: list[Fold] = []
        #: Whatever the method needs, rules of selection may use these.
        self.unlabelled: dict[Key, UnlabelledWindows | None] = {}
        #: Epochs that rules chose in a training with windows held out.
        self.planned: dict[Key, dict[str, SelectedEpoch]] = {}
        #: How many times as many calibration windows a shortcut gives.
        self.more = 1.0

    def known(self) -> Record | None:
        """The record, if the cell is done already."""
        known, cell = self.store.get(self.record.id), self.cell
        done = known is not None and known.status == "done" and has_extras(
            known, cell.save_models, cell.diagnostics)
        return known if done else None

    def finish(self, result: TrainingResult, info: Callable[[], Mapping[str, Any]]) -> Record:
        """Score what was trained on all that is granted; ``info`` is read before it is written.

        Where another process holds the labels, it is handed what was predicted, and scores.
        """
        self._note_stack(result)
        cell, record, predictors = self.cell, self.record, result.predictors
        predicted = self._all_predicted(result)
        count = getattr(predictors[0], "parameters", None)
        record.curves |= result.observer.curves
        record.info |= {
            **provenance(cell.device, {"seed": cell.seed}),
            "method_origin": origin_of(type(cell.method)),
            "parameters": count() if callable(count) else None,
            "pretraining_reused": result.reused, **_costs(result.observer), **info(),
        }
        if result.observer.warnings:
            record.info["warnings"] = sorted(result.observer.warnings)
        if (known := cell.pretrained_on()) is not None:
            record.info["weights"] = known
        models = self._models(predictors)
        if cell.elsewhere is not None:
            cell.elsewhere.hand_back(record, predicted, models)
            return record
        judge = result.observer.tested
        assert isinstance(judge, Tested)
        self.store.put(record, self._scoring().score(record, predicted, judge), models)
        return record

    def _scoring(self) -> Scoring:
        """Who holds the labels of the folds."""
        return Scoring(self.cell, [Answers.of(fold) for fold in self.folds], self.folds)

    def _all_predicted(self, result: TrainingResult) -> Predicted:
        """All that the trained predictors say, with no label in it."""
        observer, predictors = result.observer, result.predictors
        finals = self._predicted(predictors)
        observer.finish(predictors)
        diagnostics = None
        if self.cell.diagnostics and self.record.kind == "method":
            from .diagnostics import diagnose

            diagnostics = diagnose(self.cell, self.folds, predictors)
        return Predicted(
            finals, [observer.epochs(key) for key in observer.folds],
            bool(observer.shown), [observer.picks[key] for key in observer.folds], diagnostics,
        )

    def cut(self) -> None:
        """Cut and scale the folds, each with a view of what the method may see."""
        cell, record = self.cell, self.record
        cut = cell.folds()
        record.left_out = [vars(item) for item in cut.left_out]
        borrowed = _borrowed_name(cell.method)
        own = [*cut.notices, *borrowed, *_of_weights(cell)]
        record.notices = [*cell.pair.notices, *own]
        for notice in own if record.kind == "method" or cell.saw_target else ():
            self.on_event(Event(notice))
        record.classes = list(cell.target_classes)
        recipes = [r for r in cell.pair.recipes if r is not None]
        record.simulated = recipes[-1].model_dump() if recipes else None
        if not cut.folds:
            reasons = "; ".join(
                f"subject {item.subject}: {item.reason}" for item in cut.left_out[:3]
            )
            raise BenchError(
                f"no subject of {cell.pair.target_name} can be tested under {cell.protocol.name}",
                reasons + (_ONE_TRIAL if "2 needed" in reasons else ""),
            )
        self.unscaled = recut(cell.shortcut, cut.folds, cell.seed)
        self.more = more_windows(cut.folds, self.unscaled)
        scaled = scaled_folds(cell.shortcut, self.unscaled, cell.scaling, cell.seed)
        self.unlabelled = {f.key: f.view.unlabelled for f in scaled}
        self.folds = self._restricted(scaled)
        if "scaling" in cell.test_access:
            self.folds = [test_scaled_alone(fold, cell.scaling) for fold in self.folds]

    def _restricted(self, folds: list[Fold]) -> list[Fold]:
        return restrict_views(folds, self.cell.method.needs_under(self.cell.protocol.grants))

    def validation(self) -> Training | None:
        """Training without what the rule holds out; None if it holds out nothing."""
        cell, what = self.cell, self.rule.holds_out
        if not what:
            return None
        scaled = held_out(self.unscaled, what, cell.scaling, cell.seed)
        unlabelled = {f.key: f.view.unlabelled for f in scaled}
        missing = [f for f in self.unscaled if f.key not in unlabelled]
        if missing:
            self.record.notices.append(_nothing_to_hold_out(missing, what))
        if not scaled:
            return None
        names = [r.name for r in evaluated(cell.selection, cell.protocol) if r.holds_out]
        return self._watched(
            self._restricted(scaled), names, unlabelled, "choosing the epoch: ", tested=False
        )

    def validated(self, result: TrainingResult) -> float | None:
        """Keep what each rule picked where something was held out, by fold.

        Returns the mean score over folds of the cell's own rule; None where there is none.
        """
        self._note_stack(result)
        result.observer.finish(result.predictors)
        self.record.curves["validation"] = result.observer.curves
        self.planned = result.observer.picks
        picks = [by_rule.get(self.cell.selection) for by_rule in self.planned.values()]
        scores = [p.score for p in picks if p is not None and p.score is not None]
        return fmean(scores) if scores else None

    def training(self) -> Training:
        """Training on all that the protocol grants."""
        names = [
            r.name for r in evaluated(self.cell.selection, self.cell.protocol)
            if r.scored and not r.holds_out
        ]
        return self._watched(self.folds, names, self.unlabelled, planned=self.planned)

    def _watched(
        self, folds: list[Fold], rules: list[str],
        unlabelled: Mapping[Key, UnlabelledWindows | None], prefix: str = "", *,
        tested: bool = True, planned: Mapping[Key, Mapping[str, SelectedEpoch]] | None = None,
    ) -> Training:
        """Training of folds, in which some rules choose."""
        watch = functools.partial(
            Observer, folds, _scorer(rules, unlabelled),
            _teller(self.on_event, prefix, self.cell.method.name), chosen=self.cell.selection,
            report=self.report, pretrained=self.pretrains_predictor, planned=planned,
        )
        return Training(folds, lambda: watch(tested=self._judge() if tested else None))

    def _judge(self) -> Show:
        """Who is shown what an attempt at the training predicts for test windows."""
        there = self.cell.elsewhere
        return self._scoring().tested() if there is None else there.new_attempt()

    def _note_stack(self, result: TrainingResult) -> None:
        if result.stack > 1:
            self.record.info["stack"] = result.stack

    @property
    def pretrains_predictor(self) -> bool:
        """Whether what is pre-trained predicts in the end."""
        return self.cell.method.pretrains_predictor(self.cell.protocol.grants)

    def pretrain_specs(self, folds: Sequence[Fold]) -> dict[int, PretrainSpec]:
        """Pre-trained states that folds start from, by the identity of their source.

        Only ``within`` has more than one: there, curves are kept of the last.
        """
        specs: dict[int, PretrainSpec] = {}
        for fold in folds if self.cell.method.pretrains else ():
            source = id(fold.view.source)
            if source not in specs and (spec := self._pretrain_spec(fold)) is not None:
                specs[source] = spec
        return specs

    def _pretrain_spec(self, fold: Fold) -> PretrainSpec | None:
        cell = self.cell
        source = restrict_source(fold.view.source, cell.method.needs.source)
        if source is None:
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

    def jobs(self, folds: Sequence[Fold], states: Mapping[int, Any]) -> list[Job]:
        """What is to be fitted on folds, from the states of their sources by identity."""
        jobs = []
        for fold in folds:
            context = self._context(
                "fit", fold, target=self.cell.pair.target_name, subject=fold.subject,
                session=fold.session, **({"part": fold.part} if fold.part else {}),
            )
            longer = stretched(context.budget, self.more)
            state = states.get(id(fold.view.source))
            jobs.append(Job(fold.view, state, replace(context, budget=longer)))
        return jobs

    def _context(self, stage: str, fold: Fold, **axes: Any) -> Context:
        return replace(
            self.cell.context(stage, **axes), cell=self.index,
            fold_key=fold.key, params=self.cell.method.params,
            weights=None if self.cell.weights is None else self.cell.weights.state,
        )

    def _predicted(self, predictors: Sequence[Predictor]) -> list[Proba]:
        """Test probabilities of the last epoch; checks that windows are predicted on their own."""
        method = self.cell.method
        if not is_ours(method.parts()):
            return [self._of_copy(f, p) for f, p in zip(self.folds, predictors, strict=True)]
        passes = Passes(self.cell.device, dtype_of(self.cell.precision))
        tests = [(p, f.tested) for f, p in zip(self.folds, predictors, strict=True)]
        finals = passes.predict([(p, test.x) for p, test in tests])
        alone = passes.predict([
            (p, test.x[i : i + 1]) for p, test in tests for i in alone_too(method, test)
        ])
        rest = iter(alone)
        for fold, (_, test), proba in zip(self.folds, tests, finals, strict=True):
            some = alone_too(method, test)
            check_probabilities(
                method, test, proba, [next(rest) for _ in some], len(fold.view.classes)
            )
        return finals

    def _of_copy(self, fold: Fold, predictor: Predictor) -> Proba:
        """As above, of one fold by a copy, so that nothing goes on from fold to fold."""
        method, test = self.cell.method, fold.tested
        with look(predictor, "if possible") as still:
            proba = predicted(method, still, test.x)
            alone = [predicted(method, still, test.x[i : i + 1]) for i in alone_too(method, test)]
        check_probabilities(method, test, proba, alone, len(fold.view.classes), predictor)
        return proba

    def _models(self, predictors: list[Predictor]) -> dict[str, bytes]:
        """Files of the trained models, by name, where they are to be saved."""
        if not self.cell.save_models:
            return {}
        from .models import pack

        return {
            f"subject{f.subject:03d}_session{f.session}{f'_part{f.part}' * bool(f.part)}.pt":
            pack(self.cell.method, p)
            for f, p in zip(self.folds, predictors, strict=True)
        }


def _costs(observer: Observer) -> dict[str, Any]:
    """Optimiser steps and windows of a network, before its head and after it.

    Of a part that the budget cut short also the steps that its parameters say: ``wanted``.
    """
    costs = {part: observer.cost(part) for part in observer.costs}
    if not any(steps for steps, _ in costs.values()):
        return {}
    return {"cost": {part: {"steps": steps, "windows": windows,
                            **({"wanted": steps + cut} if (cut := observer.cut(part)) else {})}
                     for part, (steps, windows) in costs.items() if steps or part != "choosing"}}


def _teller(on_event: OnEvent, prefix: str, method: str) -> Tell:
    def tell(stage: str, number: int, of: int, detail: str) -> None:
        on_event(Event(f"{prefix}{_DOING.get(stage, stage)} {method}", number, of, detail, "epoch"))

    return tell


def _scorer(names: list[str], unlabelled: Mapping[Key, UnlabelledWindows | None]) -> Scorer:
    """Scorer of some rules; scikit-learn is imported only if there are any."""
    if not names:
        return lambda fold, predictor: {}
    from ..selection.validators import RuleScorer

    return RuleScorer(names, unlabelled)


def _nothing_to_hold_out(folds: list[Fold], what: str) -> str:
    """Notice of folds that are scored at the last epoch, whatever the rule."""
    why = "one calibration trial of a class" if what == "calibration" else "one source subject"
    names = ", ".join("/".join(map(str, f.key)) for f in folds)
    return f"only {why}, so nothing is held out and the last epoch is scored: subject {names}"


def _borrowed_name(method: Method) -> list[str]:
    """Notice of a method that bears a name of ours, and whose code is not ours."""
    known = entries("methods").get(method.name)
    if known is None or not known.target.startswith(f"{GROUP}.") or is_ours([type(method)]):
        return []
    origin = origin_of(type(method))
    where = f"{origin['package']} {origin['version']}" if origin["package"] else origin["file"]
    return [f"{method.name} is the name of a method of ours, but this is {origin['class']}, the "
            f"code of {where or 'no file'}"]


def _of_weights(cell: Cell) -> list[str]:
    """Notice of what a pre-trained backbone has seen."""
    known = cell.method.pretraining
    if cell.weights is None or known is None:
        return []
    said = f"weights of {known.repository} ({known.licence}), trained on {', '.join(known.corpora)}"
    if not cell.saw_target:
        return [said]
    may = "" if known.complete else "may "
    return [f"{said}: they {may}have seen {cell.pair.target_name}, so this row is never ranked"]


def has_extras(known: Record, models: bool, diagnostics: bool) -> bool:
    """Whether a finished record has what is asked for beside its scores."""
    if models and known.path is not None and not (known.path / "models").is_dir():
        return False
    return not diagnostics or known.kind != "method" or known.has_diagnostics
