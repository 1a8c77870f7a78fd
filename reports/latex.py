r"""The leaderboard as a LaTeX table: booktabs, best in bold, second underlined, ± over subjects.

A caption of two lines says what the numbers are; a note under the table says all the rest.

The file needs ``\usepackage{booktabs,graphicx,xcolor}`` and compiles with pdfLaTeX
whatever the records hold: text is escaped, and letters that pdfLaTeX has no glyph for are named by
their code point.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.reporting import ReportOptions
from bench.store.files import write_text
from bench.store.records import Store

from .shared.against import interval
from .shared.caption import caption, curve_caption, note_lines, title
from .shared.cells import collect
from .shared.table import Table, TableRow, tables
from .shared.text import capital, percent, signed
from .shared.worth import Gain, Worth, gain_notes, gain_rows, headline, signs, worth_of, worths

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    # At the start of a row, after \\, these would be read as its optional argument and star.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "→": r"$\to$", "±": r"$\pm$", "–": "--", "−": "$-$", "…": r"\dots{}", "†": r"\dag{}",
    "’": "'", "“": "``", "”": "''", "`": r"\textasciigrave{}", "·": r"$\cdot$",
    "×": r"$\times$", "'": "'", "°": r"$^\circ$",
}


def latex(text: str) -> str:
    r"""Text that shows as itself.

    Examples
    --------
    >>> print(latex("50 % of SEED→DEAP_v"))
    50 \% of SEED$\to$DEAP\_v
    """
    return "".join(_letter(c) for c in text)


def _letter(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if c.isascii():
        return c
    parts = [p for p in unicodedata.normalize("NFKD", c) if not unicodedata.combining(p)]
    if not parts or not all(p.isascii() for p in parts):
        return f"{{[}}U+{ord(c):04X}{{]}}"
    return "".join(_SPECIAL.get(p, p) for p in parts)


def heading(label: str, subjects: int) -> str:
    """Heading of a pair: the target under the source, half as wide, and how many subjects."""
    source, arrow, target = label.partition("→")
    lines = [rf"{latex(source)}$\to$", latex(target)] if arrow else [latex(label)]
    return _stacked([*lines, rf"$n = {subjects}$"])


#: Small, and shrunk where it is wider than the column.
_FIT = (
    r"\small", r"\setlength{\tabcolsep}{3pt}",
    r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
)


def caption_of(table: Table) -> str:
    """Caption: what is measured and how, whether it is simulated, and what ± is."""
    spread = any(v.sd is not None for v in table.values)
    over = "; mean ± standard deviation over target subjects" if spread else ""
    return latex(f"{capital(title(table))}, in %{over}.")


def note_of(table: Table, curves: Sequence[Worth] = ()) -> str:
    """Note under the table: what the source is worth, and everything the numbers mean."""
    worth = worth_of(table, curves)
    said = [*([headline(worth)] if worth else []), *caption(table), *note_lines(table)]
    if any(v.partial for v in table.values):
        said.append("†: not all subjects of the column have this score.")
    return latex(" ".join(said))


def lines(table: Table, curves: Sequence[Worth] = ()) -> list[str]:
    """The whole table environment."""
    labels = table.short_labels()
    head = ["Method", *(heading(labels[c], table.n(c)) for c in table.columns),
            *table.summary_heads]
    chance = ["chance", *(latex(percent(table.chance(c))) for c in table.columns),
              *map(latex, table.summary_of_chance())]
    body, controls, oracles = (
        [_row(table, row) for row in rows]
        for rows in (table.methods, table.controls, table.oracles)
    )
    out = [_line(head), r"\midrule", *map(_line, body)]
    out += [r"\midrule"] * bool(body) + [_line(cells) for cells in (chance, *controls)]
    if oracles:
        out += [r"\midrule", *(_line([_grey(c) for c in cells]) for cells in oracles)]
    align = "l" + "r" * (len(head) - 1)
    return _environment(caption_of(table), align, out, note_of(table, curves))


def gain_table(worth: Worth) -> list[str]:
    """The table environment of a curve: gains over the best target-only at each size.

    Of each method score, gain and, below, interval; what is target-only has scores alone.
    """
    table, several = worth.tables[-1], len(worth.columns) > 1
    simulated = " (simulated)" if table.simulated else ""
    caption = latex(
        f"Gain over the best target-only by size of calibration, {table.setting.protocol}: "
        f"{table.measured}{simulated}, in %.")
    head = ["Method", *(["Pair"] * several), *map(_size, worth.sizes)]
    body: list[str] = []
    before = None
    for row in gain_rows(worth, worth.short_labels):
        block = row.pair, not any(row.gains)
        body += [r"\midrule"] * (block != before)
        before = block
        cells = [_gain(score, g) for score, g in zip(row.scores, row.gains, strict=True)]
        body.append(_line([latex(row.label), *([latex(row.pair)] * several), *cells]))
    note = latex(" ".join([*curve_caption(worth), *gain_notes(worth)]))
    align = "l" * (1 + several) + "r" * len(worth.sizes)
    return _environment(caption, align, [_line(head), *body], note)


def _environment(caption: str, align: str, rows: Sequence[str], note: str) -> list[str]:
    return [r"\begin{table}[t]", r"\centering", rf"\caption{{{caption}}}", *_FIT,
            rf"\begin{{tabular}}{{{align}}}", r"\toprule", *rows, r"\bottomrule",
            r"\end{tabular}}", _NOTE % note, r"\end{table}"]


def _size(size: str) -> str:
    """Heading of a size: ``a class`` under ``3 trials``, half as wide."""
    first, a, rest = size.partition(" a ")
    return _stacked([latex(first), latex(f"a {rest}")]) if a else latex(size)


def _gain(score: float | None, gain: Gain | None) -> str:
    if score is None:
        return "--"
    if gain is None:
        return latex(percent(score))
    mark = _MARKS[2 if gain.won else 0] % latex(f"{signed(gain.test.mean)}{signs(gain)}")
    return _stacked([f"{latex(percent(score))} ({mark})",
                     rf"{{\scriptsize {latex(interval(gain.test))}}}"], "t")


def _stacked(lines: Sequence[str], at: str = "b") -> str:
    return rf"\begin{{tabular}}[{at}]{{@{{}}r@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"


#: What stands under a table, as wide as the column.
_NOTE = r"\par\smallskip\parbox{\linewidth}{\footnotesize\emph{Note.} %s}"


#: Of the best and the second of a column.
_MARKS = {0: "%s", 1: r"\underline{%s}", 2: r"\textbf{%s}"}


def _row(table: Table, row: TableRow) -> list[str]:
    name = latex(row.label) + (" (oracle)" if row.key.kind == "oracle" else "")
    cells = [name]
    for column in table.columns:
        value = row.values.get(column)
        if value is None:
            cells.append("--")
            continue
        text = _MARKS[table.mark(row, column)] % percent(value.mean)
        text += r"\dag{}" if value.partial else ""
        n = f" ($n$ {len(value.subjects)})" if value.partial else ""
        text += n if value.sd is None else rf" {{\scriptsize$\pm${100 * value.sd:.1f}{n}}}"
        text += rf" {{\scriptsize one class: {value.beside}}}" if value.beside else ""
        cells.append(text)
    return cells + table.summary(row, _MARKS[table.mark(row, None)] % latex(percent(row.mean)))


def _grey(text: str) -> str:
    return rf"\textcolor{{gray}}{{{text}}}" if text else ""


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``leaderboard.tex``: a table environment for each setting, and for each curve.

    Rows of oracles are in it unless ``options.oracles`` is off.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    text = "% Needs \\usepackage{booktabs,graphicx,xcolor}.\n\n"
    collection = collect(store, options)
    curves = worths(collection, options)
    for table in tables(collection, options):
        # Without rows that saw the test set there is to be no word of them either.
        shown = table if options.oracles else replace(table, oracles=[])
        text += "\n".join(lines(shown, curves)) + "\n\n"
    for worth in curves:
        if len(worth.sizes) > 1:
            text += "\n".join(gain_table(worth)) + "\n\n"
    write_text(out / "leaderboard.tex", text)
    return [out / "leaderboard.tex"]
