"""Plan of a sweep: methods x parameters x pairs x protocols x seeds, from a file or from flags.

Every name and value is checked here, before anything is read. A plan is a set of cells, each
described by names and numbers alone (:class:`CellSpec`), so that it can be written down first,
sent to a worker, and compared with what is stored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import SettingError
from ..registry import OPEN, PLUS, entries, entry, load
from ..store.hashing import key_of
from .request import Request, Values

#: The row of what a simulated corpus allows at best; no method, but planned like a control.
ATTAINABLE = "attainable"


@dataclass(frozen=True)
class CellSpec:
    """One cell of a plan, in names and numbers.

    Attributes
    ----------
    method, params, origin
        Registered method, all its parameters, and where they come from.
    source, target : str
        ``CORPUS:TASK``; several sources are joined by "+".
    protocol, protocol_params, seed
    control : bool
        Planned only because another method wants it beside itself.
    tuning : mapping or None
        How tuned parameters were chosen; see :meth:`bench.runs.tuned.Tuned.identity`.
    classes : {"own", "shared"}
        Where the protocol leaves the target its own classes: whether these are kept, or source and
        target are brought to those they share. Corpora of the same classes have their own.
    """

    method: str
    params: Mapping[str, Any]
    origin: str
    source: str
    target: str
    protocol: str
    protocol_params: Mapping[str, Any]
    seed: int
    control: bool = field(default=False, compare=False)
    tuning: Mapping[str, Any] | None = None
    classes: Literal["own", "shared"] = "own"

    @functools.cached_property
    def key(self) -> str:
        """Name of the cell within a plan."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "control"}
        return key_of(named)[:20]

    @property
    def pair(self) -> str:
        """``SEED:3→DEAP:valence``."""
        return f"{self.source}→{self.target}"

    @property
    def label(self) -> str:
        """One line for people; cells whose parameters were set are told apart by their key."""
        variant = f" #{self.key[:4]}" if self.origin.endswith("set") else ""
        variant += " [tuned]" if self.tuning else ""
        variant += " [shared classes]" if self.classes == "shared" else ""
        return f"{self.title}{variant}  {self.pair}  {self.setting}  seed {self.seed}"

    @property
    def title(self) -> str:
        """Method; of a control that stands in for something, of what: ``target-only lr``."""
        network = self.params.get("network")
        return f"{self.method} {network}" if network else self.method

    @property
    def setting(self) -> str:
        """Protocol, and the size of the calibration where it is a point of a curve."""
        if not self.protocol_params.get("curve"):
            return self.protocol
        trials = self.protocol_params["calibration_trials"]
        size = f"{100 * self.protocol_params['share']:g}%" if trials is None else trials
        return f"{self.protocol} {size}"

    @property
    def order(self) -> tuple[Any, ...]:
        """Where it stands in the queue: by pair, so that few corpora are needed at a time."""
        return (self.source, self.target, self.protocol, self.seed, self.control, self.method,
                self.key)


@dataclass(frozen=True)
class Plan:
    """A request and its cells, each once, in the order they are queued."""

    request: Request
    cells: tuple[CellSpec, ...]

    @property
    def hash(self) -> str:
        """Name of the plan: the same whatever the order in which its parts were written."""
        return key_of("plan", self.request.shared(), sorted(c.key for c in self.cells))[:12]


class PlannedRow(NamedTuple):
    """A method or control of a plan, with the defaults of what can be tuned of it.

    One that is not seeded is run once: the seed decides nothing, unless it draws the trials.
    """

    method: str
    params: Values
    origin: str
    control: bool
    tunables: Values
    seeded: bool = True


@dataclass(frozen=True)
class Resolved:
    """A method with its parameters checked, and its controls.

    Attributes
    ----------
    rows : list of PlannedRow
        The method's own first.
    shares : bool
        Whether it learns in the classes both corpora share, even where the target has its own.
    """

    rows: list[PlannedRow]
    shares: bool


#: Resolves (method, its own values, request, pair of CORPUS names).
Resolver = Callable[[str, Mapping[str, Any], Request, tuple[str, str]], Resolved]
#: Puts tuned parameters into a cell, given the defaults of those that can be tuned.
TunedParams = Callable[[CellSpec, Mapping[str, Any]], CellSpec]


def resolve(
    method: str, values: Mapping[str, Any], request: Request, corpora: tuple[str, str]
) -> Resolved:
    """Check a method's parameters and ask it for its controls; imports the method."""
    from ..method import Method
    from ..runs.lookup import choose_params, controls_for
    from ..runs.tuned import defaults_of
    from ..runs.weights import with_weights

    cls: type[Method] = load("methods", method)
    params, origin = choose_params(cls, request.preset, values, corpora)
    params = with_weights(cls, params, request)
    own = cls(params)
    rows = [PlannedRow(
        method, params.model_dump(mode="json"), origin, False, defaults_of(own.tunable()))]
    rows += [
        PlannedRow(control.name, its.model_dump(mode="json"), control.control_origin(its, origin),
                   True, defaults_of(control(its).tunable()), control.seeded)
        for control, its in controls_for(own, request)
    ]
    return Resolved(rows, own.maps_labels)


def expand(
    request: Request, resolver: Resolver = resolve, tuned: TunedParams | None = None
) -> Plan:
    """Cells of a request, controls included, each once.

    Parameters
    ----------
    tuned : callable, optional
        Puts tuned parameters into a cell, or leaves it as it is.

    Raises
    ------
    BenchError
        The first name or value that is wrong; nothing has been read.
    """
    from ..runs.lookup import check_rule

    methods = [entry("methods", name).name for name in request.methods]
    _check_tables(request, methods)
    protocols = list(_protocols(request))
    _check_values(request)
    seeds = request.numbers()
    pairs = _pairs(request)
    check_rule({name: None for s, t in pairs for name in (*s.split(PLUS), t)}, request)
    # What is attainable at best is known of simulated corpora alone.
    known = request.controls and request.simulated and request.window == 1.0
    best = [PlannedRow(ATTAINABLE, {}, "default", True, {}, seeded=False)] * known
    cells: dict[str, CellSpec] = {}
    for source, target in pairs:
        corpora = (PLUS.join(corpora_of(source)), corpora_of(target)[0])
        same = _same_classes(source, target, request)
        for method, values in _variants(request, methods):
            found = resolver(method, values, request, corpora)
            rows = [*found.rows, *best]
            joint = request.classes == "shared" or (request.classes == "auto" and found.shares)
            for protocol, options, drawn in protocols:
                cls = load("protocols", protocol)  # which may leave the target its own classes
                own = "calibration" in cls.grants and not cls.maps_labels
                shared = joint and not same and own
                for row in rows:
                    for seed in seeds if row.seeded or drawn else [min(seeds)]:
                        spec = CellSpec(
                            row.method, row.params, row.origin, source, target, protocol, options,
                            seed, row.control, classes="shared" if shared else "own",
                        )
                        if tuned is not None and row.tunables:
                            spec = tuned(spec, row.tunables)
                        if spec.key not in cells or not row.control:
                            cells[spec.key] = spec
    return Plan(request, tuple(sorted(cells.values(), key=lambda c: c.order)))


def _same_classes(source: str, target: str, request: Request) -> bool:
    """Whether corpora have the very same classes, as far as their tasks and the map tell."""
    from ..data.labels import OwnMap
    from ..data.reading import parse_name

    own = OwnMap.parse(request.map)
    spaces = []
    for name in [*source.split(PLUS), target]:
        adapter, _, task = parse_name(name)
        spaces.append(own.of(adapter.name, task.classes).values() if own.pairs else task.classes)
    return len({frozenset(space) for space in spaces}) == 1


def _check_values(request: Request) -> None:
    from ..devices import FORM, devices
    from ..runs.lookup import check_options, simulated_recipe

    check_options(replace(request, device="cpu"))  # whether it is there, the sweep finds out
    devices(request.device, FORM)
    if request.simulated:
        simulated_recipe(request)


def _check_tables(request: Request, methods: Sequence[str]) -> None:
    """Refuse a table of parameters or options that no cell of the plan would use."""
    asked = {"params": [m.lower() for m in methods],
             "protocol": [p.lower() for p in request.protocols]}
    for table, group in (("params", "methods"), ("protocol", "protocols")):
        for name in getattr(request, table):
            known = entry(group, name).name
            if known.lower() not in asked[table]:
                raise SettingError(
                    f"[{table}.{name}] concerns nothing in the sweep",
                    f"Its {group}: {', '.join(getattr(request, group))}",
                )


def _variants(request: Request, methods: Iterable[str]) -> Iterator[tuple[str, Values]]:
    tables = {name.lower(): table for name, table in request.params.items()}
    for method in dict.fromkeys(methods):
        table = tables.get(method.lower(), {})
        for values in table if isinstance(table, list) else [table]:
            yield method, values


def _protocols(request: Request) -> Iterator[tuple[str, Values, bool]]:
    """Name and complete options of each protocol, all of which grant the selection's needs.

    Also whether it draws trials with the seed. One with a curve is there once for each size.
    """
    from ..runs.lookup import make_protocol, points
    from ..selection.rules import check_selection

    tables = {name.lower(): table for name, table in request.protocol.items()}
    classes = {load("protocols", name) for name in request.protocols}
    if request.calibration and not any("curve" in c.model_fields for c in classes):
        raise SettingError(
            f"--calibration concerns few-shot, and the protocols are {', '.join(request.protocols)}"
        )
    for name in dict.fromkeys(request.protocols):
        cls = load("protocols", name)
        for values in points(cls, tables.get(name.lower(), {}), request.calibration):
            protocol = make_protocol(cls, values)
            check_selection(request.selection, protocol)
            yield cls.name, protocol.model_dump(mode="json"), protocol.draws


def _pairs(request: Request) -> list[tuple[str, str]]:
    """Pairs asked for as full names; ``all`` and ``*`` stand for every corpus there is."""
    from ..data.reading import parse_name
    from ..reporting import split_pair
    from ..runs.lookup import check_corpora, side_name, source_sides

    found: dict[tuple[str, str], None] = {}
    for text in request.pairs:
        left, right = ("*", "*") if text.lower() == "all" else split_pair(text)
        present = _present(request) if "*" in (left, right) else []
        targets = [str(parse_name(n)[1]) for n in (present if right == "*" else [right])]
        sources = [
            PLUS.join(str(side_name(s)) for s in source_sides(n))
            for n in (present if left == "*" else [left])
        ]
        if PLUS in left:  # a pair that was spelt out is refused, not passed over
            check_corpora(corpora_of(sources[0]), "" if right == "*" else corpora_of(right)[0])
        chosen = {
            (s, t): None for s in sources for t in targets
            if corpora_of(t)[0] not in corpora_of(s)
        }
        if not chosen:
            if not request.simulated and "*" in (left, right):
                raise _too_few(text, request.data, present)
            raise SettingError(
                f"{text!r} gives no pair of two different corpora",
                "A cross-corpus sweep needs two; see: bench data check DIR",
            )
        found |= chosen
    return list(found)


def _too_few(text: str, folder: Path | None, present: Sequence[str]) -> SettingError:
    """Why ``all`` or ``*`` gives no pair: which corpora were looked for, where, and found."""
    hint = (
        f"Looked for {', '.join(entries('corpora'))}. A cross-corpus sweep needs two; "
        "see: bench data check DIR. To try without data: --simulated"
    )
    if folder is not None and not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "does not exist"
        return SettingError(
            f"the folder of the corpora, {folder}, {wrong}",
            "Give the folder that holds the corpora (--data DIR), or try without: --simulated",
        )
    if folder is None:
        where, hint = "where bench data set points", f"{hint}, or give --data DIR"
    else:
        where = f"in {folder}"
    found = f"only {', '.join(present)} was found" if present else "no corpus was found"
    return SettingError(f"{text!r} gives no pair of two different corpora: {found} {where}", hint)


def corpora_of(name: str) -> list[str]:
    """Corpora of a side: ``["SEED", "SEED-IV"]`` of ``SEED:3+SEED-IV:4``."""
    return [part.partition(":")[0] for part in name.split(PLUS)]


def _present(request: Request) -> list[str]:
    """Corpora that can be read: those that are found, or all that are simulated.

    Simulated ones of open corpora are left out unless they are named: anybody can have the real
    ones, which say more.
    """
    from ..data.reading import files_of
    from ..errors import MissingCorpusError
    from ..runs.lookup import corpus_root

    names, features = [], files_of(request.features)
    for name, known in entries("corpora").items():
        adapter = load("corpora", name)()
        if adapter.is_windows:  # whoever names them wants them, beside simulated corpora, too
            names.append(name)
            continue
        if features != "bench" and not adapter.official_kinds:
            continue
        if request.simulated:
            names += [name] if adapter.simulates and known.family != OPEN else []
            continue
        try:
            adapter.inventory(corpus_root(name, request), features)
        except MissingCorpusError:
            continue
        names.append(name)
    return names
