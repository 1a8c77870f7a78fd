"""Command of the audit: ``bench audit``, with the options of ``bench run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ..errors import SettingError
from ..registry import load
from ..sweeps.request import as_seeds
from .screen.console import Screen
from .shared import what, with_options

if TYPE_CHECKING:
    from ..auditing.audit import AuditOptions
    from .shared import Asked

_WHAT = "What to audit"
_CHECK = "Check instead of running"


@with_options("audit")
def audit(
    only: Annotated[str | None, typer.Option(
        help="Shortcuts, with commas; all if not given.", metavar="NAME,NAME",
        rich_help_panel=_WHAT)] = None,
    seeds: Annotated[str, typer.Option(
        help="How many (3: 0 to 2), or which (0,3), of the honest run and of every twin.",
        rich_help_panel=_WHAT)] = "3",
    draws: Annotated[int, typer.Option(
        help="Parameter draws of tuned-on-test.", min=1, rich_help_panel=_WHAT)] = 5,
    list_: Annotated[bool, typer.Option(
        "--list", help="Only show the shortcuts: what each does and steals, who took it.",
        rich_help_panel=_WHAT)] = False,
    records: Annotated[Path | None, typer.Option(
        help="Check the records of a run folder.", metavar="RUNS",
        rich_help_panel=_CHECK)] = None,
    split: Annotated[Path | None, typer.Option(
        help="Check a split: a CSV with corpus, subject, session, trial, side (train, val, "
        "test), and stimulus, window, fold where known.", metavar="FILE",
        rich_help_panel=_CHECK)] = None,
    **values: Any,
) -> None:
    """Measure what the field's shortcuts would add to a method's honest score.

    The honest run comes first; then the same method on the same folds with one shortcut at a
    time: the best test epoch, test statistics in the scaler, windows of a trial on both
    sides, and so on (--list). Each difference is paired over target subjects, with its
    interval and p. Twins are stored as oracles, never ranked; a rerun computes nothing.

    With --records or --split nothing is run: what is there is checked, and the exit status
    is 1 if a leak is found that is not declared.
    """
    if records is not None or split is not None:
        _check(records, split)
        return
    names = tuple(n.strip() for n in (only or "").split(",") if n.strip())
    chosen_seeds = _numbers(seeds)
    # An unknown name answers before anything heavy is imported.
    asked = what(**values, seed=chosen_seeds[0], controls=False)
    if list_:
        from .screen.tables import shortcut_table

        screen = Screen()
        screen.print(shortcut_table(load("methods", asked.method), screen.width))
        return
    from ..auditing.audit import AuditOptions

    _run(asked, AuditOptions(seeds=chosen_seeds, draws=draws, only=names))


def _run(asked: Asked, wanted: AuditOptions) -> None:
    from ..auditing.audit import audit as run_audit
    from ..auditing.inflation import read_audit
    from ..reporting import ReportOptions
    from ..store.records import Store
    from .screen.progress import Display

    with Display(Screen(stderr=True), asked.quiet) as display:
        path = run_audit(
            asked.method, asked.src, asked.tgt, asked.options, display, what=wanted
        )
    screen = Screen()
    load("reports", "audit-screen")(read_audit(path), screen)
    folder = asked.options.runs / "report"
    written = load("reports", "audit")(Store(asked.options.runs), folder, ReportOptions())
    screen.print(f"[dim]written to {escape(str(folder))}:[/] "
                 + ", ".join(escape(p.name) for p in written), highlight=False)


def _check(records: Path | None, split: Path | None) -> None:
    from ..auditing.checks import check_records
    from ..auditing.findings import show
    from ..auditing.split import check_split

    leaks = 0
    for path, check in ((records, check_records), (split, check_split)):
        if path is not None:
            leaks += show(check(path), Screen())
    if leaks:
        raise typer.Exit(1)


def _numbers(text: str) -> tuple[int, ...]:
    seeds = as_seeds("--seeds", text)
    if isinstance(seeds, int) and seeds < 1:
        raise SettingError(f"--seeds {text}: at least one is needed")
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
