"""Training of many small networks at once: stacks, batches, optimiser, schedule, checks.

A *stack* is K models of equal shape whose parameters share a leading axis. One Adam over stacked
leaves is exactly K Adams, as long as the loss is the sum of the models' own losses; every model
draws by a key of its own (:mod:`bench.draws`), so its result does not depend on who shares its
stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from .draws import Draws, meeting
from .errors import DivergedError
from .method import Context, Method

State = dict[str, Tensor]
Losses = dict[str, Tensor]
T = TypeVar("T")


@dataclass(frozen=True)
class Optimiser:
    """Settings of Adam with L2 weight decay, and of its schedule.

    Attributes
    ----------
    lr, weight_decay : float or (K,) Tensor
        Of all models, or of each.
    beta1, beta2 : float
    schedule : {"constant", "cosine"}
        Cosine falls from ``lr`` to zero over all epochs, stepped once per epoch.
    """

    lr: float | Tensor
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float | Tensor = 0.0
    schedule: Literal["constant", "cosine"] = "constant"

    def build(self, leaves: Sequence[Tensor]) -> torch.optim.Optimizer:
        """One Adam over stacked leaves."""
        if isinstance(self.lr, Tensor) or isinstance(self.weight_decay, Tensor):
            return StackedAdam(leaves, self)
        return torch.optim.Adam(
            list(leaves), lr=self.lr, betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay, fused=True,
        )

    def rate(self, epoch: int, epochs: int) -> float | Tensor:
        """Learning rate of an epoch, counted from 0; one for each model if they differ."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


class StackedAdam(torch.optim.Adam):
    """Adam whose models have learning rates and weight decays of their own.

    How far a step goes is proportional to the learning rate, and nothing else of Adam depends on
    it. So the fused step of all models is taken at a rate of 1, and each goes its own share of
    the way.

    Parameters
    ----------
    leaves : sequence of (K, ...) tensors
    settings : Optimiser
        Its ``lr`` and ``weight_decay`` may be (K,) tensors.
    """

    def __init__(self, leaves: Sequence[Tensor], settings: Optimiser) -> None:
        decay = settings.weight_decay
        self.decay = decay if isinstance(decay, Tensor) else None
        super().__init__(
            list(leaves), lr=1.0, betas=(settings.beta1, settings.beta2),
            weight_decay=0.0 if isinstance(decay, Tensor) else decay, fused=True,
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every leaf that has a gradient, as torch's Adam takes it."""
        for group in self.param_groups:
            rate, group["lr"] = group["lr"], 1.0
            moved = [leaf for leaf in group["params"] if leaf.grad is not None]
            before = [leaf.clone() for leaf in moved]
            if self.decay is not None:
                for leaf in moved:
                    leaf.grad.addcmul_(torch.as_tensor(meeting(self.decay, leaf)), leaf)
            super().step()
            group["lr"] = rate
            for leaf, start in zip(moved, before, strict=True):
                torch.lerp(start, leaf, torch.as_tensor(meeting(rate, leaf)).to(leaf), out=leaf)


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


def batches(windows: int, size: int, draws: Draws, draw: int | None = None) -> list[Tensor]:
    """One epoch's batches of K models as index tensors (K, B): a fresh permutation each, cut.

    A rest of one window is dropped (batch normalisation has no variance of one sample).

    Parameters
    ----------
    windows : int
        How many there are.
    size : int
        Windows per batch.
    draws : Draws
        Of this epoch.
    draw : int, optional
        Use only this many, drawn afresh each epoch from all.
    """
    parts = list(draws.permutation(windows, take=draw).split(size, dim=-1))
    if len(parts) > 1 and parts[-1].shape[-1] < 2:
        parts.pop()
    return parts


def steps_per_epoch(windows: int, size: int, draw: int | None = None) -> int:
    """Number of batches :func:`batches` yields."""
    used = min(windows, draw or windows)
    return max(1, math.ceil(used / size) - (used > size and used % size == 1))


class Order:
    """Batches of K models over equally many windows, drawn by the keys of each.

    Parameters
    ----------
    windows, size, draw
        As in :func:`batches`.
    draws : Draws
        Of K models, on the device where indices are wanted.
    """

    def __init__(
        self, windows: int, size: int, draws: Draws, draw: int | None = None
    ) -> None:
        self.windows, self.size, self.draws, self.draw = windows, size, draws, draw
        self._epoch, self._plan = -1, list[Tensor]()

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.windows, self.size, self.draw)

    def __call__(self, epoch: int, batch: int) -> Tensor:
        """Indices (K, B) of a batch of an epoch."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._plan = batches(self.windows, self.size, self.draws.at(epoch), self.draw)
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
) -> list[DivergedError | None]:
    """Train a stack in place.

    A model whose loss is not finite is lost, and the others go on as if nothing had happened.

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
        Called after each epoch with its number and each model's mean losses; the total of one
        that is lost is NaN from then on.
    names : sequence of str
        What to call each model when it diverges.
    after_step : callable, optional
        Called with epoch and batch after each step of the optimiser; may change buffers, such as
        a moving average of parameters.

    Returns
    -------
    list of DivergedError or None
        What went wrong with each model: names it, epoch and batch.

    Raises
    ------
    DivergedError
        The only model diverged, or all of them; the first of these errors.
    """
    leaves = {name: t for name, t in stacked.items() if not is_buffer(name)}
    adam = optimiser.build(list(leaves.values()))
    phases = [Phase(step)] if callable(step) else list(step)
    inputs = [
        [t for name, t in leaves.items() if p.trains(name)] if p.trains else None for p in phases
    ]
    lost: list[DivergedError | None] = [None] * len(names)
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
        table = {k: torch.stack([h[k] for h in history]) for k in history[0]}
        _note_lost(lost, table["total"], epoch, names)
        if all(lost):
            raise next(error for error in lost if error is not None)
        means = {k: v.mean(dim=0).tolist() for k, v in table.items()}
        on_epoch(epoch, [
            {k: math.nan if lost[i] and k == "total" else v[i] for k, v in means.items()}
            for i in range(len(names))
        ])
    return lost


def _note_lost(
    lost: list[DivergedError | None], total: Tensor, epoch: int, names: Sequence[str]
) -> None:
    """Note models that diverged in an epoch, by their totals (batches, K); one look at them."""
    finite = torch.isfinite(total)
    if bool(finite.all()):
        return
    for k, name in enumerate(names):
        gone = (~finite[:, k]).nonzero().flatten().tolist()
        if gone and lost[k] is None:
            lost[k] = DivergedError(
                f"{name}: the loss is {total[gone[0], k].item()} at epoch {epoch + 1}, "
                f"batch {gone[0] + 1}",
                "Lower the learning rate, or check the data for extreme values.",
            )


def groups_of_equal(items: Sequence[T], key: Callable[[T], object]) -> Iterator[list[int]]:
    """Indices of items with equal keys, group by group, in order of first appearance."""
    groups: dict[object, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(key(item), []).append(i)
    yield from groups.values()


M = TypeVar("M", bound=Method)


def stacked(method: M, contexts: Sequence[Context]) -> M:
    """The method whose losses and optimiser serve all models of a stack.

    Parameters
    ----------
    method : Method
    contexts : sequence of Context
        One for each of K models, with its parameters.

    Returns
    -------
    Method
        Parameters in which the models differ are tensors (K, 1, ...), see
        :func:`bench.method.hyper`; where they do not differ, the method itself as it is.

    Raises
    ------
    ValueError
        Models differ in what those of one stack must share.
    """
    every = [method.params if c.params is None else c.params for c in contexts]
    if all(params == method.params for params in every):
        return method
    axes, update = method.per_model(), {}
    for name in type(method.params).model_fields:
        values = [getattr(params, name) for params in every]
        if all(value == values[0] for value in values):
            update[name] = values[0]
        elif name not in axes:
            raise ValueError(f"models of one {method.name} stack differ in {name}: {values}")
        else:
            update[name] = torch.tensor(
                values, dtype=getattr(torch, contexts[0].dtype), device=contexts[0].device
            ).view(-1, *[1] * axes[name])
    return type(method)(method.params.model_copy(update=update))
