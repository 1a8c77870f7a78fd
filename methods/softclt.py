"""SoftCLT: contrast of runs and of moments with soft positives (Lee et al., ICLR 2024).

Runs of successive windows of a trial stand for the original's time series. Two augmented views of
each are contrasted between runs, where runs with alike inputs count as positives in part, and
between moments of a run, where near moments do; at several time scales.

Adapted: a moment is a window, encoded on its own (the original's dilated convolution sees its
past); coarser scales take the maximum of neighbouring moments, as there. Inputs are compared by
cosine over a whole run of differential entropy, within the batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.windows import UnlabelledWindows, Windows
from bench.method import hyper

from .shared.losses.scmm import Metric, soft_weights
from .shared.losses.selfsupervised import coarser, soft_contrastive_in_time
from .shared.networks.layers import State
from .shared.training.sampling import Grouped, successive
from .shared.training.selfsupervised import SelfSupervised, temperature
from .shared.training.views import AugmentedParams, TwoViews


class SoftCLTParams(AugmentedParams):
    """Parameters of SoftCLT."""

    run: int = hyper(6, "successive windows of a run", stage="pretrain", ge=2, le=64)
    upper_bound: float = hyper(
        0.5, "largest weight of another run (alpha)", stage="pretrain", gt=0, le=1,
        tune=(0.25, 1.0), per_model=2,
    )
    instance_sharpness: float = hyper(
        10.0, "how fast a run's weight falls with its distance (tau_I)", stage="pretrain", gt=0,
        tune=(1.0, 50.0), scale="log", per_model=2,
    )
    temporal_sharpness: float = hyper(
        1.0, "how fast a moment's weight falls with time (tau_T)", stage="pretrain", gt=0,
        tune=(0.5, 5.0), scale="log",
    )
    balance: float = hyper(
        0.5, "weight of the contrast of runs, the rest for moments (lambda)", stage="pretrain",
        ge=0, le=1, tune=(0.1, 0.9), per_model=0,
    )
    temperature: float = temperature(0.5, per_model=None)
    metric: Metric = hyper("cosine", "distance between inputs of runs", stage="pretrain")


class SoftCLTTask(TwoViews):
    """Soft contrast of runs and moments, from the finest to the coarsest time scale."""

    params: SoftCLTParams

    def sampler(self, source: Windows | UnlabelledWindows, size: int, draw: int) -> Grouped:
        """Runs of successive windows: batches (T, B)."""
        return successive(source, self.params.run, size, draw)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses of runs (K, T, B, C, F), each (K,)."""
        q, (models, steps, runs) = self.params, x.shape[:3]
        inputs = x.transpose(1, 2).flatten(2)
        alike = soft_weights(inputs, q.upper_bound, 1 / q.instance_sharpness, q.metric)
        z = self.project(p, self.views(x.flatten(1, 2), noise))
        z = z.view(models, 2, steps, runs, -1)
        between, along, scale = [], [], 1
        while True:
            # One moment of a coarser scale is as many windows long.
            losses = soft_contrastive_in_time(
                z, alike, q.temporal_sharpness * scale, q.temperature
            )
            between.append(losses[0])
            if z.shape[2] == 1:
                break  # no other moment to contrast with
            along.append(losses[1])
            z, scale = coarser(z), 2 * scale
        instance, temporal = torch.stack(between).mean(dim=0), torch.stack(along).mean(dim=0)
        total = q.balance * instance + (1 - q.balance) * temporal
        return {"total": total, "instance": instance, "temporal": temporal}


class SoftCLT(SelfSupervised):
    """Soft contrastive learning of runs of windows."""

    name: ClassVar[str] = "softclt"
    Params = SoftCLTParams
    task = SoftCLTTask
