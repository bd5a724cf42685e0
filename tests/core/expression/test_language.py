"""The language: what an expression gives, as expr-lang 1.17.8 gives it.

The tables were compared with that implementation, run over the same expressions and results; where the two differ on
purpose (integers that overflow, a clock that is an argument) the comment says so.
"""

import math
from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.expression import ExpressionError, Strings, compile_condition, evaluate_time, go_text

NOW = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
FLOATS = array("d", [1, 2.5, 3])
MIXED = [1.0, 2, "x", None, True]
MAP = {"a": 1.0, "b": "t", "c": [1.0, 2.0], "d": None, "e": {"f": 2.0}}


def value_of(source: str, result: Any = None) -> Any:
    return compile_condition(source).evaluate(result, now=NOW)


LITERALS_AND_OPERATORS: list[tuple[str, Any]] = [
    ("1_000", 1000), ("0x1F", 31), ("0b101", 5), ("0o17", 15), (".5", 0.5), ("1e3", 1000.0), ("-7", -7),
    ("'a' + \"b\"", "ab"), ("`raw \"x\"`", 'raw "x"'), (r'"a\n\x41\u00e9\101\u{1F600}"', "a\nA\u00e9A\U0001f600"),
    ("nil", None), ("true", True), ("[1, 'a', nil]", [1, "a", None]),
    ("{a: 1, 'b': 2, 3: 4}", {"a": 1, "b": 2, "3": 4}),
    # binding powers, from the loosest to the tightest
    ("1 + 2 * 3", 7), ("2 ** 3 ** 2", 512.0), ("-2 ** 2", -4.0), ("2 ^ 3", 8.0), ("(1 + 2) * 3", 9),
    ("not true == false", True), ("not (1 == 2)", True), ("!true || true", True), ("true and false or true", True),
    ("1 < 2 == true", True), ("1..3 == [1, 2, 3]", True), ("nil ?? 1", 1), ("1 == 1 ? 'y' : 'n'", "y"),
    ("false ?: 3", 3), ("1 < 2 < 3", True), ("1 < 2 > 5", False), ("[1, 2] | len()", 2),
    # / is always a float, % never
    ("1 / 2", 0.5), ("4 / 2", 2.0), ("1 / 0", math.inf), ("-1 / 0", -math.inf), ("-7 % 3", -1), ("7 % -3", 1),
    ("2 ** -1", 0.5), ("(-8) ** 0.5 != 0", True), ("0.0 ** -1", math.inf), ("1.5 + 1", 2.5),
    ("1 == 1.0", True), ("[1, 2.0] == [1.0, 2]", True), ("{'a': 1} == {'a': 1}", True), ("'a' < 'b'", True),
    # conditions, variables, comments
    ("if 1 > 2 { 1 } else if true { 2 } else { 3 }", 2), ("let x = 1; let y = x + 1; x + y", 3), ("1; 2", 2),
    ("1 /* one */ + 1 // two", 2), ("'a' in ['a', 'b']", True), ("3 not in 1..2", True), ("2.0 in 1..2", True),
    ("2.5 in 1..2", False), ("'abc' matches '^a.c$'", True), ("'abc' not contains 'z'", True),
    ("'abc' startsWith 'a' and 'abc' endsWith 'c'", True), ("'hello'[1:3]", "el"), ("[1, 2, 3][-1]", 3),
    ("[1, 2, 3][1:]", [2, 3]), ("[1, 2, 3][:-1]", [1, 2]), ("[1, 2, 3][2:1]", []), ("{a: {b: 1}}.a.b", 1),
    # logic looks no further than it must, and the last part need not be looked at
    ("[][0] && false", False), ("1 > 2 && [][0]", False),
    ("false && 1 / 0 > 0", False), ("true || [][0] == 1", True),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value"), LITERALS_AND_OPERATORS)
def test_operators(source: str, value: Any) -> None:
    found = value_of(source)
    if isinstance(found, range):
        found = list(found)
    assert (type(found), found) == (type(value), value)


BUILTINS: list[tuple[str, Any]] = [
    ("len('h\u00e9llo')", 5), ("len({a: 1})", 1), ("type(1)", "int"), ("type(1.5)", "float"), ("type(nil)", "nil"),
    ("type([1])", "array"), ("type({a: 1})", "map"), ("type(now())", "time.Time"),
    ("abs(-5)", 5), ("abs(-0.5)", 0.5), ("ceil(1.2)", 2.0), ("floor(-1.5)", -2.0), ("round(2.5)", 3.0),
    ("round(-2.5)", -3.0), ("round(0.49999999999999994)", 0.0), ("ceil(3)", 3.0),
    ("int('12')", 12), ("int(1.9)", 1), ("float('1e3')", 1000.0), ("string(1.0)", "1"), ("string(1e21)", "1e+21"),
    ("string([1, 2.5, 'x', nil])", "[1 2.5 x <nil>]"), ("string({b: 1, a: [2]})", "map[a:[2] b:1]"),
    ("all([], false)", True), ("any([], true)", False), ("none([], true)", True), ("one([1, 2], # == 2)", True),
    ("filter(1..5, # % 2 == 0)", [2, 4]), ("map(1..3, # * #index)", [0, 2, 6]), ("count([true, false])", 1),
    ("count(1..5, # > 3)", 2), ("sum([])", 0), ("sum([1, 2.5])", 3.5), ("sum(1..3, # * 2)", 12),
    ("find(1..5, # > 2)", 3), ("find([1], # > 2)", None), ("findIndex([5, 6], # == 6)", 1),
    ("findLast(1..5, # < 3)", 2), ("findLastIndex([1, 1], # == 1)", 1),
    ("groupBy(1..4, # % 2)", {1: [1, 3], 0: [2, 4]}), ("reduce(1..4, #acc + #)", 10),
    ("reduce([1, 2], #acc * 10 + #, 5)", 512), ("sortBy([{a: 2}, {a: 1}], .a)[0].a", 1),
    ("sortBy([1, 3, 2], #, 'desc')", [3, 2, 1]), ("map([{a: 1}, {a: 2}], .a)", [1, 2]),
    ("mean([1, 2, 3])", 2.0), ("mean([])", 0.0), ("median([3, 1, 2])", 2.0), ("median([1, 2, 3, 4])", 2.5),
    ("max(1, 2.5, [4])", 4), ("min([3, 1, 2])", 1), ("min([])", None), ("max([1, [7, 2]])", 7),
    ("first([1, 2])", 1), ("last([1, 2])", 2), ("first([])", None), ("take([1, 2, 3], 2)", [1, 2]),
    ("get([1], 5)", None), ("get({a: 1}, 'a')", 1), ("keys({a: 1})", ["a"]), ("values({a: 1})", [1]),
    ("toPairs({a: 1})", [["a", 1]]), ("fromPairs([['a', 1]])", {"a": 1}), ("reverse([1, 2])", [2, 1]),
    ("uniq([1, 1.0, 'a', 'a', true, [1], [1.0]])", [1, "a", True, [1]]), ("concat([1], [2])", [1, 2]),
    ("flatten([1, [2, [3]]])", [1, 2, 3]), ("sort([2, 1.5])", [1.5, 2]), ("sort(['b', 'a'], 'desc')", ["b", "a"]),
    ("trim('  a ')", "a"), ("trim('__a_', '_')", "a"), ("trimPrefix('ab', 'a')", "b"), ("trimSuffix('ab', 'b')", "a"),
    ("upper('a')", "A"), ("lower('A')", "a"), ("split('a,b,c', ',')", Strings(["a", "b", "c"])),
    ("split('a,b,c', ',', 2)", Strings(["a", "b,c"])), ("split('ab', '')", Strings(["a", "b"])),
    ("splitAfter('a,b', ',')", Strings(["a,", "b"])),
    ("replace('aaa', 'a', 'b', 2)", "bba"), ("repeat('ab', 2)", "abab"),
    ("join(['a', 'b'], '-')", "a-b"), ("indexOf('apple', 'p')", 1), ("lastIndexOf('apple', 'p')", 2),
    ("hasPrefix('ab', 'a')", True), ("hasSuffix('ab', 'a')", False), ("fromBase64(toBase64('abc'))", "abc"),
    ("toJSON({b: [1, nil], a: '<'})", '{\n  "a": "\\u003c",\n  "b": [\n    1,\n    null\n  ]\n}'),
    ("fromJSON('{\"a\": [1, null]}')", {"a": [1.0, None]}),
    ("bitand(6, 3)", 2), ("bitor(6, 3)", 7), ("bitxor(6, 3)", 5), ("bitnand(6, 3)", 4), ("bitshl(1, 62)", 1 << 62),
    ("bitshl(1, 63)", -(1 << 63)), ("bitshr(-8, 1)", -4), ("bitushr(-1, 60)", 15),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value"), BUILTINS)
def test_builtins(source: str, value: Any) -> None:
    found = value_of(source)
    assert (type(found), found) == (type(value), value)


ON_RESULTS: list[tuple[str, Any, Any]] = [
    ("result == nil", None, True),
    ("result[-1]", FLOATS, 3.0),
    ("sum(result)", FLOATS, 6.5),
    ("max(result)", FLOATS, 3.0),
    ("len(result) == 3", FLOATS, True),
    ("any(result, # == 2.5)", FLOATS, True),
    ("result == [1, 2.5, 3]", FLOATS, True),
    ("2.5 in result", FLOATS, True),
    ("result.missing", MAP, None),  # a missing key is nil
    ("result.missing?.deeper.still", MAP, None),
    ("result.d ?? 9", MAP, 9),
    ("result.e.f", MAP, 2.0),
    ('result["b"]', MAP, "t"),
    ("'a' in result", MAP, True),
    ("filter(result.c, # > 1)", MAP, [2.0]),
    ("result[1]", MIXED, 2),
    ("result[2] == 'x'", MIXED, True),
    ("result[0] == 'x'", MIXED, False),  # items of an untyped list are compared at run time
    ("result[0] == 1", MIXED, True),
    ("isNaN(result)", math.nan, True),
    ("isInf(result)", -math.inf, True),
    ("isNaN(1)", None, False),  # a literal is a float where a float is wanted
    ("asInt(result)", 1.9, 1),
    ("asInt(result)", "-12", -12),
    ("asFloat(result)", "1e3", 1000.0),
    ("asFloat(result)", "+Inf", math.inf),
    ("default(result, 7)", None, 7),
    ("default(result.x, 7)", MAP, MAP),  # ignores its argument, as in Argo
    ("isNil(result.missing)", MAP, False),
    ("result startsWith 'o'", "ok", True),
    ("result in ['ok', 'fine']", "ok", True),
    ("join(result)", Strings(["a", "b"]), "ab"),
    ("$env.result", 3.0, 3.0),
    ("result + duration('1h') > now()", NOW, True),
    ("result > duration('5m')", timedelta(hours=1), True),
]


@pytest.mark.parametrize(("source", "result", "value"), ON_RESULTS)
def test_results(source: str, result: Any, value: Any) -> None:
    found = value_of(source, result)
    assert (type(found), found) == (type(value), value)


MESSAGES: list[tuple[str, Any, str]] = [
    ("result == 'a'", 1.0, "invalid operation: == (mismatched types float64 and string)"),
    ("result < 1", FLOATS, "invalid operation: < (mismatched types []float64 and int)"),
    ("result[0] < 'a'", [1.0], "invalid operation: float64 < string"),
    ("result.a + 1", {"a": "x"}, "invalid operation: string + int"),
    ("not result", 1.0, "invalid operation: not (mismatched type float64)"),
    ("result and true", 1.0, "invalid operation: and (mismatched types float64 and bool)"),
    ("result.a", [1.0], "array elements can only be selected using an integer (got string)"),
    ("result[0]", 1.0, "type float64[int] is undefined"),
    ("result[0]", {}, "cannot use int to get an element from map[string]interface {}"),
    ("result.a", 1.0, "type float64 has no field a"),
    ("result.Name()", True, "type bool has no method Name"),
    ("result.a.b", {}, "cannot fetch b from <nil>"),
    ("result[7]", FLOATS, "index out of range: 7 (array length is 3)"),
    ("len(result)", 1.0, "invalid argument for len (type float64)"),
    ("all(result, # > 1)", 1.0, "builtin all takes only array (got float64)"),
    ("all(result, 1)", FLOATS, "predicate should return boolean (got int)"),
    ("isNaN(result)", FLOATS, "cannot use []float64 as argument (type float64) to call isNaN "),
    ("isNaN(result)", 3, "reflect: Call using int as type float64"),
    ("isNaN()", 1.0, "not enough arguments to call isNaN"),
    ("1 in 'abc'", None, "invalid operation: in (mismatched types int and string)"),
    ("result ?? 1 || true", None, "Operator (||) and coalesce expressions (??) cannot be mixed. "
     "Wrap either by parentheses."),
    ("1 2", None, 'unexpected token Number("2")'),
    ("12abc", None, 'bad number syntax: "12a"'),
    ("let x = 1; let x = 2; x", None, "cannot redeclare variable x"),
    ("let len = 1; len", None, "cannot redeclare builtin len"),
    ("duration('x')", None, 'time: invalid duration "x"'),
    ("date('x')", None, "invalid date x"),
    ("reduce([], #acc)", None, "reduce of empty array with no initial value"),
    ("asFloat(result)", "NotANum", 'strconv.ParseFloat: parsing "NotANum": invalid syntax'),
    ("asInt(result)", "1.1", 'strconv.ParseInt: parsing "1.1": invalid syntax'),
    ("result.a && true", {"a": 1.0}, "interface conversion: interface {} is float64, not bool"),
    ("result.a contains 'x'", {"a": 1.0}, "interface conversion: interface {} is float64, not string"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "result", "message"), MESSAGES)
def test_messages(source: str, result: Any, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(source, result)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        ("1", True, "expected bool, but got int"),
        ("asInt(result)", 1.0, "expected bool, but got int64"),
        ("result", FLOATS, "expected bool, but got []float64"),
        ("result", None, "expected bool, but got <nil>"),
        ("result.a", {"a": "x"}, "expected bool, but got string"),
        ("true && result.a", {"a": 1.0}, "expected bool, but got float64"),  # only the parts before it are checked
    ],
)
def test_a_condition_must_decide(source: str, result: Any, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source).decide(result)
    assert caught.value.message == message


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


TIMES: list[tuple[str, datetime]] = [
    ("now()", NOW),
    ("now() - duration('1h')", NOW - timedelta(hours=1)),
    ("now() - 2 * duration('30m')", NOW - timedelta(hours=1)),
    ("now().Add(duration('-24h'))", NOW - timedelta(days=1)),
    ("date('2023-08-14')", utc(2023, 8, 14)),
    ("date('2023-08-14 01:02:03')", utc(2023, 8, 14, 1, 2, 3)),
    ("date('2023-08-14T10:00:00.25+02:00')", datetime(2023, 8, 14, 8, 0, 0, 250_000, tzinfo=UTC)),
    ("date('Mon, 14 Aug 2023 10:00:00 UTC')", utc(2023, 8, 14, 10)),
    ("date('2023-08-14 00:00:00', '2006-01-02 15:04:05', 'UTC') - duration('1h')", utc(2023, 8, 13, 23)),
    ("date('14 Aug 23 3:04PM', '02 Jan 06 3:04PM')", utc(2023, 8, 14, 15, 4)),
    ("date('2023-03-26 12:00:00', '2006-01-02 15:04:05', 'Europe/Berlin')", utc(2023, 3, 26, 10)),
    # a day in which the clock is put forward has 23 hours
    ("date('2023-03-25 12:00:00', '2006-01-02 15:04:05', 'Europe/Berlin') + duration('23h')", utc(2023, 3, 26, 10)),
    ("let d = duration('1h'); now() - d", NOW - timedelta(hours=1)),
    ("isNaN(1.5) ? date('x') : now()", NOW),
]


@pytest.mark.parametrize(("source", "value"), TIMES)
def test_times(source: str, value: datetime) -> None:
    assert evaluate_time(source, NOW) == value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1", "expected time.Time, but got int"),
        ("duration('1h')", "expected time.Time, but got time.Duration"),
        ("hello", "unknown name hello"),
        ("result", "unknown name result"),  # there is none
        ("asInt('1')", "unknown name asInt"),
        ("now() + duration('2500000h') * 100", "a time before year 1 or after year 9999"),
        ("now().Foo()", "type time.Time has no method Foo"),
        ("date('2023-08-14', '2006-01-02', 'Mars/Base')", "unknown time zone Mars/Base"),
        ("date('2023-02-30')", "invalid date 2023-02-30"),
    ],
)
def test_time_errors(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate_time(source, NOW)
    assert caught.value.message == message


def test_the_time_is_an_argument() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition("now() > date('2023-08-14')").evaluate(1.0)
    assert caught.value.code == "BadTime"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1e6, "1e+06"), (123456.0, "123456"), (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1.5e300, "1.5e+300"), (math.nan, "NaN"), (-math.inf, "-Inf"), (timedelta(minutes=90), "1h30m0s"),
        (NOW, "2024-02-29 12:30:00 +0000 UTC"),
    ],
)  # fmt: skip
def test_values_print_as_go_prints_them(value: Any, text: str) -> None:
    assert go_text(value) == text
