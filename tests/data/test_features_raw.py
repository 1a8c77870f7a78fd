"""Raw windows: one rate, one band, scaling over time, Euclidean alignment; through the CLI too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from bench.conformance import synthetic_pair
from bench.data.features import RAW_RATE, raw_windows, version_of
from bench.data.reading import ReadOptions, read_corpus
from bench.errors import BenchError, IncompatibleError
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaler, Scaling, Whitener
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.zero_shot import ZeroShot


def tone(hertz, rate, seconds=8.0):
    t = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * hertz * t)[None]


class TestWindows:
    @pytest.mark.parametrize("rate", [128.0, 200.0, 500.0])
    def test_tones_of_the_band_pass_and_others_do_not(self, rate):
        for hertz, kept in ((10.0, True), (30.0, True), (1.0, False), (55.0, False)):
            x = raw_windows(tone(hertz, rate) + 100, rate, 1.0)
            assert x.shape == (8, 1, 128)
            assert x.dtype == np.float32
            inside = x[2:6].std() * np.sqrt(2)
            assert inside == pytest.approx(1, abs=0.02) if kept else inside < 0.05

    def test_equal_signals_at_different_rates_give_equal_windows(self):
        a, b = (raw_windows(tone(12.0, rate), rate, 2.0) for rate in (128.0, 200.0))
        assert np.abs(a[1:3] - b[1:3]).max() < 0.01

    def test_refusals(self):
        with pytest.raises(BenchError, match=r"a trial of 0\.5 s holds no window of 1 s"):
            raw_windows(np.zeros((2, 64)), 128.0, 1.0)
        with pytest.raises(BenchError, match="too few for signals up to 45 Hz"):
            raw_windows(np.zeros((2, 640)), 64.0, 1.0)

    @pytest.mark.parametrize("name", ["SEED", "SEED-IV", "DEAP"])
    def test_of_every_corpus(self, name, tiny_root, module_cache):
        raw = read_corpus(name, tiny_root, ReadOptions(features="raw"))
        de = read_corpus(name, tiny_root, ReadOptions())
        space = raw.windows.space
        assert (space.kind, space.rate, space.width, space.bands) == ("raw", RAW_RATE, 128, ())
        assert len(raw.windows) == len(de.windows)
        np.testing.assert_array_equal(raw.windows.y, de.windows.y)
        np.testing.assert_array_equal(raw.windows.trial, de.windows.trial)
        assert raw.digest != de.digest
        again = read_corpus(name, tiny_root, ReadOptions(features="raw"))
        np.testing.assert_array_equal(raw.windows.x, again.windows.x)  # from the cache
        longer = read_corpus(name, tiny_root, ReadOptions(features="raw", window_s=2.0))
        assert longer.windows.x.shape[2] == 256
        assert longer.digest != raw.digest


class TestScaling:
    @pytest.mark.parametrize("kind", ["min-max", "z-score", "robust"])
    def test_statistics_are_per_channel_over_time(self, kind):
        x = np.random.default_rng(0).normal(size=(5, 3, 16)).astype(np.float32)
        found = Scaler.fit(x, kind, over_time=True)
        for c in range(3):
            flat = x[:, c].ravel().astype(float)
            low, middle, high = np.percentile(flat, [25, 50, 75])
            shift, scale = {"min-max": (flat.min(), np.ptp(flat)),
                            "z-score": (flat.mean(), flat.std()),
                            "robust": (middle, high - low)}[kind]
            np.testing.assert_allclose(found(x)[:, c], (x[:, c] - shift) / scale, rtol=1e-4,
                                       atol=1e-6)

    def test_whitening_against_the_definition(self):
        rng = np.random.default_rng(0)
        x = (rng.normal(size=(4, 4)) @ rng.normal(size=(20, 4, 32))).astype(np.float32)
        mean = sum(w @ w.T / 32 for w in x.astype(float)) / 20
        inverse = fractional_matrix_power(mean, -0.5)
        np.testing.assert_allclose(Whitener.fit(x)(x), inverse @ x, rtol=1e-3, atol=1e-3)

    def test_dependent_channels_stay_finite(self):
        x = np.random.default_rng(0).normal(size=(6, 4, 32)).astype(np.float32)
        x -= x.mean(axis=1, keepdims=True)  # average reference: rank 3
        white = Whitener.fit(x)(x)
        assert np.isfinite(white).all()
        assert np.abs(white).max() < 100

    @pytest.mark.parametrize("protocol", [FewShot(), Unsupervised(), ZeroShot()])
    def test_whose_covariance_aligns_whom(self, protocol):
        pair = synthetic_pair(classes=2, channels=4, kind="raw")
        scaling = Scaling("euclidean").resolved(pair.source.space)
        fold = protocol.folds(pair, 0).folds[0]
        done = scaling.folds([fold])[0]
        for subject in (1, 2):
            mine = fold.view.source.subject == subject
            expected = Whitener.fit(fold.view.source.x[mine])(fold.view.source.x[mine])
            np.testing.assert_array_equal(done.view.source.x[mine], expected)
        granted = fold.view.calibration or fold.view.unlabelled or fold.view.source
        expected = Whitener.fit(granted.x)(fold.open_test().x)
        np.testing.assert_array_equal(done.open_test().x, expected)
        said = scaling.describe(protocol)
        assert said["source"] == "each subject"
        assert said["target"] == {"few-shot": "calibration", "unsupervised": "unlabelled",
                                  "zero-shot": "source"}[protocol.name]

    def test_refused_on_features_that_are_no_signals(self):
        with pytest.raises(IncompatibleError, match="euclidean aligns covariances of signals"):
            Scaling("euclidean").resolved(synthetic_pair().source.space)


RUN = ("run", "--src", "SEED", "--tgt", "DEAP", "--scale", "null", "--data")
TINY = [f"--set={v}" for v in ("epochs=1", "windows_per_epoch=32", "batch=16", "fit_epochs=1",
                               "backbone=shallow")]


class TestCommandLine:
    def test_a_run_on_raw_windows_is_recorded_as_such(self, bench, tiny_root, tmp_path):
        done = bench(*RUN, tiny_root, "--method", "scmm", "--features", "raw", *TINY,
                     "--scaling", "euclidean", "--no-controls")
        assert done.returncode == 0, done.stderr
        assert "128 samples each" in done.stderr
        path = next((tmp_path / "runs" / "cells").glob("*/record.json"))
        identity = json.loads(path.read_text())["identity"]
        assert identity["features"]["kind"] == "raw"
        assert identity["features"]["version"] == version_of("raw")
        assert identity["scaling"]["target"] == "calibration"
        assert identity["params"]["backbone"] == "shallow"

    @pytest.mark.parametrize(("options", "said"), [
        (("--method", "scmm", "--set", "backbone=eegnt"), "Did you mean 'eegnet'"),
        (("--method", "dann", "--set", "backbone=shallow"), "works on raw windows, not on de"),
        (("--method", "lda", "--features", "raw"), "lda works on de windows, not on raw"),
        (("--method", "scmm", "--set", "mask_ratio=2"), "less than 1"),
        (("--method", "scmm", "--features", "rwa"), "Did you mean 'raw'"),
        (("--method", "scmm", "--scaling", "euclidean"), "Add --features raw"),
        (("--method", "dann", "--protocol", "zero-shot"), "needs unlabelled"),
        (("--method", "target-only", "--protocol", "zero-shot"), "needs calibration"),
    ])
    def test_bad_input(self, options, said, bench, tiny_root):
        done = bench(*RUN, tiny_root, *options)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_loss_that_is_nan_fails_its_cell_and_the_sweep_goes_on(self, bench, tiny_root):
        done = bench(
            "sweep", "--method", "scmm,majority", "--pairs", "SEED->DEAP", "--scale", "null",
            "--data", tiny_root, "--no-controls", "--set", "scmm.lr=1", "--set",
            "scmm.temperature=1e-40",
        )
        assert done.returncode == 1, done.stderr
        said = " ".join((done.stdout + done.stderr).split())
        assert "pre-training: the loss is" in said
        assert "epoch 1, batch" in said
        assert "done majority" in said
