"""Commands of the sweep: ``bench sweep``, ``bench status``, ``bench rerun``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchError
from ..registry import include
from ..runs.options import HOW
from ..store.records import Store
from ..store.shown import counted
from ..sweeps.request import RETRIED, Request, SweepOptions, read_request
from .screen.console import Screen
from .screen.exchange import verdict
from .shared import includes, parsed, with_options

if TYPE_CHECKING:
    from ..sweeps.manifest import Memo
    from ..sweeps.plan import CellSpec, Plan
    from ..sweeps.sweep import Sweep


@with_options("sweep", Request, unset=True)
@with_options("sweep", SweepOptions)
def sweep(
    file: Annotated[Path | None, typer.Argument(
        help="Plan; see docs/sweeps.md. Flags are enough for a simple one.")] = None,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Only show the cells, what is done, and the time it will take.",
        rich_help_panel=HOW)] = False,
    quiet: Annotated[bool, typer.Option(
        "--quiet", "-q", help="Only the summary.", rich_help_panel=HOW)] = False,
    **values: Any,
) -> None:
    """Run methods x pairs x protocols x seeds; go on where an earlier run stopped."""
    flags, options = parsed(Request, values), SweepOptions(**parsed(SweepOptions, values))
    code = run_sweep(file, flags, options, dry_run=dry_run, quiet=quiet)
    if code:
        raise typer.Exit(code)


def run_sweep(
    file: Path | None, flags: dict[str, Any], options: SweepOptions, *, dry_run: bool = False,
    quiet: bool = False,
) -> int:
    """Run a sweep and print its summary; returns the exit code."""
    from ..sweeps.manifest import Memo
    from ..sweeps.run import check_first, execute, settled
    from ..sweeps.sweep import Sweep
    from .screen.live import kept, say
    from .screen.sweep import SweepDisplay, summary

    given = read_request(file, flags)
    for item in given.include:
        include(item)
    request = settled(given, options)
    memo = Memo(options.runs)
    if not dry_run:
        check_first(request, options, memo)
    plan = _planned(request, options.runs, memo, dry_run, quiet)
    sweep_ = Sweep(plan, options, memo)
    if dry_run:
        _show_plan(plan, sweep_)
        return 0
    if not quiet and (request.scale or ("" if request.simulated else "published")) == "published":
        Screen(stderr=True).print(
            f"{counted(len(plan.cells), 'cell')} at scale published: as many epochs as the "
            "parameters say, which takes networks minutes to hours each; --dry-run estimates the "
            "time, --scale table trains shortly.", style="dim")
    if not quiet and request.seeds not in (given.seeds, 1):
        Screen(stderr=True).print(
            f"{request.seeds} seeds, trained as one stack and averaged; --seeds 1 takes one.",
            style="dim")
    began = time.time()
    with SweepDisplay(Screen(stderr=True), quiet) as display:
        sweep_.show = display
        state = execute(sweep_)
    summary(state.as_dict(), Screen())
    if state.stopped == "interrupted":  # the command line says what that means
        say(kept(options.runs, began))
        return 130
    return state.exit_code


def _planned(request: Request, runs: Path, memo: Memo, dry_run: bool, quiet: bool) -> Plan:
    """Plan of a request; tuning comes before it, and has a display of its own."""
    from ..runs.options import TUNED
    from ..sweeps.plan import expand

    if request.tune is None and request.preset != TUNED:
        return expand(request, memo.resolve)
    from ..sweeps.tuned_plan import planned
    from .screen.tuning import TuneDisplay

    with TuneDisplay(Screen(stderr=True), quiet) as display:
        return planned(request, runs, memo, on_event=display, on_trial_end=display.on_trial_end,
                       begin=display.begin, dry=dry_run)


def _show_plan(plan: Plan, sweep_: Sweep) -> None:
    from ..sweeps.status import usual_seconds
    from .screen.sweep import show_plan

    options, store = sweep_.options, sweep_.store
    seconds = usual_seconds(store, plan.request.scale)
    done: dict[str, str] = {}
    if (options.runs / "cells").is_dir():  # else nothing can be done, and nothing need be read
        done = sweep_.look()
    again = RETRIED[options.retry]
    new = [c for c in plan.cells if c.method not in seconds
           and (c.key not in done or done[c.key] in again)]
    timed, others = _timed(plan, new)
    show_plan(plan, done, seconds | timed | others, options.workers, Screen(), again=again,
              timed=timed, others=others)


def _timed(
    plan: Plan, cells: Sequence[CellSpec]
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a cell of each network that has not run yet: by steps that are timed, or alike."""
    from ..runs.timed import seconds_by_steps, subjects_of

    request = plan.request
    if not cells or request.features == "raw":
        return {}, {}
    scale = request.scale or ("demo" if request.simulated else "published")
    # Methods before controls: one of them may be all that there is time for.
    ordered = sorted(cells, key=lambda c: c.control)
    first = {(c.method, c.params.get("network")): c for c in ordered}
    with Screen(stderr=True).status("timing steps of networks that have not run here"):
        return seconds_by_steps(
            ((c.method, c.params, c.protocol, c.protocol_params) for c in first.values()),
            scale, subjects_of(cells[0].target, request))


def status(
    runs: Annotated[Path, typer.Argument(help="Run folder.")] = Path("runs"),
) -> None:
    """Show what a sweep is doing, from another shell; reads the run folder and changes nothing."""
    from .screen.sweep import show_status

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    show_status(runs, Screen())


def rerun(
    record: Annotated[str, typer.Argument(help="Folder of a record, or the start of its name.")],
    runs: Annotated[Path, typer.Option(
        help="Run folder, if a name is given, or an archive that bench export wrote.",
        metavar="RUNS|ARCHIVE")] = Path("runs"),
    data: Annotated[Path | None, typer.Option(
        help="Folder that holds the corpora.", metavar="DIR")] = None,
    include_: Annotated[list[str] | None, includes(
        "What the record's method or corpora are in: as of bench run.")] = None,
    tolerance: Annotated[float, typer.Option(
        help="Largest deviation of a probability that still agrees.")] = 1e-4,
) -> None:
    """Repeat a stored cell and say whether it agrees; stores nothing. Exit 1 if it does not.

    An archive is verified first; one that is not whole is refused.
    """
    from ..sweeps.repeat import find_record, record_in, repeat

    screen = Screen()
    if runs.is_file() or runs.suffix == ".zip":
        from ..exchange.merged import opened

        with opened([runs]) as (store, (seen,)):
            verdict(screen, seen)
            comparison = repeat(record_in(Store(store.roots[0]), record, runs), data)
    else:
        comparison = repeat(find_record(record, runs), data)
    comparison.show(screen, tolerance)
    if not comparison.agrees(tolerance):
        raise typer.Exit(1)
