"""``bench data add``: what a folder was taken for, and the TOML that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ...data.locations import corpus_folders, set_corpus_folder
from ...errors import BenchError, SettingError
from ...registry import entries, load
from ...store.files import write_text
from ...store.shown import counted
from .console import Screen

_MARKS = {"took": "[green]✓[/]", "doubt": "[yellow]?[/]", "skipped": "[dim]–[/]"}


def ask_folder(path: Path, name: str, screen: Console, **said: Any) -> Any:
    """What the folder seems to hold, as the reader of described folders proposes.

    Raises
    ------
    BenchError
        It cannot be told; what was seen until then has been shown.
    """
    taken = {n.lower(): n for n in entries("corpora")}
    known = {n.lower() for n in corpus_folders()}
    if name.lower() in taken and name.lower() not in known:
        raise SettingError(f"the name {name} is taken by a corpus that comes with bench",
                           "Choose another with --as.")
    reader = load("folders", "described")
    folder = reader.folder(path, name, **said)
    try:
        with Screen(stderr=True).status(f"looking at {path}"):
            return reader.propose(folder)
    except BenchError:
        show_report(folder.report, screen)
        raise


def show_report(report: Any, screen: Console) -> None:
    """Remarks, a line each: what was taken for what, what is doubtful, what was passed over."""
    order = list(_MARKS)
    for remark in sorted(report, key=lambda r: order.index(r.kind)):
        screen.print(f"{_MARKS[remark.kind]} [bold]{escape(remark.what)}[/]: {escape(remark.text)}",
                     soft_wrap=True)


def show_proposal(proposal: Any, screen: Console) -> None:
    """The report, and how much there is."""
    show_report(proposal.report, screen)
    classes = ", ".join(f"{name} {count}" for name, count in proposal.trials.items())
    screen.print(
        f"[bold]{escape(proposal.description.name)}[/]: {counted(proposal.subjects, 'subject')}, "
        f"{counted(proposal.sessions, 'session')}, "
        f"{counted(len(proposal.description.channels), 'channel')} at "
        f"{proposal.description.rate:g} Hz" + (f"; trials: {escape(classes)}" if classes else ""),
        soft_wrap=True)


def register(proposal: Any, folder: Path, to: Path | None) -> Path:
    """Write the TOML, and remember it.

    Raises
    ------
    SettingError
        It cannot be written there.
    """
    path = (to or folder / f"{proposal.description.name}.toml").expanduser()
    if path.suffix != ".toml":
        raise SettingError(f"{path} does not end in .toml", "Give another with --to.")
    if path.exists():
        path.replace(path.with_suffix(".toml.old"))
    try:
        write_text(path, proposal.for_file(path))
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}",
                           "Choose a place that can be written: --to FILE.toml") from error
    set_corpus_folder(proposal.description.name, path)
    return path.resolve()
