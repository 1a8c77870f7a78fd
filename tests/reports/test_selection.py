"""The report of selection rules: paired with the last epoch, the oracle apart."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.reports import selection
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.store.records import Store

from records import HOSTILE, RECIPE, put

RULES = {"last": 0.0, "oracle": 0.1, "entropy": -0.05, "calibration-val": 0.02}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def choices(store: Store):
    (one,) = tables(collect(store, ReportOptions()), ReportOptions())
    return selection.choices(one)


def test_rules_are_paired_with_the_last_epoch(store):
    put(store, "scmm", [0.4, 0.6, 0.5], rules=RULES)
    put(store, "scmm", [0.5, 0.7, 0.6], seed=1, rules=RULES)
    found = choices(store)
    assert [c.rule for c in found] == ["last", "calibration-val", "entropy", "oracle"]
    assert [c.test.mean for c in found] == pytest.approx([0, 0.02, -0.05, 0.1])
    assert found[0].mean == pytest.approx(0.55)
    assert [c.chosen for c in found] == [True, False, False, False]
    assert found[1].epoch == pytest.approx(0.25)
    assert found[1].test.n == 3


def test_only_seeds_that_have_both_are_compared(store):
    put(store, "scmm", [0.4, 0.6], rules={"last": 0.0, "entropy": 0.1})
    put(store, "scmm", [0.1, 0.1], seed=1, rules={"last": 0.0})
    entropy = next(c for c in choices(store) if c.rule == "entropy")
    assert entropy.mean == pytest.approx(0.6)
    assert entropy.test.mean == pytest.approx(0.1)


def test_records_of_before_there_were_rules_are_passed_over(store):
    put(store, "scmm", [0.5, 0.5])
    with pytest.raises(BenchError, match="more than one selection rule"):
        selection.write(store, store.root / "out", ReportOptions())
    put(store, "dann", [0.5, 0.5], rules=RULES)
    assert {c.label for c in choices(store)} == {"dann"}


def test_files_say_what_is_simulated_and_what_is_not_ranked(store):
    put(store, "scmm", [0.4, 0.6], rules={**RULES, HOSTILE: 0.01}, simulated=RECIPE)
    paths = selection.write(store, store.root / "out", ReportOptions())
    assert {p.suffix for p in paths} == {".md", ".csv", ".png", ".pdf", ".svg"}
    text = (store.root / "out" / "selection.md").read_text()
    assert text.startswith("# Selection rules (simulated)")
    assert "*oracle, not ranked*" in text
    assert "<script" not in text
    assert "<img" not in text
    rows = list(csv.DictReader((store.root / "out" / "selection.csv").open()))
    assert {r["rule"] for r in rows} >= {"last", "oracle", "entropy"}
    assert not any(v.startswith(("=", "+", "@")) for r in rows for v in r.values())
    assert "simulated" in (store.root / "out" / "selection.svg").read_text()


def test_rules_of_another_layout_are_passed_over(store):
    record = put(store, "scmm", [0.4, 0.6], rules=RULES)
    record.selections = {"last": record.selections["last"], "x": [], "y": {"folds": [3, {}]},
                         "z": {"folds": [{"subject": 1, "scores": {"window": None}}]}}
    store.put(record)
    assert [c.rule for c in choices(store)] == ["last"]


def test_methods_without_epochs_are_left_out(store):
    record = put(store, "lr", [0.4, 0.6], rules={"last": 0.0, "oracle": 0.0})
    for outcome in record.selections.values():
        for fold in outcome["folds"]:
            fold.update(epoch=1, of=1)
    store.put(record)
    with pytest.raises(BenchError, match="more than one selection rule"):
        selection.write(store, store.root / "out", ReportOptions())
    put(store, "scmm", [0.4, 0.6], rules=RULES)
    assert {c.label for c in choices(store)} == {"scmm"}
    selection.write(store, store.root / "out", ReportOptions())
    text = (store.root / "out" / "selection.md").read_text()
    assert "| lr |" not in text
    assert "no epochs to choose from: lr." in text
