"""Folders of ``.npz``, ``.mat`` and ``.csv`` files: which array is what, by one rule each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.channels import POSITIONS, canonical
from bench.errors import DataError, SettingError

from .. import matlab, tables
from . import arrays
from .description import KeysPart, TrialsPart
from .look import (
    Draft,
    channels,
    numbers_of,
    pattern_of,
    ratings,
    sampled,
    unit_of_numbers,
    usable,
)
from .names import NamePattern
from .sources import ENDINGS, below

_RATE = re.compile(r"fs|f_s|rate|sr|srate|sfreq|freq|sampling_?(rate|freq|frequency)|sample_?rate",
                   re.IGNORECASE)
_LABEL = re.compile(r"y|labels?|class(es)?|targets?|conditions?|markers?|states?|emotions?|events?"
                    r"|stim(ulus)?", re.IGNORECASE)
_SUBJECT = re.compile(r"s|sub(j|ject)?s?|subject_?ids?|participants?|person", re.IGNORECASE)
_SESSION = re.compile(r"ses(s|sion)?s?|session_?ids?|visits?|days?", re.IGNORECASE)
_TRIAL = re.compile(r"trials?(_?(id|number|no))?|segments?|epochs?", re.IGNORECASE)
_TIME = re.compile(r"t|times?|time_?stamps?|seconds?|milliseconds?|ms|sec", re.IGNORECASE)
_NAMES = re.compile(r"ch(an(nel)?)?(_?names?|s|_?labels)?|channels|electrodes", re.IGNORECASE)
#: Of the file that names channels where no recording does.
_LISTED = re.compile(r".*(channel|electrode|montage).*\.(txt|csv|tsv)", re.IGNORECASE)
_MOST_LABELS = 50


def npz(draft: Draft) -> None:
    """Fill in what a folder of ``.npz`` files seems to hold.

    Raises
    ------
    SettingError, DataError
    """
    paths = _files(draft, "npz")
    there = arrays.npz_shapes(paths[0])
    data = _largest(draft, paths[0], {n: s for n, (s, d) in there.items() if d.kind in "fiu"})
    shape = there[data][0]
    flat = {n: int(np.prod(s, dtype=int)) for n, (s, _) in there.items()
            if n != data and len(s) <= 2 and (len(s) < 2 or 1 in s)}
    stored = arrays.npz_arrays(paths[0], [n for n, size in flat.items() if size <= 100_000])
    names = next((n for n in flat if _NAMES.fullmatch(n) and stored[n].dtype.kind in "US"), None)
    if names is not None:
        channels(draft, arrays.texts(stored[names], f"{paths[0]} {names}"))
        count = stored[names].size
        if len(draft.values["channels"]) != count:
            raise draft.lacks(
                f"where each of {count} channels sits, and all of an array must be named",
                "--channels Fp1,Fp2,... with a name of an electrode for each")
    else:
        _listed_channels(draft, shape)
    _rate_of_key(draft, {n: stored[n] for n, size in flat.items() if size == 1})
    count = len(draft.values["channels"])
    label = next((n for n, size in flat.items() if _LABEL.fullmatch(n) and size > 1
                  and size in shape), None)
    trials = flat[label] if label else None
    axes = _axes(draft, data, shape, count, trials)
    trials = shape[axes.index("t")] if "t" in axes else 1

    def of_each(pattern: re.Pattern[str]) -> str:
        return next((n for n, size in flat.items() if n != label and pattern.fullmatch(n)
                     and size in (trials, 1) and stored[n].dtype.kind in "iufUS"), "")

    keys = KeysPart(data=data, label=label or "", subject=of_each(_SUBJECT),
                    session=of_each(_SESSION), axes=axes)  # type: ignore[arg-type]
    draft.values["keys"] = keys
    draft.report.took("arrays", arrays.keys_said(keys))
    pattern = _pattern_or_any(draft, paths, bool(keys.subject))
    _classes_of_npz(draft, paths, pattern, keys)
    if keys.subject:
        said = [t for p in paths for t in arrays.texts(
            arrays.npz_arrays(p, [keys.subject]).get(keys.subject, np.array([])), str(p))]
        draft.values["subjects"] = numbers_of(list(dict.fromkeys(said)))
    ratings(draft, {n: stored[n].ravel().astype(float).tolist() for n, size in flat.items()
                    if size == trials and stored[n].dtype.kind in "iuf"})
    unit_of_numbers(draft, [_spread(arrays.npz_arrays(p, [data])[data], axes)
                            for p in sampled(paths, 4)])


def mat(draft: Draft) -> None:
    """Fill in what a folder of ``.mat`` files, one a trial, seems to hold.

    Raises
    ------
    SettingError, DataError
    """
    paths = _files(draft, "mat")
    pattern = pattern_of(draft, paths)
    there = dict(matlab.shapes(paths[0]))
    data = _largest(draft, paths[0], {n: s for n, s in there.items() if len(s) == 2})
    scalars = [n for n, s in there.items() if s == (1, 1) and _RATE.fullmatch(n)]
    _listed_channels(draft, there[data])
    _rate_of_key(draft, matlab.arrays(paths[0], scalars) if scalars else {})
    axes = _axes(draft, data, there[data], len(draft.values["channels"]), None)
    draft.values["keys"] = KeysPart(data=data, axes=axes)  # type: ignore[arg-type]
    draft.report.took("arrays", f"{data!r} for signals, {_words(axes)}")
    _classes_of_names(draft, paths, pattern)
    unit_of_numbers(draft, [_spread(v, axes) for p in sampled(paths, 4)
                            if (v := matlab.arrays(p, [data]).get(data)) is not None])


def csv(draft: Draft) -> None:
    """Fill in what a folder of ``.csv`` files seems to hold.

    Raises
    ------
    SettingError, DataError
    """
    every = _files(draft, "csv")
    paths = [p for p in every if not _LISTED.fullmatch(p.name) and _holds_signals(draft, p)]
    for path in every:
        if path not in paths:
            draft.report.at("skipped", "files", "no table of signals: its first line names no two "
                            "electrodes", path)
    if not paths:
        raise SettingError(f"{draft.folder.path}: no table has columns that are electrodes",
                           "The first line must name columns, one an electrode (Fp1, Cz, ...).")
    pattern = pattern_of(draft, paths)
    named, _ = arrays.csv_head(paths[0])
    time = next((n for n in named if _TIME.fullmatch(n)), "")
    label = next((n for n in named if _LABEL.fullmatch(n) and canonical(n) not in POSITIONS), "")
    trial = next((n for n in named if _TRIAL.fullmatch(n)), "")
    channels(draft, [n for n in named if n not in (time, label, trial)])
    keys = KeysPart(label=label, trial=trial, time=time)
    draft.values["keys"] = keys
    if arrays.keys_said(keys):
        draft.report.took("columns", arrays.keys_said(keys))
    first = arrays.csv_table(paths[0], [k for k in (label, trial) if k])
    if draft.folder.rate:
        draft.has_rate(draft.folder.rate, "as given")
    elif time:
        rate, unit = arrays.clock(first.numbers[first.names.index(time)])
        if not rate:
            raise draft.lacks(f"the rate: column {time!r} does not run", "--rate 128")
        nearest = round(rate) if abs(rate - round(rate)) < 0.02 * rate else round(rate, 3)
        draft.has_rate(float(nearest), f"from column {time!r}, which is in "
                       + ("milliseconds" if unit == "ms" else "seconds"))
    else:
        raise draft.lacks("how many samples a second there are: no column is a time", "--rate 128")
    if label or trial:
        _classes_of_columns(draft, paths, pattern, keys)
    else:
        _classes_of_names(draft, paths, pattern)
    known = [canonical(n) for n in first.names]
    rows = [known.index(canonical(c)) for c in draft.values["channels"]]
    unit_of_numbers(draft, [float(np.nanmedian(np.nanstd(first.numbers[rows], axis=1)))])


def _files(draft: Draft, make: str) -> list[Path]:
    root = draft.folder.path.resolve()
    out = usable(draft, ENDINGS[make])
    if draft.folder.files:
        pattern = NamePattern.parse(draft.folder.files)
        out = [p for p in out if pattern.match(p.relative_to(root).as_posix())]
    if not out:
        raise SettingError(f"{root} holds no file {' or '.join(ENDINGS[make])} that can be read"
                           + (f" and is named {draft.folder.files}" if draft.folder.files else ""))
    return out


def _holds_signals(draft: Draft, path: Path) -> bool:
    """Whether the first line of a table names electrodes."""
    try:
        named, _ = arrays.csv_head(path)
    except DataError as error:
        draft.report.doubt("files", f"{path.name}: {error.message}")
        return False
    wanted = {canonical(c) for c in draft.folder.channels} or POSITIONS.keys()
    return sum(canonical(n) in wanted for n in named) >= 2


def _largest(draft: Draft, path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    """Name of the largest array of two or three axes."""
    able = {n: s for n, s in shapes.items() if (len(s) in (2, 3) and min(s) > 1) or len(s) == 3}
    if not able:
        raise SettingError(f"{path}: no array has channels and samples",
                           f"There: {', '.join(f'{n} {s}' for n, s in shapes.items()) or 'none'}")
    name = max(able, key=lambda n: int(np.prod(able[n], dtype=object)))
    others = [n for n, s in able.items() if n != name and len(s) == len(able[name])
              and np.prod(s) > 0.5 * np.prod(able[name])]
    if others:
        draft.report.doubt("arrays", f"{name!r} was taken for the signals, not "
                           f"{', '.join(map(repr, others))}")
    return name


def _axes(
    draft: Draft, name: str, shape: Sequence[int], count: int, trials: int | None
) -> str:
    """Which axis is what, by the number of channels, and of labels; else by the usual order."""
    usual = "tcs" if len(shape) == 3 else "cs"
    able = [i for i, n in enumerate(shape) if n == count]
    if not able:
        raise draft.lacks(f"which axis of {name!r}, {tuple(shape)}, has its {count} channels",
                          "--channels with as many names as it has")
    options = ["tcs", "tsc", "cst", "sct"] if len(shape) == 3 else ["cs", "sc"]
    fits = [o for o in options if shape[o.index("c")] == count
            and (trials is None or "t" not in o or shape[o.index("t")] == trials)]
    if not fits:
        raise SettingError(f"{draft.folder.path}: {name!r} of shape {tuple(shape)} has no axis of "
                           f"{trials} trials beside one of {count} channels")
    chosen = usual if usual in fits else fits[0]
    if len(fits) > 1:
        draft.report.doubt("arrays", f"{name!r} of shape {tuple(shape)} was taken for "
                           f"{_words(chosen)}; it fits {', '.join(map(_words, fits[1:]))}, too")
    else:
        draft.report.took("arrays", f"{name!r} is {_words(chosen)}, shape {tuple(shape)}")
    return chosen


def _words(axes: str) -> str:
    return " x ".join({"t": "trials", "c": "channels", "s": "samples"}[a] for a in axes)


def _spread(data: np.ndarray[Any, Any], axes: str) -> float:
    """Median standard deviation over time."""
    return float(np.median(np.std(data.astype(float), axis=axes.index("s"))))


def _listed_channels(draft: Draft, shape: Sequence[int]) -> None:
    """Channels as given, or as a file in the folder names them.

    Raises
    ------
    SettingError
    """
    folder = draft.folder
    if folder.channels:
        channels(draft, [])
        return
    root = folder.path.resolve()
    for path in below(root, (".txt", ".csv", ".tsv")):
        if not _LISTED.fullmatch(path.name):
            continue
        lines = re.findall(r"[A-Za-z]+[A-Za-z0-9]*", tables.text_of(path))
        named = [n for n in dict.fromkeys(lines) if canonical(n) in POSITIONS]
        if len(named) in shape:
            draft.report.took("channels", f"the order of {path.name}")
            channels(draft, named)
            return
    raise draft.lacks(f"which channel is which of an array of shape {tuple(shape)}",
                      "--channels Fp1,Fp2,..., or a file channels.txt with a name a line")


def _rate_of_key(draft: Draft, scalars: dict[str, np.ndarray[Any, Any]]) -> None:
    if draft.folder.rate:
        draft.has_rate(draft.folder.rate, "as given")
        return
    for name, value in scalars.items():
        if _RATE.fullmatch(name) and value.dtype.kind in "iuf" and float(value.ravel()[0]) >= 20:
            draft.has_rate(float(value.ravel()[0]), f"from {name!r}")
            return
    raise draft.lacks("how many samples a second there are", "--rate 128")


def _pattern_or_any(draft: Draft, paths: Sequence[Path], stored: bool) -> NamePattern:
    """Pattern of names; any name where the files say themselves whose trials they hold."""
    if draft.folder.files or not stored:
        return pattern_of(draft, paths)
    draft.values["files"] = "*.npz"
    draft.report.took("names", "any file .npz: an array says whose each trial is")
    return NamePattern.parse("*.npz")


def _classes_of_npz(
    draft: Draft, paths: Sequence[Path], pattern: NamePattern, keys: KeysPart
) -> None:
    """Classes of the array of labels; of numbers, by the list of names that a file may hold."""
    if not keys.label:
        _classes_of_names(draft, paths, pattern)
        return
    stored: dict[str, Any] = {}
    for path in paths:
        found = arrays.npz_arrays(path, [keys.label])
        if keys.label not in found:
            draft.report.at("doubt", "classes", f"no array {keys.label!r}", path)
            continue
        draft.texts.update(arrays.texts(found[keys.label], f"{path} {keys.label}"))
    _check_few(draft, f"array {keys.label!r}")
    draft.values["trials"] = TrialsPart(source="stored")
    numbers = sorted(draft.texts, key=lambda t: tables.number(t) or 0)
    stored = arrays.npz_shapes(paths[0])
    lists = [n for n, (s, d) in stored.items()
             if d.kind in "US" and len(s) == 1 and s[0] == len(numbers) and _LABEL.match(n)]
    if lists and all(t.isdecimal() for t in numbers):
        said = arrays.texts(arrays.npz_arrays(paths[0], lists[:1])[lists[0]], str(paths[0]))
        draft.values["classes"] = dict(zip(numbers, said, strict=True))
        draft.report.took("classes", f"numbers of {keys.label!r} by the names in {lists[0]!r}")


def _classes_of_columns(
    draft: Draft, paths: Sequence[Path], pattern: NamePattern, keys: KeysPart
) -> None:
    """Classes of a column: each run of rows that say the same is a trial."""
    if not keys.label:
        _classes_of_names(draft, paths, pattern)
        draft.values["trials"] = TrialsPart(source="stored")
        return
    looked = sampled(list(paths), 8)
    for path in looked:
        said = arrays.csv_table(path, [keys.label]).text[keys.label]
        draft.texts.update(t for i, t in enumerate(said) if t and (i == 0 or said[i - 1] != t))
    _check_few(draft, f"column {keys.label!r}")
    draft.values["trials"] = TrialsPart(source="stored")
    draft.report.took("trials", f"each run of rows with one {keys.label!r} is a trial")
    if len(looked) < len(paths):
        draft.report.took("trials", f"counted in the {len(looked)} files that were looked at")


def _check_few(draft: Draft, where: str) -> None:
    if len(draft.texts) > _MOST_LABELS:
        raise draft.lacks(f"classes: {where} has {len(draft.texts)} different values",
                          "--classes TEXT=CLASS,... or --files with {class} in it")


def _classes_of_names(draft: Draft, paths: Sequence[Path], pattern: NamePattern) -> None:
    """Classes of the names of files."""
    root = draft.folder.path.resolve()
    fields = [f for p in paths if (f := pattern.match(p.relative_to(root).as_posix()))]
    draft.texts = Counter(f["class"] for f in fields if f.get("class"))
    draft.values["subjects"] = numbers_of([f["subject"] for f in fields if f.get("subject")])
    draft.values["trials"] = TrialsPart(source="file")
    if not draft.texts:
        raise draft.lacks("what the classes are: no word varies in the names of the files",
                          "--files with {class} in it")
    draft.report.took("trials", f"a file each; the class from its name ({len(draft.texts)} kinds)")
