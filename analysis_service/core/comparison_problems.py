"""What is wrong with a comparison, and what its author can hardly mean, as far as the text alone can tell."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from analysis_service.core import limits
from analysis_service.core.compare import reach, season
from analysis_service.core.compare.growth import growth_factor, range_seconds
from analysis_service.core.compare.spec import (
    FIXED,
    KAYENTA,
    OBJECTIVE,
    SAMPLE_RATIO,
    Shape,
    SpecError,
    default_test,
    parse,
)
from analysis_service.core.model import Metric
from analysis_service.core.problem import echo
from analysis_service.core.tags import OPEN
from analysis_service.core.timing import format_duration, is_duration, parse_duration
from analysis_service.core.wire_providers import PLUGIN

Finding = tuple[str, str, str, str]
Spec = Mapping[str, Any]

_NO_MARGIN = frozenset({OBJECTIVE, SAMPLE_RATIO, KAYENTA})  # they do not use one
_WITH_HISTORY = frozenset({"prometheus"})  # see history
_LARGE_MARGIN = 5.0  # relative: six times stable; who writes more means percent
_LARGE_OBJECTIVE = 0.5
_SHAPES: tuple[Shape, ...] = ("counts", "histogram", "gauge")
_PROCESS = re.compile(r"\b(pod|instance|host)\b")
_SUM = re.compile(r"\bsum\s*(?:\(|by\s*\()")
_GROUPED = re.compile(r"\b(by|without)\s*\(([^)]*)\)")


def comparison_findings(metric: Metric, spec: Spec, path: str, metric_path: str) -> Iterator[Finding]:
    """Problems of one comparison; `path` is the comparison's. Its queries' own problems are not among them."""
    found = list(_written(metric, spec, path, metric_path))
    yield from found
    told = {place for code, place, *_ in found if code not in ("SingleLook", "CannotFail")}
    whole = [one for one in _as_a_whole(metric, spec, path) if one[1] not in told]
    yield from whole
    wrong = told | {place for code, place, *_ in whole if code == "BadComparison"}
    yield from (one for one in _doubtful(metric, spec, path) if one[1] not in wrong)


def queries(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """(path below the comparison, provider) of everything that it asks."""
    for data in ("histogram", "gauge", "canaryWeightFrom"):
        if isinstance(spec.get(data), Mapping):
            yield data, spec[data]
    for part, union in (spec.get("counts") or {}).items():
        if isinstance(union, Mapping):
            yield f"counts.{part}", union


def _written(metric: Metric, spec: Spec, path: str, metric_path: str) -> Iterator[Finding]:
    test = str(spec.get("test", ""))
    margin, objective = spec.get("margin"), spec.get("objective")
    if not margin and objective is None and test not in _NO_MARGIN:
        hint = "Add one, such as margin: {relative: 0.5}: at most 1.5 times the stable value."
        yield "MarginRequired", f"{path}.margin", "a comparison needs a margin: how much worse is acceptable", hint
    alone = "stable" not in (spec.get("arms") or {}) and spec.get("seasonalBaseline") in (None, "", "off")
    if alone and objective is None and test != "objective":
        text = "required unless the canary is held to an objective, or a gauge is compared with its past"
        yield "Required", f"{path}.arms.stable", text, ""
    if not spec.get("maxDuration") and spec.get("until") != "terminated":
        hint = "Add one, such as maxDuration: 20m; undecided then is Inconclusive."
        yield "Required", f"{path}.maxDuration", "a comparison must end", hint
    if not metric.interval:
        yield "Required", f"{metric_path}.interval", "a comparison needs an interval: how often it looks", ""
    if metric.count is not None and str(metric.count) not in ("1", "0"):
        text = "a comparison is one measurement with many looks"
        yield "ComparisonCount", f"{metric_path}.count", text, "Leave count out; set maxDuration and interval."
    if test in FIXED and spec.get("looks") is None:
        text = f"{test} judges once, at maxDuration; to judge more often set looks and a spending rule"
        yield "SingleLook", f"{path}.test", text, ""
    for field in ("maxDuration", "warmUp", "lookback", "seasonalBaseline"):
        length = spec.get(field)
        if isinstance(length, str) and length != "off" and OPEN not in length and not is_duration(length):
            yield "BadDuration", f"{path}.{field}", f"want a Go duration such as 20m; got '{echo(length)}'", ""
    if not alone and "stable" not in (spec.get("arms") or {}) and isinstance(spec.get("gauge"), Mapping):
        yield from _without_history(spec["gauge"], f"{path}.gauge")
    ranges = (("alpha", 0.0, 0.5), ("beta", 0.0, 0.5), ("minBake", 0.0, 1.0), ("canaryWeight", 0.0, 100.0))
    for field, low, high in ranges:
        number = _number(spec.get(field))
        if number is not None and not low <= number <= high:
            yield "OutOfRange", f"{path}.{field}", f"want {low:g}..{high:g}, got {number:g}", _percent(field, number)
    failures, undecided, row = metric.failure_limit, metric.inconclusive_limit, metric.consecutive_success_limit
    if failures is not None and str(failures) not in ("0", ""):
        text = f"a comparison is one measurement: with failureLimit {echo(str(failures))} it can never fail"
        yield "CannotFail", f"{metric_path}.failureLimit", text, "Leave failureLimit out."
    if undecided is not None and OPEN not in str(undecided) and limits.to_int(undecided) > 0:
        text = (
            f"a comparison is one measurement: with inconclusiveLimit {undecided} it passes undecided, and without data"
        )
        yield "CannotFail", f"{metric_path}.inconclusiveLimit", text, "Leave inconclusiveLimit out."
    if row is not None and OPEN not in str(row) and limits.to_int(row) > 1:
        text = f"a comparison is one measurement, never {row} successes in a row"
        yield "CannotSucceed", f"{metric_path}.consecutiveSuccessLimit", text, "Leave consecutiveSuccessLimit out."


def _without_history(union: Spec, path: str) -> Iterator[Finding]:
    """A seasonal baseline of what only tells the present."""
    for name, spec in union.items():
        if name == PLUGIN and isinstance(spec, Mapping):
            yield from _without_history(spec, f"{path}.{PLUGIN}")
        elif name not in _WITH_HISTORY:
            text = f"{name} cannot be asked for the past, which seasonalBaseline compares with"
            yield "NoHistory", f"{path}.{name}", text, f"Ask one that can: {', '.join(sorted(_WITH_HISTORY))}."


def _percent(field: str, number: float) -> str:
    """What was meant by a chance above 1."""
    return f"{number:g}% is {number / 100:g}." if field in ("alpha", "beta") and 1.0 <= number <= 50.0 else ""


def _as_a_whole(metric: Metric, spec: Spec, path: str) -> Iterator[Finding]:
    """What only shows when the comparison is read; an argument that is not filled in yet may be anything."""
    every = parse_duration(metric.interval) if is_duration(metric.interval) else None
    timed = every is not None and every.total_seconds() > 0
    try:
        parsed = parse(spec, every if timed else timedelta(minutes=1))
    except SpecError as error:
        for where, text in error.mistakes:
            # an arm that lacks a value is told where the value is used: see argument_problems
            if not where.startswith("arms.") and not _is_open(spec, where):
                yield "BadComparison", f"{path}.{where}" if where else path, text, ""
        return
    for note in parsed.notes if timed else ():
        yield "OverlappingLooks", path, note, ""
    for limit in reach.limits(parsed, timed=timed):
        yield "OutOfReach", f"{path}.{limit.where}", limit.text, limit.hint
    if timed and parsed.season is not None:
        text = season.too_many(parsed.season, parsed.max_duration, parsed.interval)
        if text:
            yield "BadComparison", f"{path}.{season.FIELD}", text, ""


def _is_open(spec: Spec, where: str) -> bool:
    """Whether an argument could still mend what stands at this path."""
    if where == "arms":
        return False  # what is the same in both is so whatever is filled in
    if f"{OPEN}args." in str(spec.get("test", "")):
        return True  # anything may follow from the test
    found: Any = spec
    for name in where.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return f"{OPEN}args." in str(found)


def _doubtful(metric: Metric, spec: Spec, path: str) -> Iterator[Finding]:
    """What can be run and hardly be meant."""
    shape = next((one for one in _SHAPES if isinstance(spec.get(one), Mapping)), None)
    if shape is None or f"{OPEN}args." in str(spec.get("test", "")):
        return
    single = not isinstance((spec.get("arms") or {}).get("stable"), Mapping)
    test = str(spec.get("test") or default_test(shape, single=single))
    yield from _unused(spec, shape, test, path)
    yield from _sizes(spec, test, path)
    yield from _times(metric, spec, path)
    every = _length(metric.interval)
    for part, union in queries(spec):
        if part != "canaryWeightFrom":
            yield from _query(union, shape, spec.get("cumulative"), every, f"{path}.{part}")


def _unused(spec: Spec, shape: Shape, test: str, path: str) -> Iterator[Finding]:
    planned = test == "group-sequential" or test in FIXED
    rows = (
        ("looks", planned or test == KAYENTA, f"{test} looks at every interval"),
        ("spending", planned, f"{test} needs no spending rule"),
        ("kayenta", test == KAYENTA, f"{test} does not read it; test: kayenta does"),
        ("objective", test == OBJECTIVE, f"{test} compares with stable; test: objective uses it"),
        (
            "missing",
            spec.get("missing") != "zero" or shape == "gauge",
            f"zero is for gauges; {shape} without data are none",
        ),
        ("canaryWeight", shape != "gauge", "a gauge counts no requests, so no share of them can be told"),
        ("cumulative", shape != "gauge", "a gauge is compared as it is"),
    )
    for field, used, why in rows:
        if spec.get(field) is not None and not used:
            yield "UnusedField", f"{path}.{field}", f"not used: {why}", "Leave it out."


def _sizes(spec: Spec, test: str, path: str) -> Iterator[Finding]:
    margin = spec.get("margin")
    relative = _number(margin.get("relative")) if isinstance(margin, Mapping) else None
    absolute = _number(margin.get("absolute")) if isinstance(margin, Mapping) else None
    if relative is not None and relative >= _LARGE_MARGIN:
        text = f"with {relative:g} a canary may be {relative + 1:g} times as bad as stable"
        yield "OddSize", f"{path}.margin.relative", text, f"{relative:g}% is {relative / 100:g}."
    if 0.0 in (relative, absolute) and test not in _NO_MARGIN:
        text = "with a margin of 0 only a canary passes that is shown to be better than stable"
        field = "relative" if relative == 0.0 else "absolute"
        yield "OddSize", f"{path}.margin.{field}", text, "Say how much worse is acceptable, such as relative: 0.1."
    objective = _number(spec.get("objective"))
    if objective is not None and _LARGE_OBJECTIVE <= objective < 1.0 and spec.get("direction") != "decrease":
        text = f"an objective is the largest acceptable share of events: with {objective:g}, {100 * objective:g}%"
        yield "OddSize", f"{path}.objective", text, f"For {100 * objective:g}% good events write {1 - objective:.6g}."
    if spec.get("missing") == "zero" and isinstance(spec.get("gauge"), Mapping) and spec.get("direction") != "decrease":
        text = "a canary that has died counts as 0, the best value there is, and may pass"
        yield "OddSize", f"{path}.missing", text, "Leave it out, unless a canary that runs may have no value."


def _times(metric: Metric, spec: Spec, path: str) -> Iterator[Finding]:
    every, longest, warm_up = (_length(text) for text in (metric.interval, spec.get("maxDuration"), spec.get("warmUp")))
    if every and longest and longest <= every:
        text = f"{format_duration(longest)} with an interval of {format_duration(every)} is a single look"
        yield "TooFewLooks", f"{path}.maxDuration", text, "Give it several intervals."
    if longest and warm_up and warm_up >= longest:
        text = f"a process that starts with the comparison warms up for {format_duration(warm_up)}, until it is over"
        yield "TooFewLooks", f"{path}.warmUp", text, "Make it shorter than maxDuration."


def _query(union: Spec, shape: Shape, cumulative: Any, every: timedelta | None, path: str) -> Iterator[Finding]:
    """PromQL that cannot give what the comparison needs of it."""
    prometheus = union.get("prometheus")
    query = str(prometheus.get("query", "")) if isinstance(prometheus, Mapping) else ""
    path = f"{path}.prometheus.query"
    kept = " ".join(labels for word, labels in _GROUPED.findall(query) if word == "by")
    known = "without" not in query
    if shape == "histogram" and "histogram_quantile" in query:
        text = "a quantile has no buckets, and nothing could be compared"
        yield "NoBuckets", path, text, "Ask for the _bucket series, or compare the quantile as a gauge."
        return
    if shape == "histogram" and known and _SUM.search(query) and not re.search(r"\ble\b", kept):
        text = "the sum drops the label le, and nothing could be compared"
        yield "NoBuckets", path, text, "Write sum by (pod, le) (...)."
        return
    if shape == "gauge":
        seconds = range_seconds(query)
        if every and seconds > every.total_seconds():
            text = f"the range {seconds:g} s is longer than the interval {every.total_seconds():g} s: looks share data"
            yield "OverlappingLooks", path, text, "Make the range as long as the interval."
        return
    step = every or timedelta(minutes=1)
    counter = (
        bool(query) and growth_factor(union, step, cumulative if isinstance(cumulative, bool) else None)[0] is None
    )
    if counter and known and _SUM.search(query) and not _PROCESS.search(kept):
        text = "a sum over processes hides that one of them restarted, and what it had counted is missing then"
        hint = f"Keep a label that tells them apart: sum by (pod{', le' if shape == 'histogram' else ''}) (...)."
        yield "SummedCounters", path, text, hint


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _length(text: Any) -> timedelta | None:
    return parse_duration(text) if isinstance(text, str) and is_duration(text) else None
