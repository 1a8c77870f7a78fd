"""Published weights of a pre-trained network, read so that no file runs code or lies about itself.

A file is read whole, its sha256 taken of what was read, and tensors are made of these very bytes:
by PyTorch's reader of weights alone, or of a file of safetensors by the few lines below.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BenchError
from .seal import LARGEST, DamagedError, load_tensors

if TYPE_CHECKING:
    from torch import Tensor

#: Ends of names of files that hold weights.
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Names under which a checkpoint keeps its weights, among other things.
_INSIDE = ("state_dict", "model_state_dict", "model")
#: Longest header of a file of safetensors.
_HEADER = 1 << 24
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
           "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
           "BOOL": "bool"}


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights as they were read.

    Attributes
    ----------
    digest : str
        Sha256 of the file.
    state : mapping of str to Tensor
    path : Path
    """

    digest: str
    state: Mapping[str, Tensor] = field(repr=False)
    path: Path

    @property
    def name(self) -> str:
        """As parameters name them."""
        return f"sha256:{self.digest}"


def read_weights(path: Path) -> Weights:
    """Weights of a file.

    Raises
    ------
    BenchError
        The file cannot be read, is too large, or holds anything but finite tensors by name.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise DamagedError(f"it has {size >> 20} MiB, and {LARGEST >> 20} MiB are the most")
        data = path.read_bytes()
        safe = path.suffix == ".safetensors"
        state = read_safetensors(data) if safe else _tensors(load_tensors(data))
        _check_numbers(state)
    except OSError as error:
        raise BenchError(f"weights {path} cannot be read: {error.strerror or error}") from error
    except DamagedError as error:
        raise BenchError(
            f"weights {path} are refused: {error}",
            "A file holds tensors by name, and nothing else: model.safetensors, or what "
            "torch.save(network.state_dict()) wrote.",
        ) from error
    return Weights(hashlib.sha256(data).hexdigest(), state, path)


def read_safetensors(data: bytes) -> dict[str, Tensor]:
    """Tensors of a file of safetensors.

    Raises
    ------
    DamagedError
        Its header is no JSON, or does not fit what follows.
    """
    import torch

    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_HEADER, len(data) - 8):
        raise DamagedError("its header is longer than the file, or than any has need to be")
    try:
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        entries = {str(n): (e["dtype"], list(e["shape"]), *e["data_offsets"])
                   for n, e in header.items()}
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError("its header is none of safetensors") from error
    body, out = memoryview(bytearray(data[8 + length :])), {}
    for name, entry in entries.items():
        if len(entry) != 4 or not _fits(entry, len(body)):
            raise DamagedError(f"{name[:80]!r} does not lie in the file as its header says")
        kind, shape, start, end = entry
        dtype = getattr(torch, _DTYPES[kind])
        out[name] = (torch.frombuffer(body[start:end], dtype=dtype).reshape(shape).clone()
                     if end > start else torch.empty(shape, dtype=dtype))
    return out


def _fits(entry: tuple[Any, ...], size: int) -> bool:
    """Whether a tensor lies within so many bytes, and has as many as its shape needs."""
    import torch

    kind, shape, start, end = entry
    numbers = [*shape, start, end]
    if kind not in _DTYPES or not all(type(n) is int and n >= 0 for n in numbers):
        return False
    each: int = torch.empty(0, dtype=getattr(torch, _DTYPES[kind])).element_size()
    return bool(end <= size and end - start == each * math.prod(shape))


def _tensors(value: Any) -> dict[str, Tensor]:
    """Tensors by name, of a state or of a checkpoint around one.

    Raises
    ------
    DamagedError
    """
    import torch

    inside = [value[n] for n in _INSIDE if isinstance(value, dict) and isinstance(
        value.get(n), dict)]
    state = inside[0] if inside else value
    if not isinstance(state, dict) or not state or not all(
        isinstance(n, str) and isinstance(t, torch.Tensor) for n, t in state.items()
    ):
        raise DamagedError("it holds something other than tensors by name")
    return dict(state)


def _check_numbers(state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are no plain numbers.

    Raises
    ------
    DamagedError
    """
    import torch

    for name, t in state.items():
        plain = t.layout is torch.strided and not t.is_complex() and not t.is_quantized
        if not plain or not torch.isfinite(t.float()).all():
            raise DamagedError(f"{name[:80]!r} holds numbers that are not finite, or none at all")
