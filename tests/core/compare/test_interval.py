"""From raw readings to one interval's data: what each arm's counters say, and what is dropped."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.compare.interval import Interval, Memory, dump, load, take
from analysis_service.core.compare.reading import Buckets, Reading, Series, pod_of
from analysis_service.core.compare.spec import Spec, parse
from analysis_service.core.statistics.looks import Counts, Gauge, Histogram, Samples

INF = math.inf
QUERY = {"prometheus": {"query": "{{arm.v}}"}}


def spec(shape: str = "counts", **fields: Any) -> Spec:
    data = {"counts": {"events": QUERY, "totals": QUERY}, "histogram": QUERY, "gauge": QUERY}[shape]
    arms: dict[str, Any] = {"canary": {"v": "c"}, "stable": {"v": "s"}}
    whole: dict[str, Any] = {"arms": arms, shape: data, "margin": {"relative": 0.5}, "maxDuration": "1h", **fields}
    return parse(whole, timedelta(seconds=30))


def series(**pods: float | None) -> tuple[Series, ...]:
    return tuple(Series({"pod": pod} if pod != "sum" else {}, value) for pod, value in pods.items())


Arm = tuple[dict[str, float | None], dict[str, float | None]]
STABLE: list[Arm] = [({"s": 0.0}, {"s": 1000.0 * n}) for n in range(1, 9)]


def fold(of: Spec, canary: list[Arm], seconds: float = 30.0, started: dict[str, float] | None = None) -> list[Interval]:
    """Each look's data; stable is steady. The memory goes through its text each time, as it does in a record."""
    memory, found = Memory(), []
    for n, (events, totals) in enumerate(canary):
        stable = STABLE[n]
        readings = {
            ("canary", "events"): Reading(series(**events), started=started or {}),
            ("canary", "totals"): Reading(series(**totals), started=started or {}),
            ("stable", "events"): Reading(series(**stable[0])),
            ("stable", "totals"): Reading(series(**stable[1])),
        }
        memory, interval = take(of, load(dump(memory)), readings, 1000.0 + n * seconds)
        found.append(interval)
    return found


@pytest.mark.parametrize(
    ("looks", "counts", "flag"),
    [
        # plain growth; the first reading is no look
        ([({"a": 1}, {"a": 100}), ({"a": 3}, {"a": 150})], [None, Counts(2, 50)], ""),
        # errors are born with the first of them
        ([({}, {"a": 100}), ({}, {"a": 150}), ({"a": 2}, {"a": 200})], [None, Counts(0, 50), Counts(2, 50)], ""),
        # a process that began anew: what it counts since then
        ([({"a": 5}, {"a": 100}), ({"a": 1}, {"a": 20})], [None, Counts(1, 20)], "counter-reset"),
        # one of two pods: the other's growth is not lost
        (
            [({"a": 0, "b": 0}, {"a": 100, "b": 100}), ({"a": 1, "c": 7}, {"a": 150, "c": 900})],
            [None, Counts(1, 50)],
            "first-seen",
        ),
        # gone for a look, and back
        (
            [({"a": 0}, {"a": 100}), ({}, {}), ({"a": 4}, {"a": 180})],
            [None, None, Counts(4, 80)],
            "",
        ),
        # no traffic: 0 of 0 is not 0
        ([({"a": 0}, {"a": 100}), ({"a": 0}, {"a": 100})], [None, None], "zero-traffic"),
        # not a number: dropped, and the next look covers both
        (
            [({"a": 0}, {"a": 100}), ({"a": math.nan}, {"a": math.nan}), ({"a": 3}, {"a": 200})],
            [None, None, Counts(3, 100)],
            "",
        ),
        ([({"a": 0}, {"a": 100}), ({"a": -1}, {"a": 150})], [None, None], "bad-negative"),
        ([({"a": 0}, {"a": 100}), ({"a": INF}, {"a": 150})], [None, None], "bad-value"),
        # more events than requests
        ([({"a": 0}, {"a": 100}), ({"a": 60}, {"a": 150})], [None, Counts(50, 50)], "events-above-total"),
        # a sum over processes that fell: nobody knows which began anew
        (
            [({"sum": 5}, {"sum": 1000}), ({"sum": 4}, {"sum": 700}), ({"sum": 6}, {"sum": 800})],
            [None, None, Counts(2, 100)],
            "",
        ),
        # events summed, totals by process: neither is known per process
        ([({"sum": 5}, {"a": 50, "b": 50}), ({"sum": 9}, {"a": 100, "b": 80})], [None, Counts(4, 80)], ""),
    ],
)
def test_counts(looks: list[Arm], counts: list[Counts | None], flag: str) -> None:
    found = fold(spec(), looks)
    assert [interval.canary for interval in found] == counts
    assert [interval.first for interval in found] == [True] + [False] * (len(looks) - 1)
    if flag:
        assert flag in found[-1].flags


def test_series_of_one_process_are_summed_before_they_are_differenced() -> None:
    """So that a status seen for the first time counts from its birth."""
    both = spec()
    memory = Memory()
    found = []
    for values in ({"500": 3.0}, {"500": 4.0, "503": 2.0}):
        events = tuple(Series({"pod": "a", "code": code}, value) for code, value in values.items())
        total = series(a=100.0 + 50 * len(values))
        readings = {("canary", "events"): Reading(events), ("canary", "totals"): Reading(total)}
        readings |= {("stable", "events"): Reading(events), ("stable", "totals"): Reading(total)}
        memory, interval = take(both, memory, readings, 0.0)
        found.append(interval.canary)
    assert found == [None, Counts(3.0, 50.0)]


@pytest.mark.parametrize(
    ("started", "seen"),
    [
        ({}, [None, None, None, Counts(1, 10)]),  # first seen at the first look: 60 s old at the third
        ({"a": 1000.0 - 45.0}, [None, Counts(1, 10), Counts(1, 10), Counts(1, 10)]),  # it says itself that it is older
    ],
)
def test_a_process_that_warms_up_is_left_out(started: dict[str, float], seen: list[Counts | None]) -> None:
    memory, found = Memory(), []
    for n in range(4):
        one = tuple(Series({"instance": "a"}, value) for value in (float(n),))
        all_ = tuple(Series({"instance": "a"}, value) for value in (10.0 * n,))
        readings = {
            ("canary", "events"): Reading(one, started=started),
            ("canary", "totals"): Reading(all_, started=started),
            ("stable", "events"): Reading(one, started=started),
            ("stable", "totals"): Reading(all_, started=started),
        }
        memory, interval = take(spec(warmUp="75s"), load(dump(memory)), readings, 1000.0 + 30 * n)
        found.append(interval.canary)
    assert found == seen


@pytest.mark.parametrize(
    ("values", "expected", "flag"),
    [
        ([1.0, 3.0], Gauge(2.0), ""),
        ([1.0, None], Gauge(1.0), "not-a-number"),
        ([math.nan, 3.0], Gauge(3.0), "not-a-number"),
        ([INF], None, "bad-infinite"),
        ([], None, "no-data"),
    ],
)
def test_gauges(values: list[float | None], expected: Gauge | None, flag: str) -> None:
    reading = Reading(tuple(Series({"pod": str(n)}, value) for n, value in enumerate(values)))
    _, found = take(spec("gauge"), Memory(), {("canary", "level"): reading, ("stable", "level"): reading}, 0.0)
    assert found.canary == expected
    assert not flag or flag in found.flags
    assert not found.first


def test_a_missing_gauge_may_count_as_zero() -> None:
    empty = {("canary", "level"): Reading(), ("stable", "level"): Reading()}
    assert take(spec("gauge", missing="zero"), Memory(), empty, 0.0)[1].canary == Gauge(0.0)


def test_quantile_tests_see_every_value() -> None:
    reading = Reading(tuple(Series({"pod": str(n)}, float(n)) for n in range(3)))
    readings = {("canary", "level"): reading, ("stable", "level"): reading}
    assert take(spec("gauge", test="sequential-quantile"), Memory(), readings, 0.0)[1].canary == Samples(
        (0.0, 1.0, 2.0)
    )


def test_the_same_sample_twice_is_one() -> None:
    """A gauge whose source was not read anew between two looks."""
    reading = Reading((Series({"pod": "a"}, 5.0, at=100.0),))
    readings = {("canary", "level"): reading, ("stable", "level"): reading}
    memory, first = take(spec("gauge"), Memory(), readings, 0.0)
    _, second = take(spec("gauge"), load(dump(memory)), readings, 30.0)
    assert (first.canary, second.canary) == (Gauge(5.0), None)
    assert "duplicate-timestamp" in second.flags


Cumulative = dict[float, float | None]


def buckets(**pods: Cumulative) -> Reading:
    return Reading(histograms=tuple(Buckets({"pod": pod}, edges) for pod, edges in pods.items()))


OLD: Cumulative = {0.1: 10.0, 0.5: 20.0, INF: 30.0}
NEW: Cumulative = {0.1: 15.0, 0.5: 30.0, INF: 41.0}


@pytest.mark.parametrize(
    ("first", "second", "expected", "flag"),
    [
        (buckets(a=OLD), buckets(a=NEW), Histogram((0.1, 0.5), (5.0, 5.0, 1.0)), ""),
        (buckets(a=OLD, b=OLD), buckets(a=NEW, b=NEW), Histogram((0.1, 0.5), (10.0, 10.0, 2.0)), ""),
        # began anew: all its buckets count from zero
        (buckets(a=NEW), buckets(a=OLD), Histogram((0.1, 0.5), (10.0, 10.0, 10.0)), "counter-reset"),
        (buckets(a=OLD), buckets(a=NEW, b=NEW), Histogram((0.1, 0.5), (5.0, 5.0, 1.0)), "first-seen"),
        (buckets(a=OLD), buckets(a=OLD), None, "zero-traffic"),
        (buckets(a=OLD), buckets(a={**NEW, 0.5: math.nan}), None, "bad-value"),
        (buckets(a=OLD), buckets(a={0.2: 15.0, INF: 41.0}), None, "bad-edges"),  # another build, other buckets
        # two builds with other buckets: what they share
        (
            buckets(a=OLD, b={0.1: 0.0, 0.3: 0.0, 0.5: 0.0, INF: 0.0}),
            buckets(a=NEW, b={0.1: 1.0, 0.3: 2.0, 0.5: 3.0, INF: 4.0}),
            Histogram((0.1, 0.5), (6.0, 7.0, 2.0)),
            "edges-differ",
        ),
        (buckets(), buckets(), None, "no-data"),
    ],
)
def test_histograms(first: Reading, second: Reading, expected: Histogram | None, flag: str) -> None:
    memory, found = Memory(), None
    for reading in (first, second):
        readings = {("canary", "buckets"): reading, ("stable", "buckets"): reading}
        memory, found = take(spec("histogram"), load(dump(memory)), readings, 0.0)
    assert found is not None
    assert found.canary == expected
    assert not flag or flag in found.flags


def test_bucket_series_with_le_are_histograms() -> None:
    def reading(counts: Cumulative) -> Reading:
        labels = {0.1: "0.1", 0.5: "0.5", INF: "+Inf"}
        series = [Series({"pod": "a", "le": labels[edge]}, value) for edge, value in counts.items()]
        return Reading((*series, Series({"pod": "a", "__name__": "x_sum"}, 99.0)))

    memory, found = Memory(), None
    for counts in (OLD, NEW):
        readings = {("canary", "buckets"): reading(counts), ("stable", "buckets"): reading(counts)}
        memory, found = take(spec("histogram"), memory, readings, 0.0)
    assert found is not None
    assert found.canary == Histogram((0.1, 0.5), (5.0, 5.0, 1.0))


def test_arms_with_too_few_common_buckets_are_not_compared() -> None:
    other: Cumulative = {0.2: 1.0, INF: 2.0}
    memory, found = Memory(), None
    for n in (1.0, 2.0):
        readings = {
            ("canary", "buckets"): buckets(a={edge: n * (value or 0) for edge, value in OLD.items()}),
            ("stable", "buckets"): buckets(a={edge: n * (value or 0) for edge, value in other.items()}),
        }
        memory, found = take(spec("histogram"), memory, readings, 0.0)
    assert found is not None
    assert (found.canary, found.stable) == (None, None)
    assert "bad-edges" in found.flags


def test_processes_that_are_gone_are_forgotten_in_the_end() -> None:
    memory = Memory()
    for n in range(300):
        reading = Reading(series(**{f"pod-{n}": float(n)}))
        readings = {(arm, part): reading for arm in ("canary", "stable") for part in ("events", "totals")}
        memory, _ = take(spec(), memory, readings, 0.0)
    assert len(memory.canary.counts.totals.values) < 100


@pytest.mark.parametrize(
    ("labels", "pod"),
    [
        ({"pod": "a", "instance": "b"}, "a"),
        ({"instance": "10.0.0.1:80", "code": "500"}, "10.0.0.1:80"),
        ({"host": "h"}, "h"),
        ({"pod": "", "code": "500"}, ""),
        ({}, ""),
    ],
)
def test_pod_of(labels: dict[str, str], pod: str) -> None:
    assert pod_of(labels) == pod


numbers = st.none() | st.floats()
pods = st.dictionaries(st.sampled_from(["a", "b", "sum"]), numbers, max_size=3)


@settings(deadline=None)
@given(looks=st.lists(st.tuples(pods, pods), min_size=1, max_size=8))
def test_whatever_comes_nothing_raises_and_data_are_usable(looks: list[Arm]) -> None:
    for interval in fold(spec(), looks):
        data = interval.canary
        assert data is None or (isinstance(data, Counts) and 0 <= data.events <= data.total < INF and data.total > 0)


edges = st.dictionaries(st.sampled_from([0.1, 0.5, INF]), numbers, max_size=3)


@settings(deadline=None)
@given(looks=st.lists(st.dictionaries(st.sampled_from("ab"), edges, max_size=2), min_size=1, max_size=6))
def test_whatever_buckets_come_nothing_raises(looks: list[dict[str, Cumulative]]) -> None:
    memory = Memory()
    for one in looks:
        readings = {("canary", "buckets"): buckets(**one), ("stable", "buckets"): buckets(**one)}
        memory, found = take(spec("histogram"), load(dump(memory)), readings, 0.0)
        assert found.canary is None or isinstance(found.canary, Histogram)
