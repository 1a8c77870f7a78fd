"""Command of the audit: ``bench audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from .errors import SettingError
from .registry import include, load

if TYPE_CHECKING:
    from .auditing.run import AuditOptions
    from .runner import RunOptions

_WHAT = "What to run"
_CHECK = "Check instead of running"
_DATA = "Data"
_HELP = """Measure what the field's shortcuts would add to a method's honest score.

The honest run comes first; then the same method on the same folds with one shortcut at a time:
the best test epoch, test statistics in the scaler, windows of a trial on both sides, and so on
([cyan]--list[/]). Each difference is paired over target subjects, with its interval and p. Twins
are stored as oracles, never ranked; a rerun computes nothing.

[cyan]--records[/] checks records that exist, [cyan]--split[/] a CSV of somebody's split; either
exits with 1 if it finds a leak that is not declared."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(help=_HELP, epilog="Examples:\n\n"
                "  bench audit --method scmm --src SEED --tgt DEAP --simulated\n\n"
                "  bench audit --src DEAP --tgt SEED --simulated --recipe class_effect=0 "
                "--only best-test-epoch\n\n"
                "  bench audit --records runs\n\n"
                "  bench audit --split split.csv")(audit)


def audit(
    method: Annotated[str, typer.Option("--method", "-m", help="See: bench list methods.",
                                        rich_help_panel=_WHAT)] = "scmm",
    src: Annotated[str, typer.Option(help="Source, CORPUS[:TASK].",
                                     rich_help_panel=_WHAT)] = "SEED",
    tgt: Annotated[str, typer.Option(help="Target, CORPUS[:TASK].",
                                     rich_help_panel=_WHAT)] = "DEAP",
    only: Annotated[str | None, typer.Option(
        help="Shortcuts, with commas; all if not given.", metavar="NAMES",
        rich_help_panel=_WHAT)] = None,
    seeds: Annotated[str, typer.Option(
        help="How many (3: 0 to 2), or which (0,3), of every twin.", rich_help_panel=_WHAT)] = "3",
    draws: Annotated[int, typer.Option(
        help="Parameter draws of tuned-on-test.", min=1, rich_help_panel=_WHAT)] = 5,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Parameter of the method, repeatable, e.g. fit_epochs=50.",
        metavar="NAME=VALUE", rich_help_panel=_WHAT)] = None,
    protocol: Annotated[str, typer.Option(help="See: bench list protocols.",
                                          rich_help_panel=_WHAT)] = "few-shot",
    protocol_set: Annotated[list[str] | None, typer.Option(
        "--protocol-set", help="Option of the protocol, repeatable.", metavar="NAME=VALUE",
        rich_help_panel=_WHAT)] = None,
    scaling: Annotated[str, typer.Option(
        help="min-max, z-score, robust or none.", rich_help_panel=_WHAT)] = "min-max",
    scale: Annotated[str | None, typer.Option(
        help="demo, table, null or published.", rich_help_panel=_WHAT)] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda, mps.",
                                        rich_help_panel=_WHAT)] = "cpu",
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE of further methods.",
        metavar="FILE|MODULE", rich_help_panel=_WHAT)] = None,
    simulated: Annotated[bool, typer.Option(
        "--simulated", help="Use simulated corpora.", rich_help_panel=_DATA)] = False,
    recipe: Annotated[list[str] | None, typer.Option(
        help="Effect or size of the simulated corpora, repeatable; class_effect=0 is the null.",
        metavar="NAME=VALUE", rich_help_panel=_DATA)] = None,
    data: Annotated[Path | None, typer.Option(
        help="Folder that holds the corpora.", metavar="DIR", rich_help_panel=_DATA)] = None,
    sessions: Annotated[str, typer.Option(
        help="first (as published) or all.", rich_help_panel=_DATA)] = "first",
    runs: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    records: Annotated[Path | None, typer.Option(
        help="Check the records of a run folder.", metavar="RUNS", rich_help_panel=_CHECK)] = None,
    split: Annotated[Path | None, typer.Option(
        help="Check a split: CSV with corpus, subject, session, trial, side, and stimulus, window "
        "or fold where known.", metavar="FILE", rich_help_panel=_CHECK)] = None,
    list_: Annotated[bool, typer.Option(
        "--list", help="Show the shortcuts, what each steals, and who took it.")] = False,
) -> None:
    """Measure what shortcuts would add, or check records or a split; see ``_HELP``."""
    if records is not None or split is not None:
        _check(records, split)
        return
    for item in include_ or ():
        include(item)
    if list_:
        from .auditing.listing import shortcut_table

        Console().print(shortcut_table(load("methods", method)))
        return
    load("methods", method)  # an unknown name answers before anything heavy is imported
    from .cli import _pairs
    from .data import ReadOptions
    from .runner import RunOptions

    options = RunOptions(
        data=data, simulated=simulated, recipe=_pairs(recipe, "--recipe"), scale=scale,
        protocol=protocol, protocol_params=_pairs(protocol_set, "--protocol-set"),
        params=_pairs(set_, "--set"), scaling=scaling, runs=runs, device=device,
        read=ReadOptions(sessions=sessions),
    )
    from .auditing.run import AuditOptions

    what = AuditOptions(
        seeds=_numbers(seeds), draws=draws,
        only=tuple(n.strip() for n in (only or "").split(",") if n.strip()),
    )
    _run(method, src, tgt, options, what, quiet)


def _run(
    method: str, src: str, tgt: str, options: RunOptions, what: AuditOptions, quiet: bool
) -> None:
    from .auditing.inflation import read_audit
    from .auditing.run import audit as run_audit
    from .progress import Display
    from .report_options import ReportOptions
    from .store import Store

    with Display(Console(stderr=True), quiet) as display:
        path = run_audit(method, src, tgt, options, display, what=what)
    screen = Console()
    load("reports", "audit-screen")(read_audit(path), screen)
    folder = options.runs / "report"
    written = load("reports", "audit")(Store(options.runs), folder, ReportOptions())
    screen.print(f"[dim]written to {escape(str(folder))}:[/] "
                 + ", ".join(escape(p.name) for p in written), highlight=False)


def _check(records: Path | None, split: Path | None) -> None:
    from .auditing.checks import check_records
    from .auditing.findings import show
    from .auditing.split import check_split

    leaks = 0
    for what, check in ((records, check_records), (split, check_split)):
        if what is not None:
            leaks += show(check(what), Console())
    if leaks:
        raise typer.Exit(1)


def _numbers(text: str) -> tuple[int, ...]:
    from .cli_sweep import _seeds

    found: Any = _seeds(text)
    if isinstance(found, int) and found < 1:
        raise SettingError(f"--seeds {text}: at least one is needed")
    return tuple(range(found)) if isinstance(found, int) else tuple(found)
