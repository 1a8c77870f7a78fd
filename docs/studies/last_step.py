"""What the last step is worth: the shared training of heads against the released recipes.

    python docs/studies/last_step.py DATA [RUNS] [--pairs "SEED->DEAP"] [--methods scmm,...]
        [--seeds 3]

DATA holds SEED and DEAP in their owners' layouts, full size. The page was made from simulated ones:

    bench data simulate DATA --corpus SEED --scale published --set subjects=15 --set sessions=1
    bench data simulate DATA --corpus DEAP --scale published --set subjects=32 --set sessions=1

Runs each method at the ``published`` scale under ``few-shot`` twice: with the defaults, and with
the released code's fine-tuning (constant rate, 50 epochs, the last weights predict). Both start
from the same pre-trained network. Where ``--params published`` says more than that (SCMM from SEED
to DEAP), it is run as well. Of several seeds there are two rows: the first alone, and all averaged
by subject. What is in RUNS already is not run again. Writes docs/studies/last_step.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bench
from bench.methods.shared.training.finetuning import PUBLISHED
from bench.registry import load
from bench.scoring.inference import mean_interval
from bench.store.files import write_text
from bench.store.records import Record, Store

HERE = Path(__file__).resolve().parent
METHODS = ("scmm", "source-only", "simclr", "mae")
NETWORK = "target-only"
#: Epochs at the end of a training whose scores are compared.
LAST = 5
#: What the defaults are to hold: best test epoch less the last, spread, width of the interval of
#: the gain over target-only against that of the released recipe.
LEAD, SPREAD, WIDTH = 1.5, 0.5, 0.5
#: Trainings of heads, as the table calls them.
KINDS = DEFAULT, HEAD, PRESET = "default", "released head", "`--params published`"
INTRODUCTION = """\
How the head is trained, `few-shot` (60 % of the trials of each class calibrate), scale
`published`, balanced accuracy in percent (SD over subjects); one seed, or several averaged by
subject (three are the default of `bench sweep` on a GPU, where they are one stack). *default*:
100 optimiser steps, rate on a cosine to zero, averaged weights, settled statistics. *released
head*: 50 epochs at one rate, the last weights, from the same pre-trained network. *`--params
published`*: the released values of the pair, where they are more than that: for SCMM from SEED to
DEAP another sharpness and temperature of the pre-training, and 500 epochs of the head. *Source
worth*: less target-only, the same network from scratch under the same training, with the 95 %
interval over subjects. *Oracle − last*: accuracy of the best test epoch less that of the last.
*Spread*: standard deviation of the accuracy over the last five epochs of a subject, on the mean.

Simulated recordings at full size: SEED, one session of 15 subjects, 15 trials of about 4 minutes
at 200 Hz; DEAP, 32 subjects, 40 trials of a minute. *Simulated: the sizes are the generator's and
say nothing of EEG.* To be held: a lead of at most 1.5 points, a spread of at most 0.5, an
interval at most half as wide, a mean not lower."""


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-last-step"))
    parser.add_argument("--pairs", default="SEED->DEAP")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for method in args.methods.split(","):
        for pair in args.pairs.split(","):
            for how in trainings(method, pair):
                bench.sweep(
                    methods=[method], pairs=[pair], scale="published", data=args.data,
                    seeds=args.seeds,
                    options=bench.SweepOptions(runs=args.folder),
                    show=lambda state, line: print(line, flush=True) if line else None, **how,
                )
                write(args.folder)


def trainings(method: str, pair: str) -> list[dict[str, Any]]:
    """Options of the sweeps of a method: one for each training of its head."""
    released: dict[str, Any] = {"params": {method: PUBLISHED}}
    presets = load("methods", method).presets.get("published", {})
    more = presets.get(pair.replace("->", ">"), PUBLISHED)["fit_epochs"] != PUBLISHED["fit_epochs"]
    return [{}, released, *([{"preset": "published"}] if more else [])]


def recipe(record: Record) -> str:
    """Which training of heads a record is of."""
    params = record.identity["params"]
    if "fit_epochs" not in params:
        return ""
    usual = {"steps": DEFAULT, PUBLISHED["fit_epochs"]: HEAD}
    return usual.get(params["fit_epochs"], PRESET)


def numbers(record: Record) -> dict[str, Any]:
    """What is judged of a record, in points, by subject."""
    curves = record.read_curves()["fit"]
    rows = []
    for fold in record.folds:
        accuracy = 100 * np.array(curves[f"{fold['subject']}/{fold['session']}"]["test_accuracy"])
        rows.append({
            "subject": fold["subject"],
            "score": 100 * fold["scores"]["window"]["balanced_accuracy"],
            "trial": 100 * fold["scores"]["trial"]["balanced_accuracy"],
            "lead": accuracy.max() - accuracy[-1], "spread": accuracy[-LAST:].std(ddof=1),
        })
    return {"method": record.identity["method"], "pair": record.pair, "recipe": recipe(record),
            "seed": record.identity["seed"], "folds": pd.DataFrame(rows).set_index("subject")}


def by_training(found: list[dict[str, Any]]) -> dict[tuple[str, str, int], pd.DataFrame]:
    """What is judged, by method, training of heads and number of seeds: the first, and all."""
    groups: dict[tuple[str, str], dict[int, pd.DataFrame]] = {}
    for one in found:
        groups.setdefault((one["method"], one["recipe"]), {})[one["seed"]] = one["folds"]
    rows = {}
    for (method, kind), seeds in groups.items():
        rows[method, kind, 1] = seeds[min(seeds)]
        rows[method, kind, len(seeds)] = pd.concat(seeds.values()).groupby(level="subject").mean()
    return rows


def write(folder: Path) -> None:
    """One table for each pair."""
    records = [r for r in Store(folder).records() if r.status == "done"]
    every = [numbers(r) for r in records if recipe(r)]
    plain = {r.pair: r for r in records if r.identity["params"].get("network") == "lr"}
    parts = ["# The last step", INTRODUCTION]
    for pair in dict.fromkeys(one["pair"] for one in every):
        its = by_training([one for one in every if one["pair"] == pair])
        subjects = len(next(iter(its.values())))
        parts += [f"## {pair}, {subjects} subjects", "\n".join(table(its)), "\n".join(bounds(its))]
        if pair in plain:
            scores = [100 * f["scores"]["window"]["balanced_accuracy"] for f in plain[pair].folds]
            parts.append(f"Logistic regression on the calibration windows alone: "
                         f"{np.mean(scores):.1f} ({np.std(scores, ddof=1):.1f}).")
    write_text(HERE / "last_step.md", "\n\n".join(part for part in parts if part) + "\n")
    print("\n\n".join(parts[2:]), flush=True)


def table(its: dict[tuple[str, str, int], pd.DataFrame]) -> list[str]:
    """Lines of the table of a pair."""
    lines = [
        "| method | training of the head | per window (SD) | per trial (SD) | source worth "
        "(95 %) | oracle − last | spread of the last five epochs |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for method, kind, seeds in sorted(its, key=placed):
        folds, control = its[method, kind, seeds], its.get((NETWORK, kind, seeds))
        worth = ""
        if control is not None and method != NETWORK:
            mean, low, high = gain(folds, control)
            worth = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        lines.append(
            f"| {method} | {called(kind, seeds)} | {folds['score'].mean():.1f} "
            f"({folds['score'].std():.1f}) | {folds['trial'].mean():.1f} "
            f"({folds['trial'].std():.1f}) | {worth} | "
            f"{folds['lead'].mean():.1f} | {folds['spread'].mean():.2f} |"
        )
    return lines


def called(what: str, seeds: int) -> str:
    """A method or a training of heads, with its seeds where they are several."""
    return what if seeds == 1 else f"{what}, {seeds} seeds"


def placed(key: tuple[str, str, int]) -> tuple[bool, str, int, int]:
    """Where the row of a method and a training of heads stands; the control comes last."""
    method, kind, seeds = key
    return method == NETWORK, method, KINDS.index(kind), seeds


def gain(folds: pd.DataFrame, control: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over subjects of what the source is worth, and its 95 % interval."""
    difference = (folds["score"] - control["score"]).dropna()
    low, high = mean_interval(difference) or (np.nan, np.nan)
    return difference.mean(), low, high


def bounds(its: dict[tuple[str, str, int], pd.DataFrame]) -> list[str]:
    """Whether the defaults hold what they are to hold, one line for each method and comparison."""
    return [
        f"- {called(method, ours)}, against {'the ' * (kind == HEAD)}"
        f"{called(kind, theirs)}: {held(its, method, ours, kind, theirs)}."
        for method, kind, theirs in sorted(its, key=placed) if kind != DEFAULT
        for ours in sorted({n for m, k, n in its if (m, k) == (method, DEFAULT)})
        if ours >= theirs
    ]


def held(
    its: dict[tuple[str, str, int], pd.DataFrame], method: str, seeds: int, kind: str, others: int
) -> str:
    """What the defaults are to hold against another training of heads, in words."""
    ours, theirs = its[method, DEFAULT, seeds], its[method, kind, others]
    checks = [
        (f"lead {ours['lead'].mean():.1f}", ours["lead"].mean() <= LEAD),
        (f"spread {ours['spread'].mean():.2f}", ours["spread"].mean() <= SPREAD),
        (f"mean {ours['score'].mean() - theirs['score'].mean():+.1f} points",
         ours["score"].mean() >= theirs["score"].mean()),
    ]
    controls = (NETWORK, DEFAULT, seeds), (NETWORK, kind, others)
    if method != NETWORK and {*controls} <= its.keys():
        widths = [high - low for one, control in zip((ours, theirs), controls, strict=True)
                  for _, low, high in [gain(one, its[control])]]
        checks.append((f"interval {widths[0] / widths[1]:.2f} times as wide",
                       widths[0] <= WIDTH * widths[1]))
    return ", ".join(f"{text} ({'held' if ok else 'missed'})" for text, ok in checks)


if __name__ == "__main__":
    main()
