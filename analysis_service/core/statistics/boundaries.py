"""Uniform boundaries and mixture supermartingales: the building blocks of one-sample confidence sequences.

s is a centred sum, v its variance process; log_mixture(s, v) is the log of a nonnegative supermartingale started
at 1, and the bound at alpha is the s at which it reaches log(1/alpha).

Sources: Howard, Ramdas, McAuliffe & Sekhon (2021), Ann. Statist. 49; Howard & Ramdas (2022), Bernoulli 28 for
quantiles and empirical processes. Agrees with the confseq C++ library to its own root tolerance.
"""

import math
from collections.abc import Callable
from functools import lru_cache


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def best_rho(v_opt: float, alpha: float, *, one_sided: bool = False) -> float:
    """The mixture's precision that makes the bound about tightest at variance v_opt."""
    a = 2 * alpha if one_sided else alpha
    return v_opt / (2 * math.log(1 / a) + math.log1p(2 * math.log(1 / a)))


def log_normal_cdf(z: float) -> float:
    if z > -30.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2 * math.pi) + math.log1p(-1.0 / (z * z))


def normal_log_mixture(s: float, v: float, rho: float, *, one_sided: bool) -> float:
    """Normal (two-sided) or half-normal (one-sided) mixture for sub-Gaussian sums."""
    core = s * s / (2 * (v + rho))
    if not one_sided:
        return 0.5 * math.log(rho / (v + rho)) + core
    return 0.5 * math.log(4 * rho / (v + rho)) + core + log_normal_cdf(s / math.sqrt(v + rho))


def normal_bound(v: float, alpha: float, rho: float, *, one_sided: bool) -> float:
    if not one_sided:
        return math.sqrt((v + rho) * (math.log1p(v / rho) + 2 * math.log(1 / alpha)))
    return root_bound(lambda s: normal_log_mixture(s, v, rho, one_sided=True), v, alpha)


def root_bound(log_mixture: Callable[[float], float], v: float, alpha: float, top: float | None = None) -> float:
    """The s >= 0 at which an increasing log mixture reaches log(1/alpha); `top` where s cannot be larger."""
    threshold = math.log(1 / alpha)
    if top is None:
        top = max(v, 1e-12)
        while log_mixture(top) <= threshold:
            top *= 2
    elif log_mixture(top) < threshold:
        return top
    low, high = 0.0, top
    for _ in range(80):
        middle = 0.5 * (low + high)
        if log_mixture(middle) < threshold:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def gamma_exponential_log_mixture(s: float, v: float, rho: float, c: float) -> float:
    """For sub-exponential sums with scale c."""
    from scipy.special import gammainc

    k, a, shape = rho / c**2, (c * s + v) / c**2, (v + rho) / c**2
    lead = k * math.log(k) - math.lgamma(k) - math.log(float(gammainc(k, k)))
    return lead + math.lgamma(shape) + math.log(float(gammainc(shape, a + k))) - shape * math.log(a + k) + a


def gamma_poisson_log_mixture(s: float, v: float, rho: float, c: float) -> float:
    """For sub-Poisson sums with jumps up to c."""
    from scipy.special import gammaincc

    k, shape = rho / c**2, (v + rho) / c**2
    a = s / c + shape
    lead = k * math.log(k) - math.lgamma(k) - math.log(float(gammaincc(k, k)))
    return lead + math.lgamma(a) + math.log(float(gammaincc(a, shape))) - a * math.log(shape) + v / c**2


def beta_binomial_precision(v_opt: float, alpha: float, g: float, h: float, *, one_sided: bool = False) -> float:
    return max(best_rho(v_opt, alpha, one_sided=one_sided) - g * h, 1e-3 * g * h)


def beta_binomial_log_mixture(s: float, v: float, r: float, g: float, h: float, *, one_sided: bool = False) -> float:
    """For sums of steps that lie in [-g, h] (a Bernoulli minus its p: g = p, h = 1 - p).

    one_sided: only means above zero count as alternatives; valid for every mean <= 0 then.
    """
    span = g + h
    # At the edge of what is possible (every step up, or every step down) the argument is r over a product: positive.
    a = max((r + v - g * s) / (g * span), 1e-300)
    b = max((r + v + h * s) / (h * span), 1e-300)
    a0, b0 = r / (g * span), r / (h * span)
    value = (
        v / (g * h) * math.log(span)
        - (v + h * s) / (h * span) * math.log(g)
        - (v - g * s) / (g * span) * math.log(h)
        + _log_beta(a, b)
        - _log_beta(a0, b0)
    )
    if one_sided:
        from scipy.special import betainc

        value += math.log(max(float(betainc(a, b, h / span)), 1e-300)) - math.log(float(betainc(a0, b0, h / span)))
        if s <= 0:  # a sum on the null's side is never evidence, also where the tail underflows
            value = min(value, 0.0)
    return value


def beta_binomial_bound(v: float, alpha: float, r: float, g: float, h: float) -> float:
    return root_bound(lambda s: beta_binomial_log_mixture(s, v, r, g, h), v, alpha, top=v / g)


def bernoulli_interval(
    successes: float, trials: float, alpha: float, t_opt: float, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """Two-sided confidence sequence of a probability. The mixture's precision follows the tested p, as published."""
    if trials <= 0:
        return 0.0, 1.0
    share = min(max(successes / trials, 0.0), 1.0)
    threshold = math.log(1 / alpha)

    def excess(p: float) -> float:
        v = p * (1 - p)
        r = beta_binomial_precision(v * t_opt, alpha_opt, p, 1 - p)
        return beta_binomial_log_mixture((share - p) * trials, v * trials, r, p, 1 - p) - threshold

    def end(outer: float, inner: float) -> float:
        for _ in range(60):
            middle = 0.5 * (outer + inner)
            if middle in (outer, inner):
                break
            if not 0.0 < middle < 1.0 or excess(middle) > 0:
                outer = middle
            else:
                inner = middle
        return 0.5 * (outer + inner)

    return (end(0.0, share) if share > 0 else 0.0), (end(1.0, share) if share < 1 else 1.0)


@lru_cache(maxsize=64)
def zeta(s: float) -> float:
    """Riemann's zeta for s > 1: the sum to 30 terms and Euler-Maclaurin for the rest (about 1e-15)."""
    n = 30
    total: float = math.fsum(k**-s for k in range(1, n))
    total += n ** (1 - s) / (s - 1) + 0.5 * n**-s
    term, power = s * n ** (-s - 1), n**-2.0
    for factor in (1 / 12, -(s + 1) * (s + 2) / 720, (s + 1) * (s + 2) * (s + 3) * (s + 4) / 30240):
        total += float(factor * term)
        term *= power
    return float(total)


def _epochs(eta: float) -> tuple[float, float]:
    return (eta**0.25 + eta**-0.25) / math.sqrt(2), (math.sqrt(eta) + 1) / 2


def poly_stitching_bound(
    v: float, alpha: float, v_min: float, *, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> float:
    """Closed-form bound at the rate of the law of the iterated logarithm."""
    k1, k2 = _epochs(eta)
    v = max(v, v_min)
    ell = s * math.log(math.log(eta * v / v_min)) + math.log(zeta(s) / (alpha * math.log(eta) ** s))
    slope = k2 * c * ell
    return math.sqrt(k1 * k1 * v * ell + slope * slope) + slope


def double_stitching_bound(
    p: float, t: float, alpha: float, t_opt: float, *, delta: float = 0.5, s: float = 1.4, eta: float = 2.0
) -> float:
    """Bound on t (F_t(Q(p)) - p), uniformly over all p and t: bands for every quantile at once."""
    k1, k2 = _epochs(eta)
    t = max(t, t_opt)
    odds = math.log(p / (1 - p))
    shifted = odds + 2 * delta * math.sqrt(t_opt * eta / t)
    r = p if p >= 0.5 else min(0.5, 1 / (1 + math.exp(-shifted)))
    variance = r * (1 - r)
    j = math.sqrt(t / t_opt) * abs(odds) / (2 * delta) + 1
    z = zeta(s)
    ell = s * math.log(math.log(eta * t / t_opt)) + s * math.log(j)
    ell += math.log(2 * z * (2 * z + 1) / (alpha * math.log(eta) ** s))
    slope = k2 * (1 - 2 * p) / 3 * ell
    return (
        delta * math.sqrt(eta * t * variance / t_opt) + math.sqrt(k1 * k1 * variance * t * ell + slope * slope) + slope
    )


def lil_error(c: float, a: float = 0.85) -> float:
    """Chance that the band a sqrt((log(1 + log(t / t_min)) + c) / t) ever misses the distribution, bounded."""

    def error(eta: float) -> float:
        gamma = 2 / eta * (a - math.sqrt(2 * (eta - 1) / c)) ** 2
        return math.inf if gamma <= 1 else 4 * math.exp(-gamma * c) * (1 + 1 / ((gamma - 1) * math.log(eta)))

    low, high = 1.0, 2 * a * a
    for _ in range(60):  # the largest eta that keeps the argument positive
        middle = 0.5 * (low + high)
        if math.sqrt(middle / 2) + math.sqrt(2 * (middle - 1) / c) < a:
            low = middle
        else:
            high = middle
    left, right = 1.0, low
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(80):  # golden section: the error has one minimum in between
        inner, outer = right - ratio * (right - left), left + ratio * (right - left)
        if error(inner) < error(outer):
            right = outer
        else:
            left = inner
    return error(0.5 * (left + right))


@lru_cache(maxsize=256)
def lil_constant(alpha: float, a: float = 0.85) -> float:
    """The constant at which the band's error is alpha."""
    low, high = 1.0, 10.0
    while lil_error(high, a) > alpha:
        high *= 2
    for _ in range(60):
        middle = 0.5 * (low + high)
        if lil_error(middle, a) > alpha:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def lil_band(t: float, alpha: float, *, t_min: float = 1.0, a: float = 0.85) -> float:
    """Half width of a band around the empirical distribution function that holds at every t >= t_min."""
    if t < t_min:
        return math.inf
    return a * math.sqrt((math.log1p(math.log(t / t_min)) + lil_constant(alpha, a)) / t)
