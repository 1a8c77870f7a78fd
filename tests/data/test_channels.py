"""Electrode names: matched by name, whatever spelling or place."""

import doctest

import pytest

import bench.data.channels
from bench.data.channels import canonical, common_channels, positions_of
from bench.datasets.shared.facts import DEAP_CHANNELS, SEED_CHANNELS
from bench.errors import BenchError


def test_examples_in_docstrings():
    assert doctest.testmod(bench.data.channels).failed == 0


@pytest.mark.parametrize(("written", "meant"), [
    ("Fp1", "FP1"), ("fp1", "FP1"), (" FZ ", "FZ"), ("T3", "T7"), ("t4", "T8"), ("T5", "P7"),
    ("T6", "P8"), ("T7", "T7"), ("EEG T3-REF", "T7"), ("EEG Fp1-LE", "FP1"), ("Cz.", "CZ"),
])
def test_one_spelling_per_electrode(written, meant):
    assert canonical(written) == meant
    assert canonical(canonical(written)) == meant


def test_seed_and_deap_share_32_names_but_only_two_places():
    shared = common_channels(SEED_CHANNELS, DEAP_CHANNELS)
    assert len(shared) == 32
    assert shared == tuple(c for c in map(canonical, SEED_CHANNELS) if c in shared)
    places = positions_of(shared, DEAP_CHANNELS), positions_of(shared, SEED_CHANNELS)
    assert [canonical(DEAP_CHANNELS[i]) for i in places[0]] == list(shared)
    assert [canonical(SEED_CHANNELS[i]) for i in places[1]] == list(shared)
    assert sum(a == b for a, b in zip(*places, strict=True)) <= 2


def test_old_and_new_names_are_the_same_electrode():
    assert common_channels(["T3", "CZ"], ["Cz", "T7"]) == ("T7", "CZ")
    assert positions_of(["T7"], ["Cz", "T3"]).tolist() == [1]


@pytest.mark.parametrize("twice", [["CZ", "Cz"], ["T3", "T7"]])
def test_an_electrode_named_twice_is_refused(twice):
    for lists in ((twice, ["CZ", "PZ"]), (["CZ", "PZ"], twice)):
        with pytest.raises(BenchError, match=f"names {canonical(twice[0])} more than once"):
            common_channels(*lists)


def test_nothing_in_common_is_refused():
    with pytest.raises(BenchError, match="share no channel: CZ, PZ... and OZ..."):
        common_channels(["CZ", "PZ"], ["OZ"])


def test_channels_that_are_not_there_are_named():
    with pytest.raises(BenchError, match="channels FZ, OZ are not among the 2 available"):
        positions_of(["CZ", "FZ", "OZ"], ["PZ", "CZ"])
