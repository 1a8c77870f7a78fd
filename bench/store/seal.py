"""A sha256 in every file that is written, so that what is damaged is never believed.

A file of JSON ends in a key ``sha256``, of all bytes before it; any other file in a line
``sha256 <hex>`` of all bytes before it and of the name that it was written under, so that a file
under another's name is not believed either. Readers of zips, NumPy's and PyTorch's files among
them, pass over such a line.

What is read may be a stranger's, whose sums are right: so depth and size are bounded, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickletools
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import write_text

if TYPE_CHECKING:
    import numpy as np

_LINE = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
_LENGTH = len("\nsha256 \n") + 64
_KEY = b',\n "sha256": "'
#: Bytes that one file may unpack to.
LARGEST = 1 << 30
#: Parts that what was loaded may have, each counted as often as it is met, and how deep they go.
PARTS, DEPTH = 1_000_000, 50
#: Tuples of tuples of tuples ... at most; PyTorch's own have three.
TUPLES = 10
_MARK = -1
_NO_SUM = "it has no checksum: it is torn, damaged, or of another program"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class DamagedError(ValueError):
    """A file does not hold what was written into it."""


def sealed(data: bytes, name: str = "") -> bytes:
    """Content of a file with its sum, for a name that it must be read under."""
    return data + b"\nsha256 " + _sum(data, name).encode() + b"\n"


def unsealed(data: bytes, name: str = "") -> bytes:
    """Content of a file whose sum is right.

    Raises
    ------
    DamagedError
    """
    found = _LINE.fullmatch(data[-_LENGTH:])
    if found is None:
        raise DamagedError(_NO_SUM)
    content = data[:-_LENGTH]
    if _sum(content, name) != found[1].decode():
        raise DamagedError("it does not match its checksum: it was damaged after it was written")
    return content


def _sum(data: bytes, name: str) -> str:
    return hashlib.sha256(name.encode() + b"\0" + data).hexdigest()


def sum_of(data: bytes) -> str:
    """Sha256 of a file that lies beside the one that names it."""
    return hashlib.sha256(data).hexdigest()


def sealed_json(body: dict[str, Any], indent: int | None = 1) -> str:
    """Text of a table that is not empty, with its sum as last key.

    Raises
    ------
    ValueError
        It holds a number that JSON does not have.
    """
    text = json.dumps(body, indent=indent, allow_nan=False)[:-1].rstrip()
    return f'{text}{_KEY.decode()}{sum_of(text.encode())}"\n}}\n'


def write_json(path: Path, body: dict[str, Any], indent: int | None = 1) -> None:
    """Write a table whole, with its sum."""
    write_text(path, sealed_json(body, indent))


def read_json(path: Path, *, old: int | None = None) -> Any:
    """Value that a file of JSON was written with, without its sum.

    Parameters
    ----------
    old : int, optional
        Schema of before there were sums: files of it are read without.

    Raises
    ------
    OSError
    DamagedError
        It does not match its sum, or has none; it is no JSON, or not of Unicode; it is nested
        too deep.
    """
    return json_of(path.read_bytes(), old=old)


def json_of(data: bytes, *, old: int | None = None) -> Any:
    """As :func:`read_json`, of what stands in a file.

    Raises
    ------
    DamagedError
    """
    head, key, tail = data.rpartition(_KEY)
    if key:
        if tail != f'{sum_of(head)}"\n}}\n'.encode():
            raise DamagedError("it does not match its checksum: it was damaged or changed by hand")
        data = head + b"}"
    elif old is None:
        raise DamagedError(_NO_SUM)
    try:
        value = json.loads(data)
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise DamagedError("it is nested too deep") from error
    except UnicodeError as error:
        raise DamagedError(f"it is no text of Unicode: {error}") from error
    except json.JSONDecodeError as error:
        raise DamagedError(f"it is no JSON: {error}") from error
    if not key and (not isinstance(value, dict) or value.get("schema") != old or "sha256" in value):
        raise DamagedError(_NO_SUM)
    return value


def load_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Arrays of a file of NumPy's (``.npz``), none of them objects.

    Raises
    ------
    DamagedError
        It is no such file, or unpacks to more than :data:`LARGEST` bytes.
    """
    import numpy as np

    try:
        _check_zip(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except DamagedError:
        raise
    except Exception as error:  # NumPy and zipfile raise many types
        raise DamagedError(f"it cannot be read: {type(error).__name__}: {error}") from error


def packed_tensors(value: Any) -> bytes:
    """What :func:`load_tensors` reads, before it is sealed."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def load_tensors(data: bytes) -> Any:
    """Tensors, numbers, text, and containers of these, that ``torch.save`` wrote; runs no code.

    Raises
    ------
    DamagedError
        It is no such file, or what it holds is too deep or too large.
    """
    import torch

    try:
        _check_zip(data)
        _check_tuples(data)
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except DamagedError:
        raise
    except Exception as error:  # torch raises many types
        text = str(error).partition("\n")[0][:200]
        raise DamagedError(f"it cannot be read: {text or type(error).__name__}") from error
    _check_parts(value)
    return value


def _check_zip(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        if sum(part.file_size for part in parts.infolist()) > LARGEST:
            raise DamagedError(f"it unpacks to more than {LARGEST >> 20} MiB")


def _check_tuples(data: bytes) -> None:
    """Refuse tuples nested deep, before a reader takes one for a key: to hash it would not end."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        pickles = [parts.read(name) for name in parts.namelist() if name.endswith(".pkl")]
    for content in pickles:
        stack: list[int] = []  # how deep each object is, and marks
        memo: dict[Any, int] = {}
        for code, argument, _ in pickletools.genops(content):
            before, name = code.stack_before, code.name
            if name.endswith("PUT") or name == "MEMOIZE":
                memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
                continue
            if name.endswith("GET"):
                stack.append(memo[argument])
                continue
            taken, below = [0], len(before)
            if pickletools.markobject in before:
                while (item := stack.pop()) != _MARK:
                    taken.append(item)
                below = before.index(pickletools.markobject)
            taken += [stack.pop() for _ in range(below)]
            deep = max(taken) + ("TUPLE" in name)
            if deep > TUPLES:
                raise DamagedError("it holds tuples that are nested too deep")
            stack += [_MARK if kind is pickletools.markobject else deep
                      for kind in code.stack_after]


def _check_parts(value: Any) -> None:
    """Walk what a stranger nested, before anything looks into it; a hundred bytes can be endless.

    Raises
    ------
    DamagedError
    """
    import torch

    todo, parts, size = [(value, 0)], 0, 0
    while todo:
        item, depth = todo.pop()
        parts += 1
        if isinstance(item, torch.Tensor):
            size += item.numel() * item.element_size()
        elif isinstance(item, dict):
            if not all(isinstance(key, str | int) for key in item):
                raise DamagedError("it holds keys that are neither text nor whole numbers")
            todo += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, list | tuple | set):
            todo += [(inner, depth + 1) for inner in item]
        if parts + len(todo) > PARTS or depth > DEPTH or size > LARGEST:
            raise DamagedError("it holds too much: too many parts, too deep, or too large")
