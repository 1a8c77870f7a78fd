"""Keywords of :func:`bench.run`, sweep, tune and audit, for editors and checkers.

Made from the options by ``python tests/keywords.py``; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from .options import Classes


class CellKeywords(TypedDict, total=False):
    """What a run and a sweep have in common."""

    preset: str
    scale: str | None
    device: str
    precision: str
    deterministic: bool
    compile: Literal["auto", "off"]
    energy: bool
    include: str | Sequence[str]
    scaling: str
    scaling_scope: str
    selection: str
    hold_out: Literal["none", "stimulus"]
    classes: Classes
    data: Path | str | None
    simulated: bool
    recipe: Mapping[str, Any]
    montage: str
    sessions: Literal["first", "all"]
    features: str
    official_kind: str
    window: float
    threshold: float | Mapping[str, float] | None
    drop_middle: tuple[float, float] | None
    map: str | Sequence[str]
    exclude: Mapping[str, Sequence[int]]
    weights: Path | str | None
    save_models: bool
    diagnostics: bool
    controls: bool
    shuffled_source: bool


class RunKeywords(CellKeywords, total=False):
    """Fields of :class:`bench.Options`: what they mean stands in ``bench run --help``."""

    protocol: str
    protocol_params: Mapping[str, Any]
    params: Mapping[str, Any]
    seed: int
    runs: Path | str


class TuneKeywords(RunKeywords, total=False):
    """The same, and fields of :class:`bench.TuneOptions`."""

    trials: int
    rule: str | None
    only: str | Sequence[str]
    storage: str | None
    together: int


class AuditKeywords(RunKeywords, total=False):
    """The same, and fields of :class:`bench.AuditOptions`."""

    seeds: int | Sequence[int]
    only: str | Sequence[str]
    draws: int


class PlanKeywords(CellKeywords, total=False):
    """Keys of a ``sweep.toml``: what they mean stands in ``bench sweep --help``."""

    methods: str | Sequence[str]
    pairs: str | Sequence[str]
    protocols: str | Sequence[str]
    seeds: int | list[int] | Literal["auto"]
    params: Mapping[str, Any]
    protocol: Mapping[str, Mapping[str, Any]]
    calibration: str | Sequence[str]
    tune: Mapping[str, Any] | None
    cluster: str | Mapping[str, Any] | None


class SweepKeywords(PlanKeywords, total=False):
    """The same, and fields of :class:`bench.SweepOptions`."""

    runs: Path | str
    workers: int
    stack: int | None
    timeout: float | None
    memory: str | None
    retry: Literal["failed", "killed", "none"]
    fail_fast: bool
