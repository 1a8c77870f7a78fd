"""What ``bench new method`` writes installs, runs and passes its tests as it stands."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.cli.new import new_plugin
from bench.errors import BenchError, SettingError


def run(*command, cwd, **env):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", **env}, check=False,
    )


def install(folder: Path, into: Path) -> None:
    """What ``pip install --no-deps --target`` does, without pip or the network."""
    pytest.importorskip("setuptools")
    code = ("import sys; from setuptools.build_meta import build_wheel; "
            "print(build_wheel(sys.argv[1]))")
    into.mkdir()
    done = run("-c", code, into, cwd=folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    wheel.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("new") / "plugin"
    new_plugin("method", "my-method2", where)
    return where


def test_the_files(folder):
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*")) == [
        "README.md", "bench_my_method2.py", "pyproject.toml", "tests/test_bench_my_method2.py"]


def test_the_body_is_short(folder):
    tree = ast.parse((folder / "bench_my_method2.py").read_text())
    (method,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "MyMethod2"]
    assert method.end_lineno - method.lineno < 30


def test_its_own_tests_pass(folder):
    done = run("-m", "pytest", "-p", "no:cacheprovider", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_it_runs_by_include(folder, tmp_path):
    from bench import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_included", [])
        patch.setattr(registry, "_tables", {})
        registry.include(str(folder / "bench_my_method2.py"))
        from bench.runs.run import run as run_one

        from support import synthetic

        record = run_one("my-method2", synthetic(corpus="A", seed=1), synthetic(corpus="B", seed=2),
                         runs=tmp_path, params={"sharpness": "2"}, save_models=True,
                         controls=False)
    assert record.status == "done"
    assert len(record.folds) == 3


def test_it_is_listed_when_installed(folder, tmp_path):
    site = tmp_path / "site"
    install(folder, site)
    done = run("-m", "bench.cli", "list", "methods", "--json", cwd=tmp_path,
               PYTHONPATH=os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["my-method2"]["origin"] == "bench-my-method2"


def test_the_command(bench, process, tmp_path):
    done = process("new", "method", "mine")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bench-mine" / "bench_mine.py").is_file()
    assert "Check it: bench check bench-mine/bench_mine.py" in done.stdout
    again = bench("new", "method", "mine")
    assert again.returncode == 2
    assert "bench-mine is there and not empty" in again.stderr


@pytest.mark.parametrize("name", ["My", "my_method", "1st", "a--b", "a-", "", "../x", "é"])
def test_impossible_names_are_refused(name, tmp_path):
    with pytest.raises(SettingError, match="cannot be the name of a method"):
        new_plugin("method", name, tmp_path / "x")


@pytest.mark.parametrize("name", ["scmm", "method", "predictor", "none"])
def test_taken_names_are_refused(name, tmp_path):
    with pytest.raises(SettingError, match="take another"):
        new_plugin("method", name, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(BenchError, match="not empty"):
        new_plugin("method", "fine", tmp_path / "x")


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("new") / "plugin"
    new_plugin("corpus", "my-lab", where)
    return where


def test_a_corpus_passes_its_own_tests_and_is_listed_when_installed(corpus_folder, tmp_path):
    done = run("-m", "pytest", "-p", "no:cacheprovider", cwd=corpus_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    site = tmp_path / "site"
    install(corpus_folder, site)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = run("-m", "bench.cli", "list", "corpora", "--json", cwd=tmp_path, PYTHONPATH=path)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["MY-LAB"]["origin"] == "bench-my-lab"


def test_a_corpus_by_include_from_check_to_run(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "settings.json"))
    done = bench("new", "corpus", "my-lab")
    assert "Check it: bench check bench-my-lab/bench_my_lab.py" in done.stdout
    include = ("--include", "bench-my-lab/bench_my_lab.py")
    checked = bench("check", "bench-my-lab/bench_my_lab.py")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "MY-LAB: conforms" in checked.stdout
    made = bench("data", "simulate", "sim", *include, "--corpus", "MY-LAB", "--corpus", "SEED",
                 "--set", "subjects=2", "--set", "length=0.02")
    assert made.returncode == 0, made.stderr
    assert "MY-LAB (simulated): 2 recordings" in bench("data", "check", "sim", *include).stdout
    kept = bench("data", "set", *include, "MY-LAB=sim", "SEED=sim")
    assert kept.returncode == 0, kept.stderr
    edited = tmp_path / "bench-my-lab" / "bench_my_lab.py"
    digests = set()
    for _ in range(2):  # what read() gives is read anew when it is edited
        code = ("import bench; from bench.registry import include; include('bench-my-lab/"
                "bench_my_lab.py'); r = bench.read_corpus('MY-LAB', __import__('pathlib').Path("
                "'sim')); print(r.digest, r.windows.x.mean())")
        done = run("-c", code, cwd=tmp_path, BENCH_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
        edited.write_text(edited.read_text().replace("TrialSignal(i + 1, signal)",
                                                     "TrialSignal(i + 1, 3 * signal)"))
    assert len(digests) == 2
