"""Placebo comparisons: the stable version against itself, in the canary's shape, and what they teach.

Of `pods` stable pods, as many as the canary has play the canary, the rest play stable. Nothing has changed between
them, so whatever differs is what innocent arms differ by: dispersion and memory of the differences, an offset that
stays, and how often the whole rule, run on them look by look, fails falsely. Nothing is drawn at random.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from .buckets import common_edges, rebin
from .calibration import (
    REQUIRED_POINTS,
    autocorrelation,
    calibrate_counts,
    calibrate_gauge,
    noise_floor,
    pod_offset_sd,
)
from .closer import closest, wider
from .frozen import most
from .histogram_calibration import calibrate_histograms
from .looks import Counts, Gauge, Histogram
from .placebo_runs import Pair, Row, allowing
from .plan import Calibration, Margin, Plan, Repeats
from .shown import within_usual
from .wandering import OFFSET_ERRORS, block_factor, lasting_offset, longer, memory_of

Array = NDArray[np.float64]

SPLITS = 8  # ways of choosing the canary's pods: more of them share most of their pods


def splits(pods: int, canary_pods: int, most: int = SPLITS) -> tuple[tuple[int, ...], ...]:
    """Which pods play the canary, a choice for each placebo. Every pod takes part about as often as any other."""
    n = min(max(canary_pods, 1), pods - 1)
    if pods < 2:
        return ()
    starts = dict.fromkeys(round(k * pods / min(most, pods)) % pods for k in range(min(most, pods)))
    return tuple(dict.fromkeys(tuple(sorted((start + j) % pods for j in range(n))) for start in starts))


def calibrate_gauge_pair(canary: ArrayLike, stable: ArrayLike, margin: Margin, *, floor: float = 0.0) -> Calibration:
    """What one placebo pair teaches of a gauge: its noise, slow wandering, offsets that stay, and where harm shows.

    canary, stable: shape (L,), equal times. margin: of the comparison. floor: from pods' offsets, in the differences'
    unit.
    """
    found, differences = _gauge_pair(canary, stable, margin, floor)
    if not found.sufficient:
        return found
    return replace(found, harm=closest(found, [differences], margin), shown=within_usual(found, [differences], margin))


def _gauge_pair(canary: ArrayLike, stable: ArrayLike, margin: Margin, floor: float = 0.0) -> tuple[Calibration, Array]:
    """All but the middle, and the differences as they were."""
    found, differences = calibrate_gauge(canary, stable, margin, floor=floor)
    if not found.sufficient:
        return found, differences
    d = np.clip(differences, *found.fences(margin))
    phi = max(found.autocorrelation, memory_of(block_factor(d)))
    return replace(found, autocorrelation=phi, noise_floor=max(floor, lasting_offset(d, phi))), differences


def learn(pods: Sequence[Sequence[Row]], canary_pods: int, plan_with: Callable[[Calibration], Plan]) -> Calibration:
    """The calibration of one comparison from its stable version's look-back.

    pods: for each stable pod one row per interval, in time order, equal lengths; None where it has no data.
    plan_with: the comparison's settings with a given calibration. One pod alone is compared with itself, every other
    interval against the one after it.

    Where the placebo runs fail more often than alpha allows the noise is taken for larger, step by step; if that
    does not help, or there are fewer than 60 points, the result is not `sufficient`: uncalibrated, with the rate.
    """
    pairs = [rows for rows in pairs_of(pods, canary_pods) if rows]
    if not pairs:
        return Calibration()
    plan = plan_with(Calibration())
    found, differences = _pooled_pairs(pairs, plan.margin)
    found = replace(found, repeats=_repeats(pods, canary_pods))
    if not found.sufficient:
        return found
    floor = _floor(pods, canary_pods, log_ratio=found.log_ratio)
    found = replace(found, noise_floor=max(found.noise_floor, floor))
    found = replace(found, shown=within_usual(found, differences, plan.margin))
    if plan.fail_at == "noharm":
        found = replace(found, harm=closest(found, differences, plan.margin))
    found, _, hold = allowing(found, plan_with, pairs, _wider)
    return found if hold else replace(found, points=min(found.points, REQUIRED_POINTS - 1), harm=None)


def _pooled_pairs(pairs: Sequence[Sequence[Pair]], margin: Margin) -> tuple[Calibration, list[Array]]:
    """(one calibration of all placebo pairs, the differences of those on its scale: of gauges)."""
    if not isinstance(pairs[0][0][0], Gauge):
        return _pooled([_estimate(rows) for rows in pairs]), []
    found = [_gauge_pair(*_levels(rows), margin) for rows in pairs]
    together = _pooled([one for one, _ in found])
    return together, [d for one, d in found if one.log_ratio == together.log_ratio]


def _levels(rows: Sequence[Pair]) -> tuple[list[float], list[float]]:
    canary, stable = ([row[k].value for row in rows if isinstance(row[k], Gauge)] for k in (0, 1))  # type: ignore[union-attr]
    return canary, stable


def pairs_of(pods: Sequence[Sequence[Row]], canary_pods: int) -> Iterator[list[Pair]]:
    if len(pods) == 1:
        rows = list(pods[0])
        pairs = list(zip(rows[1::2], rows[0::2], strict=False))
        yield [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
        return
    for canary, stable in _arms(pods, canary_pods):
        yield [(c, s) for c, s in zip(canary, stable, strict=True) if c is not None and s is not None]


def _arms(pods: Sequence[Sequence[Row]], canary_pods: int) -> Iterator[tuple[list[Row], list[Row]]]:
    for chosen in splits(len(pods), canary_pods):
        rest = [k for k in range(len(pods)) if k not in chosen]
        yield (
            [joined([pods[k][at] for k in chosen]) for at in range(len(pods[0]))],
            [joined([pods[k][at] for k in rest]) for at in range(len(pods[0]))],
        )


def joined(rows: Sequence[Row]) -> Row:
    """One arm's data from its pods': counts and buckets add up, a gauge is the mean of those that have a value."""
    counts = [row for row in rows if isinstance(row, Counts)]
    if counts:
        return Counts(math.fsum(c.events for c in counts), math.fsum(c.total for c in counts))
    gauges = [row.value for row in rows if isinstance(row, Gauge)]
    if gauges:
        return Gauge(math.fsum(gauges) / len(gauges))
    histograms = [row for row in rows if isinstance(row, Histogram)]
    if not histograms:
        return None
    edges = common_edges(histograms)
    if len(edges) < 2:
        return None
    parts = [rebin(one, edges) for one in histograms]
    return Histogram(edges, tuple(math.fsum(part[k] for part in parts if part) for k in range(len(edges) + 1)))


def _estimate(rows: Sequence[Pair]) -> Calibration:
    if isinstance(rows[0][0], Counts):
        canary, stable = (
            [(row[k].events, row[k].total) for row in rows if isinstance(row[k], Counts)]  # type: ignore[union-attr]
            for k in (0, 1)
        )
        return calibrate_counts(canary, stable)
    if isinstance(rows[0][0], Histogram):
        arms = [[row[k] for row in rows if isinstance(row[k], Histogram)] for k in (0, 1)]
        return calibrate_histograms(*arms)  # type: ignore[arg-type]
    return Calibration(points=len(rows))


def _pooled(found: Sequence[Calibration]) -> Calibration:
    """One calibration of several placebos: the upper quartile of each noise figure, because any could be the run's."""

    def upper(name: str) -> float:
        return float(np.quantile([getattr(one, name) for one in found], 0.75))

    log_ratio = all(one.log_ratio for one in found)
    same = [one for one in found if one.log_ratio == log_ratio]
    lows = [one.fence_low for one in same if one.fence_low is not None]
    highs = [one.fence_high for one in same if one.fence_high is not None]
    baselines = [one.baseline for one in found if one.baseline is not None]
    edges = [dict(one.by_edge) for one in found]
    shared = [edge for edge in edges[0] if all(edge in one for one in edges)]
    return Calibration(
        points=min(one.points for one in found),
        dispersion=upper("dispersion"),
        autocorrelation=upper("autocorrelation"),
        long_run=upper("long_run"),
        fence_low=min(lows) if len(lows) == len(same) else None,
        fence_high=max(highs) if len(highs) == len(same) else None,
        noise_floor=float(np.quantile([one.noise_floor for one in same], 0.75)),
        log_ratio=log_ratio,
        scale=upper("scale"),
        lag_one=min((one.lag_one for one in same if one.lag_one is not None), default=None),
        baseline=float(np.median(baselines)) if baselines else None,
        memory=upper("memory"),
        by_edge=tuple((edge, _pooled([one[edge] for one in edges])) for edge in shared),
    )


def _floor(pods: Sequence[Sequence[Row]], canary_pods: int, *, log_ratio: bool) -> float:
    """What an innocent canary of gauges may differ by, because pods do (see `calibration.noise_floor`)."""
    levels = [[row.value for row in rows if isinstance(row, Gauge)] for rows in pods]
    levels = [values for values in levels if len(values) >= REQUIRED_POINTS]
    if len(levels) < 2:
        return 0.0
    if log_ratio:
        levels = [[math.log(value) for value in values if value > 0] for values in levels]
    floor = noise_floor(pod_offset_sd(levels), len(levels), canary_pods, max(len(levels) - canary_pods, 1))
    return floor + _uneven(pods, canary_pods) if log_ratio else floor


def _uneven(pods: Sequence[Sequence[Row]], canary_pods: int) -> float:
    """By how much arms that are alike differ on a log scale because one has fewer pods; 0 if chance explains it.

    The logarithm of a mean of few is lower than that of a mean of many, by half the variance that averaging takes away.
    A run has all pods in its stable arm; the placebos, where two of two pods play one against one, may not show it.
    """
    rows = [[one.value for one in row if isinstance(one, Gauge)] for row in zip(*pods, strict=True)]
    at = np.array([row for row in rows if len(row) == len(pods) and min(row) > 0.0])
    if len(at) < REQUIRED_POINTS:
        return 0.0
    few = np.mean([np.log(at[:, list(chosen)].mean(axis=1)) for chosen in splits(len(pods), canary_pods)], axis=0)
    gaps = few - np.log(at.mean(axis=1))
    memory = autocorrelation(gaps)
    error = float(gaps.std(ddof=1)) * math.sqrt((1.0 + memory) / (1.0 - memory) / len(gaps))
    offset = abs(float(gaps.mean()))
    return offset + error if offset > OFFSET_ERRORS * error else 0.0


def _repeats(pods: Sequence[Sequence[Row]], canary_pods: int) -> Repeats | None:
    """Of the arm that repeats itself most, among those that a run might have; None unless of gauges: others count."""
    if not any(isinstance(row, Gauge) for row in pods[0]):
        return None
    arms = [list(pods[0])] if len(pods) == 1 else [arm for both in _arms(pods, canary_pods) for arm in both]
    return most(arms)


def _wider(found: Calibration) -> Calibration:
    """The same metric with half as much noise again."""
    return replace(
        found,
        dispersion=1.5 * found.dispersion,
        autocorrelation=longer(found.autocorrelation),
        noise_floor=1.5 * found.noise_floor,
        by_edge=tuple((edge, _wider(one)) for edge, one in found.by_edge),
        harm=found.harm and wider(found.harm),
    )
