"""SoftCLT: contrast of runs and of moments with soft positives (Lee et al., ICLR 2024).

Runs of successive windows of a trial stand for the original's time series. Two augmented views of
each are contrasted between runs, where runs with alike inputs count as positives in part, and
between moments of a run, where near moments do; at several time scales.

As in the released code (seunghan96/softclt@14c6389, on TS2Vec), encodings themselves are compared,
by their plain product and without a temperature; coarser scales take the maximum of neighbouring
moments; and both sums over scales are divided by the number of scales, though the coarsest has no
other moment to contrast with.

Equation
--------
(1 / S) sum over scales s of balance * I_s + (1 - balance) * T_s, I_s and T_s the means over rows of
- sum_j w_ij log softmax_j (z_i . z_j) over other runs and over other moments; w = 2 alpha / (1 +
exp(tau_I d)) for runs, 2 / (1 + exp(tau_T 2^s |t - t'|)) for moments, 1 for the same

Adapted
-------
a moment is a window, encoded on its own
    windows of differential entropy have no samples in time; the original's dilated convolution sees
    a moment's past.
the two views are augmented, not cropped
    runs have six windows, of which crops would leave one or two.
inputs are compared by cosine, over a whole run, and scaled within the batch
    distances of all runs of a source, by dynamic time warping, would take longer than the training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.scmm import Metric, soft_weights
from .shared.losses.selfsupervised import coarser, soft_contrastive_in_time
from .shared.networks.layers import State
from .shared.training.arranging import GroupedParams
from .shared.training.sampling import Grouped, Source, successive
from .shared.training.selfsupervised import SelfSupervised
from .shared.training.views import AugmentedParams, TwoViews


class SoftCLTParams(AugmentedParams, GroupedParams):
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
    metric: Metric = hyper("cosine", "distance between inputs of runs", stage="pretrain")


class SoftCLTTask(TwoViews):
    """Soft contrast of runs and moments, from the finest to the coarsest time scale."""

    params: SoftCLTParams

    def init(self, g: Draws) -> State:
        """Nothing: encodings themselves are compared."""
        return {}

    def sampler(self, source: Source, size: int, draw: int) -> Grouped:
        """Runs of successive windows: batches (T, B)."""
        return successive(source, self.params.run, size, draw)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses of runs (K, T, B, C, F), each (K,)."""
        q, (models, steps, runs) = self.params, x.shape[:3]
        inputs = x.transpose(1, 2).flatten(2)
        alike = soft_weights(inputs, q.upper_bound, 1 / q.instance_sharpness, q.metric)
        z = self.encoder(p, self.views(x.flatten(1, 2), noise), training=True)
        z = z.view(models, 2, steps, runs, -1)
        between, along, scale = [], [], 1
        while True:
            # One moment of a coarser scale is as many windows long.
            losses = soft_contrastive_in_time(z, alike, q.temporal_sharpness * scale)
            between.append(losses[0])
            if z.shape[2] == 1:
                break  # no other moment to contrast with
            along.append(losses[1])
            z, scale = coarser(z), 2 * scale
        scales = len(between)
        instance, temporal = (torch.stack(each).sum(dim=0) / scales for each in (between, along))
        total = q.balance * instance + (1 - q.balance) * temporal
        return {"total": total, "instance": instance, "temporal": temporal}


class SoftCLT(SelfSupervised):
    """Soft contrastive learning of runs of windows."""

    name = "softclt"
    Params = SoftCLTParams
    task = SoftCLTTask
