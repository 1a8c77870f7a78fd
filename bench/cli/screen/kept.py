"""What an interrupted run leaves behind, in words."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rich.markup import escape

from .console import Screen

#: Clocks of file systems are coarser than ours, in seconds.
_COARSE = 2.0


def kept(runs: Path, since: float) -> str:
    """Records and pre-trained states that were written since a time (of :func:`time.time`)."""
    records = _new(runs / "cells", "*/record.json", since)
    every = _new(runs / "pretrained", "*.pt", since)
    begun = [path for path in every if path.stem.endswith(".unfinished")]
    states = [path for path in every if path not in begun]
    parts = [f"{n} {word}{'s' * (n > 1)}" for n, word in
             ((len(records), "record"), (len(states), "pre-training"),
              (len(begun), "unfinished pre-training")) if n]
    if not parts:
        return "Nothing was finished yet, so nothing of it is kept."
    where = f" ({every[-1]})" if every else ""
    return f"Kept: {' and '.join(parts)}{where}."


def _new(folder: Path, pattern: str, since: float) -> list[Path]:
    found = []
    for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
        try:
            if path.stat().st_mtime > since - _COARSE:
                found.append(path)
        except OSError:
            continue
    return found


def say_kept(runs: Path, since: float) -> None:
    """Print it; of SIGHUP the terminal is gone."""
    with contextlib.suppress(OSError):
        Screen(stderr=True).print(escape(kept(runs, since)), highlight=False, soft_wrap=True)


def now() -> float:
    """The time that :func:`kept` is asked with."""
    return time.time()
