"""SEED-VII: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from mutants import everything, survive
from scipy.io import savemat

from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker
from bench.datasets.seed_vii import SeedVII
from bench.datasets.shared import facts, neuroscan, sheets
from bench.errors import DataError, MissingCorpusError, UnknownNameError

RECIPE = Recipe(subjects=1, sessions=4, length=0.01)
NAMES = [*facts.SEED_CHANNELS[:31], "M1", "M2", *facts.SEED_CHANNELS[31:], "ECG", "HEO", "VEO"]
MARKS = [mark for i in range(20) for mark in ((1000 + 2000 * i, 1), (2500 + 2000 * i, 2))]


def signals(sessions=(1, 2, 3, 4), samples: int = 300) -> dict[str, np.ndarray]:
    """Value is the trial's number, and its row in the fraction; keys as MATLAB sorts them."""
    numbers = sorted((n for s in sessions for n in range(20 * s - 19, 20 * s + 1)), key=str)
    return {str(n): np.full((62, samples), float(n)) + np.arange(62)[:, None] / 100
            for n in numbers}


def features(windows: int = 3, kinds=("de", "de_LDS", "psd")) -> dict[str, np.ndarray]:
    """(windows, 5, 62): trial + band / 10 + channel / 1000."""
    one = np.arange(5)[:, None] / 10 + np.arange(62) / 1000
    return {f"{kind}_{n}": np.tile(n + one, (windows, 1, 1))
            for kind in kinds for n in range(1, 81)}


def table(path: Path, labels=facts.SEED_VII_LABELS) -> None:
    sheets.write(path, [row for s, words in enumerate(labels, start=1) for row in (
        [f"Session {s}", *(w.capitalize() for w in words)], ["", "a clip"])])


def recording(path: Path, marks=MARKS, **changes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.round(1000 * np.sin(2 * np.pi * 10 * np.arange(43_000) / 1000))
    numbers = (np.arange(len(NAMES))[:, None] * 64 + tone).astype(np.int32)
    neuroscan.write(path, **{"names": NAMES, "rate": 1000, "numbers": numbers, "scale": 1 / 64,
                             "marks": marks, "width": 2, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "vii"
    for name in ("EEG_preprocessed", "EEG_features"):
        (root / name).mkdir(parents=True)
    savemat(root / "EEG_preprocessed" / "10.mat", signals(), do_compression=True)
    savemat(root / "EEG_features" / "10.mat", features())
    table(root / "emotion_label_and_stimuli_order.xlsx")
    return root


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("seed_vii")
    SeedVII().simulate(root, RECIPE)
    return root


def test_a_file_has_four_sessions_and_trials_are_addressed_by_number(folder):
    found = SeedVII().inventory(folder)
    assert [(r.subject, r.session, r.path.name) for r in found.recordings] == [
        (10, s, "10.mat") for s in (1, 2, 3, 4)]
    trials = SeedVII().read(found.recordings[2])
    assert [t.number for t in trials] == list(range(41, 61))
    assert [t.data[0, 0] for t in trials] == list(range(41, 61))
    assert trials[3].data[7, 5] == pytest.approx(44.07)


def test_version_73_is_read_too(folder):
    with h5py.File(folder / "EEG_preprocessed" / "10.mat", "w") as file:
        for name, value in signals((2,)).items():
            file[name] = value.T
    found = SeedVII().inventory(folder)
    assert [r.session for r in found.recordings] == [2]
    assert SeedVII().read(found.recordings[0])[3].data[7, 5] == pytest.approx(24.07)


@pytest.mark.parametrize("windows", [3, 5, 62])
def test_features_are_windows_by_band_by_channel_whatever_their_number(folder, windows):
    savemat(folder / "EEG_features" / "10.mat", features(windows))
    found = SeedVII().inventory(folder, "official")
    for kind in ("", "de", "psd"):
        trials = SeedVII().read(found.recordings[3], "official", kind)
        assert trials[4].data.shape == (62, windows, 5)
        assert trials[4].data[7, 1, 3] == pytest.approx(65 + 0.3 + 0.007)
    assert SeedVII().official(found, "").smoothing == "LDS"
    assert SeedVII().official(found, "de").smoothing == "none"
    with pytest.raises(UnknownNameError):
        SeedVII().official(found, "dasm")


def test_features_in_the_order_of_seed_are_refused(folder):
    savemat(folder / "EEG_features" / "10.mat",
            {k: v.transpose(2, 0, 1) for k, v in features(5).items()})
    recording_ = SeedVII().inventory(folder, "official").recordings[0]
    with pytest.raises(DataError, match=r"shape \(windows, 5, 62\), found \(62, 5, 5\)"):
        SeedVII().read(recording_, "official")


@pytest.mark.parametrize(("change", "found"), [
    ({"7": None}, "variables 1 to 20 of session 1, found no 7"),
    ({"7": np.zeros((61, 300))}, r"trial 7: expected shape \(62, samples\).* found \(61, 300\)"),
    ({"7": np.zeros((300, 62))}, r"found \(300, 62\)"),
    ({"7": np.zeros((62, 199))}, r"found \(62, 199\)"),
    ({"7": "text"}, "variable 7: expected a numeric array"),
])
def test_strange_signals_are_refused(folder, change, found):
    content = {k: v for k, v in {**signals(), **change}.items() if v is not None}
    savemat(folder / "EEG_preprocessed" / "10.mat", content)
    with pytest.raises(DataError, match=found):
        SeedVII().read(SeedVII().inventory(folder).recordings[0])


def test_inventory(folder):
    clean = folder / "EEG_preprocessed"
    savemat(clean / "2.mat", signals((1, 3)))
    for name in ("._2.mat", "21.mat", "s3.mat"):
        shutil.copy(clean / "2.mat", clean / name)
    (clean / "4.mat").write_bytes(b"torn")  # told when it is read, so that it can be excluded
    found = SeedVII().inventory(folder.parent)
    assert [(r.subject, r.session) for r in found.recordings] == [
        (2, 1), (2, 3), *((4, s) for s in (1, 2, 3, 4)), *((10, s) for s in (1, 2, 3, 4))]
    assert {p.name for p, _ in found.skipped} == {"._2.mat", "21.mat", "s3.mat"}
    assert found.missing[1:] == ("subject 2 has no session 2", "subject 2 has no session 4")
    with pytest.raises(DataError, match="a MATLAB file"):
        SeedVII().read(found.recordings[2])


def test_labels_come_from_the_table(folder):
    inventory, notices = SeedVII().inventory(folder), []
    infos = SeedVII().trials(inventory, inventory.recordings[1], notices)
    task = SeedVII().task(None)
    assert [task.classes[task.label(infos[n].values, LabelRule())] for n in range(21, 41)] == \
        list(facts.SEED_VII_LABELS[1])
    assert (infos[23].stimulus, infos[23].order) == (23, 2)
    assert notices == []
    changed = [list(s) for s in facts.SEED_VII_LABELS]
    changed[1][0] = "happy"
    table(folder / "emotion_label_and_stimuli_order.xlsx", changed)
    infos = SeedVII().trials(inventory, inventory.recordings[1], notices)
    assert infos[21].values["class"] == 4
    assert "differ from the published ones" in notices[0]
    (folder / "emotion_label_and_stimuli_order.xlsx").unlink()
    infos = SeedVII().trials(inventory, inventory.recordings[1], notices)
    assert infos[21].values["class"] == 5
    assert "the published labels are used" in notices[1]


@pytest.mark.parametrize("words", [["joy", *["happy"] * 19], ["happy"] * 19, ["happy"] * 21])
def test_strange_tables_are_refused(folder, words):
    table(folder / "emotion_label_and_stimuli_order.xlsx", [words])
    inventory = SeedVII().inventory(folder)
    with pytest.raises(DataError, match="session 1: expected 20 emotions among"):
        SeedVII().trials(inventory, inventory.recordings[0], [])


@pytest.mark.parametrize(("task", "expected"), [
    ("7", ["disgust", "fear", "sad", "neutral", "happy", "anger", "surprise"]),
    ("3", [None, None, "negative", "neutral", "positive", None, None]),
    ("3-all-negative", ["negative"] * 3 + ["neutral", "positive", "negative", None]),
])
def test_tasks(task, expected):
    chosen = SeedVII().task(task)
    labels = [chosen.label({"class": float(c)}, LabelRule()) for c in range(7)]
    assert [None if i is None else chosen.classes[i] for i in labels] == expected


# --- raw recordings --------------------------------------------------------------------------

def raw_of(root: Path):
    return SeedVII().inventory(root).recordings[0]


def test_raw_recordings_are_cut_at_their_marks(tmp_path):
    recording(tmp_path / "EEG_raw" / "3_20221001_2.cnt", [*MARKS, (42_900, 9)])
    assert (raw_of(tmp_path).subject, raw_of(tmp_path).session) == (3, 2)
    trials = SeedVII().read(raw_of(tmp_path))
    assert [t.number for t in trials] == list(range(21, 41))
    assert {t.data.shape for t in trials} == {(62, 300)}
    expected = [NAMES.index(c) for c in facts.SEED_CHANNELS]
    np.testing.assert_allclose(trials[4].data[:, 50:250].mean(axis=1), expected, atol=0.01)


@pytest.mark.parametrize(("marks", "found"), [
    (MARKS[:-1], "40 marks, begin and end of 20 trials in turn, found 39"),
    ([*MARKS[:-1], MARKS[0]], "40 marks"),
    ([(s // 3, c) for s, c in MARKS], "trial 21: expected a trial of at least a second"),
])
def test_other_marks_are_refused(tmp_path, marks, found):
    recording(tmp_path / "EEG_raw" / "3_20221001_2.cnt", marks)
    with pytest.raises(DataError, match=found):
        SeedVII().read(raw_of(tmp_path))


def test_two_recordings_are_cut_by_the_clock(tmp_path):
    recording(tmp_path / "EEG_raw" / "9_20221111_3.cnt", MARKS[:7])
    with pytest.raises(DataError, match="save_info/9_20221111_3_trigger_info.csv, since the marks"):
        SeedVII().read(raw_of(tmp_path))
    path = tmp_path / "save_info" / "9_20221111_3_trigger_info.csv"
    path.parent.mkdir()
    lines = [f"{code},2022-11-11 14:{1 + (27 + s // 1000) // 60:02d}:"
             f"{(27 + s // 1000) % 60:02d}.{s % 1000:03d}000" for s, code in MARKS]
    path.write_text("\n".join(lines))
    assert raw_of(tmp_path).others == (path,)
    by_clock = SeedVII().read(raw_of(tmp_path))
    recording(tmp_path / "EEG_raw" / "8_20221111_3.cnt")
    for one, other in zip(by_clock, SeedVII().read(raw_of(tmp_path)), strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    path.write_text("1,yesterday\n")
    with pytest.raises(DataError, match="line 1: expected a mark, and its date and time"):
        SeedVII().read(SeedVII().inventory(tmp_path).recordings[1])


def test_missing_corpus(tmp_path):
    with pytest.raises(MissingCorpusError, match="EEG_preprocessed or EEG_raw") as caught:
        SeedVII().inventory(tmp_path)
    assert SeedVII.layout in caught.value.hint


# --- simulated -------------------------------------------------------------------------------

def test_simulated_corpus(simulated):
    adapter, notices = SeedVII(), []
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert [r.session for r in inventory.recordings] == [1, 2, 3, 4]
    for r in inventory.recordings:
        plans = adapter.design(RECIPE, r.subject, r.session)
        infos, trials = adapter.trials(inventory, r, notices), adapter.read(r)
        assert [t.number for t in trials] == [p.number for p in plans]
        assert [t.data.shape for t in trials] == [(62, p.samples) for p in plans]
        assert [infos[p.number].values for p in plans] == [p.values for p in plans]
    assert notices == []
    assert everything(adapter, simulated, "official") == 80


def test_engine_reads_it_and_says_which_emotions_a_session_lacks(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    one = read_corpus("SEED-VII", simulated, ReadOptions())
    assert one.windows.labels == ("disgust", "sad", "neutral", "happy", "anger")
    assert "SEED-VII:7: no trial of fear, surprise is among those read; 5 classes left" in \
        one.notices
    every = read_corpus("SEED-VII:7", simulated, ReadOptions(sessions="all"))
    assert len(every.windows.labels) == 7
    assert len(np.unique(every.windows.trial_key())) == 80
    trials = {int(t): every.windows.labels[y]
              for t, y in zip(every.windows.trial, every.windows.y, strict=True)}
    assert [trials[n] for n in range(1, 81)] == [w for s in facts.SEED_VII_LABELS for w in s]


def test_each_emotion_has_twelve_clips_and_neutral_eight():
    words = [w for session in facts.SEED_VII_LABELS for w in session]
    assert {w: words.count(w) for w in set(words)} == {
        **dict.fromkeys(("disgust", "fear", "sad", "happy", "anger", "surprise"), 12), "neutral": 8}


# --- mutants ---------------------------------------------------------------------------------

FILES = [("EEG_preprocessed/1.mat", "bench"), ("EEG_features/1.mat", "official"),
         ("emotion_label_and_stimuli_order.xlsx", "bench")]


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """One session, so that a mutant is read in a moment."""
    root = tmp_path_factory.mktemp("small_vii")
    for name in ("EEG_preprocessed", "EEG_features"):
        (root / name).mkdir()
    noise = np.random.default_rng(0).normal(size=(62, 210))
    savemat(root / "EEG_preprocessed" / "1.mat", {str(n): noise + n for n in range(1, 21)})
    savemat(root / "EEG_features" / "1.mat",
            {k: v for k, v in features(2, ("de_LDS",)).items() if int(k[7:]) <= 20})
    table(root / "emotion_label_and_stimuli_order.xlsx")
    return root


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_mutants_are_refused_in_words(small, name, kind):
    assert survive(SeedVII(), small, small / name, range(14), kind) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), FILES)
def test_hundreds_of_mutants_are_refused_in_words(small, name, kind):
    assert survive(SeedVII(), small, small / name, range(100, 400), kind) > 50


@pytest.mark.slow
def test_hundreds_of_mutants_of_a_recording_are_refused_in_words(tmp_path):
    path = tmp_path / "EEG_raw" / "3_20221001_2.cnt"
    recording(path)
    assert survive(SeedVII(), tmp_path, path, range(100, 320)) > 50
