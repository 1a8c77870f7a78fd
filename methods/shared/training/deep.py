"""What supervised and adaptation networks share: batches of source and target, one training loop.

A method is little more than its loss: a subclass gives :meth:`SourceTrained.losses`, a pure
function of (K, B, ...) tensors. Encoder, head, optimiser, budget and fine-tuning are those of the
self-supervised methods, so that methods differ in nothing but what they learn from.

Under ``few-shot`` the source is learnt in its own classes and the head is then replaced; under the
other protocols source and target share their classes and the head trained on the source predicts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.data.windows import Windows
from bench.draws import Draws
from bench.errors import BenchError
from bench.method import Context, Job, LostPredictor, Needs, Predictor, tell_epoch
from bench.registry import ANY_FEATURES
from bench.training import (
    Losses,
    Moment,
    Optimiser,
    Phase,
    groups_of_equal,
    stack,
    stacked,
    train,
    unstack,
)

from ..losses.transfer import cross_entropy
from ..networks.backbones import started
from ..networks.layers import Encoder, Head, State, names_of
from .finetuning import FineTuned
from .predicting import NetworkPredictor
from .sampling import Order, ShuffledBatches, Source, filled, kept

#: Encodings (K, B, W) of source windows and (K, T, W) of target windows.
Encodings = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Network:
    """Encoder, head over the source's classes, how many domains the source has, and its classes."""

    encoder: Encoder
    head: Any
    domains: int
    labels: tuple[str, ...] = ()

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
    progress : () float Tensor
        Share of the training that is over, in [0, 1).
    drawn : (K, ...), a tuple of such, or None
        What the method's :meth:`SourceTrained.draw` drew.
    pseudo : (K, T) int or None
        Labels of the target windows: theirs where they are granted, else pseudo-labels of methods
        that give any.
    """

    x: Tensor
    y: Tensor
    domain: Tensor
    target: Tensor
    progress: Tensor
    drawn: Any
    pseudo: Tensor | None = None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What one network is trained on."""

    source: Windows
    target: Source | None
    start: State | None
    ctx: Context


class SourceTrained(FineTuned):
    """Train encoder and head on labelled source windows, with or without unlabelled target ones."""

    # Without a source, all that these classes do when they fit is to fine-tune.
    decides_scratch = ("encoder", "resolved", "finetune", "recipe")

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Losses of a batch, each (K,); "total" is minimised. All that most methods give."""
        raise NotImplementedError

    def phases(self, net: Network) -> Phases:
        """Steps taken on each batch: which leaves they train, and the losses."""
        return [(None, self.losses)]

    def optimiser_steps(self, net: Network) -> int:
        """Optimiser steps that a batch costs; all methods have equally many within a budget."""
        return len(self.phases(net))

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Parameters of one model beside encoder and head, e.g. a domain classifier."""
        return {}

    def draw(self, net: Network, batch: int, g: Draws) -> Any:
        """What the losses of K models draw for one batch of source windows.

        ``g`` holds the keys of the models at this step; tensors (K, ...).
        """
        return None

    def pseudo_labels(self, net: Network, p: State, windows: Tensor) -> Tensor | None:
        """Pseudo-labels (K, n) of models' target windows (K, n, C, F), once an epoch."""
        return None

    def network_of(self, source: Windows) -> Network:
        """Network for a source."""
        encoder = self.encoder(source.space)
        subjects = len(np.unique(source.subject))
        head = self.source_head(encoder.width, source.n_classes, subjects)
        return Network(encoder, head, subjects, source.labels)

    def source_head(self, width: int, classes: int, subjects: int) -> Any:
        """Head on the encodings of the source's windows."""
        return Head(width, classes)

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
        feed = _Feed(self, every, net, model, sets)
        each = self.optimiser_steps(net)
        total = ctx.budget.batches(q.epochs * feed.order.steps, "pretrain", each)
        epochs = math.ceil(total / feed.order.steps)

        def phase(of: LossOf) -> Callable[[Batch], Losses]:
            return lambda batch: of(net, model, batch)

        phases = [Phase(phase(of), trains) for trains, of in every.phases(net)]

        def on_epoch(epoch: int, losses: list[dict[str, float]]) -> None:
            own = net.own(model)
            tell_epoch([given.ctx for given in sets], epoch + 1, epochs, losses, [
                self.alone(given.ctx).predicting(NetworkPredictor(net.encoder, net.head, own, k))
                for k, given in enumerate(sets)
            ] if watched else None)

        lost = train(
            model, phases, epochs=epochs, steps=feed.order.steps, short=feed.order.short,
            feed=feed, before_epoch=feed.begin, on_epoch=on_epoch, limit=total,
            names=[given.ctx.fold or "pre-training" for given in sets],
            optimiser=Optimiser(
                every.params.lr, 0.9, q.beta2, every.params.weight_decay, "cosine"
            ),
        )
        for given in sets:
            given.ctx.spent("before", each * total, each * feed.windows(total))
        return [error or net.own(unstack(model, k)) for k, error in enumerate(lost)]

    def _start(self, net: Network, given: TrainingSet) -> State:
        own, ctx = given.start, given.ctx
        if own is None:
            own = started(net.encoder, ctx) | net.head.init(ctx.draws("init source head"))
        return own | self.beside(net, own, ctx.draws("init extra"))

    def keeps_head(self, job: Job) -> bool:
        """Whether the head of the source predicts: where there is nothing to train another on."""
        return job.view.calibration is None

    def _predictors(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Predictors with the head of the source where a job keeps it, else with a new head."""
        tuned = iter(self.finetune([job for job in jobs if not self.keeps_head(job)]))
        return [
            self._with_source_head(labelled_source(job), job.state)
            if self.keeps_head(job) else next(tuned) for job in jobs
        ]

    def _with_source_head(self, source: Windows, state: Any) -> Predictor:
        if isinstance(state, BenchError):
            return LostPredictor(state)
        net = self.network_of(source)
        return NetworkPredictor(net.encoder, net.head, net.own(state))


LossOf = Callable[[Network, State, Batch], Losses]
#: Which tensors a step trains, by name (None: all), and by which losses.
Phases = list[tuple[Callable[[str], bool] | None, LossOf]]


class _Feed:
    """Batches of a stack of sets."""

    def __init__(
        self, method: SourceTrained, every: SourceTrained, net: Network, model: State,
        sets: Sequence[TrainingSet],
    ) -> None:
        q, ctx, source = method.params, sets[0].ctx, sets[0].source
        self.every, self.net, self.model = every, net, model
        self.methods = [method.alone(given.ctx) for given in sets]
        dtype = getattr(torch, ctx.dtype)
        self.x = torch.from_numpy(source.x).to(ctx.device, dtype)
        self.y = torch.from_numpy(source.y).to(ctx.device)
        subjects = np.unique(source.subject, return_inverse=True)[1]
        self.domain = torch.from_numpy(subjects).to(ctx.device)
        targets = [given.target for given in sets if given.target is not None]
        self.lengths = [len(t) for t in targets]
        #: First row of each model's target windows, among those of all.
        firsts = [0, *itertools.accumulate(self.lengths)][: len(targets)]
        self.starts = torch.tensor(firsts, device=ctx.device).view(-1, 1, 1)
        self.target = torch.from_numpy(
            np.concatenate([t.x for t in targets]) if targets else source.x[:0]
        ).to(ctx.device, dtype)
        # Half of a batch is target where there is any: a step costs all methods the same.
        sides = 2 if targets else 1
        self.size = max(2, q.batch // sides)
        draw = ctx.budget.windows(min(len(source), max(2, q.windows_per_epoch // sides)), self.size)
        order, self.target_order, self.draws = (
            Draws.stack([given.ctx.draws(name) for given in sets], ctx.device)
            for name in ("order", "target order", "draws")
        )
        self.order = Order(ShuffledBatches(len(source), self.size, draw), order)
        self._picked: Tensor | None = None
        self._pseudo: Tensor | None = None
        #: Classes of the target windows, where their labels are granted.
        known = [t.y for t in targets if isinstance(t, Windows)]
        self.known = torch.from_numpy(np.concatenate(known)).to(ctx.device) if known else None

    def windows(self, batches: int) -> int:
        """Windows of both sides in so many batches."""
        return self.order.windows(batches) + batches * self.size * bool(self.lengths)

    def begin(self, epoch: int) -> None:
        """Draw the batches of an epoch, and guess the classes of the target windows."""
        self.order.begin(epoch)
        if not self.lengths:
            return
        picked = filled(self.lengths, self.order.steps, self.size, self.target_order.at(epoch))
        self._picked = kept(self._picked, (self.starts + picked).transpose(0, 1))
        labels = self._labels() if self.known is None else self.known
        if labels is not None:
            self._pseudo = kept(self._pseudo, labels)

    def __call__(self, at: Moment) -> Batch:
        """Batch of a moment."""
        index = self.order(at)
        target, pseudo = self.x.new_empty((len(index), 0, *self.x.shape[1:])), None
        if self._picked is not None:
            picked = self._picked.index_select(0, at.batch.view(1)).squeeze(0)
            target = self.target[picked]
            pseudo = None if self._pseudo is None else self._pseudo[picked]
        drawn = self.every.draw(self.net, index.shape[1], self.draws.at(at.step))
        return Batch(
            self.x[index], self.y[index], self.domain[index], target, at.progress, drawn, pseudo,
        )

    @torch.no_grad()
    def _labels(self) -> Tensor | None:
        """Pseudo-labels of all target windows, those of one model after those of another."""
        counts = self.lengths
        if len(set(counts)) == 1:
            windows = self.target.unflatten(0, (len(counts), counts[0]))
            labels = self.every.pseudo_labels(self.net, self.model, windows)
            return None if labels is None else labels.flatten()
        each = [
            one.pseudo_labels(
                self.net, {name: t[k : k + 1] for name, t in self.model.items()}, own.unsqueeze(0)
            )
            for k, (one, own) in enumerate(
                zip(self.methods, self.target.split(counts), strict=True)
            )
        ]
        found = [labels[0] for labels in each if labels is not None]
        return torch.cat(found) if found else None


class LabelledPretraining(SourceTrained):
    """Learn the labelled source once for all folds; domains are its subjects."""

    needs = Needs(source="labelled", features=ANY_FEATURES)
    #: Whether what is trained on the source predicts, so that the engine may look at it.
    watched: ClassVar[bool] = False

    def pretrain(self, source: Source, ctx: Context) -> State:
        """Train on the source, in its own classes or the shared ones."""
        return self.pretrain_many(source, [ctx])[0]

    def pretrain_many(self, source: Source, contexts: Sequence[Context]) -> list[Any]:
        """One training on the source for each context, as one stack."""
        if not isinstance(source, Windows):
            raise ValueError(f"{self.name} needs the labels of the source")
        return self.train_stack(
            [TrainingSet(source, None, None, c) for c in contexts], watched=self.watched
        )


class Supervised(LabelledPretraining):
    """Learn the labelled source with the head that may predict."""

    watched = True

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean cross-entropy of the source; methods that learn more from it override this."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        return {"total": cross_entropy(logits, batch.y).mean(dim=1)}

    def pretrains_predictor(self, grants: frozenset[str]) -> bool:
        """Where no calibration is granted, the head of the source predicts."""
        return "calibration" not in grants

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """New head where calibration is granted, else the head of the source."""
        return self._predictors(jobs)

    def keeps_head(self, job: Job) -> bool:
        """Nor is it there for the control from scratch."""
        return super().keeps_head(job) and bool(job.state)


class FoldByFold(SourceTrained):
    """Learn the labelled source together with windows of the fold's target."""

    def training_set(self, job: Job) -> TrainingSet:
        """What a fold is trained on."""
        raise NotImplementedError

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Train, folds of one source as one stack; then a new head where none is kept."""
        if jobs[0].view.source is None:  # the control from scratch: nothing to learn it with
            return self.finetune(jobs)
        states: dict[int, Any] = {}
        for group in groups_of_equal(jobs, lambda j: (id(j.view.source), self.keeps_head(j))):
            sets = [self.training_set(jobs[i]) for i in group]
            watched = self.keeps_head(jobs[group[0]])
            states |= dict(zip(group, self.train_stack(sets, watched), strict=True))
        return self._predictors([replace(job, state=states[i]) for i, job in enumerate(jobs)])


class Adaptation(FoldByFold):
    """Learn the labelled source together with unlabelled target windows, fold by fold.

    Where the protocol grants calibration windows, these are the unlabelled ones; a new head is
    then trained on them with their labels.
    """

    needs = Needs(source="labelled", unlabelled=True, features=ANY_FEATURES)

    def training_set(self, job: Job) -> TrainingSet:
        """Source and unlabelled windows; a new head has the usual stage to itself."""
        ctx = replace(job.ctx, stage="adapt") if job.view.calibration is not None else job.ctx
        return TrainingSet(labelled_source(job), job.view.unlabelled, job.state, ctx)


class _SourceOnly(Supervised):
    name = "source-only"


class FromSource(Adaptation):
    """Train on the labelled source alone, as source-only does; then adapt that network.

    A budget of steps is halved: one part for the source, the other to adapt.
    """

    def pretrain(self, source: Source, ctx: Context) -> State:
        """Source-only training."""
        return self.pretrain_many(source, [ctx])[0]

    def pretrain_many(self, source: Source, contexts: Sequence[Context]) -> list[Any]:
        """Source-only training for each context, as one stack."""
        halves = [_of_half(ctx) for ctx in contexts]
        return _SourceOnly(self.params).pretrain_many(source, halves)

    def training_set(self, job: Job) -> TrainingSet:
        """The same, with half of the steps."""
        given = super().training_set(job)
        return replace(given, ctx=_of_half(given.ctx))


def _of_half(ctx: Context) -> Context:
    """A context whose training on the source may take half of the steps."""
    steps = ctx.budget.pretrain
    return ctx if steps is None else replace(
        ctx, budget=replace(ctx.budget, pretrain=max(1, steps // 2)))


def labelled_source(job: Job) -> Windows:
    """Source of a job, which the engine hands with its labels."""
    if not isinstance(job.view.source, Windows):
        raise ValueError("the engine handed no labelled source to a method that needs one")
    return job.view.source
