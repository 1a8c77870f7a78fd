"""What a new user does in the first hour, in an environment of its own, and how long it takes.

    python tests/firsthour.py           # install [all,cluster] by pip: 2 GB
    python tests/firsthour.py --here    # the packages of this environment, and the wheel

A wheel of the checkout is installed into a new environment; there, away from the checkout, are run
the commands of README and the pages of docs/howto. Files in the owners' layouts stand in for the
licensed corpora, and an sbatch that starts its jobs here for a cluster. README's commands are run
with few steps, subjects and trials (``QUICK``); the pages as they stand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path

from batch import fake_slurm
from pages import DOCS, ROOT, Block, blocks, commands

HOWTO = DOCS / "howto"
#: What is put behind a command of README, so that all of them take minutes.
_SMALL = ["--scale", "null"]
QUICK: dict[str, list[str]] = {
    "run": _SMALL, "tune": [*_SMALL, "--trials", "2"],
    "audit": [*_SMALL, "--seeds", "1", "--only", "test-scaler"],
    "sweep": [*_SMALL, "--pairs", "SEED->DEAP", "--seeds", "1"],
}
#: And behind one that simulates its corpora.
TINY = ["--recipe", "subjects=3", "--recipe", "length=0.05"]
#: Commands of README that need the network.
OUTSIDE = {("data", "get", "EEGMAT")}
#: What comes before README's Python: recordings of the reader's own.
PRELUDE = """
import numpy as np
rng = np.random.default_rng(0)
names, y, s, t = ["F3", "F4", "P3", "P4"], [0, 1] * 12, [1] * 12 + [2] * 12, [*range(1, 13)] * 2
signals = [rng.normal(size=(4, 2000)) for _ in range(24)]
"""
#: README's folders of recordings: licensed ones, and the reader's own.
STAND_INS = """
bench data simulate ~/corpora --corpus SEED --corpus SEED-IV --corpus DEAP \
    --set subjects=3 --set length=0.05
mv ~/corpora/SEED ~/corpora/SEED_EEG
mkdir ~/my-recordings
python -c "
import numpy as np
rng = np.random.default_rng(0)
np.savez('own.npz', X=rng.normal(0, 10, (12, 4, 1000)), y=np.arange(12) % 2, fs=200,
         subject=np.repeat([1, 2], 6), ch_names=['F3', 'F4', 'P3', 'P4'])
"
mv own.npz ~/my-recordings
"""
#: What is timed, from the start of the installation: page, and a command of its last block.
MILESTONES = {
    "first own figure": ("student", "bench report runs"),
    "own method in a leaderboard": ("author", "bench report mine\n"),
    "own corpus in a run": ("cluster", "--tgt LAB"),
    "merged page of a folder and an archive": ("author", "bench report mine theirs.zip"),
    "merged page of two folders": ("cluster", "bench report cluster-runs laptop-runs"),
}


@dataclass
class Hour:
    """An environment with the wheel in it, a folder to work in, and the seconds of what was run."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = self.folder / "env"
        self.bin = self.env / ("Scripts" if os.name == "nt" else "bin")
        self.home = self.folder / "home"
        self.home.mkdir()

    @property
    def python(self) -> Path:
        """Interpreter of the environment."""
        return self.bin / "python"

    def install(self, here: bool) -> None:
        """Build the wheel and install it, with its packages or beside those of this environment."""
        began = time.monotonic()
        source = self.folder / "source"
        source.mkdir()
        for part in ("pyproject.toml", "README.md", "LICENSE", "bench", "methods", "datasets",
                     "reports"):
            path = ROOT / part
            (shutil.copytree if path.is_dir() else shutil.copy)(path, source / part)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        own = ["--no-deps", "--no-index", "--no-build-isolation"] if here else ["--no-deps"]
        self._call([*pip, "wheel", "-q", *own, "-w", str(self.folder), str(source)], self.folder)
        shutil.rmtree(source)
        (wheel,) = self.folder.glob("*.whl")
        venv.create(self.env, with_pip=False)
        into = [*pip, "--python", str(self.python), "install", "-q"]
        if here:
            (site,) = self.env.rglob("site-packages")
            around = [p for p in sys.path if p.endswith("site-packages")]
            (site / "around.pth").write_text("\n".join(around) + "\n")
            self._call([*into, *own, str(wheel)], self.folder)
        else:
            into += ["-c", str(ROOT / "constraints.txt")]
            # The pinned build of it first, before anything asks for another.
            self._call([*into, "torch"], self.folder)
            self._call([*into, f"{wheel}[all,cluster]"], self.folder)
        fake_slurm(self.bin, str(self.python))
        self.seconds["install"] = time.monotonic() - began

    def run(self, name: str, language: str, text: str, work: Path) -> None:
        """Run a block in a folder; ends the script where it fails."""
        words = ["bash", "-euc", text] if language == "bash" else [str(self.python), "-c", text]
        began = time.monotonic()
        self._call(words, work)
        self.seconds[name] = time.monotonic() - began
        print(f"  {self.seconds[name]:6.1f} s  {name}", flush=True)

    def _call(self, words: list[str], work: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            words, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False, timeout=3000, env={
                **kept, "HOME": str(self.home), "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
                "BENCH_CONFIG": str(work / "corpora.json"), "NO_COLOR": "1", "TERM": "dumb",
                "BENCH_CACHE": str(self.folder / "cache"), "MPLBACKEND": "Agg", "COLUMNS": "100"})
        if done.returncode or "Traceback" in done.stdout:
            sys.exit(f"{words[-1]}\nended with {done.returncode}:\n{done.stdout[-4000:]}")


def readme(hour: Hour) -> None:
    """Every command of README, but for its installation and what needs the network; its Python."""
    work = hour.folder / "readme"
    work.mkdir()
    (work / "tests").symlink_to(ROOT / "tests")  # it names a file of the checkout
    hour.run("README: stand-ins", "bash", STAND_INS, work)
    for block in blocks(ROOT / "README.md", "bash"):
        for line in block.text.splitlines():
            for words in commands(Block(block.page, block.line, "bash", line, "")):
                if tuple(words) not in OUTSIDE:
                    more = QUICK.get(words[0], []) + (TINY if "--simulated" in words else [])
                    quick = " ".join(f"'{w}'" for w in more)
                    text = line.partition("  #")[0].strip()
                    hour.run(f"README: {text}", "bash", f"{text} {quick}", work)
    for block in blocks(ROOT / "README.md", "python"):
        hour.run("README: Python", "python", PRELUDE + block.text, work)


def page(hour: Hour, path: Path) -> None:
    """All marked blocks of a page, as they stand."""
    work = hour.folder / path.stem
    work.mkdir()
    began = hour.seconds["install"]
    for block in blocks(path):
        if block.runs:
            hour.run(f"{path.stem}, line {block.line}", block.language, block.text, work)
            began += hour.seconds[f"{path.stem}, line {block.line}"]
            for name, (where, command) in MILESTONES.items():
                if where == path.stem and command in block.text:
                    hour.seconds[name] = began


def main() -> int:
    """Install, run, say how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--here", action="store_true", help="Packages of this environment.")
    parser.add_argument("--only", choices=["howto", "readme"], help="One of the two parts.")
    parser.add_argument("--json", type=Path, help="Where the seconds go, too.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-hour-", ignore_cleanup_errors=True) as name:
        hour = Hour(Path(name).resolve())
        hour.install(args.here)
        print(f"  {hour.seconds['install']:6.1f} s  install", flush=True)
        if args.only != "readme":
            for path in sorted(HOWTO.glob("*.md")):
                page(hour, path)
        if args.only != "howto":
            readme(hour)
    print("From the start of the installation:")
    for name in filter(hour.seconds.__contains__, MILESTONES):
        print(f"  {hour.seconds[name] / 60:5.1f} min  {name}")
    if args.json:
        args.json.write_text(json.dumps(hour.seconds, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
