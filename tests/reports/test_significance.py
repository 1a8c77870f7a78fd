"""The report of all pairs of methods: what is paired, what is corrected, what is said of it."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.reports import significance
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.scoring.inference import holm, paired, subjects_needed
from bench.store.records import Store

from records import guesses, put, sweep


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def families(store, **options):
    options = ReportOptions(**options)
    return [significance.families(t) for t in tables(collect(store, options), options)]


def test_pairs_are_paired_over_subjects_and_seeds_are_averaged(store):
    rng = np.random.default_rng(0)
    scores = {m: rng.uniform(0.3, 0.9, (3, 7)) for m in ("a", "b", "c")}
    for method, seeds in scores.items():
        for seed, row in enumerate(seeds):
            put(store, method, row.tolist(), seed=seed)
    [[family]] = families(store)
    means = {m: s.mean(axis=0) for m, s in scores.items()}
    assert len(family.differences) == 3
    for c in family.differences:
        expected = paired(means[c.one], means[c.two])
        assert c.test.n == 7
        assert c.test.p == pytest.approx(expected.p)
        assert c.test.mean == pytest.approx(expected.mean)
    ps = [c.test.p for c in family.differences]
    assert [c.holm for c in family.differences] == pytest.approx(holm(ps))
    assert ps == sorted(ps)


def test_sources_of_a_subject_are_no_further_subjects(store):
    for source in ("SEED:3", "SEED-IV:4"):
        for method, level in (("a", 0.6), ("b", 0.5)):
            put(store, method, [level, level + 0.1, level + 0.2], source=source)
    [[pooled, *single]] = families(store)
    assert pooled.over == significance.POOLED
    assert pooled.subjects == 3
    assert [f.subjects for f in single] == [3, 3]


def test_subjects_of_two_corpora_are_different_people(store):
    for target in ("DEAP:valence", "SEED-IV:4"):
        for method in ("a", "b"):
            put(store, method, [0.5, 0.6, 0.7], target=target)
    [[pooled, *_]] = families(store)
    assert pooled.subjects == 6


def test_methods_that_did_not_run_every_pair_are_left_out_of_the_whole(store):
    for target in ("DEAP:valence", "SEED-IV:4"):
        for method in ("a", "b"):
            put(store, method, [0.5, 0.6, 0.7], target=target)
    put(store, "c", [0.9, 0.8, 0.7])
    [[pooled, *single]] = families(store)
    assert pooled.left_out == ["c"]
    assert len(pooled.differences) == 1
    assert max(len(f.differences) for f in single) == 3


def test_controls_and_oracles_are_not_compared(store):
    sweep(store, seeds=1)
    for family in families(store)[0]:
        assert set(family.scores) == {"scmm", "simclr", "dann"}


def test_files(store, tmp_path):
    sweep(store)
    paths = significance.write(store, tmp_path, ReportOptions())
    assert [p.name for p in paths] == ["significance.md", "significance.csv"]
    text = paths[0].read_text()
    assert text.startswith("# Which methods differ (simulated)")
    assert "Holm over all 3 pairs of 3 methods" in text
    assert f"fewer than {subjects_needed(3)} subjects" in text
    assert "with 4 no difference could be, however large" in text
    assert "The unit is the target subject" in text
    assert "A guess scores 0 to " in text
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (6 + 1)
    assert {r["comparisons"] for r in rows} == {"3"}
    assert {r["subjects_needed"] for r in rows} == {"7"}
    assert all(0 <= float(r["p"]) <= float(r["p_holm"]) <= 1 for r in rows)
    only = significance.write(store, tmp_path / "b", ReportOptions(formats=("csv",)))
    assert [p.name for p in only] == ["significance.csv"]


def test_chance_is_that_of_the_trials_of_a_subject(store):
    for method in ("a", "b"):
        put(store, method, [0.5] * 4, predictions=guesses(2))
    [[family]] = families(store)
    # Two trials of either class: 0 to 100 % are what guessing reaches in 95 of 100 cases.
    assert family.chance.startswith("A guess scores 0 to 100 % on the 4 test trials")


def test_one_method_is_nothing_to_compare(store, tmp_path):
    put(store, "a", [0.5, 0.6])
    with pytest.raises(BenchError, match="no two methods"):
        significance.write(store, tmp_path, ReportOptions())
