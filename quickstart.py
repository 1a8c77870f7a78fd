#!/usr/bin/env python3
"""From a fresh clone to a result, with nothing there but Python 3.11 or newer and pip.

    python3 quickstart.py demo    # install into .venv, run the main job on simulated corpora
    python3 quickstart.py test    # install into .venv, run the tests

Everything goes into the folder .venv beside this file, so an externally managed Python is left
alone; neither ensurepip nor an activated environment is needed. What follows the word is passed
on: `python3 quickstart.py test -k few_shot`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENV = HERE / ".venv"
BIN = ENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
DEMO = ["run", "--method", "scmm", "--src", "SEED", "--tgt", "DEAP", "--simulated"]


def main() -> int:
    """Install what is missing, then run what was asked for."""
    if sys.version_info < (3, 11):  # noqa: UP036 - a clear message on an old Python
        print(f"bench needs Python 3.11 or newer; this is {sys.version.split()[0]}")
        return 2
    what, *rest = sys.argv[1:] or ["help"]
    if what not in ("demo", "test", "install"):
        print(__doc__)
        return 0 if what in ("help", "-h", "--help") else 2
    install()
    if what == "demo":
        command = [str(PYTHON), "-m", "bench.cli", *DEMO, *rest]
    elif what == "test":
        command = [str(PYTHON), "-m", "pytest", *rest]
    else:
        print(f"installed; the command is {BIN / 'bench'}")
        return 0
    return subprocess.call(command, cwd=HERE)


def install() -> None:
    """Make .venv and install the package into it, unless it is there and up to date."""
    stamp = ENV / "quickstart.stamp"
    wanted = "".join((HERE / f).read_text() for f in ("pyproject.toml", "constraints.txt"))
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    began = time.monotonic()
    print("Installing into .venv (torch and friends, 2 GB; several minutes) ...", flush=True)
    if not PYTHON.exists():
        venv.create(ENV, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "-q",
           "--disable-pip-version-check", "-c", str(HERE / "constraints.txt")]
    # Two steps: once the pinned torch is there, nothing else can pull in another build of it.
    for packages in (["torch"], ["-e", f"{HERE}[test]"]):
        if subprocess.call([*pip, *packages], cwd=HERE):
            sys.exit("pip could not install; its message stands above")
    stamp.write_text(wanted)
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
