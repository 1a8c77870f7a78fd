"""BIDS folders: made-up ones, and the sidecars of three real corpora that break a naive reader."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from bench.datasets.shared import bids, edf, matlab, tables
from bench.datasets.shared.foreign.look_bids import oddities
from bench.datasets.shared.ingest import IngestReport
from bench.datasets.shared.recordings import open_recording
from bench.errors import DataError, MissingCorpusError

from foreign import SIDECARS, bids_folder, sidecars, write_set


def dens(folder: Path, subject: str = "mit003") -> tuple[Path, list[dict[str, str]]]:
    """DENS's sidecars, with a recording in the stated shape for one subject.

    132 channels at 250 Hz. Only the stretches of trials hold signals; the rest is a hole.
    """
    root = sidecars("ds003751", folder)
    place = root / f"sub-{subject}" / "eeg"
    rows = tables.rows(place / f"sub-{subject}_task-emotion_events.tsv")
    length = float(tables.object_of(place / f"sub-{subject}_task-emotion_eeg.json")
                   ["RecordingDuration"])
    names = [*(f"E{i}" for i in range(1, 119)), "Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2",
             "T7", "T8", "Cz", "ECG", "EMG1", "EMG2"]
    path = place / f"sub-{subject}_task-Emotion_eeg.set"
    events = [(float(r["onset"]) / 250, 0.0, r["trial_type"]) for r in rows]
    samples = round(length * 250)
    _set_points(path, names, events, samples)
    rng = np.random.default_rng(0)
    with path.with_suffix(".fdt").open("wb") as file:
        file.truncate(4 * len(names) * samples)
    stored = np.memmap(path.with_suffix(".fdt"), "<f4", "r+", shape=(samples, len(names)))
    starts = [round(float(r["onset"])) for r in rows if r["trial_type"] == "stm"]
    for at in starts:
        stored[at : at + 16 * 250] = rng.normal(size=(16 * 250, len(names))) * 10
    stored.flush()
    return root, rows


def _set_points(path, names, events, samples):
    """A file that says it has so many samples, without their being made."""
    write_set(path, names, 250, np.zeros((len(names), 1)), events)
    whole = loadmat(str(path))["EEG"]
    whole["pnts"][0, 0] = np.array([[float(samples)]])
    matlab.write(path, {"EEG": whole}, compress=True)


# --- DENS --------------------------------------------------------------------------------------

@pytest.mark.parametrize("subject", ["mit003", "mit007", "mit014"])
def test_onsets_of_dens_are_samples_and_not_milliseconds(subject):
    """A click is told twice: in samples among the events, in seconds of its clip in beh/."""
    root = SIDECARS / "ds003751" / f"sub-{subject}"
    rows = tables.rows(root / "eeg" / f"sub-{subject}_task-emotion_events.tsv")
    said = tables.object_of(root / "eeg" / f"sub-{subject}_task-emotion_eeg.json")
    unit, why = bids.time_unit([float(r["onset"]) for r in rows], said["RecordingDuration"],
                               said["SamplingFrequency"])
    assert unit == "samples"
    assert "beyond the recording" in why
    clicks = {r["stimuliName"].split(".")[0]:
              [float(v) for v in re.findall(r"[\d.]+", r["MouseClick"])]
              for r in tables.rows(root / "beh" / f"sub-{subject}_task-Emotion_beh.tsv")}
    clip, start, seen = "", 0.0, 0
    for row in rows:
        if row["trial_type"] == "stm":
            clip, start = row["label"].rpartition("_")[0], float(row["onset"])
        elif row["trial_type"] == "clic":
            seconds = (float(row["onset"]) - start) / 250
            assert any(abs(seconds - told) < 0.1 for told in clicks[clip])
            seen += 1
    assert seen >= 3


def test_dens_is_read_at_the_right_seconds_with_its_ratings(tmp_path):
    root, rows = dens(tmp_path)
    report = IngestReport()
    found = bids.dataset(root, report=report)
    (recording,) = found.recordings
    assert recording.events_path.name == "sub-mit003_task-emotion_events.tsv"
    opened = open_recording(recording.path)
    assert (len(opened.names), opened.rate) == (132, 250)
    events, unit, why = recording.events(None, opened.seconds, opened.rate, opened.marks)
    assert unit == "samples"
    assert "own annotations" in why
    shown = [e for e in events if e.get("trial_type") == "stm"]
    assert len(shown) == 11
    assert shown[0].onset == pytest.approx(123630.993068 / 250)
    own = [m.onset for m in opened.marks]
    np.testing.assert_allclose([e.onset for e in events], own, atol=1e-6)
    data = opened.cut(["Fp1", "Cz"], shown[0].onset, shown[0].onset + 15, 250, "V")
    assert data.shape == (2, 3750)
    assert data.std() == pytest.approx(10, rel=0.1)
    ratings = bids.behaviour(recording)
    assert [r["stimuliName"].partition(".")[0] for r in ratings] == [
        e.get("label").rpartition("_")[0] for e in shown]
    assert [float(r["valence"]) for r in ratings[:3]] == [8.97, 9.0, 7.01]
    oddities(found, report, {recording.path: opened})
    said = report.words()
    for odd in ("not in seconds", "samples", "task-Emotion and task-emotion", "beh/*.tsv",
                "'emotionCateg' holds Python objects", "ODbL (README)", "CC0",
                "duration is 1000", "sub-mit007, sub-mit014"):
        assert odd in said


def test_a_subject_without_ratings_is_named(tmp_path):
    root = sidecars("ds003751", tmp_path)
    for subject in ("mit014", "mit074"):
        write_set(root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-Emotion_eeg.set",
                  ["Fp1", "Fp2"], 250, np.random.default_rng(0).normal(size=(2, 500)))
    report = IngestReport()
    found = bids.dataset(root, report=report)
    oddities(found, report)
    assert "no ratings of sub-mit074" in report.words()


# --- film music --------------------------------------------------------------------------------

def film_music(folder: Path) -> Path:
    """Sidecars of ds002721, with recordings of 19 channels at 1000 Hz for one subject."""
    root = sidecars("ds002721", folder)
    rng = np.random.default_rng(1)
    for path in sorted((root / "sub-01" / "eeg").glob("*_channels.tsv")):
        names = [r["name"] for r in tables.rows(path)]
        events = tables.rows(path.with_name(path.name.replace("channels", "events")))
        seconds = int(max(float(r["onset"]) for r in events)) + 21
        edf.write(path.with_name(path.name.replace("channels.tsv", "eeg.edf")), names, 1000,
                  rng.normal(size=(len(names), 1000)).repeat(seconds, 1)[:, : seconds * 1000] * 15
                  + rng.normal(size=(len(names), 1)))
    return root


def test_film_music_and_what_is_odd_in_it(tmp_path):
    root, report = film_music(tmp_path), IngestReport()
    found = bids.dataset(root, report=report)
    mine = [r for r in found.recordings if r.here]
    assert [r.task for r in mine] == ["run1", "run2", "run3", "run6"]
    assert {(r.number, r.session_number) for r in mine} == {(1, 1)}
    opened = {r.path: open_recording(r.path) for r in mine}
    events, unit, _ = mine[1].events(None, opened[mine[1].path].seconds, 1000.0)
    assert unit == "s"
    music = [e.onset for e in events if e.get("trial_type") == "788"]
    assert music == [5.689, 65.482, 119.31, 172.721, 224.824, 280.979, 332.337, 387.911, 442.642,
                     505.668]
    assert bids.levels(mine[1])["800"].startswith("Question 01")
    assert ("T3", "EEG", "microV", True) in bids.channels_of(mine[1])
    oddities(found, report, opened)
    said = report.words()
    for odd in ("T3 is T7, T4 is T8, T5 is P7, T6 is P8", "bare numbers",
                "no row says that it is a trial", "257: artifact:EOG", "259: artifact:EMG",
                "263: artifact:50/60 Hz",
                "duration is 20", "no trials: rest, perhaps (sub-01_task-run1", "12 s, 20 s",
                "CC BY (README)", "codes are not among those that *_events.json explains"):
        assert odd in said


# --- EmoEEG-MC ---------------------------------------------------------------------------------

def emoeeg(folder: Path) -> Path:
    """Sidecars of ds005540, with recordings at 600 Hz whose annotations are the subject's codes."""
    root = sidecars("ds005540", folder)
    rng = np.random.default_rng(2)
    names = re.findall(r"'(\w+)'", re.search(r"'Fp1', 'Fpz'.*?'TP10'",
                                             (root / "README.md").read_text(), re.DOTALL)[0])
    codes = {"02": (33, 31, 32, 30), "03": (33, 31, 32, 30), "05": (6, 4, 5, 3)}
    for subject, (video, rating, imagery, fade) in codes.items():
        marks = [(5.0 * i, 0.0, str(c)) for i, c in enumerate([fade, imagery, rating, video] * 2)]
        edf.write(root / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-emotion_eeg.edf", names,
                  600, rng.normal(size=(len(names), 600 * 45)) * 12, marks)
    for run in ("01", "02"):
        edf.write(root / "sub-07" / "eeg" / f"sub-07_task-emotion_run-{run}_eeg.edf", names, 600,
                  rng.normal(size=(len(names), 600 * 10)) * 12, [(1.0, 0.0, "51")])
    return root


def test_emoeeg_and_what_is_odd_in_it(tmp_path):
    from bench.datasets.shared.foreign.look import Folder
    from bench.datasets.shared.foreign.proposal import propose
    from bench.errors import SettingError

    root = emoeeg(tmp_path)
    found = bids.dataset(root)
    assert found.without_data == ["01"]
    assert [(r.number, r.run) for r in found.recordings] == [
        (2, ""), (3, ""), (5, ""), (7, "01"), (7, "02")]
    opened = open_recording(found.recordings[0].path)
    assert (len(opened.names), opened.rate) == (64, 600)
    assert [(m.onset, m.text) for m in opened.marks[:3]] == [(0, "30"), (5, "32"), (10, "31")]
    assert len(bids.behaviour(found.recordings[0])) == 42
    folder = Folder(root, "EMO")
    with pytest.raises(SettingError, match="which annotations are classes"):
        propose(folder)
    said = folder.report.words()
    for odd in ("sidecar says 1200 samples a second, the recording 600", "no table of events",
                "differ from recording to recording", "has a line of codes for each of 60 subjects",
                "sub-01: a folder, and no recording"):
        assert odd in said


# --- the reader --------------------------------------------------------------------------------

def test_a_made_up_dataset(tmp_path):
    found = bids.dataset(bids_folder(tmp_path / "x"))
    assert [(r.number, r.run) for r in found.recordings] == [
        (s, r) for s in (1, 2, 3) for r in ("1", "2")]
    assert {p.suffix for p in found.recordings[0].files} == {".edf", ".tsv", ".json"}


def test_sidecars_of_the_whole_dataset_apply(tmp_path):
    root = bids_folder(tmp_path / "x", 1)
    (root / "task-x_eeg.json").write_text('{"PowerLineFrequency": 50, "SamplingFrequency": 1}')
    (root / "task-other_eeg.json").write_text('{"PowerLineFrequency": 60}')
    (root / "task-x_channels.tsv").write_text("name\ttype\tunits\nFp1\tEEG\tuV\nECG\tECG\tuV\n")
    first = bids.dataset(root).recordings[0]
    assert first.settings() == {"PowerLineFrequency": 50, "SamplingFrequency": 200}
    assert [c[:2] for c in bids.channels_of(first)] == [("Fp1", "EEG"), ("ECG", "ECG")]


@pytest.mark.parametrize(("onsets", "length", "rate", "own", "unit"), [
    ([1.0, 59.0], 60.0, 250.0, (), "s"),
    ([1.0, 1e9], None, None, (), "s"),
    ([1000.0, 59_000.0], 60.0, 250.0, (), "ms"),
    ([250.0, 14_900.0], 60.0, 250.0, (), "samples"),
    ([250.0, 14_900.0], 60.0, 250.0, (0.25, 14.9), "ms"),  # the recording's own marks decide
    ([250.0, 14_900.0], 60.0, 250.0, (1.0, 59.6), "samples"),
    ([], 60.0, 250.0, (), "s"),
])
def test_units_of_times(onsets, length, rate, own, unit):
    assert bids.time_unit(onsets, length, rate, own)[0] == unit


def test_times_that_fit_no_unit_are_refused():
    with pytest.raises(DataError, match="events within the recording's 60 s"):
        bids.time_unit([1e9], 60.0, 250.0)


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(MissingCorpusError, match="no folder sub-"):
        bids.dataset(tmp_path)
    (tmp_path / "sub-01" / "eeg").mkdir(parents=True)
    with pytest.raises(MissingCorpusError, match="no recording"):
        bids.dataset(tmp_path)


@pytest.mark.parametrize(("text", "found"), [
    ("", "a first line that names columns"), ("onset\tonset\n1\t2\n", "onset twice"),
    ("onset\tduration\n1\n", "expected 2 cells"), ("time\tx\n1\t2\n", "a column 'onset'"),
    ("onset\tx\nsoon\t2\n", "onsets that are numbers"), ("onset\0\tx\n", "expected text"),
])
def test_strange_tables_are_refused(tmp_path, text, found):
    root = bids_folder(tmp_path / "x", 1)
    recording = bids.dataset(root).recordings[0]
    recording.events_path.write_text(text)
    with pytest.raises(DataError, match=re.escape(found)) as caught:
        recording.events(None, 24.0, 200.0)
    assert recording.events_path.name in caught.value.message


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, '{"a":' * 50 + "1" + "}" * 50])
def test_strange_json_is_refused(tmp_path, text):
    root = bids_folder(tmp_path / "x", 1)
    path = bids.dataset(root).recordings[0].sidecars[0]
    path.write_text(text)
    with pytest.raises(DataError, match=path.name):
        bids.dataset(root).recordings[0].settings()


def test_a_recording_of_another_subject_is_refused(tmp_path):
    root = bids_folder(tmp_path / "x", 1)
    path = root / "sub-01" / "eeg" / "sub-01_task-x_run-1_eeg.edf"
    path.rename(path.with_name("sub-02_task-x_run-1_eeg.edf"))
    with pytest.raises(DataError, match="sub-01, as its folder"):
        bids.dataset(root)
