"""Shallow methods give what scikit-learn gives on the same arrays."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from sklearn import config_context, get_config
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import has_fit_parameter

from bench.cells.cell import Cell
from bench.cells.contract import restrict_views
from bench.cells.engine import run_cell
from bench.errors import BenchError, IncompatibleError, SettingError, UnknownNameError
from bench.method import Context, Job
from bench.methods.shared.shallow import ShallowPredictor, flat, probabilities, seed_of
from bench.protocols.few_shot import FewShot
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.store.records import Store

from support import in_order, paired, synthetic

PROTOCOLS = {"few-shot": FewShot(), "zero-shot": ZeroShot(), "within": Within(),
             "unsupervised": Unsupervised()}
CTX = Context({"seed": 0, "subject": 1, "session": 1})


def make(name, **params):
    cls = load("methods", name)
    return cls(cls.parse(params))


def views(method, protocol, pair=None):
    cell = Cell(method, "set", pair or paired(), PROTOCOLS[protocol])
    folds = restrict_views(cell.scaling.folds(cell.folds().folds),
                   method.needs_under(cell.protocol.grants))
    return [f.view for f in folds], [f.open_test() for f in folds]


def softmax(d):
    if d.ndim == 1:
        d = np.stack([np.zeros_like(d), d], axis=1)
    p = np.exp(d - d.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


OURS = {
    "lr": lambda seed: LogisticRegression(C=0.5, max_iter=1000),
    "svm": lambda seed: LinearSVC(C=0.5, max_iter=2000, random_state=seed),
    "lda": lambda seed: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "rf": lambda seed: RandomForestClassifier(10, random_state=seed),
    "sklearn:sklearn.svm.SVC": lambda seed: SVC(C=0.5, random_state=seed),
    "sklearn": lambda seed: KNeighborsClassifier(3),
}
PARAMS = {"lr": {"C": 0.5}, "svm": {"C": 0.5}, "lda": {}, "rf": {"trees": 10},
          "sklearn:sklearn.svm.SVC": {"C": "0.5"}, "sklearn": {"n_neighbors": "3"}}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("protocol", ["few-shot", "zero-shot", "within"])
@pytest.mark.parametrize("classes", [2, 3])
def test_equals_scikit_learn(name, protocol, classes):
    labels = [f"c{k}" for k in range(classes)]
    trials = in_order(list(range(classes)) * 4)
    pair = paired(synthetic(2, trials, corpus="A", labels=labels),
                  synthetic(2, trials, corpus="B", labels=labels, seed=1))
    method = make(name, **PARAMS[name])
    view, test = (found[0] for found in views(method, protocol, pair))
    assert (view.calibration is not None) == (protocol == "few-shot")
    x, y = view.source.x, view.source.y
    if view.calibration is not None:
        x, y = np.concatenate([x, view.calibration.x]), np.concatenate([y, view.calibration.y])
    ctx = CTX if protocol == "few-shot" else CTX.shared("shallow")
    weighed, model = {}, OURS[name](seed_of(ctx))
    if view.calibration is not None:  # half of the weight is the source's
        if not has_fit_parameter(model, "sample_weight"):
            pytest.skip("windows are repeated by draws: see test_target_only.py")
        source, own = len(view.source), len(view.calibration)
        weighed["sample_weight"] = np.r_[np.full(source, own / source), np.ones(own)]
    model.fit(x.astype(float).reshape(len(x), -1), y, **weighed)
    rows = test.x.astype(float).reshape(len(test), -1)
    expected = (model.predict_proba(rows) if hasattr(model, "predict_proba")
                else softmax(model.decision_function(rows)))
    found = method.fit(view, None, CTX).predict_proba(test.x)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_columns_keep_their_order_when_a_class_is_missing():
    x = np.repeat(np.arange(3.0), 4)[:, None, None].astype(np.float32)
    y = np.repeat([0, 3, 1], 4)
    model = LogisticRegression().fit(flat(x), y)
    found = ShallowPredictor(model, 5).predict_proba(x)
    assert found.shape == (12, 5)
    np.testing.assert_array_equal(found[:, [2, 4]], 0)
    np.testing.assert_allclose(found[:, [0, 1, 3]], model.predict_proba(flat(x)))


def test_one_class_is_always_predicted():
    method = make("lr")
    view = views(method, "zero-shot")[0][0]
    alone = view.source.take(view.source.y == 1)
    found = method.fit(type(view)(alone, None, None, view.classes), None, CTX)
    np.testing.assert_array_equal(found.predict_proba(alone.x), [[0.0, 1.0]] * len(alone))


def test_without_probabilities_or_decisions_the_prediction_counts():
    class Threshold:
        classes_ = np.array([0, 2])

        def predict(self, x):
            return np.where(x[:, 0] > 0, 2, 0)

    np.testing.assert_array_equal(probabilities(Threshold(), np.array([[1.0], [-1.0]])),
                                  [[0, 1], [1, 0]])


def test_one_against_one_is_refused():
    x = np.random.default_rng(0).normal(size=(16, 3))
    model = SVC(decision_function_shape="ovo").fit(x, np.arange(16) % 4)
    if hasattr(model, "predict_proba"):
        pytest.skip("this scikit-learn gives SVC probabilities")
    with pytest.raises(IncompatibleError, match="6 decisions for 4 classes"):
        probabilities(model, x)


def test_folds_without_calibration_share_a_fit():
    method = make("rf", trees=3)
    jobs = [Job(v, None, CTX) for v in views(method, "zero-shot")[0]]
    assert len({id(p) for p in method.fit_many(jobs)}) == 1
    jobs = [Job(v, None, CTX) for v in views(method, "few-shot")[0]]
    assert len({id(p) for p in method.fit_many(jobs)}) == len(jobs)


def test_few_shot_is_run_in_the_classes_both_share(tmp_path):
    pair = paired(
        synthetic(2, in_order([0, 1, 2] * 3), corpus="A",
                labels=("negative", "neutral", "positive")),
        synthetic(2, in_order([0, 1] * 3), corpus="B", labels=("low valence", "high valence")),
    )
    expected = {"few-shot": ["negative", "positive"], "zero-shot": ["negative", "positive"],
                "within": ["low valence", "high valence"],
                "unsupervised": ["negative", "positive"]}
    for protocol, classes in expected.items():
        cell = Cell(make("lr"), "default", pair, PROTOCOLS[protocol])
        assert run_cell(cell, Store(tmp_path)).classes == classes


def test_sklearn_by_name():
    cls = load("methods", "sklearn:sklearn.svm.SVC")
    method = cls(cls.parse({"C": "2", "kernel": "linear"}))
    assert method.name == "sklearn:sklearn.svm.SVC"
    found = method.estimator(7)
    assert (found.C, found.kernel, found.random_state) == (2, "linear", 7)
    assert cls(cls.parse({"random_state": "3"})).estimator(7).random_state == 3
    again = pickle.loads(pickle.dumps(method))
    assert (again.name, again.params.model_dump()) == (method.name, method.params.model_dump())
    assert cls(None).estimator(0).C == 1.0  # without parsing, too


@pytest.mark.parametrize(("name", "message"), [
    ("sklearn:sklearn.linear_model.Ridge", "sklearn.linear_model.Ridge is not a scikit-learn cl"),
    ("sklearn:os.system", "os.system is not a scikit-learn classifier"),
    ("sklearn:SVC", "'SVC' cannot be imported"),
    ("sklearn:", "'' cannot be imported"),
    ("sklearn:no.such.Thing", "'no.such.Thing' cannot be imported: No module named 'no'"),
    ("sklearn:sklearn.svm.NoSuch", "'sklearn.svm.NoSuch' cannot be imported"),
])
def test_what_is_no_classifier_is_refused(name, message):
    with pytest.raises(SettingError, match=message):
        load("methods", name)


def test_names_with_a_colon_that_are_no_family():
    with pytest.raises(UnknownNameError, match="no method named 'scmm:x'"):
        load("methods", "scmm:x")
    with pytest.raises(UnknownNameError, match="no method named 'skl:x'"):
        load("methods", "skl:x")


def test_bad_parameters_of_a_classifier():
    cls = load("methods", "sklearn:sklearn.svm.SVC")
    with pytest.raises(SettingError, match="has no parameter 'D'"):
        cls.parse({"D": "1"})
    with pytest.raises(SettingError, match="is another"):
        cls.parse({"estimator": "sklearn.svm.LinearSVC"})
    with pytest.raises(SettingError, match="cannot be made from names and numbers"):
        load("methods", "sklearn:sklearn.multiclass.OneVsRestClassifier").parse({})
    method = cls(cls.parse({"C": "-1"}))
    with pytest.raises(BenchError, match="'C' parameter"):
        method.fit(views(method, "zero-shot")[0][0], None, CTX)


def domains(source, target):
    return np.repeat([1, -2], [len(source), len(target)])


def pipeline(adapter, xs, ys, xt):
    """skada's own pipeline on the same arrays."""
    from skada import make_da_pipeline

    model = make_da_pipeline(adapter, LogisticRegression(max_iter=1000))
    return model.fit(np.concatenate([xs, xt]), np.concatenate([ys, np.full(len(xt), -1)]),
                     sample_domain=domains(xs, xt))


def adapters():
    import skada

    return {
        "coral": (skada.CORALAdapter(), {}),
        "sa": (skada.SubspaceAlignmentAdapter(4, random_state=0), {"components": 4}),
        "tca": (skada.TransferComponentAnalysisAdapter(n_components=6, mu=0.2),
                {"components": 6, "mu": 0.2}),
        "otda": (skada.OTMappingAdapter(), {}),
        "entropic": (skada.EntropicOTMappingAdapter(reg_e=0.1, norm="max"), {"entropy": 0.1}),
    }


@pytest.mark.parametrize("name", ["coral", "sa", "tca", "otda", "entropic"])
@config_context(enable_metadata_routing=True)
def test_equals_skada(name):
    adapter, params = adapters()[name]
    method = make("otda" if name == "entropic" else name, **params)
    view, test = (found[0] for found in views(method, "unsupervised"))
    xs, xt, rows = flat(view.source.x), flat(view.unlabelled.x), flat(test.x)
    expected = pipeline(adapter, xs, view.source.y, xt).predict_proba(
        rows, sample_domain=np.full(len(rows), -2))
    found = method.fit(view, None, CTX).predict_proba(test.x)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_jdot_equals_skada():
    from skada import JDOTClassifier

    method = make("jdot", rounds=5, alpha=0.3)
    view, test = (found[0] for found in views(method, "unsupervised"))
    xs, xt = flat(view.source.x), flat(view.unlabelled.x)
    model = JDOTClassifier(LogisticRegression(max_iter=1000), alpha=0.3, n_iter_max=5)
    model.fit(np.concatenate([xs, xt]), np.concatenate([view.source.y, np.full(len(xt), -1)]),
              sample_domain=domains(xs, xt))
    np.testing.assert_allclose(method.fit(view, None, CTX).predict_proba(test.x),
                               model.predict_proba(flat(test.x)), atol=1e-8)


@pytest.mark.parametrize("name", ["coral", "sa", "tca", "otda", "jdot"])
def test_settings_of_scikit_learn_stay(name, monkeypatch):
    """The import of skada makes one, which another method of the process would be routed by."""
    for module in [m for m in sys.modules if m.partition(".")[0] == "skada"]:
        monkeypatch.delitem(sys.modules, module)
    method = make(name)
    with config_context(enable_metadata_routing=False):
        method.fit(views(method, "unsupervised")[0][0], None, CTX)
        assert "skada" in sys.modules
        assert not get_config()["enable_metadata_routing"]


@pytest.mark.parametrize("name", ["coral", "sa", "tca", "otda"])
def test_calibration_joins_the_adapted_source(name):
    adapter, params = adapters()[name]
    method = make(name, C=1.0, **params)
    view, test = (found[0] for found in views(method, "few-shot"))
    xs, xt, y = flat(view.source.x), flat(view.calibration.x), view.source.y
    adapted = adapter.fit_transform(
        np.concatenate([xs, xt]), np.concatenate([y, np.full(len(xt), -1)]),
        sample_domain=domains(xs, xt))
    weights = np.r_[np.full(len(xs), len(xt) / len(xs)), np.ones(len(xt))]
    model = LogisticRegression(max_iter=1000).fit(
        adapted, np.r_[y, view.calibration.y], sample_weight=weights)
    rows = adapter.transform(flat(test.x), sample_domain=np.full(len(test), -2))
    np.testing.assert_allclose(method.fit(view, None, CTX).predict_proba(test.x),
                               model.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("name", ["tca", "otda", "jdot"])
def test_the_number_of_windows_is_capped(name):
    method = make(name, windows=10)
    view = views(method, "unsupervised")[0][0]
    source, y, target = method.drawn(view, CTX)
    assert (len(source), len(y), len(target)) == (10, 10, 10)
    np.testing.assert_array_equal(source, method.drawn(view, CTX)[0])
    assert np.isin(target[:, 0], flat(view.unlabelled.x)[:, 0]).all()
    everything = make(name, windows=0).drawn(view, CTX)
    assert len(everything[0]) == len(view.source)
    assert make(name).params.windows == 1000


@pytest.mark.parametrize("name", ["coral", "sa", "tca", "otda", "jdot"])
def test_adaptation_needs_a_target(name, tmp_path):
    for protocol in ("zero-shot", "within"):
        with pytest.raises(IncompatibleError, match=f"{name} needs unlabelled"):
            run_cell(Cell(make(name), "default", paired(), PROTOCOLS[protocol]), Store(tmp_path))
    for protocol in ("few-shot", "unsupervised"):
        record = run_cell(Cell(make(name), "default", paired(), PROTOCOLS[protocol]),
                          Store(tmp_path))
        assert record.status == "done"
