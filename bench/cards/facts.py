"""Facts of a method for readers who have no use for its code: entry and docstring, nothing run."""

from __future__ import annotations

from typing import Any

from ..errors import BenchError
from ..registry import entry
from .docstrings import adapted, docstring, sections


def facts(name: str) -> dict[str, Any] | None:
    """What is known of a method without importing it; None where no such method is installed.

    Keys: ``family``, ``summary``, ``paper``, ``origin``, ``description`` (paragraphs),
    ``equation``, ``adapted`` (what and why), ``learns`` (what it uses, in words; empty if its entry
    does not say).
    """
    try:
        item = entry("methods", name.partition(":")[0] if ":" in name else name)
    except BenchError:
        return None
    text = docstring(item)
    said = sections(text)
    paragraphs = "\n".join(said[""][1:]).strip().split("\n\n")
    learns = ""
    if item.profile is not None:
        needs = item.profile.needs
        used = [f"{needs.source} source"] if needs.source != "none" else []
        used += ["calibration trials"] * needs.calibration
        used += ["unlabelled target windows"] * needs.unlabelled
        used += ["all tested windows at once"] * item.profile.transductive
        learns = ", ".join(used)
    return {
        "family": item.family, "summary": item.summary, "paper": item.paper, "origin": item.origin,
        "description": [" ".join(p.split()) for p in paragraphs if p],
        "equation": " ".join(" ".join(said.get("Equation", [])).split()),
        "adapted": [[a["what"], a["why"]] for a in adapted(text)], "learns": learns,
    }
