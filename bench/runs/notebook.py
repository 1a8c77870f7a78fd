"""Progress in a notebook: a bar in the output of its cell, where nobody else is told."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..cells.cell import Event, OnEvent

#: Seconds between two drawings of the bar.
EVERY = 0.2


@contextlib.contextmanager
def watching(on_event: OnEvent | None) -> Iterator[OnEvent]:
    """Who is told of a run: whoever was given; else, in a notebook, a bar; else nobody."""
    if on_event is not None or not in_notebook():
        yield on_event or (lambda event: None)
        return
    bar = Bar()
    try:
        yield bar
    except BaseException as error:
        bar.close(f"stopped: {type(error).__name__}")
        raise
    bar.close("done")


def in_notebook() -> bool:
    """Whether this code runs in a kernel of Jupyter."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class Bar:
    """Watcher of a run that draws where it stands into the output of a notebook's cell."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._began = self._drawn = time.monotonic()
        self._handle: Any = display(HTML(self._text("starting")), display_id=True)

    def __call__(self, event: Event) -> None:
        """Draw an event, unless the last one was drawn just now."""
        now = time.monotonic()
        if now - self._drawn < EVERY and event.done < event.total:
            return
        self._drawn = now
        if not event.total:
            self._draw(event.stage)
            return
        left = "" if event.left is None else f"about {event.left:.0f} s left"
        counted = f"{event.unit} {event.done}/{event.total}".strip()
        words = "  ".join(word for word in (event.stage, counted, left, event.detail) if word)
        self._draw(words, event.done / event.total)

    def close(self, how: str) -> None:
        """Say in place of the bar how it ended and how long it took."""
        self._draw(f"{how} after {time.monotonic() - self._began:.1f} s")

    def _draw(self, words: str, share: float | None = None) -> None:
        self._handle.update(self._html(self._text(words, share)))

    @staticmethod
    def _text(words: str, share: float | None = None) -> str:
        bar = "" if share is None else f'<progress max="1" value="{share:.3f}"></progress> '
        return f"<div>{bar}<small>{html.escape(words)}</small></div>"
