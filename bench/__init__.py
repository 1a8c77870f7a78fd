"""Benchmark harness for cross-corpus EEG emotion recognition.

From Python: :func:`bench.run`, :class:`bench.Windows`, :func:`bench.leaderboard`,
:func:`bench.load_model`. Names are imported on first use, so that ``import bench`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "audit": "bench.auditing.run", "AuditOptions": "bench.auditing.run",
    "leaderboard": "bench.runner",
    "run": "bench.runner", "RunOptions": "bench.runner", "sweep": "bench.sweeping",
    "SweepOptions": "bench.sweeping", "Windows": "bench.windows",
    "Store": "bench.store", "Record": "bench.store", "load_model": "bench.models",
    "read_corpus": "bench.data", "Recipe": "bench.recipe", "BenchError": "bench.errors",
    "from_signals": "bench.own",
    "tune": "bench.tuner", "TuneOptions": "bench.tuning",
}
__all__ = ["AuditOptions", "BenchError", "Recipe", "Record", "RunOptions", "Store", "SweepOptions",
           "TuneOptions", "Windows", "__version__", "audit", "from_signals", "leaderboard",
           "load_model", "read_corpus", "run", "sweep", "tune"]

if TYPE_CHECKING:
    from .auditing.run import AuditOptions as AuditOptions
    from .auditing.run import audit as audit
    from .data import read_corpus as read_corpus
    from .errors import BenchError as BenchError
    from .models import load_model as load_model
    from .own import from_signals as from_signals
    from .recipe import Recipe as Recipe
    from .runner import RunOptions as RunOptions
    from .runner import leaderboard as leaderboard
    from .runner import run as run
    from .store import Record as Record
    from .store import Store as Store
    from .sweeping import SweepOptions as SweepOptions
    from .sweeping import sweep as sweep
    from .tuner import tune as tune
    from .tuning import TuneOptions as TuneOptions
    from .windows import Windows as Windows


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
