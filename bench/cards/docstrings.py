"""What the docstring of a method's module says of it, read from the source.

Under the heading ``Equation`` stand lines as they are; under ``Adapted`` what differs from the
published method, and below each of these, indented, why. Nothing is imported, so that a list of all
methods takes no time.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from ..registry import Entry

_SECTIONS = ("Equation", "Adapted")


def docstring(item: Entry) -> str:
    """Docstring of the module that an entry leads to; nothing of it is run. "" if there is none."""
    module = item.target.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    return ast.get_docstring(tree) or ""


def sections(text: str) -> dict[str, list[str]]:
    """Lines under each heading of a docstring; those above all headings under ""."""
    found: dict[str, list[str]] = {"": []}
    lines, name = text.splitlines(), ""
    for i, line in enumerate(lines):
        below = lines[i + 1] if i + 1 < len(lines) else ""
        if line in _SECTIONS and below == "-" * len(line):
            name = line
            found[name] = []
        elif not (name and not found[name] and line == "-" * len(name)):
            found[name].append(line)
    return {name: _stripped(lines) for name, lines in found.items()}


def _stripped(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def adapted(text: str) -> list[dict[str, str]]:
    """What differs from the published method, and why, from a module's docstring."""
    out: list[dict[str, str]] = []
    for line in sections(text).get("Adapted", ()):
        if line.startswith(" "):
            if out:
                out[-1]["why"] = f"{out[-1]['why']} {line.strip()}".strip()
        elif line.strip():
            out.append({"what": line.strip(), "why": ""})
    return out
