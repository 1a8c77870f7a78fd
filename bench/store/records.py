"""The run folder: one sub-folder per cell, written whole, mergeable by copying.

``RUNS/cells/<id>/record.json`` holds identity, scores and provenance; ``predictions.parquet`` the
probabilities of every test window. A cell is written under a temporary name, flushed to disk and
renamed, so a kill at any moment leaves either nothing or a whole record. The record ends in its own
sha256 and holds those of the files beside it: what is damaged afterwards is passed over and named,
and is computed again when the cell is asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import BenchError
from ..version import EDITION
from .files import _sync, write_bytes, write_text
from .hashing import identity_hash
from .seal import (
    DamagedError,
    load_arrays,
    load_tensors,
    packed_tensors,
    read_json,
    sealed,
    sealed_json,
    sum_of,
    unsealed,
)
from .shown import counted, record_html, summary, title

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["done", "failed", "killed", "skipped"]
#: From 2 on a record holds checksums.
SCHEMA = 2
_DIAGNOSTICS = "diagnostics.npz"
#: Editions that a record may name, those of the future included.
_EDITIONS = 1000
_UNSTORED = {"path", "controls", "curves", "diagnostics", "origins"}
#: How often a record is put in place while others put theirs there.
_TRIES = 20
_AGAIN = "Delete its folder and give the command that made it again."


@dataclass(eq=False, repr=False)
class Record:
    """The stored outcome of one cell.

    Attributes
    ----------
    identity : dict
        Everything that decides the numbers; its hash is ``id``. Keys: ``method``, ``params``,
        ``params_origin`` ("default", "set", "tuned", "published"), ``code``, ``source`` and
        ``target`` (each ``name`` such as "SEED:3", ``corpus``, ``task``, ``sessions``,
        ``subjects``, ``digest``), ``features``, ``label_map``, ``label_rule`` (threshold of
        ratings), ``scaling``, ``protocol``
        (``name``, ``params``, ``target_access``), ``selection``, ``scale``, ``seed``,
        ``precision``; of tuned parameters also ``tuning`` (``rule``, ``trials``, ``seed``,
        ``study``, ``data``): how they were chosen, and on what.
    status, reason : str
        "done", or why not.
    classes : list of str
        Names of the target's classes, in the order of the probabilities.
    folds : list of dict
        One per target subject and session: ``subject``, ``session``, ``calibration_trials``,
        ``test_trials``, ``majority`` (share of the most frequent test class), ``true_windows`` and
        ``predicted_windows`` (test windows of each class, and taken for it), ``true_trials`` and
        ``predicted_trials`` (the same of trials; not in older records), and ``scores``
        ``{"window": {...}, "trial": {...}}`` with ``accuracy``, ``balanced_accuracy``,
        ``macro_f1``, ``auroc`` (None where undefined).
    left_out : list of dict
        ``subject``, ``session``, ``reason`` of folds that could not be cut.
    oracle : dict or None
        Scores chosen with test labels, for the gap; never ranked.
    selections : dict
        What each selection rule that was evaluated would have given, by name: ``score`` (mean
        validation score over folds, higher is better; None where there is none), ``uses``, and
        ``folds``, each ``subject``, ``session``, ``epoch``, ``of`` (epochs in all), ``score`` and
        ``scores`` as above. Only ``folds`` of the record, those of the chosen rule, are ranked.
    curves : dict
        Per-epoch values of each stage; stored beside the record and read back only by
        :meth:`read_curves`, so that reading many records stays quick.
    diagnostics : dict
        Arrays for reports, where asked for; stored beside the record and read back only by
        :meth:`read_diagnostics` (see :mod:`bench.cells.diagnostics`).
    simulated : dict or None
        Recipe of the simulated corpora; None for real data.
    notices : list of str
        What was assumed or passed over.
    info : dict
        Versions, device, threads, wall and CPU seconds, peak memory, parameter count, dates.
    kind : str
        "method", "control" or "oracle": how reports place the row.
    files : dict
        Sha256 of each file beside the record, by name; empty for a record of schema 1.
    edition : int
        Rules by which its scores came about (:data:`bench.version.EDITION`); 1 where a stored
        record does not say.
    path : Path or None
        Where it is stored; not part of what is stored.
    origins : list of str
        Run folders and archives that hold it, where several are read as one; not stored.
    controls : list of Record
        Controls that were run with it by :func:`bench.run`; stored as records of their own.
    """

    identity: dict[str, Any]
    status: Status = "done"
    reason: str = ""
    classes: list[str] = field(default_factory=list)
    folds: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    oracle: dict[str, Any] | None = None
    selections: dict[str, dict[str, Any]] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    simulated: dict[str, Any] | None = None
    notices: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    kind: str = "method"
    files: dict[str, str] = field(default_factory=dict)
    edition: int = EDITION
    path: Path | None = None
    origins: list[str] = field(default_factory=list)
    controls: list[Record] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Name of the cell: hash of its identity."""
        return identity_hash(self.identity)

    @property
    def pair(self) -> str:
        """``SEED→DEAP:valence``, as shown in tables."""
        return f"{self.identity['source']['name']}→{self.identity['target']['name']}"

    def __repr__(self) -> str:
        return f"<Record {self.id}  {title(self)}  {counted(len(self.folds), 'fold')}>"

    def _repr_html_(self) -> str:
        return record_html(self)

    def summary(self) -> str:
        """Method, pair, protocol, mean scores per window and trial: text that a person reads.

        Controls stand below the method where the record has them: :func:`bench.run` gives it them.
        """
        return summary(self)

    def read_curves(self) -> dict[str, Any]:
        """Training curves: ``{"pretrain": {loss: [...]}, "fit": {"subject/session": {...}}}``."""
        if self.curves or self.path is None:
            return self.curves
        try:
            curves: dict[str, Any] = json.loads(self._read("curves.json"))
        except (OSError, ValueError, RecursionError) as error:
            raise BenchError(f"record {self.id} has no curves on disk: {error}") from error
        return curves

    def _read(self, name: str) -> bytes:
        """Content of a file beside the record.

        Raises
        ------
        OSError
        DamagedError
            It is not what was written.
        """
        assert self.path is not None
        data = (self.path / name).read_bytes()
        if self.files.get(name, "" if self.files else sum_of(data)) != sum_of(data):
            raise DamagedError(f"{name} does not match its checksum")
        return data

    def damaged(self) -> str:
        """What of the files beside the record is not as it was written; empty if all is."""
        for name in self.files:
            try:
                self._read(name)
            except (OSError, DamagedError) as error:
                return f"{name} is not there" if isinstance(error, OSError) else str(error)
        return ""

    @property
    def has_diagnostics(self) -> bool:
        """Whether diagnostics lie beside the record, or are about to."""
        return bool(self.diagnostics) or (
            self.path is not None and (self.path / _DIAGNOSTICS).is_file()
        )

    def read_diagnostics(self) -> dict[str, Any]:
        """Arrays of the diagnostics; none for a record that was run without.

        Raises
        ------
        BenchError
            The file is damaged, or holds objects.
        """
        if self.diagnostics or self.path is None or not self.has_diagnostics:
            return self.diagnostics
        try:
            return load_arrays(self._read(_DIAGNOSTICS))
        except (OSError, DamagedError) as error:
            raise BenchError(f"record {self.id} has damaged diagnostics: {error}") from error

    def predictions(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Probabilities of the test windows: one row per window.

        Columns ``subject, session, trial, stimulus, onset, y, p0 ... pK``, or those named.

        Raises
        ------
        BenchError
            There are none, or the file is damaged.
        """
        import io

        import pandas as pd

        if self.path is None or not (self.path / "predictions.parquet").is_file():
            raise BenchError(f"record {self.id} has no predictions on disk", _AGAIN)
        path = self.path / "predictions.parquet"
        try:
            return pd.read_parquet(io.BytesIO(self._read(path.name)), columns=columns)
        except Exception as error:  # pyarrow raises many types where there is no checksum
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BenchError(f"{path} cannot be read: {why}", _AGAIN) from error


class Store:
    """Records in a folder.

    Parameters
    ----------
    root : Path
        Run folder; made when the first record is written.
    """

    #: Whether a training that is interrupted is kept, to go on from.
    resumes = True

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.cells = self.root / "cells"
        #: Folders that look like records but are not whole: path and what is wrong.
        self.corrupt: list[tuple[Path, str]] = []
        #: Whole records that were written before there were checksums: believed, and told.
        self.unsealed: list[Path] = []
        #: Records that several places hold with different scores: which, and what is shown.
        self.differing: list[tuple[Record, str]] = []
        #: File names of archives that are read, by what ``origins`` of their records say.
        self.archives: dict[str, str] = {}

    @property
    def roots(self) -> list[Path]:
        """Run folders that are read: this one."""
        return [self.root]

    def get(self, cell: str, *, old: bool = False) -> Record | None:
        """Record of a cell, or None if there is none, or only a torn or damaged one.

        One of another edition is as good as none, since its scores came about by other rules;
        ``old`` takes it all the same.
        """
        folder = self.cells / cell
        record = self._whole(folder) if (folder / "record.json").is_file() else None
        if record is not None and (why := record.damaged()):
            self.corrupt.append((folder, why))
            return None
        if record is not None and record.edition != EDITION and not old:
            return None
        return record

    def put(
        self,
        record: Record,
        predictions: pd.DataFrame | None = None,
        models: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Write a record whole; replaces an earlier one of the same cell.

        ``models`` are files for the sub-folder ``models``, by name.
        """
        folder = self.cells / record.id
        temporary = self.cells / f".{record.id}.{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        try:
            if predictions is not None:
                predictions.to_parquet(temporary / "predictions.parquet", index=False)
                _sync(temporary / "predictions.parquet")
            for name, data in (models or {}).items():
                write_bytes(temporary / "models" / name, data)
            write_text(temporary / "curves.json", json.dumps(record.curves, allow_nan=False))
            if record.diagnostics:
                write_bytes(temporary / _DIAGNOSTICS, _packed(record.diagnostics))
            record.files = {
                path.relative_to(temporary).as_posix(): sum_of(path.read_bytes())
                for path in sorted(temporary.rglob("*")) if path.is_file()
            }
            body = {
                "schema": SCHEMA, "id": record.id,
                **{f.name: getattr(record, f.name) for f in dataclasses.fields(record)
                   if f.name not in _UNSTORED},
            }
            write_text(temporary / "record.json", sealed_json(body))
            _replace_folder(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        record.path = folder
        return folder

    def will_read(self, keys: Iterable[str]) -> None:
        """Be told which states will be asked for; a store that must send for them does so here."""

    def get_state(self, key: str) -> tuple[Any, dict[str, list[float]]] | None:
        """Pre-trained state and its loss curve, or None if there is none, or a damaged one."""
        path = self.root / "pretrained" / f"{key}.pt"
        if not path.is_file():
            return None
        try:
            stored = load_tensors(unsealed(path.read_bytes(), key))
            return stored["state"], stored["curve"]
        except (OSError, DamagedError, KeyError, TypeError) as error:  # it is trained again
            self.corrupt.append((path, f"{type(error).__name__}: {error}"))
            return None

    def put_state(self, key: str, state: Any, curve: dict[str, list[float]]) -> None:
        """Store a pre-trained state: tensors, numbers, strings and containers of these."""
        data = packed_tensors({"state": state, "curve": curve})
        write_bytes(self.root / "pretrained" / f"{key}.pt", sealed(data, key))

    def state(self) -> list[tuple[str, int, int]]:
        """Changes whenever a record is written, replaced or edited; reads none of them."""
        stamps = []
        root = str(self.cells)  # asked for by every report: no paths are built
        for name in os.listdir(root) if self.cells.is_dir() else ():
            try:
                stat = os.stat(f"{root}{os.sep}{name}{os.sep}record.json")
            except OSError:
                stamps.append((name, 0, 0))
            else:
                stamps.append((name, stat.st_mtime_ns, stat.st_size))
        return sorted(stamps)

    def records(self) -> Iterator[Record]:
        """All whole records, by id; the others are listed in :attr:`corrupt`."""
        self.corrupt.clear()
        self.unsealed.clear()
        if not self.cells.is_dir():
            return
        for folder in sorted(self.cells.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            record = self._whole(folder)
            if record is not None:
                if not record.files:
                    self.unsealed.append(folder)
                yield record

    def _whole(self, folder: Path) -> Record | None:
        """Record of a folder; noted as corrupt if it cannot be read."""
        try:
            return self._read(folder)
        except BenchError as error:
            self.corrupt.append((folder, error.message))
            return None

    def _read(self, folder: Path) -> Record:
        path = folder / "record.json"
        try:
            body = read_json(path, old=1)
        except (OSError, ValueError) as error:
            raise BenchError(f"{path} cannot be read: {error}") from error
        if not isinstance(body, dict) or body.get("schema") not in (1, SCHEMA):
            raise BenchError(f"{path} is no record of schema {SCHEMA}")
        if body["schema"] == SCHEMA and not body.get("files"):
            raise BenchError(f"{path} has no checksums of the files beside it")
        names = {f.name for f in dataclasses.fields(Record)} - _UNSTORED
        try:
            known = {k: v for k, v in body.items() if k in names}
            record = Record(**{"edition": 1, **known}, path=folder)
            own = record.id
        except (TypeError, ValueError) as error:  # JSON of others may hold NaN
            raise BenchError(f"{path} is no whole record: {error}") from error
        if own != folder.name:
            raise BenchError(f"{path} does not have the identity its folder is named after")
        wrong = _misshapen(record)
        if wrong:
            raise BenchError(f"{path} is no whole record: {wrong}")
        return record


def without_sums(count: int) -> str:
    """What is said of records that were written before there were checksums."""
    which = "1 record was" if count == 1 else f"{count} records were"
    return f"{which} written before there were checksums: read, but damage would not be seen"


def _misshapen(record: Record) -> str:
    """What of a record does not have the type it should; empty if all has."""
    if record.status not in get_args(Status):
        return f"its status is {record.status!r}"
    for name in ("identity", "info", "curves", "selections", "files"):
        if not isinstance(getattr(record, name), dict):
            return f"its {name} is no table"
    if not isinstance(record.edition, int) or not 0 < record.edition < _EDITIONS:
        return f"its edition is {record.edition!r}"
    folds = record.folds
    if not isinstance(folds, list) or not all(isinstance(fold, dict) for fold in folds):
        return "its folds are no list of tables"
    return ""


def _packed(arrays: Mapping[str, Any]) -> bytes:
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _replace_folder(temporary: Path, folder: Path) -> None:
    """Rename over an existing folder: move the old one aside first, remove it last.

    Another process may put its own there in between, which is then moved aside too: the last one
    stays.
    """
    old = []
    for left in reversed(range(_TRIES)):
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(aside)
            old.append(aside)
        try:
            temporary.rename(folder)
            break
        except OSError:
            if not left or not folder.exists():
                raise
    _sync(folder.parent)
    for aside in old:
        shutil.rmtree(aside, ignore_errors=True)
