"""Every method beside plain learning, at three sizes of calibration: a table of docs/studies.md.

    python docs/studies/table.py [RUNS] [--workers 2] [--seeds 1] [--pairs all] [--methods scmm,...]

One sweep at the ``table`` scale under ``few-shot``: all built-in methods of differential entropy
(those of raw windows are in raw.py) and controls, pairs of simulated SEED, SEED-IV and DEAP in the
classes that both corpora share, so that all rows stand in one table, and three sizes of calibration
tested on the same trials. Each corpus is a target once, unless all six ordered pairs are asked for.
What is in RUNS already is not run again. Writes docs/studies/table.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import bench
from bench.registry import entries, load
from bench.scoring.inference import Paired, holm, paired
from bench.store.files import write_text
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
SIZES = ("1", "3", "60%")
#: Each corpus once a target, so that no person stands in two pairs.
PAIRS = ("SEED->DEAP", "DEAP->SEED-IV", "SEED-IV->SEED")
#: Not a method of its own (any scikit-learn classifier), and what needs raw windows.
LEFT_OUT = ("sklearn", "riemann", "riemann-centred")
#: Plain learning on the calibration trials, with which every row is compared.
PLAIN = "target-only (lr)"
KEYS = ["size", "kind", "plain", "twin", "method", "corpus", "subject"]


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-table"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pairs", default=",".join(PAIRS), help="pairs with commas, or all")
    parser.add_argument("--methods", help="names with commas; without it all")
    args = parser.parse_args()
    every = [name for name in entries("methods") if name not in LEFT_OUT]
    pairs = args.pairs.split(",")
    if pairs == ["all"]:
        corpora = sorted({name for pair in PAIRS for name in pair.split("->")})
        pairs = [f"{s}->{t}" for s in corpora for t in corpora if s != t]
    state = bench.sweep(
        methods=args.methods.split(",") if args.methods else every, pairs=pairs,
        seeds=args.seeds, simulated=True, scale="table", classes="shared",
        calibration=list(SIZES),
        options=bench.SweepOptions(runs=args.folder, workers=args.workers),
        show=lambda state, line: print(line, flush=True) if line else None,
    )
    seeds = "one seed" if args.seeds == 1 else f"{args.seeds} seeds are averaged first"
    text = (
        f"Balanced accuracy per window in percent, mean over {', '.join(pairs)} in the classes "
        f"that both corpora share, six people a target; {seeds}. SEED has five trials a class: "
        "its 60 % are its 3 trials. "
        "*Simulated; scale `table`: a ranking at this budget is not to be quoted.*"
    ).replace("->", "→")
    write_text(HERE / "table.md", page("Every method beside plain learning", text,
                                       read(args.folder), state.exit_code))


def read(folder: Path) -> pd.DataFrame:
    """Balanced accuracy per window in percent by size, method and subject.

    A subject of a target corpus is one row: its seeds and its sources are averaged. Where the
    share is as many trials as a size beside it (SEED has five a class, of which 60 % are three),
    a sweep runs it once, and it counts for both.
    """
    rows = []
    for record in Store(folder).records():
        identity = record.identity
        options = identity["protocol"]["params"]
        asked = options["calibration_trials"]
        rows += [{
            "size": f"{options['share']:.0%}" if asked is None else str(asked),
            "method": label(identity["method"], identity["params"]),
            "plain": identity["method"], "kind": record.kind, "corpus": identity["target"]["name"],
            "twin": twin(record), "pair": record.pair, "subject": fold["subject"],
            "chance": 100 / len(record.classes),
            "score": 100 * fold["scores"]["window"]["balanced_accuracy"],
        } for fold in record.folds]
    table = pd.DataFrame(rows)
    short = [its for _, its in table.groupby("pair") if SIZES[-1] not in set(its["size"])]
    largest = [its[its["size"] == max(its["size"], key=int)] for its in short]
    table = pd.concat([table, *(its.assign(size=SIZES[-1]) for its in largest)])
    by_pair = table.groupby([*KEYS, "pair", "chance"], as_index=False)["score"].mean()
    return by_pair.groupby(KEYS, as_index=False)[["score", "chance"]].mean()


def twin(record: bench.Record) -> str:
    """Which target-only row learns as the record's method does, without its source."""
    if record.kind == "control":
        return ""
    cls = load("methods", record.identity["method"])
    scratch = cls(cls.parse(record.identity["params"])).scratch()
    return "" if scratch is None else label("target-only", {"network": scratch[0], **scratch[1]})


def label(method: str, params: Mapping[str, Any]) -> str:
    """A row's name: what a target-only row trains, and a head that is trained as released."""
    if "network" not in params:
        return method
    head = ", released head" if params.get("fit_schedule") == "constant" else ""
    return f"{method} ({params['network']}{head})"


def page(title: str, text: str, scores: pd.DataFrame, exit_code: int = 0) -> str:
    """A study as Markdown: what beats plain learning, the scores, and what the source was worth."""
    over = compared(scores, lambda row: PLAIN)
    worth = compared(scores, lambda row: row["twin"])
    sizes = [size for size in SIZES if size in set(scores["size"])]
    parts = [
        f"# {title}", text, said(over, sizes),
        "**Beside logistic regression on the calibration trials alone.** Mean ± standard deviation "
        "over target subjects; in brackets the difference from *target-only LR*, paired over "
        "subjects, with its 95 % interval (Student's t, within corpora). \\* better, ° worse after "
        f"Holm over all {len(over)} comparisons. All sizes are tested on the same trials.",
        "\n".join(rows_of(scores, over, sizes, score=True)),
        "**What the source was worth.** The difference from the same training on the same "
        f"calibration trials without a source; Holm over {len(worth)} comparisons.",
        "\n".join(rows_of(scores, worth, sizes, score=False)),
    ]
    if exit_code:
        parts.append("**Incomplete: some cells were not done.**")
    return "\n\n".join(parts) + "\n"


def compared(
    scores: pd.DataFrame, reference: Callable[[pd.Series], str]
) -> dict[tuple[str, str], tuple[Paired, float]]:
    """Each ranked method and size against another row, with p after Holm over all of them."""
    index = scores.set_index(["size", "method", "corpus", "subject"])["score"].sort_index()
    found = {}
    kinds = scores.drop_duplicates(["size", "method"])
    for _, row in kinds[kinds["kind"] == "method"].iterrows():
        other = reference(row)
        if other == row["method"] or (row["size"], other) not in index.index.droplevel([2, 3]):
            continue
        pair = pd.concat([index[row["size"], row["method"]], index[row["size"], other]], axis=1,
                         join="inner").dropna()
        found[row["size"], row["method"]] = paired(
            pair.iloc[:, 0], pair.iloc[:, 1], [corpus for corpus, _ in pair.index])
    corrected = holm([p.p for p in found.values()])
    return {key: (p, c) for (key, p), c in zip(found.items(), corrected, strict=True)}


def said(over: Mapping[tuple[str, str], tuple[Paired, float]], sizes: Sequence[str]) -> str:
    """How many methods with a source beat plain learning at each size, in a sentence."""
    parts = []
    for size in sizes:
        its = [(p, c) for (at, method), (p, c) in over.items()
               if at == size and not method.startswith("target-only")]
        won = sum(p.mean > 0 and c <= 0.05 for p, c in its)
        lost = sum(p.mean < 0 and c <= 0.05 for p, c in its)
        parts.append(f"{named(size)} {won or 'none'} beat{'s' * (won < 2)} it and {lost or 'none'} "
                     f"{'are' if lost > 1 else 'is'} worse")
    methods = len({method for _, method in over if not method.startswith("target-only")})
    return (f"**Of {methods} methods that use a source, beside logistic regression on the target's "
            "own trials: " + "; ".join(parts) + ".**")


def named(size: str) -> str:
    """A size in words."""
    if size.endswith("%"):
        return f"at {size[:-1]} %"
    return f"with {size} trial{'s' * (size != '1')} a class"


def rows_of(
    scores: pd.DataFrame, found: Mapping[tuple[str, str], tuple[Paired, float]],
    sizes: Sequence[str], *, score: bool,
) -> Iterator[str]:
    """Markdown of one table, family by family; controls first, oracles last."""
    yield "| method | " + " | ".join(f"{named(s)}" for s in sizes) + " |"
    yield "|---|" + "---:|" * len(sizes)
    families = {e.name: e.family for e in entries("methods").values()}
    order = ["plain learning", *dict.fromkeys(families.values())]
    methods = scores.drop_duplicates("method").set_index("method")

    def family(method: str) -> str:
        plain, kind = methods.loc[method, "plain"], methods.loc[method, "kind"]
        if kind == "oracle":
            return "oracle, never ranked"
        return "plain learning" if plain == "target-only" else families.get(plain, "control")

    places = {m: (order.index(family(m)) if family(m) in order else len(order), m)
              for m in methods.index}
    last = None
    for method in sorted(methods.index, key=lambda m: places[m]):
        cells = [cell_of(scores, found.get((size, method)), size, method, score) for size in sizes]
        if not any(cells):
            continue
        if family(method) != last:
            last = family(method)
            yield f"| *{last}* |" + " |" * len(sizes)
        yield f"| {method} | " + " | ".join(cells) + " |"
    if score:
        chance = [f"{scores[scores['size'] == s]['chance'].mean():.1f}" for s in sizes]
        yield "| chance | " + " | ".join(chance) + " |"


def cell_of(
    scores: pd.DataFrame, found: tuple[Paired, float] | None, size: str, method: str, score: bool
) -> str:
    """``62.8 ± 6.4 (+1.2; +0.3 to +2.1)*``, or the difference alone; empty where there is none."""
    its = scores[(scores["size"] == size) & (scores["method"] == method)]
    parts = []
    if score and len(its):
        mean = its.groupby("corpus")["score"].mean().mean()
        parts.append(f"{mean:.1f} ± {its['score'].std(ddof=1):.1f}")
    if found is not None:
        p, corrected = found
        low, high = p.interval or (float("nan"), float("nan"))
        mark = "" if corrected > 0.05 else "\\*" if p.mean > 0 else "°"
        inner = f"{p.mean:+.1f}{mark}; {low:+.1f} to {high:+.1f}"
        parts.append(f"({inner})" if score else inner)
    return " ".join(parts)


if __name__ == "__main__":
    main()
