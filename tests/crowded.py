"""Sweeps with two workers on a crowded machine: is every cell there, and no living worker dead?

    python tests/crowded.py FOLDER [--cells 500] [--busy 10] [--kills 0] [--minutes 60]

Cells of at most half a second run first undisturbed in one process, then with two workers beside
processes that keep every core busy; with ``--kills`` as many workers are ended by SIGKILL. At the
end every record must be there once and equal to the undisturbed one, and every death that the sweep
speaks of must be one of ours. The same command goes on where it stopped, or was stopped.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from sweep_plugin import write_toy
from sweep_support import assert_equal, command, environment, records, write_plan

WORKERS = 2
#: Seconds from one kill to the next, at least and at most.
BETWEEN = 4.0, 8.0


@dataclass
class Outcome:
    """What has been seen so far, all runs of the script taken together.

    Attributes
    ----------
    cells, busy
        Asked for.
    stored : int
        Records that are done.
    kills, seen, again, lost : int
        Workers that we ended; deaths that the sweep spoke of; cells tried once more; cells killed.
    seconds : float
    """

    cells: int
    busy: int
    stored: int = 0
    kills: int = 0
    seen: int = 0
    again: int = 0
    lost: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (f"{self.stored} of {self.cells} cells beside {self.busy} busy processes in "
                f"{self.seconds:.0f} s; {self.kills} workers killed, {self.seen} called dead; "
                f"{self.again} cells tried once more, {self.lost} lost")


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                 for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def crowded(folder: Path, cells: int, beside: int, kills: int, minutes: float) -> Outcome:
    """Run what is missing in a folder, for so many minutes at most; see the module."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "data").is_dir():
        write_toy(folder / "data")
    plan = write_plan(folder / "sweep.toml", folder / "data", seeds=cells,
                      params={"toy": {"sleep": 0.1}})
    own = environment(BENCH_CACHE=str(folder / "cache"))
    subprocess.run(command("sweep", plan, "--runs", folder / "calm", "-q"), env=own, check=True)
    until, began = time.monotonic() + 60 * minutes, time.monotonic()
    ours, draw = folder / "kills", random.Random(cells)
    log = folder / "log"
    with busy(beside), log.open("a") as out:
        process = subprocess.Popen(
            command("sweep", plan, "--runs", folder / "runs", "--workers", WORKERS), env=own,
            stdout=out, stderr=subprocess.STDOUT,
        )
        try:
            following = time.monotonic() + draw.uniform(*BETWEEN)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
                if _count(ours) < kills and time.monotonic() > following:
                    if _kill_one(process.pid, folder / "runs", draw):
                        with ours.open("a") as file:
                            file.write(".")
                    following = time.monotonic() + draw.uniform(*BETWEEN)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
    found, said = records(folder / "runs"), log.read_text()
    again = len(re.findall(r"is tried once more: worker \d+ died", said))
    lost = len(re.findall(r"\] killed  ", said))
    return Outcome(
        cells, beside, sum(r.status == "done" for r in found.values()), _count(ours),
        again + lost, again, lost, time.monotonic() - began,
    )


def _count(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _kill_one(coordinator: int, runs: Path, draw: random.Random) -> bool:
    """End one of the workers, once all are at work: the cell of the last to be killed is over."""
    with contextlib.suppress(psutil.NoSuchProcess, OSError, ValueError):
        running = json.loads((runs / "sweep-status.json").read_text())["running"]
        workers = [p for p in psutil.Process(coordinator).children(recursive=True)
                   if "spawn_main" in " ".join(p.cmdline())]
        if len(running) == len(workers) == WORKERS:
            draw.choice(workers).kill()
            return True
    return False


def check(folder: Path, outcome: Outcome) -> None:
    """Fail where a cell is missing or differs, or where a death was none of ours."""
    assert outcome.stored == outcome.cells, outcome
    assert_equal(folder / "calm", folder / "runs")
    assert outcome.lost == 0, outcome
    assert outcome.seen <= outcome.kills, outcome
    said = (folder / "log").read_text()
    assert len(re.findall(r"killed from outside by SIGKILL", said)) == outcome.seen, outcome


def main(
    folder: Annotated[Path, typer.Argument(help="Keeps what is done; the same goes on.")],
    cells: Annotated[int, typer.Option(help="Cells of the sweep.")] = 500,
    beside: Annotated[int, typer.Option("--busy", help="Busy processes beside it.")] = 10,
    kills: Annotated[int, typer.Option(help="Workers to end while it runs.")] = 0,
    minutes: Annotated[float, typer.Option(help="Most minutes of this run.")] = 60.0,
) -> None:
    """Run a sweep with two workers on a crowded machine, and check what it stored."""
    outcome = crowded(folder.resolve(), cells, beside, kills, minutes)
    print(outcome)
    if outcome.stored + outcome.lost < cells:
        print("not finished: give the same command again")
        raise typer.Exit(3)
    check(folder.resolve(), outcome)
    print("every record there once and equal to the undisturbed one; no living worker called dead")


if __name__ == "__main__":
    typer.run(main)
