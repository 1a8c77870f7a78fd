"""Settings of a run: what they are, and what is wrong with them, before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cells.cell import BUDGETS
from ..data.corpus import FEATURES
from ..data.locations import corpus_folder
from ..data.pair import PLUS, Pair
from ..data.reading import CorpusName, ReadOptions, parse_name
from ..data.recipe import Recipe, recipe_for
from ..data.windows import Windows
from ..devices import check_precision, devices
from ..errors import MissingCorpusError, SettingError, UnknownNameError, refused_value
from ..method import Method
from ..protocols.base import Protocol
from ..protocols.scaling import Scaling
from ..registry import entries, load
from ..selection.rules import rule
from ..store.provenance import check_energy

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
        One of :data:`bench.protocols.scaling.KINDS` and of :data:`bench.protocols.scaling.SCOPES`.
    selection : str
        One of :data:`bench.selection.rules.RULES`: which epoch is scored.
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
        Also store embeddings and the importance of channels and bands (bench.cells.diagnostics).
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
    """Refuse a wrong name, or options that exclude each other; nothing has been read.

    Raises
    ------
    BenchError
        The first that is wrong.
    """
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


def resolve_scale(options: RunOptions, pair: Pair) -> str:
    """Named scale: as asked, else demo for simulated corpora and published for real ones."""
    simulated = any(r is not None for r in pair.recipes)
    return options.scale or ("demo" if simulated else "published")


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
