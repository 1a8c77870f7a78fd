"""The command line in a process of its own that need not import everything first.

A server imports once what commands import (torch alone takes two seconds), and forks for each
call. The child has the arguments, folder, environment, exit status and output of a process that
was started for it; of what tests did there is nothing in it, for the server has run none. Started
as users start it is at least one call of every command: fixture ``process`` of conftest.py.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

#: What commands import, where it is installed.
NEEDED = (
    "torch", "torch._dynamo", "tabulate", "pandas", "pyarrow.parquet", "h5py", "scipy.io",
    "scipy.signal", "scipy.stats", "sklearn.linear_model", "sklearn.discriminant_analysis",
    "skada.metrics", "optuna", "matplotlib.pyplot", "matplotlib.backends.backend_pdf",
    "bench.cli.main", "bench.runs.run", "bench.sweeps.run", "bench.cells.engine",
    "bench.selection.validators", "bench.methods.scmm", "bench.methods.target_only",
    "bench.datasets.seed", "bench.datasets.deap", "bench.datasets.shared.simulator",
    "bench.conformance",
)


class Server:
    """A process that forks for each call, one at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        atexit.register(self.end)

    def end(self) -> None:
        """End it, and what it is running."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def call(self, asked: dict[str, Any], timeout: float) -> int | None:
        """Exit status; None where it takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            return None
        return int(self.process.stdout.readline())


_servers: list[Server] = []


def bench(
    args: Sequence[object], cwd: Path | str, env: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """``bench ARGS`` in a folder, with an environment."""
    words = [str(a) for a in args]
    if not hasattr(os, "fork"):
        return subprocess.run(
            [sys.executable, "-m", "bench.cli", *words], capture_output=True, text=True, cwd=cwd,
            timeout=timeout, check=False, env=dict(env))
    if not _servers or _servers[0].process.poll() is not None:
        _servers[:] = [Server()]
    with tempfile.TemporaryDirectory(prefix="bench-forked-") as folder:
        paths = [Path(folder, name) for name in ("out", "err")]
        status = _servers[0].call({"args": words, "cwd": str(cwd), "env": dict(env),
                                   "paths": list(map(str, paths))}, timeout)
        out, err = (p.read_text(encoding="utf-8") if p.exists() else "" for p in paths)
    if status is None:
        _servers.pop().end()
        raise subprocess.TimeoutExpired(words, timeout, out, err)
    return subprocess.CompletedProcess(words, status, out, err)


def serve() -> None:
    """Fork for each line that is read."""
    import importlib

    for name in NEEDED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    answers = os.dup(1)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            os.close(answers)
            _become(asked)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(answers, f"{status}\n".encode())


def _become(asked: dict[str, Any]) -> NoReturn:
    """Be the process that was asked for, to its end."""
    status = 1
    try:
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(asked["paths"], 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(n, mode, encoding="utf-8", closefd=False)
            for n, mode in enumerate(("r", "w", "w")))
        sys.argv = ["bench", *asked["args"]]
        sys.path[0] = asked["cwd"]  # as of python -m
        from bench.cli.main import main

        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
