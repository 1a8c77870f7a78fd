"""A sweep finishes: whatever happens to a cell has a status with a reason, and nothing is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import registry
from bench.cells.cell import Event
from bench.cli.screen.sweep import SweepDisplay, render, show_plan, show_status, summary
from bench.cli.screen.tuning import TuneDisplay
from bench.errors import BenchError, SettingError, UnknownNameError
from bench.store.lock import LockedError, RunLock, held
from bench.store.records import Record, Store
from bench.store.seal import sealed_json, sum_of
from bench.sweeps.run import execute
from bench.sweeps.status import KINDS
from bench.sweeps.sweep import SweepOptions
from bench.version import EDITION

from sweep_plugin import write_toy
from sweep_support import (
    PLUGIN,
    assert_equal,
    bench,
    bench_process,
    environment,
    records,
    sweep_of,
    swept,
    write_plan,
)

pytestmark = pytest.mark.usefixtures("clean_registry", "module_cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def test_a_sweep_stores_a_record_for_each_cell(data, tmp_path):
    state = swept(data, tmp_path, methods="toy,toy-other,majority", pairs="all", seeds=2)
    assert (state.counts["done"], state.left, state.exit_code) == (12, 0, 0)
    assert len(records(tmp_path)) == 12
    again = swept(data, tmp_path, methods="toy,toy-other,majority", pairs="all", seeds=2)
    assert (again.earlier, again.counts["done"], again.seconds) == (12, 12, [])


def test_cells_do_not_depend_on_the_order_they_are_run_in(data, tmp_path):
    one = sweep_of(data, tmp_path / "a", methods="toy,toy-other", pairs="all", seeds=3)
    two = sweep_of(data, tmp_path / "b", methods="toy,toy-other", pairs="all", seeds=3)
    two.plan = replace(two.plan, cells=two.plan.cells[::-1])
    execute(one)
    execute(two)
    assert_equal(tmp_path / "a", tmp_path / "b")


def test_a_cell_is_the_same_record_as_bench_run_gives(data, tmp_path):
    from bench.runs.run import run

    swept(data, tmp_path / "sweep", controls=True, seeds=1)
    run("toy", "TOYA", "TOYB", data=data, runs=tmp_path / "run")
    assert_equal(tmp_path / "sweep", tmp_path / "run")


def test_a_method_that_raises_fails_alone(data, tmp_path):
    lines: list[str] = []
    sweep = sweep_of(data, tmp_path, methods="toy,toy-raises,toy-exits", seeds=2, lines=lines)
    state = execute(sweep)
    assert (state.counts["done"], state.counts["failed"], state.exit_code) == (2, 4, 1)
    bad = {r.identity["method"]: r for r in records(tmp_path).values() if r.status == "failed"}
    assert bad["toy-raises"].reason.startswith("toy-raises: RuntimeError: no good\n")
    assert "sweep_plugin.py, line" in bad["toy-raises"].reason
    assert "in fit" in bad["toy-raises"].info["traceback"]
    assert bad["toy-exits"].reason == "SystemExit: out of here"
    assert sum("RuntimeError: no good" in line for line in lines) == 2
    screen = Console(record=True, width=200)
    summary(state.as_dict(), screen)
    text = screen.export_text()
    assert "2 done, 4 failed, 0 left" in text
    assert "and 1 more: toy-raises: RuntimeError: no good" in text


def test_from_python(data, tmp_path):
    from bench import SweepOptions, sweep

    state = sweep(
        methods="toy", pairs="TOYA->TOYB", data=data, include=[str(PLUGIN)], seeds=2,
        options=SweepOptions(runs=tmp_path),
    )
    # Beside the method two controls: target-only of each seed, majority once.
    assert (state.counts["done"], state.exit_code) == (5, 0)


def test_failures_are_tried_again_unless_told_not_to(data, tmp_path):
    swept(data, tmp_path, methods="toy-raises")
    for retry, ran in (("none", 0), ("killed", 0), ("failed", 1)):
        state = swept(data, tmp_path, methods="toy-raises", retry=retry)
        assert (len(state.seconds), state.counts["failed"], state.exit_code) == (ran, 1, 1)


def test_a_success_replaces_a_failure_and_never_the_reverse(data, tmp_path):
    sweep = sweep_of(data, tmp_path)
    spec = sweep.plan.cells[0]
    blank = sweep.executor.blank(spec)
    sweep.store.put(replace(blank, status="killed", reason="died"))
    assert execute(sweep).exit_code == 0
    assert records(tmp_path)[blank.id].status == "done"
    sweep._keep(replace(blank, status="failed", reason="late"))
    assert records(tmp_path)[blank.id].status == "done"


def test_fail_fast_stops(data, tmp_path):
    state = swept(data, tmp_path, methods="toy-raises", seeds=3, fail_fast=True)
    assert (state.counts["failed"], state.left, state.exit_code) == (1, 2, 1)
    assert state.stopped.startswith("--fail-fast: toy-raises")


def test_an_interruption_keeps_what_is_done(data, tmp_path):
    state = swept(data, tmp_path, methods="toy,toy-interrupts", seeds=2)
    assert state.stopped == "interrupted"
    done = state.counts["done"]
    assert state.left == 4 - done
    assert state.exit_code == 1
    assert held(tmp_path) is None
    again = swept(data, tmp_path, methods="toy", seeds=2)
    assert again.earlier == done
    swept(data, tmp_path / "calm", methods="toy", seeds=2)
    assert_equal(tmp_path / "calm", tmp_path)


def test_a_method_that_does_not_fit_is_skipped_and_not_a_failure(data, tmp_path, monkeypatch):
    from bench.method import Needs

    sweep = sweep_of(data, tmp_path, methods="toy,toy-other")
    cls = registry.load("methods", "toy-other")
    monkeypatch.setattr(cls, "needs", Needs(features=frozenset({"raw"})))
    state = execute(sweep)
    assert (state.counts["done"], state.counts["skipped"], state.exit_code) == (1, 1, 0)
    skipped = next(r for r in records(tmp_path).values() if r.status == "skipped")
    assert "works on raw windows" in skipped.reason


def test_a_corpus_that_cannot_be_read_fails_its_own_cells(data, tmp_path):
    root = write_toy(tmp_path / "data", ("TOYA", "TOYB", "TOYC"))
    (root / "TOYC" / "2.npz").write_bytes(b"nonsense")
    state = swept(root, tmp_path / "runs", pairs="TOYA->TOYB,TOYC->TOYB,TOYA->TOYC")
    assert (state.counts["done"], state.counts["failed"], state.exit_code) == (1, 2, 1)
    assert all("2.npz" in p["reason"] for p in state.problems)


def test_pretraining_is_shared_and_survives_a_failure_after_it(data, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    swept(data, tmp_path / "runs", methods="toy-pretrained", seeds=1,
          params={"toy-pretrained": [{"noise": 0.1}, {"noise": 0.2}]})
    assert len((tmp_path / "trace").read_text().splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_run(data, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BenchError, match="cannot be written"):
        swept(data, tmp_path / "file" / "runs")


def test_a_disk_that_fills_up_stops_the_sweep_with_a_reason(data, tmp_path, monkeypatch):
    sweep = sweep_of(data, tmp_path, seeds=4)
    real, calls = Store.put, []

    def put(self, *args):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return real(self, *args)

    monkeypatch.setattr(Store, "put", put)
    state = execute(sweep)
    assert (state.counts["done"], state.left, state.exit_code) == (2, 2, 1)
    assert "No space left on device" in state.stopped
    monkeypatch.undo()
    assert len(records(tmp_path)) == 2


def test_a_torn_record_is_run_again(data, tmp_path):
    swept(data, tmp_path, seeds=2)
    path = next((tmp_path / "cells").iterdir()) / "record.json"
    path.write_text(path.read_text()[:100])
    state = swept(data, tmp_path, seeds=2)
    assert (state.earlier, len(state.seconds), state.exit_code) == (1, 1, 0)
    assert len(records(tmp_path)) == 2


def test_leftovers_of_a_kill_are_swept_up_once_they_are_old(data, tmp_path):
    swept(data, tmp_path)
    old, new = (tmp_path / "cells" / f".abc.{c * 32}" for c in "01")
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    swept(data, tmp_path)
    assert not old.exists()
    assert new.exists()


def test_changed_data_is_another_cell(data, tmp_path):
    root = write_toy(tmp_path / "data")
    swept(root, tmp_path / "runs")
    other = write_toy(tmp_path / "other", ("TOYC", "TOYB", "TOYA"))
    (other / "TOYA" / "1.npz").replace(root / "TOYA" / "1.npz")
    state = swept(root, tmp_path / "runs")
    assert (state.earlier, len(records(tmp_path / "runs"))) == (0, 2)


def test_options_that_cannot_be_meant(data, tmp_path):
    with pytest.raises(SettingError, match="--workers 2"):
        swept(data, tmp_path, timeout=3)
    with pytest.raises(SettingError, match="--stack 0"):
        SweepOptions(stack=0)
    with pytest.raises(SettingError, match="at least one"):
        SweepOptions(workers=0)
    with pytest.raises(UnknownNameError, match="retry"):
        SweepOptions(retry="fail")
    with pytest.raises(SettingError, match="not a positive"):
        SweepOptions(timeout=-1, workers=2)


# --- the lock -------------------------------------------------------------------------------


def test_two_sweeps_on_one_folder(data, tmp_path):
    with RunLock(tmp_path):
        assert held(tmp_path)["pid"] == os.getpid()
        with pytest.raises(LockedError) as caught:
            swept(data, tmp_path)
    assert f"process {os.getpid()} on " in str(caught.value)
    assert "since" in str(caught.value)
    assert not (tmp_path / "cells").exists()
    assert held(tmp_path) is None
    assert swept(data, tmp_path).exit_code == 0


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; "
         "from bench.store.lock import RunLock\n"
         f"with RunLock(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, text=True, env=environment(),
    )
    try:
        assert holder.stdout.readline() == "held\n"
        assert held(tmp_path)["pid"] == holder.pid
        with pytest.raises(LockedError, match=str(holder.pid)), RunLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    assert held(tmp_path) is None
    with RunLock(tmp_path) as lock:
        assert lock.took_over["pid"] == holder.pid


def test_a_holder_on_another_machine_counts_until_it_is_silent(tmp_path):
    path = tmp_path / "sweep.lock"
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "noon"}))
    assert held(tmp_path)["host"] == "elsewhere"
    with pytest.raises(LockedError, match="elsewhere"), RunLock(tmp_path):
        pass
    os.utime(path, (1, 1))
    with RunLock(tmp_path):
        pass


def test_a_lock_shows_that_its_holder_is_alive(tmp_path, monkeypatch):
    """Also while nothing is told to it: another machine goes by the file's time."""
    monkeypatch.setattr("bench.store.lock.BEAT", 0.05)
    with RunLock(tmp_path) as lock:
        os.utime(lock.path, (1.0, 1.0))
        until = time.monotonic() + 10
        while lock.path.stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert time.time() - lock.path.stat().st_mtime < 60
    os.utime(lock.path, (1.0, 1.0))
    time.sleep(0.2)
    assert lock.path.stat().st_mtime == 1.0


# --- what is shown --------------------------------------------------------------------------


def test_status_and_display(data, tmp_path):
    sweep = sweep_of(data, tmp_path, methods="toy,lda,toy-raises", seeds=2)
    seen: list[str] = []

    def show(state, line):
        screen = Console(record=True, width=160, file=io.StringIO())
        screen.print(render(state.as_dict(), state.reading))
        seen.append(screen.export_text())

    sweep.show = show
    execute(sweep)
    assert any("1 running" in text and "toy  TOYA:valence→TOYB:valence" in text for text in seen)
    assert any("best so far" in text for text in seen)
    screen = Console(record=True, width=160, file=io.StringIO())
    show_status(tmp_path, screen)
    text = screen.export_text()
    assert "no sweep is at work" in text
    assert "records: 4 done, 2 failed" in text
    assert f"latest plan {sweep.plan.hash}: 6 cells" in text


def screen_of(show, *args, width=300):
    """What a function of the display prints where there is no terminal."""
    screen = Console(record=True, width=width, file=io.StringIO())
    show(*args, screen)
    return screen.export_text()


def test_failures_are_counted_in_full(data, tmp_path):
    sweep = sweep_of(data, tmp_path, methods="toy,toy-raises", seeds=60)
    state = sweep.state
    for spec in sweep.plan.cells:
        reason = "no good" if spec.method == "toy-raises" else f"reason {spec.seed}"
        state.finish_cell(spec, "failed", reason, None)
    text = screen_of(summary, state.as_dict())
    assert "failed toy-raises  TOYA:valence→TOYB:valence  few-shot  seed 0 and 59 more: no good" \
        in text
    assert "and 31 cells for other reasons" in text
    assert len(state.as_dict()["problems"]) == KINDS
    assert len(json.dumps(state.as_dict())) < 10_000


def test_equal_reasons_of_two_methods_are_two_problems(data, tmp_path):
    sweep = sweep_of(data, tmp_path, methods="toy,toy-other", seeds=2)
    for spec in sweep.plan.cells:
        sweep.state.finish_cell(spec, "failed", "no good", None)
    text = screen_of(summary, sweep.state.as_dict())
    assert text.count("and 1 more: no good") == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_are_cut_on_a_terminal_only(data, tmp_path, terminal):
    file = io.StringIO()
    screen = Console(file=file, width=60, force_terminal=terminal, color_system=None)
    line = "failed  toy  " + "a long reason, " * 20 + "to the end  0.1 s"
    SweepDisplay(screen)(sweep_of(data, tmp_path).state, line)
    TuneDisplay(screen)(Event(line, 0, 0))
    assert file.getvalue().count("to the end  0.1 s\n") == (0 if terminal else 2)
    assert file.getvalue().count("…\n") == (2 if terminal else 0)


def test_dry_run_says_what_is_done_and_how_long_the_rest_takes(data, tmp_path):
    plan = write_plan(tmp_path / "sweep.toml", data, methods=["toy", "toy-other"], seeds=2)
    runs = tmp_path / "runs"
    shown = bench("sweep", plan, "--runs", runs, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "4 cells, 0 done, 4 to run" in shown.stdout
    assert "of toy, toy-other by a few timed steps" in shown.stdout
    assert not runs.exists()
    assert swept(data, runs, seeds=1).exit_code == 0
    shown = bench("sweep", plan, "--runs", runs, "--dry-run")
    assert "4 cells, 1 done, 3 to run" in shown.stdout
    assert "of toy-other by a few timed steps" in shown.stdout


def test_dry_run_counts_what_would_be_tried_again(data, tmp_path):
    runs = tmp_path / "runs"
    plan = write_plan(tmp_path / "sweep.toml", data, methods=["toy", "toy-raises"], seeds=2)
    swept(data, runs, methods="toy-raises", seeds=2)
    for retry, said in (
        ("failed", "4 cells, 0 done, 4 to run"),
        ("killed", "4 cells, 0 done, 2 failed and not run again, 2 to run"),
        ("none", "4 cells, 0 done, 2 failed and not run again, 2 to run"),
    ):
        assert said in bench("sweep", plan, "--runs", runs, "--dry-run", "--retry", retry).stdout


def test_dry_run_tells_variants_apart(data, tmp_path):
    sweep = sweep_of(data, tmp_path, methods="toy,toy-other", params={
        "toy": [{"noise": 0.1, "sleep": 0.0}, {"noise": 0.5}, {"noise": 0.5, "sleep": 0.25}],
        "toy-other": [{"noise": 0.3}],
    })
    shown = parameters_shown(sweep.plan)
    assert sorted(shown) == [
        "noise=0.1, sleep=0.0", "noise=0.5, sleep=0.0", "noise=0.5, sleep=0.25", "set",
    ]
    cells = [replace(c, params={**c.params, "a": n, "b": n}, origin="published + set")
             for n, c in enumerate(c for c in sweep.plan.cells if c.method == "toy")]
    shown = parameters_shown(replace(sweep.plan, cells=tuple(cells)))
    assert [text.partition("noise")[0] for text in shown] == [
        f"published + a={n}, b={n}, " for n in range(3)]
    assert all(text.endswith(f"… #{c.key[:4]}") for text, c in zip(shown, cells, strict=True))


def parameters_shown(plan):
    """The column of parameters in the table of a plan."""
    text = screen_of(lambda screen: show_plan(plan, {}, {}, 1, screen))
    head, *rows = text.splitlines()[:len(plan.cells) + 1]
    column = slice(head.index("parameters"), head.index("protocol"))
    return [row[column].strip() for row in rows]


def test_the_command_prints_plain_lines_a_summary_and_an_exit_code(data, tmp_path):
    plan = write_plan(tmp_path / "sweep.toml", data, methods=["toy", "toy-raises"])
    shown = bench_process("sweep", plan, "--runs", tmp_path / "runs")
    assert shown.returncode == 1
    assert "[1/2] " in shown.stderr
    assert "1 done, 1 failed, 0 left" in shown.stdout
    shown = bench("sweep", "--method", "nothing", "--runs", tmp_path / "runs")
    assert (shown.returncode, shown.stdout) == (2, "")


def test_the_command_line_imports_neither_torch_nor_numpy():
    code = ("import sys, bench.cli.main; "
            "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'pandas', 'distributed')))")
    shown = subprocess.run([sys.executable, "-c", code], env=environment(), check=False)
    assert shown.returncode == 0


def test_a_thousand_cells_that_are_done_answer_in_seconds(data, tmp_path):
    """Imports included. Records are made up; only their identity and status are true."""
    runs = tmp_path / "runs"
    sweep = sweep_of(data, runs, methods="toy", seeds=1000)
    for spec in sweep.plan.cells:
        blank = sweep.executor.blank(spec)
        sweep.memo.learn(sweep.plan, spec, blank.id)
        folder = runs / "cells" / blank.id
        folder.mkdir(parents=True)
        body = {"schema": 1, "edition": EDITION, "id": blank.id, "identity": blank.identity,
                "status": "done", "folds": [
                    {"subject": s, "scores": {"window": {"balanced_accuracy": 0.5}}}
                    for s in range(15)
                ]}
        (folder / "record.json").write_text(json.dumps(body))
    sweep.memo.save()
    plan = write_plan(tmp_path / "sweep.toml", data, seeds=1000)
    cpu, wall = os.times().children_user, time.perf_counter()
    shown = bench_process("sweep", plan, "--runs", runs)
    cpu, wall = os.times().children_user - cpu, time.perf_counter() - wall
    assert "1000 done, 0 failed, 0 left (1000 of them before)" in shown.stdout, shown.stderr
    print(f"1,000 done cells: {wall:.2f} s wall, {cpu:.2f} s CPU")
    assert cpu < 5  # the wall time of a shared machine is not ours to promise


def test_a_memo_names_the_records_that_the_cells_have(data, tmp_path):
    sweep = sweep_of(data, tmp_path, methods="toy,toy-pretrained", pairs="all", seeds=2)
    execute(sweep)
    fresh = sweep_of(data, tmp_path, methods="toy,toy-pretrained", pairs="all", seeds=2)
    for spec in fresh.plan.cells:
        assert fresh.memo.record(fresh.plan, spec) == fresh.executor.blank(spec).id


def test_a_foreign_record_is_reported_and_ignored(data, tmp_path):
    swept(data, tmp_path)
    foreign = tmp_path / "cells" / ("0" * 20)
    foreign.mkdir()
    (foreign / "record.json").write_text(json.dumps({
        "schema": 1, "identity": Record(identity={"method": "x"}).identity, "status": "done"}))
    screen = Console(record=True, width=160, file=io.StringIO())
    show_status(tmp_path, screen)
    assert "passed over" in screen.export_text()
    assert swept(data, tmp_path).earlier == 1


@pytest.mark.parametrize("text", [
    "", "[]", "3", "{}", '{"now":1,"ended":true}', '{"now":"a"}', '{"schema":1}',
    '{"schema":1,"plan":"x","written":"today","cells":3}', '{"schema":1,"plan":3,"cells":[]}',
])
def test_a_damaged_file_is_named_and_passed_over(tmp_path, text):
    for name in ("sweep-status.json", "plan-0123.json"):
        (tmp_path / name).write_text(text)
    told = screen_of(show_status, tmp_path).splitlines()
    assert told[:2] == ["no sweep is at work", "records: none"]
    assert ["sweep-status.json" in line for line in told[2:]] == [True, False]
    assert ["plan-0123.json" in line for line in told[2:]] == [False, True]


@pytest.mark.parametrize(("key", "value"), [
    ("now", 1e300), ("counts", {"undone": 1}), ("counts", None), ("running", {"w": {}}),
    ("best", {"A→B": ["toy"]}), ("problems", [{"cell": "x"}]), ("slowest", 3), ("left", "all"),
])
def test_a_status_file_with_one_wrong_part_is_passed_over(data, tmp_path, key, value):
    body = sweep_of(data, tmp_path).state.as_dict()
    (tmp_path / "sweep-status.json").write_text(sealed_json(body))
    assert "passed over" not in screen_of(show_status, tmp_path)
    (tmp_path / "sweep-status.json").write_text(sealed_json({**body, key: value}))
    assert "passed over" in screen_of(show_status, tmp_path)


# --- rerun ----------------------------------------------------------------------------------


def test_rerun_says_whether_a_record_agrees(data, tmp_path):
    swept(data, tmp_path / "runs", methods="toy-pretrained")
    name = next((tmp_path / "runs" / "cells").iterdir())
    shown = bench_process("rerun", name, "--data", data, "--include", PLUGIN)
    assert shown.returncode == 0, shown.stderr
    assert "agrees: toy-pretrained TOYA:valence→TOYB:valence seed 0" in shown.stdout
    assert "largest deviation of a probability 0 " in shown.stdout

    import pandas as pd

    table = pd.read_parquet(name / "predictions.parquet")
    table.loc[3, ["p0", "p1"]] += [0.25, -0.25]
    table.to_parquet(name / "predictions.parquet", index=False)
    shown = bench("rerun", name.name[:8], "--runs", tmp_path / "runs", "--data", data,
                  "--include", PLUGIN)
    assert shown.returncode == 2
    assert "holds no whole record: predictions.parquet does not match its checksum" in shown.stderr
    body = json.loads((name / "record.json").read_text())  # another program's, with true sums
    del body["sha256"]
    body["files"]["predictions.parquet"] = sum_of((name / "predictions.parquet").read_bytes())
    (name / "record.json").write_text(sealed_json(body))
    shown = bench("rerun", name.name[:8], "--runs", tmp_path / "runs", "--data", data,
                  "--include", PLUGIN)
    assert shown.returncode == 1
    assert "does not agree" in shown.stdout
    assert "0.25" in shown.stdout


def test_rerun_leaves_out_whom_the_record_left_out_and_names_what_changed(data, tmp_path):
    from bench.sweeps.repeat import find_record, repeat

    swept(data, tmp_path, exclude={"TOYB": [2]})
    record = find_record(next((tmp_path / "cells").iterdir()).name, tmp_path)
    same = repeat(record, data)
    assert (same.changed, same.probability) == ([], 0.0)
    other = write_toy(tmp_path / "other", ("TOYC", "TOYB", "TOYA"))
    changed = repeat(record, other)
    assert [line.partition(":")[0] for line in changed.changed] == ["source.digest"]
    assert changed.agrees(1e-4)  # this method does not look at the source


def test_rerun_of_what_was_not_done(data, tmp_path):
    from bench.sweeps.repeat import find_record, repeat

    swept(data, tmp_path, methods="toy-raises")
    with pytest.raises(SettingError, match="nothing to compare"):
        repeat(find_record(str(next((tmp_path / "cells").iterdir())), tmp_path), data)
    with pytest.raises(BenchError, match="no records"):
        find_record("xyz", tmp_path)
    with pytest.raises(BenchError, match=r"cells holds no record\.json"):
        find_record(str(tmp_path / "cells"), tmp_path)


@pytest.mark.parametrize(("values", "words"), [
    ({"memory": "lots"}, "--memory 'lots' is no amount"),
    ({"memory": ""}, "--memory '' is less than 100 MB"),
    ({"memory": "-1GB"}, "--memory 4GB"),
    ({"memory": "10"}, "less than 100 MB"),
    ({"memory": "20MB"}, "less than 100 MB"),
    ({"memory": "1e400GB"}, "is no amount"),
    ({"timeout": float("nan")}, "--timeout nan is not a positive"),
    ({"timeout": 0.0}, "--timeout 0 is not a positive"),
    ({"cluster": "localhost:8786"}, "tcp://HOST:PORT"),
    ({"cluster": "tcp://localhost"}, "tcp://HOST:PORT"),
    ({"cluster": "tcp://localhost:0"}, "tcp://HOST:PORT"),
    ({"cluster": "http://localhost:8786"}, "tcp://HOST:PORT"),
])
def test_options_that_cannot_be_used_are_refused(values, words):
    with pytest.raises(SettingError, match=words):
        SweepOptions(**values)


def test_options_that_can_be_used_are_taken():
    for address in ("tcp://node-7.cluster:8786", "tls://10.0.0.1:1", "tcp://[fe80::1]:8786"):
        assert SweepOptions(cluster=address, memory="2 GiB", timeout=0.5).cluster == address


def test_a_dry_run_refuses_memory(tmp_path, data):
    plan = write_plan(tmp_path / "sweep.toml", data)
    shown = bench("sweep", plan, "--dry-run", "--memory", "lots", "--runs", tmp_path / "runs")
    assert shown.returncode == 2
    assert "--memory 4GB" in shown.stderr


def test_the_status_of_a_long_cell_is_kept_up(data, tmp_path, monkeypatch):
    """Its method says nothing while it works, and the first cell begins right after the plan."""
    monkeypatch.setattr("bench.store.lock.BEAT", 0.1)
    seen: list[dict] = []

    def look() -> None:
        while not done.wait(0.05):
            with contextlib.suppress(OSError, ValueError):
                seen.append(json.loads((tmp_path / "sweep-status.json").read_text()))

    done = threading.Event()
    watcher = threading.Thread(target=look)
    watcher.start()
    swept(data, tmp_path, params={"toy": {"sleep": 0.5}})
    done.set()
    watcher.join()
    busy = [s["now"] for s in seen if s["running"]]
    assert len(set(busy)) > 3
