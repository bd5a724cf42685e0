"""The methods behind the fixed-horizon tests, against published figures, other packages and themselves."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis_service.core.statistics import fixed_counts as counts
from analysis_service.core.statistics import fixed_intervals as intervals
from analysis_service.core.statistics import fixed_means as means
from analysis_service.core.statistics import fixed_ranks as ranks
from analysis_service.core.statistics import fixed_series as series
from analysis_service.core.statistics.fixed_comparison import TwoCounts

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)
small = st.lists(st.integers(-30, 30).map(float), min_size=2, max_size=15)


# R 4.2: t.test(extra ~ group, data = sleep)
SLEEP = ((0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0), (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4))


def test_welch_on_the_sleep_data():
    found = means.welch(*SLEEP)
    assert (found.t, found.df, found.p) == pytest.approx((-1.8608, 17.776, 0.07939), rel=1e-3)
    assert (found.lower, found.upper) == pytest.approx((-3.3654832, 0.2054832), rel=1e-6)


def test_paired_on_the_sleep_data():
    found = means.paired_t(*SLEEP)
    assert (found.t, found.df, found.p) == pytest.approx((-4.0621, 9, 0.002833), rel=1e-3)


@settings(deadline=None)
@given(values, values, st.sampled_from(["two-sided", "greater", "less"]))
def test_welch_agrees_with_scipy(x, y, alternative):
    # scipy loses digits, or divides by zero, where the spread is far below the level
    if min(np.std(x), np.std(y)) < 1e-3:
        return
    found, other = (
        means.welch(x, y, alternative=alternative),
        stats.ttest_ind(x, y, equal_var=False, alternative=alternative),
    )
    assert (found.t, found.p) == pytest.approx((other.statistic, other.pvalue), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "alternative", "p"),
    [
        ((1.0, 1.0), (1.0, 1.0), "two-sided", 1),
        ((2.0, 2.0), (1.0, 1.0), "two-sided", 0),
        ((2.0, 2.0), (1.0, 1.0), "greater", 0),
        # on the hypothesis's own side
        ((2.0, 2.0), (1.0, 1.0), "less", 1),
        # a rounded mean is no noise
        ((0.1,) * 3, (0.1,) * 7, "two-sided", 1),
    ],
)
def test_welch_of_constants(x, y, alternative, p):
    assert means.welch(x, y, alternative=alternative).p == p


@settings(deadline=None)
@given(small, small)
def test_tiny_spreads_do_not_underflow(x, y):
    if len(set(x)) < 2 or len(set(y)) < 2:
        return
    once, tiny = means.welch(x, y), means.welch([v * 1e-150 for v in x], [v * 1e-150 for v in y])
    assert (tiny.t, tiny.df, tiny.p) == pytest.approx((once.t, once.df, once.p), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: means.welch([1.0], [1.0, 2.0]), "canary: two values at least are wanted, found 1"),
        (lambda: means.welch([1.0, math.nan], [1.0, 2.0]), "canary: finite values are wanted"),
        (lambda: means.paired_t([1.0, 2.0], [1.0, 2.0, 3.0]), "canary has 2 values and stable 3"),
        (lambda: means.tost([1.0, 2.0], [1.0, 2.0], low=1, high=1), "low 1 must be below high 1"),
        (lambda: means.yuen([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], trim=0.5), "trim: 0.5 is no share"),
        (lambda: means.yuen([1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], trim=0.25), "canary: two different values"),
        (lambda: means.sample_size_for_rates(stable=0.1, canary=0.1), "there is nothing to find"),
        (lambda: means.sample_size_for_rates(stable=0, canary=0.1), "stable: 0 does not lie between"),
        (lambda: ranks.anderson_darling([1.0, 1.0], [1.0, 1.0]), "all values are equal"),
        (lambda: counts.fisher_exact(TwoCounts(5, 4, 1, 4)), "more events than requests"),
        (lambda: counts.poisson_e(TwoCounts(5, 0, 1, 4)), "canary_total: an arm without traffic"),
        (lambda: counts.poisson_e(TwoCounts(1, 2, 1, 2), factor=2, shift=1), "either a factor or a shift"),
        (lambda: counts.rate_ratio(TwoCounts(-1, 2, 1, 2)), "canary_events: a count is wanted, found -1"),
        (lambda: counts.mantel_haenszel([TwoCounts(0, 5, 0, 5)]), "no stratum has both outcomes"),
        (lambda: intervals.wilson(events=3, total=2), "3 out of 2 is no proportion"),
        (lambda: intervals.score_rate_ratio(TwoCounts(0, 5, 0, 5)), "no event in either arm"),
        (lambda: intervals.score_risk_ratio(TwoCounts(0, 5, 0, 5)), "no event in either arm"),
        (lambda: series.autocorrelation([1.0, 1.0], lags=1), "a constant series"),
        (lambda: series.newey_west_mean([1.0], lags=1), "more than 1 finite values are wanted, found 1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)


@settings(deadline=None)
@given(small, small)
def test_ranks_agree_with_scipy(x, y):
    if min(x) > max(y) or max(x) < min(y) or len({*x, *y}) == 1:
        return
    if len(set(x)) > 1 and len(set(y)) > 1:
        found, other = ranks.brunner_munzel(x, y), stats.brunnermunzel(x, y)
        assert (found.statistic, found.p) == pytest.approx((other.statistic, other.pvalue), nan_ok=True) or math.isnan(
            other.pvalue
        )
    else_ = ranks.mann_whitney(x, y, alternative="greater").p + ranks.mann_whitney(x, y, alternative="less").p
    assert else_ >= 1 - 1e-9  # both tails hold what was seen


def test_brunner_munzel_without_overlap_is_as_rare_as_the_permutation():
    # 3 and 3 values: 20 ways, and this is one of them
    assert ranks.brunner_munzel([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], alternative="greater").p == pytest.approx(1 / 20)
    assert ranks.brunner_munzel([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], alternative="less").p == 1
    assert ranks.brunner_munzel([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]).p == pytest.approx(1 / 10)


def test_the_alternatives_point_where_the_words_say():
    high, low = [float(v) for v in range(10, 30)], [float(v) for v in range(20)]
    for test in (ranks.mann_whitney, ranks.brunner_munzel, ranks.kolmogorov_smirnov, means.welch):
        assert test(high, low, alternative="greater").p < 0.01
        assert test(high, low, alternative="less").p > 0.9


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9).map(float), min_size=4, max_size=12), st.lists(st.integers(0, 9).map(float), min_size=4)
)
def test_the_shift_is_the_median_difference_and_lies_in_its_interval(x, y):
    middle, low, high = ranks.location_shift(x, y, confidence=0.9)
    assert middle == np.median([a - b for a, b in itertools.product(x, y)])
    assert (low is None) == (high is None)
    if low is not None:
        assert low <= middle <= high


def test_many_values_are_thinned_and_the_shift_stays():
    rng = np.random.default_rng(1)
    x, y = rng.normal(5, 1, 5000), rng.normal(3, 1, 5000)
    middle, low, high = ranks.location_shift(x, y)
    assert middle == pytest.approx(np.mean(x) - np.mean(y), abs=0.05)
    assert low < 2.0 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(2 / 5000), rel=0.1)  # efficiency 0.95


@settings(deadline=None)
@given(small, small)
def test_shares_moved_are_the_one_sided_distances(x, y):
    assert ranks.share_moved(x, y, upwards=True) == pytest.approx(
        max(0, stats.ks_2samp(x, y, alternative="less").statistic)
    )
    assert ranks.share_moved(x, y, upwards=True) == ranks.share_moved(y, x, upwards=False)


@settings(deadline=None)
@given(small, small)
def test_anderson_darling_is_scale_free_and_symmetric(x, y):
    if len({*x, *y}) < 2 or len(x) + len(y) < 5:
        return
    once = ranks.anderson_darling(x, y)
    assert ranks.anderson_darling(y, x) == pytest.approx(once)
    assert ranks.anderson_darling([v * 8 for v in x], [v * 8 for v in y]) == pytest.approx(once)


# --- counts


@given(st.integers(0, 12), st.integers(12, 20), st.integers(0, 12), st.integers(12, 20))
@settings(max_examples=50, deadline=None)
def test_fisher_agrees_with_scipy(x, m, y, n):
    table = [[x, y], [m - x, n - y]]
    for alternative in ("greater", "less"):
        found = counts.fisher_exact(TwoCounts(x, m, y, n), alternative=alternative)
        assert found == pytest.approx(stats.fisher_exact(table, alternative=alternative).pvalue, rel=1e-9)


@pytest.mark.parametrize("odds", [0.25, 1.0, 1.5, 8.0])
def test_fisher_never_exceeds_its_level(odds):
    """Every outcome of 8 and 12 requests enumerated, at a stable rate of 0.3: P(p <= a) <= a."""
    m, n, q = 8, 12, 0.3
    canary = odds * q / (1 - q) / (1 + odds * q / (1 - q))
    for level in (0.01, 0.05, 0.2):
        for alternative in ("greater", "less"):
            rejected = sum(
                stats.binom.pmf(x, m, canary) * stats.binom.pmf(y, n, q)
                for x in range(m + 1)
                for y in range(n + 1)
                if counts.fisher_exact(TwoCounts(x, m, y, n), odds_ratio=odds, alternative=alternative) <= level
            )
            assert rejected <= level + 1e-12


def test_the_normal_form_of_fisher_joins_the_exact_one():
    exact = counts.fisher_exact(TwoCounts(500_500, 4 * 10**8, 498_000, 4 * 10**8))
    normal = counts.fisher_exact(TwoCounts(500_500, 6 * 10**8, 498_000, 6 * 10**8))
    assert normal == pytest.approx(exact, rel=0.005)


def test_a_wide_fisher_distribution_is_summed_where_it_lies():
    values, weights = counts.noncentral_hypergeometric(canary=10**6, stable=9 * 10**6, events=10**6, odds_ratio=1.5)
    assert len(values) < 50_000
    assert float(weights.sum()) == pytest.approx(1)
    # at the mean the odds of the four cells are the odds ratio, but for terms of 1/variance
    mean = float(values @ weights)
    left = mean * (9 * 10**6 - 10**6 + mean) / ((10**6 - mean) * (10**6 - mean))
    assert left == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "alternative"),
    # on the side that was seen; on the other scipy leaves out that neither arm has an event
    [(14, 60, "greater"), (3, 4, "greater"), (40, 0, "greater"), (0, 9, "less"), (2, 80, "less")],
)
def test_the_e_test_has_two_forms_that_agree(x, y, alternative):
    data = TwoCounts(x, 100, y, 900)
    assert counts.poisson_e(data, alternative=alternative).p == pytest.approx(
        counts.rate_ratio(data, method="e-wald", alternative=alternative).p, abs=1e-7
    )


def test_the_e_test_of_a_factor_is_that_of_a_shorter_exposure():
    assert (
        counts.poisson_e(TwoCounts(14, 100, 60, 900), factor=1.5).p == counts.poisson_e(TwoCounts(14, 100, 60, 600)).p
    )


@pytest.mark.parametrize(
    ("few", "many", "shift"),
    # below and just above where the grid ends; the exposure is moved so that the answer should not be
    [
        ((2900, 1e6, 2800, 1e6), (3100, 1e6, 3100 - 100 * math.sqrt(31 / 29), 1e6), 0.0),
        ((30, 1e4, 2e5, 1e8), (30, 1e4, 4e5, 2e8), 0.0),
        ((30, 1e4, 2e5, 1e8), (30, 1e4, 4e5, 2e8), 0.0001),
        ((400, 1e5, 2e4, 1e7), (400, 1e5, 2.4e4, 1.2e7), 0.0015),
    ],
)
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_many_events_join_the_grid(few, many, shift, alternative):
    grid = counts.poisson_e(TwoCounts(*few), shift=shift, alternative=alternative)
    beyond = counts.poisson_e(TwoCounts(*many), shift=shift, alternative=alternative)
    assert stats.norm.isf(beyond.p) == pytest.approx(stats.norm.isf(grid.p), abs=0.08)


@pytest.mark.parametrize("shift", [0.01, -0.01])
def test_a_shift_is_mirrored_with_the_arms(shift):
    there = counts.poisson_e(TwoCounts(14, 100, 60, 900), shift=shift, alternative="greater").p
    assert there == pytest.approx(
        counts.poisson_e(TwoCounts(60, 900, 14, 100), shift=-shift, alternative="less").p, rel=1e-6
    )


@pytest.mark.parametrize("method", ["score", "wald", "exact", "mid-p", "e-score", "e-wald"])
def test_rate_tests_are_monotone(method):
    more = [counts.rate_ratio(TwoCounts(x, 100, 30, 100), method=method).p for x in range(0, 80, 5)]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(more))
    assert counts.rate_ratio(TwoCounts(0, 100, 0, 100), method=method).p == 1


def test_mantel_haenszel_over_one_stratum_is_the_odds_ratio():
    chi, p, odds = counts.mantel_haenszel([TwoCounts(12, 100, 30, 500)])
    assert odds == pytest.approx((12 / 88) / (30 / 470))
    assert p == pytest.approx(stats.chi2.sf(chi, 1))


# --- intervals


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_score_interval_is_what_the_score_test_does_not_reject(x, y):
    if x + y == 0:
        return
    data = TwoCounts(x, 300, y, 700)
    low, high = intervals.score_rate_ratio(data, confidence=0.9)
    if x > 0:
        assert counts.rate_ratio(data, ratio=low, alternative="greater").p == pytest.approx(0.05, abs=1e-9)
    if y > 0:
        assert counts.rate_ratio(data, ratio=high, alternative="less").p == pytest.approx(0.05, abs=1e-9)
    assert (low == 0) == (x == 0)
    assert (high is None) == (y == 0)


def test_the_risk_ratio_interval_of_koopmans_example():
    # Koopman (1984): 36 of 40 against 16 of 80; the published 95% limits are 2.94 and 7.15
    low, high = intervals.score_risk_ratio(TwoCounts(36, 40, 16, 80))
    assert (low, high) == pytest.approx((2.94, 7.15), abs=0.006)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 50))
def test_the_risk_ratio_is_mirrored_with_the_arms(x, y):
    if x + y == 0:
        return
    low, high = intervals.score_risk_ratio(TwoCounts(x, 30, y, 50))
    back_low, back_high = intervals.score_risk_ratio(TwoCounts(y, 50, x, 30))
    if high is not None:
        assert back_low == pytest.approx(1 / high, rel=1e-6)
    if low > 0:
        assert back_high == pytest.approx(1 / low, rel=1e-6)


def test_at_small_rates_risks_and_rates_have_one_interval():
    data = TwoCounts(14, 10**6, 60, 9 * 10**6)
    assert intervals.score_risk_ratio(data) == pytest.approx(intervals.score_rate_ratio(data), rel=1e-4)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(1, 50))
def test_proportions_lie_in_their_intervals(x, rest):
    n = x + rest
    for interval in (intervals.wilson, intervals.clopper_pearson):
        low, high = interval(events=x, total=n)
        assert 0 <= low <= x / n <= high <= 1
    # the exact one is the wider, but at the ends
    assert intervals.clopper_pearson(events=x, total=n)[1] >= intervals.wilson(events=x, total=n)[1] - 0.02


# --- series


def test_an_alternating_series():
    assert series.autocorrelation([1.0, -1.0] * 50, lags=2) == pytest.approx((1, -0.99, 0.98))


def test_white_noise_error_without_lags_is_the_usual_one():
    data = [float(v) for v in (3, 1, 4, 1, 5, 9, 2, 6)]
    mean, error = series.newey_west_mean(data, lags=0)
    assert (mean, error) == pytest.approx((np.mean(data), np.std(data) / math.sqrt(len(data))))
