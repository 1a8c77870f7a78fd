"""Build wheel and sdist, and use the wheel where there is no checkout: ``tox -e package``.

    python tests/package.py           # build, check, core install; then all of it, demo, plugin
    python tests/package.py --core    # without the full install

Each install is an environment of its own, in a temporary folder. The core is measured, and what it
promises is run. Build and twine must be there; versions are those of constraints.txt. Measured are
the files of the packages, without the bytecode that pip makes of them unless it is told not to (for
the core some 140 MB more).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Megabytes that the core install may take on disk.
CORE_MB = 550
SMALL = ("--simulated", "--recipe", "subjects=3", "--recipe", "length=0.05")
PAIR = ("--src", "SEED", "--tgt", "DEAP")


def build(out: Path) -> tuple[Path, Path]:
    """Wheel and sdist of this checkout, checked by twine."""
    out.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=out.parent)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=out.parent)
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    inside = {"bench/reports/page/page.html", "bench/cli/template/method.py.txt",
              "bench/data/electrodes.csv", "bench/reports/published.csv", "bench/py.typed"}
    assert inside <= names, f"the wheel lacks {sorted(inside - names)}"
    assert not any(n.startswith(("tests/", "docs/", "speed/")) for n in names)
    return wheel, sdist


class Installed:
    """An environment with a wheel in it, and a folder to work in."""

    def __init__(
        self, folder: Path, wheel: Path, extras: str = "", also: Sequence[str] = ()
    ) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        env = folder / "env"
        venv.create(env, with_pip=False)
        self.bin = env / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / ("python.exe" if os.name == "nt" else "python")
        (self.site,) = env.rglob("site-packages")
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "-q",
               "--no-compile", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
        if extras:  # the pinned torch first: nothing can then pull in another build of it
            run(*pip, "torch", cwd=folder)
        run(*pip, f"{wheel}{extras}", *also, cwd=folder)
        #: Megabytes on disk.
        self.size = sum(p.stat().st_size for p in self.site.rglob("*") if p.is_file()) / 1e6

    def bench(self, *arguments: object, status: int = 0) -> str:
        """Output of the command line, which must end with a status and without a traceback."""
        return run(self.bin / "bench", *arguments, cwd=self.work, status=status)


def run(*command: object, cwd: Path, status: int = 0) -> str:
    """Run a command away from the checkout; its output."""
    began = time.monotonic()
    shown = " ".join(Path(str(c)).name if i == 0 else str(c) for i, c in enumerate(command))
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=3000,
        env={**env, "BENCH_CACHE": str(cwd / "cache"), "NO_COLOR": "1", "COLUMNS": "100",
             "BENCH_CONFIG": str(cwd / "corpora.json")},
    )
    print(f"  {time.monotonic() - began:5.1f} s  {shown[:120]}", flush=True)
    if done.returncode != status or "Traceback" in done.stdout:
        sys.exit(f"{shown}\nended with {done.returncode}, not {status}:\n{done.stdout[-3000:]}")
    return done.stdout


def try_core(core: Installed) -> None:
    """What the core promises, and what it says of what it lacks."""
    print(f"the core install takes {core.size:.0f} MB")
    if core.size > CORE_MB:
        sys.exit(f"the core install takes {core.size:.0f} MB, more than {CORE_MB}")
    core.bench("--version")
    core.bench("list", "methods")
    core.bench("run", "-m", "lda", *PAIR, *SMALL, "--runs", "runs", "-q")
    core.bench("report", "runs")
    core.bench("export", "runs", "-o", "results.zip")
    core.bench("verify", "results.zip")
    core.bench("data", "simulate", "corpora", "--corpus", "DEAP", "--set", "subjects=1")
    core.bench("data", "check", "corpora", "--read")
    core.bench("check", "lda")
    for extra, command in (
        ("torch", ("run", "-m", "scmm", *PAIR, *SMALL)),
        ("tune", ("tune", "-m", "lda", *PAIR, *SMALL)),
        ("transfer", ("run", "-m", "coral", *PAIR, *SMALL, "--no-controls")),
        ("workers", ("sweep", "-m", "lda", "--pairs", "SEED->DEAP", *SMALL, "--workers", "2",
                     "--runs", "pool")),
        ("torch", ("run", "-m", "lda", *PAIR, *SMALL, "--save-models", "--runs", "saved")),
    ):
        said = core.bench(*command, status=2)
        assert f"[{extra}]" in said, f"{command} says: {said}"


def try_all(whole: Installed) -> None:
    """The demo, and a plugin from the template whose own test passes."""
    print(f"the whole install takes {whole.size:.0f} MB")
    whole.bench("run", "--method", "scmm", *PAIR, "--simulated", "-q")
    whole.bench("report", "runs")
    whole.bench("new", "method", "my-method")
    run(whole.python, "-m", "pytest", "-q", cwd=whole.work / "bench-my-method")


def main() -> int:
    """Build, install, run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core", action="store_true", help="Without the full install.")
    parser.add_argument("--keep", type=Path, help="Where wheel and sdist go; dist if not given.",
                        default=ROOT / "dist")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-package-") as name:
        folder = Path(name)
        wheel, sdist = build(folder / "dist")
        try_core(Installed(folder / "core", wheel))
        if not args.core:
            try_all(Installed(folder / "whole", wheel, "[all]", ["pytest"]))
        args.keep.mkdir(exist_ok=True)
        for path in (wheel, sdist):
            shutil.copy(path, args.keep)
    print(f"built {wheel.name} and {sdist.name}, in {args.keep}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
