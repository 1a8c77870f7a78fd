"""Folders of other makings than ours, with signals made up on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets.shared import edf, matlab

SIDECARS = Path(__file__).parent / "data" / "bids"
CHANNELS = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2", "T3", "T4")
STATES = ("relax", "arithmetic")


def signal(rng: np.random.Generator, state: int, seconds: float, rate: int,
           channels: int = len(CHANNELS)) -> np.ndarray:
    """(channels, samples) of noise with an alpha rhythm, stronger in the second state."""
    t = np.arange(round(seconds * rate)) / rate
    rhythm = np.sin(2 * np.pi * 10 * t + rng.uniform(0, 6)) * rng.uniform(0.5, 1.5, (channels, 1))
    return rng.normal(size=(channels, len(t))) * 8 + (4 + 10 * state) * rhythm


def write_set(path: Path, names: Sequence[str], rate: float, data: np.ndarray,
              events: Sequence[tuple[float, float, str]] = (), beside: bool = True) -> None:
    """Write a file of EEGLAB; events are (second, seconds, type)."""
    places = np.empty((1, len(names)), dtype=[("labels", object)])
    marks = np.empty((1, len(events)), dtype=[
        ("type", object), ("latency", object), ("duration", object)])
    for i, name in enumerate(names):
        places[0, i]["labels"] = name
    for i, (onset, lasts, kind) in enumerate(events):
        marks[0, i] = (kind, onset * rate + 1, lasts * rate)
    fdt = path.with_suffix(".fdt")
    content = {
        "nbchan": float(len(names)), "pnts": float(data.shape[1]), "trials": 1.0,
        "srate": float(rate), "chanlocs": places, "event": marks,
        "data": fdt.name if beside else np.asarray(data, np.float32),
    }
    matlab.write(path, {"EEG": content}, compress=True)
    if beside:
        np.asarray(data.T, "<f4").tofile(fdt)


def write_vhdr(path: Path, names: Sequence[str], rate: float, data: np.ndarray,
               marks: Sequence[tuple[float, float, str]] = ()) -> None:
    """Write a recording in BrainVision's three files."""
    stem = path.stem
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]",
             f"DataFile={stem}.eeg", f"MarkerFile={stem}.vmrk", "DataFormat=BINARY",
             "DataOrientation=MULTIPLEXED", f"NumberOfChannels={len(names)}",
             f"SamplingInterval={1e6 / rate:g}", "[Binary Infos]", "BinaryFormat=IEEE_FLOAT_32",
             "[Channel Infos]", *(f"Ch{i + 1}={n},,1,µV" for i, n in enumerate(names))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    stimuli = [f"Mk{i + 2}=Comment,{text},{round(at * rate) + 1},{round(lasts * rate)},0"
               for i, (at, lasts, text) in enumerate(marks)]
    path.with_suffix(".vmrk").write_text("\n".join([
        "Brain Vision Data Exchange Marker File, Version 1.0", "[Common Infos]",
        f"DataFile={stem}.eeg", "[Marker Infos]", "Mk1=New Segment,,1,1,0", *stimuli]) + "\n",
        encoding="utf-8")
    np.asarray(data.T, "<f4").tofile(path.with_suffix(".eeg"))


def edf_folder(folder: Path, subjects: int = 3, rate: int = 200) -> Path:
    """Recordings with annotations that last, one a subject."""
    folder.mkdir(parents=True)
    for s in range(1, subjects + 1):
        rng, parts, marks = np.random.default_rng(s), [], [(0.0, 0.0, "boundary")]
        for k in range(6):
            parts.append(signal(rng, k % 2, 6, rate))
            marks.append((6 * k + 1, 5, STATES[k % 2]))
        edf.write(folder / f"S{s:02d}.edf", CHANNELS, rate, np.concatenate(parts, 1), marks)
    return folder


def bids_folder(folder: Path, subjects: int = 3, rate: int = 200) -> Path:
    """A dataset of two runs a subject."""
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text(
        json.dumps({"Name": "Toy", "BIDSVersion": "1.8.0", "License": "CC0"}))
    for s in range(1, subjects + 1):
        place = folder / f"sub-{s:02d}" / "eeg"
        place.mkdir(parents=True)
        for run in (1, 2):
            rng, name = np.random.default_rng([s, run]), f"sub-{s:02d}_task-x_run-{run}"
            edf.write(place / f"{name}_eeg.edf", CHANNELS, rate,
                      np.concatenate([signal(rng, k % 2, 6, rate) for k in range(4)], 1))
            (place / f"{name}_events.tsv").write_text("onset\tduration\ttrial_type\n" + "".join(
                f"{6 * k + 1}\t5\t{STATES[k % 2]}\n" for k in range(4)))
            (place / f"{name}_eeg.json").write_text(json.dumps({"SamplingFrequency": rate}))
    return folder


def npz_folder(folder: Path, subjects: int = 3) -> Path:
    """One file with the trials of all."""
    folder.mkdir(parents=True)
    rng, count = np.random.default_rng(7), 6 * subjects
    np.savez(folder / "data.npz",
             X=np.stack([signal(rng, k % 2, 5, 128) for k in range(count)]).astype("f4"),
             y=np.arange(count) % 2, subject=np.repeat(np.arange(1, subjects + 1), 6), fs=128,
             ch_names=np.array(CHANNELS), class_names=np.array(STATES))
    return folder


def mat_folder(folder: Path, subjects: int = 3) -> Path:
    """A file a trial."""
    folder.mkdir(parents=True)
    for s in range(1, subjects + 1):
        rng = np.random.default_rng(s)
        for state, name in enumerate(("Relax", "Mental_task")):
            for k in range(1, 4):
                matlab.write(folder / f"{name}_sub_{s}_trial{k}.mat",
                             {"Clean_data": signal(rng, state, 5, 128)})
    return folder


def csv_folder(folder: Path, subjects: int = 3) -> Path:
    """A table a subject, with times in milliseconds and a column of labels."""
    folder.mkdir(parents=True)
    for s in range(1, subjects + 1):
        rng = np.random.default_rng(s)
        whole = np.concatenate([signal(rng, k % 2, 5, 128) for k in range(6)], 1)
        lines = [",".join(["time", *CHANNELS, "label"])]
        for i, row in enumerate(whole.T):
            cells = [f"{i / 128 * 1000:.2f}", *(f"{v:.2f}" for v in row)]
            lines.append(",".join([*cells, STATES[i // (5 * 128) % 2]]))
        (folder / f"P{s}.csv").write_text("\n".join(lines) + "\n")
    return folder


#: What ``bench data add`` must be given beside the folder.
FOLDERS = {
    "edf": (edf_folder, {}), "bids": (bids_folder, {}), "npz": (npz_folder, {}),
    "mat": (mat_folder, {"rate": 128.0, "channels": CHANNELS}), "csv": (csv_folder, {}),
}


def sidecars(name: str, folder: Path) -> Path:
    """A copy of the real sidecars of a dataset."""
    return Path(shutil.copytree(SIDECARS / name, folder / name))
