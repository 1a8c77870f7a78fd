"""How quick ``bench report`` is on a large run folder: 2,000 records with predictions.

Every step runs as the command a user types, in a process of its own, so that start-up and peak
memory count. The second report of everything finds nothing new to draw.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORDS, SUBJECTS, WINDOWS = 2000, 15, 60
#: Seconds allowed, MiB allowed.
TARGETS = {"scores only": (2.0, 1024), "everything": (15.0, 1024), "nothing new": (3.0, 1024)}


def main() -> None:
    """Make the records, then time the commands."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        print(f"{RECORDS} records of {SUBJECTS} subjects with predictions "
              f"({WINDOWS} windows a trial): writing", flush=True)
        make(runs)
        steps = (
            ("scores only", ["--only", "terminal"]),
            ("everything", []),
            ("nothing new", []),
        )
        for name, arguments in steps:
            seconds, cpu, memory = timed(["report", str(runs), *arguments])
            limit, most = TARGETS[name]
            verdict = "ok" if seconds <= limit and memory <= most else "TOO SLOW OR TOO LARGE"
            print(f"{name:12s} {seconds:6.1f} s (target {limit:.0f} s), {cpu:5.1f} s of CPU  "
                  f"{memory:5.0f} MiB (target {most} MiB)  {verdict}", flush=True)
        page = runs / "report" / "report.html"
        print(f"report.html  {page.stat().st_size / 2**20:6.2f} MiB (target 3 MiB)")


def make(runs: Path, records: int = RECORDS, windows: int = WINDOWS) -> None:
    """Records of the tests, each with predictions; a pair's predictions are written once."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from bench.store import records as stores

    from records import CLASSES, guesses, many

    kept = stores._sync, os.fsync
    stores._sync, os.fsync = (lambda path: None), (lambda handle: None)  # made-up records
    try:
        tables = {
            len(names): guesses(len(names), SUBJECTS, windows=windows)
            for names in CLASSES.values()
        }
        blobs = {k: t.to_parquet(index=False) for k, t in tables.items()}
        store = many(stores.Store(runs), records=records, subjects=SUBJECTS)
        for record in store.records():
            assert record.path is not None
            (record.path / "predictions.parquet").write_bytes(blobs[len(record.classes)])
    finally:
        stores._sync, os.fsync = kept


def timed(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds by the clock and of CPU, and peak memory in MiB of a ``bench`` command."""
    began = time.perf_counter()
    code = "import sys; from bench.cli.main import main; sys.exit(main())"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench {' '.join(arguments)} ended with {process.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


if __name__ == "__main__":
    main()
