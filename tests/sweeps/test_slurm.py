"""The [cluster] table: jobs of a batch system, here of one that runs them on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.errors import BenchError, SettingError
from bench.sweeps.request import read_request
from bench.sweeps.slurm import ClusterSpec

from batch import fake_slurm
from sweep_plugin import write_toy
from sweep_support import PLUGIN, assert_equal, bench, bench_process, records, sweep_of, swept


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A folder on PATH whose sbatch runs the script at once, and whose scancel ends it."""
    pytest.importorskip("dask_jobqueue")
    folder = tmp_path / "slurm"
    fake_slurm(folder)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.mark.usefixtures("module_cache")
def test_a_sweep_as_jobs_gives_the_records_of_one_process(slurm, tmp_path):
    from sweep_support import write_plan

    data = write_toy(tmp_path / "data")
    plan = write_plan(
        tmp_path / "sweep.toml", data, methods=["toy", "toy-pretrained"], seeds=3,
        cluster={}, params={"toy": {"sleep": 0.3}},  # the second job has to find work left
    )
    table = ('[cluster]\nkind = "slurm"\njobs = 2\ncores = 1\nmemory = "1GB"\n'
             'queue = "short"\nwalltime = "00:10:00"\ndirectives = ["--gres=none"]\n'
             'prologue = ["export OF_THE_JOB=yes"]\n')
    plan.write_text(plan.read_text() + table)
    shown = bench_process("sweep", plan, "--runs", tmp_path / "jobs")
    assert shown.returncode == 0, shown.stderr
    scripts = [p.read_text() for p in sorted(slurm.glob("*.job"))]
    assert len(scripts) == 2
    for line in ("#SBATCH -p short", "#SBATCH -t 00:10:00", "#SBATCH --cpus-per-task=1",
                 "#SBATCH --mem=954M", "#SBATCH --gres=none", "export OF_THE_JOB=yes",
                 "export OMP_NUM_THREADS=1"):
        assert line in scripts[0], scripts[0]
    assert (slurm / "cancelled").exists()
    assert len(records(tmp_path / "jobs")) == 6
    plan.write_text(plan.read_text().partition("[cluster]")[0])
    assert bench("sweep", plan, "--runs", tmp_path / "here").returncode == 0
    assert_equal(tmp_path / "here", tmp_path / "jobs")


#: Makes this process one with a GPU, if it is a job: what is asked of CUDA, the CPU does.
STAND_IN = """
CATALOGUE = []
import os
if "OF_THE_JOB" in os.environ:
    from bench.runs import build
    from bench.sweeps.workers import worker
    def devices(text):
        assert text == "cuda", text
        return ["cpu"]
    build.devices = worker.devices = devices
"""


def cuda_plan(tmp_path: Path, data: Path, **keys) -> Path:
    """Of two jobs with a GPU each, and a file that stands in for it there, and only there."""
    from sweep_support import write_plan

    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    plan = write_plan(tmp_path / "sweep.toml", data, seeds=3, device="cuda",
                      include=[str(PLUGIN), str(stand_in)], **keys)
    plan.write_text(plan.read_text() + '[cluster]\njobs = 2\nmemory = "1GB"\nqueue = "gpu"\n'
                    'directives = ["--gres=gpu:1"]\nprologue = ["export OF_THE_JOB=yes"]\n')
    return plan


@pytest.mark.usefixtures("module_cache")
def test_a_plan_for_cuda_workers_is_made_where_there_is_no_cuda(slurm, tmp_path):
    data = write_toy(tmp_path / "data")
    plan = cuda_plan(tmp_path, data)
    shown = bench("sweep", plan, "--runs", tmp_path / "runs", CUDA_VISIBLE_DEVICES="")
    assert shown.returncode == 0, shown.stderr
    done = records(tmp_path / "runs").values()
    assert [r.status for r in done] == ["done"] * 3
    assert "#SBATCH --gres=gpu:1" in (slurm / "tried").read_text()
    swept(data, tmp_path / "here", seeds=3)
    assert_equal(tmp_path / "here", tmp_path / "runs")


@pytest.mark.usefixtures("module_cache")
def test_jobs_without_the_device_are_one_mistake(slurm, tmp_path):
    plan = cuda_plan(tmp_path, write_toy(tmp_path / "data"))
    plan.write_text(plan.read_text().replace("OF_THE_JOB", "OF_NOBODY"))
    shown = bench("sweep", plan, "--runs", tmp_path / "runs", CUDA_VISIBLE_DEVICES="")
    assert shown.returncode == 2
    assert shown.stderr.count("device 'cuda' cannot be used") == 1, shown.stderr
    assert "no worker can run this plan; worker SLURMCluster-" in shown.stderr
    assert not list((tmp_path / "runs").glob("cells/*"))


@pytest.mark.usefixtures("clean_registry", "module_cache")
def test_jobs_that_end_before_a_worker_comes_are_not_waited_for(slurm, tmp_path, monkeypatch):
    from bench.sweeps.workers import pool

    monkeypatch.setattr(pool, "ASK", 0.5)
    (slurm / "squeue").write_text("#!/bin/sh\necho \"slurm_load_jobs error: Invalid job id\" >&2\n"
                                  "exit 1\n")
    (slurm / "squeue").chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "bench-sweep-1.err").write_text("no such module: python\n\n")
    state = swept(write_toy(tmp_path / "data"), tmp_path / "runs",
                  cluster={"python": "/bin/false", "logs": str(logs)})
    assert (state.left, state.exit_code) == (1, 1)
    assert state.stopped.startswith("all jobs have ended before a worker came; ")
    assert "bench-sweep-1.err: no such module: python\nLook at the jobs" in state.stopped


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="needs the command sbatch"):
        ClusterSpec().check()
    monkeypatch.setitem(sys.modules, "dask_jobqueue.slurm", None)
    with pytest.raises(SettingError, match="dask-jobqueue, which is not installed"):
        ClusterSpec().check()


def test_a_refused_job_says_why(slurm):
    ClusterSpec(queue="down").check()  # it would only have to wait
    with pytest.raises(BenchError, match="sbatch refused the job: .*Invalid partition name"):
        ClusterSpec(queue="nowhere").check()
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'too many jobs' >&2\nexit 1\n")
    with pytest.raises(BenchError, match="sbatch refused the job: .*too many jobs"):
        ClusterSpec().start()


def test_a_wrong_table_is_refused():
    with pytest.raises(SettingError, match="cluster"):
        read_request(None, {"methods": "toy", "cluster": {"kind": "pbs"}})
    with pytest.raises(SettingError, match="cluster"):
        read_request(None, {"methods": "toy", "cluster": {"que": "short"}})


@pytest.mark.parametrize(("table", "words"), [
    ({"memory": "lots"}, "cluster.memory = 'lots': is no amount of memory"),
    ({"memory": "50MB"}, "is less than 100 MB"),
    ({"memory": "150MB", "cores": 2, "workers_per_job": 2}, "for each of 2 workers"),
    ({"walltime": "soon"}, "cluster.walltime = 'soon': is neither HH:MM:SS nor"),
    ({"walltime": "01:60:00"}, "neither"),
    ({"walltime": "1-24:00:00"}, "neither"),
    ({"workers_per_job": 4}, "cluster.cores = 1: fewer than workers_per_job = 4"),
    ({"workers_per_job": 4, "cores": 3}, "cluster.cores = 3: fewer"),
])
def test_a_value_of_the_table_that_no_job_could_have_is_refused(table, words):
    with pytest.raises(SettingError, match=words):
        read_request(None, {"methods": "toy", "cluster": table})


def test_lengths_of_jobs_as_slurm_writes_them():
    for walltime in ("00:10:00", "100:00:00", "2-12:00:00"):
        assert ClusterSpec(walltime=walltime).walltime == walltime


@pytest.mark.usefixtures("clean_registry", "module_cache")
def test_a_plan_with_a_cluster_needs_no_device_here(tmp_path):
    data = write_toy(tmp_path / "data")
    sweep = sweep_of(data, tmp_path / "runs", device="cuda:3", cluster={"kind": "slurm"})
    assert sweep.processes
    assert swept(data, tmp_path / "other").exit_code == 0
