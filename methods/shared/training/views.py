"""Two augmented views of windows: what contrastive methods start from.

Augmentations of raw signals have counterparts on log power per band: another gain is a shift of
all bands of a channel, a bad electrode hides a channel, noise jitters each entry. Sizes are in
units of a feature's spread over the batch, so that they mean the same under any scaling. On raw
windows another gain is a factor again: exp of a normal number of the same size.

Legend of shapes: K models, V views, B windows, C channels, F features, P width of a projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench.draws import Draws, meeting
from bench.method import hyper

from ..networks.layers import State
from .arranging import PretextParams
from .selfsupervised import Projected


class AugmentedParams(PretextParams):
    """Parameters of methods that augment windows."""

    jitter: float = hyper(
        0.2, "noise added to each entry", stage="pretrain", ge=0, le=5, tune=(0.05, 1.0),
        unit="standard deviations of the feature", per_model=0,
    )
    gain: float = hyper(
        0.5, "shift of all bands of a channel, and of all channels of a window (of raw windows: of "
        "the logarithm of a factor)", stage="pretrain",
        ge=0, le=5, tune=(0.0, 1.0), unit="standard deviations of the feature", per_model=0,
    )
    gain_of: Literal["channel", "window"] = hyper(
        "channel", "channel: each has a gain of its own beside that of the window, which may hide "
        "what an emotion does to one; window: all channels share one", stage="pretrain",
    )
    hide_channels: float = hyper(
        0.2, "probability that a channel is hidden", stage="pretrain", ge=0, lt=1,
        tune=(0.0, 0.5), per_model=0,
    )


@dataclass(frozen=True)
class Augmentation:
    """Random changes of windows; drawn first, applied later, so that models draw on their own.

    Attributes
    ----------
    jitter, gain : float
        Standard deviations of the noise of each entry, and of the shift of a channel's bands (and
        again of all channels of a window).
    hide_channels, hide_bands : float
        Probabilities that a channel, or a band of all channels, takes the batch's mean instead: a
        value that says nothing.
    raw : bool
        Windows hold samples: a gain multiplies them.
    shared : bool
        Whether all channels of a window share one gain, and have none of their own.
    """

    jitter: float = 0.0
    gain: float = 0.0
    hide_channels: float = 0.0
    hide_bands: float = 0.0
    raw: bool = False
    shared: bool = False

    def draw(self, shape: tuple[int, ...], g: Draws) -> Tensor:
        """Shifts and factors, (K, 2, ...), of windows (..., C, F); a factor of 0 hides an entry."""
        *lead, channels, features = shape

        def spread(size: float, *shape: int) -> Tensor:
            z = g.normal(*shape)
            return z * meeting(size, z)

        shift = spread(self.jitter, *shape)
        gain = spread(self.gain, *lead, 1, 1) if self.shared else (
            spread(self.gain, *lead, channels, 1) + spread(self.gain, *lead, 1, 1))
        keep = g.mask(self.hide_channels, *lead, channels, 1)
        keep = keep & g.mask(self.hide_bands, *lead, 1, features)
        both = (shift + gain, keep.to(shift.dtype).expand_as(shift))
        if self.raw:  # the factor of what is kept
            both = (shift, keep * torch.exp(gain).expand_as(shift))
        return torch.stack(both, dim=-1 - len(shape))

    def apply(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Augmented windows.

        Parameters
        ----------
        x : (K, B, C, F)
        drawn : (K, 2, B, C, F)

        Returns
        -------
        (K, B, C, F)
        """
        mean, spread = x.mean(dim=1, keepdim=True), x.std(dim=1, keepdim=True)
        shift, keep = drawn.to(x.dtype).unbind(dim=1)
        kept = x * keep if self.raw else x
        return torch.where(keep > 0, kept + spread * shift, mean)


class TwoViews(Projected):
    """Encoder and projector applied to two augmented views of the same windows."""

    params: AugmentedParams

    @property
    def augmentation(self) -> Augmentation:
        """What makes a view of a window."""
        q = self.params
        return Augmentation(q.jitter, q.gain, q.hide_channels, raw=self.encoder.raw,
                            shared=q.gain_of == "window")

    def noise(self, batch: int, g: Draws) -> Tensor:
        """Augmentations (K, 2, 2B, C, F): of the first view's windows, then of the second's."""
        shape = (2 * batch, self.encoder.channels, self.encoder.features)
        return self.augmentation.draw(shape, g)

    def views(self, x: Tensor, noise: Tensor) -> Tensor:
        """Two augmented copies (K, 2B, C, F) of windows (K, B, C, F), one after the other."""
        return self.augmentation.apply(x.repeat(1, 2, 1, 1), noise)

    def project(self, p: State, x: Tensor) -> Tensor:
        """Projections (K, N, P) of windows (K, N, C, F), by batch statistics."""
        return self.projector(p, self.encoder(p, x, training=True), training=True)


def halves(z: Tensor) -> tuple[Tensor, Tensor]:
    """The two views (K, B, ...) of rows (K, 2B, ...)."""
    first, second = z.chunk(2, dim=1)
    return first, second
