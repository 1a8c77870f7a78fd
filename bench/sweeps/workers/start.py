"""Worker processes of a sweep: a local pool, jobs of a batch system, or others' by a scheduler."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import BenchError
from ..slurm import Jobs
from .endings import Endings
from .script import check_guard

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

    from ..sweep import Sweep

#: Times that a pool is tried to be started.
STARTS = 5
#: Seconds more to wait before each further try: whatever kills them may be over soon.
PAUSE = 1.0
#: Of schedulers that a sweep starts: a worker that is silent may be busy, one that is lost may be
#: starting again on a machine that is. Its process, or its connection, says whether it is gone.
_PATIENT = {
    "distributed.scheduler.worker-ttl": None,
    "distributed.deploy.lost-worker-timeout": "1h",
}
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
          "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class LocalPool:
    """Worker processes that the sweep itself has started, and how those ended that are gone."""

    cluster: LocalCluster
    endings: Endings

    def nannies(self) -> list[Any]:
        """Nannies at work; each starts its worker again if it is gone."""
        over = ("closing", "closed", "failed")
        return [n for n in self.cluster.workers.values() if n.status.name not in over]

    def pid(self, address: str) -> int | None:
        """Process of a worker, without asking it; None if it is gone."""
        pids = [n.pid for n in self.nannies() if n.worker_address == address]
        return pids[0] if pids else None


@contextlib.contextmanager
def workers_of(sweep: Sweep) -> Iterator[tuple[Client, LocalPool | Jobs | None]]:
    """Workers for a sweep: those of a scheduler that runs, jobs, or a pool of its own.

    Yields
    ------
    client : distributed.Client
    started : LocalPool or Jobs or None
        What the sweep has started; None where the workers are others'.

    Raises
    ------
    BenchError
        The scheduler cannot be reached, or no worker process starts.
    """
    with _quiet(), _client(sweep) as found:
        yield found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let dask say nothing here: the sweep itself says what became of workers and schedulers."""
    import distributed  # noqa: F401  sets the levels of its loggers

    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [log.level for log in loggers]
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.addFilter(_worth_saying)
    for log in loggers:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        asyncio_log.removeFilter(_worth_saying)
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)


def _worth_saying(message: logging.LogRecord) -> bool:
    """False of what dask leaves behind where it waited for the result of a dead worker."""
    return "AllExit()" not in message.getMessage()


@contextlib.contextmanager
def _client(sweep: Sweep) -> Iterator[tuple[Client, LocalPool | Jobs | None]]:
    import dask
    from distributed import Client

    options = sweep.options
    if options.cluster is not None:
        try:
            client = Client(options.cluster, timeout=5)
        except (OSError, TimeoutError, ValueError) as error:
            raise BenchError(
                f"no scheduler answers at {options.cluster}: {error}",
                "Start one with: dask scheduler --port 8786",
            ) from error
        with client:
            yield client, None
        return
    batch = sweep.plan.request.cluster
    if batch is not None:
        with dask.config.set(_PATIENT), batch.start() as cluster, Client(cluster) as client:
            yield client, Jobs(batch, cluster)
        return
    check_guard()
    workers = len(sweep.places())
    threads = max(1, _cores() // workers)
    with (
        _folder() as logs,
        dask.config.set({
            **_PATIENT,
            # A dead worker's cell is the coordinator's concern, not tried on the next worker.
            "distributed.scheduler.allowed-failures": 0,
            "distributed.nanny.pre-spawn-environ": {
                **dict.fromkeys(_POOLS, str(threads)), "PYTHONFAULTHANDLER": "1",
            },
            # One cell at a time: nothing to spill, and a paused worker would never go on.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
        }),
    ):
        endings = Endings(logs)
        with _local(workers, options.memory, endings) as cluster, Client(cluster) as client:
            # The scheduler hands it to workers that come later; one that dies now does not matter.
            with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                client.register_plugin(endings.plugin(), name="bench-manners")
            yield client, LocalPool(cluster, endings)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for what workers write, for as long as they work."""
    try:
        made = tempfile.TemporaryDirectory(prefix="bench-workers-", ignore_cleanup_errors=True)
    except OSError as error:
        raise BenchError(
            f"workers need a folder for temporary files: {error.strerror or error}",
            "Free some space there, or name another folder in TMPDIR.",
        ) from error
    with made as name:
        yield Path(name)


def _local(workers: int, memory: str | None, endings: Endings) -> LocalCluster:
    """A pool of processes; tried again if one of them is killed before it has started."""
    from distributed import LocalCluster

    for attempt in range(STARTS):
        try:
            return LocalCluster(
                n_workers=workers, threads_per_worker=1, worker_class=endings.nanny(),
                memory_limit=memory or "auto", dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else 8787, often taken
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError, TimeoutError, ValueError) as error:
            if attempt == STARTS - 1:
                raise BenchError(
                    f"worker processes do not start, tried {STARTS} times: "
                    f"{error.__cause__ or error}",
                    "Nothing was lost. Run the same command again, or with --workers 1 to see "
                    "what is wrong.",
                ) from error
            time.sleep(PAUSE * attempt)
    raise AssertionError


def _cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
