"""What a sweep is asked for: the keys of ``sweep.toml``, which are the flags of ``bench sweep``.

Imported by the command line, so pydantic is not imported before a request is read.
"""

from __future__ import annotations

import difflib
import functools
import reprlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, MinLen

from ..errors import SettingError, check_known
from ..runs.options import HOW, RUN, SEE, CellOptions, about, as_names, as_pairs, option

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from .slurm import ClusterSpec

Names = Annotated[list[str], MinLen(1)]
Positive = Annotated[int, Ge(1)]
Values = dict[str, Any]
Retry = Literal["failed", "killed", "none"]
#: Which stored outcomes are run again, by the value of --retry; done and skipped never are.
RETRIED: dict[str, tuple[str, ...]] = {
    "failed": ("failed", "killed"), "killed": ("killed",), "none": (),
}
#: Most cells of a stack, None for the usual number: as a text on the command line.
Stack = int | None
#: Seeds that a plan may hold, and each of them at most (what a generator takes).
MOST_SEEDS, LARGEST_SEED = 10_000, 2**63 - 1


def as_seeds(flag: str, text: str) -> int | list[int]:
    """How many seeds, or which: ``5``, ``0,3``, ``3,``.

    Raises
    ------
    SettingError
    """
    try:
        return [int(t) for t in text.split(",") if t.strip()] if "," in text else int(text)
    except ValueError:
        raise SettingError(
            f"{flag} {text!r} is neither a number nor a list of numbers",
            "5 means 0 to 4; 0,3 means these two; 3, means this one.",
        ) from None


def as_seeds_or_auto(flag: str, text: str) -> int | list[int] | Literal["auto"]:
    """The same, or ``auto``.

    Raises
    ------
    SettingError
    """
    return "auto" if text == "auto" else as_seeds(flag, text)


def as_tables(flag: str, items: Sequence[str]) -> dict[str, dict[str, str]]:
    """OWNER.NAME=VALUE texts as a table for each owner.

    Raises
    ------
    SettingError
    """
    tables: dict[str, dict[str, str]] = {}
    for name, value in as_pairs(flag, items).items():
        owner, dot, parameter = name.partition(".")
        if not dot:
            whose = "method" if flag == "--set" else "protocol"
            raise SettingError(
                f"{flag} {name}={value} does not say of which {whose}",
                f"In a sweep, write {flag} {whose.upper()}.{name}={value}",
            )
        tables.setdefault(owner, {})[parameter] = value
    return tables


def as_stack(flag: str, text: str) -> Stack:
    """A number, or ``auto``.

    Raises
    ------
    SettingError
    """
    try:
        return None if text == "auto" else int(text)
    except ValueError:
        raise SettingError(f"{flag} {text!r} is neither a number nor auto") from None


def as_tuning(flag: str, trials: int) -> Values:
    """A number of trials as the table it stands for."""
    return {"trials": trials}


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Table ``tune`` of a ``sweep.toml``: every method is tuned before it is run."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    trials: Positive = option(20, "trials of each method in each pair and protocol", RUN)
    rule: str | None = option(None, "selection rule; the protocol's own if not given", RUN)
    storage: str | None = option(None, "Optuna storage; else journals in the run folder", RUN)
    together: Positive = option(1, "trials that are chosen at once and share a stack", RUN)


@dataclass(frozen=True, kw_only=True)
class Request(CellOptions):
    """What a ``sweep.toml`` may hold; the flags of ``bench sweep`` are its top-level keys."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    methods: Names = option(
        MISSING, "Methods, with commas; see: bench list methods.", RUN, flags=("--method", "-m"),
        parse=as_names,
    )
    pairs: Names = option(
        lambda: ["all"], "all, or pairs with commas: 'SEED->DEAP,*->SEED-IV,SEED+SEED-IV->DEAP'.",
        RUN, parse=as_names,
    )
    protocols: Names = option(
        lambda: ["few-shot"], "Protocols, with commas; see: bench list protocols.", RUN,
        flags=("--protocol", "--protocols"), parse=as_names,
    )
    seeds: int | list[int] | Literal["auto"] = option(
        "auto", "How many (5: 0 to 4), or which (0,3). auto: 3 on a GPU, where they are one stack "
        "and cost little more than one; else 1.", RUN, parse=as_seeds_or_auto,
    )
    params: dict[str, Values | list[Values]] = option(
        dict, "Parameter of a method, repeatable. In a file a table per method; a list of tables "
        "is a list of variants.", RUN, flags=("--set",), metavar="METHOD.NAME=VALUE", many=True,
        parse=as_tables,
    )
    protocol: dict[str, Values] = option(
        dict, "Option of a protocol, repeatable. In a file a table per protocol.", SEE,
        flags=("--protocol-set",), metavar="PROTOCOL.NAME=VALUE", many=True, parse=as_tables,
    )
    calibration: list[str] = option(
        list, "Trials of each class that calibrate (few-shot), with commas: 1,2,3,5,60%. Several "
        "make a curve, tested on the same trials: those that the largest leaves.", SEE,
        metavar="SIZES", parse=as_names,
    )
    tune: Tune | None = option(
        None, "Tune every method first, in each pair and protocol, with so many trials. In a file "
        "a table with trials, rule, storage, together.", RUN, metavar="TRIALS", parse=as_tuning,
    )
    cluster: ClusterSpec | None = option(
        None, "Batch system that runs the workers: a table, see docs/sweeps.md.", HOW, commands=(),
    )

    def numbers(self) -> list[int]:
        """Seeds, each once; one where nobody has settled what ``auto`` is."""
        given = 1 if self.seeds == "auto" else self.seeds
        if (given if isinstance(given, int) else len(given)) > MOST_SEEDS:
            raise SettingError(
                f"seeds = {given if isinstance(given, int) else '[...]'}: a plan has "
                f"{MOST_SEEDS:,} seeds at most",
                "5 means 0 to 4. For one seed, write it as a list: --seeds 12345,",
            )
        chosen = range(given) if isinstance(given, int) else given
        if not len(chosen) or min(chosen) < 0 or max(chosen) > LARGEST_SEED:
            raise SettingError(
                f"seeds = {given!r}: at least one is needed, none below 0 and "
                f"none above {LARGEST_SEED}",
                "A number of seeds (5), or a list of them ([0, 3]).",
            )
        return list(dict.fromkeys(chosen))

    def shared(self) -> Values:
        """What all cells of the plan have in common and what decides their numbers."""
        deciding = self.deciding().keys() - {"preset"}  # which is in the cells' parameters
        return {name: value for name, value in self.as_json().items() if name in deciding}

    def as_json(self) -> Values:
        """All keys, as values of JSON."""
        values: Values = _adapter().dump_python(self, mode="json")
        return values


@dataclass(frozen=True)
class SweepOptions:
    """How a plan is run; none of it decides a number.

    Attributes
    ----------
    runs : Path
        Run folder.
    workers : int
        Processes; 1 runs the cells in this one.
    cluster : str or None
        Address of a dask scheduler started by hand, ``tcp://HOST:PORT``.
    stack : int or None
        Most cells, different in their seed only, that are trained as one model; None: as many as
        :func:`bench.sweeps.stacks.usual` says.
    timeout : float or None
        Most seconds a cell may take; only where cells run in processes of their own.
    memory : str or None
        Most memory of a worker, e.g. "2GB"; a worker beyond it is ended and its cell killed.
    retry : {"failed", "killed", "none"}
        Which cells that did not succeed before are run again.
    fail_fast : bool
        Stop at the first cell that fails.
    """

    runs: Path = option(Path("runs"), "Run folder.", HOW)
    workers: int = option(1, "Processes that run cells; 1 runs them in this one.", HOW)
    cluster: str | None = option(
        None, "Dask scheduler started by hand.", HOW, metavar="tcp://HOST:PORT")
    stack: Stack = option(
        None, "Cells that differ in their seed only and are trained as one model: a number, or "
        "auto, the default (one on a CPU).", HOW, metavar="N|auto", parse=as_stack)
    timeout: float | None = option(None, "Most seconds a cell may take (with workers).", HOW)
    memory: str | None = option(None, "Most memory of a worker, e.g. 2GB.", HOW)
    retry: Retry = option(
        "failed", "Which earlier failures to run again: failed (and killed), killed, or none.", HOW,
        metavar="failed|killed|none")
    fail_fast: bool = option(False, "Stop at the first cell that fails.", HOW)

    def __post_init__(self) -> None:
        from .slurm import is_address, parse_memory

        object.__setattr__(self, "runs", Path(self.runs))  # from Python it is often a text
        check_known("value of --retry", RETRIED, self.retry)
        if self.workers < 1:
            raise SettingError(f"--workers {self.workers}: at least one is needed")
        if self.stack is not None and self.stack < 1:
            raise SettingError(f"--stack {self.stack}: at least one cell is needed")
        if self.timeout is not None and not self.timeout > 0:  # nor is nan
            raise SettingError(
                f"--timeout {self.timeout:g} is not a positive number of seconds",
                "Most seconds a cell may take, e.g. --timeout 3600",
            )
        if self.memory is not None:
            try:
                parse_memory(self.memory)
            except ValueError as error:
                raise SettingError(
                    f"--memory {self.memory!r} {error}", "Most memory of a worker: --memory 4GB"
                ) from None
        if self.cluster is not None and not is_address(self.cluster):
            raise SettingError(
                f"--cluster {self.cluster!r} is no address of a scheduler",
                "Give tcp://HOST:PORT or tls://HOST:PORT, as dask scheduler prints it.",
            )


@functools.cache
def _adapter() -> TypeAdapter[Request]:
    from pydantic import TypeAdapter

    from .slurm import ClusterSpec  # noqa: F401 - the adapter looks its name up here

    return TypeAdapter(Request)


def read_request(path: Path | None, flags: Mapping[str, Any]) -> Request:
    """Request from a file, from flags, or from a file with flags over it.

    Raises
    ------
    SettingError
        The file cannot be read, or a key or value is wrong; suggests the nearest key.
    """
    from pydantic import ValidationError

    values: Values = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingError(f"{path} is not there", "See docs/sweeps.md.") from None
        except OSError as error:
            raise SettingError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SettingError(f"{path} is no TOML file: {error}") from error
        except RecursionError as error:
            raise SettingError(f"{path} is no plan: its values are nested too deep") from error
    given = {k: v for k, v in flags.items() if v is not None}
    if isinstance(values.get("tune"), dict) and "tune" in given:
        given["tune"] = values["tune"] | given["tune"]
    values |= given
    for name, said in about(Request).items():
        if said.parse is as_names and isinstance(values.get(name), str):
            values[name] = as_names(name, values[name])
    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        raise _explained(error, str(path or "bench sweep")) from error


def _explained(error: ValidationError, where: str) -> SettingError:
    """What is wrong with a request: a key that is unknown, else no methods, else a value."""
    errors = error.errors()
    for wrong in errors:
        if wrong["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            return _unknown_key(wrong["loc"], where)
    if any(e["type"] == "missing" and e["loc"] == ("methods",) for e in errors):
        return SettingError(
            "no methods to sweep over", "Give a sweep.toml, or --method NAME,NAME,..."
        )
    first = errors[0]
    path, hint = _place(first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return SettingError(f"{where}: {path} = {_brief(first.get('input'))}: {text}", hint)


def _brief(value: object) -> str:
    """A value as it was given, cut where it is long."""
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _unknown_key(loc: tuple[int | str, ...], where: str) -> SettingError:
    """An unknown key, with the nearest one and all of its table."""
    table = "".join(f"{part}." for part in loc[:-1])
    known = _keys(str(loc[0])) if table else _keys()
    near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    hint = f"Did you mean {table + near[0]!r}? " if near else ""
    keys = f"Keys of {table[:-1]}" if table else "Keys"
    return SettingError(
        f"{where} has no key {f'{table}{loc[-1]}'!r}", f"{hint}{keys}: {', '.join(known)}"
    )


def _place(loc: tuple[int | str, ...]) -> tuple[str, str]:
    """Key as it is written in a file, without the branches of pydantic's unions; what it is."""
    first, *rest = (str(part) for part in loc)
    parts, text = [first], _keys()[first]
    inner = _keys(first)
    if rest and rest[0] in inner:
        parts, text, rest = [first, rest[0]], inner[rest[0]], rest[1:]
    hint = f"{'.'.join(parts)}: {text}"
    kinds = {f.name: str(f.type) for f in fields(Request)}
    if rest and kinds[first].startswith(("dict", "Mapping")):
        parts, rest = [*parts, rest[0]], rest[1:]
    return ".".join([*parts, *(part for part in rest if part.isdigit())]), hint


def _keys(table: str = "") -> dict[str, str]:
    """Keys of a request, or of a table in it, and what is said of each."""
    if not table:
        return {name: said.text for name, said in about(Request).items()}
    if table == "tune":
        return {name: said.text for name, said in about(Tune).items()}
    if table == "cluster":
        from .slurm import ClusterSpec

        return {name: field.description or "" for name, field in ClusterSpec.model_fields.items()}
    return {}
