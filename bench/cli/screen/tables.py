"""Tables of the smaller commands: what is registered, recipes, deviations from references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from ...auditing.findings import word_widths
from ...cards.docstrings import adapted, docstring
from ...registry import Entry, Needs, Profile, entries, load
from .console import plain_table

if TYPE_CHECKING:
    from ...data.recipe import Recipe
    from ...method import Deviation, Method
    from ...protocols.base import Protocol

#: Above this many columns, methods are listed with what they are.
WIDE = 150
#: From this width papers are shown.
ROOM = 96
#: Letters in the list of methods.
_LETTERS = {
    "S": "labelled source", "s": "unlabelled source", "c": "calibration trials",
    "u": "unlabelled target windows", "t": "predicts all tested windows at once",
}


def as_json(group: str) -> str:
    """Entries of a group as JSON, with all that is known of them."""
    more = {"methods": method_facts, "protocols": _protocol_json}.get(group, lambda entry: {})
    rows = [
        {"name": e.name, "family": e.family, "summary": e.summary, "paper": e.paper,
         "origin": e.origin, **more(e)}
        for e in entries(group).values()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def as_table(group: str, width: int = 100) -> RenderableType:
    """Entries of a group as a table, family by family."""
    special = {"methods": methods_table, "protocols": protocols_table}.get(group)
    return special(width) if special else _plain_table(group, width)


def _plain_table(group: str, width: int) -> Table:
    found = list(entries(group).values())
    papers = any(e.paper for e in found)
    name = max(len(e.name) + 2 * bool(e.family) for e in found)
    said = [["what it is", *(e.summary for e in found)], ["source", *(e.paper for e in found)]]
    widths = word_widths(said[: 1 + papers], width - name - 2 * (1 + papers))
    table = plain_table(
        Column("name", no_wrap=True), Column("what it is", width=widths[0], overflow="fold"))
    if papers:
        table.add_column("source", style="dim", width=widths[1], overflow="fold")
    for family in dict.fromkeys(e.family for e in found):
        if family:
            table.add_row(Text(family, style="italic dim"))
        for e in found:
            if e.family == family:
                title = Text(f"{'  ' * bool(family)}{e.name}", style="cyan")
                table.add_row(title, *map(escape, [e.summary, *([e.paper] if papers else [])]))
    return table


def methods_table(width: int = 100) -> RenderableType:
    """Methods, what each needs under every protocol, its kinds of features and its paper."""
    found, granted = list(entries("methods").values()), _granted()
    table = plain_table(
        Column("method", no_wrap=True),
        *(Column(name, justify="center", no_wrap=True) for name in granted),
        Column("features", no_wrap=True))
    if width >= WIDE:
        table.add_column("what it is", ratio=3)
    if width >= ROOM:
        table.add_column("paper", style="dim", ratio=2)
    for family in dict.fromkeys(e.family for e in found):
        table.add_row(Text(family or "other", style="italic dim"))
        for e in found:
            if e.family == family:
                table.add_row(*_method_row(e, granted, width))
    return Group(table, Text(), _legend())


def _method_row(entry: Entry, granted: dict[str, Sequence[str]], width: int) -> list[Any]:
    profile = profile_of(entry)
    cells: list[Any] = [Text(f"  {entry.name}", style="cyan")]
    cells += [_cell(profile, grants) for grants in granted.values()]
    kinds = sorted(profile.needs.features) if profile else ["?"]
    return [*cells, " ".join(kinds), *([escape(entry.summary)] if width >= WIDE else []),
            *([escape(_short(entry.paper))] if width >= ROOM else [])]


def _short(paper: str) -> str:
    """``Chen et al., ICML 2020`` of ``Chen et al., ICML 2020, arXiv 2002.05709``."""
    before = paper.partition(", arXiv")[0]
    return before if any(c.isdigit() for c in before) else paper


def _cell(profile: Profile | None, grants: Sequence[str]) -> Text:
    if profile is None:
        return Text("?", style="dim")
    needs = profile.under(grants)
    if needs.lacking(grants):
        return Text("·", style="dim")
    letters = {"labelled": "S", "unlabelled": "s", "none": ""}[needs.source]
    letters += "c" * needs.calibration + "u" * needs.unlabelled + "t" * profile.transductive
    return Text(" ".join(letters), style="green")


def _legend() -> Text:
    text = Text("What a method needs under a protocol: ", style="dim")
    for letter, meaning in _LETTERS.items():
        text.append(letter, style="green").append(f" {meaning}, ", style="dim")
    text.append("· does not fit. Under few-shot, calibration trials also serve as u. "
                "A wider terminal, or --json, says what each method is.", style="dim")
    return text


def _granted() -> dict[str, Sequence[str]]:
    """What each protocol grants, in the order they are to be read."""
    return {e.name: grants_of(e) for e in entries("protocols").values()}


def grants_of(entry: Entry) -> Sequence[str]:
    """What a protocol grants: as its entry says, else as its class does."""
    return entry.grants or sorted(load("protocols", entry.name).grants)


def profile_of(entry: Entry) -> Profile | None:
    """What a method needs: as its entry says, else as its class does; None if that fails."""
    if entry.profile is not None:
        return entry.profile
    try:
        method = load("methods", entry.name)()
        needs: Needs = method.needs_under(frozenset({"source", "calibration"}))
        bare: Needs = method.needs_under(frozenset({"source", "unlabelled"}))
        return Profile(needs, bare, bool(method.transductive))
    except Exception:  # a plugin's code: listing says what it can, using it will say the rest
        return None


def method_facts(entry: Entry) -> dict[str, Any]:
    """What a method needs under each protocol, and what of the published method is adapted."""
    profile, differs = profile_of(entry), adapted(docstring(entry))
    if profile is None:
        return {"features": None, "transductive": None, "protocols": None, "adapted": differs}
    protocols = {}
    for name, grants in _granted().items():
        needs = profile.under(grants)
        lacking = needs.lacking(grants)
        protocols[name] = {
            "fits": not lacking, "source": needs.source, "calibration": needs.calibration,
            "unlabelled": needs.unlabelled, "lacks": lacking,
        }
    return {
        "features": sorted(profile.needs.features), "transductive": profile.transductive,
        "protocols": protocols, "adapted": differs,
    }


def protocols_table(width: int = 100) -> RenderableType:
    """Protocols: what they grant, what of the target is seen, and their options."""
    table = plain_table(Column(no_wrap=True), Column(no_wrap=True), "", show_header=False)
    for entry in entries("protocols").values():
        cls: type[Protocol] = load("protocols", entry.name)
        if table.row_count:
            table.add_row()
        table.add_row(Text(entry.name, style="bold cyan"), "", escape(entry.summary))
        table.add_row("  grants", "", ", ".join(sorted(cls.grants)))
        table.add_row("  target access", "", escape(cls.target_access))
        for name, info in cls.model_fields.items():
            table.add_row(Text(f"  {name}", style="cyan"), Text(_default(info), style="dim"),
                          escape(info.description or ""))
    hint = Text("Options: --protocol-set NAME=VALUE, or [protocol.NAME] in a sweep; defaults in "
                "the middle.", style="dim")
    return Group(table, Text(), hint)


def _default(info: Any) -> str:
    return "–" if info.default is None else str(info.default)


def _protocol_json(entry: Entry) -> dict[str, Any]:
    cls: type[Protocol] = load("protocols", entry.name)
    return {
        "grants": sorted(cls.grants), "target_access": cls.target_access,
        "maps_labels": cls.maps_labels,
        "options": {
            name: {"default": info.default, "meaning": info.description}
            for name, info in cls.model_fields.items()
        },
    }


def deviations(found: Sequence[Deviation], path: Path) -> tuple[Table, bool]:
    """Deviations from a reference file as a table, and whether all are within limits."""
    passed = all(d.passed for d in found)
    table = plain_table(
        Column("quantity", no_wrap=True, style="cyan"),
        *(Column(kind, justify="right") for kind in ("float64", "limit", "float32")), "",
        title=f"largest deviation from {escape(path.name)}, relative to the largest entry",
        caption="all within limits; float32 is for information" if passed
        else "not the same numbers: see the rows marked", caption_justify="left", padding=(0, 1),
    )
    for d in found:
        mark = "[green]✓[/]" if d.passed else "[bold red]too far[/]"
        table.add_row(d.name, f"{d.double:.1e}", f"{d.limit:.0e}", f"[dim]{d.single:.1e}[/]", mark)
    return table, passed


def recipe_table(recipe: Recipe) -> Table:
    """A recipe with the meaning of each number."""
    table = plain_table(Column("name", style="cyan"), Column("value", justify="right"), "meaning",
                        padding=(0, 1))
    for name, info in type(recipe).model_fields.items():
        table.add_row(name, f"{getattr(recipe, name):g}", escape(info.description or ""))
    return table


def shortcut_table(cls: type[Method], width: int) -> Table:
    """Shortcuts that can be audited of a method: what they do, what they steal, who took them."""
    from ...auditing.audit import chosen

    heads = ("shortcut", "what is done", "what it steals", "seen in")
    rows = [(s.name, s.does, s.steals, s.seen) for s in chosen(cls, ())]
    widths = word_widths(list(zip(heads, *rows, strict=True)), width - 6)
    table = plain_table(
        *(Column(head, overflow="fold", width=wide)
          for head, wide in zip(heads, widths, strict=True)),
        title=f"Shortcuts that bench audit measures of {cls.name}")
    for name, does, steals, seen in rows:
        table.add_row(name, does, f"[dim]{steals}[/]", f"[dim]{seen}[/]")
    return table
