"""SEED-V: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from mutants import everything, survive

from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker
from bench.datasets.seed_v import SeedV
from bench.datasets.shared import facts, neuroscan, sheets
from bench.errors import DataError, MissingCorpusError, UnknownNameError

RECIPE = Recipe(subjects=1, sessions=2, length=0.01)
NAMES = [*facts.SEED_CHANNELS[:31], "M1", "M2", *facts.SEED_CHANNELS[31:], "HEO", "VEO"]
WORDS = ("disgust", "fear", "sad", "neutral", "happy")


def write_recording(path: Path, seconds: int = 46, **changes) -> None:
    """Three seconds a trial, at second 1, 4, 7, ...; a channel's value is its row, plus a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.round(1000 * np.sin(2 * np.pi * 10 * np.arange(seconds * 1000) / 1000))
    rows = np.arange(len(NAMES))[:, None] * 64
    settings = {"names": NAMES, "rate": 1000, "scale": 1 / 64, "width": 2, **changes}
    neuroscan.write(path, numbers=(rows + tone).astype(np.int32), **settings)


def times(starts=range(1, 46, 3), length=3, sessions=(1, 2, 3)) -> str:
    starts = list(starts)
    return "\n".join(f"Session {s}:\nstart_second: {starts}\n"
                     f"end_second: {[a + length for a in starts]}\n" for s in sessions)


def table(path: Path, labels=facts.SEED_V_LABELS) -> None:
    sheets.write(path, [row for s, session in enumerate(labels, start=1) for row in (
        [f"Session {s}", *(WORDS[k].capitalize() for k in session)], ["", "a clip"])])


def features(path: Path, change=None, protocol: int = 4) -> None:
    """Trial k has 3 windows of value k + column / 1000."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {k: np.tile(k + np.arange(310) / 1000, (3, 1)) for k in range(45)}
    label = {k: np.full(3, float(facts.SEED_V_LABELS[k // 15][k % 15])) for k in range(45)}
    if change:
        change(data, label)
    buffer = io.BytesIO()
    np.savez(buffer, data=pickle.dumps(data, protocol), label=pickle.dumps(label, protocol))
    path.write_bytes(buffer.getvalue())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "my seed v"
    write_recording(root / "EEG_raw" / "3_2_20180411.cnt")
    features(root / "EEG_DE_features" / "3_123.npz")
    (root / "trial_start_end_timestamp.txt").write_text(times())
    table(root / "Emotion_label_and_stimuli order.xlsx")
    return root


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("seed_v")
    SeedV().simulate(root, RECIPE)
    return root


def only(root: Path, features: str = "bench"):
    return SeedV().inventory(root, features).recordings[0]


def trials_of(root: Path, features: str = "bench") -> tuple[dict, list[str]]:
    inventory, notices = SeedV().inventory(root, features), []
    return SeedV().trials(inventory, inventory.recordings[0], notices), notices


def test_trials_are_cut_by_the_owners_times_and_channels_by_name(folder):
    signals = SeedV().read(only(folder))
    assert [s.number for s in signals] == list(range(1, 16))
    assert {s.data.shape for s in signals} == {(62, 3 * 200)}
    middle = signals[4].data[:, 200:400].mean(axis=1)  # whole periods of the tone
    expected = [NAMES.index(c) for c in facts.SEED_CHANNELS]
    np.testing.assert_allclose(middle, expected, atol=0.01)  # not the mastoids, nor the eyes


def test_what_would_alias_is_filtered_away(folder):
    """130 Hz, sampled at 200 Hz, would stand at 70 Hz."""
    recording = only(folder)
    seconds = np.arange(46_000) / 1000
    high = np.round(6400 * np.sin(2 * np.pi * 130 * seconds)).astype(np.int32)
    neuroscan.write(recording.path, NAMES, 1000, np.tile(high, (66, 1)), 1 / 64)
    inner = [s.data[:, 20:-20] for s in SeedV().read(recording)]  # the last ends with the recording
    assert max(np.abs(x).max() for x in inner) < 0.5  # of 100 microvolt


def test_inventory(folder):
    raw = folder / "EEG_raw"
    for name in ("12_1_20180411.cnt", "12_3_20180413.cnt", "._3_2_20180411.cnt",
                 "17_1_20180411.cnt", "3_4_20180411.cnt", "3_20180411_1.cnt"):
        shutil.copy(raw / "3_2_20180411.cnt", raw / name)
    found = SeedV().inventory(folder.parent)
    assert [(r.subject, r.session) for r in found.recordings] == [(3, 2), (12, 1), (12, 3)]
    assert found.recordings[0].others == (folder / "trial_start_end_timestamp.txt",)
    assert {p.name for p, _ in found.skipped} == {
        "._3_2_20180411.cnt", "17_1_20180411.cnt", "3_4_20180411.cnt", "3_20180411_1.cnt"}
    assert found.missing[0].startswith("14 of 16 subjects are missing: 1, 2, 4")
    shutil.copy(raw / "3_2_20180411.cnt", raw / "3_2_20180412.cnt")
    with pytest.raises(DataError, match="one file for subject 3 in session 2"):
        SeedV().inventory(folder)


def test_labels_and_clips(folder):
    infos, notices = trials_of(folder)
    assert [int(infos[n].values["class"]) for n in range(1, 16)] == list(facts.SEED_V_LABELS[1])
    assert (infos[5].stimulus, infos[5].order) == (15 + 5, 4)
    assert notices == []


def test_without_the_owners_files_the_published_ones_and_notices(folder):
    (folder / "Emotion_label_and_stimuli order.xlsx").unlink()
    (folder / "trial_start_end_timestamp.txt").unlink()
    infos, notices = trials_of(folder)
    assert [int(infos[n].values["class"]) for n in range(1, 16)] == list(facts.SEED_V_LABELS[1])
    assert "the published labels are used" in notices[1]
    assert "cut at the published times" in notices[0]
    with pytest.raises(DataError, match=r"trial 1: .* the recording, found 30 to 267 s of 46"):
        SeedV().read(only(folder))


def test_another_table_of_labels_is_used_and_told(folder):
    changed = [list(s) for s in facts.SEED_V_LABELS]
    changed[1][0] = 3
    table(folder / "Emotion_label_and_stimuli order.xlsx", changed)
    infos, notices = trials_of(folder)
    assert infos[1].values["class"] == 3
    assert "differ from the published ones" in notices[0]


@pytest.mark.parametrize(("labels", "found"), [
    ([[0] * 15, [0] * 14, [0] * 15], "session 2: expected 15 emotions among"),
    ([[0] * 15, [0] * 15, [0] * 16], "session 3: expected 15 emotions among"),
])
def test_strange_tables_are_refused(folder, labels, found):
    table(folder / "Emotion_label_and_stimuli order.xlsx", labels)
    with pytest.raises(DataError, match=found):
        trials_of(folder)


@pytest.mark.parametrize(("text", "found"), [
    (times(sessions=(1, 3)), "session 2: .* found no such lists"),
    (times(range(1, 40, 3)), "session 2: .* found 13 and 13"),
    (times().replace("[1, 4,", "[1, x,"), "session 2: .* in whole seconds"),
    (times().replace("[1, 4,", "[4, 1,"), "trials one after another"),
    (times(length=4), "trials one after another"),
    (times(length=0), "trials one after another"),
    (times(range(2, 47, 3)), r"trial 15: .* found 44 to 47 s of 46 s"),
])
def test_strange_times_are_refused(folder, text, found):
    (folder / "trial_start_end_timestamp.txt").write_text(text)
    with pytest.raises(DataError, match=found):
        SeedV().read(only(folder))


@pytest.mark.parametrize(("changes", "found"), [
    ({"names": [*NAMES[:-3], "XX", "HEO", "VEO"]}, "62 channels by name, each once, found no CB2"),
    ({"names": [*NAMES[:-1], "HEO"]}, "each once"),
    ({"rate": 500}, r"a multiple of 200 samples per second, found 500"),
    ({"rate": 100}, r"found 100"),
    ({"scale": 0.0}, "a calibration of each channel, found none of FP1"),
])
def test_other_recordings_are_refused(folder, changes, found):
    write_recording(only(folder).path, **changes)
    with pytest.raises(DataError, match=found):
        SeedV().read(only(folder))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_features_are_windows_by_channel_by_band(folder, protocol):
    features(folder / "EEG_DE_features" / "3_123.npz", protocol=protocol)
    found = SeedV().inventory(folder, "official")
    assert [(r.subject, r.session) for r in found.recordings] == [(3, 1), (3, 2), (3, 3)]
    signals = SeedV().read(found.recordings[1], "official")
    assert signals[4].data.shape == (62, 3, 5)
    assert signals[4].data[7, 2, 3] == pytest.approx(15 + 4 + (7 * 5 + 3) / 1000)
    assert SeedV().official(found, "").window_s == 4.0
    with pytest.raises(UnknownNameError):
        SeedV().official(found, "psd")
    infos = SeedV().trials(found, found.recordings[2], [])
    assert [int(infos[n].values["class"]) for n in range(1, 16)] == list(facts.SEED_V_LABELS[2])


class Runs:
    """Writes a file when unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize(("change", "found"), [
    (lambda d, k: d.pop(44), "keys 30 to 44 of session 3, found no 44"),
    (lambda d, k: k.pop(40), "keys 30 to 44 of session 3, found no 40"),
    (lambda d, k: d.update({31: np.zeros((3, 309))}), r"trial 2 of session 3: .* found \(3, 309\)"),
    (lambda d, k: d.update({31: np.zeros((0, 310))}), r"found \(0, 310\)"),
    (lambda d, k: k.update({31: np.array([0.0, 1.0, 0.0])}), "one class among .* found 0, 1"),
    (lambda d, k: k.update({31: np.full(3, 2.5)}), "one class among .* found 2.5"),
    (lambda d, k: d.update({31: "text"}), "'text' as '31', which was refused"),
    (lambda d, k: d.update({31: Runs()}), "the global posix.mkdir, which was refused"),
    (lambda d, k: k.update({31: Runs()}), "the global posix.mkdir, which was refused"),
])
def test_strange_features_are_refused_and_nothing_is_run(folder, change, found, monkeypatch):
    monkeypatch.chdir(folder)
    features(folder / "EEG_DE_features" / "3_123.npz", change)
    inventory = SeedV().inventory(folder, "official")
    with pytest.raises(DataError, match=found):
        everything(SeedV(), inventory.root, "official")
    assert not (folder / "ran").exists()


def test_an_npz_of_objects_is_refused(folder):
    path = folder / "EEG_DE_features" / "3_123.npz"
    np.savez(path, data=np.array({0: Runs()}, object), label=np.array(b"x"))
    with pytest.raises(DataError, match="a pickled dict of numeric arrays"):
        SeedV().read(only(folder, "official"), "official")


def test_missing_corpus(tmp_path):
    with pytest.raises(MissingCorpusError, match="EEG_raw") as caught:
        SeedV().inventory(tmp_path)
    assert SeedV.layout in caught.value.hint
    (tmp_path / "EEG_raw").mkdir()
    with pytest.raises(MissingCorpusError, match="holds no recording of SEED-V"):
        SeedV().inventory(tmp_path)


@pytest.mark.parametrize(("task", "expected"), [
    (None, ["disgust", "fear", "sad", "neutral", "happy"]),
    ("3", [None, None, "negative", "neutral", "positive"]),
    ("3-all-negative", ["negative", "negative", "negative", "neutral", "positive"]),
])
def test_tasks(task, expected):
    chosen = SeedV().task(task)
    labels = [chosen.label({"class": float(c)}, LabelRule()) for c in range(5)]
    assert [None if i is None else chosen.classes[i] for i in labels] == expected


def test_simulated_corpus(simulated):
    adapter, notices = SeedV(), []
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert len(inventory.recordings) == 2
    for recording in inventory.recordings:
        plans = adapter.design(RECIPE, recording.subject, recording.session)
        infos = adapter.trials(inventory, recording, notices)
        signals = adapter.read(recording)
        assert [s.data.shape for s in signals] == [(62, p.samples) for p in plans]
        assert [infos[p.number].values for p in plans] == [p.values for p in plans]
        generator = adapter.generator(RECIPE)
        for p, s in list(zip(plans, signals, strict=True))[3:5]:
            true = generator.signal(recording.subject, recording.session, p.number, p.order,
                                    p.emotion, p.samples)
            inner = slice(100, -100)
            assert np.corrcoef(true[7, inner], s.data[7, inner])[0, 1] > 0.99
    assert notices == []
    assert everything(adapter, simulated, "official") == 2 * 15


def test_published_times_give_the_known_windows():
    plans = [SeedV().design(Recipe(length=1.0), 1, s) for s in (1, 2, 3)]
    assert [sum(p.samples // 800 for p in plan) for plan in plans] == [681, 541, 601]


def test_simulation_is_reproducible(simulated, tmp_path):
    SeedV().simulate(tmp_path, Recipe(subjects=1, sessions=1, length=0.01))
    for name in ("EEG_raw/1_1_20180401.cnt", "emotion_label_and_stimuli_order.xlsx"):
        assert (tmp_path / "SEED-V" / name).read_bytes() == \
            (simulated / "SEED-V" / name).read_bytes()


def test_engine_reads_it_and_notices_other_times(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "copy"
    shutil.copytree(simulated, root)
    reading = read_corpus("SEED-V:3", root, ReadOptions(sessions="all"))
    kept = sum(label > 1 for labels in facts.SEED_V_LABELS[:2] for label in labels)
    assert len(np.unique(reading.windows.trial_key())) == kept
    path = root / "SEED-V" / "trial_start_end_timestamp.txt"
    path.write_text(path.read_text().replace("start_second: [2,", "start_second: [1,"))
    assert read_corpus("SEED-V:3", root, ReadOptions(sessions="all")).digest != reading.digest


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("small_v")
    write_recording(root / "EEG_raw" / "3_2_20180411.cnt", seconds=16,
                    marks=[(1000, 1), (2000, 2)])
    features(root / "EEG_DE_features" / "3_123.npz")
    (root / "trial_start_end_timestamp.txt").write_text(times(range(15), 1))
    table(root / "emotion_label_and_stimuli_order.xlsx")
    return root


FILES = [("EEG_raw/3_2_20180411.cnt", "bench"), ("trial_start_end_timestamp.txt", "bench"),
         ("emotion_label_and_stimuli_order.xlsx", "bench"),
         ("EEG_DE_features/3_123.npz", "official")]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_mutants_are_refused_in_words(small, name, kind):
    assert survive(SeedV(), small, small / name, range(14), kind) > 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), FILES)
def test_hundreds_of_mutants_are_refused_in_words(small, name, kind):
    assert survive(SeedV(), small, small / name, range(100, 400), kind) > 50
