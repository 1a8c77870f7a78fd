"""Features of raw signals, window by window: differential entropy, and signals at one rate.

For a Gaussian signal of variance sigma^2 the differential entropy is 0.5*ln(2*pi*e*sigma^2)
(Duan et al. 2013, 10.1109/NER.2013.6695876). The variance in a band is read off a Hann-tapered
periodogram of the window itself, so that no window knows anything of its neighbours: filters and
smoothers that run over a whole trial share information between windows, this does not.

Signals and features are checked here, too: what would silently become nonsense is refused by name,
and what no EEG does in microvolts is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError, DataError

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
#: Peak to peak of a channel in a trial; outside of it not even another unit is an excuse.
EXTREME = (1e-10, 1e10)
#: Usual standard deviation of EEG in microvolts, with a wide margin.
USUAL_UV = (0.1, 1e4)
#: No amplifier lets more through, in microvolts.
PEAK_UV = 1e6
#: Share of the other channels' standard deviation that is next to nothing.
FAINT = 1e-4
_MEND = "Mend the file, or leave the subject out with --exclude CORPUS:SUBJECT."


def check_signal(signal: NDArray, where: str, channels: Sequence[str]) -> None:
    """Refuse what would silently become nonsense: NaN, infinities, dead and absurd channels.

    Raises
    ------
    DataError
        Names file, trial and channels.
    """
    bad = ~np.isfinite(signal)
    found = f"{int(bad.sum())} NaN or infinite in"
    _refuse(bad.any(axis=1), channels, where, "finite samples", found)
    with np.errstate(over="ignore"):
        span = np.ptp(signal, axis=1)
    _refuse(span == 0, channels, where, "signals that vary", "constant channel")
    absurd = (span < EXTREME[0]) | (span > EXTREME[1])
    found = f"{next(iter(span[absurd]), 0):.3g} from peak to peak in"
    _refuse(absurd, channels, where, "signals in microvolts or volts", found)


def check_features(x: NDArray, where: str, channels: Sequence[str]) -> None:
    """Refuse windows (n, channels, features) that are not finite.

    Raises
    ------
    DataError
        Names file, trial and channels.
    """
    bad = ~np.isfinite(x)
    found = f"{int(bad.sum())} NaN or infinite in"
    _refuse(bad.any(axis=(0, 2)), channels, where, "signals whose features are finite", found)


def amplitudes(signal: NDArray) -> NDArray[np.float32]:
    """Standard deviation and largest deviation from the mean of each channel: (2, channels)."""
    centred = signal - signal.mean(axis=1, keepdims=True)
    return np.stack([centred.std(axis=1), np.abs(centred).max(axis=1)]).astype(np.float32)


def implausible(sizes: NDArray[np.float32], channels: Sequence[str]) -> str:
    """What no EEG does in microvolts; empty if it is all plausible.

    Parameters
    ----------
    sizes : (trials, 2, channels) array
        As :func:`amplitudes` gives them.
    """
    spread, peak = sizes[:, 0], sizes[:, 1]
    usual = float(np.median(spread))
    if not USUAL_UV[0] <= usual <= USUAL_UV[1]:
        unit = "volts, not microvolts?" if 1e-7 <= usual < 1e-2 else "not microvolts?"
        return f"a channel usually spreads by {usual:.2g} ({unit})"
    trial, channel = map(int, np.unravel_index(peak.argmax(), peak.shape))
    if peak.max() > PEAK_UV:
        return f"trial {trial + 1}: {channels[channel]} reaches {peak.max():.2g} microvolts"
    trial, channel = map(int, np.unravel_index(spread.argmin(), spread.shape))
    if spread.min() < FAINT * usual:
        return (f"trial {trial + 1}: {channels[channel]} spreads by {spread.min():.2g} microvolts, "
                f"the others by {usual:.2g}")
    return ""


def _refuse(
    wrong: NDArray[np.bool_], channels: Sequence[str], where: str, expected: str, found: str
) -> None:
    """Refuse a trial some of whose channels are wrong, by their names."""
    if wrong.any():
        names = [channels[int(i)] for i in np.flatnonzero(wrong)]
        raise DataError(where, expected, f"{found} {listed(names)}", _MEND)


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
