"""DENS, film music and EmoEEG-MC: simulated, with real sidecars, and with what may be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mutants import everything, survive

from bench.data.reading import read_corpus
from bench.data.recipe import Recipe, read_marker
from bench.datasets.dens import Dens
from bench.datasets.emoeeg_mc import EmoEegMc
from bench.datasets.film_music import FilmMusic
from bench.datasets.shared import edf
from bench.datasets.shared.facts import EMOEEG_CHANNELS
from bench.errors import DataError, MissingCorpusError, SettingError

RECIPE = Recipe(subjects=2, sessions=2, length=0.02)
CORPORA = (Dens, FilmMusic, EmoEegMc)
#: Real tables and texts of a few subjects, without recordings; see the README there.
SIDECARS = Path(__file__).parents[1] / "data" / "bids"
real = pytest.mark.skipif(not SIDECARS.is_dir(), reason="no sidecars here")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> dict[type, Path]:
    out = {}
    for cls in CORPORA:
        out[cls] = tmp_path_factory.mktemp(cls.name)
        cls().simulate(out[cls], RECIPE)
    return out


@pytest.fixture
def copied(simulated, tmp_path):
    def copy(cls) -> Path:
        return shutil.copytree(simulated[cls], tmp_path / "copy")
    return copy


@pytest.mark.parametrize("cls", CORPORA)
def test_simulated_corpus_is_read_as_it_was_planned(cls, simulated, tmp_path, monkeypatch):
    adapter, root = cls(), simulated[cls]
    inventory = adapter.inventory(root)
    assert read_marker(inventory.root) == RECIPE
    for recording in inventory.recordings:
        plans = {p.number: p for p in adapter.design(RECIPE, recording.subject, recording.session)}
        signals = adapter.read(recording)
        infos = adapter.trials(inventory, recording, [])
        for signal in signals:
            plan, info = plans[signal.number], infos[signal.number]
            assert signal.data.shape == (len(adapter.channels), plan.samples)
            values = {**signal.values, **info.values}
            assert all(values[n] == pytest.approx(v) for n, v in plan.values.items())
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus(cls.name, root)
    assert len(np.unique(reading.windows.trial_key())) == 2 * adapter.trials_per_session
    assert reading.recipe == RECIPE


@pytest.mark.parametrize("cls", CORPORA)
def test_signals_are_cut_where_the_trials_are(cls, simulated):
    """They are louder or quieter with emotion; between trials there is noise of 10 microvolt."""
    adapter = cls()
    recording = adapter.inventory(simulated[cls]).recordings[0]
    signal = adapter.read(recording)[0]
    plan = next(p for p in adapter.design(RECIPE, recording.subject, recording.session)
                if p.number == signal.number)
    rate = 1000 if cls is FilmMusic else adapter.rate
    from bench.datasets.shared.simulator import Generator

    true = Generator(cls.name, RECIPE, adapter.channels, rate, adapter.trials_per_session).signal(
        recording.subject, recording.session, plan.number, plan.order, plan.emotion,
        round(plan.samples * rate / adapter.rate))
    from scipy.signal import resample_poly

    step = round(rate / adapter.rate)
    true = true if step == 1 else resample_poly(true, 1, step, axis=1)
    middle = slice(50, -50)
    r = np.corrcoef(true[:, middle].ravel(), signal.data[:, middle].ravel())[0, 1]
    assert r > 0.98


@pytest.mark.parametrize("cls", CORPORA)
def test_refusals_of_a_folder(cls, simulated, tmp_path):
    with pytest.raises(MissingCorpusError, match=r"no dataset_description\.json that names ds00"):
        cls().inventory(tmp_path)
    for copy in ("one", "two"):
        shutil.copytree(simulated[cls], tmp_path / copy)
    with pytest.raises(DataError, match="one copy of"):
        cls().inventory(tmp_path)
    with pytest.raises(SettingError, match="distribute no features"):
        cls().inventory(tmp_path / "one", "official")
    assert cls.download is not None
    assert cls.download.url.startswith("https://s3.amazonaws.com/openneuro.org/ds00")


@pytest.mark.parametrize("cls", CORPORA)
def test_a_link_that_leads_nowhere_is_named(cls, copied):
    root = copied(cls)
    first = cls().inventory(root).recordings[0].path
    first.unlink()
    first.symlink_to("../.git/annex/objects/nothing")
    found = cls().inventory(root)
    assert (first.name, "a link to data that is not here") in [
        (p.name, why) for p, why in found.skipped]
    assert first not in {r.path for r in found.recordings}


# --- DENS ------------------------------------------------------------------------------------

def edited(root: Path, pattern: str, old: str, new: str) -> Path:
    path = sorted(root.rglob(pattern))[0]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_clips_that_broke_off_or_were_not_rated_are_left_out(copied, tmp_path, monkeypatch):
    root = copied(Dens)
    edited(root, "*_events.tsv", "vlnc", "boundary")
    edited(root, "*_beh.tsv", "neutral_8.mp4\t", "neutral_8.mp4\tn/a")
    text = sorted(root.rglob("*_beh.tsv"))[0].read_text()
    assert "n/a" in text
    signals = Dens().read(Dens().inventory(root).recordings[0])
    assert [s.number for s in signals] == list(range(2, 12))


@pytest.mark.parametrize(("pattern", "old", "new", "said"), [
    ("*_beh.tsv", "neutral_1.mp4", "12", "names of clips such as 12.m4v or neutral_1.mp4"),
    ("*_beh.tsv", "12.mp4\t", "13.mp4\t", "one row of 13.mp4, found two"),
    ("*_events.tsv", "onset", "begin", "a column 'onset'"),
])
def test_strange_tables_of_dens_are_refused(copied, pattern, old, new, said):
    root = copied(Dens)
    edited(root, pattern, old, new)
    with pytest.raises(DataError, match=said):
        everything(Dens(), root)


@real
def test_real_sidecars_of_dens(tmp_path):
    """Onsets are samples: 60.5 s from each clip to its first rating, as a film of a minute has."""
    from bench.datasets.shared import open_bids

    root = shutil.copytree(SIDECARS / "ds003751", tmp_path / "ds003751")
    for path in root.rglob("*_events.tsv"):
        name = path.name.replace("emotion_events.tsv", "Emotion_eeg.set")
        path.with_name(name).write_bytes(b"")
    adapter, checked = Dens(), 0
    found = adapter.inventory(root)
    assert "sub-mit074 has no ratings" in found.missing
    for recording in found.recordings:
        infos = adapter.trials(found, recording, [])
        assert all(("valence" in i.values) == (recording.subject != 74) for i in infos.values())
        assert sorted(i.order for i in infos.values()) == [n - 1 for n in sorted(infos)]
        events, unit, _ = open_bids.again(recording).events()
        assert unit == "samples"
        begins = [e for e in events if e.get("trial_type") == "stm"]
        ends = [e.onset for e in events if e.get("trial_type") == "vlnc"]
        lengths = [min(o for o in ends if o > e.onset) - e.onset for e in begins]
        assert min(lengths) > 58
        assert max(lengths) < 61
        checked += len(begins)
    assert checked >= 30


# --- film music ------------------------------------------------------------------------------

@pytest.mark.parametrize(("old", "new", "said"), [
    ("\t788", "\t787", "10 begins of music"), ("\t1092", "\t1093", "one answer to each of 8 quest"),
    ("\t788", "\tmusic", "events whose trial_type is a number"),
])
def test_strange_events_of_film_music_are_refused(copied, old, new, said):
    root = copied(FilmMusic)
    edited(root, "*run2_events.tsv", old, new)
    with pytest.raises(DataError, match=said):
        everything(FilmMusic(), root)


@real
def test_real_events_of_film_music(tmp_path):
    from bench.datasets.film_music import _shown

    root = shutil.copytree(SIDECARS / "ds002721", tmp_path / "ds002721")
    for path in root.rglob("*_events.tsv"):
        path.with_name(path.name.replace("events.tsv", "eeg.edf")).write_bytes(b"")
    recordings = FilmMusic().inventory(root).recordings
    assert recordings
    for recording in recordings:
        shown = _shown(recording)
        run = int(recording.path.name.partition("run")[2][0])
        assert list(shown) == [100 * run + i for i in range(1, 11)]
        assert all(set(v) >= {"pleasant", "energetic", "tender"} for _, _, v in shown.values())
        assert all(1 <= a <= 9 for _, _, v in shown.values() for a in v.values())
    first = _shown(next(r for r in recordings if r.subject == 1 and "run2" in r.path.name))
    begin, clip, values = first[201]
    # 805 is shown at 22.29 s, and 836 (4) comes with the next question; then 835 (3) to 800, ...
    assert (begin, clip) == (5.689, 62)
    assert values == {"happy": 4, "pleasant": 3, "energetic": 1, "tender": 9, "afraid": 1,
                      "angry": 4, "tense": 4, "sad": 9}


# --- EmoEEG-MC -------------------------------------------------------------------------------

def test_film_is_the_first_session_and_imagery_the_second(simulated):
    adapter = EmoEegMc()
    found = adapter.inventory(simulated[EmoEegMc])
    assert [(r.subject, r.session) for r in found.recordings] == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert found.missing == ("1 of 3 subjects have no recording: 01",)
    film, imagery = (adapter.read(r)[0].data for r in found.recordings[:2])
    assert not np.array_equal(film, imagery)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("sub-02: vid-", "sub-02: video-", "codes vid-N, ima-N and rating-N of sub-02"),
    ("rating-24 ima-25", "rating-25 ima-25", "codes vid-N, ima-N and rating-N"),
    ("vid-26", "vid-99", "21 trials of video, as README.md lists, found 0 marks 99"),
    ("2. `['", "2. `['joy4', '", "up to 21 stimuli of sub-02"),
    ("2. `[", "x. `[", "up to 21 stimuli of sub-02 in video, each once, found none"),
    ("2. `['ten4', ", "2. `[", "20 trials of video, as README.md lists, found 21"),
])
def test_strange_readmes_of_emoeeg_are_refused(copied, old, new, said):
    root = copied(EmoEegMc)
    edited(root, "README.md", old, new)
    with pytest.raises(DataError, match=said):
        everything(EmoEegMc(), root)


def test_a_subject_of_two_files_is_one(copied):
    root = copied(EmoEegMc)
    place = root / "ds005540" / "sub-02" / "eeg"
    order = EmoEegMc().design(RECIPE, 2, 1)
    rng = np.random.default_rng(0)
    (place / "sub-02_task-emotion_eeg.edf").unlink()
    for run, kinds in (("01", [25] * 21 + [26] * 5), ("02", [26] * 16)):
        marks = [m for i, k in enumerate(kinds)
                 for m in ((2.0 + 10 * i, 0.0, f"{k}"), (9.0 + 10 * i, 0.0, "24"))]
        edf.write(place / f"sub-02_task-emotion_run-{run}_eeg.edf", EMOEEG_CHANNELS, 200,
                  10 * rng.standard_normal((64, 200 * 10 * (len(kinds) + 1))), marks)
    film = EmoEegMc().inventory(root).recordings[0]
    assert [p.suffix for p in film.others].count(".edf") == 1
    signals = EmoEegMc().read(film)
    assert [s.number for s in signals] == list(range(1, len(order) + 1))
    assert {s.data.shape for s in signals} == {(64, 6 * 200)}


@real
def test_real_readme_and_ratings_of_emoeeg(tmp_path):
    from bench.datasets.emoeeg_mc import _codes

    root = shutil.copytree(SIDECARS / "ds005540", tmp_path / "ds005540")
    for subject in ("02", "03", "05"):
        place = root / f"sub-{subject}" / "eeg"
        place.mkdir(exist_ok=True)
        (place / f"sub-{subject}_task-emotion_eeg.edf").write_bytes(b"")
    adapter, codes = EmoEegMc(), {}
    found = adapter.inventory(root)
    for recording in found.recordings:
        infos = adapter.trials(found, recording, [])
        assert len(infos) == 21
        assert sorted(np.bincount([int(i.values["class"]) for i in infos.values()])) == [3] * 7
        codes[recording.subject] = _codes(recording)
    assert codes[2] == {"vid": 33, "rating": 31, "ima": 32, "fade": 30}
    assert codes[5] == {"vid": 6, "rating": 4, "ima": 5, "fade": 3}


# --- mutants ---------------------------------------------------------------------------------

#: Small files of each corpus, by pattern.
FILES = [(Dens, "*.set"), (Dens, "*_events.tsv"), (Dens, "*_beh.tsv"), (FilmMusic, "*run2_eeg.edf"),
         (FilmMusic, "*run2_events.tsv"), (EmoEegMc, "*.edf"), (EmoEegMc, "README.md"),
         (EmoEegMc, "*_beh.tsv")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[type, Path]:
    """One subject of each, and of film music one run."""
    out = {}
    for cls in CORPORA:
        out[cls] = root = tmp_path_factory.mktemp(f"small_{cls.name}")
        cls().simulate(root, Recipe(subjects=1, length=0.01))
        for run in ("run1", "run3", "run4", "run5", "run6"):
            for path in root.rglob(f"*{run}_*"):
                path.unlink()
    return out


def mutants(alone, cls, pattern, seeds) -> int:
    root = alone[cls]
    return survive(cls(), root, sorted(root.rglob(pattern))[0], seeds)


@pytest.mark.parametrize(("cls", "pattern"), FILES)
def test_mutants_are_refused_in_words(alone, cls, pattern):
    assert mutants(alone, cls, pattern, range(7)) >= 0


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "pattern"), FILES)
def test_hundreds_of_mutants_are_refused_in_words(alone, cls, pattern):
    assert mutants(alone, cls, pattern, range(100, 320)) > 20
