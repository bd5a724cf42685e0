"""Raw answers -> what may be evidence: every rule with the reason."""

import math
from typing import Any

import pytest

from analysis_service.core.statistics import hygiene
from analysis_service.core.statistics.hygiene import CounterMemory, CountMemory, PodValue
from analysis_service.core.statistics.looks import Counts, Gauge, Histogram, Samples

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("events", "total", "counts", "flags"),
    [
        (3.0, 100.0, Counts(3.0, 100.0), ()),
        # rates are not whole numbers, and are taken as they are
        (0.25, 7.5, Counts(0.25, 7.5), ()),
        (0.0, 100.0, Counts(0.0, 100.0), ()),
        # 0/0 is not 0
        (0.0, 0.0, None, ("zero-traffic",)),
        (NAN, 100.0, None, ("not-a-number",)),
        (None, 100.0, None, ("not-a-number",)),
        (3.0, INF, None, ("bad-infinite",)),
        (-1.0, 100.0, None, ("bad-negative",)),
        (1e300, 1e301, None, ("bad-infinite",)),
        # scrapes of two series are not one moment: more errors than requests is clamped
        (101.0, 100.0, Counts(100.0, 100.0), ("events-above-total",)),
        (200.0, 100.0, Counts(100.0, 100.0), ("events-above-total",)),
        # so many are no part of that total: the two were swapped, or are of other things. Nothing passes on it
        (5000.0, 20.0, Counts(20.0, 20.0), ("events-above-total", "bad-events-above-total")),
    ],
)
def test_counts(events: float | None, total: float | None, counts: Counts | None, flags: tuple[str, ...]) -> None:
    assert hygiene.clean_counts(events, total) == (counts, flags)


def test_exposures_are_not_clamped() -> None:
    assert hygiene.clean_counts(30.0, 10.0, clamp=False) == (Counts(30.0, 10.0), ())


@pytest.mark.parametrize(
    ("before", "samples", "increase", "flags"),
    [
        ({"a": 10.0}, [PodValue("a", 25.0)], {"a": 15.0}, ()),
        # what a pod counted before it was first seen is not this interval's
        ({}, [PodValue("a", 25.0)], {}, ("first-seen",)),
        # a reset counts from zero, and only for its own pod
        ({"a": 10.0, "b": 5.0}, [PodValue("a", 4.0), PodValue("b", 6.0)], {"a": 4.0, "b": 1.0}, ("counter-reset",)),
        ({"a": 10.0}, [PodValue("a", NAN)], {}, ("bad-value",)),
        ({"a": 10.0}, [PodValue("a", None)], {}, ("bad-value",)),
        ({"a": 10.0}, [PodValue("a", -3.0)], {}, ("bad-negative",)),
        # caches and compilers warm up: the pod is left out, its counter is remembered
        ({"a": 10.0}, [PodValue("a", 25.0, age_seconds=20)], {}, ("warming-up",)),
        ({"a": 10.0}, [PodValue("a", 25.0, age_seconds=90)], {"a": 15.0}, ()),
        # a pod that went away
        ({"a": 10.0, "b": 5.0}, [PodValue("b", 5.0)], {"b": 0.0}, ()),
    ],
)
def test_counter_increase(before: dict[str, float], samples: Any, increase: Any, flags: tuple[str, ...]) -> None:
    _, found, seen = hygiene.increase(CounterMemory(before), samples, warm_up_seconds=60)
    assert (found, seen) == (increase, flags)


def test_the_same_source_timestamp_counts_once() -> None:
    memory, first, _ = hygiene.increase(CounterMemory({"a": 1.0}), [PodValue("a", 5.0, at=100.0)])
    memory, again, flags = hygiene.increase(memory, [PodValue("a", 5.0, at=100.0)])
    _, later, _ = hygiene.increase(memory, [PodValue("a", 9.0, at=130.0)])
    assert (first, again, flags, later) == ({"a": 4.0}, {}, ("duplicate-timestamp",), {"a": 4.0})


def test_an_error_series_is_born_with_its_first_error() -> None:
    memory, counts, _ = hygiene.count_increase(CountMemory(), [], [PodValue("a", 100.0)])
    assert counts is None
    memory, counts, _ = hygiene.count_increase(memory, [], [PodValue("a", 150.0)])
    assert counts == Counts(0.0, 50.0)
    _, counts, _ = hygiene.count_increase(memory, [PodValue("a", 2.0)], [PodValue("a", 180.0)])
    assert counts == Counts(2.0, 30.0)


def test_a_new_pod_joins_with_its_second_look() -> None:
    memory, _, _ = hygiene.count_increase(CountMemory(), [PodValue("a", 1.0)], [PodValue("a", 10.0)])
    pods = [PodValue("a", 20.0), PodValue("b", 500.0)]
    memory, counts, flags = hygiene.count_increase(memory, [PodValue("a", 2.0), PodValue("b", 50.0)], pods)
    assert counts == Counts(1.0, 10.0)
    assert "first-seen" in flags
    pods = [PodValue("a", 30.0), PodValue("b", 510.0)]
    _, counts, _ = hygiene.count_increase(memory, [PodValue("a", 2.0), PodValue("b", 51.0)], pods)
    assert counts == Counts(1.0, 20.0)


@pytest.mark.parametrize(
    ("value", "gauge", "flags"),
    [
        (1.5, Gauge(1.5), ()),
        (NAN, None, ("not-a-number",)),
        (None, None, ("not-a-number",)),
        (-INF, None, ("bad-infinite",)),
    ],
)
def test_gauge(value: float | None, gauge: Gauge | None, flags: tuple[str, ...]) -> None:
    assert hygiene.clean_gauge(value) == (gauge, flags)


def test_samples() -> None:
    assert hygiene.clean_samples([1.0, NAN, 2.0, None]) == (Samples((1.0, 2.0)), ("bad-value",))
    assert hygiene.clean_samples([NAN]) == (None, ("bad-value",))


@pytest.mark.parametrize(
    ("buckets", "histogram", "flags"),
    [
        ({0.1: 3.0, 0.5: 7.0, INF: 8.0}, Histogram((0.1, 0.5), (3.0, 4.0, 1.0)), ()),
        ({0.1: 7.0, 0.5: 3.0, INF: 8.0}, None, ("bad-not-monotone",)),
        ({0.1: 3.0, 0.5: 7.0}, None, ("bad-edges",)),  # without +Inf the total is not known
        ({0.1: 0.0, INF: 0.0}, None, ("zero-traffic",)),
        ({0.1: NAN, INF: 4.0}, None, ("not-a-number",)),
        ({0.1: -2.0, INF: 4.0}, None, ("bad-negative",)),
        ({0.1: 2.0, INF: INF}, None, ("bad-infinite",)),
        ({INF: 4.0}, None, ("bad-edges",)),
        ({NAN: 1.0, INF: 4.0}, None, ("bad-edges",)),
        ({}, None, ("no-data",)),
    ],
)
def test_histogram(buckets: dict[float, float | None], histogram: Histogram | None, flags: tuple[str, ...]) -> None:
    assert hygiene.clean_histogram(buckets) == (histogram, flags)


def test_a_histogram_resets_as_a_whole() -> None:
    found, flags = hygiene.histogram_increase({1.0: 10.0, INF: 30.0}, {1.0: 12.0, INF: 20.0})
    assert (found, flags) == ({1.0: 12.0, INF: 20.0}, ("counter-reset",))
    found, flags = hygiene.histogram_increase({1.0: 10.0, INF: 30.0}, {1.0: 12.0, INF: 35.0})
    assert (found, flags) == ({1.0: 2.0, INF: 5.0}, ())


def test_edges_that_only_one_version_has_are_merged_away() -> None:
    canary = Histogram((1.0, 2.0, 4.0), (1.0, 2.0, 3.0, 4.0))
    stable = Histogram((1.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))
    assert hygiene.common_edges(canary, stable) == (
        Histogram((1.0, 4.0), (1.0, 5.0, 4.0)),
        Histogram((1.0, 4.0), (5.0, 13.0, 8.0)),
        ("edges-differ",),
    )
    assert hygiene.common_edges(canary, Histogram((1.0, 3.0), (1.0, 1.0, 1.0))) is None


@pytest.mark.parametrize(
    ("window", "interval", "windows"),
    [(30, 30, 1), (300, 30, 10), (60, 45, 2), (15, 30, 1), (0, 30, 1)],
)
def test_overlapping_windows_are_counted(window: float, interval: float, windows: int) -> None:
    assert hygiene.overlap(window, interval) == windows
