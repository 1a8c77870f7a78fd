"""Windows of one's own by name: written beside the records, so that every process finds them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.own.stored import as_corpus, save_windows
from ..data.windows import Windows
from ..errors import BenchError, SettingError
from ..registry import about_windows, entries, include
from .options import Options

#: Folder of a run folder.
FOLDER = "windows"
#: Task of windows of one's own: their classes are what they are.
OWN = "own"


def keep_windows(windows: Mapping[str, Windows], runs: Path) -> list[str]:
    """Make windows corpora by name: for this process, and by the files returned for any other.

    A file is called by the digest of what it holds, so windows that are the same are written once.

    Parameters
    ----------
    windows : mapping of str to Windows
        By the name that each is to have.
    runs : Path
        Run folder.

    Returns
    -------
    list of str
        Files in ``RUNS/windows``, for the option ``include``.

    Raises
    ------
    BenchError
        A name that is taken or impossible, or windows that cannot be stored.
    """
    if not isinstance(windows, Mapping):
        raise SettingError("windows are given by name", "For example windows={'MYLAB': own}.")
    files = []
    for name, given in windows.items():
        if not isinstance(given, Windows):
            raise SettingError(f"windows[{name!r}] is a {type(given).__name__}, no Windows",
                               "Make them with bench.from_signals or bench.Windows.from_arrays.")
        _check_free(name)
        own = as_corpus(given, name)
        path = (Path(runs) / FOLDER / f"{name}-{own.digest()[:16]}.npz").absolute()
        if not _holds(path, own):
            save_windows(own, path)
        include(str(path))
        files.append(str(path))
    return files


def _holds(path: Path, windows: Windows) -> bool:
    """Whether a file is there and says that it holds these windows; reading it checks that."""
    with contextlib.suppress(BenchError):
        return bool(about_windows(path)["digest"] == windows.digest())
    return False


def _check_free(name: str) -> None:
    """Refuse the name of a corpus that is not windows."""
    known = {n.lower(): item for n, item in entries("corpora").items()}
    taken = known.get(str(name).lower())
    if taken is not None and not taken.member.endswith(".npz"):
        raise SettingError(f"the name {name} is taken by the corpus {taken.name}",
                           "Give the windows another name.")


def include_kept(identity: Mapping[str, Any], runs: Path) -> None:
    """Make the sides of a record corpora again that were windows of somebody's own.

    They are looked for in ``RUNS/windows``: those of the record's digest, else the only ones of
    that name (of some subjects only, or of other classes, they have another digest).

    Raises
    ------
    BenchError
        There are none, or several: says what to give.
    """
    for side in (part for key in ("source", "target") if key in identity
                 for part in identity[key].get("parts", [identity[key]])):
        corpus, _, task = str(side["name"]).partition(":")
        if task != OWN:
            continue
        kept = {about["digest"]: path for path, about in _kept(runs) if about["name"] == corpus}
        path = kept.get(side["digest"]) or (next(iter(kept.values())) if len(kept) == 1 else None)
        if path is not None:
            include(str(path))
        elif corpus.lower() not in {name.lower() for name in entries("corpora")}:
            folder, what = Path(runs) / FOLDER, "several" if kept else "none"
            held = f"{folder} holds {what} of that name" if folder.is_dir() \
                else "no windows are kept beside it"  # as of an archive
            raise BenchError(
                f"the record was made with windows of somebody's own, {corpus}, of digest "
                f"{side['digest'][:16]}, and {held}",
                "Write them with bench.save_windows(windows, FILE, name="
                f"{corpus!r}) and give --include FILE. bench.run(..., windows={{{corpus!r}: own}}) "
                "keeps them beside the records.",
            )


def _kept(runs: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Files of windows in a run folder, and what each says of itself."""
    for path in sorted((Path(runs) / FOLDER).glob("*.npz")):
        with contextlib.suppress(BenchError):
            yield path, about_windows(path)


def with_windows(options: Options, windows: Mapping[str, Windows] | None) -> Options:
    """Options under which windows are corpora by name; see :func:`keep_windows`."""
    if not windows:
        return options
    return replace(options, include=[*options.include, *keep_windows(windows, options.runs)])
