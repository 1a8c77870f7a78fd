"""The command line. Torch, NumPy and pandas are imported inside the commands that need them."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape

from ..errors import BenchError, SettingError, check_known, missing
from ..registry import GROUPS, broken, load
from ..runs.options import as_pairs
from ..store.shown import counted
from ..version import __version__
from . import get  # noqa: F401 - a command of bench data
from .audit import audit, export, verify
from .data import data_app
from .run import run
from .screen.console import Screen
from .screen.exchange import verdict
from .shared import listed, named_briefly
from .show import Includes, show
from .sweep import rerun, status, sweep
from .tune import tune

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..reporting import ReportOutcome

app = typer.Typer(
    name="bench", no_args_is_help=True, rich_markup_mode="rich", add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark of cross-corpus EEG emotion recognition: train on one corpus, test on "
    "another, and learn honestly which method transfers.",
    epilog="Without data: [cyan]bench run --method scmm --src SEED --tgt DEAP --simulated[/]\n\n"
    "Your data: [cyan]bench data check DIR[/], then [cyan]bench data set SEED=DIR DEAP=DIR[/]\n\n"
    "All scores so far: [cyan]bench report runs[/]",
)


def _version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        sys.stdout.write(f"bench {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option(
        "--version", help="Show the version and leave.", callback=_version, is_eager=True)] = False,
) -> None:
    """Benchmark of cross-corpus EEG emotion recognition."""


def _examples(*lines: str) -> str:
    """Examples of a command, as the end of its help."""
    return "\n\n".join([f"Example{'s' * (len(lines) > 1)}:", *(f"  {line}" for line in lines)])


app.command(epilog=_examples(
    "bench run --method scmm --src SEED --tgt DEAP --simulated",
    "bench run --src SEED-IV:3 --tgt DEAP:arousal --data ~/corpora --seed 1",
    "bench run --src SEED --tgt DEAP --simulated --set sharpness=0.2 --recipe class_effect=0",
))(run)
app.command(epilog=_examples(
    "bench sweep sweep.toml --workers 4",
    "bench sweep --method scmm,target-only --pairs all --seeds 5 --simulated --scale table "
    "--dry-run",
))(sweep)
app.command(epilog=_examples("bench status runs"))(status)
app.command(epilog=_examples("bench rerun 9d8d94b7 --runs runs",
                             "bench rerun 9d8d94b7 --runs theirs.zip"))(rerun)
app.command(epilog=_examples(
    "bench tune --method scmm --src SEED --tgt DEAP --simulated --scale table",
    "bench tune --method dann --protocol unsupervised --only weight,lr --trials 50 --storage "
    "sqlite:///studies.db",
))(tune)
app.command(epilog=_examples(
    "bench audit --method scmm --src SEED --tgt DEAP --simulated",
    "bench audit --src DEAP --tgt SEED --simulated --recipe class_effect=0 --recipe subjects=15 "
    "--recipe length=0.05 --only best-test-epoch",
    "bench audit --records runs",
    "bench audit --split split.csv",
))(audit)
app.command(epilog=_examples(
    "bench export runs -o results.zip --lab 'Our lab'",
))(export)
app.command(epilog=_examples(
    "bench verify results.zip", "bench verify results.zip --include our_method.py",
))(verify)
app.command(epilog=_examples("bench show dsan", "bench show scmm --json"))(show)
app.add_typer(data_app, name="data")
new_app = typer.Typer(no_args_is_help=True, help="Start a plugin of your own.")
app.add_typer(new_app, name="new")

#: Exit status after Ctrl-C.
_INTERRUPTED = 130
#: Exit status of a program whose reader is gone, as a shell gives it.
_BROKEN_PIPE = 141
_ELSEWHERE = "Choose a folder that can be written with --runs, and one for the cache by the " \
    "variable BENCH_CACHE. What was finished is stored."
#: What to do about errors of the operating system.
_ADVICE = {
    errno.ENOSPC: f"The disk is full: free some space. {_ELSEWHERE}",
    errno.EDQUOT: f"Your quota is used up: free some space. {_ELSEWHERE}",
    errno.EROFS: _ELSEWHERE, errno.EACCES: _ELSEWHERE, errno.EPERM: _ELSEWHERE,
    errno.ENOTDIR: "A folder is needed there, and a file is in its place.",
    errno.EEXIST: "A folder is needed there, and a file is in its place.",
    errno.ENAMETOOLONG: "Give a shorter name.",
}


@app.command(epilog="Examples:\n\n  bench report runs\n\n  bench report runs --format html\n\n"
             "  bench report runs --pairs '*->DEAP' --metric accuracy --unit trial\n\n"
             "  bench report runs other-lab.zip third-lab.zip --out merged\n\n"
             "  bench report runs --site public")
def report(
    runs: Annotated[list[Path] | None, typer.Argument(
        help="Run folders, and archives that bench export wrote; ./runs if not given.",
        metavar="[RUNS|ARCHIVE]...")] = None,
    metric: Annotated[str, typer.Option(
        help="balanced_accuracy, accuracy, macro_f1 or auroc.")] = "balanced_accuracy",
    unit: Annotated[str, typer.Option(help="window or trial.")] = "window",
    pairs: Annotated[list[str] | None, typer.Option(
        help="Only these pairs, e.g. 'SEED->DEAP' or '*->DEAP'; repeatable or with commas."
    )] = None,
    methods: Annotated[list[str] | None, typer.Option(
        help="Only these methods; repeatable or with commas.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(
        help="Only these protocols; repeatable or with commas.")] = None,
    out: Annotated[Path | None, typer.Option(
        help="Where files go; RUNS/report if not given, ./report for archives and for several "
        "places.")] = None,
    only: Annotated[list[str] | None, typer.Option(
        help="Only these reports (see: bench list reports); repeatable or with commas; terminal "
        "writes no files.")] = None,
    format_: Annotated[list[str] | None, typer.Option(
        "--format", help="Only these kinds of files: html, csv, md, latex, json, png, pdf, svg; "
        "repeatable or with commas.")] = None,
    published: Annotated[list[Path] | None, typer.Option(
        help="CSV of published figures besides our own; repeatable.", metavar="FILE")] = None,
    oracles: Annotated[bool, typer.Option(
        "--oracles/--no-oracles", help="Whether LaTeX tables have the rows of oracles.")] = True,
    columns: Annotated[int, typer.Option(
        help="Columns of a paper that pictures are as wide as, 1 or 2, where they can be drawn for "
        "both; 0 for what suits each.")] = 0,
    site: Annotated[Path | None, typer.Option(
        help="Write a static site there and nothing else: an index, and a page for each setting.",
        metavar="DIR")] = None,
) -> None:
    """Show the leaderboard of a run folder; write the HTML page, tables and plots.

    Several run folders and archives make one leaderboard: each row then says where it is from.
    Archives are verified first; one that is not whole is refused.
    """
    from ..exchange.merged import opened
    from ..reporting import ReportOptions, chosen_reports, write_reports

    places = runs or [Path("runs")]
    options = ReportOptions(
        metric=metric, unit=unit, pairs=listed("--pairs", pairs),
        methods=listed("--methods", methods), protocols=listed("--protocol", protocol),
        formats=listed("--format", format_), published=tuple(published or ()),
        oracles=oracles, columns=columns,
    )
    chosen = chosen_reports(options, listed("--only", only))
    if site is not None and (out or only or format_):
        raise SettingError("--site goes without --out, --only and --format",
                           "It writes one site of whole pages; call bench report again for files.")
    if options.published:
        load("reports", "published-figures")(options)
    screen = Screen()
    beside = places[0] if len(places) == 1 and places[0].is_dir() else Path()
    with opened(places) as (store, archives):
        for seen in archives:
            verdict(screen, seen)
        gc.disable()  # records are a million objects without a cycle: searching them takes a second
        if site is not None:
            index, *pages = load("reports", "site")(store, site, options)
            screen.print(
                f"[dim]written:[/] {escape(str(index))} and {counted(len(pages), 'page')}, one for "
                "each setting. Open the index, or put the folder on a web server.")
            return
        screen.print(load("reports", "terminal")(store, options))
        gc.freeze()
        gc.enable()
        _write_reports(screen, write_reports(
            store, out or beside / "report", options, chosen, processes=min(4, os.cpu_count() or 1)
        ))


def _write_reports(screen: Screen, outcomes: Iterable[ReportOutcome]) -> None:
    """Say what was written, what lay there already, and what there was nothing to draw for."""
    written: list[Path] = []
    kept: list[Path] = []
    for outcome in outcomes:
        if outcome.refusal:
            screen.print(f"[yellow]no {escape(outcome.report)}:[/] {escape(outcome.refusal)}")
        (written if outcome.fresh else kept).extend(outcome.files)
    for what, paths in (("written to", written), ("up to date in", kept)):
        if paths:
            screen.print(f"[dim]{what} {escape(str(paths[0].parent))}:[/] "
                         + escape(named_briefly(paths)))


@app.command("list", epilog="Examples:\n\n  bench list methods\n\n  bench list corpora --json")
def list_(
    group: Annotated[str, typer.Argument(help="methods, corpora, protocols or reports.")],
    include_: Includes = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List what is registered: built-in and from plugins."""
    check_known("list", GROUPS, group)
    from .screen.tables import as_json, as_table

    if json_:
        sys.stdout.write(as_json(group) + "\n")
        return
    screen = Screen()
    screen.print(as_table(group, screen.width))
    for name, reason in broken(group).items():
        screen.print(f"[yellow]not usable:[/] {escape(name)}: {escape(reason)}")


@app.command(epilog="Examples:\n\n  bench check my_method.py\n\n  bench check scmm\n\n"
             "  bench check my_corpus.py --data ~/recordings\n\n  bench check SEED-V\n\n"
             "  bench check --reference scmm.npz")
def check(
    what: Annotated[str | None, typer.Argument(
        help="Method or corpus, or Python file or module with a CATALOGUE of some.",
        metavar="[METHOD|CORPUS|FILE|MODULE]")] = None,
    data: Annotated[Path | None, typer.Option(
        help="Check a corpus on the files in this folder; else it is simulated.",
        metavar="DIR")] = None,
    reference: Annotated[Path | None, typer.Option(
        help="Compare with a file of reference numbers (.npz) instead.", metavar="FILE")] = None,
    method: Annotated[str, typer.Option(help="Whose code to compare with the reference.")] = "scmm",
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Parameter of the method, repeatable.", metavar="NAME=VALUE")] = None,
) -> None:
    """Check that a method or corpus keeps its contract; exit 1 if it does not."""
    if (what is None) == (reference is None):
        raise SettingError(
            "give a method or corpus to check, or --reference FILE", "For example: bench check scmm"
        )
    if reference is not None:
        from .screen.tables import deviations

        found, passed = deviations(load("methods", method).check_reference(reference), reference)
        Screen().print(found)
    else:
        passed = _conforms(what or "", as_pairs("--set", set_), data)
    if not passed:
        raise typer.Exit(1)


def _conforms(what: str, values: dict[str, Any], data: Path | None) -> bool:
    """Print the checks of what a name or a module stands for; whether all passed."""
    from ..conformance import check_method, named_by, table
    from ..corpus_conformance import check_corpus

    passed = True
    for group, name in named_by(what):
        if group == "corpora":
            with Screen(stderr=True).status(f"checking {name}"):
                checks = check_corpus(name, data)
        else:
            load("methods", name).parse(values)  # a wrong parameter is the user's
            checks = check_method(name, values)
        Screen().print(table(name, checks))
        passed = passed and all(c.passed is not False for c in checks)
    return passed


_Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")]
_Folder = Annotated[Path | None, typer.Option(
    help="Where to write; bench-NAME if not given.", metavar="DIR")]


@new_app.command("method", epilog="Example:\n\n  bench new method my-method")
def new_method_(name: _Name, folder: _Folder = None) -> None:
    """Write a folder with a method that installs, runs and passes its tests as it stands."""
    _new("method", name, folder)


@new_app.command("corpus", epilog="Example:\n\n  bench new corpus my-corpus")
def new_corpus_(name: _Name, folder: _Folder = None) -> None:
    """Write a folder with a reader of a corpus that installs, runs and passes its tests."""
    _new("corpus", name, folder)


def _new(kind: str, name: str, folder: Path | None) -> None:
    from .new import new_plugin

    written = new_plugin(kind, name, folder)
    screen = Screen()
    for path in written:
        screen.print(f"[green]✓[/] {escape(str(path))}", soft_wrap=True)
    screen.print(f"Check it: bench check {escape(str(written[0]))}", soft_wrap=True)


def main() -> None:
    """Entry point: errors a user can mend are printed without a traceback, exit status 2."""
    ended: list[signal.Signals] = []
    for stream in (sys.stdout, sys.stderr):  # of Windows, piped: no arrows, and no end for that
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="replace")
    _listen(ended)
    try:
        try:
            status = app(standalone_mode=False)
        except SystemExit as error:  # not ours: the command line raises none on its way
            if isinstance(error.__context__, BrokenPipeError):  # rich's answer to it
                raise error.__context__ from None
            raise BenchError(
                f"a plugin or a library ended the program: sys.exit({error.code!r})",
                "It must raise an error instead. Find it by leaving --include and plugins out.",
            ) from error
        if status == _INTERRUPTED:
            _stopped(ended)
            status = 128 + ended[0] if ended else status
        sys.exit(status if isinstance(status, int) else 0)
    except BenchError as error:
        _refuse(error.message, error.hint)
    except BrokenPipeError:  # who read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except OSError as error:  # a disk, a folder or a network, and no defect of ours
        where = f"{error.filename}: " if error.filename else ""
        _refuse(f"{where}{error.strerror or error}", _ADVICE.get(error.errno or 0, ""))
    except Exception as error:
        lacking = missing(error, "this command")
        if lacking is not None:
            _refuse(lacking.message, lacking.hint)
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):
            raise
        from typer.rich_utils import rich_format_error

        rich_format_error(error)  # type: ignore[arg-type]
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _stopped(ended)
        sys.exit(128 + ended[0] if ended else _INTERRUPTED)


def _listen(ended: list[signal.Signals]) -> None:
    """Have SIGTERM and SIGHUP do what Ctrl-C does; one that is ignored (nohup) stays so."""
    def stop(number: int, frame: object) -> None:
        ended.append(signal.Signals(number))
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)


def _refuse(message: str, hint: str) -> NoReturn:
    screen = Screen(stderr=True)
    screen.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    if hint:
        screen.print(escape(hint), style="dim", soft_wrap=True)
    sys.exit(2)


def _stopped(ended: list[signal.Signals]) -> None:
    by = f" by {ended[0].name}" if ended else ""
    with contextlib.suppress(OSError):  # of SIGHUP: the terminal is gone
        Screen(stderr=True).print(f"[yellow]Stopped{by}.[/]")  # commands say what they keep


if __name__ == "__main__":
    main()
