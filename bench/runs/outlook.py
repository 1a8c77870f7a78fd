"""How long a run will still take: over all its stages, its controls included.

A guess by what went before: each training stands for its share of the optimiser steps, and what is
left takes as long as it did so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..cells.cell import Cell, Event, OnEvent
from ..selection.rules import rule
from ..store.shown import spoken

#: Share of a cell that trains no network, in optimiser steps; one of a stage without a limit.
_SMALL, _UNLIMITED = 5.0, 400.0
#: Nothing is said before so much of it is over, or so many seconds.
_LEAST, _FIRST = 0.02, 2.0


class Outlook:
    """Watcher that adds to each event how long all stages together will still take.

    Parameters
    ----------
    on_event : callable
        Who is told.
    clock : callable
        Seconds, for tests.
    """

    def __init__(self, on_event: OnEvent, clock: Callable[[], float] = time.monotonic) -> None:
        self.on_event, self.clock = on_event, clock
        self.weights: list[list[float]] = []
        self.cell = -1
        self.stages: list[str] = []
        self.share = 0.0
        self.began: float | None = None

    def expect(self, cells: Sequence[Cell]) -> None:
        """Say what is to be run, in this order."""
        self.weights = [stage_steps(cell) for cell in cells]

    def begin(self) -> None:
        """The next cell begins."""
        self.cell, self.stages, self.share = self.cell + 1, [], 0.0
        self.began = self.clock() if self.began is None else self.began

    def __call__(self, event: Event) -> None:
        """Pass an event on, with the time left."""
        if event.unit and event.total and 0 <= self.cell < len(self.weights):
            if event.stage not in self.stages:
                self.stages.append(event.stage)
            self.share = event.done / event.total
            event = replace(event, left=self.left())
        self.on_event(event)

    def left(self) -> float | None:
        """Seconds left; None before enough is over to say."""
        whole = sum(map(sum, self.weights))
        done = sum(map(sum, self.weights[: self.cell]))
        own = self.weights[self.cell]
        current = max(0, min(len(self.stages), len(own)) - 1)
        done += sum(own[:current]) + own[current] * self.share
        took = self.clock() - (self.began or 0.0)
        if not whole or done / whole < _LEAST or took < _FIRST:
            return None
        return max(0.0, took * (whole - done) / done)


def stage_steps(cell: Cell) -> list[float]:
    """Optimiser steps of each training of a cell, in the order in which they are done."""
    method, budget = cell.method, cell.budget
    trained = bool(method.stacks) or method.pretrains
    if not trained:
        return [_SMALL]
    pretrain, fit = (_UNLIMITED if n is None else float(n) for n in (budget.pretrain, budget.fit))
    fitted = pretrain if not method.pretrains and method.needs.source != "none" else fit
    own = [pretrain, fit] if method.pretrains else [fitted]
    # A rule that holds data out has a training of its own before.
    held = own if rule(cell.selection).holds_out else []
    return [*held, *own]


def said_of_scale(cell: Cell, seconds: float | None) -> str:
    """What a run without a limit of steps will cost, for a person; empty of one with a limit."""
    if cell.budget.pretrain is not None or stage_steps(cell) == [_SMALL]:
        return ""
    cost = "minutes to hours" if seconds is None else f"{spoken(seconds)} the last time here"
    return (f"scale {cell.scale}: as many epochs as the parameters say, which takes {cost}; "
            "--scale demo is a quick look, --scale table a short training for whole tables")
