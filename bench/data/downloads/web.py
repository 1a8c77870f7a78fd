"""Getting a text, or a file that goes on where it stopped, over HTTP."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...errors import BenchError

#: Told how many bytes of a file are there, and of how many (0: not known).
OnBytes = Callable[[int, int], None]
#: Seconds without an answer, how often a file is gone on with, bytes read at once.
PATIENCE_S, TRIES, CHUNK = 30, 3, 1 << 16
_HEADERS = {"User-Agent": "eeg-cross-corpus-bench", "Accept-Encoding": "identity"}


class OfflineError(BenchError):
    """A server cannot be reached, or does not give what it is asked for."""


def check_address(url: str) -> None:
    """Refuse an address that is not http or https.

    Raises
    ------
    OfflineError
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OfflineError(f"{url} is no address that begins with https:// or http://")


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[Any]:
    import requests

    check_address(url)
    try:
        with requests.get(url, headers={**_HEADERS, **headers}, stream=True,
                          timeout=PATIENCE_S) as answer:
            yield answer
    except requests.exceptions.RequestException as error:
        host = urlsplit(url).hostname
        kinds = requests.exceptions
        reason = (
            "took too long" if isinstance(error, kinds.Timeout)
            else "broke off" if isinstance(error, kinds.ChunkedEncodingError)
            else "cannot be reached" if isinstance(error, kinds.ConnectionError)
            else f"gives no answer that can be read: {type(error).__name__}"
        )
        raise OfflineError(f"{host} {reason} ({url})") from error


def _refuse(answer: Any, url: str) -> None:
    if answer.status_code not in (200, 206):
        why = {401: "it wants to know who asks", 403: "it forbids that", 404: "there is none",
               416: "it has fewer bytes than are here already"}.get(answer.status_code, "no file")
        raise OfflineError(f"{url}: the server answers {answer.status_code}, {why}")


def text_of(url: str, largest: int) -> str:
    """A text of at most so many bytes.

    Raises
    ------
    OfflineError
    """
    with _answer(url, {}) as answer:
        _refuse(answer, url)
        content = bytearray()
        for chunk in answer.iter_content(CHUNK):
            content += chunk
            if len(content) > largest:
                raise OfflineError(f"{url} is larger than {largest >> 20} MiB")
    return content.decode("utf-8", errors="replace")


class Resuming:
    """Downloader for pooch: goes on where an earlier try stopped, if the file is the same.

    What has come lies in ``NAME.part``, and beside it, in ``NAME.part.tag``, what the server called
    the file (its ETag, or when it was changed). Where the server gives neither, or another one, the
    file is begun anew.

    Parameters
    ----------
    part : Path
        Where to keep what has come.
    size : int or None
        Bytes that there should be, where that is known.
    on_bytes : callable
    """

    def __init__(self, part: Path, size: int | None, on_bytes: OnBytes) -> None:
        self.part, self.size, self.on_bytes = part, size, on_bytes
        self.tag = part.with_name(f"{part.name}.tag")

    def __call__(self, url: str, output_file: Any, pooch: Any, check_only: bool = False) -> None:
        """Fetch into ``output_file``, as pooch asks for it.

        Raises
        ------
        OfflineError
            Cut, every time; what has come is kept.
        BenchError
            The disk is full, or there are more bytes than there should be.
        """
        for attempt in range(TRIES):
            try:
                self._go_on(url)
                break
            except OfflineError:
                if attempt == TRIES - 1 or not self.part.is_file():
                    raise
        self.part.replace(output_file)
        self.tag.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        have = self.part.stat().st_size if self.part.is_file() and self.tag.is_file() else 0
        tag = self.tag.read_text(encoding="utf-8").strip() if have else ""
        headers = {"Range": f"bytes={have}-", "If-Range": tag} if have and tag else {}
        with _answer(url, headers) as answer:
            if answer.status_code == 416 and have and have == self._whole(answer):
                return
            _refuse(answer, url)
            if answer.status_code == 200:
                have = 0
            total = self._total(answer, have, url)
            new = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            with guarded(self.part):
                self.tag.write_text("" if new.startswith("W/") else new, encoding="utf-8")
                with self.part.open("ab" if have else "wb") as file:
                    for chunk in answer.iter_content(CHUNK):
                        have += len(chunk)
                        if total and have > total:
                            raise BenchError(f"{url} has more than the {total:,} bytes it should")
                        file.write(chunk)
                        self.on_bytes(have, total)
        if total and have < total:
            raise OfflineError(f"{url} was cut after {have:,} of {total:,} bytes")

    def _total(self, answer: Any, have: int, url: str) -> int:
        """Bytes of the whole file, 0 if nobody says."""
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else 0
        if self.size is not None and total and total != self.size:
            raise BenchError(f"{url} has {total:,} bytes, its listing says {self.size:,}",
                             "The file has changed since it was listed: try again.")
        return self.size if self.size is not None else total

    def _whole(self, answer: Any) -> int:
        told = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return int(told) if told.isdecimal() else -1


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """What a disk does not take, in words.

    Raises
    ------
    BenchError
    """
    try:
        yield
    except OSError as error:
        if type(error).__module__.startswith(("requests", "urllib3")):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BenchError(
                f"{path.parent} is full", "Free some space, or choose another folder with --to. "
                "What has come is kept, and gone on with.") from error
        raise BenchError(f"{path} cannot be written: {error.strerror or error}",
                         "Choose another folder with --to.") from error
