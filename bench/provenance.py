"""Where a record comes from: versions, machine, size."""

from __future__ import annotations

import datetime
import platform
import resource
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import __version__
from .method import Predictor


def provenance(device: str, predictors: Sequence[Predictor]) -> dict[str, Any]:
    """Versions, machine and size: what is worth knowing but does not decide the numbers."""
    import pandas as pd

    versions = {
        "bench": __version__, "python": platform.python_version(), "numpy": np.__version__,
        "pandas": pd.__version__,
    }
    torch = sys.modules.get("torch")
    threads = 0
    if torch is not None:
        versions["torch"] = str(torch.__version__)
        threads = int(torch.get_num_threads())
    count = getattr(predictors[0], "parameters", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": versions, "device": device, "threads": threads,
        "parameters": count() if callable(count) else None,
        "peak_memory_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
