"""Who imports whom, and whether that is allowed: ``python tests/imports.py``.

Import-linter and grimp follow folders, not setuptools' ``package-dir``: on the checkout itself they
see no method, corpus or report, and every contract on these is kept for nothing. So both look at a
copy that is laid out as an installation is. The contracts stand in ``pyproject.toml``.
Nothing here imports ``bench``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from merged import merged

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"

_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
_GRAPH = """
import grimp, json
graph = grimp.build_graph("bench", cache_dir=None)
print(json.dumps({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}))
"""


def lint(tree: Path, **streams: Any) -> subprocess.CompletedProcess[str]:
    """Hold a tree, laid out as installed, to the contracts; ``streams`` go to the process."""
    return _python(tree, _LINT, str(PROJECT), "--no-cache", **streams)


def graph(tree: Path) -> dict[str, set[str]]:
    """Modules of a tree, laid out as installed, and which of these each imports.

    Imports inside functions and under ``TYPE_CHECKING`` count.
    """
    done = _python(tree, _GRAPH, stdout=subprocess.PIPE, check=True)
    return {module: set(imported) for module, imported in json.loads(done.stdout).items()}


def floors() -> list[list[str]]:
    """Rooms of each floor, the ground floor first, as the contract of the floors has them."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = (c for c in contracts if c["id"] == "floors")
    return [layer.split(" | ") for layer in reversed(contract["layers"])]


def _python(
    tree: Path, code: str, *arguments: str, check: bool = False, **streams: Any
) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, where ``bench`` is that of the tree."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tree, text=True, check=check,
        env={**os.environ, "PYTHONPATH": str(tree)}, **streams,
    )


def main() -> int:
    """Lint this checkout; the linter's exit status."""
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as folder:
        return lint(merged(ROOT, Path(folder))).returncode


if __name__ == "__main__":
    sys.exit(main())
