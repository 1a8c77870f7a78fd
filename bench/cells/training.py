"""What passes between engine and run about a training: what to train, from where, what came of it.

Plain values: they know neither the run they are of nor the engine that trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..data.windows import UnlabelledWindows, Windows
from ..method import Context, Predictor
from ..protocols.base import Fold
from ..protocols.granted import Grant
from ..selection.observer import Observer
from ..selection.tested import Show
from ..store.records import Record


@dataclass(frozen=True)
class PretrainSpec:
    """A pre-trained state that folds of a cell start from.

    Attributes
    ----------
    key : str
        Its name in the run folder.
    digest : str
        Of the source.
    source : Windows or UnlabelledWindows
        What it is trained on.
    context : Context
    stored : bool
        Whether one that is stored may take its place.
    """

    key: str
    digest: str
    source: Windows | UnlabelledWindows
    context: Context
    stored: bool

    @property
    def name(self) -> str:
        """Tells states of one stack apart; one that is not to be stored is each cell's own."""
        return self.key if self.stored else f"{self.key} of {self.context.cell}"


@dataclass(frozen=True, eq=False)
class Training:
    """Folds of a cell to be trained, and how to watch it.

    Attributes
    ----------
    folds : list of Fold
        What the method may see of each, and its test windows (or those held out).
    new_observer : callable
        Makes an observer that has seen nothing yet: a training that failed in the company of
        others is begun anew.
    """

    folds: list[Fold]
    new_observer: Callable[[], Observer]


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What came of a training.

    Attributes
    ----------
    observer : Observer
        What was seen while it went on.
    predictors : list of Predictor
        One for each fold.
    stack : int
        How many cells were fitted together.
    reused : bool
        Whether there was a pre-training, and all of it was taken from the run folder.
    """

    observer: Observer
    predictors: list[Predictor]
    stack: int
    reused: bool


class Elsewhere(Protocol):
    """The way from a training to the process that holds its labels."""

    grant: Grant

    def new_attempt(self) -> Show:
        """The way for what a training shows; all that was shown before is void."""

    def hand_back(self, record: Record, predicted: Any, models: Mapping[str, bytes]) -> None:
        """Have what the last attempt came to scored: a :class:`bench.cells.scored.Predicted`."""
