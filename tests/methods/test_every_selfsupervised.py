"""Every self-supervised method pre-trains, repeats, is stored, and fits targets of all sizes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from bench.data.windows import Space, UnlabelledWindows, Windows
from bench.datasets.shared.facts import SEED_CHANNELS
from bench.draws import Draws
from bench.errors import IncompatibleError
from bench.method import Budget, Context, Method, observing
from bench.methods.byol import TARGET
from bench.methods.shared.training.sampling import (
    SameStimulus,
    ShuffledBatches,
    neighbours,
    successive,
)
from bench.methods.shared.training.views import Augmentation
from bench.protocols.base import View
from bench.registry import load
from bench.training import batches

NAMES = ["simclr", "byol", "vicreg", "mae", "tnc", "ts-tcc", "tf-c", "softclt", "simmtm", "clisa",
         "scmm", "scmm-released"]
SMALL = {"batch": 48, "windows_per_epoch": 96}


def toy(
    channels: int = 14, classes: int = 3, subjects: int = 3, trials: int = 6, length: int = 12,
    seed: int = 0,
) -> Windows:
    """Windows in [0, 1]: a pattern of the class, an offset of subject and trial, noise."""
    rng = np.random.default_rng(seed)
    n = subjects * trials * length
    subject = np.repeat(np.arange(subjects), trials * length)
    trial = np.tile(np.repeat(np.arange(trials), length), subjects)
    y = trial % classes
    shape = (channels, 5)
    x = rng.normal(size=(classes, *shape))[y] + rng.normal(size=(subjects, *shape))[subject]
    x = x + 0.5 * rng.normal(size=(subjects, trials, *shape))[subject, trial]
    x = x + 0.5 * rng.normal(size=(n, *shape))
    x = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    return Windows.from_arrays(
        x, y, subject=subject + 1, trial=trial + 1, channels=SEED_CHANNELS[:channels],
        labels=[f"class {k}" for k in range(classes)],
    )


def method(name: str, **values: object) -> Method:
    cls = load("methods", name)
    return cls(cls.parse({**SMALL, **values}))


def granted(made: Method, windows: Windows) -> Windows | UnlabelledWindows:
    return windows if made.needs.source == "labelled" else windows.without_labels()


def context(stage: str = "pretrain", seed: int = 0, steps: int = 2, **more: str) -> Context:
    return Context(
        {"seed": seed, "stage": stage}, stage=stage, budget=Budget(steps, steps), **more
    )


def pretrain(name: str, windows: Windows, ctx: Context | None = None, **values: object):
    made = method(name, **values)
    return made.pretrain(granted(made, windows), ctx or context())


@pytest.mark.parametrize("name", NAMES)
class TestEveryMethod:
    def test_pretraining_loss_falls(self, name):
        seen = []
        with observing(lambda ctx, epoch, of, losses, predictor: seen.append(losses)):
            pretrain(name, toy(), context(steps=48), lr=3e-3)
        totals = [losses["total"] for losses in seen]
        assert np.isfinite(totals).all()
        assert np.mean(totals[-3:]) < np.mean(totals[:2])

    def test_seeds_repeat(self, name):
        one, again = (pretrain(name, toy(), context(dtype="float64")) for _ in range(2))
        other = pretrain(name, toy(), context(seed=1, dtype="float64"))
        assert all(torch.equal(one[k], again[k]) for k in one)
        assert not torch.equal(one["conv1.weight"], other["conv1.weight"])

    def test_state_is_stored_by_weights_alone(self, name):
        state = pretrain(name, toy())
        buffer = io.BytesIO()
        torch.save({"state": state}, buffer)
        buffer.seek(0)
        stored = torch.load(buffer, weights_only=True)["state"]
        assert all(torch.equal(stored[k], state[k]) for k in state)
        assert all(torch.isfinite(t).all() for t in state.values())

    @pytest.mark.parametrize(("channels", "classes"), [(14, 2), (32, 9), (62, 3)])
    def test_sizes(self, name, channels, classes):
        made = method(name)
        source = toy(channels, classes=2)
        state = made.pretrain(granted(made, source), context(steps=1))
        target = toy(channels, classes, subjects=1, trials=2 * classes, seed=1)
        calibration = target.take(target.trial <= classes)  # one trial of each class
        view = View(granted(made, source), calibration, None, target.labels)
        proba = made.fit(view, state, context("fit")).predict_proba(target.x)
        assert proba.shape == (len(target), classes)
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)

    def test_one_trial_calibrates(self, name):
        made, source = method(name), toy()
        state = made.pretrain(granted(made, source), context(steps=1))
        target = toy(subjects=1, seed=1)
        view = View(None, target.take(target.trial == 1), None, target.labels)
        assert made.fit(view, state, context("fit")).predict_proba(target.x).shape[1] == 3

    def test_no_class_is_used(self, name):
        """Other classes, same everything else: the very same state."""
        windows = toy()
        shuffled = windows.take(np.arange(len(windows)))
        shuffled.y[:] = np.random.default_rng(1).permutation(shuffled.y)
        one, other = pretrain(name, windows), pretrain(name, shuffled)
        assert all(torch.equal(one[k], other[k]) for k in one)


class TestSamplers:
    def test_the_default_is_the_plain_shuffle(self):
        mine = ShuffledBatches(50, 16, 40).epoch(Draws.of(3))
        theirs = batches(50, 16, Draws.of(3), 40)
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))

    @pytest.mark.parametrize("mixed", [False, True])
    def test_runs_are_successive(self, mixed):
        windows = toy()
        if mixed:
            windows = windows.take(np.random.default_rng(0).permutation(len(windows)))
        sampler = successive(windows, 4, 48, 192)
        plan = sampler.epoch(Draws.of(0))
        assert len(plan) == sampler.steps
        assert plan[0].shape == (4, 12)
        for part in plan:
            index = part.numpy()
            assert (np.diff(windows.onset[index], axis=0) == 1).all()
            assert (windows.trial_key()[index] == windows.trial_key()[index[:1]]).all()

    def test_runs_do_not_step_over_gaps(self):
        windows = toy(subjects=1, trials=1, length=12)
        windows = windows.take(np.delete(np.arange(12), 6))
        runs = successive(windows, 4, 48, 192)
        assert sorted(runs.anchors.tolist()) == [0, 1, 2, 6, 7]
        with pytest.raises(IncompatibleError, match="no trial of the source has 7 successive"):
            successive(windows, 7, 48, 192)

    def test_neighbours_are_near_and_distant_windows_are_not(self):
        windows = toy().take(np.random.default_rng(0).permutation(len(toy())))
        seen = set()
        plan = neighbours(windows, 2.0, 48, 216).epoch(Draws.of(0))
        for anchor, near, far in torch.cat(plan, dim=1).T.tolist():
            assert windows.trial_key()[anchor] == windows.trial_key()[near]
            assert 0 < abs(windows.onset[anchor] - windows.onset[near]) <= 2
            assert windows.subject[anchor] == windows.subject[far]
            same = windows.trial[anchor] == windows.trial[far]
            assert not same or abs(windows.onset[anchor] - windows.onset[far]) > 2
            seen.add(bool(same))
        assert seen == {True, False}
        with pytest.raises(IncompatibleError, match="neighbour within"):
            neighbours(windows, 0.5, 48, 216)

    def test_pairs_share_stimulus_and_moment(self):
        windows = toy().take(np.random.default_rng(0).permutation(len(toy())))
        sampler = SameStimulus.of(windows, 48, 192)
        plan = sampler.epoch(Draws.of(0))
        assert len(plan) == sampler.steps == 4
        for part in plan:
            one, other = part.numpy()
            assert one.shape == (4, 6)
            assert (windows.stimulus[one] == windows.stimulus[other]).all()
            assert (windows.onset[one] == windows.onset[other]).all()
            assert (windows.subject[one] != windows.subject[other]).all()
            assert all(len(set(windows.stimulus[row])) == 6 for row in one)

    @pytest.mark.parametrize("make", [
        lambda w: ShuffledBatches(len(w), 16, 40), lambda w: successive(w, 4, 48, 192),
        lambda w: neighbours(w, 2.0, 48, 216), lambda w: SameStimulus.of(w, 48, 192),
    ])
    def test_a_stack_is_each_model_alone(self, make):
        sampler = make(toy())
        together = sampler.epoch(Draws.stack([Draws.of(k) for k in range(3)]).at(5))
        for k in range(3):
            alone = sampler.epoch(Draws.of(k).at(5))
            assert all(torch.equal(a[k], b) for a, b in zip(together, alone, strict=True))

    def test_padding_is_no_stimulus(self):
        """Subjects who share fewer stimuli than others: no batch holds one that they do not."""
        windows = toy()
        seen = windows.take((windows.subject > 1) | (windows.stimulus > windows.stimulus.max() - 3))
        sampler = SameStimulus.of(seen, 6, 600)
        plan = torch.cat(sampler.epoch(Draws.of(0)), dim=1).numpy()
        one, other = plan
        assert (seen.stimulus[one] == seen.stimulus[other]).all()
        assert (seen.subject[one] != seen.subject[other]).all()
        pairs = set(zip(seen.subject[one].ravel(), seen.subject[other].ravel(), strict=True))
        assert {1} < {s for pair in pairs for s in pair}
        shared = {s for row in seen.stimulus[one] for s in row}
        assert shared == set(seen.stimulus)

    def test_unshared_stimuli_are_refused(self):
        windows = toy()
        windows.stimulus[:] += 100 * windows.subject
        with pytest.raises(IncompatibleError, match="no two subjects of the source were shown"):
            pretrain("clisa", windows)


class TestAugmentation:
    def test_nothing_asked_is_nothing_done(self):
        x = torch.rand(1, 6, 4, 5)
        drawn = Augmentation().draw((6, 4, 5), Draws.of(0))
        torch.testing.assert_close(Augmentation().apply(x, drawn.unsqueeze(0)), x)

    def test_gain_shifts_all_bands_of_a_channel_alike(self):
        drawn = Augmentation(gain=1.0).draw((6, 4, 5), Draws.of(0))
        assert (drawn[0] == drawn[0, :, :, :1]).all()
        assert drawn[0, :, :, 0].std() > 0.5

    def test_the_gain_of_raw_windows_is_a_factor(self):
        x = torch.rand(1, 6, 4, 5)
        made = Augmentation(gain=0.5, raw=True)
        drawn = made.draw((6, 4, 5), Draws.of(0))
        factor = made.apply(x, drawn.unsqueeze(0)) / x
        torch.testing.assert_close(factor, factor[..., :1].expand_as(factor))
        assert factor.log().std() > 0.3
        assert (factor > 0).all()

    def test_hidden_entries_take_the_mean(self):
        x = torch.rand(1, 2000, 4, 5)
        drawn = Augmentation(hide_channels=0.3).draw(x.shape[1:], Draws.of(0))
        out, keep = Augmentation().apply(x, drawn.unsqueeze(0)), drawn[1] > 0
        assert float(keep.float().mean()) == pytest.approx(0.7, abs=0.02)
        assert (keep == keep[..., :1]).all()
        mean = x.mean(dim=1).expand(2000, 4, 5)
        torch.testing.assert_close(out[0], torch.where(keep, x[0], mean))


class TestByol:
    def test_the_target_follows_and_is_not_trained(self):
        made = method("byol", momentum=0.9)
        task = made.network(Space(tuple(map(str, range(14)))))
        p = {k: torch.zeros(1, 2) for k in ("a", f"{TARGET}a", f"{TARGET}b.running_mean")}
        p["a"] += 1
        task.after_step(p, torch.tensor(0.0))
        torch.testing.assert_close(p[f"{TARGET}a"], torch.full((1, 2), 0.1))
        task.after_step(p, torch.tensor(1.0))  # the end of the schedule: it stands still
        torch.testing.assert_close(p[f"{TARGET}a"], torch.full((1, 2), 0.1))

    def test_the_target_has_no_gradient(self):
        made, ctx = method("byol", momentum=0.0), context(steps=2)
        task = made.network(Space(tuple(map(str, range(14)))))
        start = task.init(ctx.draws("init heads"))
        state = made.pretrain(toy().without_labels(), ctx)
        moved = [k for k in start if k.startswith(TARGET) and not torch.equal(start[k], state[k])]
        assert f"{TARGET}conv1.weight" in moved
        # Without momentum the last step but the schedule's end copies most of the online network.
        assert not torch.equal(state[f"{TARGET}conv1.weight"], state["conv1.weight"])
