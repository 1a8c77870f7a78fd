"""What displays share: a live picture on a terminal, plain lines elsewhere; what is kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from ...store.shown import counted
from .console import Screen

#: Least seconds between two pictures.
EVERY = 0.2
#: Clocks of file systems are coarser than ours, in seconds.
_COARSE = 2.0


class LiveDisplay:
    """A display as a context manager; on a terminal it keeps one picture up to date.

    Parameters
    ----------
    console : Console
    quiet : bool
        Say nothing until the result.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self._live = Live(console=console, auto_refresh=False, transient=True) \
            if console.is_terminal and not quiet else None
        self._drawn = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def is_due(self) -> bool:
        """Whether there is a picture, and it is old enough to be drawn anew."""
        return self._live is not None and time.monotonic() - self._drawn > EVERY

    def draw(self, picture: RenderableType) -> None:
        """Draw the picture anew, on a terminal."""
        if self._live is not None:
            self._drawn = time.monotonic()
            self._live.update(picture, refresh=True)

    def say(self, line: Text) -> None:
        """Print one line: cut at the edge of a terminal, whole in a log."""
        if self.quiet:
            return
        if self.console.is_terminal:
            self.console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(line, soft_wrap=True)


#: Said where something is kept that a command finds when it is given again.
GOES_ON = "The same command goes on from there."


def kept(runs: Path, since: float) -> str:
    """Records and pre-trained states that were written since a time (of :func:`time.time`)."""
    records = _new(runs / "cells", "*/record.json", since)
    every = _new(runs / "pretrained", "*.pt", since)
    begun = [path for path in every if path.stem.endswith(".unfinished")]
    states = [path for path in every if path not in begun]
    parts = [counted(n, word) for n, word in
             ((len(records), "record"), (len(states), "pre-training"),
              (len(begun), "unfinished pre-training")) if n]
    if not parts:
        return "Nothing was finished yet, so nothing of it is kept."
    where = f" ({every[-1]})" if every else ""
    return f"Kept: {' and '.join(parts)}{where}. {GOES_ON}"


def _new(folder: Path, pattern: str, since: float) -> list[Path]:
    found = []
    for path in sorted(folder.glob(pattern)):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > since - _COARSE:
                found.append(path)
    return found


def say(text: str) -> None:
    """Print a last word; of SIGHUP the terminal is gone."""
    with contextlib.suppress(OSError):
        Screen(stderr=True).print(escape(text), soft_wrap=True)


@contextlib.contextmanager
def saying_what_is_kept(runs: Path | None = None) -> Iterator[None]:
    """Say where Ctrl-C ends what is inside: of a run folder, or of what stores each thing at once.

    The latter are trials, and files that come.
    """
    began = time.time()
    try:
        yield
    except KeyboardInterrupt:
        say(f"What was finished is stored. {GOES_ON}" if runs is None else kept(runs, began))
        raise
