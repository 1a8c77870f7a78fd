"""Raw windows: signals of all corpora at one rate and in one band, cut into windows.

Owners distribute different rates and bands: SEED at 200 Hz from 0 to 75 Hz, DEAP at 128 Hz from 4
to 45 Hz. A network would learn the corpus from that alone, so every trial is brought to what all of
them hold: 128 samples a second, 4 to 45 Hz. Both are done on whole trials, which no protocol ever
splits; within a trial a window's edges hence know a little of their neighbours.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .errors import BenchError

#: Raised whenever the numbers change; part of cache keys and of each record.
VERSION = "raw-128hz-4-45hz-1"
#: Samples per second of all raw windows.
RATE = 128.0
#: Band in Hz: the widest that every corpus holds.
BAND = (4.0, 45.0)
#: Order of the Butterworth filter, which runs forwards and backwards.
ORDER = 4


def raw_windows(
    signal: NDArray, rate: float, window_s: float
) -> NDArray[np.float32]:
    """Windows of one trial at the common rate and in the common band.

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

    size = round(RATE * window_s)
    if signal.shape[1] / rate < window_s:
        raise BenchError(
            f"a trial of {signal.shape[1] / rate:g} s holds no window of {window_s:g} s"
        )
    if rate < 2 * BAND[1]:
        raise BenchError(f"{rate:g} samples/s are too few for signals up to {BAND[1]:g} Hz")
    ratio = Fraction(RATE / rate).limit_denominator(1000)
    data = signal - signal.mean(axis=1, keepdims=True, dtype=np.float64)
    if ratio != 1:
        data = resample_poly(data, ratio.numerator, ratio.denominator, axis=1)
    sections = butter(ORDER, BAND, "bandpass", fs=RATE, output="sos")
    data = sosfiltfilt(sections, data, axis=1, padlen=min(int(RATE), data.shape[1] - 1))
    count = data.shape[1] // size
    cut = data[:, : count * size].reshape(len(data), count, size)
    return np.ascontiguousarray(cut.transpose(1, 0, 2), dtype=np.float32)
