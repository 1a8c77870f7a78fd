"""What a run asks of a method that is not one of ours, beside what holds for every method.

Fresh instances, locked arrays and looks at copies make most mistakes harmless. What they cannot
reach is looked for here: windows that were changed by a way around the lock, as torch has one; and
what a method's code keeps outside its objects, in modules and classes, which all folds share.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import types
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..data.windows import Space
from ..errors import (
    BenchError,
    ContractError,
    IncompatibleError,
    MethodError,
    line_of,
    line_where,
)
from ..method import Method
from ..protocols.base import View
from ..selection.observer import Told
from ..store.provenance import is_ours
from .contract import fresh
from .proof import check_leaks, pair_like

#: How deep, and at how many values, modules are looked through.
DEPTH, MOST = 6, 20_000
#: Larger arrays are only known by what they are, not by what is in them.
LARGE = 1 << 24
#: Says what to do about state that folds share.
KEEP_NOTHING = (
    "Keep nothing between folds: no variable of a module or a class, no default argument, no cache "
    "that goes by anything but all the data. bench check says the same of it."
)


@contextlib.contextmanager
def guarded(method: Method, views: Sequence[View]) -> Iterator[None]:
    """Watch a training on views by a method that is not ours; of ours, the tests say the same.

    Raises
    ------
    IncompatibleError
        It changed the windows it was handed; or it keeps something between folds, or takes all
        folds at once, and fails a check of :mod:`.proof`.
    """
    if is_ours(method.parts()):
        yield
        return
    if type(method) in _refused:  # what it kept then it has now, and nothing need change
        raise IncompatibleError(_refused[type(method)], KEEP_NOTHING)
    if method.together:
        proved(method, views[0], "it takes several folds at once")
    before, kept = _checksums(views), kept_by(type(method))
    try:
        yield
    except Exception:
        raise
    except BaseException:  # a worker that was to pre-train leaves its cells so; what is kept stays
        _check_kept(method, views, before, kept)
        raise
    _check_kept(method, views, before, kept)


def explain(method: Method, error: BaseException) -> BaseException:
    """What a method raised, with its name and its author's own line; errors of ours as they are.

    Once a cell: the first fold that fails ends it.
    """
    if isinstance(error, ContractError):
        parts = (error.owner, method, getattr(method, "task", None))
        where = next((line for part in parts if part is not None
                      and (line := line_where(part, error.function))), "")
        out = MethodError(f"{method.name}: {error.message}", f"See {where}" if where else "")
    elif isinstance(error, BenchError) or not isinstance(error, Exception) or _of_report(error):
        return error
    else:
        where = line_of(error, _authors(method))
        if not where:
            return error
        why = str(error).strip().partition("\n")[0][:300]
        out = MethodError(f"{method.name}: {type(error).__name__}: {why}".rstrip(": "), where)
    out.__cause__ = error
    return out


def _of_report(error: Exception) -> bool:
    """Whether it was raised by whoever is told of scores: a trial of a tuning that is given up."""
    flush = Told.flush.__code__
    return any(frame.f_code is flush for frame, _ in traceback.walk_tb(error.__traceback__))


def _authors(method: Method) -> set[str]:
    """Top-level modules of those who wrote a method, ourselves aside."""
    task = getattr(method, "task", None)  # of a self-supervised one, a class of its own
    parts = [*method.parts(), *([task] if isinstance(task, type) else [])]
    classes = {c for part in parts for c in part.__mro__}
    tops = {c.__module__.partition(".")[0] for c in classes}
    return {top for top in tops if top != "bench" and top not in sys.stdlib_module_names}


def _check_kept(
    method: Method, views: Sequence[View], before: list[int], kept: Mapping[str, Any]
) -> None:
    """Refuse what a training changed."""
    if _checksums(views) != before:
        raise IncompatibleError(
            f"{method.name} changed the windows it was handed, which other folds share",
            "A tensor of torch.from_numpy(x) is the array itself: change torch.tensor(x), a copy.",
        )
    changed = changes(kept, kept_by(type(method)))
    if changed:
        proved(method, views[0], f"it keeps something between folds ({', '.join(changed[:3])})")


#: Methods that passed, by class, parameters and space of the windows.
_passed: set[tuple[type, str, Space | None, int]] = set()
#: Those that did not, and why.
_refused: dict[type, str] = {}


def proved(method: Method, view: View, why: str) -> None:
    """Try a method on windows made up on the spot, of the space of a view; once a process.

    Raises
    ------
    IncompatibleError
        It fails; names the check.
    """
    parts = [p for p in (view.source, view.calibration, view.unlabelled) if p is not None]
    space = parts[0].space if parts else None
    key = (type(method), repr(method.params), space, len(view.classes))
    if key in _passed:
        return
    pair = None if space is None else pair_like(space, len(view.classes))
    for check in check_leaks(lambda: fresh(method), pair):
        if check.passed is False:
            told = None if check.error is None else explain(method, check.error)
            if isinstance(told, MethodError):  # it does not work at all
                raise told
            _refused[type(method)] = (
                f"{method.name} is refused because {why} and fails the check "
                f"'{check.name}': {check.detail}"
            )
            raise IncompatibleError(_refused[type(method)], KEEP_NOTHING)
    _passed.add(key)


def _checksums(views: Sequence[View]) -> list[int]:
    """Of the arrays of all parts of all views, each array once."""
    parts = {id(p): p for view in views
             for p in (view.source, view.calibration, view.unlabelled) if p is not None}
    return [zlib.crc32(np.ascontiguousarray(getattr(part, name)).view(np.uint8).data)
            for part in parts.values() for name in ("x", *part.columns())]


def kept_by(cls: type) -> dict[str, Any]:
    """What a class's own code keeps outside objects: a value for each place, to be compared later.

    Places are variables of its modules (and of those of its package), attributes of classes there,
    default arguments, and caches of functions. Names and numbers do not count: a counter is no
    memory of windows.
    """
    tops = {_top(base) for base in cls.__mro__ if issubclass(base, Method)} - {"bench"}
    notes = _Notes()
    for name, module in list(sys.modules.items()):
        if module is not None and name.partition(".")[0] in tops:
            for variable, value in list(vars(module).items()):
                notes.note(f"{name}.{variable}", value, DEPTH, name.partition(".")[0])
    return notes.found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Places that hold something else, or are new."""
    return sorted(place for place, value in after.items() if before.get(place) != value)


def _top(thing: Any) -> str:
    """Package, or lone module, that a class or function is defined in."""
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


_PLAIN = (str, bytes, int, float, complex, type(None), types.ModuleType, range, np.generic)
_FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property)


class _Notes:
    """Values by place, looked through to a depth."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.seen: dict[int, Any] = {}

    def note(self, place: str, value: Any, depth: int, top: str) -> None:
        """Note a value, and what is in it."""
        if isinstance(value, _PLAIN) or depth < 0 or len(self.found) > MOST \
                or place.rpartition(".")[2].startswith("__") or id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if callable(getattr(value, "cache_info", None)):
            self.found[place] = value.cache_info().currsize
            return
        for name, part in self._inside(place, value, top):
            self.note(name, part, depth - 1, top)

    def _inside(self, place: str, value: Any, top: str) -> list[tuple[str, Any]]:
        """Parts of a value; notes it where it can change."""
        if isinstance(value, np.ndarray):
            self.found[place] = (value.shape, _content(value))
        elif _top(type(value)) == "torch" and hasattr(value, "_version"):
            self.found[place] = (id(value), value._version)
        elif isinstance(value, (type, *_FUNCTIONS)):
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if _top(function) != top:  # imported from elsewhere
                return []
            inside = [(f"{place}.{k}", v) for k, v in list(vars(function).items())]
            cells = getattr(function, "__closure__", None) or ()
            held = [*(getattr(function, "__defaults__", None) or ()),
                    *(c.cell_contents for c in cells if c != types.CellType())]
            return [*inside, *((f"{place}()", v) for v in held)]
        elif isinstance(value, dict):
            self.found[place] = len(value)
            return [(f"{place}[{k!r}]", v) for k, v in list(value.items())]
        elif isinstance(value, list | tuple | set | frozenset):
            self.found[place] = len(value)
            return [(f"{place}[{i}]", v) for i, v in enumerate(list(value)[:100])]
        else:
            size = 0
            with contextlib.suppress(Exception):  # a stranger's, or none at all
                size = len(value)
            self.found[place] = (id(value), size)
            slots = [k for c in type(value).__mro__ for k in vars(c).get("__slots__", ())]
            names = [*getattr(value, "__dict__", {}), *slots]
            return [(f"{place}.{k}", getattr(value, k, None)) for k in names]
        return []


def _content(array: np.ndarray) -> int:
    """Checksum, or which array it is if it is large."""
    if array.nbytes > LARGE or array.dtype.hasobject:
        return id(array)
    return zlib.crc32(np.ascontiguousarray(array).tobytes())
