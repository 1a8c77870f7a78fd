"""The leaderboard as JSON, for other programs: what the tables hold, unrounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.reporting import ReportOptions
from bench.store.files import write_text
from bench.store.records import Store
from bench.version import __version__

from .shared.caption import caption, note_lines, problems, title
from .shared.cells import collect, origins
from .shared.table import Table, TableRow, tables

#: Changes when a key changes its meaning.
SCHEMA = 1


def leaderboard(store: Store, options: ReportOptions) -> dict[str, Any]:
    """Tables of a run folder, ready for JSON.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    collection = collect(store, options)
    return {
        "schema": SCHEMA, "bench": __version__, "metric": options.metric, "unit": options.unit,
        "tables": [_table(t) for t in tables(collection, options)],
        "problems": problems(collection),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": title(table), "simulated": table.simulated, "setting": vars(table.setting),
        "caption": caption(table), "note": note_lines(table), "notes": table.notes,
        "seeds": table.seeds(),
        "pairs": [
            {"label": table.labels[c], "source": c.source, "target": c.target,
             "sessions": c.sessions, "classes": list(c.classes), "data": c.data,
             "chance": table.chance(c), "subjects": table.subjects(c)}
            for c in table.columns
        ],
        "methods": [_row(table, r) for r in table.methods],
        "controls": [_row(table, r) for r in table.controls],
        "oracles": [_row(table, r) for r in table.oracles],
    }


def _row(table: Table, row: TableRow) -> dict[str, Any]:
    """A row; ``scores`` by pair, one that was not run is absent."""
    return {
        "label": row.label, "method": row.key.method, "network": row.key.network,
        "variant": row.key.variant, "shortcut": row.key.shortcut, "mean": row.mean,
        "rank": row.rank, "coverage": {"run": len(row.values), "of": len(table.columns)},
        "scores": {
            table.labels[c]: {
                "mean": v.mean, "sd": v.sd, "subjects": v.subjects, "seeds": list(v.seeds),
                "partial": v.partial, "one_class": v.beside,
                "records": sorted(x.id for x in row.cells[c]),
                "origins": origins(row.cells[c]),
            }
            for c, v in row.values.items()
        },
    }


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``leaderboard.json``."""
    text = json.dumps(leaderboard(store, options), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(out / "leaderboard.json", text + "\n")
    return [out / "leaderboard.json"]
