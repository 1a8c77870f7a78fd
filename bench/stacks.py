"""Which cells of a sweep are trained together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from .cache import key_of
from .plan import CellSpec

#: Cells of one stack, unless asked for, on an accelerator: there the launch of a kernel costs as
#: much as a few models' arithmetic. Not measured; memory that does not suffice halves the stack.
ON_ACCELERATOR = 8
#: And on a CPU: its cores are busy with one cell's folds already.
ON_CPU = 1


def usual(device: str, elsewhere: bool) -> int:
    """Most cells of a stack where nothing was asked for."""
    return ON_CPU if elsewhere or device == "cpu" else ON_ACCELERATOR


def stacks(
    todo: Sequence[CellSpec], most: int, stacking: Callable[[CellSpec], bool]
) -> list[list[CellSpec]]:
    """Cells in groups that differ in their seed only, no longer than ``most``.

    A group stands where its first cell stood in the queue.

    Parameters
    ----------
    todo : sequence of CellSpec
    most : int
    stacking : callable
        Whether the method of a cell can be trained on several seeds at once.
    """
    if most == 1:
        return [[spec] for spec in todo]
    out: list[list[CellSpec]] = []
    open_: dict[str, list[CellSpec]] = {}
    can: dict[str, bool] = {}
    for spec in todo:
        alike = key_of({k: v for k, v in asdict(spec).items() if k not in ("seed", "control")})
        if alike not in can:
            can[alike] = stacking(spec)
        group = open_.get(alike)
        if group is None or len(group) == most or not can[alike]:
            group = open_[alike] = []
            out.append(group)
        group.append(spec)
    return out
