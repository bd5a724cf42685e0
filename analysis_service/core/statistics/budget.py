"""Dividing the chance of a false alarm over metrics, and reading many e-values together.

FAIL: metric j gets alpha w_j / sum(w); by Ville's inequality the whole rollout then errs with at most alpha, whatever
the dependence between metrics and however often one looks. PASS needs every metric (intersection-union): beta each.
Source: Wang & Ramdas (2022), JRSSB 84, for e-BH.
"""

import math
from collections.abc import Sequence

CRITICAL_SHARE = 0.8  # of alpha, for the metrics marked critical, when there are others


def split_alpha(alpha: float, weights: Sequence[float], critical: Sequence[bool] | None = None) -> list[float]:
    """Each metric's share of alpha. Weights that are not positive numbers count as 1.

    critical: same length; if some but not all are critical they share CRITICAL_SHARE, each group by weight.
    """
    clean = [w if math.isfinite(w) and w > 0 else 1.0 for w in weights]
    marks = list(critical) if critical is not None else [False] * len(clean)
    if any(marks) and not all(marks):
        totals = {mark: math.fsum(w for w, m in zip(clean, marks, strict=True) if m == mark) for mark in (True, False)}
        parts = {True: CRITICAL_SHARE, False: 1.0 - CRITICAL_SHARE}
        return [alpha * parts[m] * w / totals[m] for w, m in zip(clean, marks, strict=True)]
    total = math.fsum(clean)
    return [alpha * w / total for w in clean]


def step_alpha(alpha: float, step: int) -> float:
    """For users who start afresh at each weight step s = 1, 2, ...: 6 alpha / (pi s)^2 sums to alpha."""
    return 6.0 * alpha / (math.pi * max(step, 1)) ** 2


def e_bh(log_e: Sequence[float], alpha: float) -> list[int]:
    """Indices of the metrics that e-BH reports at false discovery rate alpha, strongest first."""
    order = sorted(range(len(log_e)), key=lambda i: -log_e[i])
    m, k = len(order), 0
    for rank, i in enumerate(order, start=1):
        if log_e[i] >= math.log(m / (alpha * rank)) - 1e-12:
            k = rank
    return order[:k]


def global_log_e(log_e: Sequence[float]) -> float:
    """Log of the mean e-value: evidence that *some* metric is harmed, under any dependence. 0 for none."""
    if not log_e:
        return 0.0
    top = max(log_e)
    return top + math.log(math.fsum(math.exp(v - top) for v in log_e) / len(log_e))
