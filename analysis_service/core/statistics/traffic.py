"""How much an interval of the look-back brought: what a forecast before the first look rests on."""

import math
from collections.abc import Sequence

from .buckets import common_edges, rebin
from .looks import ArmData, Counts, Histogram
from .plan import Traffic


def traffic(pods: Sequence[Sequence[ArmData | None]], canary_pods: int | None) -> Traffic | None:
    """pods: for each process one row per interval, equal lengths; None where it has no data.

    canary_pods: how many processes the canary has; None where processes cannot be told apart. None for gauges, and
    without any data: intervals in which no process had any do not count.
    """
    busy = sum(any(row is not None for row in rows) for rows in zip(*pods, strict=True))
    share = canary_pods / (canary_pods + len(pods)) if canary_pods else None
    rows = [row for pod in pods for row in pod]
    counts = [row for row in rows if isinstance(row, Counts)]
    if counts:
        events, total = math.fsum(row.events for row in counts), math.fsum(row.total for row in counts)
        return Traffic(events / busy, total / busy, share)
    histograms = [row for row in rows if isinstance(row, Histogram)]
    edges = common_edges(histograms)
    if len(edges) < 2:
        return None
    parts = [part for row in histograms if (part := rebin(row, edges)) is not None]
    means = tuple(math.fsum(column) / busy for column in zip(*parts, strict=True))
    return Traffic(total=math.fsum(means), canary_share=share, edges=edges, counts=means)
