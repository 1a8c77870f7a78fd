"""Points of a calibration curve differ in what was learnt from, and in nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import IncompatibleError, SettingError
from bench.protocols.calibration import CalibrationSize, sizes_of
from bench.protocols.few_shot import FewShot
from bench.selection.rules import check_selection

from support import cell_of, in_order, paired, synthetic

CURVE = "1,2,3,5,60%"


def point(size: str, curve: str = CURVE, **options) -> FewShot:
    return FewShot(**CalibrationSize.parse(size).options(), curve=curve, **options)


def folds_of(protocol, target, seed=0):
    return {f.subject: f for f in protocol.folds(paired(target=target), seed).folds}


def test_sizes_are_read_and_ordered():
    assert list(map(str, sizes_of(["60%", "3", "1", "3", "12.5%"]))) == ["1", "3", "12.5%", "60%"]
    for wrong in ("0", "-1", "3.5", "0%", "100%", "x", "60%x", ""):
        with pytest.raises(SettingError, match="is no calibration size"):
            CalibrationSize.parse(wrong)
    assert FewShot(curve="60%, 3,1").curve == "1,3,60%"
    with pytest.raises(ValueError, match="'0' is no calibration size"):
        FewShot(curve="0")


@settings(max_examples=30, deadline=None)
@given(
    per_class=st.lists(st.integers(2, 9), min_size=2, max_size=3),
    draw=st.sampled_from(["chronological", "random"]), seed=st.integers(0, 3),
    sizes=st.sets(st.sampled_from(["1", "2", "3", "5", "8", "40%", "60%"]), min_size=1),
)
def test_points_are_nested_and_tested_on_the_same_trials(per_class, draw, seed, sizes):
    classes = np.random.default_rng(seed).permutation(np.repeat(range(len(per_class)), per_class))
    target = synthetic(1, in_order(classes.tolist(), 1), labels=("a", "b", "c")[:len(per_class)])
    curve = ",".join(sizes)
    seen, tested = [], set()
    for size in sizes_of(sizes):
        found = folds_of(point(str(size), curve, draw=draw), target, seed)
        if not found:  # more than a class has
            assert size.share is None
            assert size.trials >= min(per_class)
            continue
        fold = found[1]
        seen.append(set(fold.view.calibration.trial.tolist()))
        tested.add(frozenset(fold.open_test().trial.tolist()))
        assert not seen[-1] & set(fold.open_test().trial.tolist())
        assert set(fold.open_test().y.tolist()) == set(range(len(per_class)))
    assert len(tested) <= 1
    for label in range(len(per_class)):  # a share of a large class may be more than a number is
        mine = {t + 1 for t in np.flatnonzero(classes == label).tolist()}
        ordered = sorted((trials & mine for trials in seen), key=len)
        assert all(a <= b for a, b in zip(ordered, ordered[1:], strict=False))
    if tested:  # all that is left is tested
        assert set().union(*seen) | next(iter(tested)) == set(range(1, len(classes) + 1))


def test_without_a_curve_all_that_is_left_is_tested():
    target = synthetic(1, in_order([0, 1] * 5))
    fold = folds_of(FewShot(calibration_trials=1), target)[1]
    assert set(fold.open_test().trial.tolist()) == set(range(3, 11))
    fold = folds_of(point("1"), target)[1]
    assert set(fold.open_test().trial.tolist()) == set(range(7, 11))  # 60 % of five are three


def test_a_size_that_no_subject_can_give_is_refused_by_its_name():
    pair = paired(target=synthetic(2, in_order([0, 1] * 5)))  # as SEED: five of each class
    point("3").check_pair(pair)
    with pytest.raises(IncompatibleError, match="cannot calibrate on 5 trials .* has 5 at most"):
        point("5").check_pair(pair)
    FewShot(calibration_trials=5).check_pair(pair)  # of no curve: it fails as it always did


def test_equal_sizes_are_one_cell():
    from bench.registry import load

    pair = paired(target=synthetic(2, in_order([0, 1] * 5)))
    cells = [cell_of(load("methods", "majority")(), pair, point(size))
             for size in ("3", "60%", "2")]
    three, share, two = (c.identity() for c in cells)
    assert three == share != two
    longer = paired(target=synthetic(2, in_order([0, 1] * 10)))  # 60 % are six, which is no size
    cell = cell_of(load("methods", "majority")(), longer, point("60%"))
    assert cell.protocol.calibration_trials is None


def test_one_trial_a_class_has_none_to_select_by():
    with pytest.raises(IncompatibleError, match="Use --selection last") as caught:
        check_selection("calibration-val", FewShot(calibration_trials=1))
    assert "none would be left to learn from" in str(caught.value)
    check_selection("calibration-val", FewShot(calibration_trials=2))
    check_selection("last", FewShot(calibration_trials=1))
