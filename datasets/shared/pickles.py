"""Python-2 pickles of numeric arrays (DEAP), read without running a pickle.

Unpickling runs code. The reader here is an interpreter of its own for the few instructions that
numpy arrays in a dict need: it calls nothing, knows four globals by name and refuses every other.
What a stranger built is bounded where it is built (a few bytes can double a tuple forty times), and
never hashed, compared or shown. Long strings are skipped and read on demand, so the ratings of a
100 MB file cost a millisecond.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

from .torn import TORN

_EXPECTED = "a pickled dict of numeric arrays"
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}
_LONG = 1 << 16  # strings from here on are left in the file
_LINE = 1 << 26  # bytes of a line: the oldest protocol writes an array as one
_MOST_INSTRUCTIONS = 100_000  # two arrays take about 60
_MOST_ITEMS = 32  # of a tuple; the state of an array or of a dtype has nine at most
_LARGEST = 1 << 29  # bytes of one array; a subject of DEAP takes 103 MB
_SHOWN = 80  # characters of a stranger's text in a message
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUSHES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})


class RefusedError(Exception):
    """The pickle asks for something that numeric arrays do not need."""


def _said(value: object) -> str:
    """A value for a message, in one short line: only what has no parts is looked into."""
    if isinstance(value, str | bytes):
        value = value[:_SHOWN]
    elif value is not None and not isinstance(value, int | float):
        return f"{type(value).__name__.strip('_').lower()}"
    return repr(value)[:_SHOWN]


class _Mark:
    """Where a tuple, list or dict begins on the stack."""


@dataclass(frozen=True)
class _Name:
    """One of the four globals; never called."""

    what: str


@dataclass(frozen=True)
class _Span:
    """A long string, left in the file."""

    start: int
    length: int
    utf8: bool


class _Skipped(bytes):
    """Stands for bytes that were skipped: has their length only."""

    length = 0

    def __len__(self) -> int:
        return self.length


class _Dtype:
    """What the pickle says of an array's numbers."""

    def __init__(self, name: object) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[fiu][1248]", name):
            raise RefusedError(f"an array of dtype {_said(name)}")
        self.name, self.order = name, "<"

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None,) * 3):
            raise RefusedError("an array of a structured dtype")
        if not isinstance(state[1], str) or state[1] not in ("<", ">", "|", "="):
            raise RefusedError(f"an array of byte order {_said(state[1])}")
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.name}")


class _Array:
    """An array that is described, and read when asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __init__(self) -> None:
        self.raw: Any = None

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _Dtype)):
            raise RefusedError("an array without shape, dtype and content")
        _, shape, dtype, self.fortran, self.raw = state
        if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
            raise RefusedError("an array whose shape is no tuple of whole numbers")
        self.shape, self.dtype = shape, dtype.numpy()
        self.size = math.prod(shape) * self.dtype.itemsize
        if self.size > _LARGEST:
            raise RefusedError(f"an array of more than {_LARGEST >> 20} MiB")

    def read(self, file: BinaryIO) -> NDArray[Any]:
        """The array, read-only."""
        raw = self.raw
        if isinstance(raw, _Span):
            if raw.length > 2 * self.size:  # of UTF-8 that stands for bytes: two for one, at most
                raise RefusedError(f"{raw.length} bytes for an array of {self.size}")
            file.seek(raw.start)
            content = file.read(raw.length)
            if raw.utf8:
                content = content.decode().encode("latin-1")
        elif isinstance(raw, str):
            content = raw.encode("latin-1")
        elif isinstance(raw, bytes):
            content = raw
        else:
            raise RefusedError("an array without content")
        if len(content) != self.size:
            raise RefusedError(f"{len(content)} bytes for an array of {self.size}")
        order = "F" if self.fortran else "C"
        return np.frombuffer(content, self.dtype).reshape(self.shape, order=order)  # type: ignore[call-overload]


class _Bytes:
    """File for ``pickletools.genops`` that steps over long strings."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.skipped: tuple[int, int] | None = None

    def read(self, n: int) -> bytes:
        start = self._file.tell()
        if n < _LONG or start + n > self._size:  # beyond the end: a short read, told by genops
            return self._file.read(min(n, _LONG))
        self._file.seek(start + n)
        self.skipped = (start, n)
        result = _Skipped()
        result.length = n
        return result

    def readline(self) -> bytes:
        return self._file.readline(_LINE)

    def tell(self) -> int:
        return self._file.tell()


#: What a tuple may hold, and tuples of these.
_PLAIN = (type(None), bool, int, float, str, bytes, _Name, _Span, _Dtype)


def _tuple(items: list[Any]) -> tuple[Any, ...]:
    """A tuple as arrays need them: of few items, and of tuples only such as hold none."""
    if len(items) > _MOST_ITEMS:
        raise RefusedError(f"a tuple of {len(items)} items")
    for item in items:
        parts = item if isinstance(item, tuple) else (item,)
        if not all(isinstance(part, _PLAIN) for part in parts):
            raise RefusedError("a tuple of tuples of tuples, or of something that is no number")
    return tuple(items)


class _Machine:
    """Interprets the instructions of a pickle; calls nothing."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("the pickle takes more from its stack than it put there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def name(self, module: object, name: object) -> _Name:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise RefusedError("a global without a name")
        what = _GLOBALS.get((module, name))
        if what is None:
            raise RefusedError(f"the global {_said(f'{module}.{name}')[1:-1]}")
        return _Name(what)

    def reduce(self) -> Any:
        arguments, function = self.pop(), self.pop()
        what = function.what if isinstance(function, _Name) else None
        if not isinstance(arguments, tuple) or what in (None, "ndarray"):
            raise RefusedError(f"a call of {what or type(function).__name__}")
        if what == "reconstruct":
            kind = arguments[0] if arguments else None
            if not (isinstance(kind, _Name) and kind.what == "ndarray"):
                raise RefusedError("the reconstruction of something that is no array")
            return _Array()
        if what == "dtype":
            return _Dtype(arguments[0] if arguments else None)
        if not (len(arguments) == 2 and isinstance(arguments[1], str)
                and arguments[1] in ("latin1", "latin-1")):
            raise RefusedError("text in another encoding than latin1")
        return arguments[0]  # the text stays text until an array needs its bytes

    def set_items(self, pairs: list[Any]) -> None:
        if not self.stack or not isinstance(self.stack[-1], dict):
            raise RefusedError("an item set on something that is no dict")
        if not all(isinstance(key, str | bytes | int) for key in pairs[::2]):
            raise RefusedError("a key that is neither text nor a whole number")
        if len(pairs) % 2:
            raise ValueError("a key without a value")
        self.stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))

    def build(self) -> None:
        state = self.pop()
        if not self.stack or not isinstance(self.stack[-1], _Array | _Dtype):
            raise RefusedError("a state set on something that is no array")
        self.stack[-1].build(state)

    def step(self, code: str, argument: Any) -> None:
        if code in _PUSHES:
            self.stack.append(argument)
        elif code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[code])]
            self.stack.append(_tuple(items[::-1]))
        elif code in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            if not self.stack:
                raise ValueError("the pickle keeps something before it is there")
            key = len(self.memo) if code == "MEMOIZE" else argument
            self.memo[key] = self.stack[-1]
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise ValueError("the pickle uses something before it is there")
            self.stack.append(self.memo[argument])
        elif code in _ACTIONS:
            _ACTIONS[code](self, argument)
        else:
            module = f" of {_said(argument.replace(' ', '.'))[1:-1]}" if code == "INST" else ""
            raise RefusedError(f"the instruction {code}{module}")


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.name(module, name))


def _stack_global(machine: _Machine, _: object) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(machine.name(module, name))


def _set_item(machine: _Machine, _: object) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dict(machine: _Machine, _: object) -> None:
    pairs = machine.pop_mark()
    machine.stack.append({})
    machine.set_items(pairs)


_ACTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "MARK": lambda m, _: m.stack.append(_Mark()),
    "TUPLE": lambda m, _: m.stack.append(_tuple(m.pop_mark())),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "DICT": _dict,
    "SETITEM": _set_item,
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "REDUCE": lambda m, _: m.stack.append(m.reduce()),
    "BUILD": lambda m, _: m.build(),
    "POP": lambda m, _: m.pop(),
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "STOP": lambda m, _: None,
}


def _unpacked(path: Path, name: str) -> BinaryIO:
    """Bytes that an ``.npz`` file holds as an array: NumPy itself unpickles nothing of it."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        large = [i.filename for i in archive.infolist() if i.file_size > _LARGEST]
        if large:
            raise RefusedError(f"more than {_LARGEST >> 20} MiB in {_said(large[0])}")
        if f"{name}.npy" not in archive.namelist():
            raise ValueError(f"no array {name} in it")
        with archive.open(f"{name}.npy") as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
    if array.dtype.kind not in "SVu" or array.size * array.dtype.itemsize > _LARGEST:
        raise RefusedError(f"{array.dtype} in place of bytes as {name}")
    return io.BytesIO(array.tobytes())


def _interpret(file: BinaryIO, size: int) -> Any:
    """The one object that the instructions leave."""
    file.seek(0)
    source, machine = _Bytes(file, size), _Machine()
    for count, (code, argument, _) in enumerate(pickletools.genops(source)):  # type: ignore[arg-type]
        if count > _MOST_INSTRUCTIONS:
            raise RefusedError(f"more than {_MOST_INSTRUCTIONS} instructions")
        value: Any = argument
        if source.skipped is not None:
            value = _Span(*source.skipped, utf8="UNICODE" in code.name)
            source.skipped = None
        machine.step(code.name, value)
    if len(machine.stack) != 1:
        raise ValueError("the pickle leaves more or less than one object")
    return machine.stack[0]


def load_arrays(
    path: Path, names: Collection[str], *, bare: str = "", packed: str = ""
) -> dict[str, NDArray[Any]]:
    """Arrays of a pickled dict, as Python 2 or 3 wrote it.

    Parameters
    ----------
    names : collection of str
        Keys to read; the others cost nothing. A key that is a number is named by its digits.
    bare : str
        What to call an array that is pickled alone, in no dict; none is allowed if empty.
    packed : str
        Array of an ``.npz`` file whose bytes are the pickle; else the file itself is it.

    Returns
    -------
    dict of str to array
        Read-only; keys the file does not have are left out.

    Raises
    ------
    DataError
        Not a pickle, torn, no dict of numeric arrays; a global other than numpy's constructors is
        named.
    """
    try:
        with _unpacked(path, packed) if packed else path.open("rb") as file:
            content = _interpret(file, file.seek(0, io.SEEK_END))
            if bare and isinstance(content, _Array):
                content = {bare: content}
            if not isinstance(content, dict):
                raise RefusedError(_said(content))
            items = {_text(key): value for key, value in content.items()}
            wrong = [k for k in names if k in items and not isinstance(items[k], _Array)]
            if wrong:
                raise RefusedError(f"{_said(items[wrong[0]])} as {wrong[0]!r}")
            return {k: items[k].read(file) for k in names if k in items}
    except RefusedError as error:
        raise DataError(
            path, _EXPECTED, f"{error}, which was refused",
            "A pickle can run code, so nothing else is read. Fetch the file from its owner.",
        ) from error
    except Exception as error:  # torn files raise a dozen types, struct.error to MemoryError
        raise DataError(
            path, _EXPECTED, f"{type(error).__name__}: {_said(str(error))[1:-1]}",
            TORN,
        ) from error


def _text(key: str | bytes | int) -> str:
    """A dict's key: Python 3 may have stored bytes, SEED-V's owners number their trials."""
    return key.decode("latin-1") if isinstance(key, bytes) else f"{key}"


def dump_python2(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pickle of float64 arrays with the instructions and module paths of Python 2.

    Python 3 cannot write these (its protocol 2 has Unicode strings only), and a reader that forgot
    ``encoding="latin1"`` would read what it writes.
    """
    parts = [b"\x80\x02}("]
    for key, array in arrays.items():
        parts += [_short(key), *_python2_array(array)]
    return b"".join([*parts, b"u."])


def _short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode("latin-1")


def _python2_array(array: NDArray[Any]) -> list[bytes]:
    content = np.ascontiguousarray(array, "<f8").tobytes()
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    dtype = (
        b"cnumpy\ndtype\n" + _short("f8") + b"K\x00K\x01\x87R(K\x03" + _short("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return [
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85", _short("b"),
        b"\x87R(K\x01", shape, dtype, b"\x89T", struct.pack("<i", len(content)), content, b"tb",
    ]
