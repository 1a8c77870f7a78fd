"""A folder of any making, read as a small TOML says (``bench data add DIR --as NAME``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.data.corpus import (
    Inventory,
    NumberedTrials,
    Recording,
    TrialInfo,
    TrialSignal,
    ordered,
)
from bench.data.labels import Task
from bench.errors import DataError, MissingCorpusError

from .shared import files
from .shared.foreign import sources
from .shared.foreign.description import Description, read
from .shared.foreign.look import Folder
from .shared.foreign.proposal import Proposal, propose
from .shared.signals import OnlySignals

#: What of a trial's values says its class, and the value of one that has none.
CLASS_KEY, NO_CLASS = "class", -1.0


@dataclass(frozen=True)
class DescribedSession(Recording):
    """A session of a subject, and the files that its trials stand in."""

    members: tuple[sources.SourceFile, ...] = ()


class Described(OnlySignals):
    """Reader of a folder that a TOML describes; :meth:`named` makes the reader of one.

    What is read, and how, stands in :mod:`bench.datasets.shared.foreign`. A recording is a session
    of a subject, in however many files; its trials are numbered on from one file to the next.
    """

    about: ClassVar[Description]
    written: ClassVar[Path]

    @classmethod
    def named(cls, toml: str) -> type[Described]:
        """Reader of the folder that a TOML describes.

        Raises
        ------
        DataError
            The TOML cannot be used: says which key.
        """
        path = Path(toml)
        about = read(path)
        place = (path.parent / Path(about.folder).expanduser()).resolve()
        return type(about.name, (cls,), {
            "about": about, "written": path.resolve(), "place": place, "name": about.name,
            "title": about.title or f"{about.name}, as {path.name} describes it",
            "access": f"it lies in {place}", "layout": about.files or "a BIDS dataset",
            "channels": tuple(about.channels), "rate": about.rate, "tasks": tasks_of(about),
            "pieces_s": about.trials.cut, "__module__": __name__, "__doc__": cls.__doc__,
        })

    @classmethod
    def folder(cls, path: Path, name: str, **said: Any) -> Folder:
        """A folder to look at, and what its owner says of it."""
        return Folder(path, name, **said)

    @classmethod
    def propose(cls, folder: Folder) -> Proposal:
        """What a folder seems to hold, and what was taken for what.

        Raises
        ------
        BenchError
            Nothing in it can be read, or it cannot be told what is what: says what to give.
        """
        return propose(folder)

    def found(self, root: Path) -> Inventory:
        """List the sessions in the folder, see :meth:`CorpusAdapter.inventory`.

        ``root`` may be the folder, one that contains it, or a copy of it.

        Raises
        ------
        MissingCorpusError, DataError
        """
        top = self._top(files.existing_folder(self, root))
        sourced, skipped = sources.source_files(top, self.about)
        beside = top / self.written.name
        own = beside if beside.is_file() else self.written
        recordings = []
        for (subject, session), members in sources.by_session(sourced).items():
            paths = list(dict.fromkeys(p for m in members for p in m.all_files()))
            recordings.append(DescribedSession(
                paths[0], subject, session, (*paths[1:], own), tuple(members)))
        return Inventory(top, ordered(recordings), tuple(skipped))

    def _top(self, root: Path) -> Path:
        place = self.place
        assert place is not None  # `named` sets it
        if root == place or place.is_relative_to(root):
            if not place.is_dir():
                raise MissingCorpusError(f"{place}, where {self.name} was, is no folder",
                                         f"Mend the key 'folder' of {self.written}.")
            return place
        if root.is_relative_to(place) or not (root / self.written.name).is_file():
            raise MissingCorpusError(f"{self.name} lies in {place}, not in {root}")
        return root

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Trials of all files of a session, in microvolt where the unit is known.

        Raises
        ------
        DataError
        """
        out: list[TrialSignal] = []
        codes = self.about.class_names
        members = recording.members if isinstance(recording, DescribedSession) else ()
        for source in members:
            for trial in sources.trials_of(source, self.about):
                name = self.about.classes.get(trial.label)
                code = NO_CLASS if name is None else float(codes.index(name))
                values = {n: trial.values[r.column] for n, r in self.about.ratings.items()
                          if r.column in trial.values}
                out.append(TrialSignal(len(out) + 1, trial.data, {CLASS_KEY: code, **values}))
        if not out:
            raise DataError(recording.path, "a trial of one of its classes",
                            "none", f"Classes stand in {self.written}, in table [classes].")
        return out

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Every trial of a session; its class and ratings stand beside its signal."""
        told = self.about.trials.order
        if not told:
            files.once(notices, f"{self.name}: nothing tells in which order its trials were shown; "
                       "calibration trials will be drawn, stratified by class and seeded")
        return NumberedTrials(told)


def tasks_of(about: Description) -> tuple[Task, ...]:
    """Task ``classes`` where the description names classes, and one for each rating."""
    out = []
    if len(about.class_names) >= 2:
        names = about.class_names
        out.append(Task(
            "classes", names, CLASS_KEY, {float(i): n for i, n in enumerate(names)},
            frozenset({NO_CLASS}), doc="Classes of the TOML.",
        ))
    for name, rating in about.ratings.items():
        out.append(Task(
            name, (f"low {name}", f"high {name}"), name, scale=rating.scale, threshold=rating.cut,
            optional=True, doc=f"Own rating, column {rating.column!r}, cut at the threshold.",
        ))
    return tuple(out)
