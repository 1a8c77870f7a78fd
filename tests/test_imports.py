"""The house keeps its shape: who may import whom, no circles, rooms and modules of a size."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from imports import ROOT, floors, graph, lint
from merged import merged

FOLDERS = {"bench": "bench", "methods": "bench.methods", "datasets": "bench.datasets",
           "reports": "bench.reports"}
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
ENGINE = [path for path in SOURCES if path.is_relative_to(ROOT / "bench")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout as it is installed. Do not change it: copy it."""
    return merged(ROOT, tmp_path_factory.mktemp("merged"))


@pytest.fixture(scope="module")
def imports(tree: Path) -> dict[str, set[str]]:
    return graph(tree)


def linted(tree: Path) -> tuple[int, str]:
    """Status of the linter, and what it says in one line (it wraps names of contracts)."""
    done = lint(tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, " ".join(done.stdout.split())


def module_of(path: Path) -> str:
    folder, *inner = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *inner]).removesuffix(".__init__")


# --- who may import whom ---------------------------------------------------------------------

def test_the_graph_holds_every_module(imports):
    """Of the checkout itself it would hold those of the engine only."""
    assert set(imports) == {module_of(path) for path in SOURCES}


def test_contracts_are_kept(tree):
    status, said = linted(tree)
    assert status == 0, said
    assert f"Analyzed {len(SOURCES)} files" in said
    assert " 0 broken" in said


#: Module, an import that it may not have, and what the linter has to say.
TURNED_ROUND = [
    ("errors", "from .cells.cell import Cell", "bench.errors -> bench.cells.cell"),
    ("scoring/metrics", "from ..store.records import Store",
     "bench.scoring.metrics -> bench.store.records"),
    ("runs/run", "from ..methods.lr import LR", "bench.runs.run -> bench.methods.lr"),
    ("cli/main", "if TYPE_CHECKING:\n    from ..reports.html import HTML",
     "bench.cli.main -> bench.reports.html"),
    ("reports/html", "import bench.methods.lr", "bench.reports.html -> bench.methods.lr"),
    ("methods/shared/shallow", "from ..lr import LR",
     "bench.methods.shared.shallow -> bench.methods.lr"),
    ("datasets/shared/files", "from ..seed import SEED",
     "bench.datasets.shared.files -> bench.datasets.seed"),
    ("reports/shared/rows", "from ..html import HTML",
     "bench.reports.shared.rows -> bench.reports.html"),
    ("methods/lr", "from bench.store.records import Store",
     "bench.methods.lr -> bench.store.records"),
    ("data/windows", "from .reading import ReadOptions", "No cycles are allowed in bench.data"),
]


@pytest.fixture(scope="module")
def turned_round(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy that has them all; once, since each time takes a second."""
    copy = shutil.copytree(tree, tmp_path_factory.mktemp("turned") / "copy")
    for module, line, _ in TURNED_ROUND:
        path = copy / "bench" / f"{module}.py"
        path.write_text(f"{path.read_text()}\n{line}\n")
    status, output = linted(copy)
    assert status != 0
    return output


@pytest.mark.parametrize(("module", "line", "said"), TURNED_ROUND)
def test_an_import_that_is_turned_round_is_found(turned_round, module, line, said):
    assert said in turned_round


def test_a_new_room_must_be_given_its_floor(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "copy")
    (copy / "bench" / "attic.py").write_text('"""Attic."""\n')
    status, output = linted(copy)
    assert status != 0
    assert "bench.attic" in output


def test_the_contract_names_the_rooms_of_today():
    """Two for a floor in one line, and none that is gone."""
    rooms = [room for floor in floors() for room in floor]
    there = {module.split(".")[1] for module in map(module_of, SOURCES) if "." in module}
    assert sorted(rooms) == sorted(there)


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, round some corner: strongly connected components."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        open_.append(module)
        for other in sorted(imports[module]):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in open_:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            at = open_.index(module)
            circle = open_[at:]
            del open_[at:]
            if len(circle) > 1 or module in imports[module]:
                found.append(sorted(circle))

    for module in sorted(imports):
        if module not in number:
            visit(module)
    return found


def test_no_circle_of_modules(imports):
    assert circles(imports) == []


def test_circles_are_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "d"}, "e": set()}) == [
        ["a", "b", "c"], ["d"]]


# --- sizes and names -------------------------------------------------------------------------

def test_no_folder_of_the_engine_is_crowded():
    sizes = Counter(path.parent.relative_to(ROOT).as_posix() for path in ENGINE)
    assert {folder: n for folder, n in sizes.items() if n > 12} == {}


def lines_of_code(text: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER}
    lines = {
        line for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in silent for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) \
                and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_no_module_is_too_long():
    sizes = {path.relative_to(ROOT).as_posix(): lines_of_code(path.read_text(encoding="utf-8"))
             for path in SOURCES}
    assert {path: n for path, n in sizes.items() if n > 450} == {}


def test_lines_of_code_are_counted():
    assert lines_of_code('"""Doc\n\nstring."""\n\n# comment\nx = """a\n\nb"""\n\n\n'
                         'def f():\n    """Doc."""\n    return 1  # one\n') == 5


def test_no_module_is_named_like_one_of_the_standard_library():
    assert [str(path) for path in ENGINE if path.stem in sys.stdlib_module_names] == []


def test_one_class_a_name():
    """Classes of modules; those within classes and functions have a name of their own anyway."""
    names = Counter(
        node.name for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, n in names.items() if n > 1] == []


# --- the package -----------------------------------------------------------------------------

def test_every_folder_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(
        module_of(path) for path in SOURCES if path.name == "__init__.py"
    )
    assert {path.parent for path in SOURCES} == {
        path.parent for path in SOURCES if path.name == "__init__.py"
    }


def test_the_version_is_the_installed_one():
    import bench

    assert bench.__version__ == importlib.metadata.version("eeg-cross-corpus-bench")
