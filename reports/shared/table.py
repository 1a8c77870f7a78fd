"""The leaderboard as plain data: rows are methods, columns are pairs.

Scores are put side by side only where protocol, selection, scaling, scale, features and data
agree; each such group is a table of its own. Nothing here draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.auditing.alarms import one_class
from bench.reporting import ARROW, ReportOptions
from bench.scoring.inference import mean_ranks
from bench.scoring.metrics import PRECISION, subject_scores

from .alarms import alarm_lines
from .budget import columns_of, costs_of, entry, stopped, turned
from .cells import Collection, Column, Kept, ScoredCell, TableSetting
from .rows import RowKey, default_params, row_keys
from .text import METRIC_NAMES, natural, numbers, percent


@dataclass(frozen=True)
class Value:
    """Score of a method on a pair.

    Attributes
    ----------
    mean : float
    sd : float or None
        Sample standard deviation (n - 1) over target subjects; None for one subject.
    subjects : dict
        Subject to score, averaged over its sessions and then over seeds.
    seeds : tuple of int
    partial : bool
        Other rows of the column were tested on subjects that are missing here.
    beside : str
        AUROC and average precision, where nearly all windows (or trials: whatever the score is of)
        are taken for one class.
    """

    mean: float
    sd: float | None
    subjects: dict[str, float]
    seeds: tuple[int, ...]
    partial: bool = False
    beside: str = ""

    @property
    def spread(self) -> str:
        """``† ± 4.2 (n = 5)``: n where it is not that of the column, which the heading gives."""
        text = "†" if self.partial else ""
        text += "" if self.sd is None else f" ± {100 * self.sd:.1f}"
        return text + (f" (n = {len(self.subjects)})" if self.partial else "")


@dataclass
class TableRow:
    """One method, or one variant of it.

    Attributes
    ----------
    key : RowKey
        Method, block ("method", "control", "oracle") and what sets the variant apart.
    values : dict
        Column to score; a pair that was not run is absent.
    cells : dict
        Column to the records behind it.
    mean, rank : float or None
        Over all pairs; None unless every pair was run.
    """

    key: RowKey
    values: dict[Column, Value] = field(default_factory=dict)
    cells: dict[Column, list[ScoredCell]] = field(default_factory=dict)
    mean: float | None = None
    rank: float | None = None

    @property
    def label(self) -> str:
        """``scmm [finetune=probe]``."""
        return self.key.label

    @property
    def every(self) -> list[ScoredCell]:
        """The records behind all of its pairs."""
        return [c for cells in self.cells.values() for c in cells]

    @property
    def cost(self) -> tuple[str, str]:
        """Steps and windows, before the target's head + after it, over all pairs."""
        return columns_of(self.every)


@dataclass
class Table(Kept):
    """Scores that may be compared.

    Attributes
    ----------
    columns : list of Column
    labels : dict
        Column to its heading.
    methods, controls, oracles : list of TableRow
        The blocks; only ``methods`` are ranked.
    best, second : dict
        Column (None for the mean) to the rows whose score is highest and second.
    complete : int
        Methods that ran every pair.
    notes : list of str
        Where scores of a column do not rest on the same subjects or seeds, and what is missing.
    """

    setting: TableSetting
    metric: str
    unit: str
    columns: list[Column]
    labels: dict[Column, str]
    methods: list[TableRow]
    controls: list[TableRow]
    oracles: list[TableRow]
    best: dict[Column | None, set[str]] = field(default_factory=dict)
    second: dict[Column | None, set[str]] = field(default_factory=dict)
    complete: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[TableRow]:
        """All rows, blocks one after another."""
        return [*self.methods, *self.controls, *self.oracles]

    @property
    def every(self) -> list[ScoredCell]:
        """The records behind all rows."""
        return [c for row in self.rows for c in row.every]

    @property
    def measured(self) -> str:
        """``balanced accuracy per window``."""
        return f"{METRIC_NAMES[self.metric]} per {self.unit}"

    @property
    def values(self) -> list[Value]:
        """All scores."""
        return [v for row in self.rows for v in row.values.values()]

    @property
    def covered(self) -> bool:
        """Whether some method lacks a pair: then every row says how many it ran."""
        return any(len(r.values) < len(self.columns) for r in self.methods)

    def coverage(self, row: TableRow) -> str:
        """``4/6``: pairs of a row that have a score, of all."""
        return f"{len(row.values)}/{len(self.columns)}"

    @property
    def summary_heads(self) -> list[str]:
        """Headings of :meth:`summary`: mean and rank need several pairs, coverage a missing one.

        Steps and windows are those before the target's head, and after it.
        """
        several = len(self.columns) > 1 and any(r.mean is not None for r in self.rows)
        return (["Mean"] * several + ["Rank"] * (several and self.complete > 1)
                + ["Pairs"] * self.covered + ["Steps", "Windows"] * self.costed)

    @property
    def costed(self) -> bool:
        """Whether some row says how many steps it took."""
        return bool(self.once("costed", lambda: costs_of(self.every)))

    def summary(self, row: TableRow, mean: str) -> list[str]:
        """Cells after the pairs of a row; ``mean`` as the file marks it."""
        steps, windows = row.cost
        cells = {"Mean": mean, "Rank": "" if row.rank is None else f"{row.rank:.2f}",
                 "Pairs": self.coverage(row), "Steps": steps, "Windows": windows}
        return [cells[name] for name in self.summary_heads]

    def summary_of_chance(self) -> list[str]:
        """As :meth:`summary`, for the row of chance."""
        return [percent(self.mean_chance()) * (name == "Mean") for name in self.summary_heads]

    def mark(self, row: TableRow, column: Column | None) -> int:
        """2 for the best method of a column (None for the mean), 1 for the second, else 0."""
        if row.key.kind != "method":
            return 0
        if row.label in self.best.get(column, ()):
            return 2
        return int(row.label in self.second.get(column, ()))

    @property
    def simulated(self) -> bool:
        """Whether the scores are from simulated corpora."""
        return bool(self.setting.simulated)

    @property
    def pieces(self) -> str:
        """Corpora of the table whose trials are pieces of longer recordings."""
        named = dict.fromkeys(p for c in self.columns for p in c.pieces.split(", ") if p)
        return ", ".join(named)

    def chance(self, column: Column) -> float | None:
        """Expected score of guessing evenly; None where it depends on the class shares."""
        return chance_level(self.metric, len(column.classes))

    def mean_chance(self) -> float | None:
        """Mean of :meth:`chance` over all pairs."""
        levels = [level for c in self.columns if (level := self.chance(c)) is not None]
        return sum(levels) / len(levels) if len(levels) == len(self.columns) else None

    def short_labels(self) -> dict[Column, str]:
        """Headings without tasks, ``SEED→DEAP``, where that leaves no doubt."""
        names = {(c.source_corpus, c.source) for c in self.columns}
        names |= {(c.target_corpus, c.target) for c in self.columns}
        short = {
            c: f"{c.source_corpus}{ARROW}{c.target_corpus}" if c.source else c.target_corpus
            for c in self.columns
        }
        plain = len({corpus for corpus, _ in names}) == len({name for _, name in names})
        return short if plain and len(set(short.values())) == len(short) else self.labels

    def subjects(self, column: Column) -> list[str]:
        """Target subjects of a column, over all its rows."""
        names = {s for r in self.rows if column in r.values for s in r.values[column].subjects}
        return sorted(names, key=natural)

    def n(self, column: Column) -> int:
        """How many target subjects a column has: what every ± in it runs over."""
        return len(self.subjects(column))

    def seeds(self) -> list[int]:
        """Seeds of all rows."""
        return sorted({s for v in self.values for s in v.seeds})


def chance_level(metric: str, n_classes: int) -> float | None:
    """Expected score of guessing each of ``n_classes`` evenly; None for macro F1.

    The F1 of a guess depends on how frequent the class is.
    """
    if metric == "auroc":
        return 0.5
    return 1 / n_classes if n_classes and metric != "macro_f1" else None


def tables(
    collection: Collection, options: ReportOptions, metric: str | None = None,
    unit: str | None = None,
) -> list[Table]:
    """One table for each setting, the largest first, those of other editions last.

    Parameters
    ----------
    collection : Collection
    options : ReportOptions
        Its metric and unit hold unless ``metric`` or ``unit`` is given.
    """
    metric, unit = metric or options.metric, unit or options.unit
    def make() -> list[Table]:
        groups = _by_setting(collection.cells)
        made = [_table(s, cells, metric, unit, collection) for s, cells in groups]
        found = turned([
            entry(row.key, table.setting, column, row.cells[column], value.subjects)
            for table in made for row in table.rows if row.key.kind != "oracle"
            for column, value in row.values.items()
        ])
        for table in made:
            table.notes += found.get(table.setting.scale, [])
        return sorted(made, key=lambda t: (
            bool(t.setting.edition), -sum(len(r.values) for r in t.rows), t.setting
        ))

    return list(collection.once(("tables", metric, unit), make))


def _by_setting(cells: Sequence[ScoredCell]) -> list[tuple[TableSetting, list[ScoredCell]]]:
    """Group cells; oracle and leaky ones join the honest table they are nearest to.

    They differ from it in what they take too much of (selection, scaling, access), never in
    protocol, scale, classes and data; what differs is said under the table.
    """
    groups: dict[TableSetting, list[ScoredCell]] = defaultdict(list)
    for cell in cells:
        if cell.kind != "oracle":
            groups[cell.setting].append(cell)
    grounds: dict[tuple[str, ...], list[TableSetting]] = defaultdict(list)
    for setting in sorted(groups):
        grounds[_ground(setting)].append(setting)
    for cell in (c for c in cells if c.kind == "oracle"):
        home = grounds[_ground(cell.setting)]
        nearest = min(home, key=lambda s: len(_apart(s, cell.setting)), default=cell.setting)
        groups[nearest].append(cell)
    return sorted(groups.items())


def _ground(setting: TableSetting) -> tuple[str, ...]:
    """Parts of a setting that an oracle shares with the honest runs beside it."""
    return (setting.protocol, setting.protocol_params, setting.scale, setting.simulated,
            setting.classes, setting.hold_out, setting.edition)


def _apart(one: TableSetting, other: TableSetting) -> list[str]:
    """Names of what two settings differ in."""
    return [k for k, v in vars(one).items() if v != getattr(other, k)]


def _table(
    setting: TableSetting, cells: list[ScoredCell], metric: str, unit: str, collection: Collection
) -> Table:
    defaults = collection.once("defaults", lambda: default_params(collection.cells))
    keys = collection.once(("rows", setting), lambda: row_keys(cells, defaults))
    rows: dict[RowKey, TableRow] = {}
    for cell in cells:
        row = rows.setdefault(keys[cell], TableRow(keys[cell]))
        row.cells.setdefault(cell.column, []).append(cell)
    for row in rows.values():
        for column, behind in row.cells.items():
            value = _value(behind, metric, unit)
            if value is not None:
                row.values[column] = value
    columns = sorted({c.column for c in cells}, key=lambda c: (natural(c.pair), c.data, c.classes))
    methods, controls, oracles = (
        [r for r in rows.values() if r.key.kind == kind] for kind in ("method", "control", "oracle")
    )
    table = Table(
        setting, metric, unit, columns, _labels(columns), methods, controls, oracles
    )
    _mark_partial(table)
    _rank(table)
    table.methods.sort(key=lambda r: (r.mean is None, -(r.mean or 0), natural(r.label)))
    table.controls.sort(key=lambda r: (_CONTROLS.get(r.key.method, 1), natural(r.label)))
    table.oracles.sort(key=lambda r: natural(r.label))
    records = {c.id: c.record for c in cells}.values()
    table.notes += [*collection.once(("alarms", setting), lambda: alarm_lines(records, read=False)),
                    *stopped({
                        r.label + " (oracle)" * (r.key.kind == "oracle"):
                        [c for c in r.every if not c.picked]
                        for r in table.rows
                    }),
                    *_coverage(table), *_liberties(table)]
    return table


#: Controls from the simplest to the ceiling.
_CONTROLS = {"majority": 0, "linear": 2, "attainable": 3}


def _value(cells: Sequence[ScoredCell], metric: str, unit: str) -> Value | None:
    """Sessions are averaged within subject and seed, then seeds within subject."""
    by_subject: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        for subject, score in cell.subject_scores(metric, unit).items():
            by_subject[subject].append(score)
    if not by_subject:
        return None
    subjects = {s: sum(by_subject[s]) / len(by_subject[s]) for s in sorted(by_subject, key=natural)}
    x = np.array(list(subjects.values()))
    sd = float(x.std(ddof=1)) if len(x) > 1 else None
    beside = "" if metric == "auroc" else _beside(cells, unit)
    return Value(float(x.mean()), sd, subjects, tuple(sorted({c.seed for c in cells})),
                 beside=beside)


def _beside(cells: Sequence[ScoredCell], unit: str) -> str:
    """``AUROC 70.1, AP 68.0`` where a seed takes nearly all of a unit for one class."""
    if not any(one_class(c.record, unit) for c in cells if not c.picked):
        return ""
    told = []
    for name, metric in (("AUROC", "auroc"), ("AP", PRECISION)):
        seeds = [subject_scores(c.record.folds, unit, metric) for c in cells]
        found = [score for scores in seeds for score in scores.values()]
        told.append(f"{name} {percent(float(np.mean(found)) if found else None)}")
    return ", ".join(told)


def _labels(columns: Sequence[Column]) -> dict[Column, str]:
    """Headings; pairs of one name that stand for different data get what tells them apart."""
    labels = {}
    for column in columns:
        same = [c for c in columns if c.pair == column.pair]
        label = column.pair
        if len(same) > 1:
            said = {"classes": f"{len(column.classes)} classes: {'/'.join(column.classes)}",
                    "sessions": f"sessions {column.sessions}",
                    "label_map": f"map {column.label_map or 'none'}"}
            parts = [text for name, text in said.items()
                     if len({getattr(c, name) for c in same}) > 1]
            if len({(c.classes, c.sessions, c.label_map) for c in same}) < len(same):
                parts.append(f"data {column.data[:4]}")
            label += f" ({', '.join(parts)})"
        labels[column] = label
    return labels


def _mark_partial(table: Table) -> None:
    for column in table.columns:
        all_subjects = set(table.subjects(column))
        for row in table.rows:
            value = row.values.get(column)
            if value and set(value.subjects) != all_subjects:
                row.values[column] = replace(value, partial=True)
                table.notes.append(
                    f"† {row.label} on {table.labels[column]}: "
                    f"{len(value.subjects)} of {len(all_subjects)} subjects have this score"
                )


def _rank(table: Table) -> None:
    """Mean, mean rank, best and second: over rows that ran every pair."""
    for row in table.rows:
        if len(row.values) == len(table.columns):
            row.mean = float(np.mean([v.mean for v in row.values.values()]))
    complete = [row for row in table.methods if row.mean is not None]
    table.complete = len(complete)
    if len(complete) > 1:
        # One block a target subject; pairs weigh the same, whatever their number of subjects.
        ranks = np.stack([_subject_ranks(complete, c) for c in table.columns]).mean(axis=0)
        for row, rank in zip(complete, ranks, strict=True):
            row.rank = float(rank) if np.isfinite(rank) else None
    for column in table.columns:  # not those of fewer subjects: their mean is of other people
        scores = {r.label: r.values[column].mean for r in table.methods
                  if column in r.values and not r.values[column].partial}
        table.best[column], table.second[column] = _best(scores)
    means = {r.label: r.mean for r in complete if r.mean is not None
             and not any(v.partial for v in r.values.values())}
    table.best[None], table.second[None] = _best(means)


def _subject_ranks(rows: Sequence[TableRow], column: Column) -> np.ndarray:
    subjects = sorted({s for row in rows for s in row.values[column].subjects})
    matrix = [[row.values[column].subjects.get(s, np.nan) for row in rows] for s in subjects]
    return mean_ranks(matrix)


def _best(scores: dict[str, float]) -> tuple[set[str], set[str]]:
    """Labels with the highest and the second score; a method alone is not the best of anything."""
    levels = sorted({round(v, 12) for v in scores.values()}, reverse=True)
    if len(scores) < 2 or len(levels) < 2:
        return set(), set()
    first = {k for k, v in scores.items() if round(v, 12) == levels[0]}
    second = {k for k, v in scores.items() if round(v, 12) == levels[1]}
    return first, second if len(first) == 1 else set()


def _liberties(table: Table) -> list[str]:
    """Settings that oracle rows were run with, where it is not the setting of the table."""
    notes = set()
    for row in table.oracles:
        for cell in row.every:
            names = [n for n in _apart(table.setting, cell.setting) if n != "selection"]
            notes |= {f"{row.label} (oracle): {n.replace('_', ' ')} {getattr(cell.setting, n)}"
                      for n in names}
    return sorted(notes)


def _coverage(table: Table) -> list[str]:
    """Notes on what is missing: pairs of a row, seeds of a score."""
    notes, seeds = [], table.seeds()
    for row in [*table.methods, *table.controls]:
        missing = [table.labels[c] for c in table.columns if c not in row.values]
        undefined = [table.labels[c] for c in row.cells if c not in row.values]
        if undefined:
            notes.append(f"{row.label}: not defined on {', '.join(undefined)}")
        absent = [m for m in missing if m not in undefined]
        if absent:
            notes.append(f"{row.label}: no score on {', '.join(absent)}")
        if row.key.kind == "control":
            continue  # chance-like controls do not depend on the seed
        fewer = [c for c, v in row.values.items() if list(v.seeds) != seeds]
        for column in fewer:
            have = numbers(row.values[column].seeds)
            notes.append(f"{row.label} on {table.labels[column]}: only seed"
                         f"{'s' * (len(row.values[column].seeds) > 1)} {have}, where others have "
                         f"{numbers(seeds)}")
    return notes
