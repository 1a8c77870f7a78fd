"""Each method against its own training without a source, paired over target subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.scoring.inference import Paired, holm, paired

from .cells import SCRATCH, Column, same_network, stands_for
from .power import ALPHA, sensitivity, too_few
from .rows import RowKey
from .table import Table, TableRow
from .text import natural, signed


@dataclass(frozen=True)
class Comparison:
    """A method and its target-only control on one pair.

    Attributes
    ----------
    method, control : dict
        Subject to score, over the seeds and subjects that both have.
    seeds : tuple of int
    test : Paired
    holm : float
        p adjusted over all comparisons of the table.
    note : str
        Where control and method differ in more than the pre-training.
    """

    row: RowKey
    column: Column
    method: dict[str, float]
    control: dict[str, float]
    seeds: tuple[int, ...]
    test: Paired
    holm: float
    note: str


def against_target_only(table: Table) -> list[Comparison]:
    """Paired comparisons of a table, in the order of its rows and columns.

    Score of a subject: mean over sessions, then over the seeds that both sides ran.
    """
    return list(table.once("against target-only", lambda: _compared(table)))


def _compared(table: Table) -> list[Comparison]:
    compared = []
    for row in table.methods:
        for column in table.columns if row.key.method != SCRATCH else ():
            control = _control(row, column, [*table.methods, *table.controls])
            if control is None:
                continue
            sides = in_common(row, control, column, table)
            if sides is not None:
                one, two, _ = sides
                names = _differing(row, control, column)
                note = f"control differs in {', '.join(names)}" if names else ""
                test = paired(list(one.values()), list(two.values()))
                compared.append((row.key, column, *sides, test, note))
    adjusted = holm([f[5].p for f in compared])
    return [Comparison(*f[:6], p, f[6]) for f, p in zip(compared, adjusted, strict=True)]


@dataclass(frozen=True)
class Pooled:
    """A method and its target-only control over all pairs of a table.

    Attributes
    ----------
    row : RowKey
    test : Paired
        Over target subjects, each averaged over its sources; the interval is that of subjects
        within corpora.
    corpora : int
        How many target corpora these are of.
    holm : float
        p adjusted over the methods.
    """

    row: RowKey
    test: Paired
    corpora: int
    holm: float
    #: Of no one pair, and of whatever seeds each of them has.
    column: Column | None = None
    seeds: tuple[int, ...] = ()
    note: str = ""


def joined(
    comparisons: Sequence[Comparison], pooled: Sequence[Pooled]
) -> list[Comparison | Pooled]:
    """Those of each pair, then those over all of them."""
    return [*comparisons, *pooled]


def over_all_pairs(table: Table) -> list[Pooled]:
    """Comparisons over all pairs, of the methods that have a control in each of several."""
    return list(table.once("over all pairs", lambda: _pooled(table)))


def _pooled(table: Table) -> list[Pooled]:
    by_row: dict[RowKey, list[Comparison]] = {}
    for c in against_target_only(table):
        by_row.setdefault(c.row, []).append(c)
    tests = []
    for row, its in by_row.items():
        if len(its) == len(table.columns) > 1:
            one, corpora = of_subjects((c.column, c.method) for c in its)
            two, _ = of_subjects((c.column, c.control) for c in its)
            test = paired(list(one.values()), list(two.values()), [corpus for corpus, _ in one],
                          corpora)
            tests.append((row, test, len(corpora)))
    adjusted = holm([test.p for _, test, _ in tests])
    return [Pooled(*t, p) for t, p in zip(tests, adjusted, strict=True)]


#: A target subject: equal numbers of two corpora are different people.
Subject = tuple[str, str]


def of_subjects(
    scores: Iterable[tuple[Column, Mapping[str, float]]]
) -> tuple[dict[Subject, float], dict[str, int]]:
    """Mean score of each target subject over several pairs, and how many pairs each corpus has.

    The tasks of a corpus are of the same people: ``DEAP:valence`` and ``DEAP:arousal`` make no
    subject twice.
    """
    by_subject: dict[Subject, list[float]] = {}
    pairs: Counter[str] = Counter()
    for column, subjects in scores:
        pairs[column.target_corpus] += 1
        for subject, score in subjects.items():
            by_subject.setdefault((column.target_corpus, subject), []).append(score)
    return {who: sum(v) / len(v) for who, v in by_subject.items()}, dict(pairs)


def in_common(
    one: TableRow, two: TableRow, column: Column, table: Table
) -> tuple[dict[str, float], dict[str, float], tuple[int, ...]] | None:
    """Subject to score on either side, and the seeds, of what both have; None if that is nothing.

    Score of a subject: mean over sessions, then over the seeds that both sides ran.
    """
    a, b = (
        {c.seed: c.subject_scores(table.metric, table.unit) for c in row.cells[column]}
        for row in (one, two)
    )
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    subjects = sorted(set.intersection(*(set(x[s]) for x in (a, b) for s in seeds)), key=natural)
    first, second = (
        {who: sum(x[s][who] for s in seeds) / len(seeds) for who in subjects} for x in (a, b)
    )
    return (first, second, tuple(seeds)) if subjects else None


def interval(test: Paired) -> str:
    """``+0.9 to +7.5``, or that there are too few subjects for one."""
    if test.interval is None:
        return "too few" if test.n > 1 else "–"
    return f"{signed(test.interval[0])} to {signed(test.interval[1])}"


def footnotes(comparisons: Sequence[Comparison], pooled: Sequence[Pooled] = ()) -> list[str]:
    """Lines that say what the comparisons mean."""
    lines = [
        "Method less the same training on the same calibration trials without a source, in "
        "percentage points, paired over target subjects, on the seeds that both ran; Student's t "
        "interval of the mean over subjects; two-sided Wilcoxon signed-rank p"
        + ("; p (Holm) is adjusted over this table." if len(comparisons) > 1 else ".")
    ]
    if pooled:
        lines.append(
            f"All pairs: a subject's scores from several sources are averaged first; interval of "
            f"subjects within their corpora ({pooled[0].corpora}), which tells of "
            "other subjects, not of other corpora; Holm over the methods."
        )
    lines += too_few(c.test for c in comparisons)
    if not any(c.test.mean > 0 and c.holm <= ALPHA for c in joined(comparisons, pooled)):
        seen = sensitivity([c.test for c in comparisons], len(comparisons))
        lines.append(f"No gain from the source is significant here. {seen}".rstrip())
    return lines + sorted({f"{c.row.label}: {c.note}" for c in comparisons if c.note})


def _control(row: TableRow, column: Column, controls: Sequence[TableRow]) -> TableRow | None:
    """The target-only row of this method's own training, the nearest in its parameters."""
    if column not in row.values:
        return None
    scratch = [c for c in controls if c.key.method == SCRATCH and column in c.values]
    ours = row.cells[column][0]
    fits = [c for c in scratch if c.key.network == row.key.method] or [
        c for c in scratch if same_network(c.cells[column][0], ours)
    ] or [c for c in scratch if stands_for(c.cells[column][0], ours)]
    if not fits:
        return None
    return min(fits, key=lambda c: (len(_differing(row, c, column)), c.key))


def _differing(row: TableRow, control: TableRow, column: Column) -> list[str]:
    ours, theirs = row.cells[column][0], control.cells[column][0]
    shared = (set(ours.params) & set(theirs.params)) - {"network"}
    names = [k for k in sorted(shared) if ours.params[k] != theirs.params[k]]
    return names + (["precision"] if ours.precision != theirs.precision else [])


