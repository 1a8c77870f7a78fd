"""bench report draws what something changed for, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import reporting
from bench.errors import SettingError, UnknownNameError
from bench.reporting import ReportOptions, chosen_reports, write_reports
from bench.store.records import Store

from records import put

NAMES = ("leaderboard", "heatmap", "calibration")
OPTIONS = ReportOptions(formats=("csv", "md", "png"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "runs")
    put(store, "scmm", [0.6, 0.7])
    put(store, "dann", [0.5, 0.6])
    return store


def drawn(store: Store, options: ReportOptions = OPTIONS, names=NAMES) -> dict[str, bool]:
    """Which reports were run now."""
    out = store.root / "report"
    return {o.report: o.fresh for o in write_reports(Store(store.root), out, options, names)}


def test_a_second_report_draws_nothing_and_says_the_same(store):
    out = store.root / "report"
    first = list(write_reports(store, out, OPTIONS, NAMES))
    times = {p: p.stat().st_mtime_ns for o in first for p in o.files}
    second = list(write_reports(Store(store.root), out, OPTIONS, NAMES))
    assert [(o.report, o.files, o.refusal) for o in second] == [
        (o.report, o.files, o.refusal) for o in first]
    assert not any(o.fresh for o in second)
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert first[2].refusal.startswith("no method")


def test_what_changed_is_drawn(store):
    out = store.root / "report"
    assert all(drawn(store).values())
    (out / "heatmap.png").unlink()
    assert drawn(store) == {"leaderboard": False, "heatmap": True, "calibration": False}
    (out / "leaderboard.md").write_text("edited")
    assert drawn(store)["leaderboard"]
    assert "scmm" in (out / "leaderboard.md").read_text()
    put(store, "mae", [0.4, 0.4])
    assert all(drawn(store).values())
    assert "mae" in (out / "leaderboard.md").read_text()
    record = store.get(next(store.records()).id)
    os.utime(record.path / "record.json", (1, 1))
    assert all(drawn(store).values())
    assert not any(drawn(store).values())


def test_options_code_and_published_figures_count(store, tmp_path, monkeypatch):
    drawn(store)
    assert drawn(store, ReportOptions(unit="trial", formats=OPTIONS.formats))["heatmap"]
    # The file of the other unit lies there now.
    assert drawn(store)["heatmap"]
    extra = tmp_path / "own.csv"
    extra.write_text("a")
    named = ReportOptions(published=(extra,), formats=OPTIONS.formats)
    drawn(store, named)
    assert not any(drawn(store, named).values())
    extra.write_text("b")
    assert all(drawn(store, named).values())
    monkeypatch.setattr(reporting, "_code", lambda name: ["edited"])
    assert all(drawn(store, named).values())


def test_pictures_that_no_longer_belong_are_removed(store):
    out = store.root / "report"
    put(store, "scmm", [0.6, 0.7], protocol="zero-shot", access="none")
    drawn(store)
    assert (out / "heatmap-2.png").is_file()
    theirs = out / "heatmap-3.png"
    theirs.write_text("somebody's own")
    drawn(store, ReportOptions(protocols=("zero-shot",), formats=("png",)))
    assert (out / "heatmap.png").is_file()
    assert not (out / "heatmap-2.png").exists()
    assert theirs.is_file()
    assert (out / "leaderboard.md").is_file()


def test_a_damaged_memory_is_forgotten(store):
    drawn(store)
    for text in ("", "[]", '{"a": 1}', '{"a": {"files": 3}}'):
        (store.root / "report" / reporting.MEMORY).write_text(text)
        assert all(drawn(store).values())


def test_every_report_that_writes_files_names_its_formats():
    found = chosen_reports(ReportOptions())
    assert {"leaderboard", "html", "selection", "embedding", "scalp"} <= set(found)
    assert not {"terminal", "run", "frame"} & set(found)


def test_the_gallery_shows_every_picture():
    from bench.registry import entries

    docs = Path(__file__).parents[1] / "docs"
    page = (docs / "gallery.md").read_text()
    drawn = {n for n, e in entries("reports").items() if "png" in e.formats}
    told = {n for n in drawn if f"pictures/{n}.png" in page and f"**`{n}`**" in page}
    assert told == drawn
    large = [p.name for p in (docs / "pictures").glob("*.png") if p.stat().st_size > 200_000]
    assert large == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_several_processes_draw_the_same(store, monkeypatch):
    monkeypatch.setattr(reporting, "MANY", 1)
    found = {}
    for processes in (1, 2):
        out = store.root / f"report-{processes}"
        outcomes = list(write_reports(store, out, OPTIONS, NAMES, processes))
        found[processes] = (
            [(o.report, [p.name for p in o.files], o.fresh, o.refusal) for o in outcomes],
            {p.name: p.read_bytes() for o in outcomes for p in o.files},
        )
        assert not any(
            o.fresh for o in write_reports(Store(store.root), out, OPTIONS, NAMES, processes)
        )
    assert found[1] == found[2]


def test_reports_are_chosen_by_name():
    options = ReportOptions(formats=("csv",))
    assert set(chosen_reports(options)) < set(chosen_reports(ReportOptions()))
    assert chosen_reports(options, ["terminal"]) == []
    assert chosen_reports(options, ["selection", "terminal"]) == ["selection"]
    assert chosen_reports(ReportOptions(), ["json", "html", "json"]) == ["json", "html"]
    with pytest.raises(UnknownNameError, match="no report named 'heatmp'\nDid you mean 'heatmap'"):
        chosen_reports(options, ["selection", "heatmp"])
    with pytest.raises(SettingError, match="--only html with --format csv.*\n.* of html: html"):
        chosen_reports(options, ["html"])
    with pytest.raises(SettingError, match="frame: this report writes no files"):
        chosen_reports(options, ["frame"])
