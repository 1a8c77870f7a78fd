"""Keywords that editors complete are those that are taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.errors import BenchError, SettingError, UnknownNameError

import keywords

pytestmark = pytest.mark.usefixtures("clean_registry")
SIMULATED = {"simulated": True, "recipe": {"subjects": 3, "length": 0.02}, "scale": "null",
             "controls": False}


def test_they_are_the_options():
    assert keywords.PATH.read_text(encoding="utf-8") == keywords.text(), \
        "run: python tests/keywords.py"


@pytest.mark.parametrize("call", [bench.run, bench.tune, bench.audit])
def test_an_unknown_one_is_refused_with_the_nearest(call, tmp_path):
    with pytest.raises(UnknownNameError, match="no option named 'simulatd'") as said:
        call("lda", "SEED", "DEAP", simulatd=True, runs=tmp_path)
    assert "'simulated'" in said.value.hint


def test_what_a_command_has_as_a_flag_is_a_keyword(tmp_path):
    """Not only in an object beside. A cluster is a plan's table, or an address."""
    state = bench.sweep(methods="majority", pairs=["SEED->DEAP"], **SIMULATED, runs=str(tmp_path),
                        retry="none", options=bench.SweepOptions(runs="elsewhere", fail_fast=True))
    assert (state.runs, state.counts["done"]) == (tmp_path, 1)
    with pytest.raises(SettingError, match="no key 'cluster.nonsense'"):
        bench.sweep(methods="majority", cluster={"nonsense": 2})
    with pytest.raises(BenchError, match="no scheduler answers at tcp://127.0.0.1:1"):
        bench.sweep(methods="majority", cluster="tcp://127.0.0.1:1", **SIMULATED, runs=tmp_path)
    (lr,) = bench.tune("lr", trials=2, only="C", runs=tmp_path, **SIMULATED)
    assert lr.tuned.trials == 2
    assert list(lr.tuned.searched) == ["C"]
    path = bench.audit("lda", seeds=1, only="test-scaler", runs=tmp_path, **SIMULATED)
    found = json.loads(path.read_text())
    assert len(found["honest"]) == 1
    assert [entry["name"] for entry in found["entries"]] == ["test-scaler"]
    with pytest.raises(SettingError, match="an audit is of several seeds"):
        bench.audit("lda", seed=2, runs=tmp_path)


@pytest.mark.parametrize(("call", "wrong", "near"), [
    (bench.sweep, "worker", "workers"), (bench.tune, "trial", "trials"),
    (bench.audit, "seedz", "seeds"),
])
def test_a_flag_that_is_nearly_right_is_answered_with_it(call, wrong, near):
    with pytest.raises(UnknownNameError, match=f"no option named '{wrong}'") as said:
        call(**{wrong: 2})
    assert f"'{near}'" in said.value.hint


def test_a_name_alone_is_no_list_of_letters():
    options = bench.Options(include="a.py,b.py", map="low=calm", runs="x", data="y")
    assert (options.include, options.map) == (["a.py", "b.py"], ["low=calm"])
    assert (options.runs.name, options.data.name) == ("x", "y")
    assert bench.Options(data="~/y").data == Path.home() / "y"


SCRIPT = """
import bench
bench.run("lda", simulated=True, runs="x", threshold={"DEAP": 4.5})
bench.run("lda", simulatd=True)  # wrong
bench.run("lda", seed="0")  # wrong
bench.tune("lda", scale=1)  # wrong
bench.audit("lda", sessions="second")  # wrong
bench.sweep(methods="lda", seeds=5, pairs=["SEED->DEAP"])
bench.sweep(methods="lda", seeds="5")  # wrong
bench.sweep(method="lda")  # wrong
bench.sweep(methods="lda", runs="x", workers=2, stack=None)
bench.sweep(methods="lda", workers="two")  # wrong
bench.tune("lda", trials=4, only="C")
bench.tune("lda", trials="4")  # wrong
bench.audit("lda", seeds=2, only=["test-scaler"], draws=3)
bench.audit("lda", draws="3")  # wrong
bench.leaderboard("runs", metric="auroc", pairs=["SEED->DEAP"], methods=("lda",)).wide()
bench.leaderboard("runs", metrics="auroc")  # wrong
bench.leaderboard(unit=3)  # wrong
bench.leaderboard(protocols=1)  # wrong
"""


@pytest.mark.slow
def test_type_checkers_see_them(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"),
         "--ignore-missing-imports", "--follow-imports=silent", str(script)],
        capture_output=True, text=True, check=False, cwd=keywords.PATH.parents[2])
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    wrong = {n for n, line in enumerate(SCRIPT.splitlines(), 1) if "# wrong" in line}
    assert found == wrong, done.stdout
