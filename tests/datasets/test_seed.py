"""SEED: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bench.data.corpus import Recording
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import MARKER, Recipe, read_marker
from bench.datasets.seed import Seed
from bench.datasets.shared import facts
from bench.datasets.shared.seed_files import owner_features
from bench.errors import DataError, MissingCorpusError, SettingError, UnknownNameError

RECIPE = Recipe(subjects=3, sessions=2, length=0.02)


def trial(number: int, samples: int = 300, channels: int = 62) -> np.ndarray:
    """Signal that carries its trial number, and its row in the fraction."""
    return np.full((channels, samples), float(number)) + np.arange(channels)[:, None] / 100


def write_raw(path: Path, numbers=range(1, 16), prefix: str = "djc", **extra) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {**{f"{prefix}_eeg{n}": trial(n) for n in numbers}, **extra})


def write_v73(path: Path, values: dict[str, np.ndarray]) -> None:
    """As MATLAB writes it: a header of 512 bytes, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            file[name] = value.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.fixture
def seed_folder(tmp_path: Path) -> Path:
    """One subject, keys in no order, all the owner's loose files."""
    root = tmp_path / "my seed"
    folder = root / "Preprocessed_EEG"
    write_raw(folder / "1_20131027.mat", [10, 2, *range(11, 16), 1, *range(3, 10)],
              labels=np.zeros((1, 15)))
    savemat(folder / "label.mat", {"Label": np.array([facts.SEED_LABELS])})
    (folder / "readme.txt").write_text("hello")
    return root


@pytest.fixture(scope="session")
def seed_simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("seed")
    Seed().simulate(root, RECIPE)
    return root


def only(root: Path) -> Recording:
    return Seed().inventory(root).recordings[0]


def test_trials_are_addressed_by_parsed_number(seed_folder):
    signals = Seed().read(only(seed_folder))
    assert [s.number for s in signals] == list(range(1, 16))
    assert [s.data[0, 0] for s in signals] == list(range(1, 16))
    assert signals[3].data[7, 5] == pytest.approx(4.07)  # rows are channels
    assert signals[0].data.shape == (62, 300)


@pytest.mark.parametrize("where", ["", "..", "Preprocessed_EEG"])
def test_root_may_be_corpus_parent_or_subfolder(seed_folder, where):
    assert Seed().inventory(seed_folder / where).root == seed_folder


def test_folder_names_ignore_case_and_search_ends(seed_folder, tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (seed_folder / "Preprocessed_EEG").rename(seed_folder / "preprocessed-eeg")
    shutil.move(seed_folder, deep / "seed")
    assert Seed().inventory(tmp_path / "a").root == deep / "seed"
    with pytest.raises(MissingCorpusError, match="up to 3 levels below"):
        Seed().inventory(tmp_path)


def test_two_copies_are_refused_by_name(seed_folder, tmp_path):
    shutil.copytree(seed_folder, tmp_path / "copy")
    (tmp_path / "__MACOSX" / "Preprocessed_EEG").mkdir(parents=True)  # never a copy
    with pytest.raises(DataError, match=r"one copy of SEED, found 2: .*copy.*my seed"):
        Seed().inventory(tmp_path)


def test_subjects_are_integers_and_sessions_ranks_of_dates(tmp_path):
    folder = tmp_path / "Preprocessed_EEG"
    folder.mkdir()
    for subject in (10, 9, 2, 1):
        for date in facts.SEED_DATES[subject]:
            (folder / f"{subject}_{date}.mat").touch()
    found = Seed().inventory(tmp_path)
    order = [(r.subject, r.session) for r in found.recordings]
    assert order == [(s, k) for s in (1, 2, 9, 10) for k in (1, 2, 3)]
    assert found.recordings[1].path.name == "1_20131030.mat"
    assert found.missing == (
        "11 of 15 subjects are missing: 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15",)


def test_missing_session_is_told(tmp_path):
    folder = tmp_path / "Preprocessed_EEG"
    folder.mkdir()
    for subject in range(1, 16):
        for date in facts.SEED_DATES[subject][: 2 if subject == 3 else 3]:
            (folder / f"{subject}_{date}.mat").touch()
    assert Seed().inventory(tmp_path).missing == ("subject 3 has no session 3",)
    for path in folder.glob("*"):
        if not path.name.endswith(str(facts.SEED_DATES[int(path.name.split("_")[0])][0]) + ".mat"):
            path.unlink()
    assert Seed().inventory(tmp_path).missing == (
        "session 2 is missing for every subject", "session 3 is missing for every subject")


def test_unknown_files_are_skipped_with_reason(seed_folder, tmp_path):
    folder = seed_folder / "Preprocessed_EEG"
    (folder / "._1_20131027.mat").write_bytes(b"junk")
    (folder / "notes.mat").touch()
    (folder / "16_20131027.mat").touch()
    (folder / "old").mkdir()
    outside = tmp_path / "2_20140404.mat"
    outside.touch()
    (folder / "2_20140404.mat").symlink_to(outside)
    (folder / "channel-order.xlsx").touch()
    skipped = {p.name: why for p, why in Seed().inventory(seed_folder).skipped}
    assert set(skipped) == {"._1_20131027.mat", "notes.mat", "16_20131027.mat", "old",
                            "2_20140404.mat"}
    assert "macOS" in skipped["._1_20131027.mat"]
    assert "{subject}_{YYYYMMDD}.mat" in skipped["notes.mat"]
    assert "subjects 1 to 15" in skipped["16_20131027.mat"]
    assert "link" in skipped["2_20140404.mat"]
    assert len(Seed().inventory(seed_folder).recordings) == 1


def test_link_to_a_corpus_outside_is_not_followed_but_named(seed_folder, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SEED").symlink_to(seed_folder)
    with pytest.raises(MissingCorpusError, match="not followed: SEED"):
        Seed().inventory(tmp_path / "data")
    assert Seed().inventory(tmp_path / "data" / "SEED").root == seed_folder


@pytest.mark.parametrize("twin", [
    "01_20131027.mat", "1_20131028.mat 1_20131029.mat 1_20131030.mat",
])
def test_too_many_dates_are_refused(seed_folder, twin):
    for name in twin.split():
        (seed_folder / "Preprocessed_EEG" / name).touch()
    with pytest.raises(DataError, match="at most 3 dates of subject 1, each once"):
        Seed().inventory(seed_folder)


def test_missing_corpus_says_where_to_request_and_suggests(tmp_path):
    (tmp_path / "SEED_EEG").mkdir()
    with pytest.raises(MissingCorpusError) as caught:
        Seed().inventory(tmp_path / "seed_eg")
    assert "there is no folder" in caught.value.message
    assert f"Did you mean {tmp_path / 'SEED_EEG'}?" in caught.value.hint
    with pytest.raises(MissingCorpusError) as caught:
        Seed().inventory(tmp_path)
    assert "Preprocessed_EEG" in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert "bcmi.sjtu.edu.cn" in caught.value.hint
    assert Seed.layout in caught.value.hint
    (tmp_path / "SEED_EEG" / "Preprocessed_EEG").mkdir()
    (tmp_path / "SEED_EEG" / "Preprocessed_EEG" / "x.mat").touch()
    with pytest.raises(MissingCorpusError, match=r"holds no recording.*\n.*x\.mat"):
        Seed().inventory(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MissingCorpusError, match="is a file"):
        Seed().inventory(tmp_path / "file")


def test_only_the_other_half_is_there(seed_folder):
    with pytest.raises(MissingCorpusError, match="--features bench"):
        Seed().inventory(seed_folder, "official")


@pytest.mark.parametrize(("change", "text"), [
    ({"numbers": [n for n in range(1, 16) if n not in (4, 7)]}, "13 of 15: 4, 7 missing"),
    ({"numbers": range(1, 17)}, "also trial 16"),
    ({"ab_eeg3": trial(3)}, "one array for trial 3"),
    ({"djc_eeg5": trial(5).T}, r"trial 5: expected shape \(62, samples\).*found \(300, 62\)"),
    ({"djc_eeg5": trial(5, channels=61)}, r"found \(61, 300\)"),
    ({"djc_eeg5": trial(5, samples=199)}, r"found \(62, 199\)"),
    ({"djc_eeg5": np.zeros((62, 300, 1, 2))}, r"found \(62, 300, 1, 2\)"),
    ({"djc_eeg5": np.full((62, 300), "x", dtype=object)}, "variable djc_eeg5: expected a numeric"),
    ({"numbers": []}, "no such array among no arrays"),
])
def test_wrong_content_is_refused(tmp_path, change, text):
    path = tmp_path / "1_20131027.mat"
    write_raw(path, **change)
    with pytest.raises(DataError, match=text) as caught:
        Seed().read(Recording(path, 1, 1))
    assert str(path) in caught.value.message


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.97, 0.9999])
def test_torn_files_are_refused(tmp_path, compress, share):
    path = tmp_path / "1_20131027.mat"
    rng = np.random.default_rng(0)
    savemat(path, {f"ab_eeg{n}": rng.standard_normal((62, 300)) for n in range(1, 16)},
            do_compression=compress)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="1_20131027.mat: expected (a MATLAB file|trials 1 to 15)"):
        Seed().read(Recording(path, 1, 1))


@pytest.mark.parametrize("content", [
    b"<html>login</html>" * 99, bytes(5000), b"\x89HDF\r\n\x1a\n" * 9, b"PK\x03\x04",
])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "1_20131027.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a MATLAB file \(v5 or v7.3\)"):
        Seed().read(Recording(path, 1, 1))
    with pytest.raises(DataError):
        Seed().read(Recording(tmp_path / "gone.mat", 1, 1))


def test_flipped_bytes_never_escape_as_another_error(tmp_path):
    path = tmp_path / "1_20131027.mat"
    savemat(path, {f"ab_eeg{n}": trial(n) for n in range(1, 16)}, do_compression=True)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(content)
        for i in rng.integers(0, len(content), 5):
            broken[i] = rng.integers(256)
        path.write_bytes(broken)
        with contextlib.suppress(DataError):
            Seed().read(Recording(path, 1, 1))


def test_blocks_longer_than_their_array_are_tolerated(tmp_path):
    """Some copies have them; SciPy calls it an integrity error unless told otherwise."""
    path = tmp_path / "1_20131027.mat"
    savemat(path, {f"ab_eeg{n}": trial(n) for n in range(1, 16)}, do_compression=True)
    content = path.read_bytes()
    parts, at = [content[:128]], 128
    while at < len(content):
        kind, size = struct.unpack("<II", content[at : at + 8])
        block = zlib.compress(zlib.decompress(content[at + 8 : at + 8 + size]) + bytes(8))
        parts += [struct.pack("<II", kind, len(block)), block]
        at += 8 + size
    path.write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match="fully consume"):
        loadmat(path)
    assert len(Seed().read(Recording(path, 1, 1))) == 15


def test_version_73_reads_in_matlab_axis_order(tmp_path):
    path = tmp_path / "1_20131027.mat"
    write_v73(path, {f"ab_eeg{n}": trial(n) for n in range(1, 16)})
    signals = Seed().read(Recording(path, 1, 1))
    assert signals[9].data.shape == (62, 300)
    assert signals[9].data[3, 0] == pytest.approx(10.03)


def test_version_73_takes_nothing_from_other_files(tmp_path):
    path, secret = tmp_path / "1_20131027.mat", tmp_path / "secret.h5"
    write_v73(secret, {"x": trial(1)})
    write_v73(path, {f"ab_eeg{n}": trial(n) for n in range(2, 16)})
    with h5py.File(path, "a") as file:
        file["ab_eeg1"] = h5py.ExternalLink(str(secret), "x")
    with pytest.raises(DataError, match="14 of 15: 1 missing"):
        Seed().read(Recording(path, 1, 1))


def test_labels_come_from_the_file(seed_folder):
    notices: list[str] = []
    inventory = Seed().inventory(seed_folder)
    infos = Seed().trials(inventory, inventory.recordings[0], notices)
    assert [infos[n].values["class"] for n in range(1, 16)] == list(facts.SEED_LABELS)
    assert (infos[3].stimulus, infos[3].order) == (3, 2)
    assert Seed().task(None).label(infos[3].values, None) == 0  # -1 is negative
    assert not [n for n in notices if "label" in n]
    flipped = -np.array([facts.SEED_LABELS])
    savemat(seed_folder / "Preprocessed_EEG" / "label.mat", {"label": flipped})
    infos = Seed().trials(inventory, inventory.recordings[0], notices)
    assert infos[3].values == {"class": 1.0}
    assert any("label.mat differs from the published" in n for n in notices)


def test_label_file_is_found_at_top_level_under_any_case(seed_folder):
    (seed_folder / "Preprocessed_EEG" / "label.mat").rename(seed_folder / "Label.MAT")
    inventory, notices = Seed().inventory(seed_folder), []
    Seed().trials(inventory, inventory.recordings[0], notices)
    assert not any("not found" in n for n in notices)


def test_without_label_file_the_published_labels_and_one_notice(seed_folder):
    (seed_folder / "Preprocessed_EEG" / "label.mat").unlink()
    inventory, notices = Seed().inventory(seed_folder), []
    for _ in range(2):
        infos = Seed().trials(inventory, inventory.recordings[0], notices)
    assert infos[1].values == {"class": 1.0}
    assert sum("label.mat not found; the published labels are used" in n for n in notices) == 1


@pytest.mark.parametrize("labels", [np.zeros((1, 14)), np.full((1, 15), 2), np.full((1, 15), 0.5),
                                    np.full((1, 15), np.nan)])
def test_strange_labels_are_refused(seed_folder, labels):
    savemat(seed_folder / "Preprocessed_EEG" / "label.mat", {"label": labels})
    inventory = Seed().inventory(seed_folder)
    with pytest.raises(DataError, match="15 values among -1, 0, 1"):
        Seed().trials(inventory, inventory.recordings[0], [])


def test_other_lengths_are_one_notice(seed_folder):
    write_raw(seed_folder / "Preprocessed_EEG" / "2_20140404.mat")
    inventory, notices = Seed().inventory(seed_folder), []
    for recording in inventory.recordings:
        Seed().trials(inventory, recording, notices)
    told = [n for n in notices if "lengths" in n]
    assert len(told) == 1
    assert "1_20131027.mat (trial 10: 300 samples, published 47401)" in told[0]


def features(numbers=range(1, 16), windows: int = 235, kind: str = "de_LDS", rows: int = 62):
    return {f"{kind}{n}": np.full((rows, windows, 5), n, np.float32) for n in numbers}


@pytest.mark.parametrize(("folder", "windows", "window_s"), [
    ("ExtractedFeatures", 235, 1.0), ("ExtractedFeatures", 58, 4.0),
    ("ExtractedFeatures_4s", 58, 4.0), ("extractedfeatures 1s", 235, 1.0),
])
def test_official_window_length(tmp_path, folder, windows, window_s):
    (tmp_path / folder).mkdir()
    savemat(tmp_path / folder / "1_20131027.mat", features(windows=windows))
    inventory = Seed().inventory(tmp_path, "official")
    found = Seed().official(inventory, "")
    assert (found.name, found.window_s, found.smoothing) == ("de_LDS", window_s, "LDS")
    signals = Seed().read(inventory.recordings[0], "official")
    assert signals[9].data.shape == (62, windows, 5)
    assert signals[9].data[0, 0, 0] == 10


def test_official_window_count_that_fits_neither_is_refused(tmp_path):
    (tmp_path / "ExtractedFeatures").mkdir()
    savemat(tmp_path / "ExtractedFeatures" / "1_20131027.mat", features(windows=120))
    with pytest.raises(DataError, match="235 windows of 1 s or 58 of 4 s, found 120"):
        Seed().official(Seed().inventory(tmp_path, "official"), "")


def test_official_prefers_one_second_and_needs_the_kind_asked_for(tmp_path):
    for name in ("ExtractedFeatures_4s", "ExtractedFeatures_1s"):
        (tmp_path / name).mkdir()
        savemat(tmp_path / name / "1_20131027.mat", features())
    recording = Seed().inventory(tmp_path, "official").recordings[0]
    assert recording.path.parent.name == "ExtractedFeatures_1s"
    with pytest.raises(DataError, match="psd_movingAveN, found no such array"):
        Seed().read(recording, "official", "psd_movingAve")
    with pytest.raises(SettingError, match="dasm_LDS of SEED has 27 pairs"):
        Seed().read(recording, "official", "dasm_LDS")
    with pytest.raises(UnknownNameError, match="de_LDS"):
        Seed().read(recording, "official", "de_LSD")
    assert len(Seed.official_kinds) == 12


def test_official_axis_order_is_checked(tmp_path):
    path = tmp_path / "1_20131027.mat"
    savemat(path, {f"de_LDS{n}": np.zeros((235, 5, 62)) for n in range(1, 16)})
    with pytest.raises(DataError, match=r"shape \(62, windows, 5\), found \(235, 5, 62\)"):
        Seed().read(Recording(path, 1, 1), "official")


# The simulator writes the owner's layout.


def test_simulated_layout(seed_simulated):
    root = seed_simulated / "SEED_EEG"
    inventory = Seed().inventory(seed_simulated)
    assert inventory.root == root
    assert inventory.missing == ()
    assert [p.name for p, _ in inventory.skipped] == ["._1_20131027.mat"]
    assert [r.path.name for r in inventory.recordings[:2]] == ["1_20131027.mat", "1_20131030.mat"]
    assert read_marker(root) == RECIPE
    names = list(loadmat(root / "Preprocessed_EEG" / "2_20140404.mat"))
    numbers = [int(n.split("_eeg")[1]) for n in names if "_eeg" in n]
    assert sorted(numbers) == list(range(1, 16))
    assert numbers != sorted(numbers)
    assert "labels" in names
    assert loadmat(root / "Preprocessed_EEG" / "label.mat")["label"].shape == (1, 15)
    lengths = {len(n.split("_eeg")[0]) for s in (1, 3) for n in loadmat(
        root / "Preprocessed_EEG" / f"{s}_{facts.SEED_DATES[s][0]}.mat") if "_eeg" in n}
    assert lengths == {2, 3}


def test_simulated_trials_follow_the_design(seed_simulated):
    adapter, notices = Seed(), []
    inventory = adapter.inventory(seed_simulated)
    recording = inventory.recordings[3]
    plans = adapter.design(RECIPE, recording.subject, recording.session)
    infos = adapter.trials(inventory, recording, notices)
    signals = adapter.read(recording)
    assert [s.data.shape for s in signals] == [(62, p.samples) for p in plans]
    assert [infos[p.number].values for p in plans] == [p.values for p in plans]
    assert [infos[p.number].order for p in plans] == [p.order for p in plans]
    assert notices == []
    assert (signals[0].data * 64 == np.round(signals[0].data * 64)).all()


def test_simulated_official_features_match_the_signals(seed_simulated):
    adapter = Seed()
    raw = adapter.read(adapter.inventory(seed_simulated).recordings[0])
    inventory = adapter.inventory(seed_simulated, "official")
    assert adapter.official(inventory, "de_movingAve").window_s == 1.0
    for kind in ("de_LDS", "de_movingAve", "psd_LDS"):
        stored = adapter.read(inventory.recordings[0], "official", kind)
        np.testing.assert_allclose(stored[4].data, owner_features(raw[4].data, 1)[kind])
    # Without the suffix, the count of windows tells, scaled by the recipe.
    root = inventory.root
    for suffix in ("1s", "4s"):
        shutil.copytree(root / f"ExtractedFeatures_{suffix}", root / suffix / "ExtractedFeatures")
        shutil.copy(root / MARKER, root / suffix / MARKER)
        found = adapter.official(adapter.inventory(root / suffix, "official"), "")
        assert found.window_s == float(suffix[0])
        shutil.rmtree(root / suffix)


def test_simulation_is_reproducible(seed_simulated, tmp_path):
    Seed().simulate(tmp_path, RECIPE.model_copy(update={"subjects": 1, "sessions": 1}))
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file() and path.name != MARKER:
            twin = seed_simulated / path.relative_to(tmp_path)
            assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(
                twin.read_bytes()).digest(), path


def test_engine_reads_it(seed_simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus("SEED", seed_simulated, ReadOptions(sessions="all"))
    assert reading.recipe == RECIPE
    assert len(np.unique(reading.windows.trial_key())) == 3 * 2 * 15
    assert reading.windows.order.max() == 14
    official = read_corpus("SEED", seed_simulated, ReadOptions(features="official"))
    assert official.windows.space.smoothing == "LDS"


def test_facts_agree_with_each_other():
    assert len(set(facts.SEED_CHANNELS)) == 62
    assert sum((n - 1) // 200 for n in facts.SEED_SAMPLES) == 3394
    assert sum((n - 1) // 800 for n in facts.SEED_SAMPLES) == 842
    for dates in (*facts.SEED_DATES.values(), *facts.SEED_IV_DATES.values()):
        assert list(dates) == sorted(dates)


def test_session_is_the_rank_of_the_date_not_of_the_name(tmp_path):
    folder = tmp_path / "Preprocessed_EEG"
    folder.mkdir()
    for name in ("01_20131107.mat", "1_20131027.mat", "1_20131030.mat"):
        (folder / name).touch()
    found = Seed().inventory(tmp_path).recordings
    assert [r.path.name for r in found] == ["1_20131027.mat", "1_20131030.mat", "01_20131107.mat"]
