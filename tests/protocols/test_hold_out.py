"""Stimuli held out: no tested film is trained on, whoever was shown it; nothing else changes."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.auditing.audit import AuditOptions, audit
from bench.auditing.checks import check_record
from bench.auditing.inflation import read_audit
from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.pair import align, in_shared_classes
from bench.data.windows import Windows
from bench.errors import IncompatibleError
from bench.exchange.rescore import wrong_scores, wrong_split
from bench.protocols.few_shot import FewShot
from bench.protocols.granted import Granted, blind, numbered
from bench.protocols.hold_out import groups_of, names_of, without_tested_stimuli
from bench.protocols.scaling import Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.runs.run import run
from bench.store.records import Store

from support import CHANNELS, paired, read

CLASSES = ("low", "high")
quick = settings(max_examples=8, deadline=None)


def films(
    subjects: int = 3, count: int = 10, sessions: int = 1, corpus: str = "B", seed: int = 0,
    repeats: int = 1, windows: int = 3, shown_in: str = "", pattern: float = 0.0,
) -> Windows:
    """Every subject sees the same films in every session, in an order of its own.

    ``pattern``: how large the pattern of a film is, which says nothing of its class.
    """
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(2).normal(size=(count, len(CHANNELS), 5))
    rows = []
    for subject in range(1, subjects + 1):
        for session in range(1, sessions + 1):
            order = rng.permutation(np.repeat(np.arange(count), repeats))
            rows += [(subject, session, t, film) for t, film in enumerate(order, 1)
                     for _ in range(windows)]
    s, v, trial, film = np.array(rows).T
    x = pattern * patterns[film] + rng.normal(size=(len(film), len(CHANNELS), 5))
    return Windows.from_arrays(
        x, film % 2, subject=s, session=v, trial=trial, stimulus=film, channels=CHANNELS,
        labels=CLASSES, corpus=corpus, stimulus_set=shown_in,
    )


def rows(windows) -> set[bytes]:
    return {x.tobytes() for x in windows.x}


def parts_of(view):
    return [w for w in (view.source, view.calibration, view.unlabelled) if w is not None]


def stimuli(pair, windows) -> set[str]:
    """Names of the films of windows, labelled or not, told by the numbers in them."""
    every = {x.tobytes(): name for side in (pair.source, pair.target)
             for x, name in zip(side.x, names_of(side, bool(pair.parts) and side is pair.source),
                                strict=True)}
    return {every[x] for x in rows(windows)}


SHARED = [
    ("subjects", Within(), {}), ("sessions", Within(leave="session"), {"sessions": 3}),
    ("corpora", ZeroShot(), {"shown_in": "clips"}),
    ("inductive", Unsupervised(), {"shown_in": "clips"}),
    ("calibration", FewShot(), {"shown_in": "clips", "repeats": 2, "count": 12}),
]


@pytest.mark.parametrize(("protocol", "how"), [s[1:] for s in SHARED], ids=[s[0] for s in SHARED])
@quick
@given(seed=st.integers(0, 10**6), count=st.integers(10, 17))
def test_no_tested_stimulus_is_trained_on_and_as_much_is_tested(protocol, how, seed, count):
    target = films(seed=seed, **{"count": count, **how})
    pair = paired(films(corpus="A", seed=seed + 1, count=12, shown_in=how.get("shown_in", "")),
                  target)
    if protocol.maps_labels:
        pair = in_shared_classes(pair)[0]
    plain = protocol.folds(pair, 0)
    cut = without_tested_stimuli(plain, pair)
    assert len({f.key for f in cut.folds}) == len(cut.folds)
    for before in plain.folds:
        mine = [f for f in cut.folds if (f.subject, f.session) == (before.subject, before.session)]
        if not mine:  # a class would be gone from its calibration
            assert any(o.subject == before.subject for o in cut.left_out)
            continue
        tested = [rows(f.open_test()) for f in mine]
        assert set().union(*tested) == rows(before.open_test())
        assert sum(map(len, tested)) == len(before.open_test())
        for fold in mine:
            films_tested = stimuli(pair, fold.open_test())
            for part, whole in zip(parts_of(fold.view), parts_of(before.view), strict=True):
                assert not stimuli(pair, part) & films_tested
                group = next(g for g in map(set, groups_of(pair.target)) if films_tested <= g)
                out = group if part is fold.view.source else films_tested
                kept = {x.tobytes() for x, name in zip(whole.x, _names(pair, whole), strict=True)
                        if name not in out}
                assert rows(part) == kept  # what is no film of the group stays
    assert any("are held out of training, in 5 groups" in n for n in cut.notices)


def _names(pair, windows):
    every = {x.tobytes(): name for side in (pair.source, pair.target)
             for x, name in zip(side.x, names_of(side), strict=True)}
    return [every[x.tobytes()] for x in windows.x]


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
@quick
def test_groups_are_even_in_number_and_class(count, seed):
    target = films(1, count, seed=seed)
    groups = groups_of(target)
    assert len(groups) == min(5, count)
    assert sorted(n for g in groups for n in g) == sorted(set(names_of(target).tolist()))
    sizes = [len(g) for g in groups]
    assert max(sizes) - min(sizes) <= 1
    for k in (0, 1):
        of_class = [sum(int(n.rpartition("/")[2]) % 2 == k for n in g) for g in groups]
        assert max(of_class) - min(of_class) <= 1


def test_subjects_that_share_a_source_go_on_sharing_what_is_left():
    pair = paired(films(corpus="A", shown_in="clips"), films(4, shown_in="clips"))
    cut = without_tested_stimuli(ZeroShot().folds(pair, 0), pair)
    assert len(cut.folds) == 4 * 5
    assert len({id(f.view.source) for f in cut.folds}) == 5


def test_of_several_sources_those_that_showed_the_same_films_lose_them():
    same, other = films(corpus="A", shown_in="clips"), films(corpus="C", seed=3)
    target = films(2, shown_in="clips")
    pair = align([read(same), read(other)], read(target))
    for fold in without_tested_stimuli(ZeroShot().folds(pair, 0), pair).folds:
        source = fold.view.source
        assert (source.corpus == "C").sum() == len(other)
        assert (source.corpus == "A").sum() == len(same) * 8 / 10


def refusal(cell: Cell) -> IncompatibleError:
    with pytest.raises(IncompatibleError) as caught:
        cell.check()
    return caught.value


def cell(protocol, pair, **changes) -> Cell:
    method = load("methods", changes.pop("method", "lr"))()
    return Cell(method, "default", pair, protocol, hold_out="stimulus", **changes)


def test_it_is_refused_where_it_changes_nothing():
    """The films of two corpora are their own, and a calibrated subject sees each once."""
    pair = paired(films(corpus="A"), films())
    for protocol in (ZeroShot(), FewShot()):
        error = refusal(cell(protocol, pair))
        assert "changes nothing on A:own→B:own: no stimulus that is tested is trained" in str(error)
        assert "--protocol within" in error.hint
        assert "stimulus_set" in error.hint


def test_it_is_refused_where_the_tested_windows_are_granted():
    pair = paired(films(corpus="A", shown_in="clips"), films(shown_in="clips"))
    for protocol, scaling in ((Unsupervised(form="transductive"), Scaling()),
                              (ZeroShot(), Scaling("z-score", "tested"))):
        error = refusal(cell(protocol, pair, scaling=scaling, method="majority"))
        assert "grants the tested windows themselves" in str(error)


def test_one_film_leaves_nothing_to_train_on():
    pair = paired(films(corpus="A", count=4), films(count=1))
    cut = without_tested_stimuli(Within().folds(pair, 0), pair)
    assert cut.folds == []
    assert {o.reason for o in cut.left_out} == {
        "without the stimuli of a group, there is no source window left"}


def test_a_process_without_labels_makes_the_same_folds():
    pair = paired(films(corpus="A", shown_in="clips"), films(shown_in="clips", repeats=2, count=12))
    for protocol in (FewShot(), Unsupervised(), Within()):
        def cut(of, protocol=protocol):
            return without_tested_stimuli(protocol.folds(of, 0), of)

        granted = pickle.loads(pickle.dumps(Granted.by(cut(numbered(pair)), pair)))
        there = replace(pair, source=blind(pair.source), target=blind(pair.target))
        again, here = granted.cut(there).folds, cut(pair).folds
        assert [f.key for f in again] == [f.key for f in here]
        for one, two in zip(again, here, strict=True):
            assert not hasattr(one.tested, "y")
            assert rows(one.tested) == rows(two.tested)
            for a, b in zip(parts_of(one.view), parts_of(two.view), strict=True):
                assert np.array_equal(a.x, b.x)
                if isinstance(b, Windows):
                    assert np.array_equal(a.y, b.y)
                    assert np.array_equal(a.stimulus, b.stimulus)


def test_it_tells_a_film_from_its_class(tmp_path):
    """A film has a pattern and its class has none: known films are told, unknown ones guessed."""
    own = films(4, 20, pattern=2.0, windows=4), films(2, corpus="A")
    runs = tmp_path / "runs"

    def scored(**changes):
        return run("lr", own[1], own[0], protocol="within", runs=runs, controls=False, **changes)

    known, held = scored(), scored(hold_out="stimulus")
    score = {r.id: np.mean([f["scores"]["window"]["balanced_accuracy"] for f in r.folds])
             for r in (known, held)}
    assert score[known.id] > 0.9
    assert score[held.id] < 0.65
    assert "hold_out" not in known.identity
    assert held.identity["hold_out"] == "stimulus"
    assert held.identity["protocol"]["target_access"].endswith("no stimulus that is tested")
    (cost,) = [n for n in held.notices if "held out of training" in n]
    assert "20 % of the training windows are lost (192 of 240 are left on average)" in cost
    # One fold a subject, as without; all that is told from predictions follows from them.
    assert [f["test_windows"] for f in held.folds] == [f["test_windows"] for f in known.folds]
    table = held.predictions()
    assert len(table) == len(own[0])
    assert not list(wrong_scores(held, table)) + list(wrong_split(held, table))
    said = {f.what: f.severity for f in check_record(held)}
    assert said["tested stimuli were held out of training, as it says"] == "note"
    assert not any("same stimuli" in what for what in said)
    assert any("same stimuli" in f.what for f in check_record(known))


def test_networks_hold_out_too(tmp_path):
    """A part has random streams of its own, and is scored with the others of its subject."""
    pair = paired(films(corpus="A"), films(3, sessions=2))
    made = cell(Within(leave="session"), pair, method="source-only", scale="null")
    record = run_cell(made, Store(tmp_path))
    assert [(f["subject"], f["session"]) for f in record.folds] == [
        (s, v) for s in (1, 2, 3) for v in (1, 2)]
    assert len(record.predictions()) == len(pair.target)
    assert not list(wrong_scores(record, record.predictions()))
    for rule in record.selections.values():
        assert len(rule["folds"]) == 6
    assert not any("know a film" in n for n in record.notices)


def test_an_audit_says_what_the_films_are_worth(tmp_path: Path):
    own = films(4, 20, pattern=2.0, windows=4), films(2, corpus="A")
    what = AuditOptions(seeds=(0,), only=("tested-stimuli",))
    path = audit("lr", own[1], own[0], what=what, protocol="within", runs=tmp_path)
    (row,) = read_audit(path).rows
    worth = row.measures["balanced_accuracy", "window"]
    assert worth.before < 0.65
    assert worth.after > 0.9
    leaky = [r for r in Store(tmp_path).records() if r.identity.get("shortcut")]
    honest = [r for r in Store(tmp_path).records() if r.identity.get("hold_out") and
              r not in leaky]
    assert [r.kind for r in leaky] == ["oracle"]
    assert len(honest) == 2
    again = audit("lr", own[1], own[0], what=what, protocol="few-shot", runs=tmp_path)
    (row,) = read_audit(again).rows
    assert "changes nothing" in row.reason
