"""What the simulated side of every corpus shares: its generator, and how well one could do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import cached_arrays, key_with_code
from bench.data.corpus import CorpusAdapter, Features, Inventory, OfficialFeatures
from bench.data.recipe import Recipe
from bench.errors import SettingError

from .brain import PlannedTrial

if TYPE_CHECKING:
    from .simulator import Generator

#: Windows drawn per recording, about: enough for half a point of accuracy.
_DRAWS = 6000
#: Classes, probabilities and trials of windows that are drawn and classified.
Bound = tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.int64]]


class SimulatedCorpus(CorpusAdapter):
    """Adapter whose files the simulator can write."""

    #: Trials in a session, as distributed.
    trials_per_session: ClassVar[int]

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`simulate` writes into one recording."""
        raise NotImplementedError

    def generator(self, recipe: Recipe) -> Generator:
        """Source of this corpus's simulated signals."""
        from .simulator import Generator

        return Generator(self.name, recipe, self.channels, self.rate, self.trials_per_session)

    def attainable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> Bound | None:
        """Windows drawn anew and classified by the generator's true parameters."""
        def made() -> Bound:
            from .attainable import attainable

            windows = sum(t.samples for t in trials) / self.rate
            repeats = int(np.clip(_DRAWS / max(windows, 1), 1, 20))
            return attainable(
                self.generator(recipe), subject, session, trials, y, classes, repeats=repeats)

        trials = self._trials_of(recipe, subject, session, labels)
        y = [labels[t.number] for t in trials]
        return self._cached(made, "attainable", recipe, subject, session, trials, y, classes)

    def reachable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> Bound | None:
        """Windows drawn anew and classified by a linear classifier that has seen very many."""
        def made() -> Bound:
            from .reachable import reachable

            return reachable(self.generator(recipe), subject, session, trials, y, classes)

        trials = self._trials_of(recipe, subject, session, labels)
        y = [labels[t.number] for t in trials]
        return self._cached(made, "reachable", recipe, subject, session, trials, y, classes)

    def _cached(self, made: Callable[[], Bound], what: str, recipe: Recipe, *of: object) -> Bound:
        """What all cells of a target ask for, whatever their source, seed and run folder."""
        key = key_with_code(
            type(self), what, self.name, self.channels, self.rate, self.trials_per_session,
            recipe.key(), repr(of),
        )
        names = ("y", "proba", "trial")
        arrays, _ = cached_arrays(
            key, lambda: dict(zip(names, made(), strict=True)), folder="bounds")
        y, proba, trial = (arrays[name] for name in names)
        return y, proba, trial

    def _trials_of(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int]
    ) -> list[PlannedTrial]:
        return [t for t in self.design(recipe, subject, session) if t.number in labels]


class WithoutFeatures(SimulatedCorpus):
    """Adapter of a corpus whose owners distribute signals and no features."""

    def only_bench(self, features: Features) -> None:
        """Refuse the owners' features.

        Raises
        ------
        SettingError
        """
        if features != "bench":
            raise SettingError(f"{self.name}'s owners distribute no features",
                               "Use --features bench: every corpus then has the same ones.")

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Never: there are none.

        Raises
        ------
        SettingError
        """
        self.only_bench("official")
        raise AssertionError


#: A simulated trial is never shorter than this, however small ``recipe.length`` is.
SHORTEST_S = 6


def seconds(true_s: float, recipe: Recipe | None) -> int:
    """Length of a trial in whole seconds: the true one, or its simulated share."""
    if recipe is None:
        return round(true_s)
    return max(SHORTEST_S, round(recipe.length * true_s))
