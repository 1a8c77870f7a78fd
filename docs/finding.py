"""README's picture: calibration curves, and the same trainings at the epoch the test set picks.

    python docs/finding.py [RUNS]

Many papers report the best epoch on the test set. Both panels show the same trainings; they differ
in nothing but how the epoch was chosen. Takes about three minutes on two quiet cores the first
time; what is in RUNS already is not run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.reporting import ReportOptions
from bench.reports.shared.against import in_common
from bench.reports.shared.cells import SCRATCH, collect
from bench.reports.shared.files import csv_text
from bench.reports.shared.pictures import Grid, headline, house_style, note, save
from bench.reports.shared.power import ALPHA
from bench.reports.shared.rows import RowKey
from bench.reports.shared.style import (
    GREY,
    INK,
    LINES,
    MARKERS,
    TWO_COLUMNS,
    chance_line,
    plain_axes,
)
from bench.reports.shared.table import Table, TableRow
from bench.reports.shared.text import numbers
from bench.reports.shared.worth import Worth, worths
from bench.scoring.inference import Paired, holm, paired
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
METHODS = ("scmm", "simclr", "dann")
SIZES = "1,2,3,5,60%"
SUBJECTS = 16
#: What the panels are called.
HONEST, CHOSEN = "epoch fixed before testing", "same trainings, epoch chosen on the test set"
#: Where README's sentence stands.
MARKS = ("<!-- finding -->", "<!-- /finding -->")


@dataclass(frozen=True)
class Point:
    """A method at one size of calibration, and how it compares with the best target-only."""

    panel: str
    method: str
    size: str
    mean: float
    test: Paired
    holm: float

    @property
    def won(self) -> bool:
        """Whether it beats plain learning, after correction."""
        return self.test.mean > 0 and self.holm <= ALPHA


def sweep(runs: Path) -> None:
    """Run what is missing, as ``bench sweep`` does."""
    import subprocess

    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.cli", "sweep", "--method", ",".join(METHODS), "--pairs",
         "SEED->DEAP", "--calibration", SIZES, "--simulated", "--recipe", f"subjects={SUBJECTS}",
         "--scale", "table", "--runs", str(runs), "--quiet"], check=True)


def points(curve: Worth) -> list[Point]:
    """Points of both panels; each panel has a Holm correction over all of its comparisons."""
    out = []
    for panel in (HONEST, CHOSEN):
        compared = []
        for table, size in zip(curve.tables, curve.sizes, strict=True):
            (column,) = table.columns
            best = _best(curve, table, size)
            for row in table.methods if panel == HONEST else table.oracles:
                sides = in_common(row, best, column, table)
                if row.key.method == SCRATCH or sides is None:
                    continue
                one, two = (list(side.values()) for side in sides[:2])
                compared.append((row.label, size, sum(one) / len(one), paired(one, two)))
        adjusted = holm([c[3].p for c in compared])
        out += [Point(panel, *c, p) for c, p in zip(compared, adjusted, strict=True)]
    return out


def _best(curve: Worth, table: Table, size: str) -> TableRow:
    (column,) = table.columns
    plain: dict[RowKey, float] = {k: v for (s, c, k), v in curve.plain.items()
                                  if s == size and c == column}
    best = max(plain, key=lambda key: (plain[key], key))
    return next(row for row in table.rows if row.key == best)


def said(found: Sequence[Point]) -> str:
    """README's sentence."""
    won = {p: sum(f.won for f in found if f.panel == p) for p in (HONEST, CHOSEN)}
    of, n = len(found) // 2, numbers({f.test.n for f in found})
    return (
        f"**Simulated corpora**, {n} subjects, {len(METHODS)} methods at "
        f"{len(SIZES.split(','))} sizes of calibration. With the epoch fixed before testing, "
        f"{won[HONEST] or 'none'} of {of} comparisons beat{'s' * (won[HONEST] < 2)} plain learning "
        "on the calibration trials alone. Let the test set choose the epoch, as many papers do, "
        f"and the same trainings win {won[CHOSEN] or 'none'} of {of}.")


def draw(curve: Worth, found: Sequence[Point]) -> Any:
    """Two panels with one axis: methods, the best target-only, and chance."""
    grid = Grid.make(TWO_COLUMNS, (1, 2), (0.42, 0.98, 0.74, 0.4), (0.14, 0.0), high=1.95)
    methods = list(dict.fromkeys(f.method for f in found))
    x = list(range(len(curve.sizes)))
    plain = [100 * max(v for (s, _, _), v in curve.plain.items() if s == size)
             for size in curve.sizes]
    chance = curve.tables[0].chance(curve.columns[0])
    every = [*plain, *(100 * f.mean for f in found), 100 * (chance or 0.5)]
    for i, panel in enumerate((HONEST, CHOSEN)):
        axes = grid[0, i]
        plain_axes(axes)
        axes.plot(x, plain, color=INK, linewidth=1.6, linestyle=(0, (5, 2)), zorder=4)
        ends = [(plain[-1], "best target-only", INK)]
        for k, method in enumerate(methods):
            mine = {f.size: f for f in found if f.panel == panel and f.method == method}
            y = [100 * mine[s].mean for s in curve.sizes]
            axes.plot(x, y, color=LINES[k], linewidth=1.1, zorder=3)
            for at, (size, value) in enumerate(zip(curve.sizes, y, strict=True)):
                axes.scatter([at], [value], s=22, marker=MARKERS[k], zorder=5, linewidths=1.0,
                             edgecolor=LINES[k], facecolor=LINES[k] if mine[size].won else "white")
            ends.append((y[-1], method, LINES[k]))
        if chance is not None:
            chance_line(axes, chance)
            ends.append((100 * chance, "chance", GREY))
        axes.set(ylim=(min(every) - 1.5, max(every) + 1.5), xlim=(-0.25, len(x) - 0.75))
        axes.set_xticks(x, [s.split()[0] + " %" * ("%" in s) for s in curve.sizes])
        axes.set_xlabel("labelled trials a class of the tested person, or share of all", size=6.5,
                        labelpad=2)
        won, of = sum(f.won for f in found if f.panel == panel), len(found) // 2
        axes.set_title(f"{panel}: {won} of {of} win", size=7, loc="left", pad=4)
        if i:
            axes.set_yticklabels([])
            _names(axes, ends)
    note_of = ("balanced accuracy per window in %, SEED → DEAP valence, mean over "
               f"{numbers({f.test.n for f in found})} target subjects\n"
               "broken: the best learning from the labelled trials alone, at its last epoch; "
               "filled: better than that after Holm")
    headline(grid.figure, curve.tables[0], "What the source corpus is worth", 40)
    note(grid.figure, note_of)
    return grid.figure


def _names(axes: Any, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right ends of the lines, pushed apart."""
    low, high = axes.get_ylim()
    step, last = 0.075 * (high - low), high + 1
    for value, name, colour in sorted(ends, reverse=True):
        last = min(value, last - step)
        axes.annotate(name, (1.03, last), xycoords=axes.get_yaxis_transform(), size=6.8,
                      color=colour, va="center", annotation_clip=False)


def main(runs: Path, to: Path = HERE / "pictures") -> str:
    """Run, draw ``finding.png`` with its data beside it, and put the sentence into README."""
    sweep(runs)
    options = ReportOptions(formats=("png",))
    (curve,) = worths(collect(Store(runs), options), options)
    found = points(curve)
    with house_style():
        save(draw(curve, found), to / "finding", "What the source corpus is worth, simulated",
             options)
    (to / "finding.csv").write_text(csv_text({
        "panel": f.panel, "method": f.method, "calibration": f.size, "mean": f.mean,
        "n_subjects": f.test.n, "gain": f.test.mean, "p": f.test.p, "p_holm": f.holm,
        "simulated": "simulated"} for f in found), encoding="utf-8")
    sentence = said(found)
    if to == HERE / "pictures":
        readme = HERE.parent / "README.md"
        before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        readme.write_text(f"{before}{MARKS[0]}\n{_wrapped(sentence)}\n{MARKS[1]}{after}",
                          encoding="utf-8")
    return sentence


def _wrapped(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 108)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("runs", nargs="?", type=Path, default=Path("runs-finding"), metavar="RUNS")
    print(main(asked.parse_args().runs))
