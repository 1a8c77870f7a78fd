"""`bench.run` from Python: a method, its controls, and everything that is refused beforehand."""

from dataclasses import replace

import numpy as np
import pytest

import bench
from bench import Options, registry
from bench.data.locations import corpus_folders, set_corpus_folder
from bench.data.recipe import Recipe
from bench.errors import BenchError, MissingCorpusError, SettingError, UnknownNameError
from bench.runs.lookup import resolve_scale
from bench.store.records import Store

from support import Means, in_order, paired, synthetic, write_toy

SMALL = {"epochs": 1, "fit_epochs": 2}


@pytest.fixture
def options(tmp_path):
    return Options(runs=tmp_path / "runs", params=SMALL)


@pytest.fixture
def counted(clean_registry, monkeypatch):
    registry.include("support")
    monkeypatch.setattr(Means, "pretrained", 0)
    monkeypatch.setattr(Means, "fitted", 0)
    return Means


@pytest.fixture
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config" / "corpora.json"))


A, B = synthetic(corpus="A", seed=1), synthetic(corpus="B", seed=2)


def test_controls_are_run_in_the_classes_of_their_method(options):
    """A shallow method learns what both corpora have; so is its majority."""
    a = synthetic(corpus="A", seed=1, labels=("negative", "positive"))
    b = synthetic(corpus="B", seed=2, labels=("negative", "neutral", "positive"),
                trials=in_order([0, 1, 2] * 4))
    record = bench.run("lr", a, b, options, params={})
    plain, majority = record.controls
    assert plain.identity["label_map"] == record.identity["label_map"]
    assert plain.identity["params"]["network"] == "lr"
    assert majority.identity["label_map"] == record.identity["label_map"] is not None
    assert majority.classes == record.classes == ["negative", "positive"]
    for mine, theirs in zip(record.folds, majority.folds, strict=True):
        assert mine["test_trials"] == theirs["test_trials"]
    again = bench.run("majority", a, b, options, params={})
    assert again.classes == ["negative", "neutral", "positive"]
    assert again.id != majority.id


def test_a_run_brings_its_controls(options):
    events = []
    record = bench.run("scmm", A, B, options, events.append)
    assert [r.identity["method"] for r in (record, *record.controls)] == [
        "scmm", "target-only", "target-only", "majority"]
    assert [r.kind for r in record.controls] == ["method", "control", "control"]
    assert len(list(Store(options.runs).records())) == 4
    for control in record.controls:  # on the same folds
        for mine, theirs in zip(record.folds, control.folds, strict=True):
            assert mine["calibration_trials"] == theirs["calibration_trials"]
            assert mine["test_trials"] == theirs["test_trials"]
            assert mine["majority"] == theirs["majority"]
    plain, scratch = (r.identity["params"] for r in record.controls[:2])
    assert plain == {"network": "lr", "C": "auto", "max_iter": 1000}
    assert scratch == {"network": "network", "backbone": "cnn", "beta2": 0.99, "weights": "none",
                       "finetune": "full", "fit_layers": 1, "fit_rank": 4, "fit_decay": 1.0,
                       "fit_epochs": 2, "fit_steps": 100, "fit_batch": 128, "fit_lr": 5e-4,
                       "fit_weight_decay": 3e-4, "fit_schedule": "cosine", "fit_average": 0.4,
                       "fit_settle": True}
    assert {e.stage for e in events if e.total} == {
        "pre-training scmm", "calibrating scmm", "calibrating target-only"}


def test_the_majority_is_that_of_the_calibration(options):
    target = synthetic(2, [(i + 1, int(i % 3 == 0), i, 4) for i in range(12)], corpus="B")
    record = bench.run("majority", A, target, options, params={})
    table = record.predictions()
    assert np.unique(table[["p0", "p1"]].to_numpy(), axis=0).tolist() == [
        pytest.approx([5 / 8, 3 / 8])]
    assert record.controls == []


def test_without_controls(options):
    assert bench.run("scmm", A, B, options, controls=False).controls == []


def test_a_rerun_computes_nothing(options, counted):
    first = bench.run("means", A, B, options, params={})
    assert (counted.fitted, counted.pretrained) == (3, 1)
    second = bench.run("means", A, B, options, params={})
    assert (counted.fitted, counted.pretrained) == (3, 1)
    assert (second.id, second.folds) == (first.id, first.folds)
    assert second.controls[0].id == first.controls[0].id


def test_targets_share_the_pretraining(options, counted):
    bench.run("means", A, B, options, params={})
    other = bench.run("means", A, synthetic(corpus="C", seed=3), options, params={})
    assert counted.pretrained == 1
    assert other.info["pretraining_reused"] is True


def test_seeds(options, tmp_path):
    tables = {}
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        record = bench.run("scmm", A, B, options, seed=seed, runs=tmp_path / place)
        tables[place] = [r.predictions() for r in (record, record.controls[1])]
    for k in (0, 1):
        assert tables["a"][k].equals(tables["b"][k])
        assert not tables["a"][k].equals(tables["c"][k])


@pytest.fixture(scope="module")
def simulated(tiny_root, tmp_path_factory):
    """All ordered pairs on the tiny root."""
    runs = tmp_path_factory.mktemp("pairs")
    names = ("SEED", "SEED-IV", "DEAP")
    return {
        (a, b): bench.run("scmm", a, b, data=tiny_root, runs=runs, params=SMALL,
                          controls=False)
        for a in names for b in names if a != b
    }


def test_every_ordered_pair_runs(simulated):
    assert len(simulated) == 6
    classes = {"SEED": 3, "SEED-IV": 4, "DEAP": 2}
    for (a, b), record in simulated.items():
        assert record.pair.startswith(a)
        assert len(record.classes) == classes[b]
        assert len(record.folds) + len(record.left_out) == 3
        assert record.simulated["subjects"] == 3
        assert record.identity["scale"] == "demo"
        assert len(record.identity["features"]["channels"]) == (32 if "DEAP" in (a, b) else 62)


def test_seed_is_cut_into_nine_and_six(simulated):
    for fold in simulated["DEAP", "SEED"].folds:
        assert fold["calibration_trials"] == list(range(1, 10))
        assert fold["test_trials"] == list(range(10, 16))


def test_pairs_with_equal_views_of_the_source_share_a_state(simulated):
    """SEED at 62 and at 32 channels are two views; SEED-IV reaches SEED at 62."""
    state = {pair: r.info["pretrained"] for pair, r in simulated.items()}
    assert len(set(state.values())) == 5
    assert state["DEAP", "SEED"] == state["DEAP", "SEED-IV"]
    assert state["SEED", "DEAP"] != state["SEED", "SEED-IV"]


def test_a_task_is_part_of_the_name(tiny_root, options, simulated):
    record = bench.run("majority", "seed", "deap:AROUSAL", options, data=tiny_root, params={},
                       controls=False)
    assert record.pair == "SEED:3→DEAP:arousal"
    assert record.classes == ["low arousal", "high arousal"]


def test_excluded_subjects_are_in_nobodys_part(tiny_root, options):
    record = bench.run("majority", "SEED", "DEAP", options, data=tiny_root, params={},
                       exclude={"deap": frozenset({2})})
    assert [f["subject"] for f in record.folds] == [1, 3]
    assert record.identity["target"]["subjects"] == [1, 3]
    assert record.identity["source"]["subjects"] == [1, 2, 3]
    assert "DEAP: subjects 2 excluded" in record.notices


def test_a_simulated_root_in_the_cache_gives_the_same_numbers(tiny_root, options):
    """`--data` on a folder of the same recipe equals `--simulated`."""
    recipe = {"subjects": 3, "length": 0.05}
    there = bench.run("scmm", "SEED", "DEAP", options, data=tiny_root)
    folder = options.runs.parent / "other"
    here = bench.run("scmm", "SEED", "DEAP", options, simulated=True, recipe=recipe, runs=folder)
    assert here.id == there.id
    assert here.simulated == there.simulated
    assert here.predictions().equals(there.predictions())
    assert here.controls[0].predictions().equals(there.controls[0].predictions())


def test_remembered_folders_are_used(own_settings, tiny_root, options):
    with pytest.raises(MissingCorpusError, match="no folder is known for SEED") as caught:
        bench.run("majority", "SEED", "DEAP", options, params={})
    for word in ("--data DIR", "bench data set SEED=DIR", "--simulated", "Preprocessed_EEG"):
        assert word in caught.value.hint
    for name in ("SEED", "DEAP"):
        set_corpus_folder(name, tiny_root / name)
    assert corpus_folders() == {n: (tiny_root / n).resolve() for n in ("SEED", "DEAP")}
    record = bench.run("majority", "SEED", "DEAP", options, params={}, controls=False)
    assert record.status == "done"


def test_presets_are_marked(options, tiny_root):
    record = bench.run("scmm", "SEED", "DEAP", options, data=tiny_root, preset="published",
                       controls=False)
    assert record.identity["params_origin"] == "published (selection unknown) + set"
    assert record.identity["params"]["temperature"] == 0.05
    assert record.identity["params"]["fit_epochs"] == 2
    with pytest.raises(SettingError, match="no published parameters are known of scmm for DEAP→S"):
        bench.run("scmm", "DEAP", "SEED-IV", options, data=tiny_root, preset="published")
    with pytest.raises(SettingError, match="scmm has no parameter set 'best'") as caught:
        bench.run("scmm", A, B, options, preset="best")
    assert caught.value.hint == "It has: default, tuned, published"


@pytest.mark.parametrize(("params", "origin"), [({}, "default"), ({"fit_epochs": 1}, "set")])
def test_the_record_says_where_parameters_come_from(options, params, origin):
    record = bench.run("target-only", A, B, options, params=params, controls=False, scale="null")
    assert record.identity["params_origin"] == origin


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"scaling": "minmax"}, UnknownNameError, "no scaling named 'minmax'"),
    ({"scale": "dem"}, UnknownNameError, "no scale named 'dem'"),
    ({"protocol": "fewshot"}, UnknownNameError, "no protocol named 'fewshot'"),
    ({"protocol_params": {"trials": 3}}, SettingError, "protocol few-shot: trials = 3"),
    ({"protocol_params": {"calibration_trials": 0}}, SettingError, "calibration_trials = 0"),
    ({"params": {"epoch": 3}}, SettingError, "scmm has no parameter 'epoch'"),
    ({"seed": -1}, SettingError, "seed -1 is not a whole number from 0"),
    ({"device": "abacus"}, SettingError, "device 'abacus' cannot be used"),
    ({"recipe": {"subjects": 3}}, SettingError, "a recipe only concerns simulated corpora"),
    ({"exclude": {"SEDE": frozenset({1})}}, UnknownNameError, "no corpus named 'SEDE'"),
    ({"simulated": True, "recipe": {"subject": 3}}, SettingError, "recipe: subject = 3"),
    ({"simulated": True, "recipe": {"length": 3}}, SettingError, "recipe: length = 3"),
])
def test_wrong_settings_run_nothing(options, changes, error, message):
    with pytest.raises(error, match=message):
        bench.run("scmm", "SEED", "DEAP", options, **changes)
    assert not options.runs.exists()


@pytest.mark.parametrize(("method", "src", "tgt", "message"), [
    ("scmn", "SEED", "DEAP", "no method named 'scmn'"),
    ("scmm", "SEDE", "DEAP", "no corpus named 'SEDE'"),
    ("scmm", "SEED", "DEAP:valenz", "no task of DEAP named 'valenz'"),
    ("scmm", "SEED", "seed", "source and target are the same corpus, SEED"),
    ("scmm", "SEED-IV:3", "SEED-IV:4", "source and target are the same corpus, SEED-IV"),
    ("scmm", A, A, "source and target are the same corpus, A"),
])
def test_wrong_names_run_nothing(options, method, src, tgt, message):
    with pytest.raises(BenchError, match=message):
        bench.run(method, src, tgt, options, simulated=not isinstance(src, bench.Windows))
    assert not options.runs.exists()


def test_simulated_and_data_exclude_each_other(options, tiny_root):
    with pytest.raises(SettingError, match="--simulated and --data exclude each other"):
        bench.run("scmm", "SEED", "DEAP", options, simulated=True, data=tiny_root)


def test_a_failing_method_stores_no_record(options, counted, monkeypatch):
    def fail(self, view, state, ctx):
        raise BenchError("no")

    monkeypatch.setattr(Means, "fit", fail)
    with pytest.raises(BenchError, match="no"):
        bench.run("means", A, B, options, params={})
    assert list(Store(options.runs).records()) == []


def test_a_strangers_corpus_is_a_target(options, counted, own_settings, tiny_root, tmp_path):
    set_corpus_folder("SEED", tiny_root)
    set_corpus_folder("TOY", write_toy(tmp_path / "data", trials=10))
    record = bench.run("means", "SEED", "TOY", options, params={})
    assert record.pair == "SEED:3→TOY:valence"
    assert record.identity["features"]["channels"] == ["FP1", "FZ", "T7", "OZ"]
    assert [f["subject"] for f in record.folds] == [1, 2, 10]


def test_own_features_do_not_meet_computed_ones(options, counted, tmp_path):
    root = write_toy(tmp_path / "data", trials=10)
    with pytest.raises(BenchError, match="differ in origin of features: own against bench"):
        bench.run("majority", synthetic(channels=("FP1", "FZ")), "TOY", options, data=root,
                  params={})


def test_the_scale_follows_the_data():
    pair = paired()
    assert resolve_scale(Options(), pair) == "published"
    assert resolve_scale(Options(scale="table"), pair) == "table"
    simulated = replace(pair, recipes=(None, Recipe()))
    assert resolve_scale(Options(), simulated) == "demo"


def test_names_of_the_package_are_lazy():
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        _ = bench.sweeep
