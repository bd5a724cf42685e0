"""The effect since a late start, which is what the interval of a comparison whose harm came late speaks of."""

import math

import numpy as np

from .conditional import ROW as COUNT_ROW
from .conditional import CountState
from .evidence import Evidence
from .gauge_series import ROW as GAUGE_ROW
from .mixture import RANGE, Array, between
from .t_test import TState

VIOLATED = "model-violated"  # flag of evidence whose interval is empty
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_CLOSE = 1e-4  # of a log ratio


def is_apart(evidence: Evidence) -> bool:
    """Whether the interval speaks of the looks since a late start and leaves out the estimate of the whole run.

    So it does where its edges have passed each other: no constant effect fits all looks, one that came late does.
    """
    estimate, lower, upper = evidence.estimate, evidence.lower, evidence.upper
    if not evidence.since or estimate is None:
        return False
    if VIOLATED in evidence.flags:
        return True
    return (lower is not None and estimate < lower) or (upper is not None and estimate > upper)


def edge_since(evidence: Evidence) -> tuple[float | None, float | None]:
    """Of an interval that `is_apart` the edge that speaks of the looks since then, as (lower, upper).

    The other edge speaks of the whole run: only towards harm are there late starts.
    """
    estimate, lower = evidence.estimate, evidence.lower
    below = estimate is not None and lower is not None and estimate < lower
    return (lower, None) if below else (None, evidence.upper)


def starts_of(state: object) -> frozenset[int]:
    """After how many used looks the copies that the state holds have started."""
    if isinstance(state, CountState):
        return frozenset(_rows(state.starts, COUNT_ROW)[:, 0].astype(int).tolist())
    if isinstance(state, TState):
        both = (_rows(series.starts, GAUGE_ROW)[:, 0] for series in (state.ratio, state.difference))
        return frozenset(int(at) for column in both for at in column.tolist())
    return frozenset()


def _rows(starts: bytes, size: int) -> Array:
    return np.frombuffer(starts, "<f8").reshape(-1, size)


def _row(starts: bytes, size: int, start: int) -> Array | None:
    rows = _rows(starts, size)
    at = np.flatnonzero(rows[:, 0] == start)
    return rows[int(at[0])] if len(at) else None


def estimate_since(state: object, evidence: Evidence) -> float | None:
    """The estimate of the looks after the first `evidence.since` used ones, in the evidence's unit.

    None where the test's state does not hold it, or an arm had no events since then.
    """
    if isinstance(state, CountState):
        found = _of_counts(state, evidence.since)
        if found is None:
            return None
        return math.exp(found) * (evidence.no_change if evidence.unit == "rate" else 1.0)
    if isinstance(state, TState):
        found = _of_gauge(state, evidence.since, log_ratio=evidence.unit == "ratio")
        return math.exp(found) if found is not None and evidence.unit == "ratio" else found
    return None


def _of_counts(state: CountState, start: int) -> float | None:
    """The log ratio that is likeliest since then: where x psi - S(psi) is largest."""
    row = _row(state.starts, COUNT_ROW, start)
    if row is None:
        return None
    events, sums = state.x_c - float(row[2]), np.frombuffer(state.sums, "<f8") - row[3:]

    def likelihood(psi: float) -> float:
        return events * psi - between(sums, psi, often=False)

    low, high = -RANGE, RANGE
    while high - low > _CLOSE:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if likelihood(left) > likelihood(right) else (left, high)
    found = 0.5 * (low + high)
    return found if abs(found) < RANGE - 2 * _CLOSE else None


def _of_gauge(state: TState, start: int, *, log_ratio: bool) -> float | None:
    series = state.ratio if log_ratio else state.difference
    row = _row(series.starts, GAUGE_ROW, start)
    if row is None:
        return None
    n, total = float(row[2]), float(row[3])
    return series.origin + (series.total - total) / (series.n - n) if series.n > n else None
