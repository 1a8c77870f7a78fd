"""Worker processes: the same records as one process, and a death concerns one cell."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from sweep_plugin import write_toy
from sweep_support import assert_equal, records, sweep_of, swept

from bench.errors import BenchError

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def test_two_workers_give_what_one_process_gives(data, tmp_path, monkeypatch):
    asked = {"methods": "toy,toy-raises,toy-pretrained", "pairs": "all", "seeds": 2,
             "controls": True,
             "params": {"toy-pretrained": [{"noise": 0.1}, {"noise": 0.2}]}}
    swept(data, tmp_path / "one", **asked)
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    state = swept(data, tmp_path / "two", workers=2, **asked)
    assert (state.left, state.counts["failed"], state.exit_code) == (0, 4, 1)
    assert_equal(tmp_path / "one", tmp_path / "two")
    # Two variants share each pre-training, whichever worker comes first.
    assert len((tmp_path / "trace").read_text().splitlines()) == 4


@pytest.mark.slow
def test_workers_that_die_hang_or_eat_memory(data, tmp_path):
    state = swept(
        data, tmp_path, methods="toy,toy-dies,toy-hangs,toy-hungry", seeds=1, workers=2,
        timeout=15, memory="800MB",
    )
    assert (state.counts["done"], state.counts["killed"], state.left) == (1, 3, 0)
    why = {r.identity["method"]: r.reason for r in records(tmp_path).values()}
    assert why["toy"] == ""
    assert "died" in why["toy-dies"]
    assert why["toy-hangs"] == "took longer than --timeout 15 s"
    assert "out of memory" in why["toy-hungry"]
    assert "0.8 GB" in why["toy-hungry"]


@pytest.mark.slow
def test_a_worker_killed_from_outside(data, tmp_path):
    sweep = sweep_of(data, tmp_path, seeds=6, workers=2, params={"toy": {"sleep": 0.3}})
    killed: list[int] = []

    def show(state, line):
        if len(state.running) == 2 and state.counts["done"] >= 2 and not killed:
            import psutil

            workers = [p for p in psutil.Process().children(recursive=True)
                       if "spawn_main" in " ".join(p.cmdline())]
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    sweep.show = show
    state = sweep.run()
    assert killed
    assert (state.counts["killed"], state.counts["done"], state.left) == (1, 5, 0)
    again = swept(data, tmp_path, seeds=6, params={"toy": {"sleep": 0.3}})
    assert (again.earlier, again.exit_code) == (5, 0)
    swept(data, tmp_path / "calm", seeds=6, params={"toy": {"sleep": 0.3}})
    assert_equal(tmp_path / "calm", tmp_path)


def test_a_scheduler_that_is_not_there(data, tmp_path):
    began = time.monotonic()
    with pytest.raises(BenchError, match="no scheduler answers"):
        swept(data, tmp_path, cluster="tcp://127.0.0.1:1")
    assert time.monotonic() - began < 30
