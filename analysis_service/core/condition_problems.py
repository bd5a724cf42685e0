"""What is wrong with a metric's conditions, as far as can be told before there is a value."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis_service.core.arguments import provider_names
from analysis_service.core.expression import ExpressionError, compile_condition
from analysis_service.core.model import Metric
from analysis_service.core.tags import ArgumentError, tags
from analysis_service.core.timing import parse_duration

CONDITIONS = ("successCondition", "failureCondition")
REFUSED = frozenset({"Syntax", "UnknownName", "UnknownFunction", "TooLong", "TooDeep", "NotAllowed", "BadPattern"})
_FIRST_ITEM = re.compile(r"\bresult\s*\[\s*0\s*\]")
_GUARD = re.compile(r"\b(len|isNil|default)\s*\(\s*result|\bresult\s*\?\.|\?\?")
_SCALAR_QUERY = re.compile(r"\s*(scalar\s*\(|[-+]?[0-9.]+\s*$)")
_WINDOW = re.compile(r"\[([0-9a-z]+)(?::[0-9a-z]*)?\]")
_SHORTEST_WINDOW = 30  # seconds: two scrapes at a common scrape interval


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding with its place inside the condition: character offset and length; -1: the whole."""

    code: str
    field: str
    message: str
    hint: str = ""
    at: int = -1
    length: int = 1


def condition_findings(metric: Metric) -> Iterator[Remark]:
    """Errors and remarks on the conditions of one metric."""
    texts = {"successCondition": metric.success_condition, "failureCondition": metric.failure_condition}
    written = {field: text for field, text in texts.items() if text}
    for field, text in written.items():
        yield from _findings(metric, field, text)
    if len(written) == 2 and len({text.strip() for text in written.values()}) == 1:
        message = "successCondition and failureCondition are the same: a value that meets both is Failed"
        yield Remark("ConditionsOverlap", "failureCondition", message)
    spec = _prometheus(metric)
    if spec is not None:
        yield from _window(metric, spec)


def _findings(metric: Metric, field: str, text: str) -> Iterator[Remark]:
    tagged = "{{" in text
    source = _stand_in(text) if tagged else text
    if source is None:
        return
    try:
        condition = compile_condition(source)
    except ExpressionError as error:
        if not tagged:
            yield Remark(error.code, field, error.message, error.hint, error.at, max(1, error.end - error.at))
        elif error.code in REFUSED:
            yield Remark(error.code, field, error.message, error.hint)
        return
    for remark in condition.warnings:
        if not tagged or remark.code != "ConstantCondition":
            yield Remark(remark.code, field, remark.message, at=-1 if tagged else remark.column - 1)
    if not tagged:
        yield from _typed(metric, field, text)
    spec = _prometheus(metric)
    if spec is None:
        return
    if isinstance(spec.get("rangeQuery"), Mapping) and _FIRST_ITEM.search(text):
        message = "result[0] of a range query is the oldest point of the first series"
        yield Remark("RangeFirstPoint", field, message, "Use result[len(result)-1], or all(result, ...).")
    elif _FIRST_ITEM.search(text) and not _GUARD.search(text) and not metric.on_no_data:
        message = "result[0] is an error when the query returns no series"
        yield Remark("UnguardedIndex", field, message, "Guard with len(result) > 0, or set onNoData.")


def _typed(metric: Metric, field: str, text: str) -> Iterator[Remark]:
    """Type errors that every answer of this provider would meet."""
    spec = _prometheus(metric)
    if spec is not None:
        query = str(spec.get("query", ""))
        expected = "float" if _SCALAR_QUERY.match(query) and "rangeQuery" not in spec else "floats"
    else:
        expected = {"scrape": "float|floats", "graphite": "floats"}.get("".join(provider_names(metric.provider)), "any")
    try:
        compile_condition(text, expects=expected)
    except ExpressionError as error:
        hint = error.hint
        if expected == "floats" and _fits(text, "float"):
            hint = "A query gives a list of values: use result[0], or all(result, # < 0.05)."
        yield Remark("ResultType", field, error.message, hint, error.at, max(1, error.end - error.at))


def _fits(text: str, expected: str) -> bool:
    try:
        compile_condition(text, expects=expected)
    except ExpressionError:
        return False
    return True


def _window(metric: Metric, spec: Mapping[str, Any]) -> Iterator[Remark]:
    interval = _seconds(metric.interval)
    for window in _WINDOW.findall(str(spec.get("query", ""))):
        seconds = _seconds(window)
        if seconds is None:
            continue
        if seconds < _SHORTEST_WINDOW:
            message = f"the window [{window}] may hold fewer than two scrapes; rate() is then empty"
            yield Remark("WindowTooShort", "provider.prometheus.query", message)
        elif interval is not None and seconds < interval:
            message = f"the window [{window}] is shorter than the interval {metric.interval}: events between are missed"
            yield Remark("WindowGap", "provider.prometheus.query", message)


def _seconds(text: str) -> float | None:
    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        return None


def _prometheus(metric: Metric) -> Mapping[str, Any] | None:
    spec = metric.provider.get("prometheus")
    return spec if isinstance(spec, Mapping) else None


def _stand_in(text: str) -> str | None:
    """The condition with a 0 in the place of each tag; None if nothing is left to judge."""
    parts: list[str] = []
    done = 0
    try:
        for tag in tags(text):
            parts += (text[done : tag.start], "0")
            done = tag.end
    except ArgumentError:
        return None
    rest = "".join(parts) + text[done:]
    return None if not rest.replace("0", "").strip() else rest
