"""One at a time: a lock file that says who holds it, of a sweep's run folder or of a tuning.

The lock proper is the operating system's (``flock``), which ends with the process that holds it,
so a lock left by a kill is simply free. The file's text is for people, and for file systems
shared between machines that do not share locks.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BenchError, unwritable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: the text of the file must do
    fcntl = None  # type: ignore[assignment]

NAME = "sweep.lock"
#: A holder on another machine that has not shown itself for so long, in seconds, is gone.
SILENT = 120.0
#: Seconds between signs of life.
BEAT = SILENT / 8


class LockedError(BenchError):
    """Another sweep is at work in the run folder."""


class RunLock:
    """Lock of a run folder, as a context manager.

    Parameters
    ----------
    runs : Path
        Folder that the lock file lies in.
    name : str
        Of the file; another name is another lock.
    what : str
        What holds it, for people.

    Raises
    ------
    LockedError
        Another process holds it: names process, machine and since when.
    BenchError
        The folder cannot be written.
    """

    def __init__(self, runs: Path, name: str = NAME, what: str = "a sweep") -> None:
        self.path = runs / name
        self.what = what
        self.took_over: dict[str, Any] | None = None
        self._handle = -1
        self._over = threading.Event()
        #: Called with each sign of life, from a thread of its own.
        self.also: Callable[[], object] = lambda: None

    def __enter__(self) -> RunLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BenchError(
                f"{self.path.parent} cannot be written: {error.strerror}",
                "Choose another run folder with --runs.",
            ) from error
        try:
            self._acquire()
        except BaseException:
            os.close(self._handle)
            raise
        self._over.clear()
        threading.Thread(target=self._beat, name=f"beat of {self.path.name}", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, 0)
        os.close(self._handle)

    def _beat(self) -> None:
        """Beat while whatever the lock is for takes its time."""
        while not self._over.wait(BEAT):
            self.beat()
            with contextlib.suppress(RuntimeError, OSError):  # what it tells is being changed
                self.also()

    def beat(self) -> None:
        """Show that the holder is alive; the file's time is what other machines go by."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def _acquire(self) -> None:
        # Tried a few times: `bench status` takes the lock for an instant to see if it is free.
        for attempt in range(4):
            if _flock(self._handle):
                break
            time.sleep(0.05 * attempt)
        else:
            raise _locked(self.path, holder(self.path), self.what)
        before = holder(self.path)
        if before is not None:
            if _alive(before, self.path):
                raise _locked(self.path, before, self.what)
            self.took_over = before
        text = json.dumps({
            "pid": os.getpid(), "host": socket.gethostname(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        })
        try:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, text.encode())
        except OSError as error:
            raise unwritable(self.path, error) from error


def holder(path: Path) -> dict[str, Any] | None:
    """Who a lock file names; None if nobody."""
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return who if isinstance(who, dict) and "pid" in who else None


def held(runs: Path) -> dict[str, Any] | None:
    """Who is at work in a run folder; None if nobody is. Changes nothing."""
    path = runs / NAME
    who = holder(path)
    if who is None or who.get("host") != socket.gethostname():
        return None if _silent(path) else who
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if fcntl is not None and _flock(handle) else who
    finally:
        os.close(handle)


def _flock(handle: int) -> bool:
    """Take the system's lock if it is free."""
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the text of the file must do
        return True
    return True


def _alive(who: dict[str, Any], path: Path) -> bool:
    """Whether a holder that we could take the system's lock from may still be at work."""
    if who.get("host") != socket.gethostname():
        return not _silent(path)
    # On our machine the system's lock was free, so nobody holds it, whatever the text says.
    return fcntl is None


def _silent(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > SILENT
    except OSError:
        return True


def _locked(path: Path, who: dict[str, Any] | None, what: str) -> LockedError:
    by = "another process" if who is None else (
        f"process {who['pid']} on {who.get('host')}, since {who.get('since')}"
    )
    watch = f"Watch it with: bench status {path.parent}. " if path.name == NAME else ""
    return LockedError(
        f"{what} is at work in {path.parent}: {by}",
        f"{watch}{'Or c' if watch else 'C'}hoose another folder with --runs; run folders can be "
        "merged by copying.",
    )
