"""How heads are trained: how long, what predicts at the end, and what it cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.draws import Draws
from bench.method import Budget, Context, Job, observing
from bench.methods.scmm import SCMM
from bench.methods.shared.networks.layers import ConvEncoder, batch_norm
from bench.methods.shared.training.finetuning import PUBLISHED, FineTuned
from bench.methods.shared.training.finishing import SETTLED_BY, Finish, settling
from bench.methods.shared.training.heads import LOOKS
from bench.methods.shared.training.sampling import Streamed
from bench.protocols.base import View
from bench.registry import entries, load
from bench.runs.lookup import choose_params
from bench.training import Moment, is_buffer, stack

from tiny import corpus

LABELS = ("negative", "neutral", "positive")
NETWORKS = [n for n in entries("methods") if issubclass(load("methods", n), FineTuned)]
#: Several steps a batch, half of the steps before adapting, a target beside the source, or neither.
FEW = ("mcd", "adda", "shot", "dann", "source-only", "mldg", "scmm")
BUDGET = Budget(pretrain=12, fit=3)


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    return corpus("A", LABELS, 0.0, rng, trials=9), corpus("B", LABELS, 0.5, rng, 2, trials=6)


class Seen:
    """Watches trainings as the engine does."""

    def __init__(self):
        self.costs, self.shown = {}, []

    def __call__(self, ctx, number, of, losses, predictor=None):
        if predictor is not None:
            network = getattr(predictor, "base", predictor)  # of a test-time method
            self.shown.append((number, of, network.state["head2.bias"].clone()))

    def spent(self, ctx, part, steps, windows, wanted):
        before = self.costs.get(part, (0, 0))
        self.costs[part] = before[0] + steps, before[1] + windows


def fitted(sides, name="scmm", budget=BUDGET, windows=None, **values):
    """A method under few-shot on one fold, and what was seen of it."""
    cls = load("methods", name)
    method = cls(cls.parse({"batch": 32, "windows_per_epoch": 80, "fit_batch": 16, **values}))
    source, target = sides
    chosen = np.arange(windows) if isinstance(windows, int) else windows
    given = target if chosen is None else target.take(chosen)
    ctx, seen = Context({"seed": 0}, budget=budget, dtype="float64", fold="one"), Seen()
    with observing(seen):
        state = None
        if method.pretrains:
            labelled = method.needs.source == "labelled"
            state = method.pretrain(source if labelled else source.without_labels(), ctx)
        job = Job(View(source, given, given.without_labels(), target.labels), state, ctx)
        predictor = method.fit_many([job])[0]
    return predictor, seen


@pytest.mark.parametrize("name", [
    n if n in FEW else pytest.param(n, marks=pytest.mark.slow)
    for n in NETWORKS
    # One chooses ten batches once, whatever the scale; others take raw windows.
    if n not in {"scmm-released", "ea-shallownet", "foundation"}
])
def test_within_a_budget_every_method_takes_as_many_steps(name, sides):
    """Whatever it does with a batch; as many windows but where they come in groups."""
    _, seen = fitted(sides, name)
    steps, windows = seen.costs["before"]
    assert steps == 12
    if name in {"tnc", "ts-tcc", "softclt", "clisa"}:
        assert 0 < windows <= 12 * 32
    else:
        assert windows == 12 * 32
    # The mixture has one training for both sides, and no new head.
    assert seen.costs.get("after") == (None if name == "mixture" else (3, 3 * 16))


def test_without_a_budget_steps_are_the_parameters_own(sides):
    _, seen = fitted(sides, "mcd", Budget(), epochs=2, fit_epochs=3, rounds=2)
    # Half of 80 windows an epoch, in batches of 16 source and 16 target windows; four steps each.
    assert seen.costs["before"] == (2 * 3 * 4, 2 * 4 * (40 + 3 * 16))
    assert seen.costs["after"][0] == 3 * math.ceil(len(sides[1]) / 16)


@pytest.mark.parametrize("windows", [9, 16, 36])
def test_few_windows_are_trained_on_for_as_many_steps(sides, windows):
    _, seen = fitted(sides, budget=Budget(pretrain=1), windows=windows, fit_steps=47)
    assert seen.costs["after"] == (47, 47 * min(windows, 16))
    numbers = [number for number, *_ in seen.shown]
    assert numbers == list(range(1, numbers[-1] + 1))
    assert seen.shown[-1][1] == len(numbers) == math.ceil(47 / math.ceil(47 / LOOKS))


@pytest.mark.parametrize(("windows", "size"), [(9, 9), (40, 16), (16, 16)])
def test_a_stream_sees_every_window_equally_often(windows, size):
    sampler = Streamed(windows, size, 45)
    parts = sampler.epoch(Draws.stack([Draws.of(1), Draws.of(2)]))
    assert [p.shape for p in parts] == [(2, size)] * 45
    counts = torch.bincount(torch.cat([p[0] for p in parts]), minlength=windows)
    assert counts.max() - counts.min() <= 1
    assert not torch.equal(parts[0][0], parts[0][1])


def test_what_is_shown_last_is_what_predicts(sides):
    predictor, seen = fitted(sides)
    torch.testing.assert_close(seen.shown[-1][2], predictor.state["head2.bias"], atol=0, rtol=0)


@pytest.mark.parametrize("share", [0.2, 0.4, 1.0])
def test_weights_are_averaged_over_a_share_of_the_steps(share):
    """A weight that counts steps: its average is as old as that over the last share."""
    encoder = ConvEncoder(2, 5)
    model = stack([{"w": torch.zeros(1)}], "cpu", torch.float64)
    finish, at = Finish(encoder, model, share, None), Moment.start(torch.device("cpu"))
    for step in range(1, 401):
        with torch.no_grad():
            model["w"].fill_(step)
        at.advance(400)
        finish.after_step(at)
    assert finish.settle()["w"].item() == pytest.approx(400 * (1 - share / 2), rel=0.01)
    untouched = Finish(encoder, model, 0.0, None)
    assert untouched.settle() is model


def test_settled_statistics_are_those_of_the_windows():
    """A layer then puts the windows themselves at mean 0 and variance 1."""
    encoder, g = ConvEncoder(3, 5), Draws.of(0)
    state = encoder.init(g)
    model = stack([state, encoder.init(Draws.of(1))], "cpu", torch.float64)
    x = torch.rand(2, 50, 3, 5, dtype=torch.float64)
    before = {name: t.detach().clone() for name, t in model.items()}
    shown = Finish(encoder, model, 0.0, x).settle()
    with torch.no_grad():
        evaluated = encoder(dict(shown), x, training=False)
        trained = encoder({n: t.clone() for n, t in model.items()}, x, training=True)
    torch.testing.assert_close(evaluated, trained, atol=0.05, rtol=0.05)
    name = "bn1"
    wide = torch.randn(2, 300, 32, dtype=torch.float64) * shown[f"{name}.running_var"].sqrt(
    )[:, None] + shown[f"{name}.running_mean"][:, None]
    h = batch_norm(dict(shown), name, wide, training=False).detach()
    assert abs(h.mean().item()) < 0.05
    for key, tensor in model.items():  # the training goes on from where it was
        assert torch.equal(tensor, before[key])
        assert is_buffer(key) or torch.equal(shown[key], tensor)


def test_of_many_windows_some_settle():
    x = torch.arange(2 * 3000.0).view(2, 3000, 1, 1)
    some = settling(x, Draws.stack([Draws.of(1), Draws.of(2)]))
    assert some.shape == (2, SETTLED_BY, 1, 1)
    assert len(set(some[0].flatten().tolist())) == SETTLED_BY
    assert some[1].min() >= 3000
    assert settling(x[:, :50], Draws.of(1)) is not None


def test_the_released_recipe_is_one_rate_and_the_last_weights(sides):
    params, origin = choose_params(load("methods", "simclr"), "published", {}, ("SEED", "DEAP"))
    assert origin.startswith("published")
    assert params.model_dump().items() >= PUBLISHED.items()
    brief = {**PUBLISHED, "fit_epochs": 2, "budget": Budget(pretrain=1)}
    plain, _ = fitted(sides, **brief)
    again, _ = fitted(sides, **brief | {"fit_schedule": "cosine"})
    averaged, _ = fitted(sides, **brief | {"fit_average": 0.4})
    weights = [p.state["head2.weight"] for p in (plain, again, averaged)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_length_is_chosen_within_the_calibration_trials(sides):
    """Fold by fold, whoever else is there, and the chosen one is trained on all trials."""
    method = SCMM(SCMM.parse({"fit_epochs": "auto", "fit_steps": 8, "fit_batch": 16}))
    ctx = Context({"seed": 0}, dtype="float64", fold="one")
    each = [sides[1].take(sides[1].subject == s) for s in (1, 2)]
    jobs = [Job(View(None, w, None, w.labels), None, ctx) for w in each]
    with observing(seen := Seen()):
        together = method.fit_many(jobs)
    steps = [2, 3, 8, 16]
    assert seen.costs["choosing"][0] == 2 * 2 * sum(steps)
    assert seen.costs["after"][0] in {a + b for a in steps for b in steps}
    for job, predictor in zip(jobs, together, strict=True):
        alone = method.fit_many([job])[0]
        fixed = [
            method.alone(c).fit_many([replace(job, ctx=c)])[0].state
            for n in steps for c in [replace(ctx, params=method.params.model_copy(
                update={"fit_epochs": "steps", "fit_steps": n}))]
        ]
        for name, value in alone.state.items():
            torch.testing.assert_close(predictor.state[name], value, atol=1e-10, rtol=0)
        assert any(torch.allclose(alone.state["head2.bias"], s["head2.bias"], atol=1e-12)
                   for s in fixed)


def test_with_one_trial_a_class_nothing_is_chosen(sides):
    """The length is then that of the rule."""
    first = (sides[1].trial <= 3) & (sides[1].subject == 1)
    one, seen = fitted(sides, windows=first, fit_epochs="auto")
    assert "choosing" not in seen.costs
    two, _ = fitted(sides, windows=first)
    assert torch.equal(one.state["head2.bias"], two.state["head2.bias"])


def test_trials_of_a_stack_may_differ_in_their_rate(sides):
    """Scalars of the last step stay parameters that models of one stack may differ in."""
    _, target = sides
    method = SCMM(SCMM.parse({"fit_steps": 4, "fit_batch": 16}))
    ctx = Context({"seed": 0}, dtype="float64", fold="one")
    view = View(None, target, None, target.labels)
    several = [replace(ctx, params=method.params.model_copy(update={"fit_lr": lr}))
               for lr in (1e-3, 1e-2)]
    together = method.fit_many([Job(view, None, c) for c in several])
    for predictor, one in zip(together, several, strict=True):
        alone = method.alone(one).fit_many([Job(view, None, one)])[0]
        for name, value in alone.state.items():
            torch.testing.assert_close(predictor.state[name], value, atol=1e-10, rtol=0)
