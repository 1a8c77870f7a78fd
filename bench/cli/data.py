"""Commands of the corpora on disk: ``bench data check``, ``simulate`` and ``set``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..registry import OPEN, entries, entry, include, load
from ..runs.options import Options, as_pairs
from .screen.console import Screen
from .shared import choice

Includes = Annotated[list[str] | None, typer.Option(
    "--include", help="Python file or module with a CATALOGUE of further corpora, repeatable.",
    metavar="FILE|MODULE")]

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

    for item in include_ or ():
        include(item)
    screen = Screen()
    if not inspect_folder(
        folder, corpus or list(entries("corpora")), screen, read=read,
        features=choice("--features", features, FEATURES), named=bool(corpus),
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
    for item in include_ or ():
        include(item)
    adapters = [load("corpora", name)() for name in corpus or entries("corpora")]
    if not corpus:
        for adapter in adapters:
            if not adapter.simulates:
                screen.print(f"[dim]–[/] {adapter.name}: has no simulator", highlight=False)
        # Anybody can have the real ones of open corpora; simulated ones are for who asks by name.
        adapters = [a for a in adapters
                    if a.simulates and entry("corpora", a.name).family != OPEN]
    for adapter in adapters:
        with Screen(stderr=True).status(f"simulating {adapter.name}"):
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
    include_: Includes = None,
) -> None:
    """Remember where corpora are, so that --data can be left out."""
    from ..data.locations import set_corpus_folder
    from ..data.reading import any_inventory

    for item in include_ or ():
        include(item)
    found = []
    for name, folder in as_pairs("bench data set", where).items():
        adapter = load("corpora", name)()
        found.append((adapter, any_inventory(adapter, Path(folder).expanduser())))
    for adapter, inventory in found:
        path = set_corpus_folder(adapter.name, inventory.root)
        Screen().print(
            f"[green]✓[/] {adapter.name}: {len(inventory.recordings)} recordings; remembered in "
            f"{escape(str(path))}", highlight=False,
        )
