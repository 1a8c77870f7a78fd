"""What open corpora in the layout of BIDS share: where they are, what lies beside a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.corpus import CorpusAdapter, Inventory, Recording, ordered
from bench.data.downloads.source import Download
from bench.errors import BenchError

from . import bids, files, tables

_DESCRIPTION = "dataset_description.json"


def openneuro(
    dataset: str, version: str, *, licence: str, citation: str, leave_out: tuple[str, ...] = (),
) -> Download:
    """Where a dataset of OpenNeuro is fetched from: its public bucket."""
    return Download(
        url=f"https://s3.amazonaws.com/openneuro.org/{dataset}", kind="bucket", version=version,
        page=f"https://openneuro.org/datasets/{dataset}/versions/{version}", licence=licence,
        citation=citation, leave_out=("derivatives/*", "code/*", *leave_out),
    )


def located(owned: CorpusAdapter, root: Path, dataset: str) -> Path:
    """The folder whose description names a dataset of OpenNeuro.

    Raises
    ------
    MissingCorpusError
        None does.
    DataError
        Several do.
    """
    top = files.existing_folder(owned, root)
    found = []
    for folder in files.walk(top):
        path = folder / _DESCRIPTION
        if path.is_file() and files.inside(path, top):
            try:
                said = tables.object_of(path)
            except BenchError:
                continue
            if dataset in str(said.get("DatasetDOI", "")):
                found.append(folder)
    return files.the_one(owned, top, found, f"{_DESCRIPTION} that names {dataset}",
                         f"copy of {owned.name}")


def inventory(folder: Path, recordings: list[Recording], found: bids.BidsDataset,
              skipped: files.Skipped, missing: list[str]) -> Inventory:
    """Inventory of a dataset, with the subjects of whom nothing can be read."""
    skipped += found.skipped
    lost = found.without_data
    if lost:
        missing = [f"{len(lost)} of {len(found.subjects)} subjects have no recording: "
                   f"{', '.join(lost[:10])}{' ...' if len(lost) > 10 else ''}", *missing]
    return Inventory(folder, ordered(recordings), tuple(skipped), tuple(missing))


def here(
    wanted: Sequence[bids.BidsRecording],
) -> tuple[list[bids.BidsRecording], files.Skipped]:
    """Those of some recordings whose data is there, and the others, which are passed over."""
    skipped = [(r.path, "a link to data that is not here") for r in wanted if not r.here]
    return [r for r in wanted if r.here], skipped


def tabled(
    wanted: Sequence[bids.BidsRecording],
) -> tuple[list[bids.BidsRecording], files.Skipped, list[str]]:
    """Those of some recordings that have a table of events; what is passed over, and missing."""
    present, skipped = here(wanted)
    missing = [f"{r.path.name} has no table of events" for r in present if r.events_path is None]
    return [r for r in present if r.events_path is not None], skipped, missing


def again(recording: Recording) -> bids.BidsRecording:
    """A recording of an inventory, with what lies beside it."""
    others = recording.others

    def ending(suffix: str) -> tuple[Path, ...]:
        return tuple(p for p in others if p.name.lower().endswith(suffix))

    events = ending("_events.tsv")
    return bids.BidsRecording(
        recording.path, str(recording.subject), "", "", "", recording.subject, recording.session,
        events_path=events[-1] if events else None, sidecars=ending("_eeg.json"),
        behaviour=ending("_beh.tsv"),
    )


def describe(folder: Path, name: str) -> None:
    """Write the description of a simulated dataset, whose folder is called as OpenNeuro does."""
    said: Mapping[str, Any] = {
        "Name": f"{name}, simulated; no recording of a person", "BIDSVersion": "1.0.2",
        "License": "CC0", "DatasetDOI": f"10.18112/openneuro.{folder.name}",
    }
    (folder / _DESCRIPTION).write_text(json.dumps(said, indent=1) + "\n")


def sidecar(path: Path, **said: Any) -> None:
    """Write what is said of a recording beside it."""
    path.write_text(json.dumps(said) + "\n")


def table(path: Path, head: str, lines: list[str]) -> None:
    """Write a table of tab-separated values."""
    path.write_text("\n".join([head, *lines]) + "\n")
