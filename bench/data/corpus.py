"""Contract of a corpus adapter, and how a corpus becomes windows.

An adapter knows one owner's file layout and nothing else: which files there are
(:meth:`CorpusAdapter.inventory`), what stands in one (:meth:`CorpusAdapter.read`), and how trials
are labelled (:meth:`CorpusAdapter.trials`). Features, caching, labels and checks of the signals
live here, once, for every corpus.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingError, UnknownNameError
from .downloads.source import Download
from .labels import Task
from .recipe import Recipe
from .windows import FIVE_BANDS, Windows

#: Our own features from raw signals; the owner's; the owner's in 4-s windows, given several.
Features = Literal["bench", "official", "official-4s"]
#: What can be asked for: also raw windows, for which files are read as for our own features.
FEATURES: tuple[str, ...] = ("bench", "raw", "official", "official-4s")


@dataclass(frozen=True)
class Recording:
    """Trials of one subject and session, in one file; several recordings may share a file.

    Attributes
    ----------
    path : Path
    subject, session : int
    others : tuple of Path
        Further files that :meth:`CorpusAdapter.read` uses: a change of any is noticed.
    """

    path: Path
    subject: int
    session: int
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """What a folder holds of a corpus.

    Attributes
    ----------
    root : Path
        Folder that directly holds the corpus's own sub-folders.
    recordings : tuple of Recording
        Ordered by (subject, session), as integers.
    skipped : tuple of (Path, str)
        Files in the recordings' folders that are none, and why each was passed over.
    missing : tuple of str
        What a complete download has and this folder has not, in words.
    """

    root: Path
    recordings: tuple[Recording, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TrialSignal:
    """What one file stores for one trial.

    Attributes
    ----------
    number : int
        The owner's trial number, from 1 (never a position in a file).
    data : float array
        Raw: (channels, samples) in the adapter's channel order, at ``rate``.
        Official features: (channels, windows, bands).
    values : mapping of str to float
        Ratings stored beside the signal (DEAP); empty where labels live in another file.
    """

    number: int
    data: NDArray[Any]
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialInfo:
    """What the corpus says of one trial outside the signal.

    Attributes
    ----------
    stimulus : int
        Clip; equal numbers mean the same clip anywhere in the corpus.
    order : int or None
        Rank of presentation in the session, from 0; None if the files do not tell.
    values : mapping of str to float
        Stimulus class or ratings, merged over :attr:`TrialSignal.values`.
    """

    stimulus: int
    order: int | None
    values: Mapping[str, float] = field(default_factory=dict)


class NumberedTrials(dict[int, TrialInfo]):
    """What :meth:`CorpusAdapter.trials` gives where a recording's file says all of its trials.

    Every number is a trial of its own, whose values stand beside its signal. Its rank is that of
    its number, or not known.

    Examples
    --------
    >>> NumberedTrials(order=True)[3]
    TrialInfo(stimulus=3, order=2, values={})
    """

    def __init__(self, order: bool) -> None:
        super().__init__()
        self.order = order

    def __getitem__(self, number: int) -> TrialInfo:
        return TrialInfo(number, number - 1 if self.order else None)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number > 0

    def get(self, number: int, default: Any = None) -> Any:
        """The trial of a number."""
        return self[number] if isinstance(number, int) and number > 0 else default


@dataclass(frozen=True)
class OfficialFeatures:
    """What the owner's feature files hold.

    Attributes
    ----------
    name : str
        As chosen by ``--official-kind``, e.g. ``"de_LDS"``.
    window_s : float
        Length of their windows.
    smoothing : str
        "none", "LDS" or "movingAve".
    """

    name: str
    window_s: float
    smoothing: str


class CorpusAdapter(abc.ABC):
    """Reader (and simulator) of one corpus in its owner's layout, and the contract of one.

    An adapter knows one owner's files and nothing else. It yields trials; features, cache, labels
    and checks of the signals are the engine's, the same for every corpus. It keeps no state (an
    object is made whenever one is needed), imports no torch, opens nothing outside of the folder it
    is given, and fails with a :class:`~bench.errors.DataError` that names the place, what was
    expected and what was found.

    **What must be there.** ``name``, ``title``, ``access``, ``layout``, ``channels``, ``rate``,
    ``tasks``, and :meth:`inventory`, :meth:`read` and :meth:`trials`.

    **What is called, and when.** To read a corpus:

    1. :meth:`inventory` with the folder that the user named: which recordings are there, and what
       is missing or was passed over.
    2. :meth:`official`, only with ``--features official``: window length and smoothing.
    3. For each recording chosen, ordered by subject and session: :meth:`read`, unless the cache has
       the features of this file (its key holds the file's hash and ``version``), then
       :meth:`trials`, always.
    4. ``Task.label`` of the values of each trial: those of :class:`TrialSignal`, overridden by
       those of :class:`TrialInfo`. A trial that the task drops is left out.

    **Shapes and units.** Raw signals are (channels, samples), rows in the order of ``channels``, at
    ``rate`` samples per second, in any unit and unsmoothed: differential entropy of two corpora is
    compared after scaling only. Owner's features are (channels, windows, bands), bands as in
    ``official_bands``. Numbers of subjects, sessions and trials are the owner's, from 1.

    **Simulation.** :meth:`simulate`, which may be left out, writes the same layout from a
    :class:`Recipe`, so that every path of the reader is tested without data of a person.
    :meth:`attainable` may say how well its windows can be classified by who knows the truth.

    ``datasets/deap.py`` is the example to read; ``datasets/shared/`` finds folders, reads MATLAB
    files and pickles, and holds the generator of simulated signals.

    Examples
    --------
    What a catalogue file for ``--include`` holds:

    >>> from bench.registry import Entry
    >>> CATALOGUE = [Entry("MINE", ":Mine", "12 subjects, 20 clips", group="corpora")]
    """

    #: Name on the command line, e.g. ``"SEED-IV"``.
    name: ClassVar[str]
    #: Full title and citation.
    title: ClassVar[str]
    #: Where the data is requested, in one sentence with the address.
    access: ClassVar[str]
    #: The expected folders and files, drawn as a tree (shown when a corpus is missing).
    layout: ClassVar[str]
    #: Electrodes in the file's own order, owner's spelling.
    channels: ClassVar[tuple[str, ...]]
    #: Samples per second of the raw files.
    rate: ClassVar[float]
    #: Ways to label it; the first is the default.
    tasks: ClassVar[tuple[Task, ...]]
    #: Raised whenever reading changes what comes out; part of the cache key.
    version: ClassVar[int] = 1
    #: Band edges of the owner's features in Hz.
    official_bands: ClassVar[tuple[tuple[float, float], ...]] = FIVE_BANDS
    #: Kinds of owner's features (names for ``--official-kind``), the first is the default.
    official_kinds: ClassVar[tuple[str, ...]] = ()
    #: Of an open corpus: where ``bench data get`` fetches it.
    download: ClassVar[Download | None] = None
    #: Folder that the corpus is bound to, so that nothing else says where it is.
    place: ClassVar[Path | None] = None
    #: Seconds of the pieces of longer recordings that stand for trials; 0: trials are trials.
    #: Windows, records and tables then carry a mark.
    pieces_s: ClassVar[float] = 0.0
    #: Name of the set of its stimuli, where another corpus showed the same clips under the same
    #: numbers; empty: its stimuli are its own. See ``--hold-out stimulus``.
    stimulus_set: ClassVar[str] = ""

    @abc.abstractmethod
    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the recordings below ``root``.

        ``root`` may be the corpus's own folder (under any name) or a folder that contains it.

        Raises
        ------
        MissingCorpusError
            Nothing of the corpus is there: says where to request it and what was expected.
        """

    @abc.abstractmethod
    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of one file, ordered by trial number, shapes checked.

        Raises
        ------
        DataError
            Truncated, wrong shape, missing trials, not a file of this corpus.
        """

    @abc.abstractmethod
    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Stimulus, order and stimulus class of each trial number of a recording.

        What had to be assumed is appended to ``notices``, once, in a sentence for the user.
        """

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Window length and smoothing of the owner's features found at ``inventory``."""
        raise NotImplementedError(f"{self.name} has no features of its owner")

    def simulate(self, root: Path, recipe: Recipe) -> None:
        """Write the corpus below ``root`` in the owner's exact layout; may be left out.

        Raises
        ------
        SettingError
            The adapter has no simulator.
        """
        raise SettingError(f"{self.name} has no simulator", "Point at its files with --data DIR.")

    @property
    def simulates(self) -> bool:
        """Whether it has a simulator."""
        return type(self).simulate is not CorpusAdapter.simulate

    def attainable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.int64]] | None:
        """How well 1-s windows of a simulated recording can be classified by who knows the truth.

        Parameters
        ----------
        labels : mapping of trial number to class
            Trials to classify.
        classes : int

        Returns
        -------
        y, probabilities (n, classes), trial ids, of windows drawn anew; None if not known.
        """
        return None

    def reachable(
        self, recipe: Recipe, subject: int, session: int, labels: Mapping[int, int], classes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.int64]] | None:
        """How well the best linear classifier of features does; as :meth:`attainable`."""
        return None

    def windows(self) -> Windows | None:
        """Windows of a corpus that is some already: nothing of it is then read; else None."""
        return None

    @property
    def is_windows(self) -> bool:
        """Whether it is windows already."""
        return type(self).windows is not CorpusAdapter.windows

    def task(self, name: str | None) -> Task:
        """Task by name; the default for None.

        Raises
        ------
        UnknownNameError
        """
        if name is None:
            return self.tasks[0]
        for task in self.tasks:
            if task.name.lower() == name.lower():
                return task
        raise UnknownNameError(f"task of {self.name}", name, [t.name for t in self.tasks])


def ordered(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Recordings by (subject, session) as integers, whatever the file names sort like."""
    return tuple(sorted(recordings, key=lambda r: (r.subject, r.session)))
