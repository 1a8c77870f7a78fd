"""Nested structs and cells of MATLAB files (version 5), read in one pass and in part.

SciPy makes objects of a whole file before one of them can be looked at: DREAMER's takes gigabytes.
Here what is not asked for is passed over, and nothing but numbers and text is made at all:
objects, functions and sparse arrays are refused. Sizes are checked before memory is taken.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .torn import refused

_EXPECTED = "a MATLAB file (v5)"
#: Types of elements that hold numbers, and of those that hold text.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = -1  # stands for the class of an array of these
_CELL, _STRUCT, _CHAR, _FIRST_NUMERIC, _LAST_NUMERIC = 1, 2, 4, 6, 15
_CHUNK = 1 << 20
_DEEPEST, _MOST_FIELDS, _MOST_DIMENSIONS = 12, 256, 8
_LARGEST = 1 << 29  # bytes of one array
#: A compressed file that grows by more than this holds no recording.
_GROWTH = 200

#: Which parts to read: called with the keys of fields and the indices of elements that lead there.
Wanted = Callable[[tuple[str | int, ...]], bool]


class _Stream:
    """Bytes of one element of a file, compressed or not, in order."""

    def __init__(self, file: BinaryIO, length: int, compressed: bool) -> None:
        self._file, self._left = file, length
        self._inflate = zlib.decompressobj() if compressed else None
        self._most = _GROWTH * length + _CHUNK
        self._ready, self._at = b"", 0

    def _more(self) -> bytes:
        """Further bytes, at most a chunk; empty at the end."""
        if self._inflate is None:
            part = self._file.read(min(_CHUNK, self._left))
            self._left -= len(part)
            return part
        while True:
            fed = self._inflate.unconsumed_tail
            if not fed:
                fed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(fed)
            part = self._inflate.decompress(fed, _CHUNK)
            self._most -= len(part)
            if self._most < 0:
                raise ValueError("compressed content that grows without end")
            if part or not fed:
                return part

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0:
            if self._at == len(self._ready):
                self._ready, self._at = self._more(), 0
                if not self._ready:
                    raise ValueError("an end in the middle of an array")
            part = self._ready[self._at : self._at + count]
            parts.append(part)
            self._at += len(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        while count > 0:
            ready = len(self._ready) - self._at
            if not ready and self._inflate is None:
                if count > self._left:
                    raise ValueError("an end in the middle of an array")
                self._file.seek(count, 1)
                self._left -= count
                return
            step = min(count, ready or _CHUNK)
            self.read(step)
            count -= step


class _Bounded:
    """The bytes of one element: no more can be read than it has."""

    def __init__(self, stream: _Stream | _Bounded, length: int) -> None:
        self._stream, self.left = stream, length

    def read(self, count: int) -> bytes:
        self._take(count)
        return self._stream.read(count)

    def skip(self, count: int) -> None:
        self._take(count)
        self._stream.skip(count)

    def _take(self, count: int) -> None:
        if not 0 <= count <= self.left:
            raise ValueError(f"{count} bytes where {self.left} are left")
        self.left -= count

    def tag(self, order: str) -> tuple[int, int, bytes | None]:
        """Type and length of the next element, and its content where the tag holds it."""
        first, second = struct.unpack(order + "II", self.read(8))
        small = first >> 16
        if small:  # up to four bytes stand in the tag itself
            if small > 4:
                raise ValueError(f"{small} bytes in a tag")
            return first & 0xFFFF, small, struct.pack(order + "I", second)[:small]
        return first, second, None

    def element(self, order: str, most: int) -> tuple[int, bytes]:
        """Type and content of the next element, which holds no others."""
        kind, length, content = self.tag(order)
        if content is None:
            if length > most:
                raise ValueError(f"an element of {length} bytes")
            content = self.read(length)
            self.skip(min(-length % 8, self.left))
        return kind, content


def load(path: Path, name: str, wanted: Wanted) -> Any:
    """One variable of a file: structs as dicts, cells as lists, numbers as arrays.

    Parameters
    ----------
    name : str
        Of the variable.
    wanted : callable
        Told the way to a part, fields' names and indices of elements from 0 (of cells, and of
        structs that are no single one); what it refuses is passed over and is None.

    Returns
    -------
    dict, list, array, str or None
        A struct array is a list of dicts. Lists run in MATLAB's order, columns first. Numbers
        are arrays of two or more axes, as MATLAB has them.

    Raises
    ------
    DataError
        Not such a file, torn, no such variable, or what is wanted is neither numbers nor text.
    """
    with refused(path, _EXPECTED), path.open("rb") as file:
        names = []
        for whole, order, head in _variables(file, path.stat().st_size):
            if head[2] == name:
                return _content(whole, order, head, (), wanted)
            names.append(head[2])
        raise ValueError(f"no variable {name}, but {', '.join(names)[:60] or 'none at all'}")


def check(path: Path, names: Collection[str]) -> None:
    """Refuse what SciPy's reader would believe or break on: it takes types and sizes as they stand.

    A type of numbers that there is not ends its process; one bit of a tag is enough for that.

    Raises
    ------
    DataError
        Torn, or one of the variables named is no array of numbers as large as its shape.
    """
    with refused(path, _EXPECTED), path.open("rb") as file:
        for whole, order, (kind, shape, name) in _variables(file, path.stat().st_size):
            if name not in names:
                continue
            if not _FIRST_NUMERIC <= kind <= _LAST_NUMERIC:
                raise ValueError(f"{name} is of class {kind}, no numeric array")
            stored, length, small = whole.tag(order)
            item = np.dtype(_NUMBERS[stored]).itemsize if stored in _NUMBERS else 0
            if not item or length != item * math.prod(shape) or (
                small is None and length > min(whole.left, _LARGEST)
            ):
                raise ValueError(f"{name}: {length} bytes of type {stored} for shape {shape}")


def _variables(file: BinaryIO, size: int) -> Iterator[tuple[_Bounded, str, _Head]]:
    """Each variable of a file: what is left of it, the order of its bytes, its head."""
    header = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None or struct.unpack_from(order + "H", header, 124)[0] != 0x0100:
        raise ValueError("another version of MATLAB file, or none")
    while (place := file.tell()) + 8 <= size:
        kind, length = struct.unpack(order + "II", file.read(8))
        if kind not in (_MATRIX, _COMPRESSED) or length > size - place - 8:
            raise ValueError(f"an element of type {kind} and {length} bytes")
        stream = _Stream(file, length, kind == _COMPRESSED)
        # Of a compressed element the length is known when its own tag is read.
        whole = _Bounded(stream, length if kind == _MATRIX else 8)
        if kind == _COMPRESSED:
            inner, length_in, _ = whole.tag(order)
            if inner != _MATRIX:
                raise ValueError(f"an element of type {inner}")
            whole = _Bounded(stream, length_in)
        yield whole, order, _head(whole, order)
        file.seek(place + 8 + length)


#: Class of an array, its shape, its name.
_Head = tuple[int, tuple[int, ...], str]


def _head(part: _Bounded, order: str) -> _Head:
    _, flags = part.element(order, 8)
    if len(flags) != 8:
        raise ValueError("an array without flags")
    word = struct.unpack(order + "I", flags[:4])[0]
    _, dims = part.element(order, 4 * _MOST_DIMENSIONS)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
    _, name = part.element(order, _MOST_FIELDS)
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array of shape {shape}")
    kind = _COMPLEX if word & 0x0800 else word & 0xFF
    return kind, shape, name.decode("latin-1")


def _matrix(part: _Bounded, order: str, way: tuple[str | int, ...], wanted: Wanted) -> Any:
    """The next array within a cell or struct; None where it is not wanted."""
    kind, length, _ = part.tag(order)
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} in a cell or struct")
    if not wanted(way) or length == 0:
        part.skip(length)
        return None
    if len(way) > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels")
    inner = _Bounded(part, length)
    value = _content(inner, order, _head(inner, order), way, wanted)
    inner.skip(inner.left)
    return value


def _content(
    part: _Bounded, order: str, head: _Head, way: tuple[str | int, ...], wanted: Wanted
) -> Any:
    kind, shape, _ = head
    if kind == _COMPLEX:
        raise ValueError("an array of complex numbers")
    count = math.prod(shape)
    if kind in (_CELL, _STRUCT) and count * 8 > part.left:
        raise ValueError(f"{count} elements in {part.left} bytes")
    if kind == _CELL:
        return [_matrix(part, order, (*way, i), wanted) for i in range(count)]
    if kind == _STRUCT:
        names = _fields(part, order)
        structs = [
            {n: _matrix(part, order, (*way, n) if count == 1 else (*way, i, n), wanted)
             for n in names} for i in range(count)
        ]
        return structs[0] if count == 1 else structs
    stored, content = part.element(order, _LARGEST)
    if kind == _CHAR:
        form = _TEXT.get(stored)
        if form is None:
            raise ValueError(f"text of type {stored}")
        ending = {"<": "-le", ">": "-be"}[order] if form[4:] in ("16", "32") else ""
        return content.decode(form + ending)
    if not _FIRST_NUMERIC <= kind <= _LAST_NUMERIC or stored not in _NUMBERS:
        raise ValueError(f"something of class {kind}, which is neither numbers nor text")
    array = np.frombuffer(content, order + _NUMBERS[stored])
    if array.size != math.prod(shape):
        raise ValueError(f"{array.size} numbers for shape {shape}")
    return array.reshape(shape, order="F")


def _fields(part: _Bounded, order: str) -> list[str]:
    """Names of a struct's fields, each in so many bytes."""
    _, length = part.element(order, 4)
    width = struct.unpack(order + "i", length)[0] if len(length) == 4 else 0
    if not 0 < width <= _MOST_FIELDS:
        raise ValueError(f"names of fields in {width} bytes")
    _, names = part.element(order, _MOST_FIELDS * width)
    return [names[i : i + width].split(b"\0")[0].decode("latin-1")
            for i in range(0, len(names), width)]
