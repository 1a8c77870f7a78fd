"""Recordings of NeuroScan: against MNE, which shares no code with our reader."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from bench.datasets.shared import neuroscan
from bench.errors import DataError

NAMES = ("FP1", "T3", "CZ", "M1")
MARKS = [(40, 1), (250, 2), (600, 3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1.cnt"


def numbers(samples: int = 1200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-30_000, 30_000, (len(NAMES), samples), np.int32)


def change(path: Path, place: int, form: str, value: float) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, place, value)
    path.write_bytes(content)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.filterwarnings("ignore")
def test_values_and_marks_are_those_that_mne_reads(path, width):
    import mne

    neuroscan.write(path, NAMES, 1000, numbers(), 0.25, MARKS, width)
    change(path, 900 + 75 + 47, "<h", 17)  # a baseline, of the second channel
    change(path, 900 + 2 * 75 + 71, "<f", 1.5)  # a calibration, of the third
    theirs = mne.io.read_raw_cnt(path, data_format=f"int{8 * width}", verbose="ERROR")
    ours = neuroscan.header(path)
    assert (list(ours.names), ours.rate, ours.samples) == (theirs.ch_names, 1000, theirs.n_times)
    rows = np.array([3, 1, 2])
    np.testing.assert_allclose(neuroscan.signal(ours, rows, 100, 900),
                               theirs.get_data(picks=rows, start=100, stop=900) * 1e6, rtol=1e-6)
    # MNE's onsets are a sample early.
    onsets = np.round(theirs.annotations.onset * 1000).astype(int) + 1
    assert [s for s, _ in neuroscan.events(ours)] == onsets.tolist() == [s for s, _ in MARKS]
    assert [str(c) for _, c in neuroscan.events(ours)] == list(theirs.annotations.description)


@pytest.mark.filterwarnings("ignore")
def test_blocks_of_samples_are_read_as_mne_reads_them(path):
    import mne

    data = numbers()
    blocks = data.reshape(len(NAMES), -1, 40).transpose(1, 0, 2).reshape(-1, len(NAMES)).T
    neuroscan.write(path, NAMES, 1000, blocks, 1.0, MARKS, 2)
    change(path, 894, "<i", 80)
    theirs = mne.io.read_raw_cnt(path, data_format="int16", verbose="ERROR").get_data() * 1e6
    ours = neuroscan.header(path)
    rows = np.arange(len(NAMES))
    for start, stop in ((0, 1200), (37, 41), (80, 120), (1, 1199)):
        mine = neuroscan.signal(ours, rows, start, stop)
        np.testing.assert_allclose(mine, data[:, start:stop])
        np.testing.assert_allclose(mine, theirs[:, start:stop], rtol=1e-6)


def test_events_of_the_other_kinds(path):
    neuroscan.write(path, NAMES, 1000, numbers(), 1.0, MARKS)
    ours = neuroscan.header(path)
    table = ours.start + ours.samples * ours.frame
    content = path.read_bytes()[:table]
    first = struct.pack("<HBbi", 7, 0, 0, ours.start + 25 * ours.frame)
    path.write_bytes(content + struct.pack("<Bii", 1, len(first), 0) + first)
    assert neuroscan.events(ours) == [(25, 7)]
    path.write_bytes(content + struct.pack("<Bii", 9, 8, 0) + first)
    with pytest.raises(DataError, match="a table of events, found one of kind 9"):
        neuroscan.events(ours)
    path.write_bytes(content)
    with pytest.raises(DataError, match="a table of events"):
        neuroscan.events(ours)


@pytest.mark.parametrize(("place", "form", "value", "found"), [
    (370, "<H", 0, "found 0 channels at 1000 Hz"), (370, "<H", 60_000, "60000 channels"),
    (370, "<H", 5, "1200 samples of 5 channels in 2 or 4 bytes each"),
    (376, "<H", 0, "channels at 0 Hz"), (864, "<i", 0, "0 samples"), (864, "<i", -5, "-5 samples"),
    (864, "<i", 1300, "1300 samples of 4 channels"), (886, "<i", 5000, "bytes before the events"),
    (894, "<i", 3 * 4 * 7, "blocks that fit 1200 samples, found blocks of 21"),
    (900 + 59, "<f", float("nan"), "a calibration of each channel, found none of FP1"),
])
def test_headers_that_cannot_be_are_refused(path, place, form, value, found):
    neuroscan.write(path, NAMES, 1000, numbers(), 1.0, MARKS)
    change(path, place, form, value)
    with pytest.raises(DataError, match=found):
        neuroscan.header(path)


def test_other_and_torn_files_are_refused(path):
    neuroscan.write(path, NAMES, 1000, numbers(), 1.0, MARKS)
    content = path.read_bytes()
    for part in (b"", b"x" * 2000, content[:700], content[:1000], content[:5000]):
        path.write_bytes(part)
        with pytest.raises(DataError):
            neuroscan.header(path)


def test_trials_keep_their_place_when_the_rate_is_lowered(path):
    time = np.arange(20_000) / 1000
    wave = np.round(10_000 * np.sin(2 * np.pi * 7 * time)).astype(np.int32)
    neuroscan.write(path, NAMES, 1000, np.tile(wave, (4, 1)), 0.01)
    cuts = {1: (1500, 4503), 2: (0, 2000), 3: (18_000, 20_000)}
    signals = neuroscan.trials(neuroscan.header(path), cuts, ("Cz", "T7"), 200)
    assert [s.data.shape for s in signals] == [(2, 600), (2, 400), (2, 400)]
    for signal, (start, _) in zip(signals, cuts.values(), strict=True):
        now = start / 1000 + np.arange(signal.data.shape[1]) / 200
        inner = slice(20, -20)
        assert np.abs(signal.data - 100 * np.sin(2 * np.pi * 7 * now))[:, inner].max() < 0.5
