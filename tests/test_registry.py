"""Names to things: lazy, one owner a name, and a broken plugin is only its own problem."""

import importlib.metadata
import subprocess
import sys

import pytest

from bench import registry
from bench.errors import BenchError, UnknownNameError
from bench.registry import Entry, broken, entries, entry, include, load


class Point:
    """An installed entry point."""

    class dist:
        name = "stranger"

    def __init__(self, name, value, found):
        self.name, self.value, self.found = name, value, found

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def plug(clean_registry, monkeypatch):
    """Pretend that packages with methods are installed beside ours."""
    real = importlib.metadata.entry_points

    def install(*points):
        def found(group):
            return [*points, *real(group=group)] if group == "bench.methods" else real(group=group)

        monkeypatch.setattr(importlib.metadata, "entry_points", found)
        registry._tables.clear()

    return install


def test_an_installed_catalogue_may_name_its_own_module(plug):
    """What ``bench new method`` writes: the same file works by --include and when installed."""
    plug(Point("mine", "support:CATALOGUE", [Entry("mine", ":synthetic", "a stranger's")]))
    assert entry("methods", "mine").target == "support:synthetic"
    assert load("methods", "mine").__name__ == "synthetic"


def test_what_is_built_in_is_there():
    assert {"scmm", "target-only", "majority"} <= set(entries("methods"))
    assert {"SEED", "SEED-IV", "DEAP"} <= set(entries("corpora"))
    assert "few-shot" in entries("protocols")
    assert {"run", "terminal", "leaderboard"} <= set(entries("reports"))
    for group in registry.GROUPS:
        assert broken(group) == {}
        for name, found in entries(group).items():
            assert found.summary, name
            assert load(group, name) is not None


def test_names_ignore_case():
    assert load("methods", "SCMM").name == "scmm"
    assert entry("corpora", "seed-iv").name == "SEED-IV"


@pytest.mark.parametrize(("group", "name", "what", "near"), [
    ("methods", "scm", "method", "scmm"), ("corpora", "SEEDIV", "corpus", "SEED-IV"),
    ("protocols", "fewshot", "protocol", "few-shot"), ("reports", "leaderbord", "report",
                                                       "leaderboard"),
])
def test_unknown_names_suggest_the_nearest(group, name, what, near):
    with pytest.raises(UnknownNameError) as caught:
        entry(group, name)
    assert caught.value.message == f"there is no {what} named {name!r}"
    assert f"{near!r}" in caught.value.hint.split("?")[0]
    assert f"Known: {', '.join(sorted(entries(group)))}" in caught.value.hint


def test_a_name_like_nothing_lists_what_there_is():
    with pytest.raises(UnknownNameError) as caught:
        entry("methods", "qqqqqqqq")
    assert caught.value.hint.startswith("Known: ")


def test_listing_imports_no_method():
    code = ("import sys; from bench.registry import entries\n"
            "from bench.cli.screen.tables import as_json, as_table\n"
            "for g in ('methods', 'corpora', 'protocols', 'reports'): assert entries(g)\n"
            "assert as_json('methods') and as_table('methods')\n"
            "assert not {'torch', 'numpy', 'bench.methods.scmm'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_strangers_plugin_is_one_of_us(plug):
    plug(Point("x", "stranger:CATALOGUE", [Entry("theirs", "support:Means")]),
         Point("y", "stranger:ONE", Entry("single", "support:Means")))
    assert load("methods", "theirs").name == "means"
    assert entries("methods")["theirs"].origin == "stranger"
    assert "single" in entries("methods")
    assert list(entries("methods"))[0] == "majority"


def test_a_broken_plugin_is_reported_and_the_rest_works(plug):
    plug(Point("bad", "stranger:X", ImportError("no module named thing")),
         Point("worse", "stranger:Y", 3),
         Point("good", "stranger:Z", [Entry("theirs", "support:Means")]))
    assert broken("methods") == {
        "bad (stranger)": "ImportError: no module named thing",
        "worse (stranger)": "TypeError: 'int' object is not iterable",
    }
    assert {"theirs", "scmm"} <= set(entries("methods"))


def test_a_target_that_cannot_be_imported_is_told_when_used(plug):
    plug(Point("x", "stranger:X", [Entry("torn", "no_such_package.thing:Method"),
                                   Entry("lost", "support:NoSuchMethod")]))
    assert {"torn", "lost"} <= set(entries("methods"))
    with pytest.raises(BenchError, match=r"torn \(stranger\) cannot be loaded: ModuleNotFound"):
        load("methods", "torn")
    with pytest.raises(BenchError, match=r"lost \(stranger\) cannot be loaded: AttributeError"):
        load("methods", "lost")


@pytest.mark.parametrize("name", ["scmm", "SCMM"])
def test_a_plugin_cannot_take_a_name_of_ours(plug, name):
    plug(Point("aaa", "aaa:CATALOGUE", [Entry(name, "support:Means"),
                                        Entry("theirs", "support:Means")]))
    assert load("methods", "scmm").__module__ == "bench.methods.scmm"
    assert broken("methods") == {
        f"{name} (stranger)":
            "the name is taken by eeg-cross-corpus-bench; rename one of the two",
    }
    assert "theirs" in entries("methods")


METHOD = '''
from bench.method import Method, Needs
from bench.registry import Entry

CATALOGUE = [Entry("{name}", ":Mine", "mine")]

class Mine(Method):
    name = "{name}"
    needs = Needs(source="none", calibration=True)

    def fit(self, view, state, ctx):
        raise NotImplementedError
'''


def test_a_file_is_included(clean_registry, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD.format(name="mine"))
    assert [e.name for e in include(str(path))] == ["mine"]
    include(str(path))  # twice is once
    assert load("methods", "mine")().name == "mine"
    assert entries("methods")["mine"].origin == str(path)
    assert broken("methods") == {}


def test_files_of_the_same_name_are_told_apart(clean_registry, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(METHOD.format(name=folder))
        include(str(tmp_path / folder / "mine.py"))
    assert (load("methods", "a").name, load("methods", "b").name) == ("a", "b")


def test_an_included_file_cannot_take_a_name(clean_registry, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(METHOD.format(name="scmm"))
    include(str(path))
    assert load("methods", "scmm").__module__ == "bench.methods.scmm"
    assert "the name is taken" in next(iter(broken("methods").values()))


@pytest.mark.parametrize(("text", "message"), [
    ("x = 1", "has no CATALOGUE, a list of bench.registry.Entry"),
    ("import no_such_thing", "cannot be imported: ModuleNotFoundError: No module named"),
    ("def f(:", "cannot be imported: SyntaxError"),
])
def test_a_file_that_is_no_plugin_is_refused(clean_registry, tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    for _ in range(2):  # the second time is no different
        with pytest.raises(BenchError, match=message):
            include(str(path))


def test_what_is_not_there_is_refused(clean_registry):
    with pytest.raises(BenchError, match="nowhere.py is not there"):
        include("nowhere.py")
    with pytest.raises(BenchError, match="no_such_module is neither a .py file nor a module"):
        include("no_such_module")
