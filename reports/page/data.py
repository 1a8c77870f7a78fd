"""Data of the HTML page, plain: the same tables, matrices and curves as the files.

Scores travel as whole tenths of a percent, so that the page shows the digits the tables show, and
strings that repeat (parameters, versions, settings) are stored once and named by number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import comb
from typing import Any

from bench.cards.facts import facts
from bench.reporting import ReportOptions
from bench.scoring.metrics import METRICS, UNITS
from bench.version import __version__

from ..curves import Line, curves
from ..heatmap import floor_of, is_mapped, matrices
from ..latex import caption_of, heading, latex, note_of
from ..published import figure_rows
from ..shared.against import Comparison, against_target_only, footnotes, interval
from ..shared.caption import caption, note_lines, problems, shortened, title
from ..shared.cells import SCRATCH, Collection, Column, ScoredCell, TableSetting, origins
from ..shared.table import Table, TableRow, tables
from ..shared.text import METRIC_NAMES, clean, p_value, signed
from ..shared.worth import Worth, worth_of, worths
from .compare import costs, family_data, marks, rank_data, worth_data
from .names import column_key, setting_key
from .numbers import short, tenths, thinned

#: Points of a learning curve in the page.
POINTS = 32
#: Comparisons for which intervals are drawn in every metric; beyond, in the chosen one only.
COMPARED = 120
#: Comparisons of methods with each other that a table may have in every metric, and in the chosen
#: one; beyond, the page has those over all pairs, or none.
PAIRED, MOST_PAIRED = 400, 6000
#: Stands for an archive whose name is not known, or cannot be shown as it is.
ARCHIVE = "ARCHIVE.zip"
#: Longest text of a record in the page.
LONGEST = 2000


class Pool:
    """Texts that are stored once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._place: dict[str, int] = {}

    def __call__(self, value: Any) -> int:
        """Number of a text; whatever is no text is written as JSON."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if text not in self._place:
            self._place[text] = len(self.texts)
            self.texts.append(clean(text, LONGEST))
        return self._place[text]


def page(
    collection: Collection, options: ReportOptions, only: TableSetting | None = None,
    home: str = "",
) -> dict[str, Any]:
    """Everything the page needs, ready for JSON.

    Parameters
    ----------
    collection : Collection
    options : ReportOptions
    only : TableSetting, optional
        Show this setting alone, with its records and no others.
    home : str
        Address of the page that lists the settings, relative to this one.
    """
    pool = Pool()
    views = {
        f"{m}/{u}": tables(collection, options, m, u) for m in METRICS for u in UNITS
    }
    first = views[f"{options.metric}/{options.unit}"]
    if only is not None:
        first = [t for t in first if t.setting == only]
    records, place = _listed(collection, first if only is not None else None)
    gained = {f"{m}/{u}": worths(collection, options, m, u) for m in METRICS for u in UNITS}
    shown = {row.key.method for t in first for row in t.rows}
    return {
        "folder": clean(collection.root.resolve().name), "version": __version__,
        "origins": origins(collection.cells), "home": home,
        "worths": {name: [worth_data(w) for w in its] for name, its in gained.items()},
        "cards": {name: found for name in sorted(shown) if (found := facts(name))},
        "metric": options.metric, "unit": options.unit,
        "metrics": [[m, METRIC_NAMES[m]] for m in METRICS], "units": list(UNITS),
        "filters": _filters(options), "palette": _palette(),
        "tables": [_table(t, views, gained, place, options) for t in first],
        "records": [_record(c, pool, collection.archives) for c in records],
        "problems": problems(collection),
        "published": figure_rows(collection, options),
        "texts": pool.texts,
    }


def _listed(
    collection: Collection, shown: Sequence[Table] | None
) -> tuple[list[ScoredCell], dict[str, int]]:
    """Records of the page and the place of each: of the tables shown, or all."""
    cells = collection.cells if shown is None else [c for t in shown for c in t.every]
    records = sorted({c.id: c for c in cells if c.kind != "oracle"}.values(), key=lambda c: c.id)
    place = {c.id: i for i, c in enumerate(records)}
    # A record selected by oracle has no honest twin; it is listed too.
    for cell in cells:
        if cell.id not in place:
            place[cell.id] = len(records)
            records.append(cell)
    return records, place


def _filters(options: ReportOptions) -> list[str]:
    named = (("pairs", options.pairs), ("methods", options.methods),
             ("protocols", options.protocols))
    return [f"only {name}: {clean(', '.join(values))}" for name, values in named if values]


def _palette() -> list[str]:
    from matplotlib.colors import to_hex

    from ..shared.style import colours

    scale = colours()
    return [to_hex(scale(i / 32)) for i in range(33)]


def _table(
    table: Table, views: Mapping[str, Sequence[Table]], gained: Mapping[str, Sequence[Worth]],
    place: Mapping[str, int], options: ReportOptions,
) -> dict[str, Any]:
    """A setting: its columns and rows once, its scores in every metric and unit."""
    setting = table.setting
    rows = table.rows
    number = {row.key: i for i, row in enumerate(rows)}
    short_labels = table.short_labels()
    same = {
        name: next(t for t in its if t.setting == setting) for name, its in views.items()
    }
    everywhere = against_pairs(table) <= COMPARED
    spent = costs(rows)
    here = f"{options.metric}/{options.unit}"
    return {
        "key": setting_key(setting), "protocol": setting.protocol, "simulated": table.simulated,
        "setting": [[k.replace("_", " "), v] for k, v in vars(setting).items() if v],
        "columns": [
            {"key": column_key(c), "pair": c.pair, "label": table.labels[c],
             "short": short_labels[c],
             "tex": heading(short_labels[c], table.n(c)),
             "source": c.source, "target": c.target, "classes": list(c.classes),
             "mapped": is_mapped(table, c), "subjects": table.subjects(c)}
            for c in table.columns
        ],
        "matrix": _matrix(table),
        "rows": [
            {"label": row.label, "tex": latex(row.label), "kind": row.key.kind,
             "method": row.key.method, "cost": cost, "from": origins(row.every),
             "records": [
                 [place[c.id] for c in sorted(row.cells.get(column, ()), key=lambda c: c.seed)]
                 for column in table.columns]}
            for row, cost in zip(rows, spent, strict=True)
        ],
        "views": {
            name: _view(t, number, table, gained[name], compare=everywhere or name == here,
                        chosen=name == here)
            for name, t in same.items()
        },
        "curves": [
            [number[row.key], table.columns.index(c.column),
             *(_line(x, percent=x is c.test) for x in (c.pretrain, c.loss, c.test))]
            for c in curves(table) for row in rows
            if row.label == c.label and row.key.kind != "oracle"
        ],
    }


def against_pairs(table: Table) -> int:
    """How many comparisons with a control there may be, without the cost of making them."""
    controlled = any(r.key.method == SCRATCH for r in table.rows)
    return controlled * sum(len(r.values) for r in table.methods if r.key.method != SCRATCH)


def paired_comparisons(table: Table) -> int:
    """How many comparisons of two methods a table has at most, over all its families."""
    over = len(table.columns) + (len(table.columns) > 1)
    return over * comb(len(table.methods), 2)


def _matrix(table: Table) -> dict[str, Any]:
    """Source by target: number of the column, -1 where no method ran it, -2 within a corpus."""
    made = matrices(table)
    if not made:
        return {"sources": [], "targets": [], "cells": []}
    one = made[0]
    at = {(c.source, table.labels[c][len(c.source) + 1:]): i
          for i, c in enumerate(table.columns) if c.source}
    cells = [
        [at.get((s, t), -2 if one.squares[i][j].same_corpus else -1)
         for j, t in enumerate(one.targets)]
        for i, s in enumerate(one.sources)
    ]
    return {"sources": one.sources, "targets": one.targets, "cells": cells}


def _view(
    table: Table, number: Mapping[Any, int], first: Table, gained: Sequence[Worth], *,
    compare: bool, chosen: bool,
) -> dict[str, Any]:
    """Scores of a setting in one metric and unit; rows in the order of the leaderboard."""
    compared = against_target_only(table) if compare else []
    pairs, worth = paired_comparisons(table), worth_of(table, gained)
    tested = pairs <= PAIRED or (chosen and pairs <= MOST_PAIRED)
    return {
        "title": title(table), "caption": caption(table), "note": note_lines(table),
        "notes": shortened(table.notes),
        "tex": caption_of(table), "tex_note": note_of(table, gained),
        "worth": None if worth is None else list(gained).index(worth),
        "size": None if worth is None else [t is table for t in worth.tables].index(True),
        "marks": marks(table, worth, number, first),
        "families": family_data(table, number, first) if tested else [],
        "ranks": rank_data(table, number) if tested else None,
        "untested": 0 if tested else pairs,
        "chance": [tenths(table.chance(c)) for c in first.columns],
        "floor": [tenths(floor_of(table, c)) for c in first.columns],
        "mean_chance": tenths(table.mean_chance()), "complete": table.complete,
        "covered": table.covered, "costed": table.costed, "seeds": table.seeds(),
        "order": [number[row.key] for row in table.rows],
        "rows": [_scores(table, row, first) for row in table.rows],
        "compared": [_comparison(c, number, first) for c in compared],
        "footnotes": _footnotes(compared),
        "not_compared": not compare,
    }


def _footnotes(compared: Sequence[Comparison]) -> list[str]:
    """For parts of the page, each of which shows some of the comparisons only."""
    whole = f"over the {len(compared)} comparisons of the whole leaderboard"
    lines = footnotes(compared) if compared else []
    return [line.replace("over this table", whole) for line in lines]


def _scores(table: Table, row: TableRow, first: Table) -> dict[str, Any]:
    return {
        "mean": tenths(row.mean), "mark": table.mark(row, None),
        "rank": None if row.rank is None else f"{row.rank:.2f}",
        "values": [_value(table, row, c, first.subjects(c)) for c in first.columns],
        **({"cost": list(row.cost)} if table.costed else {}),
    }


def _value(table: Table, row: TableRow, column: Column, subjects: Sequence[str]) -> Any:
    """``[mean, sd, mark, partial, scores of the subjects]``, or None for what was not run.

    Where nearly all is taken for one class, what says more stands behind.
    """
    value = row.values.get(column)
    if value is None:
        return None
    scores = [tenths(value.subjects.get(s)) for s in subjects]
    return [tenths(value.mean), tenths(value.sd), table.mark(row, column), int(value.partial),
            scores, *([value.beside] if value.beside else [])]


def _comparison(c: Comparison, number: Mapping[Any, int], first: Table) -> dict[str, Any]:
    t = c.test
    return {
        "row": number[c.row], "column": first.columns.index(c.column), "n": t.n,
        "difference": signed(t.mean), "interval": interval(t), "p": p_value(t.p),
        "holm": p_value(c.holm), "wins": f"{t.wins}/{t.n}",
        "subjects": list(c.method), "method": [tenths(v) for v in c.method.values()],
        "control": [tenths(c.control[s]) for s in c.method],
    }


def _line(line: Line | None, percent: bool) -> Any:
    """``[number of epochs, epochs shown, values]``."""
    if line is None:
        return None
    shown = thinned(line.mean, POINTS)
    values = [tenths(line.mean[i]) if percent else short(line.mean[i]) for i in shown]
    return [len(line.mean), [i + 1 for i in shown], values]


def _record(cell: ScoredCell, pool: Pool, archives: Mapping[str, str]) -> list[Any]:
    """``[id, identity, outcome, place]``; the middle two are ``[name, value, ...]`` by number."""
    record = cell.record
    outcome: dict[str, Any] = {
        "status": record.status, "folds": len(record.folds),
        "left out": len(record.left_out), "notices": "; ".join(map(str, record.notices)),
        "from": "; ".join(origins([cell])),
        **record.info,
    }
    if record.simulated:
        outcome = {"SIMULATED": record.simulated, **outcome}
    return [cell.id, _pairs(record.identity.items(), pool), _pairs(outcome.items(), pool),
            _place(cell, archives)]


def _place(cell: ScoredCell, archives: Mapping[str, str]) -> str:
    """What ``bench rerun --runs`` takes for a record: empty for the one folder of the page.

    A run folder goes before an archive, which is verified first.
    """
    names = cell.record.origins
    folders = [name for name in names if name not in archives]
    if folders or not names:
        return clean(folders[0], 60) if folders else ""
    file = archives[names[0]]
    return file if file and file == clean(file, LONGEST) else ARCHIVE


def _pairs(items: Iterable[tuple[Any, Any]], pool: Pool) -> list[int]:
    flat = []
    for name, value in items:
        if value not in (None, "", [], {}):
            flat += [pool(str(name)), pool(value)]
    return flat
