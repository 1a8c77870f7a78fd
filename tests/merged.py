"""A source tree laid out as it is installed.

``bench.methods``, ``bench.datasets`` and ``bench.reports`` stand in top folders of the checkout
(setuptools' ``package-dir``), so the checkout itself cannot be imported, and tools that follow
files instead of ``package-dir`` do not see these packages at all. :func:`merged` copies a tree to
the layout that an installation has. With ``PYTHONPATH`` set to the copy, that tree is the ``bench``
that is imported and the one whose entry points are found, also where another is installed: Python
searches ``PYTHONPATH`` before ``site-packages`` and before the finders of editable installations.
Nothing here imports ``bench``.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.egg-info")
#: Tables of ``[project]`` that are entry points, and the group each stands for.
_SCRIPTS = {"scripts": "console_scripts", "gui-scripts": "gui_scripts"}


class TreeError(Exception):
    """A tree cannot be had; the message says why."""


def read_project(tree: Path) -> dict[str, Any]:
    """The ``pyproject.toml`` of a source tree.

    Raises
    ------
    TreeError
        There is none, or it cannot be read.
    """
    path = tree / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TreeError(f"{path} cannot be read: {error}") from error


def merged(tree: Path, into: Path) -> Path:
    """Copy the packages of a source tree to the places where an installation has them.

    Copied are the folders of ``[tool.setuptools]`` with everything in them: modules, package data
    and sub-packages, whether they are listed or not. A ``*.dist-info`` beside them holds the
    project's name, version and entry points.

    Parameters
    ----------
    tree : Path
        Checkout with a ``pyproject.toml``.
    into : Path
        Empty or new folder, for ``PYTHONPATH``.

    Returns
    -------
    Path
        ``into``.

    Raises
    ------
    TreeError
        ``pyproject.toml`` or a package's folder is missing.
    """
    project = read_project(tree)
    setuptools = project.get("tool", {}).get("setuptools", {})
    folders = setuptools.get("package-dir", {})
    listed = setuptools.get("packages", [])
    names = {*folders, *(listed if isinstance(listed, list) else [])} - {""}
    if not names:
        raise TreeError(f"{tree / 'pyproject.toml'} names no packages in [tool.setuptools]")
    for name in sorted(names, key=lambda n: n.count(".")):  # a package before those within it
        folder = tree / _folder(name, folders)
        if not folder.is_dir():
            raise TreeError(f"{tree} has no folder {_folder(name, folders)} for package {name}")
        shutil.copytree(folder, into.joinpath(*name.split(".")), ignore=_LEFT_OUT,
                        dirs_exist_ok=True)
    _describe(project["project"], into)
    return into


def _folder(name: str, folders: dict[str, str]) -> str:
    """Folder of a package: its own entry of ``package-dir``, else within its parent's folder."""
    if name in folders:
        return folders[name]
    parent, _, last = name.rpartition(".")
    above = _folder(parent, folders) if parent else folders.get("", "")
    return f"{above}/{last}".lstrip("/")


def _describe(project: dict[str, Any], into: Path) -> None:
    """Write what ``importlib.metadata`` reads of an installed project."""
    groups = {group: project.get(table, {}) for table, group in _SCRIPTS.items()}
    groups |= project.get("entry-points", {})
    name, version = project["name"], project.get("version", "0")
    folder = into / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    (folder / "entry_points.txt").write_text("\n".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
        for group, table in groups.items() if table
    ), encoding="utf-8")


def commit_of(checkout: Path, name: str) -> str:
    """The full hash of a commit, by whatever name git knows it.

    Raises
    ------
    TreeError
        The folder is no git checkout, or it has no such commit.
    """
    top = _git(checkout, "rev-parse", "--show-toplevel")
    if top is None or Path(top.decode().strip()).resolve() != checkout.resolve():
        raise TreeError(f"{checkout} is no git checkout, so there is no commit to compare with")
    found = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options",
                 f"{name}^{{commit}}")
    if found is None:
        raise TreeError(f"{checkout} has no commit {name!r}; see: git log --oneline")
    return found.decode().strip()


def extract(checkout: Path, commit: str, into: Path) -> Path:
    """Write the files of a commit into a folder; the checkout is not touched.

    Raises
    ------
    TreeError
        Git cannot give them.
    """
    packed = _git(checkout, "archive", "--format=tar", commit)
    if packed is None:
        raise TreeError(f"git archive cannot read commit {commit} of {checkout}")
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")
    return into


def _git(checkout: Path, *arguments: str) -> bytes | None:
    """What a git command prints; None if it fails or there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True,
                              check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
