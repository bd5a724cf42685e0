"""Metrics text, selectors, growth between readings and buckets: the pure parts of the scrape provider."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from providers import base, buckets, readings
from providers.base import BadAnswer, BadQuery, TooLarge
from providers.openmetrics import Page, Series, is_cumulative, read_line, read_page
from providers.selector import parse_selector


@pytest.mark.parametrize(
    ("line", "name", "labels", "value", "seconds"),
    [
        ("up 1", "up", {}, 1, None),
        ("up\t1", "up", {}, 1, None),
        ("up  1  ", "up", {}, 1, None),
        ("a:b_c 2.5e3", "a:b_c", {}, 2500, None),
        ("up{} 1", "up", {}, 1, None),
        ("up {} 1", "up", {}, 1, None),
        ('up{a="b"} 1', "up", {"a": "b"}, 1, None),
        ('up{a="b",} 1', "up", {"a": "b"}, 1, None),
        ('up{ a = "b" , c = "d" } 1', "up", {"a": "b", "c": "d"}, 1, None),
        (r'up{a="x\"y\\z\nw"} 1', "up", {"a": 'x"y\\z\nw'}, 1, None),
        (r'up{a="\d"} 1', "up", {"a": r"\d"}, 1, None),  # an unknown escape stays
        ('up{a="}"} 1', "up", {"a": "}"}, 1, None),
        ('up{a="# {"} 1', "up", {"a": "# {"}, 1, None),
        ('up{a=""} 1', "up", {"a": ""}, 1, None),
        ('up{a="é"} 1', "up", {"a": "é"}, 1, None),
        ("up NaN", "up", {}, math.nan, None),
        ("up +Inf", "up", {}, math.inf, None),
        ("up -Inf", "up", {}, -math.inf, None),
        ("up 1 1395066363000", "up", {}, 1, 1395066363),  # milliseconds
        ("up 1 -1000", "up", {}, 1, -1),
        ('{"http.server.requests",a="b"} 1', "http.server.requests", {"a": "b"}, 1, None),
        ('{"up"} 1', "up", {}, 1, None),
    ],
)
def test_lines(line: str, name: str, labels: Any, value: float, seconds: float | None) -> None:
    found = read_line(line, openmetrics=False)
    assert (found.name, found.labels, str(found.value), found.seconds) == (name, labels, str(float(value)), seconds)


@pytest.mark.parametrize(
    ("line", "value", "seconds"),
    [
        ("a_total 1 1395066363.5", 1, 1395066363.5),  # seconds
        ('a_bucket{le="1"} 17 # {trace_id="abc"} 0.67', 17, None),  # an exemplar
        ('a_bucket{le="1"} 17 5 # {trace_id="a # b"} 0.67 1.5', 17, 5),
        ("a_total 17 # {} 1", 17, None),
    ],
)
def test_openmetrics_lines(line: str, value: float, seconds: float | None) -> None:
    found = read_line(line, openmetrics=True)
    assert (found.value, found.seconds) == (value, seconds)


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "up",
        "up ",
        "up one",
        "up 0x10",
        "up 1_000",
        "up 1 2 3",
        "up 1 now",
        "1up 1",
        "up{a} 1",
        'up{a="b} 1',
        'up{a="b" c="d"} 1',
        'up{a="b",a="c"} 1',
        "up{,} 1",
        "up{a=b} 1",
        'up{a="b"}1',
        'up{a="b"',
        "up " + "9" * 400,
        "up{" + ",".join(f'a{n}="x"' for n in range(200)) + "} 1",
        'up{a="' + "x" * 70_000 + '"} 1',
        '{"up} 1',
        "{} 1",
        '{"error": "not found"}',
    ],
)
def test_lines_refused(line: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        read_line(line, openmetrics=False)
    assert len(str(caught.value)) < 200


REGISTRY_SELECTIONS = [
    ("requests_total", [({"code": "200"}, 3.0), ({"code": "500"}, 1.0)]),
    ('requests_total{code=~"5.."}', [({"code": "500"}, 1.0)]),
    ('requests_total{code!~"5.."}', [({"code": "200"}, 3.0)]),
    ('requests_total{code!="200"}', [({"code": "500"}, 1.0)]),
    ('{__name__="requests_total",code="200"}', [({"code": "200"}, 3.0)]),
    ('{__name__=~"requests_t.*"}', [({"code": "200"}, 3.0), ({"code": "500"}, 1.0)]),
    ("level", [({}, -2.5)]),
    ("size_count", [({}, 2.0)]),
    ("nothing", []),
    ("request", []),  # a prefix of a name is not the name
    ('requests_total{absent=""}', [({"code": "200"}, 3.0), ({"code": "500"}, 1.0)]),
    ('requests_total{absent!=""}', []),
]


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    requests = Counter("requests", "all of them", ["code"], registry=made)
    requests.labels("200").inc(3)
    requests.labels("500").inc(1)
    Gauge("level", "a level", registry=made).set(-2.5)
    size = Summary("size", "a summary", registry=made)
    size.observe(1)
    size.observe(2)
    latency = Histogram("latency", 'with "quotes" and \\', buckets=(0.1, 0.5, 1), registry=made)
    for value in (0.05, 0.3, 0.7, 2):
        latency.observe(value)
    Gauge("process_start_time_seconds", "start", registry=made).set(1234.5)
    return made


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(("query", "expected"), REGISTRY_SELECTIONS)
def test_pages_of_the_official_client(query: str, expected: Any, openmetrics: bool) -> None:
    text = generate_openmetrics(registry()) if openmetrics else generate_latest(registry())
    page = read_page(text, parse_selector(query), openmetrics=openmetrics)
    assert [(dict(one.labels), one.value) for one in page.series] == expected
    assert page.started == 1234.5


@pytest.mark.parametrize("openmetrics", [False, True])
def test_kinds_of_the_official_client(openmetrics: bool) -> None:
    text = generate_openmetrics(registry()) if openmetrics else generate_latest(registry())
    page = read_page(text, parse_selector('{__name__!=""}'), openmetrics=openmetrics)
    kinds = {one.name: is_cumulative(one.name, page.types) for one in page.series if not one.name.endswith("_created")}
    assert kinds == {
        "requests_total": True,
        "level": False,
        "size_count": True,
        "size_sum": True,
        "latency_bucket": True,
        "latency_count": True,
        "latency_sum": True,
        "process_start_time_seconds": False,
    }


def test_a_histogram_by_its_family() -> None:
    page = read_page(generate_latest(registry()), parse_selector("latency"), openmetrics=False)
    lines = ((one.name, one.labels, one.value, None) for one in page.series)
    assert buckets.assemble("latency", lines) == [
        base.Histogram({}, (0.1, 0.5, 1.0, math.inf), (1.0, 2.0, 3.0, 4.0), 3.05)
    ]


@pytest.mark.parametrize(
    ("text", "openmetrics", "error", "message"),
    [
        (b"", False, BadAnswer, "empty answer"),
        (b"\n\n", False, BadAnswer, "empty answer"),
        (b"<html>hello</html>", False, BadAnswer, "not a line of metrics text"),
        (b"\xff\xfe", False, BadAnswer, "not UTF-8 at byte 1"),
        (b"up 1\n", True, BadAnswer, "the page is cut"),
        (b"".join(b'up{n="%d"} 1\n' % n for n in range(10_001)), False, TooLarge, "more than 10 000 series"),
    ],
)
def test_pages_refused(text: bytes, openmetrics: bool, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_page(text, parse_selector("up"), openmetrics=openmetrics)


def test_a_page_without_a_last_newline_and_with_carriage_returns() -> None:
    page = read_page(b'up 1\r\nup{a="b"} 2\r\nother 3\r\nup{a="c"} 4', parse_selector("up"), openmetrics=False)
    assert [one.value for one in page.series] == [1, 2, 4]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "name the metric"),
        ("{}", "name the metric"),
        ('{code="200"}', "name the metric"),
        ("rate(x[5m])", "column 5: expected the end; a selector has no functions or operators, found '(x[5m])'"),
        ("a + b", "column 3: expected the end"),
        ("a{", 'column 3: expected label="value", or "}", found \'\''),
        ("a{b}", 'column 3: expected label="value"'),
        ('a{b="c"', 'column 8: expected "," or "}"'),
        ('a{b="c" d="e"}', 'column 9: expected "," or "}"'),
        ('a{b="c}', "column 3: expected label"),
        ('a{b=~"("}', "column 7: expected a regular expression (RE2)"),
        ("a{b=~'(?=x)'}", "expected a regular expression (RE2)"),
        ("a" * 5000, "5000 characters; limit 4096"),
    ],
)
def test_selectors_refused(query: str, message: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_selector(query)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("query", "labels", "taken"),
    [
        ("a{b='c'}", {"b": "c"}, True),
        (r'a{b="x\"y"}', {"b": 'x"y'}, True),
        (r'a{b=~"\\d+"}', {"b": "12"}, True),
        (r'a{b=~"\d+"}', {"b": "12"}, True),
        ('a{b=~"5"}', {"b": "500"}, False),  # anchored at both ends
        ('a{b=~""}', {}, True),
        ('a{b="c",}', {"b": "c"}, True),
        ('a{b=~"(a+)+$"}', {"b": "a" * 5000 + "!"}, False),  # linear, whatever the pattern
    ],
)
def test_selectors(query: str, labels: Any, taken: bool) -> None:
    assert parse_selector(query).takes(labels) is taken


TYPES = {"hits_total": "counter", "level": "gauge"}


def page(values: dict[str, float], started: float | None = None, name: str = "hits_total") -> Page:
    return Page(tuple(Series(name, {"path": path}, value) for path, value in values.items()), TYPES, started, True)


def grown(before: Page | None, after: Page, name: str = "hits_total", target: str = "t") -> dict[str, float] | None:
    first = readings.reading("q", 100.0, {} if before is None else {"t": before})
    last = readings.decode(readings.encode(first), "q", 160.0)
    assert last is not None
    now = readings.reading("q", 160.0, {target: after})
    found = readings.growth(after, now.targets[target], last, target)
    if found is None:
        return None
    keys = {readings.key_of(one): one.labels["path"] for one in after.series}
    return {keys[key]: value for key, value in found.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (page({"a": 5}), page({"a": 8}), {"a": 3}),
        (page({"a": 5}), page({"a": 5}), {"a": 0}),
        # the value fell: the process restarted, and counted from 0
        (page({"a": 5}), page({"a": 2}), {"a": 2}),
        # it restarted and has already counted further than before: only the start time tells
        (page({"a": 5}, 50.0), page({"a": 9}, 130.0), {"a": 9}),
        (page({"a": 5}, 50.0), page({"a": 9}, 50.4), {"a": 4}),  # the same process; its clock wobbles
        (page({"a": 5}, 50.0), page({"a": 9}), {"a": 4}),
        # a series that was not there counted from 0 since
        (page({"a": 5}), page({"a": 5, "b": 7}), {"a": 0, "b": 7}),
        # a series that is gone counts nothing
        (page({"a": 5, "b": 7}), page({"a": 6}), {"a": 1}),
        # a target that was not there: its process began after the last reading, or nobody knows
        (None, page({"a": 5}, 130.0), {"a": 5}),
        (None, page({"a": 5}, 50.0), None),
        (None, page({"a": 5}), None),
        # gauges have differences, both ways, and none without a reading before
        (page({"a": 5}, name="level"), page({"a": 2, "b": 1}, name="level"), {"a": -3}),
    ],
)
def test_growth(before: Page | None, after: Page, expected: dict[str, float] | None) -> None:
    assert grown(before, after) == expected


@given(
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=20),
    restarts=st.sets(st.integers(0, 19)),
)
def test_growth_never_loses_or_doubles_a_count(counts: list[int], restarts: set[int]) -> None:
    """A process that counts, is read, and restarts right after some readings: the deltas add up to what happened."""
    value, started, total = 0.0, 0.0, 0.0
    before = page({"a": 0}, 0.0)
    for number, count in enumerate(counts):
        if number in restarts:
            value, started = 0.0, started + 10
        value += count
        after = page({"a": value}, started)
        found = grown(before, after)
        assert found is not None
        total += found["a"]
        before = after
    assert total == sum(counts)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "junk",
        "{}",
        '{"query":"other","at":1,"targets":{}}',
        '{"query":"q","at":999,"targets":{}}',
        "[" * 9999,
    ],
)
def test_a_reading_that_is_of_no_use(text: str | None) -> None:
    assert readings.decode(text, "q", 160.0) is None


def test_readings_are_capped_and_series_unique() -> None:
    many = page({str(n): 1 for n in range(2_001)})
    with pytest.raises(TooLarge, match="2 001 series; limit 2 000 for delta and rate"):
        readings.reading("q", 1.0, {"t": many})
    whole = readings.reading("q", 1.0, {"t": page({str(n): 1e15 + n for n in range(2_000)})})
    assert len(readings.encode(whole)) < 96 * 1024
    twice = Page((Series("up", {}, 1), Series("up", {}, 2)), {}, None, True)
    with pytest.raises(BadAnswer, match=r"the series up\{\} stands twice"):
        readings.reading("q", 1.0, {"t": twice})


def histogram(*cumulative: float, bounds: tuple[float, ...] = (0.1, 0.5, 1.0, math.inf), total: Any = 3.0) -> Any:
    return base.Histogram({}, bounds, cumulative, total)


@pytest.mark.parametrize(
    ("found", "share", "expected"),
    [
        (histogram(1, 2, 3, 4), 0.5, 0.5),
        (histogram(1, 2, 3, 4), 0.25, 0.1),
        (histogram(0, 0, 4, 4), 0.5, 0.75),
        (histogram(4, 4, 4, 4), 0.5, 0.05),
        (histogram(0, 0, 0, 4), 0.5, 1.0),  # beyond the last bound nothing is known
        (histogram(0, 0, 0, 0), 0.5, None),
        (histogram(4, bounds=(math.inf,)), 0.5, None),
        (histogram(2, 4, bounds=(-1.0, math.inf)), 0.1, -1.0),
    ],
)
def test_quantiles(found: Any, share: float, expected: float | None) -> None:
    assert buckets.quantile(found, share) == (expected if expected is None else pytest.approx(expected))


def test_sums_of_histograms() -> None:
    assert buckets.add([histogram(1, 2, 3, 4), histogram(0, 1, 1, 2, total=None)]).cumulative == (1, 3, 4, 6)
    with pytest.raises(BadAnswer, match="different buckets"):
        buckets.add([histogram(1, 2, 3, 4), histogram(1, bounds=(math.inf,))])


def test_buckets_that_fall_are_lifted_and_a_missing_inf_is_the_count() -> None:
    lines = [
        ("h_bucket", {"le": "0.5"}, 3.0, None),
        ("h_bucket", {"le": "0.1"}, 4.0, None),
        ("h_count", {}, 5.0, None),
    ]
    assert buckets.assemble("h", lines) == [base.Histogram({}, (0.1, 0.5, math.inf), (4.0, 4.0, 5.0))]
    for labels in ({}, {"le": "x"}, {"le": "NaN"}):
        with pytest.raises(BadAnswer, match="readable le"):
            buckets.assemble("h", [("h_bucket", labels, 1.0, None)])
    with pytest.raises(BadAnswer, match="without a"):
        buckets.assemble("h", [("h_sum", {}, 1.0, None)])
