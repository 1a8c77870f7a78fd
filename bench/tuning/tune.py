"""From names to tuned parameters: a method and its controls, and then what the tuning was worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from ..cells.cell import Cell, OnEvent
from ..cells.engine import run_cell
from ..data.windows import Windows
from ..method import Method, Tunable
from ..runs.build import cell_of_run
from ..runs.keywords import TuneKeywords
from ..runs.notebook import watching
from ..runs.options import Options, changed, parted, takes
from ..runs.own import with_windows
from ..runs.run import controls_of, setting_of, with_tuned
from ..runs.tuned import FOLDER, Tuned
from ..scoring.inference import Paired, paired
from ..scoring.metrics import subject_scores
from ..store.records import Record, Store
from .search import OnTrialEnd, TuneOptions, tune_cell
from .space import search_space

#: Called with a cell and its search space before it is tuned.
OnTuningStart = Callable[[Cell, dict[str, Tunable]], None]


@dataclass(frozen=True)
class TuningOutcome:
    """A tuning, and a run of the tested trials with its parameters and with the defaults.

    Attributes
    ----------
    tuned : Tuned
    space : dict of str to Tunable
        What was searched.
    path : Path
        Where the parameters are stored.
    record, default : Record
        Of the tuned and of the default parameters.
    """

    tuned: Tuned
    space: dict[str, Tunable]
    path: Path
    record: Record
    default: Record

    def gain(self, unit: str = "window") -> Paired:
        """Balanced accuracy of each target subject: tuned less default."""
        ours, theirs = (subject_scores(r.folds, unit) for r in (self.record, self.default))
        both = sorted(set(ours) & set(theirs))
        return paired([ours[s] for s in both], [theirs[s] for s in both])


@takes(TuneOptions)
@takes(Options)
def tune(
    method: str = "scmm",
    src: str | Windows = "SEED",
    tgt: str | Windows = "DEAP",
    options: Options | None = None,
    tuning: TuneOptions | None = None,
    *,
    on_event: OnEvent | None = None,
    on_trial_end: OnTrialEnd | None = None,
    begin: OnTuningStart | None = None,
    windows: Mapping[str, Windows] | None = None,
    **changes: Unpack[TuneKeywords],
) -> list[TuningOutcome]:
    """Tune a method and those of its controls that can be, with the same number of trials each.

    Parameters
    ----------
    method, src, tgt, options, windows, **changes
        As of :func:`bench.run`; ``params`` are held fixed, the others start from their defaults.
        Also fields of :class:`bench.TuneOptions`: ``trials=40``.
    tuning : TuneOptions, optional
        These fields as one object.
    on_event, on_trial_end, begin : callable, optional
        Told how a trial goes on, of each that has ended, and of each method that is begun.

    Returns
    -------
    list of TuningOutcome
        The method first. Tuned and default parameters are run on the tested trials once, after
        all trials; both are records of the run folder.

    Raises
    ------
    IncompatibleError
        There is nothing to tune, or the protocol does not allow it.

    Examples
    --------
    >>> import bench
    >>> found = bench.tune("scmm", "SEED", "DEAP", simulated=True)  # doctest: +SKIP
    >>> found[0].tuned.params, found[0].gain().mean  # doctest: +SKIP
    """
    tuning, rest = parted(tuning or TuneOptions(), Options, changes)
    options = with_windows(changed(options, {**rest, "preset": "default"}), windows)
    out = []
    with watching(on_event) as told:
        cell = cell_of_run(method, src, tgt, options, told)
        cells = [(cell, search_space(cell.method, tuning.only, options.params))]
        for beside in controls_of(cell, options, told) if options.controls else ():
            space = _control_space(beside.method, tuning.only, options.params)
            if space:
                cells.append((beside, space))
        for each, space in cells:
            if begin is not None:
                begin(each, space)
            out.append(_tune(
                each, space, options, tuning, on_event=told, on_trial_end=on_trial_end))
    return out


def _control_space(
    method: Method, only: tuple[str, ...], given: Mapping[str, Any]
) -> dict[str, Tunable]:
    """What of a control is searched: of the parameters asked for, those it has."""
    free = set(method.tunable()) - set(given)
    wanted = free & set(only) if only else free
    return search_space(method, wanted, given) if wanted else {}


def _tune(
    cell: Cell, space: dict[str, Tunable], options: Options, tuning: TuneOptions, *,
    on_event: OnEvent, on_trial_end: OnTrialEnd | None,
) -> TuningOutcome:
    store = Store(options.runs)
    pair = (cell.pair.source_name, cell.pair.target_name)
    setting = setting_of(cell.method, pair, cell.protocol, options)
    tuned = tune_cell(
        cell, setting, store, tuning, space, on_event=on_event, on_trial_end=on_trial_end
    )
    return TuningOutcome(
        tuned, space, options.runs / FOLDER / setting.file(cell.seed),
        run_cell(with_tuned(cell, tuned), store, on_event), run_cell(cell, store, on_event),
    )
