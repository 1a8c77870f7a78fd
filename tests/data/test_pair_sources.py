"""Several sources: one set of windows in which corpora, subjects and films stay apart."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.labels import shared_classes
from bench.data.pair import STRIDE, align, in_shared_classes, joined, with_agreed_source
from bench.errors import BenchError, IncompatibleError, SettingError
from bench.method import Needs
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaler, Scaling
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.reporting import ReportOptions
from bench.runs.lookup import choose_params, source_sides
from bench.runs.run import run
from bench.store.records import Store
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request

from support import Means, cell_of, read, synthetic

SEED = ("negative", "neutral", "positive")
SEED_IV = ("neutral", "sad", "fear", "happy")
DEAP = ("low valence", "high valence")
OTHERS = ("FP1", "FZ", "CZ", "OZ", "AF3")


def corpora():
    """SEED, SEED-IV and DEAP in small; the second has other channels and is louder."""
    three = [(i + 1, i % 3, i, 3) for i in range(9)]
    four = [(i + 1, i % 4, i, 3) for i in range(12)]
    a = synthetic(3, three, corpus="A", labels=SEED, seed=1)
    b = synthetic(2, four, corpus="B", labels=SEED_IV, seed=2, channels=OTHERS)
    b = b.with_x(40 * b.x + 7)
    return a, b, synthetic(3, corpus="T", labels=DEAP, seed=3)


def pair_of(*order):
    a, b, t = corpora()
    return align([read(w) for w in (order or (a, b))], read(t))


def test_sources_meet_on_the_channels_that_all_have():
    a, b, t = corpora()
    pair = pair_of()
    assert pair.source.space == pair.target.space
    assert pair.source.space.channels == ("FP1", "FZ", "CZ", "OZ")
    mine = pair.source.corpus == "A"
    assert (pair.source.x[mine] == a.x[:, [0, 1, 2, 4]]).all()
    assert (pair.source.x[~mine] == b.x[:, :4]).all()
    assert (pair.target.x == t.x[:, [0, 1, 2, 4]]).all()
    assert pair.source_name == "A:own+B:own"
    assert [p.name for p in pair.parts] == ["A:own", "B:own"]


def test_subjects_and_films_of_two_corpora_are_not_the_same():
    a, b, _ = corpora()
    source = pair_of().source
    mine = source.corpus == "A"
    assert (source.subject[mine] == a.subject).all()
    assert not set(source.subject[mine]) & set(source.subject[~mine])
    assert not set(source.stimulus[mine]) & set(source.stimulus[~mine])
    assert (source.subject[~mine] % STRIDE == b.subject).all()
    assert (source.stimulus[~mine] % STRIDE == b.stimulus).all()
    assert len(np.unique(source.subject)) == 5
    assert len(set(source.trial_key())) == 3 * 9 + 2 * 12


def test_numbers_too_large_to_be_told_apart_are_refused():
    a, b, _ = corpora()
    far = synthetic({STRIDE: [(1, 0, 0, 2), (2, 1, 1, 2)]}, corpus="C")
    with pytest.raises(IncompatibleError, match="C numbers subjects or stimuli beyond 9999"):
        joined([a, far])


def test_each_window_keeps_the_name_of_its_class():
    a, b, _ = corpora()
    source = pair_of().source
    names = np.array(source.labels)[source.y]
    assert source.labels == ("negative", "neutral", "positive", "sad", "fear", "happy")
    assert names.tolist() == [*np.array(a.labels)[a.y], *np.array(b.labels)[b.y]]


def test_one_source_is_left_as_it_is():
    a, _, t = corpora()
    one, listed = align(read(a), read(t)), align([read(a)], read(t))
    assert one.source.digest() == listed.source.digest()
    assert one.digests == listed.digests == (a.digest(), t.digest())
    assert one.parts == ()


def test_the_digest_is_of_all_sources():
    a, b, t = corpora()
    other = b.with_x(b.x + 1)
    assert pair_of().digests[0] not in (a.digest(), b.digest())
    assert pair_of(a, other).digests[0] != pair_of(a, b).digests[0]


def test_shared_classes_are_those_of_all():
    assert shared_classes(SEED, SEED_IV, DEAP)[1] == ("negative", "positive")
    assert shared_classes(SEED, DEAP, SEED_IV)[1] == ("negative", "positive")
    assert shared_classes(SEED, SEED_IV, SEED)[1] == SEED
    with pytest.raises(IncompatibleError, match="low arousal, high arousal"):
        shared_classes(SEED, ("low arousal", "high arousal"), SEED_IV)
    mapped, label_map = in_shared_classes(pair_of())
    assert label_map.name == "polarity-2"
    assert mapped.source.labels == mapped.target.labels == ("negative", "positive")
    assert set(mapped.source.corpus) == {"A", "B"}
    # Neutral and fear are gone: 2 of 3 and 2 of 4 classes are left.
    assert len(mapped.source) == 3 * 6 * 3 + 2 * 6 * 3


def test_a_supervised_source_learns_the_classes_that_the_sources_share():
    agreed, label_map = with_agreed_source(pair_of())
    assert label_map.name == "polarity-3"
    assert agreed.source.labels == SEED
    assert agreed.target.labels == DEAP


@pytest.mark.parametrize(("need", "labels"), [("labelled", SEED), ("unlabelled", None)])
def test_few_shot_hands_what_the_method_learns_from(need, labels, monkeypatch):
    monkeypatch.setattr(Means, "needs", Needs(source=need, calibration=True))
    cell = cell_of(Means(), pair_of(), FewShot())
    view = cell.folds().folds[0].view
    assert view.classes == DEAP
    assert cell.identity()["label_map"] is None
    if labels:
        assert view.source.labels == labels
        assert cell.identity()["source_label_map"] == {
            "name": "polarity-3", "version": 1, "classes": list(SEED)
        }
        assert len(view.source) < len(pair_of().source)
    else:  # label-free methods keep all windows, fear included
        assert len(view.source) == len(pair_of().source)
        assert "source_label_map" not in cell.identity()


def test_the_record_names_every_source():
    side = cell_of(Means(), pair_of(), FewShot()).identity()["source"]
    assert (side["name"], side["corpus"], side["task"]) == ("A:own+B:own", "A+B", "own+own")
    assert side["scaled"].startswith("each corpus by its own statistics")
    assert [p["subjects"] for p in side["parts"]] == [[1, 2, 3], [1, 2]]
    assert len({p["digest"] for p in side["parts"]}) == 2
    single = cell_of(Means()).identity()["source"]
    assert "parts" not in single
    assert "scaled" not in single


@pytest.mark.parametrize("kind", ["min-max", "z-score", "robust"])
def test_each_corpus_is_scaled_by_its_own_statistics(kind):
    pair = in_shared_classes(pair_of())[0]
    raw = ZeroShot().folds(pair, 0).folds
    scaled = Scaling(kind).folds(raw)[0]
    for corpus in "AB":
        mine = pair.source.corpus == corpus
        expected = Scaler.fit(pair.source.x[mine], kind)(pair.source.x[mine])
        assert (scaled.view.source.x[mine] == expected).all()
    # The target has no side of its own here: it goes by all sources together.
    pooled = Scaler.fit(pair.source.x, kind)
    assert (scaled.open_test().x == pooled(raw[0].open_test().x)).all()


def test_within_does_not_care_about_the_sources(monkeypatch):
    monkeypatch.setattr(Means, "needs", Needs(source="labelled"))
    cell = cell_of(Means(), pair_of(), Within())
    assert cell.folds().folds[0].view.source.labels == DEAP
    assert "source_label_map" not in cell.identity()


def test_the_order_in_which_sources_are_named_decides_nothing():
    assert source_sides("SEED-IV + SEED") == source_sides(["SEED", "SEED-IV"]) == [
        "SEED", "SEED-IV"
    ]
    assert source_sides("SEED") == ["SEED"]
    own = corpora()[0]
    assert source_sides(own) == [own]
    assert source_sides(["SEED", own]) == [own, "SEED"]


@pytest.mark.parametrize(("src", "message"), [
    ("SEED+DEAP", "the target is among the sources, DEAP"),
    ("SEED+SEED", "SEED is named twice among the sources"),
    ("SEED-IV:3+SEED-IV:4", "SEED-IV is named twice among the sources"),
    ("SEED+SEED-X", "there is no corpus named 'SEED-X'"),
])
def test_sources_that_make_no_sense_are_refused_before_anything_is_read(src, message, tmp_path):
    with pytest.raises(BenchError, match=message.replace("+", r"\+")):
        run("lr", src, "DEAP", simulated=True, runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_published_parameters_are_of_one_source():
    from bench.methods.scmm import SCMM

    with pytest.raises(SettingError, match="no published parameters .* SEED\\+SEED-IV→DEAP"):
        choose_params(SCMM, "published", {}, ("SEED+SEED-IV", "DEAP"))


def planned(pairs):
    return expand(read_request(None, {"methods": "lr", "pairs": pairs, "simulated": True}))


def test_sweeps_take_joined_sources():
    plan = planned("SEED-IV+SEED->DEAP")
    assert {c.pair for c in plan.cells} == {"SEED:3+SEED-IV:4→DEAP:valence"}
    starred = planned("SEED+SEED-IV->*")
    targets = {c.target for c in starred.cells}
    assert "DEAP:valence" in targets
    assert not {"SEED:3", "SEED-IV:4"} & targets
    with pytest.raises(SettingError, match="the target is among the sources, SEED"):
        planned("SEED+SEED-IV->SEED")


def test_reports_find_joined_sources():
    def wants(pair):
        return ReportOptions(pairs=(pair,)).wants_pair("SEED:3+SEED-IV:4", "DEAP:valence")

    assert wants("SEED+SEED-IV->DEAP")
    assert wants("SEED-IV+seed:3->*")
    assert wants("*->DEAP")
    assert not wants("SEED->DEAP")
    assert not wants("SEED+SEED-IV:3->DEAP")


def test_a_sweep_of_joined_sources_ends_well_and_repeats(tmp_path):
    """Fear is dropped, so what is attainable on SEED-IV is not known: skipped, and no failure."""
    from bench.sweeps.executor import Executor
    from bench.sweeps.repeat import description
    from bench.sweeps.run import sweep
    from bench.sweeps.sweep import SweepOptions

    state = sweep(
        options=SweepOptions(runs=tmp_path), methods="lr", pairs="SEED+DEAP->SEED-IV",
        protocols="zero-shot", simulated=True, scale="null", scaling="z-score",
        scaling_scope="source", recipe={"subjects": 2, "length": 0.03},
    )
    assert state.exit_code == 0
    record = next(r for r in Store(tmp_path).records() if r.identity["method"] == "lr")
    assert record.pair == "DEAP:valence+SEED:3→SEED-IV:4"
    assert record.classes == ["negative", "positive"]
    request, spec = description(record, None)
    assert Executor(request).blank(spec).id == record.id
