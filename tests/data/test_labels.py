"""Label spaces: thresholds, dropped trials, and the named maps between corpora."""

import numpy as np
import pytest

from bench.data.labels import LabelRule, Task, apply_map, shared_classes
from bench.datasets.deap import Deap
from bench.datasets.seed import Seed
from bench.datasets.seed_iv import SeedIV
from bench.errors import BenchError, LabelValueError, SettingError

from support import synthetic

RATED = Task("valence", ("low", "high"), "valence")
CODED = Task("film", ("sad", "glad"), "film", codes={0: "sad", 1: "glad"}, dropped=frozenset({2}))
SEED = Seed.tasks[0].classes
DEAP_VALENCE, DEAP_AROUSAL = (t.classes for t in Deap.tasks)
SEED_IV = {t.name: t.classes for t in SeedIV.tasks}


@pytest.mark.parametrize(("rating", "label"), [(1, 0), (4.99, 0), (5, 0), (5.01, 1), (9, 1)])
def test_ratings_above_the_threshold_are_high(rating, label):
    assert RATED.label({"valence": rating}, LabelRule()) == label


@pytest.mark.parametrize(("rating", "label"), [(4.49, 0), (4.5, None), (5, None), (5.5, None),
                                               (5.51, 1)])
def test_a_middle_band_is_dropped_with_its_edges(rating, label):
    assert RATED.label({"valence": rating}, LabelRule(5.0, (4.5, 5.5))) == label


def test_the_threshold_is_a_parameter():
    assert RATED.label({"valence": 6}, LabelRule(6.0)) == 0
    assert RATED.label({"valence": 6}, LabelRule(5.5)) == 1


@pytest.mark.parametrize("rating", [0.99, 9.01, 12, -1, np.nan, np.inf])
def test_impossible_ratings_are_refused(rating):
    with pytest.raises(LabelValueError, match="a valence rating from 1 to 9") as caught:
        RATED.label({"valence": rating}, LabelRule())
    assert caught.value.found == f"{rating:g}"


def test_codes_are_classes_are_dropped_or_refused():
    assert [CODED.label({"film": v}, LabelRule()) for v in (0, 1, 2)] == [0, 1, None]
    with pytest.raises(LabelValueError, match="a label among 0, 1, 2, found 7"):
        CODED.label({"film": 7}, LabelRule())


@pytest.mark.parametrize(("threshold", "band"), [(0.5, None), (9.5, None), (5, (6, 4)),
                                                 (5, (0, 5)), (5, (5, 10))])
def test_impossible_rules_are_refused(threshold, band):
    with pytest.raises(SettingError, match="outside the scale|not an interval"):
        LabelRule(threshold, band).of("DEAP", RATED)


@pytest.mark.parametrize(("left", "right", "name", "classes"), [
    (SEED, SEED, "identity", SEED),
    (SEED, SEED_IV["3"], "identity", SEED),
    (SEED, SEED_IV["4"], "polarity-3", SEED),
    (SEED_IV["4"], SEED, "polarity-3", SEED),
    (SEED, DEAP_VALENCE, "polarity-2", ("negative", "positive")),
    (DEAP_VALENCE, SEED_IV["4"], "polarity-2", ("negative", "positive")),
])
def test_the_map_that_keeps_most_classes_is_found(left, right, name, classes):
    found, shared = shared_classes(left, right)
    assert (found.name, shared) == (name, classes)


def test_valence_and_arousal_have_no_map():
    with pytest.raises(BenchError, match="no label map relates the classes .*low arousal"):
        shared_classes(DEAP_VALENCE, DEAP_AROUSAL)


def test_a_map_renames_and_drops():
    windows = synthetic(1, [(i + 1, i, i, 3) for i in range(4)], labels=SEED_IV["4"])
    label_map, classes = shared_classes(SEED_IV["4"], SEED)
    mapped = apply_map(windows, label_map, classes)
    assert mapped.labels == SEED
    meant = {"neutral": "neutral", "sad": "negative", "happy": "positive"}
    assert len(mapped) == 9
    for trial, y in zip(mapped.trial.tolist(), mapped.y.tolist(), strict=True):
        assert SEED[y] == meant[SEED_IV["4"][trial - 1]]
    fear = SEED_IV["4"].index("fear") + 1
    assert fear not in mapped.trial
    assert (mapped.x == windows.x[windows.trial != fear]).all()


def test_seed_iv_says_what_fear_becomes():
    codes = {"fear": 2, "sad": 1, "neutral": 0, "happy": 3}
    for task, fear in (("3", None), ("3-fear-negative", "negative"), ("4", "fear")):
        found = next(t for t in SeedIV.tasks if t.name == task)
        label = found.label({"class": codes["fear"]}, LabelRule())
        assert (None if label is None else found.classes[label]) == fear
        happy = found.label({"class": codes["happy"]}, LabelRule())
        assert found.classes[happy] == ("happy" if task == "4" else "positive")


def test_the_default_task_of_deap_is_valence():
    assert Deap().task(None).name == "valence"
    assert Deap().task("AROUSAL").classes == DEAP_AROUSAL
