"""What only labels can say of the epochs of a training: accuracies, and the oracle's epoch.

A training shows probabilities of test windows, wherever it goes on; who holds the labels judges
them, and nothing of it comes back to the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Subject and session of a fold, and its part where it has several.
Key = tuple[int, ...]
#: Probabilities (n, classes) of windows.
Proba = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SelectedEpoch:
    """Epoch that a rule chose on a fold.

    Attributes
    ----------
    epoch, of : int
        Number of the epoch, from 1, and how many there were.
    score : float or None
        Its validation score.
    proba : (n, classes) or None
        Probabilities of the test windows at this epoch.
    """

    epoch: int
    of: int
    score: float | None = None
    proba: Proba | None = None

    def within(self, epochs: int) -> int:
        """The epoch after the same share of a training of another length."""
        return max(1, round(self.epoch / self.of * epochs))


@dataclass(frozen=True, eq=False)
class Look:
    """What a network predicts after an epoch, for the test windows of the folds it is of.

    Attributes
    ----------
    stage : str
    number, of : int
        Of the epoch, from 1; 0 says that the stage begins anew.
    curve : str
        ``subject/session`` (and ``/part``) where each fold has a curve of its own, else empty.
    probas : mapping of key to (n, classes)
    """

    stage: str
    number: int
    of: int
    curve: str
    probas: Mapping[Key, Proba]


#: Told what is predicted for test windows, and says nothing back.
Show = Callable[[Look], None]


class Tested:
    """Judges the epochs of a training by the labels of the test windows.

    Parameters
    ----------
    labels : mapping of key to (n,) int
        Classes of the test windows of each fold.
    """

    def __init__(self, labels: Mapping[Key, NDArray[np.int64]]) -> None:
        self.labels = labels
        #: Epoch of the highest accuracy of each fold, the first of equals.
        self.picks: dict[Key, SelectedEpoch] = {}
        self._stage: dict[Key, str] = {}
        self._curves: dict[tuple[str, str], list[float]] = {}

    def __call__(self, look: Look) -> None:
        """Judge an epoch."""
        if not look.number:
            self._curves = {k: c for k, c in self._curves.items() if k[0] != look.stage}
            return
        found = []
        for key, proba in look.probas.items():
            if self._stage.get(key) != look.stage:  # a later stage ends in another network
                self.picks.pop(key, None)
            self._stage[key] = look.stage
            accuracy = round(float((proba.argmax(axis=1) == self.labels[key]).mean()), 6)
            best = self.picks.get(key)
            if best is None or accuracy > (best.score or 0.0):
                self.picks[key] = SelectedEpoch(look.number, look.of, accuracy, proba)
            found.append(accuracy)
        self._curves.setdefault((look.stage, look.curve), []).append(round(fmean(found), 6))

    def add_to(self, curves: Mapping[str, Any]) -> None:
        """Write the accuracies into the curves of the training that was watched."""
        for (stage, name), values in self._curves.items():
            curve = curves[stage][name] if name else curves[stage]
            curve["test_accuracy"] = values
