"""The engine's own time: overhead a cell, and a sweep in which nothing is left to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.method import Method, Needs
from bench.registry import Entry

#: Seeds of the sweep that is done, and of the one whose overhead is measured.
CELLS, TIMED = 1000, 100


class Nothing(Method):
    """Predicts all classes alike: what remains is the engine's."""

    name: ClassVar[str] = "nothing"
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        """Nothing to fit."""
        return Alike(len(view.classes))


class Alike:
    """Equal probabilities."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """The same for every window."""
        return np.full((len(x), self.classes), 1 / self.classes)


CATALOGUE = [Entry("nothing", ":Nothing")]


def main() -> None:
    """Sweep over a method that does nothing; once more for more seeds; once more for nothing."""
    print(f"the engine's overhead, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        few = _sweep(runs, 2)
        many = _sweep(runs, 2 + TIMED)
        wall, cpu = (1e3 * (b - a) / TIMED for a, b in zip(few, many, strict=True))
        print(f"    a cell of a method that does nothing: {wall:.0f} ms, of these {cpu:.0f} ms of "
              f"CPU ({TIMED} cells in a process of their own, less the start; aim: under 50 ms)")
        _sweep(runs, CELLS)
        done = [_sweep(runs, CELLS)[0] for _ in range(3)]
        print(f"    a sweep whose {CELLS:,} cells are all done answers in {sorted(done)[1]:.1f} s, "
              "imports included (median of 3; aim: under 5 s)")


def _sweep(runs: Path, seeds: int) -> tuple[float, float]:
    """Wall and CPU seconds of a sweep in a process of its own."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(
        [sys.executable, "-m", "bench.cli", "sweep", "--method", "nothing", "--include", __file__,
         "--pairs", "SEED->DEAP", "--seeds", str(seeds), "--no-controls", "--simulated", "--scale",
         "table", "--runs", str(runs), "--quiet"],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = os.times()
    cpu = sum(getattr(after, n) - getattr(before, n) for n in ("children_user", "children_system"))
    return time.perf_counter() - began, cpu


if __name__ == "__main__":
    main()
