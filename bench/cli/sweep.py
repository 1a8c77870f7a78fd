"""Commands of the sweep: ``bench sweep``, ``bench status``, ``bench rerun``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..errors import BenchError, SettingError
from ..registry import include

if TYPE_CHECKING:
    from ..sweeps.manifest import Memo
    from ..sweeps.plan import Plan
    from ..sweeps.request import Request
    from ..sweeps.sweep import Sweep, SweepOptions

_PLAN = "What to run"
_DATA = "Data"
_HOW = "How to run it"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog="Examples:\n\n  bench sweep sweep.toml --workers 4\n\n  bench sweep "
                "--method scmm,target-only --pairs all --seeds 5 --simulated --scale table "
                "--dry-run")(sweep)
    app.command(epilog="Example:\n\n  bench status runs")(status)
    app.command(epilog="Example:\n\n  bench rerun 9d8d94b7 --runs runs")(rerun)


def sweep(
    file: Annotated[Path | None, typer.Argument(
        help="Plan; see docs/sweeps.md. Flags are enough for a simple one.")] = None,
    method: Annotated[str | None, typer.Option(
        "--method", "-m", help="Methods, with commas.", rich_help_panel=_PLAN)] = None,
    pairs: Annotated[str | None, typer.Option(
        help="all, or pairs with commas: 'SEED->DEAP,*->SEED-IV,SEED+SEED-IV->DEAP'.",
        rich_help_panel=_PLAN)] = None,
    protocols: Annotated[str | None, typer.Option(
        "--protocol", "--protocols", help="Protocols, with commas.",
        rich_help_panel=_PLAN)] = None,
    seeds: Annotated[str | None, typer.Option(
        help="How many (5: 0 to 4), or which (0,3).", rich_help_panel=_PLAN)] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Parameter of a method, repeatable.", metavar="METHOD.NAME=VALUE",
        rich_help_panel=_PLAN)] = None,
    preset: Annotated[str | None, typer.Option(
        "--params", help="Named parameter set: default, published, or tuned (by bench tune).",
        rich_help_panel=_PLAN)] = None,
    tune: Annotated[int | None, typer.Option(
        help="Tune every method first, in each pair and protocol, with so many trials.",
        metavar="TRIALS", rich_help_panel=_PLAN)] = None,
    scale: Annotated[str | None, typer.Option(
        help="demo, table, null or published.", rich_help_panel=_PLAN)] = None,
    scaling: Annotated[str | None, typer.Option(
        help="auto, min-max, z-score, robust, euclidean or none.", rich_help_panel=_PLAN)] = None,
    scaling_scope: Annotated[str | None, typer.Option(
        help="corpus, subject, source, tested or subject-tested; see bench run --help.",
        rich_help_panel=_PLAN)] = None,
    selection: Annotated[str | None, typer.Option(
        help="Which epoch is scored; see: bench run --help.", metavar="RULE",
        rich_help_panel=_PLAN)] = None,
    controls: Annotated[bool | None, typer.Option(
        "--controls/--no-controls", help="Also run each method's controls.",
        rich_help_panel=_PLAN)] = None,
    device: Annotated[str | None, typer.Option(
        help="auto, cpu, cuda (every GPU), cuda:0,1 or mps. Each GPU gets a worker.",
        rich_help_panel=_HOW)] = None,
    precision: Annotated[str | None, typer.Option(
        help="float32, float64, tf32 or bf16; part of a cell's identity.",
        rich_help_panel=_PLAN)] = None,
    deterministic: Annotated[bool | None, typer.Option(
        "--deterministic", help="Only kernels that repeat bit by bit (matters on a GPU).",
        rich_help_panel=_HOW)] = None,
    energy: Annotated[bool | None, typer.Option(
        "--energy", help="Measure each cell's energy (needs CodeCarbon).",
        rich_help_panel=_HOW)] = None,
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE of further methods.",
        metavar="FILE|MODULE", rich_help_panel=_PLAN)] = None,
    save_models: Annotated[bool | None, typer.Option(
        "--save-models", help="Also write the trained networks.", rich_help_panel=_PLAN)] = None,
    diagnostics: Annotated[bool | None, typer.Option(
        "--diagnostics", help="Also write embeddings and the importance of bands, for plots.",
        rich_help_panel=_PLAN)] = None,
    simulated: Annotated[bool | None, typer.Option(
        "--simulated", help="Use simulated corpora.", rich_help_panel=_DATA)] = None,
    recipe: Annotated[list[str] | None, typer.Option(
        help="Effect or size of the simulated corpora, repeatable.", metavar="NAME=VALUE",
        rich_help_panel=_DATA)] = None,
    data: Annotated[Path | None, typer.Option(
        help="Folder that holds the corpora.", metavar="DIR", rich_help_panel=_DATA)] = None,
    sessions: Annotated[str | None, typer.Option(
        help="first (as published) or all.", rich_help_panel=_DATA)] = None,
    features: Annotated[str | None, typer.Option(
        help="bench, raw, official or official-4s.", rich_help_panel=_DATA)] = None,
    runs: Annotated[Path, typer.Option(help="Run folder.", rich_help_panel=_HOW)] = Path("runs"),
    workers: Annotated[int, typer.Option(
        help="Processes that run cells; 1 runs them in this one.", rich_help_panel=_HOW)] = 1,
    cluster: Annotated[str | None, typer.Option(
        help="Dask scheduler started by hand.", metavar="tcp://HOST:PORT",
        rich_help_panel=_HOW)] = None,
    stack: Annotated[str, typer.Option(
        help="Cells that differ in their seed only and are trained as one model: a number, or "
        "auto (one on a CPU).", metavar="N|auto", rich_help_panel=_HOW)] = "auto",
    timeout: Annotated[float | None, typer.Option(
        help="Most seconds a cell may take (with workers).", rich_help_panel=_HOW)] = None,
    memory: Annotated[str | None, typer.Option(
        help="Most memory of a worker, e.g. 2GB.", rich_help_panel=_HOW)] = None,
    retry: Annotated[str, typer.Option(
        help="Which earlier failures to run again: failed (and killed), killed, or none.",
        rich_help_panel=_HOW)] = "failed",
    fail_fast: Annotated[bool, typer.Option(
        "--fail-fast", help="Stop at the first cell that fails.", rich_help_panel=_HOW)] = False,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Only show the cells, what is done, and the time it will take.",
        rich_help_panel=_HOW)] = False,
    quiet: Annotated[bool, typer.Option(
        "--quiet", "-q", help="Only the summary.", rich_help_panel=_HOW)] = False,
) -> None:
    """Run methods x pairs x protocols x seeds; go on where an earlier run stopped."""
    flags = {
        "methods": method, "pairs": pairs, "protocols": protocols, "seeds": _seeds(seeds),
        "preset": preset, "scale": scale, "scaling": scaling,
        "scaling_scope": scaling_scope, "selection": selection, "controls": controls,
        "device": device, "precision": precision, "deterministic": deterministic,
        "energy": energy, "include": include_, "save_models": save_models,
        "diagnostics": diagnostics,
        "simulated": simulated, "recipe": _values(recipe, "--recipe"), "data": data,
        "sessions": sessions, "features": features, "params": _params(set_),
        "tune": None if tune is None else {"trials": tune},
    }
    from ..sweeps.sweep import SweepOptions

    options = SweepOptions(
        runs=runs, workers=workers, cluster=cluster, timeout=timeout, memory=memory,
        retry=retry,  # type: ignore[arg-type]
        fail_fast=fail_fast, stack=_stack(stack),
    )
    code = run_sweep(file, flags, options, dry_run=dry_run, quiet=quiet)
    if code:
        raise typer.Exit(code)


def run_sweep(
    file: Path | None, flags: dict[str, Any], options: SweepOptions, *, dry_run: bool = False,
    quiet: bool = False,
) -> int:
    """Run a sweep and print its summary; returns the exit code."""
    from ..sweeps.manifest import Memo
    from ..sweeps.run import execute
    from ..sweeps.sweep import Sweep
    from .screen.sweep import SweepDisplay, summary

    request = asked(file, flags)
    memo = Memo(options.runs)
    plan = _planned(request, options.runs, memo, dry_run, quiet)
    sweep_ = Sweep(plan, options, memo)
    if dry_run:
        _show_plan(plan, sweep_)
        return 0
    with SweepDisplay(Console(stderr=True), quiet) as display:
        sweep_.show = display
        state = execute(sweep_)
    summary(state.as_dict(), Console())
    if state.stopped == "interrupted":  # the command line says what that means
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

    with TuneDisplay(Console(stderr=True), quiet) as display:
        return planned(request, runs, memo, on_event=display, on_trial_end=display.on_trial_end,
                       begin=display.begin, dry=dry_run)


def asked(file: Path | None, flags: dict[str, Any]) -> Request:
    """Request of a file and flags, with its further methods included."""
    from ..sweeps.request import read_request

    request = read_request(file, flags)
    for item in request.include:
        include(item)
    return request


def _show_plan(plan: Plan, sweep_: Sweep) -> None:
    from ..sweeps.status import usual_seconds
    from ..sweeps.sweep import RETRIED
    from .screen.sweep import show_plan

    options, store = sweep_.options, sweep_.store
    seconds = usual_seconds(store, plan.request.scale)
    done: dict[str, str] = {}
    if (options.runs / "cells").is_dir():  # else nothing can be done, and nothing need be read
        done = sweep_.look()
    show_plan(plan, done, seconds, options.workers, Console(),
              again=RETRIED[options.retry])


def status(
    runs: Annotated[Path, typer.Argument(help="Run folder.")] = Path("runs"),
) -> None:
    """Show what a sweep is doing, from another shell; reads the run folder and changes nothing."""
    from .screen.sweep import show_status

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    show_status(runs, Console())


def rerun(
    record: Annotated[str, typer.Argument(help="Folder of a record, or the start of its name.")],
    runs: Annotated[Path, typer.Option(help="Run folder, if a name is given.")] = Path("runs"),
    data: Annotated[Path | None, typer.Option(
        help="Folder that holds the corpora.", metavar="DIR")] = None,
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with the record's method.",
        metavar="FILE|MODULE")] = None,
    tolerance: Annotated[float, typer.Option(
        help="Largest deviation of a probability that still agrees.")] = 1e-4,
) -> None:
    """Repeat a stored cell and say whether it agrees; stores nothing. Exit 1 if it does not."""
    for item in include_ or ():
        include(item)
    from ..sweeps.repeat import find_record, repeat

    comparison = repeat(find_record(record, runs), data)
    comparison.show(Console(), tolerance)
    if not comparison.agrees(tolerance):
        raise typer.Exit(1)


def _seeds(text: str | None) -> int | list[int] | None:
    if text is None:
        return None
    try:
        return [int(t) for t in text.split(",") if t.strip()] if "," in text else int(text)
    except ValueError:
        raise SettingError(
            f"--seeds {text!r} is neither a number nor a list of numbers",
            "5 means 0 to 4; 0,3 means these two; 3, means this one.",
        ) from None


def _stack(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"--stack {text!r} is neither a number nor auto") from None


def _values(items: list[str] | None, option: str) -> dict[str, str] | None:
    if not items:
        return None
    out = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise SettingError(f"{option} {item!r} is not of the form NAME=VALUE")
        out[name.strip()] = value.strip()
    return out


def _params(items: list[str] | None) -> dict[str, dict[str, str]] | None:
    """METHOD.NAME=VALUE options as a table per method."""
    out: dict[str, dict[str, str]] = {}
    for name, value in (_values(items, "--set") or {}).items():
        method, dot, parameter = name.partition(".")
        if not dot:
            raise SettingError(
                f"--set {name}={value} does not say of which method",
                f"In a sweep, write --set METHOD.{name}={value}",
            )
        out.setdefault(method, {})[parameter] = value
    return out or None
