"""Every method on every pair: the table of docs/studies.md.

    python docs/studies/table.py [RUNS] [--workers 2] [--seeds 3]

One sweep at the ``table`` scale under ``few-shot``: all built-in methods and controls, the six
ordered pairs of simulated SEED, SEED-IV and DEAP, three seeds. What is in RUNS already is not run
again. Writes docs/studies/table.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import bench
from bench.registry import entries
from bench.scoring.inference import mean_interval, mean_over, standard_error
from bench.store.files import write_text
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
#: Not methods of their own: any scikit-learn classifier, and controls that come with the methods.
LEFT_OUT = ("sklearn",)


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-table"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    methods = [name for name in entries("methods") if name not in LEFT_OUT]
    state = bench.sweep(
        methods=methods, pairs=["all"], seeds=args.seeds, simulated=True, scale="table",
        options=bench.SweepOptions(runs=args.folder, workers=args.workers),
        show=lambda state, line: print(line, flush=True) if line else None,
    )
    write(read(args.folder), state.exit_code)


def read(folder: Path) -> pd.DataFrame:
    """Balanced accuracy per window in percent by method, pair and subject; seeds averaged."""
    rows = []
    for record in Store(folder).records():
        identity = record.identity
        network = identity["params"].get("network", "")
        shared = identity["label_map"] is not None
        rows += [{
            "method": identity["method"] + (f" ({network})" if network else ""),
            "plain": identity["method"], "kind": record.kind, "pair": record.pair,
            "shared": shared, "subject": fold["subject"], "seed": identity["seed"],
            "network": network, "chance": 100 / len(record.classes),
            "score": 100 * fold["scores"]["window"]["balanced_accuracy"],
        } for fold in record.folds]
    keys = ["shared", "kind", "plain", "network", "method", "pair", "subject", "chance"]
    return pd.DataFrame(rows).groupby(keys, as_index=False)["score"].mean()


def write(scores: pd.DataFrame, exit_code: int) -> None:
    """One table for the target's own classes, one for shared classes."""
    subjects = len(by_subject(scores, "score"))
    parts = [
        "# Every method on every pair",
        "Balanced accuracy per window in percent. Columns: mean over target subjects; *mean*: over "
        f"the six pairs, ± the standard deviation over the n = {subjects} target subjects; *over "
        "chance* ± its standard error over the same n (a corpus's subjects stand in two pairs and "
        "count once); *source gain*: method less the same network from scratch on the same "
        "calibration trials, with the 95 % interval of subjects within their corpora (Student's "
        "t). Three seeds are averaged first. *Simulated.*",
    ]
    for shared, title in ((False, "Classes of the target"), (True, "Classes shared by both")):
        part = scores[scores["shared"] == shared]
        if len(part):
            parts += [f"## {title}", "\n".join(rows_of(part))]
    if exit_code:
        parts.append("**Incomplete: some cells were not done.**")
    write_text(HERE / "table.md", "\n\n".join(parts) + "\n")
    print("\n\n".join(parts))


def rows_of(part: pd.DataFrame) -> Iterator[str]:
    """Markdown of one table, family by family, controls and oracles apart."""
    pairs = list(dict.fromkeys(part["pair"]))
    yield "| method | " + " | ".join(pairs) + " | mean ± SD | over chance | source gain |"
    yield "|---|" + "---:|" * (len(pairs) + 3)
    families = {e.name: e.family for e in entries("methods").values()}
    order = list(dict.fromkeys(families.values()))
    part = with_one_scratch(part)
    methods = part.drop_duplicates("method").set_index("method")
    last = None
    for method in sorted(methods.index, key=lambda m: rank(methods, families, order, m)):
        plain, kind = methods.loc[method, "plain"], methods.loc[method, "kind"]
        family = "oracle, never ranked" if kind == "oracle" else families.get(plain, "control")
        if family != last:
            yield f"| *{family}* |" + " |" * (len(pairs) + 3)
            last = family
        yield row(part, method, pairs)
    chances = [part[part["pair"] == p]["chance"].iloc[0] for p in pairs]
    cells = " | ".join(f"{c:.1f}" for c in chances)
    yield f"| chance | {cells} | {np.mean(chances):.1f} | | |"


def with_one_scratch(part: pd.DataFrame) -> pd.DataFrame:
    """The table with one target-only row for all methods, where their networks score the same."""
    scratch = part[part["plain"] == "target-only"]
    scores = scratch.pivot_table(index=["pair", "subject"], columns="network", values="score")
    if not len(scratch) or not np.allclose(scores, scores.iloc[:, [0]], atol=1e-9):
        return part
    first = scratch["network"] == scores.columns[0]
    one = scratch[first].assign(method=f"target-only ({scores.shape[1]} networks, all alike)")
    return pd.concat([part[part["plain"] != "target-only"], one])


def rank(
    methods: pd.DataFrame, families: dict[str, str], order: list[str], method: str
) -> tuple[int, str]:
    """Place of a method: by family, oracles last."""
    plain = methods.loc[method, "plain"]
    family = families.get(plain, "control")
    last = len(order) if methods.loc[method, "kind"] == "oracle" else 0
    return last + order.index(family), method


def row(part: pd.DataFrame, method: str, pairs: list[str]) -> str:
    """One line of the table."""
    own = part[part["method"] == method]
    cells = [f"{m:.1f}" if np.isfinite(m) else "–"
             for m in (own[own["pair"] == p]["score"].mean() for p in pairs)]
    subjects = by_subject(own, "score")
    over = by_subject(own.assign(over=own["score"] - own["chance"]), "over")
    error = standard_error(over) or np.nan
    mean = own.groupby("pair")["score"].mean().mean()
    mark = " ⚠" if over.mean() < -2 * error - 1e-9 else ""
    return (
        f"| {method} | " + " | ".join(cells) + f" | {mean:.1f} ± {subjects.std(ddof=1):.1f} | "
        f"{over.mean():+.1f} ± {error:.1f}{mark} | {gain(part, method)} |"
    )


def by_subject(rows: pd.DataFrame, column: str) -> pd.Series:
    """Mean of a column for each subject of each target corpus, over sources."""
    return rows.groupby([rows["pair"].str.partition("→")[2], rows["subject"]])[column].mean()


def gain(part: pd.DataFrame, method: str) -> str:
    """What the source adds to the same training without it."""
    plain = part[part["method"] == method]["plain"].iloc[0]
    own = part[part["method"] == method].set_index(["pair", "subject"])["score"]
    scratch = part[part["plain"] == "target-only"]
    alike = list(scratch["network"].unique())[:1] if scratch["network"].nunique() == 1 else []
    for network in (plain, "network", *alike):
        base = scratch[scratch["network"] == network]
        if len(base) and part[part["method"] == method]["kind"].iloc[0] != "control":
            difference = (own - base.set_index(["pair", "subject"])["score"]).dropna()
            subjects = by_subject(difference.rename("gain").reset_index(), "gain")
            corpora = [corpus for corpus, _ in subjects.index]
            low, high = mean_interval(subjects, corpora) or (np.nan, np.nan)
            return f"{mean_over(subjects, corpora):+.1f} ({low:+.1f} to {high:+.1f})"
    return ""


if __name__ == "__main__":
    main()
