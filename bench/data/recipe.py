"""Recipe of a simulated corpus: its size and the size of each effect.

The recipe is the engine's; the generator that follows it lives with the corpora. A folder written
from a recipe holds a marker file, so that every score from it can say *simulated*, wherever the
folder is copied to.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..errors import DataError, UnknownNameError
from ..store.seal import read_json, write_json

#: Name of the file that tells a simulated corpus from a real one.
MARKER = "bench-simulated.json"


#: Raised whenever the same recipe gives other recordings; part of the key of a cached root.
GENERATOR = 1


class Recipe(BaseModel):
    """How large a simulated corpus is, and how strong each effect in it.

    An effect's number multiplies a size that the generator holds (see
    ``datasets/shared/simulator.py``): 1 is tuned to be about as hard as real EEG, 0 switches the
    effect off exactly. Changing one number leaves the random draws behind all others as they are,
    so that recipes can be compared in pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: int = Field(6, ge=1, le=123, description="subjects per corpus (at most what it has)")
    sessions: int = Field(1, ge=1, le=4, description="sessions per subject, where it has several")
    length: float = Field(0.1, gt=0, le=1, description="share of the true trial lengths")
    seed: int = Field(0, ge=0, description="seed of everything random")
    class_effect: float = Field(
        1.0, ge=0, description="how far emotion shifts the power of sources; 0: the null"
    )
    subject_effect: float = Field(
        1.0, ge=0, description="gain, power, topography, alpha peak and emotion pattern per subject"
    )
    session_drift: float = Field(
        1.0, ge=0, description="slow change of band power over a session, and between sessions"
    )
    trial_effect: float = Field(
        1.0, ge=0, description="random level per trial, source and band: windows of a trial alike"
    )
    corpus_effect: float = Field(
        1.0, ge=0, description="reference, cap, amplifier gain, band tilt and mains per corpus"
    )
    label_noise: float = Field(
        0.05, ge=0, le=0.5, description="share of trials that evoke another emotion than labelled"
    )
    buildup: float = Field(
        1.0, ge=0, description="how slowly emotion builds up: time constant in tenths of a trial"
    )
    states: float = Field(
        0.0, ge=0, description="pattern of an emotion whose sign turns every few seconds"
    )
    clusters: float = Field(
        0.0, ge=0, description="states that all corpora share, more or less often by emotion"
    )
    continuity: float = Field(
        0.0, ge=0, description="level that moves within a trial, alike from second to second"
    )
    persistence: float = Field(
        3.0, gt=0, le=60, description="seconds that states, clusters and the moving level last"
    )

    def key(self) -> str:
        """Short hash that names the recipe, e.g. in the path of a cached root."""
        text = f"{GENERATOR} {self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


#: Sizes of the named scales; effects keep their defaults except where noted.
SCALES: dict[str, dict[str, Any]] = {
    "demo": {"subjects": 6, "length": 0.1},
    "table": {"subjects": 6, "length": 0.1},
    "null": {"subjects": 15, "length": 0.05, "class_effect": 0.0},
    "published": {"subjects": 123, "sessions": 4, "length": 1.0},
}


#: Named sets of effects, ``effects=NAME`` among the changes of a recipe.
EFFECTS: dict[str, dict[str, float]] = {
    "plain": {},
    "structured": {"class_effect": 0.5, "states": 1.0, "clusters": 1.0, "continuity": 1.0},
}


def recipe_for(scale: str, effects: str = "plain", **changes: Any) -> Recipe:
    """Recipe of a named scale and a named set of effects, with changes.

    Raises
    ------
    UnknownNameError
    """
    if scale not in SCALES:
        raise UnknownNameError("scale", scale, SCALES)
    if effects not in EFFECTS:
        raise UnknownNameError("set of effects", effects, EFFECTS)
    # A scale that is a null stays one.
    return Recipe(**{**EFFECTS[effects], **SCALES[scale], **changes})


def write_marker(folder: Path, corpus: str, recipe: Recipe) -> None:
    """Mark a corpus folder as simulated, with the sha256 of each file that was written into it.

    Written last, so that a torn folder has no marker.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = digest
    write_json(folder / MARKER, {
        "corpus": corpus, "generator": GENERATOR, "recipe": recipe.model_dump(), "files": files,
    })


def read_marker(folder: Path) -> Recipe | None:
    """Recipe of a simulated corpus folder; None for a real one.

    Raises
    ------
    DataError
        The marker is there but is not one of ours.
    """
    marker = _marker(folder)
    return None if marker is None else marker[0]


def changed_files(folder: Path, sum_of: Callable[[Path], str]) -> list[str]:
    """What of a simulated corpus is not as it was written, in words; nothing of a real one.

    Parameters
    ----------
    sum_of : callable
        Sha256 of a file.

    Raises
    ------
    DataError
        The marker is there but is not one of ours.
    """
    marker = _marker(folder)
    found = []
    for name, digest in (marker[1] if marker else {}).items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif sum_of(path) != digest:
            found.append(f"{name} does not match its checksum")
    return found


@functools.lru_cache(maxsize=64)
def _parsed(path: Path, size: int, changed: int) -> tuple[Recipe, dict[str, str]]:
    marker = read_json(path)
    return Recipe(**marker["recipe"]), {str(k): str(v) for k, v in marker["files"].items()}


def _marker(folder: Path) -> tuple[Recipe, dict[str, str]] | None:
    path = folder / MARKER
    if not path.is_file():
        return None
    try:
        stat = path.stat()
        return _parsed(path, stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            path, "the marker of a simulated corpus", f"{error}",
            "Write the corpus anew: bench data simulate DIR",
        ) from error
