"""What comes in as a condition and must not, with the code, the place, and the words of the answer."""

import math
from array import array
from typing import Any

import pytest

from analysis_service.core.expression import ExpressionError, compile_condition, judge

FLOATS = array("d", [1, 2, 3])
EMPTY = array("d")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def refused(source: str, result: Any, expects: str = "") -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source, expects=expects).decide(result)
    return caught.value


AT_CREATION = [
    # source, code, in the message or the hint, column
    pytest.param("result >", "Syntax", "unexpected end at column 9", 9, marks=pytest.mark.bad_input(79)),
    pytest.param("sqrt2(result) > 1", "UnknownFunction", "did you mean", 1, marks=pytest.mark.bad_input(89)),
    ("1 < 2 && avg(result) > 1", "UnknownFunction", "unknown name avg", 10),
    pytest.param("results < 1", "UnknownName", "did you mean 'result'?", 1, marks=pytest.mark.bad_input(90)),
    pytest.param(
        "__class__", "NotAllowed", "names starting with _ are not allowed", 1, marks=pytest.mark.bad_input(92)
    ),
    ("_x > 1", "NotAllowed", "names starting with _ are not allowed", 1),
    pytest.param(
        "result.__class__.__mro__",
        "NotAllowed",
        "names starting with _ are not allowed",
        8,
        marks=pytest.mark.bad_input(92),
    ),
    pytest.param("(" * 3_000, "TooDeep", "nesting deeper than 32", 33, marks=pytest.mark.bad_input(93)),
    ("[" * 3_000, "TooDeep", "nesting deeper than 32", 33),
    ("len(" * 900, "TooDeep", "nesting deeper than 32", 132),
    ("!" * 900 + "true", "TooDeep", "nesting deeper than 32", 33),
    pytest.param("-" * 100_000 + "1", "TooLong", "longer than 4096 bytes", 0, marks=pytest.mark.bad_input(94)),
    pytest.param("1" + "+1" * 99_999, "TooLong", "longer than 4096 bytes", 0, marks=pytest.mark.bad_input(95)),
    ("\u00e9" * 3_000, "TooLong", "longer than 4096 bytes", 0),  # bytes, not characters
    ("1" + "+1" * 300 + " > 1", "TooDeep", "a chain of more than 100", 1),
    ("[" + "1," * 600 + "1] == 1", "TooMuchWork", "more than 500 parts", 1002),
    pytest.param(
        "result == \u201ca\u201d", "Syntax", "character U+201C; use plain quotes", 11, marks=pytest.mark.bad_input(103)
    ),
    pytest.param("result = 0.05", "Syntax", "use == to compare", 8, marks=pytest.mark.bad_input(104)),
    # as other languages write it
    ("result => 0.05", "Syntax", "use >=", 8),
    ("result <> 0.05", "Syntax", "use !=", 9),
    ("result < 1 OR true", "Syntax", "write or, or ||", 12),
    ("result & true", "Syntax", "use && for and", 8),
    pytest.param("result > 1 \U0001f600", "Syntax", "U+1F600", 12, marks=pytest.mark.bad_input(106)),
    pytest.param("result\0 > 1", "Syntax", "U+0000", 7, marks=pytest.mark.bad_input(106)),
    ("result > 'a", "Syntax", "literal not terminated", 10),
    ("result > 99999999999999999999", "Syntax", "out of range", 10),
    ("result matches '('", "BadPattern", "error parsing regexp", 16),
    ("result matches '" + "a" * 300 + "'", "BadPattern", "more than 256 bytes", 16),
    ("1 < 'a'", "WrongType", "invalid operation: < (mismatched types int and string)", 1),
    ("len", "WrongType", "call it: len(...)", 1),
    ("# > 1", "Syntax", 'unexpected token Operator("#")', 1),
    ("all(result)", "Syntax", "expected at least 2 arguments", 11),
]


@pytest.mark.parametrize(("source", "code", "fragment", "column"), AT_CREATION)
def test_refused_at_creation(source: str, code: str, fragment: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source)
    error = caught.value
    assert (error.code, error.at + 1) == (code, column)
    assert fragment in f"{error.message} | {error.hint}"


BY_RESULT_TYPE = [
    # known before there is a result, when the provider's type is
    pytest.param(
        "result < 0.05",
        "floats",
        "WrongType",
        "cannot compare list with number; use result[0]",
        marks=pytest.mark.bad_input(81),
    ),
    ("isNaN(result)", "floats", "WrongType", "isNaN wants a number, got a list"),
    ("result[0] < 0.05", "float", "WrongType", "a number is not a list"),
    pytest.param(
        "result + 1",
        "float",
        "NotBoolean",
        "a condition must give true or false, got number",
        marks=pytest.mark.bad_input(87),
    ),
    ("'yes'", "any", "NotBoolean", "got text"),
    ("result == 'x'", "float", "WrongType", "mismatched types float64 and string"),
    ("result.rate < 1", "float|floats", "WrongType", "has no field"),
]


@pytest.mark.parametrize(("source", "expects", "code", "fragment"), BY_RESULT_TYPE)
def test_refused_for_the_type_of_result(source: str, expects: str, code: str, fragment: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source, expects=expects)
    assert caught.value.code == code
    assert fragment in f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize(
    ("source", "expects"),
    [
        ("result < 0.05", "float"),
        ("result < 0.05", "float|floats"),  # one of them will do
        ("result[0] < 0.05", "float|floats"),
        ("all(result, # < 1)", "floats"),
        ("result.ok", "map"),  # its type is known when it is there
        ("result.a < 1", "any"),
    ],
)
def test_accepted_for_the_type_of_result(source: str, expects: str) -> None:
    compile_condition(source, expects=expects)


AT_MEASUREMENT = [
    # source, result, code, in the message or the hint
    pytest.param(
        "result[0] < 0.05",
        EMPTY,
        "NoData",
        "query returned no series; guard with len(result) > 0 or set onNoData",
        marks=pytest.mark.bad_input(80),
    ),
    ("result[3] < 0.05", FLOATS, "OutOfRange", "the list has 3 items, 0 to 2"),
    pytest.param(
        "result < 0.05",
        FLOATS,
        "WrongType",
        "cannot compare list with number; use result[0]",
        marks=pytest.mark.bad_input(81),
    ),
    pytest.param(
        "isNaN(result)", FLOATS, "WrongType", "isNaN wants a number, got a list", marks=pytest.mark.bad_input(82)
    ),
    pytest.param(
        'asFloat("abc") > 1', 1.0, "NotANumber", "asFloat: 'abc' is not a number", marks=pytest.mark.bad_input(85)
    ),
    ("asInt(result) > 1", "1.5", "NotANumber", "asInt: '1.5' is not a whole number"),
    pytest.param("asInt(1e300) > 1", 1.0, "OutOfRange", "out of 64-bit range", marks=pytest.mark.bad_input(86)),
    pytest.param(
        "asInt(result) > 1", math.inf, "OutOfRange", "+Inf is out of 64-bit range", marks=pytest.mark.bad_input(86)
    ),
    ("asInt(result) > 1", math.nan, "OutOfRange", "NaN is out of 64-bit range"),
    ("asInt(result) > 1", "9" * 5_000, "OutOfRange", "out of 64-bit range"),
    pytest.param(
        "result + 1",
        1.0,
        "NotBoolean",
        "a condition must give true or false, got number",
        marks=pytest.mark.bad_input(87),
    ),
    pytest.param(
        "result.foo < 1",
        {"a": 1.0, "b": 2.0, "c": 3.0},
        "WrongType",
        "no field 'foo'; fields: a, b, c",
        marks=pytest.mark.bad_input(91),
    ),
    ("result.a.b < 1", {"a": {}}, "WrongType", "no field 'b': the map is empty"),
    ("result.a.b < 1", {}, "WrongType", "nil has no fields"),
    pytest.param("9**9**9 > 1", 1.0, "TooMuchWork", "exponent", marks=pytest.mark.bad_input(96)),
    pytest.param(
        'repeat("a", 1000000000) == ""',
        1.0,
        "TooMuchWork",
        "a text of 1000000000 characters; limit 65536",
        marks=pytest.mark.bad_input(97),
    ),
    pytest.param(
        "len(1..1000000000) > 1",
        1.0,
        "TooMuchWork",
        "a range of 1000000000 items; limit 10000",
        marks=pytest.mark.bad_input(97),
    ),
    pytest.param(
        "all(1..10000, any(1..10000, # > 9999))",
        1.0,
        "TooMuchWork",
        "more than 100000 steps",
        marks=pytest.mark.bad_input(98),
    ),
    ('replace(repeat("a", 60000), "a", repeat("b", 60000)) == ""', 1.0, "TooMuchWork", "3600000000 characters"),
    ('reduce(1..10000, #acc + "aaaaaaaaaaaaaaaa", "") == ""', 1.0, "TooMuchWork", "too much work"),
    ('len(map(1..10000, repeat("a", 60000))) > 0', 1.0, "TooMuchWork", "more than 100000 steps"),
    pytest.param(
        "len(flatten(result)) == 0",
        nested(10_000),
        "DataTooDeep",
        "nested deeper than 32",
        marks=pytest.mark.bad_input(99),
    ),
    ("result == result", nested(10_000), "DataTooDeep", "nested deeper than 32"),
    ("true", nested(33), "DataTooDeep", "nested deeper than 32"),
    pytest.param("5 % 0 == 1", 1.0, "DivisionByZero", "modulo by zero", marks=pytest.mark.bad_input(101)),
    pytest.param(
        "9223372036854775807 + 1 > 0", 1.0, "IntegerOverflow", "integer overflow", marks=pytest.mark.bad_input(102)
    ),
    ("asInt(result) * 2 > 0", float(2**62), "IntegerOverflow", "integer overflow"),
    ("abs(-9223372036854775807 - 1) > 0", 1.0, "IntegerOverflow", "integer overflow"),
    ("result == 1", 1 << 63, "IntegerOverflow", "integer overflow"),
    ("result == 1", object(), "WrongType", "unsupported type object"),
    ("result[0] == 1", [object()], "WrongType", "unsupported type object"),
    ("result == nil", {1: 2}, "WrongType", "unsupported type int"),
    ("result == nil", array("q", [1]), "WrongType", "unsupported type array"),
    ("result.a && true", {"a": 1.0}, "WrongType", "true or false is needed here, got a number"),
    ("result.a contains 'x'", {"a": 1.0}, "WrongType", "a text is needed here, got a number"),
    ("all(result.a, # > 1)", {"a": 1.0}, "WrongType", "all goes over a list"),
]


@pytest.mark.parametrize(("source", "result", "code", "fragment"), AT_MEASUREMENT)
def test_refused_at_measurement(source: str, result: Any, code: str, fragment: str) -> None:
    error = refused(source, result)
    assert error.code == code
    assert fragment in f"{error.message} | {error.hint}"


@pytest.mark.parametrize(
    ("source", "result", "value"),
    [
        pytest.param("1/0 > 1e308", 1.0, True, marks=pytest.mark.bad_input(101)),
        ("-1/0 < -1e308", 1.0, True),
        pytest.param("0/0 == 0/0", 1.0, False, marks=pytest.mark.bad_input(101)),
        ("result < 0.05", math.nan, False),
        pytest.param(
            'result matches "(a+)+$"', "a" * 5_000 + "b", False, marks=pytest.mark.bad_input(100)
        ),  # linear: RE2
        ("result._source.hits > 1", {"_source": {"hits": 2.0}}, True),  # one underscore is a common key of JSON
    ],
)
def test_what_looks_odd_and_is_right(source: str, result: Any, value: bool) -> None:
    assert compile_condition(source).decide(result) is value


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        pytest.param("true", ["ConstantCondition"], marks=pytest.mark.bad_input(105)),
        pytest.param('"0.05" < "0.1"', ["ConstantCondition", "TextComparison"], marks=pytest.mark.bad_input(88)),
        ('result < "0.05"', ["TextComparison"]),
        ("default(result.missing, 0) == 0", ["IgnoredArgument"]),
        ("isNil(result.missing)", ["IgnoredArgument"]),
        ("all(result, # < 1)", ["EmptyPasses"]),
        ("len(result) > 0 && all(result, # < 1)", []),
        ("default(result, 0) < 1", []),
        ("result < 0.05", []),
    ],
)
def test_remarks(source: str, codes: list[str]) -> None:
    assert [remark.code for remark in compile_condition(source).warnings] == codes


def test_an_error_names_the_offending_text() -> None:
    source = "len(result) > 0 &&\n  results[0] < 0.05"
    error = refused(source, FLOATS)
    assert source[error.at : error.end] == "results"


def test_an_error_at_the_end_points_behind_the_text() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition("result >")
    assert caught.value.at == len("result >")


@pytest.mark.bad_input(83)
def test_nan_on_both_sides_is_inconclusive_and_says_so() -> None:
    verdict = judge("result < 0.05", "result >= 0.05", math.nan)
    assert verdict.phase == "Inconclusive"
    assert "value is NaN" in verdict.explanation


@pytest.mark.bad_input(84)
def test_nan_with_a_success_condition_alone_fails_and_says_why() -> None:
    verdict = judge("result < 0.05", "", math.nan)
    assert verdict.phase == "Failed"
    assert verdict.explanation.count("as false") == 1
    assert "NaN compared as false" in verdict.explanation
    assert "onNaN" in verdict.explanation


HEAVY = [
    "9**9**9 > 1",
    "all(1..10000, any(1..10000, # > 9999))",
    "all(1..10000, len(filter(1..10000, true)) > 0)",
    "len(map(1..9999, map(1..9999, #))) > 0",
    'len(map(1..9999, upper(repeat("x", 9999)))) > 0',
    'all(1..9999, result.a == result.b)',
    'all(1..9999, result.c == result.d)',
    'all(1..9999, not (result.a matches "(x+x+)+z"))',
    "len(uniq(map(1..9999, [#]))) > 0",
    'len(map(1..9999, split(result.a, ""))) > 0',
    "len(map(1..9999, sort(result.c))) > 0",
    "len(map(1..9999, max(result.c))) > 0",
    "len(map(1..9999, toJSON(result))) > 0",
    "len(map(1..9999, string(result))) > 0",
]  # fmt: skip


@pytest.mark.parametrize("source", HEAVY)
def test_no_condition_is_expensive(source: str) -> None:
    """Each of these would take from seconds to hours if it ran to its end."""
    text, numbers = "x" * 60_000, [float(i) for i in range(50_000)]
    data = {"a": text + "y", "b": "x" * 60_000 + "y", "c": numbers, "d": list(numbers)}
    assert refused(source, data).code == "TooMuchWork"
