"""TF-C: a window's embeddings in time and in frequency agree (Zhang et al., NeurIPS 2022).

Two encoders see two views, each contrasted with an augmented one of its own kind; in a common
space, a window's two embeddings find each other.

As in the released code (mims-harvard/TFC-pretraining@9667582), time and frequency are aligned by
the contrast of a window's two embeddings alone; the paper's consistency loss with its margin is
computed there and not used. Every contrast has a polynomial term, and those within time and within
frequency weigh 0.2.

Equation
--------
within * (C(h_t, h_t') + C(h_f, h_f')) + C(z_t, z_f), h encodings, z projections, ' augmented;
C = NT-Xent + 1 - B * mean of the probabilities of which only the positives are kept

Adapted
-------
of differential entropy, the frequency view is the shape of each channel's spectrum
    the windows are spectra already: their bands less the mean; its augmentation hides bands. Of raw
    windows it is the amplitude spectrum, as in the original.
of differential entropy, the augmented time view is the mean of a window and the following one
    with noise, another gain and hidden channels: noise alone, as in the original, of five bands is
    no view of time. Of raw windows it is of the window itself.
only the time encoder is fine-tuned, by the calibration's labels alone
    methods of the family share one encoder and one fine-tuning; the original concatenates both
    projections and goes on with its own losses.
convolutions instead of transformers
    the backbone is that of all methods here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper

from .shared.losses.selfsupervised import nt_xent_poly
from .shared.networks.layers import State, prefixed, scoped
from .shared.training.arranging import GroupedParams
from .shared.training.sampling import Grouped, Source, successive
from .shared.training.selfsupervised import SelfSupervised, temperature
from .shared.training.views import Augmentation, AugmentedParams, TwoViews, halves

FREQUENCY = "frequency."


class TFCParams(AugmentedParams, GroupedParams):
    """Parameters of TF-C."""

    hide_bands: float = hyper(
        0.2, "probability that the augmented frequency view hides a band", stage="pretrain", ge=0,
        lt=1, tune=(0.0, 0.5), per_model=0,
    )
    temperature: float = temperature(0.2)
    within: float = hyper(
        0.2, "weight of the contrasts within time and within frequency (lambda)", stage="pretrain",
        ge=0, le=100, tune=(0.05, 2.0), scale="log", per_model=0,
    )


class TFCTask(TwoViews):
    """An encoder and a projector each for time and frequency, and their consistency."""

    params: TFCParams

    def init(self, g: Draws) -> State:
        """Projector of time; encoder and projector of frequency."""
        frequency = self.encoder.init(g) | self.projector.init(g)
        return self.projector.init(g) | prefixed(FREQUENCY, frequency)

    def sampler(self, source: Source, size: int, draw: int) -> Grouped:
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
        within = [nt_xent_poly(*halves(h), q.temperature) for h, _ in (time, frequency)]
        plain = [halves(z)[0] for _, z in (time, frequency)]
        aligned = nt_xent_poly(plain[0], plain[1], q.temperature)
        total = q.within * (within[0] + within[1]) + aligned
        return {"total": total, "time": within[0], "frequency": within[1], "consistency": aligned}

    def _embed(self, p: State, plain: Tensor, augmented: Tensor) -> tuple[Tensor, Tensor]:
        """Encodings (K, 2B, width) and projections (K, 2B, P) of two views (K, B, C, F)."""
        h = self.encoder(p, torch.cat([plain, augmented], dim=1), training=True)
        return h, self.projector(p, h, training=True)


class TFC(SelfSupervised):
    """Time-frequency consistency."""

    name = "tf-c"
    Params = TFCParams
    task = TFCTask
