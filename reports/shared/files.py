"""Text files of a report: Markdown and CSV, and only those that are asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.reporting import ReportOptions
from bench.scoring.inference import Paired
from bench.store.files import write_text

from .text import markdown, spreadsheet


def bullets(lines: Iterable[str], mark: str = "") -> str:
    """List in Markdown of lines that show as themselves."""
    return "\n".join(f"- {mark}{markdown(line)}" for line in lines)


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], align: str
) -> str:
    """Table in Markdown of cells that are Markdown; ``align`` has an l or r for each column."""
    rule = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))


def write_files(
    out: Path, options: ReportOptions, texts: Mapping[str, Callable[[], str]]
) -> list[Path]:
    """Write text files by name: those of a kind that is asked for and that have any text."""
    paths = []
    for name, text in texts.items():
        if options.wants_format(name.rpartition(".")[2]) and (made := text()):
            write_text(out / name, made)
            paths.append(out / name)
    return paths


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Text of a CSV file; empty when there are no rows."""
    rows = list(rows)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: spreadsheet(v) for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def mean_columns(test: Paired, name: str = "difference") -> dict[str, Any]:
    """Columns of a CSV: the mean difference, its interval and its p."""
    low, high = test.interval or (None, None)
    return {name: test.mean, "low": low, "high": high, "p": test.p}


def sign_columns(test: Paired) -> dict[str, Any]:
    """Columns of a CSV: the size of the effect, and for how many subjects it holds."""
    return {"rank_biserial": test.rank_biserial, "wins": test.wins, "losses": test.losses,
            "ties": test.ties}
