"""Benchmark harness for cross-corpus EEG emotion recognition.

From Python: :func:`bench.run`, :class:`bench.Windows`, :func:`bench.leaderboard`,
:func:`bench.load_model`. Names are imported on first use, so that ``import bench`` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

# Threads of torch that wait for one another look 300,000 times before they sleep. Beside other work
# on the same cores they then use up the time that the thread they wait for needs: a training took
# 10 times as long. Read when torch is loaded, so it has to stand here; the user's own word counts.
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "10000"

if TYPE_CHECKING:
    from .auditing.audit import AuditOptions as AuditOptions
    from .auditing.audit import audit as audit
    from .cells.models import load_model as load_model
    from .data.own.stored import load_windows as load_windows
    from .data.own.stored import save_windows as save_windows
    from .data.reading import read_corpus as read_corpus
    from .data.recipe import Recipe as Recipe
    from .data.signals import from_signals as from_signals
    from .data.windows import Windows as Windows
    from .errors import BenchError as BenchError
    from .exchange.report import report as report
    from .reporting import leaderboard as leaderboard
    from .runs.options import Options as Options
    from .runs.run import run as run
    from .store.records import Record as Record
    from .store.records import Store as Store
    from .sweeps.request import SweepOptions as SweepOptions
    from .sweeps.run import sweep as sweep
    from .tuning.search import TuneOptions as TuneOptions
    from .tuning.tune import tune as tune

#: Modules and the names of ours that they hold.
_HOMES = {
    "auditing.audit": ("AuditOptions", "audit"), "cells.models": ("load_model",),
    "data.own.stored": ("load_windows", "save_windows"),
    "data.reading": ("read_corpus",), "data.recipe": ("Recipe",),
    "data.signals": ("from_signals",), "data.windows": ("Windows",), "errors": ("BenchError",),
    "exchange.report": ("report",), "reporting": ("leaderboard",),
    "runs.options": ("Options",), "runs.run": ("run",),
    "store.records": ("Record", "Store"), "sweeps.request": ("SweepOptions",),
    "sweeps.run": ("sweep",), "tuning.search": ("TuneOptions",), "tuning.tune": ("tune",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = [
    "AuditOptions",
    "BenchError",
    "Options",
    "Recipe",
    "Record",
    "Store",
    "SweepOptions",
    "TuneOptions",
    "Windows",
    "__version__",
    "audit",
    "from_signals",
    "leaderboard",
    "load_model",
    "load_windows",
    "read_corpus",
    "report",
    "run",
    "save_windows",
    "sweep",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"bench.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
