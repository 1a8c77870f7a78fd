"""A plan is what was asked for, each cell once; names are checked before anything is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from bench.errors import BenchError, SettingError, UnknownNameError
from bench.registry import include
from bench.sweeps.manifest import Memo, read_manifests, write_manifest
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request
from bench.sweeps.run import settled
from bench.sweeps.sweep import SweepOptions

from sweep_plugin import write_toy
from sweep_support import PLUGIN, sweep_of


@pytest.fixture(autouse=True)
def _included(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_included", [])
    monkeypatch.setattr(registry, "_tables", {})
    include(str(PLUGIN))
    yield
    registry._tables.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("plan"), ("TOYA", "TOYB", "TOYC"))


def plan_of(**values):
    return expand(read_request(None, {"methods": "toy", "pairs": "TOYA->TOYB", **values}))


def keys(plan) -> set[str]:
    return {c.key for c in plan.cells}


@pytest.mark.parametrize(("device", "options", "asked", "seeds"), [
    ("cpu", {}, {}, [0]),
    ("cuda", {}, {}, [0, 1, 2]),
    ("cuda", {}, {"seeds": 1}, [0]),
    ("cuda", {}, {"seeds": "auto"}, [0, 1, 2]),
    ("cuda", {"cluster": "tcp://127.0.0.1:1"}, {}, [0]),  # what it has is not known yet
])
def test_several_seeds_are_the_default_where_they_are_one_stack(
    monkeypatch, device, options, asked, seeds
):
    def found(text):
        assert text == "cpu" or not options  # a card of the cluster need not be here
        return [text]

    monkeypatch.setattr("bench.sweeps.run.devices", found)
    given = read_request(None, {"methods": "toy", "device": device, **asked})
    request = settled(given, SweepOptions(**options))
    assert request.numbers() == seeds
    assert request.as_json()["seeds"] == len(seeds)  # a manifest says how many they were


def test_a_plan_is_the_product_of_its_parts(data):
    plan = plan_of(methods="toy,toy-other", pairs="all", seeds=3, data=data, controls=False)
    assert len(plan.cells) == 2 * 6 * 3
    assert {(c.source, c.target) for c in plan.cells} == {
        (f"TOY{a}:valence", f"TOY{b}:valence") for a in "ABC" for b in "ABC" if a != b
    }


def test_the_order_in_which_a_plan_is_written_does_not_matter(data):
    one = plan_of(methods="toy,toy-other", seeds=[0, 3], pairs=["TOYA->TOYB", "TOYB->TOYA"])
    two = plan_of(methods="toy-other,toy", seeds=[3, 0], pairs=["TOYB->TOYA", "TOYA->TOYB"])
    assert one.cells == two.cells
    assert one.hash == two.hash
    assert plan_of(seeds=2).hash != plan_of(seeds=3).hash
    assert plan_of(scale="table").hash != plan_of(scale="null").hash


def test_controls_are_cells_and_planned_once():
    plan = plan_of(methods="toy,toy-other,majority", seeds=2)
    names = [c.method for c in plan.cells]
    assert names.count("majority") == 2
    assert not any(c.control for c in plan.cells if c.method == "majority")  # it was asked for
    assert [c.title for c in plan_of().cells if c.control] == ["majority", "target-only lr"]


def test_what_no_seed_decides_is_planned_once():
    def seeds(method, **values):
        return [c.seed for c in plan_of(seeds=[4, 2], **values).cells if c.method == method]

    assert seeds("majority") == [2]
    assert seeds("target-only") == [2, 4]
    drawn = {"few-shot": {"draw": "random"}}
    assert seeds("majority", protocol=drawn) == [2, 4]


def test_target_only_asked_for_and_as_a_control_is_one_cell():
    names = [c.title for c in plan_of(methods="scmm,target-only", pairs="SEED->DEAP").cells]
    assert sorted(names) == ["majority", "scmm", "target-only lr", "target-only network"]


def test_one_network_from_scratch_stands_beside_all_methods_that_have_it():
    """360 cells when each method had a control of its own."""
    corpora = ("SEED", "SEED-IV", "DEAP")
    pairs = [f"{a}->{b}" for a in corpora for b in corpora if a != b]
    plan = plan_of(methods="scmm,simclr,mae,source-only", pairs=pairs, seeds=6, simulated=True)
    assert len(plan.cells) == 6 * (4 * 6 + 2 * 6 + 2) <= 252
    scratch = [c for c in plan.cells if c.title == "target-only network"]
    assert len(scratch) == 6 * 6
    one = plan_of(methods="scmm,simclr", params={"simclr": {"fit_lr": 1e-3}}, pairs="SEED->DEAP")
    assert len([c for c in one.cells if c.title == "target-only network"]) == 2


def test_a_curve_is_one_plan():
    plan = plan_of(methods="lr", calibration=["60%", "1", "3", "3"], controls=False)
    found = {(c.protocol_params["calibration_trials"], c.protocol_params["share"],
              c.protocol_params["curve"]) for c in plan.cells}
    assert found == {(1, 0.6, "1,3,60%"), (3, 0.6, "1,3,60%"), (None, 0.6, "1,3,60%")}
    assert {c.setting for c in plan.cells} == {"few-shot 1", "few-shot 3", "few-shot 60%"}
    alone = plan_of(methods="lr", calibration=["2"], controls=False)
    assert alone.cells[0].protocol_params == {
        "calibration_trials": 2, "share": 0.6, "draw": "chronological", "curve": ""}


@pytest.mark.parametrize(("values", "words"), [
    ({"calibration": ["1", "x"]}, "'x' is no calibration size"),
    ({"calibration": ["1"], "protocols": "zero-shot"}, "--calibration concerns few-shot"),
    ({"calibration": ["1"], "protocol": {"few-shot": {"share": 0.5}}}, "exclude each other"),
    ({"calibration": ["1", "2"], "selection": "calibration-val"}, "--selection last"),
])
def test_a_curve_that_cannot_be_is_refused(values, words):
    with pytest.raises(BenchError) as caught:
        plan_of(methods="lr", **values)
    assert words in str(caught.value)


def test_controls_are_run_in_the_classes_of_their_method():
    """Only where the target would have classes of its own."""
    plan = plan_of(methods="lr,scmm", pairs="SEED->DEAP", protocols="few-shot,zero-shot",
                   simulated=True)
    found = {(c.title, c.protocol, c.classes) for c in plan.cells}
    for control in ("majority", "attainable", "target-only lr"):
        assert {(control, "few-shot", "own"), (control, "few-shot", "shared")} <= found
        assert (control, "zero-shot", "shared") not in found
    assert ("target-only network", "few-shot", "shared") not in found
    assert {("lr", "few-shot", "shared"), ("scmm", "few-shot", "own")} <= found


def test_all_methods_in_the_same_classes():
    def classes(**values):
        return {c.classes for c in plan_of(methods="lr,scmm", **values).cells}

    assert classes(pairs="SEED->DEAP", classes="shared") == {"shared"}
    assert classes(pairs="SEED->DEAP", classes="own") == {"own"}
    assert classes(classes="shared") == {"own"}  # they are the same
    plan = plan_of(methods="lr,scmm")
    assert [c.title for c in plan.cells].count("target-only lr") == 1


def test_a_shuffled_source_is_a_control_of_methods_that_learn_its_labels():
    plan = plan_of(methods="lr,scmm,source-only", pairs="SEED->DEAP", shuffled_source=True)
    found = [c for c in plan.cells if c.method == "shuffled"]
    assert {c.title for c in found} == {"shuffled lr", "shuffled source-only"}
    assert {c.params["shuffle"] for c in found} == {"source"}
    assert {c.title: c.classes for c in found}["shuffled lr"] == "shared"


def test_a_list_of_tables_is_a_list_of_variants():
    plan = plan_of(params={"toy": [{"noise": 0.2}, {"noise": 0.3}]}, controls=False)
    assert sorted(c.params["noise"] for c in plan.cells) == [0.2, 0.3]
    assert {c.origin for c in plan.cells} == {"set"}


def test_stars_and_tasks(data):
    plan = plan_of(pairs="*->TOYB", data=data, controls=False)
    assert {c.source for c in plan.cells} == {"TOYA:valence", "TOYC:valence"}
    plan = plan_of(methods="majority", pairs="SEED->DEAP:arousal", controls=False)
    assert plan.cells[0].target == "DEAP:arousal"


@pytest.mark.parametrize(("values", "kind", "words"), [
    ({"seedz": 1}, SettingError, ("'seedz'", "'seeds'")),
    ({"methods": "toyy"}, UnknownNameError, ("toyy", "'toy'")),
    ({"pairs": "TOYA->TOYD"}, UnknownNameError, ("TOYD",)),
    ({"pairs": "TOYA"}, SettingError, ("no pair",)),
    ({"pairs": "TOYA->TOYA"}, SettingError, ("two different corpora",)),
    ({"protocols": "fewshot"}, UnknownNameError, ("few-shot",)),
    ({"params": {"toy": {"nose": 1}}}, SettingError, ("'nose'", "'noise'")),
    ({"params": {"toy": {"noise": -1}}}, SettingError, ("noise = -1",)),
    ({"params": {"toy-other": {"noise": 1}}}, SettingError, ("concerns nothing",)),
    ({"protocol": {"few-shot": {"trials": 1}}}, SettingError, ("few-shot: trials",)),
    ({"seeds": 0}, SettingError, ("at least one",)),
    ({"seeds": [-1]}, SettingError, ("none below 0",)),
    ({"scale": "tiny"}, UnknownNameError, ("tiny", "table")),
    ({"scaling": "minmax"}, UnknownNameError, ("min-max",)),
    ({"sessions": "second"}, SettingError, ("sessions = 'second'",)),
    ({"recipe": {"subjects": 2}}, SettingError, ("--simulated",)),
    ({"recipe": {"subject": 2}, "simulated": True}, SettingError, ("recipe: subject",)),
    ({"exclude": {"TOYX": [1]}}, UnknownNameError, ("TOYX",)),
])
def test_what_is_wrong_is_named_before_anything_is_read(tmp_path, values, kind, words):
    with pytest.raises(kind) as caught:
        sweep_of(tmp_path / "nowhere", tmp_path, **{"simulated": False, **values})\
            if "simulated" not in values else plan_of(**values)
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_and_flags_over_it(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text('methods = ["toy", "toy-other"]\npairs = ["TOYA->TOYB"]\nseeds = 5\n'
                    "[params.toy]\nnoise = 0.5\n[protocol.few-shot]\ncalibration_trials = 1\n")
    plan = expand(read_request(path, {"seeds": 2, "pairs": None}))
    assert sorted({c.seed for c in plan.cells}) == [0, 1]
    assert {c.protocol_params["calibration_trials"] for c in plan.cells} == {1}
    assert {c.params["noise"] for c in plan.cells if c.method == "toy"} == {0.5}


@pytest.mark.parametrize(("text", "word"), [("methods = [", "no TOML file"),
                                            ("method = ['toy']", "key 'method'\nDid you mean 'm"),
                                            ("seeds = 2", "no methods")])
def test_a_file_that_is_none(tmp_path, text, word):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=word):
        read_request(path, {})
    with pytest.raises(SettingError, match="is not there"):
        read_request(tmp_path / "none.toml", {})


@pytest.mark.parametrize(("values", "message", "hint"), [
    ({"tune": {"trial": 20}}, "bench sweep has no key 'tune.trial'",
     "Did you mean 'tune.trials'? Keys of tune: trials, rule, storage, together"),
    ({"cluster": {"job": 2}}, "bench sweep has no key 'cluster.job'",
     "Did you mean 'cluster.jobs'? Keys of cluster: kind, jobs, "),
    ({"scale": 3, "seedz": 1}, "bench sweep has no key 'seedz'", "Did you mean 'seeds'? Keys: "),
    ({"tune": {"trials": 0}}, "tune.trials = 0: ", "tune.trials: trials of each method"),
    ({"cluster": {"kind": "pbs"}}, "cluster.kind = 'pbs': ", "cluster.kind: batch system"),
    ({"cluster": {"directives": [1]}}, "cluster.directives.0 = 1: ", "cluster.directives: more"),
    ({"params": {"noise": 0.2}}, "params.noise = 0.2: ", "params: Parameter of a method"),
    ({"params": {"toy": [{}, 3]}}, "params.toy", "params: Parameter of a method"),
    ({"seeds": "five"}, "seeds = 'five': ", "seeds: How many"),
    ({"seeds": [0, "x"]}, "seeds = [0, 'x']: ", "seeds: How many"),
    ({"exclude": {"TOYA": ["x"]}}, "exclude.TOYA.0 = 'x': ", "exclude: Leave subjects out"),
])
def test_a_wrong_key_or_value_is_named_as_it_is_written(values, message, hint):
    with pytest.raises(SettingError) as caught:
        read_request(None, {"methods": "toy", **values})
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)
    assert not any(part in caught.value.message for part in ("dict[", "list[", ".int"))


@pytest.mark.parametrize("pairs", ["all", "*->TOYA"])
def test_pairs_without_corpora_say_what_was_looked_for(tmp_path, pairs):
    with pytest.raises(SettingError, match=r"nowhere, does not exist"):
        plan_of(pairs=pairs, data=tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"file, is no folder"):
        plan_of(pairs=pairs, data=tmp_path / "file")
    with pytest.raises(SettingError, match=r"no corpus was found in .*\nLooked for .*TOYA, TOYB"):
        plan_of(pairs=pairs, data=tmp_path)
    write_toy(tmp_path, ("TOYA",))
    with pytest.raises(SettingError, match=r"only TOYA was found in "):
        plan_of(pairs=pairs, data=tmp_path)


def test_the_manifest_is_the_plan(tmp_path):
    plan = plan_of(seeds=2)
    path = write_manifest(tmp_path, plan, {})
    body = json.loads(path.read_text())
    assert path.name == f"plan-{plan.hash}.json"
    assert [c["key"] for c in body["cells"]] == [c.key for c in plan.cells]
    (tmp_path / "plan-torn.json").write_text('{"schema": 1, "cel')
    assert [b["plan"] for b in read_manifests(tmp_path)] == [plan.hash]


def test_a_torn_memo_is_no_memo(tmp_path):
    (tmp_path / "sweep-memo.json").write_text('{"methods": {')
    memo = Memo(tmp_path)
    request = read_request(None, {"methods": "toy", "pairs": "TOYA->TOYB"})
    assert expand(request, memo.resolve) == expand(request)
    memo.save()
    again = Memo(tmp_path)
    assert expand(request, again.resolve) == expand(request)
