"""Eight trials of a tuning that differ in numbers: one stack, against one after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.windows import UnlabelledWindows, Windows
from bench.method import Context
from bench.methods.scmm import SCMM, SCMMParams

from . import timing

TRIALS, EPOCHS, SUBJECTS = 8, 2, 6


def main() -> None:
    """Time pre-training and fine-tuning of the same trials in both ways."""
    timing.threads()
    timing.header(f"{TRIALS} trials of SCMM with learning rates and temperatures of their own, "
                  f"{SUBJECTS} subjects of 120 windows each; median of 5 rounds")
    rng = np.random.default_rng(0)
    source = timing.windows(rng, [64] * 9).without_labels()
    calibration = [timing.windows(rng, [20] * 6) for _ in range(SUBJECTS)]
    settings = [
        SCMM.parse({"epochs": EPOCHS, "fit_epochs": EPOCHS, "batch": 64, "fit_batch": 64,
                    "lr": 1e-4 * (k + 1), "temperature": 0.1 * (k + 1), "fit_lr": 1e-4 * (k + 1)})
        for k in range(TRIALS)
    ]
    for device in timing.devices():
        _compare(settings, source, calibration, device)


def _compare(
    settings: list[SCMMParams], source: UnlabelledWindows, calibration: list[Windows], device: str
) -> None:
    contexts = [Context({"seed": 0}, device=device, params=q) for q in settings]
    jobs = [
        [replace(job, ctx=replace(job.ctx, params=q)) for job in (
            timing.job(c, None, s, device) for s, c in enumerate(calibration))]
        for q in settings
    ]
    first = SCMM(settings[0])
    together = [job for its in jobs for job in its]
    one, stack, fit_one, fit_stack = timing.medians(
        lambda: [SCMM(c.params).pretrain(source, c) for c in contexts],
        lambda: first.pretrain_many(source, contexts),
        lambda: [SCMM(its[0].ctx.params).fit_many(its) for its in jobs],
        lambda: first.fit_many(together),
    )
    timing.line(f"pre-training on {device} (baseline: trial after trial)", stack, one)
    timing.line(f"fine-tuning on {device} (baseline: the subjects of each trial as a stack, "
                "trial after trial)", fit_stack, fit_one)


if __name__ == "__main__":
    main()
