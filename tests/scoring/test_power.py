"""Smallest detectable differences, by SciPy's test on other draws and by statsmodels' t test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.scoring.inference import paired
from bench.scoring.power import _critical, detectable


@pytest.mark.parametrize(("n", "tests"), [(6, 1), (8, 3), (15, 10), (20, 1)])
def test_scipys_test_sees_it_in_four_of_five_experiments(n, tests):
    effect = detectable(n, tests)
    drawn = np.random.default_rng(77).normal(effect, 1, (1500, n))
    seen = stats.wilcoxon(drawn, method="exact", axis=1).pvalue <= 0.05 / tests
    assert seen.mean() == pytest.approx(0.8, abs=0.035)


@pytest.mark.parametrize("n", [20, 32, 60])
def test_is_a_little_more_than_the_t_test_needs(n):
    power = pytest.importorskip("statsmodels.stats.power")
    needed = power.TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert 1.0 <= detectable(n) / needed <= 1.1


@pytest.mark.parametrize(("n", "tests"), [(2, 1), (5, 1), (6, 2), (10, 28)])
def test_few_subjects_see_nothing_however_large(n, tests):
    assert detectable(n, tests) is None
    assert paired(np.arange(1, n + 1), np.zeros(n)).p * tests > 0.05


def test_more_subjects_see_less_and_more_comparisons_need_more():
    by_subjects = [detectable(n) for n in (6, 9, 15, 32)]
    assert by_subjects == sorted(by_subjects, reverse=True)
    assert detectable(15, 1) < detectable(15, 5) < detectable(15, 28)
    assert detectable(15, power=0.5) < detectable(15) < detectable(15, power=0.9)


@pytest.mark.parametrize("n", [6, 11, 30])
def test_the_critical_rank_sum_is_where_scipys_p_crosses_the_level(n):
    sums = np.arange(n * (n + 1) // 4 + 1)
    p = []
    for total in sums:
        differences, rest = [], total
        for rank in range(n, 0, -1):  # from the largest rank down, as many as the sum takes
            negative = rank <= rest
            rest -= rank * negative
            differences.append(-rank if negative else rank)
        p.append(stats.wilcoxon(np.array(differences, dtype=float), method="exact").pvalue)
    assert _critical(n, 0.05) == max(s for s, q in zip(sums, p, strict=True) if q <= 0.05)
