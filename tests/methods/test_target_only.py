"""Target-only is plain learning on the calibration trials, one thing whoever it stands beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.naive_bayes import GaussianNB

from bench.cells.engine import run_cell
from bench.errors import IncompatibleError, SettingError
from bench.method import Context
from bench.methods.shared.shallow import STRENGTHS, folds_of_trials, repeated, weights_of
from bench.methods.shared.training.finetuning import PUBLISHED
from bench.methods.shared.training.selfsupervised import SelfSupervised
from bench.protocols.few_shot import FewShot
from bench.protocols.unsupervised import Unsupervised
from bench.registry import load
from bench.store.records import Store

from support import cell_of, in_order, paired, synthetic

CTX = Context({"seed": 0})


def make(name, **params):
    cls = load("methods", name)
    return cls(cls.parse(params))


def target_only(method):
    """Parameters of a method's own target-only."""
    return [p for name, p in method.controls() if name == "target-only"][-1]


def alone(view):
    """What the engine hands to a method that needs no source."""
    return replace(view, source=None)


def flat(windows):
    return windows.x.reshape(len(windows), -1).astype(float)


@pytest.fixture(scope="module")
def view():
    target = synthetic(1, in_order([0, 1] * 6, 3), corpus="B", seed=2, effect=0.4)
    pair = paired(synthetic(3, in_order([0, 1] * 6, 3), seed=1, effect=0.4), target)
    return FewShot().folds(pair, 0).folds[0].view


def test_methods_that_share_a_network_share_its_control():
    methods = [make(n) for n in ("scmm", "simclr", "mae", "source-only", "dann", "tent", "shot")]
    controls = {repr(sorted(target_only(m).items())) for m in methods}
    assert len(controls) == 1
    assert "scmm" not in controls.pop()
    other = target_only(make("scmm", fit_lr=1e-3))
    assert other != target_only(make("scmm"))
    assert other == target_only(make("simclr", fit_lr=1e-3))
    assert target_only(make("scmm", lr=1e-3)) == target_only(make("scmm"))  # of the pre-training


def test_a_network_of_its_own_has_a_control_of_its_own():
    class Wide(SelfSupervised):
        name = "wide"

        def encoder(self, space):
            raise NotImplementedError

    assert Wide().scratch()[0] == "wide"
    assert make("scmm-released").scratch() == make("scmm", **PUBLISHED).scratch()
    assert make("scmm-released").scratch() != make("scmm").scratch()


def test_whoever_names_it_it_is_the_same():
    plain = make("target-only")
    assert make("target-only", network="simclr").params == plain.params
    assert make("target-only", network="coral").params == make("target-only", network="lr").params
    assert plain.kind == "control"
    assert make("target-only", network="lr").kind == "method"
    with pytest.raises(SettingError, match="'epochs' has no meaning"):
        make("target-only", network="scmm", epochs=3)
    with pytest.raises(SettingError, match="'source_share' has no meaning"):
        make("target-only", network="lr", source_share=0.3)
    with pytest.raises(SettingError, match="no training without a source"):
        make("target-only", network="majority")


@pytest.mark.parametrize(("name", "params", "theirs"), [
    ("lr", {"C": 0.3}, LogisticRegression(C=0.3, max_iter=1000)),
    ("lda", {}, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
    ("sklearn:sklearn.naive_bayes.GaussianNB", {}, GaussianNB()),
])
def test_it_is_scikit_learn_on_the_calibration_windows(view, name, params, theirs):
    method = make("target-only", network=name, **params)
    assert method.needs.source == "none"
    ours = method.fit(alone(view), None, CTX)
    theirs.fit(flat(view.calibration), view.calibration.y)
    x = np.random.default_rng(1).normal(size=(20, *view.calibration.x.shape[1:])).astype("f4")
    np.testing.assert_allclose(
        ours.predict_proba(x), theirs.predict_proba(x.reshape(20, -1).astype(float)), atol=1e-6)


def test_the_penalty_is_chosen_within_the_calibration_trials(view):
    """By brute force: whole trials held out, each class in every fold, refit on all."""
    own = view.calibration
    x, fold = flat(own), folds_of_trials(own.y, own.trial)
    for trial in np.unique(own.trial):
        assert len(set(fold[own.trial == trial])) == 1
    means = []
    for c in STRENGTHS:
        scores = []
        for k in np.unique(fold):
            assert set(own.y[fold == k]) == {0, 1}
            model = LogisticRegression(C=c, max_iter=1000).fit(x[fold != k], own.y[fold != k])
            scores.append(balanced_accuracy_score(own.y[fold == k], model.predict(x[fold == k])))
        means.append(np.mean(scores))
    best = STRENGTHS[int(np.argmax(np.round(means, 12)))]
    fitted = make("target-only", network="lr").fit(alone(view), None, CTX).estimator
    assert best == fitted.C
    expected = LogisticRegression(C=best, max_iter=1000).fit(x, own.y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, atol=1e-6)
    assert best == make("lr").fit(view, None, CTX).estimator.C  # the twin differs in the source
    assert make("lr", C=0.7).fit(view, None, CTX).estimator.C == 0.7


def test_with_one_trial_a_class_the_stated_penalty_stands():
    target = synthetic(1, in_order([0, 1, 0, 1]))
    view = FewShot(calibration_trials=1).folds(paired(target=target), 0).folds[0].view
    assert make("target-only", network="svm").fit(alone(view), None, CTX).estimator.C == 1.0


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_source_has_its_share(view, share):
    n, own = len(view.source), len(view.calibration)
    weights = weights_of(n, own, share)
    assert weights[:n].sum() == pytest.approx(share * weights.sum())
    np.testing.assert_array_equal(weights[n:], 1)
    ours = make("lr", C=1.0, source_share=share).fit(view, None, CTX).estimator
    x = np.concatenate([flat(view.source), flat(view.calibration)])
    y = np.concatenate([view.source.y, view.calibration.y])
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)


def test_a_small_share_is_nearly_target_only(view):
    near = make("lr", C=1.0, source_share=1e-6).fit(view, None, CTX).estimator
    none = make("target-only", network="lr", C=1.0).fit(alone(view), None, CTX).estimator
    np.testing.assert_allclose(near.coef_, none.coef_, atol=1e-3)


def test_without_weights_windows_are_repeated():
    rng = np.random.default_rng(0)
    for source, own, share in ((100, 20, 0.5), (10, 40, 0.5), (50, 50, 0.8)):
        rows = repeated(weights_of(source, own, share), rng)
        count = np.bincount(rows, minlength=source + own)
        assert count[source:].tolist() == [1] * own
        assert count[:source].sum() == round(share / (1 - share) * own)
        assert np.ptp(count[:source]) <= 1


@pytest.mark.parametrize(("name", "params"), [
    ("lda", {}), ("coral", {}), ("jdot", {"rounds": 2}), ("rf", {"trees": 5}),
    ("sklearn:sklearn.neighbors.KNeighborsClassifier", {}),
])
def test_every_shallow_method_heeds_the_share(name, params, tmp_path):
    pair, store = paired(), Store(tmp_path)

    def probabilities(protocol, **more):
        return run_cell(cell_of(make(name, **params, **more), pair, protocol), store).predictions()

    def equal(protocol):
        low, high = (probabilities(protocol, source_share=s) for s in (0.1, 0.9))
        return low["p0"].tolist() == high["p0"].tolist()

    assert not equal(FewShot())
    assert equal(Unsupervised())  # no calibration, no share


def test_corpora_of_the_same_classes_are_one_table_whoever_asks():
    same = paired(synthetic(labels=("low", "high")), synthetic(labels=("high", "low"), corpus="B"))
    assert cell_of(make("lr"), same).identity()["label_map"] is None
    assert cell_of(make("lr"), same, classes="own").mapped[0].source.labels == ("high", "low")
    own, shared = (cell_of(make("target-only", network="lr"), same, classes=c).identity()
                   for c in ("own", "shared"))
    assert own == shared
    source = same.source.take(same.source.subject == 1)
    moved = cell_of(make("lr"), same).mapped[0].source.take(same.source.subject == 1)
    assert [source.labels[k] for k in source.y] == [moved.labels[k] for k in moved.y]


def test_own_classes_that_differ_are_refused_to_who_must_share_them():
    other = paired(synthetic(labels=("negative", "positive")),
                   synthetic(labels=("low valence", "high valence"), corpus="B"))
    with pytest.raises(IncompatibleError, match="--classes shared"):
        cell_of(make("lr"), other, classes="own").check()
    cell_of(make("lr"), other).check()
    assert cell_of(make("scmm"), other, classes="shared").identity()["label_map"] is not None
    assert cell_of(make("scmm"), other).identity()["label_map"] is None


def test_a_shuffled_source_leaves_the_calibration_as_it_is(tmp_path):
    trials = in_order([0, 1] * 10, 3)
    pair = paired(synthetic(3, trials, effect=2.0), synthetic(3, trials, corpus="B", effect=2.0))
    store = Store(tmp_path)

    def score(**params):
        folds = run_cell(cell_of(make("shuffled", network="lr", **params), pair), store).folds
        return np.mean([f["scores"]["window"]["balanced_accuracy"] for f in folds])

    assert score(shuffle="source") > 0.9
    assert score() < 0.8
    with pytest.raises(SettingError, match="shuffle = 'calibration'"):
        make("shuffled", network="lr", shuffle="calibration")
