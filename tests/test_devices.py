"""Devices and precision, thought of on machines that this one is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import bench.sweeps.sweep
from bench.cells.engine import run_cell
from bench.devices import Found, arithmetic, devices, footprint, places
from bench.errors import SettingError, UnknownNameError
from bench.methods.scmm import SCMM
from bench.runs.lookup import check_options
from bench.runs.options import Options
from bench.store.records import Store
from bench.sweeps.run import execute

from support import cell_of, paired
from sweep_plugin import write_toy
from sweep_support import assert_equal, sweep_of, swept

FOUR = Found((16e9, 16e9, 8e9, 16e9))
APPLE = Found((), True)
PLAIN = Found()


@pytest.mark.parametrize(("text", "machine", "expected"), [
    ("cpu", PLAIN, ["cpu"]), ("cpu", FOUR, ["cpu"]),
    ("auto", PLAIN, ["cpu"]), ("auto", APPLE, ["mps"]),
    ("auto", FOUR, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
    ("cuda", FOUR, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
    ("CUDA:2", FOUR, ["cuda:2"]), ("cuda:3,1,3", FOUR, ["cuda:3", "cuda:1"]),
    ("mps", APPLE, ["mps"]),
])
def test_what_a_setting_stands_for(text, machine, expected):
    assert devices(text, machine) == expected


@pytest.mark.parametrize(("text", "machine", "message"), [
    ("abacus", FOUR, "none that is known"), ("cuda:", FOUR, "none that is known"),
    ("cuda:0;1", FOUR, "none that is known"), ("cuda", PLAIN, "no CUDA device"),
    ("cuda:0,4", FOUR, "4 CUDA devices"), ("mps", FOUR, "no MPS device"),
])
def test_what_is_not_there_is_refused(text, machine, message):
    with pytest.raises(SettingError, match=message):
        devices(text, machine)


@pytest.mark.parametrize(("chosen", "workers", "need", "expected"), [
    (["cpu"], 3, 0, ["cpu"] * 3),
    (["cuda:0"], 1, 1e9, ["cuda:0"]),
    (["cuda:0", "cuda:1"], 1, 1e9, ["cuda:0", "cuda:1"]),  # every GPU gets a worker
    (["cuda:0", "cuda:1"], 3, 1e9, ["cuda:0", "cuda:1", "cuda:0"]),
    (["cuda:0", "cuda:2"], 9, 4e9, ["cuda:0", "cuda:2", "cuda:0", "cuda:0"]),  # 12.8 and 6.4 GB
    (["cuda:0"], 4, 1e12, ["cuda:0"]),  # too large an estimate is no reason not to try
])
def test_workers_share_gpus_as_far_as_memory_goes(chosen, workers, need, expected):
    assert places(chosen, workers, need, FOUR) == expected


def test_a_workers_footprint_grows_with_its_windows():
    assert footprint(1e9) > footprint(1e6) > 0


def test_precision_is_checked_and_part_of_the_identity(tmp_path):
    with pytest.raises(UnknownNameError, match="float23"):
        check_options(Options(precision="float23"))
    ids = set()
    for precision in ("float32", "float64", "tf32", "bf16"):
        method = SCMM(SCMM.parse({"epochs": 1, "batch": 16, "fit_epochs": 1}))
        record = run_cell(cell_of(method, paired(), precision=precision), Store(tmp_path))
        assert record.identity["precision"] == precision
        ids.add(record.id)
        key = record.info["pretrained"]
        state, _ = Store(tmp_path).get_state(key)
        wide = precision == "float64"
        assert state["conv1.weight"].dtype == (torch.float64 if wide else torch.float32)
    assert len(ids) == 4


def test_settings_of_torch_are_put_back():
    assert torch.get_float32_matmul_precision() == "highest"
    with arithmetic("tf32", deterministic=True):
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ZeroDivisionError), arithmetic("bf16", deterministic=False):
        1 / (torch.get_float32_matmul_precision() != "medium")
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("clean_registry", "module_cache")
def test_a_sweep_on_two_gpus_gives_each_a_worker(tmp_path, monkeypatch):
    """Two made-up GPUs whose cells, made of NumPy, run all the same and name their device."""
    data = write_toy(tmp_path / "data")
    swept(data, tmp_path / "one", seeds=4)
    sweep = sweep_of(data, tmp_path / "two", seeds=4, workers=2)
    monkeypatch.setattr(bench.sweeps.sweep, "places", lambda chosen, workers, need: ["cpu", "auto"])
    given = []

    def show(state, line):
        given.append(len(state.running))

    sweep.show = show
    assert execute(sweep).exit_code == 0
    assert max(given) == 2
    assert_equal(tmp_path / "one", tmp_path / "two")


def test_a_device_that_is_nowhere_is_refused_before_anything_is_read(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(SettingError, match="no CUDA device"):
        swept(tmp_path, tmp_path / "runs", device="cuda")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SettingError, match="'abacus' cannot be used"):
        swept(tmp_path, tmp_path / "runs", device="abacus")


#: A process each, forked of one that has imported torch and made nothing. All but the user's own
#: begin with a library that gives large blocks back at once, wherever its heap happens to end.
FAULTS = """
import ctypes, os, resource, torch
from bench.devices import keep_memory
def step():
    made = [torch.ones(1_500_000) for _ in range(8)]
for how in ("kept", "freed", "theirs"):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    if how == "theirs":
        os.environ["MALLOC_TRIM_THRESHOLD_"] = "131072"
    elif hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(-3, 128 << 10)  # M_MMAP_THRESHOLD of malloc.h
    kept = how != "freed" and keep_memory()
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        step()
    print(how, int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
    os._exit(0)
"""


def test_a_step_takes_its_memory_from_the_step_before():
    """Pages that the system clears anew: none with the memory kept, a great many without."""
    pytest.importorskip("resource")
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=clean, check=True,
                          capture_output=True, text=True)
    found = {how: (int(kept), int(faults))
             for how, kept, faults in map(str.split, done.stdout.splitlines())}
    kept, faults = found["kept"]
    if not kept:
        pytest.skip("not glibc")
    assert faults * 20 < found["freed"][1]
    assert found["theirs"][0] == 0  # the user's own word
