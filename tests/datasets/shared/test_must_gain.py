"""The frozen corpora on which pre-training must gain: as they were, and what they say they are."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from bench.datasets.shared import must_gain
from bench.datasets.shared.must_gain import CHOSEN, SETTINGS, SHOWN, corpus, pair

#: Of the file, since before any default was chosen on it. Another number is another benchmark: then
#: all choices that docs/methods.md names must be made anew.
SHA256 = "adcf587486d2c42b7f1e4dc35363f3d2686b78ec362fb2a14ba730d52f364849"


def test_the_generator_is_frozen():
    text = Path(must_gain.__file__).read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() == SHA256


def test_its_numbers_are_frozen_too():
    """What it imports, positions of electrodes and NumPy's generators, has not moved either."""
    source, target = pair(3, SETTINGS["structure"])
    assert (len(source), len(target)) == (8 * 20 * 12, 6 * 12 * 12)
    seen = [float(source.x[0, 0, 0]), float(source.x.std()), float(target.x[-1, -1, -1]),
            float(target.x.std())]
    assert seen == pytest.approx([2.710418, 1.354249, -0.099032, 1.337436], abs=1e-4)


def test_trials_of_all_subjects_have_both_classes_and_films_have_one():
    w = corpus("source", 1, SETTINGS["structure"], CHOSEN)
    for subject in range(1, 9):
        mine = w.y[w.subject == subject]
        assert mine.mean() == 0.5
    for film in np.unique(w.stimulus):
        assert len(set(w.y[w.stimulus == film])) == 1
    again = corpus("source", 1, SETTINGS["structure"], CHOSEN)
    assert np.array_equal(w.x, again.x)
    assert not np.allclose(w.x, corpus("source", 2, SETTINGS["structure"], CHOSEN).x)


def test_no_mean_tells_classes_apart_and_clusters_do():
    """A linear classifier of all windows is near chance; a mixture found without labels is not."""
    w = corpus("source", 1, SETTINGS["structure"], CHOSEN)
    x, half = w.x.reshape(len(w), -1), w.subject <= 4
    model = LogisticRegression(C=0.01, max_iter=500).fit(x[half], w.y[half])
    assert model.score(x[~half], w.y[~half]) < 0.65
    first = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:2]
    cluster = GaussianMixture(4, random_state=0, n_init=3).fit_predict(x @ first.T)
    majority = sum(max(np.bincount(w.y[cluster == k], minlength=2)) for k in range(4))
    assert majority / len(w) > 0.85


def test_states_last_only_where_there_is_continuity():
    def alike(name):
        w = corpus("source", 1, SETTINGS[name], CHOSEN)
        x = w.x.reshape(-1, 12, w.x[0].size)
        x = x - x.mean(1, keepdims=True)
        return (x[:, 1:] * x[:, :-1]).mean() / (x**2).mean()

    assert alike("structure") > 0.1
    assert alike("moments") < 0.0


def test_the_null_has_no_class_and_a_foreign_source_has_other_states():
    def scatter(w):
        x = w.x.reshape(len(w), -1).astype(float)
        return x.T @ x / len(x)

    null = corpus("source", 1, SETTINGS["null"], CHOSEN)
    one, other = (scatter(null.take(null.y == k)) for k in (0, 1))
    real = corpus("source", 1, SETTINGS["structure"], CHOSEN)
    first, second = (scatter(real.take(real.y == k)) for k in (0, 1))
    assert np.linalg.norm(one - other) < 0.25 * np.linalg.norm(first - second)

    def overlap(name):
        return np.corrcoef(*(scatter(w).ravel() for w in pair(1, SETTINGS[name])))[0, 1]

    assert overlap("structure") > overlap("foreign") + 0.2


def test_another_montage_sees_the_same_states():
    assert not set(CHOSEN) & set(SHOWN)
    for channels in (CHOSEN, SHOWN):
        w = corpus("target", 1, SETTINGS["structure"], channels)
        values = np.linalg.svd(w.x.reshape(len(w), -1) - w.x.reshape(len(w), -1).mean(0),
                               compute_uv=False)
        assert values[1] > 1.5 * values[4]  # two states stand out of levels and noise
