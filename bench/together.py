"""Cells trained together: pre-trainings and folds of several seeds as the stacks a method makes.

What is handed to the method at once changes how fast it goes, not what comes out: every model draws
from generators of its own cell. A cell that fails, because one of its models diverged or its
predictions break the contract, fails alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .cell import Cell, Run, Wanted, Watch
from .devices import arithmetic
from .errors import BenchError
from .method import Context, Method, Predictor, observing
from .protocol import Fold
from .provenance import Meter
from .store import Record, Store
from .windows import UnlabelledWindows, Windows

#: What became of a cell: its record, or the error that ended it.
Outcome = Record | BaseException


def run_cells(
    cells: Sequence[Cell], store: Store, watch: Watch | None = None, energy: bool = False
) -> list[Outcome]:
    """Run cells that differ in their seed only, all at once; or a single one.

    Parameters
    ----------
    cells : sequence of Cell
        Several only if their method ``stacks``.
    store : Store
    watch : callable, optional
    energy : bool
        Measure the energy, where CodeCarbon is installed.

    Returns
    -------
    list
        For each cell its record, or the error it ended with.
    """
    return _Together(cells, store, watch or (lambda event: None), energy).go()


class _Together:
    """Cells in progress, and the outcome of those that have one."""

    def __init__(
        self, cells: Sequence[Cell], store: Store, watch: Watch, energy: bool
    ) -> None:
        self.cells, self.store, self.watch, self.energy = cells, store, watch, energy
        self.outcomes: dict[int, Outcome] = {}
        self.runs: dict[int, Run] = {}
        self.states: dict[str, Any] = {}
        self.reused: dict[int, bool] = {}

    def go(self) -> list[Outcome]:
        first = self.cells[0]
        for i, cell in enumerate(self.cells):
            with self._alone(i):
                self._begin(i, cell)
        if self.runs:
            meter = Meter(first.device, len(self.runs), self.energy)
            with arithmetic(first.precision, first.deterministic), meter:
                _share_sources(list(self.runs.values()))
                with observing(self._observe):
                    wanted = {i: run.wanted() for i, run in self.runs.items()}
                    self._pretrain(wanted)
                    self._fit(list(self.runs), wanted, meter)
        return [self.outcomes[i] for i in range(len(self.cells))]

    def _begin(self, i: int, cell: Cell) -> None:
        run = Run(cell, self.store, self.watch, str(i))
        known = run.known()
        if known is not None:
            self.outcomes[i] = known
            return
        run.cut()
        self.runs[i] = run

    @contextlib.contextmanager
    def _alone(self, i: int) -> Iterator[None]:
        """What is raised inside is the outcome of one cell, not of the others."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.outcomes[i] = error

    def _observe(self, ctx: Context, *news: Any) -> None:
        self.runs[int(ctx.cell)].observe(ctx, *news)

    def _pretrain(self, wanted: Mapping[int, Mapping[int, Wanted]]) -> None:
        """Load the states that are stored, train the others: as one stack where one source is."""
        keys = [want.key for its in wanted.values() for want in its.values()]
        if keys:
            self.store.will_read(keys)
        missing: dict[str, list[tuple[int, Wanted]]] = {}
        for i, its in wanted.items():
            self.reused[i] = bool(its)
            for want in its.values():
                found = self.store.get_state(want.key)
                if found is not None:
                    self.states[want.key], self.runs[i].pretraining = found
                else:
                    self.reused[i] = False
                    missing.setdefault(want.digest, []).append((i, want))
        for group in missing.values():
            self._train(group)

    def _train(self, group: list[tuple[int, Wanted]]) -> None:
        """Pre-train on one source; if that fails, each half of the cells, down to one."""
        for i, _ in group:
            self.runs[i].pretraining = {}
        method = self.runs[group[0][0]].cell.method
        contexts = [want.context for _, want in group]
        try:
            states = pretrain_all(method, group[0][1].source, contexts)
        except (Exception, SystemExit) as error:
            if len(group) == 1:
                self.outcomes[group[0][0]] = error
                return
            half = len(group) // 2
            self._train(group[:half])
            self._train(group[half:])
            return
        for (i, want), state in zip(group, states, strict=True):
            self.states[want.key] = state
            if isinstance(state, BenchError):
                self.outcomes[i] = state
            else:
                self.store.put_state(want.key, state, self.runs[i].pretraining)

    def _fit(
        self, which: list[int], wanted: Mapping[int, Mapping[int, Wanted]], meter: Meter
    ) -> None:
        """Fit the folds of all cells at once; if that fails, of each half, down to one cell."""
        which = [i for i in which if i not in self.outcomes]
        if not which:
            return
        jobs = []
        for i in which:
            self.runs[i].forget()
            jobs.append(self.runs[i].jobs({s: self.states[w.key] for s, w in wanted[i].items()}))
        method = self.runs[which[0]].cell.method
        try:
            predictors = method.fit_many([job for its in jobs for job in its])
            if len(predictors) != sum(map(len, jobs)):
                raise BenchError(
                    f"{method.name} returned {len(predictors)} predictors for "
                    f"{sum(map(len, jobs))} folds"
                )
        except (Exception, SystemExit) as error:
            if len(which) == 1:
                self.outcomes[which[0]] = error
                return
            half = len(which) // 2
            for part in (which[:half], which[half:]):
                self._fit(part, wanted, meter)
            return
        meter.trained()
        for i, its in zip(which, jobs, strict=True):
            mine, predictors = predictors[: len(its)], predictors[len(its) :]
            with self._alone(i):
                self.outcomes[i] = self._finish(i, mine, len(which), meter)

    def _finish(self, i: int, predictors: list[Predictor], together: int, meter: Meter) -> Record:
        stacked = {"stack": together} if together > 1 else {}
        return self.runs[i].finish(
            predictors, lambda: {
                **meter.read(), "pretraining_reused": self.reused.get(i, False), **stacked})


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
    return [method.pretrain(source, ctx) for ctx in contexts]


def _share_sources(runs: Sequence[Run]) -> None:
    """Let folds of equal sources hold the same one, as those of a single cell do."""
    if len(runs) == 1:
        return
    held: dict[tuple[str, str], Any] = {}
    known: dict[int, Any] = {}
    for run in runs:
        folds = []
        for fold in run.folds:
            source = fold.view.source
            if source is not None and id(source) not in known:
                key = (type(source).__name__, source.digest())
                known[id(source)] = held.setdefault(key, source)
            shared = None if source is None else known[id(source)]
            view = replace(fold.view, source=shared)
            folds.append(Fold(fold.subject, fold.session, view, fold.open_test()))
        run.folds = folds

