"""What runs on a worker: cells, from their description to a result that is handed back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...cells.cell import Event
from ...devices import devices
from ...errors import SettingError, reason_of, trace_of
from ...registry import include
from ...store.memory import CarriedStore, NeedsStates, State, Trained
from ...store.records import Record
from ..executor import Executor
from ..plan import CellSpec
from ..request import Request

if TYPE_CHECKING:
    import pandas as pd

#: Where workers say how far they are.
TOPIC = "bench-sweep"
#: Seconds between two such words of a worker.
EVERY = 0.5


@dataclass(frozen=True)
class CellTask:
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

    def with_states(self, keys: Iterable[str]) -> CellTask:
        """The same cells, handed states that are stored."""
        return replace(self, keys=tuple(dict.fromkeys((*self.keys, *keys))), pretrain=())

    def training(self, keys: Iterable[str]) -> CellTask:
        """The same cells, told to train states and hand them back."""
        return replace(self, pretrain=tuple(keys))

    def halves(self) -> list[CellTask]:
        """The cells as two smaller stacks."""
        half = len(self.specs) // 2
        return [CellTask(part, self.keys) for part in (self.specs[:half], self.specs[half:])]


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


#: One executor a worker process: corpora are read once.
_executors: dict[str, Executor] = {}


def work(
    request: Request, task: CellTask, states: Mapping[str, State | None], worker: str
) -> Result:
    """Run cells on this worker; every failure comes back as a result."""
    store = CarriedStore(states, task.pretrain)
    try:
        outcomes = _executor(request).run_all(task.specs, store, _teller(worker))
    except NeedsStates as need:
        return Result(needs=need.args)
    except Trained:
        return Result(states=store.trained)
    except (Exception, SystemExit) as error:
        outcomes = [error] * len(task.specs)
    return Result(states=store.trained, done=[_done(o, store) for o in outcomes])


def unfit(request: Request) -> None:
    """Find out on a worker that others started whether it can run any cell of a plan.

    Raises
    ------
    BenchError
        It has not the device, an included file or the folder of the corpora.
    """
    for item in request.include:
        include(item)
    devices(request.device)
    if request.data is not None and not request.data.is_dir():
        raise SettingError(
            f"the folder of the corpora, {request.data}, is not there on {socket.gethostname()}")


def _done(outcome: Record | BaseException, store: CarriedStore) -> Done:
    if isinstance(outcome, BaseException):
        return Done(reason=reason_of(outcome), trace=trace_of(outcome))
    return Done(outcome, *store.kept.get(outcome.id, (None, None)))


def _executor(request: Request) -> Executor:
    key = repr(request)
    if key not in _executors:
        for item in request.include:
            include(item)
        _executors.clear()  # another sweep's corpora are of no use here
        _executors[key] = Executor(request)
    return _executors[key]


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
