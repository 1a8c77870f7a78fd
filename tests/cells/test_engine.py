"""Cells of several seeds trained as one model: the same records, whoever shares the stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from bench.cells.engine import pretrain_all, run_cell, run_cells
from bench.errors import DivergedError, IncompatibleError
from bench.method import Context
from bench.methods.scmm import SCMM, SCMMNetwork
from bench.methods.shared.training import testtime
from bench.methods.shared.training.finetuning import FineTuned
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.zero_shot import ZeroShot
from bench.registry import entries, load
from bench.store.records import Record, Store
from bench.sweeps.plan import CellSpec
from bench.sweeps.stacks import stacks, usual
from bench.training import stacked

from support import cell_of, in_order, paired, synthetic

SMALL = {"epochs": 1, "batch": 16, "windows_per_epoch": 32, "fit_epochs": 2, "fit_batch": 8}


def suits(method: FineTuned) -> bool:
    """Whether a method works on made-up windows of differential entropy."""
    try:
        method.check_space(paired().source.space)
    except IncompatibleError:
        return False
    return True


def stacking() -> list[str]:
    """Methods that pre-train several seeds as one stack."""
    names = []
    for name in entries("methods"):
        cls = load("methods", name)
        if not issubclass(cls, FineTuned):
            continue
        method = cls(cls.parse(SMALL))
        if method.stacks and method.pretrains and suits(method):
            names.append(name)
    return names


def cells(method: Any, seeds: Any, **changes: Any):
    pair = changes.pop("pair", None) or paired()
    return [cell_of(method, pair, seed=s, **changes) for s in seeds]


def outcome(cell, folder) -> tuple[Record, pd.DataFrame]:
    record = run_cell(cell, Store(folder))
    return record, record.predictions()


@pytest.mark.parametrize("name", stacking())
def test_pretraining_of_several_seeds_is_that_of_each(name):
    """Every state to 1e-10 in double precision: in order, shuffled, and in a smaller stack."""
    cls = load("methods", name)
    method = cls(cls.parse(SMALL))
    # Trials long enough, and shared between subjects, for the tasks that want neighbours.
    windows = synthetic(3, in_order([0, 1] * 4, 6), effect=0.3)
    source = windows.without_labels() if method.needs.source == "unlabelled" else windows
    if name == "clisa":
        source = windows

    def states(seeds):
        contexts = [Context({"seed": s, "stage": "pretrain"}, dtype="float64") for s in seeds]
        return dict(zip(seeds, pretrain_all(method, source, contexts), strict=True))

    alone = {s: states([s])[s] for s in (0, 1, 2)}
    assert any(not torch.equal(alone[0][n], alone[1][n]) for n in alone[0])
    for seeds in ([0, 1, 2], [2, 0, 1], [1, 0]):
        for seed, state in states(seeds).items():
            for key, tensor in state.items():
                assert torch.allclose(tensor, alone[seed][key], atol=1e-10, rtol=0), (seeds, key)


def alike() -> list[str]:
    """Methods whose cells can be one stack."""
    found = []
    for name in entries("methods"):
        cls = load("methods", name)
        if issubclass(cls, FineTuned) and (m := cls(cls.parse(SMALL))).stacks and suits(m):
            found.append(name)
    return found


def another(value: float) -> float:
    return 2 * value if isinstance(value, int) else 0.3 if value > 0.9 else value * 1.5


@pytest.mark.parametrize("name", alike())
def test_cells_of_a_stack_may_differ_in_numbers(name, tmp_path):
    """Each comes out as it does alone, by its own values, to 1e-10 in double precision."""
    cls = load("methods", name)
    # The numbers are of the training, not of what is trained: the default encoder is tried twice.
    values = SMALL if name in ("scmm", "dann") else {**SMALL, "backbone": "mlp"}
    defaults = cls.parse(values)
    changes = [{}, *({k: another(getattr(defaults, k))} for k in cls(defaults).per_model())]
    pair = paired(synthetic(3, in_order([0, 1] * 4, 6), seed=1, effect=0.3),
                  synthetic(2, corpus="B", seed=2))
    protocol = ZeroShot() if issubclass(cls, testtime.TestTime) else None
    made = [
        cell_of(cls(cls.parse({**values, **change})), pair, protocol, seed=n % 2,
                precision="float64") for n, change in enumerate(changes)
    ]
    together = run_cells(made, Store(tmp_path / "stack"))
    alone = [run_cells([cell], Store(tmp_path / "alone"))[0] for cell in made]
    for change, record, single in zip(changes, together, alone, strict=True):
        assert isinstance(record, Record), record
        assert record.id == single.id
        assert record.info["stack"] == len(changes)
        assert record.oracle == single.oracle
        ours, theirs = (probabilities(r) for r in (record, single))
        assert np.abs(ours - theirs).max() < 1e-7, change  # stored in single precision
        assert flat(record.read_curves()) == pytest.approx(flat(single.read_curves()), abs=2e-6)
        assert record.selections.keys() == single.selections.keys()
        if (key := record.info.get("pretrained")) is None:
            continue
        ours, theirs = (Store(tmp_path / n).get_state(key) for n in ("stack", "alone"))
        for part, tensor in (ours[0] if ours else {}).items():
            assert torch.allclose(tensor, theirs[0][part], atol=1e-10, rtol=0), (change, part)
    different = {probabilities(r).tobytes() for r in alone[::2]}
    assert len(different) > len(alone[::2]) // 2  # most changes matter, even in so few steps


def probabilities(record: Record) -> np.ndarray:
    return record.predictions().filter(regex=r"^p\d").to_numpy()


def test_models_of_a_stack_share_what_is_no_number_of_theirs():
    method = SCMM(SCMM.parse(SMALL))
    contexts = [Context({"seed": 0}, params=SCMM.parse({**SMALL, **values}))
                for values in ({}, {"metric": "euclidean"})]
    with pytest.raises(ValueError, match="one scmm stack differ in metric"):
        stacked(method, contexts)
    assert stacked(method, contexts[:1] * 2) is method


@pytest.mark.parametrize(("name", "protocol"), [
    ("scmm", None), ("scmm", ZeroShot()), ("dann", Unsupervised()), ("dann", None),
    ("source-only", ZeroShot()), ("target-only", None), ("tent", ZeroShot()),
])
def test_records_of_a_stack_are_those_of_single_cells(name, protocol, tmp_path):
    cls = load("methods", name)
    values = SMALL if name != "target-only" else {"fit_epochs": 2, "fit_batch": 8}
    changes: dict[str, Any] = {"precision": "float64"}
    if protocol is not None:
        changes["protocol"] = protocol
    method = cls(cls.parse(values))
    assert method.stacks
    together = run_cells(cells(method, [0, 1, 2], **changes), Store(tmp_path / "stack"))
    for cell, record in zip(cells(method, [0, 1, 2], **changes), together, strict=True):
        assert isinstance(record, Record), record
        single, predictions = outcome(cell, tmp_path / "single")
        assert record.identity == single.identity
        assert record.info["stack"] == 3
        pd.testing.assert_frame_equal(record.predictions(), predictions, rtol=0, atol=1e-7)
        ours, theirs = record.read_curves(), single.read_curves()
        assert ours.keys() == theirs.keys()
        assert flat(ours) == pytest.approx(flat(theirs), abs=2e-6)


def flat(curves: dict[str, Any]) -> list[float]:
    out = []
    for _, value in sorted(curves.items()):
        out += flat(value) if isinstance(value, dict) else list(value)
    return out


class SpoiltNetwork(SCMMNetwork):
    """Its decoder starts from what is no number, if it is the pre-training of seed 1."""

    stage = ""

    def init(self, g):
        state = super().init(g)
        mine = Context({"seed": 1, "stage": "pretrain"}).draws("init heads")
        if self.stage == "pretrain" and g.keys == mine.keys:
            state["decoder.weight"] *= float("nan")
        return state


class Poisoned(SCMM):
    """Starts from weights that are no numbers, for one seed and one of two stages."""

    seed, stage = 1, "fit"

    def _encoder_state(self, job, encoder):
        state = super()._encoder_state(job, encoder)
        return self._spoilt(state, job.ctx)

    def network(self, space):
        network = SpoiltNetwork(self.encoder(space), self.params)
        network.stage = self.stage
        return network

    def _spoilt(self, state, ctx):
        if (ctx.seed_axes["seed"], ctx.stage) != (self.seed, self.stage):
            return state
        return {n: t * float("nan") for n, t in state.items()}


@pytest.mark.parametrize("stage", ["fit", "pretrain"])
def test_a_seed_that_diverges_fails_alone(stage, tmp_path, monkeypatch):
    """The others' records are those of an undisturbed stack, to the last bit."""
    method = Poisoned(Poisoned.parse(SMALL))
    monkeypatch.setattr(Poisoned, "stage", "neither")
    calm = run_cells(cells(method, [0, 1, 2]), Store(tmp_path / "calm"))
    monkeypatch.setattr(Poisoned, "stage", stage)
    found = run_cells(cells(method, [0, 1, 2]), Store(tmp_path / "runs"))
    assert isinstance(found[1], DivergedError)
    assert "at epoch 1, batch 1" in str(found[1])
    assert ("pre-training" in str(found[1])) == (stage == "pretrain")
    for k in (0, 2):
        pd.testing.assert_frame_equal(
            found[k].predictions(), calm[k].predictions(), check_exact=True
        )
        assert found[k].read_curves() == calm[k].read_curves()
    # A state is stored under the name that a single cell looks for.
    again = run_cell(cells(method, [0])[0], Store(tmp_path / "runs"))
    assert again.read_curves() == calm[0].read_curves()


def test_a_stack_that_fails_as_a_whole_is_tried_again_in_halves(tmp_path, monkeypatch):
    method, tried = SCMM(SCMM.parse(SMALL)), []
    real = SCMM.fit_many

    def fit_many(self, jobs):
        seeds = sorted({job.ctx.seed_axes["seed"] for job in jobs})
        tried.append(seeds)
        if len(seeds) > 1:
            raise RuntimeError("out of memory")
        return real(self, jobs)

    monkeypatch.setattr(SCMM, "fit_many", fit_many)
    found = run_cells(cells(method, [0, 1, 2]), Store(tmp_path))
    assert tried == [[0, 1, 2], [0], [1, 2], [1], [2]]
    assert all(isinstance(record, Record) for record in found)
    assert "stack" not in found[0].info


def test_cells_that_are_done_leave_the_stack(tmp_path):
    method, store = SCMM(SCMM.parse(SMALL)), Store(tmp_path)
    first = run_cell(cells(method, [1])[0], store)
    found = run_cells(cells(method, [0, 1, 2]), store)
    assert found[1].info["finished"] == first.info["finished"]
    assert found[0].info["stack"] == 2


def spec(**changes: Any) -> CellSpec:
    values = {"method": "scmm", "params": {"a": 1}, "origin": "default", "source": "A:x",
              "target": "B:y", "protocol": "few-shot", "protocol_params": {}, "seed": 0}
    return CellSpec(**{**values, **changes})


def test_only_cells_that_differ_in_nothing_but_their_seed_share_a_stack():
    todo = [spec(seed=s, **c) for s in range(5) for c in (
        {}, {"params": {"a": 2}}, {"source": "C:x"}, {"method": "other"})]
    groups = stacks(todo, 2, lambda s: frozenset() if s.method == "scmm" else None)
    assert sorted(c.key for g in groups for c in g) == sorted(c.key for c in todo)
    assert [len(g) for g in groups if g[0].method == "other"] == [1] * 5
    for group in groups:
        assert len({(c.method, c.source, str(c.params)) for c in group}) == 1
    assert sorted(len(g) for g in groups) == [1] * 8 + [2] * 6
    assert stacks(todo, 1, lambda s: frozenset()) == [[c] for c in todo]


def test_a_cpu_trains_cells_one_by_one_unless_told():
    assert (usual("cpu", False), usual("cuda:0", True)) == (1, 1)
    assert usual("cuda:0", False) > 1


def test_seeds_share_no_source_head(tmp_path):
    """Without calibration folds share one network, but only those of one cell."""
    method = SCMM(SCMM.parse(SMALL))
    found = run_cells(cells(method, [0, 1], protocol=ZeroShot()), Store(tmp_path))
    a, b = (r.predictions()[["p0", "p1"]].to_numpy() for r in found)
    assert not np.allclose(a, b)
