"""Commands of the corpora on disk: ``bench data check``, ``simulate``, ``set``, ``add``, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import SettingError, check_known
from ..registry import OPEN, entries, entry, load
from ..runs.options import Options, as_pairs
from ..store.shown import counted
from .screen.console import Screen
from .shared import includes, listed

Includes = Annotated[list[str] | None, includes(
    "Python file or module with a CATALOGUE of further corpora, repeatable.")]

data_app = typer.Typer(
    no_args_is_help=True, help="Corpora on disk: check them, simulate them, remember where "
    "they are.",
)


@data_app.command("check", epilog="Examples:\n\n  bench data check ~/corpora\n\n"
                  "  bench data check ~/corpora --corpus SEED --read")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder with one or several corpora.")],
    corpus: Annotated[list[str] | None, typer.Option(help="Only this corpus; repeatable.")] = None,
    features: Annotated[str, typer.Option(
        help="bench, raw, official or official-4s.")] = "bench",
    read: Annotated[bool, typer.Option(
        "--read", help="Also read every file and check every signal.")] = False,
    include_: Includes = None,
) -> None:
    """Say which corpora a folder holds, what is missing, and what is passed over."""
    from ..data.corpus import FEATURES
    from .screen.corpora import inspect_folder

    check_known("value of --features", FEATURES, features)
    if not inspect_folder(folder, corpus or list(entries("corpora")), Screen(), read=read,
                          features=features, named=bool(corpus)):
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
    include_: Includes = None,
) -> None:
    """Write simulated corpora in the owners' exact layouts."""
    from ..data.reading import simulate_corpus
    from ..runs.lookup import simulated_recipe
    from .screen.tables import recipe_table

    chosen = simulated_recipe(
        Options(simulated=True, scale=scale, recipe=as_pairs("--set", set_))
    )
    screen = Screen()
    if recipe:
        screen.print(recipe_table(chosen))
        return
    adapters = [load("corpora", name)() for name in corpus or entries("corpora")]
    if not corpus:
        for adapter in adapters:
            if not adapter.simulates:
                screen.print(f"[dim]–[/] {adapter.name}: has no simulator")
        # Anybody can have the real ones of open corpora; simulated ones are for who asks by name.
        adapters = [a for a in adapters
                    if a.simulates and entry("corpora", a.name).family != OPEN]
    for adapter in adapters:
        with Screen(stderr=True).status(f"simulating {adapter.name}"):
            simulate_corpus(adapter, folder / adapter.name, chosen)
        screen.print(f"[green]✓[/] {adapter.name}: {escape(str(folder / adapter.name))}")
    names = [a.name for a in adapters]
    if len(names) > 1:
        screen.print(f"Use them with: bench run --src {names[0]} --tgt {names[-1]} --data "
                     f"{escape(str(folder))}")


@data_app.command("set", epilog="Example:\n\n  bench data set SEED=~/corpora/SEED_EEG "
                  "DEAP=~/corpora/DEAP")
def data_set(
    where: Annotated[list[str], typer.Argument(help="CORPUS=DIR", metavar="CORPUS=DIR...")],
    include_: Includes = None,
) -> None:
    """Remember where corpora are, so that --data can be left out."""
    from ..data.locations import set_corpus_folder
    from ..data.reading import any_inventory

    found = []
    for name, folder in as_pairs("bench data set", where).items():
        adapter = load("corpora", name)()
        if adapter.place is not None:
            raise SettingError(
                f"{adapter.name} is bound to {adapter.place}", "Change the key 'folder' of its "
                "TOML, or add the other folder under another name: bench data add DIR --as NAME")
        found.append((adapter, any_inventory(adapter, Path(folder).expanduser())))
    for adapter, inventory in found:
        path = set_corpus_folder(adapter.name, inventory.root)
        Screen().print(
            f"[green]✓[/] {adapter.name}: {counted(len(inventory.recordings), 'recording')}; "
            f"remembered in {escape(str(path))}")


@data_app.command("add", epilog="Examples:\n\n  bench data add ~/recordings --as MY-LAB --dry-run"
                  "\n\n  bench data add ~/recordings --as MY-LAB --classes rest,task=arithmetic"
                  "\n\n  bench data add ~/mats --as MY-MATS --rate 128 --channels Fp1,Fp2,Cz,Pz")
def data_add(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings.")],
    as_: Annotated[str, typer.Option(
        "--as", help="What to call the corpus: letters, digits and hyphens.", metavar="NAME")],
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Show what would be written, and write nothing.")] = False,
    to: Annotated[Path | None, typer.Option(
        help="Where the TOML goes; NAME.toml in the folder if not given.", metavar="FILE")] = None,
    make: Annotated[str, typer.Option(
        help="recordings, bids, npz, mat or csv; seen from the files if not given.")] = "",
    files: Annotated[str, typer.Option(
        help="Pattern of file names: 'S{subject}_{class}_trial{trial}.mat'; * is anything.",
        metavar="PATTERN")] = "",
    rate: Annotated[float | None, typer.Option(
        help="Samples a second, where no file says it.")] = None,
    channels: Annotated[list[str] | None, typer.Option(
        help="Names of the channels in the order of the files, where no file says them; with "
        "commas.")] = None,
    unit: Annotated[str, typer.Option(help="V, mV, uV, or 'by size' of each recording.")] = "",
    classes: Annotated[list[str] | None, typer.Option(
        help="TEXT=CLASS or TEXT, with commas: what events, labels or names stand for, in the "
        "order of the classes; others are dropped.", metavar="TEXT[=CLASS]")] = None,
    column: Annotated[str, typer.Option(
        help="Column of a table of events that names what is shown.")] = "",
    events: Annotated[str, typer.Option(
        help="Rows of a table of events that begin a trial: COLUMN=TEXT.")] = "",
    ends: Annotated[list[str] | None, typer.Option(
        help="Text of an event that ends a trial; with commas.")] = None,
    length: Annotated[float, typer.Option(help="Seconds of a trial from its event on.")] = 0.0,
    cut: Annotated[float, typer.Option(
        help="Cut longer recordings into pieces of so many seconds, which stand for trials; tables "
        "say so.")] = 0.0,
    rating: Annotated[list[str] | None, typer.Option(
        help="Column of ratings, with its scale if it cannot be seen: valence=1:9; repeatable.",
        metavar="COLUMN[=LOW:HIGH]")] = None,
) -> None:
    """Look at a folder of recordings, say what is taken for what, and remember it as a corpus."""
    from .screen.adding import ask_folder, register, show_proposal

    screen = Screen()
    proposal = ask_folder(
        folder.expanduser(), as_, screen, make=make, files=files, rate=rate,
        channels=listed("--channels", channels), unit=unit, classes=listed("--classes", classes),
        column=column, events=events, ends=listed("--ends", ends), length=length, cut=cut,
        ratings=listed("--rating", rating),
    )
    show_proposal(proposal, screen)
    if dry_run:
        screen.print(escape(proposal.toml))
        return
    path = register(proposal, folder.expanduser(), to)
    screen.print(f"[green]✓[/] {escape(as_)} is a corpus now, as {escape(str(path))} says: edit "
                 "that where it is wrong", soft_wrap=True)
    screen.print(f"Read it whole: bench data check {escape(str(folder))} --corpus {escape(as_)} "
                 "--read", soft_wrap=True)


@data_app.command("forget", epilog="Example:\n\n  bench data forget MY-LAB")
def data_forget(
    name: Annotated[str, typer.Argument(help="A corpus that was added or set.")],
) -> None:
    """Remember nothing of a corpus any more; its files and its TOML stay."""
    from ..data.locations import corpus_folders, forget_corpus
    from ..errors import UnknownNameError

    known = corpus_folders()
    if name.lower() not in {k.lower() for k in known}:
        raise UnknownNameError("corpus that was added or set", name, known)
    forget_corpus(name)
    Screen().print(f"[green]✓[/] {escape(name)} is forgotten; nothing was deleted")
