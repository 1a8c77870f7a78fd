"""The core install, and other systems than POSIX: what is not there is not imported unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bench
from bench.errors import EXTRAS, MissingLibraryError, check_library, missing, reason_of

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("--src", "SEED", "--tgt", "DEAP", "--simulated", "--recipe", "subjects=2", "--recipe",
         "length=0.02")
#: What the core does without, and what comes with that.
_ABSENT = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
#: Ours may import none of these at the top of a module; libraries know for themselves.
_NO_POSIX = """
import builtins, importlib, os, pkgutil, signal, sys
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "termios", "tty", "syslog"}
real = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    ours = str((globals or {}).get("__name__", "")).partition(".")[0] == "bench"
    if ours and level == 0 and name.partition(".")[0] in POSIX:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = without
for name in ("fork", "forkpty", "getuid", "killpg", "pwrite", "pread", "sched_getaffinity",
             "setsid", "mkfifo", "getpgid", "nice"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1"):
    delattr(signal, name)
import bench
for found in pkgutil.walk_packages(bench.__path__, "bench."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""
_USE = """
from pathlib import Path
from bench.store.lock import RunLock, held, holder
from bench.store.provenance import provenance
folder = Path(sys.argv[1])
with RunLock(folder) as lock:
    assert holder(lock.path)["pid"] == os.getpid(), holder(lock.path)
    assert held(folder)["pid"] == os.getpid()
assert held(folder) is None
assert provenance("cpu", {"seed": 0})["peak_memory_mb"] == 0
from bench.cli.main import app
print("fine")
"""


def call(*command, cwd, input=None, **env):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False,
        timeout=300, input=input,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", **env},
    )


#: Runs commands one after the other: a process for each would import pandas and scipy each time.
_COMMANDS = """
import contextlib, io, json, sys
from bench.cli.main import main
answers = []
for arguments in json.load(sys.stdin):
    sys.argv, status, texts = ["bench", *arguments], 0, (io.StringIO(), io.StringIO())
    with contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    answers.append((status, *(text.getvalue() for text in texts)))
json.dump(answers, sys.stdout)
"""
FINE = (
    ("list", "methods"), ("run", "-m", "lda", *SMALL, "-q"),
    ("report", "--only", "leaderboard,html"), ("export",), ("verify", "results.zip"),
    ("data", "simulate", "c", "--corpus", "DEAP", "--set", "subjects=1"), ("data", "check", "c"),
)
#: What each lacks: the extra that brings it.
LACKING = (
    ("torch", ("run", "-m", "scmm", *SMALL)), ("torch", ("check", "dann")),
    ("torch", ("run", "-m", "lda", *SMALL, "--save-models", "--runs", "saved")),
    ("tune", ("tune", "-m", "lda", *SMALL)),
    ("transfer", ("run", "-m", "coral", *SMALL, "--no-controls", "--runs", "other")),
    ("riemann", ("run", "-m", "riemann", *SMALL, "--features", "raw", "--runs", "curved")),
    ("workers", ("sweep", "-m", "lda", "--pairs", "SEED->DEAP", *SMALL[4:], "--workers", "2",
                 "--runs", "pool")),
)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Status and output of commands of a core install, in a folder of its own."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "site").mkdir()
    text = _ABSENT.format(libraries=set(EXTRAS))
    (folder / "site" / "sitecustomize.py").write_text(text)
    commands = [*FINE, *(command for _, command in LACKING)]
    done = call("-c", _COMMANDS, cwd=folder, PYTHONPATH=str(folder / "site"),
                input=json.dumps(commands))
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", FINE, ids=" ".join)
def test_the_core_runs_shallow_methods_and_reports(core, command):
    status, out, err = core[command]
    assert status == 0, out + err


@pytest.mark.parametrize(("extra", "command"), LACKING)
def test_what_is_missing_is_named_with_its_install_line(core, extra, command):
    status, out, err = core[command]
    assert status == 2, out + err
    assert f"pip install 'eeg-cross-corpus-bench[{extra}]'" in err
    assert "which is not installed" in err
    assert "Traceback" not in err


def test_a_missing_library_of_somebody_else_is_not_taken_for_ours():
    error = ModuleNotFoundError("No module named 'theirs'", name="theirs")
    assert missing(error) is None
    assert reason_of(error).startswith("ModuleNotFoundError")
    deep = RuntimeError("it broke")
    deep.__cause__ = ModuleNotFoundError("no", name="torch.nn")
    assert "needs torch" in str(missing(deep))
    assert "[torch]" in reason_of(deep)
    check_library("numpy", "this")


def test_each_extra_brings_what_it_is_named_for(monkeypatch):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"]
    for library, extra in EXTRAS.items():
        name = library.replace("_", "-")
        assert any(line.startswith(name) for line in extras[extra]), library
    monkeypatch.setitem(EXTRAS, "no_such_library", "torch")
    with pytest.raises(MissingLibraryError, match="needs no_such_library"):
        check_library("no_such_library", "a test")


def test_no_module_needs_posix(tmp_path):
    """Windows has none of these; macOS lacks some. Eight seconds: everything is imported."""
    done = call("-c", _NO_POSIX + _USE, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "fine\n"


def test_text_is_read_and_written_as_utf8():
    """The default of Windows is another encoding, and our own sources hold arrows."""
    bare = [f"{path.relative_to(ROOT)}: {call}" for folder in ("bench", "methods", "datasets",
                                                               "reports")
            for path in (ROOT / folder).rglob("*.py") for call in (".read_text()",)
            if call in path.read_text(encoding="utf-8")]
    assert bare == []


def test_the_version_stands_in_one_place():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {bench.__version__}\n" in citation
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dynamic"] == ["version"]
    assert "version" not in project
    done = call("-m", "bench.cli", "--version", cwd=ROOT)
    assert done.stdout == f"bench {bench.__version__}\n"


@pytest.mark.slow
def test_the_wheel_installs_without_the_checkout(tmp_path):
    """Half a minute, and the network: the core alone; `tox -e package` does all."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "package.py", "--core", "--keep", tmp_path],
        capture_output=True, text=True, timeout=1800, check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert len(list(tmp_path.glob("*.whl"))) == 1


@pytest.mark.parametrize(("own", "spins"), [
    ({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "active"}, None),
])
def test_threads_that_wait_leave_the_core_to_others(own, spins):
    """As the library of threads itself says it was told; torch brings it, and is loaded once."""
    code = "import bench, torch; torch.ones(4)" if not own else (
        "import bench, ctypes, glob, importlib.util as u; [ctypes.CDLL(p) for p in glob.glob("
        "u.find_spec('torch').submodule_search_locations[0] + '/lib/libgomp*')]")
    clean = {k: v for k, v in os.environ.items() if k not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, text=True,
        capture_output=True, env=clean | own | {"OMP_DISPLAY_ENV": "VERBOSE"})
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("another library of threads")
    said = done.stderr.partition("GOMP_SPINCOUNT = '")[2].partition("'")[0]
    assert said != "10000" if spins is None else said == spins
