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
#: Of each kind of plugin: the group it is registered in, and the templates of its files.
_KINDS = {
    "method": ("methods", "method.py", "test_method.py", "README.md"),
    "corpus": ("corpora", "corpus.py", "test_corpus.py", "corpus_README.md"),
}


def new_plugin(kind: str, name: str, folder: Path | None = None) -> list[Path]:
    """Write a plugin folder with one method or one corpus.

    Parameters
    ----------
    kind : {"method", "corpus"}
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
    group, body, test, readme = _KINDS[kind]
    _check_name(kind, name, group)
    folder = folder or Path(f"bench-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is there and not empty", "Give another with --folder DIR")
    # A prefix of its own, so that a method named after a library does not hide that library.
    module = f"bench_{name.replace('-', '_')}"
    words = {
        "name": name, "upper": name.upper(), "module": module, "group": group, "kind": kind,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    files = {
        f"{module}.py": body, "pyproject.toml": "pyproject.toml",
        f"tests/test_{module}.py": test, "README.md": readme,
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


def _check_name(kind: str, name: str, group: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot be the name of a {kind}",
            f"Use lower-case letters, digits and single hyphens, a letter first: my-{kind}",
        )
    taken = {"method", "params", "needs", "context", "view", "entry", "predictor", "any", "path",
             "task", "recipe", "recording", "inventory", "features"}
    if name in taken or keyword.iskeyword(name.capitalize()):
        raise SettingError(f"{name!r} is the name of something a {kind} uses; take another")
    if name in {known.lower() for known in entries(group)}:
        raise SettingError(f"there is a {kind} named {name!r} already; take another name")
