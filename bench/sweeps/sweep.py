"""A sweep: run what a plan asks for and the run folder does not hold yet.

Whatever happens to a cell becomes a stored record with a reason, and the others go on. Only this
process, the coordinator, writes the run folder; a kill at any moment costs at most the cells in
progress, and the same command goes on from there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cells.cell import Event
from ..cells.run import has_extras
from ..devices import devices, footprint, places
from ..errors import SettingError, StoppedError, StorageError, reason_of, trace_of
from ..store.lock import RunLock
from ..store.records import Record, Status, Store
from .executor import Executor, failed
from .manifest import Memo, write_manifest
from .plan import ATTAINABLE, CellSpec, Plan
from .request import RETRIED, Request, SweepOptions
from .slurm import check_reachable
from .stacks import stacks, usual
from .status import SweepState, ranked_score, score_of

#: What a kill left unfinished in the run folder is swept up after so many seconds.
LEFTOVER = 3600.0


def is_elsewhere(request: Request, options: SweepOptions) -> bool:
    """Whether workers are started by a cluster, perhaps on other machines with other devices."""
    return options.cluster is not None or request.cluster is not None


class GuardedStore(Store):
    """A store whose failure to write is told apart from a failure of the method's."""

    def put(
        self, record: Record, predictions: Any = None, models: Mapping[str, bytes] | None = None
    ) -> Path:
        """Write a record whole; see :meth:`bench.store.records.Store.put`."""
        try:
            return super().put(record, predictions, models)
        except OSError as error:
            raise _unwritable(self.root, error) from error

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Store a pre-trained state; see :meth:`bench.store.records.Store.put_state`."""
        try:
            super().put_state(key, state, curve)
        except OSError as error:
            raise _unwritable(self.root, error) from error


def _hopeless(errors: Sequence[BaseException]) -> SettingError:
    """Why no cell of a plan can be run, the first reason first, each once."""
    first, *others = dict.fromkeys(map(reason_of, errors))
    more = f"\nand {len(others)} more reasons, the next: {others[0]}" if others else ""
    return SettingError(
        f"none of the {len(errors)} cells can be run: {first}{more}", "Nothing has been run.")


def _unwritable(root: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{root} cannot be written: {error.strerror or error}",
        "What was finished before is stored; free some space or mend the folder's rights, and "
        "give the same command again.",
    )


#: Runs groups of cells, each to be trained together, in worker processes.
InWorkers = Callable[["Sweep", list[list[CellSpec]]], None]


@dataclass
class Sweep:
    """A plan being run: what is stored, what is left, and who watches.

    Attributes
    ----------
    plan, options
    show : callable
        Called with the state and the cell that changed, or None, whenever there is on_trial_end.
    """

    plan: Plan
    options: SweepOptions
    memo: Memo
    show: Callable[[SweepState, str], None] = lambda state, line: None
    devices: list[str] = field(init=False)
    store: GuardedStore = field(init=False)
    state: SweepState = field(init=False)
    executor: Executor = field(init=False)
    records: dict[str, str] = field(default_factory=dict)
    _ids: dict[str, Record] = field(default_factory=dict)
    _todo: list[CellSpec] = field(default_factory=list)
    _unready: dict[str, tuple[CellSpec, BaseException]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Elsewhere there may be devices that are not here; each worker says what it has.
        self.devices = devices("cpu" if self.elsewhere else self.plan.request.device)
        self._check_together()
        self.store = GuardedStore(self.options.runs)
        self.state = SweepState(self.plan.hash, self.options.runs, len(self.plan.cells))
        self.executor = Executor(replace(self.plan.request, device=self.devices[0]),
                                 lambda event: self.event("here", event))

    @property
    def elsewhere(self) -> bool:
        """Whether the workers are started by a cluster, perhaps on other machines."""
        return is_elsewhere(self.plan.request, self.options)

    @property
    def processes(self) -> bool:
        """Whether cells run in other processes than this one."""
        return self.options.workers > 1 or self.elsewhere or len(self.devices) > 1

    def _check_together(self) -> None:
        """Refuse options that contradict each other, or that nothing would heed."""
        options, batch = self.options, self.plan.request.cluster
        for name in ("timeout", "memory"):
            if getattr(options, name) is not None and not self.processes:
                raise SettingError(
                    f"--{name} needs cells to run in processes of their own",
                    "Add --workers 2 (or more), or --cluster tcp://HOST:PORT.",
                )
        if batch is not None and (options.cluster is not None or options.workers > 1):
            other = f"--workers {options.workers}" if options.cluster is None else "--cluster"
            raise SettingError(
                f"{other} and the [cluster] table of the plan exclude each other",
                f"Leave out {other} to run as jobs, or the table.",
            )
        if self.elsewhere and options.memory is not None:
            raise SettingError(
                "--memory bounds workers that the sweep itself starts, on this machine",
                "Set memory in [cluster], or --memory-limit of dask worker.",
            )

    def check(self) -> None:
        """Refuse what would let every cell fail, before anything is tuned, read or submitted.

        Raises
        ------
        BenchError
        """
        request = self.plan.request
        if request.tune is not None and self.elsewhere:
            try:
                devices(request.device)
            except SettingError as error:
                raise SettingError(
                    f"{error.message}; methods are tuned in this process, not by workers",
                    "Tune on a machine that has it (bench tune), and sweep with preset = "
                    "\"tuned\"; or use --device cpu.",
                ) from error
        if self.options.cluster is not None:
            check_reachable(self.options.cluster)
        elif request.cluster is not None:
            request.cluster.check()

    def run(self, in_workers: InWorkers) -> SweepState:
        """Run what is missing; returns the final state, also after an interruption.

        Parameters
        ----------
        in_workers : callable
            Runs groups of cells in worker processes, where there are to be any.

        Raises
        ------
        LockedError
            Another sweep is at work in the run folder.
        BenchError
            The run folder cannot be written at all; nothing has been run.
        """
        with RunLock(self.options.runs) as lock:
            self.state.lock = lock
            lock.also = lambda: self.state.write(force=True)
            if lock.took_over is not None:
                self.show(self.state, f"went on from a sweep that ended without a word (process "
                          f"{lock.took_over['pid']}, since {lock.took_over.get('since')})")
            _sweep_up(self.options.runs)
            write_manifest(self.options.runs, self.plan, {})
            try:
                if not self._settled():
                    self.check()
                todo = self.prepare()
                write_manifest(self.options.runs, self.plan, self.records)
                self._engine(todo, in_workers)
            except FirstFailureError as stop:
                self.state.stopped = f"--fail-fast: {stop}"
            except KeyboardInterrupt:
                self.state.stopped = "interrupted"
            except StoppedError as error:
                self.state.stopped = str(error)
            finally:
                self.memo.save()
                self.state.end()
        return self.state

    def prepare(self) -> list[CellSpec]:
        """Find the record of every cell; returns the cells that are to be run, in order.

        Raises
        ------
        SettingError
            Not one cell of several can be run.
        """
        self.state.reading = True
        todo = [spec for spec in self.plan.cells if not self._known(spec)]
        self.state.reading = False
        self.memo.save()
        if len(self._unready) == len(self.plan.cells) > 1:
            raise _hopeless([error for _, error in self._unready.values()])
        for spec, error in self._unready.values():
            self.fail(spec, "failed", reason_of(error), trace_of(error))
        self.state.expect(todo)
        self.show(self.state, "")
        return todo

    def _settled(self) -> bool:
        """Whether every cell is done, as far as is known without reading a corpus."""
        known = [(spec, self._remembered(spec)) for spec in self.plan.cells]
        return all(record is not None and self._whole(spec, record) for spec, record in known)

    def _remembered(self, spec: CellSpec) -> Record | None:
        """Record of a cell that needs no second look."""
        record_id = self.memo.record(self.plan, spec)
        known = self.store.get(record_id) if record_id else None
        return known if known is not None and known.status in ("done", "skipped") else None

    def look(self) -> dict[str, str]:
        """Stored status of each cell, by key; changes nothing but what is read anyway."""
        found: dict[str, str] = {}
        for spec in self.plan.cells:
            record_id = self.memo.record(self.plan, spec)
            if record_id is None:
                try:
                    record_id = self.executor.blank(spec).id
                except Exception:  # running it will say why; here it is merely not done  # noqa: S112
                    continue
                self.memo.learn(self.plan, spec, record_id)
            known = self.store.get(record_id)
            if known is not None:
                found[spec.key] = known.status
        self.memo.save()
        return found

    def places(self) -> list[str]:
        """Device of each local worker."""
        need = 0.0
        if self.devices[0].startswith("cuda"):
            need = footprint(max(map(self.executor.windows_bytes, self._todo)))
        return places(self.devices, self.options.workers, need)

    def begun(self, specs: Sequence[CellSpec], worker: str) -> None:
        """Note that a worker has taken cells."""
        self.state.begin(specs, worker)
        self.show(self.state, "")

    def event(self, worker: str, event: Event) -> None:
        """Note how far a worker is."""
        self.state.stage(worker, event)
        self.show(self.state, "")

    def finish_cell(self, spec: CellSpec, record: Record, store: bool = False) -> None:
        """Note the outcome of a cell; ``store`` says that its record is still to be written."""
        if store:
            self._keep(record)
        seconds = self.state.finish_cell(
            spec, record.status, record.reason, ranked_score(record))
        took = f"  {seconds:.1f} s" if seconds is not None else ""
        shown = score_of(record)
        detail = record.reason.splitlines()[0] if record.reason else (
            "" if shown is None else f"{shown:.3f}")
        self.show(self.state, f"{record.status}  {spec.label}  {detail}{took}")
        if self.options.fail_fast and record.status in ("failed", "killed"):
            raise FirstFailureError(spec, record)

    def fail(self, spec: CellSpec, status: Status, reason: str, trace: str = "") -> None:
        """Store and note that a cell was not done."""
        blank = self._ids.get(spec.key)
        if blank is None:  # its corpora could not be read, so it has no identity to store under
            self.finish_cell(spec, Record(identity={}, status=status, reason=reason))
            return
        self.finish_cell(spec, failed(blank, status, reason, trace), store=True)

    def _keep(self, record: Record) -> None:
        known = self.store.get(record.id)
        if known is None or known.status != "done":
            self.store.put(record)

    def _engine(self, todo: list[CellSpec], in_workers: InWorkers) -> None:
        self._todo = todo
        most = self.options.stack or usual(self.devices[0], self.elsewhere)
        groups = stacks(todo, most, self.executor.stacks)
        if self.processes and todo:
            in_workers(self, groups)
        else:
            for specs in groups:
                self.run_here(specs)

    def run_here(self, specs: Sequence[CellSpec]) -> None:
        """Run cells of one stack in this process."""
        self.begun(specs, "here")
        outcomes = self.executor.run_all(
            specs, self.store, lambda event: self.event("here", event)
        )
        done = list(zip(specs, outcomes, strict=True))
        for spec, outcome in sorted(done, key=lambda d: isinstance(d[1], BaseException)):
            if isinstance(outcome, StorageError):
                raise outcome
            if isinstance(outcome, BaseException):
                self.fail(spec, "failed", reason_of(outcome), trace_of(outcome))
            else:
                self.finish_cell(spec, outcome)

    def _known(self, spec: CellSpec) -> bool:
        """Whether nothing is to be done for a cell; notes its record and outcome."""
        known = self._remembered(spec)
        record_id = known.id if known is not None else None
        if known is None:
            try:
                cell = self.executor.cell(spec)
                blank = self.executor.blank(spec, cell)
            except (Exception, SystemExit) as error:
                self._unready[spec.key] = spec, error
                return True
            self._ids[spec.key] = blank
            record_id = blank.id
            self.memo.learn(self.plan, spec, record_id)
            known = self.store.get(record_id)
            incompatible = self.executor.incompatible(spec, cell)
            if incompatible and (known is None or known.status != "done"):
                self._skip(spec, incompatible)
                return True
        self.records[spec.key] = record_id or ""
        return self._enough(spec, known)

    def _skip(self, spec: CellSpec, reason: str) -> None:
        """A method that does not fit is stored as skipped; a control that does not is no loss."""
        blank = self._ids[spec.key]
        self.finish_cell(spec, failed(blank, "skipped", reason), store=not spec.control)

    def _enough(self, spec: CellSpec, known: Record | None) -> bool:
        if known is None or known.status in RETRIED[self.options.retry]:
            return False
        if not self._whole(spec, known):
            return False
        self.state.earlier += 1
        self.state.finish_cell(spec, known.status, known.reason, ranked_score(known))
        return True

    def _whole(self, spec: CellSpec, known: Record) -> bool:
        """Whether all that was asked for lies beside a record."""
        request = self.plan.request
        return known.status != "done" or spec.method == ATTAINABLE or has_extras(
            known, request.save_models, request.diagnostics
        )


class FirstFailureError(Exception):
    """Stops a sweep at its first failure."""

    def __init__(self, spec: CellSpec, record: Record) -> None:
        super().__init__(f"{spec.label}: {record.reason}")


def _sweep_up(runs: Path) -> None:
    """Remove what a kill left half-written, once it is old enough to be nobody's work."""
    for folder in (runs / "cells", runs / "pretrained", runs):
        for path in _hidden(folder):
            try:
                old = time.time() - path.stat().st_mtime > LEFTOVER
            except OSError:
                continue
            if old and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif old:
                path.unlink(missing_ok=True)


def _hidden(folder: Path) -> Iterable[Path]:
    """Temporary names of the store: a dot, a name, a dot, 32 hexadecimal digits."""
    if not folder.is_dir():
        return []
    return [p for p in folder.iterdir() if p.name.startswith(".")
            and any(len(part) == 32 for part in p.name.split("."))]
