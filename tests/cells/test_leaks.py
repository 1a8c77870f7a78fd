"""Mistakes of plugins in good faith: refused by name, or without effect on scores; twins pass."""

from __future__ import annotations

import hashlib
import importlib
import threading
from pathlib import Path
from types import SimpleNamespace

import gc_plugin
import leak_plugin
import numpy as np
import pytest
import torch
from leak_plugin import CHANCE, EQUAL, REFUSED, TWINS

from bench.auditing.checks import check_record
from bench.cells.cell import Cell
from bench.cells.contract import restrict_views
from bench.cells.engine import run_cell
from bench.conformance import failures
from bench.data.windows import Windows
from bench.errors import IncompatibleError
from bench.method import Needs
from bench.protocols.few_shot import FewShot
from bench.registry import load
from bench.selection.looking import look
from bench.store.records import Store

from support import paired
from sweep_plugin import write_toy
from sweep_support import PLUGIN, bench_process
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


def test_what_was_refused_once_is_refused_from_then_on(plugin, pair, tmp_path):
    """The model that a module keeps is there in the next cell, and nothing changes any more."""
    for protocol in UNDER:
        with pytest.raises(IncompatibleError, match="kept-by-the-module is refused"):
            outcome(plugin.KeptByTheModule, pair, protocol, tmp_path)


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
    "stashes-pretraining": "folds alone and together, in any order",
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
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    for name, _, _ in TWINS:
        assert f"`{name.name}`" in page
    assert {fate for _, _, fate in TWINS} == {REFUSED, EQUAL, CHANCE}


def test_no_tested_label_can_be_reached_by_gc(tmp_path):
    """From method, view, context, predictor and the windows it predicts: 10,000s of objects."""
    data, found = write_toy(tmp_path / "toy"), tmp_path / "found.txt"
    done = bench_process(
        "run", "--method", "searches", "--src", "TOYA", "--tgt", "TOYB", "--data", data,
        "--runs", tmp_path / "runs", "--include", PLUGIN, "--include", gc_plugin.__file__,
        "--quiet", GC_FOUND=str(found),
    )
    assert done.returncode == 0, done.stderr
    lines = found.read_text().splitlines()
    assert {line.split()[0] for line in lines} == {"fit", "predict"}
    assert all(int(line.split()[1]) > 10_000 for line in lines)
    assert all(line.endswith(" []") for line in lines), lines


def test_trials_without_labels_carry_codes(pair):
    """Windows of a trial have one code, another in every set, and no place in the order."""
    folds = FewShot().folds(pair, 0).folds
    views = [f.view for f in restrict_views(folds, Needs(source="unlabelled", unlabelled=True))]
    for fold, view in zip(folds, views, strict=True):
        for plain, coded in ((fold.view.source, view.source),
                             (fold.view.calibration, view.unlabelled)):
            names, codes = plain.trial_key(), coded.trial
            assert len(set(zip(names, codes, strict=True))) == len(set(names)) == len(set(codes))
            assert set(codes) == set(range(1, len(set(codes)) + 1))
            assert (coded.order == -1).all()
            assert np.array_equal(coded.x, plain.x)
    assert len({v.unlabelled.trial.tobytes() for v in views}) > 1
    assert len({id(v.source) for v in views}) == 1


def test_no_array_of_a_view_can_be_written_to(pair):
    before = pair.source.y.flags.writeable
    for fold in restrict_views(FewShot().folds(pair, 0).folds, Needs(unlabelled=True)):
        view = fold.view
        for part in (view.source, view.calibration, view.unlabelled):
            for name in ("x", *part.columns()):
                with pytest.raises(ValueError, match="read-only"):
                    getattr(part, name)[:1] = getattr(part, name)[:1]
    assert pair.source.y.flags.writeable == before  # those of the user are left alone


def test_a_look_changes_neither_the_network_nor_the_generators():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(20), torch.nn.Dropout(0.5)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    x = np.ones((6, 4, 5), dtype=np.float32)
    with look(leak_plugin._Shown(net)) as shown:
        shown.predict_proba(x)
        np.random.rand()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    with pytest.raises(IncompatibleError, match="cannot be copied") as refusal, \
            look(SimpleNamespace(predict_proba=None, lock=threading.Lock())):
        pass
    assert "detach" in refusal.value.hint


def test_a_record_names_whose_code_a_method_is(pair, tmp_path):
    _, _, record = outcome(leak_plugin.Right, pair, "few-shot", tmp_path)
    origin = record.info["method_origin"]
    assert (origin["ours"], origin["package"], origin["file"]) == (False, None, "leak_plugin.py")
    file = Path(leak_plugin.__file__).read_bytes()
    assert origin["sha256"] == hashlib.sha256(file).hexdigest()
    assert origin["class"].endswith("leak_plugin.Right")
    cell = Cell(load("methods", "majority")(), "default", pair, PROTOCOLS["few-shot"])
    assert run_cell(cell, Store(tmp_path)).info["method_origin"]["ours"]


def test_a_method_that_bears_the_name_of_one_of_ours_is_pointed_at(pair, tmp_path):
    class Impostor(leak_plugin.Right):
        name = "scmm"

    _, _, record = outcome(Impostor, pair, "few-shot", tmp_path)
    assert any(n.startswith("scmm is the name of a method of ours, but this is ")
               for n in record.notices)
    found = [f for f in check_record(record) if "bears the name" in f.what]
    assert [f.severity for f in found] == ["warning"]
