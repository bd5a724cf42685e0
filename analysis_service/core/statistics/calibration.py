"""What a look-back over the stable version teaches: dispersion, autocorrelation, fences, pod offsets.

Pure functions over arrays; fetching the history is the shell's business. Pairs here are *placebo* pairs of the
canary's shape: as many of stable's own pods as the canary has, against the rest. Estimates lean to the safe side,
because an underestimated dispersion costs false alarms at every look that follows.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .plan import Calibration, Margin, room_of

Array = NDArray[np.float64]

LONGEST_MEMORY = 0.98  # autocorrelation is capped here: beyond it a look-back of hours cannot tell it from drift
MAD_TO_SD = 1.4826  # of a normal distribution
FENCE_MADS = 3.0  # a normal loses no power; heavy tails need close fences
LEAN = 0.75  # standard errors that a memory is taken for longer than it looks: a whole one costs delay, half one alarms
REQUIRED_POINTS = 60  # intervals of a look-back from which it calibrates
WANTED_POINTS = 180  # from which slow noise has shown: rates in bursts of AR .8 false-alarm 25, 15, 7 % at 60, 90, 120
FALLBACK_AUTOCORRELATION = 0.5  # assumed of a gauge without history


def _finite(series: ArrayLike) -> Array:
    values = np.asarray(series, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def acf(series: ArrayLike, lags: int) -> list[float]:
    """Autocorrelations at lags 0..lags, denominators n (as R's acf and statsmodels). Constant series: 1, 0, 0 ..."""
    values = _finite(series)
    n = len(values)
    if n == 0:
        return [1.0] + [0.0] * lags
    centred = values - values.mean()
    variance = float(centred @ centred)
    if variance <= 0.0:
        return [1.0] + [0.0] * lags
    return [1.0] + [float(centred[h:] @ centred[: n - h]) / variance if h < n else 0.0 for h in range(1, lags + 1)]


def yule_walker(series: ArrayLike, order: int) -> tuple[list[float], float]:
    """AR coefficients and innovation variance (R's ar.yw: variance scaled by n / (n - order - 1))."""
    values = _finite(series)
    n = len(values)
    r = acf(values, order)
    matrix = np.array([[r[abs(i - j)] for j in range(order)] for i in range(order)])
    coefficients = np.linalg.lstsq(matrix, np.array(r[1:]), rcond=None)[0]
    variance = float(values.var()) * (1.0 - float(coefficients @ np.array(r[1:])))
    return [float(c) for c in coefficients], variance * n / max(n - order - 1, 1)


def newey_west_mean(series: ArrayLike, max_lag: int) -> tuple[float, float]:
    """Mean and its standard error, Bartlett weights, no small-sample correction. Source: Newey & West (1987)."""
    values = _finite(series)
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    centred = values - values.mean()
    total = float(centred @ centred)
    for h in range(1, min(max_lag, n - 1) + 1):
        total += 2.0 * (1.0 - h / (max_lag + 1.0)) * float(centred[h:] @ centred[:-h])
    return float(values.mean()), math.sqrt(max(total, 0.0)) / n


def autocorrelation(series: ArrayLike) -> float:
    """AR(1) parameter, leaning upwards: r1, Kendall's bias correction, LEAN standard errors.

    sqrt(r2) instead where it is larger beyond chance (the second partial autocorrelation): it sees through white noise
    on top of a slow component (ARMA(1,1)), which halves r1.
    Source: Kendall (1954) for the bias (1 + 3 rho) / n.
    """
    values = _finite(series)
    n = len(values)
    if n < 4:
        return FALLBACK_AUTOCORRELATION
    _, r1, r2 = acf(values, 2)
    rho = max(r1, 0.0)
    if rho > 0 and r2 - r1 * r1 > (1.0 - r1 * r1) / math.sqrt(n):
        rho = max(rho, math.sqrt(r2))
    rho += (1.0 + 3.0 * rho) / n + LEAN * math.sqrt(max(1.0 - rho * rho, 0.0) / n)
    return min(rho, LONGEST_MEMORY)


def correlated(series: ArrayLike) -> bool:
    """Is the lag-1 correlation beyond what white noise shows (2 / sqrt n)?"""
    values = _finite(series)
    return len(values) >= 4 and acf(values, 1)[1] > 2.0 / math.sqrt(len(values))


def long_run_factor(series: ArrayLike) -> float:
    """Long-run variance over the variance of one point; see `long_run`."""
    return long_run(series)[0]


def long_run(series: ArrayLike, memory: float = 0.0) -> tuple[float, float]:
    """(factor, memory): long-run variance over the variance of one point, 1 + 2 r1 / (1 - memory), leaning upwards.

    White noise on top of a slow component (an ARMA(1,1)) lowers every autocorrelation alike, so the component's memory
    is read from their decay, (r2 + ... + r6) / (r1 + ... + r5), after taking off the bias that a short series has
    (each r is low by about the factor / n). (1, 0) when the series is not correlated: a memory that is not there only
    costs power. memory: known from elsewhere, for a series that shows none of its own.
    """
    values = _finite(series)
    n, seen = len(values), correlated(values)
    if n < 4 or not (memory or seen):
        return 1.0, 0.0
    r = acf(values, 6)
    factor, rho = 1.0, 0.0
    for _ in range(3):  # the bias depends on the factor: it settles at once
        bias = min(factor / n, 0.1)
        decay = sum(r[2:7]) + 5 * bias, sum(r[1:6]) + 5 * bias
        rho = max(decay[0] / decay[1] if decay[1] > 0 else 0.0, 0.0)
        rho = max(rho + math.sqrt(max(1.0 - rho * rho, 0.0) / n), autocorrelation(values)) if seen else memory
        rho = min(rho, LONGEST_MEMORY)
        first = min(max(r[1] + bias, 0.0) + (1.0 / math.sqrt(n) if seen else 0.0), LONGEST_MEMORY)
        factor = 1.0 + 2.0 * first / (1.0 - rho)
    return factor, rho


def prewhitened_deviation(scale: float, phi: float, lag_one: float | None) -> float:
    """The standard deviation of (d_t - phi d_{t-1}) / (1 - phi), from that of d_t and its lag-1 correlation.

    lag_one None: phi is the correlation.
    """
    lag_one = phi if lag_one is None else lag_one
    return scale * math.sqrt(max(1.0 + phi * phi - 2.0 * phi * lag_one, 0.0)) / (1.0 - phi)


def fences(series: ArrayLike) -> tuple[float, float] | None:
    """Winsor fences: median -+ FENCE_MADS (scaled to a standard deviation). None without spread."""
    values = _finite(series)
    if len(values) == 0:
        return None
    median = float(np.median(values))
    mad = MAD_TO_SD * float(np.median(np.abs(values - median)))
    return (median - FENCE_MADS * mad, median + FENCE_MADS * mad) if mad > 0 else None


def dispersion(residual_squares: ArrayLike, variances: ArrayLike) -> float:
    """Pearson dispersion as a ratio of sums plus one standard error, at least 1.

    residual_squares: (x_c - x w)^2 per interval; variances: x w (1 - w).
    1 as long as independent events would show as much (their own standard error): the fewer they are, the larger is
    that error, and tempering for it costs a multiple of the delay.
    """
    squares, expected = np.asarray(residual_squares, float), np.asarray(variances, float)
    keep = np.isfinite(squares) & np.isfinite(expected) & (expected > 0)
    squares, expected = squares[keep], expected[keep]
    if len(squares) < 2:
        return 1.0
    phi = float(squares.sum() / expected.sum())
    error = float(np.sqrt(((squares - phi * expected) ** 2).sum()) / expected.sum())
    chance = float(np.sqrt((2.0 * expected**2 + expected).sum()) / expected.sum())
    return phi + error if phi > 1.0 + chance else 1.0


def pod_offset_sd(pods: Sequence[ArrayLike]) -> float:
    """Between-pod standard deviation of long-run means, the part that sampling explains taken off.

    pods: one series per pod, same unit, one value per interval; the sampling variance of a pod's mean counts its
    autocorrelation.
    """
    series = [values for values in (_finite(p) for p in pods) if len(values) >= 4]
    if len(series) < 2:
        return 0.0
    means = np.array([values.mean() for values in series])
    sampling = [float(values.var(ddof=1)) / len(values) * _memory(values) for values in series]
    return math.sqrt(max(float(means.var(ddof=1)) - float(np.mean(sampling)), 0.0))


def _memory(values: Array) -> float:
    rho = max(acf(values, 1)[1], 0.0)
    return (1.0 + rho) / (1.0 - min(rho, LONGEST_MEMORY))


def noise_floor(tau: float, pods_seen: int, canary_pods: int, stable_pods: int) -> float:
    """What an innocent canary may differ by: t(.99, pods - 1) tau sqrt(1/n_c + 1/n_s), in tau's unit.

    Spends .01 of the false-alarm budget; see `budget.FLOOR_ALPHA`.
    """
    if tau <= 0.0 or pods_seen < 2 or canary_pods < 1 or stable_pods < 1:
        return 0.0
    from scipy.special import stdtrit  # not imported before somebody has pods to compare

    quantile = float(stdtrit(pods_seen - 1, 0.99))
    return quantile * tau * math.sqrt(1.0 / canary_pods + 1.0 / stable_pods)


def calibrate_counts(canary: ArrayLike, stable: ArrayLike) -> Calibration:
    """Placebo pairs of counts: two arrays of shape (L, 2), (events, total) per interval."""
    c, s = np.asarray(canary, float).reshape(-1, 2), np.asarray(stable, float).reshape(-1, 2)
    n = min(len(c), len(s))
    c, s = c[:n], s[:n]
    keep = np.isfinite(c).all(axis=1) & np.isfinite(s).all(axis=1) & (c[:, 1] > 0) & (s[:, 1] > 0)
    c, s = c[keep], s[keep]
    if len(c) == 0:
        return Calibration()
    w = c[:, 1] / (c[:, 1] + s[:, 1])
    x = c[:, 0] + s[:, 0]
    found = calibrate_scores(c[:, 0] - x * w, x * w * (1.0 - w))
    return msgspec.structs.replace(found, baseline=float(s[:, 0].sum() / s[:, 1].sum()))


def calibrate_scores(scores: Array, expected: Array, memory: float = 0.0) -> Calibration:
    """Noise of scores x_c - w x with these variances under independence, shape (L,), L >= 1. memory: see `long_run`."""
    standard = scores / np.sqrt(np.maximum(expected, expected.mean() / 10 if expected.any() else 1.0))
    factor, memory = long_run(standard, memory)
    return Calibration(
        points=len(scores),
        dispersion=dispersion(scores**2, expected),
        autocorrelation=autocorrelation(standard),
        long_run=factor,
        memory=memory,
        scale=float(np.std(scores)),
    )


def calibrate_gauge(
    canary: ArrayLike, stable: ArrayLike, margin: Margin, *, floor: float = 0.0
) -> tuple[Calibration, Array]:
    """(calibration, differences) of a placebo pair of a gauge, shape (L,) each, equal times.

    floor: see `noise_floor`, in the differences' unit. margin: of the comparison: differences are log ratios when it
    can be told of them and every value is positive, and its size is the room that a run leaves beyond the fences.
    The differences are those of the intervals that both have, as they were: not winsorised.
    """
    c, s = np.asarray(canary, float).ravel(), np.asarray(stable, float).ravel()
    n = min(len(c), len(s))
    c, s = c[:n], s[:n]
    keep = np.isfinite(c) & np.isfinite(s)
    c, s = c[keep], s[keep]
    if len(c) == 0:
        return Calibration(), c
    log_ratio = margin.of_ratios and bool((c > 0).all() and (s > 0).all())
    differences = np.log(c / s) if log_ratio else c - s
    limits, baseline = fences(differences), float(np.median(s))
    clipped = differences
    if limits:
        room = room_of(margin, baseline, log_ratio=log_ratio)
        clipped = np.clip(differences, limits[0] - room, limits[1] + room)
    found = Calibration(
        points=len(c),
        autocorrelation=autocorrelation(clipped),
        long_run=long_run_factor(clipped),
        fence_low=limits[0] if limits else None,
        fence_high=limits[1] if limits else None,
        noise_floor=floor,
        log_ratio=log_ratio,
        scale=float(clipped.std()),
        lag_one=acf(clipped, 1)[1],
        baseline=baseline,
    )
    return found, differences
