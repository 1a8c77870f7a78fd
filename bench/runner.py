"""Run one method on one pair: read, align, run the method and its controls, return the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .align import PLUS, Pair, align
from .attainable import attainable_record
from .cell import BUDGETS, Cell, Event, Watch, run_cell
from .corpus import FEATURES
from .data import (
    CorpusName,
    Reading,
    ReadOptions,
    describe,
    parse_name,
    read_corpus,
    simulated_root,
)
from .devices import check_precision, devices
from .errors import (
    BenchError,
    MissingCorpusError,
    SettingError,
    UnknownNameError,
    UnsuitedError,
    refused_value,
)
from .method import Method
from .protocol import Protocol
from .provenance import check_energy
from .recipe import Recipe, recipe_for
from .registry import entries, load
from .scaling import Scaling
from .selection import check_selection, rule
from .settings import corpus_folder
from .store import Record, Store
from .tuned import Setting, Tuned, check_unseen, defaults_of, find_tuned, need_tuned
from .windows import Windows

if TYPE_CHECKING:
    import pandas as pd


#: A corpus by name, or one's own windows.
Side = str | Windows
#: One source, or several: joined by "+" in one name, or a list.
Source = Side | Sequence[Side]
#: Parameter set that a tuning found.
TUNED = "tuned"


@dataclass(frozen=True)
class RunOptions:
    """Everything about a run but method, source and target.

    Attributes
    ----------
    data : Path or None
        Folder with the corpora (or with one of them); else what ``bench data set`` stored.
    simulated : bool
        Use simulated corpora from the cache, written on first use.
    recipe : mapping
        Changes to the simulated corpora's recipe (``{"class_effect": 0}``).
    scale : str or None
        Named scale; "demo" for simulated corpora and "published" for real ones if None.
    protocol : str
    protocol_params : mapping
    params : mapping
        Parameters of the method that differ from its defaults.
    preset : str
        "default", a named set of the method ("published"), or "tuned": what ``bench tune`` found.
    scaling, scaling_scope : str
        One of :data:`bench.scaling.KINDS` and of :data:`bench.scaling.SCOPES`.
    selection : str
        One of :data:`bench.selection.RULES`: which epoch is scored.
    seed : int
    runs : Path
        Run folder.
    device : str
        auto, cpu, cuda (the first of ``cuda:0,1``) or mps.
    precision : str
        One of :data:`bench.devices.PRECISIONS`.
    deterministic : bool
        Use only kernels that repeat bit by bit.
    energy : bool
        Measure the energy by CodeCarbon.
    read : ReadOptions
    exclude : mapping of corpus name to subjects to leave out
    save_models : bool
    diagnostics : bool
        Also store embeddings and the importance of channels and bands (bench.diagnostics).
    controls : bool
        Also run the method's controls.
    """

    data: Path | None = None
    simulated: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    scale: str | None = None
    protocol: str = "few-shot"
    protocol_params: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "default"
    scaling: str = "auto"
    selection: str = "last"
    scaling_scope: str = "corpus"
    seed: int = 0
    runs: Path = Path("runs")
    device: str = "cpu"
    precision: str = "float32"
    deterministic: bool = False
    energy: bool = False
    read: ReadOptions = field(default_factory=ReadOptions)
    exclude: Mapping[str, frozenset[int]] = field(default_factory=dict)
    save_models: bool = False
    diagnostics: bool = False
    controls: bool = True


def run(
    method: str = "scmm",
    src: Source = "SEED",
    tgt: Side = "DEAP",
    options: RunOptions | None = None,
    watch: Watch | None = None,
    **changes: Any,
) -> Record:
    """Run a method from a source to a target corpus.

    Parameters
    ----------
    method : str
        Name of a registered method.
    src, tgt : str or Windows
        ``CORPUS[:TASK]``, or your own windows. Several sources are joined by "+",
        ``"SEED+SEED-IV"``, or given as a list.
    options : RunOptions
        Or pass its fields as keyword arguments.
    watch : callable, optional
        Called with an :class:`~bench.cell.Event` as things happen.

    Returns
    -------
    Record
        Of the method; its controls are in ``record.beside``. A run that is already in the run
        folder is not computed again.

    Examples
    --------
    >>> import bench
    >>> record = bench.run("scmm", "SEED", "DEAP", simulated=True)  # doctest: +SKIP
    """
    options = replace(options or RunOptions(), **changes)
    tell = watch or (lambda event: None)
    cell = settle(method, src, tgt, options, tell)
    store = Store(options.runs)
    record = run_cell(cell, store, tell, energy=options.energy)
    if options.controls:
        for beside in controls_of(cell, options, tell):
            record.beside.append(run_cell(beside, store, tell, energy=options.energy))
        best = attainable_record(cell, store)
        if best is not None:
            record.beside.append(best)
    return record


def controls_of(cell: Cell, options: RunOptions, watch: Watch) -> list[Cell]:
    """Cells of a method's controls that fit the protocol.

    Beside a tuned method, a control that can be tuned has the parameters of its own tuning. Those
    of the method would favour it: they were chosen for another network.
    """
    method, origin = cell.method, cell.params_origin
    pair = (cell.pair.source_name, cell.pair.target_name)
    if options.preset == TUNED:
        method = type(method)(method.parse(options.params))
        origin = "set" if options.params else "default"
    out = []
    for name, values in method.controls():
        control: type[Method] = load("methods", name)
        own = control.parse(values)
        beside = replace(
            cell, method=control(own), params_origin=control.control_origin(own, origin),
            tuning=None, shared=method.shares_classes,
        )
        if not _suited(beside):  # no calibration, nothing to train a control on
            continue
        if options.preset == TUNED and beside.method.tunable():
            setting = setting_of(beside.method, pair, cell.protocol, options)
            found = find_tuned(options.runs, setting, cell.seed)
            if found is None:
                watch(Event(f"{name} is not tuned and runs with its defaults: less than a fair "
                            f"comparison. Tune it with: {setting.command(cell.seed)}", 0, 0))
            else:
                beside = with_tuned(beside, found)
        out.append(beside)
    return out


def setting_of(
    method: Method, pair: tuple[str, str], protocol: Protocol, options: RunOptions
) -> Setting:
    """Setting that a method, with the parameters it has before any tuning, is tuned in."""
    return Setting.of(
        method.name, method.unsettled(method.params.model_dump(mode="json")),
        defaults_of(method.tunable()), pair=pair,
        protocol=(protocol.name, protocol.model_dump(mode="json")), options=options,
    )


def with_tuned(cell: Cell, tuned: Tuned) -> Cell:
    """The cell with tuned parameters.

    Raises
    ------
    UnsuitedError
        The tuning saw labels of trials that the cell tests.
    """
    method = type(cell.method)
    changed = replace(
        cell, method=method(method.parse(tuned.params)),
        params_origin=tuned_origin(cell.params_origin), tuning=tuned.identity(),
    )
    check_unseen(changed)
    return changed


def tuned_origin(before: str) -> str:
    """Origin of parameters that were tuned, given that of those they started from."""
    return f"{TUNED} + set" if before == "set" else TUNED


def _suited(cell: Cell) -> bool:
    """Whether a cell's method fits its protocol."""
    try:
        cell.check()
    except UnsuitedError:
        return False
    return True


def leaderboard(runs: Path | str = "runs", **filters: Any) -> pd.DataFrame:
    """Leaderboard of a run folder: one row for each method, pair, metric and unit.

    Parameters
    ----------
    runs : Path or str
        Run folder.
    **filters
        Fields of :class:`bench.report_options.ReportOptions`: ``pairs``, ``methods``,
        ``protocols``.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    from .report_options import ReportOptions

    table: pd.DataFrame = load("reports", "frame")(Store(runs), ReportOptions(**filters))
    return table


def settle(
    method: str, src: Source, tgt: Side, options: RunOptions, watch: Watch
) -> Cell:
    """Cell of a run: check every name and setting before anything is read, then read and align.

    Raises
    ------
    BenchError
        The first thing that is wrong; nothing has been run.
    """
    cls: type[Method] = load("methods", method)
    protocol_class: type[Protocol] = load("protocols", options.protocol)
    protocol = make_protocol(protocol_class, options.protocol_params)
    check_settings(options)
    check_selection(options.selection, protocol)
    sources = source_sides(src)
    names, target = [side_name(side) for side in sources], side_name(tgt)
    check_corpora([n.corpus for n in names], target.corpus)
    joined = CorpusName(PLUS.join(n.corpus for n in names), "")
    params, origin = choose_params(cls, options, [joined, target])
    source_name = PLUS.join(map(str, names))
    tuned = _tuned(cls(params), (source_name, str(target)), protocol, options)
    pair = align([read_side(s, options, watch) for s in sources], read_side(tgt, options, watch))
    _introduce(pair, watch)
    cell = Cell(
        method=cls(params), params_origin=origin, pair=pair, protocol=protocol,
        scaling=Scaling(options.scaling, options.scaling_scope), selection=options.selection,
        scale=settled_scale(options, pair), seed=options.seed,
        sessions=options.read.sessions, rule=options.read.rule, precision=options.precision,
        device=devices(options.device)[0], deterministic=options.deterministic,
        save_models=options.save_models, diagnostics=options.diagnostics,
    )
    return cell if tuned is None else with_tuned(cell, tuned)


def _tuned(
    method: Method, pair: tuple[str, str], protocol: Protocol, options: RunOptions
) -> Tuned | None:
    """What a tuning found, where that is asked for and the method can be tuned."""
    if options.preset != TUNED or not method.tunable():
        return None
    setting = setting_of(method, pair, protocol, options)
    return need_tuned(options.runs, setting, options.seed)


def _introduce(pair: Pair, watch: Watch) -> None:
    """Say what was read, and what was assumed on the way."""
    sides = [(p.name, pair.source.take(pair.source.corpus == p.corpus), p.labels)
             for p in pair.parts] or [(pair.source_name, pair.source, pair.source.labels)]
    for name, windows, labels in (*sides, (pair.target_name, pair.target, pair.target.labels)):
        watch(Event(f"{name}: {describe(windows)}; {', '.join(labels)}", 0, 0))
    space = pair.source.space
    watch(Event(
        f"{len(space.channels)} channels in common, {space.width} "
        f"{'samples' if space.kind == 'raw' else 'features'} each, windows of {space.window_s:g} s",
        0, 0,
    ))
    for notice in pair.notices:
        watch(Event(notice, 0, 0))


def source_sides(source: Source) -> list[Side]:
    """Each source of ``"SEED+SEED-IV"`` or of a list, in the order of the corpora's names.

    Their order then decides nothing: it is the same cell however it was written.
    """
    if isinstance(source, Windows):
        return [source]
    sides: list[Side] = []
    for item in [source] if isinstance(source, str) else source:
        sides += [part.strip() for part in item.split(PLUS)] if isinstance(item, str) else [item]
    return sorted(sides, key=lambda side: (side_name(side).corpus, side_name(side).task))


def check_corpora(sources: Sequence[str], target: str) -> None:
    """Refuse a corpus on both sides, or twice among the sources.

    Raises
    ------
    SettingError
    """
    if target in sources:
        among = "source and target are the same corpus" if len(sources) == 1 else \
            "the target is among the sources"
        raise SettingError(
            f"{among}, {target}",
            "A cross-corpus run needs two; the target's own test windows would be in the source.",
        )
    twice = sorted({s for s in sources if sources.count(s) > 1})
    if twice:
        raise SettingError(
            f"{twice[0]} is named twice among the sources",
            "Each source is another corpus, e.g. SEED+SEED-IV.",
        )


def side_name(side: Side) -> CorpusName:
    """Name of a side, looked up if it is a registered corpus."""
    if isinstance(side, Windows):
        return CorpusName(str(side.corpus[0]), "own")
    return parse_name(side)[1]


def check_settings(options: RunOptions) -> None:
    Scaling(options.scaling, options.scaling_scope)
    if options.read.features not in FEATURES:
        raise UnknownNameError("kind of features", options.read.features, FEATURES)
    if options.scale is not None and options.scale not in BUDGETS:
        raise UnknownNameError("scale", options.scale, BUDGETS)
    if options.save_models and rule(options.selection).name != "last":
        raise SettingError(
            f"--save-models writes the networks of the last epoch, not those that selection "
            f"{options.selection} scores", "Leave one of the two out.",
        )
    if options.simulated and options.data is not None:
        raise SettingError("--simulated and --data exclude each other", "Give one of the two.")
    if options.recipe and not options.simulated:
        raise SettingError("a recipe only concerns simulated corpora", "Add --simulated.")
    known = {name.lower() for name in entries("corpora")}
    for name in options.exclude:
        if name.lower() not in known:
            raise UnknownNameError("corpus", name, entries("corpora"))
    if not 0 <= options.seed < 2**63:
        raise SettingError(f"seed {options.seed} is not a whole number from 0")
    devices(options.device)
    check_precision(options.precision)
    if options.energy:
        check_energy()


def make_protocol(cls: type[Protocol], values: Mapping[str, Any]) -> Protocol:
    """Protocol with options; unknown or impossible ones are refused.

    Raises
    ------
    SettingError
    """
    from pydantic import ValidationError

    try:
        return cls(**values)
    except ValidationError as error:
        raise refused_value(
            f"protocol {cls.name}", error, f"Its options: {', '.join(cls.model_fields)}"
        ) from error


def choose_params(
    cls: type[Method], options: RunOptions, names: Sequence[CorpusName]
) -> tuple[Any, str]:
    """Parameters of a method, and where they come from.

    Raises
    ------
    SettingError
        Unknown preset, a pair without values in it, or a parameter out of range.
    """
    if options.preset in ("default", TUNED):  # tuned ones are looked up in the run folder
        return cls.parse(options.params), "set" if options.params else "default"
    if options.preset not in cls.presets:
        raise SettingError(
            f"{cls.name} has no parameter set {options.preset!r}",
            f"It has: {', '.join(['default', TUNED, *cls.presets])}",
        )
    table = cls.presets[options.preset]
    pair = f"{names[0].corpus}>{names[1].corpus}"
    if pair not in table:
        raise SettingError(
            f"no {options.preset} parameters are known of {cls.name} for "
            f"{pair.replace('>', '→')}",
            f"There are some for: {', '.join(p.replace('>', '→') for p in table)}",
        )
    origin = f"{options.preset} (selection unknown)" + (" + set" if options.params else "")
    return cls.parse({**table[pair], **options.params}), origin


def settled_scale(options: RunOptions, pair: Pair) -> str:
    """Named scale: as asked, else demo for simulated corpora and published for real ones."""
    simulated = any(r is not None for r in pair.recipes)
    return options.scale or ("demo" if simulated else "published")


def read_side(side: Side, options: RunOptions, watch: Watch) -> Reading:
    """Read one side of a pair, from wherever the options say it is."""
    name = side_name(side)
    if isinstance(side, Windows):
        return Reading(name, side, side.digest(), (), None)
    excluded = {k.lower(): v for k, v in options.exclude.items()}
    read = replace(options.read, exclude=excluded.get(name.corpus.lower(), frozenset()))
    progress = _progress(watch)
    if options.simulated:
        root = simulated_root(name.corpus, simulated_recipe(options), progress)
    else:
        root = corpus_root(name.corpus, options)
    return read_corpus(str(name), root, read, progress)


def corpus_root(corpus: str, options: RunOptions) -> Path:
    """Folder of a corpus that is not simulated.

    Raises
    ------
    MissingCorpusError
        None is known.
    """
    return options.data or corpus_folder(corpus) or _nowhere(corpus)


def simulated_recipe(options: RunOptions) -> Recipe:
    """Recipe of the scale with the changes asked for."""
    from pydantic import ValidationError

    try:
        return recipe_for(options.scale or "demo", **options.recipe)
    except ValidationError as error:
        raise refused_value(
            "recipe", error, f"It has: {', '.join(Recipe.model_fields)}"
        ) from error


def _nowhere(corpus: str) -> Path:
    adapter = load("corpora", corpus)()
    raise MissingCorpusError(
        f"no folder is known for {adapter.name}",
        f"Point at it with --data DIR, or once and for all: bench data set {adapter.name}=DIR\n"
        f"To try without data: --simulated\n{adapter.access}\nExpected layout:\n{adapter.layout}",
    )


def _progress(watch: Watch) -> Callable[[str, int, int], None]:
    return lambda what, done, total: watch(Event(what, done, total))


__all__ = ["BenchError", "RunOptions", "run"]
