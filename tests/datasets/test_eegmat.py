"""EEGMAT: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutants import everything, survive

from bench.data.reading import read_corpus
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.datasets.eegmat import Eegmat
from bench.datasets.shared import edf
from bench.errors import DataError, MissingCorpusError, SettingError

RECIPE = Recipe(subjects=3, length=0.02)
OLD = ("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4", "O1",
       "O2", "Fz", "Cz", "Pz")
NAMES = (*(f"EEG {n}" for n in OLD), "EEG A2-A1", "ECG ECG")


def write(path: Path, seconds: int = 25, names=NAMES, rate: int = 500, scale: float = 10.0) -> None:
    """Channel k varies around nothing with a standard deviation of about 10 + k microvolt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    sizes = scale * (1 + np.arange(len(names))[:, None] / 10)
    edf.write(path, names, rate, sizes * rng.normal(size=(len(names), seconds * rate)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Subject00_1", "Subject00_2", "Subject10_1", "Subject10_2", "Subject09_1"):
        write(tmp_path / "x" / "eegmat" / f"{name}.edf", 42 if name.endswith("_1") else 25)
    (tmp_path / "x" / "eegmat" / "subject-info.csv").write_text("Subject\n")
    return tmp_path


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("eegmat")
    Eegmat().simulate(root, RECIPE)
    return root


def test_inventory_orders_people_as_numbers_and_says_what_is_missing(folder):
    (folder / "x" / "eegmat" / "Subject36_1.edf").write_bytes(b"x")
    found = Eegmat().inventory(folder)
    assert [(r.subject, r.path.stem[-1]) for r in found.recordings] == [
        (0, "1"), (0, "2"), (9, "1"), (10, "1"), (10, "2")]
    assert found.missing[0].startswith("33 of 36 subjects are missing: 1, 2, 3")
    assert found.missing[1] == "subject 9 has no Subject09_2.edf"
    assert found.skipped[0][1] == "EEGMAT has subjects 0 to 35, not 36"


def test_trials_are_pieces_of_ten_seconds_by_name(folder):
    adapter = Eegmat()
    found = adapter.inventory(folder)
    rest, task = (adapter.read(r) for r in found.recordings[:2])
    assert [t.number for t in rest] == [1, 2, 3, 4]
    assert [t.number for t in task] == [101, 102]
    assert {t.data.shape for t in (*rest, *task)} == {(19, 5000)}
    infos = adapter.trials(found, found.recordings[1], [])
    assert infos[101].values == {"class": 2.0}
    assert infos[102].order > infos[101].order
    # The ears and the heart are left out; T3 is T7.
    spread = np.concatenate([t.data for t in rest], axis=1).std(axis=1)
    assert spread == pytest.approx(10 + np.arange(19), rel=0.03)
    assert list(adapter.channels)[6] == "T7"


def test_channels_are_matched_by_name(folder):
    path = folder / "x" / "eegmat" / "Subject00_1.edf"
    order = np.random.default_rng(0).permutation(21)
    write(path, names=[NAMES[i] for i in order])
    found = Eegmat().inventory(folder).recordings[0]
    data = np.concatenate([t.data for t in Eegmat().read(found)], axis=1).std(axis=1)
    place = {int(o): i for i, o in enumerate(order)}
    assert data == pytest.approx([10 + place[k] for k in range(19)], rel=0.05)


@pytest.mark.parametrize(("changes", "found"), [
    ({"names": NAMES[1:]}, "19 channels by name, each once, found none or several of FP1"),
    ({"names": (*NAMES, "EEG Fp1")}, "found none or several of FP1"),
    ({"rate": 250}, "500 samples per second, found 250"),
    ({"seconds": 9}, "a recording of 10 to 990 s, found 9 s"),
    ({"scale": 1e-3}, "EEG in volt or in microvolt"),
])
def test_strange_recordings_are_refused(folder, changes, found):
    path = folder / "x" / "eegmat" / "Subject00_1.edf"
    write(path, **changes)
    with pytest.raises(DataError, match=found):
        Eegmat().read(Eegmat().inventory(folder).recordings[0])


def test_refusals_of_a_folder(tmp_path):
    with pytest.raises(MissingCorpusError, match=r"no file Subject00_1\.edf") as caught:
        Eegmat().inventory(tmp_path)
    assert "bench data get EEGMAT" in caught.value.hint
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "Subject00_1.edf").write_bytes(b"x")
    with pytest.raises(DataError, match="one folder with recordings of EEGMAT, found 2"):
        Eegmat().inventory(tmp_path)
    with pytest.raises(SettingError, match="distribute no features"):
        Eegmat().inventory(tmp_path / "one", "official")


def test_simulated_corpus(simulated, tmp_path, monkeypatch):
    adapter, notices = Eegmat(), []
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert len(inventory.recordings) == 6
    for recording in inventory.recordings:
        signals, infos = adapter.read(recording), adapter.trials(inventory, recording, notices)
        assert len(signals) == 4
        assert {s.number for s in signals} <= set(infos)
    assert len(notices) == 1
    assert "few-shot calibrates and tests on the same recording" in notices[0]
    assert adapter.pieces_s == 10
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus("EEGMAT", simulated)
    assert reading.windows.labels == ("rest", "arithmetic")
    assert len(np.unique(reading.windows.trial_key())) == 3 * 8
    assert reading.windows.y.mean() == 0.5


@pytest.fixture
def small(tmp_path) -> Path:
    for k in (1, 2):
        write(tmp_path / f"Subject00_{k}.edf", 12)
    write_marker(tmp_path, "EEGMAT", Recipe(subjects=1))
    assert everything(Eegmat(), tmp_path) == 4
    return tmp_path


def test_mutants_are_refused_in_words(small):
    assert survive(Eegmat(), small, small / "Subject00_1.edf", range(14)) > 3


@pytest.mark.slow
def test_hundreds_of_mutants_are_refused_in_words(small):
    assert survive(Eegmat(), small, small / "Subject00_1.edf", range(100, 400)) > 60
