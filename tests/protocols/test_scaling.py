"""Scaling: the source by its own statistics, the target by its calibration windows alone."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from bench.cells.engine import run_cell
from bench.data.pair import in_shared_classes
from bench.data.windows import Windows
from bench.errors import IncompatibleError, SettingError, UnknownNameError
from bench.protocols.base import Fold, View
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import SCOPES, Scaler, Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.store.records import Store

from support import Means, cell_of, paired, synthetic

THEIRS = {"min-max": MinMaxScaler, "z-score": StandardScaler, "robust": RobustScaler}


def folds(pair, kind="min-max"):
    return Scaling(kind).folds(FewShot().folds(pair, 0).folds)


@pytest.mark.parametrize("kind", THEIRS)
def test_against_scikit_learn(kind):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(50, 3, 4)) * 10 + 3).astype(np.float32)
    new = rng.normal(size=(7, 3, 4)).astype(np.float32)
    theirs = THEIRS[kind]().fit(x.reshape(50, -1).astype(float))
    ours = Scaler.fit(x, kind)(new)
    assert ours.dtype == np.float32
    assert ours.reshape(7, -1) == pytest.approx(
        theirs.transform(new.reshape(7, -1).astype(float)), abs=1e-5
    )


def test_none_changes_nothing():
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    assert (Scaler.fit(x, "none")(x) == x).all()


@pytest.mark.parametrize("kind", ["min-max", "z-score", "robust", "none"])
def test_a_constant_feature_stays_finite(kind):
    x = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32)
    x[:, 1, 1] = 4.0
    assert np.isfinite(Scaler.fit(x, kind)(x * 2)).all()


def test_an_unknown_kind_is_suggested():
    with pytest.raises(UnknownNameError, match="no scaling named 'minmax'") as caught:
        Scaler.fit(np.zeros((2, 1, 1), np.float32), "minmax")
    assert "Did you mean 'min-max'" in caught.value.hint


@pytest.mark.parametrize("kind", ["min-max", "z-score", "robust"])
def test_test_windows_change_neither_scaler_nor_calibration(kind):
    pair = paired()
    before = folds(pair, kind)
    wild = pair.target.x.copy()
    for fold in before:  # everything that is tested becomes extreme, one window even more
        rows = np.flatnonzero((pair.target.subject == fold.subject)
                              & np.isin(pair.target.trial, fold.open_test().trial))
        wild[rows] = 5 * wild[rows] + 1e3
        wild[rows[0]] = -1e6
    after = folds(paired(pair.source, pair.target.with_x(wild)), kind)
    assert len(after) == 3
    for old, new in zip(before, after, strict=True):
        assert (old.view.calibration.x == new.view.calibration.x).all()
        assert (old.view.source.x == new.view.source.x).all()
        assert (old.open_test().x != new.open_test().x).all()
        # The same map took them there: undo it and the wild numbers are back.
        scaler = Scaler.fit(
            pair.target.x[(pair.target.subject == new.subject)
                          & np.isin(pair.target.trial, new.view.calibration.trial)], kind)
        mine = np.isin(pair.target.trial, new.open_test().trial) & (
            pair.target.subject == new.subject)
        assert (new.open_test().x == scaler(wild[mine])).all()


def test_an_extreme_test_window_leaves_the_other_predictions_alone(tmp_path):
    """Had it entered any statistic, all others would be squeezed together."""
    pair = paired()
    first = run_cell(cell_of(Means(), pair), Store(tmp_path / "a")).predictions()
    fold = FewShot().folds(pair, 0).folds[0]
    trial = fold.open_test().trial[0]
    row = np.flatnonzero((pair.target.subject == fold.subject) & (pair.target.trial == trial))[0]
    wild = pair.target.x.copy()
    wild[row] = 1e4
    other = paired(pair.source, pair.target.with_x(wild))
    second = run_cell(cell_of(Means(), other), Store(tmp_path / "b")).predictions()
    differs = (first[["p0", "p1"]] != second[["p0", "p1"]]).any(axis=1)
    where = (first.subject == fold.subject) & (first.trial == trial) & (first.onset == 0)
    assert (differs & ~where).sum() == 0


def test_each_target_subject_is_scaled_by_itself():
    target = synthetic(corpus="B", seed=2)
    gain = np.where(target.subject == 2, 100.0, 1.0)[:, None, None].astype(np.float32)
    plain, loud = folds(paired(None, target)), folds(paired(None, target.with_x(target.x * gain)))
    for old, new in zip(plain, loud, strict=True):
        assert new.view.calibration.x == pytest.approx(old.view.calibration.x, abs=1e-5)
        assert new.open_test().x == pytest.approx(old.open_test().x, abs=1e-4)


def test_source_statistics_are_the_sources_own():
    pair = paired()
    fold = folds(pair)[0]
    assert fold.view.source.x.min() == 0
    assert fold.view.source.x.max() == 1
    assert fold.view.calibration.x.min() == 0
    assert fold.view.calibration.x.max() == 1
    louder = paired(pair.source, pair.target.with_x(pair.target.x * 50))
    assert (folds(louder)[0].view.source.x == fold.view.source.x).all()


def test_without_granted_windows_there_is_nothing_to_scale_by():
    windows = synthetic(1)
    fold = Fold(1, 1, View(None, None, None, windows.labels), windows)
    with pytest.raises(IncompatibleError, match="grants no window to scale the target by"):
        Scaling().folds([fold])


def test_without_target_windows_the_source_scales_the_target():
    source, target = synthetic(2), synthetic(1, corpus="B", seed=3)
    fold = Fold(1, 1, View(source, None, None, target.labels), target)
    scaled = Scaling("z-score").folds([fold])[0].open_test().x
    assert (scaled == Scaler.fit(source.x, "z-score")(target.x)).all()


def test_the_scope_is_in_the_record():
    assert Scaling("robust").describe(FewShot()) == {
        "name": "robust", "source": "source", "target": "calibration"
    }


# Scopes.


def cut(protocol, target=None, source=None):
    pair = in_shared_classes(paired(source, target))[0] if protocol.maps_labels else paired(
        source, target
    )
    return protocol.folds(pair, 0).folds


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("scope", ["subject", "source-subject", "subject-tested"])
def test_each_source_subject_by_its_own(kind, scope):
    raw = cut(FewShot())
    source, scaled = raw[0].view.source, Scaling(kind, scope).folds(raw)[0].view.source
    for subject in (1, 2, 3):
        mine = source.subject == subject
        expected = Scaler.fit(source.x[mine], kind)(source.x[mine])
        assert (scaled.x[mine] == expected).all()
    assert (scaled.x != Scaling(kind).folds(raw)[0].view.source.x).any()


def test_subjects_of_two_corpora_with_one_number_are_two():
    a, b = synthetic(1, corpus="A", seed=1), synthetic(1, corpus="B", seed=2)
    both = Windows.concatenate([a, b.with_x(9 * b.x)])
    fold = Fold(1, 1, View(both, a, None, a.labels), a)
    scaled = Scaling("z-score", "subject").folds([fold])[0].view.source
    for corpus in "AB":
        assert scaled.x[scaled.corpus == corpus].mean(axis=0) == pytest.approx(0, abs=1e-5)


def test_where_nothing_is_granted_source_subjects_may_go_by_their_own():
    for protocol in (ZeroShot(), Within()):
        raw = cut(protocol)
        scaling = Scaling("z-score", "source-subject")
        scaling.check(protocol)
        for before, after in zip(raw, scaling.folds(raw), strict=True):
            source = before.view.source
            for subject in np.unique(source.subject):
                mine = source.subject == subject
                assert (after.view.source.x[mine] == Scaler.fit(source.x[mine], "z-score")(
                    source.x[mine])).all()
            pooled = Scaler.fit(source.x, "z-score")
            assert (after.open_test().x == pooled(before.open_test().x)).all()
    calibrated = cut(FewShot())
    for before, after in zip(
        calibrated, Scaling("z-score", "source-subject").folds(calibrated), strict=True
    ):
        own = Scaler.fit(before.view.calibration.x, "z-score")
        assert (after.open_test().x == own(before.open_test().x)).all()


def test_scope_source_scales_all_by_the_source():
    raw = cut(FewShot())
    scaler = Scaler.fit(raw[0].view.source.x)
    for before, after in zip(raw, Scaling(scope="source").folds(raw), strict=True):
        assert (after.view.calibration.x == scaler(before.view.calibration.x)).all()
        assert (after.open_test().x == scaler(before.open_test().x)).all()


@pytest.mark.parametrize("protocol", [
    FewShot(), ZeroShot(), Unsupervised(), Unsupervised(form="transductive"),
], ids=["few-shot", "zero-shot", "inductive", "transductive"])
def test_scope_tested_takes_all_windows_of_the_session(protocol):
    raw = cut(protocol)
    for before, after in zip(raw, Scaling("z-score", "tested").folds(raw), strict=True):
        parts = [before.open_test()]
        if not protocol.transductive:
            parts += [w for w in (before.view.calibration, before.view.unlabelled) if w is not None]
        scaler = Scaler.fit(np.concatenate([p.x for p in parts]), "z-score")
        assert after.open_test().x == pytest.approx(scaler(before.open_test().x), abs=1e-5)


def test_a_subject_that_is_not_granted_cannot_be_scaled_by_itself():
    for protocol in (ZeroShot(), Within()):
        with pytest.raises(IncompatibleError, match="grants no window of the tested") as caught:
            cell_of(Means(), protocol=protocol, scaling=Scaling(scope="subject")).scaling.check(
                protocol
            )
        assert "subject-tested" in caught.value.hint
    Scaling(scope="subject-tested").check(ZeroShot())
    Scaling(scope="subject").check(FewShot())
    Scaling(scope="subject").check(Unsupervised())


def test_a_subjects_other_sessions_are_its_own_windows():
    one, two = (synthetic(1, corpus="B", session=s, seed=s) for s in (1, 2))
    raw = Within(leave="session").folds(
        paired(None, Windows.concatenate([one, two.with_x(3 * two.x)])), 0
    ).folds
    scaling = Scaling("z-score", "subject")
    scaling.check(Within(leave="session"))
    for before, after in zip(raw, scaling.folds(raw), strict=True):
        scaler = Scaler.fit(before.view.source.x, "z-score")
        assert (after.open_test().x == scaler(before.open_test().x)).all()


@pytest.mark.parametrize(("scope", "source", "target"), [
    ("subject", "each subject", "calibration"), ("source", "source", "source"),
    ("source-subject", "each subject", "calibration"),
    ("tested", "source", "all windows of the tested subject and session (tested windows)"),
    ("subject-tested", "each subject",
     "all windows of the tested subject and session (tested windows)"),
])
def test_the_record_says_the_scope(scope, source, target):
    assert Scaling("z-score", scope).describe(FewShot()) == {
        "name": "z-score", "scope": scope, "source": source, "target": target,
    }
    access = cell_of(Means(), scaling=Scaling("z-score", scope)).identity()["protocol"][
        "target_access"]
    assert access.endswith("; for scaling, the tested windows, unlabelled") == (
        scope.endswith("tested")
    )


def test_scopes_are_other_cells():
    cells = [cell_of(Means(), scaling=Scaling(scope=s)).identity() for s in SCOPES]
    assert len({str(c["scaling"]) for c in cells}) == len(SCOPES)


def test_a_scope_that_makes_no_sense_is_refused():
    with pytest.raises(UnknownNameError, match="no scaling scope named 'subjects'"):
        Scaling(scope="subjects")
    with pytest.raises(SettingError, match="scaling none has no statistics"):
        Scaling("none", "subject")


class TestEachWindowByItself:
    def test_no_other_window_and_no_gain_changes_one(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(6, 5, 3)).astype(np.float32)
        scaled = Scaling("window").fit(x)(x)
        assert Scaling("window").fit(x[:1])(x[3:4]) == pytest.approx(scaled[3:4], abs=1e-6)
        # Another amplifier adds a constant to the log power of a band, in all channels alike.
        other = x + rng.normal(size=(1, 1, 3)).astype(np.float32)
        assert Scaling("window").fit(x)(other) == pytest.approx(scaled, abs=1e-5)
        assert scaled.mean(axis=1) == pytest.approx(0, abs=1e-6)
        assert scaled.reshape(6, -1).std(axis=1) == pytest.approx(1, abs=1e-5)

    def test_raw_windows_are_referenced_to_their_average(self):
        x = np.random.default_rng(0).normal(size=(4, 5, 64)).astype(np.float32)
        scaled = Scaling("window", over_time=True).fit(x)(3 * x + 7)
        assert scaled == pytest.approx(Scaling("window").fit(x)(x), abs=1e-5)

    def test_a_window_of_equal_channels_stays_finite(self):
        assert (Scaling("window").fit(np.ones((2, 3, 4)))(np.ones((2, 3, 4))) == 0).all()

    def test_nothing_of_the_target_is_needed_and_the_record_says_so(self):
        pair, scaling = paired(), Scaling("window")
        (first, *_) = scaling.folds(ZeroShot().folds(pair, 0).folds)
        raw = ZeroShot().folds(pair, 0).folds[0].open_test()
        assert first.open_test().x == pytest.approx(scaling.fit(raw.x)(raw.x))
        assert scaling.describe(ZeroShot()) == {
            "name": "window", "source": "each window", "target": "each window"}
        with pytest.raises(SettingError, match="no statistics"):
            Scaling("window", "tested")
