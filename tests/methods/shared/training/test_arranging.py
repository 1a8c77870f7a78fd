"""Batches by subject, gains that channels share, targets that forget, and rates layer by layer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.data.windows import Windows
from bench.draws import Draws
from bench.method import Budget, Context, Job
from bench.methods.shared.networks.layers import ConvEncoder, MlpEncoder, layers_of, names_of
from bench.methods.shared.training.arranging import arranged
from bench.methods.shared.training.sampling import ShuffledBatches, neighbours, successive
from bench.methods.shared.training.views import Augmentation
from bench.protocols.base import View
from bench.registry import load
from bench.training import is_buffer

from tiny import corpus

LABELS = ("negative", "neutral", "positive")


def source(lengths=(30, 18, 24)):
    """Windows of subjects with so many windows each, in trials of six."""
    subject = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    trial = np.concatenate([np.arange(n) // 6 + 1 for n in lengths])
    return Windows.from_arrays(
        np.zeros((len(subject), 2, 5)), trial % 2, subject=subject, trial=trial,
        channels=["FZ", "CZ"], labels=["low", "high"],
    )


def asked(**values):
    return SimpleNamespace(**{"batches": "mixed", "anchors": 0} | values)


def keys():
    """Of two models, from the beginning."""
    return Draws.stack([Draws.of(0), Draws.of(1)])


def drawn(sampler):
    """Batches of both models, as lists of index tensors without their axis of models."""
    return [batch[k] for batch in sampler.epoch(keys()) for k in (0, 1)]


def test_a_batch_of_one_subject_holds_no_other_and_nothing_twice():
    given = source()
    sampler = arranged(ShuffledBatches(len(given), 12, 60), given, asked(batches="subject"))
    batches = drawn(sampler)
    assert len(batches) == 2 * sampler.steps == 2 * 5
    for batch in batches:
        assert len(batch) == len(set(batch.tolist())) == 12
        assert len(set(given.subject[batch.numpy()])) == 1
    assert {int(given.subject[b[0]]) for b in batches} == {1, 2, 3}  # each has its turn


def test_a_balanced_batch_holds_as_many_of_each():
    given = source()
    sampler = arranged(ShuffledBatches(len(given), 12, 60), given, asked(batches="balanced"))
    for batch in drawn(sampler):
        assert len(set(batch.tolist())) == 12
        assert np.bincount(given.subject[batch.numpy()])[1:].tolist() == [4, 4, 4]


def test_more_subjects_than_a_batch_has_windows():
    given = source((6,) * 9)
    sampler = arranged(ShuffledBatches(len(given), 4, 20), given, asked(batches="balanced"))
    for batch in drawn(sampler):
        assert len(set(given.subject[batch.numpy()])) == 4


def test_a_subject_with_few_windows_makes_batches_smaller_not_doubled():
    given = source((30, 6, 24))
    sampler = arranged(ShuffledBatches(len(given), 12, 60), given, asked(batches="subject"))
    assert {len(batch) for batch in drawn(sampler)} == {6}
    assert sampler.steps == 10


def test_subjects_of_two_corpora_are_two_though_they_have_one_number():
    both = Windows.concatenate([source((12,)), replace(source((12,)), corpus=np.repeat("B", 12))])
    sampler = arranged(ShuffledBatches(24, 12, 24), both, asked(batches="balanced"))
    for batch in drawn(sampler):
        assert np.unique(both.corpus[batch.numpy()], return_counts=True)[1].tolist() == [6, 6]


@pytest.mark.parametrize("how", ["subject", "balanced"])
def test_groups_are_put_together_by_their_anchors(how):
    given = source()
    sampler = arranged(successive(given, 3, 18, 54), given, asked(batches=how))
    for batch in drawn(sampler):
        assert batch.shape == (3, 6)
        whose = given.subject[batch.numpy()]
        assert (whose == whose[0]).all()  # a run is of one subject
        assert len(set(whose[0])) == (1 if how == "subject" else 3)


@pytest.mark.parametrize("how", ["mixed", "subject"])
def test_a_batch_has_as_many_anchors_as_are_asked_for(how):
    given = source()
    plain = successive(given, 6, 30, 72)
    assert drawn(arranged(plain, given, asked()))[0].shape == (6, 5)
    many = arranged(plain, given, asked(anchors=10 if how == "mixed" else 3, batches=how))
    assert drawn(many)[0].shape == (6, 10 if how == "mixed" else 3)
    near = arranged(neighbours(given, 2.0, 9, 30), given, asked(anchors=8))
    assert drawn(near)[0].shape == (3, 8)


def test_mixed_batches_are_those_of_before():
    given = source()
    for sampler in (ShuffledBatches(len(given), 12, 60), successive(given, 3, 18, 54)):
        for a, b in zip(drawn(sampler), drawn(arranged(sampler, given, asked())), strict=True):
            assert torch.equal(a, b)
    assert arranged(sampler, given, SimpleNamespace()).steps == sampler.steps


def test_a_shared_gain_moves_all_channels_of_a_window_alike():
    shape = (5, 4, 3)
    shift = Augmentation(gain=0.5, shared=True).draw(shape, keys())[:, 0]
    assert torch.equal(shift, shift[..., :1, :1].expand_as(shift))
    assert shift[..., 0, 0].std() > 0.2
    own = Augmentation(gain=0.5).draw(shape, keys())[:, 0]
    assert own[..., 0].std(dim=-1).min() > 0.05


@pytest.mark.parametrize("name", ["simclr", "ts-tcc"])
def test_methods_hand_the_gain_on(name):
    cls = load("methods", name)
    space = source().space
    sizes = {"jitter": 0.0, "hide_channels": 0.0, "gain": 0.5, "backbone": "mlp"}
    task = cls(cls.parse({**sizes, "gain_of": "window"})).network(space)
    shift = task.noise(6, keys())[:, 0, :6]
    assert torch.equal(shift, shift[..., :1, :1].expand_as(shift))


def test_the_target_of_a_short_training_forgets_its_start():
    cls = load("methods", "byol")
    task = cls(cls.parse({"momentum": 0.99, "horizon": 0.1})).network(source().space)
    shares = []
    for steps in (100, 500, 10_000):
        task.begin(steps)
        shares.append(task.follows)
    assert shares == pytest.approx([0.1, 0.02, 0.01])
    # How much of the start is left after all steps of the cosine: next to nothing.
    left = np.prod([1 - 0.1 * 0.5 * (1 + np.cos(np.pi * n / 100)) for n in range(1, 101)])
    assert left < 0.01
    task.params = task.params.model_copy(update={"momentum": torch.tensor([0.99, 0.5])})
    task.begin(100)
    assert task.follows.tolist() == pytest.approx([0.1, 0.5])


# --- what is fine-tuned ----------------------------------------------------------------------

def test_layers_are_in_order_and_hold_every_trained_tensor():
    for encoder in (ConvEncoder(4, 5), MlpEncoder(4, 5)):
        names = [n for layer in layers_of(encoder) for n in layer]
        assert names == [n for n in names_of(encoder) if not is_buffer(n)]
    assert [layer[0] for layer in layers_of(ConvEncoder(4, 5))] == [
        "conv1.weight", "conv2.weight", "conv3.weight"]


def moved(double=False, **values):
    """How far each trained tensor of a network went from where its fine-tuning began."""
    rng = np.random.default_rng(0)
    a, b = corpus("A", LABELS, 0.0, rng, trials=6), corpus("B", LABELS, 0.5, rng, 1, trials=6)
    cls = load("methods", "scmm")
    method = cls(cls.parse({"backbone": "cnn", "fit_average": 0.0, "fit_steps": 4,
                            "fit_schedule": "constant", "fit_weight_decay": 0.0, **values}))
    ctx = Context({"seed": 0}, budget=Budget(2, 4), dtype="float64" if double else "float32")
    state = method.pretrain(a.without_labels(), ctx)
    view = View(a.without_labels(), b, None, LABELS)
    end = method.fit(view, state, ctx).state
    return {name: float((end[name] - state[name]).abs().max()) for name in state
            if name in end and not is_buffer(name)}


def test_partial_fine_tuning_trains_the_last_layers_and_leaves_the_rest():
    for layers, still in ((1, ("conv1", "bn1", "conv2", "bn2")), (2, ("conv1", "bn1"))):
        for name, far in moved(finetune="partial", fit_layers=layers).items():
            assert (far > 0) == (not name.startswith(still)), name


def test_rates_fall_from_layer_to_layer():
    """One step of Adam goes as far as its rate, whatever the gradient."""
    went = moved(double=True, fit_decay=0.5, fit_steps=1, fit_lr=0.01)
    for layer, share in ((3, 0.5), (2, 0.25), (1, 0.125)):
        assert went[f"conv{layer}.weight"] == pytest.approx(0.01 * share, rel=1e-3)


def test_models_with_rates_of_their_own_have_layers_too():
    """A stack of two rates and layers of different ones goes as two single trainings do."""
    rng = np.random.default_rng(0)
    a, b = corpus("A", LABELS, 0.0, rng, trials=6), corpus("B", LABELS, 0.5, rng, 1, trials=6)
    cls = load("methods", "simclr")
    values = {"fit_decay": 0.5, "finetune": "partial", "fit_layers": 2, "fit_steps": 3}
    both = [cls.parse({**values, "fit_lr": lr}) for lr in (1e-3, 3e-2)]
    method, view = cls(both[0]), View(a.without_labels(), b, None, LABELS)
    jobs = []
    for params in both:
        ctx = Context({"seed": 0}, budget=Budget(2, 3), dtype="float64", params=params)
        jobs.append(Job(view, cls(params).pretrain(a.without_labels(), ctx), ctx))
    together = method.fit_many(jobs)
    for predictor, job, params in zip(together, jobs, both, strict=True):
        alone = cls(params).fit(view, job.state, replace(job.ctx, params=None))
        assert np.abs(predictor.predict_proba(b.x) - alone.predict_proba(b.x)).max() < 1e-10
