"""The screen that every command writes to: what strangers wrote shows as text on it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table

#: Characters that a terminal acts on, reverses or cannot be sent, by their kind.
_UNSHOWN = ("Cc", "Cf", "Cs", "Co", "Cn")


class Screen(Console):
    """A console on which no text can move the cursor, change colours or set a title.

    Names, reasons and paths may come from a run folder of somebody else's. Colours and the cursor
    are moved by segments that hold no text of theirs, or by a style. Nothing is coloured unasked.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is to be shown, without characters that do more than show."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control or text.isprintable() or text == "\n":
                yield segment
            else:
                yield Segment(shown(text), style)


def plain_table(*columns: Column | str, **settings: Any) -> Table:
    """A table without lines, its title to the left."""
    usual: dict[str, Any] = {
        "box": None, "pad_edge": False, "header_style": "bold", "padding": (0, 2, 0, 0),
        "title_justify": "left"}
    return Table(*columns, **usual | settings)


def shown(text: str) -> str:
    """Text less all characters that are not printed; lines stay lines."""
    return "".join(
        c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSHOWN
    )
