"""Whatever the source and the data: a value or an ExpressionError, and the same one each time."""

import math
from array import array
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.expression import (
    ExpressionError,
    Strings,
    compile_condition,
    evaluate_time,
    explain,
    go_text,
    judge,
)
from analysis_service.core.expression.functions import ARGO_FUNCTIONS, BUILTINS, PREDICATES

NOW = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)

scalars = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.sampled_from(["", "a", "b", "1", "1.5", "NaN", "2023-08-14", "1h", "\ud800", "é"])
    | st.text(max_size=6)
    | st.datetimes(timezones=st.just(UTC))
    | st.timedeltas()
)
data = st.recursive(
    scalars
    | st.lists(st.floats(), max_size=4).map(lambda v: array("d", v))
    | st.lists(st.text(max_size=3), max_size=3).map(Strings),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
atoms = st.sampled_from(
    [
        "result", "result", "result[0]", "result.a", "result.a.b", "result?.a", "#", "#acc", "#index", ".a", "nil",
        "true", "false", "0", "1", "-1", "2.5", "1e308", "9223372036854775807", "'a'", "'1h'", "'(a+)+$'",
        "''", "[]", "{}",
        "[1, 2.5]", "['a', 'b']", "{a: 1, b: [2]}", "1..3", "now()", "duration('1h')", "date('2023-08-14')", "x", "asc",
        "'desc'", "[nil]", "[[1], [2]]", "64", "100000",
    ]
)  # fmt: skip
operators = st.sampled_from(
    [
        *"+ - * / % ** ^ == != < > <= >= && || and or in matches contains startsWith endsWith .. ?? | ;".split(),
        "not in",
        "not matches",
        "? 1 :",
        "?:",
    ]
)
functions = st.sampled_from(sorted({*BUILTINS, *PREDICATES, *ARGO_FUNCTIONS, "default", "isNil"}))


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sources that mostly parse: the interesting failures are behind the parser."""
    several = st.lists(inner, min_size=1, max_size=3).map(", ".join)
    return (
        st.tuples(inner, operators, inner).map(" ".join)
        | st.tuples(functions, several).map(lambda t: f"{t[0]}({t[1]})")
        | st.tuples(st.sampled_from(sorted(PREDICATES)), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
        | st.tuples(inner, functions).map(lambda t: f"{t[0]} | {t[1]}()")
        | st.tuples(st.sampled_from(["!", "-", "not ", "+"]), inner).map("".join)
        | inner.map(lambda e: f"({e})")
        | st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}]")
        | st.tuples(inner, inner, inner).map(lambda t: f"({t[0]})[{t[1]}:{t[2]}]")
        | st.tuples(inner, inner).map(lambda t: f"let x = {t[0]}; {t[1]}")
        | st.tuples(inner, inner, inner).map(lambda t: f"if {t[0]} {{ {t[1]} }} else {{ {t[2]} }}")
        | st.tuples(inner, inner).map(lambda t: f"[{t[0]}, {t[1]}]")
        | st.tuples(inner, inner).map(lambda t: f"{{a: {t[0]}, b: {t[1]}}}")
        | st.tuples(inner, st.sampled_from([".a", "?.a", "?.[0]", ".Hours()", ".Unix()", ".Add(x)"])).map(
            lambda t: f"({t[0]}){t[1]}"
        )
    )


sources = st.recursive(atoms, grow, max_leaves=8)


def outcome(source: str, result: Any) -> tuple[str, str]:
    try:
        value = compile_condition(source).evaluate(result, now=NOW)
    except ExpressionError as error:
        return "error", f"{error.at} {error.end} {error.message}"
    try:
        return type(value).__name__, go_text(value)
    except ExpressionError:
        return type(value).__name__, ""  # nested too deeply to print


@settings(max_examples=1_500, deadline=None)
@given(source=sources, result=data)
def test_only_its_own_error(source: str, result: Any) -> None:
    assert outcome(source, result) == outcome(source, result)
    verdict = judge(source, "", result, now=NOW)
    assert verdict.explanation
    with suppress(ExpressionError):
        explain(compile_condition(source), result, now=NOW)
        compile_condition(source, expects="float|floats")


@settings(max_examples=300, deadline=None)
@given(source=st.text(max_size=60) | st.text(alphabet="result<>=!&|()[]{}#.,;:?'\"`\\ 01e+-*/%a_\n", max_size=60))
def test_any_text_at_all(source: str) -> None:
    outcome(source, 1.0)
    with suppress(ExpressionError):
        evaluate_time(source, NOW)


@settings(max_examples=300, deadline=None)
@given(source=sources, value=st.floats())
def test_what_is_refused_for_a_type_is_refused_for_its_values(source: str, value: float) -> None:
    """Lint and measurement agree: a condition that `expects` refuses gives no verdict on such a result."""
    try:
        compile_condition(source, expects="float")
    except ExpressionError:
        with pytest.raises(ExpressionError):
            compile_condition(source).decide(value, now=NOW)


@given(value=st.floats())
def test_a_number_equals_itself_unless_it_is_nan(value: float) -> None:
    condition = compile_condition("result == result")
    assert condition.decide(value) is (not math.isnan(value))
    assert condition.decide([value]) is (not math.isnan(value))


@given(value=st.floats(), limit=st.floats(allow_nan=False, allow_infinity=False, min_value=0))
def test_a_vector_is_compared_as_a_number_is(value: float, limit: float) -> None:
    """The fast paths for typed lists, the general one for untyped ones, and plain Python agree."""
    source = f"result[0] < {limit!r}"
    wanted = value < limit
    assert compile_condition(source).decide(array("d", [value])) is wanted
    assert compile_condition(source).decide([value]) is wanted
    assert compile_condition(f"all(result, # < {limit!r})").decide(array("d", [value])) is wanted
    assert compile_condition(f"result.x < {limit!r}").decide({"x": value}) is wanted


@given(value=st.floats())
def test_a_float_reads_back_from_its_text(value: float) -> None:
    text = go_text(value)
    found = compile_condition("asFloat(result)").evaluate(text)
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(by=st.timedeltas())
def test_time_arithmetic_is_exact_or_refused(by: timedelta) -> None:
    condition = compile_condition("now() + result - now() == result")
    if timedelta(days=-730_000) < by < timedelta(days=2_900_000):  # years 1 to 9999
        assert condition.decide(by, now=NOW)
        return
    with suppress(ExpressionError):
        assert condition.decide(by, now=NOW)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_an_error_kept_is_raised_afresh(limit: int) -> None:
    condition = compile_condition("result < 'a'")
    errors = []
    for _ in range(limit):
        with pytest.raises(ExpressionError) as caught:
            condition.evaluate(1.0)
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == limit
