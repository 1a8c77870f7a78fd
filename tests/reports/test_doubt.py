"""No report says more than its subjects know: n beside every ±, nothing of two, what was missed."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from rich.console import Console

from bench.reporting import ReportOptions
from bench.reports import heatmap, significance
from bench.reports.latex import write as write_latex
from bench.reports.leaderboard import render, write
from bench.reports.run import show
from bench.reports.shared.against import over_all_pairs
from bench.reports.shared.cells import collect
from bench.reports.shared.power import sensitivity, too_few
from bench.reports.shared.table import tables
from bench.scoring.inference import mean_interval, paired
from bench.scoring.power import detectable
from bench.store.records import Store

from records import PAIRS, body, put, sweep


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def screen(what, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    what(console)
    return console.export_text()


def leaderboard(store, width=100):
    return screen(lambda c: c.print(render(store, ReportOptions())), width)


def whole(text):
    return " ".join(text.split())


def only(store):
    (table,) = tables(collect(store, ReportOptions()), ReportOptions())
    return table


def scored(store, n, gain=0.0, spread=0.03, **where):
    rng = np.random.default_rng(n)
    base = 0.6 + rng.normal(0, 0.05, n)
    put(store, "scmm", (base + gain + rng.normal(0, spread, n)).tolist(), **where)
    put(store, "target-only", base.tolist(), kind="control", params={"network": "scmm"}, **where)


def test_controls_of_one_name_are_told_apart(store):
    """Logistic regression with other parameters has plain learning beside it and its own twin."""
    record = put(store, "lr", [0.5, 0.6, 0.7], params={"max_iter": 2})
    record.controls = [
        put(store, "target-only", scores, kind="control",
            params={"network": "lr", "C": "auto", "max_iter": most})
        for most, scores in ((1000, [0.6, 0.6, 0.7]), (2, [0.5, 0.5, 0.7]))
    ]
    shown = screen(lambda c: show(record, c), 80)
    assert "…" not in shown
    text = whole(shown)
    for what, name in (("Against plain learning: −3.3", "target-only LR; "),
                       ("What the source was worth: +3.3", "target-only LR [max_iter=2]; ")):
        assert f"{what} points balanced accuracy per window (lr − {name}" in text


class TestN:
    def test_stands_over_every_column_and_beside_what_misses_subjects(self, store, tmp_path):
        scored(store, 6)
        put(store, "dann", [0.5, 0.6, 0.7])
        write(store, tmp_path, ReportOptions())
        text = (tmp_path / "leaderboard.md").read_text()
        assert "SEED:3→DEAP:valence (n = 6)" in text
        assert "| dann | 60.0† ± 10.0 (n = 3) |" in text
        shown = leaderboard(store)
        assert "n = 6" in shown
        assert re.search(r"60.0† ±10.0 n = 3", shown)
        write_latex(store, tmp_path, ReportOptions())
        tex = (tmp_path / "leaderboard.tex").read_text()
        assert r"\\$n = 6$" in tex
        assert r"$\pm$10.0 ($n$ 3)" in tex

    def test_stands_in_the_heat_map(self, store, tmp_path):
        scored(store, 6)
        heatmap.write(store, tmp_path, ReportOptions(formats=("svg",)))
        made = heatmap.matrices(only(store))
        assert made[0].squares[0][0].subjects == 6

    def test_stands_on_the_page(self, store, tmp_path):
        from bench.reports.html import write as write_page

        scored(store, 6)
        (path, *_) = write_page(store, tmp_path, ReportOptions())
        (column,) = body(path)["tables"][0]["columns"]
        assert len(column["subjects"]) == 6
        assert "n = 6" in column["tex"]

    def test_stands_on_the_screen_of_a_run(self, store):
        record = put(store, "scmm", [0.6, 0.7, 0.65, 0.7])
        record.folds[0]["scores"]["trial"]["auroc"] = None
        lines = screen(lambda c: show(record, c)).splitlines()
        per_window, per_trial = (
            line.split() for line in lines if line.split()[:1] == ["scmm"] and "±" in line
        )
        assert per_window[-1] == per_trial[-1] == "4"
        assert per_trial[-3:-1] == ["(n", "3)"]


@pytest.mark.parametrize("n", [1, 2])
def test_of_two_subjects_nothing_is_said(store, tmp_path, n):
    scored(store, n, gain=0.3, spread=0.001)
    put(store, "dann", [0.2] * n)
    write(store, tmp_path, ReportOptions())
    with (tmp_path / "leaderboard.csv").open() as file:
        assert {row["se"] for row in csv.DictReader(file)} == {""}
    with (tmp_path / "against_target_only.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["low"] == row["high"] == row["detectable"] == ""
    significance.write(store, tmp_path, ReportOptions())
    text = (tmp_path / "significance.md").read_text()
    assert " to +" not in text.split("\n- ")[0]
    assert "**" not in text
    shown = whole(leaderboard(store))
    assert "With fewer than 3 there is no interval either" in shown
    record = put(store, "scmm", [0.7, 0.75][:n])
    record.controls = [put(store, "target-only", [0.4, 0.45][:n], kind="control",
                           params={"network": "scmm"})]
    said = whole(screen(lambda c: show(record, c)))
    assert "standard error" not in said
    assert "interval" not in said
    assert "too few to tell how sure that is" in said


def test_three_subjects_get_students_interval(store):
    record = put(store, "scmm", [0.6, 0.7, 0.8])
    low, high = (100 * v for v in mean_interval([0.1, 0.2, 0.3]))
    said = whole(screen(lambda c: show(record, c)))
    assert f"95 % interval {low:+.1f} to {high:+.1f}, 3 subjects".replace("-", "−") in said


class TestSeveralPairs:
    def test_interval_is_that_of_subjects_within_corpora(self, store, tmp_path):
        sweep(store, seeds=1)
        table = only(store)
        (pooled,) = over_all_pairs(table)
        control = next(r for r in table.controls if r.key.method == "target-only")
        method = next(r for r in table.methods if r.label == "scmm")
        gains = {}
        for column in table.columns:
            for subject, score in method.values[column].subjects.items():
                other = control.values[column].subjects[subject]
                gains.setdefault((column.target, subject), []).append(score - other)
        means = [np.mean(v) for v in gains.values()]
        expected = mean_interval(means, [target for target, _ in gains])
        assert pooled.test.n == len(means) == 12  # and not 24 rows
        assert pooled.corpora == 3
        assert pooled.test.interval == pytest.approx(expected)
        assert pooled.test.mean == pytest.approx(method.mean - control.mean)
        write(store, tmp_path, ReportOptions())
        assert "| scmm | all pairs | 12 |" in (tmp_path / "leaderboard.md").read_text()
        assert "other subjects, not of other corpora" in whole(leaderboard(store))

    def test_tasks_of_one_corpus_are_of_the_same_people(self, store):
        for target in ("DEAP:valence", "DEAP:arousal"):
            for method, level in (("a", 0.6), ("b", 0.5)):
                put(store, method, [level, level + 0.1, level + 0.2], target=target)
        pooled, *_ = significance.families(only(store))
        assert pooled.subjects == 3

    def test_difference_is_that_of_the_means_of_the_leaderboard(self, store):
        rng = np.random.default_rng(3)
        sizes = {"SEED:3": 5, "SEED-IV:4": 8, "DEAP:valence": 12}
        pairs = [*PAIRS, ("FACED", "DEAP:valence")]  # DEAP is the target of one pair more
        for source, target in pairs:
            for method in ("a", "b"):
                put(store, method, rng.uniform(0.3, 0.9, sizes[target]).tolist(), source=source,
                    target=target)
        table = only(store)
        pooled, *_ = significance.families(table)
        means = {row.label: row.mean for row in table.methods}
        (c,) = pooled.differences
        assert c.test.mean == pytest.approx(means[c.one] - means[c.two])


class TestWhatCouldBeSeen:
    def test_is_said_where_nothing_transfers(self, store):
        scored(store, 8)
        said = whole(leaderboard(store))
        test = paired(*([list(v.subjects.values()) for v in row.values.values()][0]
                        for row in (only(store).methods[0], only(store).controls[0])))
        smallest = 100 * detectable(8) * test.sd
        assert "No gain from the source is significant here" in said
        assert f"with 8 subjects and differences that spread as these do: {smallest:.1f} points" \
            in said

    def test_is_not_said_where_something_does(self, store):
        scored(store, 8, gain=0.2)
        assert "No gain" not in whole(leaderboard(store))

    def test_goes_into_the_files(self, store, tmp_path):
        scored(store, 8)
        put(store, "dann", [0.6] * 8)
        write(store, tmp_path, ReportOptions())
        with (tmp_path / "against_target_only.csv").open() as file:
            (row,) = csv.DictReader(file)
        assert float(row["detectable"]) > 0
        significance.write(store, tmp_path, ReportOptions())
        assert "No difference is significant here. Smallest difference" in (
            tmp_path / "significance.md").read_text()

    def test_too_few_subjects_could_see_nothing(self):
        test = paired([0.5, 0.7, 0.6, 0.7, 0.9], [0.4, 0.4, 0.5, 0.3, 0.2])
        assert sensitivity([test], 1) == "With 5 subjects none could be, however large."
        assert "among 12 comparisons none could be" in sensitivity([test], 12)

    def test_several_comparisons_are_told_by_their_range(self):
        rng = np.random.default_rng(0)
        tests = [paired(rng.normal(0, s, 12), np.zeros(12)) for s in (0.01, 0.02, 0.05)]
        points = [100 * detectable(12, 3) * t.sd for t in tests]
        assert (f"{points[0]:.1f} to {points[2]:.1f} (half of them at most {points[1]:.1f}) points"
                in sensitivity(tests, 3))

    def test_on_the_screen_of_a_run(self, store):
        rng = np.random.default_rng(5)
        record = put(store, "scmm", (0.6 + rng.normal(0, 0.05, 7)).tolist())
        record.controls = [put(store, "target-only", (0.6 + rng.normal(0, 0.05, 7)).tolist(),
                               kind="control", params={"network": "scmm"})]
        said = whole(screen(lambda c: show(record, c)))
        assert "Not significant. Smallest difference that this test finds with 80 % power" in said


def test_limits_are_said_once():
    assert too_few([paired(np.arange(6.0), np.zeros(6))]) == []
    assert len(too_few([paired(np.arange(5.0), np.zeros(5))])) == 1
    assert len(too_few([paired(np.arange(2.0), np.zeros(2))])) == 2
