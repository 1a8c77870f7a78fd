"""What a person reads of an object: a line, a text, a table of HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

_METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced acc.",
            "macro_f1": "macro F1", "auroc": "AUROC"}


#: A :class:`~bench.store.records.Record`; that module imports this one.
Shown = Any


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of HTML; everything in it is escaped."""
    def line(cells: Iterable[object], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(line(row, "td") for row in rows)
    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f"<table><caption>{html.escape(caption)}</caption>{top}<tbody>{body}</tbody></table>"


def title(record: Shown) -> str:
    """Method, pair, protocol, seed and scale; SIMULATED where it is."""
    identity = record.identity
    protocol = identity.get("protocol", {}).get("name", "")
    # The record of a cell whose corpora could not be read has no identity.
    named = "source" in identity and "target" in identity
    parts = [identity.get("method", "record"), record.pair if named else "", protocol,
             f"seed {identity.get('seed', 0)}",
             f"scale {identity['scale']}" if identity.get("scale") else "",
             "SIMULATED" if record.simulated is not None else "",
             "" if record.status == "done" else record.status]
    return "  ".join(part for part in parts if part)


def score_rows(record: Shown) -> list[list[str]]:
    """Unit, method, each metric in percent and n; of the record, then of its controls."""
    return [
        [f"per {unit}", _name(one), *(_percent(one, unit, m) for m in _METRICS),
         str(len(one.folds))]
        for unit in ("window", "trial") for one in (record, *record.controls) if one.folds
    ]


def _name(record: Shown) -> str:
    """Name of the method, and its kind where it is a control or an oracle."""
    kind = "" if record.kind == "method" else f" ({record.kind})"
    return f"{record.identity.get('method', 'record')}{kind}"


def _percent(record: Shown, unit: str, metric: str) -> str:
    """Mean over folds that have the score; with n where some have none."""
    known: list[float] = []
    for fold in record.folds:
        value: Any = fold.get("scores", {}).get(unit, {}).get(metric)
        if value is not None and math.isfinite(value):
            known.append(float(value))
    if not known:
        return "–"
    few = f" (n {len(known)})" if len(known) < len(record.folds) else ""
    return f"{100 * sum(known) / len(known):.1f}{few}"


def summary(record: Shown) -> str:
    """Text of :meth:`bench.Record.summary`."""
    lines = [title(record)]
    rows = score_rows(record)
    if rows:
        table = [["", "", *_METRICS.values(), "n"], *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += ["  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip() for row in table]
        lines.append("Percent: means over n folds (a target subject in a session).")
    if record.reason:
        lines.append(f"{record.status}: {record.reason}")
    if record.left_out:
        lines.append(f"Left out: {counted(len(record.left_out), 'fold')} that could not be cut.")
    return "\n".join(lines)


def counted(count: int, noun: str) -> str:
    """``1 record``, ``2 records``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def spoken(seconds: float | None) -> str:
    """Seconds as people say them: ``3.2 s``, ``4 min``, ``2.5 h``."""
    if seconds is None:
        return "unknown"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def record_html(record: Shown) -> str:
    """The same as a table of HTML."""
    return html_table(title(record), ["", "method", *_METRICS.values(), "n"], score_rows(record))
