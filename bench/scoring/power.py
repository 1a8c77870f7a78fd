"""Smallest difference that a comparison could have seen: what "not significant" is worth."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from .inference import EXACT, least_p

#: Experiments drawn for a power. Its error is then 0.6 % at 80 %, that of a difference 1 %.
_DRAWS = 4000
#: Standard deviations beyond which no difference is looked for.
_LARGEST = 30.0


@functools.lru_cache(maxsize=256)
def detectable(n: int, tests: int = 1, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest mean difference, in standard deviations, that the paired test sees so often.

    The test is that of :func:`~bench.scoring.inference.paired`: two-sided Wilcoxon, at
    ``alpha / tests``, which is what Holm asks of the first of ``tests`` comparisons. Differences
    are normal. The power is counted over experiments that are drawn once, with a fixed seed; for
    20 subjects and one test it is within a tenth of that of Student's t test.

    Parameters
    ----------
    n : int
        Subjects.
    tests : int
        Comparisons that Holm's correction runs over.
    alpha, power : float

    Returns
    -------
    float or None
        None where no difference, however large, can be significant.
    """
    if n < 1 or tests < 1 or least_p(n) > alpha / tests:
        return None
    drawn, critical = _experiments(n), _critical(n, alpha / tests)
    low, high = 0.0, _LARGEST
    while high - low > 1e-3:
        middle = (low + high) / 2
        if _share(drawn + middle, critical) < power:
            low = middle
        else:
            high = middle
    return high


@functools.lru_cache(maxsize=8)
def _experiments(n: int) -> NDArray[np.float64]:
    """Differences (draws, n) of experiments in which there is none."""
    return np.random.default_rng(n).standard_normal((_DRAWS, n))


def _share(differences: NDArray[np.float64], critical: float) -> float:
    """Share of experiments (draws, n) whose negative ranks sum to no more than ``critical``."""
    order = np.argsort(np.abs(differences), axis=1)
    negative = np.take_along_axis(differences < 0, order, axis=1)
    return float((negative @ np.arange(1, differences.shape[1] + 1) <= critical).mean())


def _critical(n: int, alpha: float) -> float:
    """Largest smaller rank sum of ``n`` pairs without ties that is significant at ``alpha``."""
    if n > EXACT:
        from scipy import special

        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return float(n * (n + 1) / 4 + special.ndtri(alpha / 2) * spread)
    share = np.ones(1)
    for rank in range(1, n + 1):
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    return float(np.searchsorted(2 * np.cumsum(share), alpha * (1 + 1e-12), side="right") - 1)
