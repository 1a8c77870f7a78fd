"""An archive of results: a zip of plain files, with an index of their checksums.

``archive.json`` names every file with its sha256 and size, and of every record the digests of its
tested windows and of its split. The files lie as in a run folder. An archive may be a stranger's:
nothing of it is unpacked before names, kinds and sizes were looked at, and nothing is believed that
is not what the index says.
"""

from __future__ import annotations

import contextlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import BenchError
from ..store.seal import DamagedError, json_of, sealed_json, sum_of

INDEX, README = "archive.json", "README.txt"
FORMAT = "bench-archive"
SCHEMA = 1
#: Files and bytes that an archive may hold, all together and in one file.
MOST_FILES, MOST_BYTES, LARGEST = 500_000, 8 << 30, 1 << 30
#: Bytes of a file of JSON.
LARGEST_JSON = 64 << 20
#: How many times its own size an archive may unpack to, beyond so many bytes.
RATIO, FREE = 100, 64 << 20
#: Files that an archive may hold; anything else is refused.
_NAMES = re.compile(
    rf"{re.escape(INDEX)}|{re.escape(README)}"
    r"|(?:audit/)?cells/[0-9a-f]{20}/"
    r"(?:record\.json|curves\.json|predictions\.parquet|diagnostics\.npz"
    r"|models/[A-Za-z0-9][A-Za-z0-9_-]{0,80}\.pt)"
    r"|(?:plan|audit)-[0-9a-f]{1,64}\.json"
)
#: Of the files of a zip: no time of their own, and rights that nobody has to change.
_TIME, _RIGHTS = (1980, 1, 1, 0, 0, 0), (stat.S_IFREG | 0o644) << 16
_DAMAGED = "Get it again from where it was published, and compare its checksum."


class ArchiveError(BenchError):
    """A file is no archive of ours, is damaged, or holds what an archive may not hold."""

    def __init__(self, path: Path, why: str, hint: str = _DAMAGED) -> None:
        super().__init__(f"{path} is no whole archive of results: {why}", hint)


#: A row of a table of JSON, which has no tuples.
_Row = Annotated[tuple[str, int], Field(strict=False)]


@dataclass(frozen=True, config=ConfigDict(strict=True))
class Index:
    """What an archive says of itself.

    Attributes
    ----------
    lab : str
        Who made it, in its own words.
    bench : str
        Version that made it.
    files : dict
        Name to sha256 and size in bytes.
    records : dict
        Id of a record to ``windows`` and ``split``: see :mod:`bench.exchange.rescore`.
    omitted : list of str
        Files of records that were left out, such as models.
    """

    lab: str
    bench: str
    files: dict[str, _Row]
    records: dict[str, dict[str, str]]
    omitted: Annotated[tuple[str, ...], Field(strict=False)]

    def text(self) -> str:
        """The index as it stands in the archive, with its own checksum."""
        return sealed_json({
            "format": FORMAT, "schema": SCHEMA, "lab": self.lab, "bench": self.bench,
            "records": dict(sorted(self.records.items())), "omitted": sorted(self.omitted),
            "files": dict(sorted(self.files.items())),
        })


def write_archive(path: Path, index: Index, contents: Iterable[tuple[str, bytes]]) -> None:
    """Write an archive whole; equal contents give equal bytes, by one version of zlib.

    Raises
    ------
    OSError
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "w") as out:
            for name, data in [(INDEX, index.text().encode()), *_sorted(contents)]:
                info = zipfile.ZipInfo(name, _TIME)
                info.create_system, info.external_attr = 3, _RIGHTS
                # Parquet and NumPy's files are compressed already.
                packed = name.endswith((".json", ".txt"))
                info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
                out.writestr(info, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sorted(contents: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Contents, which must come in the order of their names: they are not all held at once."""
    last = ""
    for name, data in contents:
        assert last < name, "files of an archive come in the order of their names"
        last = name
        yield name, data


class Archive:
    """An archive that was looked at, file by file; nothing is unpacked yet.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ArchiveError
        It is no zip, holds links, folders, odd or double names, overlapping or encrypted files, or
        more than an archive may; its index is not there or not whole; or a file is missing or not
        in the index.
    OSError
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as file:
            self._members = {info.filename: info for info in self._looked_at(file)}
            if INDEX not in self._members:
                raise ArchiveError(path, f"it holds no {INDEX}", "It is another kind of zip.")
            self.index = self._indexed(self._bytes(file, INDEX))
        there, said = set(self._members) - {INDEX}, set(self.index.files)
        if there != said:
            name = min(there ^ said)
            raise ArchiveError(
                path, f"{name} is {'not in its index' if name in there else 'missing'}"
            )

    @property
    def digest(self) -> str:
        """Sha256 of the index, and so of all content, however it is compressed."""
        return sum_of(self.index.text().encode())

    def unpack(self, folder: Path) -> None:
        """Write all files into an empty folder, each of them checked by the index.

        Raises
        ------
        ArchiveError
            A file is not what the index says.
        """
        with _opened(self.path) as file:
            for name, (digest, size) in self.index.files.items():
                data = self._bytes(file, name)
                if len(data) != size or sum_of(data) != digest:
                    raise ArchiveError(self.path, f"{name} does not match its checksum")
                target = folder.joinpath(*name.split("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)

    def _looked_at(self, file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        """Files of the zip, none of which is anything but a plain file of a name that we write."""
        infos, size = file.infolist(), self.path.stat().st_size
        if len(infos) > MOST_FILES:
            raise DamagedError(f"it holds more than {MOST_FILES} files")
        total = sum(info.file_size for info in infos)
        if total > min(MOST_BYTES, FREE + RATIO * size):
            raise DamagedError(f"it would unpack to {total >> 20} MiB, from {size >> 10} KiB")
        names: set[str] = set()
        end = 0
        for info in sorted(infos, key=lambda i: i.header_offset):
            name = info.filename
            if not _NAMES.fullmatch(name):
                raise DamagedError(f"it holds {name[:80]!r}, which is no file of an archive")
            if name in names:
                raise DamagedError(f"it holds {name} twice")
            names.add(name)
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise DamagedError(f"{name} is a link or no plain file")
            if info.flag_bits & 1 or info.compress_type not in (
                zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
            ):
                raise DamagedError(f"{name} is encrypted, or compressed in another way than ours")
            limit = LARGEST_JSON if name.endswith(".json") else LARGEST
            if info.file_size > limit:
                raise DamagedError(f"{name} is larger than {limit >> 20} MiB")
            if info.header_offset < end:
                raise DamagedError(f"{name} overlaps another file")
            end = info.header_offset + info.compress_size
        return infos

    def _bytes(self, file: zipfile.ZipFile, name: str) -> bytes:
        """Content of a file, which may be no longer than was said."""
        info = self._members[name]
        with file.open(info) as part:
            data = part.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise DamagedError(f"{name} does not have the size that it says")
        return data

    def _indexed(self, data: bytes) -> Index:
        body = json_of(data)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise DamagedError(f"{INDEX} is of another program")
        if body.get("schema") != SCHEMA:
            raise DamagedError(
                f"it is of format {body.get('schema')!r}, and this version reads format {SCHEMA}"
            )
        said: dict[str, Any] = {f.name: body.get(f.name) for f in fields(Index)}
        try:
            index = Index(**said)
        except ValidationError as error:
            raise DamagedError(f"{INDEX} is not laid out as an index") from error
        return replace(index, lab=index.lab[:200], bench=index.bench[:40])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip that is read; whatever its reader raises of what stands in it becomes one error.

    Raises
    ------
    ArchiveError
    OSError
        The file is not there or cannot be read.
    """
    path.stat()
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except (BenchError, PermissionError, IsADirectoryError):
        raise
    except (zipfile.BadZipFile, DamagedError, NotImplementedError, EOFError, RuntimeError,
            OverflowError, ValueError, OSError, zlib.error, struct.error) as error:
        raise ArchiveError(path, (str(error) or type(error).__name__)[:200]) from error


def is_zip(path: Path) -> bool:
    """Whether a file may be an archive."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False
