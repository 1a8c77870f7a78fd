"""Differential entropy from raw signals: vectorised, unsmoothed, window by window.

For a Gaussian signal of variance sigma^2 the differential entropy is 0.5*ln(2*pi*e*sigma^2)
(Duan et al. 2013, 10.1109/NER.2013.6695876). The variance in a band is read off a Hann-tapered
periodogram of the window itself, so that no window knows anything of its neighbours: filters and
smoothers that run over a whole trial share information between windows, this does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import raw
from .errors import BenchError

#: Raised whenever the numbers change; part of cache keys and of each record.
VERSION = "de-hann-1"
#: A band's variance is never taken below this share of the channel's variance over the trial
#: (a flat second would otherwise give minus infinity).
FLOOR = 1e-9


def version_of(kind: str) -> str:
    """Version of what makes windows of a kind, "de" or "raw"."""
    return {"de": VERSION, "raw": raw.VERSION}[kind]


def band_variance(
    signal: NDArray, rate: float, window_s: float, bands: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Variance in each band of each window.

    Parameters
    ----------
    signal : (channels, samples) array
        Raw signal of one trial; what is left over at the end is not used.
    rate : float
        Samples per second.
    window_s : float
        Length of a window in seconds; windows do not overlap.
    bands : sequence of (low, high)
        Edges in Hz; a bin belongs to a band if low <= f < high.

    Returns
    -------
    (windows, channels, bands) float64
        In the square of the signal's unit.

    Raises
    ------
    BenchError
        The trial is shorter than a window, or a band is above half the rate or holds no bin.
    """
    size = round(rate * window_s)
    count = signal.shape[1] // size
    if count == 0:
        raise BenchError(
            f"a trial of {signal.shape[1] / rate:g} s holds no window of {window_s:g} s"
        )
    frequency = np.fft.rfftfreq(size, 1 / rate)
    member = np.array([(frequency >= low) & (frequency < high) for low, high in bands])
    for (low, high), bins in zip(bands, member, strict=True):
        if high > rate / 2 or not bins.any():
            raise BenchError(
                f"band {low:g}-{high:g} Hz cannot be had from {rate:g} samples/s in windows of "
                f"{window_s:g} s"
            )
    taper = np.hanning(size + 1)[:-1]
    cut = signal[:, : count * size].reshape(len(signal), count, size)
    cut = cut - cut.mean(axis=-1, keepdims=True)
    spectrum = np.fft.rfft(cut * taper, axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    weight = np.full(len(frequency), 2.0)  # two sides of the spectrum, but for zero and Nyquist
    weight[0] = 1.0
    if size % 2 == 0:
        weight[-1] = 1.0
    power *= weight / (size * np.square(taper).sum())
    return np.ascontiguousarray((power @ member.T.astype(float)).transpose(1, 0, 2))


def differential_entropy(
    signal: NDArray, rate: float, window_s: float, bands: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:
    """Differential entropy of each window, channel and band, in nats.

    Parameters as in :func:`band_variance`; returns (windows, channels, bands) float32.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(1, 200 * 200))
    >>> de = differential_entropy(noise, 200, 1.0, [(0, 100)])
    >>> bool(abs(de.mean() - 0.5 * np.log(2 * np.pi * np.e)) < 0.02)
    True
    """
    variance = band_variance(signal, rate, window_s, bands)
    floor = FLOOR * signal.var(axis=1)[None, :, None]
    return (0.5 * np.log(2 * np.pi * np.e * np.maximum(variance, floor))).astype(np.float32)
