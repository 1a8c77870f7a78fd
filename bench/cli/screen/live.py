"""What displays share: one live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

#: Least seconds between two pictures.
EVERY = 0.2


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
            self.console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
        else:
            self.console.print(line, soft_wrap=True, highlight=False)
