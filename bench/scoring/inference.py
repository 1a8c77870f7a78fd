"""Statistics over target subjects: intervals, paired tests, ranks.

The unit is the target subject. The rows of a source-by-target matrix share their subjects and are
not independent: a subject's scores from several sources are averaged first, and the interval of a
mean over pairs is that of subjects within their corpora (``corpora``), never of rows.
SciPy is imported where it is used: listing commands should not pay for it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Scores are ratios of small counts. 0.6 - 0.5 and 0.5 - 0.4 are the same difference, though not
#: in binary, so values are rounded to this many decimals before they are called equal or ranked.
_DECIMALS = 12
#: Largest number of subjects for which the signed-rank distribution is counted out.
EXACT = 50
#: Fewest subjects, of each corpus, with which anything is said of how sure a mean is.
MINIMUM = 3


@dataclass(frozen=True)
class Paired:
    """Outcome of comparing two methods on the same subjects.

    Attributes
    ----------
    n : int
        Subjects.
    mean : float
        Mean of the differences ``a - b``; of several corpora as :func:`mean_over` weighs them.
    sd : float or None
        Sample standard deviation of the differences within a corpus; None where none has two
        subjects.
    interval : tuple of float or None
        Interval of the mean, see :func:`mean_interval`; None for fewer than three subjects.
    p : float
        Two-sided Wilcoxon signed-rank p; 1 where no difference is seen. With fewer than six
        subjects it cannot fall below 0.05.
    rank_biserial : float
        Effect size in [-1, 1]: share of the signed ranks for ``a`` less the share for ``b``.
    wins, losses, ties : int
        Subjects on which ``a`` is better, worse, equal.
    """

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    p: float
    rank_biserial: float
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Compared:
    """Two of several methods, and what becomes of their p among all pairs.

    Attributes
    ----------
    one, two : str
        Differences are ``one - two``.
    test : Paired
    holm : float
        p adjusted by Holm over all pairs of methods that were compared.
    """

    one: str
    two: str
    test: Paired
    holm: float


@dataclass(frozen=True)
class Friedman:
    """Friedman's test with the correction of Iman and Davenport (1980).

    Attributes
    ----------
    chi2, chi2_p : float
        Friedman's statistic, corrected for ties, and its p by chi-square.
    f, p : float
        Iman-Davenport F and its p: the chi-square one is too careful for few blocks.
    blocks, methods : int
        Size of the matrix after incomplete blocks were dropped.
    """

    chi2: float
    chi2_p: float
    f: float
    p: float
    blocks: int
    methods: int


def standard_error(values: ArrayLike) -> float | None:
    """Standard error of the mean; None for fewer than three values, of which it says nothing."""
    x = np.asarray(values, dtype=float)
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) >= MINIMUM else None


def mean_over(
    values: ArrayLike, corpora: Sequence[Hashable] | None = None,
    weights: Mapping[Any, float] | None = None,
) -> float:
    """Mean of subjects; of several corpora, mean of their means.

    Parameters
    ----------
    values : (n,) float
        One per subject.
    corpora : (n,) sequence, optional
        Target corpus of each subject.
    weights : mapping, optional
        Of each corpus, in proportion to its pairs; all alike if it is not given. With as many
        sources to each target this is the mean over pairs.
    """
    return float(sum(share * part.mean() for share, part in _parts(values, corpora, weights)))


def mean_interval(
    values: ArrayLike, corpora: Sequence[Hashable] | None = None,
    weights: Mapping[Any, float] | None = None, level: float = 0.95,
) -> tuple[float, float] | None:
    """Student's t interval of a mean over subjects, which may stand in several corpora.

    Of normal data it covers what it says for any number of subjects. The percentile bootstrap
    that many tables show covers 75 % of the time with three subjects and 86 % with six.

    Over several corpora only subjects are drawn, within their corpora: variances of the corpora's
    means are added, with the degrees of freedom of Welch (1947, Biometrika 34, 28-35) and
    Satterthwaite (1946, Biometrics Bulletin 2, 110-114). It tells of other subjects of these
    corpora, not of other corpora. It covers 94 % or more with five subjects in each corpus; where
    one of three or four stands beside much larger ones, 93 %.

    Parameters
    ----------
    values, corpora, weights
        As for :func:`mean_over`.
    level : float
        Nominal coverage.

    Returns
    -------
    (low, high) or None
        None where a corpus has fewer than three subjects: too few to tell.
    """
    from scipy import special  # scipy.stats would take a second to import

    parts = _parts(values, corpora, weights)
    if not parts or min(len(part) for _, part in parts) < MINIMUM:
        return None
    errors = np.array([share**2 * part.var(ddof=1) / len(part) for share, part in parts])
    variance, middle = errors.sum(), float(sum(share * part.mean() for share, part in parts))
    if variance == 0.0:
        return middle, middle
    freedom = variance**2 / (errors**2 / [len(part) - 1 for _, part in parts]).sum()
    reach = float(special.stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance))
    return middle - reach, middle + reach


def _parts(
    values: ArrayLike, corpora: Sequence[Hashable] | None,
    weights: Mapping[Any, float] | None,
) -> list[tuple[float, NDArray[np.float64]]]:
    """Share in the mean and values of each corpus."""
    x = np.asarray(values, dtype=float)
    by_corpus: dict[Hashable, list[float]] = {}
    for corpus, value in zip(corpora or [None] * len(x), x, strict=True):
        by_corpus.setdefault(corpus, []).append(value)
    share = {c: 1.0 if weights is None else weights[c] for c in by_corpus}
    total = sum(share.values())
    return [(share[c] / total, np.array(its)) for c, its in by_corpus.items()]


def paired(
    a: ArrayLike, b: ArrayLike, corpora: Sequence[Hashable] | None = None,
    weights: Mapping[Any, float] | None = None, level: float = 0.95,
) -> Paired:
    """Compare two methods on the same subjects.

    Parameters
    ----------
    a, b : (n,) float
        Scores of the same subjects in the same order.
    corpora, weights
        As for :func:`mean_over`, where the subjects are of several corpora. The p is over all
        subjects, each counting the same.
    level : float
        Of the interval.

    Notes
    -----
    Differences of zero are dropped before ranking, as Wilcoxon did; equal sizes share their mean
    rank. Up to 50 pairs the distribution is counted out over all signs, ties included (SciPy's
    exact one has no ties), above that it is normal with correction for ties.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ValueError(f"paired scores need the same subjects, got {x.shape} and {y.shape}")
    d = np.round(x - y, _DECIMALS)
    nonzero = d[d != 0]
    ranks = _ranks(np.abs(nonzero))
    plus, minus = float(ranks[nonzero > 0].sum()), float(ranks[nonzero < 0].sum())
    parts = [part for _, part in _parts(x - y, corpora, weights)]
    freedom = sum(len(part) - 1 for part in parts)
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    return Paired(
        n=len(d), mean=mean_over(x - y, corpora, weights),
        sd=math.sqrt(squares / freedom) if freedom else None,
        interval=mean_interval(x - y, corpora, weights, level),
        p=_wilcoxon_p(nonzero, ranks, min(plus, minus)),
        rank_biserial=(plus - minus) / (plus + minus) if len(nonzero) else 0.0,
        wins=int((d > 0).sum()), losses=int((d < 0).sum()), ties=int((d == 0).sum()),
    )


def _wilcoxon_p(nonzero: NDArray[np.float64], ranks: NDArray[np.float64], least: float) -> float:
    if not len(nonzero):
        return 1.0
    if len(nonzero) > EXACT:
        from scipy import stats

        return float(stats.wilcoxon(nonzero, method="asymptotic").pvalue)
    # Mean ranks are halves, so doubled they are whole, and the number of sign patterns that reach
    # each sum follows by adding one rank at a time.
    whole = np.rint(2 * ranks).astype(int)
    share = np.zeros(whole.sum() + 1)
    share[0] = 1.0
    for rank in whole:
        share[rank:] = (share[rank:] + share[:-rank]) / 2
        share[:rank] /= 2
    return float(min(1.0, 2 * share[: round(2 * least) + 1].sum()))


def holm(pvalues: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's step-down method, at most 1, in the order given."""
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(v) for v in adjusted]


def compare_all(
    table: Mapping[str, Mapping[Any, float | Sequence[float]]],
    corpora: Mapping[Any, Hashable] | None = None,
    weights: Mapping[Any, float] | None = None, level: float = 0.95,
) -> list[Compared]:
    """Every pair of methods on the subjects that both have, with Holm over all pairs.

    Parameters
    ----------
    table : mapping
        Method to subject to score; a subject's scores of several seeds are averaged first, since
        seeds are no subjects. Subjects of different corpora need different keys.
    corpora : mapping, optional
        Subject to target corpus, where there are several.
    weights, level
        As for :func:`paired`.

    Returns
    -------
    list of Compared
        One for each of the m (m - 1) / 2 pairs that share a subject, in the order of the table.
    """
    means = {
        method: {subject: float(np.mean(score)) for subject, score in scores.items()}
        for method, scores in table.items()
    }
    pairs, tests = [], []
    for one, two in combinations(means, 2):
        both = [s for s in means[one] if s in means[two]]
        if both:
            pairs.append((one, two))
            tests.append(paired(
                [means[one][s] for s in both], [means[two][s] for s in both],
                [corpora[s] for s in both] if corpora else None, weights, level,
            ))
    adjusted = holm([t.p for t in tests])
    return [Compared(*p, t, h) for p, t, h in zip(pairs, tests, adjusted, strict=True)]


def least_p(n: int) -> float:
    """Smallest p of the exact two-sided Wilcoxon test: all ``n`` subjects agree."""
    return min(1.0, 2.0 ** (1 - n))


def subjects_needed(methods: int, alpha: float = 0.05) -> int:
    """Fewest subjects with which anything can be significant among so many methods.

    The smallest p of the exact two-sided Wilcoxon test is 2 / 2^n, where all n subjects agree; Holm
    multiplies the smallest of m (m - 1) / 2 by their number. With fewer subjects no difference,
    however large, reaches ``alpha``.
    """
    if methods < 2 or not 0 < alpha < 1:
        raise ValueError(f"two methods and a level are needed, got {methods} and {alpha}")
    pairs, n = math.comb(methods, 2), 1
    while pairs * least_p(n) > alpha:
        n += 1
    return n


def chance_interval(n: int, k: int, level: float = 0.95) -> tuple[float, float]:
    """Accuracies that guessing among ``k`` equal classes gives on ``n`` independent trials.

    Binomial quantiles (Combrisson and Jerbi 2015): with 6 trials of 2 classes, guessing reaches
    0.17 to 0.83. Use the number of *trials*: windows of a trial are not independent.
    """
    from scipy import stats

    if n < 1 or k < 1:
        raise ValueError(f"chance needs at least one trial and one class, got n={n}, k={k}")
    low, high = stats.binom.ppf([(1 - level) / 2, (1 + level) / 2], n, 1 / k) / n
    return float(low), float(high)


def balanced_chance_interval(counts: Sequence[int], level: float = 0.95) -> tuple[float, float]:
    """Balanced accuracies that guessing evenly among the classes gives, counted out.

    Wider than that of the accuracy where classes are unequal: the recall of a rare class weighs as
    much as the others', and rests on few trials.

    Parameters
    ----------
    counts : sequence of int
        Trials of each class; independent, so trials and not windows. Classes without any trial
        have no recall and do not count, as in :func:`bench.scoring.metrics.scores`.
    level : float
    """
    from scipy import signal, stats

    present = [c for c in counts if c > 0]
    if not present:
        raise ValueError("chance needs at least one trial")
    # Recalls are multiples of 1 / count, so their sum lies on a grid of the least common multiple.
    steps = math.lcm(*present)
    share = np.ones(1)
    for count in present:
        spread = np.zeros(steps + 1)
        spread[:: steps // count] = stats.binom.pmf(np.arange(count + 1), count, 1 / len(counts))
        share = np.maximum(signal.convolve(share, spread), 0.0)  # long ones go by FFT
    total = np.cumsum(share)
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = (int(np.searchsorted(total, t - 1e-12)) for t in tails)
    top = steps * len(present)
    return low / top, min(high, top) / top


def mean_ranks(matrix: ArrayLike) -> NDArray[np.float64]:
    """Mean rank of each column over the complete rows; the largest value has rank 1.

    Parameters
    ----------
    matrix : (blocks, methods) float
        Scores, larger is better; rows with NaN are dropped. Equal scores share their mean rank.
    """
    full = _complete(matrix)
    if not len(full):
        return np.full(full.shape[1], np.nan)
    return np.stack([_ranks(-row) for row in full]).mean(axis=0)


def friedman(matrix: ArrayLike) -> Friedman:
    """Do the methods differ at all? Friedman's test over the complete rows.

    Parameters
    ----------
    matrix : (blocks, methods) float
        Scores; at least two complete blocks and two methods.
    """
    from scipy import special

    full = _complete(matrix)
    n, k = full.shape
    if n < 2 or k < 2:
        raise ValueError(f"Friedman's test needs two blocks and two methods, got {n} and {k}")
    ranks = np.stack([_ranks(-row) for row in full])
    # Sum of squares over its value per degree of freedom: corrects for ties by itself.
    between = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    within = ((ranks - (k + 1) / 2) ** 2).sum() / (n * (k - 1))
    chi2 = float(between / within) if within > 0 else 0.0
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 * n * k else np.inf
    return Friedman(
        chi2=chi2, chi2_p=float(special.chdtrc(k - 1, chi2)), f=float(f),
        p=float(special.fdtrc(k - 1, (n - 1) * (k - 1), f)), blocks=n, methods=k,
    )


def _complete(matrix: ArrayLike) -> NDArray[np.float64]:
    m = np.asarray(matrix, dtype=float)
    if m.ndim != 2:
        raise ValueError(f"scores must be blocks by methods, got shape {m.shape}")
    return m[np.isfinite(m).all(axis=1)]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing their mean."""
    _, place, count = np.unique(
        np.round(values, _DECIMALS), return_inverse=True, return_counts=True
    )
    return (np.cumsum(count) - (count - 1) / 2)[place]
