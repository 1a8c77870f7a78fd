"""From a cell's description to a cell that can be run: corpora are read once a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..cells.cell import Cell, OnEvent
from ..cells.engine import CellOutcome, run_cells
from ..cells.scored import attainable_identity, attainable_record, is_known
from ..cells.training import Elsewhere
from ..data.pair import PLUS, Pair, align
from ..data.reading import Reading
from ..errors import BenchError, IncompatibleError
from ..method import Method
from ..protocols.granted import blind
from ..registry import load
from ..runs.build import build_cell, read_side
from ..runs.lookup import make_protocol
from ..store.records import Record, Store
from .plan import ATTAINABLE, CellSpec
from .request import Request

#: Aligned pairs kept in memory; cells are queued by pair, so few are needed at a time.
PAIRS_KEPT = 3


class Executor:
    """Makes and runs the cells of one plan in this process.

    Parameters
    ----------
    request : Request
        Settings all cells have in common.
    on_event : callable, optional
        Told what is being read.
    labels : bool
        Whether the labels of what is read are kept; without them, each cell is run by what is
        granted to it from elsewhere.
    """

    def __init__(
        self, request: Request, on_event: OnEvent | None = None, labels: bool = True
    ) -> None:
        self.request, self.labels = request, labels
        self.on_event: OnEvent = on_event or (lambda event: None)
        self._readings: dict[str, Reading | BenchError] = {}
        self._pairs: OrderedDict[tuple[str, str], Pair] = OrderedDict()

    def cell(self, spec: CellSpec, elsewhere: Elsewhere | None = None) -> Cell:
        """Cell of a description; reads what has not been read yet.

        Raises
        ------
        BenchError
            A corpus cannot be read, the two cannot be aligned, or the parameters were tuned on
            trials that the cell tests.
        """
        # The best attainable score is of the folds alone; any method's cell has them.
        cls: type[Method] = load(
            "methods", "majority" if spec.method == ATTAINABLE else spec.method
        )
        pair = self._pair(spec.source, spec.target)
        return build_cell(
            cls(cls.parse(spec.params)), spec.origin, pair,
            make_protocol(load("protocols", spec.protocol), spec.protocol_params), self.request,
            seed=spec.seed, tuning=spec.tuning, classes=spec.classes, elsewhere=elsewhere,
        )

    def blank(self, spec: CellSpec, cell: Cell | None = None) -> Record:
        """Record of a cell that has not been run: its identity, and what kind of row it is."""
        cell = cell or self.cell(spec)
        recipes = [r for r in cell.pair.recipes if r is not None]
        attainable = spec.method == ATTAINABLE
        return Record(
            identity=attainable_identity(cell) if attainable else cell.identity(),
            kind="control" if attainable else cell.method.kind,
            classes=list(cell.pair.target.labels),
            simulated=recipes[-1].model_dump() if recipes else None,
        )

    def run(self, spec: CellSpec, store: Store, on_event: OnEvent) -> Record:
        """Run a cell, or return its record if the store has it.

        Raises
        ------
        IncompatibleError
            The method does not fit; nothing has been run.
        """
        outcome = self.run_all([spec], store, on_event)[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def run_all(
        self, specs: Sequence[CellSpec], store: Store, on_event: OnEvent,
        elsewhere: Sequence[Elsewhere | None] = (),
    ) -> list[CellOutcome]:
        """Run cells of one stack, see :mod:`bench.sweeps.stacks`, together; what became of each.

        Parameters
        ----------
        elsewhere : sequence of Elsewhere
            Where the labels of each are, if this process has none.
        """
        there = elsewhere or [None] * len(specs)
        try:
            cells = [self.cell(s, e) for s, e in zip(specs, there, strict=True)]
            if specs[0].method != ATTAINABLE:
                return run_cells(cells, store, on_event, self.request.energy)
            return [attainable_record(cell, store) or IncompatibleError(_unknown(spec))
                    for spec, cell in zip(specs, cells, strict=True)]
        except (Exception, SystemExit) as error:
            return [error] * len(specs)

    def stacks(self, spec: CellSpec) -> frozenset[str] | None:
        """Parameters in which cells that are run with this one may differ, beside their seed.

        None where it is to be run alone.
        """
        if spec.method == ATTAINABLE:
            return None
        cls: type[Method] = load("methods", spec.method)
        method = cls(cls.parse(spec.params))
        return frozenset(method.per_model()) if method.stacks else None

    def windows_bytes(self, spec: CellSpec) -> float:
        """Bytes of a cell's windows, source and target."""
        pair = self._pair(spec.source, spec.target)
        return float(pair.source.x.nbytes + pair.target.x.nbytes)

    def incompatible(self, spec: CellSpec, cell: Cell) -> str:
        """Why a method does not fit its protocol and pair; empty if it does."""
        if spec.method == ATTAINABLE:
            return "" if is_known(cell) else _unknown(spec)
        try:
            cell.check()
        except IncompatibleError as error:
            return str(error)
        return ""

    def _pair(self, source: str, target: str) -> Pair:
        key = (source, target)
        if key not in self._pairs:
            sources = [self._reading(name) for name in source.split(PLUS)]
            self._pairs[key] = align(sources, self._reading(target), self.request.montage)
            if len(self._pairs) > PAIRS_KEPT:
                self._pairs.popitem(last=False)
        self._pairs.move_to_end(key)
        return self._pairs[key]

    def _reading(self, name: str) -> Reading:
        if name not in self._readings:
            try:
                found = read_side(name, self.request, self.on_event)
                self._readings[name] = found if self.labels else replace(
                    found, windows=blind(found.windows))
            except BenchError as error:  # so that the next hundred cells need not try again
                self._readings[name] = error
            except OSError as error:
                self._readings[name] = BenchError(f"{name} cannot be read: {error}")
        known = self._readings[name]
        if isinstance(known, BenchError):
            raise known
        return known


def _unknown(spec: CellSpec) -> str:
    return f"the best attainable score on {spec.target} is not known"


def failed(blank: Record, status: Any, reason: str, trace: str = "") -> Record:
    """The record of a cell that was not done."""
    blank.status, blank.reason = status, reason
    if trace:
        blank.info["traceback"] = trace
    return blank
