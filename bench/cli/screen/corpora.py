"""``bench data check``: what a folder holds, in words a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from ...cells.cell import Event
from ...data.corpus import CorpusAdapter
from ...data.reading import ReadOptions, files_of, read_corpus
from ...data.recipe import read_marker
from ...errors import BenchError, MissingCorpusError, SettingError
from ...registry import load
from ...store.shown import counted
from .console import Screen
from .progress import Display


def inspect_folder(
    folder: Path, corpora: Sequence[str], screen: Console, *, features: str = "bench",
    read: bool = False, named: bool = False,
) -> bool:
    """Report on each corpus; returns whether at least one was found and all read.

    Raises
    ------
    MissingCorpusError
        If the corpora were named, or none is found at all.
    """
    found, good = 0, True
    missing: MissingCorpusError | None = None
    for name in corpora:
        try:
            adapter: CorpusAdapter = load("corpora", name)()
        except BenchError as error:  # a TOML that was edited into none, say
            if named:
                raise
            screen.print(f"[red]{escape(error.message)}[/]")
            good = False
            continue
        try:
            good &= _inspect(adapter, folder, screen, features, read)
            found += 1
        except MissingCorpusError as error:
            if named or not folder.is_dir():
                raise
            missing = error
            screen.print(f"[dim]–[/] {adapter.name}: not here")
        except SettingError as error:  # its owner distributes no features, say
            if named:
                raise
            screen.print(f"[dim]–[/] {adapter.name}: {escape(error.message)}")
    if not found and missing is not None:
        raise MissingCorpusError(
            f"{folder} holds none of {', '.join(corpora)}",
            "Where one is requested, and its layout: bench data check DIR --corpus NAME",
        )
    return good


def _inspect(
    adapter: CorpusAdapter, folder: Path, screen: Console, features: str, read: bool
) -> bool:
    inventory = adapter.inventory(folder, files_of(features))
    subjects = {r.subject for r in inventory.recordings}
    sessions = {r.session for r in inventory.recordings}
    note = " [yellow](simulated)[/]" if read_marker(inventory.root) else ""
    screen.print(
        f"[green]✓[/] [bold]{adapter.name}[/]{note}: "
        f"{counted(len(inventory.recordings), 'recording')}, "
        f"{counted(len(subjects), 'subject')}, {counted(len(sessions), 'session')}  "
        f"[dim]{escape(str(inventory.root))}[/]")
    for text in inventory.missing:
        screen.print(f"    [yellow]incomplete:[/] {escape(text)}")
    for path, why in inventory.skipped:
        screen.print(f"    [dim]skipped {escape(path.name)}: {escape(why)}[/]")
    if not read:
        return True
    try:
        with Display(Screen(stderr=True), keep=False) as display:
            reading = read_corpus(
                adapter.name, folder, ReadOptions(features=features, sessions="all"),
                lambda what, done, total: display(Event(what, done, total)),
            )
    except BenchError as error:
        screen.print(f"    [red]{escape(error.message)}[/]")
        return False
    counts = np.bincount(reading.windows.y, minlength=reading.windows.n_classes)
    classes = ", ".join(
        f"{c} {n:,}" for c, n in zip(reading.windows.labels, counts.tolist(), strict=True)
    )
    screen.print(f"    {len(reading.windows):,} windows ({escape(classes)})")
    for text in reading.notices:
        if text not in {f"{adapter.name}: {m}" for m in inventory.missing} and not text.startswith(
            "skipped"
        ):
            screen.print(f"    [dim]{escape(text)}[/]")
    return True
