"""Compares two run folders cell by cell: scores, probabilities and all else that decides numbers.

Only the files of a run folder are read (``record.json``, ``predictions.parquet``, ``curves.json``,
``diagnostics.npz``); nothing here imports ``bench``, so records of any two versions can be
compared.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

#: Hashes of data in an identity: compared, but cells are not matched by them.
_OF_DATA = {"digest", "digests"}
#: Versions or hashes of code.
_OF_CODE = {"code", "study"}
#: Other hashes in an identity are names of records, which follow from the code.
_NAME = re.compile(r"[0-9a-f]{16}|[0-9a-f]{20}")
#: Parts of a record that are compared value by value.
_PARTS = ("classes", "kind", "folds", "left_out", "oracle", "selections", "simulated")
#: Most values that tell cells of one name apart in a label, or that are spelt out.
_SHOWN = 3


class _Missing:
    def __repr__(self) -> str:
        return "–"


MISSING = _Missing()


@dataclass(frozen=True, eq=False)
class Stored:
    """A record on disk."""

    folder: Path
    ranked: bool  # in the run folder's own cells, not in those that an audit keeps apart
    body: Mapping[str, Any]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides its numbers."""
        return self.body["identity"]

    @property
    def done(self) -> bool:
        """Whether it holds scores."""
        return self.body["status"] == "done"

    @property
    def name(self) -> tuple[Any, ...]:
        """What two records must have in common to be of one cell."""
        i = self.identity
        return (self.ranked, i["method"], i["source"]["name"], i["target"]["name"],
                i["protocol"]["name"], i["seed"], i.get("shortcut"), bool(i.get("tuning")))

    @property
    def plain_label(self) -> str:
        """One line for people, which several variants may share."""
        _, method, source, target, protocol, seed, shortcut, tuned = self.name
        more = f" + {shortcut}" if shortcut else ""
        more += " [tuned]" if tuned else ""
        return f"{method}{more}  {source}→{target}  {protocol}  seed {seed}"

    def settings(self) -> dict[str, Any]:
        """Its identity without hashes."""
        return _without_hashes(self.identity)

    def data(self) -> dict[str, Any]:
        """Hashes of the data it was made from, flat."""
        return {path: value for path, value in flat(self.identity)
                if path.rpartition(".")[2] in _OF_DATA}

    def curves(self) -> Any:
        """Its training curves, or None."""
        path = self.folder / "curves.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def predictions(self) -> dict[str, np.ndarray]:
        """Columns of its predictions; none if there are none."""
        path = self.folder / "predictions.parquet"
        if not path.is_file():
            return {}
        table = pd.read_parquet(path)
        return {str(name): table[name].to_numpy() for name in table}

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Arrays of its diagnostics; none if there are none."""
        path = self.folder / "diagnostics.npz"
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _without_hashes(value: Any) -> Any:
    """The value without hashes; of a list of hashes their number is left."""
    if isinstance(value, Mapping):
        return {k: _without_hashes(v) for k, v in value.items()
                if k not in _OF_DATA | _OF_CODE and not _is_name(v)}
    if isinstance(value, list):
        names = bool(value) and all(map(_is_name, value))
        return len(value) if names else [_without_hashes(v) for v in value]
    return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested tables; lists of plain values are leaves."""
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        inner = enumerate(value)
    else:
        yield path, value
    for key, v in inner:
        yield from flat(v, f"{path}.{key}".lstrip("."))


def read(runs: Path) -> list[Stored]:
    """All records below a run folder, also those that an audit keeps apart."""
    return [
        Stored(path.parent, path.parent.parent == runs / "cells", json.loads(path.read_text()))
        for path in sorted(runs.glob("**/cells/*/record.json"))
        if not path.parent.name.startswith(".")
    ]


# --- which records are of one cell -----------------------------------------------------------

@dataclass
class Matches:
    """Records of two sides, matched.

    Attributes
    ----------
    pairs : list of (there, here)
    there, here : list of Stored
        Those without a partner.
    several : list of Stored
        Those of ``there`` whose partner is one of several that are equally near.
    """

    pairs: list[tuple[Stored, Stored]] = field(default_factory=list)
    there: list[Stored] = field(default_factory=list)
    here: list[Stored] = field(default_factory=list)
    several: list[Stored] = field(default_factory=list)


def match(there: Sequence[Stored], here: Sequence[Stored]) -> Matches:
    """Match the records of one name by the fewest differences in the rest of their identities.

    So a parameter whose default has changed shows as a difference of one cell, and a key that
    only one side knows keeps no cells apart.
    """
    out, groups = Matches(), defaultdict(lambda: ([], []))
    for side, records in enumerate((there, here)):
        for record in records:
            groups[record.name][side].append((record, record.settings()))
    for left, right in groups.values():
        near = sorted(
            (_distance(a, b), one.folder.name, two.folder.name, one, two)
            for one, a in left for two, b in right
        ) if len(left) * len(right) > 1 else [
            ((0, 0), "", "", one, two) for one, _ in left for two, _ in right
        ]
        free = {id(record) for record, _ in (*left, *right)}
        for distance, _, _, one, two in near:
            if not {id(one), id(two)} <= free:
                continue
            others = [d for d, _, _, a, b in near
                      if d == distance and {id(a), id(b)} <= free and (a is one) != (b is two)]
            out.several += [one] if others else []
            out.pairs.append((one, two))
            free -= {id(one), id(two)}
        out.there += [record for record, _ in left if id(record) in free]
        out.here += [record for record, _ in right if id(record) in free]
    return out


def _distance(there: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[int, int]:
    """Values that differ, then keys that only one of the two has."""
    one_sided = [MISSING in (c.there, c.here) for c in _changes(there, here, "", 0.0)]
    return one_sided.count(False), one_sided.count(True)


def labels(records: Sequence[Stored]) -> dict[int, str]:
    """A line for each record, by ``id()``; variants are told apart by what they differ in."""
    groups: dict[str, list[Stored]] = defaultdict(list)
    for record in records:
        groups[record.plain_label].append(record)
    out = {}
    for label, group in groups.items():
        rows = [dict(flat(record.settings())) for record in group]
        chosen = _telling(rows)
        for record, row in zip(group, rows, strict=True):
            values = [f"{k.removeprefix('params.')}={_short(row.get(k, MISSING))}" for k in chosen]
            out[id(record)] = "  ".join([label, *values])
    return out


def _telling(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fewest keys, at most three, whose values tell rows apart."""
    chosen: list[str] = []

    def told(*keys: str) -> int:
        return len({tuple(repr(row.get(k, MISSING)) for k in keys) for row in rows})

    def worth(key: str) -> tuple[int, int]:
        # Of keys that tell as much, the one with a value in most rows reads best.
        return told(*chosen, key), sum(row.get(key) is not None for row in rows)

    keys = list(dict.fromkeys(k for row in rows for k in row))
    while told(*chosen) < len(rows) and len(chosen) < _SHOWN:
        best = max(keys, key=worth)
        if told(*chosen, best) == told(*chosen):
            break
        chosen.append(best)
    return chosen


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


# --- what differs in two records of a cell ----------------------------------------------------

@dataclass
class Cell:
    """What differs between the two records of a cell.

    Attributes
    ----------
    label : str
    differences : list of str
        In words; empty if nothing differs.
    added : set of str
        Keys that are only here.
    several : bool
        Whether the record could as well be matched with another one.
    proves : bool
        Whether either record holds scores.
    """

    label: str
    differences: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    several: bool = False
    proves: bool = True


def compare(there: Path, here: Path, tolerance: float = 0.0) -> list[Cell]:
    """Compare two run folders.

    Parameters
    ----------
    there, here : Path
    tolerance : float
        Numbers that differ by no more count as equal; 0: equal to the last bit.

    Returns
    -------
    list of Cell
        Every cell of either side, sorted by label.
    """
    left, right = read(there), read(here)
    names = labels(left) | labels(right)
    matches = match(left, right)
    several = {id(record) for record in matches.several}
    cells = [Cell(names[id(r)], ["only there, not here"]) for r in matches.there]
    cells += [Cell(names[id(r)], ["only here, not there"]) for r in matches.here]
    for one, two in matches.pairs:
        cell = Cell(names[id(one)], several=id(one) in several, proves=one.done or two.done)
        _compare(cell, one, two, tolerance)
        cells.append(cell)
    return sorted(cells, key=lambda c: c.label)


def _compare(cell: Cell, one: Stored, two: Stored, tolerance: float) -> None:
    """Find what differs between two records, the largest matter first."""
    cell.differences += _status(one.body, two.body)
    cell.differences += _arrays(cell, one.predictions(), two.predictions(), tolerance)
    cell.differences += _scores(cell, one.body, two.body, tolerance)
    curves = list(_changes(one.curves(), two.curves(), "curves", tolerance))
    cell.differences += ["training curves"] if _serious(cell, curves) else []
    apart = _unlike(one.diagnostics(), two.diagnostics(), tolerance)
    cell.differences += [f"diagnostics ({_listed(apart)})"] if apart else []
    data = _serious(cell, _changes(one.data(), two.data(), "", 0.0))
    cell.differences += [f"data ({_listed(c.path for c in data)})"] if data else []
    identity = _changes(one.settings(), two.settings(), "", 0.0)
    cell.differences += [
        f"{c.path} {_short(c.there)} → {_short(c.here)}"
        for c in _serious(cell, identity, "identity.", lost=False)
    ]


def _status(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    before, after = ((b["status"], b.get("reason", "")) for b in (one, two))
    if before == after:
        return []
    return [" → ".join(f"{status} ({_short(reason)})" if reason else status
                       for status, reason in (before, after))]


def _scores(
    cell: Cell, one: Mapping[str, Any], two: Mapping[str, Any], tolerance: float
) -> list[str]:
    """What differs in the scores and all else that the record's own file holds."""
    found, largest = [], 0.0
    for part in _PARTS:
        pairs = _serious(cell, _changes(one.get(part), two.get(part), part, tolerance))
        steps = [
            abs(c.there - c.here) for c in pairs if c.path.endswith("balanced_accuracy")
            and part == "folds" and _number(c.there) and _number(c.here)
        ]
        largest = max([largest, *steps])
        if part == "selections" and pairs:
            rules = (c.path.split(".")[1] for c in pairs if "." in c.path)
            found.append(f"selections ({_listed(rules)})")
        elif part == "folds" and len(pairs) > len(steps):
            last = (c.path.rpartition(".")[2] for c in pairs)
            found.append(f"folds ({_listed(n for n in last if n != 'balanced_accuracy')})")
        elif part != "folds" and pairs:
            found.append(part)
    if largest:
        found.insert(0, f"balanced accuracy by up to {100 * largest:.2g} points")
    return found


@dataclass(frozen=True)
class Change:
    """A value that is not the same on both sides."""

    path: str
    there: Any
    here: Any


def _changes(there: Any, here: Any, path: str, tolerance: float) -> Iterator[Change]:
    """Values that differ in two nested ones, or that one of them lacks."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            yield from _changes(there.get(key, MISSING), here.get(key, MISSING),
                                f"{path}.{key}".lstrip("."), tolerance)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (a, b) in enumerate(zip(there, here, strict=True)):
            yield from _changes(a, b, f"{path}.{index}", tolerance)
    elif _number(there) and _number(here):
        if there != here and not abs(there - here) <= tolerance:
            yield Change(path, there, here)
    elif there is MISSING or here is MISSING or there != here:
        yield Change(path, there, here)


def _serious(
    cell: Cell, changes: Iterable[Change], prefix: str = "", lost: bool = True
) -> list[Change]:
    """Changes that count. A key that is only here is no changed number; it is noted.

    With ``lost=False`` that holds for keys that are only there, too.
    """
    out = []
    for change in changes:
        if change.there is MISSING or (change.here is MISSING and not lost):
            key = ".".join("*" if part.isdigit() else part for part in change.path.split("."))
            cell.added.add(f"{prefix}{key}")
        else:
            out.append(change)
    return out


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arrays(
    cell: Cell, there: Mapping[str, np.ndarray], here: Mapping[str, np.ndarray], tolerance: float
) -> list[str]:
    """What differs in the predictions: probabilities by how much, other columns by name."""
    rows = [len(next(iter(side.values()), ())) for side in (there, here)]
    if rows[0] != rows[1]:
        return [f"{rows[0]} → {rows[1]} tested windows"]
    cell.added |= {f"predictions.{name}" for name in here.keys() - there.keys()}
    apart = _unlike(there, {k: v for k, v in here.items() if k in there}, tolerance)
    found = []
    steps = [s for name, s in apart.items() if name[0] == "p" and name[1:].isdigit()]
    if steps:
        size = f"by up to {max(steps):.2g}" if max(steps) else "in their type or the sign of 0"
        found.append(f"probabilities {size}")
    others = [name for name in apart if not (name[0] == "p" and name[1:].isdigit())]
    return found + ([f"tested windows ({_listed(others)})"] if others else [])


def _unlike(
    there: Mapping[str, np.ndarray], here: Mapping[str, np.ndarray], tolerance: float
) -> dict[str, float]:
    """Largest difference of each array that differs; infinite where there is no difference."""
    out = {}
    for name in dict.fromkeys([*there, *here]):
        one, two = there.get(name), here.get(name)
        if one is None or two is None or one.shape != two.shape:
            out[name] = np.inf
            continue
        if one.dtype == two.dtype and one.dtype != object and one.tobytes() == two.tobytes():
            continue
        step, exact = _step(one, two), tolerance == 0 and one.dtype != object
        if exact or step > tolerance:
            out[name] = step
    return out


def _step(one: np.ndarray, two: np.ndarray) -> float:
    """Largest difference of two arrays of one shape; infinite if they are no numbers."""
    if not all(np.issubdtype(a.dtype, np.number) for a in (one, two)):
        return 0.0 if np.array_equal(one, two) else np.inf
    with np.errstate(invalid="ignore"):
        steps = np.abs(one.astype(np.float64) - two.astype(np.float64))
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    return float(np.where(same, 0.0, np.where(np.isnan(steps), np.inf, steps)).max(initial=0.0))


def _listed(names: Iterable[str]) -> str:
    """Each name once, the first few."""
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return ", ".join(unique[:_SHOWN]) + more
