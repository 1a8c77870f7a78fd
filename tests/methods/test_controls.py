"""Controls know nothing of the classes, and say so in the numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench.cells.engine import run_cell
from bench.errors import IncompatibleError, SettingError
from bench.method import Context
from bench.methods.random import Draw
from bench.methods.shuffled import shuffled
from bench.protocols.few_shot import FewShot
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.store.records import Store

from support import cell_of, in_order, paired, synthetic

CTX = Context({"seed": 0})
TINY = {"epochs": 1, "windows_per_epoch": 32, "batch": 32, "fit_epochs": 2}


def make(name, **params):
    cls = load("methods", name)
    return cls(cls.parse(params))


def test_random_draws_by_the_frequencies_and_not_by_the_neighbours():
    x = np.random.default_rng(0).normal(size=(4000, 3, 5)).astype(np.float32)
    draw = Draw(np.array([0.2, 0.0, 0.5, 0.3]), 5)
    found = draw.predict_proba(x)
    np.testing.assert_array_equal(found.sum(axis=1), 1)
    np.testing.assert_allclose(found.mean(axis=0), draw.shares, atol=0.025)
    np.testing.assert_array_equal(draw.predict_proba(x[::-1])[::-1], found)
    np.testing.assert_array_equal(draw.predict_proba(x[7:8]), found[7:8])
    other = Draw(draw.shares, 6).predict_proba(x)
    assert (other != found).any(axis=1).mean() > 0.4


@pytest.mark.parametrize("protocol", [FewShot(), ZeroShot(), Within(), Unsupervised()])
def test_random_runs_under_every_protocol(protocol, tmp_path):
    record = run_cell(cell_of(make("random"), protocol=protocol), Store(tmp_path))
    assert record.kind == "control"
    assert len(record.folds) == 3


@pytest.mark.parametrize(("protocol", "counted"), [
    (FewShot(), "calibration"), (ZeroShot(), "source"), (Unsupervised(), "source"),
    (Unsupervised(form="transductive"), "source"), (Within(), "source"),
])
def test_majority_stands_beside_a_method_under_every_protocol(protocol, counted, tmp_path):
    """Of the source 60 % are of class 0, of the target 60 % of class 1."""
    pair = paired(synthetic(3, in_order([0, 0, 0, 1, 1] * 2, 2), corpus="A"),
                  synthetic(3, in_order([1, 1, 1, 0, 0] * 2, 2), corpus="B"))
    names = [name for name, _ in make("lr").controls()]
    assert names[-1] == "majority"
    record = run_cell(cell_of(make("majority"), pair, protocol=protocol), Store(tmp_path))
    # Under `within` the source is the other subjects of the target.
    right = counted == "calibration" or isinstance(protocol, Within)
    for fold in record.folds:
        scores = fold["scores"]["window"]
        assert scores["balanced_accuracy"] == 0.5
        most = fold["majority"]
        assert scores["accuracy"] == pytest.approx(most if right else 1 - most)


def test_labels_are_shuffled_among_the_trials_of_a_session():
    windows = synthetic({1: in_order([0, 1] * 10, 3), 2: in_order([0] * 15 + [1] * 5, 2)})
    found = shuffled(windows, np.random.default_rng(1))
    assert found.y.shape == windows.y.shape
    for s in (1, 2):
        mine = windows.subject == s
        assert found.y[mine].sum() == windows.y[mine].sum()
        for t in range(1, 21):
            assert len(set(found.y[mine & (windows.trial == t)])) == 1
    assert (found.y != windows.y).mean() > 0.2
    np.testing.assert_array_equal(found.x, windows.x)


@pytest.mark.parametrize("network", ["lr", "source-only", "dann", "scmm"])
@pytest.mark.parametrize("protocol", [FewShot(), Unsupervised()])
def test_shuffled_runs_any_method(network, protocol, tmp_path):
    params = {} if network == "lr" else TINY
    method = make("shuffled", network=network, **params)
    store = Store(tmp_path)
    record = run_cell(cell_of(method, protocol=protocol), store)
    assert record.identity["params"]["network"] == network
    plain = run_cell(cell_of(make(network, **params), protocol=protocol), store)
    assert record.id != plain.id
    assert record.classes == plain.classes


def test_what_is_shuffled_is_not_learnt(tmp_path):
    trials = in_order([0, 1] * 20, 2)
    pair = paired(synthetic(2, trials, corpus="A", effect=2.0),
                  synthetic(4, trials, corpus="B", effect=2.0))
    store = Store(tmp_path)

    def score(method):
        folds = run_cell(cell_of(method, pair), store).folds
        return np.mean([f["scores"]["window"]["balanced_accuracy"] for f in folds])

    assert score(make("lr")) > 0.95
    assert abs(score(make("shuffled", network="lr")) - 0.5) < 0.2


def test_shuffled_declares_what_its_method_does():
    method = make("shuffled", network="tent")
    assert method.transductive
    assert not method.maps_labels
    assert make("shuffled", network="lr").maps_labels
    assert not make("shuffled", network="lr").pretrains
    assert make("shuffled").pretrains
    again = pickle.loads(pickle.dumps(method))
    assert again.inner.name == "tent"
    assert again.needs == method.inner.needs
    with pytest.raises(IncompatibleError, match="shuffled needs unlabelled"):
        run_cell(cell_of(make("shuffled", network="dann"), protocol=ZeroShot()), None)


def test_bad_parameters_are_refused():
    with pytest.raises(SettingError, match="cannot shuffle the labels of itself"):
        make("shuffled", network="shuffled")
    with pytest.raises(SettingError, match="scmm has no parameter"):
        make("shuffled", nonsense=1)
    only = make("shuffled", epochs=3).params.only("pretrain")
    assert only["epochs"] == 3
    assert "network" not in only
