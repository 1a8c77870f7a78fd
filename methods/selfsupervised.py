"""What all self-supervised methods share: the pre-training loop.

A method of this family is little more than its loss: a subclass gives :meth:`network`, an object
with ``init``, ``noise`` and ``losses`` (see :class:`Pretext`).
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor

from bench.method import Context, Needs
from bench.training import Optimiser, Order, stack, train, unstack
from bench.windows import UnlabelledWindows, Windows

from .finetuning import FineTuned, NetworkParams
from .networks import State


class SelfSupervisedParams(NetworkParams):
    """Parameters of every self-supervised method."""


class Pretext(Protocol):
    """The pre-training task of one method."""

    def init(self, g: torch.Generator) -> State:
        """Parameters of one model beside the encoder's."""

    def noise(self, batch: int, g: torch.Generator) -> Tensor:
        """What one model's loss draws for one batch (masks, augmentations)."""

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses, each (K,), of windows (K, B, C, F); "total" is minimised."""


class SelfSupervised(FineTuned):
    """Pre-train an encoder on the unlabelled source; new head and fine-tuning per fold.

    Without calibration windows there is nothing of the target to train a head on: it is trained,
    with the encoder, on the labelled source in the classes both corpora share.
    """

    Params = SelfSupervisedParams
    params: SelfSupervisedParams
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Labelled source windows for the head, where no calibration is granted."""
        return self.needs if "calibration" in grants else Needs(source="labelled")

    def network(self, channels: int, features: int) -> Pretext:
        """Pre-training task; the one thing a subclass must give."""
        raise NotImplementedError

    def initial(self, channels: int, features: int, ctx: Context) -> State:
        """Fresh encoder of one model."""
        return self.encoder(channels, features).init(ctx.generator("init"))

    def pretrain(self, source: Windows | UnlabelledWindows, ctx: Context) -> State:
        """Train encoder and pretext heads on source windows (n, channels, features).

        Returns the state of the encoder and of everything beside it.
        """
        q = self.params
        channels, features = source.x.shape[1:]
        task = self.network(channels, features)
        first = self.initial(channels, features, ctx) | task.init(ctx.generator("init heads"))
        dtype = getattr(torch, ctx.dtype)
        model = stack([first], ctx.device, dtype)
        data = torch.from_numpy(source.x).to(ctx.device, dtype)
        noise = ctx.generator("noise")
        draw = min(q.windows_per_epoch, len(data))
        order = Order(len(data), q.batch, [ctx.generator("order")], draw, ctx.device)
        epochs = ctx.budget.epochs(q.epochs, order.steps, "pretrain")

        def step(epoch: int, batch: int) -> dict[str, Tensor]:
            x = data[order(batch)]
            drawn = task.noise(x.shape[1], noise).to(ctx.device).unsqueeze(0)
            return task.losses(model, x, drawn)

        train(
            model, step, epochs=epochs, steps=order.steps, names=["pre-training"],
            optimiser=Optimiser(q.lr, 0.9, q.beta2, q.weight_decay, "cosine"),
            on_epoch=lambda epoch, losses: ctx.epoch(epoch + 1, epochs, losses[0]),
        )
        return unstack(model, 0)
