"""Counter or growth: what a query returns, told from its text."""

from datetime import timedelta
from typing import Any

import pytest

from analysis_service.core.compare.growth import growth_factor

HALF_MINUTE = timedelta(seconds=30)


def prometheus(query: str) -> dict[str, Any]:
    return {"prometheus": {"query": query}}


@pytest.mark.parametrize(
    ("union", "cumulative", "factor", "overlaps"),
    [
        # counters, differenced by us
        (prometheus("sum by (pod) (http_requests_total)"), None, None, False),
        ({"scrape": {"query": "http_requests_total"}}, None, None, False),
        ({"plugin": {"scrape": {"query": "http_requests_total"}}}, None, None, False),
        # growth already: per range, or per second
        (prometheus("sum(increase(x[30s]))"), None, 1.0, False),
        (prometheus("sum(increase(x[10s]))"), None, 1.0, False),  # part of the interval is not seen; nothing twice
        (prometheus("sum(increase(x[1m]))"), None, 0.5, True),  # each event would be in two looks
        (prometheus("sum(rate(x[30s]))"), None, 30.0, False),
        (prometheus("sum(rate(x[5m]))"), None, 30.0, True),
        (prometheus("sum(rate(x[10s]))"), None, 10.0, False),
        (prometheus("rate(x[1m30s])"), None, 30.0, True),
        (prometheus("rate(x[1h:5m])"), None, 30.0, True),
        (prometheus("rate(x[5m]) / rate(y[2m])"), None, 30.0, True),
        # names that only look like functions
        (prometheus("error_rate{a='b'}"), None, None, False),
        (prometheus("rate_total"), None, None, False),
        # backends without counters
        ({"datadog": {"query": "sum:errors{*}.as_count()"}}, None, 1.0, False),
        ({"web": {"url": "http://x"}}, None, 1.0, False),
        # the author knows better
        ({"web": {"url": "http://x"}}, True, None, False),
        (prometheus("my:increase30s"), False, 1.0, False),
        (prometheus("increase(x[1m])"), True, None, False),
        (prometheus("rate(x[1m])"), False, 30.0, True),
    ],
)
def test_growth_factor(union: dict[str, Any], cumulative: bool | None, factor: float | None, overlaps: bool) -> None:
    found, note = growth_factor(union, HALF_MINUTE, cumulative)
    assert found == factor
    assert ("overlap" in note) == overlaps
