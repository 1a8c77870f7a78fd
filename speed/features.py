"""Differential entropy of whole recordings, against torcheeg's BandDifferentialEntropy.

torcheeg filters every window, channel and band by itself (Butterworth, order 5, from rest) and
takes half the binary logarithm of the variance. The same numbers come from one matrix product a
band and trial; that is the comparison of equals. What `bench` itself computes is shown beside it: a
tapered periodogram, in nats, another estimate of the same quantity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.features import differential_entropy

from . import timing

BANDS = ((1, 4), (4, 8), (8, 14), (14, 31), (31, 50))
#: The baseline is timed on every so many-th window and scaled.
SHARE = 200


def main() -> None:
    """A subject of DEAP, a file of SEED: time and compare."""
    timing.threads()
    timing.header("differential entropy, five bands, windows of 1 s; median of 5 (baseline: every "
                  f"{SHARE}th window, once, scaled)")
    rng = np.random.default_rng(0)
    seed = [rng.normal(size=(62, 200 * s)) for s in (
        235, 233, 206, 238, 185, 195, 237, 216, 265, 237, 235, 233, 235, 238, 206)]
    _compare("a subject of DEAP, 40 x 32 x 8064", list(rng.normal(size=(40, 32, 8064))), 128)
    _compare("a raw file of SEED, 15 trials, 62 channels, 200 Hz", seed, 200)


def _compare(what: str, trials: list[NDArray[np.float64]], rate: int) -> None:
    windows = np.concatenate([_cut(trial, rate) for trial in trials])
    some = windows[::SHARE]
    theirs, numbers = _baseline(some, rate)
    off = np.abs(filtered_entropy(some, rate) - numbers).max()
    mine, own = timing.medians(
        lambda: [filtered_entropy(_cut(t, rate), rate) for t in trials],
        lambda: [differential_entropy(t, rate, 1.0, BANDS) for t in trials],
    )
    base = theirs * len(windows) / len(some)
    timing.line(f"{what}: the same definition, one product a band (largest difference {off:.1g} "
                "bit)", mine, base)
    timing.line("    bench's own features, by periodogram", own, base)


def _cut(trial: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Windows (n, channels, samples) of a trial (channels, samples)."""
    count = trial.shape[1] // rate
    return trial[:, : count * rate].reshape(len(trial), count, rate).swapaxes(0, 1)


def filtered_entropy(windows: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Entropy (n, channels, bands) in bits, each window filtered from rest.

    From rest a filter is a matrix, its impulse response shifted down the columns: all windows of a
    trial are one matrix product a band.
    """
    from scipy.linalg import toeplitz
    from scipy.signal import butter, lfilter

    n, channels, samples = windows.shape
    flat, out = windows.reshape(-1, samples), []
    impulse = np.eye(1, samples)[0]
    for low, high in BANDS:
        response = lfilter(*butter(5, (low, high), btype="band", fs=rate), impulse)
        filtered = flat @ toeplitz(response, np.zeros(samples)).T
        filtered -= filtered.mean(axis=1, keepdims=True)
        variance = np.einsum("ws,ws->w", filtered, filtered) / samples
        out.append(0.5 * np.log2(2 * np.pi * np.e * variance).reshape(n, channels))
    return np.stack(out, axis=2)


def _baseline(windows: NDArray[np.float64], rate: int) -> tuple[float, NDArray[np.float64]]:
    import contextlib
    import io

    import scipy.signal
    import scipy.signal.windows

    scipy.signal.hann = scipy.signal.windows.hann  # gone since scipy 1.13; torcheeg asks for it
    with contextlib.redirect_stderr(io.StringIO()):
        from torcheeg.transforms import BandDifferentialEntropy
    transform = BandDifferentialEntropy(
        sampling_rate=rate, band_dict={str(b): list(b) for b in BANDS}
    )
    found: list[NDArray[np.float64]] = []
    took = timing.seconds(lambda: found.extend(transform(eeg=w)["eeg"] for w in windows))
    return took, np.stack(found)


if __name__ == "__main__":
    main()
