"""From readings to one interval's data of both arms: counters differenced per process, cleaned, and what was dropped.

`Memory` is what the next look needs of the readings before it (raw counters, when a process was first seen); it is
saved with every look, so that a restart loses no interval. The rules are those of `statistics.hygiene`; in addition a
sum over processes that fell is dropped, because nobody can tell which of them began anew.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from analysis_service.core.compare.asks import BUCKETS, CANARY, EVENTS, LEVEL, STABLE, TOTALS
from analysis_service.core.compare.reading import Reading, Series, pod_of
from analysis_service.core.compare.spec import RAW_VALUES, Spec
from analysis_service.core.statistics import hygiene
from analysis_service.core.statistics.hygiene import CountMemory, PodValue
from analysis_service.core.statistics.looks import ArmData, Gauge, Histogram

T = TypeVar("T")

SHARED = "shared-processes"
_SPARE_PODS = 64  # processes that are gone are remembered until they outnumber the living by so many

Readings = Mapping[tuple[str, str], Reading]
"""(arm, part) -> what its query returned."""


class ArmMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    counts: CountMemory = CountMemory()
    buckets: Mapping[str, Mapping[str, float]] = {}  # process -> upper edge as text -> cumulative count
    first_seen: Mapping[str, float] = {}  # process -> unix time; kept where a warm-up is asked for
    times: Mapping[str, float] = {}  # process -> the source's own time of its last gauge


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    canary: ArmMemory = ArmMemory()
    stable: ArmMemory = ArmMemory()
    weight: float | None = None  # the canary's configured percentage of traffic at the last readings


class Interval(msgspec.Struct, frozen=True):
    """One interval's data. first: this was the reading that the next one is differenced from, and no look yet."""

    canary: ArmData | None
    stable: ArmData | None
    flags: tuple[str, ...]
    first: bool = False
    weight_percent: float | None = None
    gaps: Mapping[str, str] = {}  # arm without data -> the flag that says why


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Memory).decode


def dump(memory: Memory) -> str:
    return _encode(memory).decode()


def load(text: str) -> Memory:
    """Raises msgspec.DecodeError for what `dump` did not write."""
    return _decode(text)


def take(spec: Spec, memory: Memory, readings: Readings, at: float) -> tuple[Memory, Interval]:
    """One look's data. at: unix seconds of the readings. Never raises for data."""
    after, found = _take(spec, memory, readings, at)
    weight, flags = spec.canary_weight, found.flags
    if spec.weight is not None:
        weight = _weight(readings.get((spec.weight.arm, spec.weight.part)))
        after = msgspec.structs.replace(after, weight=weight)
        if weight is None:
            flags = (*flags, "no-weight")
        elif weight != memory.weight:
            flags = (*flags, hygiene.WEIGHT_CHANGED)
    return after, msgspec.structs.replace(found, weight_percent=weight, flags=flags)


def _weight(reading: Reading | None) -> float | None:
    """The configured percentage; None unless it is one number that can be one."""
    if reading is None or len(reading.series) != 1 or reading.histograms:
        return None
    value = reading.series[0].value
    return value if value is not None and 0.0 <= value <= 100.0 else None


def _take(spec: Spec, memory: Memory, readings: Readings, at: float) -> tuple[Memory, Interval]:
    canary_memory, canary, canary_flags = _arm(spec, CANARY, memory.canary, readings, at)
    if spec.single_arm or spec.season is not None:  # the past is put in stable's place when the look is judged
        after = Memory(canary_memory)
        gaps = _gaps((CANARY, canary, canary_flags))
        return after, Interval(canary, None, canary_flags, _began(spec, memory, after), gaps=gaps)
    stable_memory, stable, stable_flags = _arm(spec, STABLE, memory.stable, readings, at)
    flags = [*canary_flags, *(flag for flag in stable_flags if flag not in canary_flags)]
    if isinstance(canary, Histogram) and isinstance(stable, Histogram):
        common = hygiene.common_edges(canary, stable)
        if common is None:
            canary = stable = None
            flags.append("bad-edges")
            canary_flags = stable_flags = ("bad-edges",)
        else:
            canary, stable, more = common
            flags += more
    after = Memory(canary_memory, stable_memory)
    if shared := _shared(canary_memory, stable_memory, readings):
        flags += [SHARED, hygiene.SAME] if shared == "all" else [SHARED]
    gaps = _gaps((CANARY, canary, canary_flags), (STABLE, stable, stable_flags))
    return after, Interval(canary, stable, tuple(dict.fromkeys(flags)), _began(spec, memory, after), gaps=gaps)


def _shared(canary: ArmMemory, stable: ArmMemory, readings: Readings) -> Literal["", "some", "all"]:
    """Whether both arms found one process, or no other: a series with the same name that stands at the same number,
    which is not 0. Of gauges all labels are its name, as their numbers meet more easily.
    """
    totals, others = canary.counts.totals.values, stable.counts.totals.values
    if totals or others:
        return _how_many(totals, others, [pod for pod in totals if pod and 0 < totals[pod] == others.get(pod)])
    if canary.buckets or stable.buckets:
        mine, theirs = canary.buckets, stable.buckets
        return _how_many(mine, theirs, [p for p in mine if p and mine[p] == theirs.get(p) and any(mine[p].values())])
    if (CANARY, LEVEL) in readings and (STABLE, LEVEL) in readings:
        levels, beside = _levels(readings[CANARY, LEVEL]), _levels(readings[STABLE, LEVEL])
        return _how_many(levels, beside, [one for one in levels if 0 != levels[one] == beside.get(one)])
    return ""


def _how_many(canary: Collection[Any], stable: Collection[Any], both: Collection[Any]) -> Literal["", "some", "all"]:
    if not both:
        return ""
    return "all" if len(both) == len(canary) == len(stable) else "some"


def _levels(reading: Reading) -> Mapping[tuple[tuple[str, str], ...], float]:
    """The values of series that tell their process, by their labels."""
    return {
        tuple(sorted(one.labels.items())): one.value
        for one in reading.series
        if one.value is not None and pod_of(one.labels)
    }


def _gaps(*arms: tuple[str, ArmData | None, tuple[str, ...]]) -> Mapping[str, str]:
    """The last flag of each arm without data is what left nothing of it."""
    return {arm: flags[-1] if flags else "no-data" for arm, data, flags in arms if data is None}


def _began(spec: Spec, before: Memory, after: Memory) -> bool:
    """Whether these readings are the first of counters: nothing can be differenced yet."""
    if spec.asks[0].growth is not None or not spec.cumulative:
        return False
    return not _known(before) and _known(after)


def _known(memory: Memory) -> bool:
    return any(arm.counts.totals.values or arm.buckets for arm in (memory.canary, memory.stable))


_Found = tuple[ArmMemory, ArmData | None, tuple[str, ...]]


def _arm(spec: Spec, arm: str, memory: ArmMemory, readings: Readings, at: float) -> _Found:
    ages: dict[str, float] = {}
    warm_up = spec.warm_up.total_seconds()
    if warm_up > 0:
        memory, ages = _ages(arm, memory, readings, at)
    if spec.shape == "counts":
        events = _by_pod(readings[arm, EVENTS].series, ages)
        totals = _by_pod(readings[arm, TOTALS].series, ages)
        if events and totals and (_is_sum(events) != _is_sum(totals)):  # then neither is known per process
            events, totals = _summed(events), _summed(totals)
        factors = [ask.growth for ask in spec.asks if ask.arm == arm]
        if factors[0] is None:
            return _counted(memory, events, totals, warm_up)
        return _grown(memory, events, totals, warm_up, factors[0] or 1.0, factors[-1] or 1.0)
    if spec.shape == "histogram":
        return _histogram(spec, arm, memory, readings[arm, BUCKETS], ages, warm_up)
    return _gauge(spec, memory, readings[arm, LEVEL], ages, warm_up)


def _ages(arm: str, memory: ArmMemory, readings: Readings, at: float) -> tuple[ArmMemory, dict[str, float]]:
    """Seconds since each process began, as it says itself, else since it was first seen here."""
    seen = dict(memory.first_seen)
    ages: dict[str, float] = {}
    living: set[str] = set()
    for (of, _), reading in readings.items():
        if of != arm:
            continue
        for labels in (*(one.labels for one in reading.series), *(one.labels for one in reading.histograms)):
            pod = pod_of(labels)
            living.add(pod)
            began = reading.started.get(labels.get("instance", ""))
            ages[pod] = at - (began if began is not None else seen.setdefault(pod, at))
    return msgspec.structs.replace(memory, first_seen=_kept(seen, living)), ages


def _by_pod(series: Iterable[Series], ages: Mapping[str, float]) -> list[PodValue]:
    """One value per process: the sum of its series. One of them not a number makes the sum none: a part would fall."""
    sums: dict[str, float | None] = {}
    times: dict[str, float | None] = {}
    for one in series:
        pod = pod_of(one.labels)
        before = sums.get(pod, 0.0)
        usable = before is not None and one.value is not None and hygiene.finite(one.value)
        sums[pod] = before + one.value if usable and before is not None and one.value is not None else None
        times[pod] = one.at
    return [PodValue(pod, value, times[pod], ages.get(pod)) for pod, value in sums.items()]


def _is_sum(samples: Sequence[PodValue]) -> bool:
    return len(samples) == 1 and not samples[0].pod


def _summed(samples: Sequence[PodValue]) -> list[PodValue]:
    values = [one.value for one in samples if one.value is not None]
    return [PodValue("", math.fsum(values) if len(values) == len(samples) else None)]


def _counted(memory: ArmMemory, events: list[PodValue], totals: list[PodValue], warm_up: float) -> _Found:
    counts = memory.counts
    fell = _sum_fell(counts.events.values, events) or _sum_fell(counts.totals.values, totals)
    if fell:
        counts = CountMemory(
            msgspec.structs.replace(counts.events, values=_without_sum(counts.events.values)),
            msgspec.structs.replace(counts.totals, values=_without_sum(counts.totals.values)),
        )
    counts, data, flags = hygiene.count_increase(counts, events, totals, warm_up)
    living = {one.pod for one in (*events, *totals)}
    counts = CountMemory(
        hygiene.CounterMemory(_kept(counts.events.values, living), _kept(counts.events.times, living)),
        hygiene.CounterMemory(_kept(counts.totals.values, living), _kept(counts.totals.times, living)),
    )
    if not totals:
        flags = (*flags, "no-totals" if events else "no-data")
    if fell:
        flags = (*flags, "summed-series-fell")
    return msgspec.structs.replace(memory, counts=counts), data, flags


def _sum_fell(before: Mapping[str, float], samples: Sequence[PodValue]) -> bool:
    """Whether a sum over processes fell."""
    return any(not one.pod and one.value is not None and one.value < before.get("", 0.0) for one in samples)


def _grown(
    memory: ArmMemory,
    events: list[PodValue],
    totals: list[PodValue],
    warm_up: float,
    of_events: float,
    of_totals: float,
) -> _Found:
    sums: list[float | None] = []
    flags: list[str] = []
    for samples, factor in ((events, of_events), (totals, of_totals)):
        kept: list[float] = []
        for one in samples:
            if one.value is None:
                flags.append("bad-value")
            elif one.age_seconds is not None and one.age_seconds < warm_up:
                flags.append("warming-up")
            else:
                kept.append(one.value * factor)
        sums.append(math.fsum(kept) if kept else None)
    if sums[1] is not None and sums[0] is None and not any(one.value is None for one in events):
        sums[0] = 0.0  # no series of events: none happened
    if sums[1] is None and not totals:
        return memory, None, (*dict.fromkeys(flags), "no-data")
    data, more = hygiene.clean_counts(*sums)
    return memory, data, tuple(dict.fromkeys((*flags, *more)))


def _gauge(spec: Spec, memory: ArmMemory, reading: Reading, ages: Mapping[str, float], warm_up: float) -> _Found:
    kept: list[float] = []
    flags: dict[str, None] = {}
    times = dict(memory.times)
    living: set[str] = set()
    for one in reading.series:
        pod = pod_of(one.labels)
        living.add(pod)
        if warm_up > 0 and ages.get(pod, 0.0) < warm_up:
            flags["warming-up"] = None
        elif one.value is None or not hygiene.finite(one.value):
            flags["not-a-number" if one.value is None or math.isnan(one.value) else "bad-infinite"] = None
        elif one.at is not None and memory.times.get(pod) == one.at:
            flags["duplicate-timestamp"] = None
        else:
            kept.append(one.value)
        if one.at is not None:
            times[pod] = one.at
    memory = msgspec.structs.replace(memory, times=_kept(times, living))
    if not kept:
        if not reading.series:
            return memory, Gauge(0.0) if spec.missing == "zero" else None, ("no-data",)
        return memory, None, tuple(flags)
    if spec.test in RAW_VALUES:
        samples, _ = hygiene.clean_samples(kept)
        return memory, samples, tuple(flags)
    gauge, more = hygiene.clean_gauge(math.fsum(kept) / len(kept))
    return memory, gauge, tuple(dict.fromkeys((*flags, *more)))


def _histogram(
    spec: Spec, arm: str, memory: ArmMemory, reading: Reading, ages: Mapping[str, float], warm_up: float
) -> _Found:
    factor = next(ask.growth for ask in spec.asks if ask.arm == arm)
    remembered = dict(memory.buckets)
    flags: dict[str, None] = {}
    grown: list[Mapping[float, float]] = []
    cumulative = _cumulative(reading)
    for pod, now in cumulative.items():
        usable = {edge: value for edge, value in now.items() if value is not None and hygiene.finite(value)}
        if len(usable) < len(now) or any(value < 0 for value in usable.values()):
            flags["bad-value"] = None
            continue
        if factor is not None:
            if warm_up > 0 and ages.get(pod, 0.0) < warm_up:
                flags["warming-up"] = None
                continue
            grown.append({edge: value * factor for edge, value in usable.items()})
            continue
        before = remembered.get(pod)
        remembered[pod] = {str(edge): value for edge, value in usable.items()}
        if warm_up > 0 and ages.get(pod, 0.0) < warm_up:
            flags["warming-up"] = None
            continue
        if before is None:
            flags["first-seen"] = None
            continue
        if pod == "" and any(value < before.get(str(edge), 0.0) for edge, value in usable.items()):
            flags["summed-series-fell"] = None
            continue
        if len(before) != len(usable) or any(str(edge) not in before for edge in usable):
            flags["bad-edges"] = None  # another build with other buckets took the process's name
            continue
        increased, more = hygiene.histogram_increase({float(edge): count for edge, count in before.items()}, usable)
        flags |= dict.fromkeys(more)
        grown.append({edge: value for edge, value in increased.items() if value is not None})
    memory = msgspec.structs.replace(memory, buckets=_kept(remembered, set(cumulative)))
    if not grown:
        if not cumulative:
            flags["no-buckets" if reading.series else "no-data"] = None
        return memory, None, tuple(flags)
    shared = set(grown[0]).intersection(*grown[1:])
    if any(len(shared) != len(one) for one in grown):
        flags["edges-differ"] = None
    total: dict[float, float | None] = {edge: math.fsum(one[edge] for one in grown) for edge in shared}
    data, more = hygiene.clean_histogram(total)
    return memory, data, tuple(dict.fromkeys((*flags, *more)))


def _cumulative(reading: Reading) -> dict[str, dict[float, float | None]]:
    """Process -> its buckets, summed over its series; written as histograms, or as `_bucket` series with `le`."""
    found: dict[str, dict[float, float | None]] = {}

    def put(pod: str, edge: float, value: float | None) -> None:
        edges = found.setdefault(pod, {})
        before = edges.get(edge, 0.0)
        edges[edge] = None if before is None or value is None or math.isnan(value) else before + value

    for histogram in reading.histograms:
        for edge, value in histogram.cumulative.items():
            put(pod_of(histogram.labels), edge, value)
    for one in reading.series:
        try:
            edge = float(one.labels.get("le", ""))
        except ValueError:
            continue  # `_sum` and `_count` lines of the same family
        if not math.isnan(edge):
            put(pod_of(one.labels), edge, one.value)
    return found


def _without_sum(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name}


def _kept(values: Mapping[str, T], living: set[str]) -> Mapping[str, T]:
    """Without processes that are gone, once they are many."""
    if len(values) <= 2 * len(living) + _SPARE_PODS:
        return values
    return {pod: value for pod, value in values.items() if pod in living}
