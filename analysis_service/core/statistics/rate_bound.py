"""The rate of one arm alone: how high it may be, for absolute floors and objectives."""

import math


def rate_upper(events: float, total: float, beta: float, temper: float) -> float | None:
    """Upper confidence sequence of one arm's rate (events per unit of total), tempered by phi.

    Poisson likelihood ratios against each rate, mixed over rates with the prior Gamma(1/2, 1 per unit of total);
    valid for requests that fail independently too, conservatively. None without exposure.
    """
    if total <= 0:
        return None
    x, n = events / temper, total / temper
    threshold = math.log(1.0 / beta)
    constant = math.lgamma(x + 0.5) - math.lgamma(0.5) - (x + 0.5) * math.log(n + 1.0)

    def log_e(rate: float) -> float:
        return constant - (x * math.log(rate) if x else 0.0) + n * rate

    low = (x or 1e-12) / n
    high = low
    while log_e(high) < threshold:
        high *= 2.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if log_e(middle) < threshold:
            low = middle
        else:
            high = middle
    return high
