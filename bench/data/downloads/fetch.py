"""An open corpus into a folder: what is there is kept, what has come is checked and remembered."""

from __future__ import annotations

import logging
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import BenchError, DataError
from ...store.seal import DamagedError, read_json, write_json
from ..cache import Fingerprints
from ..locations import settings_path
from .source import Download, RemoteFile, listing, safe_name
from .web import OfflineError, Resuming, check_address, guarded

#: Told name, bytes that are there, and bytes in all (0: not known) of the file that comes.
OnFile = Callable[[str, int, int], None]
#: Bytes that an archive may unpack to, and how many files it may hold.
LARGEST_ARCHIVE, MOST_MEMBERS = 64 << 30, 100_000
_SAVE_EVERY = 25


@dataclass(frozen=True)
class FetchPlan:
    """What would be fetched.

    Attributes
    ----------
    name : str
        Of the corpus.
    source : Download
        With the address that is used.
    folder : Path
        Where the files go.
    files : tuple of RemoteFile
        All there are.
    here : tuple of RemoteFile
        Those that are here already, and what they were.
    """

    name: str
    source: Download
    folder: Path
    files: tuple[RemoteFile, ...]
    here: tuple[RemoteFile, ...]

    @property
    def wanted(self) -> tuple[RemoteFile, ...]:
        """Those that are still to come."""
        there = {f.name for f in self.here}
        return tuple(f for f in self.files if f.name not in there)

    @property
    def size(self) -> int | None:
        """Bytes still to come; None where the listing does not tell."""
        sizes = [f.size for f in self.wanted]
        return None if None in sizes else sum(s for s in sizes if s is not None)


class Checksums:
    """Sha256 of every file as it was when it first came, by corpus, version and name.

    They stand beside the settings, so that they outlive the files: whatever is fetched again, from
    wherever, must be what it was.
    """

    def __init__(self) -> None:
        self.path = settings_path().with_name("checksums.json")
        try:
            self._known = {str(k): str(v) for k, v in read_json(self.path)["files"].items()}
        except FileNotFoundError:
            self._known = {}
        except (OSError, DamagedError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(self.path, "the checksums of what was downloaded", str(error),
                            "Delete it: the next download is then taken for the first.") from error

    def of(self, source: Download, name: str, file: str) -> str:
        """What a file was; empty if it never came."""
        return self._known.get(f"{name}/{source.version}/{file}", "")

    def keep(self, source: Download, name: str, file: str, sha256: str) -> None:
        """Remember what a file is."""
        self._known[f"{name}/{source.version}/{file}"] = sha256

    def save(self) -> None:
        """Write them, whole."""
        if self._known:
            with guarded(self.path):
                write_json(self.path, {"files": dict(sorted(self._known.items()))})


def planned(
    name: str, source: Download, folder: Path, *, url: str = "", only: Sequence[str] = (),
) -> FetchPlan:
    """List what there is, and compare what is here; nothing is written.

    Raises
    ------
    BenchError
        The server cannot be reached, or a file that is here is not what it was.
    """
    if url:
        check_address(url)
        source = replace(source, url=url)
    with _advised(name, source, folder):
        files = listing(source, name, tuple(only))
    known, prints, here = Checksums(), Fingerprints(), []
    for file in files:
        path = folder / file.name
        if path.is_symlink() or not path.is_file():
            continue
        found = prints.of(path)
        expected = file.sha256 or known.of(source, name, file.name)
        if (expected and found != expected) or (
            file.size is not None and path.stat().st_size != file.size
        ):
            raise DataError(path, "the file that the owners list, or that came the first time",
                            f"another, of {path.stat().st_size:,} bytes",
                            "Remove it, and run the command again: it is then fetched anew.")
        here.append(file)
    prints.save()
    return FetchPlan(name, source, folder, tuple(files), tuple(here))


def fetch(plan: FetchPlan, on_file: OnFile | None = None) -> list[Path]:
    """Fetch what is not here yet; returns files that are left to be unpacked by hand.

    Raises
    ------
    BenchError
        No network, a full disk, a file that is not what it was: what has come is kept, and the
        same command goes on.
    """
    told = on_file or (lambda name, done, total: None)
    with guarded(plan.folder / "x"):
        plan.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(plan.folder).free
    if plan.size is not None and plan.size > free:
        raise BenchError(f"{plan.folder} has {free / 1e9:.1f} GB free, and "
                         f"{plan.size / 1e9:.1f} GB are to come",
                         "Free some space, or choose another folder with --to.")
    known = Checksums()
    try:
        with _advised(plan.name, plan.source, plan.folder):
            for i, file in enumerate(plan.wanted, start=1):
                expected = known.of(plan.source, plan.name, file.name)
                found = _one(file, plan.folder, expected, told)
                known.keep(plan.source, plan.name, file.name, found)
                if i % _SAVE_EVERY == 0:
                    known.save()
    finally:
        known.save()
    if plan.source.kind == "archive":
        return [p for f in plan.files if (p := _unpacked(plan.folder / f.name)) is not None]
    return []


def _one(file: RemoteFile, folder: Path, expected: str, told: OnFile) -> str:
    """Fetch one file by pooch, which checks it; returns its sha256.

    Raises
    ------
    BenchError
    """
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    path = folder / file.name
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise BenchError(f"{path.parent} leads out of {folder}", "Remove that link.")
    with guarded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if expected and file.sha256 and expected != file.sha256:
        raise DataError(file.url, "what the owners listed when it first came",
                        "another checksum in their list now",
                        "The owners have changed it, or somebody else has. Ask them.")
    sha256 = expected or file.sha256
    part = path.with_name(f"{path.name}.part")
    downloader = Resuming(part, file.size, lambda done, total: told(file.name, done, total))
    try:
        with guarded(path):
            pooch.retrieve(
                file.url, known_hash=f"sha256:{sha256}" if sha256 else None, fname=path.name,
                path=path.parent, downloader=downloader,
            )
    except ValueError as error:
        raise DataError(
            file.url, "what the owners list" if file.sha256 else "what came the first time",
            "bytes with another checksum; they were not kept",
            "Something has changed them on the way, or the owners have: try again, then ask them.",
        ) from error
    return sha256 or str(pooch.file_hash(path, alg="sha256"))


@contextmanager
def _advised(name: str, source: Download, folder: Path) -> Iterator[None]:
    """Add to an error of the network where else the files can be had, and where to put them."""
    try:
        yield
    except OfflineError as error:
        raise OfflineError(
            error.message, "The same command goes on where it stopped. Or fetch the files by hand "
            f"from {source.page}, put them into {folder}, and run: bench data set {name}={folder}. "
            "Another server: --url ADDRESS.",
        ) from error


def _unpacked(path: Path) -> Path | None:
    """Unpack an archive beside itself; the archive, if that is for another program to do.

    Raises
    ------
    DataError
        A broken archive, one that leads out of its folder, or one that is far too large.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] != b"PK":
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            size = sum(m.file_size for m in members)
            if len(members) > MOST_MEMBERS or size > LARGEST_ARCHIVE:
                raise DataError(path, f"an archive of {LARGEST_ARCHIVE >> 30} GiB at most",
                                f"{len(members):,} files of {size >> 30} GiB")
            for member in members:
                _extract(archive, member, path)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(path, "a whole archive (.zip)", str(error)[:100],
                        "Remove it, and run the command again.") from error
    return None


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    name = safe_name(member.filename, str(path))
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(path, "an archive of files", f"a link: {name[:60]}")
    target = path.parent / name
    if target.is_file() and target.stat().st_size == member.file_size:
        return
    with guarded(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        left = member.file_size
        with archive.open(member) as source, part.open("wb") as file:
            while chunk := source.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise DataError(path, f"{member.file_size:,} bytes of {name}", "more")
                file.write(chunk)
        part.replace(target)
