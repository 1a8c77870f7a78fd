"""Reports show the right numbers, mix nothing, and say what every number means."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import registry
from bench.errors import BenchError, SettingError, UnknownNameError
from bench.protocols.hold_out import HELD_OUT
from bench.reporting import ReportOptions, split_pair
from bench.reports import latex
from bench.reports.heatmap import matrices
from bench.reports.leaderboard import render, write
from bench.reports.shared.against import against_target_only
from bench.reports.shared.caption import caption, note_lines, title
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.reports.shared.text import clean, markdown, numbers, signed, spreadsheet
from bench.reports.subjects import panels
from bench.scoring.inference import paired
from bench.store.records import Record, Store
from bench.store.seal import sealed_json

CLASSES = {
    "SEED:3": ["negative", "neutral", "positive"],
    "SEED-IV:4": ["neutral", "sad", "fear", "happy"],
    "DEAP:valence": ["low", "high"],
    "DEAP:arousal": ["low", "high"],
}
PAIRS = [(s, t) for s in list(CLASSES)[:3] for t in list(CLASSES)[:3] if s != t]
RECIPE = {"seed": 0, "subjects": 6}


def side(name: str, subjects: int = 4, **changes) -> dict:
    corpus, _, task = name.partition(":")
    return {
        "name": name, "corpus": corpus, "task": task, "sessions": "first",
        "subjects": list(range(1, subjects + 1)), "digest": f"digest of {name}", **changes,
    }


def put(
    store: Store, method: str, scores, *, source="SEED:3", target="DEAP:valence", seed=0,
    params=None, origin="default", protocol="few-shot", selection="last", scale="demo",
    kind="method", simulated=None, status="done", reason="", identity=None, unit_shift=0.1,
    left_out=(), target_side=None,
) -> Record:
    """Store a record whose balanced accuracy per window is ``scores``, one a subject.

    A score may be a list: one a session. The other metrics and trials are shifted from it, so
    that a mix-up shows.
    """
    folds = []
    for subject, score in enumerate(scores, 1):
        for session, value in enumerate(score if isinstance(score, list) else [score], 1):
            def values(shift, value=value):
                return {"balanced_accuracy": value + shift, "accuracy": value + shift + 0.01,
                        "macro_f1": value + shift + 0.02,
                        "auroc": None if subject == 1 else value + shift + 0.03}  # noqa: B023
            folds.append({
                "subject": subject, "session": session, "calibration_trials": 3,
                "test_trials": 2, "majority": 0.5,
                "scores": {"window": values(0.0), "trial": values(unit_shift)},
            })
    record = Record(
        identity={
            "method": method, "params": params or {}, "params_origin": origin,
            "code": f"code of {method}", "source": side(source),
            "target": target_side or side(target), "features": {"kind": "de", "by": "bench"},
            "label_map": None,
            "scaling": {"name": "min-max", "source": "source", "target": "calibration"},
            "protocol": {"name": protocol, "params": {"calibration_trials": 3},
                         "target_access": "calibration"},
            "selection": selection, "scale": scale, "seed": seed, "precision": "float32",
            **(identity or {}),
        },
        classes=CLASSES.get(target, ["a", "b"]), folds=folds if status == "done" else [],
        kind=kind, simulated=simulated, status=status, reason=reason, left_out=list(left_out),
    )
    store.put(record)
    return record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def only(store: Store, **options):
    (table,) = tables(collect(store, ReportOptions(**options)), ReportOptions(**options))
    return table


def shown(store: Store, width: int = 100, **options) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render(store, ReportOptions(**options)))
    return console.export_text()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def full(store: Store) -> Store:
    """Three methods, controls, all six pairs, two seeds."""
    rng = np.random.default_rng(0)
    for source, target in PAIRS:
        for seed in (0, 1):
            where = {"source": source, "target": target, "seed": seed, "simulated": RECIPE}
            for method, level in (("scmm", 0.7), ("simclr", 0.65), ("dann", 0.5)):
                put(store, method, list(level + rng.normal(0, 0.03, 4)), **where)
            put(store, "target-only", list(0.6 + rng.normal(0, 0.03, 4)), kind="control",
                params={"network": "scmm"}, **where)
            put(store, "majority", [0.5] * 4, kind="control", **where)
    return store


class TestNumbers:
    def test_mean_and_sd_over_subjects_after_seeds_and_sessions(self, store):
        # Subject 1 has two sessions; seeds are averaged within the subject, then SD over subjects.
        put(store, "scmm", [[0.5, 0.7], 0.8, 0.6], seed=0)
        put(store, "scmm", [[0.7, 0.9], 0.6, 0.4], seed=1)
        table = only(store)
        value = table.methods[0].values[table.columns[0]]
        subjects = [(0.6 + 0.8) / 2, (0.8 + 0.6) / 2, (0.6 + 0.4) / 2]
        assert list(value.subjects) == ["1", "2", "3"]
        assert list(value.subjects.values()) == pytest.approx(subjects)
        assert value.mean == pytest.approx(np.mean(subjects))
        assert value.sd == pytest.approx(np.std(subjects, ddof=1))
        assert value.seeds == (0, 1)

    @pytest.mark.parametrize(
        ("metric", "unit", "shift"),
        [("balanced_accuracy", "window", 0.0), ("accuracy", "window", 0.01),
         ("macro_f1", "trial", 0.12), ("accuracy", "trial", 0.11)],
    )
    def test_metric_and_unit(self, store, metric, unit, shift):
        put(store, "scmm", [0.5, 0.6])
        table = only(store, metric=metric, unit=unit)
        assert table.methods[0].mean == pytest.approx(0.55 + shift)

    def test_undefined_scores_are_left_out_and_said(self, store):
        put(store, "scmm", [0.5, 0.6, 0.8])
        put(store, "dann", [0.5, 0.6, 0.8])
        table = only(store, metric="auroc")
        value = table.methods[0].values[table.columns[0]]
        assert value.mean == pytest.approx(0.7 + 0.03)
        assert list(value.subjects) == ["2", "3"]
        assert table.chance(table.columns[0]) == 0.5

    def test_chance(self, full):
        table = only(full)
        levels = {table.labels[c]: table.chance(c) for c in table.columns}
        assert levels["SEED:3→DEAP:valence"] == 0.5
        assert levels["SEED:3→SEED-IV:4"] == 0.25
        assert table.mean_chance() == pytest.approx((0.5 + 0.25 + 1 / 3) / 3)
        assert only(full, metric="macro_f1").chance(table.columns[0]) is None

    def test_mean_and_rank_on_complete_rows(self, full):
        put(full, "mae", [0.9] * 4, simulated=RECIPE)  # one pair only, and the best there
        table = only(full)
        rows = {r.label: r for r in table.methods}
        assert [r.label for r in table.methods] == ["scmm", "simclr", "dann", "mae"]
        assert rows["mae"].mean is None
        assert rows["mae"].rank is None
        assert table.complete == 3
        expected = np.mean([v.mean for v in rows["scmm"].values.values()])
        assert rows["scmm"].mean == pytest.approx(expected)
        ranks = []
        for column in table.columns:
            scores = np.array([list(rows[m].values[column].subjects.values())
                               for m in ("scmm", "simclr", "dann")])
            ranks.append((-scores).argsort(axis=0).argsort(axis=0).mean(axis=1) + 1)
        assert [rows[m].rank for m in ("scmm", "simclr", "dann")] == pytest.approx(
            list(np.mean(ranks, axis=0))
        )
        first = next(c for c in table.columns if c.pair == "SEED:3→DEAP:valence")
        assert table.best[first] == {"mae"}
        assert table.best[None] == {"scmm"}
        assert table.second[None] == {"simclr"}
        assert any(n.startswith("mae: no score on") for n in table.notes)
        assert "mae on SEED:3→DEAP:valence: only seed 0, where others have 0, 1" in table.notes

    def test_says_how_many_pairs_each_row_ran_where_one_lacks_some(self, full, tmp_path):
        assert not only(full).covered
        assert "pairs" not in shown(full).split("per window")[1].split("scmm")[0]
        put(full, "mae", [0.9] * 4, simulated=RECIPE)
        table = only(full)
        assert table.covered
        assert {r.label: table.coverage(r) for r in table.methods}["mae"] == "1/6"
        assert "1/6" in shown(full)
        write(full, tmp_path, ReportOptions())
        text = (tmp_path / "leaderboard.md").read_text()
        head, row = (next(line for line in text.splitlines() if line.startswith(f"| {name} "))
                     for name in ("method", "mae"))
        assert head.endswith("| pairs |")
        assert row.endswith("| 1/6 |")
        found = {r["method"]: r for r in rows_of(tmp_path / "leaderboard.csv")}
        assert (found["mae"]["pairs_run"], found["mae"]["pairs"]) == ("1", "6")
        lengths = {line.count("|") for line in text.split("\n\n")[2].splitlines()}
        assert len(lengths) == 1

    def test_controls_are_never_best(self, store):
        put(store, "scmm", [0.6, 0.6])
        put(store, "dann", [0.5, 0.5])
        put(store, "attainable", [0.9, 0.9], kind="control")
        put(store, "cheat", [0.99, 0.99], kind="oracle")
        table = only(store)
        assert table.best[table.columns[0]] == {"scmm"}
        assert [r.label for r in table.controls] == ["best attainable"]
        assert [r.label for r in table.oracles] == ["cheat"]
        assert table.oracles[0].rank is None

    def test_the_best_linear_classifier_stands_below_the_best_attainable(self, store):
        put(store, "scmm", [0.6, 0.6])
        best = put(store, "attainable", [0.9, 0.9], kind="control")
        linear = put(Store(store.root.parent / "other"), "lr", [0.8, 0.7])
        store.put(replace(best, info={"linear": linear.folds}))
        rows = only(store).controls
        assert [r.label for r in rows] == ["best linear", "best attainable"]
        assert [r.mean for r in rows] == pytest.approx([0.75, 0.9])
        assert [r.rank for r in rows] == [None, None]

    def test_equal_scores_are_all_best_and_none_second(self, store):
        for method, score in (("a", 0.6), ("b", 0.6), ("c", 0.5)):
            put(store, method, [score, score])
        table = only(store)
        assert table.best[table.columns[0]] == {"a", "b"}
        assert table.second[table.columns[0]] == set()

    def test_different_subjects_are_marked(self, store):
        put(store, "scmm", [0.6, 0.6, 0.9])
        put(store, "dann", [0.5, 0.5])
        table = only(store)
        dann = next(r for r in table.methods if r.label == "dann")
        assert dann.values[table.columns[0]].partial
        assert "† dann on SEED:3→DEAP:valence: 2 of 3 subjects have this score" in table.notes
        assert "50.0†" in shown(store)


class TestAgainstTargetOnly:
    def test_is_paired_over_subjects_on_common_seeds(self, store):
        a = np.array([[0.7, 0.8, 0.6, 0.9], [0.8, 0.7, 0.7, 0.8]])
        b = np.array([[0.6, 0.8, 0.5, 0.7], [0.6, 0.6, 0.6, 0.7]])
        for seed in (0, 1):
            put(store, "scmm", list(a[seed]), seed=seed)
            put(store, "target-only", list(b[seed]), seed=seed, kind="control",
                params={"network": "scmm"})
        put(store, "scmm", [0.0] * 4, seed=2)  # no control has this seed
        put(store, "target-only", [0.0] * 4, kind="control", params={"network": "simclr"})
        put(store, "dann", [0.5] * 4)  # no control has its network
        (found,) = against_target_only(only(store))
        expected = paired(a.mean(axis=0), b.mean(axis=0))
        assert found.row.method == "scmm"
        assert found.seeds == (0, 1)
        assert found.test.mean == pytest.approx(expected.mean)
        assert found.test.p == expected.p
        assert found.test.interval == pytest.approx(expected.interval)
        assert found.holm == found.test.p

    def test_the_control_with_the_same_parameters_is_taken(self, store):
        put(store, "scmm", [0.7, 0.7], params={"width": 64})
        put(store, "scmm", [0.8, 0.8], params={"width": 32}, origin="set")
        for width, score in ((64, 0.6), (32, 0.5)):
            put(store, "target-only", [score, score], kind="control",
                params={"network": "scmm", "width": width},
                origin="default" if width == 64 else "set")
        found = {c.row.label: c for c in against_target_only(only(store))}
        assert found["scmm"].test.mean == pytest.approx(0.1)
        assert found["scmm [width=32]"].test.mean == pytest.approx(0.3)
        assert not any(c.note for c in found.values())

    def test_a_method_that_borrows_its_network_has_that_networks_control(self, store):
        """Under --methods too, and no other method's control is shown then."""
        put(store, "dann", [0.7, 0.7], params={"width": 64, "weight": 1.0})
        put(store, "lr", [0.9, 0.9], params={"C": 1.0})
        for network, width, score in (("source-only", 64, 0.6), ("wide", 128, 0.5)):
            put(store, "target-only", [score, score], kind="control",
                params={"network": network, "width": width})
        (found,) = against_target_only(only(store))
        assert (found.row.label, found.note) == ("dann", "")
        assert found.test.mean == pytest.approx(0.1)
        alone = only(store, methods=("dann",))
        assert [r.label for r in alone.controls] == ["target-only (source-only)"]
        assert len(against_target_only(alone)) == 1
        assert only(store, methods=("lr",)).controls == []

    def test_says_where_the_control_differs(self, store):
        put(store, "scmm", [0.7, 0.7], params={"width": 32})
        put(store, "target-only", [0.6, 0.6], kind="control",
            params={"network": "scmm", "width": 64})
        (found,) = against_target_only(only(store))
        assert found.note == "control differs in width"
        assert "control differs in width" in shown(store)


class TestRows:
    def test_variants_are_named_by_what_differs_from_the_default(self, store):
        put(store, "scmm", [0.7, 0.7], params={"finetune": "full", "width": 64})
        put(store, "scmm", [0.6, 0.6], params={"finetune": "probe", "width": 64}, origin="set")
        put(store, "scmm", [0.5, 0.5], params={"finetune": "full", "width": 8}, origin="published")
        labels = {r.label for r in only(store).methods}
        assert labels == {"scmm", "scmm [finetune=probe]", "scmm [published]"}

    def test_published_parameters_may_differ_by_pair(self, store):
        put(store, "scmm", [0.7, 0.7], params={"a": 1}, origin="published")
        put(store, "scmm", [0.7, 0.7], params={"a": 2}, origin="published", target="SEED-IV:4")
        (row,) = only(store).methods
        assert row.label == "scmm [published]"
        assert len(row.values) == 2

    def test_but_two_sets_on_one_pair_are_two_rows(self, store):
        put(store, "scmm", [0.7, 0.7], params={"a": 1}, origin="tuned")
        put(store, "scmm", [0.5, 0.5], params={"a": 2}, origin="tuned")
        rows = only(store).methods
        assert len({r.label for r in rows}) == 2
        assert sorted(r.mean for r in rows) == pytest.approx([0.5, 0.7])

    def test_versions_of_a_method_are_not_averaged(self, store):
        put(store, "scmm", [0.7, 0.7], identity={"code": "aaaaaaaa"})
        put(store, "scmm", [0.5, 0.5], identity={"code": "bbbbbbbb"})
        labels = {r.label for r in only(store).methods}
        assert labels == {"scmm [code aaaaaa]", "scmm [code bbbbbb]"}

    def test_label_maps_are_not_averaged(self, store):
        put(store, "dann", [0.7, 0.7], identity={"label_map": "sad-fear-negative@1"})
        put(store, "dann", [0.5, 0.5], identity={"label_map": "sad-negative@1"})
        table = only(store)  # other windows were tested: those of a class that one of them drops
        assert sorted(v.mean for r in table.methods for v in r.values.values()) == [0.5, 0.7]
        assert len(table.columns) == 2
        assert any("sad-fear-negative@1" in label for label in table.labels.values())

    def test_source_data_of_another_digest_is_not_averaged(self, store):
        put(store, "dann", [0.7, 0.7])
        put(store, "dann", [0.5, 0.5], identity={"source": side("SEED:3", digest="other")})
        table = only(store)
        assert sorted(v.mean for r in table.methods for v in r.values.values()) == [0.5, 0.7]
        assert len(table.columns) == 2


class TestSettings:
    @pytest.mark.parametrize(
        "change",
        [{"protocol": "zero-shot"}, {"selection": "source-val"}, {"scale": "table"},
         {"identity": {"scaling": {"name": "z-score", "source": "source", "target": "none"}}},
         {"identity": {"features": {"kind": "de", "by": "owner"}}},
         {"identity": {"protocol": {"name": "few-shot", "params": {"calibration_trials": 1},
                                    "target_access": "calibration"}}},
         {"simulated": RECIPE, "identity": {"source": side("SEED:3", digest="simulated")}}],
    )
    def test_are_never_mixed(self, store, change):
        put(store, "scmm", [0.7, 0.7])
        put(store, "scmm", [0.5, 0.5], **change)
        found = tables(collect(store, ReportOptions()), ReportOptions())
        assert sorted(t.methods[0].mean for t in found) == pytest.approx([0.5, 0.7])

    def test_channels_follow_from_the_pair_and_do_not_split(self, store):
        for target, channels in (("DEAP:valence", 32), ("SEED-IV:4", 62)):
            put(store, "scmm", [0.7, 0.7], target=target,
                identity={"features": {"kind": "de", "channels": ["C"] * channels}})
        assert len(only(store).columns) == 2

    @pytest.mark.parametrize(("origin", "shown"), [("bench", True), ("owner:de_LDS", False)])
    def test_our_version_is_not_that_of_owners_features(self, store, origin, shown):
        put(store, "scmm", [0.7, 0.7],
            identity={"features": {"kind": "de", "origin": origin, "version": "de-hann-1"}})
        assert ("de-hann-1" in only(store).setting.features) == shown

    def test_oracle_selection_stands_in_the_honest_table(self, store):
        put(store, "scmm", [0.7, 0.7])
        put(store, "scmm", [0.9, 0.9], selection="oracle")
        table = only(store)
        assert table.setting.selection == "last"
        assert [r.mean for r in table.methods] == pytest.approx([0.7])
        assert [r.mean for r in table.oracles] == pytest.approx([0.9])
        text = shown(store)
        assert "scmm (oracle)" in text
        assert "never ranked" in " ".join(text.split())

    def test_a_leaky_twin_stands_beside_the_honest_run_and_says_what_it_took(self, store):
        put(store, "scmm", [0.7, 0.7])
        put(store, "scmm", [0.7, 0.7], target="SEED-IV:4")
        for target in ("DEAP:valence", "SEED-IV:4"):
            put(store, "scmm", [0.9, 0.9], kind="oracle", target=target, identity={
                "shortcut": "test-scaling",
                "scaling": {"name": "min-max", "source": "source", "target": "test"}})
        put(store, "scmm", [0.8, 0.8], kind="oracle", protocol="zero-shot")
        one, other = tables(collect(store, ReportOptions()), ReportOptions())
        assert [r.label for r in one.methods] == ["scmm"]
        assert [(r.label, r.mean) for r in one.oracles] == [
            ("scmm + test scaling", pytest.approx(0.9))]
        assert any("scmm + test scaling (oracle): scaling" in n for n in one.notes)
        assert not any(n.startswith("scmm (oracle)") for n in one.notes)
        assert not other.methods  # another protocol is another ground

    def test_the_best_test_epoch_of_a_record_is_an_oracle_row(self, store, tmp_path):
        record = put(store, "scmm", [0.7, 0.6])
        record.oracle = {"selection": "best test epoch", "folds": [
            {**fold, "scores": {"window": {"balanced_accuracy": 0.9}, "trial": {}}}
            for fold in record.folds]}
        store.put(record)
        table = only(store)
        assert [r.mean for r in table.methods] == pytest.approx([0.65])
        assert [r.mean for r in table.oracles] == pytest.approx([0.9])
        write(store, tmp_path, ReportOptions())
        blocks = [r["block"] for r in rows_of(tmp_path / "scores.csv")]
        assert blocks.count("method") == blocks.count("oracle") == 4

    def test_other_target_windows_are_another_column(self, store):
        put(store, "scmm", [0.7, 0.7])
        put(store, "scmm", [0.5, 0.5], target_side=side("DEAP:valence", digest="other"))
        table = only(store)
        assert len(table.columns) == 2
        assert len(set(table.labels.values())) == 2
        assert all("(data " in label for label in table.labels.values())

    def test_tasks_are_shown_where_one_corpus_has_two(self, store):
        put(store, "scmm", [0.7, 0.7])
        assert list(only(store).short_labels().values()) == ["SEED→DEAP"]
        put(store, "scmm", [0.6, 0.6], target="DEAP:arousal")
        assert sorted(only(store).short_labels().values()) == [
            "SEED:3→DEAP:arousal", "SEED:3→DEAP:valence"]

    def test_one_seed_is_not_averaged(self, store):
        put(store, "scmm", [0.7, 0.6, 0.8, 0.7], seed=2)
        assert caption(only(store))[0].startswith(
            "Balanced accuracy in %, per window: mean ± SD over 4 target subjects, seed 2. ")

    def test_caption_says_what_numbers_mean(self, full):
        assert caption(only(full)) == [
            "Balanced accuracy in %, per window: mean ± SD over 4 target subjects in each of 6 "
            "pairs, seeds 0, 1 averaged. Calibrated on 3 trials a class.",
            "2 to 4 classes, by pair, those of the target. Budget: demo, a shortened training; "
            "rankings at this budget are not to be quoted.",
        ]
        text = " ".join(note_lines(only(full)))
        for part in ("few-shot", "calibration_trials=3", "selection last", "min-max", "scale demo",
                     "Seeds 0, 1", "sessions first", "4 target subjects in every pair",
                     "simulated", "within each target subject"):
            assert part in text

    @pytest.mark.parametrize(("protocol", "said"), [
        ({"name": "zero-shot", "target_access": "none: no window"},
         "Nothing of the target is seen before the test."),
        ({"name": "few-shot", "params": {"share": 0.6},
          "target_access": "target-supervised: labelled trials of the tested subject, "
                           "all shown before the tested ones"},
         "Calibrated on 60 % of the trials of each class, all shown before the tested ones."),
        ({"name": "within", "target_access": "labelled trials of others; no stimulus that is "
                                             "tested"},
         "Seen of the target before the test: labelled trials of others."),
    ])
    def test_caption_says_what_of_the_target_is_seen(self, store, protocol, said):
        put(store, "scmm", [0.5] * 3, scale="published", identity={"protocol": protocol})
        first, second = caption(only(store))
        assert first.endswith(said)
        assert second == ("2 classes (low, high), those of the target. Budget: published, what "
                          "each method's authors use.")

    def test_held_out_stimuli_and_what_they_cost_are_said(self, store):
        record = put(store, "scmm", [0.5] * 3, identity={"hold_out": "stimulus"})
        record.notices = [f"{HELD_OUT}, in 5 groups: 20 % of the training windows are lost"]
        store.put(record)
        table = only(store)
        assert "tested stimuli held out" in title(table)
        assert caption(table)[0].endswith("no tested stimulus trained on.")
        assert any("SEED:3→DEAP:valence: tested stimuli are held out of training, in 5 groups: "
                   "20 %" in line for line in note_lines(table))


class TestFilters:
    def test_pairs(self, full):
        assert len(only(full, pairs=("seed->deap",)).columns) == 1
        assert len(only(full, pairs=("*→DEAP:valence",)).columns) == 2
        assert len(only(full, pairs=("SEED->DEAP", "DEAP->SEED:3")).columns) == 2

    def test_methods_keep_their_controls(self, full):
        put(full, "target-only", [0.5] * 4, kind="control", params={"network": "simclr"},
            simulated=RECIPE)
        table = only(full, methods=("SCMM",))
        assert [r.label for r in table.methods] == ["scmm"]
        assert [r.label for r in table.controls] == ["majority", "target-only (scmm)"]

    def test_unknown_names_are_errors_with_suggestions(self, full):
        with pytest.raises(UnknownNameError, match="Did you mean 'simclr'"):
            only(full, methods=("simcrl",))
        with pytest.raises(UnknownNameError, match="no protocol in these records named 'few'"):
            only(full, protocols=("few",))
        with pytest.raises(UnknownNameError, match="no metric named 'acc'"):
            ReportOptions(metric="acc")
        with pytest.raises(UnknownNameError, match="no unit named 'windows'"):
            ReportOptions(unit="windows")
        with pytest.raises(SettingError, match="'SEED' is no pair"):
            ReportOptions(pairs=("SEED",))

    def test_nothing_passes(self, full):
        with pytest.raises(BenchError, match="passes the filters") as error:
            only(full, pairs=("SEED->SEED",))
        assert "SEED:3→DEAP:valence" in error.value.hint

    def test_split_pair(self):
        assert split_pair("SEED -> DEAP:valence") == ("SEED", "DEAP:valence")


class TestIncomplete:
    def test_zero_records(self, store, tmp_path):
        for report in ("leaderboard", "heatmap", "subjects"):
            with pytest.raises(BenchError, match="there are no records in") as error:
                registry.load("reports", report)(store, tmp_path / "out", ReportOptions())
            assert "bench run" in error.value.hint
        with pytest.raises(BenchError, match="there are no records in"):
            render(store, ReportOptions())
        assert not (tmp_path / "out").exists()

    def test_one_subject_one_method(self, store, tmp_path):
        put(store, "scmm", [0.7])
        put(store, "target-only", [0.5], kind="control", params={"network": "scmm"})
        table = only(store)
        value = table.methods[0].values[table.columns[0]]
        assert (value.mean, value.sd) == (0.7, None)
        assert table.best[table.columns[0]] == set()
        text = shown(store)
        assert "±" not in text.split("Balanced")[0]
        assert "fewer than 6 subjects" in text
        for report in ("leaderboard", "heatmap", "subjects"):
            for path in registry.load("reports", report)(store, tmp_path, ReportOptions()):
                assert path.stat().st_size > 0
        assert "**" not in (tmp_path / "leaderboard.md").read_text()

    def test_failed_records_are_listed_with_their_reason(self, store, tmp_path):
        put(store, "scmm", [0.7, 0.7], left_out=[
            {"subject": 3, "session": 1, "reason": "one trial of class high"}])
        put(store, "dann", [], status="failed", reason="loss is not finite at epoch 3")
        put(store, "mae", [], status="killed", reason="out of memory")
        text = shown(store, width=140)
        assert "failed: dann on SEED:3→DEAP:valence: loss is not finite at epoch 3" in text
        assert "killed: mae on SEED:3→DEAP:valence: out of memory" in text
        assert "subject 3, session 1: one trial of class high" in text
        write(store, tmp_path, ReportOptions())
        assert "out of memory" in (tmp_path / "leaderboard.md").read_text()

    def test_only_failed_records(self, store, tmp_path):
        put(store, "dann", [], status="failed", reason="boom")
        assert "failed: dann on SEED:3→DEAP:valence: boom" in shown(store)
        assert [p.name for p in write(store, tmp_path, ReportOptions())] == ["leaderboard.md"]
        for report in ("heatmap", "subjects"):
            with pytest.raises(BenchError, match="no finished record of a method"):
                registry.load("reports", report)(store, tmp_path, ReportOptions())

    def test_corrupt_folders_are_reported(self, store):
        put(store, "scmm", [0.7, 0.7])
        broken = store.cells / ("0" * 20)
        broken.mkdir()
        (broken / "record.json").write_text('{"schema": 1, "id"')
        odd = put(store, "dann", [0.5, 0.5])
        body = json.loads((odd.path / "record.json").read_text())
        del body["sha256"]
        body["folds"] = [{"subject": 1, "scores": {"window": {"accuracy": "high"}}}]
        (odd.path / "record.json").write_text(sealed_json(body))
        found = collect(store, ReportOptions())
        assert [c.method for c in found.cells] == ["scmm"]
        assert {where for where, _ in found.corrupt} == {"0" * 20, odd.path.name}
        assert "corrupt: 00000000000000000000" in shown(store)

    def test_without_control_the_subjects_are_shown_alone(self, store, tmp_path):
        put(store, "dann", [0.5, 0.7, 0.6])
        table = only(store)
        (panel,) = panels(table).values()
        assert panel.comparison is None
        assert list(panel.method.values()) == [0.5, 0.7, 0.6]


class TestFiles:
    def test_summary_is_tidy(self, full, tmp_path):
        write(full, tmp_path, ReportOptions())
        rows = rows_of(tmp_path / "leaderboard.csv")
        # 5 rows x 6 pairs x 4 metrics x 2 units
        assert len(rows) == 5 * 6 * 4 * 2
        key = [tuple(r[k] for k in ("method", "pair", "metric", "unit")) for r in rows]
        assert len(set(key)) == len(rows)
        table = only(full, metric="accuracy", unit="trial")
        row = next(r for r in rows if (r["method"], r["pair"], r["metric"], r["unit"]) == (
            "scmm", "SEED:3→DEAP:valence", "accuracy", "trial"))
        column = next(c for c in table.columns if c.pair == row["pair"])
        value = table.methods[0].values[column]
        assert float(row["mean"]) == pytest.approx(value.mean)
        assert float(row["sd"]) == pytest.approx(value.sd)
        assert float(row["se"]) == pytest.approx(value.sd / 2)
        assert (row["simulated"], row["seeds"], row["n_subjects"]) == ("simulated", "0 1", "4")

    def test_scores_give_the_summary(self, full, tmp_path):
        import pandas as pd

        write(full, tmp_path, ReportOptions())
        scores = pd.read_csv(tmp_path / "scores.csv")
        assert len(scores) == 5 * 6 * 2 * 4 * 2
        some = scores.query("method == 'simclr' and source == 'DEAP:valence' "
                            "and target == 'SEED:3' and unit == 'window'")
        means = some.groupby("subject").balanced_accuracy.mean()
        table = only(full)
        column = next(c for c in table.columns if c.pair == "DEAP:valence→SEED:3")
        value = next(r for r in table.methods if r.label == "simclr").values[column]
        assert value.mean == pytest.approx(means.mean())
        assert value.sd == pytest.approx(means.std(ddof=1))

    def test_markdown(self, full, tmp_path):
        write(full, tmp_path, ReportOptions())
        text = (tmp_path / "leaderboard.md").read_text()
        assert text.startswith("# Leaderboard (simulated)\n")
        lines = [line for line in text.split("###")[0].splitlines() if line.startswith("|")]
        assert {line.count("|") for line in lines} == {10}
        assert lines[2].startswith("| scmm | **")
        assert "<ins>" in lines[3]
        assert any(line.startswith("| chance (control) | ") for line in lines)

    def test_comparison(self, full, tmp_path):
        write(full, tmp_path, ReportOptions())
        rows = [r for r in rows_of(tmp_path / "against_target_only.csv")
                if r["pair"] != "all pairs"]
        found = against_target_only(only(full))
        assert [float(r["difference"]) for r in rows] == pytest.approx(
            [c.test.mean for c in found])
        assert len(rows) == 6

    @pytest.mark.parametrize("width", [60, 80, 100, 160])
    def test_terminal_fits(self, full, width):
        text = shown(full, width)
        assert max(map(len, text.splitlines())) <= width
        assert text.startswith("Simulated corpora. In ")
        assert "\nfew-shot, 3 trials a class: balanced accuracy per window" in text
        for row in only(full).methods:
            for value in row.values.values():
                assert f"{100 * value.mean:.1f}" in text
                assert f"±{100 * value.sd:.1f}" in text
        assert "…" not in text

    def test_real_and_simulated_are_apart(self, store, tmp_path):
        put(store, "scmm", [0.7, 0.7])
        put(store, "scmm", [0.9, 0.9], simulated=RECIPE,
            identity={"source": side("SEED:3", digest="simulated")})
        text = shown(store)
        assert text.count("balanced accuracy per window") == 2
        assert text.count("per window (simulated)") == 1
        names = {p.name for p in registry.load("reports", "heatmap")(
            store, tmp_path, ReportOptions())}
        assert {"heatmap-1.png", "heatmap-2.png"} <= names
        titles = [_png_title(tmp_path / f"heatmap-{i}.png") for i in (1, 2)]
        assert sorted("simulated" in t for t in titles) == [False, True]


def _png_title(path: Path) -> str:
    from PIL import Image

    return Image.open(path).info["Title"]


class TestPictures:
    def test_matrix_is_the_table(self, full):
        table = only(full)
        matrix = matrices(table)[0]
        assert matrix.label == "scmm"
        i, j = matrix.sources.index("SEED:3"), matrix.targets.index("DEAP:valence")
        column = next(c for c in table.columns if c.pair == "SEED:3→DEAP:valence")
        value = table.methods[0].values[column]
        assert matrix.squares[i][j].mean == value.mean
        assert matrix.squares[i][j].sd == value.sd
        assert matrix.squares[i][j].height == pytest.approx((value.mean - 0.5) / 0.5)
        assert [matrix.squares[k][k].same_corpus for k in range(3)] == [True] * 3
        assert [matrix.squares[k][k].mean for k in range(3)] == [None] * 3

    def test_panels_are_the_comparison(self, full):
        table = only(full)
        found = panels(table)
        assert {label for label, _ in found} == {"scmm"}
        for comparison in against_target_only(table):
            panel = found["scmm", comparison.column]
            assert panel.method == comparison.method
            assert panel.comparison.control == comparison.control

    @pytest.mark.parametrize("report", ["heatmap", "subjects"])
    def test_files_are_the_same_twice(self, full, tmp_path, report):
        draw = registry.load("reports", report)
        one = draw(full, tmp_path / "one", ReportOptions(methods=("scmm",)))
        two = draw(full, tmp_path / "two", ReportOptions(methods=("scmm",)))
        assert [p.suffix for p in one] == [".png", ".pdf", ".svg", ".csv"]
        assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]

    def test_colours_fall_evenly_in_lightness(self):
        from bench.reports.shared.style import colours, luminance

        light = np.array([luminance(colours()(i)) for i in range(256)])
        assert (np.diff(light) < 0).all()


HOSTILE = "[red]=cmd|'/c calc'!A1\x1b[31m\u202e<script>alert(1)</script>|`$\\frac`\n# *x*"


class TestHostileText:
    @pytest.fixture
    def hostile(self, store):
        put(store, HOSTILE, [0.7, 0.6, 0.5], source=f"{HOSTILE}:3", target=f"{HOSTILE}X:2",
            params={HOSTILE: HOSTILE}, origin=HOSTILE, protocol=HOSTILE, selection=HOSTILE,
            scale=HOSTILE, simulated={HOSTILE: HOSTILE})
        put(store, "target-only", [0.5, 0.5, 0.5], kind="control", params={"network": HOSTILE},
            source=f"{HOSTILE}:3", target=f"{HOSTILE}X:2", protocol=HOSTILE, selection=HOSTILE,
            scale=HOSTILE, simulated={HOSTILE: HOSTILE})
        put(store, "=1+1", [], status="failed", reason=HOSTILE)
        return store

    def test_shows_as_text_in_the_terminal(self, hostile):
        console = Console(width=200, force_terminal=True, file=open("/dev/null", "w"), record=True)  # noqa: SIM115
        console.print(render(hostile, ReportOptions()))
        text = console.export_text(styles=False)
        assert "[red]=cmd" in text
        assert "\x1b[31m" not in console.export_text(styles=True, clear=False)
        assert "\u202e" not in text

    def test_shows_as_text_in_markdown(self, hostile, tmp_path):
        write(hostile, tmp_path, ReportOptions())
        text = (tmp_path / "leaderboard.md").read_text()
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "\x1b" not in text
        assert not any(line.startswith("# *x") for line in text.splitlines())
        lines = [line for line in text.split("###")[0].splitlines() if line.startswith("|")]
        unescaped = {line.replace("\\|", "").count("|") for line in lines}
        assert unescaped == {3}

    def test_is_no_formula_in_a_spreadsheet(self, hostile, tmp_path):
        put(hostile, "=1+1", [0.5, 0.5, 0.5])
        for path in write(hostile, tmp_path, ReportOptions()):
            if path.suffix == ".csv":
                for row in rows_of(path):
                    for value in row.values():
                        assert not value.startswith(("=", "+", "@"))
                        assert not value.startswith("-") or float(value) <= 0
        assert any(r["method"] == "'=1+1" for r in rows_of(tmp_path / "scores.csv"))

    def test_can_be_drawn(self, hostile, tmp_path):
        for report in ("heatmap", "subjects"):
            for path in registry.load("reports", report)(hostile, tmp_path, ReportOptions()):
                assert path.stat().st_size > (1000 if path.suffix != ".csv" else 100)
                if path.suffix == ".svg":
                    assert "<script" not in path.read_text()


def test_text_helpers():
    assert clean("a\tb\x07\x1b[31m\n c") == "a b[31m c"
    assert len(clean("x" * 500)) == 200
    assert markdown("a|b_c*") == "a\\|b\\_c\\*"
    assert [spreadsheet(v) for v in ("=1", "-x", "x", -0.5)] == ["'=1", "'-x", "x", -0.5]
    assert numbers([0, 1, 2, 4, 6, 7]) == "0–2, 4, 6, 7"
    assert [signed(v) for v in (0.042, -0.042, 0.0, -0.0001)] == ["+4.2", "−4.2", "0.0", "0.0"]


def test_catalogue():
    assert {"terminal", "leaderboard", "heatmap", "subjects"} <= set(registry.entries("reports"))
    for name in ("terminal", "leaderboard", "heatmap", "subjects"):
        assert callable(registry.load("reports", name))


def test_two_thousand_records_in_under_two_seconds(store):
    rng = np.random.default_rng(0)
    methods = [f"m{i:02}" for i in range(34)]
    for source, target in PAIRS:
        for method in methods:
            for seed in range(10):
                put(store, method, list(rng.uniform(0.3, 0.9, 15)), source=source, target=target,
                    seed=seed, simulated=RECIPE)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        table = only(store)
        best = min(best, time.perf_counter() - start)
    assert len(table.methods) == 34
    print(f"{best:.2f} s")
    assert best < 2


def test_many_tables_are_drawn_in_part_and_that_is_said(store, tmp_path, monkeypatch):
    from bench.reports.shared import pictures

    monkeypatch.setattr(pictures, "MOST_TABLES", 1)
    monkeypatch.setattr("bench.reports.leaderboard.MOST_TABLES", 1)
    for scale, methods in (("a", ("scmm",)), ("b", ("scmm", "dann"))):
        for method in methods:
            put(store, method, [0.6, 0.7], identity={"scale": scale})
    made = registry.load("reports", "heatmap")(store, tmp_path, ReportOptions(formats=("png",)))
    assert [path.name for path in made] == ["heatmap-1.png", "heatmap-1.csv"]
    assert "Pictures are drawn of the 1 largest of these 2 tables" in shown(store)


def test_records_of_before_checksums_are_told(store):
    put(store, "scmm", [0.6, 0.7])
    old = put(store, "dann", [0.6, 0.7]).path / "record.json"
    body = {k: v for k, v in json.loads(old.read_text()).items() if k not in ("sha256", "files")}
    old.write_text(json.dumps({**body, "schema": 1}))
    assert "1 record was written before there were checksums" in shown(store)


class TestOneClass:
    """Where nearly all windows are taken for one class, accuracies say nothing."""

    def test_of_trials_it_stands_in_the_table_of_trials(self, store, tmp_path):
        for method, named in (("svm", [10, 0]), ("lr", [6, 4])):
            record = put(store, method, [0.4] * 3)  # 50 a trial
            for fold in record.folds:
                fold |= {"true_windows": [50, 50], "predicted_windows": [80, 20],
                         "true_trials": [5, 5], "predicted_trials": named}
                fold["scores"]["trial"] |= {"auroc": 0.71, "average_precision": 0.68}
            store.put(record)
        for unit in ("window", "trial"):
            write(store, tmp_path, ReportOptions(unit=unit))
            text = (tmp_path / "leaderboard.md").read_text()
            assert ("| svm | 50.0 ± 0.0; one class: AUROC 71.0, AP 68.0 |" in text) is (
                unit == "trial")
            assert ("nearly all trials of each subject are taken for one class" in text) is (
                unit == "trial")
            assert "⚠ alarm: predicts one class for over 98 % of the trials" in text

    def test_an_oracle_s_epoch_is_another_one(self, store):
        record = put(store, "scmm", [0.5] * 3)
        record.oracle = {"selection": "best test epoch", "folds": list(map(dict, record.folds))}
        for fold in record.folds:
            fold |= {"true_windows": [50, 50], "predicted_windows": [100, 0]}
        store.put(record)
        beside = {row.key.kind: [v.beside for v in row.values.values()] for row in only(store).rows}
        assert beside["oracle"] == [""]
        assert beside["method"] != [""]

    def test_auroc_and_average_precision_stand_beside(self, store, tmp_path):
        for method, named in (("scmm", [100, 0]), ("lr", [60, 40]), ("majority", [100, 0])):
            record = put(store, method, [0.5] * 3,
                         kind="control" if method == "majority" else "method")
            for fold in record.folds:
                fold |= {"true_windows": [50, 50], "predicted_windows": named}
                fold["scores"]["window"] |= {"auroc": 0.71, "average_precision": 0.68}
            store.put(record)
        write(store, tmp_path, ReportOptions())
        lines = (tmp_path / "leaderboard.md").read_text().splitlines()
        assert [line for line in lines if "one class:" in line] == [
            "| scmm | 50.0 ± 0.0; one class: AUROC 71.0, AP 68.0 |"]
        assert any("accuracies say nothing; AUROC and average precision" in line for line in lines)
        assert "one class: AUROC 71.0, AP 68.0" in "\n".join(latex.lines(only(store)))
        console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(render(store, ReportOptions()))
        text = console.export_text()
        assert text.count("AUROC 71.0\n") + text.count("AUROC 71.0 ") >= 1
        assert "AP 68.0" in text
