"""What a score cost stands beside it; short trainings say so, and what longer ones turned round."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.reporting import ReportOptions
from bench.reports import leaderboard
from bench.reports.latex import write as write_latex
from bench.reports.shared.budget import short, spent, wanted_of
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.store.records import Store

from records import put

STEPS = {"fit_epochs": "steps", "fit_steps": 100, "backbone": "cnn", "epochs": 200}
LONG = {"scale": "published"}


def info(before: tuple[int, int] = (120, 30720), after: tuple[int, int] = (40, 5120)):
    parts = {"before": before, "after": after}
    return {"cost": {p: {"steps": s, "windows": w} for p, (s, w) in parts.items()}}


def spread(level: float, by: float = 0.01) -> list[float]:
    return [level + by * (i - 3.5) for i in range(8)]


def two(store: Store, scmm: float, simclr: float, scale: str, fit: int, by: float = 0.01) -> None:
    """Two methods at a scale."""
    for name, level in (("scmm", scmm), ("simclr", simclr)):
        put(store, name, spread(level, by if name == "scmm" else 0.01), params=STEPS,
            identity={"scale": scale}, info=info(after=(fit, 128 * fit)))


def notes(store: Store) -> dict[str, list[str]]:
    return {t.setting.scale: t.notes for t in tables(collect(store, ReportOptions()),
                                                     ReportOptions())}


def test_steps_and_windows_are_columns_everywhere(tmp_path):
    store = Store(tmp_path / "runs")
    for seed, steps in ((0, 120), (1, 99)):
        put(store, "scmm", [0.7] * 4, params=STEPS, seed=seed, identity={"scale": "table"},
            info=info((steps, 256 * steps)))
    put(store, "lr", [0.7] * 4, identity={"scale": "table"})
    out = tmp_path / "out"
    leaderboard.write(store, out, ReportOptions())
    text = (out / "leaderboard.md").read_text()
    lines = {line.split(" |")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert lines["| method"].endswith("| steps | windows |")
    assert lines["| scmm"].endswith("| 99–120+40 | 25k–31k+5.1k |")
    assert lines["| lr"].endswith("| – | – |")
    write_latex(store, out, ReportOptions())
    assert "99–120+40" in (out / "leaderboard.tex").read_text().replace("--", "–")
    with (out / "leaderboard.csv").open() as file:
        rows = {r["method"]: r for r in csv.DictReader(file)}
    assert [rows["scmm"][f"{k}_{part}"] for k in ("steps", "windows")
            for part in ("before", "after")] == ["110", "40", "28032", "5120"]
    assert rows["lr"]["steps_before"] == ""


def test_without_counts_there_are_no_columns(tmp_path):
    store = Store(tmp_path / "runs")
    put(store, "scmm", [0.7] * 4)
    put(store, "simclr", [0.6] * 4, info={"cost": {"before": "many", "after": 3}})
    (table,) = tables(collect(store, ReportOptions()), ReportOptions())
    assert not {"Steps", "Windows"} & set(table.summary_heads)


@pytest.mark.parametrize("scale", ["demo", "table", "null", "published"])
def test_a_short_table_is_not_to_be_quoted(scale, tmp_path):
    store = Store(tmp_path / "runs")
    put(store, "scmm", [0.7] * 4, params=STEPS, identity={"scale": scale}, info=info())
    leaderboard.write(store, tmp_path, ReportOptions())
    text = Path(tmp_path / "leaderboard.md").read_text()
    assert ("rankings at this budget are not to be quoted" in " ".join(text.split())) is (
        scale != "published")


def test_a_head_that_was_stopped_early_says_so(tmp_path):
    store = Store(tmp_path / "runs")
    put(store, "scmm", [0.7] * 4, params=STEPS, info=info())
    put(store, "target-only", [0.6] * 4, kind="control", info=info((0, 0)),
        params={"network": "network", "backbone": "cnn", "fit_epochs": "steps", "fit_steps": 100})
    put(store, "simclr", [0.6] * 4, params=STEPS, info=info(after=(100, 12800)))
    put(store, "mae", [0.6] * 4, params={**STEPS, "fit_epochs": 2}, info=info())
    (said,) = [n for its in notes(store).values() for n in its if "stopped" in n]
    assert said == "stopped by the scale after 40 of 100 steps: scmm, target-only CNN"


@pytest.mark.parametrize("told", [True, False])
def test_so_does_one_whose_length_is_given_in_epochs(told, tmp_path):
    """By what a record of today keeps, or, of an older one, by its calibration windows."""
    store = Store(tmp_path / "runs")
    params = {**STEPS, "fit_epochs": 50, "fit_batch": 64}
    for target, windows in (("DEAP:valence", 129), ("SEED-IV:4", 200)):
        wanted = 50 * (2 if windows == 129 else 4)  # the last window alone is no batch
        for name, kind in (("scmm", "method"), ("leaky", "oracle")):
            cost = info(after=(40, 2560))
            if told:
                cost["cost"]["after"]["wanted"] = wanted
            record = put(store, name, [0.7] * 4, params=params, info=cost, target=target, kind=kind)
            for fold in record.folds:
                fold["calibration_windows"] = windows
            store.put(record)
    record = put(store, "simclr", [0.6] * 4, params=params, info=info(after=(100, 12800)))
    for fold in record.folds:
        fold["calibration_windows"] = 129
    store.put(record)
    (said,) = [n for its in notes(store).values() for n in its if "stopped" in n]
    assert said == "stopped by the scale after 40 of 100–200 steps: scmm, leaky (oracle)"


def test_one_whose_length_was_chosen_says_what_the_budget_left_of_it(tmp_path):
    store = Store(tmp_path / "runs")
    cost = info()
    cost["cost"]["after"]["wanted"] = 200
    put(store, "scmm", [0.7] * 4, params={**STEPS, "fit_epochs": "auto"}, info=cost)
    record = put(store, "simclr", [0.7] * 4, params={**STEPS, "fit_epochs": "auto"}, info=info())
    (said,) = [n for its in notes(store).values() for n in its if "stopped" in n]
    assert said == "stopped by the scale after 40 of 200 steps: scmm"
    assert " 40 after it (5.1k windows)" in spent(record)
    record.info = cost
    assert " 40 of 200 after it (5.1k windows)" in spent(record)


@pytest.mark.parametrize("nonsense", [
    {"fit_epochs": 2, "fit_batch": 0}, {"fit_epochs": 2, "fit_batch": "many"}, {"fit_epochs": None},
    {"fit_epochs": "steps", "fit_steps": "many"}, "none at all",
])
def test_nonsense_says_nothing(nonsense, tmp_path):
    record = put(Store(tmp_path / "runs"), "scmm", [0.7] * 4, info=info())
    record.identity["params"] = nonsense
    assert wanted_of(record) is None


def test_a_pair_that_more_steps_turn_round_is_named_where_the_steps_are_few(tmp_path):
    store = Store(tmp_path / "runs")
    two(store, 0.70, 0.65, "table", 40)
    two(store, 0.70, 0.72, "published", 400)
    found = notes(store)
    (said,) = [n for n in found["table"] if "turn" in n]
    assert said == ("more steps turn a pair round: scmm against simclr on SEED:3→DEAP:valence: "
                    "+5.0 after 160 steps, −2.0 after 520")
    assert not [n for n in found["published"] if "turn" in n]


@pytest.mark.parametrize(("second", "fit", "by"), [
    ((0.70, 0.66), 400, 0.01),  # the same order
    ((0.70, 0.72), 100, 0.01),  # hardly more steps
    ((0.70, 0.72), 400, 0.20),  # the change is within chance
])
def test_nothing_is_said_where_nothing_turned(second, fit, by, tmp_path):
    store = Store(tmp_path / "runs")
    two(store, 0.70, 0.65, "table", 40)
    two(store, *second, "published", fit, by)
    assert not [n for its in notes(store).values() for n in its if "turn" in n]


def test_plain_learning_has_no_steps_and_may_be_passed(tmp_path):
    """As by a network whose head is trained to its end."""
    store = Store(tmp_path / "runs")
    put(store, "target-only", spread(0.68), params={"network": "lr"}, identity={"scale": "table"})
    for scale, level, fit in (("table", 0.6, 40), ("published", 0.75, 400)):
        put(store, "scmm", spread(level), params=STEPS, identity={"scale": scale},
            info=info(after=(fit, 128 * fit)))
    (said,) = [n for n in notes(store)["table"] if "turn" in n]
    assert "LR" in said
    assert "160 steps" in said


def test_variants_of_one_table_are_budgets_too(tmp_path):
    store = Store(tmp_path / "runs")
    for fit, (scmm, simclr) in ((50, (0.70, 0.65)), (400, (0.66, 0.70))):
        for name, level in (("scmm", scmm), ("simclr", simclr)):
            put(store, name, spread(level), params={**STEPS, "fit_steps": fit}, origin="set",
                info=info((0, 0), (fit, 128 * fit)))
    (its,) = notes(store).values()
    assert len([n for n in its if "turn" in n]) == 1


def test_short_counts():
    assert [short(n) for n in (0, 420, 5120, 6000, 9999, 10_000, 999_499, 1_500_000)] == [
        "0", "420", "5.1k", "6k", "10k", "10k", "999k", "1.5M"]
