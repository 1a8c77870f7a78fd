"""What a TOML says of a folder of recordings: read strictly, written by ``bench data add``."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.data.channels import canonical
from bench.errors import DataError, SettingError

from .. import tables
from ..recordings import Unit
from .names import NamePattern

#: Kinds of folders.
Make = Literal["recordings", "bids", "npz", "mat", "csv"]
_LARGEST = 1 << 20
Word = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^,=:\x00-\x1f]+$")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Numbers = dict[Word, Annotated[int, Field(ge=0, le=9999)]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrialsPart(_Part):
    """Table ``trials``: what a trial is.

    Attributes
    ----------
    source : {"file", "events", "stored"}
        A file is a trial; an event begins one; a file holds several (``.npz``, ``.csv``).
    column : str
        Of a BIDS table of events: the column that names what is shown.
    only_column, only : str, list of str
        Of a table of events: only rows with one of these texts in that column begin a trial.
    ends : list of str
        Texts (in ``only_column``, else in ``column``) that end one.
    length, skip : float
        Seconds of a trial, 0: as long as the event lasts, else up to the next; seconds left out
        at its start.
    time : str
        Unit of a table of events: s, ms, samples, or auto.
    cut : float
        Seconds of pieces that a trial is cut into, each a trial of its own and marked as such;
        0: not cut.
    order : bool
        Whether the order of trials is that of presentation.
    """

    source: Literal["file", "events", "stored"] = "file"
    column: str = ""
    only_column: str = ""
    only: list[str] = []
    ends: list[str] = []
    length: Seconds = 0.0
    skip: Seconds = 0.0
    time: Literal["auto", "s", "ms", "samples"] = "auto"
    cut: Seconds = 0.0
    order: bool = False


class RatingPart(_Part):
    """Table ``ratings.NAME``: a rating of each trial, and the column or key that holds it.

    Attributes
    ----------
    column : str
    scale : (float, float)
    threshold : float or None
        Above it is high; the middle of the scale if not given.
    match : str
        Of a table in ``beh/``: the column that names the clip; empty: its rows are in the order of
        the trials.
    """

    column: Word
    scale: tuple[float, float] = (1.0, 9.0)
    threshold: float | None = None
    match: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high = self.scale
        if not low < high or not low <= self.cut <= high:
            raise ValueError("a scale runs from low to high, with the threshold in it")
        return self

    @property
    def cut(self) -> float:
        """What is above it is high."""
        return sum(self.scale) / 2 if self.threshold is None else self.threshold


class KeysPart(_Part):
    """Table ``keys``: names of variables or columns of ``.npz``, ``.mat`` and ``.csv`` files."""

    data: str = ""
    label: str = ""
    subject: str = ""
    session: str = ""
    trial: str = ""
    time: str = ""
    #: Axes of ``data``: t trials, c channels, s samples.
    axes: Literal["", "cs", "sc", "tcs", "tsc", "cst", "sct"] = ""


class Description(_Part):
    """All that is known of a folder."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?$")]
    title: str = ""
    folder: str = "."
    make: Make
    files: str = ""
    task: str = ""
    rate: Annotated[float, Field(ge=20, le=100_000)]
    unit: Unit = "V"
    channels: Annotated[list[Word], Field(min_length=1, max_length=1024)]
    trials: TrialsPart = TrialsPart()
    keys: KeysPart = KeysPart()
    classes: dict[Word, Label] = {}
    ratings: dict[Label, RatingPart] = {}
    subjects: Numbers = {}
    sessions: Numbers = {}

    @field_validator("channels")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        names = [canonical(n) for n in value]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} named more than once")
        return value

    @field_validator("files")
    @classmethod
    def _a_pattern(cls, value: str) -> str:
        if value:
            try:
                NamePattern.parse(value)
            except SettingError as error:
                raise ValueError(error.message) from error
        return value

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.make != "bids" and not self.files:
            raise ValueError("a pattern of file names is needed, as key 'files'")
        if len(self.class_names) < 2 and not self.ratings:
            raise ValueError("two classes at least, in table 'classes': TEXT = \"CLASS\"")
        if "classes" in self.ratings:
            raise ValueError("no rating can be called 'classes'")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order in which the table first names each."""
        return tuple(dict.fromkeys(self.classes.values()))

    @property
    def pattern(self) -> NamePattern | None:
        """Pattern of file names."""
        return NamePattern.parse(self.files) if self.files else None


def read(path: Path) -> Description:
    """Description from a TOML.

    Raises
    ------
    DataError
        No such file, no TOML, or a key or value is wrong: names it.
    """
    text = tables.text_of(path, _LARGEST)
    try:
        content = tomllib.loads(text)
        return Description.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        said = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{path}, {key}", "a description of a folder", said[:200], _MEND) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise DataError(path, "a TOML file", str(error)[:150] or "one nested too deep",
                        _MEND) from error


_MEND = "Keys and values stand in docs/own-data.md; or write it anew: bench data add DIR --as NAME"


def toml_of(description: Description, comments: Mapping[str, str] | None = None) -> str:
    """TOML of a description, defaults left out, with comments before keys.

    Parameters
    ----------
    comments : mapping of str to str
        By key or table; "" for the head.
    """
    notes = dict(comments or {})
    values = description.model_dump(mode="json", exclude_defaults=True)
    values |= {"format": description.format, "unit": description.unit}
    first = ["format", "name", "title", "folder", "make", "files", "task", "rate", "unit",
             "channels"]
    lines = _comment(notes.get("", ""))
    for key in first:
        if key in values:
            lines += _comment(notes.get(key, ""))
            lines.append(f"{key} = {_value(values[key])}")
    for name in ("trials", "keys", "classes", "subjects", "sessions"):
        if values.get(name):
            lines += ["", *_comment(notes.get(name, "")), f"[{name}]"]
            lines += [f"{_key(k)} = {_value(v)}" for k, v in values[name].items()]
    for name, part in values.get("ratings", {}).items():
        lines += ["", *_comment(notes.get("ratings", "")), f"[ratings.{_key(name)}]"]
        lines += [f"{_key(k)} = {_value(v)}" for k, v in part.items()]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in text.splitlines()]


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _value(text)


def _value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 \
            else repr(value)
    if isinstance(value, str):  # a basic string of TOML is a string of JSON
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    parts = [_value(v) for v in value]
    one = f"[{', '.join(parts)}]"
    if len(one) <= 90:
        return one
    out, line = [], "   "
    for part in parts:
        if len(line) + len(part) > 90:
            out.append(line)
            line = "   "
        line += f" {part},"
    return "[\n" + "\n".join([*out, line]) + "\n]"
