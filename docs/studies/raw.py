"""Methods of raw windows: foundation models, Riemannian geometry, aligned networks; and minutes.

    python docs/studies/raw.py [RUNS] [--scale demo] [--only labram,...]

Simulated SEED -> DEAP under ``few-shot`` (60 % of the trials of each class calibrate), raw windows.
Foundation models start from random numbers: no published weights are taken. What is in RUNS already
is not run again. Writes docs/studies/raw.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench.scoring.inference import mean_interval
from bench.store.files import write_text
from bench.store.records import Record, Store

HERE = Path(__file__).resolve().parent
FOUNDATION = ("biot", "cbramod", "labram", "luna", "signaljepa")
NETWORKS = ("lggnet",)
#: What is run: methods, their variants, and how windows are scaled.
ASKED: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    **{name: ("foundation", [{"backbone": name}], "auto") for name in FOUNDATION},
    **{name: ("source-only", [{"backbone": name}], "auto") for name in NETWORKS},
    "riemann": ("riemann", [{}], "auto"),
    "riemann-centred": ("riemann-centred", [{}], "auto"),
    "ea-shallownet": ("ea-shallownet", [{}], "euclidean"),
}
INTRODUCTION = """\
Methods of raw windows, {scale} scale, simulated SEED→DEAP, `few-shot` (60 % of the trials of each
class calibrate), {subjects} tested people, one seed, balanced accuracy per window in percent (SD
over people). *Source worth*: less the same training on the calibration trials alone, with its 95 %
interval. *Minutes*: of the whole cell, reading left out, on {cores} cores with other work. The
Riemannian rows are in the classes that both corpora share. Foundation models have
their architecture and no published weights, so their rows say what they cost and that they run,
and nothing of what their weights are worth. *Simulated.*"""


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-raw"))
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--only", default=",".join(ASKED))
    args = parser.parse_args()
    for name in args.only.split(","):
        method, variants, scaling = ASKED[name]
        bench.sweep(
            methods=[method], pairs=["SEED->DEAP"], params={method: variants}, simulated=True,
            scale=args.scale, features="raw", scaling=scaling, seeds=1,
            options=bench.SweepOptions(runs=args.folder),
            show=lambda state, line: print(line, flush=True) if line else None,
        )
        write(args.folder, args.scale)


def write(folder: Path, scale: str) -> None:
    """The table of what is there."""
    import torch

    records = {name(r): r for r in Store(folder).records() if r.status == "done"}
    rows = [r for r in records.values() if r.identity["method"] != "attainable"]
    text = INTRODUCTION.format(scale=f"`{scale}`", subjects=len(rows[0].folds),
                               cores=torch.get_num_threads())
    lines = [
        "| method | per window (SD) | source worth (95 %) | trained parameters | minutes |",
        "|---|---:|---:|---:|---:|",
        *(row(r, records) for r in sorted(rows, key=lambda r: (r.kind == "control", name(r)))),
    ]
    write_text(HERE / "raw.md", "\n".join(["# Raw windows", "", text, "", *lines]) + "\n")
    print("\n".join(lines), flush=True)


def row(record: Record, records: dict[str, Record]) -> str:
    """Line of a method."""
    own, worth = scores(record), ""
    params = record.identity["params"]
    twin = records.get(f"target-only ({params.get('backbone') or record.identity['method']})")
    if twin is not None and record.identity["method"] != "target-only":
        difference = own - scores(twin)
        low, high = mean_interval(difference) or (np.nan, np.nan)
        worth = f"{difference.mean():+.1f} ({low:+.1f} to {high:+.1f})"
    size = record.info.get("parameters")
    return (f"| {name(record)} | {spread(own)} | {worth} | {f'{size:,}' if size else ''} | "
            f"{record.info['wall_s'] / 60:.1f} |")


def scores(record: Record) -> np.ndarray[Any, Any]:
    """Balanced accuracy of each person, in percent."""
    return np.array([100 * f["scores"]["window"]["balanced_accuracy"] for f in record.folds])


def spread(values: np.ndarray[Any, Any]) -> str:
    """Mean and standard deviation."""
    return f"{values.mean():.1f} ({values.std(ddof=1):.1f})"


def name(record: Record) -> str:
    """Method, with its backbone if that is asked for, or the network of a control."""
    params, method = record.identity["params"], str(record.identity["method"])
    part = "" if method == "ea-shallownet" else params.get("backbone") or params.get("network")
    return f"{method} ({part})" if part else method


if __name__ == "__main__":
    main()
