"""BYOL: predict the projection that a slowly moving copy of the network makes of another view.

Grill et al., NeurIPS 2020.

Equation
--------
sum over both ways of mean_i |q(z_i) / |q(z_i)| - z'_i / |z'_i||^2, z' of a network that follows by
a moving average, its share rising to 1 on a cosine

Adapted
-------
augmentations are those of log power per band
    images have crops and colours, windows of differential entropy have neither.
encoder and projector are those of all methods here
    methods of the family differ in what they learn from alone.
the target looks back over a tenth of the training at most
    its momentum is made for thousands of steps; in a hundred the random start would stay.
Adam instead of LARS
    LARS is made for batches of thousands of images; the optimiser is that of all methods here.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import is_buffer, meeting

from .shared.losses.selfsupervised import byol
from .shared.networks.layers import Projector, State, prefixed, scoped
from .shared.training.selfsupervised import SelfSupervised
from .shared.training.views import AugmentedParams, TwoViews, halves

#: Says that the target's tensors are running averages, which no optimiser touches.
TARGET = "target.running_"
PREDICTOR = "predictor."


class BYOLParams(AugmentedParams):
    """Parameters of BYOL."""

    momentum: float = hyper(
        0.99, "share of the target that a step keeps at first; rises to 1 on a cosine",
        stage="pretrain", ge=0, lt=1, tune=(0.9, 0.999), per_model=0,
    )
    horizon: float = hyper(
        0.1, "share of all steps that the target looks back over at most: of a short training the "
        "momentum is lower, or its random start would stay", stage="pretrain", gt=0, le=1,
    )


class BYOLTask(TwoViews):
    """Online encoder, projector and predictor; a target encoder and projector that follow."""

    params: BYOLParams
    steps = 0

    def begin(self, steps: int) -> None:
        """Keep the number of steps, which the momentum follows."""
        self.steps = steps

    @property
    def follows(self) -> Any:
        """Share of the online network that the target takes over in the first steps.

        At least so much that it looks back over no more than the horizon.
        """
        share: Any = 1 - self.params.momentum
        least = min(1.0, 1 / (self.params.horizon * self.steps)) if self.steps else 0.0
        return share.clamp(min=least) if torch.is_tensor(share) else max(share, least)

    @property
    def predictor(self) -> Projector:
        """Network from an online projection to the target's."""
        return Projector(self.projector.out, self.projector.hidden, self.projector.out)

    def init(self, g: Draws) -> State:
        """Projector, predictor and a target network of its own random start."""
        online = self.projector.init(g)
        target = self.encoder.init(g) | self.projector.init(g)
        return online | prefixed(PREDICTOR, self.predictor.init(g)) | prefixed(TARGET, target)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Distance of predictions from the other view's target, both ways, (K,)."""
        views = self.views(x, noise)
        prediction = self.predictor(scoped(PREDICTOR, p), self.project(p, views), training=True)
        with torch.no_grad():
            target = self.project(scoped(TARGET, p), views)
        swapped = torch.cat(halves(target)[::-1], dim=1)
        return {"total": 2 * byol(prediction, swapped)}

    def after_step(self, p: State, progress: Tensor) -> None:
        """Let the target follow the online network; batch statistics are its own."""
        share = self.follows * 0.5 * (1 + torch.cos(math.pi * progress))
        with torch.no_grad():
            for name, tensor in scoped(TARGET, p).items():
                if not is_buffer(name):
                    tensor.lerp_(p[name], meeting(share, tensor))


class BYOL(SelfSupervised):
    """Bootstrap your own latent."""

    name = "byol"
    Params = BYOLParams
    task = BYOLTask
