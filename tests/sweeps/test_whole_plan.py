"""What is wrong with a whole plan is one message, before anything is read, tuned or run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sweeps.executor import Executor
from bench.sweeps.run import check_first, execute

from sweep_plugin import write_toy
from sweep_support import sweep_of, swept

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def _occupied(tmp_path: Path) -> Path:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


#: What is asked for, in which surroundings, and what the one message says.
WHOLE = {
    "no device": ({"device": "cuda"}, {}, "device 'cuda' cannot be used"),
    "no device, workers": ({"device": "cuda", "workers": 2}, {}, "device 'cuda' cannot be used"),
    "no device to tune on": (
        {"device": "cuda", "cluster": {"kind": "slurm"}, "tune": {"trials": 1}}, {},
        "methods are tuned in this process, not by workers"),
    "no sbatch": ({"cluster": {"kind": "slurm"}}, {"PATH": "."}, "needs the command sbatch"),
    "no interface": ({"cluster": {"kind": "slurm", "interface": "ib7"}}, {},
                     "cluster.interface = 'ib7': this machine has no such network interface"),
    "no folder for logs": ({"cluster": {"kind": "slurm", "logs": "{file}/logs"}}, {},
                           "cluster.logs = '.*' cannot be written: Not a directory"),
    "unknown partition": ({"cluster": {"kind": "slurm", "queue": "nowhere"}}, {},
                          "sbatch refused the job: .*Invalid partition name specified"),
    "no scheduler": ({"cluster": "tcp://127.0.0.1:1"}, {}, "no scheduler answers at"),
    "jobs and workers": ({"cluster": {"kind": "slurm"}, "workers": 2}, {},
                         r"--workers 2 and the \[cluster\] table .* exclude each other"),
    "memory of others": ({"cluster": "tcp://127.0.0.1:1", "memory": "2GB"}, {},
                         "--memory bounds workers that the sweep itself starts"),
    "run folder a file": ({"runs": "{file}"}, {}, "cannot be written: File exists"),
    "no data": ({"data": "{file}/data"}, {}, "none of the 2 cells can be run: .*TOYA"),
    "no cache": ({}, {"BENCH_CACHE": "{file}"}, "none of the 2 cells can be run: .*TOYA"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_wrong_with_a_whole_plan_is_said_once(data, tmp_path, monkeypatch, name):
    """Before anything is run, and where it can be known before anything is read."""
    asked, surroundings, words = WHOLE[name]
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text("#!/bin/sh\necho 'allocation failure: Invalid partition name specified' >&2\n"
                      "exit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(sbatch.parent), prepend=os.pathsep)
    file = str(_occupied(tmp_path))

    def filled(value):
        if isinstance(value, dict):
            return {k: filled(v) for k, v in value.items()}
        return value.replace("{file}", file) if isinstance(value, str) else value

    for key, value in surroundings.items():
        monkeypatch.setenv(key, filled(value))
    asked = filled(asked)
    runs = Path(asked.pop("runs", tmp_path / "runs"))
    folder = Path(asked.pop("data", data))
    if name not in ("no data", "no cache"):
        monkeypatch.setattr(Executor, "cell", _nothing_is_read)
    lines: list[str] = []
    with pytest.raises(BenchError, match=words) as caught:
        whole(folder, runs, lines, seeds=2, **asked)
    assert caught.value.hint
    assert lines == []
    assert not list(tmp_path.glob("runs/cells/*"))


def _nothing_is_read(*args, **kwargs):
    raise AssertionError("something was read")


def whole(data, runs, lines, **asked):
    """As ``bench sweep`` goes about it."""
    sweep = sweep_of(data, runs, lines=lines, **asked)
    check_first(sweep.plan.request, sweep.options, sweep.memo)
    execute(sweep)


def test_a_finished_sweep_of_jobs_needs_no_sbatch(data, tmp_path, monkeypatch):
    swept(data, tmp_path, seeds=2)
    monkeypatch.setenv("PATH", ".")
    state = swept(data, tmp_path, seeds=2, cluster={"kind": "slurm"})
    assert (state.earlier, state.exit_code) == (2, 0)


def test_a_corpus_that_is_missing_fails_its_cells_only(tmp_path):
    data = write_toy(tmp_path / "data", ("TOYA", "TOYB"))
    state = swept(data, tmp_path / "runs", pairs=["TOYA->TOYB", "TOYC->TOYB"], seeds=2)
    assert (state.counts["done"], state.counts["failed"]) == (2, 2)
    stopped = swept(data, tmp_path / "runs", pairs=["TOYA->TOYB", "TOYC->TOYB"], seeds=2,
                    fail_fast=True)
    assert stopped.stopped.startswith("--fail-fast: toy  TOYC")
