"""Time and memory of a cell with subjects, windows and channels, and of a sweep with cells.

Each point is a process of its own, so that its memory is its own. The picture is written to
docs/pictures/scaling.png.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "scaling.png"
POINT = {"subjects": 8, "windows": 400, "channels": 32, "cells": 1}
AXES = {
    "subjects": (4, 8, 16, 32), "windows": (100, 400, 1600, 6400), "channels": (8, 16, 32, 62),
    "cells": (1, 4, 16, 64),
}
TITLES = {
    "subjects": "subjects of either corpus", "windows": "windows of a subject",
    "channels": "channels", "cells": "cells of a sweep",
}


def main() -> None:
    """Measure every point, print them, draw them."""
    load = os.getloadavg()[0]
    print(f"SCMM, one epoch over the source and two over each subject's calibration; {POINT} but "
          f"for what is varied; 1 thread, load {load:.1f}")
    found = {axis: [_measure({**POINT, axis: n}) for n in values] for axis, values in AXES.items()}
    for axis, points in found.items():
        for n, (took, memory) in zip(AXES[axis], points, strict=True):
            print(f"    {n:5d} {axis:9s} {took:7.1f} s CPU   {memory:6.0f} MB")
    _draw(found)
    print(f"    drawn to {PICTURE}")


def point(subjects: int, windows: int, channels: int, cells: int) -> tuple[float, float]:
    """CPU seconds and peak megabytes of so many cells."""
    import torch

    from bench.cells.cell import Cell
    from bench.cells.engine import run_cell
    from bench.data.pair import align
    from bench.data.reading import CorpusName, Reading
    from bench.methods.scmm import SCMM
    from bench.protocols.few_shot import FewShot
    from bench.store.records import Store

    torch.set_num_threads(1)
    sides = [_corpus(name, subjects, windows, channels) for name in ("A", "B")]
    pair = align(*(Reading(CorpusName(n, "own"), w, w.digest(), (), None)
                   for n, w in zip("AB", sides, strict=True)))
    every = subjects * windows
    values = {"epochs": 1, "windows_per_epoch": every, "fit_epochs": 2}
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        for seed in range(cells):
            run_cell(Cell(SCMM(SCMM.parse(values)), "set", pair, FewShot(), seed=seed),
                     Store(folder))
        took = time.process_time() - began
    return took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _corpus(name: str, subjects: int, windows: int, channels: int):
    from bench.data.windows import Windows

    rng = np.random.default_rng(0)
    subject, at = np.divmod(np.arange(subjects * windows), windows)
    trial = at * 10 // windows
    return Windows.from_arrays(
        rng.random((len(subject), channels, 5), dtype=np.float32), trial % 2, subject=subject + 1,
        trial=trial + 1, order=trial, onset=at, corpus=name, labels=["low", "high"],
        channels=[f"E{i}" for i in range(channels)],
    )


def _measure(what: dict[str, int]) -> tuple[float, float]:
    shown = subprocess.run(
        [sys.executable, "-m", "speed.scaling", json.dumps(what)], capture_output=True, text=True,
        check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    took, memory = json.loads(shown.stdout.splitlines()[-1])
    return took, memory


def _draw(found: dict[str, list[tuple[float, float]]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False})
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.7), layout="constrained")
    for number, (left, (axis, points)) in enumerate(zip(axes, found.items(), strict=True)):
        right = left.twinx()
        right.spines["top"].set_visible(False)
        xs, ys = AXES[axis], np.array(points)
        left.plot(xs, ys[:, 0], "o-", color="#0072B2")
        right.plot(xs, ys[:, 1], "s--", color="#D55E00")
        left.set(xscale="log", xlabel=TITLES[axis], ylim=(0, 1.12 * ys[:, 0].max()))
        left.set_xticks(xs, [f"{x:,}" for x in xs])
        left.minorticks_off()
        right.set_ylim(0, 1.12 * ys[:, 1].max())
        left.tick_params(axis="y", colors="#0072B2")
        right.tick_params(axis="y", colors="#D55E00")
        if number == 0:
            left.set_ylabel("CPU seconds", color="#0072B2")
        if number == len(found) - 1:
            right.set_ylabel("peak memory, MB", color="#D55E00")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(point(**json.loads(sys.argv[1]))))
    else:
        main()
