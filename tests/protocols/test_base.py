"""Invariants of every protocol on random corpora: what a method is handed, and what it is not."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells.cell import Cell
from bench.cells.contract import check_compatible, restrict_source, restrict_views
from bench.data.pair import Pair, in_shared_classes
from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import IncompatibleError
from bench.method import Method, Needs
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaler, Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import entries, load
from bench.store.records import Store

SEED, DEAP = ("negative", "neutral", "positive"), ("low valence", "high valence")
PROTOCOLS = [FewShot(), ZeroShot(), Unsupervised(), Unsupervised(form="transductive"), Within()]
IDS = ["few-shot", "zero-shot", "inductive", "transductive", "within"]
OPTIONS = [FewShot(draw="random"), FewShot(draw="strictly-later"), Within(leave="session")]


def corpus(name, labels, subjects, trials, rng, ordered=True):
    """Windows whose first number is unique to each window, so that every copy can be traced."""
    parts = []
    for subject in range(1, subjects + 1):
        y = np.arange(trials) % len(labels)
        rng.shuffle(y)
        order = rng.permutation(trials) if ordered else np.full(trials, -1)
        for trial in range(trials):
            n = int(rng.integers(1, 4))
            parts.append((np.full(n, subject), np.full(n, trial + 1), np.full(n, y[trial]),
                          np.full(n, order[trial])))
    subject, trial, y, order = (np.concatenate(c) for c in zip(*parts))
    x = rng.normal(size=(len(y), 2, 5)).astype(np.float32)
    return Windows.from_arrays(
        x, y, subject=subject, trial=trial, order=order, channels=["FP1", "FP2"], labels=labels,
        corpus=name,
    )


def pair_of(seed=0, subjects=3, trials=7, source=SEED, target=DEAP, ordered=True):
    rng = np.random.default_rng(seed)
    return Pair(
        corpus("A", source, subjects, trials, rng), corpus("B", target, subjects, trials, rng,
                                                           ordered),
        "A:own", "B:own", ("a", "b"),
    )


def folds_of(protocol, pair, seed=0):
    if protocol.maps_labels:
        pair = in_shared_classes(pair)[0]
    return protocol.folds(pair, seed)


pairs = st.builds(
    pair_of, seed=st.integers(0, 10**6), subjects=st.integers(2, 4), trials=st.integers(4, 12),
    source=st.sampled_from([SEED, DEAP]), target=st.sampled_from([SEED, DEAP]),
    ordered=st.booleans(),
)
every = pytest.mark.parametrize("protocol", PROTOCOLS, ids=IDS)
quick = settings(max_examples=15, deadline=None)


def rows(windows):
    """Set of the windows' numbers, which are unique to each."""
    return {x.tobytes() for x in windows.x}


@pytest.mark.parametrize("protocol", [FewShot(), Unsupervised()], ids=["few-shot", "inductive"])
@quick
@given(pair=pairs)
def test_sixty_per_cent_of_each_class_come_first(protocol, pair):
    for fold in folds_of(protocol, pair).folds:
        test = fold.open_test()
        target = pair.target if not protocol.maps_labels else in_shared_classes(pair)[0].target
        mine = target.take(target.subject == fold.subject)
        seen = fold.view.calibration or fold.view.unlabelled
        assert rows(seen) | rows(test) == rows(mine)
        for c in range(len(mine.labels)):
            of_class = mine.take(mine.y == c)
            first = of_class.take(np.isin(of_class.trial, seen.trial))
            trials = len(np.unique(of_class.trial))
            wanted = min(math.ceil(round(0.6 * trials, 9)), trials - 1)
            assert len(np.unique(first.trial)) == wanted


def trials_of(folds):
    """Calibration trials of each subject."""
    return {f.subject: sorted(set(f.view.calibration.trial.tolist())) for f in folds}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_drawn_trials_are_stratified_and_go_with_the_seed(count):
    pair = pair_of(trials=18)
    drawn = FewShot(draw="random", calibration_trials=count)
    found = drawn.folds(pair, 0).folds
    for fold in found:
        seen = fold.view.calibration
        for c in range(2):
            assert len(np.unique(seen.trial[seen.y == c])) == count
        assert not rows(seen) & rows(fold.open_test())
    assert trials_of(drawn.folds(pair, 0).folds) == trials_of(found)
    seeds = [str(trials_of(drawn.folds(pair, seed).folds)) for seed in range(5)]
    assert len(set(seeds)) > 1
    assert len({str(v) for v in trials_of(found).values()}) > 1  # each subject by itself


def test_drawn_trials_are_any_of_the_session():
    pair = pair_of(trials=8, subjects=4)
    first = trials_of(FewShot(calibration_trials=1).folds(pair, 0).folds)
    later = 0
    for seed in range(20):
        found = trials_of(FewShot(calibration_trials=1, draw="random").folds(pair, seed).folds)
        later += sum(found[s] != first[s] for s in first)
    # Two classes of 4: a draw is the first of both once in 16 times.
    assert 65 <= later <= 80
    chronological = [trials_of(FewShot(calibration_trials=1).folds(pair, s).folds) for s in (0, 7)]
    assert chronological[0] == chronological[1]


def test_drawing_is_said_in_the_access_and_needs_no_notice():
    drawn = FewShot(draw="random")
    assert drawn.access() == (
        "target-supervised: labelled trials of the tested subject, drawn from the whole session"
    )
    unordered = pair_of(ordered=False)
    assert drawn.folds(unordered, 0).notices == []
    assert "order of presentation unknown" in FewShot().folds(unordered, 0).notices[0]


def sessions_pair(numbers=((1, 1), (1, 2), (1, 3), (2, 1)), films=False):
    """A target with several sessions of some subjects; their films may be the same."""
    from support import synthetic

    parts = []
    for i, (subject, session) in enumerate(numbers):
        part = synthetic({subject: [(t, t % 2, t, 2) for t in range(1, 7)]}, session=session,
                       corpus="B", labels=DEAP, seed=i)
        film = part.trial + (0 if films else 100 * session)
        parts.append(dataclasses.replace(part, stimulus=film))
    target = Windows.concatenate(parts)
    return Pair(synthetic(corpus="A"), target, "A:own", "B:own", ("a", "b"))


def test_leaving_a_session_out_trains_on_the_subjects_others():
    cut = Within(leave="session").folds(sessions_pair(), 0)
    assert [(f.subject, f.session) for f in cut.folds] == [(1, 1), (1, 2), (1, 3)]
    for fold in cut.folds:
        source = fold.view.source
        assert set(source.subject.tolist()) == {1}
        assert set(source.session.tolist()) == {1, 2, 3} - {fold.session}
        assert set(fold.open_test().session.tolist()) == {fold.session}
    assert [(o.subject, o.reason) for o in cut.left_out] == [(2, "no other session to train on")]
    assert cut.notices == []


def test_films_that_were_trained_on_are_told():
    notices = Within(leave="session").folds(sessions_pair(films=True), 0).notices
    assert len(notices) == 1
    assert "tested stimuli were also shown in the sessions trained on" in notices[0]
    assert Within().folds(sessions_pair(films=True), 0).notices == []


def test_leaving_a_session_out_needs_two():
    pair = sessions_pair([(1, 1), (2, 2)])
    cell = Cell(Toy(), "default", pair, Within(leave="session"))
    with pytest.raises(IncompatibleError, match="B:own was read with one of each") as caught:
        cell.check()
    assert "--sessions all" in caught.value.hint
    Cell(Toy(), "default", sessions_pair(), Within(leave="session")).check()


@quick
@given(pair=pairs)
def test_the_forms_of_unsupervised_test_the_same(pair):
    one, other = (folds_of(Unsupervised(form=f), pair) for f in ("inductive", "transductive"))
    assert [rows(f.open_test()) for f in one.folds] == [rows(f.open_test()) for f in other.folds]


@quick
@given(pair=pairs)
def test_within_leaves_the_subject_out(pair):
    for fold in Within().folds(pair, 0).folds:
        source = fold.view.source
        others = set(np.unique(pair.target.subject).tolist()) - {fold.subject}
        assert set(source.subject.tolist()) == others
        assert set(source.corpus.tolist()) == {"B"}
        assert rows(source) | rows(fold.open_test()) == rows(pair.target)


def test_within_needs_two_subjects():
    cut = Within().folds(pair_of(subjects=1), 0)
    assert not cut.folds
    assert cut.left_out[0].reason == "no other subject to train on"


@every
@quick
@given(pair=pairs, kind=st.sampled_from(["min-max", "z-score", "robust"]))
def test_scaling_takes_its_statistics_from_what_is_granted(protocol, pair, kind):
    raw = folds_of(protocol, pair).folds
    for before, after in zip(raw, Scaling(kind).folds(raw)):
        view = before.view
        scope = next(w for w in (view.calibration, view.unlabelled, view.source) if w is not None)
        np.testing.assert_array_equal(
            after.open_test().x, Scaler.fit(scope.x, kind)(before.open_test().x)
        )
        np.testing.assert_array_equal(
            after.view.source.x, Scaler.fit(view.source.x, kind)(view.source.x)
        )


@pytest.mark.parametrize(("protocol", "scope"), list(zip(PROTOCOLS, [
    "calibration", "source", "unlabelled", "unlabelled (tested windows)", "source",
])), ids=IDS)
def test_the_scope_is_named(protocol, scope):
    assert Scaling().describe(protocol) == {
        "name": "min-max", "source": "source", "target": scope
    }


def test_scaled_folds_go_on_sharing_a_source():
    shared = Scaling().folds(folds_of(ZeroShot(), pair_of()).folds)
    assert len({id(f.view.source) for f in shared}) == 1
    assert len({id(f.view.source) for f in restrict_views(shared, Needs(source="unlabelled"))}) == 1
    apart = Scaling().folds(Within().folds(pair_of(), 0).folds)
    assert len({id(f.view.source) for f in apart}) == 3


def test_a_method_is_handed_no_more_than_it_needs():
    folds = FewShot().folds(pair_of(), 0).folds
    view = restrict_views(folds, Needs(source="none"))[0].view
    assert view.source is None
    assert view.unlabelled is None
    view = restrict_views(folds, Needs(source="unlabelled"))[0].view
    assert type(view.source) is UnlabelledWindows
    view = restrict_views(folds, Needs(unlabelled=True))[0].view
    assert type(view.unlabelled) is UnlabelledWindows
    assert rows(view.unlabelled) == rows(view.calibration)
    assert restrict_source(None, "labelled") is None
    folds = folds_of(Unsupervised(), pair_of()).folds
    assert restrict_views(folds, Needs())[0].view.unlabelled is None


class Toy(Method):
    """Needs what a test says."""

    name = "toy"

    def fit(self, view, state, ctx):
        """Nothing."""
        raise NotImplementedError


@pytest.mark.parametrize(("needs", "protocol", "message"), [
    (Needs(calibration=True), ZeroShot(), "toy needs calibration, which zero-shot does not grant"),
    (Needs(unlabelled=True), Within(), "toy needs unlabelled, which within does not grant"),
    (Needs(unlabelled=True, calibration=True), ZeroShot(),
     "toy needs calibration and unlabelled, which zero-shot does not grant"),
])
def test_refusals_say_why(needs, protocol, message):
    method = Toy()
    method.needs = needs
    with pytest.raises(IncompatibleError) as caught:
        check_compatible(method, protocol, pair_of())
    assert caught.value.message == message
    assert caught.value.hint == f"{protocol.name} grants: {', '.join(sorted(protocol.grants))}"


def test_calibration_counts_as_unlabelled_windows():
    method = Toy()
    method.needs = Needs(unlabelled=True)
    check_compatible(method, FewShot(), pair_of())


def test_records_name_the_label_map_only_where_classes_were_mapped():
    pair = pair_of()
    toy, sharing = Toy(), Toy()
    sharing.maps_labels = True
    mapped = {"name": "polarity-2", "version": 1, "classes": ["negative", "positive"]}
    for method, protocol, expected in (
        (toy, FewShot(), None), (toy, Within(), None), (toy, ZeroShot(), mapped),
        (toy, Unsupervised(), mapped), (sharing, FewShot(), mapped),
    ):
        assert Cell(method, "default", pair, protocol).identity()["label_map"] == expected


def test_no_map_is_a_refusal(tmp_path):
    from bench.cells.engine import run_cell

    pair = pair_of(target=("low arousal", "high arousal"))
    cell = Cell(Toy(), "default", pair, ZeroShot())
    with pytest.raises(IncompatibleError, match="no label map relates"):
        run_cell(cell, Store(tmp_path))


def test_target_access_is_said():
    accesses = [p.describe()["target_access"] for p in (*PROTOCOLS, *OPTIONS)]
    assert len(set(accesses)) == len(PROTOCOLS) + len(OPTIONS)
    assert accesses[3] == "unlabelled: the tested windows"
    peeking = Toy()
    peeking.transductive = True
    said = Cell(peeking, "default", pair_of(), ZeroShot()).identity()["protocol"]["target_access"]
    assert said == (
        "none: no window of the target corpus; at prediction, the tested windows, unlabelled"
    )


def test_every_protocol_is_in_the_catalogue():
    assert {load("protocols", n).name for n in entries("protocols")} == set(entries("protocols"))
    assert {p.name for p in PROTOCOLS} == set(entries("protocols"))
