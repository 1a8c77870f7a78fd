"""Statistics agree with SciPy and statsmodels to 1e-10, and keep their error rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.scoring.inference import (
    balanced_chance_interval,
    chance_interval,
    compare_all,
    friedman,
    holm,
    mean_interval,
    mean_over,
    mean_ranks,
    paired,
    standard_error,
    subjects_needed,
)

close = {"rel": 0, "abs": 1e-10}


class TestInterval:
    @pytest.mark.parametrize("n", [3, 6, 15, 32])
    def test_is_scipys_t_interval(self, n):
        x = np.random.default_rng(n).normal(size=n)
        expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
        assert mean_interval(x) == pytest.approx(tuple(expected), **close)

    @pytest.mark.parametrize("n", [3, 6, 15, 32])
    def test_covers_what_it_says_of_normal_data(self, n):
        data = np.random.default_rng(n).normal(size=(4000, n))
        assert coverage([mean_interval(x) for x in data]) >= 0.94

    def test_two_subjects_are_too_few(self):
        assert mean_interval([0.5]) is None
        assert mean_interval([0.5, 0.7]) is None
        assert standard_error([0.5, 0.7]) is None
        assert paired([0.5, 0.7], [0.4, 0.4]).interval is None
        assert mean_interval(np.arange(5.0), ["a", "a", "a", "b", "b"]) is None
        assert mean_interval([]) is None

    def test_subjects_that_agree_leave_no_doubt(self):
        assert mean_interval([0.5] * 4) == (0.5, 0.5)

    @pytest.mark.parametrize("level", [0.8, 0.99])
    def test_other_levels(self, level):
        x = np.random.default_rng(0).normal(size=9)
        expected = stats.ttest_1samp(x, 0).confidence_interval(level)
        assert mean_interval(x, level=level) == pytest.approx(tuple(expected), **close)


def coverage(intervals, truth=0.0):
    return np.mean([low <= truth <= high for low, high in intervals])


class TestSeveralCorpora:
    def test_of_two_is_welchs_interval(self):
        rng = np.random.default_rng(1)
        one, two = rng.normal(1, 2, 9), rng.normal(0, 1, 14)
        welch = stats.ttest_ind(one, -two, equal_var=False).confidence_interval(0.95)
        found = mean_interval([*one, *two], ["a"] * 9 + ["b"] * 14)
        assert found == pytest.approx((welch.low / 2, welch.high / 2), **close)
        assert mean_over([*one, *two], ["a"] * 9 + ["b"] * 14) == pytest.approx(
            (one.mean() + two.mean()) / 2, **close
        )

    def test_weights_are_those_of_a_mean_over_pairs(self):
        pairs = {"a": [[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]], "b": [[0.0, 1.0, 0.0, 1.0]]}
        values = [*np.mean(pairs["a"], axis=0), *pairs["b"][0]]
        over_pairs = np.mean([np.mean(p) for its in pairs.values() for p in its])
        corpora = ["a"] * 3 + ["b"] * 4
        assert mean_over(values, corpora, {"a": 2, "b": 1}) == pytest.approx(over_pairs, **close)
        low, high = mean_interval(values, corpora, {"a": 2, "b": 1})
        assert (low + high) / 2 == pytest.approx(over_pairs, **close)

    @pytest.mark.parametrize("sizes", [(6, 6, 6), (15, 15, 32), (5, 32)])
    def test_subjects_that_stand_in_two_pairs_are_covered_and_rows_are_not(self, sizes):
        """Each subject is tested from two sources; the corpora differ in their means."""
        rng = np.random.default_rng(len(sizes))
        corpora = np.repeat(np.arange(len(sizes)), sizes)
        truth = np.linspace(-1, 1, len(sizes))
        subjects, rows = [], []
        for _ in range(3000):
            who = truth[corpora] + rng.normal(size=len(corpora))
            pairs = who + 0.3 * rng.normal(size=(2, len(who)))
            subjects.append(mean_interval(pairs.mean(axis=0), corpora.tolist()))
            rows.append(mean_interval(pairs.ravel(), np.tile(corpora, 2).tolist()))
        assert coverage(subjects) >= 0.94
        assert coverage(rows) < 0.86

    def test_paired_takes_corpora(self):
        rng = np.random.default_rng(3)
        a, b, corpora = rng.normal(size=13), rng.normal(size=13), list("xxxxxyyyyyyyy")
        found = paired(a, b, corpora)
        assert found.interval == mean_interval(a - b, corpora)
        assert found.mean == mean_over(a - b, corpora)
        assert found.p == paired(a, b).p
        residuals = (a - b) - np.where(np.array(corpora) == "x", (a - b)[:5].mean(),
                                       (a - b)[5:].mean())
        assert found.sd == pytest.approx(np.sqrt((residuals**2).sum() / 11), **close)


def test_family_wise_error_on_null_data_stays_under_the_level():
    """Eight methods, 15 subjects, nothing to find, scores in sixths as those of trials are."""
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(250):
        subject = rng.normal(0, 0.5, (15, 1))
        scores = np.round(6 * stats.norm.cdf(subject + rng.normal(size=(15, 8)))) / 6
        hits += min(c.holm for c in compare_all(as_table(scores))) < 0.05
    assert hits / 250 <= 0.06


class TestPaired:
    @pytest.mark.parametrize("n", [2, 5, 6, 12, 32, 50])
    def test_p_is_scipys_exact(self, n):
        rng = np.random.default_rng(n)
        a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
        expected = stats.wilcoxon(a, b, method="exact").pvalue
        assert paired(a, b).p == pytest.approx(expected, **close)

    @pytest.mark.parametrize("seed", range(6))
    def test_p_is_exact_with_ties_and_zeros(self, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 5, 9) / 6, rng.integers(0, 4, 9) / 6
        d = np.round(a - b, 12)
        d = d[d != 0]
        # Every pattern of signs, counted one by one.
        ranks = stats.rankdata(np.abs(d))
        signs = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1
        sums = signs @ ranks
        least = min(ranks[d > 0].sum(), ranks[d < 0].sum())
        expected = min(1.0, 2 * (sums <= least + 1e-9).mean())
        assert paired(a, b).p == pytest.approx(expected, **close)

    def test_p_is_scipys_normal_one_for_many_pairs(self):
        rng = np.random.default_rng(0)
        a, b = rng.integers(0, 9, 120) / 8, rng.integers(0, 9, 120) / 8
        d = np.round(a - b, 12)
        expected = stats.wilcoxon(d[d != 0], method="asymptotic").pvalue
        assert paired(a, b).p == pytest.approx(expected, **close)

    def test_effect(self):
        found = paired([0.6, 0.7, 0.9, 0.5], [0.5, 0.5, 1.0, 0.5])
        # |d| = 0.1, 0.2, 0.1: ranks 1.5, 3, 1.5; 0.1 and 0.1 are equal despite binary fractions.
        assert found.rank_biserial == pytest.approx((4.5 - 1.5) / 6, **close)
        assert (found.n, found.wins, found.losses, found.ties) == (4, 2, 1, 1)
        assert found.mean == pytest.approx(0.05, **close)
        differences = np.array([0.6, 0.7, 0.9, 0.5]) - [0.5, 0.5, 1.0, 0.5]
        assert found.interval == mean_interval(differences)
        assert found.sd == pytest.approx(differences.std(ddof=1), **close)

    def test_no_difference(self):
        found = paired([0.5, 0.6], [0.5, 0.6])
        assert (found.p, found.rank_biserial, found.ties) == (1.0, 0.0, 2)

    def test_one_subject(self):
        found = paired([0.7], [0.5])
        assert (found.n, found.sd, found.interval, found.p) == (1, None, None, 1.0)

    def test_five_subjects_cannot_be_significant_and_six_can(self):
        assert paired(np.arange(1, 6), np.zeros(5)).p == pytest.approx(0.0625, **close)
        assert paired(np.arange(1, 7), np.zeros(6)).p == pytest.approx(0.03125, **close)

    def test_false_alarms_stay_under_the_level(self):
        rng = np.random.default_rng(4)
        for n in (6, 9, 15):
            draws = rng.integers(0, 7, (400, n)) / 6
            p = [paired(x, np.full(n, 0.5)).p for x in draws]
            assert np.mean(np.array(p) < 0.05) <= 0.075

    def test_refuses_different_subjects(self):
        with pytest.raises(ValueError, match="same subjects"):
            paired([1.0, 2.0], [1.0])


class TestHolm:
    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_statsmodels(self, seed):
        multitest = pytest.importorskip("statsmodels.stats.multitest")
        p = np.random.default_rng(seed).random(7) ** 3
        assert holm(p) == pytest.approx(list(multitest.multipletests(p, method="holm")[1]), **close)

    def test_by_hand(self):
        assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06], **close)
        assert holm([0.9, 0.8]) == [1.0, 1.0]
        assert holm([]) == []


class TestRanks:
    def test_friedman_agrees_with_scipy(self):
        m = np.random.default_rng(0).integers(0, 6, (11, 4)) / 5
        found = friedman(m)
        expected = stats.friedmanchisquare(*m.T)
        assert found.chi2 == pytest.approx(expected.statistic, **close)
        assert found.chi2_p == pytest.approx(expected.pvalue, **close)
        f = 10 * found.chi2 / (11 * 3 - found.chi2)
        assert found.f == pytest.approx(f, **close)
        assert found.p == pytest.approx(stats.f.sf(f, 3, 30), **close)

    def test_friedman_at_its_ends(self):
        equal = friedman(np.ones((5, 3)))
        assert (equal.chi2, equal.p) == (0.0, 1.0)
        always = friedman(np.tile([1.0, 2.0, 3.0], (5, 1)))
        assert (always.chi2, always.p) == (pytest.approx(10.0), 0.0)

    def test_mean_ranks_by_rankdata_on_complete_rows(self):
        m = np.random.default_rng(1).integers(0, 6, (8, 4)) / 5
        m[2, 1] = np.nan
        full = np.delete(m, 2, axis=0)
        expected = stats.rankdata(-full, axis=1).mean(axis=0)
        assert mean_ranks(m) == pytest.approx(expected, **close)
        assert friedman(m).blocks == 7

    def test_largest_is_first_and_equals_share(self):
        assert mean_ranks([[0.3, 0.1 + 0.2, 0.9]]).tolist() == [2.5, 2.5, 1.0]
        assert np.isnan(mean_ranks([[0.1, np.nan]])).all()


def test_standard_error():
    x = np.random.default_rng(0).normal(size=8)
    assert standard_error(x) == pytest.approx(stats.sem(x), **close)
    assert standard_error([1.0]) is None


def test_chance_interval_is_binomial():
    assert chance_interval(6, 2) == pytest.approx((1 / 6, 5 / 6), **close)
    low, high = chance_interval(40, 3)
    assert (low, high) == pytest.approx(tuple(stats.binom.interval(0.95, 40, 1 / 3) / np.array(40)))
    wide, narrow = chance_interval(10, 2), chance_interval(1000, 2)
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def binomial(counts, classes):
    """Balanced accuracies of guessing and their probabilities, outcome by outcome."""
    present = [c for c in counts if c]
    value = np.zeros(1)
    share = np.ones(1)
    for c in present:
        k = np.arange(c + 1)
        value = (value[:, None] + k / c / len(present)).ravel()
        share = (share[:, None] * stats.binom.pmf(k, c, 1 / classes)).ravel()
    return value, share


class TestBalancedChance:
    @pytest.mark.parametrize("counts", [[2, 2, 2], [5, 11], [1, 3, 7], [4, 0, 5], [6]])
    def test_is_counted_over_all_outcomes(self, counts):
        value, share = binomial(counts, len(counts))
        low, high = balanced_chance_interval(counts)
        for edge, tail in ((low, 0.025), (high, 0.975)):
            assert share[value <= edge + 1e-9].sum() >= tail - 1e-12
            assert share[value < edge - 1e-9].sum() < tail

    @pytest.mark.parametrize(("n", "k"), [(6, 2), (6, 3), (40, 2), (60, 4)])
    def test_of_equal_classes_is_that_of_the_accuracy(self, n, k):
        assert balanced_chance_interval([n // k] * k) == pytest.approx(
            chance_interval(n, k), **close
        )

    def test_unequal_classes_make_it_wider(self):
        even, uneven = balanced_chance_interval([10, 10]), balanced_chance_interval([2, 18])
        assert uneven[1] - uneven[0] > even[1] - even[0]

    def test_long_counts_by_simulation(self):
        counts = [37, 40, 39]
        draws = np.random.default_rng(0).binomial(counts, 1 / 3, (200_000, 3)) / counts
        low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
        assert balanced_chance_interval(counts) == pytest.approx((low, high), abs=2e-3)

    def test_needs_a_trial(self):
        with pytest.raises(ValueError, match="at least one trial"):
            balanced_chance_interval([0, 0])


def matrix(subjects=11, methods=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(np.linspace(0, 1, methods), 1, (subjects, methods))


def as_table(m):
    return {f"m{j}": {i: float(m[i, j]) for i in range(len(m))} for j in range(m.shape[1])}


class TestCompareAll:
    def test_agrees_with_scikit_posthocs(self):
        posthocs = pytest.importorskip("scikit_posthocs")
        m = matrix()
        theirs = posthocs.posthoc_wilcoxon(m.T, p_adjust="holm").to_numpy()
        found = compare_all(as_table(m))
        assert len(found) == 10
        for c in found:
            i, j = int(c.one[1:]), int(c.two[1:])
            assert c.holm == pytest.approx(theirs[i, j], **close)
            assert c.test == paired(m[:, i], m[:, j])

    def test_rank_biserial_agrees_with_statsmodels_and_scipys_ranks(self):
        m = matrix()
        for c in compare_all(as_table(m)):
            d = m[:, int(c.one[1:])] - m[:, int(c.two[1:])]
            ranks = stats.rankdata(np.abs(d))
            expected = (ranks[d > 0].sum() - ranks[d < 0].sum()) / ranks.sum()
            assert c.test.rank_biserial == pytest.approx(expected, **close)

    def test_seeds_are_averaged_before_anything_is_tested(self):
        m = matrix(8, 3)
        noise = np.random.default_rng(1).normal(size=(8, 3, 4))
        noise -= noise.mean(axis=2, keepdims=True)
        seeds = {
            f"m{j}": {i: (m[i, j] + noise[i, j]).tolist() for i in range(8)} for j in range(3)
        }
        for one, many in zip(compare_all(as_table(m)), compare_all(seeds), strict=True):
            assert many.test.n == 8  # not 32
            assert many.test.p == one.test.p
            assert many.test.mean == pytest.approx(one.test.mean, **close)

    def test_only_shared_subjects_are_compared(self):
        found = compare_all({"a": {1: 0.5, 2: 0.6}, "b": {2: 0.4, 3: 0.9}, "c": {4: 1.0}})
        assert [(c.one, c.two, c.test.n) for c in found] == [("a", "b", 1)]
        assert found[0].test.mean == pytest.approx(0.2, **close)
        assert compare_all({"a": {1: 0.5}}) == []

    def test_holm_runs_over_all_pairs(self):
        found = compare_all(as_table(matrix(9, 4)))
        assert [c.holm for c in found] == holm([c.test.p for c in found])


def test_friedman_with_iman_and_davenport_is_the_anova_of_the_ranks():
    pytest.importorskip("statsmodels")
    import pandas as pd
    from statsmodels.stats.anova import AnovaRM

    m = matrix(10, 4)
    ranks = pd.DataFrame([
        {"block": i, "method": j, "rank": r}
        for i, row in enumerate(stats.rankdata(-m, axis=1)) for j, r in enumerate(row)
    ])
    theirs = AnovaRM(ranks, "rank", "block", within=["method"]).fit().anova_table
    found = friedman(m)
    assert found.f == pytest.approx(theirs["F Value"].iloc[0], **close)
    assert found.p == pytest.approx(theirs["Pr > F"].iloc[0], **close)


class TestSubjectsNeeded:
    @pytest.mark.parametrize(("methods", "alpha"), [
        (2, 0.05), (3, 0.05), (8, 0.05), (8, 0.01), (40, 0.05), (2, 0.0625),
    ])
    def test_is_where_the_strongest_difference_first_counts(self, methods, alpha):
        def least(n):
            p = paired(np.arange(1, n + 1), np.zeros(n)).p  # all subjects agree
            return holm([p] + [1.0] * (methods * (methods - 1) // 2 - 1))[0]

        n = subjects_needed(methods, alpha)
        assert least(n) <= alpha < least(n - 1)

    def test_the_numbers_of_this_field(self):
        assert [subjects_needed(m) for m in (2, 3, 8, 20, 45)] == [6, 7, 11, 13, 16]

    def test_one_method_is_no_comparison(self):
        with pytest.raises(ValueError, match="two methods"):
            subjects_needed(1)
