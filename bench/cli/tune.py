"""Command of tuning: ``bench tune``, with the options of ``bench run``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..runs.options import as_names
from .screen.console import Screen
from .screen.live import saying_what_is_kept
from .shared import what, with_options

if TYPE_CHECKING:
    from ..runs.options import Options

_how = functools.partial(typer.Option, rich_help_panel="How to tune")


@with_options("tune")
def tune(
    trials: Annotated[int, _how(
        help="Trials in all; a tuning that was stopped goes on.")] = 20,
    rule: Annotated[str | None, _how(
        help="Selection rule whose score is maximised. Default: calibration-val where there "
        "is calibration (few-shot), else source-val; or an unsupervised validator.")] = None,
    only: Annotated[str | None, _how(
        help="Search only these parameters, with commas.", metavar="NAME,NAME")] = None,
    storage: Annotated[str | None, _how(
        help="Optuna storage: a journal file, or the URL of a database that several machines "
        "share. Default: a journal in RUNS/tuning.", metavar="FILE|URL")] = None,
    together: Annotated[int, _how(
        help="Trials that are chosen at once and trained as one stack where the method can; "
        "each is chosen without the others' scores.", metavar="N")] = 1,
    space: Annotated[bool, _how(
        "--space", help="Only show what would be searched.")] = False,
    **values: Any,
) -> None:
    """Search a method's parameters on what its protocol allows, and say what it was worth.

    The first trial is the defaults. Controls that can be tuned get as many trials. In the end
    the tuned and the default parameters are run on the tested trials, once.
    """
    asked = what(**values)
    names = tuple(as_names("--only", only or ""))
    if space:
        _show_space(asked.method, asked.options, names)
        return
    from ..tuning.search import TuneOptions
    from ..tuning.tune import tune as tune_all
    from .screen.tuning import TuneDisplay, show_outcome

    tuning = TuneOptions(
        trials=trials, rule=rule, only=names, storage=storage, together=together
    )
    with saying_what_is_kept(), TuneDisplay(Screen(stderr=True), asked.quiet) as display:
        outcomes = tune_all(
            asked.method, asked.src, asked.tgt, asked.options, tuning,
            on_event=display, on_trial_end=display.on_trial_end, begin=display.begin,
        )
    for outcome in outcomes:
        show_outcome(outcome, Screen())


def _show_space(method: str, options: Options, only: tuple[str, ...]) -> None:
    from ..registry import load
    from ..tuning.space import search_space
    from .screen.tuning import space_table

    cls = load("methods", method)
    console = Screen()
    made = cls(cls.parse(options.params))
    console.print(space_table(cls.name, search_space(made, only, options.params)))
