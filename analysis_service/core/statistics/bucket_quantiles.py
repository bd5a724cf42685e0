"""Quantiles of both arms from their buckets, and the interval of their ratio; for people, and for absolute floors.

Source for the intervals: Howard & Ramdas (2022).
"""

import math

from .boundaries import beta_binomial_log_mixture, beta_binomial_precision
from .evidence import QuantileEstimate
from .plan import Plan

REPORTED = (0.5, 0.95, 0.99)
T_OPT = 1000.0  # observations at which the intervals are tightest


def quantile(edges: tuple[float, ...], counts: tuple[float, ...], q: float) -> float | None:
    """Linear inside the bucket; the last edge when the quantile lies above all edges, as Prometheus."""
    target, seen = q * sum(counts), 0.0
    if target <= 0.0:
        return None
    for i, count in enumerate(counts[:-1]):
        if seen + count >= target and count > 0:
            low = edges[i - 1] if i > 0 else min(0.0, edges[0])
            return low + (edges[i] - low) * (target - seen) / count
        seen += count
    return edges[-1]


def _interval(
    edges: tuple[float, ...], counts: tuple[float, ...], q: float, alpha: float, temper: float
) -> tuple[float | None, float | None]:
    """Edges between which the quantile lies at every look: those whose share below is not told apart from q."""
    n = sum(counts) / temper
    if n <= 0.0:
        return None, None
    r = beta_binomial_precision(T_OPT * q * (1 - q), 0.05, q, 1 - q)
    threshold = math.log(1.0 / alpha)
    below, lower, upper = 0.0, None, None
    for i, edge in enumerate(edges):
        below += counts[i] / temper
        share = below / n
        log_e = beta_binomial_log_mixture((share - q) * n, q * (1 - q) * n, r, q, 1 - q)
        if log_e >= threshold and share < q:
            lower = edge
        if log_e >= threshold and share > q and upper is None:
            upper = edge
    return lower, upper


def quantiles(
    plan: Plan, edges: tuple[float, ...], canary: tuple[float, ...], stable: tuple[float, ...], temper: float
) -> tuple[QuantileEstimate, ...]:
    wanted = sorted({*REPORTED, *(q for q in plan.quantiles if 0 < q < 1)})
    return tuple(
        QuantileEstimate(
            q,
            quantile(edges, canary, q),
            *_interval(edges, canary, q, plan.alpha / 2, temper),
            quantile(edges, stable, q),
            *_interval(edges, stable, q, plan.alpha / 2, temper),
        )
        for q in wanted
    )


def ratio_interval(found: tuple[QuantileEstimate, ...], q: float) -> tuple[float | None, float | None]:
    at = next((item for item in found if item.q == q), None)
    if at is None:
        return None, None
    lower = upper = None
    if at.canary_lower is not None and at.stable_upper:
        lower = at.canary_lower / at.stable_upper
    if at.canary_upper is not None and at.stable_lower:
        upper = at.canary_upper / at.stable_lower
    return lower, upper
