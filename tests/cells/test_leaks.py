"""Mistakes of plugins in good faith: refused by name, or without effect on scores; twins pass."""

from __future__ import annotations

import importlib
import sys

import gc_plugin
import leak_plugin
import numpy as np
import pytest
from leak_plugin import CHANCE, EQUAL, REFUSED, TWINS

from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.conformance import failures
from bench.data.windows import Windows
from bench.errors import IncompatibleError
from bench.store.records import Store

from support import paired
from sweep_plugin import write_toy
from sweep_support import PLUGIN, bench
from tiny import PROTOCOLS

UNDER = ("few-shot", "within", "transductive")
IDS = [mistake.name for mistake, _, _ in TWINS]


def null(name: str, seed: int, subjects: int = 4, trials: int = 8, windows: int = 6) -> Windows:
    """Windows without any class effect; as in SEED, a trial's number says its class."""
    rng = np.random.default_rng(seed)
    trial = np.tile(np.repeat(np.arange(trials) + 1, windows), subjects)
    return Windows.from_arrays(
        rng.normal(size=(len(trial), 4, 5)), (trial + 1) % 2, trial=trial, order=trial - 1,
        subject=np.repeat(np.arange(subjects) + 1, trials * windows),
        channels=["FP1", "FP2", "C3", "C4"], labels=["low", "high"], corpus=name,
    )


@pytest.fixture
def plugin():
    """The plugin as a process finds it: what its module and classes keep is gone."""
    return importlib.reload(leak_plugin)


@pytest.fixture(scope="module")
def pair():
    return paired(null("A", 1), null("B", 2))


def outcome(cls, pair, protocol, folder):
    cell = Cell(cls(), "default", pair, PROTOCOLS[protocol], scale="null")
    record = run_cell(cell, Store(folder))
    table = record.predictions()
    score = np.mean([f["scores"]["window"]["accuracy"] for f in record.folds])
    return table[["p0", "p1"]].to_numpy(), score, record


@pytest.mark.parametrize("protocol", UNDER)
@pytest.mark.parametrize("number", range(len(TWINS)), ids=IDS)
def test_a_mistake_is_refused_or_has_no_effect(number, protocol, plugin, pair, tmp_path):
    mistake, twin, fate = plugin.TWINS[number]
    right, score, record = outcome(twin, pair, protocol, tmp_path / "twin")
    assert record.status == "done"
    assert 0.2 < score < 0.8  # nothing to be known
    if fate == REFUSED:
        with pytest.raises(IncompatibleError, match=mistake.name) as refusal:
            outcome(mistake, pair, protocol, tmp_path / "mistake")
        assert refusal.value.hint
        return
    proba, score, _ = outcome(mistake, pair, protocol, tmp_path / "mistake")
    assert 0.2 < score < 0.8
    if fate == EQUAL:
        assert np.array_equal(proba, right)


#: Check by which each mistake is found; those of labels without a name show in no made-up windows.
FOUND = {
    "keeps-model": None, "grows": None, "is-its-predictor": None, "pools": None,
    "pools-declared": "folds alone and together, in any order",
    "last-for-all": "folds alone and together, in any order",
    "kept-by-the-class": "folds alone and together, in any order",
    "kept-by-the-module": "other windows, other predictions",
    "default-argument": "folds alone and together, in any order",
    "cached": "other windows, other predictions",
    "centres-in-place": "leaves what it is handed alone",
    "centres-by-torch": "leaves what it is handed alone",
    "zeroes-the-test": "predicting changes nothing",
    "centres-the-batch": "windows predicted on their own",
    "adapts-on-and-on": "predicting changes nothing",
    "changes-state": None, "shows-training": None,
    "films-by-number": None, "films-by-order": None,
}


@pytest.mark.parametrize("number", range(len(TWINS)), ids=IDS)
def test_bench_check_finds_what_has_an_effect(number, plugin):
    mistake, _, _ = plugin.TWINS[number]
    found = {c.name: c.detail for c in failures(mistake)}
    expected = FOUND[mistake.name]
    assert (expected in found) if expected else (found == {}), found


@pytest.mark.parametrize("name", dict.fromkeys(twin.__name__ for _, twin, _ in TWINS))
def test_every_twin_conforms(name, plugin):
    assert failures(getattr(plugin, name)) == []


def test_the_list_of_mistakes_is_in_the_documentation():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    for name, _, _ in TWINS:
        assert f"`{name.name}`" in page
    assert CHANCE in {fate for _, _, fate in TWINS}
    assert sys.modules["leak_plugin"] is leak_plugin


def test_no_tested_label_can_be_reached_by_gc(tmp_path):
    """From method, view, context, predictor and the windows it predicts: 10,000s of objects."""
    data, found = write_toy(tmp_path / "toy"), tmp_path / "found.txt"
    done = bench(
        "run", "--method", "searches", "--src", "TOYA", "--tgt", "TOYB", "--data", data,
        "--runs", tmp_path / "runs", "--include", PLUGIN, "--include", gc_plugin.__file__,
        "--quiet", GC_FOUND=str(found),
    )
    assert done.returncode == 0, done.stderr
    lines = found.read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"fit", "predict"}
    assert all(int(line.split()[1]) > 10_000 for line in lines)
    assert all(line.endswith(" []") for line in lines), lines
