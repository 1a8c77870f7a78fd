"""TF-C: a window's embeddings in time and in frequency agree (Zhang et al., NeurIPS 2022).

Two encoders see two views, each contrasted with an augmented one of its own kind; in a common
space, a window's two embeddings must lie closer together than those with augmentations.

Adapted: windows of differential entropy are spectra already. The *time* view is the window, its
augmentation the mean of it and the following window (short-term continuity), with noise, another
gain and hidden channels. The *frequency* view is the shape of each channel's spectrum (its bands
less their mean), its augmentation hides bands. The distances' margin is a hinge, without which the
loss has no lower bound. Only the time encoder is fine-tuned, as the family shares one encoder; the
original concatenates both.

On raw windows the frequency view is the amplitude spectrum and the time view's augmentation is of
the window itself, as in the original.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.data.windows import UnlabelledWindows, Windows
from bench.draws import Draws
from bench.method import hyper

from .shared.losses.selfsupervised import consistency, nt_xent
from .shared.networks.layers import State, prefixed, scoped
from .shared.training.sampling import Grouped, successive
from .shared.training.selfsupervised import SelfSupervised, temperature
from .shared.training.views import Augmentation, AugmentedParams, TwoViews, halves

FREQUENCY = "frequency."


class TFCParams(AugmentedParams):
    """Parameters of TF-C."""

    hide_bands: float = hyper(
        0.2, "probability that the augmented frequency view hides a band", stage="pretrain", ge=0,
        lt=1, tune=(0.0, 0.5), per_model=0,
    )
    temperature: float = temperature(0.2)
    balance: float = hyper(
        0.5, "weight of the contrasts within time and frequency, the rest for consistency",
        stage="pretrain", ge=0, le=1, tune=(0.1, 0.9), per_model=0,
    )
    margin: float = hyper(
        1.0, "how much closer the plain embeddings should be (delta)", stage="pretrain", ge=0,
        le=10,
    )


class TFCTask(TwoViews):
    """An encoder and a projector each for time and frequency, and their consistency."""

    params: TFCParams

    def init(self, g: Draws) -> State:
        """Projector of time; encoder and projector of frequency."""
        frequency = self.encoder.init(g) | self.projector.init(g)
        return self.projector.init(g) | prefixed(FREQUENCY, frequency)

    def sampler(self, source: Windows | UnlabelledWindows, size: int, draw: int) -> Grouped:
        """Windows and those that follow them: batches (2, B)."""
        return successive(source, 2, size, draw)

    def noise(self, batch: int, g: Draws) -> Tensor:
        """Augmentations (K, 2, 2B, C, F): of time, then of frequency."""
        q, shape = self.params, (batch // 2, self.encoder.channels, self.encoder.features)
        frequency = Augmentation(hide_bands=q.hide_bands)
        return torch.cat([self.augmentation.draw(shape, g), frequency.draw(shape, g)], dim=-3)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses of windows and their successors (K, 2, B, C, F), each (K,)."""
        q, now = self.params, x[:, 0]
        for_time, for_frequency = noise.chunk(2, dim=2)
        if self.encoder.raw:
            blend, shape = now, torch.fft.fft(now, norm="ortho").abs()
        else:
            blend, shape = x.mean(dim=1), now - now.mean(dim=3, keepdim=True)
        time = self._embed(p, now, self.augmentation.apply(blend, for_time))
        hidden = Augmentation().apply(shape, for_frequency)
        frequency = self._embed(scoped(FREQUENCY, p), shape, hidden)
        within = [nt_xent(*halves(h), q.temperature) for h, _ in (time, frequency)]
        (t, t_other), (f, f_other) = (halves(z) for _, z in (time, frequency))
        aligned = nt_xent(t, f, q.temperature)
        others = [nt_xent(a, b, q.temperature) for a, b in (
            (t, f_other), (t_other, f), (t_other, f_other)
        )]
        agreement = consistency(aligned, torch.stack(others, dim=1), q.margin)
        total = q.balance * (within[0] + within[1]) + (1 - q.balance) * agreement
        return {"total": total, "time": within[0], "frequency": within[1], "consistency": agreement}

    def _embed(self, p: State, plain: Tensor, augmented: Tensor) -> tuple[Tensor, Tensor]:
        """Encodings (K, 2B, width) and projections (K, 2B, P) of two views (K, B, C, F)."""
        h = self.encoder(p, torch.cat([plain, augmented], dim=1), training=True)
        return h, self.projector(p, h, training=True)


class TFC(SelfSupervised):
    """Time-frequency consistency."""

    name: ClassVar[str] = "tf-c"
    Params = TFCParams
    task = TFCTask
