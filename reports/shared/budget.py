"""What a score cost: optimiser steps and windows of each row, and what more of them would change.

Counted is what was taken, before a head for the target was put on and after it; methods of several
steps a batch count them all. Methods that train no network have no such numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from statistics import fmean
from typing import Any

from bench.scoring.inference import mean_interval
from bench.store.records import Record

from .cells import Column, ScoredCell, TableSetting
from .rows import RowKey
from .text import signed

#: Scales at which trainings are cut short, all to the same number of steps.
SHORT = ("demo", "table", "null")
#: Parameters that say how long is trained, and nothing else.
_LENGTHS = ("epochs", "fit_epochs", "fit_steps")
#: From how many times the steps on a budget is another one.
_MORE = 2
#: Turned pairs that are named; of more, their number.
_NAMED = 4


@dataclass(frozen=True)
class Cost:
    """Optimiser steps, and windows handed to them.

    Attributes
    ----------
    before, after : (int, int)
        Steps and windows before the target's head was put on, and after it.
    """

    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.before[0] + self.after[0]


def cost_of(record: Record) -> Cost | None:
    """What a record says it cost; None of one that trained no network, or was made earlier."""
    found: Any = record.info.get("cost")
    try:
        before, after = (
            (int(found[part]["steps"]), int(found[part]["windows"])) for part in ("before", "after")
        )
    except (KeyError, TypeError, ValueError):
        return None
    return Cost(before, after)


def costs_of(cells: Iterable[ScoredCell]) -> list[Cost]:
    """Costs of the records that say them."""
    return [cost for cell in cells if (cost := cost_of(cell.record)) is not None]


def wanted_of(record: Record) -> int | None:
    """Steps of its head by a record's parameters, whatever the scale; None where it does not say.

    Records of today say it where a budget cut the training short. Of older ones it is known where
    steps were asked for, and from the calibration windows of each fold where epochs were.
    """
    told: Any = record.info.get("cost")
    told = told.get("after") if isinstance(told, Mapping) else None
    told = told.get("wanted") if isinstance(told, Mapping) else None
    if isinstance(told, int):
        return told
    params = record.identity.get("params")
    epochs, steps, batch = (
        params.get(k) if isinstance(params, Mapping) else None
        for k in ("fit_epochs", "fit_steps", "fit_batch")
    )
    if epochs == "steps":
        return steps if isinstance(steps, int) else None
    sizes = [n for fold in record.folds
             if isinstance(n := fold.get("calibration_windows"), int) and n > 0]
    if not isinstance(epochs, int) or not isinstance(batch, int) or batch < 1 or not sizes \
            or len(sizes) < len(record.folds):
        return None
    # A window that would be a batch by itself is left out.
    return round(fmean(epochs * max(1, n // batch + (n % batch > 1)) for n in sizes))


def columns_of(cells: Sequence[ScoredCell]) -> tuple[str, str]:
    """Steps and windows of a row as tables show them: ``120+40``, ``31k+5.1k``; dashes for none.

    Where pairs, subjects or seeds differ: the fewest and the most.
    """
    costs = costs_of(cells)
    if not costs:
        return "–", "–"
    return tuple(  # type: ignore[return-value]
        "+".join(_range([part[i] for part in parts])
                 for parts in ([c.before for c in costs], [c.after for c in costs]))
        for i in (0, 1)
    )


def short(number: int) -> str:
    """A count in at most four signs or so.

    Examples
    --------
    >>> [short(n) for n in (0, 120, 5120, 30720, 2_560_000)]
    ['0', '120', '5.1k', '31k', '2.6M']
    """
    if number < 1000:
        return str(number)
    if number < 10_000:
        return f"{number / 1000:.1f}k".replace(".0k", "k")
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def _range(numbers: Sequence[int], written: Callable[[int], str] = short) -> str:
    low, high = written(min(numbers)), written(max(numbers))
    return low if low == high else f"{low}–{high}"


def said_of_scale(scale: str) -> str:
    """What a reader must know of a scale at which trainings are cut short; else empty."""
    return (f"At scale {scale} trainings are cut short, each to as many optimiser steps: rankings "
            "at this budget are not to be quoted.") if scale in SHORT else ""


def spent(record: Record) -> str:
    """Steps and windows of a record as a sentence, and what its scale means; empty without any."""
    cost = cost_of(record)
    if cost is None:
        return ""
    wanted = wanted_of(record) or 0
    after = f"of {wanted} after it" if cost.after[0] < wanted else "after it"
    parts = (("before the head for the target", cost.before), (after, cost.after))
    told = " and ".join(f"{steps} {where} ({short(windows)} windows)"
                        for where, (steps, windows) in parts if steps)
    scale = said_of_scale(str(record.identity.get("scale")))
    return f"Optimiser steps: {told}. {scale}".rstrip()


def stopped(rows: Mapping[str, Sequence[ScoredCell]]) -> list[str]:
    """Notes of rows whose head was trained for fewer steps than their parameters say.

    Where pairs, subjects or seeds differ: the fewest and the most.
    """
    notes: dict[str, list[str]] = {}
    for label, cells in rows.items():
        cut = [(cost.after[0], wanted) for cell in cells
               if (cost := cost_of(cell.record)) is not None
               and 0 < cost.after[0] < (wanted := wanted_of(cell.record) or 0)]
        if cut:
            taken, all_ = (_range(its, str) for its in zip(*cut, strict=True))
            notes.setdefault(f"after {taken} of {all_} steps", []).append(label)
    return [f"stopped by the scale {text}: {', '.join(labels)}" for text, labels in notes.items()]


# --- pairs that more steps turn round ------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class _Entry:
    """Scores of one method at one budget, in one column."""

    who: tuple[str, ...]
    label: str
    setting: TableSetting
    column: Column
    scale: str
    lengths: Mapping[str, Any]
    steps: int
    subjects: Mapping[str, float]

    def beside(self, others: Sequence[_Entry]) -> _Entry | None:
        """Which of another method's was trained by the same rule; else one that has no steps."""
        alike = [o for o in others if o.scale == self.scale and all(
            self.lengths[k] == v for k, v in o.lengths.items() if k in self.lengths)]
        return next(iter(alike or [o for o in others if not o.steps]), None)


def entry(
    key: RowKey, setting: TableSetting, column: Column, cells: Sequence[ScoredCell],
    subjects: Mapping[str, float],
) -> _Entry:
    """What is compared of a row in a column.

    Parameters
    ----------
    cells : sequence of ScoredCell
        Behind the score.
    subjects : mapping
        Subject to score.
    """
    params = cells[0].params
    rest = sorted((k, repr(v)) for k, v in params.items() if k not in _LENGTHS)
    lengths = {k: params[k] for k in _LENGTHS if k in params}
    steps = max((cost.steps for cost in costs_of(cells)), default=0)
    return _Entry(
        (key.method, key.network, repr(rest)), replace(key, variant="").label,
        replace(setting, scale=""), column, setting.scale, lengths, steps, subjects,
    )


def turned(entries: Sequence[_Entry]) -> dict[str, list[str]]:
    """Pairs of methods whose order twice the steps turn round, by scale of the fewer steps.

    Both must have been run at both budgets on the same windows, at least one with twice the steps
    and neither with fewer. Named is who changes places by more than chance over subjects does, or
    by any amount where there are too few subjects to say.
    """
    places: dict[tuple[Any, ...], dict[tuple[str, ...], list[_Entry]]] = {}
    for one in entries:
        place = places.setdefault((one.setting, one.column), {})
        place.setdefault(one.who, []).append(one)
    found: dict[str, list[str]] = {}
    for methods in places.values():
        for a, b in combinations(sorted(methods), 2):
            for few, text in _turns(methods[a], methods[b]):
                found.setdefault(few, []).append(text)
    return {scale: _listed(texts) for scale, texts in found.items()}


def _turns(a: Sequence[_Entry], b: Sequence[_Entry]) -> Iterator[tuple[str, str]]:
    both = [(one, one.beside(b)) for one in a] if any(one.steps for one in a) else [
        (other.beside(a), other) for other in b]
    for (one, other), (more, against) in permutations(both, 2):
        if one is None or more is None or other is None or against is None:
            continue
        steps = [(one.steps, more.steps), (other.steps, against.steps)]
        if any(s > m for s, m in steps) or not any(0 < _MORE * s <= m for s, m in steps):
            continue
        subjects = [s for s in one.subjects
                    if all(s in e.subjects for e in (other, more, against))]
        first = [one.subjects[s] - other.subjects[s] for s in subjects]
        second = [more.subjects[s] - against.subjects[s] for s in subjects]
        if subjects and _turned(first, second):
            means = [sum(d) / len(d) for d in (first, second)]
            name = (f"{one.label} against {other.label} on {one.column.pair}: "
                    f"{signed(means[0])} after {one.steps or other.steps} steps, "
                    f"{signed(means[1])} after {more.steps or against.steps}")
            yield one.scale, name


def _turned(first: Sequence[float], second: Sequence[float]) -> bool:
    if sum(first) * sum(second) >= 0:
        return False
    change = mean_interval([b - a for a, b in zip(first, second, strict=True)])
    return change is None or not change[0] <= 0 <= change[1]


def _listed(texts: Sequence[str]) -> list[str]:
    texts = list(dict.fromkeys(texts))
    more = len(texts) - _NAMED
    named = [f"more steps turn a pair round: {t}" for t in texts[:_NAMED]]
    return named + ([f"more steps turn {more} more pairs round"] if more > 0 else [])
