"""What all self-supervised methods share: encoder, pre-training loop, new head, fine-tuning.

A method of this family is little more than its loss: a subclass names its :class:`Pretext`, the
task that the encoder is pre-trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bench.method import Context, Job, Method, Needs, Params, Predictor, hyper
from bench.protocol import View
from bench.training import (
    Optimiser,
    batches,
    groups_of_equal,
    is_buffer,
    stack,
    steps_per_epoch,
    train,
    unstack,
)
from bench.windows import UnlabelledWindows, Windows

from .networks import ConvEncoder, Head, State
from .sampling import Sampler, Shuffled

Finetune = Literal["full", "probe"]


class SelfSupervisedParams(Params):
    """Parameters of every self-supervised method."""

    epochs: int = hyper(200, "epochs of pre-training", stage="pretrain", ge=1, le=100_000)
    batch: int = hyper(
        256, "windows per batch in pre-training", stage="pretrain", ge=2, le=8192
    )
    windows_per_epoch: int = hyper(
        2560, "windows an epoch draws afresh from the whole source", stage="pretrain", ge=2
    )
    lr: float = hyper(
        5e-4, "learning rate of pre-training, falling on a cosine", stage="pretrain", gt=0, le=1,
        tune=(1e-4, 5e-3), scale="log",
    )
    weight_decay: float = hyper(
        3e-4, "L2 weight decay of pre-training", stage="pretrain", ge=0, le=1
    )
    beta2: float = hyper(0.99, "second beta of Adam, in both stages", stage="network", ge=0, lt=1)
    finetune: Finetune = hyper(
        "full", "train all of the network on the calibration trials, or a linear probe on the "
        "frozen encoder", stage="fit",
    )
    fit_epochs: int = hyper(50, "epochs of fine-tuning", stage="fit", ge=1, le=100_000)
    fit_batch: int = hyper(128, "windows per batch in fine-tuning", stage="fit", ge=2, le=8192)
    fit_lr: float = hyper(
        5e-4, "learning rate of fine-tuning", stage="fit", gt=0, le=1, tune=(1e-4, 5e-3),
        scale="log",
    )
    fit_weight_decay: float = hyper(
        3e-4, "L2 weight decay of fine-tuning", stage="fit", ge=0, le=1
    )


class Pretext:
    """The pre-training task of one method; only the losses must be given.

    Attributes
    ----------
    encoder : ConvEncoder
        What is pre-trained; its parameters stand in the state under their own names.
    params : SelfSupervisedParams
        The method's.
    """

    def __init__(self, encoder: ConvEncoder, params: Any) -> None:
        self.encoder, self.params = encoder, params

    def init(self, g: torch.Generator) -> State:
        """Parameters of one model beside the encoder's."""
        return {}

    def sampler(self, source: Windows | UnlabelledWindows, size: int, draw: int) -> Sampler:
        """Chooses batches of ``size`` windows, ``draw`` an epoch: by default any windows."""
        return Shuffled(len(source), size, draw)

    def optimiser(self) -> Optimiser:
        """Adam and its schedule: by default on a cosine to zero."""
        q = self.params
        return Optimiser(q.lr, 0.9, q.beta2, q.weight_decay, "cosine")

    def noise(self, batch: int, g: torch.Generator) -> Tensor:
        """What one model's loss draws for one batch of windows (masks, augmentations)."""
        return torch.empty(0)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses, each (K,), of windows (K, ..., C, F); "total" is minimised.

        Between K and C the windows have the shape of the sampler's indices: (B,) by default.
        """
        raise NotImplementedError

    def after_step(self, p: State, progress: float) -> None:
        """Change buffers after a step of the optimiser; ``progress`` goes from 0 to 1."""


class SelfSupervised(Method):
    """Pre-train an encoder on the unlabelled source; new head and fine-tuning per fold."""

    Params = SelfSupervisedParams
    params: SelfSupervisedParams
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)
    #: Pre-training task, made from the encoder and the method's parameters.
    task: ClassVar[type[Pretext]]

    def encoder(self, channels: int, features: int) -> ConvEncoder:
        """Encoder of windows of (channels, features)."""
        return ConvEncoder(channels, features)

    def network(self, channels: int, features: int) -> Pretext:
        """Pre-training task for windows of (channels, features)."""
        return self.task(self.encoder(channels, features), self.params)

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Majority, and the same network from scratch on the same calibration trials."""
        scratch = {"network": self.name, **self.params.only("network", "fit")}
        return [("target-only", scratch), ("majority", {})]

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
        order, noise = ctx.generator("order"), ctx.generator("noise")
        sampler = task.sampler(source, q.batch, min(q.windows_per_epoch, len(data)))
        steps = sampler.steps
        epochs = ctx.budget.epochs(q.epochs, steps, "pretrain")
        plan: list[Tensor] = []

        def step(epoch: int, batch: int) -> dict[str, Tensor]:
            if batch == 0:
                plan[:] = sampler.epoch(order)
            x = data[plan[batch].to(ctx.device)].unsqueeze(0)
            drawn = task.noise(plan[batch].numel(), noise).to(ctx.device).unsqueeze(0)
            return task.losses(model, x, drawn)

        def after_step(epoch: int, batch: int) -> None:
            task.after_step(model, (epoch * steps + batch + 1) / (epochs * steps))

        train(
            model, step, epochs=epochs, steps=steps, names=["pre-training"],
            after_step=after_step,
            optimiser=task.optimiser(),
            on_epoch=lambda epoch, losses: ctx.epoch(epoch + 1, epochs, losses[0]),
        )
        return unstack(model, 0)

    def fit(self, view: View, state: State | None, ctx: Context) -> Predictor:
        """Fine-tune one fold; from scratch if ``state`` is None."""
        return self.fit_many([Job(view, state, ctx)])[0]

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fine-tune folds; those with equally many calibration windows as one stack."""
        out: dict[int, Predictor] = {}
        fit = self._probe if self.params.finetune == "probe" else self._finetune
        for group in groups_of_equal(jobs, lambda j: (_calibration(j).x.shape, j.view.classes)):
            out |= dict(zip(group, fit([jobs[i] for i in group]), strict=True))
        return [out[i] for i in range(len(jobs))]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload."""
        from .probe import ProbePredictor

        if "head" in payload:
            return NetworkPredictor(
                ConvEncoder(**payload["encoder"]), Head(**payload["head"]), payload["state"]
            )
        return ProbePredictor.restore(payload)

    def _finetune(self, jobs: Sequence[Job]) -> list[Predictor]:
        q, ctx = self.params, jobs[0].ctx
        n, channels, features = _calibration(jobs[0]).x.shape
        encoder = self.encoder(channels, features)
        head = Head(encoder.width, len(jobs[0].view.classes))
        dtype = getattr(torch, ctx.dtype)
        model = stack(
            [
                self._encoder_state(j, encoder) | head.init(j.ctx.generator("init head"))
                for j in jobs
            ],
            ctx.device, dtype,
        )
        x = torch.from_numpy(np.stack([_calibration(j).x for j in jobs])).to(ctx.device, dtype)
        y = torch.from_numpy(np.stack([_calibration(j).y for j in jobs])).to(ctx.device)
        orders = [j.ctx.generator("fit order") for j in jobs]
        steps = steps_per_epoch(n, q.fit_batch)
        epochs = ctx.budget.epochs(q.fit_epochs, steps, "fit")
        which = torch.arange(len(jobs), device=ctx.device)[:, None]
        plan: list[Tensor] = []

        def step(epoch: int, batch: int) -> dict[str, Tensor]:
            if batch == 0:
                drawn = [batches(n, q.fit_batch, g) for g in orders]
                plan[:] = [torch.stack(b).to(ctx.device) for b in zip(*drawn, strict=True)]
            index = plan[batch]
            logits = head(model, encoder(model, x[which, index], training=True))
            loss = functional.cross_entropy(
                logits.flatten(0, 1), y[which, index].flatten(), reduction="none"
            )
            return {"total": loss.view(len(jobs), -1).mean(dim=1)}

        def on_epoch(epoch: int, losses: list[dict[str, float]]) -> None:
            for k, job in enumerate(jobs):
                now = NetworkPredictor(encoder, head, {n: t[k] for n, t in model.items()})
                job.ctx.epoch(epoch + 1, epochs, losses[k], now)

        train(
            model, step, epochs=epochs, steps=steps, names=[j.ctx.fold for j in jobs],
            optimiser=Optimiser(q.fit_lr, 0.9, q.beta2, q.fit_weight_decay),
            on_epoch=on_epoch,
        )
        return [NetworkPredictor(encoder, head, unstack(model, k)) for k in range(len(jobs))]

    def _probe(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Logistic regression on the standardised output of the frozen encoder."""
        from .probe import ProbePredictor

        out: list[Predictor] = []
        for job in jobs:
            calibration = _calibration(job)
            encoder = self.encoder(*calibration.x.shape[1:])
            state = self._encoder_state(job, encoder)
            out.append(ProbePredictor.fit(encoder, state, calibration, job.view.classes))
        return out

    def _encoder_state(self, job: Job, encoder: ConvEncoder) -> State:
        """Pre-trained encoder, or a fresh one."""
        if job.state is None:
            return encoder.init(job.ctx.generator("init"))
        wanted = encoder.init(torch.Generator())
        return {name: job.state[name] for name in wanted}


def _calibration(job: Job) -> Windows:
    calibration = job.view.calibration
    if calibration is None:
        raise ValueError("the engine handed a calibrated method no calibration windows")
    return calibration


class NetworkPredictor:
    """Encoder and head with running statistics: each window on its own."""

    def __init__(self, encoder: ConvEncoder, head: Head, state: State) -> None:
        self.encoder, self.head, self.state = encoder, head, state

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        with torch.no_grad():
            p = {name: t.detach().unsqueeze(0) for name, t in self.state.items()}
            some = next(iter(p.values()))
            data = torch.from_numpy(np.ascontiguousarray(x)).to(some.device, some.dtype)
            logits = self.head(p, self.encoder(p, data.unsqueeze(0), training=False))[0]
            return torch.softmax(logits.double(), dim=1).cpu().numpy()

    def payload(self) -> dict[str, Any]:
        """Shapes and weights, for saving."""
        return {
            "encoder": asdict(self.encoder), "head": asdict(self.head),
            "state": {name: t.detach().cpu() for name, t in self.state.items()},
        }

    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(t.numel() for name, t in self.state.items() if not is_buffer(name))


