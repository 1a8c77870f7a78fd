"""What all self-supervised methods share: the pre-training loop.

A method of this family is little more than its loss: a subclass names its :class:`Pretext`, the
task that the encoder is pre-trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.data.windows import Space
from bench.draws import Draws
from bench.method import Context, Needs, hyper, tell_epoch
from bench.registry import ANY_FEATURES
from bench.training import Moment, Optimiser, stack, stacked, train, unstack

from ..networks.backbones import started
from ..networks.layers import Encoder, Projector, State
from .arranging import arranged
from .finetuning import FineTuned
from .sampling import Order, Sampler, ShuffledBatches, Source


class Pretext:
    """The pre-training task of one method; only the losses must be given.

    Attributes
    ----------
    encoder : Encoder
        What is pre-trained; its parameters stand in the state under their own names.
    params : NetworkParams
        The method's.
    """

    def __init__(self, encoder: Encoder, params: Any) -> None:
        self.encoder, self.params = encoder, params

    def init(self, g: Draws) -> State:
        """Parameters of one model beside the encoder's."""
        return {}

    def sampler(self, source: Source, size: int, draw: int) -> Sampler:
        """Chooses batches of ``size`` windows, ``draw`` an epoch: by default any windows."""
        return ShuffledBatches(len(source), size, draw)

    def optimiser(self) -> Optimiser:
        """Adam and its schedule: by default on a cosine to zero."""
        q = self.params
        return Optimiser(q.lr, 0.9, q.beta2, q.weight_decay, "cosine")

    def noise(self, batch: int, g: Draws) -> Any:
        """What the losses of K models draw for one batch of windows (masks, augmentations).

        ``g`` holds the keys of the models at this step; tensors (K, ...).
        """
        return None

    def losses(self, p: State, x: Tensor, noise: Any) -> dict[str, Tensor]:
        """Losses, each (K,), of windows (K, ..., C, F); "total" is minimised.

        Between K and C the windows have the shape of the sampler's indices: (B,) by default.
        """
        raise NotImplementedError

    def begin(self, steps: int) -> None:
        """Be told how many steps the training will have."""

    def after_step(self, p: State, progress: Tensor) -> None:
        """Change buffers after a step of the optimiser; ``progress``, (), goes from 0 to 1."""


class Projected(Pretext):
    """A task that compares encodings in a space of its own, that of a projector."""

    @property
    def projector(self) -> Projector:
        """Network from encodings to the space that the loss compares."""
        return Projector(self.encoder.width)

    def init(self, g: Draws) -> State:
        """Parameters of the projector."""
        return self.projector.init(g)


def temperature(
    default: float, doc: str = "temperature of similarities", per_model: int | None = 2
) -> Any:
    """Declare the temperature of a contrast."""
    return hyper(
        default, doc, stage="pretrain", gt=0, tune=(0.05, 1.0), scale="log", per_model=per_model
    )


class SelfSupervised(FineTuned):
    """Pre-train an encoder on the unlabelled source; new head and fine-tuning per fold.

    Without calibration windows there is nothing of the target to train a head on: it is trained,
    with the encoder, on the labelled source in the classes both corpora share.
    """

    needs = Needs(source="unlabelled", calibration=True, features=ANY_FEATURES)
    #: Pre-training task, made from the encoder and the method's parameters.
    task: ClassVar[type[Pretext]]

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Labelled source windows for the head, where no calibration is granted."""
        if "calibration" in grants:
            return self.needs
        return Needs(source="labelled", features=self.needs.features)

    def network(self, space: Space) -> Pretext:
        """Pre-training task for windows of a space."""
        return self.task(self.encoder(space), self.params)

    def pretrain(self, source: Source, ctx: Context) -> State:
        """Train encoder and pretext heads on source windows (n, channels, features).

        Returns the state of the encoder and of everything beside it.
        """
        return self.pretrain_many(source, [ctx])[0]

    def pretrain_many(self, source: Source, contexts: Sequence[Context]) -> list[Any]:
        """One pre-training for each context, as one stack."""
        q, ctx = self.params, contexts[0]
        task = stacked(self, contexts).network(source.space)
        dtype = getattr(torch, ctx.dtype)
        model = stack([
            started(task.encoder, c) | task.init(c.draws("init heads"))
            for c in contexts
        ], ctx.device, dtype)
        data = torch.from_numpy(source.x).to(ctx.device, dtype)
        orders, noise = (Draws.stack([c.draws(name) for c in contexts], ctx.device)
                         for name in ("order", "noise"))
        draw = ctx.budget.windows(min(q.windows_per_epoch, len(data)), q.batch)
        sampler = arranged(task.sampler(source, q.batch, draw), source, q)
        order = Order(sampler.to(ctx.device), orders)
        total = ctx.budget.batches(q.epochs * order.steps, "pretrain")
        epochs = math.ceil(total / order.steps)
        task.begin(total)

        def feed(at: Moment) -> tuple[Tensor, Any]:
            chosen = order(at)
            return data[chosen], task.noise(chosen[0].numel(), noise.at(at.step))

        lost = train(
            model, lambda given: task.losses(model, *given), epochs=epochs, steps=order.steps,
            short=order.short, feed=feed, names=["pre-training"] * len(contexts),
            optimiser=task.optimiser(), before_epoch=order.begin, limit=total,
            on_epoch=lambda epoch, losses: tell_epoch(contexts, epoch + 1, epochs, losses),
            after_step=lambda at: task.after_step(model, at.progress),
        )
        for c in contexts:
            c.spent("before", total, order.windows(total))
        return [error or unstack(model, k) for k, error in enumerate(lost)]
