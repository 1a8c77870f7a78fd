"""Trainings that were interrupted: what they had come to, for the same training to go on from.

A pre-training may take hours. When Ctrl-C or a signal ends it, what stood at the end of its last
whole epoch is stored beside the pre-trained states; the same command goes on from there, and its
numbers are those of a training that was never interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from .records import Store

_current: ContextVar[Unfinished | None] = ContextVar("unfinished", default=None)


class Unfinished:
    """Keeps the trainings of one pre-training, each as a plain value of tensors and numbers.

    Parameters
    ----------
    store : Store
    key : str
        Names what is trained: all that decides it.
    """

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.name = store, f"{key}.unfinished"
        #: What each training had come to, in the order in which they began.
        self.parts: list[Any] = []
        found = store.get_state(self.name)
        known = found[0] if found is not None and isinstance(found[0], list) else []
        self._known: list[Any] = known

    def begin(self) -> tuple[int, Any]:
        """Number of the training that begins, and what it had come to before, or None."""
        number = len(self.parts)
        self.parts.append(None)
        return number, self._known[number] if number < len(self._known) else None

    def note(self, number: int, part: Any) -> None:
        """What a training has come to; nothing is written yet."""
        self.parts[number] = part

    def interrupted(self) -> None:
        """Write it; a folder that cannot be written does not hide the interruption."""
        while self.parts and self.parts[-1] is None:
            self.parts.pop()
        if self.parts and None not in self.parts:
            with contextlib.suppress(OSError):
                self.store.put_state(self.name, self.parts, {})

    def over(self) -> None:
        """Remove what was stored: the whole is."""
        with contextlib.suppress(OSError):
            (self.store.root / "pretrained" / f"{self.name}.pt").unlink(missing_ok=True)


@contextlib.contextmanager
def keeping(store: Store, key: str, wanted: bool = True) -> Iterator[None]:
    """Keep the trainings inside the block when they are interrupted; else forget them."""
    if not (wanted and store.resumes):
        yield
        return
    kept = Unfinished(store, key)
    token = _current.set(kept)
    try:
        yield
    except KeyboardInterrupt:
        kept.interrupted()
        raise
    finally:
        _current.reset(token)
    kept.over()


def current() -> Unfinished | None:
    """Who keeps the training that goes on, if anybody does."""
    return _current.get()
