"""Scoring apart from training: labels stay with the coordinator, and nothing else changes."""

from __future__ import annotations

import gc
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import spy_plugin

from bench.cells.scored import Answers, Predicted, Scoring
from bench.registry import include
from bench.selection.tested import Look
from bench.store.records import Record
from bench.sweeps.workers.examiner import PACKET, Examiner, Outlet, packets

from support import Means, cell_of
from sweep_plugin import write_toy
from sweep_support import PLUGIN, records, swept

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache", "forked_workers")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def same(one: Path, two: Path) -> None:
    """All that labels decide, and all that is stored beside it, is equal to the bit."""
    a, b = records(one), records(two)
    assert sorted(a) == sorted(b)
    for name, record in a.items():
        other = b[name]
        assert record.status == other.status == "done", (record.reason, other.reason)
        for part in ("identity", "folds", "selections", "oracle", "classes", "left_out", "kind"):
            assert getattr(record, part) == getattr(other, part), part
        assert record.read_curves() == other.read_curves()
        assert record.predictions().equals(other.predictions())
        mine, others = record.read_diagnostics(), other.read_diagnostics()
        assert mine.keys() == others.keys()
        assert all(np.array_equal(mine[k], others[k]) for k in mine)
        assert sorted(record.files) == sorted(other.files)


@pytest.mark.parametrize(("protocol", "selection", "methods"), [
    ("few-shot", "calibration-val", "source-only,lr"), ("unsupervised", "entropy", "source-only"),
    ("within", "last", "lr"),
])
def test_what_workers_hand_back_is_scored_as_in_one_process(
    protocol, selection, methods, data, tmp_path
):
    asked = {
        "methods": methods, "protocols": protocol, "selection": selection, "diagnostics": True,
        "controls": True, "scale": "null", "save_models": selection == "last",
    }
    for workers in (1, 2):
        swept(data, tmp_path / str(workers), workers=workers, **asked)
    same(tmp_path / "1", tmp_path / "2")


def test_no_tested_label_is_anywhere_in_a_worker(data, tmp_path, monkeypatch):
    """A spy goes through all that the process holds; in one process it finds what it looks for."""
    found = {}
    gc.collect()
    gc.freeze()  # what other tests left is not of this sweep, and millions of things to go through
    include(spy_plugin.__file__)
    for workers in (1, 2):
        monkeypatch.setenv("SPY_FOUND", str(tmp_path / f"found{workers}"))
        swept(data, tmp_path / str(workers), methods="spy", workers=workers, controls=True,
              include=[str(PLUGIN), spy_plugin.__file__],
              exclude={"TOYA": [10]})  # else its labels, which are granted, are the same
        lines = (tmp_path / f"found{workers}").read_text().splitlines()
        found[workers] = [line.split(" ", 1) for line in lines]
    here = str(os.getpid())
    # The checks of a plugin run it on windows of their own, there is nothing of the target yet.
    assert {"classes of the target", "labelled windows", "trials that are tested"} <= {
        name for pid, names in found[1] for name in names.split(", ") if pid == here
    }
    assert len(found[2]) >= 3
    assert {pid for pid, _ in found[2]}.isdisjoint({here})
    assert {names for _, names in found[2]} == {""}
    same(tmp_path / "1", tmp_path / "2")


def test_looks_go_in_packets_of_a_size_and_arrive_whole():
    sent: list[tuple[str, int, bool, bytes]] = []
    outlet = Outlet(sent.append, "task")
    looks = [
        Look("fit", n, 40, "1/1", {(1, 1): np.full((20_000, 3), n / 40)}) for n in range(1, 41)
    ]
    for look in looks:
        outlet.put(0, 1, look)
        assert sum(len(p[3]) for p in sent[-2:]) <= 2 * PACKET
    outlet.flush()
    assert all(len(part) <= PACKET for _, _, _, part in sent)
    assert [number for _, number, _, _ in sent] == list(range(len(sent)))
    back, parts = [], []
    for _, _, last, part in sent:
        parts.append(part)
        if last:
            back += pickle.loads(b"".join(parts))
            parts = []
    assert [(place, attempt, look.number) for place, attempt, look in back] == \
        [(0, 1, look.number) for look in looks]
    assert sum(len(p[3]) for p in sent) > 4 * PACKET  # it did go in several
    assert list(packets(b"abcde", 2)) == [(b"ab", False), (b"cd", False), (b"e", True)]


class Waiting:
    """Stands in for a queue of the scheduler."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def get(self, batch: bool) -> list[Any]:
        held, self.held = self.held, []
        return held


def examined() -> tuple[Examiner, Waiting, str, Any, list[Answers]]:
    """An examiner of one cell, and the way to it."""
    cell = cell_of(Means())
    examiner = Examiner.__new__(Examiner)
    Examiner.__init__(examiner, SimpleNamespace(asynchronous=False, sync=lambda *a, **k: None),
                      lambda spec: cell)
    queue = examiner.queue = Waiting()
    token, (grant,) = examiner.grants([None])
    return examiner, queue, token, grant, examiner._tasks[token][0].scoring.answers


def test_a_later_attempt_makes_an_earlier_one_void():
    examiner, queue, token, grant, answers = examined()
    assert [f.test.secret for f in grant.folds.folds] == [{}] * len(answers)
    right = {a.key: np.eye(2)[a.y] for a in answers}
    wrong = {a.key: np.eye(2)[1 - a.y] for a in answers}
    outlet = Outlet(queue.held.append, token)
    outlet.put(0, 1, Look("fit", 1, 2, "", right))
    outlet.put(0, 2, Look("fit", 1, 2, "", wrong))
    outlet.put(0, 2, Look("fit", 2, 2, "", wrong))
    outlet.flush()
    stranger = Outlet(queue.held.append, "of a worker that died")
    stranger.put(0, 2, Look("fit", 1, 2, "", right))
    stranger.flush()
    examiner.drain()
    n = len(answers)
    record = Record(identity={}, curves={"fit": {"total": [1.0, 0.5]}})
    predicted = Predicted([right[a.key] for a in answers], [2] * n, True, [{}] * n)
    table = examiner.score(token, 0, 2, record, predicted)
    assert record.curves["fit"]["test_accuracy"] == [0.0, 0.0]
    assert [f["epoch"] for f in record.oracle["folds"]] == [1] * n
    assert [f["scores"]["window"]["accuracy"] for f in record.folds] == [1.0] * n
    assert [f["scores"]["window"]["accuracy"] for f in record.oracle["folds"]] == [0.0] * n
    assert (table[["p0", "p1"]].to_numpy().argmax(axis=1) == table.y).all()
    examiner.forget(token)
    outlet.put(0, 2, Look("fit", 2, 2, "", wrong))
    outlet.flush()
    examiner.drain()  # what comes too late is let go
    assert examiner._tasks == {}


def test_a_look_of_a_wrong_shape_fails_its_cell_and_no_other():
    examiner, queue, token, _, answers = examined()
    outlet = Outlet(queue.held.append, token)
    outlet.put(0, 1, Look("fit", 1, 2, "", {answers[0].key: np.ones((1, 2, 3))}))
    outlet.flush()
    examiner.drain()
    predicted = Predicted([], [], True, [])
    with pytest.raises(ValueError, match="broadcast|shape"):
        examiner.score(token, 0, 1, Record(identity={}), predicted)


def test_scoring_needs_no_window():
    cell = cell_of(Means())
    answers = [Answers.of(fold) for fold in cell.folds().folds]
    assert not any(isinstance(v, np.ndarray) and v.ndim > 1 for a in answers
                   for v in vars(a).values())
    assert Scoring(cell, answers).tested().labels.keys() == {a.key for a in answers}
