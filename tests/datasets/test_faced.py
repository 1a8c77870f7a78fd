"""FACED: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from mutants import everything, survive
from scipy.io import loadmat, savemat

from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.datasets.faced import Faced
from bench.datasets.shared import facts
from bench.errors import DataError, MissingCorpusError, UnknownNameError

RECIPE = Recipe(subjects=3, length=0.05)
ORDER = np.random.default_rng(5).permutation(28) + 1
NAMES = (*facts.FACED_CHANNELS, "A2", "A1")


def brain(seed: int = 0, seconds: int = 6, rate: int = 250) -> np.ndarray:
    """(28, 30, samples): neighbours resemble each other; the last sample is clip + row / 100."""
    from bench.data.channels import positions

    places = positions(facts.FACED_CHANNELS)
    mixing = np.linalg.cholesky(np.exp((places @ places.T - 1) / 0.3) + 1e-9 * np.eye(30))
    noise = np.random.default_rng(seed).normal(0, 20, (28, 30, seconds * rate))
    data = mixing @ noise
    data[:, :, -1] = np.arange(1, 29)[:, None] + np.arange(30) / 100
    return data


def with_mastoids(data: np.ndarray, at: int = 30) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, 20, (28, 2, *data.shape[2:]))
    return np.concatenate([data[:, :at], noise, data[:, at:]], axis=1)


def remarks(path: Path, order=ORDER, scores=None, **changes) -> None:
    made = np.empty((len(order), 1), [(n, object) for n in ("score", "trial", "vid")])
    for i, clip in enumerate(order):
        score = np.round(np.linspace(0, 7, 12) * (clip / 28), 2) if scores is None else scores
        made[i, 0] = (np.array([score]), np.array([[i + 1]]), np.array([[clip]]))
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"After_remark": made, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three subjects whose trials have 6 s (marked as simulated for that)."""
    root = tmp_path / "my faced"
    (root / "Processed_data").mkdir(parents=True)
    for subject, at in ((0, 30), (7, 16), (60, 30)):
        data = with_mastoids(brain(subject), at)
        content = {"data": data} if subject == 7 else data
        (root / "Processed_data" / f"sub{subject:03d}.pkl").write_bytes(pickle.dumps(content, 4))
        remarks(root / "Data" / f"sub{subject:03d}" / "After_remarks.mat")
    write_marker(root, "FACED", Recipe(subjects=61, length=0.05))
    return root


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("faced")
    Faced().simulate(root, RECIPE)
    return root


def trials_of(root: Path, index: int = 0) -> tuple[dict, list[str]]:
    inventory, notices = Faced().inventory(root), []
    return Faced().trials(inventory, inventory.recordings[index], notices), notices


@pytest.mark.parametrize("index", [0, 1, 2], ids=["last", "middle", "last again"])
def test_both_orders_of_channels_and_both_kinds_of_pickle(folder, index):
    signals = Faced().read(Faced().inventory(folder).recordings[index])
    assert [s.number for s in signals] == list(range(1, 29))
    assert {s.data.shape for s in signals} == {(30, 1500)}
    assert signals[4].data[:, -1] == pytest.approx(5 + np.arange(30) / 100)


def test_an_order_that_cannot_be_told_is_refused(folder):
    path = Faced().inventory(folder).recordings[0].path
    noise = np.random.default_rng(0).normal(size=(28, 32, 1500))
    path.write_bytes(pickle.dumps(noise, 4))
    with pytest.raises(DataError, match="alike where electrodes are near, found a correlation of"):
        Faced().read(Faced().inventory(folder).recordings[0])


def test_full_length_is_the_owner_s(folder):
    (folder / "bench-simulated.json").unlink()
    with pytest.raises(DataError, match=r"shape \(28, 32, 7500\).*found \(28, 32, 1500\)"):
        Faced().read(Faced().inventory(folder).recordings[0])


def test_inventory(folder):
    clean = folder / "Processed_data"
    for name in ("sub123.pkl", "sub1.pkl", "._sub000.pkl", "sub001.pkl.mat"):
        (clean / name).touch()
    found = Faced().inventory(folder.parent)
    assert [r.subject for r in found.recordings] == [0, 7, 60]
    assert {p.name for p, _ in found.skipped} == {
        "sub123.pkl", "sub1.pkl", "._sub000.pkl", "sub001.pkl.mat"}
    assert found.missing[0].startswith("58 of 61 subjects are missing: 1, 2, 3")


@pytest.mark.parametrize(("content", "found"), [
    (np.zeros((28, 30, 1500)), r"found \(28, 30, 1500\) of float64"),
    (np.zeros((28, 32, 1500), np.int16), r"found \(28, 32, 1500\) of int16"),
    (np.zeros((28, 32)), r"found \(28, 32\)"),
    ({"eeg": np.zeros((28, 32, 1500))}, "found no data"),
    ([1, 2], "which was refused"), ("text", "which was refused"), (print, "which was refused"),
])
def test_strange_pickles_are_refused(folder, content, found):
    recording = Faced().inventory(folder).recordings[0]
    recording.path.write_bytes(pickle.dumps(content, 4))
    with pytest.raises(DataError, match=found):
        Faced().read(recording)


def test_order_of_play_and_ratings_come_from_the_remarks(folder):
    infos, notices = trials_of(folder)
    assert [infos[int(clip)].order for clip in ORDER] == list(range(28))
    assert infos[28].values["liking"] == 7.0
    assert infos[14].values["valence"] == pytest.approx(round(7 * 9 / 11 / 2, 2))
    assert infos[14].values["class"] == 4
    assert infos[14].stimulus == 14
    assert notices == []


def test_without_remarks_no_order_no_ratings_and_one_notice(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    shutil.rmtree(folder / "Data")
    infos, notices = trials_of(folder)
    assert {i.order for i in infos.values()} == {None}
    assert "After_remarks.mat not found" in notices[0]
    assert set(read_corpus("FACED:3", folder).windows.order) == {-1}
    with pytest.raises(DataError, match=r"a valence for task valence, found none") as caught:
        read_corpus("FACED:valence", folder)
    assert "bench data check" in caught.value.hint


@pytest.mark.parametrize(("write", "found"), [
    (lambda p: remarks(p, ORDER[:-1]), "expected 28 structs, found 27"),
    (lambda p: remarks(p, [*ORDER[:-1], ORDER[0]]), "each clip from 1 to 28 once"),
    (lambda p: remarks(p, [*ORDER[:-1], 29], np.ones(12)), "each clip from 1 to 28 once"),
    (lambda p: remarks(p, [*ORDER[:-1], 1.5]), "each clip from 1 to 28 once"),
    (lambda p: remarks(p, scores=np.full(12, 7.5)), "scores from 0 to 7, found 7.5"),
    (lambda p: remarks(p, scores=np.full(12, np.nan)), "scores from 0 to 7, found nan"),
    (lambda p: remarks(p, scores=np.ones(11)), "a vid and 12 scores"),
    (lambda p: savemat(p, {"After_remark": np.eye(2)}), "28 structs, found ndarray"),
    (lambda p: savemat(p, {"other": np.eye(2)}), "no variable After_remark"),
    (lambda p: p.write_bytes(b""), "a MATLAB file"),
])
def test_strange_remarks_are_refused(folder, write, found):
    write(folder / "Data" / "sub000" / "After_remarks.mat")
    with pytest.raises(DataError, match=found):
        trials_of(folder)


@pytest.mark.parametrize(("task", "classes", "of"), [
    (None, 9, {1: "anger", 14: "neutral", 28: "tenderness"}),
    ("3", 3, {1: "negative", 12: "negative", 13: "neutral", 16: "neutral", 17: "positive"}),
])
def test_tasks_by_clip(folder, task, classes, of):
    chosen, (infos, _) = Faced().task(task), trials_of(folder)
    assert len(chosen.classes) == classes
    assert {c: chosen.classes[chosen.label(infos[c].values, LabelRule())] for c in of} == of


def test_ratings_above_the_middle_are_high():
    valence = Faced().task("valence")
    labels = [valence.label({"valence": v}, LabelRule()) for v in (0.0, 3.5, 3.51, 7.0)]
    assert labels == [0, 0, 1, 1]


def test_features_keep_both_orders_of_channels(simulated):
    adapter = Faced()
    found = adapter.inventory(simulated, "official")
    assert adapter.official(found, "").smoothing == "none"
    with pytest.raises(UnknownNameError):
        adapter.official(found, "psd")
    raw = adapter.inventory(simulated)
    from bench.data.features import differential_entropy

    for recording, twin in zip(found.recordings, raw.recordings, strict=True):
        theirs, ours = adapter.read(recording, "official")[7], adapter.read(twin)[7]
        assert theirs.data.shape == (30, 6, 5)
        de = differential_entropy(ours.data, 250, 1.0, adapter.official_bands)
        np.testing.assert_allclose(theirs.data, de.transpose(1, 0, 2), atol=1e-5)


def test_missing_corpus(tmp_path):
    (tmp_path / "Data" / "sub000").mkdir(parents=True)  # of something else
    with pytest.raises(MissingCorpusError, match="no folder Processed_data") as caught:
        Faced().inventory(tmp_path)
    assert "synapse" in caught.value.hint
    (tmp_path / "Processed_data").mkdir()
    with pytest.raises(MissingCorpusError, match="holds no recording of FACED"):
        Faced().inventory(tmp_path)


def test_simulated_corpus(simulated):
    adapter, notices = Faced(), []
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert [r.subject for r in inventory.recordings] == [0, 1, 2]
    for recording in inventory.recordings:
        plans = adapter.design(RECIPE, recording.subject, 1)
        infos, signals = adapter.trials(inventory, recording, notices), adapter.read(recording)
        assert [infos[p.number].order for p in plans] == [p.order for p in plans]
        for p in plans:
            assert p.values.items() <= infos[p.number].values.items()
        true = adapter.generator(RECIPE).signal(
            recording.subject, 1, 5, plans[4].order, plans[4].emotion, plans[4].samples)
        np.testing.assert_array_equal(signals[4].data, true[:30])
    assert notices == []
    theirs = loadmat(simulated / "FACED" / "Data" / "sub001" / "After_remarks.mat")["After_remark"]
    by_clip = {int(theirs[i][0][2].item()): i for i in range(28)}
    infos = adapter.trials(inventory, inventory.recordings[1], notices)
    assert {clip: info.order for clip, info in infos.items()} == by_clip


def test_engine_reads_it(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    for task, classes in (("9", 9), ("3", 3), ("valence", 2), ("arousal", 2)):
        reading = read_corpus(f"FACED:{task}", simulated, ReadOptions())
        assert len(reading.windows) == 3 * 28 * 6
        assert np.unique(reading.windows.y).tolist() == list(range(classes))
        assert reading.threshold == (3.5 if classes == 2 else None)


# --- the amplifier's own files ---------------------------------------------------------------

def write_bdf(path: Path, names, rate: int, data: np.ndarray, largest: float = 5000.0,
              unit: str = "uV", texts=()) -> None:
    """(channels, samples) in physical units, in records of a second; or a file of annotations."""
    signals = [*names, *(["BDF Annotations"] if texts else [])]
    seconds = data.shape[1] // rate
    columns = [(16, signals), (80, [""] * len(signals)), (8, [unit] * len(signals)),
               (8, [f"{-largest:g}"[:8]] * len(signals)), (8, [f"{largest:g}"[:8]] * len(signals)),
               (8, ["-8388608"] * len(signals)), (8, ["8388607"] * len(signals)),
               (80, [""] * len(signals)), (8, [str(rate)] * len(signals)),
               (32, [""] * len(signals))]
    head = b"\xffBIOSEMI" + f"{'X':<80}{'X':<80}01.01.2301.01.01".encode()
    head += f"{256 * (len(signals) + 1):<8}{'BDF+C' if texts else '24BIT':<44}{seconds:<8}".encode()
    head += f"{1:<8}{len(signals):<4}".encode()
    body = "".join(f"{value:<{width}}" for width, values in columns for value in values).encode()
    numbers = np.round((data + largest) / (2 * largest) * (2**24 - 1) - 2**23).astype("<i4")
    tals = list(texts)
    with path.open("wb") as file:
        file.write(head + body)
        for second in range(seconds):
            block = numbers[:, second * rate : (second + 1) * rate]
            file.write(block.copy().view(np.uint8).reshape(*block.shape, 4)[..., :3].tobytes())
            if texts:
                part = f"+{second}\x14\x14\x00"
                while tals and len(part) < 3 * rate - 40:
                    onset, text = tals.pop(0)
                    part += f"+{onset}\x14{text}\x14\x00"
                file.write(part.encode().ljust(3 * rate, b"\0"))


MARKS = [mark for i, clip in enumerate(ORDER.tolist())
         for mark in ((32 * i + 1, clip), (32 * i + 1, 101), (32 * i + 32, 102))]


@pytest.fixture(scope="session")
def raw(tmp_path_factory) -> Path:
    """One subject at 500 Hz in volts, one at 250 Hz in microvolts that are called volts."""
    root = tmp_path_factory.mktemp("raw")
    seconds = 32 * 28 + 2
    for subject, rate, unit, largest in ((3, 500, "uV", 4000), (70, 250, "V", 400)):
        folder = root / "f" / "Data" / f"sub{subject:03d}"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(subject)
        data = rng.normal(0, 20, (4, seconds * rate)).repeat(8, 0) + np.arange(32)[:, None]
        write_bdf(folder / "data.bdf", NAMES, rate, data, largest, unit)
        write_bdf(folder / "evt.bdf", (), 250, np.zeros((0, 30 * 250)), texts=[(0, 100), *MARKS])
        remarks(folder / "After_remarks.mat")
    return root


def test_raw_files_are_cut_at_the_marks_in_microvolt(raw):
    adapter = Faced()
    inventory = adapter.inventory(raw)
    assert [r.subject for r in inventory.recordings] == [3, 70]
    assert [p.name for p in inventory.recordings[0].others] == ["evt.bdf"]
    for recording in inventory.recordings:
        signals = adapter.read(recording)
        assert [s.number for s in signals] == list(range(1, 29))
        assert {s.data.shape for s in signals} == {(30, 7500)}
        means = np.mean([s.data.mean(axis=1) for s in signals], axis=0)
        np.testing.assert_allclose(means, np.arange(30), atol=0.6)
        assert 5 < signals[0].data.std(axis=1).mean() < 25
    slow = np.random.default_rng(70).normal(0, 20, (4, 898 * 250))
    rank = ORDER.tolist().index(9)
    expected = slow[0, (32 * rank + 2) * 250 : (32 * rank + 32) * 250]
    np.testing.assert_allclose(signals[8].data[2] - 2, expected, atol=0.001)


@pytest.mark.parametrize(("texts", "found"), [
    (MARKS[:-1], "marks of 28 clips: the clip, 101, 102, found none of clip"),
    ([*MARKS, (900, 5), (905, 102)], "one end of clip 5, found two"),
])
def test_marks_that_are_not_those_of_28_clips_are_refused(raw, tmp_path, texts, found):
    shutil.copytree(raw, tmp_path / "copy")
    recording = Faced().inventory(tmp_path / "copy").recordings[0]
    write_bdf(recording.others[0], (), 250, np.zeros((0, 30 * 250)), texts=texts)
    with pytest.raises(DataError, match=found):
        Faced().read(recording)


@pytest.mark.parametrize(("names", "rate", "scale", "found"), [
    (("X", *NAMES[1:]), 250, 1.0, "30 channels by name, each once, found none or several of FP1"),
    (NAMES, 200, 1.0, "a multiple of 250 samples per second, found 200"),
    (NAMES, 250, 0.0, "EEG in volt or in microvolt, found signals whose standard deviation is"),
])
def test_other_recordings_are_refused(raw, tmp_path, names, rate, scale, found):
    shutil.copytree(raw / "f" / "Data" / "sub070", tmp_path / "Data" / "sub070")
    recording = Faced().inventory(tmp_path).recordings[0]
    data = np.random.default_rng(0).normal(0, 20 * scale, (32, 900 * rate))
    write_bdf(recording.path, names, rate, data, 4000)
    with pytest.raises(DataError, match=found):
        Faced().read(recording)


# --- mutants ---------------------------------------------------------------------------------

FILES = [("Processed_data/sub000.pkl", "bench"), ("Data/sub000/After_remarks.mat", "bench"),
         ("EEG_Features/DE/sub000.pkl.pkl", "official")]


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("small_faced")
    Faced().simulate(root, Recipe(subjects=1, length=0.05))
    assert everything(Faced(), root) == 28
    return root / "FACED"


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_mutants_are_refused_in_words(small, name, kind):
    assert survive(Faced(), small, small / name, range(14), kind) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), FILES)
def test_hundreds_of_mutants_are_refused_in_words(small, name, kind):
    assert survive(Faced(), small, small / name, range(100, 400), kind) > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data.bdf", "evt.bdf"])
def test_hundreds_of_mutants_of_raw_files_are_refused_in_words(raw, tmp_path, name):
    shutil.copytree(raw / "f" / "Data" / "sub070", tmp_path / "Data" / "sub070")
    path = tmp_path / "Data" / "sub070" / name
    assert survive(Faced(), tmp_path, path, range(100, 320)) > 15  # most of evt.bdf is padding
