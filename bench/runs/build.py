"""From names and options to a cell that can be run.

:func:`build_cell` makes every cell: of a run and its controls, of a sweep, a tuning, an audit and
a rerun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..cells.cell import Cell, Event, OnEvent
from ..cells.training import Elsewhere
from ..data.montage.named import COMMON
from ..data.pair import Pair, align, on_montage
from ..data.reading import Reading, describe, read_corpus, renamed, simulated_root
from ..data.windows import Windows
from ..devices import devices
from ..errors import SettingError
from ..method import Method
from ..protocols.base import Protocol
from ..protocols.scaling import Scaling
from ..registry import PLUS, include, load
from ..selection.rules import check_selection
from .lookup import (
    Side,
    Source,
    check_corpora,
    check_options,
    check_rule,
    choose_params,
    corpus_root,
    is_simulated,
    make_protocol,
    resolve_scale,
    side_name,
    simulated_recipe,
    source_sides,
)
from .options import TUNED, CellOptions, Classes, Options
from .tuned import check_unseen, need_tuned, setting_of, tuned_origin
from .weights import weights_for, with_weights


def build_cell(
    method: Method, origin: str, pair: Pair, protocol: Protocol, options: CellOptions, *,
    seed: int, tuning: Mapping[str, Any] | None = None, classes: Classes | None = None,
    elsewhere: Elsewhere | None = None,
) -> Cell:
    """Cell of a method with its parameters, on a pair that is read and aligned.

    Parameters
    ----------
    method : Method
    origin : str
        Where its parameters come from: "default", "set", "tuned", "published ...".
    pair, protocol, options, seed
        As checked and read before.
    tuning : mapping, optional
        How tuned parameters were chosen; see :meth:`bench.runs.tuned.Tuned.identity`.
    classes : {"auto", "own", "shared"}, optional
        Of a control: those of the method it is for; else as the options say.
    elsewhere : Elsewhere, optional
        Where the labels are, if the pair has none.

    Raises
    ------
    IncompatibleError
        The parameters were tuned on trials that the cell tests.
    """
    cell = Cell(
        method=method, params_origin=origin, pair=pair, protocol=protocol,
        scaling=Scaling(options.scaling, options.scaling_scope), selection=options.selection,
        scale=resolve_scale(options, pair), seed=seed, sessions=options.sessions,
        rule=options.rule, precision=options.precision, device=devices(options.device)[0],
        deterministic=options.deterministic, compile=options.compile,
        save_models=options.save_models, diagnostics=options.diagnostics, tuning=tuning,
        classes=classes or options.classes, hold_out=options.hold_out,
        class_map=tuple(options.map), elsewhere=elsewhere, weights=weights_for(method, options),
    )
    if elsewhere is None:
        check_unseen(cell)
    return cell


def cell_of_run(
    method: str, src: Source, tgt: Side, options: Options, on_event: OnEvent
) -> Cell:
    """Cell of a run: check every name and option before anything is read, then read and align.

    Raises
    ------
    BenchError
        The first thing that is wrong; nothing has been run.
    """
    for item in options.include:
        include(item)
    cls: type[Method] = load("methods", method)
    protocol = make_protocol(load("protocols", options.protocol), options.protocol_params)
    check_options(options)
    if not 0 <= options.seed < 2**63:
        raise SettingError(f"seed {options.seed} is not a whole number from 0")
    check_selection(options.selection, protocol)
    sources = source_sides(src)
    names, target = [side_name(side) for side in sources], side_name(tgt)
    check_corpora([n.corpus for n in names], target.corpus)
    check_rule((*sources, tgt), options)
    corpora = PLUS.join(n.corpus for n in names), target.corpus
    params, origin = choose_params(cls, options.preset, options.params, corpora)
    params = with_weights(cls, params, options)
    tuned = None
    if options.preset == TUNED and cls(params).tunable():
        both = PLUS.join(map(str, names)), str(target)
        tuned = need_tuned(
            options.runs, setting_of(cls(params), both, protocol, options), options.seed
        )
        params, origin = cls.parse(tuned.params), tuned_origin(origin)
    readings = [read_side(side, options, on_event) for side in sources]
    pair = align(readings, read_side(tgt, options, on_event), options.montage)
    _introduce(pair, on_event)
    return build_cell(
        cls(params), origin, pair, protocol, options, seed=options.seed,
        tuning=None if tuned is None else tuned.identity(),
    )


def _introduce(pair: Pair, on_event: OnEvent) -> None:
    """Say what was read, and what was assumed on the way."""
    sides = [(p.name, pair.source.take(pair.source.corpus == p.corpus), p.labels)
             for p in pair.parts] or [(pair.source_name, pair.source, pair.source.labels)]
    for name, windows, labels in (*sides, (pair.target_name, pair.target, pair.target.labels)):
        on_event(Event(f"{name}: {describe(windows)}; {', '.join(labels)}"))
    space = pair.source.space
    shared = "in common" if pair.montage == COMMON else f"of montage {pair.montage}"
    on_event(Event(
        f"{len(space.channels)} channels {shared}, {space.width} "
        f"{'samples' if space.kind == 'raw' else 'features'} each, windows of {space.window_s:g} s"
    ))
    for notice in pair.notices:
        on_event(Event(notice))


def read_side(side: Side, options: CellOptions, on_event: OnEvent) -> Reading:
    """Read one side of a pair, from wherever the options say it is."""
    name = side_name(side)
    excluded = {k.lower(): v for k, v in options.exclude.items()}
    without = frozenset(excluded.get(name.corpus.lower(), ()))
    if isinstance(side, str):
        ready = load("corpora", name.corpus)().windows()
        side = side if ready is None else _without(ready, without)
    if isinstance(side, Windows):
        own = on_montage(Reading(name, side, side.digest(), (), None), options.montage)
        return renamed(own, options.map)
    read = replace(options.read, exclude=without)

    def progress(what: str, done: int, total: int) -> None:
        on_event(Event(what, done, total))

    if is_simulated(name.corpus, options):
        root = simulated_root(name.corpus, simulated_recipe(options), progress)
    else:
        root = corpus_root(name.corpus, options)
    return renamed(read_corpus(str(name), root, read, progress), options.map)


def _without(windows: Windows, subjects: frozenset[int]) -> Windows:
    """Windows of all subjects but some; the very same object if it is none."""
    if not subjects:
        return windows
    present = set(np.unique(windows.subject).tolist())
    if unknown := sorted(subjects - present):
        raise SettingError(
            f"{windows.corpus[0]} has no subject {', '.join(map(str, unknown))} to exclude",
            f"Subjects found: {', '.join(map(str, sorted(present)))}",
        )
    left = windows.take(~np.isin(windows.subject, list(subjects)))
    if not len(left):
        raise SettingError(f"no subject of {windows.corpus[0]} is left after exclusion")
    return left
