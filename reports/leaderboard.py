"""The leaderboard: method by pair, in the terminal, as Markdown and as tidy CSV.

``leaderboard.md`` is what a reader sees, ``leaderboard.csv`` has every metric and unit of every
method and pair, ``scores.csv`` every subject and seed, ``against_target_only.csv`` what the source
adds to each method, ``against_best_target_only.csv`` what it adds to the best plain learning, at
each size of calibration.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.reporting import ReportOptions
from bench.scoring.inference import standard_error
from bench.scoring.metrics import METRICS, UNITS
from bench.store.records import Store, without_sums

from .shared.against import (
    Comparison,
    against_target_only,
    footnotes,
    interval,
    joined,
    over_all_pairs,
)
from .shared.budget import costs_of
from .shared.caption import caption, curve_caption, note_lines, problems, shortened, title
from .shared.cells import Collection, Column, ScoredCell, collect, origins
from .shared.files import bullets, csv_text, markdown_table, mean_columns, sign_columns, write_files
from .shared.pictures import MOST_TABLES
from .shared.power import smallest
from .shared.table import Table, TableRow, tables
from .shared.text import markdown, p_value, percent, signed, spreadsheet
from .shared.worth import Worth, gain_notes, gain_rows, headline, signs, worth_of, worths

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType


def render(store: Store, options: ReportOptions) -> RenderableType:
    """The leaderboard for a terminal of any width; 80 to 100 columns are enough.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    from rich.console import Group
    from rich.text import Text

    from .shared import terminal

    collection = collect(store, options)
    parts: list[RenderableType] = []
    curves = worths(collection, options)
    every = tables(collection, options)
    for table in every:
        worth = worth_of(table, curves)
        curve = worth is not None and len(worth.sizes) > 1
        if worth is not None:  # before the first table of its curve
            curves.remove(worth)
            parts += [Text(headline(worth), "bold"), Text("")]
            parts += [terminal.worth(worth), Text("")] if curve else []
        parts += [terminal.leaderboard(table), Text("")]
        compared = against_target_only(table)
        if compared:
            parts += [terminal.comparisons(table, compared, over_all_pairs(table)), Text("")]
        if worth is not None and not curve:
            parts += [terminal.worth(worth), Text("")]
    listed = problems(collection)
    if listed:
        parts.append(Text("Without scores", "bold"))
        parts += [Text(f" {line}", "yellow") for line in listed]
    if store.unsealed:
        parts.append(Text(f" {without_sums(len(store.unsealed))}", "yellow"))
    if len(every) > MOST_TABLES:
        parts.append(Text(
            f"Pictures are drawn of the {MOST_TABLES} largest of these {len(every)} tables; draw "
            "others by --protocol, --pairs or --methods.", "yellow",
        ))
    return Group(*parts)


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write the Markdown, and as CSV the leaderboard, all scores and both comparisons.

    Parameters
    ----------
    store : Store
    out : Path
        Folder for the files; made if it is not there.
    options : ReportOptions
        Metric and unit of the Markdown and of the comparison; the other CSV files have all.

    Returns
    -------
    list of Path
        Files written.
    """
    collection = collect(store, options)
    shown = tables(collection, options)
    compared = [(table, against_target_only(table)) for table in shown]
    curves = worths(collection, options)
    return write_files(out, options, {
        "leaderboard.md": lambda: _markdown(collection, compared, curves),
        "leaderboard.csv": lambda: csv_text(_summary_rows(collection, options)),
        "scores.csv": lambda: _scores(collection),
        "against_target_only.csv": lambda: csv_text(_comparison_rows(compared)),
        "against_best_target_only.csv": lambda: csv_text(_gain_rows(shown, curves)),
    })


def frame(store: Store, options: ReportOptions) -> pd.DataFrame:
    """The leaderboard as a table of pandas: one row for each method, pair, metric and unit.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    import pandas as pd

    return pd.DataFrame(list(_summary_rows(collect(store, options), options)))


def _markdown(
    collection: Collection, compared: Sequence[tuple[Table, list[Comparison]]],
    curves: Sequence[Worth],
) -> str:
    simulated = any(t.simulated for t, _ in compared)
    parts = [f"# Leaderboard{' (simulated)' if simulated else ''}"]
    parts += [f"> {markdown(headline(worth))}" for worth in curves]
    for table, comparisons in compared:
        parts += [f"## {markdown(title(table))}", _markdown_table(table)]
        parts += ["  \n".join(map(markdown, caption(table))), bullets(note_lines(table))]
        if table.notes:
            parts.append(bullets(shortened(table.notes), "⚠ "))
        if comparisons:
            parts += ["### Against target-only", _markdown_comparisons(table, comparisons)]
            parts.append(bullets(footnotes(comparisons, over_all_pairs(table))))
    for worth in curves:
        parts += [f"### Gain over the best target-only, {markdown(title(worth.tables[-1]))}"]
        parts.append(_markdown_gains(worth))
        if len(worth.sizes) > 1:  # of one size they stand under its table
            parts.append("  \n".join(map(markdown, curve_caption(worth))))
        parts.append(bullets(gain_notes(worth)))
    listed = problems(collection)
    if listed:
        parts += ["## Without scores", bullets(listed)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    heads = ["method", *(markdown(f"{table.labels[c]} (n = {table.n(c)})") for c in table.columns)]
    levels = [percent(table.chance(c)) for c in table.columns]
    chance = ["chance (control)", *levels, *table.summary_of_chance()]
    methods = [[markdown(row.label), *_values(table, row)] for row in table.methods]
    rest = []
    for row in [*table.controls, *table.oracles]:
        cells = _values(table, row)
        if row.key.kind == "oracle":
            cells = [f"*{c}*" if c else c for c in cells]
        rest.append([f"{markdown(row.label)} ({_BLOCK[row.key.kind]})", *cells])
    heads += [name.lower() for name in table.summary_heads]
    return markdown_table(heads, [*methods, chance, *rest], "l" + "r" * (len(heads) - 1))


def _markdown_gains(worth: Worth) -> str:
    heads = ["method", "pair", *(size or "score" for size in worth.sizes)]
    lines = []
    for row in gain_rows(worth, worth.labels):
        cells = [
            "–" if score is None else percent(score) if g is None else
            f"{percent(score)} ({signed(g.test.mean)}{signs(g)}; {interval(g.test)})"
            for score, g in zip(row.scores, row.gains, strict=True)
        ]
        lines.append([markdown(row.label), markdown(row.pair), *map(markdown, cells)])
    return markdown_table(heads, lines, "ll" + "r" * len(worth.sizes))


def _gain_rows(shown: Sequence[Table], curves: Sequence[Worth]) -> Iterable[dict[str, Any]]:
    for number, worth in enumerate(curves, 1):
        at = dict(zip(worth.sizes, worth.tables, strict=True))
        for g in worth.gains:
            table = at[g.size]
            yield {
                "curve": number, "table": 1 + next(i for i, t in enumerate(shown) if t is table),
                "size": g.size, "method": g.row.method, "variant": g.row.variant,
                "reference": g.reference.label, **_pair(table, g.column), "metric": table.metric,
                "unit": table.unit, "n_subjects": g.test.n, "mean": g.mean,
                **mean_columns(g.test), "p_holm": g.holm, "better": g.won,
                "smallest_detectable": smallest(g.test, len(worth.gains)),
                **sign_columns(g.test), **_setting(table),
            }


_BLOCK = {"control": "control", "oracle": "oracle, not ranked"}


#: Of the best and the second of a column; GitHub keeps <ins> and drops <u>.
_MARKS = {0: "{}", 1: "<ins>{}</ins>", 2: "**{}**"}


def _values(table: Table, row: TableRow) -> list[str]:
    """Scores of a row, then what sums it up."""
    cells = []
    for column in table.columns:
        value = row.values.get(column)
        if value is None:
            cells.append("–")
            continue
        text = _MARKS[table.mark(row, column)].format(percent(value.mean))
        cells.append(text + value.spread + (f"; one class: {value.beside}" if value.beside else ""))
    return cells + table.summary(row, _MARKS[table.mark(row, None)].format(percent(row.mean)))


def _markdown_comparisons(table: Table, compared: Sequence[Comparison]) -> str:
    heads = ("method", "pair", "n", "difference", "95 % interval", "p", "p (Holm)", "wins")
    return markdown_table(heads, [
        [markdown(c.row.label), markdown(_pair(table, c.column)["pair"]), str(c.test.n),
         signed(c.test.mean), interval(c.test), markdown(p_value(c.test.p)),
         markdown(p_value(c.holm)), f"{c.test.wins}/{c.test.n}"]
        for c in joined(compared, over_all_pairs(table))
    ], "llrrrrrr")


def _setting(table: Table) -> dict[str, Any]:
    said = {"simulated": "", **vars(table.setting), "pieces": table.pieces}
    return said | {"simulated": "simulated" if table.simulated else "no"}


def _named(row: TableRow, table: Table, column: Column) -> dict[str, Any]:
    return {
        "method": row.key.method, "network": row.key.network, "variant": row.key.variant,
        "shortcut": row.key.shortcut, "block": row.key.kind, **_pair(table, column),
    }


def _pair(table: Table, column: Column | None) -> dict[str, str]:
    """Columns that say which pair; None for all of a table."""
    if column is None:
        return {"pair": "all pairs", "source": "", "target": ""}
    return {"pair": table.labels[column], "source": column.source, "target": column.target}


def _summary_rows(collection: Collection, options: ReportOptions) -> Iterable[dict[str, Any]]:
    """One row for each method, pair, metric and unit."""
    for unit, metric in product(UNITS, METRICS):
        for number, table in enumerate(tables(collection, options, metric, unit), 1):
            for row in table.rows:
                for column, value in row.values.items():
                    scores = list(value.subjects.values())
                    cells = row.cells[column]
                    yield {
                        "table": number, **_named(row, table, column),
                        "metric": metric, "unit": unit, "mean": value.mean, "sd": value.sd,
                        "se": standard_error(scores), "n_subjects": len(scores),
                        "seeds": " ".join(map(str, value.seeds)),
                        "chance": table.chance(column), "all_pairs_mean": row.mean,
                        "rank": row.rank, "pairs_run": len(row.values),
                        "pairs": len(table.columns), **_cost(cells),
                        "params_origin": cells[0].origin,
                        "params": _params(cells), "sessions": column.sessions,
                        "records": " ".join(sorted(c.id for c in cells)),
                        "origins": "; ".join(origins(cells)), **_setting(table),
                    }


def _cost(cells: Sequence[ScoredCell]) -> dict[str, Any]:
    """Steps and windows of records before and after the head: of one, on the mean."""
    costs = costs_of(cells)
    return {
        f"{what}_{part}": round(fmean(getattr(c, part)[i] for c in costs)) if costs else None
        for i, what in enumerate(("steps", "windows")) for part in ("before", "after")
    }


def _params(cells: Sequence[Any]) -> str:
    """Parameters of the records of a cell; several where each seed was tuned by itself."""
    texts = sorted({json.dumps(c.params, sort_keys=True) for c in cells})
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"


def _scores(collection: Collection) -> str:
    """One line for each record, subject, session and unit: the longest file, so written plainly."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    first = True
    for number, table in enumerate(tables(collection, ReportOptions()), 1):
        for row in table.rows:
            for column, cells in row.cells.items():
                head = {"table": number, **_named(row, table, column), **_setting(table)}
                if first:
                    writer.writerow([*head, "record", "origins", "seed", "subject", "session",
                                     "unit", *METRICS])
                    first = False
                start = [spreadsheet(v) for v in head.values()]
                for cell in sorted(cells, key=lambda c: c.seed):
                    writer.writerows(
                        [*start, cell.id, spreadsheet("; ".join(origins([cell]))), cell.seed,
                         spreadsheet(fold.subject),
                         spreadsheet(fold.session), unit, *(scores[m] for m in METRICS)]
                        for fold in cell.folds for unit, scores in fold.scores.items()
                    )
    return buffer.getvalue()


def _comparison_rows(
    compared: Sequence[tuple[Table, list[Comparison]]]
) -> Iterable[dict[str, Any]]:
    for number, (table, comparisons) in enumerate(compared, 1):
        pooled = over_all_pairs(table)
        for c in joined(comparisons, pooled):
            yield {
                "table": number, "method": c.row.method, "variant": c.row.variant,
                **_pair(table, c.column), "metric": table.metric, "unit": table.unit,
                "n_subjects": c.test.n, "seeds": " ".join(map(str, c.seeds)),
                **mean_columns(c.test), "p_holm": c.holm, **sign_columns(c.test),
                "detectable": smallest(c.test, len(comparisons if c.column else pooled)),
                "note": c.note, **_setting(table),
            }
