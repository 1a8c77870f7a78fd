"""``bench data get``: open corpora, from where their owners keep them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..errors import MissingCorpusError, SettingError
from ..registry import OPEN, entries, load
from ..store.shown import counted
from .data import Includes, data_app
from .screen.console import Screen
from .screen.live import saying_what_is_kept
from .shared import listed

if TYPE_CHECKING:
    from ..data.corpus import CorpusAdapter
    from ..data.downloads.fetch import FetchPlan


@data_app.command("get", epilog="Examples:\n\n  bench data get EEGMAT --dry-run\n\n"
                  "  bench data get EEGMAT --to ~/corpora/EEGMAT\n\n"
                  "  bench data get DENS --only 'sub-0[1-5]/*'")
def data_get(
    corpus: Annotated[str, typer.Argument(help="An open corpus; see: bench list corpora.")],
    to: Annotated[Path | None, typer.Option(
        help="Where the files go; the user's data folder if not given.", metavar="DIR")] = None,
    url: Annotated[str, typer.Option(
        help="Another server with the same files.", metavar="ADDRESS")] = "",
    only: Annotated[list[str] | None, typer.Option(
        help="Only files in folders that match; repeatable, or with commas.",
        metavar="PATTERN")] = None,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Say what there is and where it would go; fetch nothing.")] = False,
    include_: Includes = None,
) -> None:
    """Fetch an open corpus: goes on where it stopped, checks every file, shows the licence."""
    from platformdirs import user_data_path

    from ..data.downloads.fetch import fetch, planned

    adapter = load("corpora", corpus)()
    source = adapter.download
    if source is None:
        free = ", ".join(n for n, e in entries("corpora").items() if e.family == OPEN)
        raise SettingError(f"{adapter.name} cannot be fetched: {adapter.access}",
                           f"Open corpora: {free}")
    folder = user_data_path("eeg-cross-corpus-bench") / "corpora" / adapter.name if to is None \
        else to.expanduser().absolute()
    screen = Screen()
    screen.print(f"[bold]{escape(adapter.name)}[/]: {escape(adapter.title)}")
    screen.print(f"Licence: {escape(source.licence)}")
    screen.print(f"Please cite: {escape(source.citation)}")
    screen.print(f"Its page, where the files can be had by hand: {escape(source.page)}")
    plan = planned(adapter.name, source, folder, url=url, only=listed("--only", only))
    screen.print(_words(plan))
    if dry_run:
        return
    with saying_what_is_kept(), _Progress(plan) as told:
        left = fetch(plan, told)
    for path in left:
        screen.print(
            f"[yellow]•[/] {escape(str(path))} is an archive that this program cannot open. Unpack "
            f"it there (bsdtar -xf, unrar x, 7z x), then: bench data set {adapter.name}="
            f"{escape(str(folder))}")
    if not left:
        _remember(adapter, folder, screen)


def _words(plan: FetchPlan) -> str:
    """What there is, what is here, what is to come."""
    wanted, size = len(plan.wanted), plan.size
    if not wanted:
        return f"All {len(plan.files):,} files are in {escape(str(plan.folder))}, as they came."
    much = plan.source.size if size is None else _bytes(size)
    here = f", {len(plan.here):,} are here already" if plan.here else ""
    return (f"{len(plan.files):,} file{'s' * (len(plan.files) > 1)} at {escape(plan.source.url)}"
            f"{here}; {wanted:,} to come{f' ({much})' if much else ''}, into "
            f"{escape(str(plan.folder))}")


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _remember(adapter: CorpusAdapter, folder: Path, screen: Screen) -> None:
    from ..data.locations import set_corpus_folder
    from ..data.reading import any_inventory

    try:
        inventory = any_inventory(adapter, folder)
    except MissingCorpusError as error:
        raise MissingCorpusError(f"what came holds no recording of {adapter.name}: "
                                 f"{error.message}", error.hint) from error
    set_corpus_folder(adapter.name, inventory.root)
    screen.print(
        f"[green]✓[/] {adapter.name}: {counted(len(inventory.recordings), 'recording')} in "
        f"{escape(str(inventory.root))}; no command needs --data for it any more")


class _Progress:
    """A bar of all files, and one of the file that comes."""

    def __init__(self, plan: FetchPlan) -> None:
        from rich import progress as bars

        self.progress = bars.Progress(
            "{task.description}", bars.BarColumn(), bars.DownloadColumn(),
            bars.TransferSpeedColumn(), bars.TimeRemainingColumn(),
            console=Screen(stderr=True), transient=True,
        )
        self.count, self.done, self.name = len(plan.wanted), 0, ""
        self.task = self.progress.add_task("", total=None, visible=bool(plan.wanted))

    def __enter__(self) -> _Progress:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show how far a file is."""
        if name != self.name:
            self.name, self.done = name, self.done + 1
        self.progress.update(self.task, description=f"[{self.done}/{self.count}] {escape(name)}",
                             completed=done, total=total or None)
