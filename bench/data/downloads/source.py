"""Where an open corpus lies, under which licence; and which files there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote
from xml.etree import ElementTree

from ...errors import BenchError
from .web import text_of

#: Files of a corpus, bytes of a listing and pages of one, at most.
MOST_FILES, LARGEST_LISTING, MOST_PAGES = 200_000, 64 << 20, 2000
_SUM = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(.+)")


@dataclass(frozen=True)
class Download:
    """Where an open corpus is fetched from.

    Attributes
    ----------
    url : str
        Folder that the files lie in; of one archive, its address.
    kind : {"sums", "bucket", "archive"}
        "sums": the folder has a ``SHA256SUMS.txt`` that lists every file, as at PhysioNet.
        "bucket": a bucket of S3, ``https://HOST/BUCKET/PREFIX``, that lists itself. "archive": one
        file.
    page : str
        Page for people, where the files can be had by hand.
    licence : str
        Its name, as the owners state it.
    citation : str
    version : str
        Part of what checksums are kept under.
    leave_out : tuple of str
        Patterns of names that are not needed.
    size : str
        About how much it is, in words; empty if not known.
    """

    url: str
    kind: Literal["sums", "bucket", "archive"]
    page: str
    licence: str
    citation: str
    version: str = "1"
    leave_out: tuple[str, ...] = ()
    size: str = ""


@dataclass(frozen=True)
class RemoteFile:
    """A file to be fetched.

    Attributes
    ----------
    name : str
        Path below the corpus's folder, with "/".
    url : str
    size : int or None
        Bytes, where the listing tells.
    sha256 : str
        What the owners say it is; empty if they do not.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str = ""


def listing(source: Download, name: str, only: tuple[str, ...] = ()) -> list[RemoteFile]:
    """Files that there are, in the order of their names.

    Parameters
    ----------
    name : str
        Of the corpus.
    only : tuple of str
        Patterns, ``sub-01/*``: files in folders that match none are left out.

    Raises
    ------
    BenchError
        The list cannot be had, or is none that can be trusted.
    """
    if source.kind == "archive":
        return [RemoteFile(f"{name}.download", source.url)]
    found = _sums(source) if source.kind == "sums" else _bucket(source)
    kept = [f for f in found if not any(fnmatchcase(f.name, p) for p in source.leave_out)]
    if only:
        kept = [f for f in kept if "/" not in f.name or any(fnmatchcase(f.name, p) for p in only)]
    if not kept:
        raise BenchError(f"{source.url} lists no file of {name}" + (
            f" that matches {' or '.join(only)}" if only else ""))
    return sorted(kept, key=lambda f: f.name)


def _sums(source: Download) -> list[RemoteFile]:
    base = source.url.rstrip("/")
    text = text_of(f"{base}/SHA256SUMS.txt", LARGEST_LISTING)
    out: dict[str, RemoteFile] = {}
    for line in text.splitlines():
        match = _SUM.fullmatch(line.strip())
        if match is None:
            if line.strip():
                raise BenchError(f"{base}/SHA256SUMS.txt holds a line that is no checksum and "
                                 f"name: {line.strip()[:60]!r}", _OTHER)
            continue
        name = safe_name(match[2].strip(), base)
        out[name] = RemoteFile(name, f"{base}/{quote(name)}", None, match[1].lower())
    return _bounded(list(out.values()), base)


def _bucket(source: Download) -> list[RemoteFile]:
    """All keys below a prefix, page by page."""
    head, _, rest = source.url.partition("://")
    host, bucket, prefix = [*rest.strip("/").split("/", 2), "", ""][:3]
    base = f"{head}://{host}/{bucket}"
    prefix = f"{prefix.strip('/')}/" if prefix else ""
    out: list[RemoteFile] = []
    token = ""
    for _ in range(MOST_PAGES):
        query = f"?list-type=2&prefix={quote(prefix, safe='')}"
        query += f"&continuation-token={quote(token, safe='')}" if token else ""
        page = _parsed(text_of(base + query, LARGEST_LISTING), base)
        for item in page.iterfind(".//{*}Contents"):
            key, size = (item.findtext(f"{{*}}{tag}", "") for tag in ("Key", "Size"))
            if not key.startswith(prefix) or not size.isdecimal() or len(size) > 15:
                raise BenchError(f"{base} lists {key[:60]!r}, which is not below {prefix}", _OTHER)
            if key.endswith("/"):  # a folder
                continue
            name = safe_name(key[len(prefix):], base)
            out.append(RemoteFile(name, f"{base}/{quote(key)}", int(size)))
        _bounded(out, base)
        token = page.findtext("{*}NextContinuationToken", "")
        if not token:
            return out
    raise BenchError(f"{base} lists without end", _OTHER)


_OTHER = "The address may be another than the owners'. See bench data get --help."


def _bounded(found: list[RemoteFile], where: str) -> list[RemoteFile]:
    if len(found) > MOST_FILES:
        raise BenchError(f"{where} lists more than {MOST_FILES:,} files", _OTHER)
    return found


def safe_name(name: str, where: str) -> str:
    """A name that stays below the folder that it is written into.

    Raises
    ------
    BenchError
        It does not.

    Examples
    --------
    >>> safe_name("sub-01/eeg/a b.edf", "here")
    'sub-01/eeg/a b.edf'
    """
    path = PurePosixPath(name)
    plain = name.isprintable() and not set(name) & set('\\:*?"<>|') and len(name) < 500
    parts = path.parts
    if not plain or path.is_absolute() or not parts or any(
        p in ("..", ".") or len(p) > 200 or p.startswith("~") for p in parts
    ):
        raise BenchError(f"{where} lists a file that would not stay in its folder: {name[:80]!r}",
                         _OTHER)
    return str(path)


def _parsed(text: str, where: str) -> ElementTree.Element:
    if "<!" in text:  # a document type may define entities that grow without end
        raise BenchError(f"{where} gives a listing with a document type", _OTHER)
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - no entities, and bounded
    except ElementTree.ParseError as error:
        raise BenchError(f"{where} gives no listing: {error}", _OTHER) from error
