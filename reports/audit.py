"""Gain of each shortcut over an honest score: on the screen, as Markdown, CSV, JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.auditing.inflation import MEASURES, Audit, InflationRow, Key, Measure, read_audits
from bench.reporting import ReportOptions
from bench.store.records import Store
from bench.version import __version__

from .audit_plot import draw
from .shared.against import interval
from .shared.caption import pieces_said
from .shared.cells import pieces_of
from .shared.files import bullets, csv_text, markdown_table, mean_columns, sign_columns, write_files
from .shared.pictures import house_style, save
from .shared.text import METRIC_NAMES, clean, markdown, numbers, p_value, percent, settings, signed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Changes when a key changes its meaning.
SCHEMA = 1
#: Below these widths intervals stand under their differences, and accuracy is left to the files.
_WIDE, _ROOMY = 118, 92
WINDOW, TRIAL, ACCURACY = MEASURES[0], MEASURES[1], MEASURES[2]


def show(audit: Audit, console: Console) -> None:
    """Print an audit: the honest score, what each shortcut adds to it, and over what."""
    from rich.text import Text

    from .shared.terminal import indented

    title = Text(f"Audit of {heading(audit)}", "bold")
    if pieces_of(audit.first.identity):
        title.append("  PIECES OF RECORDINGS", style="bold yellow")
    if audit.simulated:
        title.append("  SIMULATED", style="bold yellow")
    console.print()
    console.print(title)
    console.print(_table(audit, console.width))
    for line in caption(audit):
        console.print(indented(Text(line, "dim")))
    for row in audit.rows:
        if row.reason:
            line = f"{row.name} does not apply: {clean(row.reason)}"
            console.print(indented(Text(line, "yellow")))


def heading(audit: Audit) -> str:
    """``scmm  SEED:3→DEAP:valence  few-shot  scale demo``."""
    identity = audit.first.identity
    parts = (identity["method"], audit.first.pair, identity["protocol"]["name"],
             f"scale {identity['scale']}")
    return "  ".join(clean(p, 60) for p in parts)


def caption(audit: Audit) -> list[str]:
    """Lines that say what the numbers are and run over, and each shortcut's note."""
    identity = audit.first.identity
    scaling = identity["scaling"]
    lines = [
        f"Balanced accuracy in %, and what a shortcut adds in percentage points: leaky twin less "
        f"honest run, mean over {audit.subjects} target subjects (sessions and seeds averaged "
        f"within a subject first; seeds {numbers(audit.seeds)}), with the 95 % interval of "
        f"that mean (Student's t). p: two-sided Wilcoxon signed-rank over subjects, Holm "
        f"over the {audit.compared} shortcut{'s' * (audit.compared != 1)} of the table. "
        "The line honest − chance is the honest run itself, its p unadjusted.",
        f"Honest run: selection {clean(identity['selection'])}, scaling "
        f"{settings(scaling)}, target access {clean(identity['protocol']['target_access'])}.",
    ]
    lines[-1] += f" Chance is {percent(audit.honest[WINDOW].before)}."
    lines += [f"{r.name}: {clean(r.note)}." for r in audit.rows if r.note and not r.reason]
    least = 2 / 2**audit.subjects * max(1, audit.compared)
    if least > 0.05:
        lines.append(f"With {audit.subjects} subjects and {audit.compared} shortcuts the "
                     f"smallest p (Holm) there can be is {min(1.0, least):.2f}: read the "
                     "intervals, or audit more subjects or fewer shortcuts.")
    if pieces := pieces_of(identity):
        lines.append(pieces_said(pieces))
    if audit.simulated:
        recipe = settings(audit.first.simulated or {})
        lines.append(f"Scores are from simulated corpora ({recipe}); they say nothing of EEG.")
    return lines


def _table(audit: Audit, width: int) -> Table:
    from rich.text import Text

    from .shared.terminal import house_table

    stacked, accuracy = width < _WIDE, width >= _ROOMY
    gap = int(accuracy)  # besides the divider of the box
    table = house_table(gap)
    table.add_column("shortcut", no_wrap=True)
    heads = ["honest\n→ with it", "adds\nper window", "p\nHolm", "adds\nper trial", "p\nHolm"]
    for name in [*heads, *["adds to\naccuracy"] * accuracy]:
        table.add_column(name, justify="right", no_wrap=True, vertical="top")
    own = [audit.honest[k] for k in (WINDOW, TRIAL)]
    table.add_row(
        Text("honest − chance", "dim"), percent(own[0].after), _added(own[0], stacked),
        Text(p_value(own[0].test.p), "dim"), _added(own[1], stacked),
        Text(p_value(own[1].test.p), "dim"),
    )
    table.add_section()
    for row in audit.rows:
        if not row.measures:
            table.add_row(Text(row.name, "dim"), *[Text("–", "dim")] * (5 + accuracy))
            continue
        window, trial = (row.measures[k] for k in (WINDOW, TRIAL))
        cells = [signed(row.measures[ACCURACY].test.mean)] * accuracy
        table.add_row(
            row.name, f"{percent(window.before)}→{percent(window.after)}",
            _added(window, stacked), p_value(window.holm), _added(trial, stacked),
            p_value(trial.holm), *cells,
        )
    return table


def _added(measure: Measure, stacked: bool) -> Any:
    from rich.text import Text

    between = "\n" if stacked else " "
    bounds = measure.test.interval
    text = Text(signed(measure.test.mean), "bold" if bounds and bounds[0] > 0 else "")
    if bounds:
        text.append(f"{between}[{signed(bounds[0])}, {signed(bounds[1])}]", "dim not bold")
    return text


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``audit.csv``, ``.md``, ``.json`` and a plot of every audit of a run folder.

    A run folder without an audit gets no files.
    """
    audits = [a for a in read_audits(store) if _wanted(a, options)]
    if not audits:
        return []
    paths = write_files(out, options, {
        "audit.csv": lambda: csv_text(_rows(audits)), "audit.md": lambda: _markdown(audits),
        "audit.json": lambda: json.dumps(_json(audits), indent=1, ensure_ascii=False) + "\n",
    })
    for audit in audits:
        stem = out / ("audit" if len(audits) == 1 else audit.path.stem)
        with house_style():
            paths += save(draw(audit), stem, f"Audit of {heading(audit)}", options)
    return paths


def _wanted(audit: Audit, options: ReportOptions) -> bool:
    identity = audit.first.identity
    return (
        options.wants_method(identity["method"])
        and options.wants_protocol(identity["protocol"]["name"])
        and options.wants_pair(identity["source"]["name"], identity["target"]["name"])
    )


def _rows(audits: list[Audit]) -> Iterator[dict[str, Any]]:
    """One row for each shortcut, metric and unit; the honest run's is against chance."""
    for audit in audits:
        identity = audit.first.identity
        fixed = {
            "audit": audit.path.stem, "method": identity["method"],
            "source": identity["source"]["name"], "target": identity["target"]["name"],
            "protocol": identity["protocol"]["name"], "scale": identity["scale"],
            "simulated": audit.simulated, "seeds": numbers(audit.seeds),
        }
        honest = InflationRow("honest − chance", "the honest run against guessing", "", "", "",
                     audit.honest)
        for row in (honest, *audit.rows):
            about = {"shortcut": row.name, "does": row.does, "steals": row.steals,
                     "note": row.note, "reason": row.reason}
            for key in MEASURES if row.reason else row.measures:
                yield fixed | about | {"metric": key[0], "unit": key[1]} | _numbers(row, key)


def _numbers(row: InflationRow, key: Key) -> dict[str, Any]:
    names = ("before", "after", "inflation", "low", "high", "p", "p_holm", "rank_biserial",
             "subjects", "wins", "losses", "ties")
    found: dict[str, Any] = dict.fromkeys(names)
    if key in row.measures:
        m = row.measures[key]
        found |= {"before": m.before, "after": m.after, **mean_columns(m.test, "inflation"),
                  "p_holm": None if row.name == "honest − chance" else m.holm,
                  "subjects": m.test.n, **sign_columns(m.test)}
    return found


def _json(audits: list[Audit]) -> dict[str, Any]:
    return {
        "schema": SCHEMA, "bench": __version__,
        "audits": [
            {"audit": a.path.stem, "title": heading(a), "simulated": a.first.simulated,
             "caption": caption(a), "rows": list(_rows([a]))}
            for a in audits
        ],
    }


def _markdown(audits: list[Audit]) -> str:
    parts = []
    for audit in audits:
        mark = " (simulated)" if audit.simulated else ""
        parts += [f"# Audit of {markdown(heading(audit))}{mark}", _markdown_table(audit)]
        lines = [*caption(audit), *(f"{r.name} does not apply: {clean(r.reason)}"
                                    for r in audit.rows if r.reason)]
        parts.append(bullets(lines))
    return "\n\n".join(parts) + "\n"


def _markdown_table(audit: Audit) -> str:
    heads = ["shortcut", "what is done", "honest", "with it"]
    for metric, unit in MEASURES[:3]:
        heads += [f"adds: {METRIC_NAMES[metric]} per {unit} [95 %]", "p (Holm)"]
    own = [audit.honest[k] for k in (WINDOW, TRIAL)]
    first = ["honest − chance", "", percent(own[0].after), ""]
    for m in own:
        first += [f"{signed(m.test.mean)} [{interval(m.test)}]", f"{p_value(m.test.p)} (raw)"]
    lines = [[*first, "", ""]]
    for row in audit.rows:
        cells = ["–"] * (len(heads) - 2)
        if row.measures:
            window = row.measures[WINDOW]
            cells = [percent(window.before), percent(window.after)]
            for m in (row.measures[key] for key in MEASURES[:3]):
                cells += [f"{signed(m.test.mean)} [{interval(m.test)}]", p_value(m.holm)]
        lines.append([row.name, markdown(row.does), *cells])
    return markdown_table(heads, lines, "ll" + "r" * (len(heads) - 2))
