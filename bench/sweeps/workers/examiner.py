"""Workers train and predict; the coordinator holds the labels, and scores.

With a cell, a worker is given what the cut grants: a :class:`~bench.protocols.granted.Grant`. What
its networks predict for test windows after each epoch it puts into a queue, in packets; what they
predict in the end comes back with the result. A worker that is faster than the coordinator waits.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...cells.cell import Cell
from ...cells.scored import Answers, Predicted, Scoring, granted
from ...protocols.granted import Grant
from ...selection.tested import Look, Tested
from ...store.hashing import key_of
from ...store.records import Record
from ..plan import CellSpec

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

#: Most bytes of a packet, and packets in the queue: as many may be on their way out of it, so that
#: at most 64 MB are between workers and coordinator.
PACKET, PACKETS = 4 << 20, 8
#: Cuts that are kept, of pairs, protocols and seeds.
CUTS = 16

#: A look of a cell: place of the cell in its task, number of the attempt, what was predicted.
Shown = tuple[int, int, Look]


class Outlet:
    """A worker's way to the coordinator, of one task.

    Parameters
    ----------
    send : callable
        Sends a packet; returns once there is room for it.
    token : str
        Names the task.
    """

    def __init__(self, send: Callable[[tuple[str, int, bool, bytes]], Any], token: str) -> None:
        self.send, self.token = send, token
        #: Seconds that handing over took.
        self.seconds = 0.0
        self._held: list[Shown] = []
        self._size = self._number = 0

    def put(self, place: int, attempt: int, look: Look) -> None:
        """Hand over a look, with others."""
        began = time.perf_counter()
        self._held.append((place, attempt, look))
        self._size += sum(p.nbytes for p in look.probas.values()) + 1000
        if self._size >= PACKET:
            self._empty()
        self.seconds += time.perf_counter() - began

    def flush(self) -> None:
        """Hand over what is left."""
        began = time.perf_counter()
        if self._held:
            self._empty()
        self.seconds += time.perf_counter() - began

    def _empty(self) -> None:
        for part, last in packets(pickle.dumps(self._held, protocol=pickle.HIGHEST_PROTOCOL)):
            self.send((self.token, self._number, last, part))
            self._number += 1
        self._held, self._size = [], 0


def packets(data: bytes, size: int = PACKET) -> Iterator[tuple[bytes, bool]]:
    """Parts of a message of at most so many bytes, and whether each is the last."""
    for start in range(0, len(data), size):
        yield data[start : start + size], start + size >= len(data)


class Away:
    """The way from a cell on a worker to the coordinator: its labels are elsewhere.

    Parameters
    ----------
    grant : Grant
    place : int
        Of the cell in its task.
    outlet : Outlet
    """

    def __init__(self, grant: Grant, place: int, outlet: Outlet) -> None:
        self.grant, self.place, self.outlet = grant, place, outlet
        self.attempt = 0
        #: What came of the cell: its record without scores, what is to be scored, models.
        self.kept: tuple[Record, Predicted, Mapping[str, bytes]] | None = None

    def new_attempt(self) -> Callable[[Look], None]:
        """The way for what a training shows; what was shown before is void."""
        self.attempt += 1
        attempt = self.attempt

        def show(look: Look) -> None:
            self.outlet.put(self.place, attempt, look)

        return show

    def hand_back(
        self, record: Record, predicted: Predicted, models: Mapping[str, bytes]
    ) -> None:
        """Keep it for the result of the task."""
        self.outlet.flush()
        record.info["looks_s"] = round(self.outlet.seconds, 3)
        self.kept = record, predicted, models


@dataclass(frozen=True, eq=False)
class _Examined:
    """A cell that a worker is busy with, as the coordinator knows it."""

    scoring: Scoring
    attempts: dict[int, Tested] = field(default_factory=dict)
    #: What a look broke: the predictor shown is the author's, and may give anything.
    broken: dict[int, Exception] = field(default_factory=dict)

    def see(self, attempt: int, look: Look) -> None:
        if attempt not in self.attempts:
            self.attempts.clear()  # a later attempt makes those before it void
            self.attempts[attempt] = self.scoring.tested()
        try:
            self.attempts[attempt](look)
        except Exception as error:
            self.broken.setdefault(attempt, error)


class Examiner:
    """Holds the labels of cells that workers are busy with.

    Parameters
    ----------
    client : distributed.Client
    cell_of : callable
        Makes a cell, with labels, of its description.
    """

    def __init__(self, client: Client, cell_of: Callable[[CellSpec], Cell]) -> None:
        from distributed import Queue

        self.cell_of = cell_of
        self.name = f"bench-looks-{uuid.uuid4().hex}"
        self.queue = Queue(self.name, client=client, maxsize=PACKETS)
        self._cuts: OrderedDict[str, tuple[Grant, list[Answers]]] = OrderedDict()
        self._tasks: dict[str, list[_Examined]] = {}
        self._parts: dict[str, list[bytes]] = defaultdict(list)

    def grants(self, specs: Sequence[CellSpec]) -> tuple[str, tuple[Grant, ...]]:
        """A name for a task, and what is granted to each of its cells.

        Raises
        ------
        BenchError
            A cell cannot be made or cut.
        """
        token, cells = uuid.uuid4().hex, [self.cell_of(spec) for spec in specs]
        found = [self._grant(cell) for cell in cells]
        self._tasks[token] = [
            _Examined(Scoring(cell, answers))
            for cell, (_, answers) in zip(cells, found, strict=True)
        ]
        return token, tuple(grant for grant, _ in found)

    def _grant(self, cell: Cell) -> tuple[Grant, list[Answers]]:
        identity = cell.identity()
        what = ("source", "target", "label_map", "source_label_map", "protocol", "features",
                "hold_out")
        key = key_of("cut", cell.seed, *(identity.get(name) for name in what),
                     cell.protocol.model_dump(), cell.target_classes)
        if key not in self._cuts:
            self._cuts[key] = granted(cell)
            if len(self._cuts) > CUTS:
                self._cuts.popitem(last=False)
        self._cuts.move_to_end(key)
        grant, answers = self._cuts[key]
        return Grant(grant.folds, identity, grant.protocol, grant.classes), answers

    def drain(self) -> None:
        """Judge what has come; what is of tasks that are over is let go."""
        waiting: Any = self.queue.get(batch=True)
        for token, _, last, part in waiting:
            if token not in self._tasks:
                continue
            parts = self._parts[token]
            parts.append(part)
            if last:
                del self._parts[token]
                for place, attempt, look in pickle.loads(b"".join(parts)):  # noqa: S301
                    self._tasks[token][place].see(attempt, look)

    def score(
        self, token: str, place: int, attempt: int, record: Record, predicted: Predicted
    ) -> pd.DataFrame:
        """Score a cell of a task whose looks have all come; the table of predictions.

        Raises
        ------
        Exception
            Whatever a look of the cell broke.
        """
        examined = self._tasks[token][place]
        if attempt in examined.broken:
            raise examined.broken[attempt]
        tested = examined.attempts.get(attempt) or examined.scoring.tested()
        return examined.scoring.score(record, predicted, tested)

    def forget(self, token: str) -> None:
        """A task is over, or lost."""
        self._tasks.pop(token, None)
        self._parts.pop(token, None)
