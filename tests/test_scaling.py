"""Scaling: the source by its own statistics, the target by its calibration windows alone."""

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from support import Means, cell_of, made_up, paired

from bench.cell import run_cell
from bench.errors import UnknownNameError, UnsuitedError
from bench.protocol import Fold, View
from bench.protocols.few_shot import FewShot
from bench.scaling import Scaler, Scaling
from bench.store import Store

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
    target = made_up(corpus="B", seed=2)
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
    windows = made_up(1)
    fold = Fold(1, 1, View(None, None, None, windows.labels), windows)
    with pytest.raises(UnsuitedError, match="grants no window to scale the target by"):
        Scaling().folds([fold])


def test_without_target_windows_the_source_scales_the_target():
    source, target = made_up(2), made_up(1, corpus="B", seed=3)
    fold = Fold(1, 1, View(source, None, None, target.labels), target)
    scaled = Scaling("z-score").folds([fold])[0].open_test().x
    assert (scaled == Scaler.fit(source.x, "z-score")(target.x)).all()


def test_the_scope_is_in_the_record():
    assert Scaling("robust").describe(FewShot()) == {
        "name": "robust", "source": "source", "target": "calibration"
    }
