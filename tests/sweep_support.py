"""What the sweep's tests share: toy data, running a sweep, comparing run folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import pandas as pd

from bench.registry import include
from bench.store.records import Record, Store
from bench.sweeps.manifest import Memo
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request
from bench.sweeps.run import execute
from bench.sweeps.status import SweepState
from bench.sweeps.sweep import Sweep, SweepOptions

PLUGIN = Path(__file__).with_name("sweep_plugin.py")


def sweep_of(data: Path, runs: Path, *, lines: list[str] | None = None, **changes: Any) -> Sweep:
    """A sweep over the toy corpora; ``changes`` go to the request or to the options."""
    include(str(PLUGIN))
    names = set(SweepOptions.__dataclass_fields__)
    if isinstance(changes.get("cluster"), dict):  # the table of a plan, not an address
        names.discard("cluster")
    options = SweepOptions(runs=runs, **{k: v for k, v in changes.items() if k in names})
    request = read_request(None, {
        "methods": "toy", "pairs": "TOYA->TOYB", "data": data, "controls": False,
        "include": [str(PLUGIN)], **{k: v for k, v in changes.items() if k not in names},
    })
    memo = Memo(runs)
    out = Sweep(expand(request, memo.resolve), options, memo)
    if lines is not None:
        out.show = lambda state, line: lines.append(line) if line else None
    return out


def swept(data: Path, runs: Path, **changes: Any) -> SweepState:
    """State after a sweep over the toy corpora."""
    return execute(sweep_of(data, runs, **changes))


def records(runs: Path) -> dict[str, Record]:
    """Whole records of a run folder; fails if there is a torn one."""
    store = Store(runs)
    found = {r.id: r for r in store.records()}
    assert store.corrupt == []
    return found


def assert_equal(left: Path, right: Path, tolerance: float = 0.0) -> None:
    """Two run folders hold the same records with the same scores and predictions."""
    a, b = records(left), records(right)
    assert sorted(a) == sorted(b)
    for name, record in a.items():
        other = b[name]
        assert (record.status, record.identity) == (other.status, other.identity)
        if record.status != "done":
            continue
        one, two = record.predictions(), other.predictions()
        if tolerance == 0.0:
            assert record.folds == other.folds
            pd.testing.assert_frame_equal(one, two, check_exact=True)
        else:
            pd.testing.assert_frame_equal(one, two, rtol=0, atol=tolerance)


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "bench.cli", *map(str, args)]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb",
            "OMP_NUM_THREADS": "1", **changes}


def bench(*args: object, timeout: float = 300, **changes: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; see forked.py."""
    return forked.bench(args, Path.cwd(), environment(**changes), timeout)


def bench_process(
    *args: object, timeout: float = 300, **changes: str
) -> subprocess.CompletedProcess[str]:
    """The same, started as a user starts it."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=timeout, check=False,
        env=environment(**changes),
    )


def write_plan(path: Path, data: Path, **keys: Any) -> Path:
    """A sweep.toml over the toy corpora."""
    body = {"methods": ["toy"], "pairs": ["TOYA->TOYB"], "data": str(data), "controls": False,
            "include": [str(PLUGIN)], **keys}
    path.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in body.items()
                            if not isinstance(v, dict))
                    + "".join(f"[{t}.{n}]\n" + "".join(f"{k} = {json.dumps(v)}\n"
                                                       for k, v in inner.items())
                              for t, table in body.items() if isinstance(table, dict)
                              for n, inner in table.items()))
    return path
