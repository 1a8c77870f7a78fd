"""What corpora share that are signals alone, and what those share that their subjects rated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.data.corpus import (
    CorpusAdapter,
    Features,
    Inventory,
    OfficialFeatures,
    Recording,
    TrialSignal,
)
from bench.data.labels import Task
from bench.errors import SettingError


class OnlySignals(CorpusAdapter):
    """Adapter of a corpus whose owners distribute signals and no features.

    A subclass gives :meth:`found` and :meth:`signals` for :meth:`inventory` and :meth:`read`, and
    is never asked for features.
    """

    def found(self, root: Path) -> Inventory:
        """List the recordings, see :meth:`CorpusAdapter.inventory`."""
        raise NotImplementedError

    def signals(self, recording: Recording) -> list[TrialSignal]:
        """Trials of one recording, see :meth:`CorpusAdapter.read`."""
        raise NotImplementedError

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the recordings, see :meth:`found`.

        Raises
        ------
        MissingCorpusError, DataError, SettingError
        """
        self._only_bench(features)
        return self.found(root)

    def read(
        self, recording: Recording, features: Features = "bench", official_kind: str = ""
    ) -> list[TrialSignal]:
        """Trials of one recording, see :meth:`signals`.

        Raises
        ------
        DataError, SettingError
        """
        self._only_bench(features)
        return self.signals(recording)

    def official(self, inventory: Inventory, official_kind: str) -> OfficialFeatures:
        """Never: there are none.

        Raises
        ------
        SettingError
        """
        self._only_bench("official")
        raise AssertionError

    def _only_bench(self, features: Features) -> None:
        if features != "bench":
            raise SettingError(f"{self.name}'s owners distribute no features",
                               "Use --features bench: every corpus then has the same ones.")


def rated(doc: str, **of: Any) -> tuple[Task, ...]:
    """Tasks of a corpus whose subjects rated both: how pleasant a trial was, and how exciting.

    Parameters
    ----------
    doc : str
        With a place for that word.
    **of
        Of :class:`~bench.data.labels.Task`.
    """
    return tuple(
        Task(key, (f"low {key}", f"high {key}"), key, doc=doc.format(word), **of)
        for key, word in (("valence", "pleasant"), ("arousal", "exciting"))
    )
