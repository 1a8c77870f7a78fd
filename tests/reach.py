"""What can be got at from an object: for tests that nothing leads to test windows."""

from __future__ import annotations

import types
from typing import Any

import numpy as np


def reachable(*roots: Any):
    """Every object that can be got at from ``roots``: attributes, items, closures, array bases."""
    seen: dict[int, Any] = {}
    todo = list(roots)
    while todo:
        found = todo.pop()
        if id(found) in seen or isinstance(found, type | types.ModuleType | str | bytes | int):
            continue
        seen[id(found)] = found
        yield found
        if isinstance(found, np.ndarray):
            todo.append(found.base)
            if found.dtype == object:
                todo += found.tolist()
            continue
        if isinstance(found, dict | types.MappingProxyType):
            todo += [*found.keys(), *found.values()]
        elif isinstance(found, list | tuple | set | frozenset):
            todo += found
        if isinstance(found, types.FunctionType):
            todo += [c.cell_contents for c in found.__closure__ or () if c != types.CellType()]
            todo += [found.__defaults__, found.__kwdefaults__]
        if isinstance(found, types.MethodType):
            todo += [found.__self__, found.__func__]
        if isinstance(found, memoryview):
            todo.append(found.obj)
        for cls in type(found).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                name = f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") else slot
                todo.append(getattr(found, name, None))
        todo.append(getattr(found, "__dict__", None))


def rows_within(*roots: Any):
    """Bytes of every row of numbers in the reachable arrays, as (channels, features) windows."""
    for found in reachable(*roots):
        if isinstance(found, np.ndarray) and found.ndim == 3 and len(found):
            yield from (row.astype(np.float32).tobytes() for row in found)
        elif isinstance(found, np.ndarray) and found.dtype.kind == "f" and found.size > 20:
            yield found.astype(np.float32).tobytes()
