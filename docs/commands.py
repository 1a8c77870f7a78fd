"""The page of commands, from the command line's own help."""

from __future__ import annotations

import os
import re
from typing import Any

_INTRO = """# Command line

Every command says the same with `--help`. Names that are not known are answered with the nearest
ones. An error is one message and exit status 2.
"""


def page() -> str:
    """Markdown of all commands."""
    import typer

    from bench.cli.main import app

    return "\n".join([_INTRO, *_sections(typer.main.get_command(app), "bench")])


def _sections(command: Any, name: str) -> list[str]:
    """A command's part of the page, then those of its sub-commands."""
    inner = getattr(command, "commands", None)
    if inner is not None:
        return [line for key, sub in inner.items() for line in _sections(sub, f"{name} {key}")]
    lines = [f"## {name}", "", command.help or "", ""]
    panels: dict[str, list[str]] = {}
    for parameter in command.params:
        if parameter.name != "help":
            panels.setdefault(parameter.rich_help_panel or "", []).append(_row(parameter))
    if panels:
        lines += ['<div class="options" markdown>', "", "| option | |", "|---|---|"]
        lines += [row for title, rows in panels.items()
                  for row in ([f"| **{title}** | |", *rows] if title else rows)]
        lines += ["", "</div>", ""]
    if command.epilog:
        parts = [part.strip() for part in command.epilog.split("\n\n")]
        lines += ["```bash", *(p for p in parts if p.startswith("bench")), "```", ""]
    return lines


def _row(parameter: Any) -> str:
    """One option or argument as a row of a table."""
    flags = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        flags = [parameter.metavar or parameter.name.strip("_").upper()]
    shown = ", ".join(f"`{f}`" for f in flags)
    metavar = parameter.metavar or ""
    if metavar and parameter.param_type_name == "option":
        shown += f" `{metavar}`"
    text = re.sub(r"\[/?\w*\]", "", getattr(parameter, "help", "") or "")
    default = parameter.default
    shown_too = isinstance(default, int | float | str | os.PathLike) and default != ""
    if shown_too and not isinstance(default, bool):
        text += f" Default: `{default}`."
    return f"| {shown} | {text} |".replace("\\|", "|")
