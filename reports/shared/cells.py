"""Records, read once into plain cells; everything a report shows starts here.

A record that cannot be read as one is listed, never a crash and never silently left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from bench.errors import BenchError, UnknownNameError
from bench.reporting import ARROW, ReportOptions
from bench.scoring.metrics import METRICS, UNITS
from bench.store.records import Record, Store
from bench.version import EDITION

from .text import clean, digest, settings

#: Bounds of simulated corpora, as they are named: of who knows the generator's truth, and of who
#: must do with a linear classifier of features. Both are of one record.
BOUNDS = {"attainable": "best attainable", "linear": "best linear"}
#: The control that trains a method's network from scratch.
SCRATCH = "target-only"
#: Its network where that is the one which methods share; its backbone says more.
SHARED = "network"
#: Plain learning, which stands beside every method.
PLAINEST = "lr"
#: Parts of the features that follow from the pair, not from a choice.
_OF_THE_PAIR = ("channels", "n_channels", "rate")
#: Parts of an identity that a table may hold several of: they make rows, or are averaged over.
_OF_THE_ROW = frozenset({
    "method", "params", "params_origin", "code", "seed", "precision", "tuning", "shortcut",
    "chosen_from", "source_label_map",
})
#: Parts that make columns, or stand in :class:`TableSetting` by their own names.
_PLACED = frozenset({
    "source", "target", "label_map", "label_rule", "protocol", "selection", "scaling", "scale",
    "features", "hold_out",
})


@dataclass(frozen=True, order=True)
class TableSetting:
    """Setting that two scores must share to stand in one table.

    Attributes
    ----------
    protocol, protocol_params, target_access : str
        Protocol, its parameters as ``a=1, b=2``, and what of the target a method may see.
    selection, scaling, scale, features : str
        Selection rule, scaler and scope, named scale, kind of features.
    simulated : str
        Recipe of the simulated corpora; empty for real data.
    classes : str
        "shared" where a method needs source and target in the same classes although the protocol
        gives the target its own (shallow methods under few-shot); they are a block of their own.
    hold_out : str
        What is kept out of training where it is tested: "stimulus", or nothing.
    other : str
        Whatever else an identity holds that this program does not know: records that differ in it
        never stand in one table.
    edition : str
        Of records of another edition than this program's: which. They are never ranked with ours.
    """

    protocol: str
    protocol_params: str
    target_access: str
    selection: str
    scaling: str
    scale: str
    features: str
    simulated: str
    classes: str = ""
    hold_out: str = ""
    other: str = ""
    edition: str = ""


@dataclass(frozen=True)
class Column:
    """A pair with the very data it stood for: equal columns were tested on the same windows.

    ``label_map`` names the map that led to its classes, and ``pieces`` corpora whose trials are
    pieces of longer recordings: ``LAB 20 s``.
    """

    source: str
    target: str
    source_corpus: str
    target_corpus: str
    sessions: str
    classes: tuple[str, ...]
    data: str
    pieces: str = ""
    label_map: str = ""

    @property
    def pair(self) -> str:
        """``SEED→DEAP:valence``."""
        return f"{self.source}{ARROW}{self.target}" if self.source else self.target


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of one target subject and session: unit to metric to value."""

    subject: str
    session: str
    scores: dict[str, dict[str, float | None]]


@dataclass(frozen=True, eq=False)
class ScoredCell:
    """One finished record.

    Attributes
    ----------
    id, method, kind : str
        ``kind`` is "method", "control" or "oracle".
    params : dict
        All parameters; ``origin`` says where they came from.
    code, precision, label_map, rest : str
        What else may tell two records of the same method apart.
    folds : list of FoldScores
        Scores of each target subject and session.
    shortcut : str
        Of the twin of an audit: what it takes. Such a cell is an oracle.
    picked : bool
        Scores are of the epoch that is best on the test set, and counts of the record of another.
    record : Record
        Where it came from, for provenance, curves and predictions. Its strings are a third party's:
        pass them through :func:`~bench.reports.shared.text.clean` before they are shown.
    """

    id: str
    method: str
    kind: str
    setting: TableSetting
    column: Column
    seed: int
    params: dict[str, Any]
    origin: str
    code: str
    precision: str
    label_map: str
    rest: str
    folds: list[FoldScores]
    record: Record = field(repr=False)
    shortcut: str = ""
    picked: bool = False

    def subject_scores(self, metric: str, unit: str) -> dict[str, float]:
        """Subject to score, averaged over the sessions where it is defined."""
        sessions: dict[str, list[float]] = defaultdict(list)
        for fold in self.folds:
            score = fold.scores.get(unit, {}).get(metric)
            if score is not None:
                sessions[fold.subject].append(score)
        return {s: sum(v) / len(v) for s, v in sessions.items()}


@dataclass(frozen=True)
class Problem:
    """A record without scores, or a fold that was left out, and why."""

    status: str
    method: str
    pair: str
    reason: str


@dataclass
class Kept:
    """Remembers what was worked out from it, by name: several reports need the same."""

    kept: dict[Any, Any] = field(default_factory=dict, repr=False, kw_only=True)

    def once(self, name: Any, make: Callable[[], Any]) -> Any:
        """Result of ``make``, worked out the first time only. Do not change it."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


@dataclass
class Collection(Kept):
    """Cells of a run folder, and what has no scores and why."""

    root: Path
    archives: dict[str, str] = field(default_factory=dict)
    cells: list[ScoredCell] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)


def collect(store: Store, options: ReportOptions) -> Collection:
    """Read a run folder and keep what the options ask for.

    Several reports of one command read the folder once: what was read is kept for as long as the
    store lives and no record changes. Do not change what is returned.

    Raises
    ------
    BenchError
        There is no record at all, or none that passes the filters.
    UnknownNameError
        A filter names a method or protocol that no record has.
    """
    key = (options.pairs, options.methods, options.protocols)
    state = store.state()
    known_state, known = _READ.get(store, (None, {}))
    if known_state != state:
        known = {}
        _READ[store] = (state, known)
    if key not in known:
        known[key] = _collect(store, options)
    return known[key]


_READ: WeakKeyDictionary[Store, tuple[Any, dict[Any, Collection]]] = WeakKeyDictionary()


def _collect(store: Store, options: ReportOptions) -> Collection:
    collection = Collection(store.root, dict(store.archives))
    seen: dict[str, set[str]] = {"method": set(), "protocol": set(), "pair": set()}
    kept = 0
    for record in store.records():
        try:
            cell = _cell(record)
            beside = [*_oracle(record, cell), *_linear(record, cell)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = record.path.name if record.path else record.id
            collection.corrupt.append((where, f"not laid out as a record: {clean(repr(error))}"))
            continue
        seen["method"].add(cell.method)
        seen["protocol"].add(cell.setting.protocol)
        seen["pair"].add(cell.column.pair)
        if _wanted(cell, options):
            kept += 1
            _sort(record, cell, collection)
            collection.cells += beside if record.status == "done" else []
    collection.problems += [
        Problem("held twice", clean(record.identity.get("method")), clean(record.pair), clean(why))
        for record, why in store.differing
    ]
    collection.corrupt += [(path.name, clean(reason)) for path, reason in store.corrupt]
    _refuse_unknown(seen, options)
    if not kept:
        raise _nothing(collection, seen)
    if options.methods and not options.wants_method(SCRATCH):
        collection.cells = _without_strangers(collection.cells)
    return collection


def origins(cells: Iterable[ScoredCell]) -> list[str]:
    """Run folders and archives that records are from, where several are read as one."""
    return sorted({clean(name, 60) for cell in cells for name in cell.record.origins})


def same_network(control: ScoredCell, method: ScoredCell) -> bool:
    """Whether a target-only control trains the very thing that a method fits."""
    own = {k: v for k, v in control.params.items() if k != "network"}
    return bool(own) and all(method.params.get(k) == v for k, v in own.items())


def stands_for(control: ScoredCell, method: ScoredCell) -> bool:
    """Whether a target-only control is a method's, be it with other parameters."""
    network = control.params.get("network")
    return network == method.method or (network == SHARED and "backbone" in method.params) \
        or same_network(control, method)


def _without_strangers(cells: list[ScoredCell]) -> list[ScoredCell]:
    """Cells less the target-only controls of methods that were filtered out."""
    scratch: dict[str, list[ScoredCell]] = defaultdict(list)
    for cell in cells:
        if cell.method == SCRATCH:
            scratch[clean(cell.params.get("network", ""))].append(cell)
    methods = [c for c in cells if c.kind == "method" and c.method != SCRATCH]
    wanted = {PLAINEST} | {m.method for m in methods if m.method in scratch}
    for borrowing in {m.method: m for m in methods if m.method not in scratch}.values():
        fits = [n for n, its in scratch.items() if stands_for(its[0], borrowing)]
        if fits and not (wanted - {PLAINEST}) & set(fits):
            wanted.add(min(fits, key=lambda n: (-len(scratch[n]), n)))
    return [c for c in cells if c.method != SCRATCH
            or clean(c.params.get("network", "")) in wanted]


def _sort(record: Record, cell: ScoredCell, collection: Collection) -> None:
    name, pair = cell.method, cell.column.pair
    if record.status == "done" and cell.folds:
        collection.cells.append(cell)
    else:
        reason = clean(record.reason) or "no reason given"
        collection.problems.append(Problem(clean(record.status), name, pair, reason))
    for fold in record.left_out:
        who = f"subject {clean(fold.get('subject'))}, session {clean(fold.get('session'))}"
        reason = f"{who}: {clean(fold.get('reason'))}"
        collection.problems.append(Problem("left out", name, pair, reason))


def _wanted(cell: ScoredCell, options: ReportOptions) -> bool:
    network = clean(cell.params.get("network", ""))
    beside = cell.kind == "control"
    if cell.method == SCRATCH:  # perhaps a wanted method's network
        beside = cell.record.status == "done" or options.wants_method(network or cell.method)
    return (
        (beside or options.wants_method(cell.method))
        and options.wants_protocol(cell.setting.protocol)
        and options.wants_pair(cell.column.source or "*", cell.column.target)
    )


def _refuse_unknown(seen: Mapping[str, set[str]], options: ReportOptions) -> None:
    if not seen["method"]:
        return
    for what, wanted in (("method", options.methods), ("protocol", options.protocols)):
        known = {name.lower() for name in seen[what]}
        for name in wanted:
            if name.lower() not in known:
                raise UnknownNameError(f"{what} in these records", name, seen[what])


def _nothing(collection: Collection, seen: Mapping[str, set[str]]) -> BenchError:
    if seen["pair"]:
        return BenchError(
            f"no record in {collection.root} passes the filters",
            f"It holds the pairs {', '.join(sorted(seen['pair']))}; "
            f"methods {', '.join(sorted(seen['method']))}.",
        )
    count = len(collection.corrupt)
    corrupt = f" ({count} corrupt ones were passed over)" if count else ""
    return BenchError(
        f"there are no records in {collection.root}{corrupt}",
        "Give the folder that a run wrote to, or make records first: "
        "bench run --method scmm --src SEED --tgt DEAP --simulated",
    )


def _cell(record: Record) -> ScoredCell:
    identity = record.identity
    params = identity.get("params") or {}
    if not isinstance(params, dict):
        raise TypeError("parameters are no mapping")
    setting, column = _setting(record), _column(record)
    oracle = record.kind == "oracle" or setting.selection == "oracle"
    return ScoredCell(
        id=record.id, method=clean(identity["method"], 60),
        kind="oracle" if oracle else record.kind if record.kind == "control" else "method",
        setting=setting, column=column, seed=int(identity["seed"]), params=params,
        origin=clean(identity.get("params_origin", "default")),
        code=clean(identity.get("code", "")), precision=clean(identity.get("precision", "")),
        label_map=_text(identity.get("label_map")), rest=digest({**identity, "seed": None}, 8),
        folds=[_fold(fold) for fold in record.folds], record=record,
        shortcut=clean(identity.get("shortcut") or "", 40),
    )


def _oracle(record: Record, cell: ScoredCell) -> list[ScoredCell]:
    """The same run at the epoch that test labels would choose, if the record has it."""
    folds = (record.oracle or {}).get("folds") if cell.kind == "method" else None
    if not folds:
        return []
    scored = [_fold(fold) for fold in folds]
    return [replace(cell, kind="oracle", rest=f"{cell.rest} oracle", folds=scored,
                    picked=True)]


def _linear(record: Record, cell: ScoredCell) -> list[ScoredCell]:
    """The best linear classifier, which stands in the record of the best attainable scores."""
    folds = record.info.get("linear") if cell.method == "attainable" else None
    return [replace(cell, method="linear", folds=[_fold(f) for f in folds])] if folds else []


def _setting(record: Record) -> TableSetting:
    identity = record.identity
    protocol = identity["protocol"]
    features = identity.get("features")
    if isinstance(features, dict):
        ours = not str(features.get("origin")).startswith("owner")
        # The version is that of our extractor, which owners' features have not seen.
        features = {k: v for k, v in features.items()
                    if k not in _OF_THE_PAIR and (ours or k != "version")}
    return TableSetting(
        protocol=clean(protocol["name"], 60), protocol_params=_text(protocol.get("params") or {}),
        target_access=_text(protocol.get("target_access")), selection=_text(identity["selection"]),
        scaling=_text(identity.get("scaling")), scale=_text(identity.get("scale")),
        features=_text(features), simulated=_text(record.simulated),
        classes="shared" if _mapped_by_choice(identity) else "",
        hold_out=clean(identity.get("hold_out") or "", 40), other=_unknown(identity),
        edition="" if record.edition == EDITION else f"edition {record.edition}",
    )


def _unknown(identity: Mapping[str, Any]) -> str:
    """Parts of an identity that this program has no place for, of its protocol among them."""
    said = {str(k): v for k, v in identity.items() if k not in _OF_THE_ROW | _PLACED}
    protocol = identity["protocol"]
    said |= {f"protocol {k}": v for k, v in protocol.items()
             if k not in ("name", "params", "target_access")}
    return settings({k: v for k, v in said.items() if v is not None})


def _mapped_by_choice(identity: Mapping[str, Any]) -> bool:
    """Whether the method, and not the protocol, asked for classes that both sides have."""
    access = str(identity["protocol"].get("target_access"))
    return bool(identity.get("label_map")) and access.startswith("target-supervised")


def _column(record: Record) -> Column:
    source, target = record.identity.get("source") or {}, record.identity["target"]
    sessions = {clean(side["sessions"]) for side in (source, target) if "sessions" in side}
    features = record.identity.get("features")
    data = [
        source.get("subjects"), source.get("sessions"), source.get("digest"), source.get("parts"),
        target.get("subjects"), target.get("sessions"), target.get("digest"),
        record.identity.get("label_map"), record.identity.get("label_rule"),
        [features.get(k) for k in _OF_THE_PAIR] if isinstance(features, dict) else None,
    ]
    return Column(
        source=clean(source.get("name", ""), 60), target=clean(target["name"], 60),
        source_corpus=clean(source.get("corpus", "")), target_corpus=clean(target["corpus"]),
        sessions=", ".join(sorted(sessions)), classes=tuple(clean(c) for c in record.classes),
        data=digest(data, 8), pieces=pieces_of(record.identity),
        label_map=_map_name(record.identity.get("label_map")),
    )


def _map_name(label_map: Any) -> str:
    if isinstance(label_map, Mapping):
        return clean(f"{label_map.get('name')}-{label_map.get('version')}", 40)
    return clean(label_map, 40) if label_map else ""


def pieces_of(identity: Mapping[str, Any]) -> str:
    """Corpora whose trials are pieces of longer recordings, with their length: ``LAB 20 s``."""
    found: dict[str, float] = {}
    for side in (identity.get("source"), identity.get("target")):
        marked = side.get("pieces") if isinstance(side, Mapping) else None
        if isinstance(marked, Mapping):
            found |= {clean(corpus, 40): float(length) for corpus, length in marked.items()
                      if isinstance(length, int | float)}
    return ", ".join(f"{corpus} {length:g} s" for corpus, length in sorted(found.items()))


def _fold(fold: Mapping[str, Any]) -> FoldScores:
    scores = {
        unit: {m: _number(fold["scores"][unit].get(m)) for m in METRICS}
        for unit in UNITS if unit in fold["scores"]
    }
    return FoldScores(clean(fold["subject"]), clean(fold.get("session", "")), scores)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    """One line for whatever a record holds there, ``name (a=1, b=2)``; empty for nothing."""
    if value is None:
        return ""
    if not isinstance(value, dict):
        return clean(value)
    rest = settings({k: v for k, v in value.items() if k != "name"})
    name = clean(value.get("name", ""))
    return f"{name} ({rest})" if name and rest else name or rest
