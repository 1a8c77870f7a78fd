"""What runs on a worker: cells, from their description to a result that is handed back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """Cells to run together, the pre-trained states they are known to need, those to train.

    Attributes
    ----------
    specs : tuple of CellSpec
        One cell, or a stack.
    keys : tuple of str
        States that are to be handed over with them.
    pretrain : tuple of str
        States that they are to train and hand back.
    """

    specs: tuple[CellSpec, ...]
    keys: tuple[str, ...] = ()
    pretrain: tuple[str, ...] = ()

    def with_states(self, keys: Iterable[str]) -> Task:
        """The same cells, handed states that are stored."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, *keys))), pretrain=())

    def training(self, keys: Iterable[str]) -> Task:
        """The same cells, told to train states and hand them back."""
        return replace(self, pretrain=tuple(keys))

    def halves(self) -> list[Task]:
        """The cells as two smaller stacks."""
        half = len(self.specs) // 2
        return [Task(part, self.keys) for part in (self.specs[:half], self.specs[half:])]


@dataclass
class Done:
    """What became of one cell: its record and what is stored with it, or why there is none."""

    record: Record | None = None
    predictions: pd.DataFrame | None = None
    models: Mapping[str, bytes] | None = None
    reason: str = ""
    trace: str = ""


@dataclass
class Result:
    """What a worker hands back.

    Attributes
    ----------
    needs : tuple of str
        States without which it could not go on; nothing else is filled then.
    states : dict
        States it trained, and their curves.
    done : list of Done
        One for each cell; empty if it stopped after the training.
    """

    needs: tuple[str, ...] = ()
    states: dict[str, State] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)


class NeedsStates(BaseException):
    """Cells cannot go on without pre-trained states."""


class Trained(BaseException):
    """States were trained, and are to be handed back before anything else is done."""


class CarriedStore(Store):
    """Stands in for the run folder on a worker: reads what came along, keeps what goes back."""

    def __init__(self, states: Mapping[str, State | None], pretrain: Iterable[str] = ()) -> None:
        super().__init__(Path("run-folder-of-the-coordinator"))
        self.states, self.pretrain = states, set(pretrain)
        self.trained: dict[str, State] = {}
        self.kept: dict[str, tuple[pd.DataFrame | None, Mapping[str, bytes] | None]] = {}

    def get(self, cell: str) -> Record | None:
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
    """Run cells on this worker; every failure comes back as a result."""
    store = CarriedStore(states, task.pretrain)
    try:
        outcomes = _workshop(request).run_all(task.specs, store, _teller(worker))
    except NeedsStates as need:
        return Result(needs=need.args)
    except Trained:
        return Result(states=store.trained)
    except (Exception, SystemExit) as error:
        outcomes = [error] * len(task.specs)
    return Result(states=store.trained, done=[_done(o, store) for o in outcomes])


def _done(outcome: Record | BaseException, store: CarriedStore) -> Done:
    if isinstance(outcome, BaseException):
        return Done(reason=reason_of(outcome), trace=trace_of(outcome))
    return Done(outcome, *store.kept.get(outcome.id, (None, None)))


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
