"""Montages: names, splines from positions alone, what was lost, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.data.channels import positions
from bench.data.montage.loss import interpolated, left_out
from bench.data.montage.named import TEN_TWENTY, electrodes
from bench.data.montage.spline import interpolation
from bench.data.pair import align, on_montage
from bench.data.reading import ReadOptions, read_corpus
from bench.data.signals import from_signals
from bench.datasets.shared.brain import topography
from bench.datasets.shared.facts import DEAP_CHANNELS, EPOC_CHANNELS, SEED_CHANNELS
from bench.errors import IncompatibleError, SettingError, UnknownNameError

from support import read, synthetic

SEED = tuple(c.upper() for c in SEED_CHANNELS)
DEAP = tuple(c.upper() for c in DEAP_CHANNELS)


def smooth(names) -> np.ndarray:
    """(names, 100) potentials of radial dipoles below the upper half of the scalp."""
    sources = np.random.default_rng(0).normal(size=(100, 3)) * [1, 1, 0] + np.abs(
        np.random.default_rng(1).normal(size=(100, 1))) * [0, 0, 1]
    sources /= np.linalg.norm(sources, axis=1, keepdims=True)
    return topography(positions(names), sources)


def test_montages_have_names():
    assert electrodes("10-20") == TEN_TWENTY
    assert electrodes("seed") == SEED
    assert len(electrodes("DREAMER")) == 14
    assert len(electrodes("biosemi64")) == 64
    with pytest.raises(UnknownNameError, match="no montage named 'SEDE'") as caught:
        electrodes("SEDE")
    assert "SEED" in caught.value.hint
    with pytest.raises(SettingError, match="not of the 10-05 system: E1, E2"):
        electrodes("GSN-HydroCel-32")


def test_what_was_measured_stays_as_it_is():
    cut = interpolation(SEED, (*TEN_TWENTY, "AFZ"))
    x = smooth(SEED)
    found = cut.matrix @ x
    for row, name in enumerate(TEN_TWENTY):
        assert (found[row] == x[SEED.index(name)]).all()
    assert cut.made == ("AFZ",)
    assert len(cut.unused) == 62 - 19


def errors(have) -> tuple[np.ndarray, np.ndarray]:
    """Of a spline and of the nearest electrode, as shares of the potential; each electrode's."""
    cut = interpolation(tuple(have), SEED)
    made = [SEED.index(c) for c in cut.made]
    truth, nearest = smooth(SEED)[made], (positions(cut.made) @ positions(have).T).argmax(1)
    size = np.sqrt(np.mean(truth**2, axis=1))
    return tuple(np.sqrt(np.mean((x - truth) ** 2, axis=1)) / size
                 for x in ((cut.matrix @ smooth(have))[made], smooth(have)[nearest]))


@pytest.mark.parametrize(("have", "most"), [(DEAP, 0.35), (TEN_TWENTY, 0.55)])
def test_what_was_not_measured_is_near_what_would_have_been(have, most):
    spline, nearest = errors(have)
    assert spline.mean() < most
    assert spline.mean() < 0.7 * nearest.mean()


def test_far_from_any_electrode_a_spline_is_a_guess_and_said_to_be():
    cut, (spline, _) = interpolation(tuple(EPOC_CHANNELS), SEED), errors(EPOC_CHANNELS)
    guessed = np.isin(cut.made, cut.guessed)
    assert 15 < guessed.sum() < 25
    assert np.median(spline[guessed]) > 1  # it errs by more than the potential is large
    assert np.median(spline[~guessed]) < 0.75
    assert "CZ" in cut.guessed
    assert interpolation(DEAP, SEED).guessed == ()


def test_a_constant_stays_one_and_nothing_depends_on_the_order():
    cut = interpolation(EPOC_CHANNELS, SEED)
    assert cut.matrix.sum(axis=1) == pytest.approx(1, abs=1e-6)
    order = np.random.default_rng(0).permutation(14)
    other = interpolation(tuple(np.array(EPOC_CHANNELS)[order].tolist()), SEED)
    np.testing.assert_allclose(other.matrix, cut.matrix[:, order], atol=1e-9)


def test_agrees_with_mne_on_its_own_terms():
    matrix = pytest.importorskip("mne.channels.interpolation")._make_interpolation_matrix
    cut = interpolation(DEAP, SEED)
    made = [SEED.index(c) for c in cut.made]
    np.testing.assert_allclose(cut.matrix[made], matrix(positions(DEAP), positions(cut.made)),
                               atol=1e-9)


def test_too_few_electrodes_are_refused():
    with pytest.raises(IncompatibleError, match="cannot be interpolated from 3 electrodes; 4"):
        interpolation(("FZ", "CZ", "PZ"), ("OZ",))
    assert interpolation(("FZ", "CZ"), ("CZ",)).matrix.tolist() == [[0.0, 1.0]]
    # One without a known position serves where it is wanted itself.
    cut = interpolation(("FZ", "CZ", "PZ", "OZ", "STRANGE"), ("POZ",))
    assert cut.matrix[0, 4] == 0
    assert cut.matrix[0].sum() == pytest.approx(1, abs=1e-6)


def test_what_was_lost_is_said():
    words = interpolated("DREAMER:valence", "SEED", interpolation(EPOC_CHANNELS, SEED))
    assert words.startswith("DREAMER:valence on montage SEED: 48 of 62 electrodes interpolated "
                            "from 14 (FP1, FPZ, FP2, F5 and 44 more); ")
    assert "CZ is 64 degrees from F3, the nearest measured; 19 are guesses" in words
    assert "more than 30 degrees from any measured one" in words
    assert words.endswith("62 channels hold no more than 14 independent signals")
    assert "43 measured ones are left out" in interpolated(
        "SEED:3", "10-20", interpolation(SEED, TEN_TWENTY))
    assert interpolated("SEED:3", "SEED", interpolation(SEED, SEED)) == ""


def test_common_electrodes_say_what_they_leave_out():
    words = left_out("SEED:3", SEED, EPOC_CHANNELS)
    assert words.startswith("SEED:3: 48 of 62 electrodes are left out, since the other side does "
                            "not have them; none is left in rows FP, FT, C, TP, CP, PO, CB nor on ")
    assert "--montage" in words
    assert left_out("DREAMER:valence", EPOC_CHANNELS, EPOC_CHANNELS) == ""
    assert left_out("SEED:3", SEED, DEAP) == ""  # of which half are left, all over the head


def test_corpora_meet_on_a_montage(tiny_root):
    options = ReadOptions(montage="DEAP")
    seed, deap = (read_corpus(name, tiny_root, options) for name in ("SEED", "DEAP"))
    plain = [read_corpus(name, tiny_root) for name in ("SEED", "DEAP")]
    pair, other = align(seed, deap, "DEAP"), align(*plain)
    assert pair.source.space.channels == DEAP
    assert (pair.target.x == plain[1].windows.x).all()
    assert {r.digest for r in (seed, deap)}.isdisjoint(r.digest for r in plain)
    assert pair.channel_policy == {"channel_policy": "spherical-spline-1", "montage": "DEAP"}
    assert other.channel_policy == {"channel_policy": "common-by-name-1"}
    assert any("SEED:3 on montage DEAP: 30 measured ones are left out" in n for n in pair.notices)


@pytest.mark.parametrize("features", ["bench", "raw"])
def test_signals_are_interpolated_before_features(tiny_root, features):
    """Of electrodes that a corpus has not: not a mean of logarithms."""
    deap = read_corpus("DEAP", tiny_root, ReadOptions(montage="SEED", features=features))
    plain = read_corpus("DEAP", tiny_root, ReadOptions(features=features))
    assert deap.windows.space.channels == SEED
    x, rows = deap.windows.x, [SEED.index(c) for c in DEAP]
    np.testing.assert_allclose(x[:, rows], plain.windows.x, atol=1e-5)
    matrix = interpolation(DEAP, SEED).matrix
    linear = np.allclose(x, matrix @ plain.windows.x, atol=1e-2)
    assert linear == (features == "raw")


def test_owners_features_are_refused(tiny_root):
    with pytest.raises(SettingError, match="are logarithms of their power"):
        read_corpus("SEED", tiny_root, ReadOptions(montage="DEAP", features="official"))


def test_ones_own_windows_on_a_montage():
    names = ("F3", "FZ", "F4", "CZ", "PZ")
    own = read(synthetic(channels=names))
    assert on_montage(own, "common") is own
    with pytest.raises(IncompatibleError, match="differential entropy cannot be interpolated"):
        on_montage(own, "10-20")
    full = read(synthetic(channels=(*TEN_TWENTY, "AFZ")))
    kept = on_montage(full, "10-20")
    assert (kept.windows.x == full.windows.x[:, :19]).all()
    space = dataclasses.replace(own.windows.space, kind="raw", bands=(), rate=5.0)
    raw = dataclasses.replace(own, windows=own.windows.with_x(own.windows.x, space))
    made = on_montage(raw, "10-20")
    assert made.windows.x.shape[1:] == (19, 5)
    assert "14 of 19 electrodes interpolated from 5" in made.notices[0]
    assert np.abs(made.windows.x[:, TEN_TWENTY.index("FZ")] - own.windows.x[:, 1]).max() < 1e-6


def test_ones_own_signals_on_a_montage():
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(4, 5, 400))
    given = {"rate": 200, "subject": 1, "trial": [1, 2, 3, 4], "labels": ["a", "b"],
             "channels": ["F3", "Fz", "F4", "Cz", "Pz"]}
    own = from_signals(signals, [0, 1, 0, 1], **given, montage="10-20")
    assert own.space.channels == TEN_TWENTY
    plain = from_signals(signals, [0, 1, 0, 1], **given)
    np.testing.assert_allclose(own.x[:, TEN_TWENTY.index("CZ")], plain.x[:, 3], atol=1e-5)
    assert on_montage(read(own), "10-20").windows.x.shape == own.x.shape
