"""What a source is worth beside plain learning: the best target-only, the curve, the headline."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bench.reporting import ReportOptions
from bench.reports import leaderboard
from bench.reports.latex import latex
from bench.reports.latex import write as write_latex
from bench.reports.shared.cells import collect
from bench.reports.shared.text import signed
from bench.reports.shared.worth import gain_notes, headline, worths
from bench.scoring.inference import holm, paired
from bench.store.records import Store

from records import PAIRS, put

NETWORK = {"network": "network", "backbone": "cnn", "fit_lr": 1e-3}
CURVE = "1,3,60%"
SIZES = {"1 trial a class": {"calibration_trials": 1, "share": 0.6},
         "3 trials a class": {"calibration_trials": 3, "share": 0.6},
         "60 %": {"calibration_trials": None, "share": 0.6}}


def scores(level: float, seed: int, subjects: int = 12) -> list[float]:
    return np.clip(level + np.random.default_rng(seed).normal(0, 0.02, subjects), 0, 1).tolist()


def table(store: Store, levels: dict[str, dict[str, float]], curve: str = CURVE,
          subjects: int = 12, **where) -> Store:
    """Records of methods by size; ``lr``, ``cnn`` are target-only."""
    for n, (size, options) in enumerate(SIZES.items()):
        for m, (name, level) in enumerate(levels.items()):
            if size not in level:
                continue
            params = {"lr": {"network": "lr", "C": "auto"}, "cnn": NETWORK}.get(
                name, {"backbone": "cnn", "fit_lr": 1e-3})
            put(store, "target-only" if name in ("lr", "cnn") else name,
                scores(level[size], 10 * n + m, subjects), params=params,
                kind="control" if name == "cnn" else "method", identity={"protocol": {
                    "name": "few-shot", "params": {**options, "curve": curve},
                    "target_access": "target-supervised: labelled trials"}}, **where)
    return store


LEVELS = {
    "lr": {"1 trial a class": 0.60, "3 trials a class": 0.7, "60 %": 0.8},
    "cnn": {"1 trial a class": 0.55, "3 trials a class": 0.72, "60 %": 0.75},
    "scmm": {"1 trial a class": 0.70, "3 trials a class": 0.72, "60 %": 0.8},
    "simclr": {"1 trial a class": 0.60, "3 trials a class": 0.6, "60 %": 0.8},
}


@pytest.fixture
def store(tmp_path) -> Store:
    return table(Store(tmp_path / "runs"), LEVELS)


def found(store: Store):
    return worths(collect(store, ReportOptions()), ReportOptions())


def test_each_method_is_compared_with_the_best_plain_learning_of_its_size(store):
    (worth,) = found(store)
    assert worth.sizes == list(SIZES)
    assert len(worth.gains) == 6  # target-only is compared with, not compared
    best = {g.size: g.reference.label for g in worth.gains}
    assert best == {"1 trial a class": "target-only LR", "3 trials a class": "target-only CNN",
                    "60 %": "target-only LR"}
    g = next(g for g in worth.gains if g.row.method == "scmm" and g.size == "1 trial a class")
    expected = paired(scores(0.7, 2), scores(0.6, 0))
    assert g.test == expected
    assert [g.holm for g in worth.gains] == holm([g.test.p for g in worth.gains])


def test_the_headline_says_how_many_beat_what_at_which_size(store):
    (worth,) = found(store)
    said = headline(worth)
    assert said.startswith("Of 2 methods 1 beats the best target-only method at 1 trial a class, "
                           "none at 3 trials a class or 60 %; a difference of ")
    assert said.endswith(" points could have been seen with 12 subjects "
                         "(Holm over all 6 comparisons).")


def test_it_names_what_was_to_be_beaten_where_that_is_one_thing(tmp_path):
    levels = {k: v for k, v in LEVELS.items() if k != "cnn"}
    (worth,) = found(table(Store(tmp_path), levels))
    assert "1 beats target-only logistic regression at 1 trial a class" in headline(worth)


def test_with_few_subjects_it_says_that_nothing_could_have_been_seen(tmp_path):
    (worth,) = found(table(Store(tmp_path), LEVELS, subjects=4, simulated={"seed": 0}))
    said = headline(worth)
    assert said.startswith("Simulated corpora. Of 2 methods none beats")
    assert "with 4 subjects no difference, however large, could have been seen" in said


def test_one_comparison_is_not_corrected(tmp_path):
    put(Store(tmp_path), "dann", [0.7, 0.8, 0.6])
    put(Store(tmp_path), "target-only", [0.6, 0.6, 0.5], kind="control", params={"network": "lr"})
    (worth,) = found(Store(tmp_path))
    assert len(worth.gains) == 1
    assert "° worse (one comparison, nothing to correct for). The best" in gain_notes(worth)[0]


def test_several_pairs_are_counted_as_comparisons(tmp_path):
    store = Store(tmp_path)
    for source, target in PAIRS[:2]:
        table(store, LEVELS, source=source, target=target)
    (worth,) = found(store)
    said = headline(worth)
    assert said.startswith("In 2 of 4 comparisons (2 methods on 2 pairs) a method beats")
    assert "Holm over all 12" in said


def test_sizes_without_a_curve_are_tables_of_their_own(tmp_path):
    """They are tested on other trials."""
    worth = found(table(Store(tmp_path), LEVELS, curve=""))
    assert sorted(len(w.sizes) for w in worth) == [1, 1, 1]


def test_points_of_a_curve_share_their_subjects(tmp_path):
    store = table(Store(tmp_path), {k: {s: v[s] for s in list(SIZES)[:2]}
                                    for k, v in LEVELS.items()})
    last = {k: {"60 %": v["60 %"]} for k, v in LEVELS.items()}
    table(store, last, subjects=9)
    (worth,) = found(store)
    assert {g.test.n for g in worth.gains} == {9}


def test_it_stands_on_screen_in_markdown_in_latex_and_in_csv(store, tmp_path):
    from rich.console import Console

    said = headline(found(store)[0])
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(leaderboard.render(store, ReportOptions()))
    text = console.export_text()
    assert said in " ".join(text.split())
    assert text.count("beats the best target-only") == 1  # once for the curve
    leaderboard.write(store, tmp_path, ReportOptions())
    write_latex(store, tmp_path, ReportOptions())
    assert said in (tmp_path / "leaderboard.md").read_text().replace("\\", "")
    assert (tmp_path / "leaderboard.tex").read_text().count("beats the best target-only") == 3
    with Path(tmp_path / "against_best_target_only.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {r["reference"] for r in rows} == {"target-only LR", "target-only CNN"}
    assert all(float(r["smallest_detectable"]) > 0 for r in rows)


CAPTION = ("Balanced accuracy in %, per window: mean over 12 target subjects, seed 0. "
           "Calibrated on 1 trial a class to 60 % of the trials of each class.",
           "2 classes (low, high), those of the target. Budget: demo, a shortened training; "
           "rankings at this budget are not to be quoted.")


def test_the_curve_says_what_its_numbers_are(store, tmp_path):
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(leaderboard.render(store, ReportOptions()))
    curve = " ".join(console.export_text().partition("few-shot,")[0].split())
    leaderboard.write(store, tmp_path, ReportOptions())
    gains = (tmp_path / "leaderboard.md").read_text().partition("### Gain over the best")[2]
    write_latex(store, tmp_path, ReportOptions())
    tex = (tmp_path / "leaderboard.tex").read_text().rpartition(r"\begin{table}")[2]
    for said in CAPTION:
        assert said in curve
        assert said in gains.replace("\\", "")
        assert latex(said) in tex


def test_of_one_size_it_is_not_said_twice(tmp_path):
    store = table(Store(tmp_path), {k: {"60 %": v["60 %"]} for k, v in LEVELS.items()})
    leaderboard.write(store, tmp_path, ReportOptions())
    text = (tmp_path / "leaderboard.md").read_text()
    assert "Gain over the best target-only" in text
    assert text.count("not to be quoted") == 1
    write_latex(store, tmp_path, ReportOptions())
    assert (tmp_path / "leaderboard.tex").read_text().count(r"\begin{table}") == 1


def test_latex_has_the_gains_of_a_curve_at_each_size(store, tmp_path):
    write_latex(store, tmp_path, ReportOptions())
    text = (tmp_path / "leaderboard.tex").read_text()
    assert text.count(r"\begin{table}") == len(SIZES) + 1
    tex = text.rpartition(r"\begin{table}")[2]
    assert "few-shot: balanced accuracy per window, in " in tex
    rows = {line.split(" &")[0]: line for line in tex.splitlines() if line.endswith(r" \\")}
    (worth,) = found(store)
    gains = [g for g in worth.gains if g.row.method == "scmm"]
    for g in gains:
        assert latex(signed(g.test.mean)) in rows["scmm"]
    assert rows["scmm"].count(r"\textbf{+") == sum(g.won for g in gains) == 1
    assert "scriptsize" not in rows["target-only LR"]


def test_a_filter_by_method_keeps_plain_learning(store):
    collection = collect(store, ReportOptions(methods=("scmm",)))
    assert {c.method for c in collection.cells} == {"scmm", "target-only"}
    assert {c.params["network"] for c in collection.cells if c.method == "target-only"} == {
        "lr", "network"}


def test_a_target_only_row_of_other_subjects_is_no_plain_learning(tmp_path):
    """Its mean over the subjects that all sizes share is of none: it was minus infinity."""
    store = table(Store(tmp_path / "runs"), {k: v for k, v in LEVELS.items() if k != "lr"})
    where = {"name": "few-shot", "params": {**SIZES["1 trial a class"], "curve": CURVE},
             "target_access": "target-supervised: labelled trials"}
    alone = put(store, "target-only", scores(0.9, 1, 13), params={"network": "lr", "C": "auto"},
                identity={"protocol": where})
    alone.folds = alone.folds[-1:]
    store.put(alone)
    (worth,) = found(store)
    assert np.isfinite(list(worth.plain.values())).all()
    assert {g.reference.label for g in worth.gains} == {"target-only CNN"}
