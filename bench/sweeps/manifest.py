"""What a sweep writes beside its records: the plan, and what it knows about its cells.

``plan-<hash>.json`` is the plan, written before anything is run. ``sweep-memo.json`` remembers
which record a cell of a plan is, so that a sweep that is done answers without reading a corpus or
importing a method. The memo can be deleted at any time: its keys hold all our code and the size
and time of change of every corpus file, so nothing in it is ever stale.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..data.reading import files_of, simulated_path
from ..errors import BenchError, unwritable
from ..registry import GROUPS, entries, load
from ..runs.lookup import corpus_root, is_simulated, simulated_recipe
from ..store.hashing import key_of, source_of
from ..store.seal import read_json, write_json
from .plan import CellSpec, Plan, PlannedRow, Resolved, corpora_of, resolve
from .request import Request

MEMO = "sweep-memo.json"
#: From 2 on a plan holds its checksum.
SCHEMA = 2


def write_manifest(runs: Path, plan: Plan, records: Mapping[str, str]) -> Path:
    """Write a plan with the records that are known of its cells.

    Raises
    ------
    BenchError
        The folder cannot be written.
    """
    path = runs / f"plan-{plan.hash}.json"
    body = {
        "schema": SCHEMA, "plan": plan.hash,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "request": plan.request.as_json(),
        "cells": [{**asdict(c), "key": c.key, "record": records.get(c.key)} for c in plan.cells],
    }
    try:
        write_json(path, body)
    except OSError as error:
        raise unwritable(runs, error) from error
    return path


def read_manifests(
    runs: Path, corrupt: list[tuple[Path, str]] | None = None
) -> list[dict[str, Any]]:
    """All whole plans of a run folder, the latest first; the others are added to ``corrupt``."""
    found: list[dict[str, Any]] = []
    for path in sorted(runs.glob("plan-*.json")):
        try:
            body = read_json(path, old=1)
            why = _what_is_wrong(body)
        except (OSError, ValueError) as error:
            why = f"it cannot be read: {error}"
        if not why:
            found.append(body)
        elif corrupt is not None:
            corrupt.append((path, why))
    return sorted(found, key=lambda b: str(b["written"]), reverse=True)


def _what_is_wrong(body: Any) -> str:
    """What is wrong with a plan that was read; empty if nothing is."""
    if not isinstance(body, dict) or body.get("schema") not in (1, SCHEMA):
        return f"it is no plan of schema {SCHEMA}"
    kinds = {"plan": str, "written": str, "cells": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(body.get(name), kind)]
    return f"missing or wrong: {', '.join(wrong)}" if wrong else ""


class Memo:
    """Which record each cell is, and what each method's parameters came to.

    Parameters
    ----------
    runs : Path
        Run folder.
    """

    def __init__(self, runs: Path) -> None:
        self.path = runs / MEMO
        self._stamps: dict[str, str] = {}
        self._changed = False
        try:
            found = read_json(self.path)
            self._methods: dict[str, Any] = dict(found["methods"])
            self._cells: dict[str, str] = dict(found["cells"])
        except (OSError, ValueError, KeyError, TypeError):
            self._methods, self._cells = {}, {}

    def resolve(
        self, method: str, values: Mapping[str, Any], request: Request, corpora: tuple[str, str]
    ) -> Resolved:
        """As :func:`bench.sweeps.plan.resolve`, without importing a method that is known."""
        pair = [] if request.preset == "default" else list(corpora)
        key = key_of("method", code_stamp(), method, values, request.preset, request.controls,
                     request.shuffled_source, pair)
        if key not in self._methods:
            self._methods[key] = asdict(resolve(method, values, request, corpora))
            self._changed = True
        known = self._methods[key]
        return Resolved([PlannedRow(*row) for row in known["rows"]], known["shares"])

    def record(self, plan: Plan, spec: CellSpec) -> str | None:
        """Record of a cell, if it is known and neither code nor corpora have changed."""
        key = self._key(plan, spec)
        return None if key is None else self._cells.get(key)

    def learn(self, plan: Plan, spec: CellSpec, record: str) -> None:
        """Remember the record of a cell."""
        key = self._key(plan, spec)
        if key is not None and self._cells.get(key) != record:
            self._cells[key] = record
            self._changed = True

    def save(self) -> None:
        """Write the memo; a folder that cannot be written only costs time the next time."""
        if self._changed:
            with contextlib.suppress(OSError):
                body = {"methods": self._methods, "cells": self._cells}
                write_json(self.path, body, indent=None)
                self._changed = False

    def _key(self, plan: Plan, spec: CellSpec) -> str | None:
        corpora = corpora_of(spec.source) + corpora_of(spec.target)
        sides = [self._stamp(plan.request, corpus) for corpus in corpora]
        if None in sides:
            return None
        shared = key_of(repr(sorted(plan.request.shared().items())))
        return key_of("cell", code_stamp(), shared, spec.key, sides)

    def _stamp(self, request: Request, corpus: str) -> str | None:
        if corpus not in self._stamps:
            try:
                self._stamps[corpus] = corpus_stamp(request, corpus)
            except (BenchError, OSError):
                return None  # it may be simulated later
        return self._stamps[corpus]


def corpus_stamp(request: Request, corpus: str) -> str:
    """Hash of names, sizes and times of change of a corpus's files: milliseconds, no reading.

    Raises
    ------
    BenchError
        There is no such corpus to read.
    """
    adapter = load("corpora", corpus)()
    if is_simulated(corpus, request):
        root = simulated_path(adapter, simulated_recipe(request))
    else:
        root = corpus_root(corpus, request)
    inventory = adapter.inventory(root, files_of(request.features))
    rows = []
    for folder, _, files in os.walk(inventory.root):
        rows += [_file(Path(folder) / name) for name in files]
    # A recording may lie behind a linked folder, which the walk does not enter.
    rows += [_file(path) for r in inventory.recordings for path in (r.path, *r.others)]
    return key_of(adapter.name, adapter.version, sorted(rows))


def _file(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


def code_stamp() -> str:
    """Hash of all our code and of every plugin's: what a cell's identity is computed by."""
    return _code_stamp(frozenset(
        item.target.partition(":")[0] for group in GROUPS for item in entries(group).values()
    ))


@functools.cache
def _code_stamp(modules: frozenset[str]) -> str:
    files = {path for module in modules if (path := source_of(module)) is not None}
    # A module that stands alone, say one that was included: its neighbours are no part of it.
    alone = {path for module in modules if "." not in module and (path := source_of(module))}
    folders = {Path(__file__).parents[1], *(path.parent for path in files - alone)}
    digest = hashlib.sha256()
    for path in sorted({*files, *(p for f in folders for p in f.rglob("*.py"))}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]
