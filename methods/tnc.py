"""TNC: windows near in time are alike, distant ones perhaps not (Tonekaboni et al., ICLR 2021).

A discriminator learns from two encodings whether their windows are neighbours. Distant windows
are unlabelled, not negative: a share of them counts as positive.

On made-up windows where pre-training must gain (``docs/studies/must_gain.md``) the gain over the
same network from scratch was shown with ``neighbourhood_s=2`` (+19.8 points, 10 of 10 worlds). The
default of 10 s was looked at in five other worlds alone: +12.6 (-4.9 to +30.1), 3 of 5 above.

Equation
--------
-mean [log d(h, h_near) + (1 - w) log(1 - d(h, h_far)) + w log d(h, h_far)]

Adapted
-------
a neighbourhood is a fixed number of seconds within a trial
    the original widens it while a test finds the signal stationary, which needs long recordings.
distant windows come from the same subject's recording, of the same trial or another
    trials are short: within one, little is distant.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.selfsupervised import neighbourhood
from .shared.networks.layers import Mlp, State
from .shared.training.arranging import GroupedParams
from .shared.training.sampling import Grouped, Source, neighbours
from .shared.training.selfsupervised import Pretext, SelfSupervised


class TNCParams(GroupedParams):
    """Parameters of temporal neighbourhood coding."""

    neighbourhood_s: float = hyper(
        10.0, "how far apart neighbours may begin; at least a window", stage="pretrain", gt=0,
        le=600, tune=(2.0, 60.0), scale="log", unit="s",
    )
    unlabelled_positive: float = hyper(
        0.05, "share of distant windows that counts as neighbours (w)", stage="pretrain", ge=0,
        lt=1, tune=(0.0, 0.5), per_model=1,
    )
    discriminator: int = hyper(
        256, "hidden units of the discriminator", stage="pretrain", ge=1, le=8192
    )


class TNCTask(Pretext):
    """Encoder, and a discriminator of pairs of encodings."""

    params: TNCParams

    @property
    def discriminator(self) -> Mlp:
        """Logit that two encodings, side by side, are of neighbours."""
        return Mlp("pair", 2 * self.encoder.width, hidden=self.params.discriminator)

    def init(self, g: Draws) -> State:
        """Parameters of the discriminator."""
        return self.discriminator.init(g)

    def sampler(self, source: Source, size: int, draw: int) -> Grouped:
        """Anchors, neighbours and distant windows: batches (3, B)."""
        seconds = max(self.params.neighbourhood_s, source.space.window_s)
        return neighbours(source, seconds, size, draw)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Discriminator loss of windows (K, 3, B, C, F), (K,)."""
        h = self.encoder(p, x.flatten(1, 2), training=True)
        anchor, near, far = h.chunk(3, dim=1)
        same, distant = (self.discriminator(p, torch.cat([anchor, other], dim=2)).squeeze(2)
                         for other in (near, far))
        return {"total": neighbourhood(same, distant, self.params.unlabelled_positive)}


class TNC(SelfSupervised):
    """Temporal neighbourhood coding."""

    name = "tnc"
    Params = TNCParams
    task = TNCTask
