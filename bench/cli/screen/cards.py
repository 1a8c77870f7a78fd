"""Cards of methods: what one learns from, its equation, parameters, budget, and what is adapted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from ...cards.docstrings import adapted, docstring, sections
from ...registry import entry, load
from .console import plain_table
from .tables import method_facts

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from ...method import Method

#: What a bound of a parameter is called.
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}


def card(name: str) -> dict[str, Any]:
    """All that is known of a method.

    Raises
    ------
    UnknownNameError
        There is no such method.
    BenchError
        It cannot be imported.
    """
    cls: type[Method] = load("methods", name)
    # A name like sklearn:DOTTED.NAME is a member of a registered family.
    item = entry("methods", name.partition(":")[0] if ":" in name else name)
    text = docstring(item)
    said = sections(text)
    return {
        "name": cls.name, "family": item.family, "summary": item.summary, "paper": item.paper,
        "origin": item.origin, "description": said[""], **method_facts(item),
        "equation": said.get("Equation", []),
        "class": inspect.getdoc(cls) or "",
        "parameters": {n: _parameter(cls.Params.model_fields[n]) for n in _own_first(cls.Params)},
        "budget": _budget(cls),
        "adapted": adapted(text), "tests": list(item.tests),
    }


def _own_first(params: type[BaseModel]) -> list[str]:
    """Names of parameters: those that a class declares itself, then those of its bases."""
    found: dict[str, None] = {}
    for kind in params.__mro__:
        declared = inspect.get_annotations(kind)
        found |= {name: None for name in params.model_fields if name in declared}
    return list(found)


def _parameter(info: FieldInfo) -> dict[str, Any]:
    extra: Any = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds: dict[str, Any] = {}
    for known in info.metadata:
        bounds |= {key: getattr(known, key) for key in _BOUNDS if hasattr(known, key)}
    return {
        "default": info.default, "meaning": info.description or "", "stage": extra.get("stage"),
        "bounds": bounds, "tuned": extra.get("tune"), "unit": extra.get("unit") or "",
    }


def _budget(cls: type[Method]) -> dict[str, Any] | None:
    """Optimiser steps of a network, by its defaults and by each scale; None of other methods."""
    from ...cells.cell import BUDGETS
    from ...training import steps_per_epoch

    q: Any = cls.parse({})
    if not hasattr(q, "fit_epochs") or not hasattr(q, "windows_per_epoch"):
        return None
    steps = steps_per_epoch(q.windows_per_epoch, q.batch)
    return {
        "source": {"epochs": q.epochs, "windows": q.windows_per_epoch, "batch": q.batch,
                   "batches": q.epochs * steps},
        "fit": {"epochs": q.fit_epochs if isinstance(q.fit_epochs, int) else None,
                "batch": q.fit_batch, "steps": q.fit_steps},
        "most": {scale: {"source": b.pretrain, "fit": b.fit} for scale, b in BUDGETS.items()},
    }


def as_card(facts: Mapping[str, Any]) -> RenderableType:
    """A card for the screen."""
    head = Text.assemble((facts["name"], "bold cyan"), "  ", (facts["family"], "italic dim"))
    parts: list[RenderableType] = [head, Text(facts["summary"])]
    if facts["paper"]:
        parts.append(Text(facts["paper"], style="dim"))
    parts += [part for text in _paragraphs(facts["description"][1:]) for part in (Text(), text)]
    for title, body in (
        ("Equation", [Text(" ".join(facts["equation"]), style="green")] * bool(facts["equation"])),
        ("Learns from", _protocols(facts)), ("Parameters", _parameters(facts["parameters"])),
        ("Budget", _spent(facts["budget"])), ("Adapted", _adaptations(facts["adapted"])),
        ("Held by", [Text("\n".join(facts["tests"]))] * bool(facts["tests"])),
    ):
        parts += [Text(), Text(title, style="bold")]
        parts += [Padding(part, (0, 0, 0, 2)) for part in body or [Text("–", style="dim")]]
    return Group(*parts)


def _paragraphs(lines: list[str]) -> list[Text]:
    """Paragraphs, whose lines are those of the screen."""
    every = "\n".join(lines).strip().split("\n\n")
    return [Text(" ".join(text.split())) for text in every if text]


def _protocols(facts: Mapping[str, Any]) -> list[RenderableType]:
    table = _grid(2)
    for name, p in (facts["protocols"] or {}).items():
        if not p["fits"]:
            table.add_row(Text(name, style="dim"),
                          Text(f"does not fit: needs {', '.join(p['lacks'])}", style="dim"))
            continue
        used = [f"{p['source']} source"] if p["source"] != "none" else []
        used += ["calibration trials"] * p["calibration"]
        used += ["unlabelled target windows"] * p["unlabelled"]
        used += ["all tested windows at once"] * bool(facts["transductive"])
        table.add_row(name, ", ".join(used) or "nothing")
    return [table]


def _parameters(every: Mapping[str, Mapping[str, Any]]) -> list[RenderableType]:
    if not every:
        return []
    table = _grid(4)
    for name, p in every.items():
        tuned = p["tuned"]
        ranged = "" if not tuned else f"tuned {_between(tuned)}"
        bounds = ", ".join(_BOUNDS[k].format(v) for k, v in p["bounds"].items())
        meaning = p["meaning"] + (f" ({p['unit']})" if p["unit"] else "")
        table.add_row(Text(name, style="cyan"), str(p["default"]),
                      Text("; ".join(filter(None, (bounds, ranged))), style="dim"), escape(meaning))
    return [table]


def _between(tuned: list[Any]) -> str:
    if any(isinstance(v, str) for v in tuned):
        return ", ".join(map(str, tuned))
    return f"{tuned[0]:g} to {tuned[1]:g}"


def _spent(budget: Mapping[str, Any] | None) -> list[RenderableType]:
    if budget is None:
        return []
    s, f = budget["source"], budget["fit"]
    length = f"{f['epochs']} epochs" if f["epochs"] else f"{f['steps']} steps"
    lines = [
        f"On the source {s['epochs']} epochs of {s['windows']:,} windows in batches of "
        f"{s['batch']}: {s['batches']:,} batches. On calibration trials {length} in "
        f"batches of {f['batch']}.",
        "At most, by scale: " + "; ".join(
            f"{scale} {b['source']} and {b['fit']} steps" for scale, b in budget["most"].items()
            if b["source"] is not None) + "; published has no limit.",
    ]
    return [Text(line) for line in lines]


def _adaptations(found: list[Mapping[str, str]]) -> list[RenderableType]:
    if not found:
        return []
    table = _grid(2)
    for each in found:
        table.add_row(escape(each["what"]), Text(each["why"], style="dim"))
    return [table]


def _grid(columns: int) -> Table:
    return plain_table(*(Column(overflow="fold", no_wrap=columns > 2 and i == 0)
                         for i in range(columns)), show_header=False)
