"""Hash of the code a result depends on: the method's own file and what it imports of ours."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


def code_hash(*classes: type) -> str:
    """Sixteen hexadecimal digits of the classes' modules and of our modules they import.

    Siblings (relative imports) are followed all the way; modules of the engine are taken as far
    as a sibling imports them directly. A changed comment is a changed hash: better to run again
    once too often than to mix two codes.
    """
    hashes = [_hash(cls.__module__) for cls in classes]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]


@functools.cache
def _hash(module: str) -> str:
    digest = hashlib.sha256()
    for name in sorted(_reach(module)):
        path = source_of(name)
        if path is not None:
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _reach(module: str) -> set[str]:
    """The module, its siblings as far as they lead, and the engine modules these name."""
    package = module.rpartition(".")[0]
    reached: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        if name == module or (package and name.startswith(package + ".")):
            todo += _imports(name)
    if "bench.method" in reached:
        reached.add("bench.draws")  # what a Context draws by, whether a method names it or not
    return reached


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of ours that a module imports, wherever in it."""
    path = source_of(module)
    if path is None:
        return ()
    package = module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parent = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{parent}.{base}".strip(".")
            if base in ("bench", package) or base.startswith(("bench.", package + ".")):
                names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [
                a.name for a in node.names if a.name.startswith(("bench.", package + "."))
            ]
    return tuple(n for n in names if n not in ("bench", package) and source_of(n) is not None)


@functools.cache
def source_of(module: str) -> Path | None:
    """Source file of a module, without importing it or what it is in."""
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None:
        try:
            spec = _spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is. Asked of importlib alone, it would import what the name stands in.

    Most names that are asked for are those of functions and classes: the module that holds one
    would be imported for its name's sake, and torch with it.
    """
    parent = module.rpartition(".")[0]
    if not parent or parent in sys.modules:
        return importlib.util.find_spec(module)
    inside = _spec(parent)
    if inside is None or inside.submodule_search_locations is None:
        return None
    found = (finder.find_spec(module, inside.submodule_search_locations)
             for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def key_of(*parts: Any) -> str:
    """Forty hexadecimal digits that name a value computed from ``parts`` (JSON-able)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Twenty hexadecimal digits that name a cell, whatever the order of keys."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
