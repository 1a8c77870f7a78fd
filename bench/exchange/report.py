"""``bench.report``: what the command ``bench report`` writes, from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..registry import load
from ..reporting import ReportOptions, chosen_reports, write_reports
from .merged import opened


def report(
    *runs: Path | str,
    out: Path | str | None = None,
    only: Sequence[str] = (),
    metric: str = "balanced_accuracy",
    unit: str = "window",
    pairs: Sequence[str] = (),
    methods: Sequence[str] = (),
    protocols: Sequence[str] = (),
    formats: Sequence[str] = (),
    published: Sequence[Path | str] = (),
) -> list[Path]:
    """Write the reports of run folders and archives, as the command ``bench report`` does.

    Parameters
    ----------
    *runs : Path or str
        Run folders, and archives that ``bench export`` wrote; ``runs`` if none is given.
    out : Path or str, optional
        Folder for the files; ``report`` in the run folder if there is one, otherwise ``./report``.
    only : sequence of str
        Only these reports.
    metric, unit, pairs, methods, protocols, formats, published
        As in :class:`bench.reporting.ReportOptions`.

    Returns
    -------
    list of Path
        The files, those that were up to date included.

    Raises
    ------
    BenchError
        A place can't be read, an archive is not whole, or a setting is unknown.
    """
    places = [Path(place) for place in runs or ("runs",)]
    options = ReportOptions(
        metric=metric, unit=unit, pairs=tuple(pairs), methods=tuple(methods),
        protocols=tuple(protocols), formats=tuple(formats),
        published=tuple(Path(path) for path in published),
    )
    chosen = chosen_reports(options, only)
    if options.published:
        load("reports", "published-figures")(options)
    beside = places[0] if len(places) == 1 and places[0].is_dir() else Path()
    with opened(places) as (store, _):
        outcomes = list(write_reports(
            store, Path(out) if out else beside / "report", options, chosen,
            processes=min(4, os.cpu_count() or 1),
        ))
    return [path for outcome in outcomes for path in outcome.files]
