"""Many networks predict in one pass what each predicts alone."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.cells import engine, run
from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.pair import Pair
from bench.draws import Draws
from bench.errors import IncompatibleError
from bench.methods.shared.networks.layers import ConvEncoder, Head
from bench.methods.shared.training import predicting
from bench.methods.shared.training.predicting import NetworkPredictor
from bench.registry import load
from bench.selection.looks import Passes
from bench.store.records import Store
from bench.training import stack

from tiny import PROTOCOLS, cell_of, corpus, proba_of


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    labels = ("low", "high")
    return Pair(corpus("A", labels, 0.0, rng, trials=9), corpus("B", labels, 0.5, rng), "A:own",
                "B:own", ("a", "b"))


@pytest.mark.parametrize(("name", "protocol", "selection"), [
    ("scmm", "few-shot", "last"), ("source-only", "zero-shot", "source-val"),
    ("dann", "inductive", "entropy"), ("tent", "inductive", "last"), ("lda", "few-shot", "last"),
])
def test_a_cell_is_scored_as_without_passes(name, protocol, selection, pair, tmp_path, monkeypatch):
    found, passes = [], []
    for everywhere in (False, True):
        kind = functools.partial(_Counting, passes, everywhere=everywhere)
        for module in (engine, run):
            monkeypatch.setattr(module, "Passes", kind)
        if name == "lda":
            cell = Cell(load("methods", "lda")(), "default", pair, PROTOCOLS[protocol])
        else:
            cell = cell_of(name, protocol, pair, epochs=3, fit_epochs=3)
        store, cell = Store(tmp_path / str(everywhere)), replace(cell, selection=selection)
        record = store.get(run_cell(cell, store).id)
        found.append((record, proba_of(record)))
    (one, alone), (two, together) = found
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert _rounded(one.selections) == _rounded(two.selections)
    assert _rounded(one.curves) == _rounded(two.curves)
    assert (sum(passes) > 0) is (name not in {"tent", "lda"})  # these know nothing of passes


class _Counting(Passes):
    def __init__(self, seen, *args, everywhere):
        super().__init__(*args, everywhere=everywhere)
        self.seen = seen

    def _pass(self, pairs, keep):
        self.seen.append(len(pairs) if self.taken else 0)
        return super()._pass(pairs, keep)


def _rounded(value):
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 3) if isinstance(value, float) else value


def networks(count, seed=0):
    """Predictors of networks of their own, and as models of one stack."""
    encoder = ConvEncoder(4, 5)
    head = Head(encoder.width, 3)
    states = [encoder.init(Draws.of(s)) | head.init(Draws.of(s + 50)) for s in range(count)]
    model = stack(states, "cpu", torch.float32)
    return ([NetworkPredictor(encoder, head, s) for s in states],
            [NetworkPredictor(encoder, head, model, k) for k in range(count)])


@pytest.mark.parametrize("most", [1, 10**9])
def test_windows_may_be_differently_many(most, monkeypatch):
    monkeypatch.setattr(predicting, "PASS", most)
    alone, stacked = networks(4)
    rng = np.random.default_rng(0)
    windows = [rng.random((n, 4, 5), dtype=np.float32) for n in (7, 1, 12, 12)]
    pairs = [(1, 0), (0, 1), (3, 2), (2, 3), (1, 3)]
    for kind in (alone, stacked):
        found = NetworkPredictor.predict_many(
            [(kind[k], torch.from_numpy(windows[w])) for k, w in pairs])
        for (k, w), proba in zip(pairs, found, strict=True):
            np.testing.assert_allclose(proba, alone[k].predict_proba(windows[w]), atol=1e-6)
    whole = NetworkPredictor.predict_many([(p, torch.from_numpy(windows[0])) for p in stacked])
    for p, proba in zip(alone, whole, strict=True):
        np.testing.assert_allclose(proba, p.predict_proba(windows[0]), atol=1e-6)


def test_what_is_foreseen_is_not_predicted_again():
    (one, other), _ = networks(2)
    rng = np.random.default_rng(0)
    x, y, z = (rng.random((n, 4, 5), dtype=np.float32) for n in (5, 3, 4))
    passes = Passes("cpu", "float32", everywhere=True)
    knows, knows_not = passes.foreseen([one, other], [[x, y], []])
    assert knows_not is other
    assert knows.known.keys() == {id(x), id(y)}
    for windows in (x, y, z):
        np.testing.assert_allclose(knows.predict_proba(windows), one.predict_proba(windows),
                                   atol=1e-6)
    assert knows.parameters() == one.parameters()
    assert Passes("cpu", "float32").foreseen([one], [[x]]) == [one]


def test_a_network_that_uses_its_neighbours_is_still_refused(pair, tmp_path, monkeypatch):
    """The check that windows are predicted on their own is made in passes too."""
    def leaky(pairs):
        shares = [float(x.mean().sigmoid()) for _, x in pairs]
        return [np.tile([p, 1 - p], (len(x), 1)) for p, (_, x) in zip(shares, pairs, strict=True)]

    monkeypatch.setattr(NetworkPredictor, "predict_many", staticmethod(leaky))
    for module in (engine, run):
        monkeypatch.setattr(module, "Passes", functools.partial(Passes, everywhere=True))
    with pytest.raises(IncompatibleError, match="differently alone and among others"):
        run_cell(cell_of("source-only", "zero-shot", pair), Store(tmp_path))
