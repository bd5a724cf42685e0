"""One series' own dependence on its past: autocorrelation, and the error of a mean that allows for it."""

import math
from collections.abc import Sequence


def autocorrelation(values: Sequence[float], *, lags: int) -> tuple[float, ...]:
    """Correlation with itself at lag 0, 1, ... lags. values: shape (n,), n > lags, finite, not all equal.

    Raises ValueError. Source: Box and Jenkins; statsmodels acf(adjusted=False).
    """
    gaps = _gaps(values, lags)
    whole = math.fsum(g * g for g in gaps)
    if whole == 0:
        raise ValueError("a constant series has no correlation")
    return tuple(_product(gaps, lag) / whole for lag in range(lags + 1))


def newey_west_mean(values: Sequence[float], *, lags: int) -> tuple[float, float]:
    """(mean, standard error) of an autocorrelated series, with Bartlett weights up to `lags`.

    values: shape (n,), n > lags, finite. Biased downwards for short series with long memory. Raises ValueError.

    Source: Newey and West (1987), Econometrica 55, 703-708; statsmodels OLS, cov_type HAC, use_correction False.
    """
    gaps, n = _gaps(values, lags), len(values)
    total = _product(gaps, 0) + 2 * sum((1 - lag / (lags + 1)) * _product(gaps, lag) for lag in range(1, lags + 1))
    return math.fsum(values) / n, math.sqrt(max(total, 0.0)) / n


def _gaps(values: Sequence[float], lags: int) -> list[float]:
    if lags < 0 or len(values) <= lags or not all(math.isfinite(v) for v in values):
        raise ValueError(f"more than {lags} finite values are wanted, found {len(values)}")
    mean = math.fsum(values) / len(values)
    return [v - mean for v in values]


def _product(gaps: Sequence[float], lag: int) -> float:
    return math.fsum(a * b for a, b in zip(gaps, gaps[lag:], strict=False))
