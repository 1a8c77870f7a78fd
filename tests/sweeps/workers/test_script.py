"""A script that starts workers is kept from being run again by each of them, or refused once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


CHECK = "from bench.sweeps.workers.script import check_guard\n"


@pytest.mark.parametrize(("text", "line"), [
    ("check_guard()\n", 2),
    ("def main():\n    check_guard()\n\n\nfor n in (1,):\n    main()\n", 7),
    ("if __name__:\n    pass\ncheck_guard()\n", 4),
    ("if True:\n    check_guard()\n", 3),
])
def test_without_a_guard_it_is_refused_with_the_line(tmp_path, text, line):
    done = started(tmp_path, CHECK + text)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()
    assert any(f"own.py starts worker processes in line {line}, and each of them would run the "
               "script again" in x for x in last)
    assert 'if __name__ == "__main__":' in done.stderr


@pytest.mark.parametrize("text", [
    'if __name__ == "__main__":\n    check_guard()\n',
    'def main():\n    check_guard()\n\n\nif "__main__" == __name__:\n    main()\n',
    'if __name__ != "__main__":\n    raise SystemExit\ncheck_guard()\n',
])
def test_under_a_guard_it_goes_on(tmp_path, text):
    done = started(tmp_path, CHECK + text)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_has_no_file_or_is_a_package_has_nothing_to_run_again():
    done = subprocess.run([sys.executable, "-c", CHECK + "check_guard()"], check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0
    script.check_guard()  # of `python -m pytest`, or of the command, which has a guard


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
