"""What a cell will take, from a few timed steps."""

from __future__ import annotations

import pytest

from bench.protocols.few_shot import FewShot
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.runs import timed
from bench.runs.options import Options
from bench.runs.timed import seconds_by_steps, seconds_of_cell, subjects_of


def method(name, **values):
    cls = load("methods", name)
    return cls(cls.parse(values))


def test_steps_before_the_head_count_once_and_those_after_it_for_each_fold(monkeypatch):
    def tried(method, protocol, pair, budget):
        return (0.1 + 0.01 * budget.pretrain + 0.02 * budget.fit,
                {"before": budget.pretrain, "after": budget.fit})

    monkeypatch.setattr(timed, "_tried", tried)
    found = seconds_of_cell(method("source-only"), FewShot(), "table", 6)
    assert found == pytest.approx(120 * 0.01 + 6 * (40 * 0.02 + 0.1))
    found = seconds_of_cell(
        method("source-only", epochs=10, windows_per_epoch=1000, batch=256, fit_steps=70),
        FewShot(), "published", 6)
    assert found == pytest.approx(10 * 4 * 0.01 + 6 * (70 * 0.02 + 0.1))


def test_a_network_is_timed_and_what_is_none_is_not():
    # A simulated plan also has what is no method: the best attainable score.
    cells = [(name, {}, "few-shot", {}) for name in ("attainable", "scmm", "lr", "scmm")]
    found, others = seconds_by_steps(cells, "table", 2, limit=-1.0)  # one is timed in any case
    assert list(found) == ["scmm"]
    assert 0 < found["scmm"] < 600
    assert others == {}


def test_what_there_is_no_time_for_is_taken_for_as_long(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timed.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(timed, "seconds_of_cell", lambda *a: {"scmm": 4.0, "mae": 8.0}[a[0].name])
    cells = [(name, {}, "few-shot", {}) for name in ("scmm", "mae", "lr", "dann", "simclr")]
    assert seconds_by_steps(cells, "table", 2, limit=1.5) == (
        {"scmm": 4.0, "mae": 8.0}, {"dann": 6.0, "simclr": 6.0})


def test_what_cannot_be_tried_is_unknown():
    assert seconds_of_cell(method("scmm", backbone="eegnet"), FewShot(), "table", 2) is None
    assert seconds_of_cell(method("dann"), ZeroShot(), "table", 2) is None


def test_people_are_counted_by_the_recipe_or_the_files(tmp_path):
    options = Options(simulated=True, scale="demo", recipe={"subjects": 4})
    assert subjects_of("SEED:3", options) == 4
    assert subjects_of("SEED:3", Options(data=tmp_path)) == 15
