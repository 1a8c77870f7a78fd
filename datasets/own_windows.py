"""Windows that somebody has made already, in a file of ``bench.save_windows``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bench.data.corpus import (
    CorpusAdapter,
    Features,
    Inventory,
    NumberedTrials,
    Recording,
    TrialInfo,
    TrialSignal,
    ordered,
)
from bench.data.labels import Task
from bench.data.own.stored import load_windows, space_of
from bench.data.windows import Windows
from bench.errors import MissingCorpusError, SettingError
from bench.registry import about_windows


class OwnWindows(CorpusAdapter):
    """Windows of a file, cut and computed by their owner; :meth:`named` makes the corpus of one."""

    about: ClassVar[dict[str, Any]]

    @classmethod
    def named(cls, file: str) -> type[OwnWindows]:
        """Corpus of the windows in a file.

        Raises
        ------
        BenchError
            It is no file of windows.
        """
        path = Path(file)
        about = about_windows(path)
        space, labels = space_of(about), tuple(about["labels"])
        codes = {float(k): name for k, name in enumerate(labels)}
        return type(about["name"], (cls,), {
            "about": about, "place": path, "name": about["name"],
            "title": f"{about['name']}, windows of your own in {path.name}",
            "access": f"they are in {path}", "layout": path.name, "channels": space.channels,
            "rate": space.rate, "tasks": (Task("own", labels, "class", codes, doc="Own classes."),),
            "__module__": __name__, "__doc__": cls.__doc__,
        })

    def windows(self) -> Windows:
        """The windows, checked by their digest.

        Raises
        ------
        BenchError
        """
        return load_windows(self._file())

    def _file(self) -> Path:
        assert self.place is not None  # `named` sets it
        if not self.place.is_file():
            raise MissingCorpusError(
                f"the windows of {self.name} are not there any more: {self.place}",
                "Give the file with --include, or write it again: bench.save_windows(...).",
            )
        return self.place

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """One recording for each session of a subject, all in the one file, wherever ``root`` is.

        Raises
        ------
        MissingCorpusError
        """
        file = self._file()
        return Inventory(file, ordered([
            Recording(file, subject, session) for subject, session in self.about["recordings"]
        ]))

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Refuse: they are windows already.

        Raises
        ------
        SettingError
        """
        raise SettingError(
            f"{self.name} is windows of your own, and no signals that could be read",
            f"Look at them with: bench.load_windows({str(recording.path)!r})",
        )

    def trials(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> dict[int, TrialInfo]:
        """Every trial; its class stands beside its windows."""
        return NumberedTrials(order=True)
