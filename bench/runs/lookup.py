"""What the names and values of a run stand for: sides, protocol, parameters, folders.

All is checked before anything is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..cells.cell import BUDGETS
from ..data.corpus import FEATURES
from ..data.labels import OwnMap
from ..data.locations import corpus_folder
from ..data.pair import Pair
from ..data.reading import CorpusName, check_montage, check_window, parse_name
from ..data.recipe import Recipe, recipe_for
from ..data.windows import Windows
from ..devices import PRECISIONS, devices
from ..errors import MissingCorpusError, SettingError, check_known, refused_value
from ..method import Method
from ..protocols.base import Protocol
from ..protocols.calibration import sizes_of
from ..protocols.scaling import Scaling
from ..registry import PLUS, entry, load
from ..selection.rules import rule
from ..store.provenance import check_energy
from .options import TUNED, CellOptions, Options

#: A corpus by name, or one's own windows.
Side = str | Windows
#: One source, or several: joined by "+" in one name, or a list.
Source = Side | Sequence[Side]


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


def check_options(options: CellOptions) -> None:
    """Refuse a wrong name, or options that exclude each other; nothing has been read.

    Raises
    ------
    BenchError
        The first that is wrong.
    """
    Scaling(options.scaling, options.scaling_scope)
    check_window(options.window)
    if isinstance(options, Options):
        check_folder(options.runs)
    check_known("kind of features", FEATURES, options.features)
    check_montage(options.montage, options.features)
    if options.scale is not None:
        check_known("scale", BUDGETS, options.scale)
    if options.save_models and rule(options.selection).name != "last":
        raise SettingError(
            f"--save-models writes the networks of the last epoch, not those that selection "
            f"{options.selection} scores", "Leave one of the two out.",
        )
    if options.simulated and options.data is not None:
        raise SettingError("--simulated and --data exclude each other", "Give one of the two.")
    if options.recipe and not options.simulated:
        raise SettingError("a recipe only concerns simulated corpora", "Add --simulated.")
    for name in (*options.exclude, *(name for name, _ in options.rule.own)):
        entry("corpora", name)
    OwnMap.parse(options.map)
    devices(options.device)
    check_known("precision", PRECISIONS, options.precision)
    if options.energy:
        check_energy()


def check_rule(sides: Iterable[Side], options: CellOptions) -> None:
    """Refuse a threshold that is off the scale of a side, or a map of classes that no side has.

    Nothing has been read.

    Raises
    ------
    SettingError
    """
    classes: dict[str, tuple[str, ...]] = {}
    for side in sides:
        if isinstance(side, str):
            adapter, _, task = parse_name(side)
            options.rule.of(adapter.name, task)
            classes[adapter.name] = task.classes
        else:
            classes[side_name(side).corpus] = side.labels
    strange = OwnMap.parse(options.map).strange(classes)
    if strange:
        raise SettingError(
            f"--map names {', '.join(map(repr, strange))}, which is no class here",
            "; ".join(f"{corpus} has {', '.join(names)}" for corpus, names in classes.items()))


def check_folder(runs: Path) -> None:
    """Refuse a run folder that cannot be written, before anything is computed for it.

    Raises
    ------
    SettingError
    """
    whole = Path(runs).absolute()
    there = next(p for p in (whole, *whole.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "it may not be written" if there.is_dir() else "there is a file of that name"
        raise SettingError(f"{there} can be no run folder: {why}", "Choose another with --runs.")


def make_protocol(cls: type[Protocol], values: Mapping[str, Any]) -> Protocol:
    """Protocol with options; unknown or impossible ones are refused.

    Raises
    ------
    SettingError
    """
    try:
        return cls(**values)
    except ValidationError as error:
        raise refused_value(
            f"protocol {cls.name}", error, f"Its options: {', '.join(cls.model_fields)}"
        ) from error


def points(
    cls: type[Protocol], values: Mapping[str, Any], sizes: Sequence[str]
) -> list[dict[str, Any]]:
    """Options of a protocol for each calibration size, all of which are tested on the same trials.

    Without sizes, and for a protocol that has no calibration, these are the options alone.

    Raises
    ------
    SettingError
        No size, or one beside another that the options give.
    """
    if not sizes or "curve" not in cls.model_fields:
        return [dict(values)]
    both = {"calibration_trials", "share", "curve"} & set(values)
    if both:
        raise SettingError(
            f"--calibration {','.join(sizes)} and {cls.name}'s {', '.join(sorted(both))} exclude "
            "each other", "Give one of the two.",
        )
    found = sizes_of(sizes)
    curve = {"curve": ",".join(map(str, found))} if len(found) > 1 else {}
    return [{**values, **size.options(), **curve} for size in found]


def choose_params(
    cls: type[Method], preset: str, given: Mapping[str, Any], corpora: Sequence[str]
) -> tuple[Any, str]:
    """Parameters of a method, and where they come from.

    Parameters
    ----------
    preset : str
        Named parameter set.
    given : mapping
        Values that were set by hand, over it.
    corpora : sequence of str
        Source (several joined by "+") and target.

    Raises
    ------
    SettingError
        Unknown preset, a pair without values in it, or a parameter out of range.
    """
    if preset in ("default", TUNED):  # tuned ones are looked up in the run folder
        return cls.parse(given), "set" if given else "default"
    if preset not in cls.presets:
        raise SettingError(
            f"{cls.name} has no parameter set {preset!r}",
            f"It has: {', '.join(['default', TUNED, *cls.presets])}",
        )
    table = cls.presets[preset]
    pair = ">".join(corpora)
    values = table.get(pair, table.get("*"))
    if values is None:
        raise SettingError(
            f"no {preset} parameters are known of {cls.name} for "
            f"{pair.replace('>', '→')}",
            f"There are some for: {', '.join(p.replace('>', '→') for p in table)}",
        )
    origin = f"{preset} (selection unknown)" + (" + set" if given else "")
    return cls.parse({**values, **given}), origin


def controls_for(
    method: Method, options: CellOptions
) -> list[tuple[type[Method], Any]]:
    """Controls to run beside a method, as the options say: classes and parameters, each once."""
    asked = list(method.controls()) if options.controls else []
    if options.shuffled_source and method.kind == "method" and method.needs.source == "labelled":
        own = {"network": method.name, "shuffle": "source"}
        asked.append(("shuffled", {**own, **method.params.model_dump()}))
    found: list[tuple[type[Method], Any]] = []
    for name, values in asked:
        cls: type[Method] = load("methods", name)
        one = cls, cls.parse(values)
        if one not in found:
            found.append(one)
    return found


def resolve_scale(options: CellOptions, pair: Pair) -> str:
    """Named scale: as asked, else demo for simulated corpora and published for real ones."""
    simulated = any(r is not None for r in pair.recipes)
    return options.scale or ("demo" if simulated else "published")


def corpus_root(corpus: str, options: CellOptions) -> Path:
    """Folder of a corpus that is not simulated.

    Raises
    ------
    MissingCorpusError
        None is known.
    """
    cls = load("corpora", corpus)
    found: Path | None = cls.place or options.data or corpus_folder(corpus)
    if found is None:
        adapter = cls()
        raise MissingCorpusError(
            f"no folder is known for {adapter.name}",
            f"Point at it with --data DIR, or once and for all: bench data set {adapter.name}=DIR\n"
            f"To try without data: --simulated\n{adapter.access}\nExpected layout:\n"
            f"{adapter.layout}")
    return found


def is_simulated(corpus: str, options: CellOptions) -> bool:
    """Whether a corpus is to be simulated: as the options say, unless bound to a folder."""
    return options.simulated and load("corpora", corpus).place is None


def simulated_recipe(options: CellOptions) -> Recipe:
    """Recipe of the scale with the changes asked for."""
    try:
        return recipe_for(options.scale or "demo", **options.recipe)
    except ValidationError as error:
        raise refused_value(
            "recipe", error, f"It has: {', '.join((*Recipe.model_fields, 'effects'))}"
        ) from error
