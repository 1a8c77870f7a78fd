"""Run folders that are none: they keep in memory what a worker or a trial makes."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .records import Record, Store
from .seal import packed_tensors

State = tuple[Any, dict[str, list[float]]]


class NeedsStates(BaseException):
    """Cells cannot go on without pre-trained states."""


class Trained(BaseException):
    """States were trained, and are to be handed back before anything else is done."""


class CarriedStore(Store):
    """Stands in for the run folder on a worker: reads what came along, keeps what goes back."""

    resumes = False

    def __init__(self, states: Mapping[str, State | None], pretrain: Iterable[str] = ()) -> None:
        super().__init__(Path("run-folder-of-the-coordinator"))
        self.states, self.pretrain = states, set(pretrain)
        self.trained: dict[str, State] = {}
        self.kept: dict[str, tuple[pd.DataFrame | None, Mapping[str, bytes] | None]] = {}

    def get(self, cell: str, *, old: bool = False) -> Record | None:
        """None: the coordinator hands out only what is missing."""
        return None

    def put(
        self, record: Record, predictions: pd.DataFrame | None = None,
        models: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Keep what the coordinator is to write."""
        self.kept[record.id] = (predictions, models)
        return self.root

    def will_read(self, keys: Iterable[str]) -> None:
        """Leave the cells if a state is neither here nor theirs to train."""
        lacking = [k for k in keys if self.states.get(k) is None and k not in self.pretrain]
        if lacking:
            raise NeedsStates(*lacking)

    def get_state(self, key: str) -> State | None:
        """A state that came along; None if this worker is to train it."""
        return self.states.get(key)

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Keep a state that was trained; leave the cells with the last of them."""
        self.trained[key] = (on_cpu(state), curve)
        if self.pretrain <= set(self.trained):
            raise Trained


def on_cpu(state: Any) -> Any:
    """A state as it would come back from the run folder, whatever device it was trained on."""
    import torch

    data = io.BytesIO(packed_tensors(state))
    return torch.load(data, map_location="cpu", weights_only=True)


#: Pre-trained states kept in memory while trials go on.
STATES = 8


class TrialStore(Store):
    """Stands in for the run folder: keeps no record, and pre-trained states in memory."""

    resumes = False

    def __init__(self, store: Store) -> None:
        super().__init__(store.root)
        self.states: OrderedDict[str, State] = OrderedDict()

    def get(self, cell: str, *, old: bool = False) -> Record | None:
        """None: trials are no records."""
        return None

    def put(
        self, record: Record, predictions: Any = None, models: Mapping[str, bytes] | None = None
    ) -> Path:
        """Keep nothing."""
        return self.root

    def get_state(self, key: str) -> State | None:
        """State of an earlier trial with the same pre-training, or of the run folder."""
        return self.states.get(key) or super().get_state(key)

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Keep the latest few."""
        self.states[key] = state, curve
        while len(self.states) > STATES:
            self.states.popitem(last=False)


class _Scratch(CarriedStore):
    """A run folder that keeps everything in memory."""

    def __init__(self) -> None:
        super().__init__({})

    def will_read(self, keys: Iterable[str]) -> None:
        pass

    def get_state(self, key: str) -> State | None:
        return self.trained.get(key)

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        self.trained[key] = (state, curve)
