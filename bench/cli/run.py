"""Command ``bench run``."""

from __future__ import annotations

from typing import Any

from ..registry import load
from .screen.console import Screen
from .screen.live import saying_what_is_kept
from .shared import what, with_options


@with_options("run")
def run(**values: Any) -> None:
    """Run one method from a source to a target corpus, with its controls, and show the scores."""
    asked = what(**values)
    from ..runs.run import run as run_one
    from .screen.progress import Display

    with (saying_what_is_kept(asked.options.runs),
          Display(Screen(stderr=True), asked.quiet) as display):
        record = run_one(asked.method, asked.src, asked.tgt, asked.options, display)
    load("reports", "run")(record, Screen())
