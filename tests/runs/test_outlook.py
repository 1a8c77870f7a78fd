"""Time left over all stages of a run, and what is said before a long one."""

from __future__ import annotations

import pytest

from bench.cells.cell import Event
from bench.registry import load
from bench.runs.outlook import Outlook, said_of_scale, stage_steps

from support import cell_of


def cell(name, **changes):
    method = load("methods", name)
    return cell_of(method(method.parse({})), **changes)


def test_each_training_stands_for_its_steps():
    assert stage_steps(cell("scmm", scale="demo")) == [420, 100]
    assert stage_steps(cell("scmm", scale="demo", selection="calibration-val")) == [
        420, 100, 420, 100]
    assert stage_steps(cell("lda", scale="demo")) == [5]
    assert stage_steps(cell("target-only", scale="demo")) == [100]
    assert len(stage_steps(cell("scmm", scale="published"))) == 2


def test_what_is_left_takes_as_long_as_it_did_so_far():
    told, now = [], [0.0]
    outlook = Outlook(told.append, lambda: now[0])
    outlook.expect([cell("scmm", scale="demo"), cell("target-only", scale="demo")])  # 620 steps

    def at(seconds, stage, done, total=10):
        now[0] = seconds
        outlook(Event(stage, done, total, "", "epoch"))
        return told[-1].left

    outlook.begin()
    assert at(0, "pre-training scmm", 0) is None
    assert at(1, "pre-training scmm", 5) is None  # too early to say
    assert at(105, "pre-training scmm", 5) == pytest.approx(105 * 410 / 210)
    assert at(260, "calibrating scmm", 10) == pytest.approx(50)
    outlook.begin()
    assert at(310, "calibrating target-only", 10) == 0
    outlook(Event("a notice", 0, 0))
    assert told[-1] == Event("a notice", 0, 0)


def test_a_long_run_says_its_scale_and_cost_before(tmp_path):
    assert said_of_scale(cell("scmm", scale="demo"), None) == ""
    assert said_of_scale(cell("lda", scale="published"), None) == ""
    said = said_of_scale(cell("scmm", scale="published"), None)
    assert said.startswith("scale published: as many epochs as the parameters say, which takes "
                           "minutes to hours; --scale demo")
    assert "90 min the last time here" in said_of_scale(cell("scmm", scale="published"), 5400.0)
