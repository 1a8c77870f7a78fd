"""Table of the shortcuts for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ..method import Method

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .shortcuts import Shortcut


def shortcut_table(cls: type[Method]) -> Table:
    """Shortcuts that can be audited of a method: what they do, what they steal, who took them."""
    from .run import chosen

    return _table(chosen(cls, ()), f"Shortcuts that bench audit measures of {cls.name}")


def _table(shortcuts: Iterable[Shortcut], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("shortcut", "what is done", "what it steals", "seen in"):
        table.add_column(name, overflow="fold", no_wrap=name == "shortcut")
    for s in shortcuts:
        table.add_row(s.name, s.does, f"[dim]{s.steals}[/]", f"[dim]{s.seen}[/]")
    return table
