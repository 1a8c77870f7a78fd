"""Worth of each shortcut of an audit, from the stored records alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import BenchError
from ..scoring.inference import Paired, holm, paired
from ..store.records import Record, Store
from ..store.seal import read_json
from .audit import Drafts

#: (metric, unit) of every table, the main one first.
MEASURES = (
    ("balanced_accuracy", "window"), ("balanced_accuracy", "trial"), ("accuracy", "window"),
    ("accuracy", "trial"),
)
Key = tuple[str, str]


@dataclass(frozen=True)
class Measure:
    """A score without and with something, over the same target subjects.

    Attributes
    ----------
    before, after : float
        Means over subjects; seeds and sessions are averaged within a subject first.
    test : Paired
        Of after less before, subject by subject.
    holm : float
        The test's p, adjusted over all shortcuts of the audit that apply.
    """

    before: float
    after: float
    test: Paired
    holm: float = 1.0


@dataclass
class InflationRow:
    """One shortcut: the honest run before it, and its twin after."""

    name: str
    does: str
    steals: str
    note: str
    reason: str
    measures: dict[Key, Measure] = field(default_factory=dict)


@dataclass
class Audit:
    """An audit, ready to be shown.

    Attributes
    ----------
    path : Path
        The file it was read from.
    first : Record
        The first honest record: method, pair, protocol and the rest.
    seeds : list of int
    subjects : int
    honest : dict
        The honest run itself, before: chance, after: its score; balanced accuracy only.
    rows : list of InflationRow
    """

    path: Path
    first: Record
    seeds: list[int]
    subjects: int
    honest: dict[Key, Measure]
    rows: list[InflationRow]

    @property
    def simulated(self) -> bool:
        """Whether the scores are from simulated corpora."""
        return self.first.simulated is not None

    @property
    def compared(self) -> int:
        """Shortcuts that apply: what Holm's adjustment is over."""
        return sum(bool(r.measures) for r in self.rows)


def read_audits(store: Store) -> list[Audit]:
    """All audits of a run folder whose records are there, the largest first."""
    audits = []
    for path in sorted(p for root in store.roots for p in root.glob("audit-*.json")):
        try:
            audits.append(read_audit(path))
        except BenchError:
            continue
    return sorted(audits, key=lambda a: (-a.compared, str(a.path)))


def read_audit(path: Path) -> Audit:
    """An audit by its file; the records lie beside it.

    Raises
    ------
    BenchError
        The file is no audit, or a record is not there.
    """
    try:
        body = read_json(path, old=1)
        entries, honest_ids = body["entries"], body["honest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is no audit: {error!r}") from error
    store = Store(path.parent)
    honest = [_record(store, i) for i in honest_ids]
    rows = [_row(store, e) for e in entries]
    for key in MEASURES:
        able = [r for r in rows if key in r.measures]
        adjusted = holm([r.measures[key].test.p for r in able])
        for row, p in zip(able, adjusted, strict=True):
            row.measures[key] = replace(row.measures[key], holm=p)
    against = {}
    for key in MEASURES:
        if key[0] == "balanced_accuracy":  # what guessing gives of the other depends on the shares
            scores = _mean(honest, key)
            chance = dict.fromkeys(scores, 1 / len(honest[0].classes))
            against[key] = _measure(scores, chance)
    return Audit(
        path, honest[0], [int(r.identity["seed"]) for r in honest],
        len(_mean(honest, MEASURES[0])), against, rows,
    )


def _record(store: Store, record_id: str) -> Record:
    record = store.get(record_id, old=True) or Drafts(store.root).get(record_id, old=True)
    if record is None or record.status != "done":
        raise BenchError(
            f"record {record_id} is not in {store.root}", "Run the audit again: bench audit ..."
        )
    return record


def _row(store: Store, entry: Mapping[str, Any]) -> InflationRow:
    texts: list[Any] = [str(entry[k]) for k in ("name", "does", "steals", "note", "reason")]
    row = InflationRow(*texts)
    if row.reason:
        return row
    honest = [_record(store, i) for i in entry["honest"]]
    leaky = [_record(store, i) for i in entry["leaky"]]
    for key in MEASURES:
        one, two = _mean(leaky, key, oracle=bool(entry["oracle"])), _mean(honest, key)
        both = [s for s in two if s in one]
        if both:
            row.measures[key] = _measure({s: one[s] for s in both}, {s: two[s] for s in both})
    return row


def _measure(after: Mapping[int, float], before: Mapping[int, float]) -> Measure:
    a, b = list(after.values()), list(before.values())
    return Measure(sum(b) / len(b), sum(a) / len(a), paired(a, b))


def _mean(records: Sequence[Record], key: Key, oracle: bool = False) -> dict[int, float]:
    """Subject to score: sessions are averaged, then seeds, over subjects that all seeds have."""
    metric, unit = key
    seeds = []
    for record in records:
        sessions: dict[int, list[float]] = defaultdict(list)
        for fold in (record.oracle or {})["folds"] if oracle else record.folds:
            value = fold["scores"][unit][metric]
            if value is not None:
                sessions[int(fold["subject"])].append(float(value))
        seeds.append({s: sum(v) / len(v) for s, v in sessions.items()})
    shared = [s for s in sorted(seeds[0]) if all(s in other for other in seeds)]
    return {s: sum(x[s] for x in seeds) / len(seeds) for s in shared}
