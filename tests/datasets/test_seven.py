"""The seven corpora among themselves: which channels and classes any two of them share."""

from __future__ import annotations

import itertools

import pytest

import bench
from bench.data.channels import common_channels
from bench.data.labels import shared_classes
from bench.data.recipe import Recipe
from bench.errors import IncompatibleError
from bench.registry import entries, load

SEVEN = ("SEED", "SEED-IV", "SEED-V", "SEED-VII", "FACED", "DEAP", "DREAMER")
PAIRS = list(itertools.permutations(SEVEN, 2))
#: Channels of each corpus alone; of two SEEDs all are common.
CHANNELS = {"SEED": 62, "SEED-IV": 62, "SEED-V": 62, "SEED-VII": 62, "DEAP": 32, "FACED": 30,
            "DREAMER": 14}
SIGN = ("negative", "neutral", "positive")


def adapter(name: str):
    return load("corpora", name)()


def shared(one: str, other: str) -> tuple[str, tuple[str, ...]]:
    """Map and classes of two tasks, each written CORPUS:TASK."""
    spaces = [adapter(n.partition(":")[0]).task(n.partition(":")[2]).classes for n in (one, other)]
    label_map, classes = shared_classes(*spaces)
    return label_map.name, classes


def test_seven_corpora_are_registered():
    assert set(SEVEN) <= set(entries("corpora"))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_common_channels(one, other):
    found = common_channels(adapter(one).channels, adapter(other).channels)
    # FACED has neither AF3 nor AF4, which DREAMER has; all else is nested.
    expected = 12 if {one, other} == {"FACED", "DREAMER"} else min(CHANNELS[one], CHANNELS[other])
    assert len(found) == expected


@pytest.mark.parametrize(("one", "other", "name", "classes"), [
    ("SEED:3", "SEED-V:3", "identity", SIGN), ("SEED:3", "FACED:3", "identity", SIGN),
    ("SEED-V:3", "SEED-VII:3-all-negative", "identity", SIGN),
    ("SEED:3", "SEED-V:5", "polarity-3", SIGN), ("SEED:3", "SEED-VII:7", "polarity-3", SIGN),
    ("SEED:3", "FACED:9", "polarity-3-broad", SIGN),
    ("SEED-IV:4", "SEED-V:5", "emotions", ("fear", "sad", "neutral", "happy")),
    ("SEED-IV:4", "SEED-VII:7", "emotions", ("fear", "sad", "neutral", "happy")),
    ("SEED-V:5", "SEED-VII:7", "emotions", ("disgust", "fear", "sad", "neutral", "happy")),
    ("SEED-VII:7", "FACED:9", "emotions",
     ("anger", "disgust", "fear", "sad", "neutral", "happy")),
    ("SEED-V:5", "DEAP:valence", "polarity-2", ("negative", "positive")),
    ("FACED:9", "DREAMER:valence", "polarity-2-broad", ("negative", "positive")),
    ("FACED:valence", "DEAP:valence", "identity", ("low valence", "high valence")),
    ("DREAMER:arousal", "DEAP:arousal", "identity", ("low arousal", "high arousal")),
])
def test_shared_classes(one, other, name, classes):
    assert shared(one, other) == (name, classes)
    back = shared(other, one)
    assert (back[0], sorted(back[1])) == (name, sorted(classes))


@pytest.mark.parametrize("one", ["SEED-V:5", "FACED:9", "DREAMER:valence"])
def test_arousal_is_no_valence(one):
    with pytest.raises(IncompatibleError, match="no label map relates"):
        shared(one, "DEAP:arousal")


@pytest.mark.parametrize("name", SEVEN)
def test_any_two_corpora_share_classes_by_default(name):
    for other in SEVEN:
        assert len(shared(f"{name}:{adapter(name).tasks[0].name}",
                          f"{other}:{adapter(other).tasks[0].name}")[1]) > 1


@pytest.mark.parametrize("name", SEVEN)
def test_lengths_and_labels_of_simulated_trials_are_planned(name):
    corpus, recipe = adapter(name), Recipe(length=0.02)
    for session in range(1, 4 if name in ("SEED", "SEED-IV", "SEED-V") else 2):
        plans = corpus.design(recipe, 1, session)
        assert len(plans) == corpus.trials_per_session
        assert sorted(p.order for p in plans) == list(range(len(plans)))
        assert min(p.samples for p in plans) >= 6 * corpus.rate


@pytest.mark.slow
def test_all_ordered_pairs_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    state = bench.sweep(
        methods="lda", pairs="all", simulated=True, scale="demo", controls=False,
        options=bench.SweepOptions(runs=tmp_path / "runs"),
    )
    assert state.problems == []
    board = bench.leaderboard(tmp_path / "runs")
    rows = board.query("metric == 'balanced_accuracy' and unit == 'window'")
    found = {tuple(side.partition(":")[0] for side in pair.split("→")) for pair in rows["pair"]}
    assert found == set(PAIRS)
