"""Runs the vectors about the condition language: kinds `expr.*`.

There are no pointers here: a provider hands over None where Go has a nil pointer, slice or map, and the value where
Go has a pointer to it. That is what `decode` does with `$nilptr`, `$nilslice` and `$ptr`.
"""

import json
import math
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from analysis_service.core.expression import (
    ExpressionError,
    Strings,
    compile_condition,
    evaluate_time,
    judge,
    nil_or_empty,
    prepare_condition,
)
from analysis_service.core.expression.texts import go_text

NOW = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
FLOATS = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


def decode(value: Any) -> Any:
    """A value of the vector file: bare numbers are float64, the others say what they are."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            match key:
                case "$int":
                    return int(inner)
                case "$float":
                    return FLOATS[inner]
                case "$floats":
                    return array("d", [decode(item) for item in inner])
                case "$strings":
                    return Strings(inner)
                case "$nilptr" | "$nilslice":
                    return None
                case "$ptr":
                    return decode(inner)
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def same(a: Any, b: Any) -> bool:
    """Equal in value and in type; NaN is itself."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return type(a) is type(b) and bool(a == b)


def outcome(run: Callable[[], Any]) -> tuple[Any, str | None]:
    """The value, or the error's message."""
    try:
        return run(), None
    except ExpressionError as error:
        return None, error.message


def matches(expect: dict[str, Any], value: Any, error: str | None) -> None:
    """Asserts the keys `value`, `error` (a text or true), `errorContains`, `errorPattern`, `errorAny`."""
    import re

    if "value" in expect:
        assert error is None, error
        wanted = decode(expect["value"])
        # times are written as texts
        assert same(value, wanted) or (isinstance(value, datetime) and value == _time(wanted)), (value, wanted)
        return
    assert error is not None, f"no error, but {value!r}"
    for part in _texts(expect.get("errorContains", [])):
        assert part in error, error
    if isinstance(expect.get("error"), str):
        assert error == expect["error"]
    if "errorPattern" in expect:
        assert re.search(expect["errorPattern"], error), error


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def run_result(given: dict[str, Any], expect: dict[str, Any]) -> None:
    verdict = judge(
        given.get("successCondition", ""), given.get("failureCondition", ""), decode(given["result"]), now=NOW
    )
    if "phase" in expect:
        assert verdict.phase == expect["phase"], verdict
    failed = verdict.phase == "Error"
    wanted = {k: v for k, v in expect.items() if k.startswith("error")}
    if wanted:
        matches(wanted, verdict.phase, verdict.message if failed else None)
    for part in _texts(expect.get("messageContains", [])):
        assert part in verdict.message, verdict
    if "message" in expect:
        assert verdict.message == expect["message"]


def run_condition(given: dict[str, Any], expect: dict[str, Any]) -> None:
    result = decode(given["result"])
    matches(expect, *outcome(lambda: prepare_condition(given["condition"]).decide(result, now=NOW)))


def run_function(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """A function of the environment, called through the language."""
    (argument,) = [decode(item) for item in given["args"]]
    matches(expect, *outcome(lambda: compile_condition(f"{given['fn']}(result)").evaluate(argument)))


def run_default(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """default(first, d): `d` stands in the source as a literal; `first` is the result itself, as in Argo's tests."""
    assert same(decode(given["firstArg"]), decode(given["result"]))
    literal = decode(given["default"])
    source = f"default(result, {json.dumps(literal) if isinstance(literal, str) else go_text(literal)})"
    matches(expect, *outcome(lambda: compile_condition(source).evaluate(decode(given["result"]))))


def run_is_nil(given: dict[str, Any], expect: dict[str, Any]) -> None:
    matches(expect, *outcome(lambda: compile_condition("isNil(result)").evaluate(decode(given["result"]))))


def run_nil_check(given: dict[str, Any], expect: dict[str, Any]) -> None:
    value = decode(given["value"])
    assert compile_condition("result == nil").evaluate(value) is expect["nil"]
    assert compile_condition("isNil(result)").evaluate(value) is expect["nil"]


def run_nil_or_empty(given: dict[str, Any], expect: dict[str, Any]) -> None:
    assert nil_or_empty(decode(given["value"])) is expect["nilOrEmpty"]


def run_deref(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """What `result` is inside a condition."""
    matches(expect, *outcome(lambda: compile_condition("result").evaluate(decode(given["value"]))))


def run_time(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """`expect.value` is an RFC 3339 time; `now` may be given, else it is NOW."""
    now = datetime.fromisoformat(given["now"]) if "now" in given else NOW
    if "offsetSeconds" in expect:
        value, error = outcome(lambda: evaluate_time(given["expr"], now))
        assert error is None, error
        assert value - now == timedelta(seconds=expect["offsetSeconds"])
        return
    times = {k: v for k, v in expect.items() if k in ("value", "time")}
    value, error = outcome(lambda: evaluate_time(given["expr"], now))
    matches({"value": next(iter(times.values()))} if times else expect, value, error)


RUNNERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "expr.result": run_result,
    "expr.condition": run_condition,
    "expr.func": run_function,
    "expr.default": run_default,
    "expr.isNil": run_is_nil,
    "expr.nilcheck": run_nil_check,
    "expr.nilOrEmpty": run_nil_or_empty,
    "expr.deref": run_deref,
    "expr.time": run_time,
}
