"""The leaderboard in a terminal: rich tables that fit the width they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import Box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from bench.reporting import ARROW

from .against import Comparison, Pooled, footnotes, interval, joined
from .caption import caption, curve_caption, note_lines, shortened, title
from .cells import Column
from .table import Table, TableRow
from .text import natural, p_value, percent, signed
from .worth import Gain, Worth, gain_notes, gain_rows, signs

#: Rules above, under the head and below; a thin line sets blocks apart.
HOUSE = Box(" ━━ \n    \n ── \n    \n ── \n    \n    \n ━━ \n")
_INDENT = 1
#: Of the best and the second of a column.
_STYLES = {0: "", 1: "underline", 2: "bold"}


def house_table(gap: int = 1, **options: Any) -> RichTable:
    """Table with the rules of the house; ``gap`` is besides the divider of the box."""
    return RichTable(box=HOUSE, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold",
                     **options)


def indented(line: RenderableType) -> Padding:
    """A line under a table."""
    return Padding(line, (0, 0, 0, _INDENT))


@dataclass
class Leaderboard:
    """A table that chooses its layout when it knows how wide the terminal is.

    Wide: score and ± on one line. Narrow: ± under the score. Narrower still: the pairs in
    several tables, one under another.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width at hand."""
        width = options.max_width
        for stacked in (False, True):
            whole = _grid(self.table, self.table.columns, stacked, summary=True)
            if _fits(console, options, whole, width):
                yield whole
                return
        columns = list(self.table.columns)
        while columns:
            n = len(columns)
            while n > 1 and not _fits(
                console, options, _grid(self.table, columns[:n], True, n == len(columns)), width
            ):
                n -= 1
            yield _grid(self.table, columns[:n], True, summary=n == len(columns))
            columns = columns[n:]


def _fits(
    console: Console, options: ConsoleOptions, grid: RichTable, width: int
) -> bool:
    return Measurement.get(console, options.update(width=10_000), grid).maximum <= width


def _grid(
    table: Table, columns: Sequence[Column], stacked: bool, summary: bool
) -> RichTable:
    """Rows and blocks; ``summary`` adds mean and rank where there is more than one pair."""
    grid = house_table(0 if stacked else 1)
    grid.add_column("method", no_wrap=True, vertical="top")
    labels = table.short_labels()
    for column in columns:
        grid.add_column(_heading(labels[column], table.n(column)), justify="right", no_wrap=True)
    for name in table.summary_heads if summary else ():
        grid.add_column(Text(name.lower()), justify="right", no_wrap=True)
    for row in table.methods:
        grid.add_row(*_cells(table, row, columns, stacked, summary))
    grid.add_section()
    levels = ["chance", *(percent(table.chance(c)) for c in columns),
              *(table.summary_of_chance() if summary else ())]
    grid.add_row(*(Text(level, "dim") if level else "" for level in levels))
    for row in table.controls:
        grid.add_row(*_cells(table, row, columns, stacked, summary))
    grid.add_section()
    for row in table.oracles:
        grid.add_row(*_cells(table, row, columns, stacked, summary), style="bright_black")
    return grid


def _heading(label: str, subjects: int) -> Text:
    """``SEED →`` over ``DEAP:valence``: half as wide, and the arrow stays with the source."""
    source, arrow, target = label.partition(ARROW)
    text = Text(f"{source}{ARROW}\n{target}" if arrow else label)
    return text.append(f"\nn = {subjects}", "not bold")


def _cells(
    table: Table, row: TableRow, columns: Sequence[Column], stacked: bool, summary: bool
) -> list[Text]:
    name = row.label if row.key.kind != "oracle" else f"{row.label} (oracle)"
    # The line under the name is free where ± stands under the score.
    out = [Text(name.replace(" ", "\n ", 1) if stacked else name)]
    between, quiet = "\n" if stacked else " ", "dim not bold not underline"
    for column in columns:
        style = _STYLES[table.mark(row, column)]
        value = row.values.get(column)
        if value is None:
            out.append(Text("–", "dim"))
            continue
        text = Text(percent(value.mean), style)
        if value.partial:
            text.append("†", "not bold not underline")
        if value.sd is not None:
            text.append(f"{between}±{100 * value.sd:.1f}", quiet)
        if value.partial:
            text.append(f"{between}n = {len(value.subjects)}", quiet)
        if value.beside:
            told = ("one class", *value.beside.split(", "))
            text.append("".join(f"\n{line}" for line in told), "yellow not bold not underline")
        out.append(text)
    styles = {"Mean": _STYLES[table.mark(row, None)],
              "Pairs": "" if row.mean is not None else "yellow"}
    named = zip(table.summary_heads, table.summary(row, percent(row.mean)), strict=True)
    return out + [Text(text, styles.get(name, "")) for name, text in named if summary]


def leaderboard(table: Table) -> RenderableType:
    """Heading, table, caption and notes."""
    head = Text(title(table), "bold")
    lines = [*map(Text, caption(table)), Text(f"Note: {' '.join(note_lines(table))}", "dim")]
    if table.short_labels() != table.labels:
        tasks = {c.source for c in table.columns if c.source} | {c.target for c in table.columns}
        lines.append(Text(f"Tasks: {', '.join(sorted(tasks, key=natural))}.", "dim"))
    lines += [Text(f"! {note}", "yellow") for note in shortened(table.notes)]
    return Group(head, Leaderboard(table), *map(indented, lines))


def comparisons(
    table: Table, compared: Sequence[Comparison], pooled: Sequence[Pooled] = ()
) -> RenderableType:
    """Small table of methods against their target-only control."""
    grid = house_table()
    grid.add_column("method", overflow="fold")
    grid.add_column("pair", overflow="fold")
    labels = table.short_labels()
    for name in ("difference", "95 % interval", "p", "p (Holm)", "wins"):
        grid.add_column(name, justify="right", no_wrap=True)
    for i, c in enumerate(joined(compared, pooled)):
        if i == len(compared):
            grid.add_section()
        t = c.test
        clear = t.interval is not None and (t.interval[0] > 0 or t.interval[1] < 0)
        grid.add_row(
            Text(c.row.label), Text(labels[c.column] if c.column else "all pairs"),
            Text(signed(t.mean), "bold" if clear else ""), Text(interval(t)),
            Text(p_value(t.p)), Text(p_value(c.holm)), Text(f"{t.wins}/{t.n}"),
        )
    lines = [Text(line, "dim") for line in footnotes(compared, pooled)]
    return Group(
        Text("Against target-only: what the source adds", "bold"), grid,
        *map(indented, lines),
    )


def worth(found: Worth) -> RenderableType:
    """Scores, and gains over plain learning, at each size of calibration."""
    grid = house_table()
    grid.add_column("method", overflow="fold")
    several = len(found.columns) > 1
    if several:
        grid.add_column("pair", overflow="fold")
    for size in found.sizes:
        grid.add_column(Text(size or "score"), justify="right")
    before = None
    for row in gain_rows(found, found.short_labels):
        plain = not any(row.gains)
        if before is not None and before != (row.pair, plain):
            grid.add_section()
        before = row.pair, plain
        cells = [_gain(score, g) for score, g in zip(row.scores, row.gains, strict=True)]
        grid.add_row(Text(row.label), *([Text(row.pair)] * several), *cells)
    # Of one size they stand under its table, which is right above.
    lines = [Text(line) for line in curve_caption(found)] if len(found.sizes) > 1 else []
    lines += [Text(line, "dim") for line in gain_notes(found)]
    return Group(Text("Gain over the best target-only", "bold"), grid, *map(indented, lines))


def _gain(score: float | None, gain: Gain | None) -> Text:
    """Score; under it gain and interval."""
    if score is None:
        return Text("–", "dim")
    text = Text(percent(score))
    if gain is not None:
        text.append(f"\n{signed(gain.test.mean)}{signs(gain)}", "bold" if gain.won else "")
        text.append(f"\n{interval(gain.test)}", "dim")
    return text
