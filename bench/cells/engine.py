"""Cells trained together: pre-trainings and folds of several cells as the stacks a method makes.

What is handed to the method at once changes how fast it goes, not what comes out: every model draws
from generators of its own cell. A cell that fails, because one of its models diverged or its
predictions break the contract, fails alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from ..data.windows import UnlabelledWindows, Windows
from ..devices import arithmetic
from ..errors import BenchError
from ..method import Context, Method, observing
from ..protocols.base import Fold
from ..selection.observer import Report
from ..selection.rules import rule
from ..store.provenance import Meter
from ..store.records import Record, Store
from .cell import Cell, OnEvent
from .run import PretrainSpec, Run, Training

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
    together = _Together(cells, store, on_event or (lambda event: None), [report] * len(cells))
    together.energy = energy
    return together.go()


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
    return _Together(
        cells, store, on_event or (lambda event: None), reports or [None] * len(cells)
    ).validation()


class _Together:
    """Cells in progress, and the outcome of those that have one."""

    def __init__(
        self, cells: Sequence[Cell], store: Store, on_event: OnEvent,
        reports: Sequence[Report | None],
    ) -> None:
        self.cells, self.store, self.on_event, self.reports = cells, store, on_event, reports
        self.energy = False
        self.outcomes: dict[int, CellOutcome] = {}
        self.runs: dict[int, Run] = {}

    def go(self) -> list[CellOutcome]:
        for i, cell in enumerate(self.cells):
            with self._alone(i):
                self._begin(i, cell)
        if self.runs:
            first = self.cells[0]
            meter = Meter(first.device, len(self.runs), self.energy)
            with arithmetic(first.precision, first.deterministic), meter:
                self._train_and_score(meter)
        return [self.outcomes[i] for i in range(len(self.cells))]

    def validation(self) -> list[float | BaseException | None]:
        """Mean score of what each cell's rule picks, or the error it ended with."""
        first = self.cells[0]
        if not rule(first.selection).holds_out:  # it picks while everything is trained on
            return [
                found if isinstance(found, BaseException)
                else found.selections[first.selection]["score"] for found in self.go()
            ]
        for i, cell in enumerate(self.cells):
            with self._alone(i):
                self._begin(i, cell)
        trainings = self._validations()
        with arithmetic(first.precision, first.deterministic):
            self._train(trainings)
        scores: dict[int, float | None] = {}
        for i, training in trainings.items():
            if i not in self.outcomes:
                with self._alone(i):
                    scores[i] = self._picked(i, training)
        ended = [self.outcomes.get(i) for i in range(len(self.cells))]
        return [e if isinstance(e, BaseException) else scores.get(i) for i, e in enumerate(ended)]

    def _picked(self, i: int, training: Training) -> float | None:
        """Mean over folds of the validation score at the epoch the rule picks."""
        run = self.runs[i]
        run.validated(training)
        picks = [found.get(run.cell.selection) for found in run.planned.values()]
        scores = [p.score for p in picks if p is not None and p.score is not None]
        return fmean(scores) if scores else None

    def _begin(self, i: int, cell: Cell) -> None:
        run = Run(cell, self.store, self.on_event, str(i), self.reports[i])
        known = run.known()
        if known is not None:
            self.outcomes[i] = known
            return
        run.cut()
        self.runs[i] = run

    def _train_and_score(self, meter: Meter) -> None:
        share_sources([run.folds for run in self.runs.values()])
        validations = self._validations()
        self._train(validations)
        for i, training in validations.items():
            if i not in self.outcomes:
                with self._alone(i):
                    self.runs[i].validated(training)
        full = {i: run.training() for i, run in self.runs.items() if i not in self.outcomes}
        self._train(full)
        meter.trained()
        for i, training in full.items():
            if i not in self.outcomes:
                with self._alone(i):
                    self.outcomes[i] = self.runs[i].finish(training, meter.read)

    def _validations(self) -> dict[int, Training]:
        """Trainings without what the rule holds out, of the cells that have such."""
        found = {}
        for i, run in self.runs.items():
            with self._alone(i):
                training = run.validation()
                if training is not None:
                    found[i] = training
        share_sources([training.folds for training in found.values()])
        return found

    @contextlib.contextmanager
    def _alone(self, i: int) -> Iterator[None]:
        """What is raised inside is the outcome of one cell, not of the others."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.outcomes[i] = error

    def _train(self, trainings: Mapping[int, Training]) -> None:
        """Train all at once; if that fails, each half, down to one cell."""
        trainings = {i: t for i, t in trainings.items() if i not in self.outcomes}
        if not trainings:
            return
        for training in trainings.values():
            training.begin()
        try:
            with observing(lambda ctx, *seen: trainings[int(ctx.cell)].observer(ctx, *seen)):
                self._fit(trainings, self._states(trainings))
        except (Exception, SystemExit) as error:
            if len(trainings) == 1:
                self.outcomes[next(iter(trainings))] = error
                return
            which, half = list(trainings), len(trainings) // 2
            for part in (which[:half], which[half:]):
                self._train({i: trainings[i] for i in part})

    def _states(self, trainings: Mapping[int, Training]) -> dict[int, dict[int, Any]]:
        """Pre-trained states: loaded where they are stored, else trained, as one stack a source."""
        wanted = {i: t.wanted() for i, t in trainings.items()}
        every = [want for its in wanted.values() for want in its.values()]
        self.store.will_read([want.key for want in every if want.stored])
        states: dict[str, Any] = {}
        curves: dict[str, Any] = {}
        missing: dict[str, dict[str, tuple[int, PretrainSpec]]] = {}
        for i, its in wanted.items():
            self.runs[i].reused &= bool(its)
            for want in its.values():
                found = self.store.get_state(want.key) if want.stored else None
                if found is not None:
                    states[want.key], curves[want.key] = found
                elif _named(i, want) not in missing.setdefault(want.digest, {}):
                    self.runs[i].reused = False
                    missing[want.digest][_named(i, want)] = i, want
        for group in missing.values():
            self._pretrain(trainings, list(group.values()), states, curves)
        for i, its in wanted.items():
            for name in (_named(i, want) for want in its.values()):
                trainings[i].observer.curves["pretrain"] = curves[name]
                if isinstance(states[name], BenchError):
                    self.outcomes[i] = states[name]
        return {
            i: {s: states[_named(i, w)] for s, w in its.items()} for i, its in wanted.items()
        }

    def _pretrain(
        self, trainings: Mapping[int, Training], group: list[tuple[int, PretrainSpec]],
        states: dict[str, Any], curves: dict[str, Any],
    ) -> None:
        """Train the states of one source that are missing; an error stands for one that is lost."""
        if not group:
            return
        for i, _ in group:
            trainings[i].observer.curves["pretrain"] = {}
        method = self.runs[group[0][0]].cell.method
        found = pretrain_all(method, group[0][1].source, [want.context for _, want in group])
        for (i, want), state in zip(group, found, strict=True):
            name = _named(i, want)
            states[name], curves[name] = state, trainings[i].observer.curves["pretrain"]
            if want.stored and not isinstance(state, BenchError):
                self.store.put_state(want.key, state, curves[name])

    def _fit(
        self, trainings: Mapping[int, Training], states: Mapping[int, Mapping[int, Any]]
    ) -> None:
        going = {i: t for i, t in trainings.items() if i not in self.outcomes}
        if not going:
            return
        jobs = {i: training.jobs(states[i]) for i, training in going.items()}
        method = self.runs[next(iter(going))].cell.method
        predictors = method.fit_many([job for its in jobs.values() for job in its])
        wanted = sum(map(len, jobs.values()))
        if len(predictors) != wanted:
            raise BenchError(
                f"{method.name} returned {len(predictors)} predictors for {wanted} folds"
            )
        for i, training in going.items():
            count = len(jobs[i])
            training.predictors, predictors = predictors[:count], predictors[count:]
            if len(going) > 1:
                self.runs[i].record.info["stack"] = len(going)


def _named(i: int, want: PretrainSpec) -> str:
    """Name of a state among cells: one that is not to be stored is each cell's own."""
    return want.key if want.stored else f"{want.key} of {i}"


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
            return method.pretrain_many(source, contexts)
    return [method.alone(ctx).pretrain(source, ctx) for ctx in contexts]


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
            folds[n] = Fold(fold.subject, fold.session, view, fold.open_test())


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
