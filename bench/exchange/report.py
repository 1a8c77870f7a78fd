"""``bench.report``: what the command ``bench report`` writes, from Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..registry import load
from ..reporting import ReportOptions, chosen_reports, write_reports
from ..store.shown import counted, html_table
from .merged import opened
from .verify import Verification


class ReportFiles(list[Path]):
    """Files of reports, and what else the command ``bench report`` says.

    Attributes
    ----------
    refusals : dict of str to str
        Why a report has no files, by its name: there is nothing to draw, say.
    archives : list of bench.exchange.verify.Verification
        What was found of each archive; none has anything wrong, or it had been refused.
    """

    def __init__(
        self, files: Iterable[Path], refusals: Mapping[str, str], archives: Iterable[Verification]
    ) -> None:
        super().__init__(files)
        self.refusals, self.archives = dict(refusals), list(archives)

    def __repr__(self) -> str:
        where = sorted({str(path.parent) for path in self})
        parts = [f"{counted(len(self), 'file')} in {', '.join(where)}" if self else "no files"]
        if self.refusals:
            parts.append(f"none of {', '.join(self.refusals)}: see .refusals")
        parts += [f"{seen.path} verified" for seen in self.archives]
        return f"<{type(self).__name__} {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        rows = [[path.name, str(path.parent)] for path in self]
        rows += [[f"no {name}", why] for name, why in self.refusals.items()]
        rows += [[str(seen.path),
                  f"verified: {counted(seen.records, 'record')}, sha256 {seen.digest}"]
                 for seen in self.archives]
        return html_table("Reports", ["file", ""], rows)


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
    oracles: bool = True,
    columns: int = 0,
) -> ReportFiles:
    """Write the reports of run folders and archives, as the command ``bench report`` does.

    Parameters
    ----------
    *runs : Path or str
        Run folders, and archives that ``bench export`` wrote; ``runs`` if none is given.
    out : Path or str, optional
        Folder for the files; ``report`` in the run folder if there is one, otherwise ``./report``.
    only : sequence of str
        Only these reports.
    metric, unit, pairs, methods, protocols, formats, published, oracles, columns
        As in :class:`bench.reporting.ReportOptions`.

    Returns
    -------
    ReportFiles
        A list of the files, those that were up to date included; its ``refusals`` say which
        reports had nothing to draw and why, its ``archives`` what was verified.

    Raises
    ------
    BenchError
        A place can't be read, an archive is not whole, or a setting is unknown.
    """
    places = [Path(place) for place in runs or ("runs",)]
    options = ReportOptions(
        metric=metric, unit=unit, pairs=tuple(pairs), methods=tuple(methods),
        protocols=tuple(protocols), formats=tuple(formats),
        published=tuple(Path(path) for path in published), oracles=oracles,
        columns=columns,
    )
    chosen = chosen_reports(options, only)
    if options.published:
        load("reports", "published-figures")(options)
    beside = places[0] if len(places) == 1 and places[0].is_dir() else Path()
    with opened(places) as (store, archives):
        outcomes = list(write_reports(
            store, Path(out) if out else beside / "report", options, chosen,
            processes=min(4, os.cpu_count() or 1),
        ))
    return ReportFiles(
        (path for outcome in outcomes for path in outcome.files),
        {outcome.report: outcome.refusal for outcome in outcomes if outcome.refusal}, archives,
    )
