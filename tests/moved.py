"""Does a change of the code move any number? Runs the same cells before and after, and compares.

    python tests/moved.py COMMIT          or          tox -e moved -- COMMIT

Some 150 cells of ``tests/moved_plan.py`` are run by the code of a commit (there) and by the working
tree (here), one after the other, with the same interpreter, packages and threads. Each side
simulates its own corpora. Nothing of ``bench`` is imported: both sides are run by their command
line, and compared by the files of their run folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from moved_compare import Cell, compare
from moved_plan import PLAN, Asked
from rich.console import Console
from rich.markup import escape

from merged import TreeError, commit_of, extract, merged, read_project

ROOT = Path(__file__).resolve().parent.parent
#: Of the output of a side that fails.
_LAST_LINES = 15
#: Exit status of a side that imports another tree than its own.
_WRONG_TREE = 3
#: Some cells are not done; their records say why, and are compared.
_SOME_FAILED = 1
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS")


class SideError(Exception):
    """A side cannot be run; the message says which, and how its output ends."""


# --- a side ----------------------------------------------------------------------------------

@dataclass(frozen=True)
class Side:
    """One of the two trees, ready to run.

    Attributes
    ----------
    name : str
        "there" or "here".
    package : Path
        The tree as installed (:func:`merged.merged`), for ``PYTHONPATH``.
    entry : str
        What its command ``bench`` calls: ``MODULE:FUNCTION``.
    home : Path
        Where its run folders go; ``NAME.json`` marks those that are finished.
    cache : Path
        Its ``BENCH_CACHE``: corpora and features of this side alone.
    threads : int
    """

    name: str
    package: Path
    entry: str
    home: Path
    cache: Path
    threads: int

    @classmethod
    def of(cls, name: str, tree: Path, home: Path, scratch: Path, threads: int) -> Side:
        """Side of a source tree.

        Raises
        ------
        TreeError
            The tree has no packages or no command ``bench``.
        """
        entry = read_project(tree).get("project", {}).get("scripts", {}).get("bench", "")
        if not all(entry.partition(":")):
            raise TreeError(f"{tree / 'pyproject.toml'} has no [project.scripts] bench")
        home.mkdir(parents=True, exist_ok=True)
        package = merged(tree, scratch / name / "package")
        return cls(name, package, entry, home, scratch / name / "cache", threads)

    def runs(self, asked: Asked) -> Path:
        """Run folder of a request."""
        return self.home / asked.name

    def run(self, asked: Asked) -> float | None:
        """Run a request; seconds, or None if it is kept from an earlier time.

        Raises
        ------
        SideError
            It cannot be run, or stores nothing.
        """
        mark = self.home / f"{asked.name}.json"
        wanted = {"plan": asked.toml, "command": asked.command("", "")}
        if mark.is_file() and json.loads(mark.read_text()) == wanted:
            return None
        runs = self.runs(asked)
        shutil.rmtree(runs, ignore_errors=True)
        plan = self.home / f"{asked.name}.toml"
        plan.write_text(asked.toml)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-P", "-c", self._code(), *asked.command(str(plan), str(runs))],
            cwd=self.home, env=self._environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )
        self._check(asked, done)
        mark.write_text(json.dumps(wanted))
        return time.perf_counter() - start

    def _code(self) -> str:
        """Call the command, but only the one of this tree."""
        module, _, function = self.entry.partition(":")
        inside = f"bench.__file__.startswith({str(self.package)!r})"
        return (f"import sys, bench; {inside} or sys.exit({_WRONG_TREE}); "
                f"from {module} import {function.partition('.')[0]}; {function}()")

    def _environment(self) -> dict[str, str]:
        """The user's, without settings of ``bench``, and with what must be alike on both sides."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_")}
        path = os.pathsep.join(filter(None, [str(self.package), own.get("PYTHONPATH")]))
        return own | dict.fromkeys(_THREADS, str(self.threads)) | {
            "PYTHONPATH": path, "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "",
            "BENCH_CACHE": str(self.cache), "BENCH_CONFIG": str(self.cache / "corpora.json"),
            "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "160",
        }

    def _check(self, asked: Asked, done: subprocess.CompletedProcess[str]) -> None:
        """Refuse what did not run to its end."""
        said = (done.stdout + done.stderr).strip()
        allowed = {0} if asked.audit else {0, _SOME_FAILED}
        if done.returncode == _WRONG_TREE and not said:
            why = f"imports another bench than that of {self.package}"
        elif done.returncode not in allowed or "Traceback (most recent call last)" in said:
            why = f"ends with exit status {done.returncode}"
        elif not any(self.runs(asked).glob("cells/*/record.json")):
            why = "stores no record"
        else:
            return
        lines = "\n".join(said.splitlines()[-_LAST_LINES:])
        raise SideError(f"{self.name}, {asked.name}: the run {why}\n{lines}\n"
                        "Other requests can be compared with --only; see --list.")


def surroundings(threads: int) -> str:
    """Hash of what numbers depend on beside the code: interpreter, packages, processor, threads."""
    packages = sorted({f"{d.name} {d.version}" for d in metadata.distributions()})
    processor = [line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    parts = [sys.version, platform.platform(), processor[:1], threads, packages]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


# --- both ------------------------------------------------------------------------------------

@dataclass
class Verdict:
    """What the comparison of all requests has come to."""

    cells: list[Cell] = field(default_factory=list)

    @property
    def differing(self) -> list[Cell]:
        """Cells that are not the same on both sides."""
        return [cell for cell in self.cells if cell.differences]

    @property
    def proofless(self) -> list[Cell]:
        """Cells that have no scores on either side, and so prove nothing."""
        return [cell for cell in self.cells if not cell.proves and not cell.differences]

    @property
    def status(self) -> int:
        """Exit status: 0 if every cell has numbers and none differs."""
        return int(bool(self.differing or self.proofless))

    def show(self, screen: Console) -> None:
        """Print what is worth noting, and the verdict in one line."""
        several = [cell for cell in self.cells if cell.several]
        added = sorted({key for cell in self.cells for key in cell.added})
        if several:
            screen.print(f"{len(several)} cells could be matched with several; the first is taken")
        if added:
            screen.print(f"keys that only one side has: {', '.join(added)}", soft_wrap=True)
        for cell in self.proofless:
            screen.print(f"[yellow]no scores on either side:[/] {escape(cell.label)}")
        proven = len(self.cells) - len(self.proofless)
        if self.differing:
            screen.print("If that is meant: CHANGELOG.md, see --help.", style="dim")
            screen.print(f"[bold red]{len(self.differing)} of {proven} cells differ[/]")
        elif self.proofless:
            screen.print(f"[bold yellow]{proven} cells compared, none differs, but "
                         f"{len(self.proofless)} have no scores[/]")
        else:
            screen.print(f"[bold green]{proven} cells compared, none differs[/]")


def compare_sides(
    there: Side, here: Side, plan: list[Asked], tolerance: float, screen: Console
) -> Verdict:
    """Run each request there and here, and say what differs as soon as it is known.

    Raises
    ------
    SideError
    """
    out = Verdict()
    width = max(len(asked.name) for asked in plan)
    for asked in plan:
        seconds = []
        for side in (there, here):
            with screen.status(f"{asked.name}, {side.name}"):
                taken = side.run(asked)
            seconds.append(f"{side.name} {'kept' if taken is None else f'{taken:.0f} s':>6}")
        cells = compare(there.runs(asked), here.runs(asked), tolerance)
        apart = [cell for cell in cells if cell.differences]
        sign = "[red]✗[/]" if apart else "[green]✓[/]"
        screen.print(f"{sign} {asked.name:{width}}  {len(cells):3d} cells  {'  '.join(seconds)}",
                     highlight=False)
        for cell in apart:
            screen.print(f"  {escape(cell.label)}: {escape('; '.join(cell.differences))}",
                         highlight=False, soft_wrap=True)
        out.cells += cells
    return out


def moved(
    commit: str, tree: Path, plan: list[Asked], keep: Path | None, tolerance: float, threads: int,
    screen: Console,
) -> int:
    """Compare a commit with a tree of the same checkout; the exit status.

    Raises
    ------
    TreeError, SideError
    """
    sha = commit_of(tree, commit)
    with tempfile.TemporaryDirectory(prefix="bench-moved-") as folder:
        scratch = Path(folder)
        kept = keep and keep.resolve() / f"{sha[:12]}-{surroundings(threads)}"
        there = Side.of("there", extract(tree, sha, scratch / "checkout"),
                        kept or scratch / "there" / "runs", scratch, threads)
        here = Side.of("here", tree, scratch / "here" / "runs", scratch, threads)
        screen.print(f"there: commit {sha[:12]} ({escape(commit)})   here: {escape(str(tree))}   "
                     f"threads: {threads}", highlight=False, soft_wrap=True)
        verdict = compare_sides(there, here, plan, tolerance, screen)
    verdict.show(screen)
    return verdict.status


def show_plan(plan: list[Asked], screen: Console) -> None:
    """Print what would be run."""
    for asked in plan:
        keys: Mapping[str, Any] = asked.keys
        options = dict(zip(asked.audit[::2], asked.audit[1::2], strict=True))
        methods = keys.get("methods") or [options["--method"]]
        under = ", ".join(keys.get("protocols", ["few-shot"]))
        screen.print(f"[bold]{asked.name}[/]: {asked.reaches}", highlight=False, soft_wrap=True)
        screen.print(f"  {under}; selection {keys.get('selection', 'last')}; {' '.join(methods)}",
                     style="dim", highlight=False, soft_wrap=True)


# --- the command -----------------------------------------------------------------------------

_HELP = (
    "Show that a change of the code moved no number, or which numbers it moved.\n\n"
    "The same cells are run by the code of COMMIT (there) and by the working tree as it lies, "
    "committed or not (here). Compared are status, scores of every fold and selection rule, "
    "training curves, hashes of the data, and the probabilities of every tested window. Cells are "
    "matched by method, parameters, pair, protocol, selection, scaling, features and seed; hashes "
    "of code are passed over. It takes some minutes for each side.\n\n"
    "Exit status: 0 if nothing differs, 1 if something does, 2 if a side cannot be run.\n\n"
    "[bold]If numbers move on purpose[/], say so in CHANGELOG.md under [italic]Changed[/] or "
    "[italic]Fixed[/]: which cells, by how much, and why. The lines of the output can be copied, "
    "for example:\n\n"
    "- Numbers moved: shot, SEED:3→DEAP:valence, unsupervised: probabilities by up to 0.02, since "
    "pseudo-labels are drawn before the first step.\n\n"
)
app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(help=_HELP, epilog="Examples:\n\n"
             "  python tests/moved.py HEAD\n\n"
             "  python tests/moved.py main~5 --keep ../moved --only few-shot\n\n"
             "  tox -e moved -- v0.1.0")
def command(
    commit: Annotated[str, typer.Argument(
        help="Commit, branch or tag to compare the working tree with.")] = "",
    only: Annotated[str, typer.Option(
        help="Only requests whose name contains this; several with commas.",
        metavar="SUBSTRING")] = "",
    keep: Annotated[Path | None, typer.Option(
        help="Keep the records of COMMIT in this folder, and take them from there the next time. "
        "They are used again only with the same packages, processor and threads.",
        metavar="DIR")] = None,
    tolerance: Annotated[float, typer.Option(
        help="Numbers that differ by no more are equal. 0: equal to the last bit.", min=0)] = 0.0,
    threads: Annotated[int, typer.Option(
        help="Threads of each side; another number adds up in another order.", min=1)] = 1,
    tree: Annotated[Path, typer.Option(
        help="Checkout to compare, in place of the one this file is in.", metavar="DIR",
        show_default=False)] = ROOT,
    list_: Annotated[bool, typer.Option("--list", help="Only show what would be run.")] = False,
) -> None:
    """See :data:`_HELP`."""
    screen = Console()
    names = [n.strip() for n in only.split(",") if n.strip()] or [""]
    plan = [asked for asked in PLAN if any(n in asked.name for n in names)]
    try:
        if not plan:
            raise TreeError(f"no request is named like {only!r}; there are: "
                            + ", ".join(asked.name for asked in PLAN))
        if list_:
            show_plan(plan, screen)
            return
        if not commit:
            raise TreeError("give a commit to compare with, for example HEAD")
        status = moved(commit, tree.resolve(), plan, keep, tolerance, threads, screen)
    except (TreeError, SideError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False,
                                   soft_wrap=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


if __name__ == "__main__":
    app()
