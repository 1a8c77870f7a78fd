"""What averaging buys: probabilities of several heads, or scores of several trainings.

    python docs/studies/heads.py DATA [FOLDER] [--pairs "SEED->DEAP,DEAP->SEED"] [--heads 6]

DATA as of last_step.py. On one SCMM network pre-trained at the ``published`` scale several heads
are trained for each subject, which differ in what they draw alone; so are as many networks from
scratch. Then for every subset of a size, either the probabilities are averaged (one prediction of
several heads), or the balanced accuracies (as reports average seeds). What was computed is kept in
FOLDER. Writes docs/studies/heads.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from bench.cells.run import Run
from bench.method import observing
from bench.methods.shared.training.finetuning import SharedNetwork
from bench.runs.build import cell_of_run
from bench.runs.options import Options
from bench.scoring.inference import mean_interval
from bench.scoring.metrics import scores
from bench.store.files import write_text
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
SCMM, SCRATCH = "scmm", "target-only"
Array = np.ndarray[Any, Any]
INTRODUCTION = """\
Of SCMM and of target-only, the same network from scratch: several trainings of the head that
differ in what they draw alone (SCMM's all start from one pre-trained network). Every subset of a
size, and the mean over subsets: *one prediction* averages the probabilities of the heads; *scores*
averages their balanced accuracies, as reports average seeds. `few-shot` (60 % of the trials of
each class calibrate), scale `published`, balanced accuracy per window in percent; *source worth*:
SCMM less target-only; *width*: of its 95 % interval over subjects. *Simulated, at full size.*"""


def main() -> None:
    """Train what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-heads"))
    parser.add_argument("--pairs", default="SEED->DEAP,DEAP->SEED")
    parser.add_argument("--heads", type=int, default=6)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Several heads, or several seeds", INTRODUCTION]
    for pair in args.pairs.split(","):
        file = args.folder / f"{pair.replace('->', '-')}.npz"
        if not file.exists():
            np.savez(file, **trained(pair, args.data, args.folder, args.heads))
        with np.load(file) as found:
            parts += [f"## {pair.replace('->', '→')}", "\n".join(table(dict(found)))]
    write_text(HERE / "heads.md", "\n\n".join(parts) + "\n")
    print("\n\n".join(parts[2:]), flush=True)


def trained(pair: str, data: Path, folder: Path, heads: int) -> dict[str, Array]:
    """Probabilities ``METHOD/HEAD/SUBJECT`` (windows, classes), and classes ``y/SUBJECT``."""
    source, target = pair.split("->")
    cell = cell_of_run(SCMM, source, target, Options(scale="published", data=data), _say)
    run = Run(cell, Store(folder), _say)
    run.cut()
    states = {
        key: cell.method.pretrain_many(spec.source, [spec.context])[0]
        for key, spec in run.pretrain_specs(run.folds).items()
    }
    jobs = run.jobs(run.folds, states)
    tests = {fold.subject: fold.open_test() for fold in run.folds}
    scratch = SharedNetwork(SharedNetwork.parse(cell.method.scratch()[1]))
    out = {f"y/{subject}": test.y for subject, test in tests.items()}
    for (name, method), head in itertools.product(
        ((SCMM, cell.method), (SCRATCH, scratch)), range(heads)
    ):
        own = [
            replace(job, state=job.state if name == SCMM else None,
                    ctx=replace(job.ctx, params=method.params,
                                seed_axes={**job.ctx.seed_axes, "head": head}))
            for job in jobs
        ]
        with observing(None):
            predictors = method.fit_many(own)
        for job, predictor in zip(own, predictors, strict=True):
            subject = job.ctx.seed_axes["subject"]
            out[f"{name}/{head}/{subject}"] = predictor.predict_proba(tests[subject].x)
        print(f"{pair} {name} head {head}", flush=True)
    return out


def table(found: dict[str, Array]) -> list[str]:
    """Lines for each size of subset."""
    heads = 1 + max(int(k.split("/")[1]) for k in found if k.startswith(f"{SCMM}/"))
    lines = [
        "| heads | one prediction: SCMM | target-only | source worth | width | scores: source "
        "worth | width |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in sorted({1, 2, 3, heads}):
        rows = []
        for some in itertools.combinations(range(heads), size):
            one, two = (score(found, name, some) for name in (SCMM, SCRATCH))
            apart = [
                np.mean([score(found, name, [head]) for head in some], axis=0)
                for name in (SCMM, SCRATCH)
            ]
            rows.append((one.mean(), two.mean(), *worth(one - two), *worth(apart[0] - apart[1])))
        a, b, gain, width, gain_of_scores, width_of_scores = np.mean(rows, axis=0)
        lines.append(f"| {size} | {a:.1f} | {b:.1f} | {gain:+.1f} | {width:.2f} | "
                     f"{gain_of_scores:+.1f} | {width_of_scores:.2f} |")
    return lines


def score(found: dict[str, Array], name: str, heads: Sequence[int]) -> Array:
    """Balanced accuracy of each subject, in percent, of the mean probabilities of some heads."""
    out = []
    for key in (k for k in found if k.startswith("y/")):
        y, subject = found[key], key.removeprefix("y/")
        mean = np.mean([found[f"{name}/{head}/{subject}"] for head in heads], axis=0)
        out.append(100 * (scores(y, mean, mean.shape[1])["balanced_accuracy"] or np.nan))
    return np.array(out)


def worth(difference: Array) -> tuple[float, float]:
    """Mean over subjects, and the width of its 95 % interval."""
    low, high = mean_interval(difference) or (np.nan, np.nan)
    return float(difference.mean()), high - low


def _say(event: object) -> None:
    """Nothing: a line is printed for each head."""


if __name__ == "__main__":
    main()
