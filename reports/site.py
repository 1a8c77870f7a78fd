"""A static site of a run folder: a page for each setting, and an index that leads to them.

Plain files, to be put on any web server as they are. A page is named after its setting, so that
links to it hold when records are added.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from bench.reporting import ReportOptions
from bench.store.files import write_text
from bench.store.records import Store
from bench.store.shown import counted
from bench.version import __version__

from .html import filled, render
from .page.data import page
from .page.names import setting_key
from .shared.caption import caption, problems, title
from .shared.cells import Collection, collect, origins
from .shared.table import Table, tables
from .shared.text import clean, percent, span
from .shared.worth import headline, worth_of, worths


def write(store: Store, out: Path, options: ReportOptions) -> list[Path]:
    """Write ``index.html`` and a page for each setting.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    collection = collect(store, options)
    shown = tables(collection, options)
    paths = []
    for table in shown:
        paths.append(out / f"{setting_key(table.setting)}.html")
        data = page(collection, options, only=table.setting, home="index.html")
        write_text(paths[-1], render(data))
    write_text(out / "index.html", _index(collection, shown, options))
    return [out / "index.html", *paths]


def _index(collection: Collection, shown: Sequence[Table], options: ReportOptions) -> str:
    name = collection.root.resolve().name
    simulated = any(t.simulated for t in shown)
    curves = worths(collection, options)
    places = origins(collection.cells)
    records = len({cell.id for cell in collection.cells})
    about = [counted(records, "record"), counted(len(shown), "setting"), f"bench {__version__}"]
    about += [f"from {', '.join(places)}"] if len(places) > 1 else []
    cards = []
    for table in shown:
        worth = worth_of(table, curves)
        cards.append(_card(table, headline(worth) if worth is not None else ""))
    return filled("site.html", {
        "%TITLE%": html.escape(f"{'SIMULATED ' * simulated}Leaderboards · {clean(name)}"),
        "%ABOUT%": html.escape(" · ".join([clean(name), *about])),
        "%CARDS%": "\n".join(cards),
        "%PROBLEMS%": _problems(problems(collection)),
    })


def _problems(lines: Sequence[str]) -> str:
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<h2>Without scores</h2>\n<ul class="caption">{items}</ul>' if lines else ""


def _card(table: Table, said: str) -> str:
    """What a setting holds, and a link to its page."""
    methods, pairs = len(table.methods), len(table.columns)
    subjects = span(table.n(c) for c in table.columns)
    facts = [counted(methods, "method"), counted(pairs, "pair"),
             f"{subjects} target subjects a pair"]
    best = [r for r in table.methods if table.mark(r, None) == 2]
    if best and best[0].mean is not None:
        chance = table.mean_chance()
        facts.append(f"best mean {best[0].label} {percent(best[0].mean)}"
                     + (f" (chance {percent(chance)})" if chance is not None else ""))
    _, setting, *_ = caption(table)
    badge = '<span class="badge">SIMULATED</span>' if table.simulated else ""
    return (
        f'<a class="setting" href="{setting_key(table.setting)}.html">'
        f'<h2>{html.escape(title(table).removesuffix(" (simulated)"))}{badge}</h2>'
        f'<p class="count">{html.escape(" · ".join(facts))}</p>'
        + (f'<p class="headline">{html.escape(said)}</p>' if said else "")
        + f'<p class="count">{html.escape(setting)}</p></a>'
    )
