"""SCMM: its losses against slow loops over pairs, its stacks against single trainings."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import MinMaxScaler

from bench.data.windows import Space
from bench.draws import Draws
from bench.errors import DivergedError, SettingError
from bench.method import Budget, Context, Job, observing
from bench.methods.scmm import SCMM, SCMMNetwork, SCMMParams
from bench.methods.shared.losses.scmm import (
    _Relations,
    balanced_sum,
    hybrid_mask,
    masked_copies,
    relations,
    soft_weights,
    with_positives,
)
from bench.protocols.few_shot import FewShot
from bench.training import Optimiser, stack, train

from support import paired, synthetic

METRICS = ("cosine", "euclidean", "manhattan")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def stacked_windows(originals=6, copies=1, channels=5, seed=0, models=1):
    """Windows with masked copies, (K, N, C, F) float64."""
    x = torch.rand(models, originals, channels, 5, generator=generator(seed), dtype=torch.float64)
    keep = hybrid_mask((models, copies, originals, channels, 5), 0.5, 0.1, Draws.of(seed))
    return masked_copies(x, keep)


def slow_weights(x, alpha, sigma, metric):
    """2 alpha / (1 + exp(d / sigma)) of scaled distances, entry by entry."""
    x = x.flatten(1).numpy()
    if metric == "cosine":
        d = -cosine_similarity(x)
    else:
        d = cdist(x, x, "cityblock" if metric == "manhattan" else "euclidean")
    n = len(d)
    np.fill_diagonal(d, min(d[i, j] for i in range(n) for j in range(n) if i != j))
    d = MinMaxScaler().fit_transform(d)  # of each column
    return np.array([[2 * alpha / (1 + math.exp(v / sigma)) for v in row] for row in d])


def slow_relations(z, weights, originals, temperature):
    """Aggregation weights and contrastive loss, one pair at a time."""
    n = len(z)
    aggregation, loss = np.zeros((n, n)), 0.0
    for i in range(n):
        total = sum(math.exp(z[i] @ z[k] / temperature) for k in range(n) if k != i)
        for j in range(n):
            if i != j:
                aggregation[i, j] = math.exp(z[i] @ z[j] / temperature) / total
                weight = 1.0 if (i - j) % originals == 0 else weights[i, j]
                loss -= weight * math.log(aggregation[i, j])
    return aggregation, loss / (n * (n - 1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("alpha", "sigma"), [(0.5, 0.05), (0.75, 0.5), (1.0, 0.2)])
def test_soft_weights_are_the_slow_ones(metric, alpha, sigma):
    x = stacked_windows(models=2)
    weights = soft_weights(x.flatten(2), alpha, sigma, metric)
    for k in range(2):
        assert weights[k].numpy() == pytest.approx(
            slow_weights(x[k], alpha, sigma, metric), abs=1e-10
        )
    assert weights.max() <= alpha + 1e-12


@pytest.mark.parametrize("metric", METRICS)
def test_soft_weights_of_equal_windows_are_finite(metric):
    assert torch.isfinite(soft_weights(torch.ones(1, 4, 6), 0.5, 0.05, metric)).all()


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_contrastive_loss_and_aggregation_are_the_slow_ones(metric, copies):
    x = stacked_windows(originals=5, copies=copies)
    z = torch.randn(1, len(x[0]), 4, generator=generator(3), dtype=torch.float64)
    weights = soft_weights(x.flatten(2), 0.5, 0.2, metric)
    s, aggregation, loss = relations(z, with_positives(weights, 5), 0.5)
    slow_a, slow_loss = slow_relations(
        z[0].numpy(), slow_weights(x[0], 0.5, 0.2, metric), 5, 0.5
    )
    assert s[0].numpy() == pytest.approx(z[0].numpy() @ z[0].numpy().T)
    assert aggregation[0].numpy() == pytest.approx(slow_a, abs=1e-12)
    assert (aggregation[0].diagonal() == 0).all()
    assert aggregation[0].sum(dim=1).numpy() == pytest.approx(np.ones(len(z[0])))
    assert loss.item() == pytest.approx(slow_loss, rel=1e-10)


def test_cosine_similarity_normalises_projections():
    z = torch.randn(1, 6, 4, generator=generator(), dtype=torch.float64)
    w = with_positives(torch.rand(1, 6, 6, generator=generator(1), dtype=torch.float64), 3)
    s, _, loss = relations(z, w, 0.5, "cosine")
    assert s[0].numpy() == pytest.approx(cosine_similarity(z[0].numpy()))
    assert torch.allclose(loss, relations(3 * z, w, 0.5, "cosine")[2])
    assert not torch.allclose(relations(z, w, 0.5)[2], relations(3 * z, w, 0.5)[2])


@pytest.mark.parametrize("temperature", [0.5, 0.05])
def test_gradient_of_relations(temperature):
    s = torch.randn(2, 6, 6, generator=generator(), dtype=torch.float64) * temperature
    w = with_positives(torch.rand(2, 6, 6, generator=generator(1), dtype=torch.float64), 3)
    assert torch.autograd.gradcheck(
        lambda a: _Relations.apply(a, w, temperature), (s.requires_grad_(),)
    )


def test_positives_are_all_copies_of_the_same_window():
    weights = with_positives(torch.full((1, 9, 9), 0.3), 3)[0]
    for i in range(9):
        for j in range(9):
            expected = 0.0 if i == j else 1.0 if i % 3 == j % 3 else 0.3
            assert weights[i, j].item() == pytest.approx(expected)


def test_the_balanced_sum_is_its_equation():
    losses, p = torch.tensor([[0.3, 2.0], [1.0, 0.1]]), torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    for k in range(2):
        slow = sum(0.5 / p[k, i] ** 2 * losses[k, i] + math.log(1 + p[k, i] ** 2)
                   for i in range(2))
        assert balanced_sum(losses, p)[k].item() == pytest.approx(float(slow), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("copies", [1, 2])
def test_masking_works_on_a_copy(dtype, copies):
    """The released code overwrites the batch: float32 and one copy alias the original there."""
    x = torch.rand(1, 4, 5, 5, generator=generator(), dtype=dtype) + 1
    before = x.clone()
    keep = hybrid_mask((1, copies, 4, 5, 5), 0.5, 0.1, Draws.of(1))
    out = masked_copies(x, keep)
    assert torch.equal(x, before)
    assert torch.equal(out[:, :4], before)
    assert out.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
    for m in range(copies):
        copy = out[:, 4 * (m + 1) : 4 * (m + 2)]
        assert torch.equal(copy, torch.where(keep[:, m], before, torch.zeros_like(before)))
        assert (copy == 0).any()
        assert (copy != 0).any()
    out.fill_(7)
    assert torch.equal(x, before)


def test_pretraining_leaves_the_source_as_it_was():
    source = synthetic().without_labels()
    before = source.x.copy()
    SCMM(SCMM.parse({"epochs": 2})).pretrain(source, Context({"seed": 0}))
    assert (source.x == before).all()


@pytest.mark.parametrize(("ratio", "share"), [(0.5, 0.1), (0.3, 0.5), (0.8, 0.0), (0.5, 1.0)])
def test_hybrid_masks_hide_what_they_should(ratio, share):
    keep = hybrid_mask((200, 62, 5), ratio, share, Draws.of(0))
    assert keep.float().mean().item() == pytest.approx(1 - ratio, abs=0.01)
    whole = (keep.all(dim=-1) | ~keep.any(dim=-1)).float().mean().item()
    by_chance = ratio**5 + (1 - ratio) ** 5
    assert whole == pytest.approx(share + (1 - share) * by_chance, abs=0.02)


def network(channels=5, **params):
    encoder = SCMM().encoder(Space(tuple(map(str, range(channels)))))
    return SCMMNetwork(encoder, SCMMParams(**params))


def state_of(task, seed):
    return task.encoder.init(Draws.of(seed)) | task.init(Draws.of(seed + 100))


def test_a_masked_copy_reconstructs_its_input_or_the_original():
    x = stacked_windows(originals=6, copies=2)
    errors = {}
    for target in ("input", "original"):
        task = network(masked_copies=2, reconstructs=target)
        model = stack([state_of(task, 0)], "cpu", torch.float64)
        losses, found = task.parts(model, x, 6)
        wanted = x[0].flatten(1)
        if target == "original":
            wanted = wanted[:6].repeat(3, 1)
        slow = (found["reconstruction"][0] - wanted).square().mean()
        assert losses["reconstruction"].item() == pytest.approx(slow.item())
        errors[target] = losses["reconstruction"].item()
    assert errors["input"] != errors["original"]


def test_the_reconstruction_is_aggregated_from_all_others():
    task = network()
    model = stack([state_of(task, 0)], "cpu", torch.float64)
    _, found = task.parts(model, stacked_windows(), 6)
    h, a = found["h"][0], found["aggregation_weights"][0]
    for i in range(12):
        mixed = sum(a[i, j] * h[j] for j in range(12) if j != i)
        expected = model["decoder.weight"][0] @ mixed + model["decoder.bias"][0]
        assert torch.allclose(found["reconstruction"][0, i], expected)


def pretrained(states, data, task, steps=6):
    """A stack pre-trained for some steps on given batches (K, steps, N, C, F)."""
    model = stack(states, "cpu", data.dtype)
    seen = []

    def step(at):
        return task.parts(model, data[:, at.batch], data.shape[2] // 2)[0]

    adam = Optimiser(1e-3, 0.9, 0.99, 3e-4)
    train(model, step, epochs=1, steps=steps, optimiser=adam, names=["pre-training"] * len(states),
          on_epoch=lambda epoch, losses: seen.append(losses))
    return model, seen


def many(models, steps=6, dtype=torch.float64):
    data = torch.stack([stacked_windows(8, 1, 5, seed=s, models=models).to(dtype)
                        for s in range(steps)], dim=1)
    task = network()
    return task, [state_of(task, k) for k in range(models)], data


@pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 0], [1]])
def test_stacked_pretraining_is_single_pretraining(chosen):
    task, states, data = many(4)
    together, losses = pretrained([states[k] for k in chosen], data[chosen], task)
    for place, k in enumerate(chosen):
        alone, single = pretrained([states[k]], data[k : k + 1], task)
        for name in alone:
            assert torch.allclose(together[name][place], alone[name][0], atol=1e-10, rtol=0), name
        assert losses[0][place] == pytest.approx(single[0][0], abs=1e-10)


def by_hand(states, data, task, steps=4):
    """As :func:`pretrained`, without the check for finite losses."""
    model = stack(states, "cpu", data.dtype)
    adam = Optimiser(1e-3, 0.9, 0.99, 3e-4).build([t for n, t in model.items()
                                                  if "running" not in n])
    for batch in range(steps):
        adam.zero_grad(set_to_none=True)
        task.parts(model, data[:, batch], 8)[0]["total"].sum().backward()
        adam.step()
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("neighbour", [50.0, float("nan")])
def test_a_bad_neighbour_changes_no_bit_of_the_others(neighbour, dtype):
    task, states, data = many(3, dtype=dtype)
    good = by_hand(states, data, task)
    data = data.clone()
    data[1] *= neighbour
    bad = by_hand(states, data, task)
    for name in good:
        for k in (0, 2):
            assert torch.equal(good[name][k], bad[name][k]), (name, k)
    assert not torch.equal(good["conv1.weight"][1], bad["conv1.weight"][1])


def jobs_of(count=4, trials=None, dtype="float64", state=None, factor=None):
    """Calibration of made-up subjects, in double precision."""
    target = synthetic(count, trials, corpus="B", seed=5)
    x = target.x.copy()
    if factor:
        x[target.subject == factor[0]] *= factor[1]
    pair = paired(None, target.with_x(x))
    return [
        Job(f.view, state, Context({"seed": 0, "subject": f.subject}, fold=f"subject {f.subject}",
                                   dtype=dtype))
        for f in FewShot().folds(pair, 0).folds
    ]


def same(first, second, tolerance=1e-10):
    for name, tensor in first.state.items():
        assert tensor.dtype == torch.float64
        assert torch.allclose(tensor, second.state[name], atol=tolerance, rtol=0), name


@pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [2, 3, 0, 1], [3, 1]])
def test_stacked_fine_tuning_is_single_fine_tuning(chosen):
    method = SCMM(SCMM.parse({"fit_epochs": 3, "fit_batch": 7}))
    jobs = jobs_of()
    together = method.fit_many([jobs[k] for k in chosen])
    for place, k in enumerate(chosen):
        same(together[place], method.fit(jobs[k].view, jobs[k].state, jobs[k].ctx))


def test_fine_tuning_from_a_pretrained_state():
    method = SCMM(SCMM.parse({"epochs": 1, "fit_epochs": 2, "fit_batch": 8}))
    state = method.pretrain(synthetic().without_labels(), Context({"seed": 0}))
    before = {n: t.clone() for n, t in state.items()}
    jobs, fresh = jobs_of(2, state=state), jobs_of(2)
    together = method.fit_many(jobs)
    for k in range(2):
        same(together[k], method.fit(jobs[k].view, state, jobs[k].ctx))
        scratch = method.fit(fresh[k].view, None, fresh[k].ctx)
        assert not torch.allclose(together[k].state["conv1.weight"],
                                  scratch.state["conv1.weight"])
    assert all(torch.equal(state[n], before[n]) for n in state)


def test_a_neighbours_calibration_changes_no_bit_of_the_others():
    method = SCMM(SCMM.parse({"fit_epochs": 3, "fit_batch": 8}))
    for dtype in ("float32", "float64"):
        good, bad = (method.fit_many(jobs_of(3, dtype=dtype, factor=f)) for f in (None, (2, 50)))
        for k in (0, 2):
            for name, tensor in good[k].state.items():
                assert torch.equal(tensor, bad[k].state[name]), name


def test_folds_of_unequal_size_are_fitted_apart_and_returned_in_order():
    method = SCMM(SCMM.parse({"fit_epochs": 1}))
    jobs = jobs_of(2) + jobs_of(2, [(i + 1, i % 2, i, 2) for i in range(6)])
    jobs = [jobs[i] for i in (2, 0, 3, 1)]
    for job, predictor in zip(jobs, method.fit_many(jobs), strict=True):
        same(predictor, method.fit(job.view, None, job.ctx))


def test_divergence_names_the_fold():
    method = SCMM(SCMM.parse({"fit_epochs": 3}))
    jobs, calm = jobs_of(3, factor=(2, np.nan)), jobs_of(3)
    lost = method.fit_many(jobs)
    with pytest.raises(DivergedError, match=r"^subject 2: the loss is nan at epoch 1, batch 1"):
        lost[1].predict_proba(jobs[1].view.calibration.x)
    good = method.fit_many(calm)
    for k in (0, 2):  # to the last bit as if the neighbour had not diverged
        for name, tensor in good[k].state.items():
            assert torch.equal(tensor, lost[k].state[name]), name
    with pytest.raises(DivergedError, match=r"^subject 2: the loss is nan at epoch 1, batch 1"):
        method.fit(jobs[1].view, None, jobs[1].ctx)


def test_a_huge_learning_rate_is_told_as_divergence():
    # Adam's steps are as long as its rate, so float32 overflows only through the sum of squares.
    method = SCMM(SCMM.parse({"epochs": 3, "lr": 1.0}))
    source = synthetic().without_labels()
    wild = source.with_x(source.x * np.float32(1e25))
    with pytest.raises(DivergedError, match=r"pre-training: the loss is (nan|inf) at epoch 1, ba"):
        method.pretrain(wild, Context({"seed": 0}))


def curve(method, source, **ctx):
    rows = []
    with observing(lambda ctx, n, of, losses, p: rows.append((n, of, dict(losses)))):
        state = method.pretrain(source, Context({"seed": 0}, stage="pretrain", **ctx))
    return state, rows


def test_pretraining_losses_fall():
    source = synthetic(6, effect=1.0).without_labels()
    shown = source.with_x((source.x - source.x.min()) / np.ptp(source.x))
    _, rows = curve(SCMM(SCMM.parse({"epochs": 30, "batch": 64})), shown)
    assert [n for n, _, _ in rows] == list(range(1, 31))
    for name in ("total", "reconstruction"):
        values = [losses[name] for _, _, losses in rows]
        assert np.mean(values[-5:]) < 0.9 * values[0], name
        assert np.mean(values[-5:]) < np.mean(values[5:10]), name


def test_pretraining_repeats_and_follows_the_seed():
    source = synthetic(2).without_labels()
    method = SCMM(SCMM.parse({"epochs": 2}))
    one, two = (method.pretrain(source, Context({"seed": 0})) for _ in range(2))
    other = method.pretrain(source, Context({"seed": 1}))
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_pretraining_never_sees_labels():
    source = synthetic(2)
    method = SCMM(SCMM.parse({"epochs": 1}))
    assert SCMM.needs.source == "unlabelled"
    labelled = method.pretrain(source, Context({"seed": 0}))
    bare = method.pretrain(source.without_labels(), Context({"seed": 0}))
    assert all(torch.equal(labelled[n], bare[n]) for n in bare)


def test_the_budget_shortens_pretraining():
    source = synthetic(2).without_labels()  # 64 windows: 2 batches an epoch
    method = SCMM(SCMM.parse({"epochs": 9, "batch": 32}))
    assert len(curve(method, source, budget=Budget(pretrain=6))[1]) == 3
    assert len(curve(method, source, budget=Budget())[1]) == 9


def test_an_epoch_draws_so_many_windows():
    source = synthetic(2).without_labels()
    seen = []
    task = SCMM.network

    class Counting(SCMM):
        def network(self, space):
            inner = task(self, space)
            seen.clear()

            class Task(type(inner)):
                def noise(self, batch, g):
                    seen.append(batch)
                    return super().noise(batch, g)

            return Task(inner.encoder, inner.params)

    Counting(SCMM.parse({"epochs": 2, "batch": 16, "windows_per_epoch": 40})).pretrain(
        source, Context({"seed": 0}))
    assert seen == [16, 16, 8] * 2


@pytest.mark.parametrize("params", [
    {"metric": "euclidean"}, {"metric": "manhattan"}, {"masked_copies": 2},
    {"similarity": "cosine"}, {"reconstructs": "original"},
])
def test_every_variant_trains_and_differs(params):
    source = synthetic(2).without_labels()
    plain = SCMM(SCMM.parse({"epochs": 1, "batch": 32}))
    variant = SCMM(SCMM.parse({"epochs": 1, "batch": 32, **params}))
    first, second = (m.pretrain(source, Context({"seed": 0})) for m in (plain, variant))
    assert all(torch.isfinite(t).all() for t in second.values())
    assert not torch.equal(first["decoder.weight"], second["decoder.weight"])


def test_a_probe_leaves_the_encoder_frozen():
    method = SCMM(SCMM.parse({"finetune": "probe", "epochs": 1}))
    state = method.pretrain(synthetic().without_labels(), Context({"seed": 0}))
    (job, *_) = jobs_of(1, state=state, dtype="float32")
    predictor = method.fit(job.view, state, job.ctx)
    for name, tensor in predictor.state.items():
        assert torch.equal(tensor, state[name]), name
    proba = predictor.predict_proba(job.view.calibration.x)
    assert proba.sum(axis=1) == pytest.approx(np.ones(len(proba)))
    assert (proba.argmax(axis=1) == job.view.calibration.y).mean() > 0.8


def test_parameters_are_the_published_number():
    """349,560 without the head (methods.md 1.3), of which two balance the losses."""
    task = network(62)
    state = state_of(task, 0)
    assert sum(t.numel() for n, t in state.items() if "running" not in n) == pytest.approx(
        349_560, abs=2
    )


def test_published_values_are_presets_of_pairs():
    table = SCMM.presets["published"]
    released = {"fit_epochs": 50, "fit_schedule": "constant", "fit_average": 0, "fit_settle": False}
    assert table["SEED>SEED-IV"] == {"upper_bound": 0.75, "sharpness": 0.5, **released}
    assert table["SEED>DEAP"]["temperature"] == 0.05
    for values in table.values():
        SCMM.parse(values)
    defaults = SCMM().params
    assert (defaults.upper_bound, defaults.sharpness, defaults.temperature) == (0.5, 0.05, 0.5)
    assert (defaults.epochs, defaults.fit_epochs) == (200, "steps")


@pytest.mark.parametrize(("values", "message"), [
    ({"sharpnes": 0.1}, "scmm has no parameter 'sharpnes'"),
    ({"sharpness": -1}, "scmm: sharpness = -1: Input should be greater than 0"),
    ({"metric": "hamming"}, "scmm: metric = 'hamming'"),
    ({"epochs": "many"}, "scmm: epochs = 'many'"),
    ({"masked_copies": 0}, "scmm: masked_copies = 0"),
])
def test_impossible_parameters_are_refused(values, message):
    with pytest.raises(SettingError, match=message):
        SCMM.parse(values)
    if "sharpnes" in values:
        with pytest.raises(SettingError, match="Did you mean 'sharpness'"):
            SCMM.parse(values)


def test_parameters_from_the_command_line_are_converted():
    q = SCMM.parse({"epochs": "3", "sharpness": "0.2", "metric": "euclidean"})
    assert (q.epochs, q.sharpness, q.metric) == (3, 0.2, "euclidean")
