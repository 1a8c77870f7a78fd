"""Repeat a stored cell and say whether it agrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BenchError, SettingError
from ..registry import load
from ..runs.options import options_of
from ..runs.own import include_kept
from ..store.memory import _Scratch
from ..store.records import Record, Store
from .executor import Executor
from .plan import CellSpec, corpora_of
from .request import Request, read_request

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

_KEYS = ["subject", "session", "trial", "onset"]


@dataclass(frozen=True)
class Repetition:
    """A record and its repetition.

    Attributes
    ----------
    old, new : Record
    changed : list of str
        Parts of the identity that differ: code, data, settings.
    probability : float
        Largest deviation of a probability; NaN if the tested windows differ.
    score : float
        Largest deviation of a fold's balanced accuracy per window.
    """

    old: Record
    new: Record
    changed: list[str]
    probability: float
    score: float

    def agrees(self, tolerance: float) -> bool:
        """Whether no probability deviates by more than the tolerance."""
        return bool(self.probability <= tolerance)

    def show(self, console: Console, tolerance: float) -> None:
        """Print the outcome."""
        good = self.agrees(tolerance)
        console.print(
            f"{'[green]agrees[/]' if good else '[red]does not agree[/]'}: "
            f"{self.old.identity['method']} {self.old.pair} seed {self.old.identity['seed']}",
        )
        if np.isnan(self.probability):
            console.print("the tested windows are not the same")
        else:
            console.print(f"largest deviation of a probability {self.probability:.3g} (tolerance "
                          f"{tolerance:g}), of a balanced accuracy {self.score:.3g}")
        for line in self.changed:
            console.print(f"[yellow]differs in its identity:[/] {line}", soft_wrap=True)


def find_record(name: str, runs: Path) -> Record:
    """Record by its folder, its file, or the start of its name in a run folder.

    Raises
    ------
    BenchError
        None, or more than one.
    """
    path = Path(name)
    folder = path.parent if path.name == "record.json" else path
    if (folder / "record.json").is_file():
        return _whole(Store(folder.resolve().parent.parent), folder.resolve().name)
    if len(path.parts) > 1 or path.suffix:
        raise BenchError(
            f"{folder} holds no record.json", "Give the folder of a record, RUNS/cells/ID, or the "
            "start of its name with --runs RUNS.",
        )
    return record_in(Store(runs), name, runs)


def record_in(store: Store, name: str, place: Path) -> Record:
    """Record of a store by the start of its name; ``place`` is what an error calls the store.

    Raises
    ------
    BenchError
        None, or more than one.
    """
    there = store.cells.iterdir() if store.cells.is_dir() else iter(())
    found = sorted(p.name for p in there if p.name.startswith(name) and name)
    if len(found) != 1:
        raise BenchError(
            f"{len(found) or 'no'} records in {place} begin with {name!r}",
            f"They are: {', '.join(found[:5])}" if found
            else f"Records are listed in {store.cells}." if place == store.root
            else f"The page of bench report {place} names them.",
        )
    return _whole(store, found[0])


def _whole(store: Store, name: str) -> Record:
    record = store.get(name, old=True)
    if record is None:
        why = store.corrupt[-1][1] if store.corrupt else "it has no record.json"
        raise BenchError(
            f"{store.cells / name} holds no whole record: {why}",
            "There is nothing to compare with. The command that made it computes it again.",
        )
    return record


def repeat(record: Record, data: Path | None = None) -> Repetition:
    """Run the cell of a record again, from the beginning and without storing anything.

    Parameters
    ----------
    record : Record
    data : Path, optional
        Folder of the corpora; else what ``bench data set`` stored.

    Raises
    ------
    BenchError
        The record is of a cell that was not done, or the cell cannot be run here.
    """
    if record.status != "done":
        raise SettingError(
            f"record {record.id} is {record.status}, so there is nothing to compare with",
            record.reason,
        )
    if record.identity.get("shortcut"):
        raise SettingError(
            f"record {record.id} is the twin of an honest run that takes a shortcut, "
            f"{record.identity['shortcut']}", "Repeat it with bench audit into an empty --runs.",
        )
    if record.path is not None:
        include_kept(record.identity, record.path.parent.parent)
    try:
        request, spec = description(record, data)
    except (LookupError, TypeError, AttributeError) as error:  # another program's, or a stranger's
        raise BenchError(
            f"record {record.id} does not say how it was made, as one of this program does: "
            f"{error!r}"[:200], "It cannot be run again here.",
        ) from error
    scratch = _Scratch()
    new = Executor(request).run(spec, scratch, lambda event: None)
    changed = list(_differences(record.identity, new.identity))
    predictions = scratch.kept[new.id][0] if new.id in scratch.kept else None
    worst = 0.0 if predictions is None else _deviation(record.predictions(), predictions)
    score = max((abs(_score(a) - _score(b)) for a, b in zip(record.folds, new.folds, strict=False)),
                default=0.0)
    if predictions is None:  # the best attainable: scores are all there is
        worst = score
    return Repetition(record, new, changed, worst, score)


def description(record: Record, data: Path | None) -> tuple[Request, CellSpec]:
    """Request and cell that give the record's identity, as far as the identity tells."""
    identity = record.identity
    owner, _, kind = str(identity["features"]["origin"]).partition(":")
    raw = identity["features"]["kind"] == "raw"
    official = "official-4s" if identity["features"]["window_s"] == 4 else "official"
    values = {
        **options_of(identity), "methods": [identity["method"]], "data": data,
        "features": official if owner == "owner" else "raw" if raw else "bench",
        "official_kind": kind, "simulated": record.simulated is not None and data is None,
    }
    if values["simulated"]:
        values["recipe"] = record.simulated
    request = read_request(None, values)
    request = replace(request, exclude=_excluded(record, request))
    spec = CellSpec(
        identity["method"], identity["params"], identity["params_origin"],
        identity["source"]["name"], identity["target"]["name"], identity["protocol"]["name"],
        identity["protocol"]["params"], identity["seed"], tuning=identity.get("tuning"),
        classes="own" if identity.get("label_map") is None else "shared",
    )
    return request, spec


def _excluded(record: Record, request: Request) -> dict[str, list[int]]:
    """Subjects that are there but not in the record."""
    from ..data.reading import files_of, simulated_root
    from ..runs.lookup import corpus_root, is_simulated, simulated_recipe

    out = {}
    sides = [*record.identity["source"].get("parts", [record.identity["source"]]),
             record.identity["target"]]
    for side in sides:
        corpus = corpora_of(side["name"])[0]
        root = simulated_root(corpus, simulated_recipe(request)) if is_simulated(corpus, request) \
            else corpus_root(corpus, request)
        inventory = load("corpora", corpus)().inventory(
            root, files_of(request.features)
        )
        present = {r.subject for r in inventory.recordings}
        out[corpus] = sorted(present - set(side["subjects"]))
    return {corpus: subjects for corpus, subjects in out.items() if subjects}


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], where: str = ""
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differences(a, b, f"{where}{name}.")
        elif a != b:
            yield f"{where}{name}: {_short(a)}, now {_short(b)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _deviation(old: pd.DataFrame, new: pd.DataFrame) -> float:
    """Largest deviation of a probability of the same window; NaN if the windows differ."""
    columns = [c for c in old.columns if c[0] == "p" and c[1:].isdigit()]
    if len(old) != len(new) or not set(columns) <= set(new.columns):
        return float("nan")
    a, b = (t.sort_values(_KEYS).reset_index(drop=True) for t in (old, new))
    if not a[[*_KEYS, "y"]].equals(b[[*_KEYS, "y"]]):
        return float("nan")
    return float(np.abs(a[columns].to_numpy(float) - b[columns].to_numpy(float)).max(initial=0.0))


def _score(fold: Mapping[str, Any]) -> float:
    return float(fold["scores"]["window"]["balanced_accuracy"] or 0.0)
