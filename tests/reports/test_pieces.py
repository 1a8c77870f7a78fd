"""Trials that are pieces of longer recordings: whatever is made of their scores says so."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.reporting import ReportOptions, chosen_reports, write_reports
from bench.reports.run import show
from bench.reports.shared.cells import pieces_of
from bench.store.records import Store

from records import guesses, put, side

LAB = "LAB:classes"
PIECES = {"target": {**side(LAB), "pieces": {"LAB": 20.0}}}


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "runs")
    for method, scores in (("lda", [0.5, 0.6, 0.5, 0.6]), ("lr", [0.3, 0.6, 0.4, 0.6])):
        put(made, method, scores, target=LAB, classes=["rest", "task"], identity=PIECES,
            rules={"entropy": 0.05, "oracle": 0.1}, predictions=guesses(2))
    put(made, "target-only", [0.3, 0.5, 0.4, 0.5], kind="control", target=LAB,
        classes=["rest", "task"], identity=PIECES, predictions=guesses(2))
    return made


def test_every_table_and_plot_says_so(store, tmp_path):
    options = ReportOptions()
    for outcome in write_reports(store, tmp_path / "out", options, chosen_reports(options, ()),
                                 processes=1):
        assert outcome.report != "leaderboard" or not outcome.refusal
    files = [p for p in sorted((tmp_path / "out").rglob("*"))
             if p.suffix in (".md", ".tex", ".html", ".svg", ".json") and p.name[0] != "."
             and not p.name.startswith("published")]
    assert len(files) > 8
    assert [p.name for p in files if "pieces of" not in p.read_text()] == []
    head, *rows = (tmp_path / "out" / "leaderboard.csv").read_text().splitlines()
    assert head.endswith(",pieces")
    assert all(row.endswith(",LAB 20 s") for row in rows)


def test_a_run_says_so_and_others_do_not(store):
    record = next(r for r in store.records() if r.identity["method"] == "lda")
    screen = io.StringIO()
    show(record, Console(width=200, file=screen))
    said = screen.getvalue()
    assert "PIECES OF RECORDINGS" in said
    assert "(LAB 20 s)" in said
    plain = put(store, "svm", [0.5, 0.6])
    assert pieces_of(plain.identity) == ""


@pytest.mark.parametrize("hostile", [{"pieces": 3}, {"pieces": {"A": "x"}}, {"pieces": None}])
def test_marks_of_another_form_are_no_traceback(hostile):
    assert pieces_of({"source": None, "target": hostile}) == ""
