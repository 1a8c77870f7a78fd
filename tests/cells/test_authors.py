"""Mistakes of a plugin's author: one message with the method, what was wrong, and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from bench.cells.engine import run_cell
from bench.errors import BenchError, MethodError, trace_of
from bench.registry import load
from bench.store.records import Store

from support import cell_of

PLUGIN = '''"""Methods that go wrong."""

import numpy as np
import torch
from bench.method import Method, Needs
from bench.methods.shared.training.deep import Supervised
from bench.methods.shared.training.selfsupervised import Pretext, SelfSupervised
from bench.registry import Entry


class Task(Pretext):
    how = "shape"

    def losses(self, p, x, noise):
        z = self.encoder(p, x, training=True)
        loss = (z ** 2).mean(dim=-1)
        if self.how == "float":
            return {"total": float(loss.mean())}
        if self.how == "total":
            return {"loss": loss.mean(dim=1)}
        if self.how == "device":
            return {"total": loss.mean(dim=1), "also": torch.zeros(len(loss), device="meta")}
        if self.how == "detached":
            return {"total": loss.mean(dim=1).detach()}
        if self.how == "whole":
            return {"total": loss.mean(dim=1), "right": (loss > 0).sum(dim=1)}
        if self.how == "list":
            return [loss]
        if self.how == "dtype":
            return {"total": (loss @ torch.ones(loss.shape[1], dtype=torch.float64))}  # here
        return {"total": loss}


def pretext(how):
    return type(how, (SelfSupervised,), {
        "name": how, "task": type(how.title(), (Task,), {"how": how}),
    })


class Total(Supervised):
    name = "supervised"

    def losses(self, net, p, batch):
        return {"risk": net.head(p, net.encoder(p, batch.x, training=True)).sum(dim=(1, 2))}


class Guess:
    def __init__(self, how):
        self.how = how

    def predict_proba(self, x):
        p = np.full((len(x), 2), 0.5)
        if self.how == "long":
            return p[:, 0]
        if self.how == "wide":
            return np.full((len(x), 3), 1 / 3)
        if self.how == "logits":
            return p - 3
        if self.how == "graph":
            return torch.tensor(p, requires_grad=True)
        return undefined_name  # noqa: F821


class Shallow(Method):
    needs = Needs(source="none", calibration=True)

    def fit(self, view, state, ctx):
        if self.name == "nothing":
            return None
        if self.name == "raises":
            return view.calibration.x @ np.ones((3, 3))  # the line
        return Guess(self.name)


HOWS = ("shape", "float", "total", "device", "detached", "whole", "list", "dtype")
GUESSES = ("long", "wide", "logits", "graph", "name", "nothing", "raises")
for how in HOWS:
    globals()[how] = pretext(how)
for how in GUESSES:
    globals()[how] = type(how, (Shallow,), {"name": how})
CATALOGUE = [Entry(how, f":{how}") for how in (*HOWS, *GUESSES)] + [Entry("supervised", ":Total")]
'''
LINES = PLUGIN.splitlines()


def line(text: str) -> int:
    """Number of the line that begins so."""
    return next(i for i, one in enumerate(LINES, 1) if one.strip().startswith(text))


@pytest.fixture
def plugin(tmp_path, clean_registry) -> Path:
    path = tmp_path / "wrong.py"
    path.write_text(PLUGIN)
    registry.include(str(path))
    return path


def ended(name: str, store: Store) -> MethodError:
    method = load("methods", name)
    with pytest.raises(BenchError) as caught:
        run_cell(cell_of(method(method.parse({})), scale="null"), store)
    assert type(caught.value) is MethodError
    assert caught.value.message.startswith(f"{name}: ")
    return caught.value


@pytest.mark.parametrize(("name", "said"), [
    ("shape", "losses gave 'total' of shape (1, "),
    ("shape", "expected a tensor (1,), one number for each model of the stack"),
    ("float", "losses gave 'total' of type float"),
    ("total", "losses gave only 'loss'; expected \"total\" among them: what is minimised"),
    ("device", "losses gave 'also' on meta; expected tensors on cpu"),
    ("detached", "losses gave one without a gradient"),
    ("whole", "losses gave 'right' of torch.int64; expected tensors of floats"),
    ("list", "losses gave list; expected a dict of losses by name"),
    ("supervised", "losses gave only 'risk'"),
])
def test_losses_that_cannot_be_minimised(plugin, tmp_path, name, said):
    error = ended(name, Store(tmp_path / "runs"))
    assert said in error.message
    where = LINES.index("    def losses(self, p, x, noise):") + 1 if name != "supervised" else \
        line("def losses(self, net, p, batch):")
    assert error.hint == f"See {plugin}, line {where}, in losses"


@pytest.mark.parametrize(("name", "said"), [
    ("long", "predict_proba gave an array of shape (8,); expected an array (8, classes), a row"),
    ("wide", "predict_proba gave an array of shape (8, 3); expected (8, 2), a row for each window "
             "and a column for each class"),
    ("logits", "predict_proba gave row 0 with (-2.5, -2.5); expected rows of probabilities"),
    ("graph", "predict_proba gave a Tensor that is no array (Can't call numpy() on Tensor"),
])
def test_predictions_that_are_none(plugin, tmp_path, name, said):
    error = ended(name, Store(tmp_path / "runs"))
    assert said in error.message
    assert error.hint == f"See {plugin}, line {line('def predict_proba')}, in predict_proba"


def test_a_fit_without_a_predictor(plugin, tmp_path):
    error = ended("nothing", Store(tmp_path / "runs"))
    assert error.message == (
        "nothing: fit gave nothing; expected an object with predict_proba(x)")
    assert error.hint == f"See {plugin}, line {line('def fit')}, in fit"


@pytest.mark.parametrize(("name", "said", "text"), [
    ("raises", "raises: ValueError: matmul", "return view.calibration.x @ np.ones((3, 3))"),
    ("name", "name: NameError: name 'undefined_name' is not defined", "return undefined_name"),
    ("dtype", "dtype: RuntimeError: addmv input tensors must have the same dtype",
     "return {\"total\": (loss @ torch.ones("),
])
def test_an_error_names_the_authors_own_line(plugin, tmp_path, name, said, text):
    error = ended(name, Store(tmp_path / "runs"))
    assert error.message.startswith(said)
    assert error.hint.startswith(f"{plugin}, line {line(text)}, in "), error.hint
    assert text in error.hint
    assert "Traceback (most recent call last)" in trace_of(error)


def test_an_error_of_our_own_code_keeps_its_traceback(plugin, tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("ours")

    monkeypatch.setattr("bench.methods.shared.shallow.flat", broken)
    method = load("methods", "lda")
    with pytest.raises(RuntimeError, match="ours") as caught:
        run_cell(cell_of(method(method.parse({}))), Store(tmp_path / "runs"))
    assert not isinstance(caught.value, BenchError)


def test_the_command_says_it_once_and_without_a_traceback(bench, plugin):
    done = bench("run", "-m", "shape", "--include", plugin, "--src", "SEED", "--tgt", "DEAP",
                 "--simulated", "--scale", "null", "--recipe", "subjects=3", "--recipe",
                 "length=0.05")
    assert done.returncode == 2
    assert done.stderr.count("losses gave") == 1
    assert f"See {plugin}, line" in done.stderr
    assert "Traceback" not in done.stderr
