"""From names and options to a cell that can be run: read both sides and align them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..cells.cell import Cell, Event, OnEvent
from ..data.pair import PLUS, Pair, align
from ..data.reading import CorpusName, Reading, describe, read_corpus, simulated_root
from ..data.windows import Windows
from ..devices import devices
from ..method import Method
from ..protocols.base import Protocol
from ..protocols.scaling import Scaling
from ..registry import load
from ..selection.rules import check_selection
from .options import (
    TUNED,
    RunOptions,
    Side,
    Source,
    check_corpora,
    check_settings,
    choose_params,
    corpus_root,
    make_protocol,
    resolve_scale,
    side_name,
    simulated_recipe,
    source_sides,
)
from .tuned import Tuned, need_tuned, setting_of, with_tuned


def settle(
    method: str, src: Source, tgt: Side, options: RunOptions, on_event: OnEvent
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
    readings = [read_side(s, options, on_event) for s in sources]
    pair = align(readings, read_side(tgt, options, on_event))
    _introduce(pair, on_event)
    cell = Cell(
        method=cls(params), params_origin=origin, pair=pair, protocol=protocol,
        scaling=Scaling(options.scaling, options.scaling_scope), selection=options.selection,
        scale=resolve_scale(options, pair), seed=options.seed,
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


def _introduce(pair: Pair, on_event: OnEvent) -> None:
    """Say what was read, and what was assumed on the way."""
    sides = [(p.name, pair.source.take(pair.source.corpus == p.corpus), p.labels)
             for p in pair.parts] or [(pair.source_name, pair.source, pair.source.labels)]
    for name, windows, labels in (*sides, (pair.target_name, pair.target, pair.target.labels)):
        on_event(Event(f"{name}: {describe(windows)}; {', '.join(labels)}", 0, 0))
    space = pair.source.space
    on_event(Event(
        f"{len(space.channels)} channels in common, {space.width} "
        f"{'samples' if space.kind == 'raw' else 'features'} each, windows of {space.window_s:g} s",
        0, 0,
    ))
    for notice in pair.notices:
        on_event(Event(notice, 0, 0))


def read_side(side: Side, options: RunOptions, on_event: OnEvent) -> Reading:
    """Read one side of a pair, from wherever the options say it is."""
    name = side_name(side)
    if isinstance(side, Windows):
        return Reading(name, side, side.digest(), (), None)
    excluded = {k.lower(): v for k, v in options.exclude.items()}
    read = replace(options.read, exclude=excluded.get(name.corpus.lower(), frozenset()))
    progress = _progress(on_event)
    if options.simulated:
        root = simulated_root(name.corpus, simulated_recipe(options), progress)
    else:
        root = corpus_root(name.corpus, options)
    return read_corpus(str(name), root, read, progress)


def _progress(on_event: OnEvent) -> Callable[[str, int, int], None]:
    return lambda what, done, total: on_event(Event(what, done, total))
