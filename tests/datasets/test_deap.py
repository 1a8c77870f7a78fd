"""DEAP: reader against hand-made files, and against its own simulator."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bench.data.corpus import Recording
from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, read_corpus
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.datasets.deap import Deap, _read_csv
from bench.datasets.shared import facts
from bench.datasets.shared.pickles import dump_python2
from bench.errors import DataError, MissingCorpusError, SettingError

RECIPE = Recipe(subjects=3, length=0.1)
SHORT = Recipe(subjects=32, length=0.01)  # 6 s a trial
SAMPLES = 384 + 6 * 128


def content(channels: int = 40, samples: int = SAMPLES) -> dict[str, np.ndarray]:
    """Data whose baseline is -1 and whose value is video + channel / 100 otherwise."""
    data = np.arange(1, 41)[:, None, None] + np.arange(channels)[:, None] / 100
    data = np.broadcast_to(data, (40, channels, samples)).copy()
    data[..., :384] = -1
    ratings = np.linspace(1, 9, 160).reshape(40, 4)
    ratings[0, 0], ratings[1, 0] = 5.0, 4.5
    return {"labels": ratings, "data": data}


def order_csv(path: Path, subjects=(1,), valence=None, skip: int = 0, header: str = "") -> None:
    """Videos shown backwards; trial numbers with gaps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    valence = content()["labels"][:, 0] if valence is None else valence
    lines = [header or "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal"]
    lines += [f"{s},{2 * (41 - v)},{v},99,{valence[v - 1]:g},5" for s in subjects
              for v in range(40, skip, -1)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def deap_folder(tmp_path: Path) -> Path:
    """One subject with trials of 6 s (marked as simulated for that), and the table."""
    root = tmp_path / "deap"
    folder = root / "data_preprocessed_python"
    folder.mkdir(parents=True)
    (folder / "s01.dat").write_bytes(dump_python2(content()))
    order_csv(root / "Metadata_CSV" / "Participant-Ratings.CSV")
    write_marker(root, "DEAP", SHORT)
    return root


@pytest.fixture(scope="session")
def deap_simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("deap")
    Deap().simulate(root, RECIPE)
    return root


def only(root: Path) -> Recording:
    return Deap().inventory(root).recordings[0]


def trials_of(root: Path, index: int = 0) -> tuple[dict, list[str]]:
    inventory, notices = Deap().inventory(root), []
    return Deap().trials(inventory, inventory.recordings[index], notices), notices


def test_read_drops_baseline_and_other_sensors(deap_folder):
    signals = Deap().read(only(deap_folder))
    assert [s.number for s in signals] == list(range(1, 41))
    assert signals[6].data.shape == (32, 6 * 128)
    assert signals[6].data[0, 0] == 7
    assert signals[6].data[31, -1] == pytest.approx(7.31)
    assert signals[0].data.flags.writeable
    assert signals[0].values["valence"] == 5.0
    assert list(signals[0].values) == ["valence", "arousal", "dominance", "liking"]
    assert signals[2].values["liking"] == content()["labels"][2, 3]


def test_full_length_is_the_owner_s(deap_folder):
    (deap_folder / "bench-simulated.json").unlink()
    with pytest.raises(DataError, match=r"shape \(40, 40, 8064\).*found \(40, 40, 1152\)"):
        Deap().read(only(deap_folder))
    only(deap_folder).path.write_bytes(dump_python2(content(32, 8064)))
    assert Deap().read(only(deap_folder))[39].data.shape == (32, 7680)


@pytest.mark.parametrize("write", [
    lambda a: pickle.dumps(a, protocol=2), lambda a: pickle.dumps(a, protocol=0),
    lambda a: pickle.dumps(a, protocol=4), dump_python2,
    lambda a: pickle.dumps({k.encode(): v for k, v in a.items()}, protocol=3),
])
def test_pickles_of_any_python_read_the_same(deap_folder, write):
    arrays = content()
    arrays["data"] = np.asfortranarray(arrays["data"][:, :32])
    only(deap_folder).path.write_bytes(write(arrays))
    signals = Deap().read(only(deap_folder))
    np.testing.assert_array_equal(signals[5].data, arrays["data"][5, :, 384:])


def test_matlab_release_is_read_if_the_other_is_absent(deap_folder):
    folder = deap_folder / "data_preprocessed_matlab"
    folder.mkdir()
    savemat(folder / "s02.mat", content(), do_compression=True)
    assert only(deap_folder).path.suffix == ".dat"
    only(deap_folder).path.unlink()
    assert only(deap_folder) == Recording(folder / "s02.mat", 2, 1)
    assert Deap().read(only(deap_folder))[6].data[0, 0] == 7
    savemat(folder / "s02.mat", {"data": content()["data"]})
    with pytest.raises(DataError, match="arrays named data and labels, found no labels"):
        Deap().read(only(deap_folder))


@pytest.mark.parametrize(("change", "text"), [
    ({"data": np.zeros((40, 40, 99))}, r"found \(40, 40, 99\)"),
    ({"data": np.zeros((40, 31, SAMPLES))}, r"found \(40, 31"),
    ({"data": np.zeros((39, 40, SAMPLES))}, r"found \(39, 40"),
    ({"data": np.zeros((40, 40))}, r"found \(40, 40\)"),
    ({"labels": np.ones((40, 5))}, r"shape \(40, 4\).*found \(40, 5\)"),
    ({"labels": np.where(np.arange(160).reshape(40, 4) == 13, 9.5, 5.0)},
     "subject 1 trial 4: expected a arousal rating from 1 to 9, found 9.5"),
    ({"labels": np.where(np.arange(160).reshape(40, 4) == 13, np.nan, 5.0)}, "trial 4.*found nan"),
    ({"labels": np.zeros((40, 4))}, r"trial 1: .*valence.*found 0 \(and 159 more\)"),
])
def test_wrong_content_is_refused(deap_folder, change, text):
    only(deap_folder).path.write_bytes(dump_python2({**content(), **change}))
    with pytest.raises(DataError, match=text):
        Deap().read(only(deap_folder))


def test_order_is_the_rank_of_the_trial_column(deap_folder):
    infos, notices = trials_of(deap_folder)
    assert [infos[v].order for v in (40, 39, 1)] == [0, 1, 39]
    assert infos[7].stimulus == 7
    assert notices == []


def test_semicolons_and_decimal_commas(deap_folder):
    path = next(deap_folder.rglob("*.CSV"))
    path.write_text(path.read_text().replace(",", ";").replace(".", ","), encoding="utf-8-sig")
    infos, notices = trials_of(deap_folder)
    assert infos[40].order == 0
    assert notices == []


def test_without_the_table_no_order_and_one_notice(deap_folder):
    next(deap_folder.rglob("*.CSV")).unlink()
    inventory, notices = Deap().inventory(deap_folder), []
    for _ in range(2):
        infos = Deap().trials(inventory, inventory.recordings[0], notices)
    assert {i.order for i in infos.values()} == {None}
    assert len(notices) == 1
    assert "participant_ratings.csv not found" in notices[0]
    assert "stratified" in notices[0]


def test_incomplete_table(deap_folder):
    order_csv(next(deap_folder.rglob("*.CSV")), skip=1)
    infos, notices = trials_of(deap_folder)
    assert infos[40].order is None
    assert "39 of 40 videos of subject 1" in notices[0]


@pytest.mark.parametrize(("text", "message"), [
    ("Participant_id,Trial,Valence\n", "no Experiment_id"),
    ("", "no Participant_id"),
    ("Participant_id,Trial,Experiment_id,Valence\n1,x,2,5\n", "line 2: expected whole numbers"),
    ("Participant_id,Trial,Experiment_id,Valence\n1,1.5,2,5\n", "line 2: expected whole numbers"),
    ("Participant_id,Trial,Experiment_id,Valence\n1,1\n", "line 2: expected whole numbers"),
    ("Participant_id,Trial,Experiment_id,Valence\n1,1,2,5\n1,2,2,5\n", "line 3.*video 2 again"),
    ("Participant_id,Trial,Experiment_id,Valence\n1,1,2,5\n1,1,3,5\n", "line 3.*trial 1"),
])
def test_strange_tables_are_refused(deap_folder, text, message):
    next(deap_folder.rglob("*.CSV")).write_text(text)
    with pytest.raises(DataError, match=message):
        trials_of(deap_folder)


def test_table_that_disagrees_is_one_notice_with_counts(deap_folder):
    (deap_folder / "data_preprocessed_python" / "s02.dat").write_bytes(dump_python2(content()))
    valence = content()["labels"][:, 0].copy()
    valence[:7] = 9.9 - valence[:7]
    order_csv(next(deap_folder.rglob("*.CSV")), (1, 2), valence)
    inventory, notices = Deap().inventory(deap_folder), []
    for _ in range(2):
        for recording in inventory.recordings:
            Deap().trials(inventory, recording, notices)
    assert notices == [
        "DEAP: valence in participant_ratings.csv differs from the recordings' in trials of "
        "subject 1 (7), subject 2 (7), 14 in all; the recordings' are used"
    ]


def test_inventory(deap_folder):
    folder = deap_folder / "data_preprocessed_python"
    for name in ("s10.dat", "s09.dat", "._s09.dat", "s33.dat", "s1.dat", "s04.mat"):
        (folder / name).touch()
    (folder / "readme.txt").touch()
    found = Deap().inventory(deap_folder.parent)
    assert [r.subject for r in found.recordings] == [1, 9, 10]
    assert {p.name for p, _ in found.skipped} == {"._s09.dat", "s33.dat", "s1.dat", "s04.mat"}
    assert found.missing[0].startswith("29 of 32 subjects are missing: 2, 3, 4")


def test_missing_corpus_and_official(tmp_path):
    with pytest.raises(MissingCorpusError, match="data_preprocessed_python or") as caught:
        Deap().inventory(tmp_path)
    assert "qmul" in caught.value.hint
    with pytest.raises(SettingError, match="distribute no features"):
        Deap().inventory(tmp_path, "official")
    with pytest.raises(SettingError):
        Deap().read(Recording(tmp_path, 1, 1), "official")


def test_tasks():
    valence, arousal = Deap().task(None), Deap().task("AROUSAL")
    assert valence.classes == ("low valence", "high valence")
    assert arousal.label({"valence": 9.0, "arousal": 1.0}, LabelRule()) == 0
    assert valence.label({"valence": 5.0}, LabelRule()) == 0
    assert valence.label({"valence": 5.0}, LabelRule(4.5)) == 1


def test_simulated_layout(deap_simulated):
    inventory = Deap().inventory(deap_simulated)
    assert read_marker(inventory.root) == RECIPE
    assert inventory.missing == ()
    first = inventory.recordings[0].path
    with pytest.raises(UnicodeDecodeError):  # as with the owner's: needs encoding="latin1"
        pickle.loads(first.read_bytes())
    for recording in inventory.recordings:
        arrays = pickle.loads(recording.path.read_bytes(), encoding="latin1")
        assert arrays["data"].shape == (40, 40, 384 + 128 * 6)
        assert arrays["labels"].shape == (40, 4)
        signals = Deap().read(recording)
        np.testing.assert_array_equal(signals[3].data, arrays["data"][3, :32, 384:])
    assert b"numpy.core.multiarray" in first.read_bytes()[:100]
    pickle.loads(inventory.recordings[1].path.read_bytes())  # one is of Python 3


def test_simulated_trials_follow_the_design(deap_simulated):
    adapter, notices, seen = Deap(), [], set()
    inventory = adapter.inventory(deap_simulated)
    orders = []
    for recording in inventory.recordings:
        plans = adapter.design(RECIPE, recording.subject, 1)
        infos = adapter.trials(inventory, recording, notices)
        signals = adapter.read(recording)
        assert [s.values for s in signals] == [p.values for p in plans]
        assert [infos[p.number].order for p in plans] == [p.order for p in plans]
        assert {s.data.shape for s in signals} == {(32, plans[0].samples)}
        for p in plans:
            assert p.emotion.valence == pytest.approx((p.values["valence"] - 5) / 4)
        seen |= {v for p in plans for v in p.values.values()}
        orders.append(tuple(p.order for p in plans))
    assert notices == []
    assert len(set(orders)) == 3
    assert {5.0, 4.5} <= seen


def test_engine_reads_it(deap_simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    reading = read_corpus("DEAP:arousal", deap_simulated, ReadOptions())
    assert len(reading.windows) == 3 * 40 * 6
    assert sorted(set(reading.windows.order.tolist())) == list(range(40))
    assert 0.2 < reading.windows.y.mean() < 0.8


def test_channels_are_the_owner_s():
    seed = [c.upper() for c in facts.SEED_CHANNELS]
    where = [seed.index(c.upper()) for c in facts.DEAP_CHANNELS]
    assert where[:6] == [0, 3, 7, 5, 15, 17]
    assert len(set(where)) == 32


TABLE = ("Participant_id,Trial,Experiment_id,Start_time,Valence\n1,1,3,100,4.5\n1,2,4,100,5.5\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ratings_are_read_whatever_ends_their_lines(tmp_path, end):
    (tmp_path / "t.csv").write_bytes(TABLE.replace("\n", end).encode())
    assert _read_csv(tmp_path / "t.csv") == {1: {3: (1, 4.5), 4: (2, 5.5)}}


@pytest.mark.parametrize("more", ['"' + "x" * 200_000, "1,3,5,1," + "9" * 200_000, "1,\0,2,3,4"])
def test_absurd_ratings_are_refused(tmp_path, more):
    (tmp_path / "t.csv").write_text(TABLE + more)
    with pytest.raises(DataError, match="line 4: expected") as caught:
        _read_csv(tmp_path / "t.csv")
    assert len(str(caught.value)) < 500
