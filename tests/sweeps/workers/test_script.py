"""A script that starts workers is kept from being run again by each of them, or refused once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench.errors import SettingError
from bench.sweeps.workers import script

SWEEP = '''bench.sweep(methods="majority", pairs=["SEED->DEAP"], simulated=True, scale="null",
    recipe={"subjects": 2, "length": 0.02}, controls=False,
    options=bench.SweepOptions(runs="runs", workers=2))'''


def started(tmp_path, text, **more):
    """What becomes of a script that calls the check where a sweep would start workers."""
    path = tmp_path / "own.py"
    path.write_text(text)
    return subprocess.run(
        [sys.executable, *more.get("flags", ()), str(path)], capture_output=True, text=True,
        check=False, cwd=tmp_path, timeout=300,
        env={**os.environ, "TERM": "dumb", "PYTHONPATH": os.pathsep.join(sys.path)})


def found_in(tmp_path, text):
    """What is found where a script of this text calls ``check``, as Python would run it."""
    path = tmp_path / "own.py"
    path.write_text(text)
    main = ModuleType("__main__")
    main.__file__ = str(path)
    found = []
    main.check = lambda: found.append(script.unguarded(main, sys._getframe()))
    with contextlib.suppress(SystemExit):
        exec(compile(text, path, "exec"), main.__dict__)
    (outcome,) = found
    return outcome if outcome is None else (outcome[0].name, outcome[1])


@pytest.mark.parametrize(("text", "line"), [
    ("check()\n", 1),
    ("def main():\n    check()\n\n\nfor n in (1,):\n    main()\n", 6),
    ("if __name__:\n    pass\ncheck()\n", 3),
    ("if True:\n    check()\n", 2),
])
def test_without_a_guard_it_is_found_with_the_line(tmp_path, text, line):
    assert found_in(tmp_path, text) == ("own.py", line)


@pytest.mark.parametrize("text", [
    'if __name__ == "__main__":\n    check()\n',
    'def main():\n    check()\n\n\nif "__main__" == __name__:\n    main()\n',
    'if __name__ != "__main__":\n    raise SystemExit\ncheck()\n',
])
def test_under_a_guard_it_is_not(tmp_path, text):
    assert found_in(tmp_path, text) is None


def test_what_has_no_file_or_is_a_package_has_nothing_to_run_again(tmp_path):
    frame, main = sys._getframe(), ModuleType("__main__")
    assert script.unguarded(main, frame) is None  # python -c, a notebook
    main.__file__ = str(tmp_path / "__main__.py")
    assert script.unguarded(main, frame) is None  # it is not what runs
    main.__spec__ = SimpleNamespace(name="pytest.__main__")
    assert script.unguarded(main, frame) is None
    script.check_guard()  # of these tests themselves, and of the command


def test_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(script, "unguarded", lambda main, frame: (Path("own.py"), 3))
    with pytest.raises(SettingError, match=r"own\.py starts worker processes in line 3") as said:
        script.check_guard()
    assert script.GUARD in said.value.hint


@pytest.mark.slow
def test_a_sweep_without_a_guard_is_one_message_and_with_one_runs(tmp_path):
    refused = started(tmp_path, f"import bench\n{SWEEP}\n")
    assert refused.returncode != 0
    assert refused.stderr.count("starts worker processes in line 2") == 1
    assert "RuntimeError" not in refused.stderr
    body = "    " + SWEEP.replace("\n", "\n    ")
    done = started(tmp_path, f'import bench\nif __name__ == "__main__":\n{body}\n')
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "cells").iterdir())) == 1
