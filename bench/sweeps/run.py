"""Runs a sweep, in this process or in workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from ..cells.cell import Event
from ..data.windows import Windows
from ..devices import devices
from ..registry import include
from ..runs.keywords import SweepKeywords
from ..runs.notebook import watching
from ..runs.options import parted, takes
from ..runs.own import keep_windows
from ..store.lock import RunLock
from .manifest import Memo
from .plan import Plan
from .request import Request, SweepOptions, read_request
from .stacks import SEEDS, usual
from .status import SweepState
from .sweep import Sweep, is_elsewhere
from .workers.script import check_guard


@takes(SweepOptions)
@takes(Request)
def sweep(
    file: Path | str | None = None, *, options: SweepOptions | None = None,
    show: Callable[[SweepState, str], None] | None = None,
    windows: Mapping[str, Windows] | None = None,
    **keys: Unpack[SweepKeywords],
) -> SweepState:
    """Run a sweep from Python; the same as ``bench sweep``.

    Parameters
    ----------
    file : Path or str, optional
        A ``sweep.toml``.
    options : SweepOptions, optional
        Run folder, workers, and so on, as one object.
    show : callable, optional
        Called with the state and a line for people (or "") whenever something has changed; in a
        notebook, a bar is drawn if nothing is given.
    windows : mapping of str to Windows, optional
        Your own by name, ``{"MYLAB": own}``: corpora of the plan like any other, for ``pairs``.
        They are kept in ``RUNS/windows``, where workers, a resumed sweep and ``bench rerun`` find
        them.
    **keys
        Keys of the plan, over the file's: ``methods=["scmm"], pairs="all", seeds=5``; and fields
        of :class:`bench.SweepOptions`: ``runs="mine", workers=2``.

    Returns
    -------
    SweepState
        Its ``counts``, ``problems`` and ``exit_code`` say how it went; records are in the run
        folder.

    Examples
    --------
    >>> import bench
    >>> bench.sweep(methods="scmm", seeds=5, simulated=True)  # doctest: +SKIP
    """
    from .tuned_plan import planned

    if isinstance(address := keys.get("cluster"), str):  # of a plan it is a table
        options = replace(options or SweepOptions(), cluster=address)
        del keys["cluster"]
    options, asked = parted(options or SweepOptions(), Request, keys)
    if options.workers > 1:
        check_guard()  # before anything is read, or tuned
    request = read_request(Path(file) if file is not None else None, asked)
    if windows:
        files = keep_windows(windows, options.runs)
        request = replace(request, include=[*request.include, *files])
    for item in request.include:
        include(item)
    request = settled(request, options)
    memo = Memo(options.runs)
    check_first(request, options, memo)
    plan = planned(request, options.runs, memo)
    if show is not None:
        return execute(Sweep(plan, options, memo, show))
    with watching(None) as told:  # in a notebook, a bar
        return execute(Sweep(plan, options, memo, lambda state, line: told(
            Event("sweep", state.total - state.left, state.total, line, "cell"))))


def settled(request: Request, options: SweepOptions) -> Request:
    """A request that says how many seeds: of ``auto``, several where they are one stack.

    Raises
    ------
    SettingError
        The device is not there.
    """
    if request.seeds != "auto":
        return request
    elsewhere = is_elsewhere(request, options)
    together = usual(devices("cpu" if elsewhere else request.device)[0], elsewhere) > 1
    return replace(request, seeds=SEEDS if together else 1)


def check_first(request: Request, options: SweepOptions, memo: Memo) -> None:
    """Refuse before the tuning what would stop the sweep after it; see :meth:`Sweep.check`.

    Raises
    ------
    BenchError
    """
    if request.tune is not None:
        sweep = Sweep(Plan(request, ()), options, memo)
        with RunLock(options.runs):  # it can be written, and nobody else is at work there
            sweep.check()


def execute(sweep: Sweep) -> SweepState:
    """Run what is missing of a sweep, where its options say; see :meth:`Sweep.run`."""
    from .workers.pool import run_in_pool

    return sweep.run(run_in_pool)
