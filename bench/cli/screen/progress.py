"""What a person sees while something runs: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ...store.shown import spoken

if TYPE_CHECKING:
    from ...cells.cell import Event

#: Without a terminal, a stage that goes on says so this often, in seconds.
PLAIN_EVERY = 15.0


def _left(event: Event) -> str:
    """Time left over all stages, in words."""
    return "" if event.left is None else f"all stages: about {spoken(event.left)} left"


class Display:
    """Watcher of a run (see :class:`bench.cells.cell.Event`), as a context manager.

    A finished stage leaves one line (unless ``keep`` is off): what, last losses, seconds. Events
    without a total are messages and are printed as they are, each once: a method and its controls
    have most of them in common.
    """

    def __init__(self, console: Console, quiet: bool = False, keep: bool = True) -> None:
        self.console, self.quiet, self.keep = console, quiet, keep
        self._progress = Progress(
            TextColumn("  {task.description}"), BarColumn(24),
            TextColumn("{task.fields[unit]}{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(compact=True), TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[detail]}[/]"),
            console=console, transient=True,
        )
        self._live = console.is_terminal and not quiet
        self._task: TaskID | None = None
        self._stage = ""
        self._detail = ""
        self._began = self._said = 0.0
        self._told: set[str] = set()

    def __enter__(self) -> Display:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not any(error):
            self._finish()
        if self._live:  # elsewhere, stopping would print an empty line
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self.quiet:
            return
        if not event.total:
            self._finish()
            if event.stage not in self._told:
                self._told.add(event.stage)
                self.console.print(f"[dim]·[/] {escape(event.stage)}")
            return
        if event.stage != self._stage:
            self._finish()
            self._stage, self._began = event.stage, time.monotonic()
            self._said = self._began
            if self._live:
                self._task = self._progress.add_task(
                    escape(event.stage), total=event.total, detail="", left="", unit=""
                )
        self._detail = event.detail
        if self._task is not None:
            self._progress.update(
                self._task, completed=event.done, total=event.total, detail=escape(event.detail),
                left=_left(event), unit=f"{event.unit} " if event.unit else "",
            )
        elif time.monotonic() - self._said > PLAIN_EVERY:
            self._said = time.monotonic()
            self.console.print(
                f"  {escape(event.stage)} {event.unit} {event.done}/{event.total}  "
                f"{_left(event)}  {escape(event.detail)}".replace("   ", "  "),
                no_wrap=True, overflow="ellipsis",
            )

    def _finish(self) -> None:
        if not self._stage:
            return
        seconds = time.monotonic() - self._began
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        if not self.keep:
            self._stage = self._detail = ""
            return
        self.console.print(
            f"[green]✓[/] {escape(self._stage)} [dim]{seconds:.1f} s  {escape(self._detail)}[/]",
            no_wrap=True, overflow="ellipsis",
        )
        self._stage = self._detail = ""
