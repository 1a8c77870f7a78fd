"""What runs on a worker: cells, from their description to a result that is handed back."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...cells.cell import Event
from ...cells.scored import Predicted
from ...devices import devices
from ...errors import SettingError, reason_of, trace_of
from ...protocols.granted import Grant
from ...registry import include
from ...store.memory import CarriedStore, NeedsStates, State, Trained
from ...store.records import Record
from ..executor import Executor
from ..plan import CellSpec
from ..request import Request
from .examiner import PACKETS, Away, Outlet

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
    """What became of one cell: its record, to be scored, and models; or why there is none.

    Attributes
    ----------
    record : Record or None
        Without scores.
    predicted : Predicted or None
    attempt : int
        Which of several attempts at the training it came of.
    """

    record: Record | None = None
    predicted: Predicted | None = None
    attempt: int = 0
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


@dataclass(frozen=True, eq=False)
class Errand:
    """What a worker needs beside its task.

    Attributes
    ----------
    states : mapping of str to State or None
        Pre-trained states by key.
    grants : tuple of Grant
        One of each cell.
    queue, token : str
        Where looks go, and the name they go by.
    worker : str
        What this worker is called.
    """

    states: Mapping[str, State | None]
    grants: tuple[Grant, ...]
    queue: str
    token: str
    worker: str


def work(request: Request, task: CellTask, errand: Errand) -> Result:
    """Run cells on this worker; every failure comes back as a result."""
    store = CarriedStore(errand.states, task.pretrain)
    outlet = Outlet(_sender(errand.queue), errand.token)
    away = [Away(grant, place, outlet) for place, grant in enumerate(errand.grants)]
    try:
        outcomes = _executor(request).run_all(task.specs, store, _teller(errand.worker), away)
    except NeedsStates as need:
        return Result(needs=need.args)
    except Trained:
        return Result(states=store.trained)
    except (Exception, SystemExit) as error:
        outcomes = [error] * len(task.specs)
    done = [_done(o, a) for o, a in zip(outcomes, away, strict=True)]
    return Result(states=store.trained, done=done)


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


def _done(outcome: Record | BaseException, away: Away) -> Done:
    if isinstance(outcome, BaseException):
        return Done(reason=reason_of(outcome), trace=trace_of(outcome))
    assert away.kept is not None
    record, predicted, models = away.kept
    return Done(record, predicted, away.attempt, models)


def _sender(queue: str) -> Callable[[Any], None]:
    """Puts packets into a queue of the scheduler; it is found when the first is sent."""
    found: list[Any] = []

    def send(packet: Any) -> None:
        from distributed import Queue

        if not found:
            found.append(Queue(queue, maxsize=PACKETS))
        found[0].put(packet)

    return send


def _executor(request: Request) -> Executor:
    key = repr(request)
    if key not in _executors:
        for item in request.include:
            include(item)
        _executors.clear()  # another sweep's corpora are of no use here
        _executors[key] = Executor(request, labels=False)
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
