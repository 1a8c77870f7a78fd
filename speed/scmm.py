"""Published-size SCMM: 200 epochs x 10 batches of 256, and 50 epochs on nine trials of SEED."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from bench.method import Context, Job
from bench.methods.scmm import SCMM
from bench.protocol import View
from bench.windows import Windows

from . import plain

CHANNELS = 62
#: 1-s windows of SEED's first nine trials.
NINE_TRIALS = (235, 233, 206, 238, 185, 195, 237, 216, 265)
EPOCHS, FIT_EPOCHS = 200, 50
#: The baseline's pre-training is timed on this share of the epochs and scaled.
SHARE = 20


def main() -> None:
    """Time both stages, ours and the baseline, and print the ratios."""
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    source = _windows(rng, [1] * 5120)
    calibration = _windows(rng, NINE_TRIALS)
    print(f"SCMM at published size, {CHANNELS} channels x 5 bands, float32, "
          f"{torch.get_num_threads()} threads, torch {torch.__version__}, load "
          f"{os.getloadavg()[0]:.1f}; matrix product of 1024: {_peak():.0f} GFLOP/s")
    method = SCMM()
    ctx = Context({"seed": 0})
    state = {}

    def ours_pretrain() -> None:
        state["pretrained"] = method.pretrain(source.without_labels(), ctx)

    x = torch.from_numpy(source.x)
    ours = _seconds(ours_pretrain)
    theirs = _seconds(lambda: plain.pretrain(x, EPOCHS // SHARE)) * SHARE
    _line(f"pre-training, {EPOCHS} x 10 steps (baseline timed on 1/{SHARE} of them, scaled)",
          ours, theirs)

    jobs = [_job(_windows(rng, NINE_TRIALS), state["pretrained"], s) for s in range(1, 16)]
    cx, cy = torch.from_numpy(calibration.x), torch.from_numpy(calibration.y)
    pairs = [
        (_seconds(lambda: method.fit_many(jobs[:1])),
         _seconds(lambda: plain.finetune(cx, cy, FIT_EPOCHS, 3)))
        for _ in range(5)
    ]
    one, base = (statistics.median(column) for column in zip(*pairs, strict=True))
    _line(f"one fine-tuning, {FIT_EPOCHS} epochs on {len(calibration):,} windows, median of 5",
          one, base)
    stack = _seconds(lambda: method.fit_many(jobs))
    _line("15 fine-tunings as one stack (baseline: 15 x the median of one)", stack, 15 * base)
    _line("the whole cell: pre-training and 15 subjects", ours + stack, theirs + 15 * base)


def _windows(rng: np.random.Generator, lengths: list[int] | tuple[int, ...]) -> Windows:
    trial = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    return Windows.from_arrays(
        rng.random((len(trial), CHANNELS, 5)), trial % 3, subject=1, trial=trial,
        channels=[f"E{i}" for i in range(CHANNELS)], labels=["negative", "neutral", "positive"],
    )


def _job(calibration: Windows, state: dict[str, torch.Tensor], subject: int) -> Job:
    view = View(source=None, calibration=calibration, unlabelled=None, classes=calibration.labels)
    return Job(view, state, Context({"seed": 0, "subject": subject}))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _line(what: str, ours: float, theirs: float) -> None:
    print(f"{what}\n    {ours:8.2f} s   baseline {theirs:8.2f} s   ratio {theirs / ours:.1f} x",
          flush=True)


def _peak() -> float:
    a = torch.rand(1024, 1024)
    rates = [2 * 1024**3 / _seconds(lambda: a @ a) / 1e9 for _ in range(20)]
    return statistics.median(rates)


if __name__ == "__main__":
    main()
