"""MS-MDA: one branch for each source subject (Chen et al., Frontiers in Neuroscience 2021).

arXiv 2107.07740. A common encoder; for each source subject a layer of its own and a classifier.
Each branch learns its own subject's windows and brings them near the target; the branches agree on
the target, and a window is predicted by the mean of their probabilities.

As in the released code (VoiceBeer/MS-MDA@ea20888), the discrepancy from the target is that of the
means (MMD with a linear kernel), and branches differ by the softmax of their features, where the
paper compares what their classifiers predict; of a branch the differences from all others are
summed.

Equation
--------
mean over subjects j of [CE(C_j(D_j(h_j)), y_j) + ramp * (weight * |mean D_j(h_j) - mean D_j(h_t)|^2
+ agreement * sum over i != j of mean |softmax D_j(h_t) - softmax D_i(h_t)|)]

Adapted
-------
a batch holds windows of all subjects, of whose losses the mean is taken
    the original takes a step for each subject in turn, 14 times as many as other methods here.
a branch has no batch normalisation
    few of a batch's windows are its subject's.
the common encoder is that of all methods here
    methods of the family differ in what they learn from alone.
under few-shot the branches give way to a new head
    the target's classes are others than the source's there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import (
    branch_disagreement,
    cross_entropy,
    domain_means,
    domain_shift,
    mean_of_domains,
)
from .shared.networks.layers import Head, State, init_linear, linear, within
from .shared.training.alignment import AlignmentParams, ramp
from .shared.training.deep import Adaptation, Batch, Network


class MSMDAParams(AlignmentParams):
    """Parameters of MS-MDA."""

    agreement: float = hyper(
        0.01, "weight of the disagreement of branches, reached on the same ramp",
        stage="pretrain", ge=0, tune=(0.001, 1.0), scale="log", per_model=0,
    )
    branch: int = hyper(
        32, "width of a subject's own layer", stage="pretrain", ge=2, le=4096
    )


@dataclass(frozen=True)
class Branches:
    """A layer and a classifier for each of several subjects."""

    width: int
    classes: int
    subjects: int
    hidden: int

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model: first all layers, then all classifiers."""
        state = init_linear("branch", self.subjects * self.hidden, self.width, g)
        bound = self.hidden**-0.5
        shapes = {"weight": (self.subjects, self.classes, self.hidden),
                  "bias": (self.subjects, self.classes)}
        return state | {
            f"branch_head.{name}": within(bound, g, *shape)
            for name, shape in shapes.items()
        }

    def encode(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """(K, B, width) to (K, B, subjects, hidden)."""
        own = functional.leaky_relu(linear(p, "branch", h))
        return own.unflatten(2, (self.subjects, self.hidden))

    def classify(self, p: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """(K, B, subjects, hidden) to logits (K, B, subjects, classes)."""
        logits = torch.einsum("kbsh,ksch->kbsc", own, p["branch_head.weight"])
        return logits + p["branch_head.bias"].unsqueeze(1)

    def __call__(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Logarithm of the mean probabilities of all branches: (K, B, width) to (K, B, classes)."""
        each = torch.log_softmax(self.classify(p, self.encode(p, h)), dim=3)
        return torch.logsumexp(each, dim=2)


class MSMDA(Adaptation):
    """CE of each window in its subject's branch + ramp * (weight * MMD + agreement * |s_i - s_j|).

    Under ``few-shot`` the branches give way to a new head, as all heads of a source do.
    """

    name = "ms-mda"
    Params = MSMDAParams
    params: MSMDAParams

    def source_head(self, width: int, classes: int, subjects: int) -> Branches:
        """Branches in place of a head."""
        return Branches(width, classes, subjects, self.params.branch)

    def head_from(self, shape: Mapping[str, Any]) -> Head | Branches:
        """Head of a saved model, which has branches where no calibration was granted."""
        return Branches(**shape) if "subjects" in shape else Head(**shape)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy, discrepancy from the target, disagreement of the branches."""
        head: Any = net.head
        source, target = (head.encode(p, h) for h in net.encode(p, batch))
        own = batch.domain[:, :, None, None]
        logits = head.classify(p, source)
        mine = logits.gather(2, own.expand(-1, -1, 1, logits.shape[3])).squeeze(2)
        means, present = domain_means(cross_entropy(mine, batch.y), batch.domain, net.domains)
        risk = mean_of_domains(means, present)
        shift = domain_shift(source, batch.domain, target)
        apart = branch_disagreement(target, present)
        far = self.params.weight * shift + self.params.agreement * apart
        total = risk + ramp(batch.progress) * far
        return {"total": total, "risk": risk, "adaptation": shift, "disagreement": apart}
