"""From files to windows: what is read, what is cached, what is refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from bench import registry
from bench.data import cache
from bench.data.features import differential_entropy
from bench.data.labels import LabelRule
from bench.data.reading import ReadOptions, parse_name, read_corpus, simulate_corpus, simulated_root
from bench.data.recipe import MARKER, Recipe
from bench.data.windows import FIVE_BANDS
from bench.errors import BenchError, DataError, MissingCorpusError, SettingError, UnknownNameError
from bench.registry import load
from bench.store.seal import sealed_json

from support import Toy, write_toy


@pytest.fixture(autouse=True)
def _toy(clean_registry, monkeypatch, tmp_path):
    registry.include("support")
    monkeypatch.setattr(Toy, "reads", [])
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def toy(tmp_path):
    return write_toy(tmp_path / "corpora")


def change(path, trial, function):
    with np.load(path) as stored:
        arrays = {k: stored[k] for k in stored.files}
    function(arrays[str(trial)])
    np.savez(path, **arrays)


def test_windows_are_the_files_content(toy):
    reading = read_corpus("toy", toy)
    windows = reading.windows
    assert str(reading.name) == "TOY:valence"
    assert windows.x.shape == (3 * 6 * 3, 4, 5)
    assert windows.space.channels == ("FP1", "FZ", "T7", "OZ")
    assert windows.labels == ("low", "high")
    assert np.unique(windows.subject).tolist() == [1, 2, 10]
    assert list(dict.fromkeys(windows.subject.tolist())) == [1, 2, 10]
    with np.load(toy / "toy" / "10_1.npz") as stored:
        expected = differential_entropy(stored["4"], 128, 1.0, FIVE_BANDS)
    mine = (windows.subject == 10) & (windows.trial == 4)
    assert (windows.x[mine] == expected).all()
    assert windows.onset[mine].tolist() == [0, 1, 2]
    assert (windows.y == windows.trial % 2).all()
    assert (windows.order == windows.trial - 1).all()
    assert (reading.notices, reading.recipe) == ((), None)


def test_a_second_read_opens_no_recording(toy):
    first = read_corpus("TOY", toy)
    assert len(Toy.reads) == 3
    Toy.reads.clear()
    second = read_corpus("TOY", toy)
    assert Toy.reads == []
    assert first.digest == second.digest
    assert first.windows.digest() == second.windows.digest()


def test_all_tasks_share_the_cached_features(toy):
    read_corpus("TOY:valence", toy)
    Toy.reads.clear()
    film = read_corpus("TOY:film", toy)
    assert Toy.reads == []
    assert set(film.windows.trial.tolist()) == {1, 3, 4, 6}  # film 2 is no part of the task


def test_a_second_read_of_simulated_seed_takes_under_a_second(tiny_root):
    read_corpus("SEED", tiny_root)
    took = []
    for _ in range(3):  # the best of three: other processes may be busy
        began = time.perf_counter()
        read_corpus("SEED", tiny_root)
        took.append(time.perf_counter() - began)
    assert min(took) < 1


def test_the_cache_goes_by_content_not_by_place_or_time(toy, tmp_path):
    first = read_corpus("TOY", toy)
    moved = shutil.copytree(toy, tmp_path / "elsewhere")
    (moved / "toy" / "1_1.npz").touch()
    Toy.reads.clear()
    assert read_corpus("TOY", moved).digest == first.digest
    assert Toy.reads == []
    change(moved / "toy" / "2_1.npz", 3, lambda a: np.multiply(a, 2, out=a))
    changed = read_corpus("TOY", moved)
    assert [p.name for p in Toy.reads] == ["2_1.npz"]
    assert changed.digest != first.digest
    different = (changed.windows.x != first.windows.x).any(axis=(1, 2))
    assert set(changed.windows.trial_key()[different]) == {"TOY/2/1/3"}


def test_a_file_changed_within_its_size_is_noticed(toy):
    before = read_corpus("TOY", toy)
    change(toy / "toy" / "1_1.npz", 1, lambda a: np.negative(a, out=a))
    change(toy / "toy" / "1_1.npz", 1, lambda a: np.add(a, np.arange(384), out=a))
    assert read_corpus("TOY", toy).windows.digest() != before.windows.digest()


@pytest.mark.parametrize("damage", [
    lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 100,
    lambda data: data[:2000] + bytes(300) + data[2300:],
])
def test_a_torn_cache_file_is_computed_again(toy, damage):
    first = read_corpus("TOY", toy)
    files = sorted((cache.cache_root() / "features").rglob("*.npz"))
    assert len(files) == 3
    whole = files[0].read_bytes()
    files[0].write_bytes(damage(whole))
    Toy.reads.clear()
    assert read_corpus("TOY", toy).windows.digest() == first.windows.digest()
    assert len(Toy.reads) == 1
    assert files[0].read_bytes() == whole


def test_a_torn_memo_of_fingerprints_is_forgotten(toy):
    first = read_corpus("TOY", toy)
    memo = cache.cache_root() / "fingerprints.json"
    memo.write_text(memo.read_text()[:40])
    assert read_corpus("TOY", toy).digest == first.digest
    assert len(json.loads(memo.read_text())["files"]) == 3


@pytest.mark.parametrize("rows", [3, [], {"digest": None}, {"digest": "0" * 64}, {"digest": [1]}])
def test_a_memo_made_by_hand_is_not_believed(toy, rows):
    """The right sizes and times, and digests of another file, whose features would be used."""
    first = read_corpus("TOY", toy)
    memo = cache.cache_root() / "fingerprints.json"
    known = json.loads(memo.read_text())
    if isinstance(rows, dict):
        rows = {name: [*row[:-1], rows["digest"]] for name, row in known["files"].items()}
        memo.write_text(json.dumps({"files": rows, "sha256": known["sha256"]}))
    else:
        memo.write_text(sealed_json({"files": rows}))
    assert read_corpus("TOY", toy).digest == first.digest


def test_features_under_the_key_of_others_are_computed_again(toy):
    first = read_corpus("TOY", toy)
    one, two, _ = sorted((cache.cache_root() / "features").rglob("*.npz"))
    shutil.copy(one, two)
    assert read_corpus("TOY", toy).windows.digest() == first.windows.digest()


@pytest.mark.parametrize(("function", "found"), [
    (lambda a: a.__setitem__((1, 5), np.nan), "1 NaN or infinite in FZ"),
    (lambda a: a.__setitem__(([0, 2], 7), np.inf), "2 NaN or infinite in FP1, T7"),
    (lambda a: a.__setitem__(3, 2.5), "constant channel OZ"),
])
def test_dead_signals_are_refused_by_name(toy, function, found):
    path = toy / "toy" / "2_1.npz"
    change(path, 4, function)
    with pytest.raises(DataError) as caught:
        read_corpus("TOY", toy)
    assert f"{path} trial 4: expected" in caught.value.message
    assert f"found {found}" in caught.value.message
    assert "--exclude CORPUS:SUBJECT" in caught.value.hint
    assert len(list((cache.cache_root() / "features").rglob("*.npz"))) == 1  # subject 1's only
    rest = read_corpus("TOY", toy, ReadOptions(exclude=frozenset({2})))
    assert set(rest.windows.subject.tolist()) == {1, 10}
    assert "TOY: subjects 2 excluded" in rest.notices


@pytest.mark.parametrize(("function", "expected", "found"), [
    (lambda a: a.__setitem__((1, 5), 1e200), "signals in microvolts or volts",
     "1e+200 from peak to peak in FZ"),
    (lambda a: a.__setitem__(3, a[3] * 1e-170), "signals in microvolts or volts",
     "from peak to peak in OZ"),
    (lambda a: a.__setitem__(slice(None), a * 1e300), "signals in microvolts or volts",
     "in FP1, FZ, T7, OZ"),
    (lambda a: a.__setitem__((1, 5), 1e12), "signals in microvolts or volts", "1e+12 from peak"),
])
@pytest.mark.parametrize("features", ["bench", "raw"])
@pytest.mark.filterwarnings("error")
def test_extreme_samples_are_refused_by_name(toy, function, expected, found, features):
    path = toy / "toy" / "2_1.npz"
    change(path, 4, function)
    with pytest.raises(DataError) as caught:
        read_corpus("TOY", toy, ReadOptions(features=features))
    assert f"{path} trial 4: expected {expected}" in caught.value.message
    assert found in caught.value.message


@pytest.mark.parametrize(("function", "found"), [
    (lambda a: np.multiply(a, 1e-6, out=a), "(volts, not microvolts?)"),
    (lambda a: np.multiply(a, 1e6, out=a), "+05 (not microvolts?)"),
    (lambda a: a.__setitem__((2, 9), 1e8), "trial 4: T7 reaches 1e+08 microvolts"),
    (lambda a: np.multiply(a[1], 1e-6, out=a[1]), "trial 4: FZ spreads by"),
])
def test_implausible_signals_are_told_at_each_reading(toy, function, found):
    for trial in range(1, 7) if "(" in found else [4]:
        change(toy / "toy" / "2_1.npz", trial, function)
    for _ in range(2):  # computed, and from the cache
        notices = read_corpus("TOY", toy).notices
        (told,) = [n for n in notices if "implausible" in n]
        assert told.startswith("TOY: implausible signals, first in 2_1.npz: ")
        assert found in told


def test_excluding_nobody_or_everybody_is_refused(toy):
    with pytest.raises(SettingError, match="TOY has no subject 3, 4 to exclude") as caught:
        read_corpus("TOY", toy, ReadOptions(exclude=frozenset({1, 3, 4})))
    assert caught.value.hint == "Subjects found: 1, 2, 10"
    with pytest.raises(SettingError, match="no subject of TOY is left"):
        read_corpus("TOY", toy, ReadOptions(exclude=frozenset({1, 2, 10})))


def test_sessions_first_or_all(tmp_path):
    root = write_toy(tmp_path / "c", [(1, 1), (1, 2), (2, 2), (2, 3)])
    first = read_corpus("TOY", root)
    assert sorted(set(zip(first.windows.subject.tolist(), first.windows.session.tolist(),
                          strict=True))) == [(1, 1), (2, 2)]
    assert first.notices == (
        "TOY: session 1 is missing for subjects 2; their earliest session is used",
    )
    every = read_corpus("TOY", root, ReadOptions(sessions="all"))
    assert len(every.windows) == 2 * len(first.windows)
    assert len(np.unique(every.windows.trial_key())) == 4 * 6
    assert every.digest != first.digest
    with pytest.raises(SettingError, match="sessions must be 'first' or 'all', not 'last'"):
        read_corpus("TOY", root, ReadOptions(sessions="last"))


@pytest.mark.parametrize(("task", "key", "value", "found"), [
    ("valence", "valence", 12.0, "expected a valence rating from 1 to 9, found 12"),
    ("film", "film", 7.0, "expected a label among 0, 1, 2, found 7"),
])
def test_a_label_out_of_range_names_file_and_trial(toy, task, key, value, found):
    labels = toy / "toy" / "labels.json"
    table = json.loads(labels.read_text())
    table["5"][key] = value
    labels.write_text(json.dumps(table))
    with pytest.raises(DataError) as caught:
        read_corpus(f"TOY:{task}", toy)
    assert caught.value.message == f"{toy / 'toy' / '1_1.npz'} trial 5: {found}"


def test_a_trial_without_a_label_is_refused(toy):
    labels = toy / "toy" / "labels.json"
    table = json.loads(labels.read_text())
    del table["6"]
    labels.write_text(json.dumps(table))
    with pytest.raises(DataError, match="1_1.npz: expected a label for trial 6, found none"):
        read_corpus("TOY", toy)


def test_threshold_and_middle_band_decide_the_classes(toy):
    high = read_corpus("TOY", toy, ReadOptions(rule=LabelRule(8.0)))
    assert not high.windows.y.any()
    dropped = read_corpus("TOY", toy, ReadOptions(rule=LabelRule(5.0, (1.5, 2.5))))
    assert set(dropped.windows.trial.tolist()) == {1, 3, 5}
    with pytest.raises(SettingError, match="no trial of TOY:valence is left"):
        read_corpus("TOY", toy, ReadOptions(rule=LabelRule(5.0, (1, 9))))


def test_digest_tells_which_trials_were_kept(tmp_path):
    """Dropping either of two alike trials of unknown order leaves the same classes."""
    root = write_toy(tmp_path / "c", [(1, 1)], order=False)
    labels = root / "toy" / "labels.json"
    table = json.loads(labels.read_text())
    table["1"]["valence"], table["3"]["valence"] = 6.0, 7.0
    labels.write_text(json.dumps(table))
    digests = {read_corpus("TOY", root, ReadOptions(rule=LabelRule(5.0, band))).digest
               for band in ((5.9, 6.1), (6.9, 7.1))}
    assert len(digests) == 2


def test_unknown_order_is_minus_one(tmp_path):
    root = write_toy(tmp_path / "c", order=False)
    assert set(read_corpus("TOY", root).windows.order.tolist()) == {-1}


def test_windows_of_another_length_are_other_features(toy):
    one, three = (read_corpus("TOY", toy, ReadOptions(window_s=s)) for s in (1.0, 3.0))
    assert len(one.windows) == 3 * len(three.windows)
    assert one.digest != three.digest
    with pytest.raises(SettingError, match="window length -1 s is not between"):
        read_corpus("TOY", toy, ReadOptions(window_s=-1.0))


def test_unknown_corpora_and_tasks_are_suggested(toy, tmp_path):
    with pytest.raises(UnknownNameError, match="no corpus named 'SEDE'") as caught:
        parse_name("SEDE")
    assert "Did you mean 'SEED'" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no task of TOY named 'valenc'") as caught:
        read_corpus("TOY:valenc", toy)
    assert "Did you mean 'valence'?" in caught.value.hint
    with pytest.raises(MissingCorpusError, match="no TOY in"):
        read_corpus("TOY", tmp_path / "nowhere")


def test_progress_counts_the_files(toy):
    seen = []
    read_corpus("TOY", toy, progress=lambda *event: seen.append(event))
    assert seen == [("reading TOY:valence", i, 3) for i in (1, 2, 3)]


def test_simulating_into_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BenchError, match="mine is not empty"):
        simulate_corpus(load("corpora", "DEAP")(), tmp_path / "mine", Recipe(subjects=1))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_simulation_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="a simulator"):
        simulate_corpus(load("corpora", "TOY")(), tmp_path / "out" / "TOY", Recipe())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("damage", ["bit", "missing", "marker", "no marker", "labels"])
def test_a_damaged_simulated_corpus_in_the_cache_is_written_anew(damage):
    recipe = Recipe(subjects=1, length=0.02)
    name = "SEED" if damage == "labels" else "DEAP"  # which is written in a third of the time
    root = simulated_root(name, recipe)
    first = read_corpus(name, root)
    raw = next(root.rglob("label.mat" if damage == "labels" else "s01.dat"))
    marker = next(root.rglob(MARKER))
    path = marker if "marker" in damage else raw
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.unlink()
    if damage not in ("missing", "no marker"):
        path.write_bytes(data)
    told = []
    assert simulated_root(name, recipe, lambda what, *_: told.append(what)) == root
    assert "is written anew, since" in told[0]
    again = read_corpus(name, root)
    assert (again.digest, again.notices) == (first.digest, first.notices)
    assert simulated_root(name, recipe, lambda what, *_: told.append(what)) == root
    assert len(told) == 1


def test_two_processes_may_find_one_corpus_damaged_at_once():
    """Who comes second finds it put aside, or written anew, and reads what is there."""
    recipe = Recipe(subjects=1, length=0.02, seed=7)
    root = simulated_root("DEAP", recipe)
    whole = read_corpus("DEAP", root).digest
    kept = shutil.copytree(root, root.with_name(f"{root.name}-kept"))
    for written_anew in (False, True):
        next(root.rglob(MARKER)).unlink()
        told = []

        def another(what, *_, told=told, written_anew=written_anew):
            """What another process does between our finding the damage and mending it."""
            told.append(what)
            if "is written anew" in what:
                shutil.rmtree(root)
                if written_anew:
                    shutil.copytree(kept, root)

        assert simulated_root("DEAP", recipe, another) == root
        assert told
        assert read_corpus("DEAP", root).digest == whole


def test_a_simulated_corpus_elsewhere_says_what_was_changed(tiny_root, tmp_path):
    root = shutil.copytree(tiny_root / "SEED", tmp_path / "SEED")
    raw = sorted(root.rglob("2_*.mat"))[-1]
    data = bytearray(raw.read_bytes())
    data[-1000] ^= 1
    raw.write_bytes(data)
    notices = read_corpus("SEED", root).notices
    assert any("not as it was written" in n and f"{raw.name} does not match" in n for n in notices)


def test_two_processes_may_simulate_one_corpus_at_once(tmp_path):
    """Who comes second finds the folder there, and takes it."""
    folder = tmp_path / "out" / "TOY"

    class Slow(Toy):
        def simulate(self, root, recipe):
            (root / "a.txt").write_text("mine")
            folder.mkdir()
            (folder / "a.txt").write_text("another's")

    simulate_corpus(Slow(), folder, Recipe())
    assert (folder / "a.txt").read_text() == "another's"
    assert [p.name for p in folder.parent.iterdir()] == ["TOY"]


def test_a_simulated_root_is_written_once(tmp_path):
    recipe = Recipe(subjects=1, length=0.02)
    folder = simulated_root("DEAP", recipe)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert simulated_root("deap", recipe) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert simulated_root("DEAP", Recipe(subjects=1, length=0.02, seed=1)) != folder
    assert read_corpus("DEAP", folder).recipe == recipe


def test_simulated_files_do_not_depend_on_the_number_of_threads(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bench.data.reading import simulate_corpus; "
        "from bench.data.corpus import Recipe; from bench.registry import load; "
        "simulate_corpus(load('corpora', 'DEAP')(), Path(sys.argv[1]), "
        "Recipe(subjects=2, length=0.05))"
    )
    digests = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", code, folder], check=True, env=environment)
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest()
                        for p in sorted(folder.rglob("*.dat"))])
    assert len(digests[0]) > 2
    assert digests[0] == digests[1]
