"""Errors that a user can mend: each says what is wrong, where, and what to do.

The command line prints them without a traceback and exits with status 2. Anything else that is
raised is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


#: Names that a message lists: all of what we register, but not of 341 electrodes.
_MOST_NAMES = 100


class BenchError(Exception):
    """Something the user can mend.

    Parameters
    ----------
    message : str
        What is wrong and where, one sentence.
    hint : str
        What to do about it; printed on its own line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[BenchError], tuple[str, str]]:
        return (_rebuild, (type(self), self.message, self.hint))  # type: ignore[return-value]


def _rebuild(kind: type[BenchError], message: str, hint: str) -> BenchError:
    """Unpickle any subclass, whatever its own constructor asks for."""
    error = kind.__new__(kind)
    BenchError.__init__(error, message, hint)
    return error


class DataError(BenchError):
    """A corpus file is not what its owner distributes.

    Parameters
    ----------
    where : Path or str
        The file, and the trial or key inside it where that is known.
    expected, found : str
        What the layout asks for and what is there.
    hint : str
        What to do.
    """

    def __init__(self, where: Path | str, expected: str, found: str, hint: str = "") -> None:
        super().__init__(f"{where}: expected {expected}, found {found}", hint)


class LabelValueError(ValueError):
    """A stored label or rating is none that the owner uses; the reader adds where it stands."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


class MissingCorpusError(BenchError):
    """A corpus is not where it was looked for."""


class UnknownNameError(BenchError):
    """A name nobody registered; suggests the nearest ones.

    Parameters
    ----------
    what : str
        Kind of thing ("method", "corpus", "task", ...).
    name : str
        What was asked for.
    known : iterable of str
        What there is.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        lower = {n.lower(): n for n in names}
        near = difflib.get_close_matches(name.lower(), list(lower), n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(repr(lower[n]) for n in near)}? " if near else ""
        listed = ", ".join(names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        super().__init__(f"there is no {what} named {name!r}", f"{hint}Known: {listed}{more}")


def check_known(what: str, known: Collection[str], *names: str) -> None:
    """Refuse a name that is none of those that are known.

    Raises
    ------
    UnknownNameError
    """
    for name in names:
        if name not in known:
            raise UnknownNameError(what, name, known)


class SettingError(BenchError):
    """An option or parameter has a value that cannot be used."""


def refused_value(where: str, error: ValidationError, hint: str = "") -> SettingError:
    """The first thing that pydantic has against a value, in one line.

    Parameters
    ----------
    where : str
        What the value belongs to: "scmm", "protocol few-shot", "recipe".
    error : ValidationError
    hint : str
        What to do; for instance what there is to choose from.
    """
    first = error.errors()[0]
    name = ".".join(str(p) for p in first["loc"])
    return SettingError(f"{where}: {name} = {first.get('input')!r}: {first['msg']}", hint)


class IncompatibleError(BenchError):
    """A method does not fit a protocol, a pair or a kind of features."""


class DivergedError(BenchError):
    """Training produced a loss that is not finite; names epoch and batch."""


#: Libraries that the core does without, and the extra that brings each.
EXTRAS = {
    "torch": "torch", "optuna": "tune", "dask": "workers", "distributed": "workers",
    "dask_jobqueue": "cluster", "torcheeg": "backbones", "braindecode": "backbones",
    "mne": "backbones", "lmdb": "backbones", "skada": "transfer", "pyriemann": "riemann",
}
_PACKAGE = "eeg-cross-corpus-bench"


class MissingLibraryError(BenchError):
    """A library that only some of the methods and commands need is not installed.

    Parameters
    ----------
    library : str
        Its import name, of :data:`EXTRAS`.
    what : str
        What needs it.
    """

    def __init__(self, library: str, what: str = "this") -> None:
        super().__init__(
            f"{what} needs {library}, which is not installed",
            f"Install it: pip install '{_PACKAGE}[{EXTRAS[library]}]' (everything: [all])",
        )


def missing(error: BaseException | None, what: str = "this") -> MissingLibraryError | None:
    """The error in words, if it, or what it came of, is that a library of an extra is missing."""
    while error is not None:
        if isinstance(error, MissingLibraryError):
            return error
        library = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
        if isinstance(error, ModuleNotFoundError) and library in EXTRAS:
            return MissingLibraryError(library, what)
        error = error.__cause__ or error.__context__
    return None


def is_there(module: str) -> bool:
    """Whether a module can be imported, as far as that is known without importing it."""
    from importlib.util import find_spec

    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def check_library(library: str, what: str) -> None:
    """Refuse before anything is run what needs a library that is not installed.

    Raises
    ------
    MissingLibraryError
    """
    if not is_there(library):
        raise MissingLibraryError(library, what)


class ContractError(BenchError):
    """A method gave back what its contract does not allow.

    Parameters
    ----------
    function : str
        What gave it: "losses", "predict_proba".
    expected, got : str
    owner : object, optional
        Whose function it is; its author's line is looked up there.
    """

    def __init__(self, function: str, expected: str, got: str, owner: object = None) -> None:
        super().__init__(f"{function} gave {got}; expected {expected}")
        self.function, self.owner = function, owner


class MethodError(BenchError):
    """A plugin's method failed; says which, why, and at which line of its author's."""


def line_of(error: BaseException, modules: Iterable[str]) -> str:
    """Last line of some modules in a traceback: ``FILE, line 12, in fit: x = y``; "" if none.

    Parameters
    ----------
    error : exception
    modules : iterable of str
        Their top-level names.
    """
    import linecache
    from traceback import walk_tb

    tops, found = set(modules), ""
    for frame, line in walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] in tops:
            name = frame.f_code.co_filename
            text = linecache.getline(name, line).strip()
            found = f"{name}, line {line}, in {frame.f_code.co_name}: {text}"
    return found


def line_where(owner: object, function: str) -> str:
    """Where an object's function is written: ``FILE, line 12, in losses``; "" if not known."""
    written = getattr(type(owner) if not isinstance(owner, type) else owner, function, None)
    code = getattr(getattr(written, "__wrapped__", written), "__code__", None)
    return "" if code is None else f"{code.co_filename}, line {code.co_firstlineno}, in {function}"


class StoppedError(BenchError):
    """A sweep cannot go on; what was finished is stored."""


class StorageError(StoppedError):
    """The run folder cannot be written any more."""


def unwritable(where: Path, error: OSError) -> BenchError:
    """A folder or file of a run folder cannot be written."""
    return BenchError(f"{where} cannot be written: {error.strerror}",
                      "Free some space, or choose another run folder with --runs.")


def reason_of(error: BaseException) -> str:
    """One reason for people: a message of ours as it is, anything else with its type."""
    error = missing(error) or error
    text = str(error).strip()
    if isinstance(error, BenchError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace_of(error: BaseException) -> str:
    """Traceback of an error that is not one of ours, for the record."""
    import traceback

    if isinstance(error, MethodError) and error.__cause__ is not None:
        error = error.__cause__  # its author needs it whole
    if isinstance(error, BenchError) or missing(error) is not None:
        return ""
    return "".join(traceback.format_exception(error))[-4000:]
