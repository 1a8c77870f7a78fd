"""Each switch of scmm-released does what it says; with all off it is SCMM."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.cells import shortcuts
from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.pair import align
from bench.data.reading import CorpusName, Reading
from bench.data.windows import Windows
from bench.draws import Draws
from bench.method import Budget, Context
from bench.methods.scmm import SCMM
from bench.methods.scmm_released import (
    Fixed,
    LossStepped,
    ReleasedNetwork,
    SCMMReleased,
    UnclearedOptimiser,
    _Best,
)
from bench.methods.shared.networks.layers import ConvEncoder
from bench.methods.shared.training.finetuning import PUBLISHED
from bench.protocols.base import View
from bench.protocols.few_shot import FewShot
from bench.store.records import Store
from bench.training import Optimiser, train

SWITCHES = ("aliased_mask", "subset_2560", "loss_stepped_schedule", "uncleared_gradients",
            "reload_best", "per_split_scaling", "best_test_epoch")
OFF = dict.fromkeys(SWITCHES, False)
SMALL = {"batch": 16, "windows_per_epoch": 48, "fit_batch": 16}


def toy(corpus: str = "A", seed: int = 0, subjects: int = 2) -> Windows:
    rng = np.random.default_rng(seed)
    trial = np.tile(np.repeat(np.arange(6), 8), subjects)
    subject = np.repeat(np.arange(subjects), 48)
    x = rng.normal(size=(3, 4, 5))[trial % 3] + rng.normal(size=(48 * subjects, 4, 5))
    x = x + 3.0 * (trial[:, None, None] >= 3)  # a drift: later trials are scaled differently
    return Windows.from_arrays(
        x, trial % 3, subject=subject + 1, trial=trial + 1, corpus=corpus,
        channels=["FZ", "CZ", "PZ", "OZ"], labels=["a", "b", "c"],
    )


def both(cls, **values: object):
    """State and predictions after pre-training and fine-tuning."""
    windows, method = toy(), cls(cls.parse({**SMALL, **values}))
    budget = Budget(12, 24)
    source = windows.without_labels()
    state = method.pretrain(source, Context({"stage": "pretrain"}, budget=budget))
    view = View(None, windows.take(windows.subject == 1), None, windows.labels)
    return state, method.fit(view, state, Context({"stage": "fit"}, budget=budget))


def test_all_switches_off_is_scmm():
    state, fitted = both(SCMMReleased, **OFF)
    honest, honestly_fitted = both(SCMM, **PUBLISHED)
    assert all(torch.equal(state[k], honest[k]) for k in honest)
    np.testing.assert_allclose(
        fitted.predict_proba(toy().x), honestly_fitted.predict_proba(toy().x), atol=1e-6
    )


@pytest.mark.parametrize("switch", SWITCHES[:3])
def test_each_switch_of_pretraining_changes_it(switch):
    state, _ = both(SCMMReleased, **{**OFF, switch: True})
    honest, _ = both(SCMMReleased, **OFF)
    assert not torch.equal(state["conv1.weight"], honest["conv1.weight"])


@pytest.mark.parametrize("switch", SWITCHES[3:5])
def test_each_switch_of_finetuning_changes_it(switch):
    on, off = (both(SCMMReleased, **{**OFF, switch: s}, fit_lr=0.05) for s in (True, False))
    assert torch.equal(on[0]["conv1.weight"], off[0]["conv1.weight"])
    assert not np.allclose(on[1].predict_proba(toy().x), off[1].predict_proba(toy().x))


def test_an_aliased_mask_makes_twins():
    """Both halves are the masked window, so the clean entries decide nothing."""
    params = SCMMReleased.parse({**SMALL, **OFF, "aliased_mask": True})
    encoder = ConvEncoder(4, 5)
    task = ReleasedNetwork(encoder, params)
    g = Draws.of(0)
    p = {k: t.unsqueeze(0) for k, t in (encoder.init(g) | task.init(g)).items()}
    x, keep = torch.rand(1, 6, 4, 5), task.noise(6, g).unsqueeze(0)
    hidden = x + 5.0 * ~keep[:, 0]
    one, other = (task.losses(dict(p), v, keep)["total"] for v in (x, hidden))
    torch.testing.assert_close(one, other)
    two = SCMMReleased.parse({**SMALL, **OFF, "aliased_mask": True, "masked_copies": 2})
    task = ReleasedNetwork(encoder, two)
    keep = task.noise(6, g).unsqueeze(0)
    one, other = (task.losses(dict(p), v, keep)["total"] for v in (x, x + 5.0))
    assert not torch.allclose(one, other)


def test_the_subset_is_chosen_once():
    sampler, g = Fixed(500, 16, 160), Draws.of(0)
    first, second = (torch.cat(sampler.epoch(g)) for _ in range(2))
    assert len(first) == 160
    assert set(first.tolist()) == set(second.tolist())
    assert not torch.equal(first, second)
    assert sampler.steps == len(sampler.epoch(g)) == 10


def test_the_schedule_takes_the_loss_for_the_epoch():
    optimiser = LossStepped(0.1)
    assert optimiser.rate(7, 50, 2.0) == pytest.approx(0.05 * (1 + math.cos(math.pi * 2 / 50)))
    assert optimiser.rate(0, 50) == 0.1  # nothing seen yet


def test_gradients_add_up():
    seen: list[list[float]] = []
    for settings in (UnclearedOptimiser(1e-9), Optimiser(1e-9)):
        weight = torch.zeros(1, 2, requires_grad=True)
        grads: list[float] = []

        def step(at, weight=weight, grads=grads):
            grads.append(0.0 if weight.grad is None else float(weight.grad[0, 0]))
            return {"total": weight.sum(dim=1)}

        train({"w": weight}, step, epochs=1, steps=4, optimiser=settings, names=["toy"],
              on_epoch=lambda epoch, losses: None)
        seen.append(grads)
    assert seen == [[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]]


def test_the_best_weights_come_back():
    weight = torch.zeros(1, 2, requires_grad=True)
    best = _Best({"w": weight})
    epochs = ((1.0, 0.5, 1.0), (2.0, 0.4, 1.0), (3.0, 0.5, 1.0), (4.0, 0.6, 4.0))
    for value, accuracy, wanted in epochs:
        with torch.no_grad():
            weight.fill_(value)
        best.reload(accuracy)
        assert weight.tolist() == [[wanted, wanted]]
    assert weight.requires_grad


def run(folder: Path, cls: type[SCMM], **values: object):
    readings = [
        Reading(CorpusName(str(w.corpus[0]), "own"), w, w.digest(), (), None)
        for w in (toy("A", 1), toy("B", 2))
    ]
    method = cls(cls.parse({**SMALL, **values}))
    cell = Cell(method, "set", align(*readings), FewShot(), scale="null")
    return cell, run_cell(cell, Store(folder))


def test_the_engine_peeks_for_the_oracle_alone(tmp_path):
    cell, record = run(tmp_path, SCMMReleased)
    assert record.kind == "oracle"
    assert record.identity["selection"] == "oracle"
    assert record.identity["scaling"]["test"] == "its own statistics"
    ours = [f["scores"]["window"]["accuracy"] for f in record.folds]
    best = [f["scores"]["window"]["accuracy"] for f in record.oracle["folds"]]
    assert ours == best

    class Pretender(SCMMReleased):
        kind = "method"

    assert Cell(
        Pretender(cell.method.params), "set", cell.pair, cell.protocol
    ).test_access == frozenset()


def test_tested_windows_scaled_by_themselves(tmp_path):
    cell, _ = run(tmp_path, SCMMReleased, **OFF)
    for fold in cell.protocol.folds(cell.pair, 0).folds:
        (granted,) = cell.scaling.folds([fold])
        alone = shortcuts.test_scaled_alone(granted, cell.scaling)
        x = fold.open_test().x
        wanted = (x - x.min(axis=0)) / np.ptp(x, axis=0)
        np.testing.assert_allclose(alone.open_test().x, wanted, atol=1e-5)
        assert alone.view.calibration.x.max() == 1.0  # as granted, untouched


def test_switched_off_nothing_of_the_test_set_is_used(tmp_path):
    cell, record = run(tmp_path, SCMMReleased, **OFF)
    _, honest = run(tmp_path, SCMM, **PUBLISHED)
    assert record.kind == "oracle"  # and never ranked all the same
    assert record.identity["selection"] == honest.identity["selection"] == "last"
    assert record.identity["scaling"] == honest.identity["scaling"]
    assert [f["scores"] for f in record.folds] == [f["scores"] for f in honest.folds]
    assert cell.test_access == frozenset()
