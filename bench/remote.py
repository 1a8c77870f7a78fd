"""What runs on a worker: one cell, from its description to a result that is handed back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .cell import Event
from .plan import CellSpec, Request
from .registry import include
from .store import Record, Store
from .workshop import Workshop, reason_of, trace_of

if TYPE_CHECKING:
    import pandas as pd

#: Where workers say how far they are.
TOPIC = "bench-sweep"
#: Seconds between two such words of a worker.
EVERY = 0.5

State = tuple[Any, dict[str, list[float]]]


@dataclass(frozen=True)
class Task:
    """A cell to run, the pre-trained states it is known to need, and the one it is to train."""

    spec: CellSpec
    keys: tuple[str, ...] = ()
    pretrain: str | None = None

    def with_state(self, key: str) -> Task:
        """The same cell, handed a state that is stored."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, key))), pretrain=None)

    def training(self, key: str) -> Task:
        """The same cell, told to train a state and hand it back."""
        return replace(self, pretrain=key)


@dataclass
class Result:
    """What a worker hands back; its kind says which of the fields are filled."""

    kind: Literal["record", "failed", "needs", "pretrained"]
    record: Record | None = None
    predictions: pd.DataFrame | None = None
    models: Mapping[str, bytes] | None = None
    reason: str = ""
    trace: str = ""
    key: str = ""
    state: Any = None
    curve: dict[str, list[float]] = field(default_factory=dict)


class NeedsState(BaseException):
    """A cell cannot go on without a pre-trained state."""


class Trained(BaseException):
    """A state was trained, and is to be handed back before anything else is done."""


class CarriedStore(Store):
    """Stands in for the run folder on a worker: reads what came along, keeps what goes back."""

    def __init__(self, states: Mapping[str, State | None], pretrain: str | None) -> None:
        super().__init__(Path("run-folder-of-the-coordinator"))
        self.states, self.pretrain = states, pretrain
        self.kept: tuple[pd.DataFrame | None, Mapping[str, bytes] | None] = (None, None)

    def get(self, cell: str) -> Record | None:
        """None: the coordinator hands out only what is missing."""
        return None

    def put(
        self, record: Record, predictions: pd.DataFrame | None = None,
        models: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Keep what the coordinator is to write."""
        self.kept = (predictions, models)
        return self.root

    def get_state(self, key: str) -> State | None:
        """A state that came along; None if this worker is to train it."""
        found = self.states.get(key)
        if found is None and key != self.pretrain:
            raise NeedsState(key)
        return found

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Leave the cell with a state that was trained."""
        raise Trained(key, on_cpu(state), curve)


def on_cpu(state: Any) -> Any:
    """A state as it would come back from the run folder, whatever device it was trained on."""
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


#: One workshop a worker process: corpora are read once.
_workshops: dict[str, Workshop] = {}


def work(
    request: Request, task: Task, states: Mapping[str, State | None], worker: str
) -> Result:
    """Run a cell on this worker; every failure comes back as a result."""
    store = CarriedStore(states, task.pretrain)
    try:
        record = _workshop(request).run(task.spec, store, _teller(worker))
    except NeedsState as need:
        return Result("needs", key=need.args[0])
    except Trained as trained:
        key, state, curve = trained.args
        return Result("pretrained", key=key, state=state, curve=curve)
    except (Exception, SystemExit) as error:
        return Result("failed", reason=reason_of(error), trace=trace_of(error))
    predictions, models = store.kept
    return Result("record", record, predictions, models)


def _workshop(request: Request) -> Workshop:
    key = request.model_dump_json()
    if key not in _workshops:
        for item in request.include:
            include(item)
        _workshops.clear()  # another sweep's corpora are of no use here
        _workshops[key] = Workshop(request)
    return _workshops[key]


def _teller(worker: str) -> Any:
    """Watcher that tells the coordinator now and then how far the worker is."""
    from distributed import get_worker

    said = [0.0]
    here = get_worker()

    def tell(event: Event) -> None:
        now = time.monotonic()
        if event.total and now - said[0] > EVERY:
            said[0] = now
            here.log_event(TOPIC, {"worker": worker, **vars(event)})

    return tell
