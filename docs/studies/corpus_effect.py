"""What crosses corpora when the corpora grow apart? Five ways to use a target, four distances.

    python docs/studies/corpus_effect.py [RUNS] [--workers 2]

Simulated SEED, SEED-IV and DEAP whose *corpus effect* (reference, cap, amplifier, band tilt, mains)
grows in four steps while everything else, random draws included, stays the same. Each step is one
sweep over two pairs with the same target, DEAP, so that all protocols have the same two classes.

What is in RUNS already is not run again. Writes docs/studies/corpus_effect.md and .png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from table import label

import bench
from bench.scoring.inference import mean_interval
from bench.store.files import write_text
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
STEPS = (0.0, 1.0, 2.0, 4.0)
PAIRS = ["SEED->DEAP", "SEED-IV->DEAP"]
SUBJECTS, SEEDS = 8, 2
ALONE = "target-only"
#: Protocol, rows under it, and what the line is called; those of target-only come as controls.
LINES = (
    ("within", ("source-only", "lda"), "leave one subject out"),
    ("few-shot", ("scmm", "source-only"), "few-shot"),
    ("few-shot", (f"{ALONE} (network)", f"{ALONE} (lr)"), ALONE),
    ("unsupervised", ("dann", "coral"), "unsupervised"),
    ("zero-shot", ("source-only", "lda"), "zero-shot"),
)


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-corpus-effect"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for step in STEPS:
        for protocol, methods, line in LINES:
            if line == ALONE:
                continue
            print(f"corpus effect {step:g}: {protocol}, {', '.join(methods)}", flush=True)
            state = bench.sweep(
                methods=list(methods), pairs=PAIRS, protocols=[protocol], seeds=SEEDS,
                simulated=True, scale="table",
                recipe={"subjects": SUBJECTS, "corpus_effect": step},
                options=bench.SweepOptions(runs=args.folder / f"{step:g}", workers=args.workers),
            )
            if state.exit_code:
                raise SystemExit(f"some cells were not done: {state.problems}")
    write(read(args.folder))


def read(folder: Path) -> pd.DataFrame:
    """Balanced accuracy per window by step, protocol, method, pair, subject; seeds averaged."""
    rows = []
    for step in STEPS:
        for record in Store(folder / f"{step:g}").records():
            identity = record.identity
            rows += [{
                "step": step, "protocol": identity["protocol"]["name"],
                "method": label(identity["method"], identity["params"]), "pair": record.pair,
                "subject": fold["subject"], "seed": identity["seed"],
                "score": 100 * fold["scores"]["window"]["balanced_accuracy"],
            } for fold in record.folds]
    keys = ["step", "protocol", "method", "pair", "subject"]
    return pd.DataFrame(rows).groupby(keys, as_index=False)["score"].mean()


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval of each line at each step; intervals are over target subjects."""
    rows = []
    for protocol, methods, name in LINES:
        for method in methods:
            for step in STEPS:
                part = scores[
                    (scores["step"] == step) & (scores["protocol"] == protocol)
                    & (scores["method"] == method)
                ]
                subjects = part.groupby("subject")["score"].mean()  # two sources, one person
                low, high = mean_interval(subjects) or (np.nan, np.nan)
                rows.append((name, method, step, part["score"].mean(), low, high))
    return pd.DataFrame(rows, columns=["line", "method", "step", "mean", "low", "high"])


def write(scores: pd.DataFrame) -> None:
    """Table and picture."""
    table = summary(scores)
    lines = [
        "# When corpora grow apart", "",
        f"Balanced accuracy per window in percent, mean over {SUBJECTS} subjects of DEAP and two "
        f"sources (SEED, SEED-IV), {SEEDS} seeds averaged; in brackets the 95 % interval over the "
        f"n = {SUBJECTS} subjects (Student's t), whose sources are averaged first. *Simulated.*",
        "",
        "| target used as | method | " + " | ".join(f"corpus effect {s:g}" for s in STEPS) + " |",
        "|---|---|" + "---:|" * len(STEPS),
    ]
    for (name, method), rows in table.groupby(["line", "method"], sort=False):
        cells = " | ".join(
            f"{r.mean:.1f} ({r.low:.1f} to {r.high:.1f})" for r in rows.itertuples(index=False)
        )
        lines.append(f"| {name} | {method} | {cells} |")
    write_text(HERE / "corpus_effect.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    draw(table)


def draw(table: pd.DataFrame) -> None:
    """One line for each way of using the target and each method."""
    from matplotlib.figure import Figure

    from bench.reports.shared.pictures import house_style
    from bench.reports.shared.style import GREY, INK, TWO_COLUMNS, plain_axes
    from bench.reports.shared.style import LINES as COLOURS

    names = list(dict.fromkeys(table["line"]))
    with house_style():
        figure = Figure(figsize=(TWO_COLUMNS, 2.9), layout="constrained")
        axes = figure.subplots(1, len(names), sharey=True)
        at = np.arange(len(STEPS))
        for axis, name, colour in zip(axes, names, COLOURS, strict=False):
            methods = table[table["line"] == name].groupby("method", sort=False)
            for number, (method, rows) in enumerate(methods):
                short = method.removeprefix(ALONE).strip(" ()")
                style = ("-", "--")[number % 2]
                axis.fill_between(at, rows["low"], rows["high"], color=colour, alpha=0.12, lw=0)
                axis.plot(at, rows["mean"], style, color=colour, marker="os"[number % 2],
                          markersize=3.5, linewidth=1.3, label=short)
            axis.axhline(50, color=INK, linewidth=0.6)
            axis.set_title(name.replace(" subject", ""), loc="left", color=colour)
            axis.set_ylim(42.5, 74)  # room for the legend below chance
            axis.set_xticks(at, [f"{s:g}" for s in STEPS])
            plain_axes(axis)
            axis.legend(frameon=False, fontsize=6.5, labelcolor=GREY, loc="lower left")
        axes[0].set_ylabel("balanced accuracy per window, %")
        figure.supxlabel("corpus effect (1: as hard as real EEG is thought to be) · simulated",
                         fontsize=7.5)
        figure.savefig(HERE / "corpus_effect.png", dpi=200)


if __name__ == "__main__":
    main()
