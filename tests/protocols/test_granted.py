"""What a cut grants, for a process without labels: the same folds, and no label beside them."""

from __future__ import annotations

import gc
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.cells.contract import restrict_views
from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import BenchError, IncompatibleError
from bench.method import Needs
from bench.protocols.few_shot import FewShot
from bench.protocols.granted import BlindWindows, Granted, blind, numbered
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot

from support import in_order, paired, synthetic

PROTOCOLS = [
    FewShot(), FewShot(calibration_trials=1), FewShot(draw="random"), ZeroShot(), Unsupervised(),
    Unsupervised(form="transductive"), Within(), Within(leave="session"),
]
CLASSES = [2, 0, 1, 0, 2, 1, 1, 0, 2]
LABELS = ("low", "middle", "high")


@pytest.fixture(scope="module")
def pair():
    """Numbers of trials are not their places, and two sessions stand one after the other."""
    trials = [(9 - n, y, order, windows) for n, y, order, windows in in_order(CLASSES)]
    target = [
        synthetic({3: trials, 1: trials}, corpus="B", labels=LABELS, session=e, seed=e)
        for e in (1, 2)
    ]
    return paired(
        synthetic(2, in_order(CLASSES), labels=LABELS), Windows.concatenate(target)
    )


def granted_to_another(protocol, pair) -> tuple[Any, Any]:
    """Folds as they are cut with labels, and as another process makes them of what it is sent."""
    granted = Granted.by(protocol.folds(numbered(pair), 5), pair)
    there = replace(pair, source=blind(pair.source), target=blind(pair.target))
    return protocol.folds(pair, 5), pickle.loads(pickle.dumps(granted)).cut(there)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_the_folds_are_those_that_were_cut(protocol, pair):
    here, there = granted_to_another(protocol, pair)
    assert (here.left_out, here.notices) == (there.left_out, there.notices)
    assert len(here.folds) == len(there.folds) > 1
    for a, b in zip(here.folds, there.folds, strict=True):
        assert (a.subject, a.session, a.view.classes) == (b.subject, b.session, b.view.classes)
        assert np.array_equal(a.tested.x, b.tested.x)
        for name in ("source", "calibration"):
            mine, other = getattr(a.view, name), getattr(b.view, name)
            assert (mine is None) == (other is None)
            if mine is not None:
                assert mine.digest() == other.digest()
    assert len({id(f.view.source) for f in here.folds}) == \
        len({id(f.view.source) for f in there.folds})
    # A method is handed the same, to the codes of unlabelled trials.
    needs = Needs(source="unlabelled", unlabelled=True)
    for a, b in zip(restrict_views(here.folds, needs), restrict_views(there.folds, needs),
                    strict=True):
        for name in ("source", "unlabelled"):
            mine, other = getattr(a.view, name), getattr(b.view, name)
            assert (mine is None) == (other is None)
            if mine is not None:
                assert mine.digest() == other.digest()


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS if p.name != "within"], ids=repr)
def test_no_tested_label_is_sent(protocol, pair):
    """Everything that the folds refer to is looked through."""
    here, there = granted_to_another(protocol, pair)
    tested = {f.open_test().trial_key()[i]
              for f in here.folds for i in range(len(f.open_test()))}
    seen: dict[int, Any] = {}
    todo: list[Any] = [there]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, Windows) and not isinstance(thing, BlindWindows) \
                and thing.corpus[0] == pair.target.corpus[0]:
            assert not tested & set(thing.trial_key())
        todo += gc.get_referents(thing)
    for fold in there.folds:
        assert type(fold.tested) is UnlabelledWindows
        assert (fold.tested.order == -1).all()
        with pytest.raises(BenchError, match="not in this process"):
            fold.open_test()
    assert sum(isinstance(t, Windows) for t in seen.values()) > 0


def test_what_is_blind_knows_no_film_and_no_number(pair):
    windows = blind(pair.target)
    for name in ("y", "stimulus", "order"):
        assert (getattr(windows, name) == -1).all()
    codes = [blind(pair.target).trial for _ in range(2)]
    assert not np.array_equal(*codes)
    names = pair.target.trial_key()
    assert len(set(zip(names, codes[0], strict=True))) == len(set(names)) == len(set(codes[0]))
    assert windows.x is pair.target.x  # gigabytes, perhaps


class Centres(FewShot):
    name = "centres"

    def folds(self, pair, seed):
        moved = replace(pair.target, x=pair.target.x - pair.target.x.mean())
        return super().folds(replace(pair, target=moved), seed)


class Makes(FewShot):
    name = "makes"

    def folds(self, pair, seed):
        t = pair.target
        new = Windows(x=t.x, space=t.space, labels=t.labels,
                      **{n: getattr(t, n) for n in Windows.columns()})
        return super().folds(replace(pair, target=new), seed)


@pytest.mark.parametrize("protocol", [Centres(), Makes()], ids=lambda p: p.name)
def test_a_protocol_that_changes_windows_cannot_be_followed(protocol, pair):
    with pytest.raises(IncompatibleError, match="changes windows, or makes new ones") as refusal:
        Granted.by(protocol.folds(numbered(pair), 0), pair)
    assert "--workers 1" in refusal.value.hint


def test_other_windows_are_not_taken_for_those_that_were_cut(pair):
    granted = Granted.by(ZeroShot().folds(numbered(pair), 0), pair)
    with pytest.raises(BenchError, match="not those that were cut"):
        granted.cut(replace(pair, target=blind(pair.target.take(np.arange(9)))))
