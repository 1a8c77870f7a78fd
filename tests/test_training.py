"""Training of stacks: batches, optimiser, schedule, and that models do not touch each other."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.draws import Draws
from bench.errors import DivergedError
from bench.method import Budget, Context
from bench.training import (
    Optimiser,
    Phase,
    batches,
    groups_of_equal,
    is_buffer,
    stack,
    steps_per_epoch,
    train,
    unstack,
)


def quadratic(k: int, seed: int = 0):
    """K least-squares problems and the step that trains a stack of models on them."""
    g = torch.Generator().manual_seed(seed)
    data = torch.randn(k, 5, 16, 3, generator=g, dtype=torch.float64)
    wanted = torch.randn(k, 5, 16, generator=g, dtype=torch.float64)
    states = [{"w": torch.randn(3, generator=g), "n.running_mean": torch.zeros(2)}
              for _ in range(k)]
    return data, wanted, states


def fit(states, data, wanted, epochs=4, schedule="cosine", lr=0.05, decay=1e-3):
    model = stack(states, "cpu", torch.float64)

    def step(at):
        out = (data[:, at.batch] @ model["w"].unsqueeze(2))[..., 0]
        return {"total": (out - wanted[:, at.batch]).square().mean(dim=1)}

    seen = []
    lost = train(
        model, step, epochs=epochs, steps=5, names=[f"subject {k}" for k in range(len(states))],
        optimiser=Optimiser(lr, 0.9, 0.99, decay, schedule),
        on_epoch=lambda epoch, losses: seen.append((epoch, losses)))
    return model, seen, lost


def test_the_cosine_is_a_cosine():
    rates = [Optimiser(0.1, schedule="cosine").rate(e, 8) for e in range(8)]
    assert rates[0] == 0.1
    assert rates[4] == pytest.approx(0.05)
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * e / 8)) for e in range(8)])
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 8)
    for rate in rates:
        assert rate == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        schedule.step()
    assert [Optimiser(0.1).rate(e, 8) for e in range(8)] == [0.1] * 8


def test_training_follows_plain_adam_with_cleared_gradients_and_a_cosine():
    """Against torch's own loop: accumulated gradients or another schedule would show."""
    data, wanted, states = quadratic(1)
    model, seen, _ = fit(states, data, wanted)
    w = states[0]["w"].double().requires_grad_()
    adam = torch.optim.Adam([w], lr=0.05, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 4)
    for epoch in range(4):
        losses = []
        for b in range(5):
            adam.zero_grad()
            loss = (data[0, b] @ w - wanted[0, b]).square().mean()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        schedule.step()
        assert seen[epoch] == (epoch, [{"total": pytest.approx(sum(losses) / 5)}])
    assert torch.allclose(model["w"][0], w, atol=1e-12, rtol=0)


def test_a_stack_is_as_good_as_single_trainings():
    data, wanted, states = quadratic(4)
    together, _, _ = fit(states, data, wanted)
    for k in range(4):
        alone, _, _ = fit(states[k : k + 1], data[k : k + 1], wanted[k : k + 1])
        assert torch.allclose(unstack(together, k)["w"], alone["w"][0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("neighbour", [1e6, 50.0, 0.0])
def test_what_a_neighbour_holds_does_not_matter(neighbour):
    data, wanted, states = quadratic(3)
    before, _, _ = fit(states, data, wanted)
    data[1] *= neighbour
    after, _, _ = fit(states, data, wanted)
    for k in (0, 2):
        assert torch.equal(before["w"][k], after["w"][k])
    assert not torch.equal(before["w"][1], after["w"][1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_model_that_diverges_is_named_and_the_others_do_not_notice(value):
    data, wanted, states = quadratic(3)
    before, calm, none = fit(states, data, wanted)
    data[1, 2, 0, 0] = value
    after, seen, lost = fit(states, data, wanted)
    assert none == [None] * 3
    assert [lost[0], lost[2]] == [None, None]
    assert re.fullmatch(r"subject 1: the loss is (nan|inf) at epoch 1, batch [34]",
                        lost[1].message)
    assert "learning rate" in lost[1].hint
    for k in (0, 2):
        assert torch.equal(before["w"][k], after["w"][k])
        assert [losses[k] for _, losses in seen] == [losses[k] for _, losses in calm]
    assert all(math.isnan(losses[1]["total"]) for _, losses in seen)


def test_if_all_models_diverge_the_first_is_named():
    data, wanted, states = quadratic(2)
    data[:, 2, 0, 0] = float("nan")
    with pytest.raises(DivergedError, match="subject 0: the loss is nan at epoch 1, batch 3"):
        fit(states, data, wanted)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_each_model_may_have_a_learning_rate_and_a_weight_decay_of_its_own(schedule):
    """Against torch's own Adam, one model at a time."""
    data, wanted, states = quadratic(3)
    rates, decays = [0.05, 0.01, 0.2], [1e-3, 0.0, 0.1]
    together, _, _ = fit(states, data, wanted, schedule=schedule,
                         lr=torch.tensor(rates, dtype=torch.float64),
                         decay=torch.tensor(decays, dtype=torch.float64))
    for k in range(3):
        alone, _, _ = fit(states[k : k + 1], data[k : k + 1], wanted[k : k + 1],
                          schedule=schedule, lr=rates[k], decay=decays[k])
        assert torch.allclose(together["w"][k], alone["w"][0], atol=1e-12, rtol=0)


def test_leaves_of_a_phase_that_does_not_train_them_rest_in_either_adam():
    for kind in (0.1, torch.tensor([0.1, 0.1])):
        model = stack([{"a": torch.ones(2), "b": torch.ones(2)}] * 2, "cpu", torch.float64)
        train(model, [Phase(lambda at: {"total": (model["a"] * model["b"]).sum(dim=1)},
                            lambda name: name == "a")],
              epochs=2, steps=2, names=["x", "y"], optimiser=Optimiser(kind),
              on_epoch=lambda e, losses: None)
        assert torch.equal(model["b"], torch.ones(2, 2, dtype=torch.float64))
        assert (model["a"] < 0.7).all()


def test_a_huge_learning_rate_diverges():
    data, wanted, states = quadratic(1)
    with pytest.raises(DivergedError, match=r"subject 0: the loss is (nan|inf) at epoch \d+, ba"):
        fit(states, data * 1e60, wanted, lr=1e200)


@pytest.mark.parametrize("steps", [3])
def test_gradients_are_cleared_before_every_step(steps):
    seen = []
    model = stack([{"w": torch.ones(1)}], "cpu", torch.float64)

    def step(at):
        seen.append(model["w"].grad)
        return {"total": 2 * model["w"].sum(dim=1)}

    train(model, step, epochs=2, steps=steps, optimiser=Optimiser(0.1), names=["a"],
          on_epoch=lambda epoch, losses: None)
    assert seen == [None] * 2 * steps
    assert model["w"].grad.item() == 2  # of the last step alone


def test_stacking_and_unstacking():
    states = [{"w": torch.full((2,), float(k)), "bn.running_var": torch.ones(1) * k}
              for k in range(3)]
    model = stack(states, "cpu", torch.float64)
    assert model["w"].shape == (3, 2)
    assert model["w"].dtype == torch.float64
    assert model["w"].is_leaf
    assert model["w"].requires_grad
    assert not model["bn.running_var"].requires_grad
    one = unstack(model, 2)
    assert one["w"].tolist() == [2, 2]
    one["w"].fill_(9)
    assert model["w"][2].tolist() == [2, 2]
    assert states[2]["w"].tolist() == [2, 2]
    assert [is_buffer(n) for n in ("bn.running_mean", "bn.weight")] == [True, False]


@given(st.integers(1, 300), st.integers(2, 64), st.one_of(st.none(), st.integers(1, 400)))
def test_batches_are_a_permutation_cut(windows, size, draw):
    parts = batches(windows, size, Draws.of(0), draw)
    assert len(parts) == steps_per_epoch(windows, size, draw)
    index = torch.cat(parts).tolist()
    used = min(windows, draw or windows)
    assert len(set(index)) == len(index)
    assert set(index) <= set(range(windows))
    dropped = used > size and used % size == 1  # a rest of one window has no variance
    assert len(index) == used - dropped
    assert all(len(p) == size for p in parts[:-1])
    assert len(parts) == 1 or len(parts[-1]) >= 2


def test_every_epoch_draws_afresh_from_all():
    g = Draws.of(0)
    epochs = [set(torch.cat(batches(1000, 32, g.at(e), 100)).tolist()) for e in range(80)]
    assert all(len(e) == 100 for e in epochs)
    assert epochs[0] != epochs[1]
    assert set.union(*epochs) == set(range(1000))


def test_groups_of_equal_keep_the_order():
    assert list(groups_of_equal("abacbb", lambda c: c)) == [[0, 2], [1, 4, 5], [3]]


@pytest.mark.parametrize(("limit", "steps", "expected"), [
    (None, 10, 50), (400, 10, 40), (5, 10, 1), (1000, 10, 50), (40, 3, 13),
])
def test_a_budget_is_whole_epochs(limit, steps, expected):
    assert Budget(fit=limit).epochs(50, steps, "fit") == expected


def test_randomness_follows_from_named_axes_alone():
    one = Context({"seed": 1, "subject": 2})
    same = Context({"subject": 2, "seed": 1}, device="cuda", fold="x")
    assert one.seed("init") == same.seed("init")
    others = {one.seed("init"), one.seed("order"), Context({"seed": 2, "subject": 1}).seed("init"),
              Context({"seed": 1, "subject": 3}).seed("init")}
    assert len(others) == 4
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert torch.equal(torch.rand(3, generator=one.generator("a")),
                       torch.rand(3, generator=one.generator("a")))
    assert one.rng("a").random() == one.rng("a").random()
    assert torch.equal(one.draws("a").words(3), same.draws("a").words(3))
    assert not torch.equal(one.draws("a").words(3), one.draws("b").words(3))
    assert torch.equal(before, torch.random.get_rng_state())
