"""What a source is worth beside plain learning: at each size of calibration, in one sentence.

Each method is compared with the best ``target-only`` of its pair and size: the best, by its tested
score, of all that learnt from the calibration trials alone. Tables that differ in nothing but the
size of the calibration make one curve; Holm's correction runs over all of its comparisons.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench.scoring.inference import Paired, holm, paired

from .against import in_common
from .cells import SCRATCH, Collection, Column, TableSetting
from .power import ALPHA, smallest
from .rows import PLAIN, RowKey
from .table import Table, TableRow, tables
from .text import numbers, percent, settings

#: Options of a protocol that say how much calibrates.
SIZE = ("calibration_trials", "share")


@dataclass(frozen=True)
class Gain:
    """A method against the best target-only of its pair, at one size of calibration.

    Attributes
    ----------
    size : str
        ``3 trials a class``.
    row, reference : RowKey
        The method, and the target-only it is compared with.
    mean : float
        Score of the method over the subjects compared.
    holm : float
        p adjusted over all gains of the curve.
    """

    size: str
    column: Column
    row: RowKey
    reference: RowKey
    mean: float
    test: Paired
    holm: float

    @property
    def won(self) -> bool:
        """Whether the method is better, after correction."""
        return self.test.mean > 0 and self.holm <= ALPHA


@dataclass(frozen=True, eq=False)
class Worth:
    """A curve: tables by the size of calibration, the smallest first, and all gains.

    Attributes
    ----------
    tables : list of Table
    sizes : list of str
        Of each table.
    gains : list of Gain
    plain : dict
        (size, column, target-only row) to its score over the subjects compared.
    """

    tables: list[Table]
    sizes: list[str]
    gains: list[Gain]
    plain: dict[tuple[str, Column, RowKey], float]

    @property
    def columns(self) -> list[Column]:
        """Pairs with a gain."""
        return list(dict.fromkeys(g.column for g in self.gains))

    @property
    def labels(self) -> dict[Column, str]:
        """Headings of the pairs."""
        return {c: label for t in self.tables for c, label in t.labels.items()}

    @property
    def short_labels(self) -> dict[Column, str]:
        """Headings without tasks, where that leaves no doubt."""
        return {c: label for t in self.tables for c, label in t.short_labels().items()}


def worths(
    collection: Collection, options: Any, metric: str | None = None, unit: str | None = None
) -> list[Worth]:
    """Curves of a run folder, in the order of their largest table."""
    every = tables(collection, options, metric, unit)
    key = ("worth", metric or options.metric, unit or options.unit)
    return list(collection.once(key, lambda: list(_worths(every))))


def worth_of(table: Table, found: Sequence[Worth]) -> Worth | None:
    """The curve that a table is a point of."""
    return next((w for w in found if any(t is table for t in w.tables)), None)


def _worths(every: Sequence[Table]) -> Iterator[Worth]:
    groups: dict[TableSetting, list[Table]] = defaultdict(list)
    for table in every:
        if any(row.key.method == SCRATCH for row in table.rows):
            groups[replace(table.setting, protocol_params=_rest(table))].append(table)
    for members in groups.values():
        members.sort(key=_amount)
        made = _worth(members)
        if made.gains:
            yield made


def options_of(table: Table) -> dict[str, Any]:
    """Options of the protocol of a table."""
    params = table.every[0].record.identity["protocol"].get("params")
    return params if isinstance(params, dict) else {}


def _rest(table: Table) -> str:
    """Options of the protocol but the size of calibration; of no curve, all of them."""
    params = options_of(table)
    if not params.get("curve"):  # other sizes are tested on other trials
        return table.setting.protocol_params
    return settings({str(k): v for k, v in params.items() if k not in SIZE})


def _amount(table: Table) -> tuple[float, int, float]:
    """Calibration trials of a subject on average; equal ones by what was asked for."""
    counts = [len(trials) for c in table.every for fold in c.record.folds
              if isinstance(trials := fold.get("calibration_trials"), list)]
    return (sum(counts) / max(1, len(counts)), *_asked(table))


def _asked(table: Table) -> tuple[int, float]:
    trials, share = (options_of(table).get(name) for name in SIZE)
    if isinstance(trials, int):
        return 0, float(trials)
    return 1, float(share) if isinstance(share, int | float) else 0.0


def size_of(table: Table) -> str:
    """``1 trial a class``, ``60 %``; empty for a protocol without calibration."""
    kind, amount = _asked(table)
    if kind:
        return f"{100 * amount:g} %" if amount else ""
    return f"{amount:g} trial{'s' * (amount != 1)} a class"


def _worth(members: list[Table]) -> Worth:
    sizes = [size_of(t) for t in members]
    common = _in_all(members)
    compared = []
    plain: dict[tuple[str, Column, RowKey], float] = {}
    for table, size in zip(members, sizes, strict=True):
        for column in table.columns:
            scratch = [r for r in table.rows if r.key.method == SCRATCH and column in r.values
                       and r.key.kind != "oracle"
                       and not common[column].isdisjoint(r.values[column].subjects)]
            scores = {r.key: _mean(r, column, common[column]) for r in scratch}
            plain |= {(size, column, key): score for key, score in scores.items()}
            if not scratch:
                continue
            best = max(scratch, key=lambda r: (scores[r.key], r.key))
            for row in table.methods:
                if row.key.method == SCRATCH or column not in row.values:
                    continue
                sides = in_common(row, best, column, table)
                who = [s for s in sides[0] if s in common[column]] if sides else []
                if sides and who:
                    one, two = ([side[s] for s in who] for side in sides[:2])
                    compared.append((size, column, row.key, best.key, sum(one) / len(one),
                                     paired(one, two)))
    adjusted = holm([c[5].p for c in compared])
    return Worth(members, sizes, [Gain(*c, p) for c, p in zip(compared, adjusted, strict=True)],
                 plain)


def _in_all(members: Sequence[Table]) -> dict[Column, set[str]]:
    """Subjects of each pair that were tested at every size: the points of a curve share them."""
    common: dict[Column, set[str]] = {}
    for table in members:
        for column in table.columns:
            mine = set(table.subjects(column))
            common[column] = common.get(column, mine) & mine
    return common


def _mean(row: TableRow, column: Column, subjects: set[str]) -> float:
    scores = [v for s, v in row.values[column].subjects.items() if s in subjects]
    return sum(scores) / len(scores)


def headline(worth: Worth) -> str:
    """One sentence: how many methods beat plain learning, and what could have been seen."""
    gains, columns = worth.gains, worth.columns
    methods = len({g.row for g in gains})
    said = [(size, mine) for size in worth.sizes if (mine := [g for g in gains if g.size == size])]
    counts = [(n, _listed([size for _, size in its])) for n, its in itertools.groupby(
        ((sum(g.won for g in mine), size) for size, mine in said), key=lambda c: c[0]
    )]
    ours = f"{methods} method{'s' * (methods != 1)}"
    if len(columns) == 1:
        first = f"Of {ours} {_count(counts[0][0])} beat{'s' * (counts[0][0] < 2)}"
        others = [f"{_count(n)} at {size}" for n, size in counts[1:]]
    else:
        won, of = counts[0][0], len(said[0][1])
        first = (f"In {_count(won)} of {of} comparisons ({ours} on {len(columns)} pairs) a method "
                 "beats")
        others = [f"in {_count(n)} at {size}" for n, size in counts[1:]]
    parts = [f"{first} {_reference(gains)}" + (f" at {counts[0][1]}" if counts[0][1] else ""),
             *others]
    simulated = "Simulated corpora. " if worth.tables[0].simulated else ""
    simulated += "Trials are pieces of recordings. " if any(t.pieces for t in worth.tables) else ""
    return f"{simulated}{', '.join(parts)}; {_seen(gains)} ({_corrected(gains)})."


def _listed(sizes: Sequence[str]) -> str:
    """``1 trial a class, 3 trials a class or 60 %``."""
    return " or ".join(filter(None, [", ".join(sizes[:-1]), sizes[-1]]))


def _count(number: int) -> str:
    return str(number) if number else "none"


def _reference(gains: Sequence[Gain]) -> str:
    """What was to be beaten: by its name, if it is the same everywhere."""
    keys = {g.reference for g in gains}
    if len(keys) > 1:
        return "the best target-only method"
    key = next(iter(keys))
    return f"target-only {PLAIN[key.network][1]}" if key.network in PLAIN else key.label


def _seen(gains: Sequence[Gain]) -> str:
    subjects = {g.test.n for g in gains}
    who = f"{numbers(subjects)} subject{'s' * (subjects != {1})}"
    found = [d for g in gains if (d := smallest(g.test, len(gains))) is not None]
    where = " on any one pair" if len({g.column for g in gains}) > 1 else ""
    if not found:
        return f"with {who} no difference, however large, could have been seen{where}"
    return f"a difference of {percent(median(found))} points could have been seen{where} with {who}"


def _corrected(gains: Sequence[Gain]) -> str:
    if len(gains) == 1:
        return "one comparison, nothing to correct for"
    return f"Holm over all {len(gains)} comparisons"


def gain_notes(worth: Worth) -> list[str]:
    """Lines under the gains: what is compared, and on what."""
    lines = [
        "Gain over the best target-only method of the pair"
        + (" and size" if len(worth.sizes) > 1 else "")
        + ", in percentage points, paired over target subjects; 95 % interval (Student's t); "
        f"* better, ° worse ({_corrected(worth.gains)}). The best is chosen by its tested score, "
        "which is in its favour."
    ]
    if len(worth.sizes) > 1:
        lines.append("All sizes are tested on the same trials of the same subjects: those that the "
                     "largest size leaves. A size that a corpus cannot give is not there.")
    return lines


def signs(gain: Gain) -> str:
    """``*`` where a method is better after correction, ``°`` where it is worse."""
    return "" if gain.holm > ALPHA else "*" if gain.test.mean > 0 else "°"


@dataclass(frozen=True)
class GainRow:
    """A line of the table of gains: a method, or a target-only, on one pair."""

    label: str
    pair: str
    scores: list[float | None]
    gains: list[Gain | None]


def gain_rows(worth: Worth, labels: Mapping[Column, str]) -> list[GainRow]:
    """Lines by pair: methods by their score at the largest size, then what is target-only."""
    out = []
    for column in worth.columns:
        found = {(g.row, g.size): g for g in worth.gains if g.column == column}
        last = {key: g.mean for (key, _), g in found.items()}
        for key in sorted(last, key=lambda k: -last[k]):
            gains = [found.get((key, size)) for size in worth.sizes]
            means = [g.mean if g else None for g in gains]
            out.append(GainRow(key.label, labels[column], means, gains))
        plain = {k for _, c, k in worth.plain if c == column}
        for key in sorted(plain, key=lambda k: -max(
            worth.plain.get((size, column, k), float("-inf")) for size in worth.sizes
        )):
            scores = [worth.plain.get((size, column, key)) for size in worth.sizes]
            out.append(GainRow(key.label, labels[column], scores, [None] * len(scores)))
    return out
