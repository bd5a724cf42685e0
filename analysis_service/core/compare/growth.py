"""Is what a query returns a counter, to be differenced between looks, or already the growth of a while?

Counters are best: their difference between two looks is exactly what happened, resets are seen per process, and
nothing is counted twice. So what Prometheus and metrics pages return is taken for counters, unless the PromQL itself
takes a rate or an increase; every other backend's numbers are taken for the growth of one interval. `cumulative` on
the comparison says otherwise.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from analysis_service.core.wire_providers import PLUGIN

COUNTERS = frozenset({"prometheus", "scrape"})
_FUNCTION = re.compile(r"\b(i?rate|increase)\s*\(")
_RANGE = re.compile(r"\[\s*((?:[0-9]+(?:ms|[smhdwy])\s*)+)(?::[^\]]*)?\]")
_STEP = re.compile(r"([0-9]+)(ms|[smhdwy])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


def growth_factor(union: Mapping[str, Any], interval: timedelta, cumulative: bool | None) -> tuple[float | None, str]:
    """(None for a counter, or the factor that turns a value into one interval's growth; a note for the user or "").

    A range longer than the interval overlaps: each event would be seen in several looks, and evidence would be
    inflated as many times. The factor interval / range makes each count once.
    """
    name, spec = next(iter(union.items()))
    if name == PLUGIN and isinstance(spec, Mapping) and len(spec) == 1:
        name, spec = next(iter(spec.items()))
    query = str(spec.get("query", "")) if isinstance(spec, Mapping) and name == "prometheus" else ""
    function = _FUNCTION.search(query)
    if cumulative is True or (cumulative is None and name in COUNTERS and function is None):
        return None, ""
    if function is None:
        return 1.0, ""
    seconds, step = range_seconds(query), interval.total_seconds()
    if seconds <= 0:
        seconds = step
    note = ""
    if seconds > step:
        note = (
            f"the range {seconds:g} s is longer than the interval {step:g} s: its looks overlap, so each counts for "
            f"{step / seconds:.2g} of itself; better is the counter without {function[1]}()"
        )
    return (min(1.0, step / seconds) if function[1] == "increase" else min(step, seconds)), note


def range_seconds(query: str) -> float:
    """The longest range selector of a PromQL text; 0 where there is none."""
    found = (
        sum(int(number) * _SECONDS[unit] for number, unit in _STEP.findall(text)) for text in _RANGE.findall(query)
    )
    return max(found, default=0.0)
