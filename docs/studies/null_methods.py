"""Is any method off chance where there is nothing to find? All of them on a null corpus.

    python docs/studies/null_methods.py [RUNS] [--workers 2]

One sweep at the ``null`` scale (15 subjects, class effect 0) under ``few-shot`` from simulated SEED
to DEAP: every built-in method. Each is tested against chance over subjects (two-sided Wilcoxon,
Holm over methods). ``scmm-released`` chooses its epoch on the test set and must come out above;
with the few steps of this scale its network predicts one class, so it is run beside ``scmm`` a
second time, with all 50 epochs of fine-tuning and longer trials. The two differ in seven switches,
so what choosing the epoch is worth is measured within each: the epoch that is best on the test set
less the last one, of the same training on the same subjects. What is in RUNS already is not run
again.
Writes docs/studies/null_methods.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from table import label

import bench
from bench.registry import entries
from bench.reports.shared.text import p_value
from bench.scoring.inference import holm, paired
from bench.store.files import write_text
from bench.store.records import Record, Store

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-null-methods"))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    bench.sweep(
        methods=[name for name in entries("methods") if name != "sklearn"],
        pairs=["SEED->DEAP"], simulated=True, scale="null", seeds=1,
        options=bench.SweepOptions(runs=args.folder, workers=args.workers),
        show=lambda state, line: print(line, flush=True) if line else None,
    )
    full = args.folder / "full"
    bench.sweep(
        methods=["scmm", "scmm-released"], pairs=["DEAP->SEED"], simulated=True,
        scale="published", seeds=1, controls=False,
        params={"scmm": {"epochs": 20}, "scmm-released": {"epochs": 20}},
        recipe={"subjects": 15, "sessions": 1, "length": 0.3, "class_effect": 0},
        options=bench.SweepOptions(runs=full, workers=args.workers),
        show=lambda state, line: print(line, flush=True) if line else None,
    )
    tables = [table(done(folder)) for folder in (args.folder, full)]
    text = "# Every method on a null corpus\n\n" + "\n".join([*tables, choosing(done(full))])
    write_text(HERE / "null_methods.md", text)
    print(text)


def done(folder: Path) -> list[Record]:
    """Records of a run folder that hold a method's scores."""
    return [r for r in Store(folder).records()
            if r.status == "done" and r.identity["method"] != "attainable"]


def table(records: list[Record]) -> str:
    """Markdown: each method's distance from chance with its p, rankable rows and oracles apart."""
    honest = [r for r in records if r.kind != "oracle"]
    tests = {r.id: paired(scores(r), np.full(len(r.folds), 1 / len(r.classes))) for r in records}
    adjusted = dict(zip(
        [r.id for r in honest], holm([tests[r.id].p for r in honest]), strict=True
    ))
    lines = [
        f"{records[0].pair}, scale {records[0].identity['scale']}: {len(honest)} method"
        f"{'s and controls' * (len(honest) > 1)} on one null corpus, "
        f"{len(records[0].folds)} subjects; balanced accuracy per "
        "window less chance, in points, with a 95 % interval over subjects; two-sided Wilcoxon "
        "over subjects, Holm over methods. All rows have the same recordings and the same trials, "
        "so that they miss chance together. *Simulated, class effect 0.*", "",
        "| method | off chance | 95 % interval | p | p after Holm |",
        "|---|---:|---|---:|---:|",
    ]
    for record in sorted(records, key=lambda r: (r.kind == "oracle", -tests[r.id].mean)):
        test = tests[record.id]
        name = label(record.identity["method"], record.identity["params"])
        name += " [shared classes]" if record.identity["label_map"] else ""
        low, high = (100 * v for v in test.interval or (np.nan, np.nan))
        after = p_value(adjusted[record.id]) if record.id in adjusted else "oracle, not ranked"
        lines.append(
            f"| {name} | {100 * test.mean:+.1f} | {low:+.1f} "
            f"to {high:+.1f} | {p_value(test.p)} | {after} |"
        )
    return "\n".join(lines) + "\n"


def choosing(records: list[Record]) -> str:
    """Markdown: what choosing the epoch on the test set adds, within one training of a method."""
    lines = [
        "What choosing the epoch on the test set adds: the best test epoch less the last one of "
        "the same training, paired over subjects; balanced accuracy per window in points, with a "
        "95 % interval over subjects. *Simulated, class effect 0.*", "",
        "| method | best test epoch − last | 95 % interval | p | subjects above |",
        "|---|---:|---|---:|---:|",
    ]
    for record in records:
        rules = record.selections
        if {"last", "oracle"} <= rules.keys() and rules["last"]["folds"][0]["of"] > 1:
            test = paired(scores(record, "oracle"), scores(record, "last"))
            low, high = (100 * v for v in test.interval or (np.nan, np.nan))
            lines.append(
                f"| {record.identity['method']} | {100 * test.mean:+.1f} | {low:+.1f} to "
                f"{high:+.1f} | {p_value(test.p)} | {test.wins} of {test.n} |"
            )
    return "\n".join(lines) + "\n"


def scores(record: Record, rule: str = "") -> np.ndarray:  # type: ignore[type-arg]
    """Balanced accuracy per window of each subject; at the epoch of a rule, or as ranked."""
    folds = record.selections[rule]["folds"] if rule else record.folds
    return np.array([f["scores"]["window"]["balanced_accuracy"] for f in folds])


if __name__ == "__main__":
    main()
