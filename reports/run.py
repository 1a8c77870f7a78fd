"""Output of ``bench run``: one method and its controls on one pair, per window and per trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.auditing.alarms import one_class
from bench.scoring.inference import MINIMUM, mean_interval, paired
from bench.scoring.metrics import METRICS, PRECISION
from bench.store.records import Record
from bench.store.shown import counted

from .shared.against import interval
from .shared.alarms import alarm_lines
from .shared.budget import spent
from .shared.caption import pieces_said
from .shared.cells import BOUNDS, PLAINEST, SCRATCH, pieces_of
from .shared.power import ALPHA, sensitivity
from .shared.rows import RowKey, network_of
from .shared.terminal import house_table, indented
from .shared.text import METRIC_NAMES, clean, p_value, percent, signed, span

#: Rules that every record holds; a table of these alone would say nothing new.
_ALWAYS = ("last", "oracle")
Folds = Sequence[Mapping[str, Any]]


def show(record: Record, console: Console) -> None:
    """Print a record, its controls and what they say about each other.

    Parameters
    ----------
    record : Record
        With the records of its controls in ``controls``.
    """
    identity = record.identity
    title = Text.assemble(
        (clean(identity["method"]), "bold"), "  ", clean(record.pair), "  ",
        clean(identity["protocol"]["name"]), f"  scale {clean(identity['scale'])}",
    )
    pieces = pieces_of(identity)
    if pieces:
        title.append("  PIECES OF RECORDINGS", style="bold yellow")
    if record.simulated:
        title.append("  SIMULATED", style="bold yellow")
    if _peeks(record):
        title.append("  ORACLE: uses the test set, never ranked", style="bold red")
    console.print()
    console.print(title)
    console.print(_table(record))
    told = [Text(pieces_said(pieces), style="yellow")] if pieces else []
    cost = [Text(line, style="dim") for line in [spent(record)] if line]
    for line in [*_meaning(record), *told, *cost, *_tuned(record), *_comparisons(record),
                 *_left_out(record), *_alarms(record)]:
        console.print(indented(line), highlight=False)
    if len(record.selections) > len(_ALWAYS):
        console.print(_selections(record))
    if record.path is not None:
        where = record.path.parent.parent
        text = Text.assemble(
            "Record ", (clean(record.path), "dim"), "\nLeaderboard and plots: ",
            (f"bench report {clean(where)}", "cyan"),
        )
        console.print(indented(text), soft_wrap=True)


def _peeks(record: Record) -> bool:
    """Whether the scores are chosen with test labels."""
    return record.kind == "oracle" or record.identity["selection"] == "oracle"


def _selections(record: Record) -> Table:
    """Scores that each evaluated rule would have given; the chosen one first, oracle apart."""
    table = house_table(
        title=Text("Balanced accuracy at the epoch that each rule would choose", style="bold"),
        title_justify="left",
    )
    for name in ("rule", "per window", "per trial", "epoch", "its own score"):
        table.add_column(name, no_wrap=True, justify="left" if name == "rule" else "right")
    table.add_column("it chooses by", ratio=1)
    chosen = record.identity["selection"]
    names = sorted(record.selections, key=lambda n: (n == "oracle", n != chosen))
    for name in names:
        column = record.selections[name]
        if name == "oracle":
            table.add_section()
        style = {chosen: "bold", "oracle": "dim italic"}.get(name, "")
        epochs = {f["epoch"] for f in column["folds"]}
        of = max(f["of"] for f in column["folds"])
        score = column["score"]
        table.add_row(*(Text(v, style=style) for v in (
            f"{'▸' if name == chosen else ' '} {clean(name)}",
            _mean_sd(column["folds"], "window", "balanced_accuracy"),
            _mean_sd(column["folds"], "trial", "balanced_accuracy"),
            f"{span(epochs)} of {of}", "–" if score is None else f"{score:.3f}",
            clean(column["uses"]),
        )))
    return table


def _table(record: Record) -> Table:
    table = house_table()
    table.add_column("")  # where there is no room, names take two lines and numbers stay whole
    for metric in METRICS:
        name = METRIC_NAMES[metric].replace("balanced accuracy", "balanced acc.")
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for unit in ("window", "trial"):
        table.add_row(Text(f"per {unit}", style="italic dim"), *[""] * len(METRICS))
        known = {id(r.folds) for r in (record, *record.controls) if one_class(r, unit)}
        for name, folds, style in _rows(record):
            n = len({f["subject"] for f in folds})
            cells = [Text(_mean_sd(folds, unit, m, n), style=style) for m in METRICS]
            precision = _mean_sd(folds, unit, PRECISION, n)
            if id(folds) in known and precision != "–":  # accuracies say nothing of it
                cells[METRICS.index("auroc")].append(f"\nAP {precision}", "yellow")
            table.add_row(Text(f" {name}", style=style), *cells, Text(str(n), style="dim"))
        classes = len(record.classes)
        levels = [f"{100 / classes:.1f}"] * 2 + ["–", "50.0"]
        table.add_row(Text(" chance", style="dim"), *(Text(v, style="dim") for v in levels))
        table.add_section()
    return table


def _rows(record: Record) -> list[tuple[str, Folds, str]]:
    rows: list[tuple[str, Folds, str]] = [(clean(record.identity["method"]), record.folds, "bold")]
    names = _names(record.controls)
    for control in record.controls:
        if linear := control.info.get("linear"):
            rows.append((BOUNDS["linear"], linear, ""))
        rows.append((names[control.id], control.folds, ""))
    if record.oracle and not _peeks(record):
        rows.append(("oracle epoch", record.oracle["folds"], "dim italic"))
    return rows


def _names(controls: Sequence[Record]) -> dict[str, str]:
    """Names of controls by identifier: of two that bear one, the later says what differs."""
    names: dict[str, str] = {}
    first: dict[str, Mapping[str, Any]] = {}
    for control in controls:
        name, params = _name(control), control.identity.get("params") or {}
        usual = first.setdefault(name, params)
        differs = [f"{k}={v}" for k, v in params.items() if usual.get(k) != v]
        names[control.id] = f"{name} [{clean(', '.join(differs), 60)}]" if differs else name
    return names


def _name(record: Record) -> str:
    """As the leaderboard calls a row: ``target-only LR``."""
    name, params = clean(record.identity["method"]), record.identity.get("params") or {}
    name += " source" * (params.get("shuffle") == "source")
    return RowKey(record.kind, name, network_of(params)).label


def _values(folds: Folds, unit: str, metric: str) -> dict[tuple[int, int], float]:
    """Score of each fold, where it is defined."""
    scores = {(f["subject"], f["session"]): f["scores"][unit].get(metric) for f in folds}
    return {k: v for k, v in scores.items() if v is not None}


def _by_subject(values: Mapping[tuple[int, int], float]) -> list[float]:
    """Means over the sessions of each subject."""
    scores: dict[int, list[float]] = {}
    for (subject, _), value in values.items():
        scores.setdefault(subject, []).append(value)
    return [sum(v) / len(v) for v in scores.values()]


def _mean_sd(folds: Folds, unit: str, metric: str, beside: int | None = None) -> str:
    """``63.5 ± 5.1``, with its n where it is not the one that stands beside."""
    means = _by_subject(_values(folds, unit, metric))
    if not means:
        return "–"
    mean = sum(means) / len(means)
    n = "" if len(means) == beside else f" (n {len(means)})"
    if len(means) == 1:
        return percent(mean) + n * (beside is not None)
    return f"{percent(mean)} ± {percent(stdev(means))}{n}"


def _meaning(record: Record) -> list[Text]:
    subjects = len({f["subject"] for f in record.folds})
    calibration = {len(f["calibration_trials"]) for f in record.folds}
    test = {len(f["test_trials"]) for f in record.folds}
    calibrated = f"calibrated on {_trials(calibration)} and " if any(calibration) else ""
    spread = (f"Percent; ± is the standard deviation over {subjects} subjects. Each is "
              if subjects > 1 else "Percent, of 1 subject. It is ")
    return [Text(
        f"{spread}{calibrated}tested on {_trials(test)}, at {_epoch(record)}.{_rule(record)}",
        style="dim",
    )]


def _trials(counts: set[int]) -> str:
    """``1 trial``, ``6–9 trials``."""
    return f"{span(counts)} trial" + "s" * (counts != {1})


def _tuned(record: Record) -> list[Text]:
    """How tuned parameters were chosen, and whether those of the control were as well."""
    lines = []
    for each in (record, *record.controls):
        tuning = each.identity.get("tuning")
        if tuning:
            lines.append(Text(
                f"Parameters of {clean(each.identity['method'])} are tuned: "
                f"{clean(tuning['trials'])} trials by {clean(tuning['rule'])} on "
                f"{clean(tuning['data'])}.", style="dim",
            ))
    return lines


def _rule(record: Record) -> str:
    """How ratings became classes, where the target is rated."""
    rule = record.identity.get("label_rule")
    if not rule or not any(c.startswith("high ") for c in record.classes):
        return ""
    dropped = rule["drop_middle"]
    middle = f", from {dropped[0]:g} to {dropped[1]:g} are left out" if dropped else ""
    cuts = rule["threshold"]
    words = " and ".join(f"{cut:g} ({clean(name)})" for name, cut in cuts.items()) \
        if isinstance(cuts, dict) else f"{cuts:g}"
    return f" Ratings above {words} are high{middle}."


def _epoch(record: Record) -> str:
    """Which epoch the scores are of, and what the oracle row is."""
    if record.identity["selection"] == "oracle":
        return "the epoch that was best on the test set"
    chosen = "the last epoch" if record.identity["selection"] == "last" else \
        f"the epoch chosen by {clean(record.identity['selection'])}"
    if not record.oracle:
        return chosen
    return f"{chosen}. The oracle chose its epoch on the test set and is never ranked"


def _comparisons(record: Record) -> list[Text]:
    """Lines on what the source was worth, and what the oracle would have gained."""
    ours = _values(record.folds, "window", "balanced_accuracy")
    lines = [_above_chance(record, ours)]
    if _peeks(record):
        return lines
    named = _names(record.controls)
    scratch = [c for c in record.controls if c.identity["method"] == SCRATCH]
    plainest = next(
        (c for c in scratch if c.identity["params"].get("network") == PLAINEST), None)
    for control in record.controls:
        if control.identity["method"] not in (SCRATCH, "shuffled"):
            continue
        theirs = _values(control.folds, "window", "balanced_accuracy")
        # With other parameters than the usual ones, plain learning is also the method's own twin.
        plain = len(scratch) > 1 and control is plainest
        what = "Against plain learning" if plain else "What the source was worth" \
            if control.identity["method"] == SCRATCH else "What the source's labels were worth"
        names = f"{clean(record.identity['method'])} − {named[control.id]}"
        lines.append(_difference(what, names, ours, theirs))
    if record.oracle:
        theirs = _values(record.oracle["folds"], "window", "balanced_accuracy")
        lines.append(_difference(
            "What choosing the epoch on the test set would add",
            f"oracle − {'last' if record.identity['selection'] == 'last' else 'chosen'} epoch",
            theirs, ours,
        ))
    return lines


def _above_chance(record: Record, ours: dict[tuple[int, int], float]) -> Text:
    means = _by_subject(ours)
    above = fmean(means) - 1 / len(record.classes)
    found = mean_interval([mean - 1 / len(record.classes) for mean in means])
    sure = f"95 % interval {signed(found[0])} to {signed(found[1])}, " if found else ""
    return Text.assemble(
        "Above chance: ", (f"{signed(above)} points", "bold"), " balanced accuracy per window "
        f"({sure}{counted(len(means), 'subject')}{_doubt(len(means))}).",
    )


def _doubt(subjects: int) -> str:
    """Said where there are too few subjects for an interval."""
    return "" if subjects >= MINIMUM else ": too few to tell how sure that is"


def _difference(
    what: str, names: str, ours: dict[tuple[int, int], float],
    theirs: dict[tuple[int, int], float],
) -> Text:
    shared = sorted(set(ours) & set(theirs))
    one, two = (_by_subject({fold: side[fold] for fold in shared}) for side in (ours, theirs))
    test = paired(one, two)
    sure = "" if test.interval is None else \
        f"95 % interval {interval(test)}, Wilcoxon p {p_value(test.p)}, "
    line = Text.assemble(
        f"{what}: ", (f"{signed(test.mean)} points", "bold"),
        f" balanced accuracy per window ({clean(names)}; {sure}{counted(test.n, 'subject')}"
        f"{_doubt(test.n)}).",
    )
    if test.n >= MINIMUM and test.p > ALPHA:
        line.append(f" Not significant. {sensitivity([test], 1)}".rstrip(), "dim")
    return line


def _alarms(record: Record) -> list[Text]:
    return [Text(line, style="bold red" if line.startswith("LEAK") else "yellow")
            for line in alarm_lines([record, *record.controls], read=True)]


def _left_out(record: Record) -> list[Text]:
    return [
        Text(f"Left out: subject {item['subject']} session {item['session']}: "
             f"{clean(item['reason'])}", style="yellow")
        for item in record.left_out
    ]
