"""What commands share: flags made from the options of a run, and small parsers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from ..errors import SettingError
from ..registry import include, load
from ..runs.options import OUT, PANELS, RUN, SEE, Options, about, flag_of

if TYPE_CHECKING:
    import dataclasses

F = TypeVar("F", bound=Callable[..., Any])
#: What the command line hands over for a field of a given type.
_KINDS = {"bool": bool, "int": int, "float": float, "Positive": float, "Path": Path,
          "Tune": int}


def what(
    method: Annotated[str, typer.Option(
        "--method", "-m", help="See: bench list methods.", rich_help_panel=RUN)] = "scmm",
    src: Annotated[str, typer.Option(
        help="Source, CORPUS[:TASK]; several: SEED+SEED-IV.", rich_help_panel=RUN)] = "SEED",
    tgt: Annotated[str, typer.Option(
        help="Target, CORPUS[:TASK], e.g. DEAP:arousal.", rich_help_panel=RUN)] = "DEAP",
    calibration_trials: Annotated[int | None, typer.Option(
        help="Calibration trials of each class; 60 % of them if not given.", min=1,
        rich_help_panel=SEE)] = None,
    quiet: Annotated[bool, typer.Option(
        "--quiet", "-q", help="Only the result.", rich_help_panel=OUT)] = False,
    **values: Any,
) -> Asked:
    """What a command of one method and one pair is asked for; further methods are included.

    Raises
    ------
    BenchError
        A value cannot be read, or there is no such method: said before anything is imported.
    """
    options = Options(**parsed(Options, values))
    for item in options.include:
        include(item)
    load("methods", method)
    if calibration_trials is not None:
        trials = {**options.protocol_params, "calibration_trials": calibration_trials}
        options = replace(options, protocol_params=trials)
    return Asked(method, src, tgt, options, quiet)


class Asked(NamedTuple):
    """A method, a source, a target, and the options of a run."""

    method: str
    src: str
    tgt: str
    options: Options
    quiet: bool


def includes(text: str) -> Any:
    """Option ``--include`` of a command: what is given is known before the command begins."""
    def known(items: list[str] | None) -> list[str] | None:
        for item in items or ():
            include(item)
        return items

    return typer.Option("--include", help=text, metavar="FILE|MODULE", callback=known)


def with_options(
    command: str, model: type[Any] = Options, *, unset: bool = False
) -> Callable[[F], F]:
    """Give a function that takes ``**values`` a flag for each option of a command.

    Those of :func:`what` are among them, but for a sweep.

    Parameters
    ----------
    command : str
        "run", "sweep", "tune" or "audit".
    model : type
        Whose fields the options are.
    unset : bool
        Whether a flag that is not given says nothing, rather than the default.
    """
    def decorate(function: F) -> F:
        functions: list[Callable[..., Any]] = [function] if command == "sweep" else [what, function]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for f in functions
               for p in inspect.signature(f, eval_str=True).parameters.values()
               if p.kind is not inspect.Parameter.VAR_KEYWORD]
        # What is this command's alone comes before what all have: methods and pairs, say.
        its = sorted(fields(model), key=lambda f: f.name not in model.__annotations__)
        flags = [_parameter(f, unset) for f in its if command in f.metadata["about"].commands]
        every = sorted([*own, *flags], key=_place)
        function.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        return function

    return decorate


def _place(parameter: inspect.Parameter) -> int:
    """Which panel of ``--help`` a parameter stands in; a command's own come with the first."""
    (said,) = parameter.annotation.__metadata__
    return PANELS.index(said.rich_help_panel) if said.rich_help_panel in PANELS else 0


def _parameter(field: dataclasses.Field[Any], unset: bool) -> inspect.Parameter:
    """Parameter of a command, from a field of an option model."""
    said = field.metadata["about"]
    kind: Any = _KINDS.get(str(field.type).removesuffix(" | None"), str)
    default = None if unset or field.default is MISSING else field.default
    flags = said.flags or ((flag_of(field.name, said),) if kind is bool else ())
    if said.many:
        kind = list[str]
    elif said.parse is not None and kind is not int:
        kind = str
    kind = kind if default is not None else kind | None
    said_by = typer.Option(
        *flags, help=said.text, metavar=said.metavar, rich_help_panel=said.panel
    )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default,
        annotation=Annotated[kind, said_by],
    )


def parsed(model: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of options from what the command line gave; those that were not given are left out.

    Raises
    ------
    SettingError
        A value cannot be read; names its flag.
    """
    # What no command has as a flag may bear the name of another's: a plan's cluster, an address.
    said = {name: its for name, its in about(model).items() if its.commands}
    given = {name: values[name] for name in said if values.get(name) not in (None, [])}
    return {
        name: said[name].parse(flag_of(name, said[name]), value)  # type: ignore[misc]
        if said[name].parse is not None else value for name, value in given.items()
    }


def listed(option: str, items: list[str] | None) -> tuple[str, ...]:
    """Values of an option that may be repeated and may hold commas."""
    values = tuple(v.strip() for item in items or () for v in item.split(",") if v.strip())
    if items and not values:
        raise SettingError(f"{option} names nothing")
    return values


def named_briefly(paths: Sequence[Path]) -> str:
    """Names of files in short: what has a number or several formats is named once.

    Examples
    --------
    >>> named_briefly([Path(n) for n in ("a.md", "a.csv", "b-1.png", "b-2.png", "b-3.png")])
    'a.md (also csv), b-1.png to b-3.png'
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        stem = re.sub(r"-[0-9]+$", "", path.stem)
        kinds.setdefault(stem, {}).setdefault(path.suffix[1:], []).append(path.name)
    return ", ".join(_kind(formats) for formats in kinds.values())


def _kind(formats: Mapping[str, Sequence[str]]) -> str:
    """``b-1.png to b-3.png (also pdf)``."""
    names, *_ = formats.values()
    shown = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return shown + (f" (also {', '.join(list(formats)[1:])})" if len(formats) > 1 else "")
