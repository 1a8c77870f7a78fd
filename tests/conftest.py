"""Fixtures for all tests: a cache and settings of their own, a tiny simulated root, few threads."""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# One thread each, here and in the processes that tests start: the numbers then do not depend on
# how many cores there are, and parallel tests do not fight. Before torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("bench", derandomize=True, deadline=None, database=None)
settings.load_profile("bench")

CORPORA = ("SEED", "SEED-IV", "DEAP")


def pytest_collection_finish() -> None:
    """Libraries and thousands of tests are no garbage: the collector need not go through them."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's own cache and settings, or waits for the disk.

    The cache is shared by the processes that tests run in, as users share theirs. What is installed
    is read once: tests forget the registry a thousand times.
    """
    folder, base = tmp_path_factory.mktemp("home"), tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str((base.parent if parallel else base) / "cache"))
        patch.setenv("BENCH_CONFIG", str(folder / "config" / "corpora.json"))
        patch.setattr("os.fsync", lambda fd: None)  # that it is called, test_records.py shows
        patch.setattr("importlib.metadata.entry_points",
                      functools.cache(importlib.metadata.entry_points))
        yield


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three corpora, three subjects each, written once. Do not change it: copy it."""
    from bench.data.reading import simulate_corpus
    from bench.data.recipe import Recipe
    from bench.registry import load

    root = tmp_path_factory.mktemp("tiny") / "corpora"
    for name in CORPORA:
        simulate_corpus(load("corpora", name)(), root / name, Recipe(subjects=3, length=0.05))
    return root


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the module's own: nothing another module computed is found in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", autouse=True)
def _registry_of_the_module() -> Iterator[None]:
    """What a module's fixtures include is forgotten after its tests."""
    from bench import registry

    before = list(registry._included)
    yield
    registry._included[:] = before
    registry._tables.clear()


@pytest.fixture(scope="module")
def spying() -> Iterator[None]:
    """Methods of the module's tests may keep what they are handed: it is looked at afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.cells.guard.kept_by", lambda cls: {})
        yield


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test includes or plugs in is forgotten afterwards."""
    from bench import registry

    monkeypatch.setattr(registry, "_included", [])
    monkeypatch.setattr(registry, "_tables", {})


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, in a process and a folder of its own; see forked.py."""
    import forked

    return lambda *args: forked.bench(args, tmp_path, _environment())


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same, started as a user starts it: for one test of every command, and what is timed."""
    return lambda *args: subprocess.run(
        [sys.executable, "-m", "bench.cli", *map(str, args)], capture_output=True, text=True,
        cwd=tmp_path, timeout=300, check=False, env=_environment())


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a pool are forked of a process that has imported torch; users' import it each."""
    import multiprocessing

    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    import dask
    from distributed.utils import get_mp_context

    from bench.sweeps.workers import start

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context()  # else it sets what is imported, when a pool is first made
    multiprocessing.set_forkserver_preload([
        "distributed", "torch", "torch._dynamo", "sklearn.linear_model", "skada.metrics",
        "bench.sweeps.workers.worker", "bench.methods.source_only"])
    real = start._local

    def local(*given: Any) -> Any:
        # The server has the environment of its first pool.
        with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver",
                              "distributed.nanny.environ": dict(os.environ)}):
            return real(*given)

    monkeypatch.setattr(start, "_local", local)


@pytest.fixture(scope="session")
def committed() -> Callable[[Path], Path]:
    """Makes a folder a git checkout with one commit of all that is in it."""

    def commit(folder: Path) -> Path:
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "before"]):
            subprocess.run(
                ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org",
                 "-c", "commit.gpgsign=false", *arguments], check=True, capture_output=True,
            )
        return folder

    return commit


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C: a shell's background job ignores it, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
