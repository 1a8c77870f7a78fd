"""How often does a leaderboard call noise significant? 200 leaderboards of nothing.

    python docs/studies/null.py [RUNS] [--runs 200] [--workers 2]

Simulated SEED and DEAP at the ``null`` scale: 15 subjects, class effect 0, so that no method can
be better than another or than chance. A run gives every trial of every subject a new class (the
subject's own classes, permuted), which is as good as new recordings where signals and classes
have nothing to do with each other; after every ten runs the recordings are new as well. Eight
methods are run under ``few-shot``, and their leaderboard is tested twice: as this harness does
(two-sided Wilcoxon over subjects, Holm over all pairs of methods), and as tables are often read
(one-sided, in the direction seen, uncorrected).

What is in RUNS already is not run again. Writes docs/studies/null.md and null.png.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.pair import align
from bench.data.reading import Reading, read_corpus, simulated_root
from bench.data.recipe import recipe_for
from bench.data.windows import Windows
from bench.method import Method
from bench.protocols.few_shot import FewShot
from bench.registry import load
from bench.scoring.inference import holm, paired, subjects_needed
from bench.store.files import write_text
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
#: Eight methods of five families, quick at this scale.
METHODS = ("scmm", "simclr", "source-only", "dann", "target-only", "lda", "lr", "coral")
#: Runs that share their recordings and differ in the classes of trials.
PER_RECORDING = 10
LEVEL = 0.05
CHANCE = 0.5
Array = np.ndarray[Any, Any]


def main() -> None:
    """Run what is missing, test, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-null"))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    recordings = range(-(-args.runs // PER_RECORDING))
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = {
            pool.submit(run_recording, args.folder, r, args.runs): r for r in recordings
        }
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            print(f"recordings {done}/{len(jobs)} done", flush=True)
    scores = read_scores(args.folder, args.runs)
    write(scores)


def run_recording(folder: Path, recording: int, runs: int) -> None:
    """All runs on one pair of simulated corpora."""
    import torch

    torch.set_num_threads(1)
    recipe = recipe_for("null", seed=recording)
    readings = [read_corpus(n, simulated_root(n, recipe, None)) for n in ("SEED", "DEAP")]
    for number in range(recording * PER_RECORDING, min(runs, (recording + 1) * PER_RECORDING)):
        pair = align(*(redrawn(reading, number) for reading in readings))
        store = Store(folder / f"run{number:03d}")
        for name in METHODS:
            method: type[Method] = load("methods", name)
            run_cell(
                Cell(method(), "default", pair, FewShot(), scale="null", seed=number), store
            )


def redrawn(reading: Reading, number: int) -> Reading:
    """The reading with the classes of each subject's trials permuted among them."""
    windows = reading.windows
    rng = np.random.default_rng([number, len(windows)])
    y = windows.y.copy()
    for subject in np.unique(windows.subject):
        mine = np.flatnonzero(windows.subject == subject)
        _, first, of_window = np.unique(
            windows.trial[mine], return_index=True, return_inverse=True
        )
        y[mine] = rng.permutation(windows.y[mine][first])[of_window]
    fields = {f: getattr(windows, f) for f in windows.__dataclass_fields__}
    return replace(
        reading, windows=Windows(**{**fields, "y": y}), digest=f"{reading.digest}/{number}"
    )


def read_scores(folder: Path, runs: int) -> pd.DataFrame:
    """Balanced accuracy per window: one row per run and subject, one column per method."""
    rows: list[tuple[int, str, int, float]] = []
    for number in range(runs):
        for record in Store(folder / f"run{number:03d}").records():
            rows += [
                (number, record.identity["method"], fold["subject"],
                 fold["scores"]["window"]["balanced_accuracy"]) for fold in record.folds
            ]
    table = pd.DataFrame(rows, columns=["run", "method", "subject", "score"])
    return table.pivot_table(index=["run", "subject"], columns="method", values="score")


def verdicts(scores: pd.DataFrame) -> pd.DataFrame:
    """For each run: whether anything is called significant, by each way of reading."""
    rows = []
    for _, block in scores.groupby(level="run"):
        table = block[list(METHODS)].to_numpy()
        pairs = [paired(table[:, i], table[:, j]).p for i, j in two_of(len(METHODS))]
        chance = [paired(column, np.full(len(column), CHANCE)).p for column in table.T]
        best = int(table.mean(axis=0).argmax())
        beside = [
            paired(table[:, best], table[:, j]).p / 2 for j in range(len(METHODS)) if j != best
        ]
        rows.append({
            "pairs, two-sided, Holm": min(holm(pairs)) < LEVEL,
            "each against chance, two-sided, Holm": min(holm(chance)) < LEVEL,
            "pairs, one-sided in the direction seen": min(pairs) / 2 < LEVEL,
            "best against each other, one-sided": min(beside) < LEVEL,
            "best against the second, one-sided": second(table, best) < LEVEL,
        })
    return pd.DataFrame(rows)


def second(table: Array, best: int) -> float:
    """One-sided p of the best method against the next."""
    order = np.argsort(-table.mean(axis=0))
    return paired(table[:, best], table[:, order[1]]).p / 2


def two_of(n: int) -> Iterator[tuple[int, int]]:
    """Pairs of positions."""
    return ((i, j) for i in range(n) for j in range(i + 1, n))


def write(scores: pd.DataFrame) -> None:
    """Table and picture."""
    from scipy import stats

    found = verdicts(scores)
    runs, subjects = len(found), scores.groupby(level="run").size().iloc[0]
    lines = [
        "# Leaderboards of nothing", "",
        f"{runs} leaderboards, {len(METHODS)} methods ({', '.join(METHODS)}), {subjects} target "
        "subjects each; balanced accuracy per window. *Simulated, class effect 0.*", "",
        "| a leaderboard calls something significant (p < 0.05) | share of runs | 95 % interval |",
        "|---|---|---|",
    ]
    for name in found:
        hits = int(found[name].sum())
        low, high = stats.binomtest(hits, runs).proportion_ci()
        lines.append(
            f"| {name} | {100 * hits / runs:.1f} % ({hits}) | {100 * low:.1f} to "
            f"{100 * high:.1f} % |"
        )
    lines += ["", "| method | mean over all runs, % | largest mean of a run |", "|---|---|---|"]
    means = scores.groupby(level="run").mean()
    for name in METHODS:
        lines.append(f"| {name} | {100 * means[name].mean():.2f} | {100 * means[name].max():.1f} |")
    lines += ["", "| methods compared | subjects needed before any pair can be significant |",
              "|---|---|"]
    lines += [f"| {m} | {subjects_needed(m, LEVEL)} |" for m in (2, 3, 5, 8, 10, 20, 45)]
    write_text(HERE / "null.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    draw(means)


def draw(means: pd.DataFrame) -> None:
    """Mean of each method in each run, and that of the best."""
    from matplotlib.figure import Figure

    from bench.reports.shared.pictures import house_style
    from bench.reports.shared.style import BLUE, GREY, INK, ONE_COLUMN, ORANGE, plain_axes

    with house_style():
        figure = Figure(figsize=(ONE_COLUMN, 2.1), layout="constrained")
        axes = figure.subplots()
        bins = np.arange(44, 58.01, 0.5)
        axes.hist(100 * means.to_numpy().ravel(), bins, density=True, color=BLUE, alpha=0.75,
                  label="a method")
        axes.hist(100 * means.max(axis=1), bins, density=True, histtype="step", color=ORANGE,
                  linewidth=1.2, label=f"the best of {means.shape[1]}")
        axes.axvline(100 * CHANCE, color=INK, linewidth=0.6)
        axes.set_title("Leaderboards of nothing · simulated", loc="left")
        axes.set_xlabel("mean balanced accuracy over 15 subjects, %")
        axes.set_yticks([])
        plain_axes(axes, "x")
        axes.legend(frameon=False, fontsize=6.5, labelcolor=GREY)
        figure.savefig(HERE / "null.png", dpi=200)


if __name__ == "__main__":
    main()
