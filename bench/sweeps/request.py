"""What a sweep is asked for: the keys of sweep.toml, which are the flags of bench sweep."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from ..errors import SettingError
from ..runs.options import RunOptions
from .workers.slurm import ClusterSpec


def _listed(value: Any) -> Any:
    """One name, or a list of names written with commas, as a list."""
    return [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed)]


Values = dict[str, Any]


class Tune(BaseModel):
    """Table ``tune`` of a ``sweep.toml``: every method is tuned before it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(20, ge=1, description="trials of each method in each pair and protocol")
    rule: str | None = Field(None, description="selection rule; the protocol's own if not given")
    storage: str | None = Field(None, description="Optuna storage; else journals in the run folder")
    together: int = Field(1, ge=1, description="trials that are chosen at once and share a stack")


class Request(BaseModel):
    """What a ``sweep.toml`` may hold; the flags of ``bench sweep`` are its top-level keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: Names = Field(min_length=1, description="names; see bench list methods")
    pairs: Names = Field(
        ["all"], min_length=1, description="all, or SOURCE->TARGET, * allowed; A+B->C joins sources"
    )
    protocols: Names = Field(["few-shot"], min_length=1, description="see bench list protocols")
    seeds: int | list[int] = Field(1, description="how many (from 0), or which")
    params: dict[str, Values | list[Values]] = Field(
        default_factory=dict, description="table per method; a list of tables is a list of variants"
    )
    preset: str = Field("default", description="named parameter set of every method")
    tune: Tune | None = Field(None, description="table with trials, rule, storage: tune first")
    protocol: dict[str, Values] = Field(default_factory=dict, description="options per protocol")
    scale: str | None = Field(None, description="demo, table, null or published")
    simulated: bool = Field(False, description="use simulated corpora")
    recipe: Values = Field(default_factory=dict, description="changes to the simulated corpora")
    data: Path | None = Field(None, description="folder of the corpora")
    scaling: str = Field(
        "auto", description="auto, min-max, z-score, robust, euclidean or none"
    )
    selection: str = Field("last", description="rule that chooses the epoch that is scored")
    scaling_scope: str = Field(
        "corpus", description="corpus, subject, source, tested or subject-tested"
    )
    sessions: Literal["first", "all"] = Field("first", description="sessions of each subject")
    features: str = Field("bench", description="bench, raw, official or official-4s")
    official_kind: str = Field("", description="which of the owner's features")
    window: float = Field(1.0, gt=0, description="window length in s")
    threshold: float = Field(5.0, description="ratings above it are high")
    drop_middle: tuple[float, float] | None = Field(None, description="ratings to leave out")
    exclude: dict[str, list[int]] = Field(default_factory=dict, description="subjects per corpus")
    controls: bool = Field(True, description="also run the controls of each method")
    include: Names = Field(default_factory=list, description="files or modules with a CATALOGUE")
    device: str = Field("cpu", description="auto, cpu, cuda, cuda:0,1 or mps")
    precision: str = Field("float32", description="float32, float64, tf32 or bf16")
    deterministic: bool = Field(False, description="only kernels that repeat bit by bit")
    energy: bool = Field(False, description="measure energy with CodeCarbon")
    cluster: ClusterSpec | None = Field(None, description="batch system that runs the workers")
    save_models: bool = Field(False, description="also write trained networks")
    diagnostics: bool = Field(False, description="also write embeddings and band importance")

    def numbers(self) -> list[int]:
        """Seeds, each once."""
        chosen = range(self.seeds) if isinstance(self.seeds, int) else self.seeds
        if not len(chosen) or min(chosen) < 0:
            raise SettingError(
                f"seeds = {self.seeds!r}: at least one is needed, and none below 0",
                "A number of seeds (5), or a list of them ([0, 3]).",
            )
        return list(dict.fromkeys(chosen))

    def options(self, seed: int = 0) -> RunOptions:
        """Settings that ``bench run`` would have for a cell of this plan."""
        from ..data.labels import LabelRule
        from ..data.reading import ReadOptions
        from ..runs.options import RunOptions

        return RunOptions(
            data=self.data, simulated=self.simulated, recipe=self.recipe, scale=self.scale,
            scaling=self.scaling, scaling_scope=self.scaling_scope, selection=self.selection,
            device=self.device, precision=self.precision, deterministic=self.deterministic,
            energy=self.energy, save_models=self.save_models, diagnostics=self.diagnostics,
            preset=self.preset, seed=seed,
            exclude={k: frozenset(v) for k, v in self.exclude.items()},
            read=ReadOptions(
                features=self.features,
                official_kind=self.official_kind, window_s=self.window, sessions=self.sessions,
                rule=LabelRule(self.threshold, self.drop_middle),
            ),
        )

    def shared(self) -> Values:
        """What all cells of the plan have in common and what decides their numbers."""
        return self.model_dump(mode="json", include={
            "scale", "simulated", "recipe", "scaling", "scaling_scope", "selection", "sessions",
            "features", "official_kind", "window", "threshold", "drop_middle", "exclude",
            "precision",
        })


def read_request(path: Path | None, flags: Mapping[str, Any]) -> Request:
    """Request from a file, from flags, or from a file with flags over it.

    Raises
    ------
    SettingError
        The file cannot be read, or a key or value is wrong; suggests the nearest key.
    """
    values: Values = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingError(f"{path} is not there", "See docs/sweeps.md.") from None
        except (OSError, ValueError) as error:
            raise SettingError(f"{path} is no TOML file: {error}") from error
    given = {k: v for k, v in flags.items() if v is not None}
    if isinstance(values.get("tune"), dict) and "tune" in given:
        given["tune"] = values["tune"] | given["tune"]
    values |= given
    try:
        return Request(**values)
    except ValidationError as error:
        raise _explained(error, str(path or "bench sweep")) from error


def _explained(error: ValidationError, where: str) -> SettingError:
    """What is wrong with a request: a key that is unknown, else no methods, else a value."""
    errors = error.errors()
    for found in errors:
        if found["type"] == "extra_forbidden":
            return _unknown_key(found["loc"], where)
    if any(e["type"] == "missing" and e["loc"] == ("methods",) for e in errors):
        return SettingError(
            "no methods to sweep over", "Give a sweep.toml, or --method NAME,NAME,..."
        )
    first = errors[0]
    path, about = _place(first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return SettingError(f"{where}: {path} = {first.get('input')!r}: {text}", about)


def _unknown_key(loc: tuple[int | str, ...], where: str) -> SettingError:
    """An unknown key, with the nearest one and all of its table."""
    table = "".join(f"{part}." for part in loc[:-1])
    model = _table(Request.model_fields[str(loc[0])]) if table else Request
    known = (model or Request).model_fields
    near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    hint = f"Did you mean {table + near[0]!r}? " if near else ""
    keys = f"Keys of {table[:-1]}" if table else "Keys"
    return SettingError(
        f"{where} has no key {f'{table}{loc[-1]}'!r}", f"{hint}{keys}: {', '.join(known)}"
    )


def _place(loc: tuple[int | str, ...]) -> tuple[str, str]:
    """Key as it is written in a file, without the branches of pydantic's unions; what it is."""
    parts, rest, about = [str(loc[0])], loc[1:], Request.model_fields[str(loc[0])]
    model = _table(about)
    if model is not None and rest:
        parts.append(str(rest[0]))
        about, rest = model.model_fields[str(rest[0])], rest[1:]
    hint = f"{'.'.join(parts)}: {about.description}"
    if get_origin(about.annotation) is dict:
        parts, rest = parts + [str(part) for part in rest[:1]], rest[1:]
    return ".".join([*parts, *(str(part) for part in rest if isinstance(part, int))]), hint


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """Model of a key that holds a table."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
