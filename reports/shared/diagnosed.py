"""Which method and pair of a table has diagnostics: what the embedding and the scalp maps share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.reporting import ReportOptions
from bench.store.records import Store

from .cells import Column, ScoredCell, collect
from .pictures import T, drawable
from .table import Table, TableRow, tables
from .text import clean

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
    made = [
        Diagnosed(row, column, cells)
        for row in table.methods for column in table.columns
        if (cells := [c for c in sorted(row.cells.get(column, ()), key=lambda c: c.seed)
                      if c.record.has_diagnostics])
    ]
    count = {c: sum(d.column == c for d in made) for c in table.columns}
    return sorted(made, key=lambda d: (-count[d.column], table.columns.index(d.column)))


def arrays(cell: ScoredCell, *names: str) -> dict[str, Any] | None:
    """The named arrays of a record; None where they are missing, damaged or do not fit together."""
    try:
        stored = cell.record.read_diagnostics()
    except BenchError:
        return None
    return {n: stored[n] for n in names} if all(n in stored for n in names) else None


def first_made(table: Table, make: Callable[[Diagnosed], T | None], most: int) -> list[T]:
    """Results of ``make`` for the first methods and pairs with diagnostics, at most so many."""
    made: list[T] = []
    for one in diagnosed(table):
        if len(made) == most:
            break
        try:
            made += [item for item in [make(one)] if item is not None]
        except (BenchError, TypeError, ValueError, IndexError):
            continue  # an unknown channel, or arrays of another layout
    return made


def drawable_diagnostics(
    store: Store, options: ReportOptions, find: Callable[[Table], list[T]], part: str, what: str
) -> list[tuple[Table, list[T]]]:
    """As :func:`~.pictures.drawable`; the error gives the engine's reason why records lack a part.

    Parameters
    ----------
    part, what : str
        Name of the arrays, for the reason; and in words, for the message.
    """
    every = tables(collect(store, options), options)
    name = f"{part}_missing"
    stored = (arrays(d.cells[0], name) for t in every for d in diagnosed(t))
    reason = next((clean(s[name]) for s in stored if s is not None), "")
    why = f": {reason}" if reason else ""
    return drawable(store, options, find, f"no record in {{root}} has {what}{why}", HINT)


def more_left_out(table: Table, shown: Sequence[Any]) -> str:
    """``; 3 more left out``, or nothing."""
    more = len(diagnosed(table)) - len(shown)
    return f"; {more} more left out" if more > 0 else ""
