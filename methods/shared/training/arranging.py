"""How batches are put together of subjects, whatever they hold: windows, or groups around anchors.

Where a batch mixes all subjects, telling them apart solves most contrastive tasks: two views of a
window are found by whose brain it is. Batches of one subject leave nothing of the kind to be found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .finetuning import NetworkParams
from .sampling import Grouped, Sampler, ShuffledBatches, Source, Tabled

Batches = Literal["mixed", "balanced", "subject"]


class PretextParams(NetworkParams):
    """Parameters of methods whose batches are drawn from windows, or from groups of them."""

    batches: Batches = hyper(
        "mixed", "a batch holds windows of any subjects, as many of each, or of one subject",
        stage="pretrain",
    )


class GroupedParams(PretextParams):
    """Parameters of methods whose batches hold groups of windows around anchors."""

    anchors: int = hyper(
        0, "groups in a batch; 0: as many as make up its windows (of runs of six 42 where a batch "
        "has 256, which leaves a contrast few others)", stage="pretrain", ge=0, le=8192,
    )


@dataclass(frozen=True)
class PerSubject(Tabled):
    """Batches (K, B) that hold equally many items of each of some subjects.

    Attributes
    ----------
    items : (S, M) Tensor
        Items of each subject; the rest of M is padding.
    counts : (S,) Tensor
        How many each has.
    subjects, each : int
        Subjects in a batch, and items of each.
    draw : int
        Items in an epoch.
    """

    items: Tensor
    counts: Tensor
    subjects: int
    each: int
    draw: int

    @classmethod
    def of(
        cls, subject: NDArray[np.int64], size: int, draw: int, how: Batches
    ) -> PerSubject:
        """Of items (n,) whose subjects are given.

        A batch is smaller than ``size`` where the subject with fewest items has not enough.
        """
        groups = [np.flatnonzero(subject == s) for s in np.unique(subject)]
        counts = np.array([len(g) for g in groups])
        items = np.zeros((len(groups), counts.max()), dtype=np.int64)
        for row, group in zip(items, groups, strict=True):
            row[: len(group)] = group
        several = min(len(groups), size) if how == "balanced" else 1
        each = int(min(size // several, counts.min()))
        return cls(torch.from_numpy(items), torch.from_numpy(counts), several, each, draw)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, self.draw // (self.subjects * self.each))

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, B) of one epoch; no item stands in a batch twice."""
        who = g.permutation(len(self.items), self.steps, take=self.subjects)
        key = g.uniform(self.steps, self.subjects, self.items.shape[1])
        padding = torch.arange(self.items.shape[1], device=key.device) >= \
            self.counts[who].unsqueeze(-1)
        place = key.masked_fill(padding, 2.0).argsort(dim=-1)[..., : self.each]
        return list(self.items[who].gather(-1, place).flatten(-2).unbind(dim=-2))


def arranged(sampler: Sampler, source: Source, q: Any) -> Sampler:
    """A task's sampler, its batches put together as parameters of its method ask for.

    Parameters
    ----------
    sampler : Sampler
    source : Source
        What it draws from.
    q : PretextParams
        Of a method whose batches cannot be put together otherwise, parameters without these.
    """
    how: Batches = getattr(q, "batches", "mixed")
    anchors: int = getattr(q, "anchors", 0)
    subject = np.unique(np.stack([source.corpus.astype(str), source.subject.astype(str)]), axis=1,
                        return_inverse=True)[1].ravel()
    if isinstance(sampler, Grouped):
        among: Sampler = sampler.inner
        size = min(anchors or sampler.inner.size, len(sampler.anchors))
        if anchors:
            among = replace(sampler.inner, size=size)
        if how != "mixed":
            whose = subject[sampler.window[sampler.anchors].numpy()]
            among = PerSubject.of(whose, size, sampler.inner.draw, how)
        return replace(sampler, among=among)
    if isinstance(sampler, ShuffledBatches) and how != "mixed":
        return PerSubject.of(subject, sampler.size, sampler.draw, how)
    return sampler
