"""Tables of the smaller commands: what is registered, recipes, deviations from references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .registry import entries

if TYPE_CHECKING:
    from .recipe import Recipe
    from .reference import Deviation


def as_json(group: str) -> str:
    """Entries of a group as JSON."""
    rows = [
        {"name": e.name, "family": e.family, "summary": e.summary, "paper": e.paper,
         "origin": e.origin}
        for e in entries(group).values()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def as_table(group: str) -> Table:
    """Entries of a group as a table, family by family."""
    found = list(entries(group).values())
    papers = any(e.paper for e in found)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("what it is", ratio=3)
    if papers:
        table.add_column("source", style="dim", ratio=2)
    for family in dict.fromkeys(e.family for e in found):
        if family:
            table.add_row(Text(family, style="italic dim"))
        for e in found:
            if e.family == family:
                name = Text(f"{'  ' * bool(family)}{e.name}", style="cyan")
                table.add_row(name, *map(escape, [e.summary, *([e.paper] if papers else [])]))
    return table


def deviations(found: Sequence[Deviation], path: Path) -> tuple[Table, bool]:
    """Deviations from a reference file as a table, and whether all are within limits."""
    table = Table(
        title=f"largest deviation from {escape(path.name)}, relative to the largest entry",
        title_justify="left", box=None, pad_edge=False, header_style="bold",
    )
    table.add_column("quantity", no_wrap=True, style="cyan")
    for column in ("float64", "limit", "float32"):
        table.add_column(column, justify="right")
    table.add_column("")
    for d in found:
        mark = "[green]✓[/]" if d.passed else "[bold red]too far[/]"
        table.add_row(d.name, f"{d.double:.1e}", f"{d.limit:.0e}", f"[dim]{d.single:.1e}[/]", mark)
    passed = all(d.passed for d in found)
    table.caption = (
        "all within limits; float32 is for information" if passed
        else "not the same numbers: see the rows marked"
    )
    table.caption_justify = "left"
    return table, passed


def recipe_table(recipe: Recipe) -> Table:
    """A recipe with the meaning of each number."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", style="cyan")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for name, info in type(recipe).model_fields.items():
        table.add_row(name, f"{getattr(recipe, name):g}", escape(info.description or ""))
    return table
