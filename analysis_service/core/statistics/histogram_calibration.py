"""What a look-back teaches about histograms: the noise at every edge, because each is tempered by its own.

A shock that moves an arm's whole distribution for a while (a cache, a collection, a neighbour) disperses the middle of
it most: 20 of 40 observations move together. Few of the slowest do, and their edge must stay sharp, since that is
where a tail grows. What drifts for many looks drifts at every edge, though: where events are too few to show a memory
they have that of the noisiest edge, because what cannot be seen from one look to the next adds up all the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .buckets import common_edges, rebin, spread
from .calibration import calibrate_scores
from .looks import Histogram
from .plan import Calibration


def calibrate_histogram(canary: ArrayLike, stable: ArrayLike, edges: Sequence[float]) -> Calibration:
    """Placebo pairs of histograms: two arrays of shape (L, len(edges) + 1), counts per bucket and interval.

    `by_edge` holds the noise of "beyond this edge" per edge; the figures on top are those of the noisiest one.
    """
    c, s = (np.asarray(rows, float).reshape(-1, len(edges) + 1) for rows in (canary, stable))
    n_c, n_s = c.sum(axis=1), s.sum(axis=1)
    keep = np.isfinite(c).all(axis=1) & np.isfinite(s).all(axis=1) & (n_c > 0) & (n_s > 0)
    c, s, n_c, n_s = c[keep], s[keep], n_c[keep], n_s[keep]
    if not len(c):
        return Calibration()
    x_c, x_s = (n[:, None] - np.cumsum(rows, axis=1)[:, :-1] for n, rows in ((n_c, c), (n_s, s)))
    n = n_c + n_s
    w, p = n_c / n, (x_c + x_s) / n[:, None]
    scores = x_c - w[:, None] * (x_c + x_s)
    expected = p * (1.0 - p) * (n_c * n_s / n)[:, None]
    columns = list(zip(scores.T, expected.T, strict=True))
    alone = [calibrate_scores(*at) for at in columns]
    memory = max(alone, key=_noise).memory
    shared = [
        one if one.memory or not memory else calibrate_scores(*at, memory)
        for one, at in zip(alone, columns, strict=True)
    ]
    noisiest = max(shared, key=_noise)
    return Calibration(
        points=noisiest.points,
        dispersion=noisiest.dispersion,
        autocorrelation=noisiest.autocorrelation,
        long_run=noisiest.long_run,
        memory=noisiest.memory,
        by_edge=tuple((float(edge), one) for edge, one in zip(edges, shared, strict=True)),
    )


def _noise(one: Calibration) -> float:
    return one.dispersion * one.long_run


def calibrate_histograms(canary: Sequence[Histogram], stable: Sequence[Histogram]) -> Calibration:
    """The same from looks: over the edges that all of them share, as the test judges them. One per interval."""
    edges = common_edges([*canary, *stable])
    if len(edges) < 2:
        return Calibration()
    judged = tuple(spread(edges))
    arms = ([row for one in arm if (row := rebin(one, judged)) is not None] for arm in (canary, stable))
    return calibrate_histogram(next(arms), next(arms), judged)
