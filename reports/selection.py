"""Scores that each rule of choosing an epoch would have given, beside the last epoch.

A record keeps the scores of every rule that was evaluated while it was trained. Only the chosen
rule is ranked; the others are shown here, paired with ``last`` over target subjects. The oracle
chose on the test set: it stands apart, and is what no rule can be expected to beat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.reporting import ReportOptions
from bench.scoring.inference import Paired, paired
from bench.store.records import Store

from .shared.against import interval
from .shared.caption import pieces_said
from .shared.cells import Column, ScoredCell
from .shared.files import csv_text, markdown_table, mean_columns, write_files
from .shared.pictures import Grid, drawable, head, save_all
from .shared.style import BLUE, GREY, INK, ONE_COLUMN, PALE, TWO_COLUMNS, plain_axes, width_of
from .shared.table import Table, TableRow
from .shared.text import clean, markdown, natural, p_value, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The rule that others are compared with, and the one that is never ranked.
LAST, ORACLE = "last", "oracle"
_HEAD = ("method", "pair", "rule", "chooses by", "score", "less last", "95 % interval", "p",
         "stops at", "n")
#: Methods in one figure.
MOST = 9


@dataclass(frozen=True)
class Choice:
    """A rule, for a method on a pair.

    Attributes
    ----------
    label : str
        Row of the leaderboard.
    column : Column
    rule, uses : str
        Its name, and what it chooses by.
    mean : float
        Mean score over target subjects.
    test : Paired
        Rule less ``last``, on the subjects and seeds that both have.
    epoch : float or None
        Mean share of the training after which it stopped, 0 to 1.
    chosen : bool
        Whether it is the rule whose scores the leaderboard shows.
    """

    label: str
    column: Column
    rule: str
    uses: str
    mean: float
    test: Paired
    epoch: float | None
    chosen: bool


def choices(table: Table) -> list[Choice]:
    """Rules of each method and pair, ``last`` first and the oracle last.

    A method without epochs, such as ``lr``, has nothing to choose and is left out.
    """
    made = []
    for row in table.methods:
        for column in table.columns:
            if _has_epochs(row.cells.get(column, ())):
                made += _of(row, column, table)
    return made


def _has_epochs(cells: Iterable[ScoredCell]) -> bool:
    """Whether some outcome was one of several epochs; a record that does not say counts."""
    folds = [f for c in cells for o in _selections(c).values() for f in o["folds"]]
    return any(not isinstance(f, dict) or f.get("of") != 1 for f in folds)


def without_epochs(table: Table) -> list[str]:
    """Methods that have rules in their records and no epochs to choose from."""
    return [
        row.label for row in table.methods
        if (cells := [c for c in row.every if _selections(c)]) and not _has_epochs(cells)
    ]


def _of(row: TableRow, column: Column, table: Table) -> list[Choice]:
    by_rule: dict[str, list[tuple[ScoredCell, Mapping[str, Any]]]] = defaultdict(list)
    for cell in row.cells.get(column, ()):
        for rule, outcome in _selections(cell).items():
            by_rule[rule].append((cell, outcome))
    last = _scores(by_rule.pop(LAST, []), table)
    if not last:
        return []
    made = []
    for rule in [LAST, *sorted(by_rule, key=lambda r: (r == ORACLE, natural(r)))]:
        here = by_rule.get(rule, [])
        scores = last if rule == LAST else _scores(here, table)
        shared = sorted(set(scores) & set(last))
        if not shared:
            continue
        subjects = list(dict.fromkeys(s for s, _ in shared))
        a, b = ([fmean(x[s, k] for s, k in shared if s == who) for who in subjects]
                for x in (scores, last))
        uses = "nothing: the last epoch" if rule == LAST else clean(here[0][1].get("uses", ""))
        epoch = 1.0 if rule == LAST else _epoch(o for _, o in here)
        chosen = table.setting.selection == rule
        made.append(Choice(row.label, column, clean(rule, 40), uses, fmean(a), paired(a, b),
                            epoch, chosen))
    return made


def _selections(cell: ScoredCell) -> dict[str, Mapping[str, Any]]:
    """Outcome of each rule in a record; nothing for records of before there were any."""
    return {str(k): v for k, v in cell.record.selections.items()
            if isinstance(v, dict) and v.get("folds")}


def _scores(
    outcomes: Sequence[tuple[ScoredCell, Mapping[str, Any]]], table: Table
) -> dict[tuple[str, int], float]:
    """(subject, seed) to score, averaged over sessions."""
    sessions: dict[tuple[str, int], list[float]] = defaultdict(list)
    for cell, outcome in outcomes:
        for fold in outcome["folds"]:
            try:
                value = fold["scores"][table.unit][table.metric]
                if value is not None:
                    sessions[clean(fold["subject"]), cell.seed].append(float(value))
            except (KeyError, TypeError, ValueError):
                continue  # a fold without this score
    return {k: fmean(v) for k, v in sessions.items()}


def _epoch(outcomes: Any) -> float | None:
    shares = []
    for outcome in outcomes:
        for fold in outcome["folds"]:
            epoch, of = (fold.get(k) if isinstance(fold, dict) else None for k in ("epoch", "of"))
            if isinstance(epoch, int) and isinstance(of, int) and of > 0:
                shares.append(epoch / of)
    return fmean(shares) if shares else None


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``selection.md``, ``selection.csv`` and ``selection.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    BenchError
        No record says what another rule would have given.
    """
    shown = drawable(
        store, options, _compared,
        "no record in {root} has epochs scored by more than one selection rule",
        "Rules are evaluated while a method trains that calls ctx.epoch(...); a method "
        "without epochs, such as lr, has nothing to choose.",
    )
    texts = {"selection.md": lambda: _markdown(shown),
             "selection.csv": lambda: csv_text(_rows(shown))}
    return write_files(out, options, texts) + save_all(
        shown, draw, out / "selection", "Selection rules", options)


def _compared(table: Table) -> list[Choice]:
    made = choices(table)
    return made if any(one.rule != LAST for one in made) else []


Shown = Sequence[tuple[Table, Sequence[Choice]]]


def _markdown(shown: Shown) -> str:
    parts = ["# Selection rules" + (" (simulated)" if any(t.simulated for t, _ in shown) else "")]
    for table, its_choices in shown:
        shared = ", shared classes" if table.setting.classes else ""
        parts.append(f"## {markdown(table.setting.protocol)}{shared}: "
                     f"{table.measured}, chosen by "
                     f"{markdown(table.setting.selection)}")
        rows = []
        for c in its_choices:
            name = f"**{markdown(c.rule)}**" if c.chosen else markdown(c.rule)
            name = f"*{name}, not ranked*" if c.rule == ORACLE else name
            gain = [signed(c.test.mean), interval(c.test), markdown(p_value(c.test.p))]
            rows.append([
                markdown(c.label), markdown(table.labels[c.column]), name, markdown(c.uses),
                percent(c.mean), *(["–"] * 3 if c.rule == LAST else gain),
                "–" if c.epoch is None else f"{100 * c.epoch:.0f} %", str(c.test.n),
            ])
        parts.append(markdown_table(_HEAD, rows, "llllrrrrrr"))
        if table.pieces:
            parts.append(markdown(pieces_said(table.pieces)))
        parts.append(
            "In % and percentage points, over n target subjects; seeds averaged first; p by "
            "Wilcoxon's signed-rank test, not adjusted. The rule in bold is the one whose scores "
            "the leaderboard shows. The oracle chose by the labels of the test windows."
        )
        if left_out := without_epochs(table):
            parts.append("Left out, having no epochs to choose from: "
                         f"{', '.join(markdown(name) for name in left_out)}.")
    return "\n\n".join(parts) + "\n"


def _rows(shown: Shown) -> Iterator[dict[str, Any]]:
    for number, (table, its_choices) in enumerate(shown, 1):
        for c in its_choices:
            yield {
                "table": number, "simulated": "simulated" if table.simulated else "no",
                "protocol": table.setting.protocol, "selection": table.setting.selection,
                "method": c.label, "pair": table.labels[c.column], "rule": c.rule,
                "uses": c.uses, "ranked": "chosen" if c.chosen else "no",
                "metric": table.metric, "unit": table.unit, "mean": c.mean,
                **mean_columns(c.test, "difference_to_last"), "epoch_share": c.epoch,
                "n_subjects": c.test.n, "pieces": c.column.pieces,
            }


def draw(table: Table, shown: Sequence[Choice]) -> Figure:
    """Figure of a table: a panel a method, a line a rule, a dot a pair."""
    labels = list(dict.fromkeys(c.label for c in shown))
    hidden, labels = len(labels) - MOST, labels[:MOST]
    rules = list(dict.fromkeys(
        c.rule for c in sorted(shown, key=lambda c: (c.rule == ORACLE, natural(c.rule)))
        if c.rule != LAST
    ))
    across = min(3, len(labels))
    width = width_of(ONE_COLUMN if across == 1 else TWO_COLUMNS)
    across = 1 if width == ONE_COLUMN else across
    down = -(-len(labels) // across)
    title = 0.26  # room for it over a panel
    top = 0.86 if width == ONE_COLUMN else 0.72
    grid = Grid.make(width, (down, across), (1.05, 0.12, top, 0.4 + title), (0.16, title),
                     high=0.19 * len(rules) + 0.1)
    gains = [100 * c.test.mean for c in shown]
    low, high_edge = min(-2.0, *gains) * 1.15, max(2.0, *gains) * 1.15
    limits = (low, high_edge + 0.24 * (high_edge - low))  # room for the numbers
    for i, label in enumerate(labels):
        axes = grid[divmod(i, across)]
        _panel(axes, [c for c in shown if c.label == label], rules, limits)
        axes.set_title(clean(label, 30), loc="left", size=7.5, pad=3)
        if i % across:
            axes.set_yticklabels([])
        if i + across >= len(labels):
            axes.set_xlabel("points gained over the last epoch", size=6.5, labelpad=2)
        else:
            axes.set_xticklabels([])
    more = f"; {hidden} more methods left out" if hidden > 0 else ""
    head(grid.figure, table, "How the epoch is chosen",
         f"{table.measured}; dot: a pair, diamond: mean over the "
         f"pairs{' ' if width > ONE_COLUMN else chr(10)}of that rule (its number at the right)"
         f"{more}\nthe oracle chose by the labels of the test windows and is never ranked")
    return grid.figure


def _panel(
    axes: Axes, shown: Sequence[Choice], rules: Sequence[str], limits: tuple[float, float]
) -> None:
    for y, rule in enumerate(rules):
        values = [100 * c.test.mean for c in shown if c.rule == rule]
        if not values:
            axes.text(0.0, y, "not evaluated", size=5.5, color=GREY, ha="center", va="center")
            continue
        oracle = rule == ORACLE
        colour = GREY if oracle else BLUE
        axes.scatter(values, [y] * len(values), s=9, color=colour, alpha=0.4, linewidths=0,
                     zorder=2)
        axes.scatter([fmean(values)], [y], s=22, marker="D", zorder=3, linewidths=0.8,
                     facecolor="white" if oracle else colour, edgecolor=colour)
        axes.text(limits[1], y, signed(fmean(values) / 100), size=6.2, ha="right", va="center",
                  color=GREY if oracle else INK)
    plain_axes(axes, "x")
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    if ORACLE in rules and len(rules) > 1:
        axes.axhline(len(rules) - 1.5, color=PALE, linewidth=0.8, zorder=0)
    axes.set(xlim=limits, ylim=(len(rules) - 0.4, -0.6))
    axes.set_yticks(range(len(rules)), [clean(r, 20) for r in rules])
