"""Selection rules: what each picks, what it may use, and what nothing depends on."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity

from bench.cells.engine import run_cell
from bench.data.pair import Pair
from bench.data.windows import Windows
from bench.errors import IncompatibleError, UnknownNameError
from bench.method import Needs
from bench.protocols.base import Fold, Folds
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaler, Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.reporting import ReportOptions
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.runs.build import cell_of_run
from bench.runs.options import Options
from bench.selection import rules as selection
from bench.selection.observer import LOOKS, Observer, SelectedEpoch
from bench.selection.rules import RULES, held_out, lacking
from bench.selection.validators import (
    MOST,
    Density,
    PredictorAdapter,
    ProbaAdapter,
    RuleScorer,
    _scored,
    dev,
    some,
)
from bench.store.records import Store
from bench.sweeps.executor import Executor
from bench.sweeps.plan import expand
from bench.sweeps.repeat import repeat
from bench.sweeps.request import read_request

import records
from reach import rows_within
from support import Means, NearestMean, cell_of, in_order, paired, synthetic
from tiny import cell_of as network_cell
from tiny import corpus, proba_of

DEAP = ("low valence", "high valence")
PROTOCOLS = {"few-shot": FewShot(), "zero-shot": ZeroShot(), "inductive": Unsupervised(),
             "transductive": Unsupervised(form="transductive"), "within": Within()}


@pytest.fixture(scope="module")
def pair():
    """Small corpora that networks can be trained on."""
    rng = np.random.default_rng(0)
    return Pair(
        corpus("A", ("negative", "neutral", "positive"), 0.0, rng, trials=9),
        corpus("B", DEAP, 0.5, rng), "A:own", "B:own", ("a", "b"),
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


# A method whose epochs are known: two and three are right, one is sure of itself and wrong.


class Sharpened:
    """Nearest class mean, right or wrong, more or less sure."""

    def __init__(self, inner, right, sharp):
        self.inner, self.right, self.sharp = inner, right, sharp

    def predict_proba(self, x):
        p = self.inner.predict_proba(x) ** self.sharp
        p = p / p.sum(axis=1, keepdims=True)
        return p if self.right else p[:, ::-1]


class Scripted(Means):
    """Shows four epochs; its predictor is the last."""

    name: ClassVar[str] = "scripted"
    needs: ClassVar[Needs] = Needs(source="labelled")
    script: ClassVar = ((False, 3.0), (True, 1.0), (True, 0.3), (False, 0.1))
    seen: ClassVar[list] = []

    def fit(self, view, state, ctx):
        self.seen.append(view)
        known = view.source if view.calibration is None else view.calibration
        means = NearestMean(np.stack([
            known.x[known.y == k].astype(float).mean(axis=0) for k in range(len(view.classes))
        ]))
        for epoch, (right, sharp) in enumerate(self.script, 1):
            now = Sharpened(means, right, sharp)
            ctx.epoch(epoch, len(self.script), {"total": 1.0 / epoch}, now)
        return now


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(Scripted, "seen", [])
    return Scripted()


@pytest.fixture(scope="module")
def alike():
    """Two corpora whose classes differ in the same direction."""
    source, target = (synthetic(5, corpus=n, labels=DEAP, effect=4.0, seed=3) for n in "AB")
    noise = np.random.default_rng(0).normal(size=target.x.shape, scale=0.5)
    return paired(source, target.with_x((target.x + noise).astype(np.float32)))


#: What each rule must choose of the script: a tie goes to the later epoch, the oracle's to the
#: first; validators that reward confidence fall for epoch 1.
EXPECTED = {"last": 4, "source-val": 3, "calibration-val": 3, "entropy": 1, "mano": 1, "oracle": 2,
            "importance-weighted": 3}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", RULES)
def test_each_rule_picks_the_epoch_it_must(name, protocol, scripted, alike, store):
    cell = cell_of(scripted, alike, PROTOCOLS[protocol], selection=name)
    if lacking(name, cell.protocol):
        refusal = f"selection {name} needs .* which .* not grant"
        with pytest.raises(IncompatibleError, match=refusal):
            run_cell(cell, store)
        assert not store.root.exists()
        return
    reported = []
    record = run_cell(cell, store, report=lambda *told: reported.append(told))
    columns = store.get(record.id).selections
    assert columns == json.loads(json.dumps(record.selections))
    assert name in columns
    for column, found in columns.items():
        epochs = {fold["epoch"] for fold in found["folds"]}
        assert epochs <= {1, 2, 3, 4}
        if column in EXPECTED:
            assert epochs == {EXPECTED[column]}, column
        assert {fold["of"] for fold in found["folds"]} == {4}
        assert (found["score"] is None) == (column in ("last", "oracle"))
        assert found["uses"] == RULES[column].uses
    assert [f["scores"] for f in record.folds] == [f["scores"] for f in columns[name]["folds"]]
    proba = record.predictions()
    right = EXPECTED.get(name, columns[name]["folds"][0]["epoch"]) in (2, 3)
    if name in EXPECTED:
        assert ((proba.p1 > proba.p0) == proba.y).all() == right
    assert {epoch for epoch, _, _ in reported} == (set() if not RULES[name].scored else
                                                   {1, 2, 3, 4})
    if RULES[name].scored:
        whole = {epoch: score for epoch, _, score in reported}  # the last one is of all folds
        assert max(whole.values()) <= columns[name]["score"] + 1e-9
        if name in EXPECTED:
            assert whole[EXPECTED[name]] == pytest.approx(columns[name]["score"])


def test_rules_free_of_charge_are_columns_of_every_record(scripted, alike, store):
    def columns(protocol, chosen="last"):
        cell = cell_of(scripted, alike, PROTOCOLS[protocol], selection=chosen)
        return list(run_cell(cell, store).selections)

    assert columns("few-shot") == ["last", "oracle"]
    assert columns("few-shot", "calibration-val") == ["last", "calibration-val", "oracle"]
    assert columns("zero-shot", "source-val") == ["last", "source-val", "oracle"]
    free = ["last", "entropy", "snd", "mixval", "mano", "oracle"]
    assert columns("inductive") == free
    assert set(columns("inductive", "dev")) == {*free, "source-val", "importance-weighted", "dev"}


def test_the_run_report_shows_what_each_rule_would_have_given(scripted, alike, store):
    def shown(protocol, rule):
        cell = cell_of(scripted, alike, PROTOCOLS[protocol], selection=rule)
        screen = Console(record=True, width=160, file=io.StringIO())
        load("reports", "run")(run_cell(cell, store), screen)
        return screen.export_text()

    text = shown("few-shot", "calibration-val")
    rows = text[text.index("each rule would choose"):].splitlines()
    rules = [r.split() for r in rows if "± " in r]
    assert [r[1] if r[0] == "▸" else r[0] for r in rules] == ["calibration-val", "last", "oracle"]
    assert rules[0][:5] == ["▸", "calibration-val", "100.0", "±", "0.0"]
    assert "3 of 4" in next(r for r in rows if "▸" in r)
    assert rules[1][1] == "0.0"
    assert "at the epoch chosen by calibration-val" in text
    assert "oracle − chosen epoch" in text
    assert "each rule would choose" not in shown("few-shot", "last")  # last and oracle say all
    assert "uses the test set, never ranked" in shown("few-shot", "oracle")


def test_rules_are_never_side_by_side(tmp_path):
    runs = Store(tmp_path)
    for name in ("last", "calibration-val"):
        records.put(runs, "scmm", [0.6, 0.7], identity={"selection": name})
    found = tables(collect(runs, ReportOptions()), ReportOptions())
    assert sorted(t.setting.selection for t in found) == ["calibration-val", "last"]
    for table in found:
        assert [len(r.cells) for r in table.methods] == [1]


# Methods without epochs.


@pytest.mark.parametrize("name", ["last", "calibration-val", "oracle"])
def test_without_epochs_there_is_one_candidate(name, store):
    target = synthetic(3, corpus="B", effect=5.0, seed=2)
    record = run_cell(cell_of(Means(), paired(None, target), selection=name), store)
    for column in record.selections.values():
        assert {(f["epoch"], f["of"]) for f in column["folds"]} == {(1, 1)}
        assert [f["scores"] for f in column["folds"]] == [f["scores"] for f in record.folds]
    assert record.oracle is None
    if name == "calibration-val":  # which tuning needs
        assert record.selections[name]["score"] == 1.0


# What is held out.


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), subjects=st.integers(2, 6), trials=st.integers(4, 9),
       protocol=st.sampled_from(list(PROTOCOLS)))
def test_nothing_held_out_is_reachable_from_a_view(seed, subjects, trials, protocol):
    rule = PROTOCOLS[protocol]
    sides = [synthetic(subjects, in_order([0, 1] * trials, 2), corpus=name, labels=DEAP,
                     seed=seed + k) for k, name in enumerate("AB")]
    whole = rule.folds(paired(*sides), seed).folds
    what = "calibration" if protocol == "few-shot" else "source"
    cut = held_out(whole, what, Scaling("none"), seed)
    if protocol == "within" and subjects == 2:
        assert not cut
        return
    assert len(cut) == len(whole)
    for old, new in zip(whole, cut):
        held = {x.tobytes() for x in new.open_test().x}
        seen = set(rows_within(new.view))
        assert held
        assert not held & seen
        part = old.view.calibration if what == "calibration" else old.view.source
        assert {x.tobytes() for x in part.x} <= held | seen
        assert not held & {x.tobytes() for x in old.open_test().x}
        if what == "calibration":
            trials_out = set(new.open_test().trial.tolist())
            kept = new.view.calibration
            assert len(trials_out) == 2  # the last of each class
            for y in (0, 1):
                mine = new.open_test().trial[new.open_test().y == y]
                assert kept.order[kept.y == y].max() < mine.min()
        else:
            subjects_out = set(new.open_test().subject.tolist())
            assert not subjects_out & set(new.view.source.subject.tolist())
            assert len(subjects_out) == max(1, round(0.2 * len(set(part.subject.tolist()))))
    shared = {id(f.view.source) for f in whole}
    assert len({id(f.view.source) for f in cut}) == len(shared)


@pytest.mark.parametrize(("protocol", "rule"), [
    ("few-shot", "calibration-val"), ("zero-shot", "source-val"), ("inductive", "dev"),
])
def test_the_first_training_sees_less_and_the_second_all(protocol, rule, scripted, alike, store):
    cell = cell_of(scripted, alike, PROTOCOLS[protocol], selection=rule, scaling=Scaling("none"))
    run_cell(cell, store)
    first, second = scripted.seen[:5], scripted.seen[5:]
    assert len(second) == 5
    part = "calibration" if protocol == "few-shot" else "source"
    for less, all_ in zip(first, second):
        a, b = ({x.tobytes() for x in getattr(v, part).x} for v in (less, all_))
        assert a < b
        assert not (b - a) & set(rows_within(less))


def test_the_first_training_is_scaled_by_what_it_sees():
    sides = [synthetic(4, corpus=name, labels=DEAP, seed=k) for k, name in enumerate("AB")]
    whole = FewShot().folds(paired(*sides), 0).folds
    bare, scaled = (held_out(whole, "calibration", Scaling(k), 0) for k in ("none", "z-score"))
    for a, b in zip(bare, scaled):
        own = Scaler.fit(a.view.calibration.x, "z-score")
        np.testing.assert_array_equal(b.view.calibration.x, own(a.view.calibration.x))
        np.testing.assert_array_equal(b.open_test().x, own(a.open_test().x))
    whole = Unsupervised().folds(paired(*sides), 0).folds
    bare, scaled = (held_out(whole, "source", Scaling(k), 0) for k in ("none", "z-score"))
    for a, b in zip(bare, scaled):
        own = Scaler.fit(a.view.source.x, "z-score")
        np.testing.assert_array_equal(b.open_test().x, own(a.open_test().x))
        np.testing.assert_array_equal(b.view.source.x, own(a.view.source.x))


def test_held_out_subjects_are_scaled_with_their_corpus_or_by_themselves():
    a, b = (synthetic(5, corpus=name, labels=DEAP, seed=k) for k, name in enumerate("AB"))
    two = replace(a, x=a.x + 3, corpus=np.full(len(a), "C"), subject=a.subject + 10_000)
    source = Windows.concatenate([a, two])
    whole = Unsupervised().folds(replace(paired(a, b), source=source), 0).folds
    bare = held_out(whole, "source", Scaling("none"), 0)[0]
    for scope in ("corpus", "subject"):
        new = held_out(whole, "source", Scaling("z-score", scope), 0)[0]
        kept, out = bare.view.source, bare.open_test()
        for name, subject in {(str(c), int(s)) for c, s in zip(out.corpus, out.subject)}:
            mine = (out.corpus == name) & (out.subject == subject)
            known = kept.x[kept.corpus == name] if scope == "corpus" else out.x[mine]
            np.testing.assert_array_equal(
                new.open_test().x[mine], Scaler.fit(known, "z-score")(out.x[mine]))
    tested = held_out(whole, "source", Scaling("z-score", "tested"), 0)[0]
    whole_ = Scaling("z-score", "tested").folds(whole)[0]  # the target is scaled as it ever is
    np.testing.assert_array_equal(tested.view.unlabelled.x, whole_.view.unlabelled.x)


def test_a_fold_with_nothing_to_hold_out_is_scored_at_its_last_epoch(scripted, alike, store):
    # A share of two trials is one; a calibration of 1 trial is refused before.
    few = replace(alike, target=synthetic(3, in_order([0, 1] * 2, 3), corpus="B", labels=DEAP))
    cell = cell_of(scripted, few, FewShot(share=0.5), selection="calibration-val")
    record = run_cell(cell, store)
    column = record.selections["calibration-val"]
    assert column["score"] is None
    assert {f["epoch"] for f in column["folds"]} == {4}
    assert any("only one calibration trial of a class" in n for n in record.notices)
    some_ = synthetic({1: in_order([0, 0, 1, 1], 3), 2: in_order([0, 1] * 4, 3)}, corpus="B",
                    labels=DEAP, effect=4.0, seed=3)
    mixed = replace(alike, target=some_)
    column = run_cell(cell_of(scripted, mixed, FewShot(share=0.5), selection="calibration-val"),
                      store).selections["calibration-val"]
    assert [(f["subject"], f["epoch"]) for f in column["folds"]] == [(1, 4), (2, 3)]
    assert column["score"] == 1.0


# Nothing but the oracle depends on test labels.


class _Permuted:
    """Every test window has another label; everything else is as it was."""

    def folds(self, pair, seed):
        cut = super().folds(pair, seed)
        changed = []
        for fold in cut.folds:
            test = fold.open_test()
            flipped = replace(test, y=(test.y + 1) % len(test.labels))
            changed.append(Fold(fold.subject, fold.session, fold.view, flipped))
        return Folds(changed, cut.left_out, cut.notices)


class PermutedFewShot(_Permuted, FewShot):
    """Few-shot with wrong test labels."""


class PermutedZeroShot(_Permuted, ZeroShot):
    """Zero-shot with wrong test labels."""


class PermutedUnsupervised(_Permuted, Unsupervised):
    """Unsupervised with wrong test labels."""


@pytest.mark.parametrize(("protocol", "permuted", "rules"), [
    ("few-shot", PermutedFewShot(), ["calibration-val"]),
    ("zero-shot", PermutedZeroShot(), ["source-val"]),
    ("inductive", PermutedUnsupervised(), ["dev", "snd"]),
])
def test_permuted_test_labels_change_no_choice(protocol, permuted, rules, pair, tmp_path):
    for name in rules:
        cell = network_cell("source-only", protocol, pair, epochs=6, fit_epochs=6)
        cell = replace(cell, selection=name)
        one = run_cell(cell, Store(tmp_path / name))
        other = run_cell(replace(cell, protocol=permuted), Store(tmp_path / f"{name} permuted"))
        np.testing.assert_array_equal(proba_of(one), proba_of(other))
        for rule in one.selections:
            found = [[(f["epoch"], f["score"]) for f in r.selections[rule]["folds"]]
                     for r in (one, other)]
            assert found[0] == found[1] or rule == "oracle"
        assert one.folds[0]["scores"] != other.folds[0]["scores"]


# Networks.


@pytest.mark.parametrize("name", ["source-only", "scmm"])
def test_calibration_val_is_a_refit_with_the_epochs_it_chose(name, pair, tmp_path):
    # At one rate: on a schedule to zero a training that ends earlier takes other steps.
    values = {"fit_lr": 5e-3, "fit_schedule": "constant"}
    cell = replace(network_cell(name, "few-shot", pair, fit_epochs=6, **values),
                   selection="calibration-val")
    record = run_cell(cell, Store(tmp_path))
    chosen = record.selections["calibration-val"]["folds"]
    curves = record.read_curves()["validation"]["fit"]
    table, columns = record.predictions(), ["p0", "p1"]
    for fold in chosen:
        seen = curves[f"{fold['subject']}/{fold['session']}"]["calibration-val"]
        assert len(seen) == 6
        assert fold["epoch"] == max(range(1, 7), key=lambda e: (seen[e - 1], e))
        assert fold["score"] == pytest.approx(max(seen), abs=1e-6)
        by_hand = network_cell(name, "few-shot", pair, fit_epochs=fold["epoch"], **values)
        refit = run_cell(by_hand, Store(tmp_path)).predictions()
        mine = table.subject == fold["subject"]
        np.testing.assert_array_equal(table[mine][columns], refit[mine][columns])


def test_the_first_training_is_one_by_hand(pair, tmp_path):
    """The validation scores are those of a training on what is left, scored on what is not."""
    cell = replace(network_cell("source-only", "zero-shot", pair, epochs=4), selection="source-val")
    record = run_cell(cell, Store(tmp_path))
    cut = held_out(cell.folds().folds, "source", cell.scaling, cell.seed)
    kept, held = cut[0].view.source, cut[0].open_test()
    state = cell.method.pretrain(kept, cell.context("pretrain"))
    p = cell.method._with_source_head(kept, state).predict_proba(held.x).argmax(axis=1)
    recall = np.mean([(p[held.y == k] == k).mean() for k in (0, 1)])
    seen = record.read_curves()["validation"]["pretrain"]["source-val"]
    assert len(seen) == 4
    assert seen[-1] == pytest.approx(recall, abs=1e-6)


@pytest.mark.parametrize(("protocol", "rule"), [
    ("few-shot", "calibration-val"), ("inductive", "entropy"),
])
def test_a_choice_does_not_depend_on_the_stack(protocol, rule, pair, tmp_path):
    name = "source-only" if protocol == "few-shot" else "dann"

    def run(both, where):
        cell = network_cell(name, protocol, both, epochs=4, fit_epochs=6, fit_lr=5e-3)
        cell = replace(cell, selection=rule, precision="float64")
        return run_cell(cell, Store(tmp_path / where)).selections[rule]["folds"]

    together = run(pair, "all")
    for fold in together:
        only = replace(pair, target=pair.target.take(pair.target.subject == fold["subject"]))
        alone = run(only, str(fold["subject"]))[0]
        assert alone["epoch"] == fold["epoch"]
        assert alone["score"] == pytest.approx(fold["score"], abs=1e-9)


@pytest.mark.parametrize("name", ["source-only", "tent", "scmm", "dann"])
@pytest.mark.parametrize("protocol", ["few-shot", "zero-shot", "inductive", "within"])
def test_being_watched_changes_no_probability(name, protocol, pair, tmp_path, monkeypatch):
    cell = network_cell(name, protocol, pair, epochs=3, fit_epochs=3)
    if name == "dann" and protocol in ("zero-shot", "within"):
        return
    watched = run_cell(cell, Store(tmp_path / "watched"))
    shown = watched.selections["oracle"]["folds"]
    assert {f["of"] for f in shown} == {3}
    assert watched.oracle is not None
    monkeypatch.setattr(Observer, "__call__", lambda self, *told: None)
    alone = run_cell(cell, Store(tmp_path / "alone"))
    assert alone.oracle is None
    np.testing.assert_array_equal(proba_of(watched), proba_of(alone))


def test_a_pretrained_predictor_is_not_taken_from_the_store(pair, tmp_path):
    """Its epochs are candidates, and a stored state has none."""
    runs = Store(tmp_path)
    cell = network_cell("source-only", "zero-shot", pair, epochs=3)
    first = run_cell(cell, runs)
    assert not (runs.root / "pretrained").exists()
    again = run_cell(replace(cell, selection="oracle"), runs)
    assert again.info["pretraining_reused"] is False
    assert again.selections["oracle"] == first.selections["oracle"]
    run_cell(replace(cell, protocol=FewShot()), runs)
    assert list((runs.root / "pretrained").iterdir())


def test_a_shared_network_is_looked_at_some_epochs_only(pair, tmp_path):
    epochs = 2 * LOOKS + 1
    cell = network_cell("source-only", "zero-shot", pair, epochs=epochs, windows_per_epoch=4,
                        batch=4)
    curves = run_cell(cell, Store(tmp_path)).read_curves()["pretrain"]
    assert len(curves["total"]) == epochs
    assert len(curves["test_accuracy"]) == epochs // 3 + 1  # every third, and the last


def test_an_epoch_is_carried_to_a_training_of_another_length():
    assert SelectedEpoch(5, 10).within(10) == 5
    assert SelectedEpoch(5, 10).within(20) == 10
    assert SelectedEpoch(10, 10).within(7) == 7
    assert SelectedEpoch(1, 50).within(3) == 1


# Reports of epochs.


class Stop(Exception):
    """Raised by who prunes."""


def test_who_prunes_ends_the_cell_and_nothing_is_stored(pair, tmp_path):
    cell = replace(network_cell("source-only", "few-shot", pair, fit_epochs=6),
                   selection="calibration-val")
    told = []

    def report(epoch, of, score):
        told.append((epoch, of))
        if epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        run_cell(cell, Store(tmp_path), report=report)
    assert told == [(1, 6), (2, 6)]  # one of all folds together
    assert not list(Store(tmp_path).records())


# Validators.


class Linear:
    """Softmax of a fixed linear map."""

    def __init__(self, classes, seed=0):
        self.w = np.random.default_rng(seed).normal(size=(20, classes)) * 0.5

    def predict_proba(self, x):
        z = np.exp(x.reshape(len(x), -1).astype(float) @ self.w)
        return z / z.sum(axis=1, keepdims=True)


def sides(classes=3):
    labels = [f"class {k}" for k in range(classes)]
    make = [synthetic(4, in_order(list(range(classes)) * 2, 6), corpus=c, labels=labels,
                    channels=("FZ", "CZ", "PZ", "OZ"), seed=k) for k, c in enumerate("AB")]
    return make[0], make[1].without_labels()


@pytest.mark.parametrize("classes", [2, 3])
def test_validators_agree_with_their_definitions(classes):
    held, target = sides(classes)
    predictor = Linear(classes)
    fold = Fold(1, 1, FewShot().folds(paired(), 0).folds[0].view, held)
    fold = Fold(1, 1, replace(fold.view, classes=held.labels), held)
    names = [n for n in RULES if n not in ("last", "oracle", "calibration-val")]
    found = RuleScorer(names, {(1, 1): target})(fold, predictor)
    with config_context(enable_metadata_routing=False):  # as where another thread imported skada
        assert RuleScorer(names, {(1, 1): target})(fold, predictor) == found
    p = predictor.predict_proba(target.x)
    assert found["entropy"] == pytest.approx(
        np.sum(p * np.log(p + 1e-7), axis=1).mean() / classes)  # the mean is over classes too
    q = p / np.linalg.norm(p, axis=1, keepdims=True)
    near = q @ q.T / 0.05
    np.fill_diagonal(near, -1 / 0.05)
    near = np.exp(near - near.max(axis=1, keepdims=True))
    near /= near.sum(axis=1, keepdims=True)
    assert found["snd"] == pytest.approx(-(near * np.log(near)).sum(axis=1).mean())
    assert found["mano"] == pytest.approx(np.mean(p**4) ** 0.25)
    right = predictor.predict_proba(held.x).argmax(axis=1) == held.y
    recalls = [right[held.y == k].mean() for k in range(classes)]
    assert found["source-val"] == pytest.approx(np.mean(recalls))
    flat = [w.x.reshape(len(w), -1).astype(float) for w in (held, target)]
    logs = [KernelDensity().fit(f).score_samples(flat[0]) for f in flat]
    weight = np.exp(logs[1] - logs[0])
    assert found["importance-weighted"] == pytest.approx(np.average(right, weights=weight))
    assert 0 <= found["mixval"] <= 1


def test_density_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    a, b, x = (rng.normal(size=(n, 7)) for n in (30, 40, 20))
    ours, theirs = ([k().fit(s).score_samples(x) for s in (a, b)] for k in (Density, KernelDensity))
    np.testing.assert_allclose(ours[0] - ours[1], theirs[0] - theirs[1], atol=1e-9)


def test_dev_weights_each_loss_by_its_own_weight():
    """skada's default loss would weight every loss by every weight."""
    from sklearn.model_selection import train_test_split

    held, target = sides(2)
    predictor = Linear(2)
    x, _, y = held.x.astype(float), target, held.y
    train, val, _, truth = train_test_split(
        x, y, test_size=0.33, random_state=np.random.RandomState(0))
    flat = [v.reshape(len(v), -1) for v in (train, val, target.x.astype(float))]
    model = LogisticRegression().fit(
        np.concatenate([flat[0], flat[2]]), [1] * len(train) + [0] * len(target))
    p = model.predict_proba(flat[1])
    w = len(train) / len(target) * p[:, 0] / p[:, 1]
    loss = -np.log(predictor.predict_proba(val)[np.arange(len(val)), truth])
    eta = -np.cov(w * loss, w)[0, 1] / w.var(ddof=1)
    assert dev(predictor, held, target) == pytest.approx(
        -((w * loss).mean() + eta * w.mean() - eta), rel=1e-6)


@config_context(enable_metadata_routing=True)
def test_skada_is_handed_what_it_would_compute_itself():
    """A fitted classifier of scikit-learn scores alike by itself and through our stand-ins."""
    from skada import make_da_pipeline
    from skada.metrics import MixValScorer, PredictionEntropyScorer, SoftNeighborhoodDensity

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    model = make_da_pipeline(LogisticRegression()).fit(x, y, sample_domain=np.ones(60, int))
    other = rng.normal(size=(40, 4)) + 0.5
    domain, unknown = np.full(40, -2), np.full(40, -1)

    class Fitted:
        def predict_proba(self, windows):
            return model.predict_proba(windows.astype(np.float64), sample_domain=-2)

    for scorer in (PredictionEntropyScorer(), SoftNeighborhoodDensity()):
        theirs = scorer(model, other, unknown, sample_domain=domain)
        p = model.predict_proba(other, sample_domain=domain)
        assert _scored(scorer, ProbaAdapter(), p) == pytest.approx(theirs, abs=1e-6)
    scorer = MixValScorer(random_state=0)
    theirs = scorer(model, other, unknown, sample_domain=domain)
    assert _scored(scorer, PredictorAdapter(Fitted()), other) == pytest.approx(theirs)


def test_validators_look_at_some_windows_evenly():
    assert some(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    chosen = some(np.arange(10 * MOST))
    assert len(set(chosen.tolist())) == MOST
    assert np.diff(chosen).max() <= 11


# Names, plans, reruns.


def test_unknown_rules_are_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="there is no selection rule named 'source-vall'"):
        selection.rule("source-vall")
    with pytest.raises(UnknownNameError, match="Did you mean 'calibration-val'"):
        selection.rule("calibration_val")


@pytest.mark.parametrize(("rule", "protocol", "lacks"), [
    ("source-val", "few-shot", "source windows in the classes"),
    ("calibration-val", "zero-shot", "labelled calibration trials"),
    ("entropy", "few-shot", "unlabelled target windows that are not trained on"),
    ("dev", "within", "unlabelled target windows"),
])
def test_what_a_protocol_cannot_grant_is_refused_before_anything_is_read(rule, protocol, lacks):
    def nothing(event):
        raise AssertionError(event)

    message = f"selection {rule} needs {lacks}.*which {protocol} does not grant"
    with pytest.raises(IncompatibleError, match=message) as caught:
        cell_of_run("lda", "SEED", "DEAP", Options(protocol=protocol, selection=rule), nothing)
    assert "last" in caught.value.hint
    request = read_request(None, {"methods": "lda", "pairs": "SEED->DEAP", "simulated": True,
                                  "protocols": protocol, "selection": rule})
    with pytest.raises(IncompatibleError, match=message):
        expand(request)


def test_models_of_another_epoch_are_not_saved():
    from bench.errors import SettingError

    options = Options(selection="calibration-val", save_models=True)
    with pytest.raises(SettingError, match="last epoch"):
        cell_of_run("scmm", "SEED", "DEAP", options, lambda event: None)


def test_the_rule_is_part_of_plan_and_identity_and_rerun(tmp_path, tiny_root):
    plans = [
        expand(read_request(None, {
            "methods": "source-only", "pairs": "SEED->DEAP", "selection": rule, "scale": "null",
            "protocols": "few-shot", "data": tiny_root, "controls": False,
            "params": {"source-only": {"fit_epochs": 3, "epochs": 1}},
        })) for rule in ("last", "calibration-val")
    ]
    assert plans[0].hash != plans[1].hash
    runs = Store(tmp_path)
    shop = Executor(plans[1].request)
    record = shop.run(plans[1].cells[0], runs, lambda event: None)
    assert record.identity["selection"] == "calibration-val"
    again = repeat(runs.get(record.id), tiny_root)
    assert again.agrees(1e-6)
    assert not again.changed
