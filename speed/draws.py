"""Random numbers by keys, against those of torch's own generator."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.draws import Draws

from . import timing

#: What a batch of SCMM draws for its masks: 256 windows of 62 channels and 5 bands, and channels.
NUMBERS = 256 * timing.CHANNELS * (5 + 2)
#: Windows of a source, and how many of them an epoch takes.
WINDOWS, TAKEN = 5120, 2560


def main() -> None:
    """Time one model and a stack of 15: uniform, masks, normal, and the order of an epoch."""
    timing.threads()
    timing.header(f"random numbers, {NUMBERS:,} a model, against torch's; median of 31 rounds")
    for device in timing.devices():
        for models in (1, 15):
            for what, (ours, theirs) in _pairs(models, device).items():
                ours()
                theirs()
                mine, other = timing.medians(ours, theirs, rounds=31)
                timing.line(f"{what}, models: {models}, on {device}", mine, other, 1e-3)


def _pairs(
    models: int, device: str
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    g = Draws.stack([Draws.of(k) for k in range(models)], device)
    shape = (models, NUMBERS)

    def orders() -> list[torch.Tensor]:
        return [torch.randperm(WINDOWS, device=device)[:TAKEN] for _ in range(models)]

    return {
        "uniform": (lambda: g.at(3).uniform(NUMBERS), lambda: torch.rand(shape, device=device)),
        "masks": (lambda: g.at(3).mask(0.5, NUMBERS),
                  lambda: torch.rand(shape, device=device) >= 0.5),
        "normal": (lambda: g.at(3).normal(NUMBERS), lambda: torch.randn(shape, device=device)),
        f"{TAKEN:,} of {WINDOWS:,} windows": (
            lambda: g.at(3).permutation(WINDOWS, take=TAKEN), orders),
    }


if __name__ == "__main__":
    main()
