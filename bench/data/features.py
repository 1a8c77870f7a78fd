"""Features of raw signals, window by window: differential entropy, and signals at one rate.

For a Gaussian signal of variance sigma^2 the differential entropy is 0.5*ln(2*pi*e*sigma^2)
(Duan et al. 2013, 10.1109/NER.2013.6695876). The variance in a band is read off a Hann-tapered
periodogram of the window itself, so that no window knows anything of its neighbours: filters and
smoothers that run over a whole trial share information between windows, this does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError

#: Raised whenever the numbers change; part of cache keys and of each record.
VERSION = "de-hann-1"
#: A band's variance is never taken below this share of the channel's variance over the trial
#: (a flat second would otherwise give minus infinity).
FLOOR = 1e-9
#: The same, of raw windows.
RAW_VERSION = "raw-128hz-4-45hz-1"
#: Samples per second of all raw windows.
RAW_RATE = 128.0
#: Band in Hz: the widest that every corpus holds.
RAW_BAND = (4.0, 45.0)
#: Order of the Butterworth filter, which runs forwards and backwards.
FILTER_ORDER = 4


def version_of(kind: str) -> str:
    """Version of what makes windows of a kind, "de" or "raw"."""
    return {"de": VERSION, "raw": RAW_VERSION}[kind]


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


def raw_windows(
    signal: NDArray, rate: float, window_s: float
) -> NDArray[np.float32]:
    """Windows of one trial at the common rate and in the common band.

    Owners distribute different rates and bands: SEED at 200 Hz from 0 to 75 Hz, DEAP at 128 Hz from
    4 to 45 Hz. A network would learn the corpus from that alone, so every trial is brought to what
    all of them hold. Both are done on whole trials, which no protocol ever splits; within a trial a
    window's edges hence know a little of their neighbours.

    Polyphase resampling, then a zero-phase Butterworth band-pass.

    Parameters
    ----------
    signal : (channels, samples) array
        Of one trial; what is left over at the end is not used.
    rate : float
        Samples per second.
    window_s : float
        Length of a window in seconds; windows do not overlap.

    Returns
    -------
    (windows, channels, samples) float32
        In the signal's own unit, without offset.

    Raises
    ------
    BenchError
        The trial is shorter than a window, or the rate is too low for the band.
    """
    from scipy.signal import butter, resample_poly, sosfiltfilt

    size = round(RAW_RATE * window_s)
    if signal.shape[1] / rate < window_s:
        raise BenchError(
            f"a trial of {signal.shape[1] / rate:g} s holds no window of {window_s:g} s"
        )
    if rate < 2 * RAW_BAND[1]:
        raise BenchError(f"{rate:g} samples/s are too few for signals up to {RAW_BAND[1]:g} Hz")
    ratio = Fraction(RAW_RATE / rate).limit_denominator(1000)
    data = signal - signal.mean(axis=1, keepdims=True, dtype=np.float64)
    if ratio != 1:
        data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1)
    sections = butter(FILTER_ORDER, RAW_BAND, "bandpass", fs=RAW_RATE, output="sos")
    data = sosfiltfilt(sections, data, axis=1, padlen=min(int(RAW_RATE), data.shape[1] - 1))
    count = data.shape[1] // size
    cut = data[:, : count * size].reshape(len(data), count, size)
    return np.ascontiguousarray(cut.transpose(1, 0, 2), dtype=np.float32)
