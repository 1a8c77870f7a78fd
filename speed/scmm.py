"""Published-size SCMM: 200 epochs x 10 batches of 256, and 50 epochs on nine trials of SEED."""

from __future__ import annotations

import statistics

import numpy as np
import torch

from bench.method import Context
from bench.methods.scmm import SCMM

from . import finetune, plain, step, timing
from .timing import NINE_TRIALS

EPOCHS, FIT_EPOCHS = 200, 50
#: The baseline's pre-training is timed on this share of the epochs and scaled.
SHARE = 20


def main() -> None:
    """Time both stages, ours and the baseline, and print the ratios."""
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    source = timing.windows(rng, [1] * 5120)
    calibration = timing.windows(rng, NINE_TRIALS)
    timing.header(f"SCMM at published size, {timing.CHANNELS} channels x 5 bands")
    method = SCMM()
    ctx = Context({"seed": 0})
    state = {}

    def ours_pretrain() -> None:
        state["pretrained"] = method.pretrain(source.without_labels(), ctx)

    x = torch.from_numpy(source.x)
    ours = timing.seconds(ours_pretrain)
    theirs = timing.seconds(lambda: plain.pretrain(x, EPOCHS // SHARE)) * SHARE
    timing.line(f"pre-training, {EPOCHS} x 10 steps (baseline timed on 1/{SHARE} of them, scaled)",
                ours, theirs)

    jobs = [
        timing.job(timing.windows(rng, NINE_TRIALS), state["pretrained"], s) for s in range(1, 16)
    ]
    cx, cy = torch.from_numpy(calibration.x), torch.from_numpy(calibration.y)
    pairs = [
        (timing.seconds(lambda: method.fit_many(jobs[:1])),
         timing.seconds(lambda: plain.finetune(cx, cy, FIT_EPOCHS, 3)))
        for _ in range(5)
    ]
    one, base = (statistics.median(column) for column in zip(*pairs, strict=True))
    timing.line(f"one fine-tuning, {FIT_EPOCHS} epochs on {len(calibration):,} windows, median "
                "of 5", one, base)
    stack = timing.seconds(lambda: method.fit_many(jobs))
    timing.line("15 fine-tunings as one stack (baseline: 15 x the median of one)", stack, 15 * base)
    timing.line("the whole cell: pre-training and 15 subjects", ours + stack, theirs + 15 * base)
    _share("pre-training", EPOCHS * 10 * step.flops(), ours)
    steps = FIT_EPOCHS * -(-len(calibration) // 128)
    _share("fine-tuning", 15 * steps * finetune.flops(128), stack)


def _share(stage: str, flops: float, took: float) -> None:
    print(f"    {stage}: {100 * flops / took / timing.peak():.0f} % of the matrix-multiply peak, "
          f"{flops / 1e12:.2f} TFLOP counted")


if __name__ == "__main__":
    main()
