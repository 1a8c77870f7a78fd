import numpy as np
import pytest

from bench.data.channels import POSITIONS, position, positions
from bench.datasets.shared.facts import DEAP_CHANNELS, SEED_CHANNELS
from bench.errors import UnknownNameError


def test_holds_all_electrodes_of_seed_and_deap():
    assert positions(SEED_CHANNELS).shape == (62, 3)
    assert positions(DEAP_CHANNELS).shape == (32, 3)
    assert list(POSITIONS)[:62] == [c.upper() for c in SEED_CHANNELS]


def test_holds_the_whole_10_05_system():
    """SAM40's, and others that no corpus of ours has."""
    known = ("FT9", "FT10", "PO9", "PO10", "TP9", "AFF5h", "A1", "M2", "I1")
    assert positions(known).shape == (9, 3)
    assert len(POSITIONS) == 341


def test_points_lie_on_the_unit_sphere_and_apart():
    xyz = positions(list(POSITIONS))
    assert np.linalg.norm(xyz, axis=1) == pytest.approx(1, abs=1e-12)
    first = xyz[:62]
    cosine = first @ first.T - 2 * np.eye(62)
    assert np.degrees(np.arccos(cosine.max())) > 5


@pytest.mark.parametrize(("left", "right"), [("F3", "F4"), ("T7", "T8"), ("CB1", "CB2"),
                                              ("PO7", "PO8"), ("FC5", "FC6")])
def test_pairs_mirror_each_other(left, right):
    assert position(left)[0] < 0 < position(right)[0]
    assert position(left) * [-1, 1, 1] == pytest.approx(position(right), abs=0.04)


def test_axes_are_right_front_up():
    assert position("Fpz")[1] > 0.99
    assert position("Oz")[1] < -0.99
    assert position("Cz")[2] > 0.99


def test_cb_electrodes_are_below_their_neighbours():
    for cb, near in (("CB1", ("PO7", "O1")), ("CB2", ("PO8", "O2"))):
        for other in near:
            assert position(cb)[2] < position(other)[2]
            assert np.degrees(np.arccos(position(cb) @ position(other))) < 30


def test_spelling_and_old_names():
    assert (position("EEG Fp1-REF") == position("FP1")).all()
    assert (position("T3") == position("T7")).all()
    assert positions([]).shape == (0, 3)


def test_unknown_name_is_an_error_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="electrode named 'FP9'"):
        position("FP9")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        positions(["CZ", "FPZZ"])


def test_agrees_with_mne():
    channels = pytest.importorskip("mne").channels
    try:
        montage = channels.make_standard_montage("colin27_1005")
    except ValueError:
        montage = channels.make_standard_montage("standard_1005")
    truth = {k.upper(): v for k, v in montage.get_positions()["ch_pos"].items()}
    for name in POSITIONS:
        xyz = truth[{"CB1": "POO9", "CB2": "POO10", "O9": "I1", "O10": "I2"}.get(name, name)]
        assert position(name) == pytest.approx(xyz / np.linalg.norm(xyz), abs=1e-3)
