"""The seven corpora among themselves: which channels and classes any two of them share."""

from __future__ import annotations

import itertools

import pytest

import bench
from bench.data.channels import canonical, common_channels
from bench.data.labels import shared_classes
from bench.data.recipe import Recipe
from bench.errors import IncompatibleError
from bench.registry import entries, load
from bench.store.records import Store

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


def words(space: tuple[str, ...], classes: tuple[str, ...], label_map) -> list[str]:
    """Classes of a side that a map drops."""
    return [c for c in space if label_map.to.get(c) not in classes]


@pytest.mark.slow
def test_all_ordered_pairs_run(tmp_path, monkeypatch):
    """`bench sweep --method lda --pairs all --simulated --scale demo`: 42, and what each is on."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    state = bench.sweep(
        methods="lda", pairs="all", simulated=True, scale="demo", controls=False,
        options=bench.SweepOptions(runs=tmp_path / "runs"),
    )
    assert state.problems == []
    found = {}
    for record in Store(tmp_path / "runs").records():
        identity = record.identity
        pair = (identity["source"]["corpus"], identity["target"]["corpus"])
        found[pair] = record
        channels = set(map(canonical, adapter(pair[0]).channels))
        channels &= set(map(canonical, adapter(pair[1]).channels))
        assert set(identity["features"]["channels"]) == channels
        spaces = [_shown(name) for name in pair]
        if set(spaces[0]) == set(spaces[1]):
            assert identity["label_map"] is None
            continue
        label_map, classes = shared_classes(*spaces)
        assert identity["label_map"]["name"] == label_map.name
        assert identity["label_map"]["classes"] == record.classes == list(classes)
        said = [n for n in record.notices if " left out (" in n and " by map " in n]
        expected = [w for space in spaces if (w := words(space, classes, label_map))]
        assert [n.partition(": ")[2].partition(" left out")[0].split(", ")
                for n in said] == expected
        lost = [name for name in pair if 2 * len(channels) < CHANNELS[name]]
        told = [n.partition(":")[0] for n in record.notices if "electrodes are left out" in n]
        assert told == lost
    assert set(found) == set(PAIRS)


def _shown(name: str) -> tuple[str, ...]:
    """Classes of a corpus in its first session: of SEED-VII's seven, five."""
    classes = adapter(name).tasks[0].classes
    absent = ("fear", "surprise") if name == "SEED-VII" else ()
    return tuple(c for c in classes if c not in absent)
