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
from typing import Any

from ..errors import SettingError
from ..registry import PLUS, entries, entry, load
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
    shared : bool
        Of a control: that it is run in the classes both corpora share, as the method it is for.
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
    shared: bool = False

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
        variant += " [shared classes]" if self.shared else ""
        return f"{self.method}{variant}  {self.pair}  {self.protocol}  seed {self.seed}"

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


@dataclass(frozen=True)
class Resolved:
    """A method with its parameters checked.

    Attributes
    ----------
    params, origin
        All parameters, and where they come from.
    controls : sequence of (name, parameters, origin, defaults of what can be tuned)
    tunables : dict
        Defaults of the parameters that can be tuned.
    shares : bool
        Whether it learns in the classes both corpora share, even where the target has its own.
    """

    params: Values
    origin: str
    controls: Sequence[tuple[str, Values, str, Values]]
    tunables: Values = field(default_factory=dict)
    shares: bool = False


#: Resolves (method, its own values, request, pair of CORPUS names).
Resolver = Callable[[str, Mapping[str, Any], Request, tuple[str, str]], Resolved]
#: Puts tuned parameters into a cell, given the defaults of those that can be tuned.
TunedParams = Callable[[CellSpec, Mapping[str, Any]], CellSpec]


def resolve(
    method: str, values: Mapping[str, Any], request: Request, corpora: tuple[str, str]
) -> Resolved:
    """Check a method's parameters and ask it for its controls; imports the method."""
    from ..method import Method
    from ..runs.lookup import choose_params
    from ..runs.tuned import defaults_of

    cls: type[Method] = load("methods", method)
    params, origin = choose_params(cls, request.preset, values, corpora)
    controls = []
    for name, its in cls(params).controls() if request.controls else ():
        control: type[Method] = load("methods", name)
        own = control.parse(its)
        controls.append((
            control.name, own.model_dump(mode="json"), control.control_origin(own, origin),
            defaults_of(control(own).tunable()),
        ))
    tunables = defaults_of(cls(params).tunable())
    return Resolved(
        params.model_dump(mode="json"), origin, controls, tunables,
        cls(params).maps_labels,
    )


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
    cells: dict[str, CellSpec] = {}
    for source, target in pairs:
        corpora = (PLUS.join(corpora_of(source)), corpora_of(target)[0])
        for method, values in _variants(request, methods):
            found = resolver(method, values, request, corpora)
            for protocol, options in protocols:
                shared = found.shares and _own_classes(protocol)
                for seed in seeds:
                    for name, params, origin, control, tunables in _rows(request, method, found):
                        spec = CellSpec(name, params, origin, source, target, protocol, options,
                                        seed, control, shared=control and shared)
                        if tuned is not None and tunables:
                            spec = tuned(spec, tunables)
                        if spec.key not in cells or not control:
                            cells[spec.key] = spec
    return Plan(request, tuple(sorted(cells.values(), key=lambda c: c.order)))


def _own_classes(protocol: str) -> bool:
    """Whether a protocol leaves the target its own classes."""
    cls = load("protocols", protocol)
    return "calibration" in cls.grants and not cls.maps_labels


def _rows(
    request: Request, method: str, found: Resolved
) -> Iterator[tuple[str, Mapping[str, Any], str, bool, Mapping[str, Any]]]:
    """A method, its controls, and what is attainable at best where that is known."""
    yield method, found.params, found.origin, False, found.tunables
    for name, params, origin, tunables in found.controls:
        yield name, params, origin, True, tunables
    if request.controls and request.simulated and request.window == 1.0:
        yield ATTAINABLE, {}, "default", True, {}


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


def _protocols(request: Request) -> Iterator[tuple[str, Values]]:
    """Name and complete options of each protocol, all of which grant the selection's needs."""
    from ..runs.lookup import make_protocol
    from ..selection.rules import check_selection

    tables = {name.lower(): table for name, table in request.protocol.items()}
    for name in dict.fromkeys(request.protocols):
        cls = load("protocols", name)
        protocol = make_protocol(cls, tables.get(name.lower(), {}))
        check_selection(request.selection, protocol)
        yield cls.name, protocol.model_dump(mode="json")


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
    """Corpora that can be read: all where they are simulated, else those that are found."""
    from ..data.reading import files_of
    from ..errors import MissingCorpusError
    from ..runs.lookup import corpus_root

    names, features = [], files_of(request.features)
    for name in entries("corpora"):
        adapter = load("corpora", name)()
        if features != "bench" and not adapter.official_kinds:
            continue
        if request.simulated:
            names += [name] if adapter.simulates else []
            continue
        try:
            adapter.inventory(corpus_root(name, request), features)
        except MissingCorpusError:
            continue
        names.append(name)
    return names
