"""One step of SCMM's pre-training: 256 windows of 62 x 5 and their masked copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bench.draws import Draws
from bench.method import Context
from bench.methods.scmm import SCMM
from bench.training import is_buffer, stack

from . import plain, timing

BATCH, STEPS = 256, 4


def main() -> None:
    """Time steps of forward, backward and Adam: ours, and the baseline's."""
    timing.threads()
    timing.header("SCMM pre-training step, 256 + 256 windows of 62 x 5; median of 5 rounds of 4")
    for device in timing.devices():
        ours, base = _ours(device), _baseline(device)
        ours()
        base()
        mine, theirs = timing.medians(ours, base)
        timing.line(f"a step on {device} (baseline: cosine similarity broadcast over all pairs)",
                    mine / STEPS, theirs / STEPS, 1e-3)
        done = flops() / (mine / STEPS)
        print(f"    {flops() / 1e9:.2f} GFLOP of matrix products a step: "
              f"{100 * done / timing.peak(device):.0f} % of the machine's matrix-multiply peak")


def flops() -> float:
    """Operations of a step's matrix products, forward and backward, counted by their shapes."""
    n, channels, classes = 2 * BATCH, timing.CHANNELS, 5
    encoder = [(channels * 5, 6 * 32), (4 * 32, 5 * 64), (3 * 64, 4 * 128)]
    rest = [(384, 256), (256, 128), (384, channels * classes)]
    maps = sum(a * b for a, b in encoder[1:] + rest) * 3 + encoder[0][0] * encoder[0][1] * 2
    # Similarity of inputs (forward only) and of projections, and the aggregation.
    pairs = n * (channels * 5 + 3 * 128 + 3 * 384)
    return 2.0 * n * (maps + pairs)


def _ours(device: str) -> Callable[[], None]:
    method, ctx = SCMM(), Context({"seed": 0})
    network = method.network(timing.windows(np.random.default_rng(0), [3]).space)
    first = network.encoder.init(ctx.draws("init")) | network.init(ctx.draws("init heads"))
    model = stack([first], device, torch.float32)
    adam = network.optimiser().build([t for n, t in model.items() if not is_buffer(n)])
    x = torch.rand(1, BATCH, timing.CHANNELS, 5, device=device)
    noise = Draws.stack([ctx.draws("noise")], device)

    def run() -> None:
        for number in range(STEPS):
            keep = network.noise(BATCH, noise.at(number))
            adam.zero_grad(set_to_none=True)
            network.losses(model, x, keep)["total"].sum().backward()
            adam.step()

    return run


def _baseline(device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    model = plain.PlainSCMM(timing.CHANNELS).to(device)
    adam = torch.optim.Adam(model.parameters(), lr=5e-4, betas=(0.9, 0.99), weight_decay=3e-4)
    x = torch.rand(BATCH, timing.CHANNELS, 5, device=device)

    def run() -> None:
        for _ in range(STEPS):
            adam.zero_grad()
            loss = model.loss(x, x * (torch.rand_like(x) > 0.5), 0.5, 0.05, 0.5)
            loss.backward()
            adam.step()
            loss.item()

    return run


if __name__ == "__main__":
    main()
