"""Commands ``bench export`` and ``bench verify``: results that change hands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import BenchError
from ..registry import include
from .screen.console import Screen
from .screen.exchange import show, verdict


def export(
    runs: Annotated[Path, typer.Argument(help="Run folder.")] = Path("runs"),
    out: Annotated[Path, typer.Option(
        "--out", "-o", help="The archive to write, a .zip.", metavar="ARCHIVE",
    )] = Path("results.zip"),
    lab: Annotated[str, typer.Option(
        help="Who publishes it, for tables made of several archives.")] = "",
    models: Annotated[bool, typer.Option(
        "--models", help="Also saved models. Pre-trained states are never taken.")] = False,
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE: code of your own methods, to "
        "compare hashes with.")] = None,
) -> None:
    """Bundle a run folder into one archive to publish: records, predictions, plans, checksums."""
    for item in include_ or ():
        include(item)
    from ..exchange.export import export as bundle
    from ..exchange.verify import verify as check

    if not runs.is_dir():
        raise BenchError(f"{runs} is not a folder", "Give the run folder, by default ./runs")
    made = bundle(runs, out, lab, models)
    screen = Screen()
    screen.print(f"[green]✓[/] {escape(str(made.path))}: {made.records} records, {made.files} "
                 f"files, {_size(made.size)}", highlight=False, soft_wrap=True)
    for path, why in made.left_out:
        screen.print(f"[yellow]left out:[/] {escape(path.name)}: {escape(why)}", highlight=False)
    for what, names in made.named.items():
        screen.print(f"It names {what}: {escape(', '.join(names))}", highlight=False)
    seen = check(out)
    verdict(screen, seen)
    screen.print("Publish the sha256 with it: whoever has both can tell that it is yours.",
                 highlight=False)
    if not seen.whole:
        show(screen, seen)
        raise typer.Exit(1)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def verify(
    archive: Annotated[Path, typer.Argument(help="Archive that bench export wrote.")],
    include_: Annotated[list[str] | None, typer.Option(
        "--include", help="Python file or module with a CATALOGUE: code of methods that do not "
        "come with bench, to compare hashes with.")] = None,
) -> None:
    """Check an archive of results: every score again from its predictions, checksums, splits, code.

    Exit status 1 if anything is wrong. It says what it cannot check: whoever can run this
    program can write an archive that passes.
    """
    for item in include_ or ():
        include(item)
    from ..exchange.verify import verify as check

    if not archive.is_file():
        raise BenchError(f"{archive} is not a file", "Give an archive that bench export wrote.")
    seen = check(archive)
    show(Screen(), seen)
    if not seen.passed:
        raise typer.Exit(1)
