"""What the simulated side of every corpus shares: size, generator, how well one could do."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import cached_arrays, key_with_code
from bench.data.corpus import CorpusAdapter, Inventory, Recording, ordered
from bench.data.recipe import Recipe, read_marker, write_marker
from bench.errors import DataError

from . import attainable, files, reachable
from .brain import PlannedTrial
from .simulator import Generator

#: Windows drawn per recording, about: enough for half a point of accuracy.
_DRAWS = 6000
#: Classes, probabilities and trials of windows that are drawn and classified.
Bound = tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.int64]]
#: Recordings in a folder, given the corpus's own folder and that one, and what was passed over.
InFolder = Callable[[Path, Path], tuple[list[Recording], files.Skipped]]


class SimulatedCorpus(CorpusAdapter):
    """Adapter whose files the simulator can write.

    A subclass says how large its corpus is, and gives :meth:`design` and :meth:`write`.
    """

    #: Folder that is written, as its owner calls it.
    folder: ClassVar[str]
    #: Subjects as distributed, the number of the first, and sessions of each.
    subjects: ClassVar[int]
    first: ClassVar[int] = 1
    sessions: ClassVar[int] = 1
    #: Trials in a session, as distributed.
    trials_per_session: ClassVar[int]

    def design(self, recipe: Recipe, subject: int, session: int) -> list[PlannedTrial]:
        """What :meth:`write` puts into one recording."""
        raise NotImplementedError

    def write(self, folder: Path, generator: Generator) -> None:
        """Write the simulated files into the corpus's folder, which is empty."""
        raise NotImplementedError

    def simulate(self, root: Path, recipe: Recipe) -> None:
        """Write the corpus below ``root``, its marker last."""
        folder = root / self.folder
        folder.mkdir(parents=True)
        self.write(folder, self.generator(recipe))
        write_marker(folder, self.name, recipe)

    def generator(self, recipe: Recipe) -> Generator:
        """Source of this corpus's simulated signals."""
        return Generator(self.name, recipe, self.channels, self.rate, self.trials_per_session)

    def people(self, recipe: Recipe | None) -> range:
        """Numbers of the subjects of a complete copy: the owner's, or those of its recipe."""
        count = self.subjects if recipe is None else min(recipe.subjects, self.subjects)
        return range(self.first, self.first + count)

    def visits(self, recipe: Recipe | None) -> range:
        """Numbers of the sessions of a complete copy, in the same way."""
        count = self.sessions if recipe is None else min(recipe.sessions, self.sessions)
        return range(1, 1 + count)

    def matching(
        self, folder: Path, root: Path, pattern: str, described: str, companions: str
    ) -> tuple[list[tuple[Path, int, re.Match[str]]], files.Skipped]:
        """As :func:`.files.matching`, with the subject, which the pattern's first group says."""
        named, skipped = files.matching(folder, root, pattern, described, companions)
        known, matches = self.people(None), []
        for path, match in named:
            subject = int(match[1])
            if subject in known:
                matches.append((path, subject, match))
            else:
                skipped.append((path, f"{self.name} has subjects {known[0]} to {known[-1]}, not "
                                      f"{subject}"))
        return matches, skipped

    def unique(self, recordings: list[Recording]) -> list[Recording]:
        """The recordings, none twice.

        Raises
        ------
        DataError
            Two files are the same subject and session.
        """
        seen: dict[tuple[int, int], Recording] = {}
        for r in recordings:
            twin = seen.setdefault((r.subject, r.session), r)
            if twin is not r:
                visit = f" in session {r.session}" if self.sessions > 1 else ""
                raise DataError(r.path.parent, f"one file for subject {r.subject}{visit}",
                                f"{twin.path.name} and {r.path.name}", "Remove one of them.")
        return recordings

    def listed(
        self, root: Path, recordings: Sequence[Recording],
        skipped: Collection[tuple[Path, str]] = (), missing: Collection[str] = (),
    ) -> Inventory:
        """Inventory of recordings that are checked, and what a complete copy has beside them."""
        marker = read_marker(root)
        lost = files.absent(recordings, self.people(marker), self.visits(marker))
        return Inventory(root, ordered(recordings), tuple(skipped), (*lost, *missing))

    def first_of(
        self, root: Path, places: Sequence[Path], recordings_in: InFolder, described: str
    ) -> Inventory:
        """Inventory of the first of several folders in which there are recordings.

        Raises
        ------
        MissingCorpusError
            There are none in any.
        """
        skipped: files.Skipped = []
        for place in places:
            recordings, passed = recordings_in(root, place)
            skipped += passed
            if recordings:
                return self.listed(root, recordings, skipped)
        raise files.no_recordings(self, places, described, skipped)

    def attainable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> Bound | None:
        """Windows drawn anew and classified by the generator's true parameters."""
        return self._bound("attainable", recipe, subject, session, labels, classes)

    def reachable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> Bound | None:
        """Windows drawn anew and classified by a linear classifier that has seen very many."""
        return self._bound("reachable", recipe, subject, session, labels, classes)

    def _bound(  # noqa: PLR0917
        self, what: str, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int],
        classes: int,
    ) -> Bound:
        """What all cells of a target ask for, whatever their source, seed and run folder."""
        trials = [t for t in self.design(recipe, subject, session) if t.number in labels]
        y = [labels[t.number] for t in trials]
        of = (subject, session, trials, y, classes)

        def made() -> dict[str, NDArray]:
            if what == "reachable":
                drawn = reachable.reachable(self.generator(recipe), *of)
            else:
                windows = sum(t.samples for t in trials) / self.rate
                repeats = int(np.clip(_DRAWS / max(windows, 1), 1, 20))
                drawn = attainable.attainable(self.generator(recipe), *of, repeats=repeats)
            return dict(zip(("y", "proba", "trial"), drawn, strict=True))

        key = key_with_code(
            type(self), what, self.name, self.channels, self.rate, self.trials_per_session,
            recipe.key(), repr((recipe, *of)),
        )
        arrays, _ = cached_arrays(key, made, folder="bounds")
        return arrays["y"], arrays["proba"], arrays["trial"]


#: A simulated trial is never shorter than this, however small ``recipe.length`` is.
SHORTEST_S = 6


def seconds(true_s: float, recipe: Recipe | None) -> int:
    """Length of a trial in whole seconds: the true one, or its simulated share."""
    if recipe is None:
        return round(true_s)
    return max(SHORTEST_S, round(recipe.length * true_s))
