"""Names to things: methods, corpora, protocols and reports, ours and strangers', one way in.

An entry-point group holds catalogues. A catalogue is a list of :class:`Entry`: name, metadata and
a lazy target ``"module:object"``, so that listing imports nothing heavy. An entry point may also
lead to a single :class:`Entry`. ``--include FILE_OR_MODULE`` adds the entries of a module's
``CATALOGUE`` without installing anything.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from .errors import BenchError, SettingError, UnknownNameError, missing

#: Between the names of joined sources: ``SEED:3+SEED-IV:4``.
PLUS = "+"
GROUPS = ("methods", "corpora", "protocols", "reports")
#: Groups whose entries stand in the catalogues of another, and what they hold: readers of folders
#: that a small file describes. Their entries are not listed among that group's.
_WITHIN = {"folders": "corpora"}

#: Table in a file of windows (:mod:`bench.data.own.stored`).
ABOUT = "about.json"

#: Family of corpora that anybody may download.
OPEN = "open"
#: Kinds of windows, for methods that work on any.
ANY_FEATURES = frozenset({"de", "raw"})


@dataclass(frozen=True)
class Needs:
    """What a method cannot do without.

    Attributes
    ----------
    source : {"none", "unlabelled", "labelled"}
        What of the source it uses; it is handed no more than that.
    calibration : bool
        Labelled target windows.
    unlabelled : bool
        Unlabelled target windows.
    features : frozenset of str
        Kinds of windows it can work on: "de", "raw".
    """

    source: Literal["none", "unlabelled", "labelled"] = "labelled"
    calibration: bool = False
    unlabelled: bool = False
    features: frozenset[str] = frozenset({"de"})

    def lacking(self, grants: Iterable[str]) -> list[str]:
        """What of it a protocol does not grant: "source", "calibration", "unlabelled".

        Calibration windows may also be used without their labels.
        """
        granted = set(grants)
        if "calibration" in granted:
            granted.add("unlabelled")
        wanted = {"source"} if self.source != "none" else set()
        wanted |= {"calibration"} if self.calibration else set()
        wanted |= {"unlabelled"} if self.unlabelled else set()
        return sorted(wanted - granted)


@dataclass(frozen=True)
class Pretraining:
    """What published weights of a network were trained on.

    Attributes
    ----------
    repository : str
        On the Hugging Face hub.
    licence : str
        Of the weights, as their authors state it.
    corpora : tuple of str
    file : str
        Name of the file of weights; empty: one that the hub's libraries write.
    complete : bool
        Whether the list of corpora is known to name all.
    """

    repository: str
    licence: str
    corpora: tuple[str, ...]
    file: str = ""
    complete: bool = True

    def saw(self, corpus: str) -> bool:
        """Whether a corpus was among them, or may have been."""
        return not self.complete or corpus.lower() in {c.lower() for c in self.corpora}


@dataclass(frozen=True)
class Profile:
    """What a method declares, as a catalogue states it; a test holds it to the method's class.

    Attributes
    ----------
    needs : Needs
    bare : Needs or None
        What it needs instead where the protocol grants no calibration windows.
    transductive : bool
        Whether it predicts all tested windows at once.
    """

    needs: Needs
    bare: Needs | None = None
    transductive: bool = False

    def under(self, grants: Iterable[str]) -> Needs:
        """What it needs under a protocol that grants ``grants``."""
        return self.needs if self.bare is None or "calibration" in grants else self.bare


@dataclass(frozen=True)
class Entry:
    """One line of a catalogue.

    Attributes
    ----------
    name : str
        What users type.
    target : str
        ``"package.module:object"``, imported only when used; ``":object"`` for one of the
        catalogue's own module.
    summary : str
        One line for ``bench list``.
    family : str
        Group within the list, e.g. "self-supervised".
    paper : str
        Where it comes from.
    origin : str
        Filled in by the registry: which distribution or file it came from.
    group : str
        Only needed in files given to ``--include`` when it is not a method.
    formats : tuple of str
        Of a report: the kinds of files it writes, for ``bench report --format``.
    profile : Profile or None
        Of a method: what it needs. Left out, ``bench list`` asks the class, which imports it.
    grants : tuple of str
        Of a protocol: what it grants.
    tests : tuple of str
        Of a method: files of tests that hold it, for its card.
    member : str
        What the target makes the object of, by its ``named(member)``.
    """

    name: str
    target: str
    summary: str = ""
    family: str = ""
    paper: str = ""
    origin: str = ""
    group: str = "methods"
    formats: tuple[str, ...] = ()
    profile: Profile | None = None
    grants: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    member: str = ""


class Catalogue(list[Entry]):
    """Entries of which some may change while a process runs, such as folders that a user adds.

    Parameters
    ----------
    fixed : iterable of Entry
    further : callable
        Gives the others, which are listed after the fixed ones.
    stamp : callable
        Something that is another whenever ``further`` may give others.
    """

    def __init__(
        self, fixed: Iterable[Entry], further: Callable[[], Iterable[Entry]],
        stamp: Callable[[], object],
    ) -> None:
        super().__init__(fixed)
        self.further, self.stamp = further, stamp


@dataclass
class _Table:
    entries: dict[str, Entry] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    stamps: list[tuple[Catalogue, object]] = field(default_factory=list)


_included: list[tuple[str, Entry]] = []
_tables: dict[str, _Table] = {}


def entries(group: str) -> dict[str, Entry]:
    """All entries of a group by name, in catalogue order; broken plugins are left out."""
    return dict(_table(group).entries)


def broken(group: str) -> dict[str, str]:
    """Plugins that could not be listed: name of the entry point to reason."""
    return dict(_table(group).broken)


def entry(group: str, name: str) -> Entry:
    """Entry by name, ignoring case.

    Raises
    ------
    UnknownNameError
        Suggests the nearest names.
    """
    table = _table(group).entries
    for known, item in table.items():
        if known.lower() == name.lower():
            return item
    raise UnknownNameError(
        {"corpora": "corpus"}.get(group, group.removesuffix("s")), name, table
    )


def load(group: str, name: str) -> Any:
    """Import what a name stands for.

    A name ``FAMILY:MEMBER`` stands for what the registered ``FAMILY`` makes of it by its
    ``named(MEMBER)``: ``sklearn:sklearn.svm.SVC``.

    Raises
    ------
    UnknownNameError
    BenchError
        The plugin is there but cannot be imported; names it and its origin.
    """
    family, colon, member = name.partition(":")
    if colon and family.lower() in {known.lower() for known in _table(group).entries}:
        named = getattr(load(group, family), "named", None)
        if named is not None:
            return named(member)
    item = entry(group, name)
    module, _, attribute = item.target.partition(":")
    try:
        loaded = getattr(importlib.import_module(module), attribute)
        return loaded.named(item.member) if item.member else loaded
    except BenchError:  # of a member that cannot be used, and says why
        raise
    except (Exception, SystemExit) as error:
        lacking = missing(error, item.name)
        if lacking is not None:
            raise lacking from error
        raise BenchError(
            f"{item.name} ({item.origin or item.target}) cannot be loaded: "
            f"{type(error).__name__}: {error}",
            "Mend or uninstall the plugin; everything else goes on working.",
        ) from error


def include(what: str) -> list[Entry]:
    """Add the entries of a Python file or an importable module to this process.

    The module holds ``CATALOGUE``, a list of :class:`Entry` whose targets may be written
    ``":Object"`` for an object of the same file. A ``.toml`` describes a folder (``bench data
    add``), which is then a corpus; so are the windows in a ``.npz`` (:func:`bench.save_windows`).
    """
    if not what.strip():
        raise SettingError("--include names nothing", "It takes a .py file or a module name.")
    if Path(what).suffix == ".toml":
        listed = [_described(Path(what))]
    elif Path(what).suffix == ".npz":
        listed = [_windows(Path(what))]
    else:
        module = _module_of(what)
        catalogue = getattr(module, "CATALOGUE", None)
        if not isinstance(catalogue, list | tuple):
            raise BenchError(f"{what} has no CATALOGUE, a list of bench.registry.Entry")
        listed = [_located(item, module.__name__) for item in catalogue]
    added = []
    for item in listed:
        new = replace(item, origin=what)
        if (new.group, new.name) not in {(g, e.name) for g, e in _included}:
            _included.append((new.group, new))
        added.append(new)
    _tables.clear()
    return added


def folder_entry(name: str, path: Path) -> Entry:
    """Entry of a corpus that is a folder, which a TOML describes."""
    reader = entry("folders", "described")
    return Entry(name, reader.target, f"described by {path.name}", family="your own",
                 group="corpora", member=str(path))


def _described(path: Path) -> Entry:
    """Entry of the folder that a TOML describes; what else stands in it is read when it is used."""
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} cannot be read: {error}",
                         "--include takes the TOML that bench data add wrote.") from error
    if not isinstance(name, str) or not name:
        raise BenchError(f"{path} has no key 'name'",
                         "--include takes the TOML that bench data add wrote.")
    return folder_entry(name, path.resolve())


def _windows(path: Path) -> Entry:
    """Entry of the windows in a file; it stands for any others of its name from now on."""
    name = str(about_windows(path)["name"])
    _included[:] = [(group, item) for group, item in _included
                    if (group, item.name.lower()) != ("corpora", name.lower())
                    or not item.member.endswith(".npz")]
    reader = entry("folders", "windows")
    return Entry(name, reader.target, f"windows of your own, in {path.name}",
                 family="your own", group="corpora", member=str(path.resolve()))


def about_windows(path: Path) -> dict[str, Any]:
    """What a file of windows says of itself, without reading them.

    Raises
    ------
    BenchError
        It is no such file.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            about = json.loads(parts.read(ABOUT))
        kinds = {"name": str, "digest": str, "labels": list, "recordings": list, "space": dict,
                 "marks": dict}
        wrong = [key for key, kind in kinds.items() if not isinstance(about[key], kind)]
        if wrong or about["format"] != 1:
            raise ValueError("it is of another format")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, NotImplementedError,
            EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BenchError(
            f"{path} is no file of windows: {error}",
            "bench.save_windows(windows, FILE) writes one. A folder of .npz files of your own "
            "making becomes a corpus by: bench data add DIR --as NAME",
        ) from error
    return dict(about)


def _module_of(what: str) -> ModuleType:
    path = Path(what)
    alone = path.suffix == ".py"
    if alone and not path.is_file():
        raise BenchError(f"{path} is not there", "--include takes a .py file or a module name.")
    try:
        return _module_in(path) if alone else importlib.import_module(what)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and not alone:
            raise BenchError(f"{what} is neither a .py file nor a module: {error}") from error
        raise BenchError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


def _module_in(path: Path) -> ModuleType:
    """The module in a file, executed once a process."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"bench_included_{path.stem}_{digest}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None  # as it is of any .py
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _table(group: str) -> _Table:
    known = _tables.get(group)
    if known is not None and any(made.stamp() != stamp for made, stamp in known.stamps):
        del _tables[group]
    if group not in _tables:
        table = _Table()
        home = _WITHIN.get(group, group)
        points = importlib.metadata.entry_points(group=f"bench.{home}")
        # Ours first, so that a third party's plugin cannot quietly take the name of a built-in.
        for point in sorted(points, key=lambda p: (p.value.split(":")[0] not in _OURS, p.name)):
            origin = point.dist.name if point.dist else point.value
            try:
                catalogue = point.load()
                listed = [catalogue] if isinstance(catalogue, Entry) else list(catalogue)
                if isinstance(catalogue, Catalogue) and group not in _WITHIN:
                    table.stamps.append((catalogue, catalogue.stamp()))
                    try:
                        listed += catalogue.further()
                    except BenchError as error:
                        table.broken[f"{point.name} ({origin})"] = error.message
                for item in listed:
                    if home in _WITHIN.values() and (item.group in _WITHIN) != (group in _WITHIN):
                        continue
                    _add(table, _located(item, point.value.partition(":")[0]), origin)
            except (Exception, SystemExit) as error:
                table.broken[f"{point.name} ({origin})"] = f"{type(error).__name__}: {error}"
        for owner, item in _included:
            if owner == group:
                _add(table, item, item.origin)
        _tables[group] = table
    return _tables[group]


def _located(item: Entry, module: str) -> Entry:
    """Entry whose target ``":Object"`` names the module that the catalogue stands in."""
    return replace(item, target=module + item.target) if item.target.startswith(":") else item


_OURS = {"bench.methods", "bench.datasets", "bench.protocols", "bench.reports"}


def _add(table: _Table, item: Entry, origin: str) -> None:
    taken = {name.lower(): known for name, known in table.entries.items()}
    if (other := taken.get(item.name.lower())) is not None:
        table.broken[f"{item.name} ({origin})"] = (
            f"the name is taken by {other.origin or other.target}; rename one of the two"
        )
        return
    table.entries[item.name] = replace(item, origin=origin)
