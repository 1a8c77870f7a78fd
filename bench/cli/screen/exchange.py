"""What ``bench verify`` shows of an archive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape

from ...store.shown import counted

if TYPE_CHECKING:
    from rich.console import Console

    from ...exchange.verify import Outcome, Verification

#: Things of one kind that are named; of more, their number.
_NAMED = 5


def verdict(console: Console, seen: Verification) -> None:
    """One line of an archive: whose it is, and whether anything is wrong."""
    wrong = sum(len(o.wrong) for o in seen.outcomes.values())
    mark = f"[bold red]✗[/] {wrong} wrong" if wrong else "[green]✓[/] verified"
    whose = f"{seen.lab}, " if seen.lab else ""
    console.print(f"{mark}: {escape(str(seen.path))} ({escape(whose)}"
                  f"{counted(seen.records, 'record')}, "
                  f"sha256 {seen.digest})", soft_wrap=True)


def show(console: Console, seen: Verification) -> None:
    """Every check, what is wrong, what could not be checked, and what none can tell."""
    from ...exchange.verify import LIMITS

    console.print(f"[bold]{escape(str(seen.path))}[/]", soft_wrap=True)
    whose = f"by {seen.lab}, as it says; " if seen.lab else ""
    console.print(f"{escape(whose)}{counted(seen.records, 'record')}; written by bench "
                  f"{escape(seen.bench)}")
    console.print(f"sha256 of its content {seen.digest}", soft_wrap=True)
    console.print()
    for outcome in seen.outcomes.values():
        _outcome(console, outcome)
    for note in seen.notes:
        console.print(f"[dim]·[/] {escape(note)}")
    console.print("\nWhat this cannot tell:", style="bold")
    for line in LIMITS:
        console.print(f" - {escape(line)}")
    console.print()
    wrong = sum(len(o.wrong) for o in seen.outcomes.values())
    if wrong:
        console.print(f"[bold red]{wrong} thing{'s are' * (wrong > 1)}{' is' * (wrong == 1)} "
                      "wrong.[/]")
    else:
        console.print("[bold green]Nothing is wrong[/] of what can be checked.")


def _outcome(console: Console, outcome: Outcome) -> None:
    if not (outcome.checked or outcome.wrong or outcome.unchecked):
        return
    mark = "[bold red]✗[/]" if outcome.wrong else "[green]✓[/]" if outcome.checked else "[dim]-[/]"
    of = outcome.one if outcome.checked == 1 else outcome.of
    console.print(f"{mark} {outcome.name}: {outcome.checked} {of}")
    _listed(console, "[red]wrong:[/]", outcome.wrong)
    _listed(console, "[yellow]not checked:[/]", outcome.unchecked)


def _listed(console: Console, mark: str, found: Iterable[tuple[str, str]]) -> None:
    """Equal things together, and the first few places of each."""
    places: dict[str, list[str]] = defaultdict(list)
    for where, what in found:
        places[what].append(where)
    for number, (what, those) in enumerate(places.items()):
        if number == 2 * _NAMED:
            console.print(f"    … and {len(places) - number} more")
            return
        more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
        console.print(f"    {mark} {escape(what)}: {escape(', '.join(those[:_NAMED]))}{more}")
