"""What a record tells of its software, machine and cost."""

from __future__ import annotations

import subprocess
import time

import pytest

from bench.cells.engine import run_cell
from bench.errors import SettingError
from bench.store import provenance as module
from bench.store.provenance import Meter, check_energy, device_name, git_state, provenance, versions
from bench.store.records import Store

from support import Means, cell_of, paired


def test_a_record_holds_versions_code_machine_and_cost(tmp_path):
    info = run_cell(cell_of(Means(), paired(), seed=3), Store(tmp_path)).info
    assert {"bench", "python", "numpy", "torch", "scikit-learn"} <= set(info["versions"])
    assert info["device_name"]
    assert info["seed_axes"]["axes"] == {"seed": "3"}
    assert len(info["seed_axes"]["sha256"]) == 64
    assert info["cpu_s"] >= 0
    assert info["device_s"] == info["cpu_s"]
    assert info["wall_s"] >= 0
    assert info["peak_memory_mb"] > 10
    assert "energy_wh" not in info
    assert "stack" not in info
    other = run_cell(cell_of(Means(), paired(), seed=4), Store(tmp_path)).info
    assert other["seed_axes"]["sha256"] != info["seed_axes"]["sha256"]


def test_the_state_of_a_checkout(tmp_path, monkeypatch):
    def git(*command):
        return subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x", *command],
            check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "bench" / "store").mkdir(parents=True)
    file = tmp_path / "bench" / "store" / "provenance.py"
    file.write_text("one")
    monkeypatch.setattr(module, "__file__", str(file))
    assert git_state.__wrapped__() is None
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "m")
    assert git_state.__wrapped__() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "beside.txt").write_text("untracked")
    assert git_state.__wrapped__()["dirty"] is False
    file.write_text("two")
    assert git_state.__wrapped__()["dirty"] is True
    monkeypatch.setenv("PATH", "")
    assert git_state.__wrapped__() is None


def test_it_costs_less_than_five_milliseconds_a_cell():
    provenance("cpu", {"seed": 0})
    began = time.process_time()
    for seed in range(20):
        with Meter("cpu", 1) as meter:
            meter.trained()
            provenance("cpu", {"seed": seed})
            meter.read()
    assert (time.process_time() - began) / 20 < 0.005
    assert versions() is versions()
    assert device_name("cpu")


def test_cells_of_a_stack_share_what_they_did_together():
    with Meter("cpu", 4) as meter:
        time.sleep(0.2)
        meter.trained()
        time.sleep(0.05)
        first, second = meter.read(), meter.read()
    assert first["wall_s"] == pytest.approx(0.1, abs=0.04)
    assert second["wall_s"] == pytest.approx(0.05, abs=0.03)


def test_energy_needs_codecarbon_and_is_off_without_being_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="CodeCarbon is not installed"):
        check_energy()


def test_energy_of_a_cell_without_the_network(tmp_path, monkeypatch, capfd):
    pytest.importorskip("codecarbon")
    import socket

    calls = []

    def none(*args, **kwargs):
        calls.append(args)
        raise OSError("a call over the network")

    monkeypatch.setattr(socket.socket, "connect", none)
    monkeypatch.setattr(socket, "getaddrinfo", none)
    info = run_cell(cell_of(Means(), paired()), Store(tmp_path), energy=True).info
    assert info["energy_wh"] >= 0
    assert calls == []
    assert "codecarbon" not in capfd.readouterr().err
