"""Covariances in a tangent space against plain NumPy: eigenvalues, and a mean by fixed point."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.covariance import oas
from sklearn.linear_model import LogisticRegression

from bench.data.windows import Windows
from bench.errors import IncompatibleError, MissingLibraryError
from bench.method import Context, Job
from bench.protocols.base import View
from bench.registry import load

pytest.importorskip("pyriemann")

CTX = Context({"seed": 0, "subject": 1, "session": 1})
NAMES = ["riemann", "riemann-centred"]


def make(name, **params):
    cls = load("methods", name)
    return cls(cls.parse({"C": 1.0, **params}))


def windows(subjects, corpus, seed, trials=4, samples=60):
    """Raw windows of four channels, mixed by each subject in its own way; a class has its power."""
    rng = np.random.default_rng(seed)
    x, y, subject, trial = [], [], [], []
    for s in range(1, subjects + 1):
        mixing = np.eye(4) + 0.4 * rng.normal(size=(4, 4))
        for t in range(1, trials + 1):
            for _ in range(3):
                signals = rng.normal(size=(4, samples))
                signals[t % 2] *= 1.8
                x.append(mixing @ signals)
                y.append(t % 2)
                subject.append(s)
                trial.append(t)
    return Windows.from_arrays(
        np.array(x), np.array(y), subject=np.array(subject), trial=np.array(trial),
        order=np.array(trial) - 1, onset=np.zeros(len(y)), channels=("FZ", "CZ", "PZ", "OZ"),
        labels=("low", "high"), corpus=corpus, session=1, kind="raw",
        rate=60.0,
    )


def view_of(protocol):
    source, target = windows(3, "A", 0), windows(1, "B", 5)
    own = target.take(target.trial <= 2)
    return {
        "few-shot": View(source, own, own.without_labels(), source.labels),
        "unsupervised": View(source, None, own.without_labels(), source.labels),
        "zero-shot": View(source, None, None, source.labels),
        "alone": View(None, own, own.without_labels(), source.labels),
    }[protocol], target.take(target.trial > 2)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def log(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.log(values)) @ vectors.T


def exp(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.exp(values)) @ vectors.T


def mean(points, weights=None):
    """The point at which the weighted logarithms of all others sum to nothing."""
    weights = np.full(len(points), 1.0) if weights is None else weights
    middle = np.mean(points, axis=0)
    for _ in range(60):
        root, inverse = power(middle, 0.5), power(middle, -0.5)
        step = sum(w * log(inverse @ p @ inverse) for w, p in zip(weights, points, strict=True))
        middle = root @ exp(step / weights.sum()) @ root
    return middle


def rows(points, middle):
    inverse = power(middle, -0.5)
    found = []
    for p in points:
        tangent = log(inverse @ p @ inverse)
        found.append([tangent[i, j] * (1 if i == j else 2**0.5)
                      for i in range(len(p)) for j in range(i, len(p))])
    return np.array(found)


def whitened(points, by):
    inverse = power(mean(by), -0.5)
    return np.array([inverse @ p @ inverse for p in points])


def expected(name, view, test):
    """Probabilities, written out."""
    def points_of(x):
        return np.array([oas(w.astype(float).T)[0] for w in x])

    tested, points, y, weights = points_of(test.x), [], [], None
    own = None if view.calibration is None else points_of(view.calibration.x)
    if view.source is not None:
        for s in (1, 2, 3):
            mine = points_of(view.source.x[view.source.subject == s])
            points += list(whitened(mine, mine) if name == "riemann-centred" else mine)
        y = list(view.source.y)
    if name == "riemann-centred":
        granted = points_of(view.unlabelled.x)
        tested = whitened(tested, granted)
        own = None if own is None else whitened(own, granted)
    if own is not None:
        if points:
            weights = np.r_[np.full(len(points), len(own) / len(points)), np.ones(len(own))]
        points, y = [*points, *own], [*y, *view.calibration.y]
    middle = np.eye(4) if name == "riemann-centred" else mean(points, weights)
    model = LogisticRegression(max_iter=1000).fit(rows(points, middle), y, sample_weight=weights)
    return model.predict_proba(rows(tested, middle))


@pytest.mark.parametrize(("name", "protocol"), [
    ("riemann", "few-shot"), ("riemann", "zero-shot"), ("riemann", "alone"),
    ("riemann-centred", "few-shot"), ("riemann-centred", "unsupervised"),
])
def test_equals_plain_numpy(name, protocol):
    view, test = view_of(protocol)
    found = make(name).fit(view, None, CTX).predict_proba(test.x)
    np.testing.assert_allclose(found, expected(name, view, test), atol=1e-5)


def test_re_centring_undoes_the_gain_of_a_target():
    """Only that exactly: other linear changes leave a rotation, which a mean cannot tell."""
    view, test = view_of("unsupervised")
    louder, _ = view_of("unsupervised")
    louder.unlabelled.x[...] *= 3
    shift = {}
    for name in NAMES:
        method = make(name)
        before = method.fit(view, None, CTX).predict_proba(test.x)
        after = method.fit(louder, None, CTX).predict_proba(3 * test.x)
        shift[name] = np.abs(after - before).max()
    assert shift["riemann-centred"] < 1e-5
    assert shift["riemann"] > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_folds_together_and_alone_predict_alike(name):
    view, test = view_of("few-shot")
    other = View(view.source, test, test.without_labels(), view.classes)
    method = make(name)
    together = method.fit_many([Job(v, None, CTX) for v in (view, other)])
    for found, each in zip(together, (view, other), strict=True):
        np.testing.assert_array_equal(
            found.predict_proba(test.x), method.fit(each, None, CTX).predict_proba(test.x))


def test_one_flat_channel_is_a_covariance_and_a_flat_window_is_none():
    view, test = view_of("zero-shot")
    found = make("riemann").fit(view, None, CTX)
    test.x[1, 2] = 0
    assert np.isfinite(found.predict_proba(test.x)).all()
    test.x[1] = 3
    with pytest.raises(IncompatibleError, match=r"1 of 6 windows are flat .* number 1\)"):
        found.predict_proba(test.x)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_is_named_before_anything_is_run(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
    monkeypatch.delitem(sys.modules, "pyriemann", raising=False)
    with pytest.raises(MissingLibraryError, match=r"pip install '.*\[riemann\]'"):
        make(name)
