"""One cell: what a method may see, what its predictions must be, what decides its identity."""

import dataclasses
import types
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.cells.cell import BUDGETS, Event
from bench.cells.engine import run_cell
from bench.errors import BenchError, IncompatibleError
from bench.method import Method, Needs
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.reports.shared.budget import wanted_of
from bench.store.records import Store

from reach import rows_within
from support import Means, NearestMean, cell_of, in_order, paired, synthetic

SCORES = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision"}

pytestmark = pytest.mark.usefixtures("spying")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def means(monkeypatch):
    monkeypatch.setattr(Means, "pretrained", 0)
    monkeypatch.setattr(Means, "fitted", 0)
    return Means


# What reaches a method.


class Spy(Means):
    """Keeps everything it is handed."""

    seen: ClassVar[list[Any]] = []

    def pretrain(self, source, ctx):
        self.seen += [source, ctx]
        return super().pretrain(source, ctx)

    def fit(self, view, state, ctx):
        self.seen += [view, state, ctx]
        predictor = super().fit(view, state, ctx)
        for epoch in range(2):
            assert ctx.epoch(epoch + 1, 2, {"total": 1.0}, predictor) is None
        self.seen += [view, state, ctx]  # as they are now
        return predictor


class SpyMany(Spy):
    """The same, through ``fit_many``."""

    def fit_many(self, jobs):
        self.seen += jobs
        return super().fit_many(jobs)


def scaled_and_raw_test_rows(pair, kind="min-max"):
    """Test windows as they are in the corpus, and as they are scaled for the predictor."""
    cut = FewShot().folds(pair, 0).folds
    raw = {row.tobytes() for f in cut for row in f.open_test().x}
    scaled = {row.tobytes() for f in cut for row in Scaling(kind).folds([f])[0].open_test().x}
    return raw | scaled


@pytest.mark.parametrize("kind", ["min-max", "z-score", "none"])
@pytest.mark.parametrize("source", ["unlabelled", "labelled", "none"])
@pytest.mark.parametrize("method", [Spy, SpyMany])
def test_no_test_window_reaches_a_method(store, monkeypatch, method, source, kind):
    monkeypatch.setattr(Spy, "seen", [])
    monkeypatch.setattr(method, "needs", Needs(source=source, calibration=True))
    pair = paired()
    tested = scaled_and_raw_test_rows(pair, kind)
    assert len(tested) >= 24
    run_cell(cell_of(method(), pair, scaling=Scaling(kind)), store)
    assert len(Spy.seen) >= 18
    found = list(rows_within(Spy.seen))
    assert len(found) > 60  # it does look
    assert not tested & set(found)
    whole = {pair.target.x.tobytes(), pair.target.x.copy().ravel().tobytes()}
    assert not whole & set(found)


def test_the_walk_finds_what_is_hidden():
    """The test above means something only if hidden windows are found."""
    windows = synthetic(1)
    wanted = {row.tobytes() for row in windows.x}

    class Slots:
        __slots__ = ("__deep",)

        def __init__(self, value):
            self.__deep = value

    base = windows.x
    hidden = [
        Slots(windows), {"a": [(windows,)]}, lambda: windows, base[:0], windows.x.__len__,
        types.SimpleNamespace(a=Slots([windows])), dataclasses.replace(windows, x=base[:]),
    ]
    for item in hidden[:4] + hidden[5:]:
        assert wanted & set(rows_within(item)), item


def test_without_a_need_of_the_source_none_is_handed(store, monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    monkeypatch.setattr(Spy, "needs", Needs(source="none", calibration=True))
    run_cell(cell_of(Spy()), store)
    assert all(v.source is None for v in Spy.seen if hasattr(v, "calibration"))


def test_an_unlabelled_source_has_no_labels(store, monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    run_cell(cell_of(Spy()), store)
    assert not hasattr(Spy.seen[0], "y")
    assert not any(hasattr(v.source, "y") for v in Spy.seen if hasattr(v, "calibration"))


# Folds.


def test_folds_are_the_same_for_all_methods_and_orders(tmp_path):
    trials = [(n, y, -1, 2) for n, y, _, _ in in_order([0, 1] * 5)]  # drawn by the seed
    pair = paired(None, synthetic(4, trials, corpus="B"))
    cuts = []
    for place, names in enumerate((("means", "majority"), ("majority", "means"))):
        store = Store(tmp_path / str(place))
        for name in names:
            method = Means() if name == "means" else load("methods", name)()
            np.random.default_rng(place).random(3)
            np.random.seed(place)
            found = run_cell(cell_of(method, pair), store)
            cuts.append([(f["subject"], f["calibration_trials"], f["test_trials"])
                         for f in found.folds])
    assert cuts[0] == cuts[1] == cuts[2] == cuts[3]
    other = run_cell(cell_of(Means(), pair, seed=1), Store(tmp_path / "other"))
    assert [(f["subject"], f["calibration_trials"], f["test_trials"])
            for f in other.folds] != cuts[0]


def test_the_record_tells_the_fold(store):
    target = synthetic({3: in_order([0, 1] * 4), 5: in_order([0, 0, 1])}, corpus="B")
    record = run_cell(cell_of(Means(), paired(None, target)), store)
    (fold,) = record.folds
    assert fold["subject"] == 3
    assert fold["calibration_trials"] == [1, 2, 3, 4, 5, 6]
    assert fold["test_trials"] == [7, 8]
    assert (fold["calibration_windows"], fold["test_windows"]) == (24, 8)
    assert fold["majority"] == 0.5
    assert set(fold["scores"]) == {"window", "trial"}
    assert set(fold["scores"]["window"]) == SCORES
    assert record.left_out == [
        {"subject": 5, "session": 1, "reason": "1 trial of class 'high', 2 needed"}
    ]
    assert record.classes == ["low", "high"]
    assert record.simulated is None
    table = record.predictions()
    assert list(table.columns) == ["subject", "session", "trial", "stimulus", "onset", "y",
                                   "p0", "p1"]
    assert len(table) == 8
    hits = (table[["p0", "p1"]].to_numpy().argmax(axis=1) == table.y).mean()
    assert fold["scores"]["window"]["accuracy"] == hits


def test_nobody_to_test_is_an_error(store):
    target = synthetic(2, in_order([0, 0, 1]), corpus="B")
    with pytest.raises(BenchError, match="no subject of B:own can be tested") as caught:
        run_cell(cell_of(Means(), paired(None, target)), store)
    assert "subject 1: 1 trial of class 'high', 2 needed" in caught.value.hint
    assert not store.root.exists()


# Identity, resuming, seeds.


def test_a_rerun_finds_the_record(store, means):
    first = run_cell(cell_of(means()), store)
    assert (means.fitted, means.pretrained) == (3, 1)
    second = run_cell(cell_of(means()), Store(store.root))
    assert (means.fitted, means.pretrained) == (3, 1)
    assert second.id == first.id
    assert second.folds == first.folds
    run_cell(cell_of(means(), seed=1), store)
    assert (means.fitted, means.pretrained) == (6, 2)


def test_a_torn_record_is_computed_again(store, means):
    record = run_cell(cell_of(means()), store)
    (record.path / "record.json").write_text("{")
    again = run_cell(cell_of(means()), store)
    assert means.fitted == 6
    assert again.folds == record.folds
    assert len(store.corrupt) == 1


def test_device_and_run_folder_are_no_part_of_identity():
    cell = cell_of(Means())
    assert "device" not in str(cell.identity())
    for change in ({"device": "cuda"}, {"save_models": True}):
        assert dataclasses.replace(cell, **change).identity() == cell.identity()


@pytest.mark.parametrize("change", [
    {"seed": 1}, {"scale": "null"}, {"precision": "float64"}, {"selection": "source-val"},
    {"scaling": Scaling("z-score")}, {"protocol": FewShot(calibration_trials=1)},
    {"params_origin": "set"}, {"sessions": "all"}, {"pair": paired(None, synthetic(2, corpus="B"))},
    {"pair": paired(synthetic(2, corpus="A"))}, {"method": load("methods", "majority")()},
], ids=lambda c: next(iter(c)))
def test_what_decides_the_numbers_is_identity(change):
    cell = cell_of(Means())
    assert dataclasses.replace(cell, **change).identity() != cell.identity()


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tmp_path):
    scmm = load("methods", "scmm")
    method = scmm(scmm.parse({"epochs": 1, "fit_epochs": 2, "batch": 32}))
    tables = [
        run_cell(cell_of(method, seed=seed), Store(tmp_path / name)).predictions()
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_predictions_do_not_depend_on_who_else_is_a_target(tmp_path):
    scmm = load("methods", "scmm")
    method = scmm(scmm.parse({"epochs": 1, "fit_epochs": 2, "batch": 32}))
    target = synthetic(3, corpus="B", seed=2)
    all_three = run_cell(cell_of(method, paired(None, target)), Store(tmp_path / "a"))
    alone = paired(None, target.take(target.subject == 2))
    single = run_cell(cell_of(method, dataclasses.replace(
        alone, target_name=all_three.identity["target"]["name"])), Store(tmp_path / "b"))
    mine = all_three.predictions().query("subject == 2")[["p0", "p1"]].to_numpy()
    assert mine == pytest.approx(single.predictions()[["p0", "p1"]].to_numpy(), abs=1e-4)


def test_targets_with_equal_sources_share_a_pretrained_state(store, means):
    first = run_cell(cell_of(means(), paired()), store)
    second = run_cell(cell_of(means(), paired(None, synthetic(2, corpus="C", seed=9))), store)
    assert means.pretrained == 1
    assert first.info["pretraining_reused"] is False
    assert second.info["pretraining_reused"] is True
    assert first.info["pretrained"] == second.info["pretrained"]
    assert first.id != second.id


def test_a_record_holds_what_its_network_cost_whoever_trained_it_first(store):
    scmm = load("methods", "scmm")
    method = scmm(scmm.parse({"epochs": 2, "fit_steps": 3, "batch": 32, "fit_batch": 8}))
    first = run_cell(cell_of(method, paired()), store)
    second = run_cell(cell_of(method, paired(None, synthetic(2, corpus="C", seed=9))), store)
    assert second.info["pretraining_reused"] is True
    n = len(paired().source)
    before = {"steps": 2 * -(-n // 32), "windows": 2 * n}
    for record in (first, second):
        assert record.info["cost"] == {"before": before, "after": {"steps": 3, "windows": 24}}
        assert set(record.read_curves()["pretrain"]) == {
            "total", "contrastive", "reconstruction"}
    assert "cost" not in run_cell(cell_of(load("methods", "lda")()), store).info


def test_a_record_holds_how_long_a_head_should_have_been_trained_where_it_was_not(store):
    scmm = load("methods", "scmm")
    for fit, wanted in (({"fit_epochs": 200, "fit_batch": 8}, 200), ({"fit_steps": 900}, 1)):
        method = scmm(scmm.parse({"epochs": 2, "batch": 32, **fit}))
        record = run_cell(cell_of(method, paired(), scale="null"), store)
        n = record.folds[0]["calibration_windows"]
        batches = max(1, n // 8 + (n % 8 > 1)) if "fit_epochs" in fit else 900
        after = record.info["cost"]["after"]
        assert after["steps"] < after["wanted"] == wanted * batches
        told = after.pop("wanted")
        assert wanted_of(record) == told  # as of a record that does not keep it


@pytest.mark.parametrize("change", [
    {"pair": paired(None, synthetic(corpus="B", channels=("FP1", "FZ", "CZ")))},
    {"pair": paired(synthetic(corpus="A", seed=8))}, {"scaling": Scaling("z-score")},
    {"seed": 1}, {"precision": "float64"}, {"scale": "null"},
], ids=["channels", "source", "scaling", "seed", "precision", "budget"])
def test_another_view_of_the_source_is_pretrained_anew(store, means, change):
    run_cell(cell_of(means()), store)
    other = run_cell(cell_of(means(), **change), store)
    assert means.pretrained == 2
    assert other.info["pretraining_reused"] is False


# Contract of predictions.


class Bad(Means):
    """Predicts whatever ``wrong`` makes of the right answer."""

    wrong: ClassVar[Any] = None

    def fit(self, view, state, ctx):
        inner, wrong = super().fit(view, state, ctx), type(self).wrong

        class Wrong:
            def predict_proba(self, x):
                return wrong(inner.predict_proba(x), x)

        return Wrong()


def by_batch(proba, x):
    centred = proba - proba.mean(axis=0) + 1 / proba.shape[1]
    return np.clip(centred, 0.01, 1) / np.clip(centred, 0.01, 1).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda p, x: p[:, :1], "bad: predict_proba gave an array of shape"),
    (lambda p, x: p[:-1] if len(p) > 1 else p, "bad: predict_proba gave an array of shape"),
    (lambda p, x: p.argmax(axis=1), "bad: predict_proba gave an array of shape"),
    (lambda p, x: 2 * p, "expected rows of probabilities"),
    (lambda p, x: np.log(p), "expected rows of probabilities"),
    (lambda p, x: p * np.nan, "expected rows of probabilities"),
    (by_batch, "predicts a window differently alone and among others"),
    (lambda p, x: np.roll(p, 1, axis=0), "predicts a window differently alone and among others"),
])
def test_predictions_that_break_the_contract_are_refused(store, monkeypatch, wrong, message):
    monkeypatch.setattr(Bad, "name", "bad")
    monkeypatch.setattr(Bad, "wrong", staticmethod(wrong))
    with pytest.raises(BenchError, match=message):
        run_cell(cell_of(Bad()), store)
    assert not (store.root / "cells").exists()


def test_a_transductive_method_may_use_test_windows_together(store, monkeypatch):
    monkeypatch.setattr(Bad, "name", "bad")
    monkeypatch.setattr(Bad, "wrong", staticmethod(by_batch))
    monkeypatch.setattr(Bad, "transductive", True)
    assert run_cell(cell_of(Bad()), store).status == "done"


def test_too_few_predictors_are_refused(store, monkeypatch):
    monkeypatch.setattr(Means, "fit_many", lambda self, jobs: [])
    with pytest.raises(BenchError, match="means returned 0 predictors for 1 fold"):
        run_cell(cell_of(Means()), store)


@pytest.mark.parametrize(("needs", "message"), [
    (Needs(calibration=True), "means needs calibration, which zero-shot does not grant"),
    (Needs(features=frozenset({"raw"})), "means works on raw windows, not on de"),
])
def test_a_method_that_does_not_fit_is_refused_before_anything_runs(
    store, means, monkeypatch, needs, message
):
    monkeypatch.setattr(means, "needs", needs)
    with pytest.raises(IncompatibleError, match=message):
        run_cell(cell_of(means(), protocol=ZeroShot()), store)
    assert means.fitted == 0
    assert not store.root.exists()


# The observer.


class Learning(Means):
    """Tells of three epochs, the second of which is right by chance."""

    name: ClassVar[str] = "learning"

    def fit(self, view, state, ctx):
        good = super().fit(view, state, ctx)
        wrong = NearestMean(good.means[::-1])
        for epoch, now in enumerate((wrong, good, wrong), 1):
            ctx.epoch(epoch, 3, {"total": 1 / epoch}, now)
        return wrong


def test_the_last_epoch_is_reported_and_the_best_is_the_oracle(store):
    pair = paired(None, synthetic(3, corpus="B", effect=5.0))
    events: list[Event] = []
    record = run_cell(cell_of(Learning(), pair), store, events.append)
    assert all(f["scores"]["window"]["accuracy"] == 0 for f in record.folds)
    assert record.oracle["selection"] == "best test epoch"
    for fold in record.oracle["folds"]:
        assert fold["epoch"] == 2
        assert fold["scores"]["window"]["accuracy"] == 1
    curves = store.get(record.id).read_curves()
    assert curves["fit"]["1/1"]["test_accuracy"] == [0, 1, 0]
    assert curves["fit"]["3/1"]["total"] == pytest.approx([1, 0.5, 1 / 3], abs=1e-5)
    assert len(events) == 9
    assert events[-1].stage == "calibrating learning"
    assert "subject 3" in events[-1].detail


class Drawing(Means):
    """Draws after telling of an epoch."""

    tell: ClassVar[bool] = True
    drawn: ClassVar[list[float]] = []

    def fit(self, view, state, ctx):
        import torch

        predictor = super().fit(view, state, ctx)
        torch.manual_seed(0)
        np.random.seed(0)
        if self.tell:
            ctx.epoch(1, 1, {"total": 1.0}, predictor)
        self.drawn.append((torch.rand(1).item(), np.random.rand(), ctx.rng("x").random()))
        return predictor


def test_being_watched_changes_no_random_state(tmp_path, monkeypatch):
    found = []
    for tell in (True, False):
        monkeypatch.setattr(Drawing, "tell", tell)
        monkeypatch.setattr(Drawing, "drawn", [])
        run_cell(cell_of(Drawing()), Store(tmp_path / str(tell)))
        found.append(Drawing.drawn)
    assert found[0] == found[1]


def test_the_scales_are_named():
    assert set(BUDGETS) == {"demo", "table", "null", "published"}
    assert BUDGETS["published"].pretrain is None
    assert (BUDGETS["table"].pretrain, BUDGETS["table"].fit) == (120, 40)


def test_provenance_is_in_the_record(store):
    info = run_cell(cell_of(Means()), store).info
    assert {"versions", "device", "threads", "peak_memory_mb", "finished", "wall_s", "cpu_s",
            "parameters"} <= set(info)
    assert info["device"] == "cpu"


def test_methods_of_the_base_class():
    class Least(Method):
        name = "least"

        def fit(self, view, state, ctx):
            return None

    assert not Least().pretrains
    assert Least().controls() == [("target-only", {"network": "lr"}), ("majority", {})]
    with pytest.raises(IncompatibleError, match="models of least cannot be loaded"):
        Least().restore({})
