"""SEED-IV: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bench.data.corpus import Recording
from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker
from bench.datasets.seed_iv import SeedIV
from bench.datasets.shared import facts
from bench.errors import DataError, MissingCorpusError, UnknownNameError

RECIPE = Recipe(subjects=1, sessions=3, length=0.02)
README = "\n".join(
    f"session{i}_label = [{','.join(map(str, x))}];"
    for i, x in enumerate(facts.SEED_IV_LABELS, start=1)
)


@pytest.fixture
def seed_iv_folder(tmp_path: Path) -> Path:
    """Two subjects in three sessions; only subject 1's first file has content."""
    root = tmp_path / "iv"
    for session in (1, 2, 3):
        folder = root / "eeg_raw_data" / str(session)
        folder.mkdir(parents=True)
        for subject in (10, 9, 1):
            (folder / f"{subject}_{facts.SEED_IV_DATES[subject][session - 1]}.mat").touch()
    numbers = sorted(range(1, 25), key=str)  # as MATLAB lists them: 1, 10, 11, ...
    savemat(root / "eeg_raw_data" / "1" / "1_20160518.mat",
            {f"cz_eeg{n}": np.full((62, 400), float(n)) for n in numbers})
    (root / "ReadMe.txt").write_text(README)
    return root


@pytest.fixture(scope="session")
def seed_iv_simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("seed_iv")
    SeedIV().simulate(root, RECIPE)
    return root


def trials_of(root: Path, index: int = 0) -> tuple[dict, list[str]]:
    inventory, notices = SeedIV().inventory(root), []
    return SeedIV().trials(inventory, inventory.recordings[index], notices), notices


def test_session_is_the_folder_and_subjects_are_integers(seed_iv_folder):
    found = SeedIV().inventory(seed_iv_folder)
    assert [(r.subject, r.session) for r in found.recordings] == [
        (s, k) for s in (1, 9, 10) for k in (1, 2, 3)]
    # Subject 10's dates sort before subject 9's; subject 13's sessions span years.
    assert found.recordings[0].path.parent.name == "1"


def test_missing_and_skipped_are_told(seed_iv_folder):
    raw = seed_iv_folder / "eeg_raw_data"
    (raw / "2" / "9_20151119.mat").unlink()
    (raw / "3" / "._9_20151209.mat").touch()
    (raw / "4").mkdir()
    found = SeedIV().inventory(seed_iv_folder)
    assert found.missing[1:] == ("subject 9 has no session 2",)
    assert found.missing[0].startswith("12 of 15 subjects are missing: 2, 3, 4")
    assert {p.name for p, _ in found.skipped} == {"._9_20151209.mat", "4"}


def test_two_files_of_a_session_are_refused(seed_iv_folder):
    (seed_iv_folder / "eeg_raw_data" / "1" / "9_20151029.mat").touch()
    with pytest.raises(DataError, match="one file for subject 9 in session 1"):
        SeedIV().inventory(seed_iv_folder)


def test_trials_are_addressed_by_parsed_number(seed_iv_folder):
    signals = SeedIV().read(SeedIV().inventory(seed_iv_folder).recordings[0])
    assert [s.data[0, 0] for s in signals] == list(range(1, 25))


def test_empty_file_is_refused(seed_iv_folder):
    with pytest.raises(DataError, match="a MATLAB file"):
        SeedIV().read(SeedIV().inventory(seed_iv_folder).recordings[1])


@pytest.mark.parametrize("name", ["ReadMe.txt", "readme.TXT", "Read Me.txt"])
def test_labels_are_parsed(seed_iv_folder, name):
    changed = README.replace("session2_label = [2,1,", "session2_label = [0, 3,")
    (seed_iv_folder / "ReadMe.txt").unlink()
    (seed_iv_folder / name).write_text(f"text [1]\n{changed}")
    infos, notices = trials_of(seed_iv_folder, 1)
    assert [infos[n].values["class"] for n in (1, 2, 3)] == [0, 3, 3]
    assert infos[5].stimulus == 24 + 5
    assert infos[5].order == 4
    assert any("session2_label in " in n and "differs from the published" in n for n in notices)


@pytest.mark.parametrize("text", [None, "nothing here"])
def test_without_lists_the_published_labels_and_a_notice(seed_iv_folder, text):
    (seed_iv_folder / "ReadMe.txt").unlink()
    if text:
        (seed_iv_folder / "ReadMe.txt").write_text(text)
    infos, notices = trials_of(seed_iv_folder, 2)
    assert [infos[n].values["class"] for n in range(1, 25)] == list(facts.SEED_IV_LABELS[2])
    assert any("the published labels are used" in n for n in notices)


@pytest.mark.parametrize("labels", ["1,2,3", ",".join(["4"] * 24), ",".join(["1.5"] * 24)])
def test_strange_lists_are_refused(seed_iv_folder, labels):
    (seed_iv_folder / "ReadMe.txt").write_text(f"session1_label = [{labels}];")
    with pytest.raises(DataError, match="session1_label: expected 24 labels among 0, 1, 2, 3"):
        trials_of(seed_iv_folder)


@pytest.mark.parametrize(("task", "expected"), [
    (None, ["neutral", "sad", "fear", "happy"]),
    ("4", ["neutral", "sad", "fear", "happy"]),
    ("3", ["neutral", "negative", None, "positive"]),
    ("3-fear-negative", ["neutral", "negative", "negative", "positive"]),
])
def test_tasks(task, expected):
    chosen = SeedIV().task(task)
    labels = [chosen.label({"class": float(c)}, LabelRule()) for c in range(4)]
    assert [None if i is None else chosen.classes[i] for i in labels] == expected


def test_lengths_are_checked_per_session(seed_iv_folder):
    _, notices = trials_of(seed_iv_folder)
    assert any("trial 1: 400 samples, published 33601" in n for n in notices)
    exact = {f"cz_eeg{n + 1}": np.zeros((1, 800 * w + 1))
             for n, w in enumerate(facts.SEED_IV_WINDOWS[1])}
    path = SeedIV().inventory(seed_iv_folder).recordings[1].path
    savemat(path, exact)
    assert trials_of(seed_iv_folder, 1)[1] == []


def test_missing_corpus(tmp_path):
    with pytest.raises(MissingCorpusError, match="eeg_raw_data") as caught:
        SeedIV().inventory(tmp_path)
    assert SeedIV.layout in caught.value.hint
    (tmp_path / "eeg_raw_data" / "1").mkdir(parents=True)
    with pytest.raises(MissingCorpusError, match="holds no recording of SEED-IV"):
        SeedIV().inventory(tmp_path)


def test_official_kinds(tmp_path):
    path = tmp_path / "1_20160518.mat"
    savemat(path, {f"psd_movingAve{n}": np.full((62, 42, 5), n) for n in range(1, 25)})
    signals = SeedIV().read(Recording(path, 1, 1), "official", "psd_movingAve")
    assert signals[9].data[0, 0, 0] == 10
    with pytest.raises(UnknownNameError):
        SeedIV().read(Recording(path, 1, 1), "official", "dasm_LDS")


def test_simulated_corpus(seed_iv_simulated):
    adapter, notices = SeedIV(), []
    inventory = adapter.inventory(seed_iv_simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert len(inventory.recordings) == 3
    official = adapter.inventory(seed_iv_simulated, "official")
    assert adapter.official(official, "").window_s == 4.0
    for recording, twin in zip(inventory.recordings, official.recordings, strict=True):
        plans = adapter.design(RECIPE, recording.subject, recording.session)
        signals = adapter.read(recording)
        infos = adapter.trials(inventory, recording, notices)
        assert [s.data.shape[1] for s in signals] == [p.samples for p in plans]
        assert [infos[p.number].values for p in plans] == [p.values for p in plans]
        windows = [s.data.shape[1] for s in adapter.read(twin, "official")]
        assert windows == [(p.samples - 1) // 800 for p in plans]
    assert notices == []


def test_simulated_lengths_keep_the_true_windows():
    plans = [SeedIV().design(Recipe(length=1.0), 1, s) for s in (1, 2, 3)]
    assert [p.samples for p in plans[0]] == list(facts.SEED_IV_SAMPLES_1)
    for plan, windows in zip(plans, facts.SEED_IV_WINDOWS, strict=True):
        assert [(p.samples - 1) // 800 for p in plan] == list(windows)


def test_engine_reads_it(seed_iv_simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus("SEED-IV:3", seed_iv_simulated, ReadOptions(sessions="all"))
    kept = sum(label != 2 for labels in facts.SEED_IV_LABELS for label in labels)
    assert len(np.unique(reading.windows.trial_key())) == kept
    assert len(np.unique(reading.windows.stimulus)) == kept
