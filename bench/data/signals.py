"""Your own recordings as windows, with the features that corpora get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BenchError
from .channels import canonical
from .features import check_features, check_signal, differential_entropy
from .montage.named import COMMON, electrodes
from .montage.spline import interpolation
from .windows import FIVE_BANDS, Windows, class_indices, column_of


def from_signals(
    signals: Sequence[ArrayLike],
    y: ArrayLike,
    *,
    rate: float,
    subject: ArrayLike,
    trial: ArrayLike,
    channels: Sequence[str],
    labels: Sequence[str],
    corpus: str = "own",
    session: ArrayLike = 1,
    stimulus: ArrayLike | None = None,
    order: ArrayLike | None = None,
    window_s: float = 1.0,
    bands: Sequence[tuple[float, float]] = FIVE_BANDS,
    montage: str = COMMON,
    pieces_s: float = 0.0,
    stimulus_set: str = "",
) -> Windows:
    """Cut your own trials into windows of differential entropy, as ``--features bench`` does.

    The result may stand on either side of :func:`bench.run`, against a corpus or against other
    windows of your own.

    Parameters
    ----------
    signals : sequence of (channels, samples)
        One array a trial, of any length; raw or band-passed, not smoothed, any unit.
    y : (trials,)
        Class of each trial: an index into ``labels``, or its name.
    rate : float
        Samples per second; at least twice the upper edge of the highest band.
    subject, trial, session, stimulus, order : (trials,) or scalar
        Integers. ``stimulus`` (equal numbers mean the same clip) and ``order`` (of presentation)
        default to ``trial``.
    channels, labels : sequence of str
        Electrodes by their 10-20 names, and classes.
    corpus : str
        What to call it.
    window_s : float
        Length of a window in seconds.
    bands : sequence of (low, high)
        In Hz.
    montage : str
        "common", the electrodes as they are, or a montage that the signals are interpolated to, as
        ``--montage`` does for a corpus.
    pieces_s : float
        Seconds of a trial, where your trials are pieces of longer recordings (rest, a task):
        records and tables then say so, since pieces of one recording resemble each other.
    stimulus_set : str
        Name of the set of stimuli, where another corpus showed the same ones: see ``--hold-out``.

    Returns
    -------
    Windows
        (windows, channels, bands) in nats; what is left over at the end of a trial is not used.

    Raises
    ------
    DataError
        A signal that is not finite, does not vary, or is absurd: names subject, trial and channels.
    BenchError
        Wrong shapes, columns that hold no whole numbers, a class that ``labels`` does not name, two
        classes of one trial, a trial shorter than a window, a rate too low for the bands.

    Examples
    --------
    >>> import numpy as np
    >>> signals = np.random.default_rng(0).normal(size=(4, 2, 400))
    >>> own = from_signals(signals, [0, 1, 0, 1], rate=200, subject=1, trial=[1, 2, 3, 4],
    ...     channels=["F3", "F4"], labels=["negative", "positive"])
    >>> own.x.shape
    (8, 2, 5)
    """
    n = len(signals)
    columns = {
        name: column_of(name, value, n)
        for name, value in {
            "y": class_indices(y, labels), "subject": subject, "session": session, "trial": trial,
            "stimulus": trial if stimulus is None else stimulus,
            "order": trial if order is None else order,
        }.items()
    }
    names = tuple(canonical(c) for c in channels)
    wanted = names if montage == COMMON else electrodes(montage)
    matrix = None if montage == COMMON else interpolation(names, wanted).matrix
    parts: list[NDArray[np.float32]] = []
    for i, signal in enumerate(signals):
        data = np.asarray(signal, dtype=float)
        where = f"{corpus}, subject {columns['subject'][i]}, trial {columns['trial'][i]}"
        if data.ndim != 2 or len(data) != len(names):
            raise BenchError(f"{where}: a signal of shape {data.shape}, expected ({len(names)}, "
                             "samples): one row a channel")
        check_signal(data, where, names)
        data = data if matrix is None else matrix @ data
        parts.append(differential_entropy(data, rate, window_s, bands))
        check_features(parts[-1], where, wanted)
    if not parts:
        raise BenchError("there is no signal to make windows of")
    counts = [len(p) for p in parts]
    spread: dict[str, Any] = {name: np.repeat(column, counts) for name, column in columns.items()}
    return Windows.from_arrays(
        np.concatenate(parts), spread.pop("y"), **spread, channels=wanted, labels=labels,
        corpus=corpus, bands=bands, window_s=window_s, source="bench", pieces_s=pieces_s,
        stimulus_set=stimulus_set,
    )
