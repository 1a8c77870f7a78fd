"""Which methods differ: every pair of them, paired over target subjects, with Holm over all pairs.

The unit is the target subject. Seeds and sessions are averaged within a subject first, and so are
the sources that a subject was tested from: none of them makes a subject more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.scoring.inference import (
    Compared,
    Friedman,
    balanced_chance_interval,
    chance_interval,
    compare_all,
    friedman,
    subjects_needed,
)
from bench.store.records import Store

from .shared.against import Subject, interval, of_subjects
from .shared.caption import title
from .shared.cells import Column
from .shared.files import bullets, csv_text, markdown_table, mean_columns, sign_columns, write_files
from .shared.pictures import drawable
from .shared.power import ALPHA, sensitivity, smallest
from .shared.table import Table, TableRow
from .shared.text import markdown, natural, p_value, percent, signed

#: Pairs of methods that a table of the Markdown lists; the CSV has all.
LISTED = 60
#: Name of the family over all pairs of corpora together.
POOLED = "all source→target pairs"
Scores = Mapping[str, Mapping[Any, float]]


@dataclass(frozen=True)
class Family:
    """Methods that are compared with each other, and over what.

    Attributes
    ----------
    over : str
        :data:`POOLED`, or one pair of corpora.
    scores : dict
        Method to subject to score.
    differences : list of Compared
        Most certain first.
    test : Friedman or None
        Over the subjects that all methods share; None for fewer than two.
    left_out : list of str
        Methods without a score on every pair.
    chance : str
        What guessing gives with so many trials; empty where that is not known.
    """

    over: str
    scores: Scores
    differences: list[Compared]
    test: Friedman | None
    left_out: list[str]
    chance: str = ""

    @property
    def subjects(self) -> int:
        """Subjects of all its methods."""
        return len({s for mine in self.scores.values() for s in mine})


def families(table: Table, guessing: bool = True) -> list[Family]:
    """All pairs together where there are several, then each pair by itself.

    ``guessing`` says what a guess scores on a subject's trials, for which predictions are read.
    """
    found = list(table.once("families", lambda: _families(table)))
    if not guessing:
        return found
    columns = {table.labels[c]: c for c in table.columns}
    return [replace(f, chance=_chance(table, columns[f.over], [
        r for r in table.methods if columns[f.over] in r.values
    ])) if f.over in columns else f for f in found]


def _families(table: Table) -> list[Family]:
    out = []
    if len(table.columns) > 1:
        complete = [r for r in table.methods if len(r.values) == len(table.columns)]
        rest = [r.label for r in table.methods if r not in complete]
        scores, pairs = by_subject(table, complete)
        out.append(_family(POOLED, scores, rest, pairs=pairs))
    for column in table.columns:
        rows = [r for r in table.methods if column in r.values]
        rest = [r.label for r in table.methods if r not in rows]
        alone = {row.label: row.values[column].subjects for row in rows}
        out.append(_family(table.labels[column], alone, rest))
    return [f for f in out if f.differences]


def _family(
    over: str, scores: Scores, rest: list[str], pairs: Mapping[str, float] | None = None,
) -> Family:
    """Comparisons of a family; ``pairs`` of each target corpus, where the family is over several.

    The mean of a difference is then that of the leaderboard's means over pairs.
    """
    corpora = {s: s[0] for its in scores.values() for s in its} if pairs else None
    compared = sorted(compare_all(scores, corpora, pairs),
                      key=lambda c: (c.holm, c.test.p, -abs(c.test.mean)))
    return Family(over, scores, compared, friedman_of(scores), rest)


def by_subject(
    table: Table, rows: Sequence[TableRow]
) -> tuple[dict[str, dict[Subject, float]], dict[str, int]]:
    """Scores over target subjects that all rows have, averaged over the sources of a subject.

    Also how many pairs each target corpus has.
    """
    scores: dict[str, dict[Subject, float]] = {}
    pairs: dict[str, int] = {}
    shared = {
        column: sorted(set.intersection(*(set(r.values[column].subjects) for r in rows)),
                       key=natural)
        for column in table.columns if rows
    }
    for row in rows:
        scores[row.label], pairs = of_subjects(
            (column, {s: row.values[column].subjects[s] for s in subjects})
            for column, subjects in shared.items()
        )
    return scores, pairs


def friedman_of(scores: Scores) -> Friedman | None:
    """Friedman's test over the subjects that all methods have; None for fewer than two."""
    if len(scores) < 2:
        return None
    shared = set.intersection(*(set(mine) for mine in scores.values()))
    if len(shared) < 2:
        return None
    return friedman([[mine[s] for mine in scores.values()] for s in sorted(shared, key=str)])


def _chance(table: Table, column: Column, rows: Sequence[TableRow]) -> str:
    """Range of guessing on the trials of one subject, the widest of all subjects."""
    if table.metric not in ("accuracy", "balanced_accuracy") or not rows:
        return ""
    record = rows[0].cells[column][0].record
    try:
        frame = record.predictions()
    except BenchError:
        return ""
    trials = frame.drop_duplicates(["subject", "session", "trial"])
    ranges = []
    for _, mine in trials.groupby(["subject", "session"]):
        counts = np.bincount(mine["y"], minlength=len(column.classes)).tolist()
        ranges.append((
            balanced_chance_interval(counts) if table.metric == "balanced_accuracy"
            else chance_interval(len(mine), len(column.classes)), len(mine)
        ))
    (low, high), n = max(ranges, key=lambda r: r[0][1] - r[0][0])
    return (
        f"A guess scores {percent(low, 0)} to {percent(high, 0)} % on the {n} test trials of one "
        f"subject, counted per trial (95 %; {len(column.classes)} classes)"
    )


def caption(table: Table, family: Family) -> list[str]:
    """Lines that say what the numbers of a family mean, and what could be shown at all."""
    m, pairs = len(family.scores), len(family.differences)
    pooled = family.over == POOLED
    needed = subjects_needed(m, ALPHA)
    lines = [
        f"Difference of {table.measured} in points, first method "
        "less second. The unit is the target subject: seeds and sessions are averaged within a "
        "subject first" + (", and so are the sources it was tested from" if pooled else "")
        + f"; {family.subjects} subjects.",
        "95 % interval: Student's t" + (
            ", of subjects within their corpora, each pair weighing the same; it tells of other "
            "subjects, not of other corpora" if pooled else " over subjects"
        ) + ". p: two-sided Wilcoxon signed-rank, exact up to "
        f"50 subjects; Holm over all {pairs} pair{'s' * (pairs > 1)} of {m} methods. Effect: "
        "rank-biserial, −1 to 1.",
        f"Among {m} methods nothing can be significant at {100 * ALPHA:g} % after Holm with fewer "
        f"than {needed} subjects" + (
            f": with {family.subjects} no difference could be, however large."
            if family.subjects < needed else "."
        ),
    ]
    if family.test is not None:
        t = family.test
        lines.append(
            f"Friedman's test with Iman and Davenport's correction: F({t.methods - 1}, "
            f"{(t.methods - 1) * (t.blocks - 1)}) = {_f(t.f)}, p {p_value(t.p)}, over the "
            f"{t.blocks} subjects that all {t.methods} methods have."
        )
    tests = [c.test for c in family.differences]
    if family.subjects >= needed and not any(c.holm <= ALPHA for c in family.differences):
        seen = sensitivity(tests, pairs)
        lines.append(f"No difference is significant here. {seen}".rstrip())
    if family.chance:
        lines.append(family.chance + ".")
    if family.left_out:
        lines.append(f"Without a score here, so not compared: {', '.join(family.left_out)}.")
    return lines


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``significance.md`` and ``significance.csv``.

    Raises
    ------
    BenchError
        No two methods were run on the same subjects.
    """
    made = drawable(store, options, families,
                    "no two methods in {root} were tested on the same subjects")
    return write_files(out, options, {
        "significance.md": lambda: _markdown(made),
        "significance.csv": lambda: csv_text(_rows(made)),
    })


Made = Sequence[tuple[Table, Sequence[Family]]]


def _markdown(made: Made) -> str:
    simulated = any(t.simulated for t, _ in made)
    parts = [
        f"# Which methods differ{' (simulated)' if simulated else ''}",
        "Each table is a family of its own: Holm's correction runs over its pairs of methods, and "
        "not across tables. Controls and oracles are not compared here.",
    ]
    for table, its_families in made:
        parts.append(f"## {markdown(title(table))}")
        for family in its_families:
            parts += [f"### {markdown(family.over)}", _table(family)]
            parts.append(bullets(caption(table, family)))
        if table.simulated:
            parts.append("Scores are from simulated corpora; they say nothing of EEG.")
    return "\n\n".join(parts) + "\n"


def _table(family: Family) -> str:
    rows = []
    for c in family.differences[:LISTED]:
        t, strong = c.test, "**" * (c.holm <= ALPHA)
        rows.append([
            markdown(c.one), markdown(c.two), str(t.n), f"{strong}{signed(t.mean)}{strong}",
            interval(t), markdown(p_value(t.p)), markdown(p_value(c.holm)),
            _effect(t.rank_biserial),
        ])
    text = markdown_table(("first", "second", "n", "difference", "95 % interval", "p", "p (Holm)",
                           "effect"), rows, "llrrrrrr")
    more = len(family.differences) - LISTED
    return text + (f"\n\n… and {more} more pairs of methods, in the CSV." if more > 0 else "")


def _f(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "∞"


def _effect(value: float) -> str:
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _rows(made: Made) -> Iterator[dict[str, Any]]:
    for number, (table, its_families) in enumerate(made, 1):
        for family in its_families:
            for c in family.differences:
                yield {
                    "table": number, "title": title(table), "over": family.over,
                    "metric": table.metric, "unit": table.unit, "first": c.one, "second": c.two,
                    "n_subjects": c.test.n, **mean_columns(c.test),
                    "p_holm": c.holm, "comparisons": len(family.differences),
                    "subjects_needed": subjects_needed(len(family.scores), ALPHA),
                    **sign_columns(c.test),
                    "detectable": smallest(c.test, len(family.differences)),
                    "simulated": "simulated" if table.simulated else "no",
                }
