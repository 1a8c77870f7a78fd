"""The hash of the code a result depends on."""

import importlib
import sys

import pytest

from bench.registry import load
from bench.store import hashing as codehash
from bench.store.hashing import code_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two methods: ``first`` leads to ``near``, which leads to ``far``."""
    folder = tmp_path / "some_plugin"
    folder.mkdir()
    texts = {
        "__init__": "", "far": "X = 1\n", "near": "from .far import X\n", "other": "Y = 1\n",
        "first": "import math\nfrom .near import X\nfrom bench.training import train\n"
                 "class First: pass\n",
        "second": "def late():\n    from . import far\nclass Second: pass\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.startswith("some_plugin")]:
        del sys.modules[name]


def hashes(package):
    """As a new process would see it."""
    codehash._hash.cache_clear()
    codehash._imports.cache_clear()
    codehash.source_of.cache_clear()
    return [
        code_hash(getattr(importlib.import_module(f"some_plugin.{name.lower()}"), name))
        for name in ("First", "Second")
    ]


@pytest.mark.parametrize(("changed", "which"), [
    ("first", [True, False]), ("near", [True, False]), ("far", [True, True]),
    ("second", [False, True]), ("other", [False, False]),
])
def test_a_change_shows_in_all_that_depend_on_it(package, changed, which):
    before = hashes(package)
    with (package / f"{changed}.py").open("a") as file:
        file.write("# changed\n")
    after = hashes(package)
    assert [a != b for a, b in zip(before, after, strict=True)] == which


def test_nothing_is_imported_to_find_it(package):
    """A name in a module is asked for as if it were one, which must not import the module."""
    (package / "third.py").write_text(
        "def late():\n    from .deep.inner import X\n    from .other import Y\nclass Third: pass\n")
    (package / "deep").mkdir()
    (package / "deep" / "__init__.py").write_text("raise ImportError('not installed')\n")
    inner = package / "deep" / "inner.py"
    inner.write_text("X = 1\n")

    def hashed():
        codehash._hash.cache_clear()
        codehash._imports.cache_clear()
        codehash.source_of.cache_clear()
        return code_hash(importlib.import_module("some_plugin.third").Third)

    before = hashed()
    assert {n for n in sys.modules if n.startswith("some_plugin")} == {
        "some_plugin", "some_plugin.third"}
    inner.write_text("X = 2\n")
    assert hashed() != before


def test_it_is_short_and_stable(package):
    first = hashes(package)
    assert first == hashes(package)
    assert all(len(h) == 16 and int(h, 16) >= 0 for h in first)


def test_what_scmm_depends_on():
    reach = codehash._reach("bench.methods.scmm")
    shared = "bench.methods.shared"
    assert {"bench.methods.scmm", f"{shared}.losses.scmm", f"{shared}.networks.layers",
            f"{shared}.training.selfsupervised", "bench.training"} <= reach
    assert not {"bench.store.records", "bench.cli.main", "bench.methods.majority"} & reach
    assert code_hash(load("methods", "scmm")) != code_hash(load("methods", "majority"))


def test_what_a_context_draws_by_is_part_of_every_method():
    assert "bench.draws" in codehash._reach("bench.methods.lr")
    assert "bench.draws" not in codehash._reach("bench.datasets.seed")


def test_a_class_in_a_test_or_a_file_has_a_hash():
    class Here:
        pass

    assert len(code_hash(Here)) == 16
