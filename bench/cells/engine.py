"""Cells trained together: pre-trainings and folds of several cells as the stacks a method makes.

What is handed to the method at once changes how fast it goes, not what comes out: every model draws
from generators of its own cell. A cell that fails, because one of its models diverged or its
predictions break the contract, fails alone.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..data.windows import UnlabelledWindows, Windows
from ..devices import Room, Steps, arithmetic, counting, dtype_of
from ..errors import BenchError
from ..method import Context, Method, observing
from ..protocols.base import Fold
from ..selection.looks import Looks, Passes
from ..selection.observer import Observer, Report
from ..selection.rules import rule
from ..store.hashing import key_of
from ..store.provenance import Meter
from ..store.records import Record, Store
from ..store.unfinished import keeping
from .cell import Cell, OnEvent
from .contract import explained, fit_folds, fresh
from .guard import explain, guarded
from .run import Run
from .training import PretrainSpec, Training, TrainingResult

#: Beside the losses of a pre-training: its optimiser steps, and the windows handed to them.
COST = "cost"
#: And what libraries warned of.
WARNED = "warnings"
#: What became of a cell: its record, or the error that ended it.
CellOutcome = Record | BaseException


def run_cells(
    cells: Sequence[Cell], store: Store, on_event: OnEvent | None = None, energy: bool = False,
    report: Report | None = None,
) -> list[CellOutcome]:
    """Run cells that differ in their seed and in numbers only, all at once; or a single one.

    Parameters
    ----------
    cells : sequence of Cell
        Several only if their method ``stacks``; they may differ in their seed, and in parameters
        that the method declares ``per_model``.
    store : Store
    on_event : callable, optional
    energy : bool
        Measure the energy, where CodeCarbon is installed.
    report : callable, optional
        As for :func:`bench.cells.engine.run_cell`; of a single cell.

    Returns
    -------
    list
        For each cell its record, or the error it ended with.
    """
    return Engine(cells, store, on_event, [report] * len(cells), energy).run()


def validate_cells(
    cells: Sequence[Cell], store: Store, on_event: OnEvent | None = None,
    reports: Sequence[Report] | None = None,
) -> list[float | BaseException | None]:
    """Validation scores of cells' selection rule, without a record.

    Parameters are those of :func:`run_cells`, with a report for each cell. A rule that holds data
    out is scored by the training that does so, and nothing else is trained.

    Returns
    -------
    list of float or None or BaseException
        For each cell the mean over folds of the score at the epoch the rule picks; None where
        there is none, or the error the cell ended with.
    """
    return Engine(cells, store, on_event, reports or [None] * len(cells)).validate()


class Engine:
    """Trains cells together: holds a run of each, and the outcome of those that have one.

    Parameters are those of :func:`run_cells`, with a report for each cell. A cell is known by its
    place among ``cells``, which the contexts of its jobs carry too.
    """

    def __init__(
        self, cells: Sequence[Cell], store: Store, on_event: OnEvent | None,
        reports: Sequence[Report | None], energy: bool = False,
    ) -> None:
        self.cells, self.store, self.energy = cells, store, energy
        self.on_event, self.reports = on_event or (lambda event: None), reports
        self.outcomes: dict[int, CellOutcome] = {}
        self.runs: dict[int, Run] = {}
        first = cells[0]
        self.room = Room(first.device, (
            first.method.name, first.pair.source_name, first.pair.target_name,
            first.protocol.name, first.precision, first.scale,
        ))
        #: Cells that a state was trained for; a retry finds it stored, but it was not reused.
        self.pretrained: set[int] = set()

    def run(self) -> list[CellOutcome]:
        """Train and score every cell that has no finished record."""
        self._start()
        if self.runs:
            first = self.cells[0]
            meter = Meter(first.device, len(self.runs), self.energy)
            ways = arithmetic(first.precision, first.deterministic)
            with ways, counting(first.compile == "auto") as steps, meter:
                self._train_and_score(meter, steps)
        return [self.outcomes[i] for i in range(len(self.cells))]

    def validate(self) -> list[float | BaseException | None]:
        """Mean validation score of the epochs each cell's rule picks, or what ended the cell."""
        first = self.cells[0]
        if not rule(first.selection).holds_out:  # it picks while everything is trained on
            return [
                outcome if isinstance(outcome, BaseException)
                else outcome.selections[first.selection]["score"] for outcome in self.run()
            ]
        self._start()
        trainings = self._validations()
        ways = arithmetic(first.precision, first.deterministic)
        with ways, counting(first.compile == "auto"):
            results = self._train(trainings)
        scores: dict[int, float | None] = {}
        for i, result in results.items():
            with self._isolated(i):
                scores[i] = self.runs[i].validated(result)
        ended = [self.outcomes.get(i) for i in range(len(self.cells))]
        return [e if isinstance(e, BaseException) else scores.get(i) for i, e in enumerate(ended)]

    def _start(self) -> None:
        """Cut the folds of every cell that has no finished record."""
        for i, cell in enumerate(self.cells):
            with self._isolated(i):
                run = Run(cell, self.store, self.on_event, i, self.reports[i])
                known = run.known()
                if known is not None:
                    self.outcomes[i] = known
                    continue
                run.cut()
                self.runs[i] = run

    def _train_and_score(self, meter: Meter, steps: Steps) -> None:
        share_sources([run.folds for run in self.runs.values()])
        for i, result in self._train(self._validations()).items():
            with self._isolated(i):
                self.runs[i].validated(result)
        trainings = {}
        for i, run in self.runs.items():
            with self._isolated(i):
                trainings[i] = run.training()
        results = self._train(trainings)
        meter.trained()
        for i, result in results.items():
            with self._isolated(i):
                self.outcomes[i] = self.runs[i].finish(
                    result, lambda: meter.read() | steps.info()
                )

    def _validations(self) -> dict[int, Training]:
        """Trainings without what the rule holds out, of the cells that have such."""
        trainings = {}
        for i, run in self.runs.items():
            with self._isolated(i):
                training = run.validation()
                if training is not None:
                    trainings[i] = training
        share_sources([training.folds for training in trainings.values()])
        return trainings

    @contextlib.contextmanager
    def _isolated(self, i: int) -> Iterator[None]:
        """Make what is raised inside the outcome of one cell, not of the others."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.outcomes[i] = explain(self.cells[i].method, error)

    def _train(self, trainings: Mapping[int, Training]) -> dict[int, TrainingResult]:
        """Train all at once, or what there is room for; if that fails, each half, down to a cell.

        Cells that fail have no result, but an outcome.
        """
        trainings = {i: t for i, t in trainings.items() if i not in self.outcomes}
        if not trainings:
            return {}
        which, most = list(trainings), self.room.most()
        if len(which) > most:
            some, rest = ({i: trainings[i] for i in part} for part in (which[:most], which[most:]))
            return self._train(some) | self._train(rest)
        observers = {i: training.new_observer() for i, training in trainings.items()}
        method = self.runs[next(iter(trainings))].cell.method
        views = [fold.view for training in trainings.values() for fold in training.folds]
        try:
            cell = self.cells[0]
            passes = Passes(cell.device, dtype_of(cell.precision))
            with guarded(method, views), observing(Looks(observers, passes)):
                found = self._fit(trainings, observers, self._states(trainings, observers))
            self.room.measure(len(which))
            return found
        except (Exception, SystemExit) as error:
            half = len(which) // 2
            if not half:
                self.outcomes[which[0]] = explain(method, error)
                return {}
        first, second = ({i: trainings[i] for i in p} for p in (which[:half], which[half:]))
        return self._train(first) | self._train(second)

    def _states(
        self, trainings: Mapping[int, Training], observers: Mapping[int, Observer]
    ) -> dict[int, dict[int, Any]]:
        """Pre-trained states of each cell, by the identity of the source: stored or trained now.

        Those of one source are trained as one stack.
        """
        specs = {i: self.runs[i].pretrain_specs(t.folds) for i, t in trainings.items()}
        every = [spec for own in specs.values() for spec in own.values()]
        self.store.will_read([spec.key for spec in every if spec.stored])
        states: dict[str, tuple[Any, Any]] = {}
        missing: dict[str, dict[str, PretrainSpec]] = {}
        for spec in every:
            known = self.store.get_state(spec.key) if spec.stored else None
            if known is not None:
                states[spec.name] = known
            elif spec.name not in missing.setdefault(spec.digest, {}):
                self.pretrained.add(spec.context.cell)
                missing[spec.digest][spec.name] = spec
        for group in missing.values():
            states |= self._pretrain(list(group.values()), observers)
        for spec in every:
            state, curve = states[spec.name]
            observer, curve = observers[spec.context.cell], dict(curve)
            steps, windows = curve.pop(COST, (0, 0))
            observer.costs["before"][None] = int(steps), int(windows)
            for text in curve.pop(WARNED, ()):
                observer.warned(spec.context, text)
            observer.curves["pretrain"] = curve
            if isinstance(state, BenchError):
                self.outcomes[spec.context.cell] = state
        return {i: {s: states[spec.name][0] for s, spec in own.items()} for i, own in specs.items()}

    def _pretrain(
        self, specs: Sequence[PretrainSpec], observers: Mapping[int, Observer]
    ) -> dict[str, tuple[Any, Any]]:
        """Train and store states of one source; an error stands for one that is lost.

        Returns state and loss curve of each, by its name.
        """
        for spec in specs:
            observers[spec.context.cell].begin("pretrain")
        method = self.runs[specs[0].context.cell].cell.method
        key = key_of("unfinished", [spec.key for spec in specs])
        with keeping(self.store, key, wanted=all(spec.stored for spec in specs)):
            states = pretrain_all(method, specs[0].source, [spec.context for spec in specs])
        trained = {}
        for spec, state in zip(specs, states, strict=True):
            observer = observers[spec.context.cell]
            # What a state cost is kept with it, and what was warned of: a cell that finds it stored
            # has spent as much, and is to be read as carefully.
            cost = list(observer.costs["before"].get(None, (0, 0)))
            curve = observer.curves["pretrain"] | {COST: cost}
            if observer.warnings:
                curve[WARNED] = list(observer.warnings)
            trained[spec.name] = state, curve
            if spec.stored and not isinstance(state, BenchError):
                self.store.put_state(spec.key, state, curve)
        return trained

    def _fit(
        self, trainings: Mapping[int, Training], observers: Mapping[int, Observer],
        states: Mapping[int, Mapping[int, Any]],
    ) -> dict[int, TrainingResult]:
        """Fit the folds of all cells whose pre-training was not lost."""
        going = [i for i in trainings if i not in self.outcomes]
        if not going:
            return {}
        jobs = {i: self.runs[i].jobs(trainings[i].folds, states[i]) for i in going}
        method = self.runs[going[0]].cell.method
        every = [job for own in jobs.values() for job in own]
        rest = iter(fit_folds(method, every))
        return {
            i: TrainingResult(
                observers[i], list(itertools.islice(rest, len(jobs[i]))), stack=len(going),
                reused=bool(states[i]) and i not in self.pretrained,
            )
            for i in going
        }


def pretrain_all(
    method: Method, source: Windows | UnlabelledWindows, contexts: Sequence[Context]
) -> list[Any]:
    """A state for each context; by ``pretrain`` where a subclass knows nothing of stacks."""
    if len(contexts) > 1:
        order = type(method).__mro__
        by, many = (
            next(n for n, c in enumerate(order) if name in vars(c))
            for name in ("pretrain", "pretrain_many")
        )
        if many <= by:
            with explained(method, contexts):
                return fresh(method).pretrain_many(source, contexts)
    with explained(method, contexts):
        return [fresh(method.alone(ctx)).pretrain(source, ctx) for ctx in contexts]


def share_sources(parts: Sequence[list[Fold]]) -> None:
    """Let folds of equal sources hold the same one, as those of a single cell do; in place."""
    if len(parts) < 2:
        return
    held: dict[tuple[str, str], Any] = {}
    known: dict[int, Any] = {}
    for folds in parts:
        for n, fold in enumerate(folds):
            source = fold.view.source
            if source is None:
                continue
            if id(source) not in known:
                key = (type(source).__name__, source.digest())
                known[id(source)] = held.setdefault(key, source), source
            view = replace(fold.view, source=known[id(source)][0])
            folds[n] = fold.changed(view)


def run_cell(
    cell: Cell, store: Store, on_event: OnEvent | None = None, report: Report | None = None,
    energy: bool = False,
) -> Record:
    """Run a cell, or return its record if it is done already.

    Parameters
    ----------
    cell : Cell
    store : Store
    on_event : callable, optional
        Called with an :class:`Event` as things happen.
    report : callable, optional
        Called as ``report(epoch, of, score)`` after each epoch that the chosen selection rule
        scores, with its mean over the folds that have come to this epoch: once an epoch where
        folds are trained together, and for folds trained one after the other once an epoch of
        each. Never for ``last`` and ``oracle``, which have no validation score. What it raises
        ends the cell and comes out as it is; no record is stored.
    energy : bool
        Measure the energy by CodeCarbon.

    Raises
    ------
    IncompatibleError
        The method does not fit; nothing is run.
    BenchError
        Training diverged, or the method broke its contract.
    """
    outcome = run_cells([cell], store, on_event, energy, report)[0]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
