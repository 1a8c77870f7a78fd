"""Plan of a sweep: methods x parameters x pairs x protocols x seeds, from a file or from flags.

Every name and value is checked here, before anything is read. A plan is a set of cells, each
described by names and numbers alone (:class:`CellSpec`), so that it can be written down first,
sent to a worker, and compared with what is stored.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .cache import key_of
from .clusters import ClusterSpec
from .errors import SettingError
from .registry import entries, entry, load

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from .runner import RunOptions

#: Between the names of several sources; :data:`bench.align.PLUS`, which would import NumPy.
PLUS = "+"
#: The row of what a simulated corpus allows at best; no method, but planned like a control.
ATTAINABLE = "attainable"


def _listed(value: Any) -> Any:
    """One name, or a list of names written with commas, as a list."""
    return [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed)]
Values = dict[str, Any]


class Tune(BaseModel):
    """Table ``tune`` of a ``sweep.toml``: every method is tuned before it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(20, ge=1, description="trials of each method in each pair and protocol")
    rule: str | None = Field(None, description="selection rule; the protocol's own if not given")
    storage: str | None = Field(None, description="Optuna storage; else journals in the run folder")
    together: int = Field(1, ge=1, description="trials that are chosen at once and share a stack")


class Request(BaseModel):
    """What a ``sweep.toml`` may hold; the flags of ``bench sweep`` are its top-level keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: Names = Field(min_length=1, description="names; see bench list methods")
    pairs: Names = Field(
        ["all"], min_length=1, description="all, or SOURCE->TARGET, * allowed; A+B->C joins sources"
    )
    protocols: Names = Field(["few-shot"], min_length=1, description="see bench list protocols")
    seeds: int | list[int] = Field(1, description="how many (from 0), or which")
    params: dict[str, Values | list[Values]] = Field(
        default_factory=dict, description="table per method; a list of tables is a list of variants"
    )
    preset: str = Field("default", description="named parameter set of every method")
    tune: Tune | None = Field(None, description="table with trials, rule, storage: tune first")
    protocol: dict[str, Values] = Field(default_factory=dict, description="options per protocol")
    scale: str | None = Field(None, description="demo, table, null or published")
    simulated: bool = Field(False, description="use simulated corpora")
    recipe: Values = Field(default_factory=dict, description="changes to the simulated corpora")
    data: Path | None = Field(None, description="folder of the corpora")
    scaling: str = Field(
        "auto", description="auto, min-max, z-score, robust, euclidean or none"
    )
    selection: str = Field("last", description="rule that chooses the epoch that is scored")
    scaling_scope: str = Field(
        "corpus", description="corpus, subject, source, tested or subject-tested"
    )
    sessions: Literal["first", "all"] = Field("first", description="sessions of each subject")
    features: str = Field("bench", description="bench, raw, official or official-4s")
    official_kind: str = Field("", description="which of the owner's features")
    window: float = Field(1.0, gt=0, description="window length in s")
    threshold: float = Field(5.0, description="ratings above it are high")
    drop_middle: tuple[float, float] | None = Field(None, description="ratings to leave out")
    exclude: dict[str, list[int]] = Field(default_factory=dict, description="subjects per corpus")
    controls: bool = Field(True, description="also run the controls of each method")
    include: Names = Field(default_factory=list, description="files or modules with a CATALOGUE")
    device: str = Field("cpu", description="auto, cpu, cuda, cuda:0,1 or mps")
    precision: str = Field("float32", description="float32, float64, tf32 or bf16")
    deterministic: bool = Field(False, description="only kernels that repeat bit by bit")
    energy: bool = Field(False, description="measure energy with CodeCarbon")
    cluster: ClusterSpec | None = Field(None, description="batch system that runs the workers")
    save_models: bool = Field(False, description="also write trained networks")
    diagnostics: bool = Field(False, description="also write embeddings and band importance")

    def numbers(self) -> list[int]:
        """Seeds, each once."""
        chosen = range(self.seeds) if isinstance(self.seeds, int) else self.seeds
        if not len(chosen) or min(chosen) < 0:
            raise SettingError(
                f"seeds = {self.seeds!r}: at least one is needed, and none below 0",
                "A number of seeds (5), or a list of them ([0, 3]).",
            )
        return list(dict.fromkeys(chosen))

    def options(self, spec: CellSpec | None = None) -> RunOptions:
        """Settings that ``bench run`` would have for a cell of this plan."""
        from .data import ReadOptions
        from .labels import LabelRule
        from .runner import RunOptions

        return RunOptions(
            data=self.data, simulated=self.simulated, recipe=self.recipe, scale=self.scale,
            scaling=self.scaling, scaling_scope=self.scaling_scope, selection=self.selection,
            device=self.device, precision=self.precision, deterministic=self.deterministic,
            energy=self.energy, save_models=self.save_models, diagnostics=self.diagnostics,
            preset=self.preset, seed=spec.seed if spec else 0,
            exclude={k: frozenset(v) for k, v in self.exclude.items()},
            read=ReadOptions(
                features=self.features,
                official_kind=self.official_kind, window_s=self.window, sessions=self.sessions,
                rule=LabelRule(self.threshold, self.drop_middle),
            ),
        )

    def shared(self) -> Values:
        """What all cells of the plan have in common and what decides their numbers."""
        return self.model_dump(mode="json", include={
            "scale", "simulated", "recipe", "scaling", "scaling_scope", "selection", "sessions",
            "features", "official_kind", "window", "threshold", "drop_middle", "exclude",
            "precision",
        })


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
        How tuned parameters were chosen; see :meth:`bench.tuned.Tuned.identity`.
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

    @property
    def key(self) -> str:
        """Name of the cell within a plan."""
        return key_of({k: v for k, v in asdict(self).items() if k != "control"})[:20]

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


def read_request(path: Path | None, flags: Mapping[str, Any]) -> Request:
    """Request from a file, from flags, or from a file with flags over it.

    Raises
    ------
    SettingError
        The file cannot be read, or a key or value is wrong; suggests the nearest key.
    """
    values: Values = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingError(f"{path} is not there", "See docs/sweeps.md.") from None
        except (OSError, ValueError) as error:
            raise SettingError(f"{path} is no TOML file: {error}") from error
    given = {k: v for k, v in flags.items() if v is not None}
    if isinstance(values.get("tune"), dict) and "tune" in given:
        given["tune"] = values["tune"] | given["tune"]
    values |= given
    try:
        return Request(**values)
    except ValidationError as error:
        raise _explained(error, str(path or "bench sweep")) from error


def _explained(error: ValidationError, where: str) -> SettingError:
    """What is wrong with a request: a key that is unknown, else no methods, else a value."""
    errors = error.errors()
    for found in errors:
        if found["type"] == "extra_forbidden":
            return _unknown_key(found["loc"], where)
    if any(e["type"] == "missing" and e["loc"] == ("methods",) for e in errors):
        return SettingError(
            "no methods to sweep over", "Give a sweep.toml, or --method NAME,NAME,..."
        )
    first = errors[0]
    path, about = _place(first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return SettingError(f"{where}: {path} = {first.get('input')!r}: {text}", about)


def _unknown_key(loc: tuple[int | str, ...], where: str) -> SettingError:
    """An unknown key, with the nearest one and all of its table."""
    table = "".join(f"{part}." for part in loc[:-1])
    model = _table(Request.model_fields[str(loc[0])]) if table else Request
    known = (model or Request).model_fields
    near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    hint = f"Did you mean {table + near[0]!r}? " if near else ""
    keys = f"Keys of {table[:-1]}" if table else "Keys"
    return SettingError(
        f"{where} has no key {f'{table}{loc[-1]}'!r}", f"{hint}{keys}: {', '.join(known)}"
    )


def _place(loc: tuple[int | str, ...]) -> tuple[str, str]:
    """Key as it is written in a file, without the branches of pydantic's unions; what it is."""
    parts, rest, about = [str(loc[0])], loc[1:], Request.model_fields[str(loc[0])]
    model = _table(about)
    if model is not None and rest:
        parts.append(str(rest[0]))
        about, rest = model.model_fields[str(rest[0])], rest[1:]
    hint = f"{'.'.join(parts)}: {about.description}"
    if get_origin(about.annotation) is dict:
        parts, rest = parts + [str(part) for part in rest[:1]], rest[1:]
    return ".".join([*parts, *(str(part) for part in rest if isinstance(part, int))]), hint


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """Model of a key that holds a table."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def resolve(
    method: str, values: Mapping[str, Any], request: Request, corpora: tuple[str, str]
) -> Resolved:
    """Check a method's parameters and ask it for its controls; imports the method."""
    from .data import CorpusName
    from .method import Method
    from .runner import RunOptions, choose_params
    from .tuned import defaults_of

    cls: type[Method] = load("methods", method)
    names = [CorpusName(c, "") for c in corpora]
    options = RunOptions(params=values, preset=request.preset)
    params, origin = choose_params(cls, options, names)
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
        cls(params).shares_classes,
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
    methods = [entry("methods", name).name for name in request.methods]
    _check_tables(request, methods)
    protocols = list(_protocols(request))
    _check_values(request)
    seeds = request.numbers()
    cells: dict[str, CellSpec] = {}
    for source, target in _pairs(request):
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
    return "calibration" in cls.grants and not cls.shares_classes


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
    from .devices import FORM, devices
    from .runner import check_settings, simulated_recipe

    options = request.options()
    check_settings(replace(options, device="cpu"))  # whether it is there, the sweep finds out
    devices(request.device, FORM)
    if request.simulated:
        simulated_recipe(options)


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
    from .runner import make_protocol
    from .selection import check_selection

    tables = {name.lower(): table for name, table in request.protocol.items()}
    for name in dict.fromkeys(request.protocols):
        cls = load("protocols", name)
        protocol = make_protocol(cls, tables.get(name.lower(), {}))
        check_selection(request.selection, protocol)
        yield cls.name, protocol.model_dump(mode="json")


def _pairs(request: Request) -> list[tuple[str, str]]:
    """Pairs asked for as full names; ``all`` and ``*`` stand for every corpus there is."""
    from .data import parse_name
    from .report_options import split_pair
    from .runner import check_corpora, side_name, source_sides

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
    from .data import files_of
    from .errors import MissingCorpusError
    from .runner import corpus_root

    names = []
    for name in entries("corpora"):
        if request.simulated:
            names.append(name)
            continue
        try:
            load("corpora", name)().inventory(
                corpus_root(name, request.options()), files_of(request.features)
            )
        except MissingCorpusError:
            continue
        names.append(name)
    return names
