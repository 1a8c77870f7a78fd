"""What a GPU gives: equal numbers, and times against a plain baseline on the same card.

Five minutes on one card. First what must be equal is compared: CPU against GPU, recorded steps
against eager ones, a stack against single models. Then each line of the table in docs/speed.md is
timed. What was found goes to ``docs/gpu.json`` as it comes, so that a run that is cut short leaves
what it had; ``python -m speed.gpu --page`` writes the table of docs/speed.md from it.

Without a CUDA device everything runs once, small, on the CPU, and no file is written.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import graphs
from bench.devices import Steps, arithmetic, counting
from bench.draws import Draws
from bench.method import Context, observing
from bench.methods.scmm import SCMM

from . import plain, timing

ROOT = Path(__file__).parent.parent
FOUND, PAGE = ROOT / "docs" / "gpu.json", ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- from docs/gpu.json -->\n", "<!-- end -->"
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
#: Network methods of the sweep of 64 cells.
EIGHT = ("scmm", "simclr", "byol", "mae", "source-only", "mixup", "dann", "deep-coral")
#: Families whose methods are networks.
NETWORKS = ("self-supervised", "supervised", "adaptation", "test-time", "source-free")
STEPS_AN_EPOCH, BATCH = 10, 256


@dataclass(frozen=True)
class Line:
    """One line of the table: seconds, ours and the baseline's, and what was to be reached."""

    what: str
    ours: float
    baseline: float | None = None
    aim: float | None = None
    aim_ratio: float | None = None
    note: str = ""


class Findings:
    """What was found so far; written down after every line."""

    def __init__(self) -> None:
        self.card = torch.cuda.get_device_name() if CUDA else "no CUDA device"
        self.lines: list[Line] = []
        self.equal: list[dict[str, Any]] = []

    def add(self, line: Line) -> None:
        """Print and keep a line."""
        self.lines.append(line)
        ratio = "" if line.baseline is None else f"   {line.baseline / line.ours:7.1f} x"
        print(f"    {line.what}: {1e3 * line.ours:.3f} ms{ratio}   {line.note}", flush=True)
        self.save()

    def compare(self, what: str, worst: float, limit: float) -> None:
        """Print and keep a comparison."""
        self.equal.append({"what": what, "worst": worst, "limit": limit, "good": worst <= limit})
        verdict = "equal" if worst <= limit else "NOT EQUAL"
        print(f"    {what}: largest deviation {worst:.2e} (limit {limit:.0e}): {verdict}",
              flush=True)
        self.save()

    def save(self) -> None:
        """Write the file, where there is a card to speak of."""
        if CUDA:
            FOUND.write_text(json.dumps({
                "card": self.card, "torch": torch.__version__,
                "date": datetime.date.today().isoformat(),
                "equal": self.equal, "lines": [asdict(line) for line in self.lines],
            }, indent=1) + "\n")


@contextlib.contextmanager
def _section(what: str) -> Iterator[None]:
    """Go on with the next section whatever happens in this one, and say how long it took."""
    print(what, flush=True)
    began = time.perf_counter()
    try:
        yield
    except Exception as error:  # the other lines are worth having
        print(f"    FAILED: {type(error).__name__}: {str(error)[:400]}", flush=True)
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
    print(f"    ({time.perf_counter() - began:.0f} s)", flush=True)


def main() -> None:
    """Compare, time, write down; ``--page`` writes the page only."""
    if "--page" in sys.argv:
        write_page()
        return
    sections = {
        "equal": ("equal numbers", _equal), "pretrain": ("pre-training steps", _pretraining),
        "finetune": ("fine-tuning", _finetuning), "profile": ("under the profiler", _profile),
        "cells": ("64 cells: 8 network methods, 2 pairs, 4 seeds, scale table", _cells),
        "same": ("the same 20 cells on CPU and GPU", _same_cells),
        "all": ("all network methods, 1 pair, 5 seeds, scale table", _all_methods),
    }
    torch.set_num_threads(4 if CUDA else 2)
    found = Findings()
    print(f"{found.card}, torch {torch.__version__}", flush=True)
    for name in [n for n in sys.argv[1:] if n in sections] or sections:
        what, work = sections[name]
        with _section(what):
            work(found)


def _source(windows: int = 2560) -> Any:
    return timing.windows(np.random.default_rng(0), [windows // 10] * 10).without_labels()


def _method(epochs: int, **values: Any) -> SCMM:
    return SCMM(SCMM.parse({"epochs": epochs, "fit_epochs": epochs, **values}))


def _contexts(count: int, device: str = DEVICE, **more: Any) -> list[Context]:
    return [Context({"seed": seed}, device=device, stage="pretrain", **more)
            for seed in range(count)]


def _equal(found: Findings) -> None:
    """Random numbers; and states after a few epochs of pre-training, in float64."""
    _drawn(found)
    source, epochs = _source(640), 3
    every = _method(epochs, batch=64).pretrain_many(source, _contexts(3, dtype="float64"))
    alone = _method(epochs, batch=64).pretrain_many(source, _contexts(1, dtype="float64"))
    on_cpu = _method(epochs, batch=64).pretrain_many(source, _contexts(3, "cpu", dtype="float64"))
    found.compare("stack of 3 against one alone, float64", _worst(every[:1], alone), 1e-10)
    found.compare(f"{DEVICE} against CPU, float64", _worst(every, on_cpu), 1e-6)
    with _eager():
        eager = _method(epochs, batch=64).pretrain_many(source, _contexts(3, dtype="float64"))
    # Not to the bit: kernels that add up by atomics do so in another order each time.
    found.compare("recorded steps against eager ones, float64", _worst(every, eager), 1e-10)


def _drawn(found: Findings) -> None:
    """A million numbers of each kind: whole ones to the bit, logarithms nearly."""
    def draw(device: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        step = torch.tensor(7, device=device)
        g, n = Draws.stack([Draws.of(k) for k in range(5)], device).at(step), 200_000
        exact = [g.words(n), g.uniform(n), g.uniform(n, dtype=torch.float64), g.mask(0.3, n),
                 g.integers(62, n), g.permutation(n), g.permutation(n, take=2560)]
        near = [g.normal(n), g.normal(n, dtype=torch.float64), g.beta(0.2, 0.2, n // 10)]
        return [t.double().cpu() for t in exact], [t.double().cpu() for t in near]

    (exact, near), (exact_cpu, near_cpu) = draw(DEVICE), draw("cpu")
    pairs = list(zip(exact, exact_cpu, strict=True))
    found.compare(f"random words, uniform numbers, masks, permutations on {DEVICE} and CPU",
                  max(float((a - b).abs().max()) for a, b in pairs), 0.0)
    pairs = list(zip(near, near_cpu, strict=True))
    found.compare(f"normal and Beta numbers on {DEVICE} and CPU",
                  max(float(((a - b).abs() / b.abs().clamp(min=1)).max()) for a, b in pairs), 1e-6)


def _worst(one: list[Any], two: list[Any]) -> float:
    """Largest deviation of a parameter, relative to the largest entry of its tensor."""
    return max(
        float((a[name] - b[name]).abs().max() / b[name].abs().max().clamp_min(1e-12))
        for a, b in zip(one, two, strict=True) for name in a
    )


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Steps are taken one by one and not recorded."""
    kept, graphs.recorder = graphs.recorder, lambda body, *rest: body
    try:
        yield
    finally:
        graphs.recorder = kept


def _pretraining(found: Findings) -> None:
    x = torch.from_numpy(_source().x)
    few = 3 if CUDA else 1
    plain.pretrain(x, 1, device=DEVICE)
    base = timing.seconds(lambda: plain.pretrain(x, few, device=DEVICE)) / (few * STEPS_AN_EPOCH)
    for count, precision, aim, ratio in (
        (1, "float32", 0.9e-3, 30), (8, "float32", None, None), (60, "float32", 0.15e-3, 190),
        (1, "tf32", None, None), (60, "tf32", 0.06e-3, 450),
    ):
        if count > 1 and not CUDA:
            continue
        with arithmetic(precision, False), _compiling(precision == "tf32") as steps:
            step = _step_seconds(count, 40 if CUDA else 3) / count
        models = "one model" if count == 1 else f"{count} models, a model"
        found.add(Line(f"pre-training step as run, {models}, {precision}", step, base, aim, ratio,
                       _said(steps)))


@contextlib.contextmanager
def _compiling(wanted: bool) -> Iterator[Steps]:
    """Compile steps, few as there are to repay it, or do not."""
    kept = graphs.COMPILING
    graphs.COMPILING = 0.0
    try:
        with counting(compile=wanted) as steps:
            yield steps
    finally:
        graphs.COMPILING = kept


def _said(steps: Steps) -> str:
    """How the steps were run, and why not otherwise."""
    return "; ".join([f"{steps.replayed} replayed, {steps.eager} eager, {steps.compiled} compiled",
                      *steps.reasons])


def _step_seconds(count: int, epochs: int) -> float:
    """Median seconds of a step in the later half of a training: nothing that is done once."""
    ends: list[float] = []

    def on_epoch(ctx: Context, *rest: object) -> None:
        if ctx.seed_axes["seed"] == 0:
            ends.append(time.perf_counter())

    with observing(on_epoch):
        _method(epochs).pretrain_many(_source(), _contexts(count))
    took = [b - a for a, b in itertools.pairwise(ends)]
    return statistics.median(took[len(took) // 2:]) / STEPS_AN_EPOCH


def _finetuning(found: Findings) -> None:
    rng, epochs, subjects = np.random.default_rng(0), (50 if CUDA else 2), (15 if CUDA else 2)
    jobs = [timing.job(timing.windows(rng, [200] * 10), None, s, DEVICE) for s in range(subjects)]
    view = jobs[0].view.calibration
    x, y = torch.from_numpy(view.x), torch.from_numpy(view.y)
    plain.finetune(x, y, 1, 3, device=DEVICE)
    base = timing.seconds(lambda: plain.finetune(x, y, epochs // 2, 3, device=DEVICE)) * 2
    method = _method(epochs)
    _method(1).fit_many(jobs)
    for count, aim, ratio in ((1, 0.8, None), (subjects, 1.2, 38)):
        with counting() as steps:
            took = min(timing.seconds(lambda n=count: method.fit_many(jobs[:n])) for _ in range(2))
        found.add(Line(f"fine-tuning of {count} subject{'s' * (count > 1)}, 2,000 windows, "
                       f"{epochs} epochs", took, count * base, aim, ratio, _said(steps)))


def _profile(found: Findings) -> None:
    """Kernels a step and the share of the time in which one is at work."""
    from torch.profiler import ProfilerActivity, profile

    if not CUDA:
        print("    no CUDA device: nothing to profile", flush=True)
        return
    source, epochs = _source(), 6
    _method(2).pretrain_many(source, _contexts(1))
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        wall = timing.seconds(lambda: _method(epochs).pretrain_many(source, _contexts(1)))
    events = [e for e in seen.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(e.device_time for e in events) * 1e-6
    steps = epochs * STEPS_AN_EPOCH
    found.add(Line("a pre-training, by the profiler", wall / steps, None, note=(
        f"{len(events) / steps:.0f} kernels a step, busy {1e3 * busy / steps:.2f} ms of it, "
        f"{100 * busy / wall:.0f} % (start and recording included)")))


def _sweep(runs: Path, methods: tuple[str, ...], **flags: Any) -> float:
    """Seconds of a sweep in this process; prints what failed."""
    from bench.cli.sweep import run_sweep
    from bench.sweeps.sweep import SweepOptions

    wanted = {"methods": list(methods), "simulated": True, "controls": False, "device": DEVICE,
              **flags}
    began = time.perf_counter()
    run_sweep(None, wanted, SweepOptions(runs=runs), quiet=True)
    return time.perf_counter() - began


def _cells(found: Findings) -> None:
    flags = {"pairs": ["SEED->DEAP", "DEAP->SEED"], "seeds": 4, "scale": "table"}
    if not CUDA:
        flags |= {"pairs": ["SEED->DEAP"], "seeds": 1, "scale": "demo"}
    methods = EIGHT if CUDA else EIGHT[:2]
    with tempfile.TemporaryDirectory() as folder:
        _sweep(Path(folder) / "warm", methods[:1], pairs=flags["pairs"], scale="demo", device="cpu")
        took = _sweep(Path(folder) / "runs", methods, **flags)
        found.add(Line(f"{_count(Path(folder) / 'runs')} cells at {flags['scale']}, one process",
                       took, None, 12.0))


def _count(runs: Path) -> int:
    from bench.store.records import Store

    return sum(r.status == "done" for r in Store(runs).records())


def _same_cells(found: Findings) -> None:
    """Scores of the same cells on either device, in float64 and in float32."""
    from bench.store.records import Store

    for precision, limit in (("float64", 1e-6), ("float32", 0.02)):
        scores: list[dict[Any, float]] = []
        for device in ("cpu", DEVICE):
            with tempfile.TemporaryDirectory() as folder:
                _sweep(Path(folder), EIGHT[:5] if CUDA else EIGHT[:1], pairs=["SEED->DEAP"],
                       seeds=4 if CUDA else 1, scale="demo", device=device, precision=precision)
                scores.append({
                    (r.identity["method"], r.identity["seed"]): float(np.mean(
                        [f["scores"]["window"]["balanced_accuracy"] for f in r.folds]))
                    for r in Store(Path(folder)).records() if r.status == "done"
                })
        one, two = scores
        worst = max((abs(one[k] - two[k]) for k in one), default=math.nan)
        lost = len(set(one) ^ set(two))
        found.compare(f"mean balanced accuracy of {len(one)} cells ({lost} missing), CPU against "
                      f"{DEVICE}, {precision}", worst + lost, limit)


def _all_methods(found: Findings) -> None:
    from bench.registry import entries

    names = tuple(n for n, e in entries("methods").items()
                  if e.family in NETWORKS and n != "scmm-released" and e.origin != "include")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        took = _sweep(runs, names if CUDA else names[:2], pairs=["SEED->DEAP"],
                      seeds=5 if CUDA else 1, scale="table" if CUDA else "demo")
        found.add(Line(f"{len(names)} network methods, 1 pair, 5 seeds at table: {_count(runs)} "
                       "cells", took, None, 100.0, note=f"six pairs: about {6 * took:.0f} s, "
                       "extrapolated"))


def write_page() -> None:
    """Put what the file holds into docs/speed.md."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + page(json.loads(FOUND.read_text())) + END + after)


def page(found: dict[str, Any]) -> str:
    """Markdown of what was found."""
    lines = [f"Measured on {found['card']} with torch {found['torch']}, {found['date']}. Baseline: "
             "SCMM as one would first write it (`speed/plain.py`), on the same card.", "",
             "| | time | baseline | ratio | aim |", "|---|---:|---:|---:|---:|"]
    for item in found["lines"]:
        ours, base = item["ours"], item["baseline"]
        ratio = "–" if base is None else f"{base / ours:.1f} ×"
        aim = " ".join(filter(None, [
            None if item["aim"] is None else _time(item["aim"]),
            None if item["aim_ratio"] is None else f"{item['aim_ratio']:g} ×"]))
        note = f" ({item['note']})" if item["note"] else ""
        lines.append(f"| {item['what']}{note} | {_time(ours)} | "
                     f"{'–' if base is None else _time(base)} | {ratio} | {aim or '–'} |")
    lines += ["", "| compared | largest deviation | limit |", "|---|---:|---:|"]
    lines += [f"| {e['what']} | {e['worst']:.1e}{'' if e['good'] else ' (too much)'} | "
              f"{e['limit']:.0e} |" for e in found["equal"]]
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


if __name__ == "__main__":
    main()
