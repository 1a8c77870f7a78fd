"""Which cells of a sweep are trained together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from ..store.hashing import key_of
from .plan import CellSpec

#: Most cells of one stack, unless asked for, on an accelerator: there a step of 60 networks takes
#: little longer than one of a single network. Those that there is no room for at once
#: (:class:`bench.devices.Room`) are trained one part after the other.
ON_ACCELERATOR = 64
#: And on a CPU: its cores are busy with one cell's folds already.
ON_CPU = 1
#: Of a cell, what its training does not depend on, or what a stack does not share.
IRRELEVANT = ("seed", "control", "origin", "tuning")
#: Seeds of a sweep that names none, where they are one stack.
SEEDS = 3


def usual(device: str, elsewhere: bool) -> int:
    """Most cells of a stack where nothing was asked for."""
    return ON_CPU if elsewhere or device == "cpu" else ON_ACCELERATOR


def stacks(
    todo: Sequence[CellSpec], most: int, stacking: Callable[[CellSpec], frozenset[str] | None]
) -> list[list[CellSpec]]:
    """Cells in groups that differ in their seed and in numbers only, no longer than ``most``.

    A group stands where its first cell stood in the queue.

    Parameters
    ----------
    todo : sequence of CellSpec
    most : int
    stacking : callable
        Names of the parameters in which cells of a stack may differ, by a cell of it; None where
        the method cannot be trained on several cells at once.
    """
    if most == 1:
        return [[spec] for spec in todo]
    out: list[list[CellSpec]] = []
    open_: dict[str, list[CellSpec]] = {}
    can: dict[str, frozenset[str] | None] = {}
    for spec in todo:
        rest = {k: v for k, v in asdict(spec).items() if k not in IRRELEVANT}
        whole = key_of(rest)
        if whole not in can:
            can[whole] = stacking(spec)
        own = can[whole]
        alike = key_of(rest | {
            "params": {k: v for k, v in spec.params.items() if k not in (own or ())}
        })
        group = open_.get(alike)
        if group is None or len(group) == most or own is None:
            group = open_[alike] = []
            out.append(group)
        group.append(spec)
    return out
