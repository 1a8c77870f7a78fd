"""No step of a network method is held up by the host, and each can be recorded and replayed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from recording import replayed
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

from bench import graphs
from bench.graphs import Watch
from bench.method import Context, Job, observing
from bench.methods.scmm_released import UnclearedOptimiser
from bench.methods.shared.training import deep
from bench.methods.shared.training.deep import Adaptation
from bench.methods.shared.training.finetuning import FineTuned
from bench.protocols.base import View
from bench.registry import entries, load
from bench.training import Optimiser

from tiny import corpus

#: Two train as others do: on raw windows, and a head alone.
NETWORKS = [n for n in entries("methods") if issubclass(load("methods", n), FineTuned)
            and n not in {"ea-shallownet", "foundation"}]
#: Eight epochs of two whole batches and a short one, or of as many as half a batch makes.
VALUES = {"batch": 32, "windows_per_epoch": 80, "epochs": 8, "fit_epochs": 8, "fit_batch": 32,
          "lr": 3e-3}
#: Masks, and a penalty that sets in; all others in the slow tests.
FEW = ("scmm", "vrex")


def some(names, few=FEW):
    """Names, of which most are tried in the slow tests only."""
    return [n if n in few else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    labels = ("negative", "neutral", "positive")
    return corpus("A", labels, 0.0, rng, trials=9), corpus("B", labels, 0.5, rng, 2, trials=6)


def method(name, **values):
    cls = load("methods", name)
    return cls(cls.parse(VALUES | values))


def contexts(count=2, device="cpu", **more):
    return [Context({"seed": seed}, device=device, fold=f"model {seed}", **more)
            for seed in range(count)]


def trainings(made, windows, every):
    """All that a method trains, each to be called: on a source, to a target, a head of its own."""
    source, target = windows
    found = {}
    if made.pretrains:
        given = source if made.needs.source == "labelled" else source.without_labels()
        found["source"] = lambda: made.pretrain_many(given, every)
    if isinstance(made, Adaptation):
        view = View(source, None, target.without_labels(), source.labels)
        found["target"] = lambda: [p.state for p in made.fit_many(
            [Job(view, None, c) for c in every])]
    if made.name == "mixture":
        view = View(source, replace(source, corpus=source.corpus), None, source.labels)
        found["both"] = lambda: [p.state for p in made.fit_many(
            [Job(view, None, c) for c in every])]
    if made.name in {"scmm", "scmm-released"}:  # all others' heads are trained as scmm's
        view = View(None, target, None, target.labels)
        found["head"] = lambda: [p.state for p in made.fit_many(
            [Job(view, None, c) for c in every])]
    return found


class _Stop(Exception):
    pass


class _NoOptimiser:
    """Stands for Adam, whose fused kernel refuses tensors without values."""

    def __init__(self, leaf):
        self.param_groups = [{"lr": torch.zeros((), device=leaf.device)}]

    def zero_grad(self, set_to_none):
        """Nothing."""

    def step(self):
        """Nothing."""


def watched(made, windows, every, patch):
    """What was seen of the first step of each training, by name."""
    seen = {}

    def once(body, device, steps, compiling):
        def take(short):
            with Watch(device) as watch:
                body(short)
            seen[name] = watch.found
            raise _Stop
        return take

    patch.setattr(graphs, "recorder", once)
    for name, training in trainings(made, windows, every).items():
        with pytest.raises(_Stop):
            training()
    return seen


@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_makes_nothing_elsewhere(name, models, windows, monkeypatch):
    """On tensors without values: draws, losses and backward."""
    for kind in (Optimiser, UnclearedOptimiser):
        monkeypatch.setattr(kind, "build", lambda self, leaves: _NoOptimiser(leaves[0]))
    seen = watched(method(name), windows, contexts(models, "meta"), monkeypatch)
    assert seen
    assert not any(seen.values()), seen


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_reads_no_value(name, windows, monkeypatch):
    """On the CPU, the optimiser included: some backward passes read values, but not of these."""
    seen = watched(method(name), windows, contexts(), monkeypatch)
    assert seen
    assert not any(seen.values()), seen


def test_the_watch_sees_what_it_is_to_see():
    meta, x = torch.device("meta"), torch.ones(3)
    away = torch.ones(3, device="meta")
    for device, work, said in (
        (x.device, lambda: float(x.sum()), "_local_scalar_dense reads values"),
        (x.device, lambda: x[x > 0], "index reads values"),
        (x.device, x.nonzero, "nonzero reads values"),
        (meta, lambda: away * 2 + torch.arange(3).to("meta"), "arange has a tensor on cpu"),
        (meta, lambda: away * torch.tensor(2.0), "has a tensor on cpu"),
    ):
        with Watch(device) as watch:
            work()
        assert any(said in found for found in watch.found), (said, watch.found)
    with Watch(meta) as watch:
        _ = torch.arange(3, device="meta") * away + away[:2].sum()
    assert not watch.found


def compared(made, windows, patch):
    """Each training twice, as written and replayed: states, losses, and replays of each shape."""
    for training in trainings(made, windows, contexts()).values():
        outcomes = []
        for again in (False, True):
            rows = []
            with observing(lambda ctx, epoch, of, losses, now, rows=rows: rows.append(losses)):
                if again:
                    with replayed(patch) as recordings:
                        outcomes.append((training(), rows))
                else:
                    outcomes.append((training(), rows))
        yield *outcomes, recordings


def same(one, two):
    """Whether states and losses are equal to the bit."""
    return one[1] == two[1] and all(
        torch.equal(a[name], b[name])
        for a, b in zip(one[0], two[0], strict=True) for name in a
    )


@pytest.mark.parametrize("name", some(NETWORKS))
def test_a_recorded_step_is_the_step(name, windows, monkeypatch):
    """Batches, draws, learning rates and progress change: from before every anneal to the end."""
    for written, again, recordings in compared(method(name), windows, monkeypatch):
        assert same(written, again)
        for recording in recordings:
            assert sum(recording.replayed.values()) >= 20


@pytest.mark.parametrize("name", some(NETWORKS, ("vrex",)))
def test_frozen_progress_would_be_seen(name, windows, monkeypatch):
    """A control: where losses are handed progress as a number, replays come out differently."""
    made = method(name)
    if isinstance(made, deep.SourceTrained):
        monkeypatch.setattr(deep._Feed, "__call__", _frozen(deep._Feed.__call__))
    progress_counts = name in {"vrex", "irm", "dann", "cdan", "dan", "deep-coral", "dsan", "jan",
                               "mcc", "ms-mda", "pr-pl", "bidann", "dmmr", "rgnn"}
    for written, again, _ in compared(made, windows, monkeypatch):
        assert same(written, again) is not progress_counts


def _frozen(feed):
    """A feed whose batches hold progress as a recording would freeze a number: out of its sight."""
    def fed(self, at):
        with disable_proxy_modes_tracing():
            value = at.progress.clone()
        return replace(feed(self, at), progress=value)

    return fed


@pytest.mark.parametrize("name", some(NETWORKS, ("scmm",)))
def test_models_of_a_stack_are_models_alone(name, windows):
    """In any order, and with others or none: equal to 1e-10 in float64."""
    made, every = method(name, epochs=2, fit_epochs=2), contexts(3, dtype="float64")
    if not made.stacks:
        pytest.skip("not trained in stacks")
    for part, training in trainings(made, windows, every).items():
        together = training()
        for chosen in ([1], [2, 0], [1, 2]):
            some_of_them = [every[k] for k in chosen]
            found = trainings(made, windows, some_of_them)[part]()
            for k, state in zip(chosen, found, strict=True):
                for key, value in state.items():
                    torch.testing.assert_close(value, together[k][key], atol=1e-10, rtol=0)
