"""What supervised and adaptation networks share: batches of source and target, one training loop.

A method is little more than its loss: a subclass gives :meth:`SourceTrained.losses`, a pure
function of (K, B, ...) tensors. Encoder, head, optimiser, budget and fine-tuning are those of the
self-supervised methods, so that methods differ in nothing but what they learn from.

Under ``few-shot`` the source is learnt in its own classes and the head is then replaced; under the
other protocols source and target share their classes and the head trained on the source predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import BenchError
from bench.method import Context, Job, LostPredictor, Needs, Predictor
from bench.registry import ANY_FEATURES
from bench.training import (
    Losses,
    Optimiser,
    Order,
    Phase,
    groups_of_equal,
    stack,
    stacked,
    train,
    unstack,
)

from ..losses.transfer import cross_entropy
from ..networks.layers import Encoder, Head, State, names_of
from .finetuning import FineTuned, NetworkParams, NetworkPredictor

#: Encodings (K, B, W) of source windows and (K, T, W) of target windows.
Encodings = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Network:
    """Encoder, head over the source's classes, and how many domains the source has."""

    encoder: Encoder
    head: Any
    domains: int

    def encodes(self, name: str) -> bool:
        """Whether a tensor of a state belongs to the encoder."""
        return name in names_of(self.encoder)

    def own(self, state: State) -> State:
        """The part of a state that predicts."""
        return {name: state[name] for part in (self.encoder, self.head) for name in names_of(part)}

    def encode(self, p: State, batch: Batch) -> Encodings:
        """Encodings of both sides of a batch.

        Both go through batch normalisation together: its running statistics, by which windows
        are later predicted, are then those the network was trained under.
        """
        h = self.encoder(p, torch.cat([batch.x, batch.target], dim=1), training=True)
        return h[:, : batch.x.shape[1]], h[:, batch.x.shape[1] :]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of K models.

    Attributes
    ----------
    x : (K, B, C, F)
        Source windows.
    y : (K, B) int
        Their classes.
    domain : (K, B) int
        Their subjects, counted from 0.
    target : (K, T, C, F)
        Unlabelled target windows; T is 0 where none are granted.
    progress : float
        Share of the training that is over, in [0, 1).
    drawn : (K, ...)
        What the method's :meth:`SourceTrained.draw` drew.
    pseudo : (K, T) int or None
        Pseudo-labels of the target windows, for methods that give any.
    """

    x: Tensor
    y: Tensor
    domain: Tensor
    target: Tensor
    progress: float
    drawn: Tensor
    pseudo: Tensor | None = None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What one network is trained on."""

    source: Windows
    target: UnlabelledWindows | None
    start: State | None
    ctx: Context


class SourceTrained(FineTuned):
    """Train encoder and head on labelled source windows, with or without unlabelled target ones."""

    Params = NetworkParams
    params: NetworkParams
    # Without a source, all that these classes do when they fit is to fine-tune.
    decides_scratch: ClassVar[tuple[str, ...]] = ("encoder", "resolved", "finetune")

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Losses of a batch, each (K,); "total" is minimised. All that most methods give."""
        raise NotImplementedError

    def phases(self, net: Network) -> list[tuple[Callable[[str], bool] | None, LossOf]]:
        """Steps taken on each batch: which leaves they train, and the losses."""
        return [(None, self.losses)]

    def beside(self, net: Network, start: State, g: torch.Generator) -> State:
        """Parameters of one model beside encoder and head, e.g. a domain classifier."""
        return {}

    def draw(self, net: Network, batch: int, g: torch.Generator) -> Tensor:
        """What one model's loss draws for one batch of source windows."""
        return torch.empty(0)

    def pseudo_labels(self, net: Network, p: State, windows: Tensor) -> Tensor | None:
        """Pseudo-labels (n,) of one model's target windows (1, n, C, F), once an epoch."""
        return None

    def network_of(self, source: Windows) -> Network:
        """Network for a source."""
        encoder = self.encoder(source.space)
        head = Head(encoder.width, source.n_classes)
        return Network(encoder, head, len(np.unique(source.subject)))

    def train_stack(self, sets: Sequence[TrainingSet], watched: bool = False) -> list[Any]:
        """Train one network for each given, all on the same source, as one stack.

        ``watched`` shows the engine a predictor after each epoch. Returns the states, and the
        error in place of one that diverged.
        """
        q, ctx, net = self.params, sets[0].ctx, self.network_of(sets[0].source)
        every = stacked(self, [given.ctx for given in sets])
        model = stack(
            [self._start(net, given) for given in sets], ctx.device, getattr(torch, ctx.dtype)
        )
        feed = _Feed(self, net, model, sets)
        epochs = ctx.budget.epochs(q.epochs, feed.order.steps, "pretrain")

        def phase(of: LossOf) -> Callable[[int, int], Losses]:
            return lambda epoch, batch: of(net, model, feed(epoch, epochs, batch))

        phases = [Phase(phase(of), trains) for trains, of in every.phases(net)]

        def on_epoch(epoch: int, losses: list[dict[str, float]]) -> None:
            for k, given in enumerate(sets):
                now = None
                if watched:
                    now = self.alone(given.ctx).predicting(NetworkPredictor(
                        net.encoder, net.head, net.own({n: t[k] for n, t in model.items()})
                    ))
                given.ctx.epoch(epoch + 1, epochs, losses[k], now)

        lost = train(
            model, phases, epochs=epochs, steps=feed.order.steps, on_epoch=on_epoch,
            names=[given.ctx.fold or "pre-training" for given in sets],
            optimiser=Optimiser(
                every.params.lr, 0.9, q.beta2, every.params.weight_decay, "cosine"
            ),
        )
        return [error or net.own(unstack(model, k)) for k, error in enumerate(lost)]

    def _start(self, net: Network, given: TrainingSet) -> State:
        own, ctx = given.start, given.ctx
        if own is None:
            own = net.encoder.init(ctx.generator("init")) | net.head.init(
                ctx.generator("init source head")
            )
        return own | self.beside(net, own, ctx.generator("init extra"))

    def _predictors(self, jobs: Sequence[Job], ready: Sequence[bool]) -> list[Predictor]:
        """Predictors with the head of the source where a job is ready, else with a new head."""
        tuned = iter(self.finetune([job for job, is_ready in zip(jobs, ready, strict=True)
                                    if not is_ready]))
        return [
            self._with_source_head(labelled_source(job), job.state) if is_ready else next(tuned)
            for job, is_ready in zip(jobs, ready, strict=True)
        ]

    def _with_source_head(self, source: Windows, state: Any) -> Predictor:
        if isinstance(state, BenchError):
            return LostPredictor(state)
        net = self.network_of(source)
        return NetworkPredictor(net.encoder, net.head, net.own(state))


LossOf = Callable[[Network, State, Batch], Losses]


class _Feed:
    """Batches of a stack of sets; the same batch for all phases of a step."""

    def __init__(
        self, method: SourceTrained, net: Network, model: State, sets: Sequence[TrainingSet]
    ) -> None:
        q, ctx, source = method.params, sets[0].ctx, sets[0].source
        self.net, self.model, self.device = net, model, ctx.device
        self.methods = [method.alone(given.ctx) for given in sets]
        dtype = getattr(torch, ctx.dtype)
        self.x = torch.from_numpy(source.x).to(ctx.device, dtype)
        self.y = torch.from_numpy(source.y).to(ctx.device)
        subjects = np.unique(source.subject, return_inverse=True)[1]
        self.domain = torch.from_numpy(subjects).to(ctx.device)
        self.targets = [
            torch.from_numpy(given.target.x).to(ctx.device, dtype)
            for given in sets if given.target is not None
        ]
        # Half of a batch is target where there is any: a step costs all methods the same.
        sides = 2 if self.targets else 1
        self.size = max(2, q.batch // sides)
        draw = min(len(source), max(2, q.windows_per_epoch // sides))
        orders = [given.ctx.generator("order") for given in sets]
        self.order = Order(len(source), self.size, orders, draw, ctx.device)
        self.rounds = [
            _Round(len(t), given.ctx.generator("target order"))
            for t, given in zip(self.targets, sets, strict=False)
        ]
        self.draws = [given.ctx.generator("draws") for given in sets]
        self._at: tuple[int, int] | None = None
        self._pseudo: list[Tensor | None] = []

    def __call__(self, epoch: int, epochs: int, batch: int) -> Batch:
        """Batch of an epoch, drawn when first asked for."""
        if self._at != (epoch, batch):
            self._at = (epoch, batch)
            self._batch = self._next((epoch + batch / self.order.steps) / epochs, batch)
        return self._batch

    def _next(self, progress: float, batch: int) -> Batch:
        index = self.order(batch)
        models, size = index.shape
        if batch == 0:
            self._pseudo = [self._labels(k) for k in range(len(self.targets))]
        target, pseudo = self.x.new_empty((models, 0, *self.x.shape[1:])), None
        if self.targets:
            picked = [r.take(self.size).to(self.device) for r in self.rounds]
            target = torch.stack([t[i] for t, i in zip(self.targets, picked, strict=True)])
            guessed = [
                labels[i] for labels, i in zip(self._pseudo, picked, strict=True)
                if labels is not None
            ]
            pseudo = torch.stack(guessed) if guessed else None
        drawn = torch.stack([
            m.draw(self.net, size, g) for m, g in zip(self.methods, self.draws, strict=True)
        ])
        return Batch(
            self.x[index], self.y[index], self.domain[index], target, progress,
            drawn.to(self.device), pseudo,
        )

    def _labels(self, k: int) -> Tensor | None:
        p = {name: t[k : k + 1] for name, t in self.model.items()}
        with torch.no_grad():
            return self.methods[k].pseudo_labels(self.net, p, self.targets[k].unsqueeze(0))


class _Round:
    """Indices in endless permutations, so that a small target fills batches of any size."""

    def __init__(self, windows: int, generator: torch.Generator) -> None:
        self.windows, self.generator = windows, generator
        self.waiting = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """Next ``count`` indices."""
        while len(self.waiting) < count:
            more = torch.randperm(self.windows, generator=self.generator)
            self.waiting = torch.cat([self.waiting, more])
        out, self.waiting = self.waiting[:count], self.waiting[count:]
        return out


class Supervised(SourceTrained):
    """Learn the labelled source once for all folds (domains are its subjects)."""

    needs: ClassVar[Needs] = Needs(source="labelled", features=ANY_FEATURES)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean cross-entropy of the source; methods that learn more from it override this."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        return {"total": cross_entropy(logits, batch.y).mean(dim=1)}

    def pretrain(self, source: Windows | UnlabelledWindows, ctx: Context) -> State:
        """Train encoder and head on the source, in its own classes or the shared ones."""
        state: State = self.pretrain_many(source, [ctx])[0]
        return state

    def pretrain_many(
        self, source: Windows | UnlabelledWindows, contexts: Sequence[Context]
    ) -> list[Any]:
        """One training on the source for each context, as one stack."""
        if not isinstance(source, Windows):
            raise ValueError(f"{self.name} needs the labels of the source")
        return self.train_stack(
            [TrainingSet(source, None, None, c) for c in contexts], watched=True
        )

    def pretrains_predictor(self, grants: frozenset[str]) -> bool:
        """Where no calibration is granted, the head of the source predicts."""
        return "calibration" not in grants

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """New head where calibration is granted, else the head of the source."""
        return self._predictors(jobs, [j.view.calibration is None and bool(j.state) for j in jobs])


class Adaptation(SourceTrained):
    """Learn the labelled source together with unlabelled target windows, fold by fold.

    Where the protocol grants calibration windows, these are the unlabelled ones; a new head is
    then trained on them with their labels.
    """

    needs: ClassVar[Needs] = Needs(source="labelled", unlabelled=True, features=ANY_FEATURES)

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Adapt, folds of one source as one stack; then a new head where there is calibration."""
        if jobs[0].view.source is None:  # the control from scratch: nothing to adapt from
            return self.finetune(jobs)
        states: dict[int, Any] = {}
        for group in groups_of_equal(
            jobs, lambda j: (id(j.view.source), j.view.calibration is None)
        ):
            sets = [self._training_set(jobs[i]) for i in group]
            watched = jobs[group[0]].view.calibration is None
            states |= dict(zip(group, self.train_stack(sets, watched), strict=True))
        adapted = [replace(job, state=states[i]) for i, job in enumerate(jobs)]
        return self._predictors(adapted, [job.view.calibration is None for job in jobs])

    def _training_set(self, job: Job) -> TrainingSet:
        ctx = replace(job.ctx, stage="adapt") if job.view.calibration is not None else job.ctx
        return TrainingSet(labelled_source(job), job.view.unlabelled, job.state, ctx)


class _SourceOnly(Supervised):
    name: ClassVar[str] = "source-only"


class FromSource(Adaptation):
    """Train on the labelled source alone, as source-only does; then adapt that network."""

    def pretrain(self, source: Windows | UnlabelledWindows, ctx: Context) -> State:
        """Source-only training."""
        return _SourceOnly(self.params).pretrain(source, ctx)

    def pretrain_many(
        self, source: Windows | UnlabelledWindows, contexts: Sequence[Context]
    ) -> list[Any]:
        """Source-only training for each context, as one stack."""
        return _SourceOnly(self.params).pretrain_many(source, contexts)


def labelled_source(job: Job) -> Windows:
    """Source of a job, which the engine hands with its labels."""
    if not isinstance(job.view.source, Windows):
        raise ValueError("the engine handed no labelled source to a method that needs one")
    return job.view.source
