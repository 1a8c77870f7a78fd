"""What a cell of a network that has never run here will take: from steps that are timed.

Windows are made up, so no corpus is read. Steps before the head and after it are timed apart, and
multiplied by how many a scale has. It tells minutes from hours, not more: real windows have other
numbers of channels, and a cell also reads, scores and stores.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..cells.cell import BUDGETS
from ..cells.proof import Case, synthetic
from ..data.pair import Pair
from ..data.reading import any_inventory
from ..errors import BenchError
from ..method import Budget, Context, Method, observing
from ..protocols.base import Protocol
from ..registry import entries, load
from ..selection.looking import generators_kept
from .lookup import corpus_root, is_simulated, make_protocol, simulated_recipe
from .options import CellOptions

#: Steps of a short training and of a longer one; what they differ by is timed.
_SHORT, _LONG = 2, 6
#: Enough windows for whole batches: channels, subjects, and trials of ten windows a class.
_CHANNELS, _SUBJECTS, _TRIALS = 32, 5, 8
#: Subjects of a corpus that can't be counted.
_USUAL = 15


def seconds_by_steps(
    cells: Iterable[tuple[str, Mapping[str, Any], str, Mapping[str, Any]]], scale: str,
    folds: int, limit: float = 2.0,
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds that a cell of each network is likely to take.

    Parameters
    ----------
    cells : iterable of (method, parameters, protocol, options)
        The first of each method is timed.
    scale, folds
        As for :func:`seconds_of_cell`.
    limit : float
        Seconds after which no further method is begun; one is timed in any case.

    Returns
    -------
    timed, others : dict of str to float
        Of the networks whose steps were timed; and of those there was no time for, as long as
        these take on the mean.
    """
    began = time.perf_counter()
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401  its import is no step

    found: dict[str, float] = {}
    others: list[str] = []
    for name, params, protocol, options in cells:
        if name in found or name not in entries("methods"):  # "attainable" is none
            continue
        cls = load("methods", name)
        method = cls(cls.parse(params))
        if not (method.pretrains or method.stacks):
            continue
        if found and time.perf_counter() - began > limit:
            others.append(name)
            continue
        seconds = seconds_of_cell(
            method, make_protocol(load("protocols", protocol), options), scale, folds)
        if seconds is not None:
            found[name] = seconds
    mean = sum(found.values()) / max(1, len(found))
    return found, dict.fromkeys(others, mean) if found else {}


def subjects_of(target: str, options: CellOptions) -> int:
    """How many people a corpus has, by its recipe or its files; a usual number if none is there."""
    corpus = target.partition(":")[0]
    try:
        if is_simulated(corpus, options):
            return simulated_recipe(options).subjects
        found = any_inventory(load("corpora", corpus)(), corpus_root(corpus, options))
    except BenchError:
        return _USUAL
    return len({r.subject for r in found.recordings}) or _USUAL


def seconds_of_cell(
    method: Method, protocol: Protocol, scale: str, folds: int
) -> float | None:
    """Seconds that a cell of a method is likely to take on this machine.

    Parameters
    ----------
    method, protocol
        With their parameters.
    scale : str
        By which training is cut short, or ``published``.
    folds : int
        Recordings of the target.

    Returns
    -------
    float or None
        None if the method can't be tried on made-up windows of differential entropy.
    """
    windows = [synthetic(name, 3, _CHANNELS, subjects=_SUBJECTS, trials=_TRIALS, effect=1.0)
               for name in "AB"]
    pair = Pair(windows[0], windows[1], "A:own", "B:own", ("a", "b"))
    budgets = (Budget(_SHORT, _SHORT), Budget(_SHORT, _SHORT), Budget(_LONG, _SHORT),
               Budget(_LONG, _LONG))
    try:
        _, short, before, both = (_tried(method, protocol, pair, b) for b in budgets)
    except Exception:  # a plugin may raise anything; a run will say what
        return None
    wanted = _steps(method, scale)
    first = _a_step(short, before, "before")
    head = _a_step(before, both, "after")
    rest = max(0.0, short[0] - _SHORT * (first + head))
    # What comes before the head is shared by all folds, but where each has a training of its own.
    shared = 1 if method.pretrains or method.needs.source == "none" else folds
    return shared * first * wanted["before"] + folds * (head * wanted["after"] + rest)


def _tried(
    method: Method, protocol: Protocol, pair: Pair, budget: Budget
) -> tuple[float, Mapping[str, int]]:
    """Seconds of a training of one fold, and its optimiser steps."""
    meter = _Meter()
    case = Case.of(method, protocol, pair, budget)
    with observing(meter), generators_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit of so few steps has not converged
        began = time.perf_counter()
        case.train()
        return time.perf_counter() - began, meter.steps


class _Meter:
    """Counts the steps of a training."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()

    def __call__(self, ctx: Context, *told: Any) -> None:
        """An epoch is over."""

    def spent(self, ctx: Context, part: str, steps: int, windows: int, wanted: int) -> None:
        """Steps were taken."""
        self.steps[part] += steps


def _a_step(
    short: tuple[float, Mapping[str, int]], longer: tuple[float, Mapping[str, int]], part: str
) -> float:
    """Seconds of one step, by what two trainings differ in."""
    more = longer[1].get(part, 0) - short[1].get(part, 0)
    return max(0.0, longer[0] - short[0]) / more if more > 0 else 0.0


def _steps(method: Method, scale: str) -> dict[str, float]:
    """Optimiser steps of a scale, before the head and after it."""
    budget, q = BUDGETS[scale], method.params
    draw, batch = getattr(q, "windows_per_epoch", 0), getattr(q, "batch", 1)
    before = getattr(q, "epochs", 0) * math.ceil(draw / batch)
    after = getattr(q, "fit_steps", 0)
    return {"before": before if budget.pretrain is None else budget.pretrain,
            "after": after if budget.fit is None else budget.fit}
