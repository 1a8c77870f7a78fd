"""Training of heads: how long, in which batches, and all folds of equal size as one stack.

The length is counted in optimiser steps. Epochs over few windows are few steps: after 20 epochs of
one trial a class a network is hardly trained, and whatever it is compared with looks good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.windows import Windows
from bench.draws import Draws
from bench.errors import DivergedError
from bench.method import Budget, Job, LostPredictor, Predictor, observing, tell_epoch
from bench.protocols.base import View
from bench.training import Losses, Moment, Optimiser, Phase, stack, train, unstack

from ..losses.transfer import cross_entropy
from ..networks.layers import Encoder, Head, State, layers_of
from ..networks.parts import last_layers, low_rank, plain
from ..shallow import folds_of_trials
from .finishing import Finish, settling
from .predicting import NetworkPredictor
from .sampling import Order, Sampler, ShuffledBatches, Streamed

#: A training whose length is counted in steps is looked at so often, whatever its windows.
LOOKS = 20


#: Lengths of which "auto" chooses one, in shares of the usual number of steps: all of 20 epochs.
LENGTHS = (0.2, 0.4, 1.0, 2.0)


def labelled(view: View) -> Windows:
    """Windows whose labels a head is trained on: calibration, or the source where there is none."""
    windows = view.source if view.calibration is None else view.calibration
    if not isinstance(windows, Windows) or windows.labels != view.classes:
        raise ValueError("the engine handed no labelled windows in the classes to predict")
    return windows


class HeadRecipe:
    """How the heads of one stack are trained.

    Parameters
    ----------
    q : NetworkParams
        Parameters in which models of the stack differ are tensors (K, ...).
    """

    def __init__(self, q: Any) -> None:
        self.q = q

    def length(self, n: int, draw: int, budget: Budget) -> tuple[Sampler, int, int]:
        """Batches of an epoch of ``draw`` of n windows, how many in all, and without a budget."""
        q = self.q
        if isinstance(q.fit_epochs, int):
            sampler = ShuffledBatches(n, q.fit_batch, draw)
            wanted = q.fit_epochs * sampler.steps
            return sampler, budget.batches(wanted, "fit"), wanted
        total = budget.batches(q.fit_steps, "fit")
        return Streamed(n, min(n, q.fit_batch), math.ceil(total / LOOKS)), total, q.fit_steps

    def optimiser(self, encoder: Encoder) -> Optimiser:
        """Adam, its schedule, and at what rate which layer of an encoder is trained."""
        q = self.q
        shares = {name: q.fit_decay**depth
                  for depth, layer in enumerate(reversed(layers_of(encoder)), 1) for name in layer}
        return Optimiser(
            q.fit_lr, 0.9, q.beta2, q.fit_weight_decay, q.fit_schedule,
            (lambda name: shares.get(name, 1.0)) if q.fit_decay != 1 else None,
        )

    def losses(self, logits: Tensor, y: Tensor) -> Losses:
        """Mean cross-entropy (K,) of logits (K, B, classes) and classes (K, B)."""
        return {"total": cross_entropy(logits, y).mean(dim=1)}

    def beside(self, encoder: Encoder, g: Draws) -> State:
        """What is trained of one model beside encoder and head."""
        return low_rank(encoder, self.q.fit_rank, g) if self.q.finetune == "lora" else {}

    def trains(self, encoder: Encoder) -> Callable[[str], bool] | None:
        """Whether a tensor of a name is trained; None: all are."""
        layers = {"lora": 0, "partial": self.q.fit_layers}.get(self.q.finetune)
        return None if layers is None else last_layers(encoder, layers)

    def after_epoch(self, model: State, losses: Sequence[dict[str, float]]) -> None:
        """Change the model between two epochs; by default it is left as it is."""


class HeadTraining:
    """New heads, one for each of K jobs, trained with their encoders as one stack.

    Parameters
    ----------
    recipe : HeadRecipe
    encoder : Encoder
    jobs : sequence of Job
        Their labelled windows are of one shape, in the same classes.
    starts : sequence of dict of Tensor
        The encoder that each starts from; with a head, that one is kept.
    shown : callable
        What the engine is shown of a job's network.
    """

    def __init__(
        self, recipe: HeadRecipe, encoder: Encoder, jobs: Sequence[Job], starts: Sequence[State],
        shown: Callable[[Job, NetworkPredictor], Predictor],
    ) -> None:
        self.recipe, self.encoder, self.jobs, self.shown = recipe, encoder, jobs, shown
        q, ctx, view = recipe.q, jobs[0].ctx, jobs[0].view
        dtype = getattr(torch, ctx.dtype)
        self.head = Head(encoder.width, len(view.classes))
        self.model = stack([
            self.head.init(job.ctx.draws("init head")) | start
            | recipe.beside(encoder, job.ctx.draws("init beside"))
            for start, job in zip(starts, jobs, strict=True)
        ], ctx.device, dtype)
        given = [labelled(job.view) for job in jobs]
        x = torch.from_numpy(np.stack([w.x for w in given])).to(ctx.device, dtype)
        y = torch.from_numpy(np.stack([w.y for w in given])).to(ctx.device)
        n = x.shape[1]
        draw = min(n, q.windows_per_epoch) if view.calibration is None else n
        sampler, self.total, self.wanted = recipe.length(n, draw, ctx.budget)
        self.order = Order(sampler, self._draws("fit order"))
        self.epochs = math.ceil(self.total / sampler.steps)
        self.windows, self.classes = x.flatten(0, 1), y.flatten()
        self.start = n * torch.arange(len(jobs), device=ctx.device)[:, None]
        settled_by = settling(x, self._draws("fit settle")) if q.fit_settle else None
        self.finish = Finish(encoder, self.model, q.fit_average, settled_by)

    def _draws(self, purpose: str) -> Draws:
        ctxs = [job.ctx for job in self.jobs]
        return Draws.stack([ctx.draws(purpose) for ctx in ctxs], ctxs[0].device)

    def run(self) -> list[NetworkPredictor | LostPredictor]:
        """Train all; one that diverges is lost alone.

        Raises
        ------
        DivergedError
            All of them did.
        """
        step = Phase(self._losses, self.recipe.trains(self.encoder))
        lost: list[DivergedError | None] = train(
            self.model, [step], epochs=self.epochs, steps=self.order.steps,
            short=self.order.short, limit=self.total, names=[j.ctx.fold for j in self.jobs],
            before_epoch=self.order.begin, on_epoch=self._on_epoch,
            after_step=self.finish.after_step, optimiser=self.recipe.optimiser(self.encoder),
        )
        for job in self.jobs:
            job.ctx.spent("after", self.total, self.order.windows(self.total), self.wanted)
        end = plain(self.finish.settle())
        return [
            LostPredictor(error) if error
            else NetworkPredictor(self.encoder, self.head, unstack(end, k))
            for k, error in enumerate(lost)
        ]

    def _losses(self, at: Moment) -> Losses:
        index = self.start + self.order(at)
        flat = index.flatten()
        drawn = self.windows.index_select(0, flat).view(*index.shape, *self.windows.shape[1:])
        logits = self.head(self.model, self.encoder(self.model, drawn, training=True))
        return self.recipe.losses(logits, self.classes.index_select(0, flat).view(index.shape))

    def _on_epoch(self, epoch: int, losses: list[dict[str, float]]) -> None:
        self.recipe.after_epoch(self.model, losses)
        now = self.finish.settle()
        tell_epoch([job.ctx for job in self.jobs], epoch + 1, self.epochs, losses, [
            self.shown(job, NetworkPredictor(self.encoder, self.head, now, k))
            for k, job in enumerate(self.jobs)
        ])


# --- how long, chosen within the calibration trials ----------------------------------------------

Fit = Callable[[Sequence[Job]], list[Predictor]]


def with_length(job: Job, q: Any, steps: int) -> Job:
    """A job whose head is trained for so many steps."""
    params = q if job.ctx.params is None else job.ctx.params
    chosen = params.model_copy(update={"fit_epochs": "steps", "fit_steps": steps})
    return replace(job, ctx=replace(job.ctx, params=chosen))


def with_chosen_lengths(jobs: Sequence[Job], q: Any, fit: Fit) -> list[Job]:
    """Jobs with the lengths that predict their own held-out calibration trials best.

    Trials are held out whole, some of every class at a time; judged is the mean squared error of
    the probabilities (Brier), and of equal lengths the shorter is taken. Where a class has one
    trial, or there is no calibration, the length stays as it is. Nothing else than a job's own
    calibration windows decides.

    Parameters
    ----------
    q : NetworkParams
        Of jobs whose contexts have none.
    fit : callable
        Trains heads of jobs, as few stacks as there are sizes.
    """
    lengths = list(dict.fromkeys(max(1, round(share * q.fit_steps)) for share in LENGTHS))
    granted = [(i, job) for i, job in enumerate(jobs) if job.view.calibration is not None]
    trials = [(i, n, job, part) for i, whole in granted
              for part, job in _without(whole) for n in lengths]
    with observing(None):
        predictors = fit([with_length(job, q, n) for _, n, job, _ in trials])
    errors: dict[int, dict[int, float]] = {}
    for (i, n, job, part), predictor in zip(trials, predictors, strict=True):
        by_length = errors.setdefault(i, {})
        by_length[n] = by_length.get(n, 0.0) + _error(predictor, labelled(jobs[i].view).take(part))
        jobs[i].ctx.spent("choosing", *_cost(job, q, n))
    return [with_length(job, q, _best(errors.get(i), q.fit_steps)) for i, job in enumerate(jobs)]


def _without(job: Job) -> Iterator[tuple[Any, Job]]:
    """Parts of the calibration, and jobs that lack one each and draw by keys of their own."""
    windows = labelled(job.view)
    fold = folds_of_trials(windows.y, windows.trial)
    for number in np.unique([] if fold is None else fold).tolist():
        part = fold == number
        view = replace(job.view, calibration=windows.take(~part))
        axes = {**job.ctx.seed_axes, "without": number}
        yield part, Job(view, job.state, replace(job.ctx, seed_axes=axes))


def _error(predictor: Predictor, held: Windows) -> float:
    """Sum of squared errors of the probabilities of held-out windows; infinite if it was lost."""
    if isinstance(predictor, LostPredictor):
        return math.inf
    wanted = np.eye(len(held.labels))[held.y]
    return float(((predictor.predict_proba(held.x) - wanted) ** 2).sum())


def _best(errors: dict[int, float] | None, usual: int) -> int:
    if not errors or not math.isfinite(min(errors.values())):
        return usual
    return min(errors, key=lambda n: (errors[n], n))


def _cost(job: Job, q: Any, steps: int) -> tuple[int, int]:
    """Steps and windows of a training, within its budget."""
    taken = job.ctx.budget.batches(steps, "fit")
    return taken, taken * min(len(labelled(job.view)), q.fit_batch)
