"""Published figures beside measured ones: only where setting and target access agree.

The table that ships (``published.csv``) holds figures that were seen in a source; the source stands
in ``seen_in``. A figure that cannot be compared is listed with the reason why not.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from bench.errors import SettingError
from bench.reporting import ARROW, ReportOptions
from bench.scoring.metrics import METRICS
from bench.store.records import Store

from .shared.cells import Collection, Column, TableSetting, collect
from .shared.files import csv_text, markdown_table, write_files
from .shared.table import Table, Value, tables
from .shared.text import clean, markdown, percent

_NEEDED = ("method", "target", "value", "design", "access", "seen_in")
#: What of the target a method was given.
ACCESS = ("none", "unlabelled", "labelled trials", "labels of other subjects", "not stated")
CROSS_CORPUS = "cross-corpus"
#: A design this alike to "cross-corpus" was meant to be it; "cross-dataset" is at 0.56.
_ALIKE = 0.75
_PERCENT = "A percentage above 1 and up to 100, with a decimal point and no sign: 65.5."
_SPREAD = "A number of percentage points from 0 to 100, or nothing."
_CLASSES = "A whole number from 2 on, or nothing."


@dataclass(frozen=True)
class Figure:
    """One published figure; ``value`` and ``sd`` in percent, ``classes`` None if not seen."""

    method: str
    paper: str
    source: str
    target: str
    classes: int | None
    metric: str
    value: float
    sd: float | None
    design: str
    access: str
    setting: str
    seen_in: str
    note: str

    @property
    def pair(self) -> str:
        """``SEED→DEAP``, or the corpus where it is no cross-corpus figure."""
        crossed = self.source and self.source != self.target
        return f"{self.source}{ARROW}{self.target}" if crossed else self.target


COLUMNS = tuple(field.name for field in fields(Figure))
_LAYOUT = f"Columns, with commas between them: {', '.join(COLUMNS)}."


@dataclass(frozen=True)
class ComparedFigure:
    """A figure with what was measured in the same setting, or why there is nothing."""

    figure: Figure
    measured: list[tuple[str, Value]]
    reason: str


def figures(options: ReportOptions) -> list[Figure]:
    """Figures that ship, then those of ``--published``.

    Raises
    ------
    SettingError
        A file is not as described in docs/reports.md; names the line and the column.
    """
    ours = resources.files(__package__).joinpath("published.csv")
    every = _parse(ours.read_text(encoding="utf-8"), "published.csv")
    for path in options.published:
        every += _parse(_content(Path(path)), str(path))
    return every


def _content(path: Path) -> str:
    """Text of a file that can be read again, which a pipe cannot."""
    try:
        if not path.exists():
            raise SettingError(f"--published {path}: there is no such file")
        if not path.is_file():
            raise SettingError(f"--published {path}: this is not a file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"--published {path}: the text is not UTF-8") from error
    except OSError as error:
        raise SettingError(f"--published {path} cannot be read: {error.strerror}") from error


def _parse(text: str, name: str) -> list[Figure]:
    reader = csv.DictReader(io.StringIO(text, newline=None))
    try:
        reader.fieldnames = _columns([clean(c) for c in reader.fieldnames or ()], f"{name}, line 1")
        return [_figure(row, where) for row, where in _rows(reader, name)]
    except csv.Error as error:
        raise SettingError(f"{name}, line {reader.line_num}: no CSV: {error}") from error


def _columns(names: list[str], where: str) -> list[str]:
    missing = [c for c in _NEEDED if c not in names]
    unknown = [c for c in names if c not in COLUMNS]
    twice = [c for c in COLUMNS if names.count(c) > 1]
    if unknown:
        near = _nearest(unknown[0], [c for c in COLUMNS if c not in names])
        raise SettingError(f"{where}: there is no column {unknown[0]!r}", near + _LAYOUT)
    if missing:
        raise SettingError(f"{where}: column {', '.join(missing)} is missing", _LAYOUT)
    if twice:
        raise SettingError(f"{where}: column {twice[0]} is there twice", _LAYOUT)
    return names


def _rows(reader: csv.DictReader[str], name: str) -> Iterator[tuple[dict[str, str], str]]:
    """Values of each line, and where they stand."""
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        if None in row:
            raise SettingError(
                f"{where}: more values than columns", "Put a text that holds a comma in quotes."
            )
        yield {c: clean(row.get(c) or "") for c in COLUMNS}, where


def _figure(values: dict[str, str], where: str) -> Figure:
    for column in _NEEDED:
        if not values[column]:
            raise SettingError(f"{where}, column {column}: must not be empty")
    metric = values["metric"] or "accuracy"
    _known(metric, METRICS, f"{where}, column metric")
    _known(values["access"], ACCESS, f"{where}, column access")
    _design(values["design"], f"{where}, column design")
    numbers = ("classes", "value", "sd", "metric")
    return Figure(
        classes=_classes(values["classes"], f"{where}, column classes"),
        value=_percentage(values["value"], f"{where}, column value"),
        sd=_spread(values["sd"], f"{where}, column sd"),
        metric=metric, **{c: values[c] for c in COLUMNS if c not in numbers},
    )


def _known(value: str, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        near = _nearest(value, allowed)
        raise SettingError(
            f"{where}: {value!r} is not known", f"{near}One of: {', '.join(allowed)}."
        )


def _nearest(value: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(value.lower(), allowed, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}? " if near else ""


def _design(value: str, where: str) -> None:
    if value != CROSS_CORPUS and difflib.get_close_matches(
        value.lower(), [CROSS_CORPUS], cutoff=_ALIKE
    ):
        raise SettingError(
            f"{where}: {value!r} is not known",
            f"Did you mean {CROSS_CORPUS!r}? Any other design in words of its own.",
        )


def _classes(text: str, where: str) -> int | None:
    if text and not (text.isdecimal() and int(text) >= 2):
        raise SettingError(f"{where}: {text!r} is no number of classes", _CLASSES)
    return int(text) if text else None


def _percentage(text: str, where: str) -> float:
    value = _number(text)
    if value is not None and 0 <= value <= 1:
        raise SettingError(
            f"{where}: {text!r} is a fraction, not a percentage",
            f"Write it in percent: {100 * value:g}." if value else _PERCENT,
        )
    if value is None or not 1 < value <= 100:
        raise SettingError(f"{where}: {text!r} is not a percentage", _PERCENT)
    return value


def _spread(text: str, where: str) -> float | None:
    value = _number(text)
    if text and (value is None or not 0 <= value <= 100):
        raise SettingError(f"{where}: {text!r} is not a standard deviation", _SPREAD)
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def access_of(setting: TableSetting) -> str:
    """Name used here for the target access of records."""
    text = f"{setting.target_access} {setting.protocol}".lower()
    if text.startswith("none"):
        return "none"
    if "unlabelled" in text:
        return "unlabelled"
    if "other target subjects" in text:
        return "labels of other subjects"
    return "labelled trials" if "target-supervised" in text else clean(setting.target_access)


def compare(collection: Collection, options: ReportOptions) -> list[ComparedFigure]:
    """Every figure with what may stand beside it."""
    shown = tables(collection, options, "accuracy")
    return [_compare(figure, shown) for figure in figures(options)]


def _compare(figure: Figure, shown: Sequence[Table]) -> ComparedFigure:
    if figure.design != CROSS_CORPUS:
        return ComparedFigure(figure, [], f"{figure.design}, not cross-corpus")
    if figure.metric != "accuracy":
        return ComparedFigure(figure, [], f"the metric is {figure.metric}, not accuracy")
    pair = figure.source, figure.target
    places = [(table, column) for table in shown for column in table.columns
              if (column.source_corpus, column.target_corpus) == pair]
    reasons = [_why_not(figure, *place) for place in places]
    fitting = [place for place, reason in zip(places, reasons, strict=True) if not reason]
    measured = [
        (row.label + told, row.values[column])
        for (table, column), told in zip(fitting, _told_apart(fitting), strict=True)
        for row in table.methods if column in row.values
    ]
    why = "; ".join(dict.fromkeys(filter(None, reasons))) or "this pair was not run"
    return ComparedFigure(figure, measured, "" if measured else why)


def _told_apart(places: Sequence[tuple[Table, Column]]) -> list[str]:
    """What tells columns of several settings apart: their scores are not of like runs."""
    settings = [vars(table.setting) for table, _ in places]
    names = [n for n in (settings[0] if places else ()) if len({s[n] for s in settings}) > 1]
    out = []
    for (table, column), setting in zip(places, settings, strict=True):
        parts = [f"{n.replace('_', ' ')} {setting[n] or 'none'}" for n in names]
        same = [c for t, c in places if t is table]
        parts += [table.labels[column]] * (len(same) > 1)
        out.append(f" [{'; '.join(parts)}]" if parts else "")
    return out


def _why_not(figure: Figure, table: Table, column: Column) -> str:
    """Why a figure and a column must not stand side by side; empty if they may."""
    reasons = []
    if table.simulated:
        reasons.append("ours is from simulated corpora")
    if column.pieces:
        reasons.append("our trials are pieces of longer recordings")
    if figure.classes is None:
        reasons.append("its number of classes was not seen")
    elif figure.classes != len(column.classes):
        reasons.append(f"{figure.classes} classes there, {len(column.classes)} here")
    access = access_of(table.setting)
    if access != figure.access:
        reasons.append(f"target access: {figure.access} there, {access} here")
    return ", ".join(reasons)


NOTE = (
    "Published figures were seen in the source named, not re-run. Features, windows, trials tested "
    "and the choice of the epoch differ from paper to paper even where setting and access agree, "
    "and that a figure is accuracy is presumed where the excerpt does not say so."
)


def figure_rows(collection: Collection, options: ReportOptions) -> dict[str, Any]:
    """For the page: figures that may stand beside measured ones first."""
    rows = [
        {
            "method": b.figure.method, "paper": b.figure.paper, "pair": b.figure.pair,
            "value": f"{b.figure.value:.1f}",
            "sd": "" if b.figure.sd is None else f"{b.figure.sd:.1f}",
            "setting": b.figure.setting, "access": b.figure.access, "seen": b.figure.seen_in,
            "note": b.figure.note, "reason": b.reason,
            "measured": [
                f"{label} {percent(value.mean)}" + (
                    "" if value.sd is None
                    else f" ± {100 * value.sd:.1f} (n = {len(value.subjects)})"
                ) for label, value in b.measured
            ],
        }
        for b in sorted(compare(collection, options), key=lambda b: bool(b.reason))
    ]
    return {"note": NOTE, "rows": rows}


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``published.md`` and ``published.csv``: reported beside measured.

    Raises
    ------
    BenchError
        No record.
    SettingError
        A file of ``--published`` is not as described.
    """
    rows = figure_rows(collect(store, options), options)["rows"]
    return write_files(out, options, {
        "published.md": lambda: _markdown(rows),
        "published.csv": lambda: csv_text(
            {k: v for k, v in row.items() if k != "reason"}
            | {"measured": "; ".join(row["measured"]), "reason": row["reason"]} for row in rows
        ),
    })


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [row["method"], row["pair"], row["value"] + (f" ± {row['sd']}" if row["sd"] else ""),
         row["access"], "; ".join(row["measured"]) or f"– ({row['reason']})",
         row["seen"] + (f" ({row['note']})" if row["note"] else "")]
        for row in rows
    ]
    heads = ("method", "pair", "reported", "access", "measured here, or why not", "seen in")
    table = markdown_table(heads, [[*map(markdown, line)] for line in cells], "llrlll")
    return f"# Reported and measured\n\n{NOTE}\n\n{table}\n"
