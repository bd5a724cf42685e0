"""What one look at a comparison carries: each arm's cleaned data, ready to be stored and replayed.

Every number here is finite: JSON has no NaN, and what was not a number was dropped (and counted) by `hygiene`
before a Look was made. A test ignores data it cannot use instead of raising, so replaying stored looks never fails.
"""

import math
from collections.abc import Mapping
from datetime import datetime

import msgspec

ABSURD = 1e15  # beyond this a double no longer counts single events: such data is dropped, never judged

NOTHING = 1e-12  # and below this it is rounding left over from somebody's subtraction


class Counts(msgspec.Struct, frozen=True, tag="counts"):
    """Events among a total in one interval. `total` is requests, or any exposure (seconds x traffic share)."""

    events: float
    total: float


class Histogram(msgspec.Struct, frozen=True, tag="histogram"):
    """Observations per bucket in one interval, not cumulative.

    edges: finite upper edges, ascending. counts: one per edge plus the last for everything above.
    """

    edges: tuple[float, ...]
    counts: tuple[float, ...]


class Gauge(msgspec.Struct, frozen=True, tag="gauge"):
    """One value of the interval, in the metric's unit."""

    value: float


class Samples(msgspec.Struct, frozen=True, tag="samples"):
    """Raw observations of the interval, in the metric's unit."""

    values: tuple[float, ...]


ArmData = Counts | Histogram | Gauge | Samples


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """One look. An arm without data is None; `missed` then says why and the look is no evidence."""

    number: int  # 1, 2, ...
    at: datetime
    canary: ArmData | None = None
    stable: ArmData | None = None
    missed: str = ""
    weight_percent: float | None = None  # the canary's configured share of traffic during this interval
    flags: tuple[str, ...] = ()  # what hygiene changed or dropped
    elapsed_seconds: float = 0.0  # since the measurement started
    gaps: Mapping[str, str] = {}  # arm without data -> the flag that says why


def usable_counts(data: ArmData | None) -> Counts | None:
    """The counts if they can be evidence: finite, not negative, with traffic, not absurdly large."""
    if not isinstance(data, Counts):
        return None
    if 0.0 <= data.events < ABSURD and NOTHING < data.total < ABSURD:  # NaN fails every comparison
        return data if data.events > NOTHING or data.events == 0.0 else Counts(0.0, data.total)
    return None


def usable_gauge(data: ArmData | None) -> float | None:
    if isinstance(data, Gauge) and -ABSURD < data.value < ABSURD:
        return data.value
    return None


def usable_samples(data: ArmData | None) -> tuple[float, ...]:
    if not isinstance(data, Samples):
        return ()
    return tuple(v for v in data.values if -ABSURD < v < ABSURD)


def usable_histogram(data: ArmData | None) -> Histogram | None:
    """The histogram if its shape holds: ascending finite edges, one more count than edges, some traffic."""
    if not isinstance(data, Histogram) or len(data.counts) != len(data.edges) + 1 or not data.edges:
        return None
    if any(not b > a for a, b in zip(data.edges, data.edges[1:], strict=False)):
        return None
    if not all(math.isfinite(e) for e in data.edges) or not all(0.0 <= c < ABSURD for c in data.counts):
        return None
    return data if sum(data.counts) > 0 else None
