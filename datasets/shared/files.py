"""Finding a corpus's folders and files, strictly and without leaving its folder."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bench.data.corpus import CorpusAdapter, Recording
from bench.errors import DataError, MissingCorpusError

#: How many folder levels below the given one a corpus is looked for.
DEPTH = 3

#: Files that were passed over, and why.
Skipped = list[tuple[Path, str]]

#: What macOS leaves beside every file on a foreign disk; simulators write it as a decoy.
JUNK = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"


def plain(name: str) -> str:
    """File name without what differs between copies: case, '-', '_' and spaces.

    Examples
    --------
    >>> plain("Channel Order.xlsx") == plain("channel-order.xlsx")
    True
    """
    return re.sub(r"[-_ ]", "", name).lower()


def inside(path: Path, root: Path) -> bool:
    """Whether a path, links followed, stays below ``root``."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a loop of links
        return False


def entries(folder: Path) -> list[Path]:
    """Sorted content of a folder; empty if it may not be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def subfolders(folder: Path, root: Path) -> list[Path]:
    """Folders in ``folder`` that are worth a look (no hidden ones, none outside ``root``)."""
    return [
        p for p in entries(folder)
        if not p.name.startswith(".") and p.name != "__MACOSX" and p.is_dir() and inside(p, root)
    ]


def walk(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """``root`` and the folders below it, level by level."""
    level = [root]
    for _ in range(depth + 1):
        yield from level
        level = [child for folder in level for child in subfolders(folder, root)]


def missing_corpus(owned: CorpusAdapter, message: str, advice: str = "") -> MissingCorpusError:
    """The error for a corpus that is not there: where to request it and what it looks like."""
    hint = f"{owned.name} is requested here: {owned.access}\nExpected layout:\n{owned.layout}"
    return MissingCorpusError(message, f"{advice}\n{hint}" if advice else hint)


def existing_folder(owned: CorpusAdapter, root: Path) -> Path:
    """``root`` with links resolved.

    Raises
    ------
    MissingCorpusError
        There is no such folder; suggests the nearest sibling.
    """
    path = Path(root).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise missing_corpus(
            owned, f"{path} is a file; {owned.name} is looked for in a folder"
        )
    siblings = [p.name for p in entries(path.parent) if p.is_dir()]
    lower = {s.lower(): s for s in siblings}
    near = difflib.get_close_matches(path.name.lower(), list(lower), n=1, cutoff=0.5)
    advice = f"Did you mean {path.parent / lower[near[0]]}?" if near else ""
    raise missing_corpus(owned, f"there is no folder {path}, where {owned.name} was looked for",
                         advice)


def locate(owned: CorpusAdapter, root: Path, wanted: Sequence[str]) -> tuple[Path, list[Path]]:
    """The corpus's own folder, and which of the wanted sub-folders it has.

    Parameters
    ----------
    root : Path
        The corpus's folder, one of its wanted sub-folders, or a folder up to three levels above.
    wanted : sequence of str
        Names of sub-folders, preferred first; one is enough.

    Returns
    -------
    folder : Path
    places : list of Path
        In the order of ``wanted``.

    Raises
    ------
    MissingCorpusError
        None there.
    DataError
        Several copies.
    """
    top = existing_folder(owned, root)
    names = [plain(w) for w in wanted]
    candidates = _candidates(top, names)
    folder = the_one(owned, top, candidates, f"folder {' or '.join(wanted)}",
                     f"copy of {owned.name}")
    places = candidates[folder]
    twins = [p for p in places if [plain(f.name) for f in places].count(plain(p.name)) > 1]
    if twins:
        raise DataError(folder, f"one folder {wanted[0]}",
                        f"{len(twins)}: {', '.join(p.name for p in twins)}", "Remove one of them.")
    return folder, places


def locate_files(
    owned: CorpusAdapter, root: Path, pattern: str, described: str, preferred: str = ""
) -> Path:
    """The folder that holds a corpus's recordings itself, without sub-folders of the owner's.

    Parameters
    ----------
    root : Path
        That folder, or one up to three levels above.
    pattern : str
        Regular expression of the whole name of a recording.
    described : str
        The pattern in the owner's words.
    preferred : str
        Name of the folder that is taken where several hold such files.

    Raises
    ------
    MissingCorpusError
        None does.
    DataError
        Several do, none of them preferred.
    """
    top = existing_folder(owned, root)
    found = [
        folder for folder in walk(top) if any(
            re.fullmatch(pattern, p.name) and p.is_file() and inside(p, top)
            for p in entries(folder)
        )
    ]
    chosen = [f for f in found if preferred and plain(f.name) == plain(preferred)] or found
    return the_one(owned, top, chosen, f"file {described}",
                   f"folder with recordings of {owned.name}")


def the_one(
    owned: CorpusAdapter, top: Path, found: Collection[Path], lacks: str, one: str
) -> Path:
    """The one place of a corpus that was found in a folder and those below it.

    Raises
    ------
    MissingCorpusError
        There is none: what the folder ``lacks``.
    DataError
        There are several, and ``one`` is expected.
    """
    if not found:
        raise missing_corpus(owned, f"{owned.name} was not found: no {lacks} in {top}, nor up to "
                             f"{DEPTH} levels below", _outside(top))
    if len(found) > 1:
        raise DataError(top, f"one {one}", f"{len(found)}: {', '.join(map(str, found))}",
                        "Point at one of them.")
    return next(iter(found))


def _candidates(top: Path, names: list[str]) -> dict[Path, list[Path]]:
    """Folders that have one of the sub-folders, and which, in the order of ``names``."""
    candidates: dict[Path, list[Path]] = {}
    for folder in walk(top):
        if any(parent in candidates for parent in folder.parents):
            continue  # a copy inside a copy is the owner's business
        places = [p for p in subfolders(folder, top) if plain(p.name) in names]
        if places:
            candidates[folder] = sorted(places, key=lambda p: names.index(plain(p.name)))
    if not candidates and plain(top.name) in names:
        candidates[top.parent] = [top]
    return candidates


def _outside(root: Path) -> str:
    """Advice that names links which were not followed."""
    links = [p.name for p in entries(root) if p.is_symlink() and not inside(p, root)]
    if not links:
        return ""
    return f"Links that leave {root} are not followed: {', '.join(links)}. Point at their target."


def loose_files(root: Path, first: Path, *names: str) -> list[Path]:
    """Files of one of these names (see :func:`plain`): those in ``first``, then by depth."""
    wanted = {plain(n) for n in names}
    folders = dict.fromkeys([first, *walk(root, DEPTH)])
    return [
        path for folder in folders for path in entries(folder)
        if plain(path.name) in wanted and path.is_file() and inside(path, root)
    ]


def matching(
    folder: Path, root: Path, pattern: str, described: str, companions: str
) -> tuple[list[tuple[Path, re.Match[str]]], Skipped]:
    """Files of a folder whose names match, and the rest with the reason it was passed over.

    Parameters
    ----------
    pattern : str
        Regular expression of the whole name.
    described : str
        The pattern in the owner's words, for the reasons.
    companions : str
        Regular expression of :func:`plain` names that belong there and need no mention.
    """
    matches: list[tuple[Path, re.Match[str]]] = []
    skipped: Skipped = []
    for path in entries(folder):
        match = re.fullmatch(pattern, path.name)
        if path.name.startswith("._"):
            skipped.append((path, "a macOS resource file, no recording"))
        elif not inside(path, root):
            skipped.append((path, "a link that leaves the corpus's folder"))
        elif not path.is_file():
            skipped.append((path, f"not a file; expected {described}"))
        elif match:
            matches.append((path, match))
        elif not re.fullmatch(companions, plain(path.name)):
            skipped.append((path, f"its name is not {described}"))
    return matches, skipped


def absent(
    recordings: Sequence[Recording], subjects: range, sessions: range
) -> tuple[str, ...]:
    """What is not there of a corpus of some subjects, each with all sessions, in words."""
    have = {(r.subject, r.session) for r in recordings}
    present = sorted({s for s, _ in have})
    lost = [s for s in subjects if s not in present]
    words = []
    if lost:
        verb = "is" if len(lost) == 1 else "are"
        words.append(f"{len(lost)} of {len(subjects)} subjects {verb} missing: "
                     f"{', '.join(map(str, lost))}")
    for session in sessions:
        without = [s for s in present if (s, session) not in have]
        if without == present and present:
            words.append(f"session {session} is missing for every subject")
        else:
            words += [f"subject {s} has no session {session}" for s in without]
    return tuple(words)


def no_recordings(
    owned: CorpusAdapter,
    folders: Sequence[Path],
    described: str,
    skipped: Sequence[tuple[Path, str]],
) -> MissingCorpusError:
    """The error for a corpus folder without a recording in it."""
    seen = "; ".join(f"{p.name}: {why}" for p, why in skipped[:3])
    more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    places = " or ".join(str(f) for f in folders)
    return missing_corpus(
        owned, f"{places} holds no recording of {owned.name}, a file named {described}",
        f"Passed over: {seen}{more}." if skipped else "",
    )


def once(notices: list[str], text: str) -> None:
    """Append a notice that is not there yet."""
    if text not in notices:
        notices.append(text)
