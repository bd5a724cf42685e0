"""Many metrics at once: adjusted p-values, and the list that e-values allow.

A pass needs every metric, so it needs no correction; a fail does.
"""

from collections.abc import Sequence


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values: rejecting those at or below q keeps the expected share of false ones at q.

    p_values: shape (n,), in 0 to 1; the answer in the same order. For independent or positively dependent metrics.
    Raises ValueError.

    Source: Benjamini and Hochberg (1995), JRSS B 57, 289-300; statsmodels multipletests("fdr_bh").
    """
    ordered, n = _ordered(p_values), len(p_values)
    adjusted = [0.0] * n
    smallest = 1.0
    for rank in range(n, 0, -1):
        place = ordered[rank - 1]
        smallest = min(smallest, p_values[place] * n / rank)
        adjusted[place] = smallest
    return tuple(adjusted)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values: rejecting those at or below alpha keeps the chance of any false one at alpha.

    p_values: shape (n,), in 0 to 1; the answer in the same order. Under any dependence. Raises ValueError.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70; statsmodels multipletests("holm").
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(_ordered(p_values)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return tuple(adjusted)


def e_benjamini_hochberg(e_values: Sequence[float], *, alpha: float) -> tuple[int, ...]:
    """Which metrics may be listed as changed so that the expected share of false ones is at most alpha.

    e_values: shape (n,), 0 or more. Under any dependence, and at any stopping time if they are e-processes.
    Returns places in the input, the largest e-value first. Raises ValueError.

    Source: Wang and Ramdas (2022), JRSS B 84, 822-852.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: {alpha} does not lie between 0 and 1")
    if not all(e >= 0 for e in e_values):
        raise ValueError("an e-value is a number from 0 up")
    order = sorted(range(len(e_values)), key=lambda i: -e_values[i])
    kept = max((k for k in range(1, len(order) + 1) if k * e_values[order[k - 1]] * alpha >= len(order)), default=0)
    return tuple(order[:kept])


def mean_e_value(e_values: Sequence[float]) -> float:
    """Evidence that any of the metrics changed, under any dependence. Raises ValueError for none or a negative one."""
    if not e_values or not all(e >= 0 for e in e_values):
        raise ValueError("at least one e-value is wanted, each a number from 0 up")
    return sum(e_values) / len(e_values)


def _ordered(p_values: Sequence[float]) -> list[int]:
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p-value lies between 0 and 1")
    return sorted(range(len(p_values)), key=lambda i: p_values[i])
