"""Commands that check results: ``bench audit``, ``bench export``, ``bench verify``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ..errors import BenchError, SettingError
from ..registry import load
from ..runs.options import as_names
from ..store.shown import counted
from ..sweeps.request import as_seeds
from .screen.console import Screen
from .screen.exchange import show, verdict
from .screen.live import saying_what_is_kept
from .shared import includes, named_briefly, what, with_options

if TYPE_CHECKING:
    from ..auditing.audit import AuditOptions
    from .shared import Asked

_what = functools.partial(typer.Option, rich_help_panel="What to audit")
_check = functools.partial(typer.Option, rich_help_panel="Check instead of running")


@with_options("audit")
def audit(
    only: Annotated[str | None, _what(
        help="Shortcuts, with commas; all if not given.", metavar="NAME,NAME")] = None,
    seeds: Annotated[str, _what(
        help="How many (3: 0 to 2), or which (0,3), of the honest run and of every twin.")] = "3",
    draws: Annotated[int, _what(help="Parameter draws of tuned-on-test.", min=1)] = 5,
    list_: Annotated[bool, _what(
        "--list", help="Only show the shortcuts: what each does and steals, who took it.")] = False,
    records: Annotated[Path | None, _check(
        help="Check the records of a run folder.", metavar="RUNS")] = None,
    split: Annotated[Path | None, _check(
        help="Check a split: a CSV with corpus, subject, session, trial, side (train, val, "
        "test), and stimulus, window, fold where known.", metavar="FILE")] = None,
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
        _check_all(records, split)
        return
    names = tuple(as_names("--only", only or ""))
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

    with (saying_what_is_kept(asked.options.runs),
          Display(Screen(stderr=True), asked.quiet) as display):
        path = run_audit(asked.method, asked.src, asked.tgt, asked.options, display, what=wanted)
    screen = Screen()
    load("reports", "audit-screen")(read_audit(path), screen)
    folder = asked.options.runs / "report"
    written = load("reports", "audit")(Store(asked.options.runs), folder, ReportOptions())
    screen.print(f"[dim]written to {escape(str(folder))}:[/] "
                 + escape(named_briefly(written)))


def _check_all(records: Path | None, split: Path | None) -> None:
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


def export(
    runs: Annotated[Path, typer.Argument(help="Run folder.")] = Path("runs"),
    out: Annotated[Path, typer.Option(
        "--out", "-o", help="The archive to write, a .zip.", metavar="ARCHIVE",
    )] = Path("results.zip"),
    lab: Annotated[str, typer.Option(
        help="Who publishes it, for tables made of several archives.")] = "",
    models: Annotated[bool, typer.Option(
        "--models", help="Also saved models. Pre-trained states are never taken.")] = False,
    include_: Annotated[list[str] | None, includes(
        "Python file or module with a CATALOGUE: code of your own methods, to compare hashes with."
    )] = None,
) -> None:
    """Bundle a run folder into one archive to publish: records, predictions, plans, checksums."""
    from ..exchange.export import export as bundle
    from ..exchange.verify import verify as check

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    made = bundle(runs, out, lab, models)
    screen = Screen()
    held = f"{counted(made.records, 'record')}, {counted(made.files, 'file')}, {_size(made.size)}"
    screen.print(f"[green]✓[/] {escape(str(made.path))}: {held}", soft_wrap=True)
    for path, why in made.left_out:
        screen.print(f"[yellow]left out:[/] {escape(path.name)}: {escape(why)}")
    for kind, names in made.named.items():
        screen.print(f"It names {kind}: {escape(', '.join(names))}")
    seen = check(out)
    verdict(screen, seen)
    screen.print("Publish the sha256 with it: whoever has both can tell that it is yours.")
    if not seen.whole:
        show(screen, seen)
        raise typer.Exit(1)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def verify(
    archive: Annotated[Path, typer.Argument(help="Archive that bench export wrote.")],
    include_: Annotated[list[str] | None, includes(
        "Python file or module with a CATALOGUE: code of methods that do not come with bench, to "
        "compare hashes with.")] = None,
) -> None:
    """Check an archive of results: every score again from its predictions, checksums, splits, code.

    Exit status 1 if anything is wrong. It says what it cannot check: whoever can run this
    program can write an archive that passes.
    """
    from ..exchange.verify import verify as check

    if not archive.is_file():
        raise BenchError(f"{archive} is not a file", "Give an archive that bench export wrote.")
    seen = check(archive)
    show(Screen(), seen)
    if not seen.passed:
        raise typer.Exit(1)
