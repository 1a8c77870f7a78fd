"""What a person sees of a sweep: one live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ...auditing.findings import word_widths
from ...store.lock import held
from ...store.records import Store, without_sums
from ...store.shown import counted, spoken
from ...sweeps.manifest import read_manifests
from ...sweeps.plan import CellSpec, Plan
from ...sweeps.status import SweepState, read_status, when
from .live import LiveDisplay

_STYLE = {"done": "green", "failed": "red", "killed": "red", "skipped": "yellow"}
#: Rows of the tables of a live display.
_ROWS = 12
#: Most parameters of a cell that the table of a plan names.
_NAMES = 3
#: Most pairs of which each has a column of its own there.
_PAIRS = 12


class SweepDisplay(LiveDisplay):
    """Shows a sweep; call it with the state and a line or ""."""

    def __call__(self, state: SweepState, line: str) -> None:
        """Show how far the sweep is, and the line."""
        if line:
            status = line.partition(" ")[0]
            text = Text(f"[{state.total - state.left}/{state.total}] ", style="dim")
            text.append(line, style=_STYLE.get(status, "") if status != "done" else "")
            self.say(text)
        if self.is_due():
            self.draw(render(state.as_dict(), reading=state.reading))


def render(state: Mapping[str, Any], reading: bool = False) -> RenderableType:
    """Display of a state, live or from its file."""
    counts, total = state["counts"], state["total"]
    line = Table.grid(padding=(0, 2))
    shown = [f"[{_STYLE[k]}]{v} {k}[/]" for k, v in counts.items() if v or k == "done"]
    line.add_row(
        ProgressBar(total=total or 1, completed=total - state["left"], width=30),
        *shown, f"{len(state['running'])} running", f"{state['left']} left",
        "[dim]reading corpora[/]" if reading else f"[dim]time left {spoken(state['eta_s'])}[/]"
        if state["left"] else "",
    )
    parts: list[RenderableType] = [line]
    if state["running"]:
        parts.append(_running(state))
    if state["best"]:
        parts.append(_best(state))
    return Group(*parts)


def _running(state: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    now = float(state["now"])
    for worker, at in list(state["running"].items())[:_ROWS]:
        steps = f"{at.get('unit', '')} {at['done']}/{at['total']}".strip() if at["total"] else ""
        table.add_row(
            f"[dim]{escape(worker)}[/]", escape(at["cell"]), escape(at["stage"]), steps,
            spoken(now - at["began"]),
        )
    return table


def _best(state: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for pair, (method, score, cells) in list(state["best"].items())[:_ROWS]:
        table.add_row(
            f"[dim]best so far[/] {escape(pair)}", escape(method), f"{score:.3f}",
            f"[dim]balanced accuracy, {counted(cells, 'cell')}[/]",
        )
    return table


def summary(state: Mapping[str, Any], console: Console) -> None:
    """Print how a sweep ended: counts, why what is not done is not, and what took longest."""
    counts = state["counts"]
    text = ", ".join(f"{counts[k]} {k}" for k in counts if counts[k] or k in ("done", "failed"))
    earlier = f" ({state['earlier']} of them before)" if state["earlier"] else ""
    console.print(f"{text}, {state['left']} left{earlier}")
    _problems(state, console)
    if state["stopped"]:
        console.print(f"[red]stopped:[/] {escape(state['stopped'])}", soft_wrap=True)
    if state["slowest"]:
        slow = "; ".join(f"{cell} {spoken(took)}" for took, cell in state["slowest"])
        console.print(f"[dim]slowest: {escape(slow)}[/]", soft_wrap=True)


def _problems(state: Mapping[str, Any], console: Console) -> None:
    for kind in state["problems"]:
        status, more = kind["status"], kind["cells"] - 1
        console.print(
            f"[{_STYLE[status]}]{status}[/] {escape(kind['cell'])}"
            f"{f' and {more} more' if more else ''}: {escape(kind['reason'])}",
            soft_wrap=True)
    if state["unlisted"]:
        cells = counted(state["unlisted"], "cell")
        console.print(f"and {cells} for other reasons; see the records")


def show_status(runs: Path, console: Console) -> None:
    """Print what a run folder's latest sweep is doing, from the files it keeps there."""
    corrupt: list[tuple[Path, str]] = []
    who, status, plans = held(runs), read_status(runs, corrupt), read_manifests(runs, corrupt)
    if who is not None:
        console.print(f"[green]at work[/]: process {who['pid']} on {escape(str(who['host']))}, "
                      f"since {who.get('since')}")
    else:
        console.print("no sweep is at work")
    store = Store(runs)
    found: dict[str, int] = {}
    for record in store.records():
        found[record.status] = found.get(record.status, 0) + 1
    stored = ", ".join(f"{n} {k}" for k, n in sorted(found.items())) or "none"
    console.print(f"records: {stored}")
    if store.unsealed:
        console.print(f"[yellow]{without_sums(len(store.unsealed))}[/]")
    for path, why in (*store.corrupt, *corrupt):
        console.print(f"[yellow]passed over[/] {escape(str(path))}: {escape(why)}",
                      soft_wrap=True)
    if plans:
        console.print(f"latest plan {escape(plans[0]['plan'])}: "
                      f"{counted(len(plans[0]['cells']), 'cell')}, "
                      f"written {escape(plans[0]['written'])}")
    if status is not None:
        ended = status["ended"] or who is None
        as_of = "ended" if status["ended"] else "last word" if who is None else "as of"
        console.print(f"[dim]{as_of} {when(float(status['now']))}[/]")
        if ended:
            summary(status, console)
        else:
            console.print(render(status))


def _parameters(cell: CellSpec, differ: list[str]) -> str:
    """Where a cell's parameters come from; of set ones, up to three that tell variants apart."""
    text = cell.origin
    if text.endswith("set") and differ:
        shown = [f"{name}={cell.params.get(name)}" for name in differ[:_NAMES]]
        shown += [f"… #{cell.key[:4]}"] * (len(differ) > _NAMES)
        text = text.removesuffix("set") + ", ".join(shown)
    return text + (", shared classes" if cell.classes == "shared" else "") \
        + (", control" if cell.control else "")


def _told_apart(cells: Iterable[CellSpec]) -> dict[tuple[str, ...], list[str]]:
    """Parameters that cells of one method, pair and protocol differ in; the most telling first."""
    values: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for cell in cells:
        names = values.setdefault((cell.title, cell.pair, cell.protocol), {})
        for name, value in cell.params.items():
            names.setdefault(name, set()).add(repr(value))
    return {
        group: sorted((n for n in names if len(names[n]) > 1), key=lambda n: -len(names[n]))
        for group, names in values.items()
    }


def _plan_tables(plan: Plan, done: Mapping[str, str], width: int) -> list[RenderableType]:
    """Cells of a plan: a row for each method as it is run, a column for each pair.

    Of many pairs those with the same cells share a column. Columns that do not fit beside each
    other stand in further tables, below.
    """
    told, pairs = _told_apart(plan.cells), list(dict.fromkeys(c.pair for c in plan.cells))
    rows: dict[tuple[str, ...], dict[str, list[CellSpec]]] = {}
    for cell in plan.cells:
        given = _parameters(cell, told[cell.title, cell.pair, cell.protocol])
        row = rows.setdefault((cell.title, given, cell.setting), {})
        row.setdefault(cell.pair, []).append(cell)
    fields = {(words, p): _field(cells.get(p, ()), done) for words, cells in rows.items()
              for p in pairs}
    together: dict[Any, list[str]] = {}
    for pair in pairs:
        its = tuple(fields[words, pair].plain for words in rows)
        together.setdefault(its if len(pairs) > _PAIRS else pair, []).append(pair)
    alike = {same[0]: same for same in together.values()}
    pairs, several = list(alike), len(pairs) > 1
    heads = {p: f"({n})" if several else p for n, p in enumerate(pairs, 1)}
    wide = 2 + max(map(len, [*heads.values(), *(f.plain for f in fields.values())]))
    names = ("method", "parameters", "protocol")
    columns = list(zip(names, *rows, strict=True))
    said = min(sum(2 + max(map(len, texts)) for texts in columns), max(48, width // 2))
    fit = max(1, (width - said) // wide)
    widths = word_widths(columns, said - 2 * len(names))
    out: list[RenderableType] = []
    for first in range(0, len(pairs), fit):
        shown = pairs[first : first + fit]
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name, own in zip(names, widths, strict=True):
            table.add_column(name, width=own)
        for pair in shown:
            table.add_column(heads[pair], justify="right", no_wrap=True)
        for words in rows:
            table.add_row(*map(escape, words), *(fields[words, pair] for pair in shown))
        out.append(table)
    if several:
        out.append(Text("\n".join(f"{heads[pair]} {_listed(alike[pair])}" for pair in pairs),
                        "dim"))
    return out


def _listed(pairs: Sequence[str]) -> str:
    """A pair, or how many and which, of which each has so many cells."""
    return pairs[0] if len(pairs) == 1 else f"each of {len(pairs)} pairs: {', '.join(pairs)}"


def _field(cells: Sequence[CellSpec], done: Mapping[str, str]) -> Text:
    """Seeds of a row and pair: ``5``, or ``3 done of 5``."""
    stored = Counter(done[c.key] for c in cells if c.key in done)
    if not cells:
        return Text("–", "dim")
    if not stored:
        return Text(str(len(cells)))
    parts = [Text(f"{n} {status}", _STYLE[status]) for status, n in sorted(stored.items())]
    whole = [] if stored.total() == len(cells) else [Text(f"of {len(cells)}")]
    return Text(" ").join([*parts, *whole])


def show_plan(
    plan: Plan, done: Mapping[str, str], seconds: Mapping[str, float], workers: int,
    console: Console, *, again: Collection[str] = ("failed", "killed"),
    timed: Collection[str] = (), others: Collection[str] = (),
) -> None:
    """Print how many cells a plan has of each method and pair, and what the rest will take.

    ``done`` is the stored outcome of cells, by key; ``again`` are those that are run again;
    ``timed`` are methods whose seconds are of a few timed steps, ``others`` those that are taken
    for as long.
    """
    for table in _plan_tables(plan, done, console.width):
        console.print(table)
    todo = [c for c in plan.cells if c.key not in done or done[c.key] in again]
    known = sum(seconds.get(c.method, 0.0) for c in todo) / max(1, workers)
    unknown = sorted({c.method for c in todo if c.method not in seconds})
    bad = [s for c in plan.cells if (s := done.get(c.key)) in ("failed", "killed")
           and s not in again]
    kept = "".join(f", {bad.count(s)} {s} and not run again" for s in sorted(set(bad)))
    console.print(f"{counted(len(plan.cells), 'cell')}, "
                  f"{len(plan.cells) - len(todo) - len(bad)} done{kept}, "
                  f"{len(todo)} to run", soft_wrap=True)
    if not todo:
        return
    time_ = spoken(known) if len(unknown) < len({c.method for c in todo}) else "unknown"
    more = f", and unknown for {', '.join(unknown)} (never run at this scale here)" \
        if unknown and time_ != "unknown" else ""
    tried = sorted({c.method for c in todo} & set(timed))
    more += f"; of {', '.join(tried)} by a few timed steps" if tried else ""
    if alike := {c.method for c in todo} & set(others):
        more += f"; {counted(len(alike), 'more network')} taken for as long"
    console.print(f"estimated time with {counted(workers, 'worker')}: {time_}{more}")
