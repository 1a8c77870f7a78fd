"""Kills at random moments, a full disk, a read-only folder: a plain rerun makes it whole."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep_plugin import write_toy
from sweep_support import assert_equal, command, environment, records, write_plan
from sweep_support import bench_process as bench

pytestmark = pytest.mark.slow

KILLS = 20


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """24 cells, some of them with a pre-training."""
    sleep = {"sleep": 0.05}
    return write_plan(
        tmp_path_factory.mktemp("plan") / "sweep.toml", data,
        methods=["toy", "toy-other", "toy-pretrained"], pairs=["TOYA->TOYB", "TOYB->TOYA"],
        seeds=4, params={"toy": sleep, "toy-other": sleep, "toy-pretrained": sleep},
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, plan: Path) -> Path:
    """What an undisturbed sweep gives."""
    runs = tmp_path_factory.mktemp("calm")
    shown = bench("sweep", plan, "--runs", runs)
    assert shown.returncode == 0, shown.stderr
    assert len(records(runs)) == 24
    return runs


def started(plan: Path, runs: Path, *more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("sweep", plan, "--runs", runs, *more), env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )


def at_work(process: subprocess.Popen[str], runs: Path) -> bool:
    """Wait until a sweep has taken the lock and begun; False if it ended before."""
    while process.poll() is None:
        status = runs / "sweep-status.json"
        if status.exists() and f'"pid": {process.pid}' in status.read_text():
            return True
        time.sleep(0.02)
    return False


def stored(runs: Path) -> int:
    return len(list((runs / "cells").glob("[0-9a-f]*/record.json")))


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_of_the_coordinator_at_random_moments(plan, calm, tmp_path, workers):
    """Each kill comes after up to two more records and a moment; whole folders are begun anew."""
    draw = random.Random(workers)
    runs, kills, folder, moments = tmp_path / "runs-0", 0, 0, []
    while kills < KILLS:
        process = started(plan, runs, "--workers", workers)
        if at_work(process, runs):
            enough = stored(runs) + draw.randint(0, 2)
            while process.poll() is None and stored(runs) < enough:
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        moments.append(stored(runs))
        if len(records(runs)) == 24:  # which also says that whatever is there is whole
            assert_equal(calm, runs)
            folder += 1
            runs = tmp_path / f"runs-{folder}"
    shown = bench("sweep", plan, "--runs", runs)
    assert shown.returncode == 0, shown.stderr
    assert_equal(calm, runs)
    print(f"{kills} kills over {folder + 1} sweeps, at {moments} records")


def test_kill_9_of_workers_at_random_moments(plan, calm, tmp_path):
    """Every 0.5 to 2.5 s, once the pool stands."""
    import psutil

    draw = random.Random(3)
    runs, kills, folder = tmp_path / "runs-0", 0, 0
    while kills < KILLS:
        process = subprocess.Popen(
            command("sweep", plan, "--runs", runs, "--workers", 2), env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        at_work(process, runs)
        while process.poll() is None and \
                '"running": {"worker' not in (runs / "sweep-status.json").read_text():
            time.sleep(0.05)
        while process.poll() is None and kills < KILLS:
            time.sleep(draw.uniform(0.5, 2.5))
            try:
                children = psutil.Process(process.pid).children(recursive=True)
                workers = [p for p in children if "spawn_main" in " ".join(p.cmdline())]
                if workers:
                    draw.choice(workers).send_signal(signal.SIGKILL)
                    kills += 1
            except psutil.NoSuchProcess:
                continue
        out, _ = process.communicate(timeout=300)
        assert process.returncode in (0, 1), out
        found = records(runs)
        assert len(found) == 24, out
        assert {r.status for r in found.values()} <= {"done", "killed"}
        assert all(r.reason for r in found.values() if r.status == "killed")
        shown = bench("sweep", plan, "--runs", runs)
        assert shown.returncode == 0, shown.stderr
        assert_equal(calm, runs)
        folder += 1
        runs = tmp_path / f"runs-{folder}"
    print(f"{kills} kills over {folder} sweeps")


@contextlib.contextmanager
def by_hand(port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a scheduler with two workers, all started by hand on loopback."""
    quiet = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port),
         "--no-dashboard"], **quiet)
    address = f"tcp://127.0.0.1:{port}"
    workers = [subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
         "--no-dashboard"], **quiet) for _ in range(2)]
    try:
        yield address, scheduler
    finally:
        for process in (*workers, scheduler):
            process.terminate()
        for process in (*workers, scheduler):
            process.wait(timeout=30)


def test_a_scheduler_and_workers_started_by_hand(plan, calm, tmp_path):
    with by_hand(28786) as (address, _):
        shown = bench("sweep", plan, "--runs", tmp_path / "runs", "--cluster", address)
    assert shown.returncode == 0, shown.stderr
    assert_equal(calm, tmp_path / "runs")


def test_a_scheduler_that_is_killed(plan, calm, tmp_path):
    """No cell is blamed for it, and a plain rerun goes on."""
    runs = tmp_path / "runs"
    with by_hand(28787) as (address, scheduler):
        process = subprocess.Popen(
            command("sweep", plan, "--runs", runs, "--cluster", address), env=environment(),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        while stored(runs) < 3:
            time.sleep(0.02)
            assert process.poll() is None
        scheduler.kill()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"the scheduler at {address} is gone" in out
    assert "Traceback" not in out, out
    assert 3 <= len(records(runs)) < 24
    assert {r.status for r in records(runs).values()} == {"done"}
    shown = bench("sweep", plan, "--runs", runs)
    assert shown.returncode == 0, shown.stderr
    assert_equal(calm, runs)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.name == "nt" or os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], check=False,
        capture_output=True,
    ).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(plan, calm, small_disk, tmp_path, workers):
    shown = bench("sweep", plan, "--runs", small_disk, "--workers", workers)
    assert shown.returncode == 1
    assert "No space left on device" in shown.stdout
    kept = records(small_disk)
    assert 0 < len(kept) < 24
    assert all(r.status == "done" for r in kept.values())
    shutil.copytree(small_disk, tmp_path / "moved")
    shown = bench("sweep", plan, "--runs", tmp_path / "moved")
    assert f"({len(kept)} of them before)" in shown.stdout
    assert_equal(calm, tmp_path / "moved")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_is_full_from_the_start(plan, small_disk, workers):
    """One message before the first cell."""
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    shown = bench("sweep", plan, "--runs", small_disk, "--workers", workers)
    assert shown.returncode == 2
    assert shown.stderr.count("cannot be written: No space left on device") == 1, shown.stderr
    assert "Traceback" not in shown.stderr
    assert not (small_disk / "cells").exists()


def test_a_folder_that_becomes_read_only(plan, calm, small_disk, tmp_path):
    """By mounting, since rights do not stop root."""
    cells = tmp_path / "runs" / "cells"
    process = subprocess.Popen(
        command("sweep", plan, "--runs", tmp_path / "runs"), env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    while len(list(cells.glob("*/record.json"))) < 3:
        time.sleep(0.02)
        assert process.poll() is None
    subprocess.run(["mount", "--bind", str(cells), str(cells)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(cells)], check=True)
        out, _ = process.communicate(timeout=120)
    finally:
        subprocess.run(["umount", str(cells)], check=True)
    assert process.returncode == 1
    assert "Read-only file system" in out
    shown = bench("sweep", plan, "--runs", tmp_path / "runs")
    assert shown.returncode == 0, shown.stderr
    assert_equal(calm, tmp_path / "runs")


def test_a_read_only_folder(plan, calm, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    shown = bench("sweep", plan, "--runs", small_disk)
    assert shown.returncode == 2
    assert "cannot be written: Read-only file system" in shown.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(plan, calm, heeded, tmp_path, workers):
    """It reaches every process of a terminal; only the coordinator speaks."""
    runs = tmp_path / "runs"
    process = subprocess.Popen(
        command("sweep", plan, "--runs", runs, "--workers", workers), env=environment(),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    while stored(runs) < 3:
        time.sleep(0.02)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: interrupted" in out
    assert "Traceback" not in out
    shown = bench("sweep", plan, "--runs", runs)
    assert shown.returncode == 0, shown.stderr
    assert_equal(calm, runs)
