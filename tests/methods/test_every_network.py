"""Every network method on tiny corpora, under every protocol, through the engine."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.cells.cell import Cell
from bench.cells.contract import restrict_views
from bench.cells.engine import run_cell
from bench.cells.models import load_model
from bench.data.pair import Pair
from bench.errors import IncompatibleError, SettingError
from bench.method import Budget, Context, Job
from bench.methods.shared.training.deep import Adaptation, Supervised
from bench.methods.shared.training.finetuning import FineTuned
from bench.methods.shared.training.heads import labelled
from bench.methods.shared.training.testtime import TestTime
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.registry import entries, load
from bench.store.records import Store
from bench.training import Optimiser, Phase, stack, train

from tiny import PROTOCOLS, TINY, cell_of, corpus, proba_of

TestTime.__test__ = False  # not a test, whatever its name


def is_network(name):
    target = load("methods", name)
    return issubclass(target, FineTuned)


#: Methods of raw windows are tried where these are.
METHODS = [n for n in entries("methods")
           if is_network(n) and "de" in load("methods", n).needs.features]
SUITED = {
    n: set(PROTOCOLS) - ({"zero-shot", "within"} if issubclass(load("methods", n), Adaptation)
                         else set(PROTOCOLS) - {"few-shot"} if n == "mixture" else set())
    for n in METHODS
}


def usual(name):
    """A protocol that a method fits: without calibration, if it can do without."""
    return "inductive" if "inductive" in SUITED[name] else "few-shot"


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return Pair(
        corpus("A", ("negative", "neutral", "positive"), 0.0, rng, trials=9),
        corpus("B", ("low valence", "high valence"), 0.5, rng), "A:own", "B:own", ("a", "b"),
    )


@pytest.fixture
def unwatched(monkeypatch):
    """No rule of selection looks at the epochs: it may change no number, and costs most of them."""
    monkeypatch.setattr("bench.cells.run._scorer", lambda names, of: lambda fold, predictor: {})


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_runs_or_is_refused(name, protocol, pair, tmp_path):
    """The engine also checks that windows are predicted on their own, or the method says not."""
    cell = cell_of(name, protocol, pair)
    if protocol not in SUITED[name]:
        lacking = f"{name} needs (unlabelled|calibration), which .* not grant"
        with pytest.raises(IncompatibleError, match=lacking):
            run_cell(cell, Store(tmp_path))
        return
    record = run_cell(cell, Store(tmp_path))
    assert len(record.folds) == 3
    expected = {"few-shot": ("low valence", "high valence"),
                "within": ("low valence", "high valence")}
    if cell.method.maps_labels and protocol == "few-shot":
        expected = {}
    assert tuple(record.classes) == expected.get(protocol, ("negative", "positive"))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.usefixtures("unwatched")
def test_seeds_repeat(name, pair, tmp_path):
    def run(seed, where):
        cell, store = cell_of(name, usual(name), pair, seed=seed), Store(tmp_path / where)
        return proba_of(store.get(run_cell(cell, store).id))

    first = run(0, "first")
    np.testing.assert_array_equal(first, run(0, "again"))
    assert np.abs(first - run(1, "first")).max() > 1e-4


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.usefixtures("unwatched")
def test_separable_classes_are_found(name, pair, tmp_path):
    epochs = 48 if name == "ms-mda" else 12  # of which each branch has one subject's share
    cell = cell_of(name, usual(name), pair, epochs=epochs, windows_per_epoch=64, fit_epochs=12,
                   lr=3e-3, fit_lr=3e-3)
    scores = [f["scores"]["window"]["balanced_accuracy"]
              for f in run_cell(cell, Store(tmp_path)).folds]
    assert np.mean(scores) > 0.7


def jobs_of(method, protocol, pair, budget=None):
    cell = Cell(method, "set", pair, PROTOCOLS[protocol], Scaling("z-score"))
    folds = restrict_views(
        cell.scaling.folds(cell.folds().folds),
        method.needs_under(PROTOCOLS[protocol].grants),
    )
    axes = {"seed": 0, "stage": "fit"}
    return [
        Job(f.view, None, Context({**axes, "subject": f.subject, "session": f.session},
                                  budget=budget or Budget(), fold=f"subject {f.subject}",
                                  dtype="float64"))
        for f in folds
    ]


@pytest.mark.parametrize("name", ["dann", "dan", "mcd", "mixup"])
def test_a_fold_does_not_depend_on_its_stack(name, pair):
    cls = load("methods", name)
    method = cls(cls.parse(TINY))
    jobs = jobs_of(method, "few-shot", pair)
    x = pair.target.x[:20]
    together = [p.predict_proba(x) for p in method.fit_many(jobs)]
    for job, expected in zip(jobs, together):
        np.testing.assert_allclose(
            method.fit(job.view, None, job.ctx).predict_proba(x), expected, atol=1e-8
        )


@pytest.mark.parametrize("name", [n for n in METHODS if load("methods", n).transductive])
def test_test_time_methods_do_use_the_windows_together(name, pair, tmp_path):
    record = run_cell(cell_of(name, "zero-shot", pair), Store(tmp_path))
    assert record.identity["protocol"]["target_access"].endswith("tested windows, unlabelled")
    method = load("methods", name)
    with pytest.raises(SettingError, match="trained head"):
        method.parse({"finetune": "probe"})


# An oracle's record holds the epoch chosen on the test set, its model the last one.
@pytest.mark.parametrize("name", [n for n in METHODS if load("methods", n).kind == "method"])
@pytest.mark.usefixtures("unwatched")
def test_models_can_be_saved(name, pair, tmp_path):
    cell = dataclasses.replace(cell_of(name, usual(name), pair), save_models=True)
    record = Store(tmp_path).get(run_cell(cell, Store(tmp_path)).id)
    files = sorted((record.path / "models").iterdir())
    fold = cell.scaling.folds(cell.folds().folds)[0]
    again = load_model(files[0]).predict_proba(fold.open_test().x)
    np.testing.assert_allclose(again, proba_of(record)[: len(again)], atol=1e-6)


def test_zero_shot_trains_one_network_for_all_folds(pair):
    cls = load("methods", "source-only")
    method = cls(cls.parse(TINY))
    jobs = jobs_of(method, "zero-shot", pair)
    state = method.pretrain(jobs[0].view.source, jobs[0].ctx)
    found = method.fit_many([dataclasses.replace(j, state=state) for j in jobs])
    assert len({id(p.state["head2.weight"]) for p in found}) == 1
    scmm = load("methods", "scmm")
    ready = scmm(scmm.parse(TINY))
    bare = ready.needs_under(frozenset({"source"}))
    assert (bare.source, bare.calibration) == ("labelled", False)
    assert len({id(p) for p in ready.fit_many(jobs_of(ready, "zero-shot", pair))}) == 1


def test_the_control_is_the_same_for_all_networks(pair):
    """Target-only learns nothing of a source, so every method shares one cell of it."""
    encoders = ("rgnn", "bidann")  # have encoders of their own
    shared = [load("methods", n)(None).controls() for n in METHODS if n not in ("scmm", *encoders)
              and issubclass(load("methods", n), Supervised | Adaptation)]
    assert all(c == shared[0] for c in shared)
    probabilities = []
    for network in ("source-only", "dann", "scmm"):
        cls = load("methods", "target-only")
        method = cls(cls.parse({"network": network, "fit_epochs": 2}))
        jobs = jobs_of(method, "few-shot", pair)
        probabilities.append(method.fit_many(jobs)[0].predict_proba(pair.target.x[:9]))
    np.testing.assert_array_equal(probabilities[0], probabilities[1])
    np.testing.assert_array_equal(probabilities[0], probabilities[2])


def test_labels_in_other_classes_are_never_used(pair):
    view = FewShot().folds(pair, 0).folds[0].view
    assert labelled(view) is view.calibration
    with pytest.raises(ValueError, match="no labelled windows in the classes"):
        labelled(dataclasses.replace(view, calibration=None))


def test_budgets_limit_the_steps(pair):
    seen = []

    class Watching(load("methods", "dann")):
        def losses(self, net, p, batch):
            seen.append((float(batch.progress), batch.x.shape[1], batch.target.shape[1]))
            return super().losses(net, p, batch)

    method = Watching(Watching.parse(TINY | {"epochs": 50}))
    method.fit_many(jobs_of(method, "inductive", pair, Budget(pretrain=4)))
    assert [s[0] for s in seen] == [0, 0.25, 0.5, 0.75]
    assert {s[1:] for s in seen} == {(16, 16)}  # half of a batch of 32 each


def test_phases_train_their_own_leaves():
    """Alternating steps are those of two Adams, each with its own leaves."""
    first = {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}
    model = stack([first], "cpu", torch.float64)

    def loss(at):
        return {"total": ((model["a"] - 3) ** 2 + (model["a"] * model["b"]) ** 2).sum(1)}

    train(model, [Phase(loss, lambda n: n == "a"), Phase(loss, lambda n: n == "b")], epochs=3,
          steps=2, optimiser=Optimiser(0.1), on_epoch=lambda e, l: None, names=["m"])
    a, b = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0))
    adams = [torch.optim.Adam([t], lr=0.1) for t in (a, b)]
    for _ in range(6):
        for adam in adams:
            for other in adams:
                other.zero_grad()
            ((a - 3) ** 2 + (a * b) ** 2).sum().backward()
            adam.step()
    torch.testing.assert_close(model["a"].detach()[0], a.detach())
    torch.testing.assert_close(model["b"].detach()[0], b.detach())
