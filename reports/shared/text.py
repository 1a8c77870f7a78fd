"""Text for people. Whatever comes from a record was written by a stranger: it shows as text.

A record is mergeable by copying, so its method name, reason or class may hold markup, escape
codes or a spreadsheet formula. :func:`clean` is applied once, when a record is read; each output
escapes what is special to it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
}
_LONGEST = 200
#: Where a cell begins, for some spreadsheet, with what makes it a formula.
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*[=+\-@\t\r])")


def clean(value: Any, longest: int = _LONGEST) -> str:
    """One line of printable text: no control, escape or direction-changing characters."""
    text = str(value)
    if not text.isprintable():  # rare, and the loop is slow
        text = "".join(
            " " if c.isspace() else c
            for c in text
            if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        )
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def markdown(text: str) -> str:
    """Text that shows as itself in a GitHub table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare address would become a link, a name after @ would call somebody.
    text = re.sub(r"([\\`*_{}\[\]|#~$!])", r"\\\1", text)
    return text.replace("://", ":&#47;/").replace("@", "&#64;").replace("www.", "www&#46;")


def spreadsheet(value: Any) -> Any:
    """Value of a CSV field; text that a spreadsheet would run as a formula gets an apostrophe.

    Where a spreadsheet takes ``;`` or a tab for the end of a cell, there may be several to a field.
    """
    return _FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else value


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def percent(value: float | None, digits: int = 1) -> str:
    """``71.2`` for 0.712, a dash where there is no value."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def signed(value: float, digits: int = 1) -> str:
    """``+4.2`` for 0.042, with a true minus sign, and no sign on zero."""
    text = f"{100 * value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def p_value(p: float) -> str:
    """``0.031``, ``<0.001``; never 0."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def numbers(values: Iterable[int]) -> str:
    """``0–4, 7`` for 0, 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for v in sorted(set(values)):
        if runs and v == runs[-1][1] + 1:
            runs[-1][1] = v
        else:
            runs.append([v, v])
    return ", ".join(
        str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in runs
    )


def span(values: Iterable[int]) -> str:
    """``6``, or ``6–9`` where they are not all the same."""
    low, *_, high = [*sorted(values)] * 2
    return str(low) if low == high else f"{low}–{high}"


def settings(values: dict[str, Any]) -> str:
    """``a=1, b=x`` of a mapping, on one line; long, since what is cut off no longer tells apart."""
    return clean(", ".join(f"{k}={_short(v)}" for k, v in sorted(values.items())), 2000)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def digest(value: Any, length: int) -> str:
    """First hexadecimal digits of the sha256 of a value's JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which 2 comes before 10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part.lower())
        for part in re.split(r"(\d+)", text)
        if part
    )
