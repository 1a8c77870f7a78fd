"""Worker processes: the same records as one process, and a death concerns one cell."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sweeps.run import execute
from bench.sweeps.workers.endings import Endings, gist, how

from sweep_plugin import write_toy
from sweep_support import assert_equal, records, sweep_of, swept

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def dask_set(values: dict[str, object]) -> contextlib.AbstractContextManager[object]:
    """Settings of dask for a while; what ``distributed`` adds to them must be there before."""
    import dask
    import distributed  # noqa: F401

    return dask.config.set(values)


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
def test_workers_hold_stimuli_out_as_one_process_does(data, tmp_path):
    """They hold no test label; each part of a subject is trained, shown and scored by itself."""
    asked = {"methods": "source-only,lda", "protocols": ["within"], "hold_out": "stimulus",
             "scale": "null"}
    swept(data, tmp_path / "one", **asked)
    state = swept(data, tmp_path / "two", workers=2, **asked)
    assert (state.counts["done"], state.exit_code) == (2, 0), state.problems
    assert_equal(tmp_path / "one", tmp_path / "two")
    for record in records(tmp_path / "two").values():
        assert [f["test_windows"] for f in record.folds] == [18, 18, 18]
        assert any("20 % of the training windows are lost" in n for n in record.notices)


@pytest.mark.usefixtures("forked_workers")
def test_a_look_that_lists_no_worker_kills_none(data, tmp_path):
    """The client's own look at the scheduler asks for no workers, here all the time.

    It shares an attribute with ``client.scheduler_info``, by which all of these cells were killed.
    """
    with dask_set({"distributed.client.scheduler-info-interval": "1ms"}):
        state = swept(data, tmp_path, seeds=4, workers=2, params={"toy": {"sleep": 0.2}})
    assert (state.counts["done"], state.left) == (4, 0), state.problems


@pytest.mark.usefixtures("forked_workers")
def test_a_cell_whose_worker_died_is_tried_once_more(data, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    lines: list[str] = []
    state = execute(sweep_of(data, tmp_path, methods="toy-dies-once,toy-crashes,toy-says",
                             seeds=[3], workers=2, lines=lines))
    assert (state.counts["done"], state.counts["killed"], state.left) == (2, 1, 0)
    assert capfd.readouterr().err.count("a warning of the method") == 3  # a fold each
    again = [line for line in lines if "is tried once more: worker" in line]
    assert sorted(line.partition(" ")[0] for line in again) == ["toy-crashes", "toy-dies-once"]
    assert any("killed from outside by SIGKILL (the system does so when memory" in a for a in again)
    (crashed,) = [r for r in records(tmp_path).values() if r.status == "killed"]
    assert re.search(r"worker \d died \d+ s into the cell: it crashed \(SIGSEGV, segmentation "
                     r"fault\).*its last words: Fatal Python error: Segmentation fault, in File .*"
                     r"; worker \d died of it before$", crashed.reason), crashed.reason
    assert 'sweep_plugin.py", line' in crashed.info["traceback"]
    assert " in fit" in crashed.info["traceback"]


@pytest.mark.slow
def test_a_worker_that_answers_nobody_is_waited_for(data, tmp_path):
    """Half a minute without a word, where dask would begin it anew after ten seconds."""
    with dask_set({"distributed.scheduler.worker-ttl": "1s"}):
        state = swept(data, tmp_path, methods="toy-silent", workers=2,
                      params={"toy-silent": {"sleep": 10}})
    assert (state.counts["done"], state.left) == (1, 0), state.problems


@pytest.mark.slow
def test_a_worker_that_answers_nobody_is_ended_when_its_time_is_over(data, tmp_path):
    began = time.monotonic()
    state = swept(data, tmp_path, methods="toy-silent", workers=2, timeout=5,
                  params={"toy-silent": {"sleep": 900}})
    assert (state.counts["killed"], state.left) == (1, 0)
    assert state.problems[0]["reason"] == "took longer than --timeout 5 s"
    assert time.monotonic() - began < 600  # and not as long as its first fold


@pytest.mark.slow
def test_a_stopped_worker_is_waited_for(data, tmp_path):
    """As on a machine that swaps: no sign of life for eight seconds, then the cell goes on."""
    import psutil

    sweep = sweep_of(data, tmp_path, seeds=2, workers=2, params={"toy": {"sleep": 0.5}})
    stopped: list[psutil.Process] = []
    since = [0.0]

    def show(state, line):
        if len(state.running) == 2 and not stopped:
            stopped.append(next(p for p in psutil.Process().children(recursive=True)
                                if "spawn_main" in " ".join(p.cmdline())))
            stopped[0].suspend()
            since[0] = time.monotonic()
        elif stopped and since[0] and time.monotonic() - since[0] > 8:
            stopped[0].resume()
            since[0] = 0.0

    sweep.show = show
    state = execute(sweep)
    assert stopped
    assert (state.counts["done"], state.left) == (2, 0), state.problems


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 4])
def test_cells_on_a_crowded_machine(tmp_path, kills):
    """``python tests/crowded.py`` does the same with 500 cells."""
    from crowded import check, crowded

    outcome = crowded(tmp_path, cells=40, beside=10, kills=kills, minutes=10)
    assert bool(kills) <= outcome.kills <= kills  # a fast machine is done before the last of them
    check(tmp_path, outcome)


def test_how_a_process_ended_in_words():
    assert how(None) == "the scheduler has lost it, and knows no more"
    assert how(3) == "its process ended itself with status 3"
    assert how(-signal.SIGABRT) == "it crashed (SIGABRT, aborted)"
    assert how(-signal.SIGTERM) == "killed from outside by SIGTERM"


def test_the_last_words_of_a_worker(tmp_path):
    endings = Endings(tmp_path)
    assert endings.words("tcp://127.0.0.1:5") == ""
    (tmp_path / "tcp-127-0-0-1-5.log").write_text("one\n\x1b[31mtwo\n\n")
    assert gist(endings.words("tcp://127.0.0.1:5")) == "[31mtwo"
    assert gist("") == ""


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


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_dies_between_computing_and_handing_over(data, tmp_path):
    """Dask would wait for that worker to compute it again."""
    state = swept(data, tmp_path, methods="toy-dies-late,toy", seeds=2, workers=2)
    assert (state.counts["killed"], state.counts["done"], state.left) == (2, 2, 0)
    assert all("died" in r.reason for r in records(tmp_path).values() if r.status == "killed")


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
    state = execute(sweep)
    assert killed
    assert (state.counts["killed"], state.counts["done"], state.left) == (0, 6, 0)
    swept(data, tmp_path / "calm", seeds=6, params={"toy": {"sleep": 0.3}})
    assert_equal(tmp_path / "calm", tmp_path)


def test_a_scheduler_that_is_not_there(data, tmp_path):
    began = time.monotonic()
    with pytest.raises(BenchError, match="no scheduler answers"):
        swept(data, tmp_path, cluster="tcp://127.0.0.1:1")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("error", [
    RuntimeError("Nanny failed to start."), TimeoutError("too slow"), OSError(12, "no memory"),
])
def test_a_pool_that_does_not_start_is_tried_again_and_then_given_up(
        error, monkeypatch, tmp_path):
    import distributed

    from bench.sweeps.workers import start as workers

    tries = []

    def cluster(**kwargs):
        tries.append(kwargs)
        if len(tries) < needed:
            raise error
        return "a pool"

    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    monkeypatch.setattr(workers, "PAUSE", 0.0)
    needed = workers.STARTS
    endings = Endings(tmp_path)
    assert workers._local(2, None, endings) == "a pool"
    assert [t["n_workers"] for t in tries] == [2] * workers.STARTS
    tries.clear()
    needed = workers.STARTS + 1
    with pytest.raises(BenchError, match="do not start, tried 5 times") as caught:
        workers._local(2, None, endings)
    assert "Nothing was lost" in caught.value.hint


@pytest.mark.slow
def test_a_pool_whose_workers_are_killed_while_it_starts(data, tmp_path):
    """It ends with a message or goes on, in time; the same command then finishes the plan."""
    import subprocess

    import psutil

    from sweep_support import command, environment, write_plan

    plan = write_plan(tmp_path / "sweep.toml", data, seeds=4)
    process = subprocess.Popen(
        command("sweep", plan, "--runs", tmp_path / "runs", "--workers", 2), text=True,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    until, kills = time.monotonic() + 40, 0
    while process.poll() is None and time.monotonic() < until:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    kills += 1
            except psutil.NoSuchProcess:
                pass
        time.sleep(0.05)
    out, _ = process.communicate(timeout=200)
    assert kills > 2
    assert process.returncode in (0, 1, 2), out
    assert "Traceback" not in out
    if process.returncode == 2:
        assert "worker processes do not start" in out
    again = subprocess.run(
        command("sweep", plan, "--runs", tmp_path / "runs", "--workers", 2), env=environment(),
        capture_output=True, text=True, timeout=200, check=False,
    )
    assert again.returncode == 0, again.stderr
    swept(data, tmp_path / "calm", seeds=4)
    assert_equal(tmp_path / "calm", tmp_path / "runs")


@pytest.mark.usefixtures("forked_workers")
def test_stacks_on_two_workers_give_what_single_cells_give(data, tmp_path):
    """Four seeds as stacks of two, pre-training included; then nothing is left to do."""
    asked = {"methods": "toy,toy-pretrained,toy-raises", "seeds": 4}
    swept(data, tmp_path / "one", stack=1, **asked)
    state = swept(data, tmp_path / "two", workers=2, stack=2, **asked)
    assert (state.counts["done"], state.counts["failed"]) == (8, 4)
    assert_equal(tmp_path / "one", tmp_path / "two")
    done = [r for r in records(tmp_path / "two").values() if r.status == "done"]
    assert {r.info["stack"] for r in done} == {2}
    again = swept(data, tmp_path / "two", workers=1, stack=4, retry="none", **asked)
    assert (again.earlier, again.left) == (12, 0)


@pytest.mark.slow
def test_a_stack_that_kills_its_worker_is_halved_until_the_culprit_is_found(data, tmp_path):
    asked = {"methods": "toy-dies-of-one", "seeds": 4}
    state = swept(data, tmp_path, workers=2, stack=4, **asked)
    assert (state.counts["done"], state.counts["killed"], state.left) == (3, 1, 0)
    killed = [r for r in records(tmp_path).values() if r.status == "killed"]
    assert [r.identity["seed"] for r in killed] == [2]
