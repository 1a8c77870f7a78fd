"""Writes ``bench/runs/keywords.py`` from the models of options: ``python tests/keywords.py``.

Editors and type checkers complete keywords that stand in a file, not those that a decorator makes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from bench.auditing.audit import AuditOptions
from bench.runs.options import CellOptions, Options
from bench.sweeps.request import Request, SweepOptions
from bench.tuning.search import TuneOptions

PATH = Path(__file__).resolve().parent.parent / "bench" / "runs" / "keywords.py"
#: What may be given for a field of a type; others are given as they are.
_TYPES = {
    "Path": "Path | str", "Path | None": "Path | str | None", "Positive": "float",
    "Names": "str | Sequence[str]", "list[str]": "str | Sequence[str]",
    "Sequence[str]": "str | Sequence[str]",
    "dict[str, Values]": "Mapping[str, Mapping[str, Any]]",
    "dict[str, Values | list[Values]]": "Mapping[str, Any]",
    "tuple[str, ...]": "str | Sequence[str]", "tuple[int, ...]": "int | Sequence[int]",
    "Stack": "int | None", "Retry": 'Literal["failed", "killed", "none"]',
    "Tune | None": "Mapping[str, Any] | None",
    "ClusterSpec | None": "str | Mapping[str, Any] | None",
}
_HEAD = '''"""Keywords of :func:`bench.run`, sweep, tune and audit, for editors and checkers.

Made from the options by ``python tests/keywords.py``; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from .options import Classes

'''


def text() -> str:
    """What the file has to hold."""
    common = {f.name for f in dataclasses.fields(CellOptions)}
    return _HEAD + "\n".join([
        _table("CellKeywords(TypedDict, total=False)", "What a run and a sweep have in common.",
               CellOptions),
        _table("RunKeywords(CellKeywords, total=False)", "Fields of :class:`bench.Options`: what "
               "they mean stands in ``bench run --help``.", Options, common),
        _table("TuneKeywords(RunKeywords, total=False)", "The same, and fields of "
               ":class:`bench.TuneOptions`.", TuneOptions),
        _table("AuditKeywords(RunKeywords, total=False)", "The same, and fields of "
               ":class:`bench.AuditOptions`.", AuditOptions),
        _table("PlanKeywords(CellKeywords, total=False)", "Keys of a ``sweep.toml``: what they "
               "mean stands in ``bench sweep --help``.", Request, common),
        _table("SweepKeywords(PlanKeywords, total=False)", "The same, and fields of "
               ":class:`bench.SweepOptions`.", SweepOptions,
               {f.name for f in dataclasses.fields(Request)}),
    ])


def _table(head: str, said: str, model: type, but: Collection[str] = ()) -> str:
    lines = [f"class {head}:", f'    """{said}"""', ""]
    lines += [f"    {f.name}: {_TYPES.get(str(f.type), str(f.type))}".replace("'", '"')
              for f in dataclasses.fields(model) if f.name not in but]
    return "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
