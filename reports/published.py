"""Published figures beside measured ones: only where setting and target access agree.

The table that ships (``published.csv``) holds figures that were seen in a source; the source stands
in ``seen_in``. A figure that cannot be compared is listed with the reason why not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.report_options import ARROW, ReportOptions
from bench.store import Store, write_text

from .cells import Collection, Column, Setting, collect
from .table import Table, tables
from .text import clean, markdown, percent, spreadsheet

COLUMNS = ("method", "paper", "source", "target", "classes", "metric", "value", "sd", "design",
           "access", "setting", "seen_in", "note")
_NEEDED = ("method", "target", "value", "design", "access", "seen_in")
#: What of the target a method was given.
ACCESS = ("none", "unlabelled", "labelled trials", "labels of other subjects", "not stated")
CROSS_CORPUS = "cross-corpus"


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


@dataclass(frozen=True)
class Beside:
    """A figure with what was measured in the same setting, or why there is nothing."""

    figure: Figure
    measured: list[tuple[str, float, float | None]]
    reason: str


def figures(options: ReportOptions) -> list[Figure]:
    """Figures that ship, then those of ``--published``.

    Raises
    ------
    BenchError
        A file is not as described in docs/reports.md; names the line.
    """
    ours = resources.files(__package__).joinpath("published.csv")
    found = _parse(ours.read_text(encoding="utf-8"), "published.csv")
    for path in options.published:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{path} cannot be read: {error}") from error
        found += _parse(text, str(path))
    return found


def _parse(text: str, name: str) -> list[Figure]:
    reader = csv.DictReader(io.StringIO(text))
    missing = [c for c in _NEEDED if c not in (reader.fieldnames or ())]
    if missing:
        raise BenchError(
            f"{name} has no column {', '.join(missing)}", f"Columns: {', '.join(COLUMNS)}."
        )
    return [_figure(row, f"{name}, line {reader.line_num}") for row in reader]


def _figure(row: dict[str, str | None], where: str) -> Figure:
    values = {c: clean(row.get(c) or "") for c in COLUMNS}
    empty = [c for c in _NEEDED if not values[c]]
    if empty:
        raise BenchError(f"{where}: {', '.join(empty)} must not be empty")
    if values["access"] not in ACCESS:
        raise BenchError(
            f"{where}: access is {values['access']!r}", f"One of: {', '.join(ACCESS)}."
        )
    try:
        numbers = {c: float(values[c]) if values[c] else None for c in ("value", "sd")}
        classes = int(values["classes"]) if values["classes"] else None
    except ValueError as error:
        raise BenchError(f"{where}: {error}") from error
    value = numbers["value"]
    if value is None or not 0 <= value <= 100:
        raise BenchError(f"{where}: value is {values['value']}, not a percentage")
    rest = {c: values[c] for c in COLUMNS if c not in ("classes", "value", "sd", "metric")}
    return Figure(classes=classes, value=value, sd=numbers["sd"],
                  metric=values["metric"] or "accuracy", **rest)


def access_of(setting: Setting) -> str:
    """What the target access of records is called here."""
    text = f"{setting.target_access} {setting.protocol}".lower()
    if text.startswith("none"):
        return "none"
    if "unlabelled" in text:
        return "unlabelled"
    if "other target subjects" in text:
        return "labels of other subjects"
    return "labelled trials" if "target-supervised" in text else clean(setting.target_access)


def compare(found: Collection, options: ReportOptions) -> list[Beside]:
    """Every figure with what may stand beside it."""
    shown = tables(found, options, "accuracy")
    return [_compare(figure, shown) for figure in figures(options)]


def _compare(figure: Figure, shown: Sequence[Table]) -> Beside:
    if figure.design != CROSS_CORPUS:
        return Beside(figure, [], f"{figure.design}, not cross-corpus")
    if figure.metric != "accuracy":
        return Beside(figure, [], f"the metric is {figure.metric}, not accuracy")
    reasons: list[str] = []
    measured = []
    for table in shown:
        for column in table.columns:
            if (column.source_corpus, column.target_corpus) != (figure.source, figure.target):
                continue
            reason = _why_not(figure, table, column)
            if reason:
                reasons.append(reason)
                continue
            measured += [
                (row.label, row.values[column].mean, row.values[column].sd)
                for row in table.methods if column in row.values
            ]
    if measured:
        return Beside(figure, measured, "")
    return Beside(figure, [], "; ".join(dict.fromkeys(reasons)) or "this pair was not run")


def _why_not(figure: Figure, table: Table, column: Column) -> str:
    """Why a figure and a column must not stand side by side; empty if they may."""
    reasons = []
    if table.simulated:
        reasons.append("ours is from simulated corpora")
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


def beside(found: Collection, options: ReportOptions) -> dict[str, Any]:
    """For the page: figures that may stand beside measured ones first."""
    rows = [
        {
            "method": b.figure.method, "paper": b.figure.paper, "pair": b.figure.pair,
            "value": f"{b.figure.value:.1f}",
            "sd": "" if b.figure.sd is None else f"{b.figure.sd:.1f}",
            "setting": b.figure.setting, "access": b.figure.access, "seen": b.figure.seen_in,
            "note": b.figure.note, "reason": b.reason,
            "measured": [
                f"{label} {percent(mean)}" + ("" if sd is None else f" ± {100 * sd:.1f}")
                for label, mean, sd in b.measured
            ],
        }
        for b in sorted(compare(found, options), key=lambda b: bool(b.reason))
    ]
    return {"note": NOTE, "rows": rows}


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``published.md`` and ``published.csv``: reported beside measured.

    Raises
    ------
    BenchError
        No record, or a file of ``--published`` is not as described.
    """
    rows = beside(collect(store, options), options)["rows"]
    paths = []
    for name, text in (("published.md", _markdown(rows)), ("published.csv", _csv(rows))):
        if options.wants_format(name.rpartition(".")[2]):
            write_text(out / name, text)
            paths.append(out / name)
    return paths


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["# Reported and measured", "", NOTE, "",
             "| method | pair | reported | access | measured here, or why not | seen in |",
             "| --- | --- | ---: | --- | --- | --- |"]
    for row in rows:
        value = row["value"] + (f" ± {row['sd']}" if row["sd"] else "")
        cells = [row["method"], row["pair"], value, row["access"],
                 "; ".join(row["measured"]) or f"– ({row['reason']})",
                 row["seen"] + (f" ({row['note']})" if row["note"] else "")]
        lines.append("| " + " | ".join(markdown(c) for c in cells) + " |")
    return "\n".join(lines) + "\n"


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    names = ["method", "paper", "pair", "value", "sd", "setting", "access", "seen", "note",
             "measured", "reason"]
    writer = csv.DictWriter(buffer, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = {**row, "measured": "; ".join(row["measured"])}
        writer.writerow({k: spreadsheet(flat[k]) for k in names})
    return buffer.getvalue()
