"""PR-PL: prototypes and pairs of windows instead of labels (Zhou et al., arXiv 2202.06509).

A bilinear form compares encodings with prototypes of the classes, the means of a batch's source
windows; its softmax says to which of as many clusters a window belongs. Learnt is whether two
windows are of one class: of source windows by their labels, of target windows where their likeness
leaves no doubt, with thresholds that close up. Encodings of the corpora are brought together by a
domain classifier. What a cluster means is then read off the source's labels.

Written from the released code (KAZABANA/PR-PL@0c45557), where encoders f and g of the paper are
one, and a class's mean is taken over one more window than there are.

Equation
--------
BCE(S_s, [y_i = y_j]) + balance * progress * BCE(S_t, S_t > upper) over sure pairs of the target
+ BCE(d(R(h + noise))) + orthogonal * |P^T P - 1|_F; S cosines of softmax(h U^T V P^T)

Adapted
-------
batch normalisation, which both sides of a batch share
    the encoder is that of all methods here; the original has two linear layers without.
U and V start divided by the root of the width
    encodings here have a spread of 1 from the start, with which products would saturate the
    softmax.
thresholds close up by exp(-2 progress), the weight of pairs and the reversal go by steps
    the limit of the original's rule for many epochs; at small budgets there are few.
what a cluster means is counted over a moving average of batches
    the original passes all source windows through after every epoch.
under few-shot the prototypes give way to a new head
    the target's classes are others than the source's there.
Adam instead of RMSprop
    the optimiser is that of all methods here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.pairwise import (
    class_centres,
    confident_pairs,
    likeness,
    not_orthogonal,
    pairwise,
)
from .shared.losses.transfer import domain_confusion, one_hot, reverse_gradient
from .shared.networks.layers import Head, Mlp, State
from .shared.training.alignment import ramp
from .shared.training.deep import Adaptation, Batch, Network
from .shared.training.finetuning import NetworkParams

CENTRES, MEANING = "cluster.running_centres", "cluster.running_meaning"
#: Share of the counts of clusters that a step keeps.
KEPT = 0.9
#: Standard deviation of what is added to encodings before the domain classifier.
NOISE = 0.005


class PRPLParams(NetworkParams):
    """Parameters of PR-PL."""

    rank: int = hyper(32, "rank of the bilinear form", stage="pretrain", ge=1, le=4096)
    balance: float = hyper(
        2.0, "weight of the target's pairs at the end; it grows linearly", stage="pretrain", ge=0,
        tune=(0.1, 10.0), scale="log", per_model=0,
    )
    orthogonal: float = hyper(
        0.01, "weight of the prototypes' orthogonality", stage="pretrain", ge=0, le=10, per_model=0,
    )
    upper: float = hyper(
        0.9, "likeness above which two target windows are of one class, at first",
        stage="pretrain", gt=0, lt=1,
    )
    lower: float = hyper(
        0.5, "likeness below which they are of two, at first", stage="pretrain", gt=0, lt=1,
    )

    def thresholds(self, progress: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper threshold, which close up to where neither would be the other."""
        middle, half = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        spread = half * torch.exp(-2 * progress)
        return middle - spread, middle + spread


@dataclass(frozen=True)
class Prototypes:
    """A bilinear form of encodings and prototypes, and what each cluster means."""

    width: int
    classes: int
    rank: int

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model; no cluster means anything yet."""
        scale = self.width**-0.5
        form = {f"bilinear.{side}": scale * g.normal(self.rank, self.width) for side in "uv"}
        return form | {CENTRES: torch.zeros(self.classes, self.width),
                       MEANING: torch.eye(self.classes)}

    def clusters(self, p: Mapping[str, Tensor], h: Tensor, centres: Tensor) -> Tensor:
        """Logits (K, B, c) of clusters for encodings (K, B, W) and prototypes (K, c, W)."""
        return (h @ p["bilinear.u"].mT) @ (centres @ p["bilinear.v"].mT).mT

    def __call__(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Logarithm of the probabilities of classes: (K, B, width) to (K, B, classes).

        A cluster means the class of most source windows in it.
        """
        proba = torch.softmax(self.clusters(p, h, p[CENTRES]), dim=2)
        meaning = one_hot(p[MEANING].argmax(dim=2), self.classes).to(proba.dtype)
        return torch.log((proba @ meaning).clamp(min=torch.finfo(proba.dtype).tiny))


class PRPL(Adaptation):
    """Pairs of source windows and sure pairs of target windows, over prototypes of the classes."""

    name = "pr-pl"
    Params = PRPLParams
    params: PRPLParams

    def source_head(self, width: int, classes: int, subjects: int) -> Prototypes:
        """Prototypes in place of a head."""
        return Prototypes(width, classes, self.params.rank)

    def head_from(self, shape: Mapping[str, Any]) -> Head | Prototypes:
        """Head of a saved model, which has prototypes where no calibration was granted."""
        return Prototypes(**shape) if "rank" in shape else Head(**shape)

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Domain classifier."""
        return Mlp("domain", net.encoder.width).init(g)

    def draw(self, net: Network, batch: int, g: Draws) -> tuple[Tensor, Tensor]:
        """What is added to encodings of both sides (K, most, W), whose batches may differ."""
        most = self.params.batch
        return g.normal(most, net.encoder.width), g.normal(most, net.encoder.width)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Pairs of both sides, domain classifier, orthogonal prototypes."""
        q, head = self.params, net.head
        source, target = net.encode(p, batch)
        centres = class_centres(source, batch.y, head.classes)
        logits = head.clusters(p, source, centres)
        risk = pairwise(likeness(logits), batch.y)
        sure = confident_pairs(
            likeness(head.clusters(p, target, centres)), *q.thresholds(batch.progress)
        )
        domain = self._domain(net, p, batch, (source, target))
        apart = not_orthogonal(centres)
        self._keep(p, centres, logits, batch.y)
        total = risk + q.balance * batch.progress * sure + domain + q.orthogonal * apart
        return {"total": total, "risk": risk, "pairs": sure, "domain": domain}

    def _domain(
        self, net: Network, p: State, batch: Batch, sides: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Cross-entropy of the domain classifier behind a reversed gradient."""
        classify, strength = Mlp("domain", net.encoder.width), ramp(batch.progress)
        logits = [
            classify(
                p, reverse_gradient(h + NOISE * noise[:, : h.shape[1]].to(h), strength)
            ).squeeze(2)
            for h, noise in zip(sides, batch.drawn, strict=True)
        ]
        return domain_confusion(logits[0], logits[1])

    @staticmethod
    @torch.no_grad()
    def _keep(p: State, centres: Tensor, logits: Tensor, y: Tensor) -> None:
        """Keep the batch's prototypes, and count which classes each cluster holds."""
        p[CENTRES].copy_(centres)
        clusters, classes = (one_hot(index, logits.shape[2]).to(logits.dtype)
                             for index in (logits.argmax(dim=2), y))
        p[MEANING].lerp_(clusters.mT @ classes, 1 - KEPT)
