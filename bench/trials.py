"""What a trial of a tuning runs on: a cell that cannot see, and a store that keeps nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .cell import Cell
from .protocol import Fold, Folds
from .store import Record, Store

#: Windows of the tested part that a trial's folds keep: predictions are still checked on them.
KEPT = 4
#: Pre-trained states kept in memory while trials go on.
STATES = 8


class TrialCell(Cell):
    """A cell whose tested windows are a few, all said to be of the first class."""

    def folds(self) -> Folds:
        """Folds without what a trial must not see."""
        cut = super().folds()
        return replace(cut, folds=[_blinded(f) for f in cut.folds])


def _blinded(fold: Fold) -> Fold:
    test = fold.open_test()
    some = test.take(np.linspace(0, len(test) - 1, min(KEPT, len(test))).astype(int))
    return Fold(fold.subject, fold.session, fold.view, replace(some, y=np.zeros_like(some.y)))


class TrialStore(Store):
    """Stands in for the run folder: keeps no record, and pre-trained states in memory."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root)
        self.states: OrderedDict[str, tuple[Any, dict[str, list[float]]]] = OrderedDict()

    def get(self, cell: str) -> Record | None:
        """None: trials are no records."""
        return None

    def put(
        self, record: Record, predictions: Any = None, models: Mapping[str, bytes] | None = None
    ) -> Path:
        """Keep nothing."""
        return self.root

    def get_state(self, key: str) -> tuple[Any, dict[str, list[float]]] | None:
        """State of an earlier trial with the same pre-training, or of the run folder."""
        return self.states.get(key) or super().get_state(key)

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Keep the latest few."""
        self.states[key] = state, curve
        while len(self.states) > STATES:
            self.states.popitem(last=False)
