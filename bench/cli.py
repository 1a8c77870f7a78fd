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

from . import cli_audit, cli_sweep, cli_tune
from .errors import BenchError, SettingError, UnknownNameError
from .registry import GROUPS, broken, entries, include, load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .reporting import Outcome
    from .runner import RunOptions

app = typer.Typer(
    name="bench", no_args_is_help=True, rich_markup_mode="rich", add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark of cross-corpus EEG emotion recognition: train on one corpus, test on "
    "another, and learn honestly which method transfers.",
    epilog="Without data: [cyan]bench run --method scmm --src SEED --tgt DEAP --simulated[/]\n\n"
    "Your data: [cyan]bench data check DIR[/], then [cyan]bench data set SEED=DIR DEAP=DIR[/]\n\n"
    "All scores so far: [cyan]bench report runs[/]",
)
data_app = typer.Typer(
    no_args_is_help=True, help="Corpora on disk: check them, simulate them, remember where "
    "they are.",
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
    from .corpus import FEATURES
    from .data import ReadOptions
    from .labels import LabelRule
    from .runner import RunOptions

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
    from .progress import Display
    from .runner import run as run_one

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
    from .report_options import ReportOptions
    from .reporting import chosen_reports, write_reports
    from .store import Store

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    options = ReportOptions(
        metric=metric, unit=unit, pairs=_listed("--pairs", pairs),
        methods=_listed("--methods", methods), protocols=_listed("--protocol", protocol),
        formats=_listed("--format", format_), published=tuple(published or ()),
    )
    chosen = chosen_reports(options, _listed("--only", only))
    if options.published:
        from .reports.published import figures

        figures(options)
    store = Store(runs)
    screen = Console()
    gc.disable()  # records are a million objects without a cycle: searching them takes a second
    screen.print(load("reports", "terminal")(store, options))
    gc.freeze()
    gc.enable()
    _write_reports(screen, write_reports(
        store, out or runs / "report", options, chosen, processes=min(4, os.cpu_count() or 1)
    ))


def _write_reports(screen: Console, outcomes: Iterable[Outcome]) -> None:
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
    from .listing import as_json, as_table

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
        from .listing import deviations

        found, passed = deviations(load("methods", method).check_reference(reference), reference)
        Console().print(found)
    else:
        passed = _conforms(what or "", _pairs(set_, "--set"))
    if not passed:
        raise typer.Exit(1)


def _conforms(what: str, values: dict[str, Any]) -> bool:
    """Print the checks of a method, or of all methods of a module; whether all passed."""
    from .conformance import check_method, methods_of, table

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


@data_app.command("check", epilog="Examples:\n\n  bench data check ~/corpora\n\n"
                  "  bench data check ~/corpora --corpus SEED --read")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder with one or several corpora.")],
    corpus: Annotated[list[str] | None, typer.Option(help="Only this corpus; repeatable.")] = None,
    features: Annotated[str, typer.Option(
        help="bench, raw, official or official-4s.")] = "bench",
    read: Annotated[bool, typer.Option(
        "--read", help="Also read every file and check every signal.")] = False,
) -> None:
    """Say which corpora a folder holds, what is missing, and what is passed over."""
    from .corpus import FEATURES
    from .inspect import inspect_folder

    screen = Console()
    if not inspect_folder(
        folder, corpus or list(entries("corpora")), screen, read=read,
        features=_choice("--features", features, FEATURES), named=bool(corpus),
    ):
        raise typer.Exit(2)


@data_app.command("simulate", epilog="Examples:\n\n  bench data simulate corpora --set subjects=3"
                  "\n\n  bench data simulate corpora --recipe")
def data_simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write; one sub-folder per corpus.")],
    corpus: Annotated[list[str] | None, typer.Option(help="Only this corpus; repeatable.")] = None,
    scale: Annotated[str, typer.Option(help="demo, table, null or published.")] = "demo",
    set_: Annotated[list[str] | None, typer.Option(
        "--set", help="Size or effect, repeatable; --recipe lists them.", metavar="NAME=VALUE",
    )] = None,
    recipe: Annotated[bool, typer.Option(
        "--recipe", help="Show the recipe and write nothing.")] = False,
) -> None:
    """Write simulated corpora in the owners' exact layouts."""
    from .data import simulate_corpus
    from .listing import recipe_table
    from .runner import RunOptions, simulated_recipe

    chosen = simulated_recipe(
        RunOptions(simulated=True, scale=scale, recipe=_pairs(set_, "--set"))
    )
    screen = Console()
    if recipe:
        screen.print(recipe_table(chosen))
        return
    adapters = [load("corpora", name)() for name in corpus or entries("corpora")]
    for adapter in adapters:
        with Console(stderr=True).status(f"simulating {adapter.name}"):
            simulate_corpus(adapter, folder / adapter.name, chosen)
        screen.print(f"[green]✓[/] {adapter.name}: {escape(str(folder / adapter.name))}",
                     highlight=False)
    names = [a.name for a in adapters]
    if len(names) > 1:
        screen.print(f"Use them with: bench run --src {names[0]} --tgt {names[-1]} --data "
                     f"{escape(str(folder))}", highlight=False)


@data_app.command("set", epilog="Example:\n\n  bench data set SEED=~/corpora/SEED_EEG "
                  "DEAP=~/corpora/DEAP")
def data_set(
    where: Annotated[list[str], typer.Argument(help="CORPUS=DIR", metavar="CORPUS=DIR...")],
) -> None:
    """Remember where corpora are, so that --data can be left out."""
    from .settings import set_corpus_folder

    found = []
    for name, folder in _pairs(where, "bench data set").items():
        adapter = load("corpora", name)()
        found.append((adapter, adapter.inventory(Path(folder).expanduser())))
    for adapter, inventory in found:
        path = set_corpus_folder(adapter.name, inventory.root)
        Console().print(
            f"[green]✓[/] {adapter.name}: {len(inventory.recordings)} recordings; remembered in "
            f"{escape(str(path))}", highlight=False,
        )


def _include(files: list[str] | None) -> None:
    for item in files or ():
        include(item)


def _pairs(items: list[str] | None, option: str) -> dict[str, Any]:
    """NAME=VALUE options as a dict; values are converted by who knows the type."""
    out: dict[str, Any] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise SettingError(f"{option} {item!r} is not of the form NAME=VALUE")
        out[name.strip()] = value.strip()
    return out


def _listed(option: str, items: list[str] | None) -> tuple[str, ...]:
    """Values of an option that may be repeated and may hold commas."""
    values = tuple(v.strip() for item in items or () for v in item.split(",") if v.strip())
    if items and not values:
        raise SettingError(f"{option} names nothing")
    return values


def _choice(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise UnknownNameError(f"value of {option}", value, known)
    return value


def _band(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise SettingError(
            f"--drop-middle {text!r} is not of the form LOW:HIGH", "For example 4.5:5.5"
        ) from None


def _subjects(items: list[str] | None) -> dict[str, frozenset[int]]:
    out: dict[str, frozenset[int]] = {}
    for item in items or ():
        corpus, _, numbers = item.partition(":")
        try:
            out[corpus] = out.get(corpus, frozenset()) | {int(n) for n in numbers.split(",")}
        except ValueError:
            raise SettingError(
                f"--exclude {item!r} is not of the form CORPUS:N,N", "For example SEED:3,7"
            ) from None
    return out


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
