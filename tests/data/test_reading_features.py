"""Owners' features where some corpora have none, and a corpus of which there is nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.data.locations import corpus_folders
from bench.data.reading import any_inventory
from bench.errors import MissingCorpusError, SettingError
from bench.registry import load
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request


@pytest.fixture
def features_only(tiny_root, tmp_path: Path) -> Path:
    """SEED-IV without signals, DEAP as it is."""
    root = tmp_path / "corpora"
    shutil.copytree(tiny_root / "SEED-IV", root / "SEED-IV")
    shutil.copytree(tiny_root / "DEAP", root / "DEAP")
    shutil.rmtree(next(root.rglob("eeg_raw_data")))
    return root


def test_a_corpus_of_features_only_can_be_set_and_checked(features_only, bench, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(features_only / "settings.json"))
    assert any_inventory(load("corpora", "SEED-IV")(), features_only).recordings
    with pytest.raises(MissingCorpusError, match="eeg_raw_data"):
        any_inventory(load("corpora", "SEED-IV")(), features_only / "DEAP")
    done = bench("data", "set", f"SEED-IV={features_only}")
    assert done.returncode == 0, done.stderr
    assert set(corpus_folders()) == {"SEED-IV"}
    done = bench("data", "check", features_only, "--features", "official")
    assert done.returncode == 0, done.stderr
    assert "SEED-IV (simulated)" in done.stdout
    assert "DEAP: DEAP's owners distribute no features" in done.stdout
    done = bench("data", "check", features_only, "--features", "official", "--corpus", "DEAP")
    assert done.returncode == 2
    assert "distribute no features" in done.stderr


def plan(**values):
    return expand(read_request(None, {"methods": "lda", "pairs": "all", **values}))


def test_all_pairs_of_official_features_are_of_corpora_that_have_some(tiny_root):
    simulated = {name.partition(":")[0] for c in plan(simulated=True, features="official").cells
                 for name in (c.source, c.target)}
    assert simulated == {"SEED", "SEED-IV", "SEED-V", "SEED-VII", "FACED"}
    found = {name.partition(":")[0] for c in plan(data=tiny_root, features="official").cells
             for name in (c.source, c.target)}
    assert found == {"SEED", "SEED-IV"}


def test_a_threshold_off_a_scale_is_refused_before_anything_is_read():
    with pytest.raises(SettingError, match="threshold 6 is outside the scale 1 to 5 of DREAMER"):
        plan(simulated=True, threshold=6.0)
    with pytest.raises(SettingError, match="SEED:3 is not rated"):
        plan(simulated=True, threshold={"SEED": 6.0})
    assert plan(simulated=True, threshold={"DREAMER": 2.5, "DEAP": 6.0}).cells


def test_a_corpus_without_simulator_is_left_out_of_simulated_pairs(clean_registry):
    from bench import registry
    from bench.registry import Entry

    registry._included.append(("corpora", Entry("SINGLE", "single:Single")))
    registry._tables.clear()
    assert not any("SINGLE" in c.pair for c in plan(simulated=True).cells)
