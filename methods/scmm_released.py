"""SCMM as its released code behaves, each departure from the description one switch.

For measuring what those departures are worth, never for ranking: it is an *oracle* throughout.
Written from a list of what the code does, not from its text. Two departures use the test set and
are therefore done by the engine, for oracles only (:attr:`~bench.method.Method.test_access`).

Not reproduced: the three classes wired into the released trainer, which crash with four; accuracies
averaged over batches of a shuffled test set; one subject, one session, one seed; the configuration
of SEED-IV for every corpus (set the parameters to have it).

Equation
--------
that of scmm, with the window itself masked where masked_copies is 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import Job, Predictor, hyper
from bench.training import Losses, Optimiser, batches

from .scmm import SCMM, SCMMNetwork, SCMMParams
from .shared.networks.layers import Encoder, State
from .shared.training.finetuning import Epochs
from .shared.training.heads import HeadRecipe
from .shared.training.sampling import ShuffledBatches, Source


class SCMMReleasedParams(SCMMParams):
    """Parameters of SCMM, and one switch for each thing the released code does differently."""

    fit_epochs: Epochs | Literal["steps", "auto"] = hyper(
        50, "epochs of fine-tuning; steps: as many as fit_steps", stage="fit"
    )
    fit_schedule: Literal["cosine", "constant"] = hyper(
        "constant", "learning rate of fine-tuning: falling to zero, or not", stage="fit"
    )
    fit_average: float = hyper(
        0.0, "share of the steps so far over which weights are averaged, about", stage="fit", ge=0,
        le=1,
    )
    fit_settle: bool = hyper(
        False, "leave batch normalisation with the statistics of the windows that were trained on",
        stage="fit",
    )

    aliased_mask: bool = hyper(
        True, "with one masked copy, masking overwrites the original too", stage="pretrain"
    )
    subset_2560: bool = hyper(
        True, "pre-training only ever sees ten batches of windows, chosen once", stage="pretrain"
    )
    loss_stepped_schedule: bool = hyper(
        True, "the cosine schedule takes the loss for the number of the epoch", stage="pretrain"
    )
    uncleared_gradients: bool = hyper(
        True, "fine-tuning adds up the gradients of all steps", stage="fit"
    )
    reload_best: bool = hyper(
        True, "each epoch of fine-tuning ends with the weights of best training accuracy",
        stage="fit",
    )
    per_split_scaling: bool = hyper(
        True, "the tested windows are scaled by their own statistics", stage="fit"
    )
    best_test_epoch: bool = hyper(
        True, "the epoch of highest test accuracy is reported", stage="fit"
    )


@dataclass(frozen=True)
class LossStepped(Optimiser):
    """Adam whose cosine schedule is given the last epoch's loss in place of its number."""

    def rate(self, epoch: int, epochs: int, loss: float | None = None) -> float | Tensor:
        """Learning rate of the next epoch."""
        if loss is None:
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * loss / epochs))


class _Uncleared(torch.optim.Adam):
    """Adam that never clears gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Leave them, to be added to."""


@dataclass(frozen=True)
class UnclearedOptimiser(Optimiser):
    """Settings of an Adam whose gradients add up from step to step."""

    def build(self, leaves: Sequence[Tensor]) -> torch.optim.Adam:
        """One Adam over stacked leaves."""
        return _Uncleared(list(leaves), **self.settings(leaves[0]))


@dataclass(frozen=True)
class Fixed(ShuffledBatches):
    """The same ``draw`` windows in every epoch, chosen in the first."""

    chosen: list[Tensor] = field(default_factory=list)

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, B) of one epoch."""
        if not self.chosen:
            self.chosen.append(g.permutation(self.windows, take=self.draw))
        return [self.chosen[0].gather(-1, part) for part in batches(self.draw, self.size, g)]


class ReleasedNetwork(SCMMNetwork):
    """The pre-training of SCMM with the switches of the released code."""

    params: SCMMReleasedParams

    def sampler(self, source: Source, size: int, draw: int) -> ShuffledBatches:
        """Ten batches chosen once, or any windows."""
        if self.params.subset_2560:
            return Fixed(len(source), size, min(10 * size, len(source)))
        return ShuffledBatches(len(source), size, draw)

    def optimiser(self) -> Optimiser:
        """Adam under the schedule as it runs, or as it is meant."""
        q = self.params
        if q.loss_stepped_schedule:
            return LossStepped(q.lr, 0.9, q.beta2, q.weight_decay, "cosine")
        return super().optimiser()

    def losses(self, p: State, x: Tensor, keep: Tensor) -> dict[str, Tensor]:
        """Losses of windows (K, B, C, F) under masks (K, m, B, C, F), each (K,)."""
        if self.params.aliased_mask and self.params.masked_copies == 1:
            x = x * keep[:, 0]  # a view where a copy was meant: both are masked
        return super().losses(p, x, keep)


class _Best:
    """Weights of best training accuracy so far; Adam's moments and gradients stay as they are."""

    def __init__(self, model: State) -> None:
        self.model, self.accuracy, self.weights = model, -1.0, State()

    def reload(self, accuracy: float) -> None:
        """Keep the weights if they are better than any before, else go back to those."""
        if accuracy > self.accuracy:
            self.accuracy = accuracy
            self.weights = {name: t.detach().clone() for name, t in self.model.items()}
            return
        with torch.no_grad():
            for name, tensor in self.model.items():
                tensor.copy_(self.weights[name])


class ReleasedRecipe(HeadRecipe):
    """Training of a head with the switches of the released code, of a single model."""

    best: _Best | None = None

    def optimiser(self, encoder: Encoder) -> Optimiser:
        """An Adam whose gradients add up, or a usual one."""
        usual = super().optimiser(encoder)
        return UnclearedOptimiser(**vars(usual)) if self.q.uncleared_gradients else usual

    def losses(self, logits: Tensor, y: Tensor) -> Losses:
        """Mean cross-entropy (1,), and the accuracy beside it."""
        right = (logits.argmax(dim=2) == y).to(logits.dtype).mean(dim=1)
        return super().losses(logits, y) | {"training_accuracy": right}

    def after_epoch(self, model: State, losses: Sequence[dict[str, float]]) -> None:
        """Go back to the weights of best training accuracy."""
        if self.q.reload_best:
            self.best = self.best or _Best(model)
            self.best.reload(losses[0]["training_accuracy"])


class SCMMReleased(SCMM):
    """SCMM as the released code behaves; never ranked."""

    name = "scmm-released"
    kind = "oracle"
    Params = SCMMReleasedParams
    params: SCMMReleasedParams
    task = ReleasedNetwork
    #: The released schedule watches the loss of one training.
    stacks = False

    @property
    def test_access(self) -> frozenset[str]:
        """What of the test set the released code uses."""
        q = self.params
        wanted = {"scaling": q.per_split_scaling, "epoch": q.best_test_epoch}
        return frozenset(name for name, on in wanted.items() if on)

    def scratch(self) -> tuple[str, dict[str, Any]]:
        """As SCMM: the switches have no meaning for it."""
        names = SCMMParams.model_fields
        shared = {k: v for k, v in self.params.model_dump().items() if k in names}
        return SCMM(SCMMParams(**shared)).scratch()

    def shortcuts(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """None: it is made of them."""
        return []

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fine-tune folds, one after the other."""
        return [self.finetune([job])[0] for job in jobs]

    def recipe(self) -> ReleasedRecipe:
        """How the released code trains heads."""
        return ReleasedRecipe(self.params)
