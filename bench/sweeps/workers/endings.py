"""How worker processes of a pool ended: exit code or signal, and what each wrote last.

The standard error of each process goes into a file, ``faulthandler``'s output with it. After each
task it is passed on to where it would have gone, so that on a death it holds that cell's words.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Nanny, WorkerPlugin

#: Most characters of a worker's last words that are kept.
KEPT = 16_000
#: Seconds that a process may take to end whose worker the scheduler has lost.
GRACE = 2.0
#: Signals that a process brings upon itself.
CRASHES = {getattr(signal, name, None) for name in
           ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS")}


class Endings:
    """Exit codes and last words of the processes of a pool, by the addresses of their workers.

    Parameters
    ----------
    folder : Path
        Of the workers' logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: When each process that is gone ended, and its exit code.
        self._gone: dict[str, tuple[float, int]] = {}

    def __contains__(self, address: object) -> bool:
        """Whether the process of a worker is gone."""
        return address in self._gone

    def code(self, address: str) -> int | None:
        """Exit code of a worker that is lost, below 0 for a signal; None if it is not known."""
        until = time.monotonic() + GRACE
        while address not in self._gone and time.monotonic() < until:
            time.sleep(0.02)
        return self._gone[address][1] if address in self._gone else None

    def ended(self, address: str) -> float:
        """When a worker's process ended, by the monotonic clock; infinity while it lives."""
        return self._gone[address][0] if address in self._gone else math.inf

    def words(self, address: str) -> str:
        """What a worker wrote last, without anything a terminal would obey."""
        try:
            text = _log(self.folder, address).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        fatal = text.find("Fatal Python error")
        text = text[fatal:fatal + KEPT] if fatal >= 0 else text[-KEPT:]
        return "".join(c for c in text if c.isprintable() or c in "\n\t").strip()

    def nanny(self) -> type[Nanny]:
        """Class of nannies that write down how their workers ended."""
        from distributed import Nanny

        gone = self._gone

        class Watching(Nanny):
            def _on_worker_exit_sync(self, exitcode: int) -> None:
                if self.worker_address is not None:
                    gone[self.worker_address] = time.monotonic(), exitcode
                super()._on_worker_exit_sync(exitcode)

        return Watching

    def plugin(self) -> WorkerPlugin:
        """Plugin of workers: each keeps what it writes to standard error, and minds no Ctrl-C.

        Ctrl-C reaches all processes of a terminal, but is for the coordinator.
        """
        from distributed import WorkerPlugin

        folder = self.folder

        class Manners(WorkerPlugin):
            log = terminal = -1

            def setup(self, worker: Any) -> None:
                with contextlib.suppress(ValueError):  # not in the main thread: then deaf anyway
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                with contextlib.suppress(OSError):  # a full disk: then it is written as ever
                    path = _log(folder, worker.address)
                    self.log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                    self.terminal = os.dup(2)
                    os.dup2(self.log, 2)

            def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
                if start == "executing":
                    self.pass_on()

            def teardown(self, worker: Any) -> None:
                self.pass_on()

            def pass_on(self) -> None:
                """Write the log to where it would have gone, and begin it anew."""
                if self.terminal < 0 or not os.fstat(self.log).st_size:
                    return
                with contextlib.suppress(OSError):
                    os.lseek(self.log, 0, os.SEEK_SET)
                    while part := os.read(self.log, 1 << 16):
                        os.write(self.terminal, part)
                    os.ftruncate(self.log, 0)

        return Manners()


def how(code: int | None) -> str:
    """What an exit code says, in words; None is one that is not known."""
    if code is None:
        return "the scheduler has lost it, and knows no more"
    if code >= 0:
        return f"its process ended itself with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code in CRASHES:
        return f"it crashed ({name}, {(signal.strsignal(-code) or '').lower()})"
    return f"killed from outside by {name}" + (
        " (the system does so when memory runs out)" if name == "SIGKILL" else "")


def gist(words: str) -> str:
    """The line of a worker's last words that says most; empty if it wrote nothing.

    Of a crash: the error, and where in the Python code.
    """
    fatal = re.search(r"Fatal Python error: .+", words)
    if fatal is None:
        return words.rpartition("\n")[2].strip()
    frame = re.search(r"^Current thread.*\n\s+(File .+)", words, re.MULTILINE)
    return fatal[0] + (f", in {frame[1]}" if frame else "")


def _log(folder: Path, address: str) -> Path:
    return folder / (re.sub(r"\W+", "-", address) + ".log")
