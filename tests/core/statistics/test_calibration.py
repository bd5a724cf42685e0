"""What a look-back teaches. Series are seeded; figures are those of the processes they were drawn from."""

import math

import numpy as np
import pytest

from analysis_service.core.statistics import calibration
from analysis_service.core.statistics.calibration import calibrate_counts, calibrate_gauge
from analysis_service.core.statistics.plan import Margin


def ar1(phi: float, n: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n)
    series = np.empty(n)
    series[0] = noise[0] / math.sqrt(1 - phi * phi)
    for i in range(1, n):
        series[i] = phi * series[i - 1] + noise[i]
    return series


def test_acf_and_yule_walker_agree_at_order_one() -> None:
    series = ar1(0.6, 400, seed=2)
    r = calibration.acf(series, 3)
    (phi,), variance = calibration.yule_walker(series, 1)
    assert phi == pytest.approx(r[1], rel=1e-12)
    assert variance == pytest.approx(series.var() * (1 - r[1] ** 2) * 400 / 398, rel=1e-12)
    assert r[0] == 1.0
    assert abs(r[1] - 0.6) < 0.1


@pytest.mark.parametrize("series", [[], [1.0], [2.0] * 50, [math.nan] * 9, [math.inf, 1.0]])
def test_nothing_to_learn_from(series: list[float]) -> None:
    assert calibration.acf(series, 2)[0] == 1.0
    assert 0.0 <= calibration.autocorrelation(series) <= 0.98
    assert calibration.long_run_factor(series) == 1.0
    assert calibration.fences(series) is None
    assert calibrate_gauge(series, series, Margin(relative=0.2))[0].fence_low is None
    assert calibrate_counts(np.zeros((0, 2)), np.zeros((0, 2))).points == 0


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelation_leans_up(phi: float) -> None:
    found = [calibration.autocorrelation(ar1(phi, 360, seed)) for seed in range(60)]
    assert np.mean(found) >= phi
    assert np.mean(np.array(found) >= phi) >= 0.6  # three quarters of a standard error up


def test_memory_hidden_by_white_noise_is_seen() -> None:
    """Half white noise, half AR(.9): r1 is .45 and r2 .405, whose square root is .64."""
    found = []
    for seed in range(40):
        slow, noise = ar1(0.9, 720, seed), np.random.default_rng(500 + seed).normal(size=720)
        found.append(calibration.autocorrelation(slow / slow.std() + noise))
    assert np.mean(found) >= 0.6


@pytest.mark.parametrize(
    ("rate", "clump", "low", "high"),
    [
        (30.0, 1, 1.0, 1.03),  # dense and independent
        (0.03, 1, 1.0, 1.15),  # so few that one look with two events looks like dispersion
        (0.03, 5, 3.0, 9.0),  # few, but in clumps: seen all the same
    ],
)
def test_dispersion_is_not_made_of_chance(rate: float, clump: int, low: float, high: float) -> None:
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        canary, stable = (clump * rng.poisson(share * rate / clump, 720) for share in (1.0, 9.0))
        totals = [np.full(720, n) for n in (30.0, 270.0)]
        found.append(calibrate_counts(np.stack((canary, totals[0]), 1), np.stack((stable, totals[1]), 1)).dispersion)
    assert low <= np.mean(found) <= high


def test_a_slow_component_under_white_noise_is_seen() -> None:
    """Half white noise, half AR(.8): r1 is .4, yet the long-run factor is 1 + 2 * .5 * .8 / .2 = 5."""
    factors = []
    for seed in range(40):
        slow = ar1(0.8, 360, seed)
        noise = np.random.default_rng(1000 + seed).normal(size=360) * slow.std()
        factors.append(calibration.long_run_factor(slow + noise))
    assert 5.0 <= np.mean(factors) <= 14.0
    assert calibration.long_run_factor(np.random.default_rng(3).normal(size=360)) == 1.0


@pytest.mark.parametrize(("cv", "low", "high"), [(0.0, 1.0, 1.15), (0.7, 2.0, 9.0)])
def test_dispersion_of_bursts(cv: float, low: float, high: float) -> None:
    rng = np.random.default_rng(4)
    k = 1 / cv**2 if cv else 0
    bursts = [rng.gamma(k, 1 / k, 360) if cv else np.ones(360) for _ in range(2)]
    canary = np.column_stack((rng.poisson(3 * bursts[0]), np.full(360, 300)))
    stable = np.column_stack((rng.poisson(27 * bursts[1]), np.full(360, 2700)))
    found = calibrate_counts(canary, stable)
    assert low <= found.dispersion <= high
    assert found.long_run == 1.0 or not cv
    assert found.baseline == pytest.approx(0.01, rel=0.3)
    assert found.sufficient


def test_counts_with_holes_are_left_out() -> None:
    canary = [[1.0, 100.0], [math.nan, 100.0], [0.0, 0.0], [2.0, 100.0]]
    stable = [[9.0, 900.0]] * 4
    assert calibrate_counts(canary, stable).points == 2


def test_gauge_fences_and_scale() -> None:
    rng = np.random.default_rng(5)
    stable = rng.lognormal(0, 0.05, 400)
    canary = stable * rng.lognormal(0, 0.1, 400)
    canary[::50] *= 100  # spikes
    found, differences = calibrate_gauge(canary, stable, Margin(relative=0.2))
    assert found.log_ratio
    assert differences == pytest.approx(np.log(canary / stable))
    assert found.fence_high is not None
    assert 0.2 < found.fence_high < 0.4  # three times 0.1
    assert 0.05 < found.scale < 0.15
    assert not calibrate_gauge(canary - 5, stable, Margin(relative=0.2))[0].log_ratio
    assert not calibrate_gauge(canary, stable, Margin(absolute=0.1))[0].log_ratio


def test_pod_offsets_become_a_floor() -> None:
    rng = np.random.default_rng(6)
    offsets = rng.normal(size=10) * 0.5
    pods = [offset + rng.normal(size=300) for offset in offsets]
    tau = calibration.pod_offset_sd(pods)
    assert tau == pytest.approx(float(np.std(offsets, ddof=1)), rel=0.3)
    assert calibration.pod_offset_sd([rng.normal(size=300) for _ in range(10)]) < 0.05
    assert calibration.pod_offset_sd([[1.0, 2.0, 3.0, 4.0]]) == 0.0
    # t(.99, 9) = 2.8214 (R: qt(.99, 9))
    assert calibration.noise_floor(0.5, 10, 1, 9) == pytest.approx(2.821438 * 0.5 * math.sqrt(1 + 1 / 9), rel=1e-6)
    assert calibration.noise_floor(0.0, 10, 1, 9) == 0.0


def test_newey_west_without_lags_is_the_plain_error() -> None:
    series = ar1(0.3, 50)
    mean, error = calibration.newey_west_mean(series, 0)
    assert mean == pytest.approx(series.mean())
    assert error == pytest.approx(series.std() / math.sqrt(50))
