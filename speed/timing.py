"""What the benchmarks share: seconds, medians, the machine's peak, one way to print a ratio."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from bench.data.windows import Windows
from bench.method import Context, Job
from bench.protocols.base import View

CHANNELS = 62
#: 1-s windows of SEED's first nine trials.
NINE_TRIALS = (235, 233, 206, 238, 185, 195, 237, 216, 265)


#: Others are at work on this machine: wall time would be theirs as much as ours.
BUSY = hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1)
_now = time.process_time if BUSY else time.perf_counter


def threads() -> None:
    """Two threads, as the aims are stated for; one on a busy machine, where CPU time is taken."""
    torch.set_num_threads(1 if BUSY else 2)


def seconds(work: Callable[[], object]) -> float:
    """Seconds of a piece of work, that of a GPU included: wall, or CPU on a busy machine."""
    _wait()
    began = _now()
    work()
    _wait()
    return _now() - began


def medians(*works: Callable[[], object], rounds: int = 5) -> list[float]:
    """Median seconds of each, timed in turns, so that a busy moment hits all alike."""
    table = [[seconds(work) for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*table, strict=True)]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak(device: str = "cpu") -> float:
    """Operations per second of a float32 matrix product of 1024."""
    a = torch.rand(1024, 1024, device=device)
    return statistics.median(2 * 1024**3 / seconds(lambda: a @ a) for _ in range(20))


def header(what: str) -> None:
    """Say what is measured, and on what."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{what}\n    float32, {torch.get_num_threads()} thread(s) on {os.cpu_count()} cores, "
          f"torch {torch.__version__}, load {load:.1f}, matrix product of 1024: {peak() / 1e9:.0f} "
          "GFLOP/s", flush=True)
    if BUSY:
        print("    the machine is busy: CPU seconds of this process, not wall seconds", flush=True)


def line(what: str, ours: float, theirs: float, unit: float = 1.0) -> None:
    """Print two times and their ratio; ``unit`` 1e-3 prints milliseconds."""
    name = {1.0: "s", 1e-3: "ms"}[unit]
    print(f"{what}\n    {ours / unit:8.2f} {name}   baseline {theirs / unit:8.2f} {name}   ratio "
          f"{theirs / ours:.1f} x", flush=True)


def devices() -> list[str]:
    """Where to measure: the CPU, and a GPU if there is one."""
    if torch.cuda.is_available():
        return ["cpu", "cuda"]
    print("    no CUDA device: nothing is measured on a GPU", flush=True)
    return ["cpu"]


def windows(rng: np.random.Generator, lengths: Sequence[int], channels: int = CHANNELS) -> Windows:
    """Random windows (n, channels, 5) of trials of such lengths, of three classes."""
    trial = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    return Windows.from_arrays(
        rng.random((len(trial), channels, 5)), trial % 3, subject=1, trial=trial,
        channels=[f"E{i}" for i in range(channels)], labels=["negative", "neutral", "positive"],
    )


def job(calibration: Windows, state: dict[str, torch.Tensor] | None, subject: int,
        device: str = "cpu") -> Job:
    """Fine-tuning of one subject."""
    view = View(source=None, calibration=calibration, unlabelled=None, classes=calibration.labels)
    return Job(view, state, Context({"seed": 0, "subject": subject}, device=device))
