"""What a trial of a tuning is: a cell that cannot see, a store that keeps nothing, its scores."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cell import Cell
from .errors import BenchError
from .protocol import Fold, Folds
from .store import Record, Store

if TYPE_CHECKING:
    from optuna import Trial

#: Windows of the tested part that a trial's folds keep: predictions are still checked on them.
KEPT = 4
#: Share of its epochs that a trial is given before it may be given up.
PRUNE_FROM = 1 / 3
#: Epochs of a trial that are told to the storage, at most about.
REPORTS = 20
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


class Epochs:
    """Scores of a trial's epochs: told to its study, and ended early if they are bad.

    Parameters
    ----------
    trial : Trial
    alone : bool
        Whether to end the training with the trial; in a stack, others go on.
    """

    def __init__(self, trial: Trial, alone: bool) -> None:
        self.trial, self.alone = trial, alone
        self.last: tuple[int, int, float] | None = None
        self.highest = 0
        self.pruned = False

    def report(self, epoch: int, of: int, score: float) -> None:
        """Note an epoch's score; give the trial up if it is worse than most were by then."""
        from optuna import TrialPruned

        again = epoch <= self.highest
        self.last, self.highest = (epoch, of, score), max(epoch, self.highest)
        if again:  # folds that are trained one after the other: the first of them has been told
            return
        if self.pruned or (epoch % max(1, of // REPORTS) and epoch != of):
            return
        self.trial.report(score, epoch)
        if PRUNE_FROM * of <= epoch < of and self.trial.should_prune():
            self.pruned = True
            if self.alone:
                raise TrialPruned

    def outcome(self, score: float | None, name: str, last: bool) -> float | BaseException:
        """Score of the trial, given that of the epoch its rule picks; or why it has none.

        Parameters
        ----------
        score : float or None
        name : str
            Of the rule.
        last : bool
            Whether a run would be scored at its last epoch.
        """
        from optuna import TrialPruned

        if self.pruned:
            return TrialPruned()
        if last and self.last is not None:
            epoch, of, at_last = self.last
            score = at_last if epoch == of else score
        if score is None or not np.isfinite(score):
            return BenchError(
                f"{name} gives no score: no fold has enough data to hold some out"
            )
        return float(score)
