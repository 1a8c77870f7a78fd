"""Cells in worker processes: a local pool, jobs of a batch system, or a scheduler started by hand.

Workers compute and hand back; the coordinator alone writes. Each worker is given one cell at a
time and by name, so that a worker's death concerns that cell and no other. A pre-training is a
node of its own: the first cell that wants a state trains it and hands it back, the others wait
for it to be stored.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import signal
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...cells.cell import Event
from ...errors import BenchError, SettingError, StoppedError, reason_of, trace_of
from ...store.records import Status
from ..plan import ATTAINABLE, CellSpec
from ..slurm import Jobs
from .endings import gist, how
from .examiner import Examiner
from .start import LocalPool, workers_of
from .worker import TOPIC, CellTask, Errand, Result, unfit, work

if TYPE_CHECKING:
    from distributed import Client, Future

    from ...protocols.granted import Grant
    from ..sweep import Sweep

#: Seconds between looks at the workers.
TICK = 0.25
#: That a worker is gone is believed when the scheduler says so again after so many seconds.
AGAIN = 1.0
#: Without any worker for so long, in seconds, a sweep gives up. Its own start again by themselves.
PATIENCE, OWN_PATIENCE = 60.0, 180.0
#: Seconds without a worker after which SLURM is asked, and asked again, whether any job is left.
ASK = 10.0
#: A pool that has been short of workers for so long, in seconds, is refilled.
REFILL = 10.0
#: A worker last seen at this share of its memory limit died of it.
FULL = 0.7


def run_in_pool(sweep: Sweep, groups: Sequence[Sequence[CellSpec]]) -> None:
    """Run cells on workers until none is left; those of a group together.

    Raises
    ------
    BenchError
        The scheduler cannot be reached, or no worker comes.
    """
    with workers_of(sweep) as (client, started):
        _Coordinator(sweep, client, started, groups).run()


@dataclass
class _Worker:
    """What is known of a worker.

    Attributes
    ----------
    gone : float or None
        When the scheduler first said that it is; None once it says that it is there.
    dead : bool
        Whether it has said so again.
    probe : Future or None
        Whether it can run the plan at all; asked of those that others start.
    """

    name: str
    device: str = ""
    limit: int = 0
    memory: int = 0
    gone: float | None = None
    dead: bool = False
    probe: Future | None = None
    unfit: str = ""
    told: bool = False


@dataclass
class _Flight:
    """What a worker is busy with; ``token`` names it to the examiner."""

    task: CellTask
    worker: str
    future: Future
    token: str
    began: float = field(default_factory=time.monotonic)
    ending: str = ""


class _Coordinator:
    """Hands out cells, takes results, and keeps an eye on the workers."""

    def __init__(
        self, sweep: Sweep, client: Client, started: LocalPool | Jobs | None,
        groups: Sequence[Sequence[CellSpec]],
    ) -> None:
        self.sweep, self.client = sweep, client
        self.pool = started if isinstance(started, LocalPool) else None
        self.jobs = started if isinstance(started, Jobs) else None
        request = sweep.plan.request
        self.request = replace(
            request, data=request.data.resolve() if request.data else None,
            include=[os.path.realpath(i) if i.endswith((".py", ".toml", ".npz")) else i
                     for i in request.include],
        )
        self.examiner = Examiner(client, sweep.executor.cell)
        #: What only the labels can tell is worked out here.
        self.own = deque(specs for specs in groups if specs[0].method == ATTAINABLE)
        self.ready = deque(
            CellTask(tuple(specs)) for specs in groups if specs[0].method != ATTAINABLE
        )
        self.waiting: dict[str, list[CellTask]] = defaultdict(list)
        self.training: set[str] = set()
        self.flights: dict[Any, _Flight] = {}
        self.workers: dict[str, _Worker] = {}
        self.finished: queue.Queue[Future] = queue.Queue()
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.began = self.seen = self.full = self.asked = time.monotonic()
        self.present: set[str] = set()
        #: Cells whose worker died, its name, and of what: they are tried once more.
        self.died: dict[str, tuple[str, str]] = {}
        self.places = [] if self.pool is None else sweep.places()
        self.wanted = len(self.places)
        self.patience = OWN_PATIENCE if self.pool is not None else PATIENCE
        if self.jobs is not None:
            self.patience = self.jobs.spec.patience
        sweep.state.workers = self.wanted or (1 if self.jobs is None else self.jobs.spec.workers)

    def run(self) -> None:
        self.client.subscribe_topic(TOPIC, lambda event: self.events.put(event[1]))
        try:
            while self.ready or self.flights or self.own or any(self.waiting.values()):
                self._look()
                self._hand_out()
                if self.own:
                    self.sweep.run_here(self.own.popleft())
                self._take()
                self._watch()
        except Exception as error:  # dask raises many types once the scheduler is gone
            if isinstance(error, BenchError) or self.client.status == "running":
                raise
            raise self._scheduler_gone() from error
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                self.client.cancel([f.future for f in self.flights.values()], force=True)

    def _scheduler_gone(self) -> Exception:
        where = self.sweep.options.cluster
        return StoppedError(
            f"the scheduler{f' at {where}' if where else ''} is gone",
            "What was finished is stored. Start it and its workers again, and give the same "
            "command.",
        )

    def _listed(self) -> dict[str, Any] | None:
        """What the scheduler itself says of its workers; None where it said nothing this time.

        Not ``client.scheduler_info``: it returns an attribute that the client's own look, which
        asks for no workers, may have overwritten meanwhile.
        """
        scheduler: Any = self.client.scheduler
        try:
            found = self.client.sync(scheduler.identity, n_workers=-1)
        except (OSError, TimeoutError) as error:
            if self.client.status != "running":
                raise self._scheduler_gone() from error
            return None
        return dict(found["workers"])

    def _look(self) -> None:
        """Who is there, and how much memory each takes."""
        found = self._listed()
        if found is None:
            return
        now = time.monotonic()
        busy = {flight.worker for flight in self.flights.values()}
        for address in [a for a in self.workers if a not in found]:
            worker = self.workers[address]
            worker.gone = worker.gone or now
            worker.dead = now - worker.gone > AGAIN
            if address not in busy:
                del self.workers[address]
        for address, info in found.items():
            if address not in self.workers:
                self.workers[address] = self._met(address, f"worker {info['name']}")
            worker = self.workers[address]
            worker.gone, worker.dead = None, False
            worker.limit = int(info.get("memory_limit") or 0)
            worker.memory = max(worker.memory, int(info.get("metrics", {}).get("memory", 0)))
        self.present = {a for a in found if self._fit(a) and not self._dead(a)}
        self._judge()
        self._refill()
        if self.present:
            self.seen = now
            if self.pool is None:
                self.sweep.state.workers = len(self.present)
        else:
            self._alone(now)

    def _alone(self, now: float) -> None:
        """Wait for a worker as long as there is hope that one comes.

        Raises
        ------
        StoppedError
        """
        if now - self.seen > self.patience:
            raise StoppedError(f"no worker for {self.patience:.0f} s", self._advice())
        if self.jobs is None or now - max(self.seen, self.asked) < ASK:
            return
        self.asked = now
        if not self.jobs.over():
            return
        if self.seen > self.began:
            raise StoppedError(
                "all jobs have ended", "What was finished is stored. Give the same command again, "
                "with more jobs or a longer walltime in [cluster].")
        said = self.jobs.words()
        raise StoppedError(
            f"all jobs have ended before a worker came{f'; {said}' if said else ''}",
            self._advice())

    def _dead(self, address: str) -> bool:
        """Whether a worker's process is gone, or the scheduler has said twice that it is.

        One that is silent, or that a single look has missed, is waited for.
        """
        ended = self.pool is not None and address in self.pool.endings
        return ended or self.workers[address].dead

    def _met(self, address: str, name: str) -> _Worker:
        """A worker that has just come; one that others started is asked what it can do."""
        if self.pool is not None:
            return _Worker(name, self._place())
        return _Worker(name, probe=self.client.submit(
            unfit, self.request, workers=[address], allow_other_workers=False, pure=False,
            retries=0,
        ))

    def _fit(self, address: str) -> bool:
        """Whether a worker can run the plan, as far as it has said."""
        from distributed.scheduler import KilledWorker

        worker = self.workers[address]
        if worker.probe is not None and worker.probe.done():
            error = worker.probe.exception() if worker.probe.status == "error" else None
            if isinstance(error, KilledWorker):  # it will not be listed any more
                return False
            worker.probe, worker.unfit = None, reason_of(error) if error is not None else ""
        return worker.probe is None and not worker.unfit

    def _judge(self) -> None:
        """Say which workers are given nothing, and why.

        Raises
        ------
        SettingError
            Every worker that is there.
        """
        unfit = [worker for worker in self.workers.values() if worker.unfit]
        if unfit and len(unfit) == len(self.workers):
            raise SettingError(
                f"no worker can run this plan; {unfit[0].name}: {unfit[0].unfit}",
                self._advice(),
            )
        for worker in unfit:
            if not worker.told and self.present:
                worker.told = True
                self.sweep.show(
                    self.sweep.state, f"{worker.name} is given nothing: {worker.unfit}")

    def _advice(self) -> str:
        if self.jobs is not None:
            return ("Look at the jobs with squeue and at their output (logs of [cluster]), and "
                    "at what they ask for: queue, directives, prologue, python.")
        if self.pool is not None:
            return "Run the same command with --workers 1 to see what is wrong."
        return "Start one with: dask worker tcp://HOST:PORT --nthreads 1"

    def _place(self) -> str:
        """Device of a new worker: the one that is shortest of those it should have."""
        taken = [w.device for w in self.workers.values() if w.gone is None]
        return max(dict.fromkeys(self.places),
                   key=lambda d: self.places.count(d) - taken.count(d))

    def _refill(self) -> None:
        """Add workers to a pool where a nanny is gone as well; else it brings its worker back."""
        now = time.monotonic()
        missing = 0 if self.pool is None else self.wanted - len(self.pool.nannies())
        if self.pool is None or missing <= 0:
            self.full = now
        elif now - self.full > REFILL:
            self.full = now
            self.pool.cluster.scale(len(self.pool.cluster.worker_spec) + missing)

    def _next(self, worker: str) -> CellTask:
        """The next task; a cell whose worker died goes to another if there is anything else."""
        chosen = next((task for task in self.ready
                       if self.died.get(task.specs[0].key, ("",))[0] != worker), self.ready[0])
        self.ready.remove(chosen)
        return chosen

    def _hand_out(self) -> None:
        """Give each idle worker a task."""
        busy = {flight.worker for flight in self.flights.values()}
        for address in sorted(self.present - busy):
            if not self.ready:
                return
            task = self._next(self.workers[address].name)
            granted = self._granted(task)
            if granted is None:
                continue
            worker = self.workers[address]
            request = self.request
            if worker.device:
                request = replace(request, device=worker.device)
            states = {key: self.sweep.store.get_state(key) for key in task.keys}
            token, grants = granted
            # The worker's name travels as data: it only serves to show who is doing what.
            errand = Errand(states, grants, self.examiner.name, token, worker.name)
            future = self.client.submit(
                work, request, task, errand, workers=[address], allow_other_workers=False,
                pure=False, retries=0,
            )
            self.flights[future.key] = _Flight(task, address, future, token)
            future.add_done_callback(self.finished.put)
            self.sweep.begun(task.specs, worker.name)

    def _granted(self, task: CellTask) -> tuple[str, tuple[Grant, ...]] | None:
        """What is granted to the cells of a task; None if they fail for it."""
        try:
            return self.examiner.grants(task.specs)
        except (Exception, SystemExit) as error:
            waiting = self._dependents(task)
            for spec in task.specs:
                self.sweep.fail(spec, "failed", reason_of(error), trace_of(error))
            self.ready.extendleft(reversed(waiting))
            return None

    def _take(self) -> None:
        """Wait a moment for a result; show what the workers are doing."""
        try:
            future = self.finished.get(timeout=TICK)
        except queue.Empty:
            future = None
        self.examiner.drain()
        while not self.events.empty():
            event = self.events.get()
            self.sweep.event(event.pop("worker"), Event(**event))
        flight = self.flights.get(future.key) if future is not None else None
        if future is None or flight is None:
            return
        if self.client.status != "running":  # not the worker's fault
            raise self._scheduler_gone()
        found = self._fetched(flight)
        del self.flights[future.key]
        if isinstance(found, Result):
            self._result(flight, found)
        else:
            self._lost(flight, found)
        self.examiner.forget(flight.token)

    def _fetched(self, flight: _Flight) -> Result | BaseException | None:
        """What a worker computed, or why it could not; None if it died.

        Dask alone would wait for ever: it would compute the task again, but on that worker only.
        """
        if flight.future.status != "finished":
            return flight.future.exception() if flight.future.status == "error" else None
        loop: Any = self.client.loop
        coming = asyncio.run_coroutine_threadsafe(
            self.client.gather(flight.future, asynchronous=True), loop.asyncio_loop
        )
        while not concurrent.futures.wait([coming], timeout=TICK).done:
            self._look()
            self.examiner.drain()
            if self._dead(flight.worker):
                coming.cancel()
                return None
        return coming.exception() or coming.result()

    def _result(self, flight: _Flight, result: Result) -> None:
        task, sweep = flight.task, self.sweep
        if not result.done:
            sweep.state.requeue(self.workers[flight.worker].name)
        if result.needs:
            self._needs(task, result.needs)
            return
        for key, (state, curve) in result.states.items():
            sweep.store.put_state(key, state, curve)
        if result.states:
            self._release(result.states, [] if result.done else [task])
        self._failed_training(task, result)
        done = list(enumerate(zip(task.specs, result.done, strict=False)))
        for place, (spec, outcome) in sorted(done, key=lambda d: d[1][1].record is None):
            if outcome.record is None or outcome.predicted is None:
                sweep.fail(spec, "failed", outcome.reason, outcome.trace)
                continue
            record = outcome.record
            try:
                table = self.examiner.score(
                    flight.token, place, outcome.attempt, record, outcome.predicted
                )
            except Exception as error:  # of what an author's predictor gave
                sweep.fail(spec, "failed", reason_of(error), trace_of(error))
                continue
            sweep.store.put(record, table, outcome.models)
            sweep.finish_cell(spec, record)

    def _failed_training(self, task: CellTask, result: Result) -> None:
        """Cells that wait for a state which could not be trained fail with its reason."""
        if not result.done:
            return
        reason = next((d.reason for d in result.done if d.record is None), "it gave no state")
        for other in self._dependents(task):
            for spec in other.specs:
                self.sweep.fail(spec, "failed", f"its pre-training: {reason}")

    def _needs(self, task: CellTask, keys: Sequence[str]) -> None:
        """Cells want pre-trained states: hand them over, wait for them, or have them trained."""
        lacking = [k for k in keys if self.sweep.store.get_state(k) is None]
        task = task.with_states(k for k in keys if k not in lacking)
        under_way = [k for k in lacking if k in self.training]
        if under_way:
            self.waiting[under_way[0]].append(task)
        elif lacking:
            self.training |= set(lacking)
            self.ready.appendleft(task.training(lacking))
        else:
            self.ready.appendleft(task)

    def _release(self, keys: Iterable[str], first: list[CellTask]) -> None:
        """Let go on what waited for states that are stored now."""
        go = [task.with_states(keys) for task in first]
        for key in keys:
            self.training.discard(key)
            go += [task.with_states([key]) for task in self.waiting.pop(key, [])]
        self.ready.extendleft(reversed(go))

    def _dependents(self, task: CellTask) -> list[CellTask]:
        """Tasks that wait for what a task was to train; they are nobody's from here on."""
        out = []
        for key in task.pretrain:
            if key in self.training:
                self.training.discard(key)
                out += self.waiting.pop(key, [])
        return out

    def _lost(self, flight: _Flight, error: BaseException | None) -> None:
        """A worker died, or dask could not run the cells at all."""
        from distributed.scheduler import KilledWorker

        flight.future.cancel(force=True)
        task, name = flight.task, self.workers[flight.worker].name
        waiting = self._dependents(task)
        status: Status = "killed"
        words, again = "", False
        if self.pool is not None and self.pool.endings.ended(flight.worker) < flight.began:
            self.sweep.state.requeue(name)  # it was gone already, and the cell has not begun
            self.ready.extendleft(reversed([replace(task, pretrain=()), *waiting]))
            return
        if flight.ending:
            reason = flight.ending
        elif error is None or isinstance(error, KilledWorker):
            reason, words = self._cause(flight)
            again = len(task.specs) == 1 and task.specs[0].key not in self.died
        else:
            because = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
            status, reason = "failed", f"{type(error).__name__}: {error}{because}"
        if again:
            self.died[task.specs[0].key] = name, reason
            self._tried_again(name, f"{task.specs[0].label} is tried once more: {reason}")
            waiting = [replace(task, pretrain=()), *waiting]
        elif len(task.specs) > 1:  # smaller stacks may do, and to a cell they tell which it is
            self._tried_again(name, f"a stack of {len(task.specs)} was lost and is tried again "
                              f"as two: {reason}")
            waiting = [*task.halves(), *waiting]
        else:
            if task.specs[0].key in self.died:
                before, why = self.died[task.specs[0].key]
                reason += f"; before, {why}" if flight.ending else f"; {before} died of it before"
            self.sweep.fail(task.specs[0], status, reason, words)
        self.ready.extendleft(reversed(waiting))

    def _tried_again(self, worker: str, line: str) -> None:
        self.sweep.state.requeue(worker)
        self.sweep.show(self.sweep.state, line)

    def _cause(self, flight: _Flight) -> tuple[str, str]:
        """Why a worker died, in a sentence; what it wrote last."""
        worker = self.workers[flight.worker]
        took = time.monotonic() - flight.began
        words = "" if self.pool is None else self.pool.endings.words(flight.worker)
        if worker.limit and worker.memory > FULL * worker.limit:
            return (f"out of memory: {worker.name} was ended at its limit of "
                    f"{worker.limit / 1e9:.2g} GB (last seen at {worker.memory / 1e9:.2g} GB); "
                    "give it more with --memory, or use fewer workers"), words
        code = None if self.pool is None else self.pool.endings.code(flight.worker)
        said = gist(words)
        return (f"{worker.name} died {took:.0f} s into the cell: {how(code)}; last seen at "
                f"{worker.memory / 1e9:.2g} GB{f'; its last words: {said}' if said else ''}"), words

    def _watch(self) -> None:
        """End cells that take too long, and notice workers that are gone without a word."""
        limit = self.sweep.options.timeout
        for key, flight in list(self.flights.items()):
            took = time.monotonic() - flight.began
            if self._dead(flight.worker):
                if flight.future.done():  # its result is on the way to us
                    continue
                del self.flights[key]
                self._lost(flight, None)
                self.examiner.forget(flight.token)
            elif limit is not None and took > limit * len(flight.task.specs) \
                    and not flight.ending:
                flight.ending = f"took longer than --timeout {limit:g} s"
                self._end(flight)
        self.sweep.show(self.sweep.state, "")
        self.sweep.state.write()

    def _end(self, flight: _Flight) -> None:
        """End a worker; its nanny starts another. It is not asked: it may be past answering."""
        if self.pool is None:
            self.client.restart_workers([flight.worker], timeout=30, raise_for_error=False)
        elif (pid := self.pool.pid(flight.worker)) is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows has none
