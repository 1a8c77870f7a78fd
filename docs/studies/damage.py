"""Is what is damaged ever believed? Mutants of every format that is read or written.

    python docs/studies/damage.py [--mutants 200] [--only NAME ...] [--seed 0]

Of each format a small, true file is made, changed, and read as a command would read it: each time
in a process of its own, which may take 20 s and 2 GiB. Half of the mutants have one to three bits
flipped inside payload bytes (numbers, not headers); the others are cut, doubled, overwritten or
flipped anywhere. After every tenth mutant the untouched file is read again and must give what it
gave before. Writes docs/studies/damage.md; exit status 1 if anything was believed that was damaged,
ended in a traceback, or took too long or too much.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from bench.auditing.split import check_split
from bench.cells.cell import Cell
from bench.cells.models import load_model, pack
from bench.data.locations import set_corpus_folder
from bench.data.reading import read_corpus, simulate_corpus, simulated_root
from bench.data.recipe import MARKER, Recipe
from bench.errors import BenchError
from bench.exchange.export import export
from bench.exchange.verify import verify
from bench.protocols.few_shot import FewShot
from bench.registry import load
from bench.reporting import ReportOptions
from bench.reports.published import figures
from bench.runs.tuned import Tuned, TuningSetting, read_tuned
from bench.store.files import write_text
from bench.store.records import Record, Store
from bench.store.seal import read_json, write_json
from bench.sweeps.request import read_request
from bench.tuning.studies import Storage, opened

HERE = Path(__file__).resolve().parent
SECONDS, BYTES = 20, 2 << 30
SMALL = Recipe(subjects=1, length=0.02)
GOOD = ("refused", "set aside", "unchanged", "told")
BAD = ("silent", "traceback", "hang", "memory", "crash")
Data = bytearray
#: What a reader found: a digest of the numbers, and whether it said that they are others.
Found = tuple[str, bool]


@dataclass(frozen=True)
class Format:
    """A file, and how it is read.

    Attributes
    ----------
    name : str
    path : Path
    read : callable
        Digest of what it holds, and whether a change was told; "" if it was set aside.
    payload : callable
        Positions of the bytes that hold numbers.
    """

    name: str
    path: Path
    read: Callable[[], Found]
    payload: Callable[[bytes], np.ndarray]


def middle(data: bytes) -> np.ndarray:
    """The middle four fifths of a binary file."""
    return np.arange(len(data) // 10, len(data) - len(data) // 10)


def digits(data: bytes) -> np.ndarray:
    """Digits of a text."""
    return np.flatnonzero(np.isin(np.frombuffer(data, np.uint8), list(b"0123456789")))


def digest(*values: Any) -> str:
    """Of anything that JSON, NumPy or PyTorch can hold."""
    out = hashlib.sha256()
    for value in values:
        array = value.numpy() if isinstance(value, torch.Tensor) else value
        out.update(array.tobytes() if isinstance(array, np.ndarray)
                   else json.dumps(array, sort_keys=True, default=str).encode())
    return out.hexdigest()


def mutated(whole: bytes, payload: np.ndarray, number: int, rng: np.random.Generator) -> bytes:
    """One mutant; the even ones are changed in their payload only."""
    data = bytearray(whole)
    if number % 2 == 0 and len(payload):
        for place in rng.choice(payload, rng.integers(1, 4)):
            data[place] ^= 1 << rng.integers(8)
        return bytes(data)
    start = int(rng.integers(len(data)))
    some = int(rng.integers(1, 1 + min(4096, max(1, len(data) // 4))))
    kind = (number // 2) % 6
    if kind == 0:
        return bytes(data[:start])
    if kind == 1:
        data[start:start + some] = bytes(len(data[start:start + some]))
    elif kind == 2:
        data[start:start] = data[start:start + some]
    elif kind == 3:
        del data[start:start + some]
    elif kind == 4:
        data[start:start + some] = rng.bytes(len(data[start:start + some]))
    else:
        for place in rng.integers(0, min(len(data), 512), 3):
            data[place] = rng.integers(256)
    return bytes(data)


def outcome(read: Callable[[], Found], pipe: Any) -> None:
    """Read in a process of its own; send what came of it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        found, told = read()
        pipe.send(("set aside" if not found else "read", found, told))
    except BenchError as error:
        pipe.send(("refused", str(error), False))
    except MemoryError:
        pipe.send(("memory", "", False))
    except BaseException:  # the point of all this
        pipe.send(("traceback", traceback.format_exc(), False))


def tried(read: Callable[[], Found]) -> tuple[str, str, bool]:
    """Outcome of a reading, whatever it does."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=outcome, args=(read, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(SECONDS):
            return "hang", "", False
        return ours.recv()  # type: ignore[no-any-return]
    except EOFError:
        process.join(1)
        return "crash", f"exit code {process.exitcode}", False
    finally:
        process.kill()
        process.join()


def study(form: Format, mutants: int, seed: int) -> tuple[Counter[str], list[str]]:
    """What became of the mutants of a format, and the bad ones in words."""
    whole = form.path.read_bytes()
    kind, true, _ = tried(form.read)
    if kind != "read":
        raise RuntimeError(f"{form.name}: the untouched file: {kind}: {true}")
    payload = form.payload(whole)
    rng = np.random.default_rng([seed, *form.name.encode()])
    counts: Counter[str] = Counter()
    bad: list[str] = []
    for number in range(mutants):
        data = mutated(whole, payload, number, rng)
        form.path.write_bytes(data)
        kind, found, told = tried(form.read)
        if kind == "read":
            kind = "unchanged" if found == true else "told" if told else "silent"
        counts[kind] += 1
        if kind in BAD:
            bad.append(f"{form.name}, mutant {number}: {kind}: {found[-800:]}")
        form.path.write_bytes(whole)
        if number % 10 == 9:
            again = tried(form.read)
            if again[:2] != ("read", true):
                bad.append(f"{form.name}: the untouched file after mutant {number}: {again}")
    return counts, bad


#: Suffixes of texts.
TEXTS = (".txt", ".tsv", ".json", ".md")


def kind_of(path: Path) -> str:
    """What a row of the table calls a file: its suffix, of a table also what it is of."""
    table = f"{path.stem.rpartition('_')[2]} " if path.suffix == ".tsv" else ""
    return f"{table}{path.suffix[1:]}"


def corpus_formats(root: Path) -> list[Format]:
    """Files of owners, as the simulator writes them; some rewritten as another version."""
    import h5py
    from scipy.io import loadmat, savemat

    others = ("SEED-V", "SEED-VII", "FACED", "DREAMER", "EEGMAT", "SAM40", "DENS", "FILM-MUSIC",
              "EMOEEG-MC")
    for name in ("SEED", "DEAP", *others):
        simulate_corpus(load("corpora", name)(), root / name, SMALL)
    shutil.copytree(root / "SEED", root / "hdf5")
    shutil.copytree(root / "SEED", root / "compressed")
    raw = {name: max((root / name).rglob("1_*.mat"), key=lambda p: p.stat().st_size)
           for name in ("SEED", "hdf5", "compressed")}
    values = {k: v for k, v in loadmat(str(raw["SEED"])).items() if not k.startswith("__")}
    savemat(str(raw["SEED"]), values, do_compression=False)
    savemat(str(raw["compressed"]), values, do_compression=True)
    with h5py.File(raw["hdf5"], "w", userblock_size=512) as file:
        for name, value in values.items():
            file.create_dataset(name, data=value.T)

    def corpus(name: str, folder: str) -> Callable[[], Found]:
        def read() -> Found:
            found = read_corpus(name, root / folder)
            told = any("not the files they were" in n for n in found.notices)
            return digest(found.windows.x, found.windows.y, found.windows.order), told
        return read

    first = {name: load("corpora", name)().inventory(root / name).recordings[0]
             for name in others}
    files = [(name, path) for name, recording in first.items()
             for path in (recording.path, *recording.others)]
    return [
        *(Format(f"{name}, {kind_of(path)}", path, corpus(name, name),
                 digits if path.suffix in TEXTS else middle) for name, path in files),
        Format("DEAP, pickle", next((root / "DEAP").rglob("s01.dat")), corpus("DEAP", "DEAP"),
               middle),
        Format("DEAP, ratings CSV", next((root / "DEAP").rglob("*ratings.csv")),
               corpus("DEAP", "DEAP"), digits),
        Format("SEED, MATLAB 5", raw["SEED"], corpus("SEED", "SEED"), middle),
        Format("SEED, MATLAB 5 compressed", raw["compressed"], corpus("SEED", "compressed"),
               middle),
        Format("SEED, MATLAB 7.3", raw["hdf5"], corpus("SEED", "hdf5"), middle),
        Format("SEED, labels", raw["SEED"].parent / "label.mat", corpus("SEED", "SEED"),
               middle),
    ]


_NAMES, _STATES = ("Fp1", "Fp2", "C3", "C4"), ("rest", "task")
_MARKS = [(5.0 * k, 5.0, _STATES[k % 2]) for k in range(4)]


def write_vhdr(path: Path, signal: np.ndarray) -> None:
    """BrainVision's three files."""
    head = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]",
            f"DataFile={path.stem}.eeg", f"MarkerFile={path.stem}.vmrk", "DataFormat=BINARY",
            "DataOrientation=MULTIPLEXED", "NumberOfChannels=4", "SamplingInterval=7812.5",
            "[Binary Infos]", "BinaryFormat=IEEE_FLOAT_32", "[Channel Infos]",
            *(f"Ch{i + 1}={n},,1,µV" for i, n in enumerate(_NAMES))]
    path.write_text("\n".join(head) + "\n", encoding="utf-8")
    path.with_suffix(".vmrk").write_text("\n".join([
        "Brain Vision Data Exchange Marker File, Version 1.0", "[Common Infos]",
        f"DataFile={path.stem}.eeg", "[Marker Infos]", "Mk1=New Segment,,1,1,0",
        *(f"Mk{i + 2}=Comment,{w},{round(at * 128) + 1},640,0"
          for i, (at, _, w) in enumerate(_MARKS))]) + "\n", encoding="utf-8")
    signal.T.astype("<f4").tofile(path.with_suffix(".eeg"))


def write_set(path: Path, signal: np.ndarray) -> None:
    """EEGLAB's two files."""
    from bench.datasets.shared import matlab

    places = np.empty((1, 4), dtype=[("labels", object)])
    events = np.empty((1, 4), dtype=[(n, object) for n in ("type", "latency", "duration")])
    for i in range(4):
        places[0, i]["labels"] = _NAMES[i]
        events[0, i] = (_MARKS[i][2], _MARKS[i][0] * 128 + 1, 640.0)
    matlab.write(path, {"EEG": {
        "nbchan": 4.0, "pnts": float(signal.shape[1]), "trials": 1.0, "srate": 128.0,
        "chanlocs": places, "event": events, "data": f"{path.stem}.fdt"}})
    signal.T.astype("<f4").tofile(path.with_suffix(".fdt"))


def write_fif(path: Path, signal: np.ndarray) -> None:
    """MNE's file."""
    import mne

    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(_NAMES), 128.0, "eeg"),
                          verbose="ERROR")
    raw.set_annotations(mne.Annotations(*zip(*_MARKS, strict=True)))
    raw.save(path, overwrite=True, verbose="ERROR")


def write_edf(path: Path, signal: np.ndarray) -> None:
    """EDF with annotations."""
    from bench.datasets.shared import edf

    edf.write(path, _NAMES, 128, signal, _MARKS)


def write_csv(path: Path, signal: np.ndarray) -> None:
    """A table with times and labels."""
    rows = [",".join(["time", *_NAMES, "label"])]
    rows += [",".join([f"{i / 128:.5f}", *(f"{v:.3f}" for v in sample), _STATES[i // 640 % 2]])
             for i, sample in enumerate(signal.T)]
    path.write_text("\n".join(rows) + "\n")


def write_npz(path: Path, signal: np.ndarray) -> None:
    """Trials, and what each is."""
    np.savez(path, X=signal.reshape(4, 4, 640).transpose(1, 0, 2), y=np.arange(4) % 2, fs=128,
             ch_names=np.array(_NAMES))


def write_bids(place: Path, data: Sequence[np.ndarray]) -> None:
    """A dataset of two subjects, onsets in milliseconds, ratings in beh/."""
    from bench.datasets.shared import edf

    for s, signal in enumerate(data, 1):
        eeg, name = place / f"sub-{s:02d}" / "eeg", f"sub-{s:02d}_task-t"
        eeg.mkdir(parents=True)
        (eeg.parent / "beh").mkdir()
        edf.write(eeg / f"{name}_eeg.edf", _NAMES, 128, signal)
        (eeg / f"{name}_events.tsv").write_text("onset\tduration\ttrial_type\n" + "".join(
            f"{round(at * 1000)}\t{round(lasts * 1000)}\t{w}\n" for at, lasts, w in _MARKS))
        (eeg / f"{name}_eeg.json").write_text(json.dumps(
            {"SamplingFrequency": 128, "PowerLineFrequency": 50}))
        (eeg / f"{name}_channels.tsv").write_text(
            "name\ttype\tunits\n" + "".join(f"{n}\tEEG\tuV\n" for n in _NAMES))
        (eeg.parent / "beh" / f"{name}_beh.tsv").write_text(
            "trial\tvalence\n" + "".join(f"{k}\t{2 * k + 1}\n" for k in range(4)))


def added(place: Path, name: str, files: dict[str, Callable[[bytes], np.ndarray]],
          **said: Any) -> list[Format]:
    """Formats of a folder that is a corpus by `bench data add`."""
    from bench.datasets.described import Described

    toml = place / f"{name}.toml"
    toml.write_text(Described.propose(Described.folder(place, name, **said)).toml)
    set_corpus_folder(name, toml)

    def read() -> Found:
        found = read_corpus(name, place)
        told = any("not the files they were" in n or n.startswith("skipped")
                   for n in found.notices)
        return digest(found.windows.x, found.windows.y, found.windows.order,
                      list(found.windows.labels)), told

    return [Format(f"own folder, {name.lower()}, {Path(file).name.split('_')[-1]}", place / file,
                   read, where) for file, where in files.items()]


def foreign_formats(root: Path) -> list[Format]:
    """Files of folders that are nobody's layout, as `bench data add` reads them.

    Of each make two subjects are there: the first one's files are changed.
    """
    from bench.datasets.shared import matlab

    rng = np.random.default_rng(0)
    data = [rng.normal(size=(4, 20 * 128)) * 10 for _ in range(2)]
    made: dict[str, tuple[Callable[[Path, np.ndarray], None], str, dict[str, Any]]] = {
        "edf": (write_edf, "S{}.edf", {"S1.edf": middle, "EDF.toml": digits}),
        "set": (write_set, "S{}.set", {"S1.set": middle, "S1.fdt": middle}),
        "vhdr": (write_vhdr, "S{}.vhdr", {"S1.vhdr": digits, "S1.vmrk": digits, "S1.eeg": middle}),
        "fif": (write_fif, "S{}_raw.fif", {"S1_raw.fif": middle}),
        "csv": (write_csv, "S{}.csv", {"S1.csv": digits}),
        "npz": (write_npz, "S{}.npz", {"S1.npz": middle}),
    }
    out = []
    for make, (write, name, files) in made.items():
        place = root / "foreign" / make
        place.mkdir(parents=True)
        for s in (1, 2):
            write(place / name.format(s), data[s - 1])
        out += added(place, make.upper(), files)
    place = root / "foreign" / "mat"
    place.mkdir()
    for s in (1, 2):
        for k, state in enumerate(_STATES):
            matlab.write(place / f"{state}_sub{s}.mat", {"X": data[k][:, :640] * (s + 1)})
    out += added(place, "MAT", {"rest_sub1.mat": middle}, rate=128.0, channels=_NAMES)
    place = root / "foreign" / "bids"
    write_bids(place, data)
    first = "sub-01/eeg/sub-01_task-t"
    out += added(place, "BIDS", {f"{first}_eeg.edf": middle, f"{first}_events.tsv": digits,
                                 f"{first}_eeg.json": digits, f"{first}_channels.tsv": digits})
    return out + added(place, "RATED", {"sub-01/beh/sub-01_task-t_beh.tsv": digits},
                       ratings=("valence=1:9",))


def cache_formats(cache: Path) -> list[Format]:
    """What the cache holds."""
    folder = simulated_root("DREAMER", SMALL)

    def read() -> Found:
        found = read_corpus("DREAMER", simulated_root("DREAMER", SMALL))
        return digest(found.windows.x, found.windows.y), False

    read()
    return [
        Format("cache, simulated recording", next(folder.rglob("DREAMER.mat")), read, middle),
        Format("cache, marker of a simulated corpus", next(folder.rglob(MARKER)), read, digits),
        Format("cache, features", next((cache / "features").rglob("*.npz")), read, middle),
        Format("cache, fingerprints", cache / "fingerprints.json", read, digits),
    ]


def run_formats(root: Path) -> list[Format]:
    """What a run folder holds."""
    rng = np.random.default_rng(0)
    store = Store(root / "runs")
    method = load("methods", "majority")()
    predictor = method.restore({"shares": [0.25, 0.75]})
    table = pd.DataFrame({"subject": 1, "y": rng.integers(0, 2, 400), "p0": rng.random(400)})
    record = Record(
        identity={"method": "m", "seed": 0, "source": {"name": "A"}, "target": {"name": "B"}},
        classes=["low", "high"], folds=[{"subject": i, "scores": {"window": {
            "accuracy": float(rng.random())}}} for i in range(20)],
        curves={"fit": {"1/1": {"total": rng.random(50).tolist()}}},
        diagnostics={"importance": rng.random((20, 5))},
    )
    where = store.put(record, table, {"fold.pt": pack(method, predictor)})
    store.put_state("key", {"w": torch.from_numpy(rng.random(500))}, {"total": [1.0]})
    setting = TuningSetting.of("m", {}, {"lr": 0.1}, pair=("A", "B"), protocol=("few-shot", {}),
                               options=_options())
    tuned = Tuned(setting=setting, seed=0, rule="last", trials=3, study="study", data="data",
                  params={"lr": 0.123456}, searched={}, score=0.5, default_score=0.4)
    tuning = tuned.write(root / "runs")
    plan = root / "runs" / "audit-0123.json"
    write_json(plan, {"schema": 2, "honest": [record.id], "numbers": rng.random(30).tolist()})

    def one() -> Record | None:
        return next(iter(Store(root / "runs").records()), None)

    def whole() -> Found:
        found = one()
        return (digest(found.identity, found.folds, found.classes) if found else ""), False

    def beside(read: Callable[[Record], Any]) -> Callable[[], Found]:
        def of() -> Found:
            found = one()
            return (digest(read(found)) if found else ""), False
        return of

    def state() -> Found:
        found = Store(root / "runs").get_state("key")
        return (digest(found[0]["w"], found[1]) if found else ""), False

    model = where / "models" / "fold.pt"
    return [
        Format("record", where / "record.json", whole, digits),
        Format("predictions", where / "predictions.parquet",
               beside(lambda r: r.predictions().to_json()), middle),
        Format("curves", where / "curves.json", beside(Record.read_curves), digits),
        Format("diagnostics", where / "diagnostics.npz",
               beside(lambda r: r.read_diagnostics()["importance"].tolist()), middle),
        Format("pre-trained state", root / "runs" / "pretrained" / "key.pt", state, middle),
        Format("saved model", model, lambda: (
            digest(load_model(model).predict_proba(np.zeros((3, 4, 5), np.float32))), False),
            middle),
        Format("tuned parameters", tuning, lambda: (digest(read_tuned(tuning).params), False),
               digits),
        Format("audit, plan, memo, status", plan, lambda: _json(plan), digits),
    ]


def archive_formats(root: Path) -> list[Format]:
    """An archive of results, as another lab would send it."""
    from bench.cells.engine import run_cell
    from bench.conformance import synthetic_pair

    runs, path = root / "lab", root / "results.zip"
    for name in ("lda", "majority"):
        method = load("methods", name)
        run_cell(Cell(method(), "default", synthetic_pair(), FewShot()), Store(runs))
    export(runs, path)

    def read() -> Found:
        seen = verify(path)
        return (seen.digest if seen.passed else ""), False

    return [Format("archive of results", path, read, middle)]


def _json(path: Path) -> Found:
    try:
        return digest(read_json(path)), False
    except (OSError, ValueError):  # what every reader of such a file catches, and passes it over
        return "", False


def _options() -> Any:
    from bench.runs.options import Options

    return Options(simulated=True)


def text_formats(root: Path) -> list[Format]:
    """What users write themselves: no checksum can stand there, so it is read as it now is."""
    plan = root / "sweep.toml"
    plan.write_text('methods = ["scmm", "dann"]\npairs = ["SEED->DEAP"]\nseeds = [0, 3, 12]\n'
                    'scale = "demo"\nsimulated = true\nthreshold = 4.5\nwindow = 1.0\n'
                    '[params.scmm]\nlr = 0.001\n[protocol.few-shot]\ncalibration_trials = 3\n'
                    '[recipe]\nsubjects = 12\nclass_effect = 0.75\n')

    def request() -> Found:
        found = read_request(plan, {})
        found.numbers()
        return digest(found.as_json()), True  # the plan and each record say what was asked for

    split = root / "split.csv"
    split.write_text("corpus,subject,session,trial,side,stimulus\n" + "".join(
        f"DEAP,{s},1,{t},{'train' if t < 7 else 'test'},{t}\n"
        for s in range(1, 5) for t in range(1, 11)
    ))

    def audited() -> Found:
        report = check_split(split)
        return digest(report.checked, [vars(f) for f in report.findings]), True

    own = root / "published.csv"
    own.write_text(resources.files("bench.reports").joinpath("published.csv").read_text())

    def published() -> Found:
        found = figures(ReportOptions(published=(own,)))
        return digest([vars(f) for f in found]), True  # a table shows each with its source

    return [
        Format("plan of a sweep, TOML", plan, request, digits),
        Format("split to be audited, CSV", split, audited, digits),
        Format("published figures, CSV", own, published, digits),
    ]


def tuning_formats(root: Path) -> list[Format]:
    """The journal of a study."""
    storage = Storage(None, root / "tuned")
    with opened(storage, "s") as study:
        for number in range(6):
            trial = study.ask()
            trial.suggest_float("lr", 1e-4, 1e-1, log=True)
            study.tell(trial, 0.5 + number / 50)

    journal = storage.journal("s")

    def trials() -> Found:  # of a copy: whoever opens a journal writes into it
        with tempfile.TemporaryDirectory() as folder:
            for path in (journal, Path(f"{journal}.sum")):
                shutil.copy(path, folder)
            with opened(Storage(f"{folder}/{journal.name}", root), "s") as study:
                return digest([(t.params, t.value, t.state.name) for t in study.trials]), False

    return [Format("journal of a tuning", journal, trials, digits),
            Format("sum of a journal", Path(f"{journal}.sum"), trials, digits)]


def main() -> int:
    """Try all, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=None, help="Formats whose names begin so.")
    parser.add_argument("--out", type=Path, default=HERE / "damage.md")
    args = parser.parse_args()
    rows: list[tuple[str, Counter[str]]] = []
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["BENCH_CACHE"] = str(root / "cache")
        os.environ["BENCH_CONFIG"] = str(root / "corpora.json")
        forms = [*text_formats(root), *tuning_formats(root), *run_formats(root),
                 *archive_formats(root), *cache_formats(root / "cache"), *corpus_formats(root),
                 *foreign_formats(root)]
        for form in forms:
            if args.only is not None and not form.name.startswith(tuple(args.only)):
                continue
            counts, wrong = study(form, args.mutants, args.seed)
            rows.append((form.name, counts))
            bad += wrong
            print(f"{form.name}: {dict(counts)}", flush=True)
    for line in bad:
        print(line, file=sys.stderr)
    if args.only is None:
        write_text(args.out, page(rows, args.mutants, args.seed))
    return 1 if bad else 0


def page(rows: Sequence[tuple[str, Counter[str]]], mutants: int, seed: int) -> str:
    """The table, in Markdown."""
    heads = [*GOOD, *BAD]
    lines = [
        "# What is damaged is never believed", "",
        f"{mutants} mutants of each format (seed {seed}), half of them with bits flipped inside "
        "payload bytes, the untouched file read in between. Repeat it by "
        "`python docs/studies/damage.py`; every mutant is the same each time.", "",
        "| file | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads),
        *(f"| {name} | " + " | ".join(str(c[h]) for h in heads) + " |" for name, c in rows), "",
        "- **refused**: one message that names the file and says what to do.",
        "- **set aside**: passed over and named, or computed again.",
        "- **unchanged**: the numbers are those of the untouched file, to the bit. In the cache "
        "that means computed again.",
        "- **told**: the numbers are others, and that is said. A file of an owner, or a plan that "
        "a user wrote, holds no checksum. What now stands there is read, under another digest and "
        "hence as another record; of a corpus the notices say that the file is not what it was "
        "when last read.",
        "- **silent**: other numbers without a word. **traceback**, **hang** (over 20 s), "
        "**memory** (over 2 GiB), **crash**: what it says. None may happen.", "",
        "Checksums are sha256. They stand inside each file that is written: as the last key of "
        "JSON, as the last line of any other file, and in a record for the files beside it. "
        "Records and plans of before there were checksums are read, and that is said; models "
        "and states of before are not.", "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
