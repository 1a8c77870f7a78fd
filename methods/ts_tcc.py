"""TS-TCC: temporal and contextual contrast of a weak and a strong view (Eldele et al., IJCAI 2021).

Runs of successive windows of a trial are augmented twice. A context summarises the first windows
of one view and predicts the encodings of the following windows of the *other* view, among those of
the batch; contexts of the two views of a run find each other.

As in the released code (emadeldeen24/TS-TCC@15bdfd6), encodings are brought to unit length before
they are compared, and among the batch an encoding finds the prediction of it; the paper's sum runs
the other way, over encodings.

Equation
--------
temporal * (TC of view 1 + TC of view 2) + contextual * NT-Xent(contexts of both views),
TC = -(1 / (K B)) sum over k, i of log softmax_j (z'_ik . W_k c_j) at j = i

Adapted
-------
a step of time is a window, encoded on its own
    windows of differential entropy have no samples in time; runs of them have.
a context is made by a gated recurrent unit of the first windows, at a fixed place
    the original's transformer of four layers reads sequences of many steps, cut at random; runs
    here have six windows.
weak views have noise and gain, strong ones twice the noise, hidden channels and bands
    the original scales, and permutes segments in time, which within short runs would destroy what
    is predicted.
the projector of contexts is that of all methods here
    methods of the family differ in what they learn from alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.selfsupervised import info_nce, nt_xent
from .shared.networks.layers import Projector, State, init_linear, linear
from .shared.training.arranging import GroupedParams
from .shared.training.sampling import Grouped, Source, successive
from .shared.training.selfsupervised import SelfSupervised, temperature
from .shared.training.views import Augmentation, AugmentedParams, TwoViews, halves


class TSTCCParams(AugmentedParams, GroupedParams):
    """Parameters of TS-TCC."""

    past: int = hyper(4, "successive windows a context summarises", stage="pretrain", ge=1, le=64)
    future: int = hyper(2, "following windows it predicts", stage="pretrain", ge=1, le=64)
    hide_bands: float = hyper(
        0.2, "probability that the strong view hides a band (a moment) of all channels",
        stage="pretrain", ge=0, lt=1, tune=(0.0, 0.5), per_model=0,
    )
    context: int = hyper(128, "width of a context", stage="pretrain", ge=2, le=4096)
    temporal: float = hyper(
        1.0, "weight of the predictions (lambda 1)", stage="pretrain", ge=0, le=100
    )
    contextual: float = hyper(
        0.7, "weight of the contrast of contexts (lambda 2)", stage="pretrain", ge=0, le=100,
        tune=(0.1, 2.0), per_model=0,
    )
    temperature: float = temperature(0.2, "temperature of similarities of contexts")


class TSTCCTask(TwoViews):
    """Context, its predictions, and contrast of contexts."""

    params: TSTCCParams

    @property
    def projector(self) -> Projector:
        """Network from contexts to the space that the loss compares."""
        return Projector(self.params.context)

    def init(self, g: Draws) -> State:
        """Parameters of context, predictions and projector."""
        q, width = self.params, self.encoder.width
        state = self.projector.init(g)
        state |= init_linear("gru_in", 3 * q.context, width, g)
        state |= init_linear("gru_past", 3 * q.context, q.context, g)
        return state | init_linear("predict", q.future * width, q.context, g)

    def sampler(self, source: Source, size: int, draw: int) -> Grouped:
        """Runs of successive windows: batches (T, B)."""
        return successive(source, self.params.past + self.params.future, size, draw)

    def noise(self, batch: int, g: Draws) -> Tensor:
        """Augmentations (K, 2, 2B, C, F): weak ones, then strong ones."""
        q, shape = self.params, (batch, self.encoder.channels, self.encoder.features)
        raw, shared = self.encoder.raw, q.gain_of == "window"
        weak = Augmentation(q.jitter, q.gain, raw=raw, shared=shared)
        strong = Augmentation(2 * q.jitter, q.gain, q.hide_channels, q.hide_bands, raw, shared)
        return torch.cat([weak.draw(shape, g), strong.draw(shape, g)], dim=-3)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses of runs (K, T, B, C, F), each (K,)."""
        q, (models, steps, runs) = self.params, x.shape[:3]
        h = self.encoder(p, self.views(x.flatten(1, 2), noise), training=True)
        h = functional.normalize(h, dim=2).view(models, 2, steps, runs, -1)
        context = summary(p, h[:, :, : q.past].transpose(1, 2).flatten(2, 3))
        ahead = linear(p, "predict", context).view(models, 2, runs, q.future, -1)
        predicted = [
            info_nce(ahead[:, view, :, k], h[:, 1 - view, q.past + k])
            for view in (0, 1) for k in range(q.future)
        ]
        temporal = 2 * torch.stack(predicted).mean(dim=0)
        z = self.projector(p, context, training=True)
        contextual = nt_xent(*halves(z), q.temperature)
        total = q.temporal * temporal + q.contextual * contextual
        return {"total": total, "temporal": temporal, "contextual": contextual}


def summary(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Last state (K, R, H) of a gated recurrent unit over steps: ``x`` (K, T, R, width)."""
    entered = linear(p, "gru_in", x.flatten(1, 2)).unflatten(1, x.shape[1:3])
    state = x.new_zeros(*entered.shape[:1], *entered.shape[2:3], entered.shape[3] // 3)
    for step in entered.unbind(dim=1):
        reset, update, new = step.chunk(3, dim=2)
        past_reset, past_update, past_new = linear(p, "gru_past", state).chunk(3, dim=2)
        update = torch.sigmoid(update + past_update)
        new = torch.tanh(new + torch.sigmoid(reset + past_reset) * past_new)
        state = torch.lerp(new, state, update)
    return state


class TSTCC(SelfSupervised):
    """Time-series representation learning by temporal and contextual contrasting."""

    name = "ts-tcc"
    Params = TSTCCParams
    task = TSTCCTask
