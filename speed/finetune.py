"""Fifteen fine-tunings of 600 to 2,000 windows, 50 epochs: one stack, against one by one."""

from __future__ import annotations

import numpy as np
import torch

from bench.methods.scmm import SCMM

from . import plain, timing

SUBJECTS, EPOCHS = 15, 50
#: Timed on this share of the epochs, all variants alike, and scaled.
SHARE = 5


def main() -> None:
    """Time the baseline one by one, ours one by one, ours as a stack."""
    torch.set_num_threads(2)
    timing.header(f"{SUBJECTS} fine-tunings, {EPOCHS} epochs (all timed on 1/{SHARE} of them, "
                  "scaled), batches of 128; median of 3 rounds")
    method = SCMM(SCMM.parse({"fit_epochs": EPOCHS // SHARE}))
    for device in timing.devices():
        for count in (600, 2000):
            _compare(method, count, device)


def _compare(method: SCMM, count: int, device: str) -> None:
    rng = np.random.default_rng(0)
    jobs = [timing.job(timing.windows(rng, [count // 10] * 10), None, s, device)
            for s in range(SUBJECTS)]
    x, y = (torch.from_numpy(a) for a in
            (jobs[0].view.calibration.x, jobs[0].view.calibration.y))  # type: ignore[union-attr]
    method.fit_many(jobs[:1])
    base, single, stacked = timing.medians(
        lambda: plain.finetune(x, y, EPOCHS // SHARE, 3),
        lambda: [method.fit_many([job]) for job in jobs[:3]],
        lambda: method.fit_many(jobs), rounds=3,
    )
    base, single, stacked = (SHARE * s for s in (SUBJECTS * base, SUBJECTS / 3 * single, stacked))
    timing.line(f"{count} windows each, as one stack on {device} (baseline: one after another on "
                "the CPU, times 15)", stacked, base)
    timing.line("    the same networks, ours, one after another", single, base)
    steps = EPOCHS * -(-count // 128)
    done = SUBJECTS * steps * flops(128) / stacked
    print(f"    {100 * done / timing.peak(device):.0f} % of the matrix-multiply peak")


def flops(batch: int) -> float:
    """Operations of a step's matrix products, forward and backward."""
    first = timing.CHANNELS * 5 * 6 * 32
    rest = 4 * 32 * 5 * 64 + 3 * 64 * 4 * 128 + 384 * 128 + 128 * 3
    return 2.0 * batch * (2 * first + 3 * rest)


if __name__ == "__main__":
    main()
