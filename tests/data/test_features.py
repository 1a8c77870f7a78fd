"""Differential entropy: against theory, against SciPy, and window by window."""

import doctest

import numpy as np
import pytest
from scipy.signal import periodogram

import bench.data.features
from bench.data.features import band_variance, differential_entropy
from bench.data.windows import FIVE_BANDS
from bench.errors import BenchError

RATE = 200


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(3, 10 * RATE)) * [[1], [2], [5]]


def test_examples_in_docstrings():
    assert doctest.testmod(bench.data.features).failed == 0


@pytest.mark.parametrize("band", range(5))
def test_a_sine_has_its_power_in_its_band(band):
    low, high = FIVE_BANDS[band]
    middle = round((low + high) / 2)
    time = np.arange(4 * RATE) / RATE
    variance = band_variance(3 * np.sin(2 * np.pi * middle * time)[None], RATE, 1.0, FIVE_BANDS)
    # A Hann window spreads a line over three bins; all are in the band when it is wide enough.
    inside = 1.0 if high - low > 3 else variance[0, 0].sum() / 4.5
    assert variance[:, 0, band] == pytest.approx(np.full(4, 4.5 * inside), rel=0.35)
    assert variance[:, 0].sum(axis=1) == pytest.approx(np.full(4, 4.5), rel=1e-6)
    assert variance[0, 0].argmax() == band


@pytest.mark.parametrize(("rate", "window_s"), [(200, 1.0), (128, 1.0), (200, 4.0), (125, 1.0)])
def test_against_scipy(rate, window_s):
    signal = np.random.default_rng(1).normal(size=(2, 9 * rate)) + 100
    ours = band_variance(signal, rate, window_s, FIVE_BANDS)
    size = round(rate * window_s)
    for w in range(len(ours)):
        part = signal[:, w * size : (w + 1) * size]
        hertz, density = periodogram(part, rate, "hann", detrend="constant")
        for b, (low, high) in enumerate(FIVE_BANDS):
            bins = (hertz >= low) & (hertz < high)
            expected = density[:, bins].sum(axis=1) / window_s
            assert ours[w, :, b] == pytest.approx(expected, rel=1e-9)


def test_entropy_is_that_of_a_gaussian(noise):
    de = differential_entropy(noise, RATE, 1.0, [(0, 100)])
    spread = np.array([1, 2, 5])
    assert de.mean(axis=0)[:, 0] == pytest.approx(
        0.5 * np.log(2 * np.pi * np.e * spread**2), abs=0.05
    )
    louder = differential_entropy(2 * noise, RATE, 1.0, FIVE_BANDS)
    quiet = differential_entropy(noise, RATE, 1.0, FIVE_BANDS)
    assert louder - quiet == pytest.approx(np.full(quiet.shape, np.log(2)), abs=1e-5)


def test_a_window_knows_nothing_of_its_neighbours(noise):
    before = differential_entropy(noise, RATE, 1.0, FIVE_BANDS)
    changed = noise.copy()
    changed[:, 3 * RATE : 4 * RATE] *= 50
    after = differential_entropy(changed, RATE, 1.0, FIVE_BANDS)
    same = np.arange(10) != 3
    assert (before[same] == after[same]).all()
    assert (before[3] != after[3]).all()
    alone = differential_entropy(noise[:, 5 * RATE : 6 * RATE], RATE, 1.0, FIVE_BANDS)
    assert alone[0] == pytest.approx(before[5], abs=1e-6)


def test_shape_type_and_what_is_left_over(noise):
    de = differential_entropy(noise[:, : 3 * RATE + 57], RATE, 1.0, FIVE_BANDS)
    assert (de.shape, de.dtype) == ((3, 3, 5), np.float32)
    assert (de == differential_entropy(noise[:, : 3 * RATE], RATE, 1.0, FIVE_BANDS)).mean() > 0.99
    assert differential_entropy(noise, RATE, 4.0, FIVE_BANDS).shape == (2, 3, 5)


def test_a_flat_second_is_finite(noise):
    noise[1, 2 * RATE : 3 * RATE] = 4.0
    de = differential_entropy(noise, RATE, 1.0, FIVE_BANDS)
    assert np.isfinite(de).all()
    assert de[2, 1].max() < de[:2, 1].min()


def test_a_trial_shorter_than_a_window_is_refused(noise):
    with pytest.raises(BenchError, match="a trial of 0.995 s holds no window of 1 s"):
        differential_entropy(noise[:, :199], RATE, 1.0, FIVE_BANDS)


@pytest.mark.parametrize(("rate", "band"), [(80, (31, 50)), (200, (1.2, 1.8))])
def test_a_band_that_cannot_be_had_is_refused(noise, rate, band):
    with pytest.raises(BenchError, match=f"band {band[0]:g}-{band[1]:g} Hz cannot be had from"):
        band_variance(noise, rate, 1.0, [band])
