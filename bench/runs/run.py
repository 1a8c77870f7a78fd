"""Run one method on one pair: read, align, run the method and its controls, return the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from ..cells.cell import Cell, Event, OnEvent
from ..cells.engine import run_cell
from ..cells.scored import attainable_record
from ..data.windows import Windows
from ..errors import IncompatibleError
from ..store.records import Record, Store
from .build import build_cell, cell_of_run
from .keywords import RunKeywords
from .lookup import Side, Source, controls_for
from .notebook import watching
from .options import TUNED, Options, changed, takes
from .outlook import Outlook, said_of_scale
from .own import with_windows
from .tuned import find_tuned, setting_of, with_tuned


@takes(Options)
def run(
    method: str = "scmm",
    src: Source = "SEED",
    tgt: Side = "DEAP",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    *,
    windows: Mapping[str, Windows] | None = None,
    **changes: Unpack[RunKeywords],
) -> Record:
    """Run a method from a source to a target corpus.

    Parameters
    ----------
    method : str
        Name of a registered method.
    src, tgt : str or Windows
        ``CORPUS[:TASK]``, or your own windows. Several sources are joined by "+",
        ``"SEED+SEED-IV"``, or given as a list.
    options : Options
        Or pass its fields as keyword arguments.
    on_event : callable, optional
        Called with an :class:`~bench.cells.cell.Event` as things happen; in a notebook, a bar is
        drawn if nothing is given.
    windows : mapping of str to Windows, optional
        Your own by name, ``{"MYLAB": own}``, for ``src`` and ``tgt``; kept in ``RUNS/windows``, so
        that ``bench rerun`` finds them.

    Returns
    -------
    Record
        Of the method; its controls are in ``record.controls``. A run that is already in the run
        folder is not computed again.

    Examples
    --------
    >>> import bench
    >>> record = bench.run("scmm", "SEED", "DEAP", simulated=True)  # doctest: +SKIP
    """
    options = with_windows(changed(options, changes), windows)
    store = Store(options.runs)
    with watching(on_event) as told:
        outlook = Outlook(told)
        cell = cell_of_run(method, src, tgt, options, outlook)
        controls = controls_of(cell, options, outlook)
        outlook.expect([cell, *controls])
        if cost := said_of_scale(cell, _took(cell, store)):
            outlook(Event(cost))
        outlook.begin()
        record = run_cell(cell, store, outlook, energy=options.energy)
        for control in controls:
            outlook.begin()
            record.controls.append(run_cell(control, store, outlook, energy=options.energy))
        if options.controls and (best := attainable_record(cell, store)) is not None:
            record.controls.append(best)
    return record


def _took(cell: Cell, store: Store) -> float | None:
    """Seconds that the latest record of the method at this scale took in a run folder."""
    if cell.budget.pretrain is not None:
        return None
    known = [r for r in store.records() if r.status == "done" and "wall_s" in r.info
             and r.identity.get("method") == cell.method.name
             and r.identity.get("scale") == cell.scale]
    latest = max(known, key=lambda r: str(r.info.get("finished")), default=None)
    return None if latest is None else float(latest.info["wall_s"])


def controls_of(cell: Cell, options: Options, on_event: OnEvent) -> list[Cell]:
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
    for cls, own in controls_for(method, options):
        control = build_cell(
            cls(own), cls.control_origin(own, origin), cell.pair, cell.protocol, options,
            seed=cell.seed, classes="shared" if cell.joint else "own",
        )
        try:
            control.check()
        except IncompatibleError:  # no calibration, nothing to train a control on
            continue
        if options.preset == TUNED and control.method.tunable():
            setting = setting_of(control.method, pair, cell.protocol, options)
            found = find_tuned(options.runs, setting, cell.seed)
            if found is None:
                on_event(Event(
                    f"{cls.name} is not tuned and runs with its defaults: less than a fair "
                    f"comparison. Tune it with: {setting.command(cell.seed)}"))
            else:
                control = with_tuned(control, found)
        out.append(control)
    return out
