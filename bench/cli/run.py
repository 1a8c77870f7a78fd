"""Command ``bench run``."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from ..registry import load
from .shared import (
    CalibrationTrials,
    MethodName,
    Quiet,
    SourceName,
    TargetName,
    options_of_run,
    with_options,
)


@with_options("run")
def run(
    method: MethodName = "scmm", src: SourceName = "SEED", tgt: TargetName = "DEAP",
    calibration_trials: CalibrationTrials = None, quiet: Quiet = False, **values: Any,
) -> None:
    """Run one method from a source to a target corpus, with its controls, and show the scores."""
    options = options_of_run(method, values, calibration_trials)
    from ..runs.run import run as run_one
    from .screen.progress import Display

    with Display(Console(stderr=True), quiet) as display:
        record = run_one(method, src, tgt, options, display)
    load("reports", "run")(record, Console())
