"""SAM40: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutants import everything, inner_mutant, survive
from scipy.io import savemat

from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.datasets.sam40 import Sam40
from bench.errors import DataError, MissingCorpusError, SettingError

RECIPE = Recipe(subjects=2, length=0.02)
TASKS = ("Relax", "Arithmetic", "Mirror_image", "Stroop")


def trial(subject: int, task: int, repeat: int, samples: int = 3200) -> np.ndarray:
    rng = np.random.default_rng([subject, task, repeat])
    return 1000 * subject + 100 * task + 10 * repeat + rng.normal(0, 5, (32, samples))


def write(root: Path, subjects=(1, 2, 10), samples: int = 3200) -> Path:
    folder = root / "filtered_data"
    folder.mkdir(parents=True)
    for subject in subjects:
        for k, task in enumerate(TASKS):
            for repeat in (1, 2, 3):
                savemat(folder / f"{task}_sub_{subject}_trial{repeat}.mat",
                        {"Clean_data": trial(subject, k, repeat, samples)})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "Data")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sam40")
    Sam40().simulate(root, RECIPE)
    return root


def test_every_trial_and_every_subject_is_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    found = Sam40().inventory(tmp_path)
    assert len(found.recordings) == 36
    assert [r.subject for r in found.recordings[::12]] == [1, 2, 10]
    assert found.missing[0].startswith("444 of 480 trials are missing: Relax_sub_3_trial1.mat, ")
    reading = read_corpus("SAM40:4", tmp_path, ReadOptions())  # of the first session: 12 files
    windows = reading.windows
    assert len(np.unique(windows.trial_key())) == 36
    assert np.unique(windows.subject).tolist() == [1, 2, 10]
    assert np.bincount(windows.y).tolist() == [225] * 4
    rest = read_corpus("SAM40", tmp_path).windows
    assert rest.labels == ("rest", "arithmetic")
    assert len(np.unique(rest.trial_key())) == 18


def test_class_and_number_are_those_of_the_name(folder, tmp_path):
    adapter = Sam40()
    found = adapter.inventory(tmp_path)
    for recording in found.recordings:
        (signal,), infos = adapter.read(recording), adapter.trials(found, recording, [])
        task, repeat = (signal.number - 1) // 3, (signal.number - 1) % 3 + 1
        assert recording.path.name == f"{TASKS[task]}_sub_{recording.subject}_trial{repeat}.mat"
        assert signal.data.mean() == pytest.approx(
            1000 * recording.subject + 100 * task + 10 * repeat, abs=1)
        assert infos[signal.number].values == {"class": task}
        assert infos[signal.number].order is None


def test_whichever_file_changes_the_digest_does(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    digests = {read_corpus("SAM40:4", folder).digest}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        digests.add(read_corpus("SAM40:4", folder).digest)
        path.write_bytes(content)
    assert len(digests) == 1 + 36


def test_the_filtered_recordings_are_taken(folder, tmp_path):
    raw = tmp_path / "Data" / "raw_data"
    raw.mkdir()
    savemat(raw / "Relax_sub_1_trial1.mat", {"Data": trial(1, 0, 1)})
    assert Sam40().inventory(tmp_path).root == folder
    with pytest.raises(DataError, match="a variable Clean_data, found none") as caught:
        Sam40().read(Sam40().inventory(raw).recordings[0])
    assert "raw_data is not filtered" in caught.value.hint


@pytest.mark.parametrize(("value", "found"), [
    (np.ones((32, 3199)), r"shape \(32, 3200\), .* found \(32, 3199\)"),
    (np.ones((3200, 32)), r"found \(3200, 32\)"),
    (np.ones((32, 3, 3200)), r"found \(32, 3, 3200\)"), ("text", "a numeric array"),
])
def test_strange_trials_are_refused(folder, tmp_path, value, found):
    savemat(folder / "Relax_sub_1_trial1.mat", {"Clean_data": value})
    with pytest.raises(DataError, match=found):
        Sam40().read(Sam40().inventory(tmp_path).recordings[0])


def test_refusals_of_a_folder(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (folder / "Relax_sub_41_trial1.mat").write_bytes(b"x")
    (folder / "Relax_sub_1_trial4.mat").write_bytes(b"x")
    (folder / "._Relax_sub_1_trial1.mat").write_bytes(b"x")
    (folder / "notes.mat").write_bytes(b"x")
    skipped = {p.name: why for p, why in Sam40().inventory(tmp_path).skipped}
    assert skipped["Relax_sub_41_trial1.mat"].startswith("SAM40 has subjects 1 to 40")
    assert set(skipped) == {"Relax_sub_41_trial1.mat", "Relax_sub_1_trial4.mat", "notes.mat",
                            "._Relax_sub_1_trial1.mat"}
    (folder / "Relax_sub_01_trial1.mat").write_bytes(b"x")
    with pytest.raises(DataError, match="one file for Relax trial 1 of subject 1"):
        Sam40().inventory(tmp_path)
    with pytest.raises(SettingError, match="distribute no features"):
        Sam40().inventory(tmp_path, "official")
    with pytest.raises(MissingCorpusError, match="no file Arithmetic_sub_1_trial1"):
        Sam40().inventory(empty)


def test_simulated_corpus(simulated, tmp_path, monkeypatch):
    adapter = Sam40()
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    assert len(inventory.recordings) == 24
    for recording in inventory.recordings:
        plans = {p.number: p for p in adapter.design(RECIPE, recording.subject, 1)}
        (signal,) = adapter.read(recording)
        assert signal.data.shape == (32, plans[signal.number].samples)
    y, p, _ = adapter.attainable(RECIPE, 1, 1, {n: (n - 1) // 3 for n in range(1, 7)}, 2)
    assert (p.argmax(1) == y).mean() > 0.7


def test_open_corpora_share_their_classes(simulated, tmp_path, monkeypatch):
    from bench.data.channels import common_channels
    from bench.data.labels import shared_classes
    from bench.datasets.eegmat import Eegmat

    label_map, classes = shared_classes(Eegmat.tasks[0].classes, Sam40.tasks[0].classes)
    assert (label_map.name, classes) == ("identity", ("rest", "arithmetic"))
    assert len(common_channels(Eegmat.channels, Sam40.channels)) == 19


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compressed"])
def small(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("small_sam40")
    folder = write(root, subjects=(1,), samples=768)
    for path in folder.iterdir():
        savemat(path, {"Clean_data": trial(1, 0, 1, 768).astype(np.float32)},
                do_compression=request.param)
    write_marker(folder, "SAM40", Recipe(subjects=1))
    assert everything(Sam40(), root) == 12
    return root, folder / "Relax_sub_1_trial1.mat", request.param


def mutants(small, seeds) -> int:
    root, path, compressed = small
    refused = survive(Sam40(), root, path, seeds)
    return refused + (survive(Sam40(), root, path, seeds, change=inner_mutant) if compressed else 0)


def test_mutants_are_refused_in_words(small):
    assert mutants(small, range(14)) > 3


@pytest.mark.slow
def test_hundreds_of_mutants_are_refused_in_words(small):
    assert mutants(small, range(100, 400)) > 100
