"""Training of many small networks at once: stacks, batches, optimiser, schedule, checks.

A *stack* is K models of equal shape whose parameters share a leading axis. One Adam over stacked
leaves is exactly K Adams, as long as the loss is the sum of the models' own losses; every model
draws from generators of its own, so its result does not depend on who shares its stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from .errors import DivergedError

State = dict[str, Tensor]
Losses = dict[str, Tensor]
T = TypeVar("T")


@dataclass(frozen=True)
class Optimiser:
    """Settings of Adam with L2 weight decay, and of its schedule.

    Attributes
    ----------
    lr, beta1, beta2, weight_decay : float
    schedule : {"constant", "cosine"}
        Cosine falls from ``lr`` to zero over all epochs, stepped once per epoch.
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"

    def build(self, leaves: Sequence[Tensor]) -> torch.optim.Adam:
        """One Adam over stacked leaves."""
        return torch.optim.Adam(
            list(leaves), lr=self.lr, betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay, fused=True,
        )

    def rate(self, epoch: int, epochs: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def is_buffer(name: str) -> bool:
    """Whether a named tensor of a state is a running statistic or average, not a parameter."""
    return ".running_" in name


def stack(states: Sequence[Mapping[str, Tensor]], device: str, dtype: torch.dtype) -> State:
    """Join states of equal shapes along a new first axis; parameters become leaves."""
    out: State = {}
    for name in states[0]:
        joined = torch.stack([s[name].detach().to(device, dtype) for s in states])
        out[name] = joined if is_buffer(name) else joined.requires_grad_()
    return out


def unstack(stacked: Mapping[str, Tensor], k: int) -> State:
    """Copy of model ``k`` of a stack, on the CPU, without the stack's axis."""
    return {name: t.detach()[k].to("cpu", copy=True) for name, t in stacked.items()}


def batches(
    windows: int, size: int, generator: torch.Generator, draw: int | None = None
) -> list[Tensor]:
    """One epoch's batches as index tensors: a fresh permutation, cut.

    A rest of one window is dropped (batch normalisation has no variance of one sample).

    Parameters
    ----------
    windows : int
        How many there are.
    size : int
        Windows per batch.
    draw : int, optional
        Use only this many, drawn afresh each epoch from all.
    """
    order = torch.randperm(windows, generator=generator)[:draw]
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) < 2:
        parts.pop()
    return parts


def steps_per_epoch(windows: int, size: int, draw: int | None = None) -> int:
    """Number of batches :func:`batches` yields."""
    used = min(windows, draw or windows)
    return max(1, math.ceil(used / size) - (used > size and used % size == 1))


class Order:
    """Batches of K models over equally many windows, each drawn by a generator of its own.

    Parameters
    ----------
    windows, size, draw
        As in :func:`batches`.
    generators : sequence of torch.Generator
        One for each model.
    device : str
    """

    def __init__(
        self, windows: int, size: int, generators: Sequence[torch.Generator],
        draw: int | None = None, device: str = "cpu",
    ) -> None:
        self.windows, self.size, self.draw, self.device = windows, size, draw, device
        self.generators = list(generators)
        self._plan: list[Tensor] = []

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.windows, self.size, self.draw)

    def __call__(self, batch: int) -> Tensor:
        """Indices (K, B) of a batch; batch 0 begins a new epoch."""
        if batch == 0:
            drawn = [batches(self.windows, self.size, g, self.draw) for g in self.generators]
            self._plan = [torch.stack(b).to(self.device) for b in zip(*drawn, strict=True)]
        return self._plan[batch]


@dataclass(frozen=True)
class Phase:
    """One of several optimiser steps taken on each batch.

    Attributes
    ----------
    losses : callable
        ``losses(epoch, batch)`` gives the losses of each model as (K,) tensors.
    trains : callable or None
        Whether a leaf of a given name is changed by this step; None: all are.
    """

    losses: Callable[[int, int], Losses]
    trains: Callable[[str], bool] | None = None


def train(
    stacked: State,
    step: Callable[[int, int], Losses] | Sequence[Phase],
    *,
    epochs: int,
    steps: int,
    optimiser: Optimiser,
    on_epoch: Callable[[int, list[dict[str, float]]], None],
    names: Sequence[str],
    after_step: Callable[[int, int], None] | None = None,
) -> None:
    """Train a stack in place.

    Parameters
    ----------
    stacked : dict of (K, ...) tensors
        From :func:`stack`.
    step : callable or sequence of Phase
        ``step(epoch, batch)`` gives the losses of each model as (K,) tensors; "total" is
        minimised. It must not mix models. Or a sequence of phases for alternating optimisation,
        taken one after the other on each batch; Adam's moments of a leaf rest while it does.
    epochs, steps : int
        Epochs, and batches in each.
    on_epoch : callable
        Called after each epoch with its number and each model's mean losses.
    names : sequence of str
        What to call each model when it diverges.
    after_step : callable, optional
        Called with epoch and batch after each step of the optimiser; may change buffers, such as
        a moving average of parameters.

    Raises
    ------
    DivergedError
        A loss is not finite: names model, epoch and batch.
    """
    leaves = {name: t for name, t in stacked.items() if not is_buffer(name)}
    adam = optimiser.build(list(leaves.values()))
    phases = [Phase(step)] if callable(step) else list(step)
    inputs = [
        [t for name, t in leaves.items() if p.trains(name)] if p.trains else None for p in phases
    ]
    for epoch in range(epochs):
        for group in adam.param_groups:
            group["lr"] = optimiser.rate(epoch, epochs)
        history: list[Losses] = []
        for batch in range(steps):
            seen: Losses = {}
            for phase, trained in zip(phases, inputs, strict=True):
                adam.zero_grad(set_to_none=True)
                losses = phase.losses(epoch, batch)
                losses["total"].sum().backward(inputs=trained)
                adam.step()  # leaves without a gradient rest
                total = losses["total"].detach() + seen.get("total", 0.0)
                seen |= {k: v.detach() for k, v in losses.items()} | {"total": total}
            if after_step is not None:
                after_step(epoch, batch)
            history.append(seen)
        on_epoch(epoch, _means(history, epoch, names))


def _means(history: list[Losses], epoch: int, names: Sequence[str]) -> list[dict[str, float]]:
    """Mean losses of each model over an epoch; read from the device once."""
    table = {k: torch.stack([h[k] for h in history]) for k in history[0]}
    total = table["total"]
    if not bool(torch.isfinite(total).all()):
        batch, k = (~torch.isfinite(total)).nonzero()[0].tolist()
        raise DivergedError(
            f"{names[k]}: the loss is {total[batch, k].item()} at epoch {epoch + 1}, "
            f"batch {batch + 1}",
            "Lower the learning rate, or check the data for extreme values.",
        )
    means = {k: v.mean(dim=0).tolist() for k, v in table.items()}
    return [{k: v[i] for k, v in means.items()} for i in range(len(names))]


def groups_of_equal(items: Sequence[T], key: Callable[[T], object]) -> Iterator[list[int]]:
    """Indices of items with equal keys, group by group, in order of first appearance."""
    found: dict[object, list[int]] = {}
    for i, item in enumerate(items):
        found.setdefault(key(item), []).append(i)
    yield from found.values()
