"""``tests/merged.py`` lays a tree out as installed, so that this tree is the one that is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from merged import TreeError, commit_of, extract, merged, read_project

ROOT = Path(__file__).resolve().parent.parent


def imported(package: Path, cwd: Path) -> dict[str, str]:
    """Which ``bench`` a process finds, and whose entry points."""
    code = """if True:
        import importlib.metadata, json, bench, bench.methods
        points = importlib.metadata.entry_points(group="bench.methods", name="builtin")
        print(json.dumps({
            "bench": bench.__file__, "methods": bench.methods.__file__,
            "points": [str(p.dist.locate_file("")) for p in points],
        }))"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    return json.loads(done.stdout)


def test_a_merged_tree_wins_over_the_installed_one(tmp_path):
    package = merged(ROOT, tmp_path / "package")
    there = imported(package, tmp_path)
    assert there == {
        "bench": str(package / "bench" / "__init__.py"),
        "methods": str(package / "bench" / "methods" / "__init__.py"),
        "points": [str(package)],
    }


def test_a_merged_tree_holds_every_module_and_all_data(tmp_path):
    package = merged(ROOT, tmp_path / "package")
    listed = read_project(ROOT)["tool"]["setuptools"]
    for name in listed["packages"]:
        assert (package / name.replace(".", "/") / "__init__.py").is_file(), name
    for name, patterns in listed["package-data"].items():
        for pattern in patterns:
            assert list((package / name.replace(".", "/")).glob(pattern)), (name, pattern)
    assert not list(package.rglob("__pycache__"))
    assert not list(package.rglob("*.pyc"))


def test_sub_packages_are_copied_whether_they_are_listed_or_not(tmp_path):
    tree = tmp_path / "tree"
    for path in ("core/a/deep/x.py", "core/y.py", "extra/z.py", "core/a/data/table.csv"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text("")
    (tree / "pyproject.toml").write_text("""
        [project]
        name = "my-own.project"
        version = "2"
        [project.scripts]
        own = "own.cli:main"
        [tool.setuptools]
        packages = ["own", "own.a", "own.extra"]
        [tool.setuptools.package-dir]
        own = "core"
        "own.extra" = "extra"
    """)
    package = merged(tree, tmp_path / "package")
    files = sorted(str(p.relative_to(package)) for p in package.rglob("*") if p.is_file())
    assert files == [
        "my_own.project-2.dist-info/METADATA", "my_own.project-2.dist-info/entry_points.txt",
        "own/a/data/table.csv", "own/a/deep/x.py", "own/extra/z.py", "own/y.py",
    ]
    assert "[console_scripts]\nown = own.cli:main\n" in (
        package / "my_own.project-2.dist-info" / "entry_points.txt").read_text()


def test_a_tree_without_its_packages_is_refused(tmp_path):
    with pytest.raises(TreeError, match=r"pyproject\.toml cannot be read"):
        merged(tmp_path, tmp_path / "a")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(TreeError, match="names no packages"):
        merged(tmp_path, tmp_path / "a")
    (tmp_path / "pyproject.toml").write_text("[tool.setuptools]\npackages = ['x.y']\n")
    with pytest.raises(TreeError, match=r"no folder x/y for package x\.y"):
        merged(tmp_path, tmp_path / "a")


def test_a_commit_is_taken_without_touching_the_checkout(committed, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("before")
    committed(tree)
    (tree / "file").write_text("after")
    into = extract(tree, commit_of(tree, "HEAD"), tmp_path / "copy")
    assert (into / "file").read_text() == "before"
    assert (tree / "file").read_text() == "after"


def test_what_is_no_commit_is_refused(committed, tmp_path):
    with pytest.raises(TreeError, match="is no git checkout"):
        commit_of(tmp_path, "HEAD")
    (tmp_path / "inner").mkdir()
    (tmp_path / "file").write_text("")
    committed(tmp_path)
    for name in ("no-such-commit", "--help", ""):
        with pytest.raises(TreeError, match=f"has no commit '{name}'"):
            commit_of(tmp_path, name)
    # A folder that only lies in a checkout has no commits of its own.
    with pytest.raises(TreeError, match="is no git checkout"):
        commit_of(tmp_path / "inner", "HEAD")
