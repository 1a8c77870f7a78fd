"""The few-shot cut: whole trials, per class, earlier before later, the same for everybody."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.windows import Windows
from bench.errors import IncompatibleError
from bench.protocols.base import subject_sessions
from bench.protocols.few_shot import FewShot

from support import SEED_CLASSES, in_order, paired, synthetic

SEED_NAMES = ("negative", "neutral", "positive")


@st.composite
def targets(draw):
    """Corpora of random trials, classes, orders and lengths; some orders are unknown."""
    classes = draw(st.integers(2, 4))
    cut = {}
    for subject in draw(st.sets(st.integers(1, 40), min_size=1, max_size=3)):
        labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=14))
        order = draw(st.permutations(range(len(labels))))
        if draw(st.booleans()) and draw(st.booleans()):
            order = [-1] * len(labels)
        numbers = draw(st.permutations(range(1, len(labels) + 1)))
        lengths = draw(st.lists(st.integers(1, 3), min_size=len(labels), max_size=len(labels)))
        cut[subject] = list(zip(numbers, labels, order, lengths, strict=True))
    windows = synthetic(cut, corpus="B", labels="abcd"[:classes], channels=("CZ",), bands=2)
    return windows.take(draw(st.permutations(range(len(windows)))))


SOURCE = synthetic(1, corpus="A", channels=("CZ",), bands=2)


def key(windows):
    return set(windows.trial_key().tolist())


def rows(windows):
    return {r.tobytes() for r in windows.x}


@given(targets(), st.integers(0, 5), st.one_of(st.none(), st.integers(1, 4)))
def test_the_cut_of_any_corpus(target, seed, k):
    pair = paired(SOURCE, target)
    cut = FewShot(calibration_trials=k).folds(pair, seed)
    assert [(f.subject, f.session) for f in cut.folds] + [
        (o.subject, o.session) for o in cut.left_out
    ] == sorted(subject_sessions(target), key=lambda s: s in {
        (o.subject, o.session) for o in cut.left_out})
    for fold in cut.folds:
        calibration, test = fold.view.calibration, fold.open_test()
        mine = target.take((target.subject == fold.subject) & (target.session == fold.session))
        # Nothing is lost, nothing is on both sides: neither trials nor windows.
        assert key(calibration) & key(test) == set()
        assert key(calibration) | key(test) == key(mine)
        assert len(calibration) + len(test) == len(mine)
        assert rows(calibration) & rows(test) == set()
        for label in range(target.n_classes):
            n, early, late = (
                dict(zip(w.trial[w.y == label].tolist(), w.order[w.y == label].tolist(),
                         strict=True)) for w in (mine, calibration, test)
            )
            expected = k or min(math.ceil(len(n) * 3 / 5), len(n) - 1)
            assert len(early) == expected
            assert len(late) >= 1
            if -1 not in n.values():
                assert max(early.values()) < min(late.values())
        assert fold.view.unlabelled is None
        assert fold.view.classes == target.labels
    for out in cut.left_out:
        mine = target.take(target.subject == out.subject)
        counts = [len(set(mine.trial[mine.y == c].tolist())) for c in range(target.n_classes)]
        assert min(counts) < 2 if k is None else min(counts) <= max(1, k)
        assert "class" in out.reason


@given(targets(), st.integers(0, 3))
def test_equal_seeds_cut_equally_whatever_the_order_of_the_rows(target, seed):
    shuffled = target.take(np.random.default_rng(seed).permutation(len(target)))
    first, second = (FewShot().folds(paired(SOURCE, t), seed) for t in (target, shuffled))
    assert [key(f.view.calibration) for f in first.folds] == [
        key(f.view.calibration) for f in second.folds
    ]
    assert first.left_out == second.left_out


@given(targets(), st.integers(0, 3))
def test_a_subject_is_cut_the_same_whoever_else_is_there(target, seed):
    together = FewShot().folds(paired(SOURCE, target), seed)
    for fold in together.folds:
        alone = paired(SOURCE, target.take(target.subject == fold.subject))
        again = FewShot().folds(alone, seed).folds[0]
        assert key(again.view.calibration) == key(fold.view.calibration)


@given(targets())
def test_the_seed_matters_only_where_trials_are_drawn(target):
    known = target.take(target.order >= 0)
    if len(known):
        cuts = [FewShot().folds(paired(SOURCE, known), seed) for seed in (0, 1)]
        assert [key(f.open_test()) for f in cuts[0].folds] == [
            key(f.open_test()) for f in cuts[1].folds
        ]
        before = [preceding(f) for f in cuts[0].folds]
        assert (cuts[0].notices == []) == (sum(before) == 0)
        if sum(before):
            trials = sum(len(key(f.open_test())) for f in cuts[0].folds)
            assert cuts[0].notices[0].startswith(f"{sum(before)} of {trials} tested trials were ")


def preceding(fold):
    """Tested trials that were shown before some calibration trial."""
    last = fold.view.calibration.order.max()
    test = fold.open_test()
    return len({t for t, order in zip(test.trial, test.order, strict=True) if order < last})


@given(targets(), st.one_of(st.none(), st.integers(1, 3)), st.sampled_from([0.3, 0.6]))
def test_strictly_later_tests_only_what_came_after_all_that_calibrate(target, k, share):
    known = target.take(target.order >= 0)
    if not len(known):
        return
    cut = FewShot(calibration_trials=k, share=share, draw="strictly-later").folds(
        paired(SOURCE, known), 0)
    everything = set(range(known.n_classes))
    for fold in cut.folds:
        mine = known.take(known.subject == fold.subject)
        calibration, test = fold.view.calibration, fold.open_test()
        assert test.order.min() > calibration.order.max()
        assert set(test.y.tolist()) == set(calibration.y.tolist()) == everything
        if k is None:
            assert key(calibration) | key(test) == key(mine)
        else:
            assert key(test) == key(mine.take(mine.order > calibration.order.max()))
            for c in everything:
                of_class = mine.take(mine.y == c)
                first = sorted(set(of_class.order.tolist()))[:k]
                assert set(calibration.order[calibration.y == c].tolist()) == set(first)
    for out in cut.left_out:  # nowhere is there enough of each class on both sides
        mine = known.take(known.subject == out.subject)
        order = sorted(set(zip(mine.order.tolist(), mine.y.tolist(), strict=True)))
        for at in range(1, len(order)):
            before, after = ([y for _, y in part] for part in (order[:at], order[at:]))
            assert min(before.count(c) for c in everything) < (k or 1) or \
                min(after.count(c) for c in everything) == 0
    assert cut.notices == []


def test_strictly_later_cuts_where_the_share_says_or_as_near_as_classes_allow():
    def tested(classes, **options):
        target = synthetic({1: in_order(classes)}, corpus="B")
        (fold,) = FewShot(draw="strictly-later", **options).folds(paired(None, target), 0).folds
        return sorted(set(fold.open_test().trial.tolist()))

    assert tested([0, 1] * 5) == [7, 8, 9, 10]
    assert tested([0, 1] * 5, share=0.3) == [4, 5, 6, 7, 8, 9, 10]
    assert tested([0, 1, 1, 0, 1, 1, 0, 0, 0, 0]) == [6, 7, 8, 9, 10]  # the last 1 must be tested
    assert tested([0, 0, 1, 0, 1, 1, 0], calibration_trials=1) == [4, 5, 6, 7]


def test_strictly_later_enters_identity_and_access_and_the_default_does_not_change():
    later = FewShot(draw="strictly-later")
    assert later.describe()["params"]["draw"] == "strictly-later"
    assert later.access().endswith("trials of the tested subject, all shown before the tested ones")
    assert FewShot().describe() == {
        "name": "few-shot", "target_access": FewShot.target_access,
        "params": {"calibration_trials": None, "share": 0.6, "draw": "chronological"},
    }


def test_strictly_later_needs_the_order():
    trials = [(n, y, -1, 2) for n, y, _, _ in in_order([0] * 10 + [1] * 5)]
    pair = paired(None, synthetic(2, trials, corpus="B"))
    protocol = FewShot(draw="strictly-later")
    for refused in (protocol.check_pair, lambda p: protocol.folds(p, 0)):
        with pytest.raises(IncompatibleError, match="order of presentation") as error:
            refused(pair)
        assert "participant_ratings.csv" in error.value.hint


def test_seed_gives_the_published_first_nine():
    pair = paired(None, synthetic(2, in_order(SEED_CLASSES), corpus="SEED", labels=SEED_NAMES))
    cut = FewShot().folds(pair, 0)
    assert (len(cut.folds), cut.left_out, cut.notices) == (2, [], [])
    for fold in cut.folds:
        calibration = fold.view.calibration
        assert np.unique(calibration.trial).tolist() == list(range(1, 10))
        assert np.unique(fold.open_test().trial).tolist() == list(range(10, 16))
        assert np.bincount(calibration.y).tolist() == [12, 12, 12]  # 3 + 3 + 3 trials of 4


def test_order_of_presentation_counts_not_the_number_of_the_trial():
    trials = [(i + 1, i % 2, 9 - i, 2) for i in range(10)]
    fold = FewShot().folds(paired(None, synthetic(1, trials, corpus="B")), 0).folds[0]
    assert np.unique(fold.view.calibration.trial).tolist() == [5, 6, 7, 8, 9, 10]


def test_simulated_deap_is_cut_by_its_table(tiny_root):
    from bench.data.pair import align
    from bench.data.reading import read_corpus

    pair = align(read_corpus("SEED", tiny_root), read_corpus("DEAP", tiny_root))
    for fold in FewShot().folds(pair, 0).folds:
        early, late = fold.view.calibration, fold.open_test()
        assert (early.order >= 0).all()
        assert len(np.unique(np.r_[early.order, late.order])) == 40
        assert (np.unique(early.trial) != np.arange(1, 1 + len(np.unique(early.trial)))).any()
        for label in (0, 1):
            assert early.order[early.y == label].max() < late.order[late.y == label].min()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_so_many_calibration_trials_of_each_class(k):
    pair = paired(None, synthetic(1, in_order(SEED_CLASSES), corpus="B", labels=SEED_NAMES))
    fold = FewShot(calibration_trials=k).folds(pair, 0).folds[0]
    for label in range(3):
        of_class = [i + 1 for i, y in enumerate(SEED_CLASSES) if y == label]
        calibration = fold.view.calibration
        assert np.unique(calibration.trial[calibration.y == label]).tolist() == of_class[:k]


def test_too_many_calibration_trials_leave_subjects_out():
    cut = FewShot(calibration_trials=5).folds(
        paired(None, synthetic(1, in_order(SEED_CLASSES), corpus="B", labels=SEED_NAMES)), 0
    )
    assert cut.folds == []
    assert cut.left_out[0].reason.startswith("5 trials of class 'negative'")


@pytest.mark.parametrize(("classes", "reason"), [
    ([0, 0, 0, 1], "1 trial of class 'high', 2 needed"),
    ([1, 1, 1], "0 trials of class 'low', 2 needed"),
])
def test_a_class_of_one_trial_leaves_the_subject_out_with_the_reason(classes, reason):
    target = synthetic({1: in_order([0, 1, 0, 1]), 7: in_order(classes)}, corpus="B")
    cut = FewShot().folds(paired(None, target), 0)
    assert [f.subject for f in cut.folds] == [1]
    assert [(o.subject, o.session, o.reason) for o in cut.left_out] == [(7, 1, reason)]


def test_unknown_order_is_a_seeded_draw_and_said_aloud():
    trials = [(n, y, -1, 2) for n, y, _, _ in in_order([0] * 10 + [1] * 5)]
    pair = paired(None, synthetic(3, trials, corpus="B"))
    cuts = {seed: FewShot().folds(pair, seed) for seed in range(6)}
    assert cuts[3].notices == [
        "order of presentation unknown: calibration trials are drawn, stratified by class, "
        "with seed 3"
    ]
    again = FewShot().folds(pair, 3)
    for a, b in zip(cuts[3].folds, again.folds, strict=True):
        assert (a.view.calibration.x == b.view.calibration.x).all()
    for fold in cuts[0].folds:
        calibration = fold.view.calibration
        assert [len(np.unique(calibration.trial[calibration.y == c])) for c in (0, 1)] == [6, 3]
    drawn = {tuple(np.unique(c.folds[0].view.calibration.trial)) for c in cuts.values()}
    assert len(drawn) > 3  # seeds differ
    per_subject = {tuple(np.unique(f.view.calibration.trial)) for f in cuts[0].folds}
    assert len(per_subject) > 1  # and so do subjects


def test_sessions_are_folds_of_their_own():
    target = Windows.concatenate([synthetic(2, corpus="B", session=s, seed=s) for s in (2, 1)])
    cut = FewShot().folds(paired(None, target), 0)
    assert [(f.subject, f.session) for f in cut.folds] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for fold in cut.folds:
        assert set(fold.view.calibration.session.tolist()) == {fold.session}
        assert set(fold.open_test().session.tolist()) == {fold.session}


def test_parts_share_no_memory():
    pair = paired()
    for fold in FewShot().folds(pair, 0).folds:
        for x in (fold.view.calibration.x, fold.open_test().x):
            assert x.base is None
            assert not np.shares_memory(x, pair.target.x)
        assert not np.shares_memory(fold.view.calibration.x, fold.open_test().x)


def test_the_test_part_is_no_attribute_of_a_fold():
    fold = FewShot().folds(paired(), 0).folds[0]
    assert not hasattr(fold, "test")
    assert not hasattr(fold, "__dict__")
    assert not hasattr(fold.view, "test")


@pytest.mark.parametrize("options", [
    {"calibration_trials": 0}, {"share": 0}, {"share": 1}, {"trials": 3},
])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValidationError):
        FewShot(**options)
