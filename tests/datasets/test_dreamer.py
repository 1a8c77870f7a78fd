"""DREAMER: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutants import everything, inner_mutant, survive
from scipy.io import loadmat, savemat

from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.datasets.dreamer import Dreamer
from bench.datasets.shared import facts
from bench.errors import DataError, MissingCorpusError, SettingError

RECIPE = Recipe(subjects=3, length=0.02)


def cell(items) -> np.ndarray:
    made = np.empty((len(items), 1), object)
    for i, item in enumerate(items):
        made[i, 0] = item
    return made


def clip(subject: int, number: int, samples: int = 400) -> np.ndarray:
    """(samples, 14): subject * 1000 + clip * 10 + column / 10, and noise below that."""
    noise = np.random.default_rng([subject, number]).normal(0, 1e-3, (samples, 14))
    return subject * 1000 + number * 10 + np.arange(14) / 10 + noise


def person(subject: int, clips: int = 18, **changes) -> dict:
    signals = cell([clip(subject, k) for k in range(1, clips + 1)])
    rest = cell([np.full((128, 14), -1.0)] * 18)
    scores = np.array([[1 + (k + subject) % 5] for k in range(18)])
    return {"Age": "22", "Gender": "male", "EEG": {"baseline": rest, "stimuli": signals},
            "ECG": {"baseline": rest, "stimuli": rest},
            "ScoreValence": scores, "ScoreArousal": scores[::-1], "ScoreDominance": scores,
            **changes}


def write(path: Path, people: dict[int, dict] | None = None, electrodes=facts.EPOC_CHANNELS,
          rate=128, compress: bool = True, subjects: int = 23) -> None:
    data = np.empty((1, subjects), object)
    for i in range(subjects):
        data[0, i] = (people or {}).get(i + 1) or {"Age": "1"}
    names = np.empty((1, len(electrodes)), object)
    names[0] = list(electrodes)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"DREAMER": {"Data": data, "EEG_SamplingRate": rate, "ECG_SamplingRate": 256,
                               "EEG_Electrodes": names, "noOfSubjects": 23}},
            do_compression=compress)


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def folder(request, tmp_path: Path) -> Path:
    write(tmp_path / "d" / "DREAMER.mat", {1: person(1), 9: person(9)}, compress=request.param)
    return tmp_path / "d"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dreamer")
    Dreamer().simulate(root, RECIPE)
    return root


def read(root: Path, subject: int):
    found = Dreamer().inventory(root)
    return Dreamer().read(next(r for r in found.recordings if r.subject == subject))


def test_trials_are_channels_by_time_without_the_baseline(folder):
    signals = read(folder, 9)
    assert [s.number for s in signals] == list(range(1, 19))
    assert {s.data.shape for s in signals} == {(14, 400)}
    assert signals[4].data[3, 7] == pytest.approx(9000 + 50 + 0.3, abs=0.01)
    assert signals[0].values == {"valence": 5.0, "arousal": 2.0, "dominance": 5.0}


def test_channels_are_matched_by_the_names_in_the_file(folder):
    write(folder / "DREAMER.mat", {1: person(1)}, electrodes=facts.EPOC_CHANNELS[::-1])
    assert read(folder, 1)[0].data[0, 0] == pytest.approx(1000 + 10 + 1.3, abs=0.01)


def test_inventory_and_its_refusals(folder, tmp_path):
    found = Dreamer().inventory(tmp_path)
    assert [r.subject for r in found.recordings] == list(range(1, 24))
    assert {r.path for r in found.recordings} == {folder / "DREAMER.mat"}
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "dreamer.MAT").write_bytes(b"x")
    with pytest.raises(DataError, match="one file DREAMER.mat, found 2"):
        Dreamer().inventory(tmp_path)
    with pytest.raises(SettingError, match="distribute no features"):
        Dreamer().inventory(tmp_path, "official")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingCorpusError, match=r"no file DREAMER\.mat") as caught:
        Dreamer().inventory(tmp_path / "empty")
    assert "zenodo" in caught.value.hint


@pytest.mark.parametrize(("changes", "found"), [
    ({"ScoreValence": np.full((18, 1), 6)}, "ScoreValence: expected 18 ratings among 1, 2, 3, 4"),
    ({"ScoreValence": np.full((18, 1), 2.5)}, "found 18: 2.5"),
    ({"ScoreArousal": np.full((17, 1), 2)}, "ScoreArousal: expected 18 ratings .* found 17"),
    ({"ScoreDominance": np.full((18, 1), np.nan)}, "found 18: nan"),
    ({"ScoreArousal": "text"}, "ScoreArousal: expected an array, found str"),
    ({"EEG": np.ones((3, 3))}, "EEG: expected a struct, found ndarray"),
    ({"EEG": {"baseline": 1}}, "stimuli: expected a cell, found NoneType"),
    ({"EEG": {"stimuli": cell([clip(1, k) for k in range(17)])}}, "18 clips, found 17"),
    ({"EEG": {"stimuli": cell([clip(1, k).T for k in range(18)])}},
     r"trial 1: .*time x channels, at 128 Hz, found \(14, 400\)"),
    ({"EEG": {"stimuli": cell([clip(1, k, 200) for k in range(18)])}}, r"found \(200, 14\)"),
    ({"EEG": {"stimuli": cell(["text"] * 18)}}, "trial 1: .* found str"),
])
def test_strange_subjects_are_refused(tmp_path, changes, found):
    write(tmp_path / "DREAMER.mat", {1: person(1, **changes)})
    with pytest.raises(DataError, match=found):
        read(tmp_path, 1)


@pytest.mark.parametrize(("changes", "found"), [
    ({"rate": 256}, "EEG_SamplingRate: expected 128, found"),
    ({"electrodes": ("AF3", *facts.EPOC_CHANNELS[:-1])}, "EEG_Electrodes: expected AF3"),
    ({"electrodes": facts.EPOC_CHANNELS[:-1]}, "EEG_Electrodes: expected AF3"),
    ({"subjects": 0}, "1 subjects at least, found 0"),
])
def test_strange_files_are_refused(tmp_path, changes, found):
    write(tmp_path / "DREAMER.mat", **{"people": {1: person(1)}, **changes})
    with pytest.raises(DataError, match=found):
        read(tmp_path, 1)


def test_a_file_without_the_struct_is_refused(tmp_path):
    savemat(tmp_path / "DREAMER.mat", {"other": np.eye(2)})
    with pytest.raises(DataError, match="no variable DREAMER, but other"):
        read(tmp_path, 1)


def test_ratings_above_three_are_high():
    valence = Dreamer().task(None)
    assert [valence.label({"valence": float(v)}, LabelRule()) for v in (1, 3, 4, 5)] == [0, 0, 1, 1]
    assert valence.label({"valence": 3.0}, LabelRule(2.5)) == 1
    with pytest.raises(SettingError, match="7 is outside the scale 1 to 5 of DREAMER:valence"):
        LabelRule(7).of("DREAMER", valence)
    own = LabelRule(4.5, own=(("dreamer", 2.5),))
    assert own.of("DREAMER", valence).threshold == 2.5
    assert own.of("DEAP", valence).threshold == 4.5


def test_simulated_corpus(simulated):
    adapter, notices = Dreamer(), []
    inventory = adapter.inventory(simulated)
    assert read_marker(inventory.root) == RECIPE
    assert len(inventory.recordings) == 3
    ratings = []
    for recording in inventory.recordings:
        plans = adapter.design(RECIPE, recording.subject, 1)
        signals = adapter.read(recording)
        assert [s.values for s in signals] == [p.values for p in plans]
        assert [s.data.shape for s in signals] == [(14, p.samples) for p in plans]
        assert {i.order for i in adapter.trials(inventory, recording, notices).values()} == {None}
        ratings += [p.values["valence"] for p in plans]
    assert len(notices) == 1
    assert set(ratings) == {1.0, 2.0, 3.0, 4.0, 5.0}
    whole = loadmat(inventory.recordings[0].path)["DREAMER"][0, 0]
    theirs = whole["Data"][0, 2]["EEG"][0, 0]["stimuli"][0, 0][5, 0]
    np.testing.assert_array_equal(adapter.read(inventory.recordings[2])[5].data, theirs.T)


def test_engine_reads_it(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus("DREAMER:arousal", simulated, ReadOptions())
    assert len(np.unique(reading.windows.trial_key())) == 3 * 18
    assert reading.threshold == 3.0
    assert 0.2 < reading.windows.y.mean() < 0.8


@pytest.fixture(scope="session", params=[False, True], ids=["plain", "compressed"])
def small(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("small_dreamer")
    people = {s: person(s) for s in (1, 2)}
    for p in people.values():
        p["EEG"]["stimuli"] = cell([clip(1, k, 260) for k in range(18)])
    write(root / "DREAMER.mat", people, compress=request.param, subjects=2)
    write_marker(root, "DREAMER", Recipe(subjects=2))
    assert everything(Dreamer(), root) == 36
    return root, (inner_mutant if request.param else None)


def mutants(small, seeds) -> int:
    root, inner = small
    refused = survive(Dreamer(), root, root / "DREAMER.mat", seeds)
    return refused + (survive(Dreamer(), root, root / "DREAMER.mat", seeds, change=inner)
                      if inner else 0)


def test_mutants_are_refused_in_words(small):
    assert mutants(small, range(21)) > 5


@pytest.mark.slow
def test_hundreds_of_mutants_are_refused_in_words(small):
    assert mutants(small, range(100, 400)) > 100
