"""Which method and pair of a table has diagnostics: what the embedding and the scalp maps share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError

from .cells import Column, ScoredCell
from .table import Table, TableRow

#: What a user does to get them.
HINT = "Run with --diagnostics: bench run --method scmm --src SEED --tgt DEAP --diagnostics"


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """A method on a pair, and the records of it that have diagnostics."""

    row: TableRow
    column: Column
    cells: list[ScoredCell]


def diagnosed(table: Table) -> list[Diagnosed]:
    """Methods on the pair that most of them have diagnostics of, then on the next pair."""
    found = [
        Diagnosed(row, column, cells)
        for row in table.methods for column in table.columns
        if (cells := [c for c in sorted(row.cells.get(column, ()), key=lambda c: c.seed)
                      if c.record.has_diagnostics])
    ]
    count = {c: sum(d.column == c for d in found) for c in table.columns}
    return sorted(found, key=lambda d: (-count[d.column], table.columns.index(d.column)))


def arrays(cell: ScoredCell, *names: str) -> dict[str, Any] | None:
    """The named arrays of a record; None where they are missing, damaged or do not fit together."""
    try:
        found = cell.record.read_diagnostics()
    except BenchError:
        return None
    return {n: found[n] for n in names} if all(n in found for n in names) else None


def missing(found: list[Diagnosed], name: str) -> str:
    """Why records with diagnostics lack a part of them, as the engine says."""
    for one in found:
        stored = arrays(one.cells[0], name)
        if stored is not None:
            return str(stored[name])
    return ""
