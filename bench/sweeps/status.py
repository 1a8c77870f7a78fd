"""How a sweep stands: counts, running cells, time left, best so far; kept in memory and on disk.

The file ``sweep-status.json`` is rewritten every few seconds, so that ``bench status`` can show
the same from another shell.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from ..store.hashing import key_of
from ..store.records import Record, Status, Store
from ..store.seal import read_json, write_json

if TYPE_CHECKING:
    from ..cells.cell import Event
    from ..store.lock import RunLock
    from .plan import CellSpec

NAME = "sweep-status.json"
#: Seconds between two writes of the status file.
EVERY = 2.0
#: Most kinds of problem that the status file and the summary hold.
KINDS = 30
STATUSES: tuple[Status, ...] = ("done", "failed", "killed", "skipped")


@dataclass
class Running:
    """Cells in progress that one worker has."""

    keys: list[str]
    cell: str
    method: str
    began: FiniteFloat
    stage: str = "before its first epoch is over"
    done: int = 0
    total: int = 0
    unit: str = ""
    of: int = 1


@dataclass
class SweepState:
    """Counts and times of a sweep.

    Attributes
    ----------
    plan : str
        Hash of the plan.
    runs : Path
        Run folder.
    total : int
        Cells of the plan.
    stopped : str
        Why the sweep ended before its last cell; empty if it did not.
    """

    plan: str
    runs: Path
    total: int
    stopped: str = ""
    reading: bool = False
    workers: int = 1
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    earlier: int = 0
    running: dict[str, Running] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    seconds: list[tuple[float, str]] = field(default_factory=list)
    lock: RunLock | None = None
    ended: bool = False
    _finished: set[str] = field(default_factory=set)
    _left: dict[str, str] = field(default_factory=dict)
    _times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _scores: dict[str, dict[tuple[str, str], list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    #: Cells of each method and place that are not done.
    _open: dict[tuple[str, tuple[str, str]], set[str]] = field(
        default_factory=lambda: defaultdict(set))
    _began: float = field(default_factory=time.time)
    _written: float = 0.0

    @property
    def left(self) -> int:
        """Cells without an outcome, the running ones included."""
        return self.total - sum(self.counts.values())

    @property
    def complete(self) -> bool:
        """Whether every cell is done, or was skipped because its method does not fit."""
        return not self.left and not self.counts["failed"] and not self.counts["killed"]

    @property
    def exit_code(self) -> int:
        """0 if all is done, 1 if some of it is not."""
        return 0 if self.complete else 1

    def expect(self, todo: list[CellSpec]) -> None:
        """Say what is to be run."""
        self._left = {spec.key: spec.method for spec in todo}
        for spec in todo:
            self._open[_place(spec), _row(spec)].add(spec.key)
        self.write(force=True)

    def begin(self, specs: Sequence[CellSpec], worker: str) -> None:
        """Note that a worker has taken cells."""
        label = specs[0].label
        if len(specs) > 1:
            label += ", " + ", ".join(str(spec.seed) for spec in specs[1:])
        keys = [spec.key for spec in specs]
        self.running[worker] = Running(keys, label, specs[0].method, time.time(), of=len(keys))
        self.write()

    def requeue(self, worker: str) -> None:
        """Note that a worker's cell is to go on later, or elsewhere."""
        self.running.pop(worker, None)

    def stage(self, worker: str, event: Event) -> None:
        """Note how far a worker is."""
        at = self.running.get(worker)
        if at is not None and event.total:
            at.stage, at.done, at.total = event.stage, event.done, event.total
            at.unit = event.unit
        self.write()

    def finish_cell(
        self, spec: CellSpec, status: Status, reason: str, score: float | None
    ) -> float | None:
        """Note the outcome of a cell; returns its seconds if it was run now."""
        if spec.key in self._finished:
            return None
        self._finished.add(spec.key)
        self._left.pop(spec.key, None)
        self.counts[status] += 1
        if reason and status != "done":
            self.problems.append({"cell": spec.label, "method": spec.method, "status": status,
                                  "reason": reason})
        if status == "done":
            self._open[_place(spec), _row(spec)].discard(spec.key)
            if score is not None and not spec.control:
                self._scores[_place(spec)][_row(spec)].append(score)
        else:  # without this one, the others are never all that were planned
            self._open[_place(spec), _row(spec)].add(spec.key)
        seconds = None
        for worker, at in list(self.running.items()):
            if spec.key in at.keys:
                seconds = (time.time() - at.began) / at.of
                at.keys.remove(spec.key)
                if not at.keys:
                    del self.running[worker]
                self.seconds.append((seconds, spec.label))
                self._times[spec.method].append(seconds)
                break
        self.write()
        return seconds

    def eta(self) -> float | None:
        """Seconds left, by the time that cells of the same methods took so far."""
        every = [t for times in self._times.values() for t in times]
        if not every or not self.left:
            return None
        usual = statistics.median(every)
        each = {m: statistics.median(t) for m, t in self._times.items()}
        whole = sum(each.get(method, usual) for method in self._left.values())
        spent = sum(time.time() - at.began for at in self.running.values())
        return max(0.0, whole - spent) / max(1, self.workers)

    def best(self) -> dict[str, tuple[str, float, int]]:
        """Best method so far where several may be compared: name, balanced accuracy, cells.

        By pair and setting: scores of two protocols, calibrations, choices of classes or parameter
        sets are never compared or averaged, and a method is compared once all its seeds are done.
        """
        out = {}
        for place, rows in sorted(self._scores.items()):
            whole = {row: statistics.fmean(scores) for row, scores in rows.items()
                     if not self._open[place, row]}
            if len(whole) > 1:
                row = max(whole, key=lambda r: (whole[r], r))
                out[place] = (row[0], whole[row], len(rows[row]))
        return out

    def kinds(self) -> list[dict[str, Any]]:
        """Problems by status, method and reason: the first cell and how many; most first."""
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        for item in self.problems:
            kind = found.setdefault(
                (item["status"], item["method"], item["reason"]), {**item, "cells": 0})
            kind["cells"] += 1
        return sorted(found.values(), key=lambda kind: -kind["cells"])

    def end(self) -> None:
        """Write the final state."""
        self.running.clear()
        self.ended = True
        self.write(force=True)

    def as_dict(self) -> dict[str, Any]:
        """What the status file holds."""
        kinds = self.kinds()
        return {
            "plan": self.plan, "pid": os.getpid(), "host": socket.gethostname(),
            "since": self._began, "now": time.time(), "ended": self.ended,
            "stopped": self.stopped, "total": self.total, "counts": dict(self.counts),
            "earlier": self.earlier, "left": self.left, "eta_s": self.eta(),
            "running": {w: vars(r) for w, r in self.running.items()},
            "best": self.best(), "problems": kinds[:KINDS],
            "unlisted": sum(kind["cells"] for kind in kinds[KINDS:]),
            "slowest": sorted(self.seconds, reverse=True)[:3],
        }

    def write(self, force: bool = False) -> None:
        """Write the status file if it is due; a full disk only leaves it out of date."""
        now = time.monotonic()
        if not force and now - self._written < EVERY:
            return
        self._written = now
        if self.lock is not None:
            self.lock.beat()
            with contextlib.suppress(OSError):
                write_json(self.runs / NAME, self.as_dict(), indent=None)


def _place(spec: CellSpec) -> str:
    """Pair and setting of a cell: those of one place stand in one table and column."""
    options = ", ".join(f"{k}={v}" for k, v in sorted(spec.protocol_params.items())
                        if v not in (None, ""))
    parts = [spec.pair, spec.setting + (f" ({options})" if options else "")]
    return "  ".join(parts) + (" [shared classes]" if spec.classes == "shared" else "")


def _row(spec: CellSpec) -> tuple[str, str]:
    """A method and its parameters, which may be tuned for each seed."""
    return spec.title, key_of(None if spec.tuning else spec.params, spec.origin)


class _KindShape(BaseModel):
    cell: str
    status: Status
    reason: str
    cells: int = 1


class _StatusShape(BaseModel):
    """What is read of a status file."""

    now: Annotated[float, Field(ge=0, lt=1e11)]
    ended: bool
    stopped: str
    total: int
    counts: dict[Status, int]
    earlier: int
    left: int
    eta_s: FiniteFloat | None
    running: dict[str, Running]
    best: dict[str, tuple[str, float, int]]
    problems: list[_KindShape]
    unlisted: int = 0
    slowest: list[tuple[float, str]]


def read_status(
    runs: Path, corrupt: list[tuple[Path, str]] | None = None
) -> dict[str, Any] | None:
    """The status file of a run folder; None if there is none, or a corrupt one."""
    path = runs / NAME
    try:
        return _StatusShape.model_validate(read_json(path)).model_dump()
    except FileNotFoundError:
        return None
    except ValidationError as error:
        why = f"{error.error_count()} of its parts are missing or wrong"
    except (OSError, ValueError) as error:
        why = f"it cannot be read: {error}"
    if corrupt is not None:
        corrupt.append((path, why))
    return None


def score_of(record: Record) -> float | None:
    """Mean over folds of the balanced accuracy per window."""
    values = [
        f["scores"]["window"]["balanced_accuracy"] for f in record.folds
        if f.get("scores", {}).get("window", {}).get("balanced_accuracy") is not None
    ]
    return statistics.fmean(values) if values else None


def ranked_score(record: Record) -> float | None:
    """As :func:`score_of`; None of what has seen test labels, which is never ranked."""
    peeks = record.kind == "oracle" or record.identity.get("selection") == "oracle"
    return None if peeks else score_of(record)


def usual_seconds(store: Store, scale: str | None) -> dict[str, float]:
    """Median seconds a cell of each method took in a run folder, at a scale if one is named."""
    times: dict[str, list[float]] = defaultdict(list)
    for record in store.records():
        wall = record.info.get("wall_s")
        if record.status == "done" and wall is not None \
                and scale in (None, record.identity.get("scale")):
            times[str(record.identity["method"])].append(float(wall))
    return {method: statistics.median(t) for method, t in times.items()}


def when(stamp: float) -> str:
    """Time of day of a time stamp, in this machine's zone."""
    return datetime.datetime.fromtimestamp(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
