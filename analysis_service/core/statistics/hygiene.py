"""From what a backend returned to what may be evidence: one interval's data of one arm, cleaned, and what was done.

Rules (each has a test): not-a-number, infinite or negative values are dropped and flagged; zero traffic is no data
(0/0 is not 0); a counter that fell was reset and counts from zero; a pod is first seen without a difference; pods
younger than the warm-up are left out; the same source timestamp twice is one sample; events above the total are
clamped; a cumulative histogram must not fall; edges that only one arm has are merged away.
`WEIGHT_CHANGED` marks an interval whose configured share of traffic is not known to be one.
Flags that start with "bad-" say that the data was wrong, and count towards the bad-data limit (see `verdict`).
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from .looks import ABSURD, Counts, Gauge, Histogram, Samples

SAME = "same-processes"  # both arms found the very same processes: nothing is compared with anything
WEIGHT_CHANGED = "weight-changed"  # the configured share was not the same at both ends of the interval


class PodValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series' sample. value None: not a number. at: the source's own timestamp, if it gave one."""

    pod: str
    value: float | None
    at: float | None = None
    age_seconds: float | None = None


class CounterMemory(msgspec.Struct, frozen=True):
    """Last raw value and timestamp per pod."""

    values: Mapping[str, float] = {}
    times: Mapping[str, float] = {}


class CountMemory(msgspec.Struct, frozen=True):
    events: CounterMemory = CounterMemory()
    totals: CounterMemory = CounterMemory()


FAR_ABOVE = 2.0  # times the total: from there on events are no part of it


def finite(value: float | None) -> bool:
    return value is not None and -ABSURD < value < ABSURD


def increase(
    memory: CounterMemory, samples: Sequence[PodValue], warm_up_seconds: float = 0.0
) -> tuple[CounterMemory, dict[str, float], tuple[str, ...]]:
    """Per-pod increases of raw counters since the last look, with the memory for the next one and flags.

    A pod seen for the first time gives no increase: its past is not this interval's. Two samples of one pod: the
    last counts. Summed series must never be given here: a reset inside a sum cannot be seen.
    """
    values, times = dict(memory.values), dict(memory.times)
    result: dict[str, float] = {}
    flags: list[str] = []
    for sample in samples:
        value = sample.value
        if value is None or not finite(value) or value < 0:
            flags.append("bad-value" if value is None or not finite(value) else "bad-negative")
            continue
        if sample.at is not None and times.get(sample.pod) == sample.at:
            flags.append("duplicate-timestamp")
            continue
        before = values.get(sample.pod)
        values[sample.pod] = value
        if sample.at is not None:
            times[sample.pod] = sample.at
        if sample.age_seconds is not None and sample.age_seconds < warm_up_seconds:
            flags.append("warming-up")
            result.pop(sample.pod, None)
            continue
        if before is None:
            flags.append("first-seen")
            continue
        if value < before:
            flags.append("counter-reset")
            result[sample.pod] = result.get(sample.pod, 0.0) + value
        else:
            result[sample.pod] = result.get(sample.pod, 0.0) + value - before
    return CounterMemory(values, times), result, _unique(flags)


def count_increase(
    memory: CountMemory, events: Sequence[PodValue], totals: Sequence[PodValue], warm_up_seconds: float = 0.0
) -> tuple[CountMemory, Counts | None, tuple[str, ...]]:
    """Events and totals of one arm from raw counters. A pod with totals and no event series yet has no events."""
    seen = {sample.pod for sample in events}
    known = memory.totals.values
    # an error series is born with its first error: until then it stands at zero
    born = {pod: 0.0 for pod in known if pod not in memory.events.values}
    before = CounterMemory({**memory.events.values, **born}, memory.events.times)
    ages = {sample.pod: sample.age_seconds for sample in totals}
    filled = [
        *(
            PodValue(s.pod, s.value, s.at, s.age_seconds if s.age_seconds is not None else ages.get(s.pod))
            for s in events
        ),
        *(PodValue(s.pod, before.values.get(s.pod, 0.0), None, s.age_seconds) for s in totals if s.pod not in seen),
    ]
    after_totals, total, flags_t = increase(memory.totals, totals, warm_up_seconds)
    after_events, event, flags_e = increase(before, filled, warm_up_seconds)
    flags = _unique([*flags_t, *flags_e])
    pods = [pod for pod in total if pod in event]
    counts, more = clean_counts(sum(event[p] for p in pods), sum(total[p] for p in pods)) if pods else (None, ())
    return CountMemory(after_events, after_totals), counts, _unique([*flags, *more])


def clean_counts(
    events: float | None, total: float | None, *, clamp: bool = True
) -> tuple[Counts | None, tuple[str, ...]]:
    """One interval's events and total. clamp: totals are requests, so events cannot exceed them."""
    if events is None or total is None or math.isnan(events) or math.isnan(total):
        return None, ("not-a-number",)
    if not finite(events) or not finite(total):
        return None, ("bad-infinite",)
    if events < 0 or total < 0:
        return None, ("bad-negative",)
    if total == 0:
        return None, ("zero-traffic",)
    if clamp and events > total:
        # a few are two readings a moment apart; many are two things that do not belong together
        wrong = ("bad-events-above-total",) if events > FAR_ABOVE * total else ()
        return Counts(total, total), ("events-above-total", *wrong)
    return Counts(events, total), ()


def clean_gauge(value: float | None) -> tuple[Gauge | None, tuple[str, ...]]:
    if value is None or math.isnan(value):
        return None, ("not-a-number",)
    if not finite(value):
        return None, ("bad-infinite",)
    return Gauge(value), ()


def clean_samples(values: Sequence[float | None]) -> tuple[Samples | None, tuple[str, ...]]:
    kept = tuple(v for v in values if v is not None and finite(v))
    flags = ("bad-value",) if len(kept) < len(values) else ()
    return (Samples(kept) if kept else None), flags


def clean_histogram(cumulative: Mapping[float, float | None]) -> tuple[Histogram | None, tuple[str, ...]]:
    """Buckets as Prometheus writes them: upper edge (inf included) -> observations at or below it, of one interval."""
    if not cumulative:
        return None, ("no-data",)
    edges = sorted(edge for edge in cumulative if not math.isnan(edge))
    values = [cumulative[edge] for edge in edges]
    if len(edges) < len(cumulative) or not edges or edges[-1] != math.inf or edges[0] == -math.inf:
        return None, ("bad-edges",)
    if any(value is None or math.isnan(value) for value in values):
        return None, ("not-a-number",)
    steps = [value or 0.0 for value in values]
    if any(not finite(value) or value < 0 for value in steps):
        return None, ("bad-negative",) if any(value < 0 for value in steps) else ("bad-infinite",)
    counts = [steps[0], *(b - a for a, b in pairwise(steps))]
    if any(count < 0 for count in counts):
        return None, ("bad-not-monotone",)
    if steps[-1] == 0:
        return None, ("zero-traffic",)
    if len(edges) < 2:
        return None, ("bad-edges",)
    return Histogram(tuple(edges[:-1]), tuple(counts)), ()


def histogram_increase(
    before: Mapping[float, float], after: Mapping[float, float | None]
) -> tuple[dict[float, float | None], tuple[str, ...]]:
    """One pod's bucket increases. If any bucket fell the pod restarted and all of them count from zero."""
    reset = any(value is not None and value < before.get(edge, 0.0) for edge, value in after.items())
    base = {} if reset else before
    increased: dict[float, float | None] = {
        edge: None if value is None else value - base.get(edge, 0.0) for edge, value in after.items()
    }
    return increased, ("counter-reset",) if reset else ()


def common_edges(canary: Histogram, stable: Histogram) -> tuple[Histogram, Histogram, tuple[str, ...]] | None:
    """Both arms on the edges they share; None for fewer than two."""
    from .buckets import rebin

    if canary.edges == stable.edges:
        return (canary, stable, ()) if len(canary.edges) >= 2 else None
    shared = tuple(edge for edge in canary.edges if edge in set(stable.edges))
    if len(shared) < 2:
        return None
    c, s = rebin(canary, shared), rebin(stable, shared)
    assert c is not None
    assert s is not None
    return Histogram(shared, c), Histogram(shared, s), ("edges-differ",)


def overlap(range_seconds: float, interval_seconds: float) -> int:
    """How many windows of a range selector share each point: 1 is right, m inflates evidence m-fold."""
    if range_seconds <= 0 or interval_seconds <= 0:
        return 1
    return max(1, math.ceil(range_seconds / interval_seconds - 1e-9))


def _unique(flags: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flags))
