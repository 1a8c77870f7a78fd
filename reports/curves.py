"""Learning curves: loss of the pre-training, and the test score while fine-tuning.

The test score per epoch is drawn by the engine for the reader; no method sees it, and no ranked
score was chosen by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

from .shared.cells import Column
from .shared.pictures import Grid, Picture, head, legend, legend_height, text_at
from .shared.style import GREY, LINES, ONE_COLUMN, TWO_COLUMNS, chance_line, plain_axes
from .shared.table import Table, TableRow
from .shared.text import clean

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Name of the sum of all losses, and of the test score, in the curves of a record.
TOTAL, TEST = "total", "test_accuracy"
#: Methods drawn in one figure; the page has all.
MOST = 6
#: What is drawn of a method: which of its :class:`Curves`.
STAGES = ("pretrain", "test")


@dataclass(frozen=True)
class Line:
    """A curve over epochs: mean over seeds (and subjects), and the spread over subjects."""

    mean: list[float]
    sd: list[float]


@dataclass(frozen=True)
class Curves:
    """Of one method on one pair; a stage without curves is None.

    Attributes
    ----------
    label : str
        Row of the leaderboard.
    column : Column
    pretrain, loss, test : Line or None
        Loss of the pre-training, of the fine-tuning, and accuracy per window on the test part.
    """

    label: str
    column: Column
    pretrain: Line | None
    loss: Line | None
    test: Line | None


def curves(table: Table) -> list[Curves]:
    """Curves of the methods and of target-only, in the order of the leaderboard."""
    return list(table.once("curves", lambda: _curves(table)))


def _curves(table: Table) -> list[Curves]:
    every = [_of(row, column) for row in [*table.methods, *table.controls]
             for column in table.columns if column in row.cells]
    return [one for one in every if one is not None]


def _of(row: TableRow, column: Column) -> Curves | None:
    pretrain: list[NDArray[np.float64]] = []
    loss: list[NDArray[np.float64]] = []
    test: list[NDArray[np.float64]] = []
    for cell in row.cells[column]:
        try:
            stored = cell.record.read_curves()
        except BenchError:
            continue  # a record without curves still has its scores
        _add(pretrain, _stage(stored, "pretrain").get(TOTAL))
        for subject in _stage(stored, "fit").values():
            if isinstance(subject, dict):
                _add(loss, subject.get(TOTAL))
                _add(test, subject.get(TEST))
    made = Curves(row.label, column, _line(pretrain), _line(loss), _line(test))
    return made if made.pretrain or made.loss or made.test else None


def _stage(stored: Any, name: str) -> Mapping[str, Any]:
    stage = stored.get(name) if isinstance(stored, dict) else None
    return stage if isinstance(stage, dict) else {}


def _add(lines: list[NDArray[np.float64]], values: Any) -> None:
    """Keep a list of finite numbers; anything else was no curve."""
    import numpy as np

    if not isinstance(values, list) or not values:
        return
    try:
        line = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return
    if line.ndim == 1 and np.isfinite(line).all():
        lines.append(line)


def _line(lines: Sequence[NDArray[np.float64]]) -> Line | None:
    """Mean and sample SD over the lines that reach an epoch; a single line has no spread."""
    import numpy as np

    if not lines:
        return None
    longest = max(map(len, lines))
    padded = np.full((len(lines), longest), np.nan)
    for i, line in enumerate(lines):
        padded[i, : len(line)] = line
    count = np.isfinite(padded).sum(axis=0)
    mean = np.nansum(padded, axis=0) / count
    square = np.nansum((padded - mean) ** 2, axis=0)
    sd = np.sqrt(square / np.maximum(count - 1, 1))
    return Line(mean.tolist(), sd.tolist())


def draw(table: Table, shown: Sequence[Curves]) -> Figure:
    """Figure of a table: at most :data:`MOST` methods, the best first."""
    by_label: dict[str, list[Curves]] = defaultdict(list)
    for one in shown:
        by_label[one.label].append(one)
    labels = list(by_label)[:MOST]
    has = {(label, s): any(getattr(c, s) for c in by_label[label]) for label in labels
           for s in STAGES}
    counts = {s: sum(has[label, s] for label in labels) for s in STAGES}
    # What every method has stands at the left, so that what some lack leaves the right empty.
    stages = sorted((s for s in STAGES if counts[s]), key=lambda s: -counts[s])
    width = TWO_COLUMNS if len(stages) == 2 else ONE_COLUMN
    names = [c for c in table.columns if any(o.column == c for o in shown)]
    bottom = 0.5 + legend_height(len(names), width)
    grid = Grid.make(width, (len(labels), len(stages)), (0.6, 0.1, 0.62, bottom), (0.62, 0.42),
                     high=1.35)
    colour = {c: LINES[i % len(LINES)] for i, c in enumerate(names)}
    for i, label in enumerate(labels):
        here = [s for s in stages if has[label, s]]
        for stage in stages:
            if stage not in here:
                said = "no pre-training" if stage == "pretrain" else "no test score by epoch"
                x, y = grid.corner(i, stages.index(stage))
                text_at(grid.figure, y + grid.high / 2, said, size=6.5, color=GREY,
                        x=x + grid.wide / 2, ha="center")
        for stage in here:
            axes = grid[i, stages.index(stage)]
            _panel(axes, by_label[label], stage, colour)
            axes.set_title(clean(label, 36) if stage == here[0] else "", loc="left", pad=3,
                           size=7.5)
            if not any(has[below, stage] for below in labels[i + 1:]):
                axes.set_xlabel("epoch", size=6.5, labelpad=2)
    short = table.short_labels()
    legend(grid.figure, [(clean(short[c], 30), {"color": its, "linewidth": 1.4})
                         for c, its in colour.items()], handlelength=1.4)
    hidden = len(by_label) - len(labels)
    what = ("mean over seeds and subjects, band: SD over them; test accuracy per window in points "
            "above the chance of each pair, 1 / classes; it chose nothing")
    if width == ONE_COLUMN:
        what = "mean over seeds and subjects, band: SD; test accuracy in points above 1 / classes"
    what += f"; {hidden} methods left out" * bool(hidden)
    head(grid.figure, table, "Learning curves", what)
    return grid.figure


def _panel(
    axes: Axes, shown: Iterable[Curves], stage: str, colour: Mapping[Column, str]
) -> None:
    from matplotlib.ticker import MaxNLocator

    scale = 100 if stage == "test" else 1
    for one in shown:
        line: Line | None = getattr(one, stage)
        if line is None:
            continue
        x = range(1, len(line.mean) + 1)
        if stage == "test":  # pairs of unlike numbers of classes share the axis
            chance = 1 / max(1, len(one.column.classes))
            line = Line([v - chance for v in line.mean], line.sd)
        y = [scale * v for v in line.mean]
        axes.plot(x, y, color=colour[one.column], linewidth=1.0)
        low = [scale * (m - s) for m, s in zip(line.mean, line.sd, strict=True)]
        high = [scale * (m + s) for m, s in zip(line.mean, line.sd, strict=True)]
        axes.fill_between(x, low, high, color=colour[one.column], alpha=0.10, linewidth=0)
    plain_axes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("pre-training loss" if stage == "pretrain" else "test accuracy − chance",
                    size=6.5)
    if stage == "test":
        chance_line(axes, 0.0, named=True)
        axes.set_ylim(bottom=min(axes.get_ylim()[0], -4.0))


def _drawable(table: Table) -> list[Curves]:
    """Curves of methods that have a stage to draw."""
    methods = {r.label for r in table.methods}
    return [c for c in curves(table) if c.label in methods and any(getattr(c, s) for s in STAGES)]


def _rows(_: Table, shown: Sequence[Curves]) -> Iterator[dict[str, Any]]:
    for one in shown:
        for stage, line in (("pretrain_loss", one.pretrain), ("test_accuracy", one.test)):
            for epoch, (mean, sd) in enumerate(zip(line.mean, line.sd, strict=True), 1) \
                    if line else ():
                yield {"method": one.label, "pair": one.column.pair, "curve": stage,
                       "epoch": epoch, "mean": mean, "sd": sd}


#: ``curves.png``, ``.pdf`` and ``.svg``: a row of two panels for each method.
write = Picture(
    "curves", _drawable, draw, lambda table, _: f"Learning curves, {table.setting.protocol}",
    "no finished record of a method in {root} has learning curves",
    "Methods draw them with ctx.epoch(...); shallow methods have none.", _rows,
)
