"""Windows: what they refuse, that parts share no memory, that digests see everything."""

import dataclasses
import doctest

import numpy as np
import pytest

import bench.data.windows
from bench.data.windows import Space, UnlabelledWindows, Windows
from bench.errors import BenchError

from support import synthetic


def arrays(windows):
    return {f.name: getattr(windows, f.name) for f in dataclasses.fields(windows)
            if isinstance(getattr(windows, f.name), np.ndarray)}


def test_examples_in_docstrings():
    assert doctest.testmod(bench.data.windows).failed == 0


@pytest.mark.parametrize(("change", "message"), [
    ({"x": np.zeros((96, 5, 5))}, "windows must be float32"),
    ({"x": np.zeros((96, 25), np.float32)}, "windows must be float32"),
    ({"x": np.zeros((96, 4, 5), np.float32)}, "do not fit a space of 5 channels x 5 features"),
    ({"trial": np.zeros(95, np.int64)}, r"trial has shape \(95,\), expected \(96,\)"),
    ({"y": np.full(96, 2)}, "classes run from 2 to 2, but 2 are named: low, high"),
    ({"y": np.full(96, -1)}, "classes run from -1 to -1"),
])
def test_impossible_windows_are_refused(change, message):
    windows = synthetic()
    with pytest.raises(BenchError, match=message):
        dataclasses.replace(windows, **change)


@pytest.mark.parametrize("index", [slice(0, 10), np.arange(10), np.arange(96) < 10])
def test_taken_windows_share_no_memory_with_the_rest(index):
    windows = synthetic()
    part = windows.take(np.arange(96)[index])
    for name, array in arrays(part).items():
        assert array.base is None, name
        assert not np.shares_memory(array, getattr(windows, name)), name
    before = windows.x.copy()
    part.x[:] = 7
    assert (windows.x == before).all()


def test_unlabelled_windows_have_nothing_that_names_a_class():
    windows = synthetic()
    bare = windows.without_labels()
    assert isinstance(bare, UnlabelledWindows)
    assert {f.name for f in dataclasses.fields(windows)} - {
        f.name for f in dataclasses.fields(bare)} == {
            "y", "labels", "stimulus", "pieces", "stimulus_sets"}
    for name in ("y", "labels", "stimulus", "n_classes"):
        assert not hasattr(bare, name)
    for name, array in arrays(bare).items():
        assert not np.shares_memory(array, getattr(windows, name)), name
    assert (bare.x == windows.x).all()


def test_trial_keys_tell_corpora_subjects_and_sessions_apart():
    parts = [synthetic(2, corpus=c, session=s) for c in "AB" for s in (1, 2)]
    joined = Windows.concatenate(parts)
    assert len(np.unique(joined.trial_key())) == 2 * 2 * 2 * 8
    assert joined.trial_key()[0] == "A/1/1/1"


@pytest.mark.parametrize("name", ["x", "y", "corpus", "subject", "session", "trial", "stimulus",
                                  "order", "onset"])
def test_digest_sees_every_column(name):
    windows = synthetic()
    assert windows.digest() == synthetic().digest()
    column = getattr(windows, name).copy()
    column[-1] = "Z" if column.dtype.kind == "U" else 1 - column[-1]
    assert dataclasses.replace(windows, **{name: column}).digest() != windows.digest()


def test_digest_sees_space_and_classes():
    windows = synthetic()
    digests = {
        windows.digest(),
        dataclasses.replace(windows, labels=("low", "top")).digest(),
        windows.with_x(windows.x, dataclasses.replace(windows.space, window_s=4.0)).digest(),
        windows.with_x(windows.x, dataclasses.replace(windows.space, smoothing="LDS")).digest(),
    }
    assert len(digests) == 4


def test_digest_of_a_corpus_with_letters_beyond_ascii():
    assert synthetic(corpus="Émotion").digest() != synthetic(corpus="Èmotion").digest()


def test_joining_what_does_not_fit_is_refused():
    windows = synthetic()
    with pytest.raises(BenchError, match="cannot join windows of Space"):
        Windows.concatenate([windows, synthetic(channels=("FP2", "FZ", "CZ", "PZ", "OZ"))])
    with pytest.raises(BenchError, match="different classes; map them first"):
        Windows.concatenate([windows, synthetic(labels=("a", "b"))])


def test_own_arrays_get_sensible_defaults():
    windows = Windows.from_arrays(
        np.arange(60).reshape(6, 2, 5), [0, 0, 0, 1, 1, 1], subject=[1, 1, 1, 1, 2, 2],
        trial=[1, 1, 1, 2, 2, 2], channels=["Fp1", "T3"], labels=["a", "b"], window_s=2.0,
    )
    assert windows.x.dtype == np.float32
    assert windows.space.channels == ("FP1", "T7")
    assert windows.onset.tolist() == [0, 2, 4, 0, 0, 2]
    assert windows.order.tolist() == windows.trial.tolist() == windows.stimulus.tolist()
    assert windows.session.tolist() == [1] * 6
    assert windows.corpus.tolist() == ["own"] * 6


def test_raw_windows_have_as_many_columns_as_samples():
    assert Space(("CZ",), kind="raw", bands=(), rate=128.0, window_s=2.0).width == 256
    raw = Windows.from_arrays(np.zeros((2, 1, 256)), [0, 1], subject=1, trial=[1, 2],
                              channels=["CZ"], labels=["a", "b"], kind="raw", rate=128.0,
                              window_s=2.0)
    assert raw.space.bands == ()
