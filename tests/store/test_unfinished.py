"""A pre-training that is interrupted goes on from its last epoch, to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from bench import training
from bench.cells.engine import run_cell
from bench.registry import load
from bench.store.records import Store

from support import cell_of


def cell(name):
    method = load("methods", name)
    values = {"epochs": 6, "batch": 16, "fit_epochs": 1}
    return cell_of(method(method.parse(values)), scale="published")


@pytest.fixture
def interrupting(monkeypatch):
    """Raise in the middle of an epoch, as Ctrl-C does."""
    def after(steps: int):
        taken = [0]
        real = training._Step.__call__

        def step(self, short):
            taken[0] += 1
            if taken[0] == steps:
                raise KeyboardInterrupt
            real(self, short)

        monkeypatch.setattr(training._Step, "__call__", step)
        return lambda: monkeypatch.setattr(training._Step, "__call__", real)

    return after


@pytest.mark.parametrize("name", ["scmm", "simclr", "byol", "source-only", "irm"])
def test_what_goes_on_is_what_was_never_interrupted(tmp_path, interrupting, name):
    whole = run_cell(cell(name), Store(tmp_path / "whole"))
    store = Store(tmp_path / "runs")
    undo = interrupting(20)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell(name), store)
    undo()
    (kept,) = (tmp_path / "runs" / "pretrained").iterdir()
    assert kept.name.endswith(".unfinished.pt")
    epochs = []
    again = run_cell(cell(name), store, lambda e: epochs.append(e)
                     if e.stage.startswith("pre-training") else None)
    assert again.folds == whole.folds
    np.testing.assert_array_equal(again.predictions().to_numpy(), whole.predictions().to_numpy())
    assert again.read_curves()["pretrain"] == whole.read_curves()["pretrain"]
    assert not kept.exists()
    assert again.info["pretraining_reused"] is False


def test_steps_that_are_over_are_not_taken_again(tmp_path, interrupting, monkeypatch):
    undo = interrupting(20)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell("scmm"), Store(tmp_path))
    undo()
    taken = []
    real = training._Step.__call__
    monkeypatch.setattr(training._Step, "__call__",
                        lambda self, short: (taken.append(self.steps), real(self, short))[1])
    run_cell(cell("scmm"), Store(tmp_path))
    fresh = []
    monkeypatch.setattr(training._Step, "__call__",
                        lambda self, short: (fresh.append(self.steps), real(self, short))[1])
    run_cell(cell("scmm"), Store(tmp_path / "other"))
    assert len(taken) < len(fresh)


def test_a_damaged_or_foreign_one_is_begun_anew(tmp_path, interrupting):
    whole = run_cell(cell("scmm"), Store(tmp_path / "whole"))
    store = Store(tmp_path / "runs")
    undo = interrupting(20)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell("scmm"), store)
    undo()
    (kept,) = (tmp_path / "runs" / "pretrained").iterdir()
    kept.write_bytes(kept.read_bytes()[:-200])
    assert run_cell(cell("scmm"), store).folds == whole.folds
    other = Store(tmp_path / "other")
    other.put_state(kept.stem, [{"shape": "another"}], {})
    assert run_cell(cell("scmm"), other).folds == whole.folds
