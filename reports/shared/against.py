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
    compared = []
    for row in table.methods:
        for column in table.columns:
            control = _control(row, column, table.controls)
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
    """``+0.9 to +7.5``, a dash for one subject."""
    if test.interval is None:
        return "–"
    return f"{signed(test.interval[0])} to {signed(test.interval[1])}"


def footnotes(comparisons: Sequence[Comparison]) -> list[str]:
    """Lines that say what the comparisons mean."""
    lines = [
        "Method less the same network trained from scratch on the same calibration trials, in "
        "percentage points, paired over target subjects, on the seeds that both ran; bootstrap "
        "interval of the mean over subjects; two-sided Wilcoxon signed-rank p"
        + ("; p (Holm) is adjusted over this table." if len(comparisons) > 1 else ".")
    ]
    if any(c.test.n < 6 for c in comparisons):
        lines.append("With fewer than 6 subjects that p cannot fall below 0.05.")
    return lines + sorted({f"{c.row.label}: {c.note}" for c in comparisons if c.note})


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


