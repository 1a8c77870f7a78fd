"""Diagnostics: stored when asked for, changing no number; what the plots make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.cells.diagnostics import importance
from bench.cells.engine import run_cell
from bench.errors import BenchError
from bench.method import Context
from bench.reporting import ReportOptions
from bench.reports import embedding, scalp
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.store.records import Store
from bench.store.seal import DamagedError, load_arrays

from records import diagnostics, put
from support import Means, cell_of, in_order, synthetic


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def table(store: Store):
    (one,) = tables(collect(store, ReportOptions()), ReportOptions())
    return one


class Leaning:
    """Says class 1 where one feature is above zero; looks at nothing else."""

    def __init__(self, channel: int, band: int) -> None:
        self.at = channel, band

    def predict_proba(self, x):
        high = (x[:, self.at[0], self.at[1]] > 0).astype(float)
        return np.stack([1 - high, high], axis=1)

    def embed(self, x):
        return x.reshape(len(x), -1).astype(float)


class LeaningMethod(Means):
    """A method with an encoder."""

    name = "leaning"

    def fit(self, view, state, ctx):
        return Leaning(0, 0)


def test_only_the_feature_a_model_uses_is_important():
    made = synthetic(1, trials=in_order([0, 1] * 6))
    x = made.x - np.median(made.x, axis=0)
    test = replace(made, x=x, y=(x[:, 1, 2] > 0).astype(int))  # what the model says is right
    called = importance(Leaning(1, 2), test.without_labels(), Context({"seed": 0}))
    drops = called.drops(test.y)
    assert drops[1, 2] == pytest.approx(0.5, abs=0.2)
    again = importance(Leaning(1, 2), test, Context({"seed": 0}), together=False)
    assert np.array_equal(again.drops(test.y), drops)
    drops[1, 2] = 0
    assert not drops.any()


def test_a_record_without_diagnostics_is_run_again_and_keeps_its_numbers(store):
    plain = run_cell(cell_of(LeaningMethod()), store)
    assert not plain.has_diagnostics
    assert plain.read_diagnostics() == {}
    asked = run_cell(cell_of(LeaningMethod(), diagnostics=True), store)
    assert asked.id == plain.id
    assert asked.folds == plain.folds
    known = Store(store.root).get(plain.id)
    assert known.has_diagnostics
    found = known.read_diagnostics()
    n = len(found["embedding"])
    assert 0 < n <= 2000
    assert all(len(found[k]) == n for k in ("target", "subject", "trial", "y"))
    assert set(found["target"].tolist()) == {True, False}
    assert found["importance"].shape[0] == len(known.folds)
    assert found["importance"][:, 1:].max() == 0
    # What is there is not run again, asked for or not.
    for wanted in (True, False):
        again = run_cell(cell_of(LeaningMethod(), diagnostics=wanted), store)
        assert again.info["finished"] == asked.info["finished"]
        assert again.has_diagnostics


def test_a_predictor_without_an_encoder_says_so(store):
    found = run_cell(cell_of(Means(), diagnostics=True), store).read_diagnostics()
    assert "no look at an encoder" in str(found["embedding_missing"])
    assert "embedding" not in found
    assert "importance" in found
    with pytest.raises(BenchError, match="no look at an encoder"):
        embedding.write(store, store.root / "report", ReportOptions())


def test_objects_are_never_unpickled(store):
    record = put(store, "scmm", [0.5], diagnostics=diagnostics())
    path = record.path / "diagnostics.npz"
    np.savez(path, embedding=np.array([{}], dtype=object))
    with pytest.raises(DamagedError):
        load_arrays(path.read_bytes())
    assert store.get(record.id) is None  # nor is the file the one that was written
    with pytest.raises(BenchError, match="no record"):
        scalp.write(store, store.root / "report", ReportOptions())


def test_neighbours_count_what_an_encoder_keeps(store):
    put(store, "scmm", [0.5] * 3, diagnostics=diagnostics())
    (one,) = embedding.embeddings(table(store))
    assert one.xy.shape == (len(one.target), 2)
    assert one.alike["corpus"][0] > 0.9  # four standard deviations apart
    assert one.alike["corpus"][1] == pytest.approx(0.5, abs=0.03)
    assert one.alike["subject"][0] < one.alike["corpus"][0]
    assert set(one.groups["emotion"]) == {"negative", "positive", "low", "high"}


def test_alike_passes_over_windows_of_the_same_trial():
    x = np.repeat(np.arange(40.0), 2)[:, None]
    trial = np.repeat(np.arange(40), 2)
    group = np.array(["a", "b"] * 40)  # a window's twin is of the other group
    found = embedding.alike(x, {"g": group}, trial)["g"]
    assert found[0] == pytest.approx(0.5, abs=0.1)


def test_scalp_maps_are_means_over_subjects_and_seeds(store):
    first, second = diagnostics(), diagnostics()
    second["importance"] = 3 * second["importance"]
    put(store, "scmm", [0.5] * 3, diagnostics=first)
    put(store, "scmm", [0.5] * 3, seed=1, diagnostics=second)
    (one,) = scalp.scalps(table(store))
    assert one.importance[2, 2] == pytest.approx(0.2)
    assert one.importance.sum() == pytest.approx(0.2)
    assert (one.subjects, one.seeds) == (3, 2)
    assert one.bands[2] == "alpha\n8–14 Hz"


@pytest.mark.parametrize("wrong", [
    {"channels": np.array(["no", "such", "channel", "P4"])},
    {"importance": np.zeros((3, 2, 2))},
    {"bands": np.array(["x"] * 5), "y": np.array(["a"] * 120)},
    {"embedding": np.full((120, 6), np.nan), "importance": np.full((3, 4, 5), np.inf)},
])
def test_diagnostics_of_another_layout_draw_nothing(store, wrong):
    put(store, "scmm", [0.5] * 3, diagnostics={**diagnostics(), **wrong})
    assert not scalp.scalps(table(store)) or "y" in wrong
    if not {"channels", "importance"} & set(wrong):
        assert not embedding.embeddings(table(store))
