"""Command ``bench show``: the card of a method."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from .screen.console import Screen
from .shared import includes

Includes = Annotated[list[str] | None, includes("Python file or module with a CATALOGUE.")]


def show(
    method: Annotated[str, typer.Argument(help="See: bench list methods.")],
    include_: Includes = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the card of a method: what it learns from, equation, parameters, budget, tests.

    Also what differs from the published method, and why.
    """
    from .screen.cards import as_card, card

    facts = card(method)
    if json_:
        sys.stdout.write(json.dumps(facts, indent=1, ensure_ascii=False, default=str) + "\n")
        return
    Screen().print(as_card(facts))
