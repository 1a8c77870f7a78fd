"""Is the code of a record that which is installed here? Imports nothing that a record names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..data.recipe import GENERATOR
from ..errors import BenchError
from ..registry import entries, load
from ..store.hashing import code_hash, key_of
from ..store.provenance import git_state
from ..store.records import Record
from ..version import __version__
from .rescore import UNPREDICTED

#: A class of scikit-learn: the only name of a class that is looked up for a record.
_SKLEARN = re.compile(r"sklearn:sklearn(\.[a-z_]+)+\.[A-Z][A-Za-z]+")
_ESTIMATOR = "estimator"


@dataclass
class Codes:
    """Compares the codes of records with each other and with what is installed.

    Attributes
    ----------
    wrong : list of (record, str)
        Records of other code than that of the same version as installed here, or than that of the
        other records of their method.
    unknown : list of (record, str)
        Records whose code cannot be compared here, and why.
    same : int
        Records whose code is the one that is installed.
    """

    wrong: list[tuple[Record, str]] = field(default_factory=list)
    unknown: list[tuple[Record, str]] = field(default_factory=list)
    same: int = 0
    _here: dict[str, str | BenchError] = field(default_factory=dict)
    _first: dict[tuple[str, str], tuple[str, Record]] = field(default_factory=dict)

    def compare(self, record: Record) -> None:
        """Note what there is to say of a record's code."""
        method, code = str(record.identity["method"]), str(record.identity["code"])
        params = record.identity.get("params") or {}
        key = key_of(method, params.get("network"), params.get("backbone"))
        versions = record.info.get("versions")
        version = versions.get("bench") if isinstance(versions, Mapping) else None
        kind = (key, str(version))
        before, whose = self._first.setdefault(kind, (code, record))
        if before != code:
            self.wrong.append((record, f"{method} is of other code ({code}) than record "
                                       f"{whose.id[:8]} of it ({before})"))
            return
        here = self._installed(key, method, params)
        if isinstance(here, BenchError):
            self.unknown.append((record, f"{method}: {here.message}"))
        elif here == code:
            self.same += 1
        elif version == __version__:
            self.wrong.append((record, f"{method} says that it is of bench {version}{_of(record)}, "
                                       f"and is not its code as installed here ({code}, {here})"))
        else:
            self.unknown.append((record, f"{method}: it was made by bench {version}, and this is "
                                         f"{__version__}; install that version to compare"))

    def _installed(self, key: str, method: str, params: Any) -> str | BenchError:
        if key not in self._here:
            try:
                self._here[key] = installed_code(method, params)
            except Exception as error:  # parameters are a stranger's
                self._here[key] = error if isinstance(error, BenchError) else BenchError(
                    f"{type(error).__name__} on its parameters")
        return self._here[key]


def _of(record: Record) -> str:
    """Commits of a record and of this checkout, where both are known and differ."""
    git, here = record.info.get("git"), git_state()
    if not isinstance(git, Mapping) or here is None or git.get("commit") == here["commit"]:
        return ""
    return f" (commit {str(git.get('commit'))[:8]}, here {here['commit'][:8]})"


def installed_code(method: str, params: Mapping[str, Any]) -> str:
    """Hash of the code of a method as it is installed here.

    Raises
    ------
    BenchError
        The method is not here, or its name asks for something that is not looked up for a stranger.
    """
    if method == UNPREDICTED:
        return f"generator-{GENERATOR}"
    named = [v for v in (method, *map(str, params.values())) if ":" in v]
    dotted = str(params.get(_ESTIMATOR, "sklearn.svm.SVC"))
    if not all(map(_SKLEARN.fullmatch, named)) or not _SKLEARN.fullmatch(f"sklearn:{dotted}"):
        raise BenchError("a class of another library, which is not imported for an archive")
    if method.partition(":")[0] not in entries("methods"):
        raise BenchError("its code is not installed here; name it with --include")
    cls = load("methods", method)
    return code_hash(*cls(cls.parse(dict(params))).parts())
