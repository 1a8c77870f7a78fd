"""What a trial of a tuning is: a cell that cannot see, a store that keeps nothing, its scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..cells.cell import Cell
from ..errors import BenchError
from ..protocols.base import Fold, Folds

if TYPE_CHECKING:
    from optuna import Trial

#: Windows of the tested part that a trial's folds keep: predictions are still checked on them.
KEPT = 4
#: Share of its epochs that a trial is given before it may be given up.
PRUNE_FROM = 1 / 3
#: Epochs of a trial that are told to the storage, at most about.
REPORTS = 20


class TrialCell(Cell):
    """A cell whose tested windows are a few, all said to be of the first class."""

    def folds(self) -> Folds:
        """Folds without what a trial must not see."""
        cut = super().folds()
        return replace(cut, folds=[_blinded(f) for f in cut.folds])


def _blinded(fold: Fold) -> Fold:
    test = fold.open_test()
    some = test.take(np.linspace(0, len(test) - 1, min(KEPT, len(test))).astype(int))
    return fold.changed(test=replace(some, y=np.zeros_like(some.y)))


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
