"""What must hold of every protocol, on random corpora and with random options.

The whole engine is run with a method that keeps what it is given; what it got is then compared with
what was tested. Nothing here knows how a protocol cuts.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.pair import Pair, align
from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import BenchError
from bench.method import Method, Needs
from bench.protocols.base import Fold, Protocol
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.store.records import Store

from reach import reachable
from support import read, synthetic

SPACES = (
    ("negative", "neutral", "positive"), ("neutral", "sad", "fear", "happy"),
    ("low valence", "high valence"),
)
many = settings(max_examples=60, deadline=None)
#: Scopes under which no tested window decides a statistic.
INDUCTIVE = ("corpus", "subject", "source-subject", "source")

pytestmark = pytest.mark.usefixtures("spying", "_numbered")


@pytest.fixture(scope="module")
def _numbered():
    """Leave trials without labels their numbers: windows are told apart by them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.cells.contract.recoded", lambda windows: windows)
        yield


@st.composite
def corpora(draw, name, labels):
    """A corpus with gaps in its numbers, sessions, unbalanced classes, known or unknown order."""
    subjects = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True))
    parts = []
    for subject in subjects:
        for session in range(1, draw(st.integers(1, 2)) + 1):
            counts = draw(st.lists(st.integers(1, 4), min_size=len(labels), max_size=len(labels)))
            classes = draw(st.permutations([c for c, n in enumerate(counts) for _ in range(n)]))
            order = draw(st.permutations(range(len(classes))))
            known = draw(st.booleans())
            trials = [
                (2 * i + 1, y, order[i] if known else -1, draw(st.integers(1, 2)))
                for i, y in enumerate(classes)
            ]
            parts.append(synthetic(
                {subject: trials}, corpus=name, labels=labels, session=session,
                seed=[ord(name), subject, session, draw(st.integers(0, 99))],
                channels=("FP1", "OZ"),
            ))
    return Windows.concatenate(parts)


@st.composite
def pairs(draw):
    """One source or two, and a target."""
    names = ("A", "B")[: draw(st.integers(1, 2))]
    sources = [read(draw(corpora(n, draw(st.sampled_from(SPACES))))) for n in names]
    return align(sources, read(draw(corpora("T", draw(st.sampled_from(SPACES))))))


shares = st.floats(0.05, 0.95)
protocols = st.one_of(
    st.builds(
        FewShot, calibration_trials=st.none() | st.sampled_from([1, 2, 3]), share=shares,
        draw=st.sampled_from(["chronological", "random"]),
    ),
    st.builds(Unsupervised, form=st.sampled_from(["inductive", "transductive"]), share=shares),
    st.builds(ZeroShot),
    st.builds(Within, leave=st.sampled_from(["subject", "session"])),
)
scalings = st.one_of(
    st.just(Scaling("none")),
    st.builds(Scaling, st.sampled_from(["min-max", "z-score", "robust"]),
              st.sampled_from([*INDUCTIVE, "tested", "subject-tested"])),
)
needs = st.builds(
    Needs, source=st.sampled_from(["none", "unlabelled", "labelled"]), unlabelled=st.booleans(),
    calibration=st.booleans(), features=st.just(frozenset({"de"})),
)


class Even:
    """Every class as likely."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes)."""
        return np.full((len(x), self.classes), 1 / self.classes)


class Keeper(Method):
    """Keeps all it is given."""

    name: ClassVar[str] = "keeper"

    def __init__(self, wanted: Needs, maps_labels: bool = False) -> None:
        super().__init__()
        self.needs = wanted  # type: ignore[misc]
        self.maps_labels = maps_labels  # type: ignore[misc]
        self.jobs: list[Any] = []
        self.sources: list[Any] = []

    def __deepcopy__(self, memo):
        """Itself, not a fresh instance: so all it keeps is in one place."""
        return self

    def pretrain(self, source, ctx):
        """Keep the source."""
        self.sources.append((source, ctx))

    def fit(self, view, state, ctx):
        """Never called."""
        raise NotImplementedError

    def fit_many(self, jobs):
        """Keep the jobs."""
        self.jobs += jobs
        return [Even(len(job.view.classes)) for job in jobs]


class Nowhere(Store):
    """A run folder that keeps the last predictions and nothing else."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.tables: list[Any] = []

    def put(self, record, predictions=None, models=None):
        """Keep the predictions."""
        self.tables.append(predictions)
        return self.root

    def put_state(self, key, state, curve):
        """Forget it."""


@dataclass
class Run:
    """A cell that was run: what the method got, what was tested."""

    cell: Cell
    method: Keeper
    record: Any
    table: Any
    raw: list[Fold]
    scaled: list[Fold]


def run(pair: Pair, protocol: Protocol, wanted: Needs, scaling: Scaling, seed=0, shares=False):
    """Run the engine; a combination that it refuses is no example."""
    cell = Cell(Keeper(wanted, shares), "default", pair, protocol, scaling, seed=seed)
    store = Nowhere()
    try:
        record = run_cell(cell, store)
    except BenchError:
        assume(False)
    raw = cell.folds().folds
    return Run(cell, cell.method, record, store.tables[-1], raw, scaling.folds(raw))


runs = st.builds(run, pairs(), protocols, needs, scalings, st.integers(0, 99), st.booleans())


def rows(windows):
    """The numbers of each window, which no other window has."""
    return {x.tobytes() for x in windows.x}


def named(*parts):
    """Each window by where it comes from: that survives scaling and the loss of labels."""
    return {
        key for w in parts if w is not None
        for key in zip(w.trial_key().tolist(), w.onset.tolist(), strict=True)
    }


def holders(*roots):
    """Every set of windows that can be got at; refuses an array that is part of none of them."""
    found = list(reachable(*roots))
    sets = [o for o in found if isinstance(o, Windows | UnlabelledWindows)]
    columns = {id(column) for o in sets for column in vars(o).values()}
    assert all(id(o) in columns for o in found if isinstance(o, np.ndarray))
    return sets


@many
@given(found=runs)
def test_no_tested_window_can_be_got_at(found):
    transductive = found.cell.protocol.transductive and found.method.needs.unlabelled
    for job, fold in zip(found.method.jobs, found.scaled, strict=True):
        test, sets = fold.open_test(), holders(job)
        if transductive:
            assert named(job.view.unlabelled) == named(test)
            sets = [o for o in sets if o is not job.view.unlabelled]
        assert not named(*sets) & named(test)
        assert not any(np.shares_memory(o.x, test.x) for o in sets)


@many
@given(found=runs)
def test_pre_training_sees_no_tested_window(found):
    within = isinstance(found.cell.protocol, Within)
    for source, ctx in found.method.sources:
        sets = holders(source, ctx)
        if not within:  # else the source is of the target corpus, less what the fold tests
            assert {c for o in sets for c in o.corpus.tolist()} <= {"A", "B"}
        assert any(not named(*sets) & named(fold.open_test()) for fold in found.raw)


@many
@given(found=runs)
def test_no_trial_is_on_two_sides(found):
    for fold in found.raw:
        view = fold.view
        sides = [set(fold.open_test().trial_key())]
        sides += [set(w.trial_key()) for w in (view.source, view.calibration) if w is not None]
        if view.unlabelled is not None and not found.cell.protocol.transductive:
            sides.append(set(view.unlabelled.trial_key()))
        assert sum(map(len, sides)) == len(set.union(*sides))


@many
@given(found=runs)
def test_a_view_holds_what_is_granted_and_no_more(found):
    protocol, wanted = found.cell.protocol, found.method.needs
    for fold in found.raw:
        view = fold.view
        granted = {n for n, part in vars(view).items() if part is not None} - {"classes"}
        assert granted == protocol.grants
        assert view.unlabelled is None or type(view.unlabelled) is UnlabelledWindows
        assert {*fold.open_test().subject.tolist()} == {fold.subject}
        assert {*fold.open_test().session.tolist()} == {fold.session}
        assert view.classes == fold.open_test().labels
        for mine in (view.calibration, view.unlabelled):
            assert mine is None or {*mine.subject.tolist()} == {fold.subject}
    for job in found.method.jobs:
        assert (job.view.source is None) == (wanted.source == "none")
        if job.view.source is not None:
            assert isinstance(job.view.source, Windows) == (wanted.source == "labelled")
        assert (job.view.unlabelled is None) == (not wanted.unlabelled)
        assert not isinstance(job.view.unlabelled, Windows)


@many
@given(found=runs)
def test_the_record_says_what_of_the_target_was_seen(found):
    described = found.cell.identity()["protocol"]["target_access"]
    tested = found.cell.protocol.transductive or found.cell.scaling.transductive
    assert ("tested windows" in described) == tested
    labelled = "calibration" in found.cell.protocol.grants or isinstance(
        found.cell.protocol, Within
    )
    assert described.startswith("target-supervised") == labelled


@many
@given(pair=pairs(), protocol=protocols, seed=st.integers(0, 99))
def test_calibration_comes_before_the_test_in_each_class(pair, protocol, seed):
    assume(getattr(protocol, "draw", "chronological") == "chronological")
    assume(not protocol.transductive)
    for fold in run(pair, protocol, Needs(source="none"), Scaling("none"), seed).raw:
        seen = fold.view.calibration or fold.view.unlabelled
        if seen is None:
            continue
        test = fold.open_test()
        if (test.order < 0).any():
            continue
        target = pair.target
        mine = target.take((target.subject == fold.subject) & (target.session == fold.session))
        for c in range(len(mine.labels)):
            of_class = mine.take(mine.y == c)
            first = of_class.order[np.isin(of_class.trial, seen.trial)]
            later = of_class.order[np.isin(of_class.trial, test.trial)]
            if len(first) and len(later):
                assert first.max() < later.min()
        assert {*test.y.tolist()} == set(range(len(test.labels)))  # every class is tested


@many
@given(found=runs)
def test_each_tested_window_is_scored_once(found):
    table, folds = found.table, found.record.folds
    keys = ["subject", "session", "trial", "onset"]
    assert not table.duplicated(keys).any()
    assert len(table) == sum(f["test_windows"] for f in folds)
    target = found.cell.mapped[0].target
    left = {(o["subject"], o["session"]) for o in found.record.left_out}
    cut = {(f["subject"], f["session"]) for f in folds}
    there = {*zip(target.subject.tolist(), target.session.tolist(), strict=True)}
    assert cut | left == there
    assert not cut & left
    if not found.cell.protocol.grants & {"calibration", "unlabelled"}:  # then all trials are tested
        whole = sum(
            ((target.subject == s) & (target.session == n)).sum() for s, n in cut
        )
        assert len(table) == whole


def content(folds):
    """Folds as sets of windows, whatever the order of rows."""
    return [
        (f.subject, f.session, rows(f.open_test()), *(
            None if w is None else rows(w)
            for w in (f.view.source, f.view.calibration, f.view.unlabelled)
        ))
        for f in folds
    ]


@many
@given(
    pair=pairs(), protocol=protocols, seed=st.integers(0, 99), mixing=st.integers(0, 99),
    one=needs, other=needs,
)
def test_folds_are_the_same_for_all_methods_and_whatever_the_order_of_rows(
    pair, protocol, seed, mixing, one, other
):
    def folds(wanted, of):
        try:
            return Cell(Keeper(wanted), "default", of, protocol, seed=seed).folds().folds
        except BenchError:
            assume(False)

    first = content(folds(one, pair))
    rng = np.random.default_rng(mixing)
    mixed = types.SimpleNamespace(**{
        side: getattr(pair, side).take(rng.permutation(len(getattr(pair, side))))
        for side in ("source", "target")
    })
    shuffled = Pair(
        mixed.source, mixed.target, pair.source_name, pair.target_name, pair.digests,
        parts=pair.parts,
    )
    assert content(folds(one, shuffled)) == first
    folds(other, shuffled)  # what was cut before decides nothing
    again = content(folds(other, pair))
    # Of several sources a supervised method learns the classes that they share: all else is equal.
    if pair.parts and one.source != other.source:
        first, again = ([(*f[:3], *f[4:]) for f in c] for c in (first, again))
    assert again == first


@many
@given(
    pair=pairs(), protocol=protocols, seed=st.integers(0, 99),
    kind=st.sampled_from(["min-max", "z-score", "robust"]), scope=st.sampled_from(INDUCTIVE),
    which=st.integers(0, 99),
)
def test_tested_windows_decide_no_statistic(pair, protocol, seed, kind, scope, which):
    assume(not protocol.transductive)
    scaling = Scaling(kind, scope)
    found = run(pair, protocol, Needs(source="labelled"), scaling, seed)
    place = which % len(found.raw)
    fold = found.raw[place]
    wild = pair.target.x.copy()
    tested = np.isin(pair.target.trial_key(), list(set(fold.open_test().trial_key())))
    wild[tested] = 50 * wild[tested] + 1e3
    after = run(
        Pair(pair.source, pair.target.with_x(wild), pair.source_name, pair.target_name,
             pair.digests, parts=pair.parts),
        protocol, Needs(source="labelled"), scaling, seed,
    )
    old, new = found.scaled[place], after.scaled[place]
    for side in ("source", "calibration", "unlabelled"):
        before, now = getattr(old.view, side), getattr(new.view, side)
        assert (before is None) == (now is None)
        assert before is None or (before.x == now.x).all()
    # The tested windows went through the same map, though they are no longer the same.
    ours, theirs = fold.open_test().x, after.raw[place].open_test().x
    scale = (old.open_test().x - new.open_test().x) / (ours - theirs)
    assert np.allclose(scale, scale[0], rtol=1e-2)
