"""Numbers and JSON as Go writes them. Expected texts are what Go prints for the same values."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import gojson
from providers.gojson import NotJson, NotRead, Unsupported

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "plain", "in_json"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1", "1"),
        (-1.5, "-1.5", "-1.5"),
        (0.0003332881882246533, "0.0003332881882246533", "0.0003332881882246533"),
        (123456789.0, "123456789", "123456789"),
        (1e16, "10000000000000000", "10000000000000000"),
        # JSON turns to exponents below 1e-6 and from 1e21 on; plain text never does
        (1e-6, "0.000001", "0.000001"),
        (9.99e-7, "0.000000999", "9.99e-7"),
        (-1.5e-9, "-0.0000000015", "-1.5e-9"),
        (1e-10, "0.0000000001", "1e-10"),
        (1e20, "100000000000000000000", "100000000000000000000"),
        (1e21, "1000000000000000000000", "1e+21"),
        (1.2345678901234568e20, "123456789012345680000", "123456789012345680000"),
        (1.5e300, "15" + "0" * 299, "1.5e+300"),
        (5e-324, "0." + "0" * 323 + "5", "5e-324"),
    ],
)
def test_numbers(value: float, plain: str, in_json: str) -> None:
    assert gojson.shortest(value) == plain
    assert gojson.encode(value) == in_json


@pytest.mark.parametrize(
    ("value", "text"),
    [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf")],
)
def test_numbers_that_json_has_no_word_for(value: float, text: str) -> None:
    assert gojson.shortest(value) == text
    with pytest.raises(Unsupported, match=f"json: unsupported value: {text}".replace("+", r"\+")):
        gojson.encode(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (10, "10"),
        ([1.0, None, "a", []], '[1,null,"a",[]]'),
        ({"b": 1.0, "a": {}, "B": 2.0, "é": 3.0}, '{"B":2,"a":{},"b":1,"é":3}'),
        # what Go escapes so that JSON may stand in HTML and in JavaScript
        ("<b>&\u2028\u2029", r'"\u003cb\u003e\u0026\u2028\u2029"'),
        ('"\\\b\f\n\r\t\x00\x1f\x7f', '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("\ud800", r'"\ufffd"'),
    ],
)
def test_encode(value: Any, text: str) -> None:
    assert gojson.encode(value) == text


def test_encode_refuses_what_is_no_json() -> None:
    with pytest.raises(Unsupported, match="json: unsupported type: builtin_function_or_method"):
        gojson.encode([print])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty answer"),
        (b" \n", "empty answer"),
        (b"{", "Expecting property name enclosed in double quotes at line 1 column 2"),
        (b"[1] x", "Extra data at line 1 column 5"),
        (b"NaN", "NaN is not a JSON value"),
        (b"[-Infinity]", "-Infinity is not a JSON value"),
        (b"1e400", "the number 1e400 is out of range"),
        pytest.param(b"9" * 400, "a number of 400 characters", marks=pytest.mark.bad_input(170)),
        (b"[" * 101 + b"]" * 101, "nested deeper than 100 levels"),
        pytest.param(b"[" * 200_000, "nested deeper than 100 levels", marks=pytest.mark.bad_input(151)),
        (b'{"a":' * 200_000, "nested deeper than 100 levels"),
        (b'"\xff"', "not UTF-8 at byte 2"),
        ("{}".encode("utf-16"), "not UTF-8 at byte 1"),
        (b"\xef\xbb\xbf{}", "it starts with a byte order mark"),
    ],
)
def test_decode_says_what_is_wrong(body: bytes, message: str) -> None:
    with pytest.raises(NotJson) as caught:
        gojson.decode(body)
    assert str(caught.value) == message
    # what another reader may take for JSON is told apart from what is none
    assert isinstance(caught.value, NotRead) == message.startswith(("nested", "not UTF-8", "a number", "the number"))


def test_decode() -> None:
    decoded = gojson.decode(
        b'{"n": 1, "n": 2.5, "big": 12345678901234567890, "x": {"n": 1}, "s": "\\ud83d\\ude00\\ud83d"}'
    )
    assert decoded.value == {"n": 2.5, "big": 12345678901234567890.0, "x": {"n": 1.0}, "s": "😀\ufffd"}
    assert decoded.duplicates == ("n",)
    assert gojson.decode(b"[" * 100 + b"]" * 100).duplicates == ()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [('"oops"', r'"\"oops\""'), ("a\\b", r'"a\\b"'), ("\n\x00\x7f\u200b", r'"\n\x00\x7f\u200b"'), ("é", '"é"')],
)
def test_quote(text: str, quoted: str) -> None:
    assert gojson.quote(text) == quoted


@given(FINITE)
def test_a_number_reads_back(value: float) -> None:
    for text in (gojson.shortest(value), gojson.encode(value)):
        assert math.copysign(1, float(text)) == math.copysign(1, value)
        assert float(text) == value
    assert "e" not in gojson.shortest(value)


@given(
    st.recursive(
        st.none() | st.booleans() | FINITE | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_written_reads_back(value: Any) -> None:
    text = gojson.encode(value)
    assert json.loads(text, parse_int=float) == value
    assert gojson.decode(text.encode()).value == value


@given(st.binary(max_size=50) | st.text('[]{}",:0123456789.eE+-nulltrue \\u', max_size=40).map(str.encode))
def test_any_bytes_decode_or_say_why(body: bytes) -> None:
    message = "-"
    try:
        gojson.decode(body)
    except NotJson as error:
        message = str(error)
    assert message
