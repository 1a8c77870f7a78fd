"""Plan of a sweep whose parameters are tuned: before it begins, or by an earlier ``bench tune``.

The coordinator tunes, one method after the other, each with the same number of trials; controls
are no exception. One tuning serves all seeds, unless another seed tests trials that the tuning
saw: that seed then has a tuning of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cells.cell import Cell, Event, OnEvent
from ..errors import BenchError, IncompatibleError
from ..registry import load
from ..runs.lookup import make_protocol
from ..runs.options import TUNED
from ..runs.tuned import (
    Tuned,
    TuningSetting,
    defaults_of,
    find_tuned,
    need_tuned,
    tuned_origin,
    with_tuned,
)
from ..selection.rules import check_selection
from ..store.records import Store
from ..tuning.search import OnTrialEnd, TuneOptions, TuningFailedError, tune_cell
from ..tuning.space import search_space
from ..tuning.tune import OnTuningStart
from .executor import Executor
from .plan import ATTAINABLE, CellSpec, Plan, expand
from .request import Request

if TYPE_CHECKING:
    from ..method import Method
    from .manifest import Memo

#: Origin of the defaults where tuning was asked for and gave nothing.
FAILED = "default (tuning failed)"
#: Origin in the plan of a sweep that is only shown.
PENDING = "to be tuned"


def planned(
    request: Request, runs: Path, memo: Memo, *, on_event: OnEvent | None = None,
    on_trial_end: OnTrialEnd | None = None, begin: OnTuningStart | None = None, dry: bool = False,
) -> Plan:
    """Cells of a request; tunes first where that is asked for.

    Parameters
    ----------
    on_event, on_trial_end, begin : callable, optional
        Told how the tuning goes on, as by :func:`bench.tuning.tune.tune`.
    dry : bool
        Tune nothing: cells without stored parameters are marked "to be tuned".

    Raises
    ------
    BenchError
        A name or value is wrong, or there are no tuned parameters where they are asked for.
    """
    if request.tune is None and request.preset != TUNED:
        return expand(request, memo.resolve)
    plain = replace(request, preset="default" if request.preset == TUNED else request.preset,
                    tune=None)
    stored = _Stored(request, runs)
    if request.tune is None:
        return replace(expand(plain, memo.resolve, stored.apply), request=request)
    options = TuneOptions(**asdict(request.tune))
    cells = expand(plain, memo.resolve).cells
    if options.rule is not None:
        _check_granted(options.rule, cells)
    if dry:
        plan = expand(plain, memo.resolve, stored.apply)
    else:
        tuned = _TunedNow(
            request, runs, options, on_event or (lambda event: None), on_trial_end, begin
        )
        tuned.tune(cells)
        plan = expand(plain, memo.resolve, tuned.apply)
    return replace(plan, request=request)


def _check_granted(rule: str, cells: Iterable[CellSpec]) -> None:
    """Refuse a rule that no protocol of the plan grants: nothing would be tuned by it."""
    refused: IncompatibleError | None = None
    for name, params in {c.protocol: c.protocol_params for c in cells}.items():
        try:
            check_selection(rule, make_protocol(load("protocols", name), params))
        except IncompatibleError as error:
            refused = refused or error
        else:
            return
    if refused is not None:
        raise IncompatibleError(f"tune.rule: {refused.message}", refused.hint)


def _applied(spec: CellSpec, tuned: Tuned) -> CellSpec:
    return replace(spec, params=tuned.params, origin=tuned_origin(spec.origin),
                   tuning=tuned.identity())


def _setting(spec: CellSpec, tunables: Mapping[str, Any], request: Request) -> TuningSetting:
    method: type[Method] = load("methods", spec.method)
    return TuningSetting.of(
        spec.method, method.unresolved(spec.params), tunables, pair=(spec.source, spec.target),
        protocol=(spec.protocol, spec.protocol_params), options=request,
    )


@dataclass(frozen=True)
class _Stored:
    """Parameters that earlier tunings stored."""

    request: Request
    runs: Path

    def apply(self, spec: CellSpec, tunables: Mapping[str, Any]) -> CellSpec:
        setting, tune = _setting(spec, tunables, self.request), self.request.tune
        if tune is not None:
            found = find_tuned(self.runs, setting, spec.seed)
            if found is None or found.trials != tune.trials:
                return replace(spec, origin=PENDING)
            return _applied(spec, found)
        if spec.control:  # beside a tuned method; its row says that it is not tuned
            found = find_tuned(self.runs, setting, spec.seed)
            return spec if found is None else _applied(spec, found)
        return _applied(spec, need_tuned(self.runs, setting, spec.seed))


@dataclass
class _TunedNow:
    """Parameters that are tuned before the sweep."""

    request: Request
    runs: Path
    options: TuneOptions
    on_event: OnEvent
    on_trial_end: OnTrialEnd | None
    begin: OnTuningStart | None
    found: dict[str, Tuned] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def apply(self, spec: CellSpec, tunables: Mapping[str, Any]) -> CellSpec:
        if spec.key in self.failed:
            return replace(spec, origin=FAILED)
        tuned = self.found.get(spec.key)
        return spec if tuned is None else _applied(spec, tuned)

    def tune(self, cells: Iterable[CellSpec]) -> None:
        """Tune what can be tuned of a plan's cells."""
        executor = Executor(self.request, self.on_event)
        groups: dict[str, list[CellSpec]] = {}
        for spec in sorted((c for c in cells if c.method != ATTAINABLE), key=lambda c: c.seed):
            groups.setdefault(replace(spec, seed=0).key, []).append(spec)
        for specs in groups.values():
            known: list[Tuned] = []
            for spec in specs:
                try:
                    cell = executor.cell(spec)
                except BenchError:  # the cell itself will say why it cannot be run
                    continue
                if cell.method.tunable() and not executor.incompatible(spec, cell):
                    self._one(spec, cell, known)

    def _one(self, spec: CellSpec, cell: Cell, known: list[Tuned]) -> None:
        """Find or tune the parameters of one cell; ``known`` are those of other seeds."""
        for tuned in known:
            try:
                with_tuned(cell, tuned)
            except IncompatibleError:
                continue
            self.found[spec.key] = tuned
            return
        try:
            self.found[spec.key] = self._tuned(spec, cell)
            known.append(self.found[spec.key])
        except IncompatibleError as error:
            self.on_event(Event(f"{spec.label} is not tuned: {error.message}"))
        except TuningFailedError as error:
            self.failed.add(spec.key)
            self.on_event(Event(f"{spec.label} runs with its defaults: {error.message}"))

    def _tuned(self, spec: CellSpec, cell: Cell) -> Tuned:
        defaults = defaults_of(cell.method.tunable())
        given = [k for k, v in defaults.items() if spec.params.get(k) != v]
        space = search_space(cell.method, given=given)
        if self.begin is not None:
            self.begin(cell, space)
        return tune_cell(
            cell, _setting(spec, defaults, self.request), Store(self.runs),
            self.options, space, on_event=self.on_event, on_trial_end=self.on_trial_end,
        )
