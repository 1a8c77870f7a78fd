"""The command line. Torch, NumPy and pandas are imported inside the commands that need them."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import BenchError, SettingError, UnknownNameError
from ..registry import GROUPS, broken, load
from . import audit as cli_audit
from . import sweep as cli_sweep
from . import tune as cli_tune
from .data import data_app
from .shared import _band, _choice, _include, _listed, _pairs, _subjects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..reporting import ReportOutcome
    from ..runs.options import RunOptions

app = typer.Typer(
    name="bench", no_args_is_help=True, rich_markup_mode="rich", add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark of cross-corpus EEG emotion recognition: train on one corpus, test on "
    "another, and learn honestly which method transfers.",
    epilog="Without data: [cyan]bench run --method scmm --src SEED --tgt DEAP --simulated[/]\n\n"
    "Your data: [cyan]bench data check DIR[/], then [cyan]bench data set SEED=DIR DEAP=DIR[/]\n\n"
    "All scores so far: [cyan]bench report runs[/]",
)
app.add_typer(data_app, name="data")
new_app = typer.Typer(no_args_is_help=True, help="Start a plugin of your own.")
app.add_typer(new_app, name="new")

#: Exit status after Ctrl-C.
_INTERRUPTED = 130
_RUN = "What to run"
_SEE = "What the method may see"
_DATA = "Data"
_OUT = "Output"

Include = Annotated[
    list[str] | None,
    typer.Option(help="Python file or module with a CATALOGUE of further methods.",
                 metavar="FILE|MODULE", rich_help_panel=_RUN),
]
Runs = Annotated[Path, typer.Option(help="Run folder.", rich_help_panel=_OUT)]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder that holds the corpora, or one of them.", metavar="DIR",
                 rich_help_panel=_DATA),
]


@app.command(epilog="Examples:\n\n"
             "  bench run --method scmm --src SEED --tgt DEAP --simulated\n\n"
             "  bench run --src SEED-IV:3 --tgt DEAP:arousal --data ~/corpora --seed 1\n\n"
             "  bench run --src SEED --tgt DEAP --simulated --set sharpness=0.2 --recipe "
             "class_effect=0")
def run(
    method: Annotated[str, typer.Option("--method", "-m", help="See: bench list methods.",
                                        rich_help_panel=_RUN)] = "scmm",
    src: Annotated[str, typer.Option(help="Source, CORPUS[:TASK]; several: SEED+SEED-IV.",
                                     rich_help_panel=_RUN)] = "SEED",
    tgt: Annotated[str, typer.Option(help="Target, CORPUS[:TASK], e.g. DEAP:arousal.",
                                     rich_help_panel=_RUN)] = "DEAP",
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Parameter of the method, repeatable; a name it has not is answered with "
        "those it has.", metavar="NAME=VALUE", rich_help_panel=_RUN)] = None,
    params: Annotated[str, typer.Option(
        help="Named parameter set: default, published (marked: selection unknown), or tuned (what "
        "bench tune found).",
        rich_help_panel=_RUN)] = "default",
    seed: Annotated[int, typer.Option(help="Seed of everything random.",
                                      rich_help_panel=_RUN)] = 0,
    scale: Annotated[str | None, typer.Option(
        help="demo, table, null or published: how many steps (and how large simulated corpora "
        "are). Default: published, for simulated corpora demo.", rich_help_panel=_RUN)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.",
                                        rich_help_panel=_RUN)] = "cpu",
    precision: Annotated[str, typer.Option(
        help="float32, float64, tf32 or bf16; part of the record's identity.",
        rich_help_panel=_RUN)] = "float32",
    deterministic: Annotated[bool, typer.Option(
        "--deterministic", help="Only kernels that repeat bit by bit (matters on a GPU).",
        rich_help_panel=_RUN)] = False,
    energy: Annotated[bool, typer.Option(
        "--energy", help="Measure the energy (needs CodeCarbon).", rich_help_panel=_OUT)] = False,
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE of further methods.",
        metavar="FILE|MODULE", rich_help_panel=_RUN)] = None,
    protocol: Annotated[str, typer.Option(help="See: bench list protocols.",
                                          rich_help_panel=_SEE)] = "few-shot",
    calibration_trials: Annotated[int | None, typer.Option(
        help="Calibration trials of each class; 60 % of them if not given.", min=1,
        rich_help_panel=_SEE)] = None,
    protocol_set: Annotated[list[str] | None, typer.Option(
        "--protocol-set", help="Option of the protocol, repeatable, e.g. form=transductive.",
        metavar="NAME=VALUE", rich_help_panel=_SEE)] = None,
    scaling: Annotated[str, typer.Option(
        help="min-max, z-score, robust, euclidean (alignment of covariances, raw windows), none, "
        "or auto: min-max, for raw windows z-score.", rich_help_panel=_SEE)] = "auto",
    scaling_scope: Annotated[str, typer.Option(
        help="By which statistics. corpus: each source corpus by its own, the tested subject by "
        "its calibration or unlabelled windows, whichever are granted, else by the source's. "
        "subject: each subject by its own. source: all by the source's. tested, subject-tested: "
        "the same, but the tested subject by all its windows, the tested ones among them "
        "(transductive, and marked so).", rich_help_panel=_SEE)] = "corpus",
    selection: Annotated[str, typer.Option(
        help="Which epoch is scored. last: the last one. source-val: best on held-out source "
        "subjects (not few-shot). calibration-val: best on a held-out calibration trial of each "
        "class (few-shot). entropy, snd, mixval, mano, importance-weighted, dev: best by a "
        "validator that needs no target label (unsupervised). oracle: best on the test set, never "
        "ranked. The record holds what every rule that is free of charge would have given.",
        metavar="RULE", rich_help_panel=_SEE)] = "last",
    data: Data = None,
    simulated: Annotated[bool, typer.Option(
        "--simulated", help="Use simulated corpora in the owners' layouts, written on first "
        "use.", rich_help_panel=_DATA)] = False,
    recipe: Annotated[list[str] | None, typer.Option(
        help="Effect or size of the simulated corpora, repeatable; see: bench data simulate "
        "--help.", metavar="NAME=VALUE", rich_help_panel=_DATA)] = None,
    sessions: Annotated[str, typer.Option(help="first (as published) or all.",
                                          rich_help_panel=_DATA)] = "first",
    features: Annotated[str, typer.Option(
        help="bench (our unsmoothed DE from raw), raw (signals, 128 Hz, 4-45 Hz), official (the "
        "owner's files), or official-4s.",
        rich_help_panel=_DATA)] = "bench",
    official_kind: Annotated[str, typer.Option(
        help="With official features, which of the owner's: e.g. de_LDS, de_movingAve.",
        rich_help_panel=_DATA)] = "",
    window: Annotated[float, typer.Option(
        help="Window length in s of bench and raw features, e.g. 1 or 4.",
        rich_help_panel=_DATA)] = 1.0,
    threshold: Annotated[float, typer.Option(
        help="Ratings above it are high (DEAP).", rich_help_panel=_DATA)] = 5.0,
    drop_middle: Annotated[str | None, typer.Option(
        help="Drop trials rated in this band, e.g. 4.5:5.5.", metavar="LOW:HIGH",
        rich_help_panel=_DATA)] = None,
    exclude: Annotated[list[str] | None, typer.Option(
        help="Leave subjects out, e.g. SEED:3,7; repeatable.", metavar="CORPUS:N,N",
        rich_help_panel=_DATA)] = None,
    runs: Runs = Path("runs"),
    save_models: Annotated[bool, typer.Option(
        "--save-models", help="Also write the trained networks (weights only).",
        rich_help_panel=_OUT)] = False,
    diagnostics: Annotated[bool, typer.Option(
        "--diagnostics", help="Also write embeddings and the importance of channels and bands, "
        "for the plots of bench report.", rich_help_panel=_OUT)] = False,
    controls: Annotated[bool, typer.Option(
        help="Also run the controls: target-only, majority.", rich_help_panel=_OUT)] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.",
                                        rich_help_panel=_OUT)] = False,
) -> None:
    """Run one method from a source to a target corpus, with its controls, and show the scores."""
    _run(method, src, tgt, run_options(locals()), quiet)


def run_options(values: dict[str, Any]) -> RunOptions:
    """Settings of a run from the options of ``bench run``, its further methods included."""
    _include(values["include_"])
    load("methods", values["method"])  # an unknown name answers before anything heavy is imported
    from ..data.corpus import FEATURES
    from ..data.labels import LabelRule
    from ..data.reading import ReadOptions
    from ..runs.options import RunOptions

    trials = values["calibration_trials"]
    same = ("data", "simulated", "scale", "protocol", "scaling", "seed", "runs", "device",
            "controls", "selection", "scaling_scope", "precision", "deterministic")
    return RunOptions(
        **{name: values[name] for name in same},
        recipe=_pairs(values["recipe"], "--recipe"),
        protocol_params=_pairs(values["protocol_set"], "--protocol-set") | (
            {} if trials is None else {"calibration_trials": trials}
        ),
        params=_pairs(values["set_"], "--set"), preset=values.get("params", "default"),
        save_models=values.get("save_models", False),
        diagnostics=values.get("diagnostics", False), energy=values.get("energy", False),
        exclude=_subjects(values["exclude"]),
        read=ReadOptions(
            features=_choice("--features", values["features"], FEATURES),
            official_kind=values["official_kind"], window_s=values["window"],
            sessions=values["sessions"],
            rule=LabelRule(values["threshold"], _band(values["drop_middle"])),
        ),
    )


def _run(method: str, src: str, tgt: str, options: RunOptions, quiet: bool) -> None:
    from ..runs.run import run as run_one
    from .screen.progress import Display

    with Display(Console(stderr=True), quiet) as display:
        record = run_one(method, src, tgt, options, display)
    load("reports", "run")(record, Console())


@app.command(epilog="Examples:\n\n  bench report runs\n\n  bench report runs --format html\n\n"
             "  bench report runs --pairs '*->DEAP' --metric accuracy --unit trial")
def report(
    runs: Annotated[Path, typer.Argument(help="Run folder.")] = Path("runs"),
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
        help="Where files go; RUNS/report if not given.")] = None,
    only: Annotated[list[str] | None, typer.Option(
        help="Only these reports (see: bench list reports); repeatable or with commas; terminal "
        "writes no files.")] = None,
    format_: Annotated[list[str] | None, typer.Option(
        "--format", help="Only these kinds of files: html, csv, md, latex, json, png, pdf, svg; "
        "repeatable or with commas.")] = None,
    published: Annotated[list[Path] | None, typer.Option(
        help="CSV of published figures besides our own; repeatable.", metavar="FILE")] = None,
) -> None:
    """Show the leaderboard of a run folder; write the HTML page, tables and plots."""
    from ..reporting import ReportOptions, chosen_reports, write_reports
    from ..store.records import Store

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    options = ReportOptions(
        metric=metric, unit=unit, pairs=_listed("--pairs", pairs),
        methods=_listed("--methods", methods), protocols=_listed("--protocol", protocol),
        formats=_listed("--format", format_), published=tuple(published or ()),
    )
    chosen = chosen_reports(options, _listed("--only", only))
    if options.published:
        load("reports", "published-figures")(options)
    store = Store(runs)
    screen = Console()
    gc.disable()  # records are a million objects without a cycle: searching them takes a second
    screen.print(load("reports", "terminal")(store, options))
    gc.freeze()
    gc.enable()
    _write_reports(screen, write_reports(
        store, out or runs / "report", options, chosen, processes=min(4, os.cpu_count() or 1)
    ))


def _write_reports(screen: Console, outcomes: Iterable[ReportOutcome]) -> None:
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
                         + ", ".join(escape(p.name) for p in paths), highlight=False)


@app.command("list", epilog="Examples:\n\n  bench list methods\n\n  bench list corpora --json")
def list_(
    group: Annotated[str, typer.Argument(help="methods, corpora, protocols or reports.")],
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List what is registered: built-in and from plugins."""
    _include(include_)
    if group not in GROUPS:
        raise UnknownNameError("list", group, GROUPS)
    from .screen.tables import as_json, as_table

    if json_:
        sys.stdout.write(as_json(group) + "\n")
        return
    screen = Console()
    screen.print(as_table(group, screen.width))
    for name, reason in broken(group).items():
        screen.print(f"[yellow]not usable:[/] {escape(name)}: {escape(reason)}")


@app.command(epilog="Examples:\n\n  bench check my_method.py\n\n  bench check scmm\n\n"
             "  bench check --reference scmm.npz")
def check(
    what: Annotated[str | None, typer.Argument(
        help="Method, or Python file or module with a CATALOGUE of methods.",
        metavar="[METHOD|FILE|MODULE]")] = None,
    reference: Annotated[Path | None, typer.Option(
        help="Compare with a file of reference numbers (.npz) instead.", metavar="FILE")] = None,
    method: Annotated[str, typer.Option(help="Whose code to compare with the reference.")] = "scmm",
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Parameter of the method, repeatable.", metavar="NAME=VALUE")] = None,
) -> None:
    """Check that a method keeps its contract, or its numbers; exit 1 if it does not."""
    if (what is None) == (reference is None):
        raise SettingError(
            "give a method to check, or --reference FILE", "For example: bench check scmm"
        )
    if reference is not None:
        from .screen.tables import deviations

        found, passed = deviations(load("methods", method).check_reference(reference), reference)
        Console().print(found)
    else:
        passed = _conforms(what or "", _pairs(set_, "--set"))
    if not passed:
        raise typer.Exit(1)


def _conforms(what: str, values: dict[str, Any]) -> bool:
    """Print the checks of a method, or of all methods of a module; whether all passed."""
    from ..conformance import check_method, methods_of, table

    passed = True
    for name in methods_of(what):
        load("methods", name).parse(values)  # a wrong parameter is the user's, not the method's
        checks = check_method(name, values)
        Console().print(table(name, checks))
        passed = passed and all(c.passed is not False for c in checks)
    return passed


@new_app.command("method", epilog="Example:\n\n  bench new method my-method")
def new_method_(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    folder: Annotated[Path | None, typer.Option(
        help="Where to write; bench-NAME if not given.", metavar="DIR")] = None,
) -> None:
    """Write a folder with a method that installs, runs and passes its tests as it stands."""
    from .new import new_method

    written = new_method(name, folder)
    screen = Console()
    for path in written:
        screen.print(f"[green]✓[/] {escape(str(path))}", highlight=False, soft_wrap=True)
    screen.print(f"Check it: bench check {escape(str(written[0]))}", highlight=False,
                 soft_wrap=True)


cli_sweep.register(app)
cli_tune.register(app, run, run_options)
cli_audit.register(app, run, run_options)


def main() -> None:
    """Entry point: errors a user can mend are printed without a traceback, exit status 2."""
    try:
        status = app(standalone_mode=False)
        if status == _INTERRUPTED:
            _stopped()
        sys.exit(status if isinstance(status, int) else 0)
    except BenchError as error:
        screen = Console(stderr=True)
        screen.print(f"[bold red]Error:[/] {escape(error.message)}", highlight=False,
                     soft_wrap=True)
        if error.hint:
            screen.print(escape(error.hint), style="dim", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):
            raise
        from typer.rich_utils import rich_format_error

        rich_format_error(error)  # type: ignore[arg-type]
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _stopped()
        sys.exit(_INTERRUPTED)


def _stopped() -> None:
    Console(stderr=True).print(
        "[yellow]Stopped.[/] What was finished is stored; the same command goes on from there."
    )


if __name__ == "__main__":
    main()
