"""Plugin folders to start from: they install, run and pass their own tests as they stand."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from ..errors import BenchError, SettingError
from ..registry import entries

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_method(name: str, folder: Path | None = None) -> list[Path]:
    """Write a plugin folder with one method.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    folder : Path, optional
        Where to write, by default ``bench-NAME`` in the current folder; must be empty or new.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    SettingError
        The name cannot be used.
    BenchError
        The folder is not empty.
    """
    _check_name(name)
    folder = folder or Path(f"bench-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is there and not empty", "Give another with --folder DIR")
    # A prefix of its own, so that a method named after a library does not hide that library.
    module = f"bench_{name.replace('-', '_')}"
    words = {
        "name": name, "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    files = {
        f"{module}.py": "method.py", "pyproject.toml": "pyproject.toml",
        f"tests/test_{module}.py": "test_method.py", "README.md": "README.md",
    }
    written = []
    for path, source in files.items():
        # No Python files: what lints and tests the package need not pass over them.
        template = resources.files(__package__).joinpath("template", f"{source}.txt")
        text = Template(template.read_text(encoding="utf-8")).substitute(words)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        written.append(folder / path)
    return written


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot be the name of a method",
            "Use lower-case letters, digits and single hyphens, a letter first: my-method",
        )
    taken = {"method", "params", "needs", "context", "view", "entry", "predictor", "any"}
    if name in taken or keyword.iskeyword(name.capitalize()):
        raise SettingError(f"{name!r} is the name of something a method uses; take another")
    if name in {known.lower() for known in entries("methods")}:
        raise SettingError(f"there is a method named {name!r} already; take another name")
