"""Findings of a check: how bad each is, and how it is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

Severity = Literal["leak", "warning", "declared", "note"]
#: Worst first, with its colour and what it means.
SEVERITIES: dict[str, tuple[str, str]] = {
    "leak": ("bold red", "test data was used where nobody would expect it"),
    "warning": ("yellow", "a reader must know it to judge the numbers"),
    "declared": ("blue", "test data was used, and the record says so: never ranked"),
    "note": ("dim", "worth knowing"),
}
#: Places named of each finding.
_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One thing found at one place.

    Attributes
    ----------
    severity : str
        One of :data:`SEVERITIES`.
    what : str
        What it is; equal texts are shown together.
    where : str
        Record, file, trial.
    """

    severity: Severity
    what: str
    where: str = ""


@dataclass
class Report:
    """Result of a check: how much was checked, and the findings.

    Attributes
    ----------
    title : str
    checked : str
        How many of what.
    findings : list of Finding
    """

    title: str
    checked: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def leaks(self) -> int:
        """Undeclared leaks."""
        return sum(f.severity == "leak" for f in self.findings)


def grouped(findings: Iterable[Finding]) -> list[tuple[Severity, str, list[str]]]:
    """Findings with equal texts together, the worst first, then the most frequent."""
    places: dict[tuple[Severity, str], list[str]] = defaultdict(list)
    for f in findings:
        places[f.severity, f.what].append(f.where)
    order = list(SEVERITIES)
    rows = [(severity, what, where) for (severity, what), where in places.items()]
    return sorted(rows, key=lambda r: (order.index(r[0]), -len(r[2]), r[1]))


def word_widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Widths of columns of text that share so much room, each as wide as its longest word.

    What is left over goes to the columns that have most to say. Where there is not room even for
    the longest words, the widest columns break some.
    """
    widest = [max(map(len, texts)) for texts in columns]
    out = [max((len(word) for text in texts for word in text.split()), default=1)
           for texts in columns]
    while sum(out) > room and max(out) > 1:
        out[out.index(max(out))] -= 1
    long = [sum(map(len, texts)) for texts in columns]
    for _ in range(room - sum(out)):
        open_ = [i for i in range(len(out)) if out[i] < widest[i]]
        if not open_:
            break
        out[max(open_, key=lambda i: long[i] / out[i])] += 1
    return out


def show(report: Report, console: Console) -> int:
    """Print a report; returns the number of undeclared leaks."""
    from rich.table import Column, Table
    from rich.text import Text

    console.print()
    console.print(Text(report.title, "bold"))
    rows = grouped(report.findings)
    places = [", ".join(named[:_NAMED]) + (", …" if len(named) > _NAMED else "")
              for named in (list(dict.fromkeys(w for w in where if w)) for _, _, where in rows)]
    found, at = word_widths([["finding", *(what for _, what, _ in rows)], ["where", *places]],
                            console.width - 23)
    table = Table(
        Column("severity", no_wrap=True), Column("finding", overflow="fold", width=found),
        Column("times", justify="right", no_wrap=True), Column("where", overflow="fold", width=at),
        box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for (severity, what, where), named in zip(rows, places, strict=True):
        style = SEVERITIES[severity][0]
        table.add_row(Text(severity, style), Text(what), str(len(where)), Text(named, "dim"))
    if rows:
        console.print(table)
        used = dict.fromkeys(r[0] for r in rows)
        for severity in used:
            console.print(Text(f" {severity}: {SEVERITIES[severity][1]}", "dim"))
    leaks = report.leaks
    verdict = Text(f"{leaks} undeclared leak{'s' * (leaks != 1)}", "bold red") if leaks else \
        Text("no undeclared leak", "bold green")
    console.print(Text.assemble(verdict, f" in {report.checked}"))
    return leaks
