"""Names that a user gives classes: on both sides, in order, the rest dropped."""

from __future__ import annotations

import numpy as np
import pytest

from bench import Options
from bench.data.labels import OwnMap, mapping_for, shared_classes
from bench.data.reading import CorpusName, Reading, renamed
from bench.data.windows import Windows
from bench.errors import IncompatibleError, SettingError
from bench.runs.build import cell_of_run
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request


def windows(labels, corpus="A", pieces_s=0.0):
    y = np.repeat(np.arange(len(labels)), 6)
    return Windows.from_arrays(
        np.random.default_rng(0).normal(size=(len(y), 2, 5)), y, subject=1,
        trial=np.arange(len(y)) // 2 + 1, channels=["FP1", "FP2"], labels=labels, corpus=corpus,
        source="bench", pieces_s=pieces_s)


@pytest.mark.parametrize(("items", "corpus", "classes", "to"), [
    (["rest=relax", "task=work"], "A", ["rest", "task"], {"rest": "relax", "task": "work"}),
    (["rest=relax", "task=work"], "A", ["relax", "work", "x"], {"relax": "relax", "work": "work"}),
    (["a=one", "b=one", "c=two"], "A", ["a", "b", "c"], {"a": "one", "b": "one", "c": "two"}),
    (["B:a=one", "a=two", "b=one"], "b", ["a", "b"], {"a": "one", "b": "one"}),
    (["B:a=one", "a=two", "b=one"], "A", ["a", "b"], {"a": "two", "b": "one"}),
    (["low valence=bad", "high valence=good"], "A", ["low valence", "high valence"],
     {"low valence": "bad", "high valence": "good"}),
])
def test_what_becomes_of_each_class(items, corpus, classes, to):
    assert OwnMap.parse(items).of(corpus, classes) == to


@pytest.mark.parametrize(("items", "said"), [
    (["rest"], "is not of the form CLASS=NAME"), (["=x"], "not of the form"),
    (["a="], "not of the form"), ([":a=b"], "not of the form"), (["a=b=c"], "not of the form"),
    (["a=x", "a=y"], "gives 'a' two names"), (["a=x", "b=x"], "leaves one class, 'x'"),
])
def test_a_map_that_is_none_is_refused(items, said):
    with pytest.raises(SettingError, match=said):
        OwnMap.parse(items)


def test_windows_follow_the_map_in_its_order():
    before = windows(["rest", "task", "sleep"])
    after = OwnMap.parse(["task=work", "rest=relax"]).apply(before, "A:x")
    assert after.labels == ("work", "relax")
    assert [after.labels[k] for k in after.y] == ["relax"] * 6 + ["work"] * 6


def test_one_class_that_is_left_is_refused_with_a_map_to_start_from():
    with pytest.raises(IncompatibleError, match="only 'work' is left") as caught:
        OwnMap.parse(["task=work", "rest=relax"]).apply(windows(["task", "sleep"]), "A:x")
    assert "--map 'task=" in caught.value.hint


def test_the_digest_tells_names_and_order():
    reading = Reading(CorpusName("A", "x"), windows(["rest", "task"]), "digest", (), None)
    digests = {renamed(reading, items).digest for items in (
        [], ["rest=relax", "task=work"], ["task=work", "rest=relax"], ["rest=a", "task=b"])}
    assert len(digests) == 4


def test_no_class_in_common_names_the_command_that_mends_it():
    with pytest.raises(IncompatibleError, match="no label map") as caught:
        shared_classes(("Task", "Relax"), ("relax", "arithmetic"))
    assert "--map 'Task=arithmetic,Relax=relax'" in caught.value.hint
    assert mapping_for(["a", "b", "c"], ["x", "y"]) == "--map 'a=x,b=y'"


def test_a_run_with_own_windows_takes_it_and_says_so():
    a, b = windows(["rest", "task"], "A"), windows(["Relax", "Work"], "B")
    options = Options(map=["rest=Relax", "task=Work"], scale="null", features="bench")
    identity = cell_of_run("lda", a, b, options, lambda event: None).identity()
    assert identity["label_rule"]["map"] == ["rest=Relax", "task=Work"]
    plain = cell_of_run("source-only", a, b, Options(scale="null"), lambda event: None).identity()
    assert "map" not in plain["label_rule"]  # as records of before there was one
    with pytest.raises(SettingError, match="names 'rast', which is no class here"):
        cell_of_run("lda", a, b, Options(map=["rast=Relax", "task=Work"]), lambda event: None)


def test_a_sweep_takes_it_from_a_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text('methods = ["lda"]\npairs = ["SEED->DEAP"]\nsimulated = true\n'
                    'map = ["negative=low valence", "positive=high valence"]\n')
    plan = expand(read_request(path, {}))
    assert {c.classes for c in plan.cells} == {"own"}  # both sides have the same ones now
    path.write_text('methods = ["lda"]\npairs = ["SEED->DEAP"]\nsimulated = true\nmap = ["x=y"]\n')
    with pytest.raises(SettingError, match="map"):
        expand(read_request(path, {}))


def test_pieces_are_marked_in_digest_join_and_identity():
    a, b = windows(["rest", "task"], "A", pieces_s=20), windows(["rest", "task"], "B")
    assert a.digest() != windows(["rest", "task"], "A").digest()
    assert Windows.concatenate([b, a]).pieces == (("A", 20.0),)
    assert a.take([0, 1]).pieces == (("A", 20.0),)
    identity = cell_of_run("lda", a, b, Options(scale="null"), lambda event: None).identity()
    assert identity["source"]["pieces"] == {"A": 20.0}
    assert "pieces" not in identity["target"]
