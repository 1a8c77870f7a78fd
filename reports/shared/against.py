"""Each pre-trained method against its own network from scratch, paired over target subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.scoring.inference import Paired, holm, paired

from .cells import SCRATCH, Column, same_network
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
    found = []
    for row in table.methods:
        for column in table.columns:
            control = _control(row, column, table.controls)
            if control is None:
                continue
            a, b = (
                {c.seed: c.subject_scores(table.metric, table.unit) for c in r.cells[column]}
                for r in (row, control)
            )
            seeds = sorted(set(a) & set(b))
            subjects = [s for s in _subjects(a, seeds) if s in set(_subjects(b, seeds))]
            if not seeds or not subjects:
                continue
            one, two = (
                {s: sum(x[seed][s] for seed in seeds) / len(seeds) for s in subjects}
                for x in (a, b)
            )
            note = _difference(row, control, column)
            test = paired(list(one.values()), list(two.values()))
            found.append((row.key, column, one, two, tuple(seeds), test, note))
    adjusted = holm([f[5].p for f in found])
    return [Comparison(*f[:6], p, f[6]) for f, p in zip(found, adjusted, strict=True)]


def interval(test: Paired) -> str:
    """``+0.9 to +7.5``, a dash for one subject."""
    if test.interval is None:
        return "–"
    return f"{signed(test.interval[0])} to {signed(test.interval[1])}"


def footnotes(found: Sequence[Comparison]) -> list[str]:
    """What the comparisons mean."""
    lines = [
        "Method less the same network trained from scratch on the same calibration trials, in "
        "percentage points, paired over target subjects, on the seeds that both ran; bootstrap "
        "interval of the mean over subjects; two-sided Wilcoxon signed-rank p"
        + ("; p (Holm) is adjusted over this table." if len(found) > 1 else ".")
    ]
    if any(c.test.n < 6 for c in found):
        lines.append("With fewer than 6 subjects that p cannot fall below 0.05.")
    return lines + sorted({f"{c.row.label}: {c.note}" for c in found if c.note})


def _control(row: TableRow, column: Column, controls: Sequence[TableRow]) -> TableRow | None:
    """The target-only row with this method's network, the nearest in its parameters.

    Without one of its own, another's that is the same network under the same fine-tuning.
    """
    if column not in row.values:
        return None
    scratch = [c for c in controls if c.key.method == SCRATCH and column in c.values]
    fits = [c for c in scratch if c.key.network == row.key.method] or [
        c for c in scratch if same_network(c.cells[column][0], row.cells[column][0])
    ]
    if not fits:
        return None
    return min(fits, key=lambda c: (len(_differing(row, c, column)), c.key))


def _differing(row: TableRow, control: TableRow, column: Column) -> list[str]:
    ours, theirs = row.cells[column][0], control.cells[column][0]
    shared = (set(ours.params) & set(theirs.params)) - {"network"}
    names = [k for k in sorted(shared) if ours.params[k] != theirs.params[k]]
    return names + (["precision"] if ours.precision != theirs.precision else [])


def _difference(row: TableRow, control: TableRow, column: Column) -> str:
    names = _differing(row, control, column)
    return f"control differs in {', '.join(names)}" if names else ""


def _subjects(scores: dict[int, dict[str, float]], seeds: Sequence[int]) -> list[str]:
    """Subjects that every seed has."""
    if not seeds:
        return []
    common = set.intersection(*(set(scores[s]) for s in seeds))
    return sorted(common, key=natural)
