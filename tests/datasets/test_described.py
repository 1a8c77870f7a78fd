"""Folders of any making as corpora: what is proposed, read, refused, and noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from mutants import mutant

import bench
from bench.corpus_conformance import failures
from bench.data.locations import set_corpus_folder
from bench.data.reading import ReadOptions, read_corpus
from bench.datasets.described import Described
from bench.datasets.shared import edf, matlab
from bench.datasets.shared.foreign import names
from bench.datasets.shared.foreign.description import read, toml_of
from bench.datasets.shared.recordings import files_of, open_recording
from bench.errors import BenchError, DataError, MissingCorpusError, SettingError, UnknownNameError
from bench.registry import entries, include, load

from foreign import CHANNELS, FOLDERS, STATES, signal, write_set, write_vhdr


@pytest.fixture(autouse=True)
def _own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "settings" / "corpora.json"))


def add(folder: Path, name: str = "LAB", **said):
    """What ``bench data add`` does, and its report as text."""
    proposal = Described.propose(Described.folder(folder, name, **said))
    (folder / f"{name}.toml").write_text(proposal.toml)
    set_corpus_folder(name, folder / f"{name}.toml")
    return proposal, proposal.report.words()


@pytest.fixture(params=FOLDERS)
def lab(request, tmp_path):
    make, said = FOLDERS[request.param]
    return make(tmp_path / request.param), said


def test_five_folders_become_corpora(lab):
    folder, said = lab
    proposal, words = add(folder, **said)
    assert (proposal.subjects, proposal.sessions) == (3, 3)
    assert "T3 is T7" in words
    reading = read_corpus("LAB", folder)
    windows = reading.windows
    assert len(np.unique(windows.subject)) == 3
    assert len(windows.labels) == 2
    count = 24 if folder.name == "bids" else 18
    assert len(np.unique(windows.trial_key())) == count
    assert "T7" in windows.space.channels
    assert [n for n in reading.notices if "implausible" in n] == []
    # Alpha, the third band, is stronger in the second state.
    state = np.array([c.lower() not in ("relax",) for c in windows.labels])[windows.y]
    assert windows.x[state, :, 2].mean() > windows.x[~state, :, 2].mean() + 0.5
    assert failures("LAB") == []


def digest_or_refusal(folder: Path, path: Path) -> str:
    """Digest of the corpus, or the words that refuse a file of it, which must name that."""
    try:
        return read_corpus("LAB", folder).digest
    except DataError as error:
        if path.name not in error.message:
            raise
        return error.message


def test_any_file_that_changes_changes_the_digest(lab):
    folder, said = lab
    add(folder, **said)
    before = read_corpus("LAB", folder).digest
    inventory = load("corpora", "LAB")().inventory(folder)
    assert len({r.subject for r in inventory.recordings}) == len(inventory.recordings) == 3
    toml = folder / "LAB.toml"
    for path in {p.suffix: p for r in inventory.recordings for p in (r.path, *r.others)}.values():
        content = path.read_bytes()
        try:
            if path == toml:
                path.write_bytes(content + b"\n# a remark\n")
            else:
                path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
            assert digest_or_refusal(folder, path) != before, path
        finally:
            path.write_bytes(content)
    assert read_corpus("LAB", folder).digest == before


def test_another_name_of_a_class_is_another_corpus(tmp_path):
    folder = FOLDERS["edf"][0](tmp_path / "x")
    add(folder)
    first = read_corpus("LAB", folder)
    toml = folder / "LAB.toml"
    toml.write_text(toml.read_text().replace('relax = "relax"', 'relax = "calm"'))
    second = read_corpus("LAB", folder)
    assert second.windows.labels == ("calm", "arithmetic")
    assert first.digest != second.digest
    toml.write_text(toml.read_text().replace(
        'relax = "calm"\narithmetic = "arithmetic"', 'arithmetic = "arithmetic"\nrelax = "calm"'))
    assert read_corpus("LAB", folder).windows.labels == ("arithmetic", "calm")


def test_it_runs_beside_a_simulated_corpus_and_stands_in_lists(tmp_path):
    folder = FOLDERS["npz"][0](tmp_path / "x")
    add(folder)
    assert "LAB" in entries("corpora")
    record = bench.run("lda", "SEED", "LAB", simulated=True, scale="null",
                       recipe={"subjects": 2, "length": 0.05}, runs=tmp_path / "runs",
                       controls=False, map=["negative=arithmetic", "positive=relax"])
    assert record.classes == ["arithmetic", "relax"]
    assert record.simulated
    assert len(record.folds) == 3


def test_pieces_of_one_recording_a_class(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    for s in range(3):
        for k in (1, 2):
            edf.write(folder / f"Subject{s:02d}_{k}.edf", [*(f"EEG {c}" for c in CHANNELS), "ECG"],
                      200, signal(np.random.default_rng([s, k]), k - 1, 24, 200, 11))
    said = {"classes": ("1=relax", "2=arithmetic")}
    _, words = add(folder, **said)
    assert "the number 1, 2 was taken for the class" in words
    assert "--cut 20 makes pieces" in words
    make, more = FOLDERS["edf"]
    add(make(tmp_path / "source"), "OTHER", **more)
    with pytest.raises(BenchError, match="can be tested under few-shot") as caught:
        bench.run("lda", "OTHER", "LAB", runs=tmp_path / "runs", controls=False)
    assert "--cut 20" in caught.value.hint
    add(folder, cut=6.0, **said)
    record = bench.run("lda", "OTHER", "LAB", runs=tmp_path / "runs", controls=False)
    assert record.identity["target"]["pieces"] == {"LAB": 6.0}
    assert any("pieces of 6 s" in n for n in record.notices)
    assert len(record.folds[0]["test_trials"]) + len(record.folds[0]["calibration_trials"]) == 8


def test_several_files_of_a_session_are_one(tmp_path):
    folder = FOLDERS["mat"][0](tmp_path / "x")
    proposal, words = add(folder, **FOLDERS["mat"][1])
    assert proposal.description.files == "{class}_sub_{subject}_trial{trial}.mat"
    assert "3 of 3 sessions are in several files" in words
    found = load("corpora", "LAB")().inventory(folder)
    assert len(found.recordings) == 3
    assert len(found.recordings[0].others) == 6  # five files and the TOML
    numbers = [t.number for t in load("corpora", "LAB")().read(found.recordings[0])]
    assert numbers == [1, 2, 3, 4, 5, 6]
    reading = read_corpus("LAB", folder, ReadOptions(sessions="all"))
    assert any("in which order" in n for n in reading.notices)  # trials are numbered in each class
    assert (reading.windows.order == -1).all()


@pytest.mark.parametrize(("scales", "unit", "said"), [
    ((1.0, 1.0), "V", "standard deviation"), ((1e6, 1e6), "uV", "taken for microvolts"),
    ((1.0, 1e6), "by size", "each is read by its own"),
])
def test_units_are_told_by_size(tmp_path, scales, unit, said):
    folder = tmp_path / "x"
    folder.mkdir()
    for s, scale in enumerate(scales, 1):
        rng = np.random.default_rng(s)
        whole = np.concatenate([signal(rng, k % 2, 6, 200) for k in range(6)], 1) * scale
        edf.write(folder / f"S{s}.edf", CHANNELS, 200, whole,
                  [(6 * k, 6, STATES[k % 2]) for k in range(6)])
    proposal, words = add(folder)
    assert proposal.description.unit == unit
    assert said in words
    reading = read_corpus("LAB", folder)
    means = [reading.windows.x[reading.windows.subject == s].mean() for s in (1, 2)]
    assert abs(means[0] - means[1]) < 0.3
    assert not any("implausible" in n for n in reading.notices)


@pytest.mark.parametrize("kind", ["set", "set alone", "vhdr", "fif", "bdf"])
def test_other_makes_of_recordings(tmp_path, kind):
    rng, marks = np.random.default_rng(3), [(1.0, 4.0, "relax"), (6.0, 4.0, "arithmetic")] * 1
    data = signal(rng, 0, 12, 200)
    path = tmp_path / f"S1.{kind.split()[0]}"
    if kind.startswith("set"):
        write_set(path, CHANNELS, 200, data, marks, beside=kind == "set")
    elif kind == "vhdr":
        write_vhdr(path, CHANNELS, 200, data, marks)
    elif kind == "fif":
        import mne

        path = tmp_path / "S1_raw.fif"
        raw = mne.io.RawArray(data * 1e-6, mne.create_info(list(CHANNELS), 200, "eeg"), verbose=50)
        raw.set_annotations(mne.Annotations(*zip(*marks, strict=True)))
        raw.save(path, verbose=50)
    else:
        _write_bdf(path, data, marks)
    opened = open_recording(path)
    assert opened.rate == 200
    assert [n for n in opened.names if n in CHANNELS] == list(CHANNELS)
    texts = [(round(m.onset, 2), m.text.removeprefix("Comment/")) for m in opened.marks
             if "Segment" not in m.text]
    assert texts == [(1.0, "relax"), (6.0, "arithmetic")]
    np.testing.assert_allclose(opened.cut(CHANNELS, 2, 4, 200), data[:, 400:800], atol=0.02)
    assert opened.cut(CHANNELS, 2, 4, 128).shape == (len(CHANNELS), 256)
    assert len(files_of(path)) == {"set": 2, "vhdr": 3}.get(kind, 1)


def _write_bdf(path, data, marks):
    """An EDF file turned into one of BioSemi's: three bytes a sample."""
    other = path.with_suffix(".edf")
    edf.write(other, CHANNELS, 200, data, marks)
    content = other.read_bytes()
    start = 256 * (len(CHANNELS) + 2)
    head = bytearray(content[:start].replace(b"EDF Annotations", b"BDF Annotations"))
    head[:8], head[192:197] = b"\xffBIOSEMI", b"BDF+C"
    width = len(CHANNELS) * 200
    note = (len(content) - start) // 12 - 2 * width
    # Annotations of n samples of two bytes become as many of three.
    body = b""
    for second in range(12):
        block = content[start + second * (2 * width + note) :][: 2 * width + note]
        values = np.frombuffer(block[: 2 * width], "<i2").astype("<i4")
        body += values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        body += block[2 * width :].ljust(note // 2 * 3, b"\0")
    path.write_bytes(bytes(head) + body)
    other.unlink()


@pytest.mark.parametrize(("paths", "pattern"), [
    ([f"{c}_sub_{s}_trial{k}.mat" for c in ("Relax", "Mirror_image") for s in (1, 2)
      for k in (1, 2)],
     "{class}_sub_{subject}_trial{trial}.mat"),
    ([f"Subject{s:02d}_{k}.edf" for s in range(3) for k in (1, 2)], "Subject{subject}_{class}.edf"),
    ([f"sub{s}/ses{v}/{c}_{k:02d}.csv" for s in (1, 2) for v in (1, 2) for c in ("a", "b")
      for k in (1, 2)], "sub{subject}/ses{session}/{class}_{trial}.csv"),
    ([f"{n}/{c}{k}.csv" for n in ("anna", "bert") for c in ("rest", "work") for k in (1, 12)],
     "{subject}/{class}{trial}.csv"),
    ([f"(S{s:02d})/S{s:02d}G{g}.csv" for s in (1, 2) for g in (1, 2, 3)], None),
    (["a.npz"], None), ([], None),
])
def test_patterns_of_names(paths, pattern):
    found = names.propose(paths)
    if pattern is None:
        assert found is None or all(found.pattern.match(p) is not None for p in paths)
        return
    assert found.pattern.text == pattern
    fields = [found.pattern.match(p) for p in paths]
    assert all(f is not None for f in fields)
    assert len({tuple(f.items()) for f in fields}) == len(paths)


def test_patterns_take_no_time_and_leave_no_doubt():
    hard = names.NamePattern.parse("*a*a*a*a*a*a*a*a*a*a*b")
    assert hard.match("a" * 390) is None
    for text in ("{subject}{session}", "{who}.edf", "{subject}_{subject}.edf", "", "{subject"):
        with pytest.raises(SettingError):
            names.NamePattern.parse(text)
    assert names.NamePattern.parse("{class}{trial}.mat").match("relax12.mat") == {
        "class": "relax", "trial": "12"}


@pytest.mark.parametrize(("old", "new", "said"), [
    ('name = "LAB"', 'name = "L B"', "name"), ("rate = 200", "rate = 5", "rate"),
    ("rate = 200", "speed = 200", "speed"), ('"Fp2"', '"Fp1"', "FP1 named more than once"),
    ('relax = "relax"', "", "two classes at least"), ('unit = "V"', 'unit = "W"', "unit"),
    ('relax = "relax"', 'relax = "a=b"', "classes.relax"), ('files = "S', 'files = "S{x}', "x"),
    ("[classes]", "[klasses]", "klasses"), ("format = 1", "format = 2", "format"),
    ("format = 1", "format = = 1", "a TOML file"), ("[trials]", "[[trials]]", "trials"),
])
def test_a_toml_that_cannot_be_used_is_refused_by_key(tmp_path, old, new, said):
    folder = FOLDERS["edf"][0](tmp_path / "x")
    add(folder)
    toml = folder / "LAB.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match="LAB.toml") as caught:
        load("corpora", "LAB")
    assert said in caught.value.message
    assert "SEED" in entries("corpora")


def test_a_toml_says_the_same_when_written_and_read(tmp_path):
    folder = FOLDERS["bids"][0](tmp_path / "x")
    proposal, _ = add(folder)
    assert read(folder / "LAB.toml") == proposal.description
    (tmp_path / "again.toml").write_text(toml_of(proposal.description))
    assert read(tmp_path / "again.toml") == proposal.description


def test_a_toml_goes_in_by_include_and_is_forgotten(tmp_path, clean_registry):
    folder = FOLDERS["edf"][0](tmp_path / "x")
    proposal, _ = add(folder)
    from bench.data.locations import forget_corpus

    forget_corpus("lab")
    with pytest.raises(UnknownNameError):
        load("corpora", "LAB")
    elsewhere = tmp_path / "shared.toml"
    elsewhere.write_text(proposal.for_file(elsewhere))
    include(str(elsewhere))
    assert len(read_corpus("LAB", folder).windows) > 0


def test_a_folder_that_moved_is_named(tmp_path):
    folder = FOLDERS["edf"][0](tmp_path / "x")
    add(folder)
    adapter = load("corpora", "LAB")()
    shutil.move(folder, tmp_path / "y")
    with pytest.raises(BenchError, match="x"):
        load("corpora", "LAB")
    with pytest.raises(MissingCorpusError, match="is no folder"):
        adapter.inventory(tmp_path)
    with pytest.raises(MissingCorpusError, match="lies in"):
        adapter.inventory(_empty(tmp_path))


def _empty(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("said", "message"), [
    ({}, "which channel is which"), ({"channels": CHANNELS}, "how many samples a second"),
    ({"channels": CHANNELS[:3], "rate": 128.0}, "which axis of 'Clean_data'"),
    ({"channels": CHANNELS, "rate": 128.0, "classes": ("Relax", "Sleep")}, "'Sleep' is nowhere"),
    ({"channels": CHANNELS, "rate": 128.0, "files": "x_{subject}.mat"}, "holds no file"),
    ({"make": "tape"}, "is no make of folder"),
])
def test_what_cannot_be_told_is_asked_for(tmp_path, said, message):
    folder = FOLDERS["mat"][0](tmp_path / "x")
    with pytest.raises(SettingError, match=message) as caught:
        add(folder, **said)
    assert caught.value.hint or "holds no file" in message


def test_events_of_a_table_with_ends_and_ratings(tmp_path):
    """As in DENS: rows of a kind begin a trial, others end it, ratings stand in beh/ by clip."""
    folder = tmp_path / "x"
    place = folder / "sub-a1" / "eeg"
    place.mkdir(parents=True)
    (folder / "sub-a1" / "beh").mkdir()
    rng, rows = np.random.default_rng(0), ["onset\tduration\ttrial_type\tlabel"]
    for k in range(6):
        rows += [f"{(10 * k + 1) * 200}\t1000\tstm\tclip{k}_{k + 1}",
                 f"{(10 * k + 8) * 200}\t1000\trate\tquestion"]
    edf.write(place / "sub-a1_task-f_eeg.edf", CHANNELS, 200, signal(rng, 0, 61, 200))
    (place / "sub-a1_task-f_events.tsv").write_text("\n".join(rows) + "\n")
    (folder / "sub-a1" / "beh" / "sub-a1_task-f_beh.tsv").write_text(
        "clip\tvalence\n" + "".join(f"clip{k}.mp4\t{1 + k * 1.5}\n" for k in (0, 1, 3, 4, 5)))
    _, words = add(folder, events="trial_type=stm", column="label", ends=("rate",),
                   ratings=("valence=1:9",))
    assert "in samples" in words
    reading = read_corpus("LAB:valence", folder)
    windows = reading.windows
    assert np.unique(windows.trial).tolist() == [1, 2, 3, 4, 5]  # one clip has no rating
    assert np.bincount(windows.trial)[1] == 7
    assert [int(windows.y[windows.trial == t][0]) for t in range(1, 6)] == [0, 0, 1, 1, 1]


def test_objects_in_a_file_are_never_made(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "trapped",))

    np.savez(folder / "S1.npz", X=np.array([Trap()], dtype=object), y=[1])
    with pytest.raises(DataError, match="Python objects"):
        add(folder, rate=128.0, channels=CHANNELS)
    assert not (tmp_path / "trapped").exists()


def test_matlab_files_hold_one_trial(tmp_path):
    folder = FOLDERS["mat"][0](tmp_path / "x", 2)
    add(folder, **FOLDERS["mat"][1])
    path = folder / "Relax_sub_1_trial2.mat"
    matlab.write(path, {"Clean_data": np.zeros((4, 640))})
    with pytest.raises(DataError, match="10 channels") as caught:
        read_corpus("LAB", folder)
    assert path.name in caught.value.message


def damaged(folder: Path, path: Path, seeds: range) -> int:
    """Read a corpus with each mutant of a file; returns how many were refused, all in words."""
    content, refused = path.read_bytes(), 0
    try:
        for seed in seeds:
            path.write_bytes(mutant(content, seed))
            try:
                read_corpus("LAB", folder)
                continue
            except BenchError as error:
                said = error.message
            refused += 1
            assert 20 < len(said) < 1500
    finally:
        path.write_bytes(content)
    return refused


def test_damaged_files_of_every_make_are_refused_in_words(lab):
    """A few of each; docs/studies/damage.py does 200 of each in processes of their own."""
    folder, said = lab
    add(folder, **said)
    recording = load("corpora", "LAB")().inventory(folder).recordings[0]
    kinds = {p.suffix: p for p in (recording.path, *recording.others)}
    refused = {kind: damaged(folder, path, range(14)) for kind, path in kinds.items()}
    assert refused[recording.path.suffix] > 0
    assert refused[".toml"] > 0


def test_data_add_on_the_command_line(tmp_path, bench, process):
    folder = FOLDERS["edf"][0](tmp_path / "x")
    shown = bench("data", "add", folder, "--as", "CLI-LAB", "--dry-run")
    assert shown.returncode == 0
    assert "T3 is T7" in shown.stdout
    assert "[classes]" in shown.stdout
    assert not (folder / "CLI-LAB.toml").exists()
    done = process("data", "add", folder, "--as", "CLI-LAB", "--classes", "relax=calm,arithmetic")
    assert done.returncode == 0
    assert 'relax = "calm"' in (folder / "CLI-LAB.toml").read_text()
    assert "calm 45" in " ".join(bench("data", "check", folder, "--corpus", "CLI-LAB",
                                       "--read").stdout.split())
    taken = bench("data", "add", folder, "--as", "SEED")
    assert taken.returncode == 2
    assert "taken by a corpus" in taken.stderr
    assert "is bound to" in bench("data", "set", f"CLI-LAB={folder}").stderr
    assert bench("data", "forget", "CLI-LAB").returncode == 0
    assert bench("data", "forget", "CLI-LAB").returncode == 2


def test_a_folder_that_cannot_be_told_shows_what_was_seen(tmp_path, bench):
    folder = FOLDERS["mat"][0](tmp_path / "x", 1)
    refused = bench("data", "add", folder, "--as", "X")
    assert refused.returncode == 2
    assert "6 MATLAB files" in refused.stdout
    assert "--channels" in refused.stderr


@pytest.mark.slow
def test_it_goes_through_worker_processes_tuning_audit_and_rerun(tmp_path, bench):
    for name in ("edf", "npz"):
        make, _ = FOLDERS[name]
        make(tmp_path / name)
        assert bench("data", "add", tmp_path / name, "--as", f"L-{name}").returncode == 0
    assert bench("sweep", "--method", "lda,lr", "--pairs", "L-edf->L-npz", "--workers", "2",
                 "--runs", "runs", "--scale", "null").returncode == 0
    cell = next((tmp_path / "runs" / "cells").iterdir())
    assert "agrees" in bench("rerun", cell.name, "--runs", "runs").stdout
    assert bench("tune", "--method", "lr", "--src", "L-edf", "--tgt", "L-npz", "--trials", "2",
                 "--scale", "null").returncode == 0
    assert bench("audit", "--method", "lr", "--src", "L-edf", "--tgt", "L-npz", "--scale", "null",
                 "--only", "test-scaler").returncode == 0
