"""What a simulated recording will hold: shared by the writers and by the simulator's own checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.recipe import Recipe

if TYPE_CHECKING:  # at run time the simulator may import this module
    from .simulator import Emotion

#: A simulated trial is never shorter than this, however small ``recipe.length`` is.
SHORTEST_S = 6


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a simulated recording.

    Attributes
    ----------
    number : int
        The owner's trial number, from 1.
    order : int
        Rank of presentation in the session, from 0.
    emotion : Emotion
        What the signal expresses.
    samples : int
        Length at the corpus's rate, without DEAP's baseline.
    values : mapping of str to float
        Stimulus class or ratings, as the reader will give them.
    """

    number: int
    order: int
    emotion: Emotion
    samples: int
    values: Mapping[str, float] = field(default_factory=dict)


def seconds(true_s: float, recipe: Recipe | None) -> int:
    """Length of a trial in whole seconds: the true one, or its simulated share."""
    if recipe is None:
        return round(true_s)
    return max(SHORTEST_S, round(recipe.length * true_s))
