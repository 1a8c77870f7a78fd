"""Gradients of 15 networks of equal shape: a loop over modules, torch.func.vmap, and dense maps.

Why networks are written as maps of stacked parameters: the same step in three ways.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from bench.method import Context
from bench.methods.scmm import SCMM
from bench.methods.shared.networks.layers import Head
from bench.training import stack

from . import plain, timing

MODELS, BATCH, CLASSES, STEPS = 15, 128, 3, 4


class Network(nn.Module):
    """The encoder as modules, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = plain.Encoder(timing.CHANNELS)
        self.head = nn.Sequential(nn.Linear(384, 128), nn.Sigmoid(), nn.Linear(128, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, c) of windows (B, C, 5)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits


def main() -> None:
    """Time forward and backward passes in each way."""
    timing.threads()
    timing.header(f"forward and backward pass of {MODELS} networks, {BATCH} windows of "
                  f"{timing.CHANNELS} x 5 each; median of 5 rounds of {STEPS}")
    for device in timing.devices():
        x = torch.rand(MODELS, BATCH, timing.CHANNELS, 5, device=device)
        y = torch.randint(CLASSES, (MODELS, BATCH), device=device)
        modules = [Network().to(device) for _ in range(MODELS)]
        ways = [_loop(modules, x, y), _vmap(modules, x, y), _dense(x, y, device)]
        for way in ways:
            way()
        loop, mapped, dense = (s / STEPS for s in timing.medians(*ways))
        timing.line(f"vmap on {device} (baseline: a loop over modules)", mapped, loop, 1e-3)
        timing.line(f"dense maps of stacked parameters on {device} (baseline: the loop)", dense,
                    loop, 1e-3)


def _loop(modules: list[Network], x: Tensor, y: Tensor) -> Callable[[], None]:
    def run() -> None:
        for _ in range(STEPS):
            for module, windows, classes in zip(modules, x, y, strict=True):
                functional.cross_entropy(module(windows), classes).backward()

    return run


def _vmap(modules: list[Network], x: Tensor, y: Tensor) -> Callable[[], None]:
    params, buffers = stack_module_state(modules)
    base = Network().to("meta")

    def loss(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(base, (p, b), (x,)), y)

    gradients = vmap(grad(loss))

    def run() -> None:
        for _ in range(STEPS):
            gradients(params, buffers, x, y)

    return run


def _dense(x: Tensor, y: Tensor, device: str) -> Callable[[], None]:
    ctx = Context({"seed": 0})
    encoder = SCMM().encoder(timing.windows(np.random.default_rng(0), [3]).space)
    head = Head(encoder.width, CLASSES)
    model = stack([
        encoder.init(ctx.draws("init")) | head.init(ctx.draws("head"))
        for _ in range(MODELS)
    ], device, torch.float32)

    def run() -> None:
        for _ in range(STEPS):
            logits = head(model, encoder(model, x, training=True))
            functional.cross_entropy(
                logits.flatten(0, 1), y.flatten(), reduction="none"
            ).sum().backward()

    return run


if __name__ == "__main__":
    main()
