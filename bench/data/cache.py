"""Content-addressed cache of what is costly to compute: features of files, simulated corpora.

Everything in it can be deleted at any time. Keys are hashes of content, so a changed file or a
changed version of our code is simply another key; nothing is ever stale. Each file ends in its
sha256 and that of its key: what does not match is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..store.files import write_bytes
from ..store.hashing import code_hash, key_of
from ..store.seal import DamagedError, load_arrays, read_json, sealed, unsealed, write_json


def cache_root() -> Path:
    """Folder of the cache: ``$BENCH_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("BENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("eeg-cross-corpus-bench")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products of NumPy on one thread: on several, sums are taken in another order.

    What is cached and hashed must not depend on how many cores a machine has.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


class Fingerprints:
    """Sha256 of files, memoised by size and times of change, that of the inode among them.

    A large corpus is hashed once; afterwards its fingerprint costs a ``stat`` per file. Call
    :meth:`save` when done.
    """

    def __init__(self) -> None:
        self._path = cache_root() / "fingerprints.json"
        try:
            self._known: dict[str, list[Any]] = dict(read_json(self._path)["files"])
        except (OSError, DamagedError, KeyError, TypeError, ValueError):
            self._known = {}
        self._changed = False
        #: Files that held something else when they were last read.
        self.replaced: list[Path] = []

    def of(self, path: Path) -> str:
        """Sha256 of a file's content."""
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        name = str(path.resolve())
        known = self._known.get(name)
        if isinstance(known, list) and known[:-1] == stamp:
            return str(known[-1])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if isinstance(known, list) and known[-1:] != [digest]:
            self.replaced.append(path)
        self._known[name] = [*stamp, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Write the memo back, whole."""
        if self._changed:
            write_json(self._path, {"files": self._known}, indent=None)
            self._changed = False


def key_with_code(of: type, *parts: Any) -> str:
    """Key of what a class's module computes from ``parts``: changed code is another key."""
    return key_of(code_hash(of), *parts)


def cached_arrays(
    key: str, make: Callable[[], dict[str, np.ndarray]], folder: str = "features"
) -> tuple[dict[str, np.ndarray], bool]:
    """Arrays under a key, computed once.

    Returns
    -------
    arrays : dict of str to array
    hit : bool
        Whether they came from the cache.
    """
    import io

    path = cache_root() / folder / key[:2] / f"{key}.npz"
    if path.is_file():
        try:
            return load_arrays(unsealed(path.read_bytes(), key)), True
        except (OSError, DamagedError):  # torn by a full disk, say
            path.unlink(missing_ok=True)
    with one_thread():
        arrays = make()
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, sealed(buffer.getvalue(), key))
    return arrays, False
