"""One's own columns: what is no number, no class or no trial is said in words."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.signals import from_signals
from bench.data.windows import Windows
from bench.errors import BenchError

LABELS = ("rest", "task")


def windows(**changes) -> Windows:
    given = {"y": [0, 0, 1, 1], "subject": 1, "trial": [1, 1, 2, 2], "channels": ["FP1", "FP2"],
             "labels": LABELS, **changes}
    return Windows.from_arrays(np.zeros((4, 2, 5)), **given)


def signals(**changes) -> Windows:
    given = {"y": [0, 1], "subject": 1, "trial": [1, 2], "channels": ["FP1", "FP2"], "rate": 200,
             "labels": LABELS, **changes}
    return from_signals(np.random.default_rng(0).normal(size=(2, 2, 400)), **given)


@pytest.mark.parametrize(("changes", "said"), [
    ({"subject": ["anna", "anna", "ben", "ben"]}, "subject must hold whole numbers, not 'anna'"),
    ({"trial": [1, 1.5, 2, 2]}, "trial must hold whole numbers, not 1.0, 1.5"),
    ({"session": [None, 1, 1, 1]}, "session must hold whole numbers, not None"),
    ({"onset": ["a", "b", "c", "d"]}, "onset must hold numbers, not 'a'"),
    ({"trial": [1, 2]}, r"trial has shape \(2,\), expected \(4,\)"),
    ({"y": ["rest", "rest", "work", "work"]}, "y holds 'work', which labels does not name"),
    ({"y": [0, 0, 0, 2], "trial": [1, 1, 2, 3]}, "classes run from 0 to 2"),
    ({"y": [0, 1, 1, 1]}, "trial 1 of subject 1, session 1 has windows of two classes, rest and "),
    ({"y": [0, 0, 2, 1]}, "trial 2 of .* two classes, 2 and task"),
])
def test_windows(changes, said):
    with pytest.raises(BenchError, match=said):
        windows(**changes)


@pytest.mark.parametrize(("changes", "said"), [
    ({"subject": ["anna", "ben"]}, "subject must hold whole numbers, not 'anna', 'ben'"),
    ({"y": ["rest", "work"]}, "y holds 'work'"),
    ({"trial": [1, 2, 3]}, r"trial has shape \(3,\), expected \(2,\)"),
    ({"trial": 1}, "trial 1 of subject 1, session 1 has windows of two classes"),
])
def test_signals(changes, said):
    with pytest.raises(BenchError, match=said) as caught:
        signals(**changes)
    if "subject" in changes:
        assert "np.unique(subject, return_inverse=True)" in caught.value.hint


def test_classes_by_name_and_numbers_of_any_kind():
    named = windows(y=["rest", "rest", "task", "task"], subject=np.float32(3), trial=[1.0, 1, 2, 2])
    assert named.y.tolist() == [0, 0, 1, 1]
    assert named.subject.tolist() == [3] * 4
    assert signals(y=["task", "rest"]).y.tolist() == [1, 1, 0, 0]
    assert windows(subject=[1, 1, 2, 2], trial=1).y.tolist() == [0, 0, 1, 1]
