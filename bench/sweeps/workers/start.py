"""Worker processes of a sweep: a local pool, jobs of a batch system, or others' by a scheduler."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BenchError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, WorkerPlugin

    from ..sweep import Sweep

#: Times that a pool is tried to be started.
STARTS = 5
#: Seconds more to wait before each further try: whatever kills them may be over soon.
PAUSE = 1.0
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
          "VECLIB_MAXIMUM_THREADS")


@contextlib.contextmanager
def workers_of(sweep: Sweep) -> Iterator[tuple[Client, LocalCluster | None]]:
    """Workers for a sweep: those of a scheduler that runs, jobs, or a pool of its own.

    Yields
    ------
    client : distributed.Client
    cluster : distributed.LocalCluster or None
        The pool, where it is the sweep's own.

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
def _client(sweep: Sweep) -> Iterator[tuple[Client, LocalCluster | None]]:
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
        with batch.start() as cluster, Client(cluster) as client:
            yield client, None
        return
    workers = len(sweep.places())
    threads = max(1, _cores() // workers)
    with (
        dask.config.set({
            # A dead worker's cell is killed at once, not tried on the next worker.
            "distributed.scheduler.allowed-failures": 0,
            "distributed.nanny.pre-spawn-environ": dict.fromkeys(_POOLS, str(threads)),
            # One cell at a time: nothing to spill, and a paused worker would never go on.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
        }),
        _local(workers, options.memory) as cluster,
        Client(cluster) as client,
    ):
        # The scheduler hands it to workers that come later; one that dies now does not matter.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            client.register_plugin(_deaf_to_ctrl_c(), name="bench-ctrl-c")
        yield client, cluster


def _deaf_to_ctrl_c() -> WorkerPlugin:
    """Plugin of workers: Ctrl-C reaches all processes of a terminal, but is for the coordinator."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import signal

            with contextlib.suppress(ValueError):  # not in the main thread: then it is deaf anyway
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def _local(workers: int, memory: str | None) -> LocalCluster:
    """A pool of processes; tried again if one of them is killed before it has started."""
    from distributed import LocalCluster

    for attempt in range(STARTS):
        try:
            return LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True,
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
