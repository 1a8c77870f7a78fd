"""Your own signals become windows that may meet those of a corpus."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.features import differential_entropy
from bench.data.signals import from_signals
from bench.data.windows import FIVE_BANDS, Windows
from bench.errors import BenchError, DataError

NAMES = ("Fp1", "Fz", "T3")
RATE = 200


def signals(trials=8, seconds=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, RATE * seconds[i % 2] + 10)) for i in range(trials)]


def own(given=None, y=(0, 1) * 4, **changes):
    given = signals() if given is None else given
    return from_signals(given, y, **{
        "rate": RATE, "subject": [1] * 4 + [2] * 4, "trial": [1, 2, 3, 4] * 2, "channels": NAMES,
        "labels": ["negative", "positive"], **changes,
    })


def test_every_window_knows_its_trial():
    windows = own()
    assert windows.space.channels == ("FP1", "FZ", "T7")
    assert windows.subject.tolist() == [1] * 10 + [2] * 10
    assert windows.trial.tolist() == [1, 1, 1, 2, 2, 3, 3, 3, 4, 4] * 2
    assert windows.y.tolist() == [0, 0, 0, 1, 1] * 4
    assert windows.onset.tolist() == [0, 1, 2, 0, 1] * 4
    assert windows.order.tolist() == windows.stimulus.tolist() == windows.trial.tolist()
    given = signals()
    assert (windows.x[3:5] == differential_entropy(given[1], RATE, 1.0, FIVE_BANDS)).all()


def test_they_meet_a_corpus(tiny_root, tmp_path):
    import bench

    record = bench.run("majority", "SEED", own(corpus="mine"), data=tiny_root, runs=tmp_path)
    assert record.pair == "SEED:3→mine:own"
    assert [f["subject"] for f in record.folds] == [1, 2]


def test_features_of_unknown_origin_do_not(tiny_root, tmp_path):
    import bench

    unknown = Windows.from_arrays(own().x, own().y, subject=1, trial=own().trial, channels=NAMES,
                                  labels=["negative", "positive"])
    with pytest.raises(BenchError, match="differ in origin") as caught:
        bench.run("majority", "SEED", unknown, data=tiny_root, runs=tmp_path)
    assert "bench.from_signals" in caught.value.hint


@pytest.mark.parametrize(("change", "error", "text"), [
    (lambda s: s[2].__setitem__((1, 5), np.nan), DataError, "subject 1, trial 3.*FZ"),
    (lambda s: s[4].__setitem__(0, 7.0), DataError, "subject 2, trial 1.*constant channel FP1"),
    (lambda s: s.__setitem__(0, s[0][:2]), BenchError, r"trial 1: a signal of shape \(2, 610\)"),
    (lambda s: s.__setitem__(0, s[0][:, :50]), BenchError, "holds no window"),
])
def test_what_is_refused(change, error, text):
    given = signals()
    change(given)
    with pytest.raises(error) as caught:
        own(given)
    import re

    assert re.search(text, str(caught.value), re.DOTALL)


def test_nothing_and_too_slow():
    with pytest.raises(BenchError, match="no signal"):
        own([], y=[], subject=1, trial=[])
    with pytest.raises(BenchError, match="Hz cannot be had from 60 samples"):
        own(rate=60)
