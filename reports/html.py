"""One self-contained page: leaderboard, pairs, methods, subjects, and how each number was made.

The page is a file: it asks no network and no server for anything. Whatever comes from a record
travels as JSON and is put on the page as text, never as markup; besides, the page's own policy
lets nothing run but the script it was made with, which is named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from bench.reporting import ReportOptions
from bench.store.files import write_text
from bench.store.records import Store

from .page.data import page
from .shared.cells import collect

#: In the order in which they are put together.
_SCRIPTS = ("core.js", "charts.js", "hero.js", "compare.js", "board.js", "share.js", "parts.js",
            "start.js")


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``report.html``.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    write_text(out / "report.html", render(page(collect(store, options), options)))
    return [out / "report.html"]


def render(data: dict[str, Any]) -> str:
    """The page that shows ``data``."""
    folder = resources.files(__package__).joinpath("page")
    script = "\n".join(folder.joinpath(n).read_text(encoding="utf-8") for n in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    simulated = any(t["simulated"] for t in data["tables"])
    return filled("page.html", {
        "%POLICY%": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                    f"form-action 'none'; script-src 'sha256-{digest}'",
        "%TITLE%": html.escape(f"{'SIMULATED ' * simulated}Leaderboard · {data['folder']}"),
        "%SCRIPT%": script,
        "%DATA%": embedded(data),
    })


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template of the page with its marks replaced; what is put in is replaced no more."""
    text, style = (resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")
                   for name in (template, "style.css"))
    return re.sub(r"%[A-Z]+%", lambda mark: {"%STYLE%": style, **parts}[mark[0]], text)


def embedded(data: Any) -> str:
    """JSON that cannot end the element it stands in, nor open another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
