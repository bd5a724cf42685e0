"""Durations and int-or-text limits are read exactly as Go reads them."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.limits import effective_count, to_int
from analysis_service.core.model import IntOrText, Metric
from analysis_service.core.timing import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("5s", 5.0),
        ("+5s", 5.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1h30m", 5400.0),
        ("2m1m", 180.0),  # units may repeat and come in any order
        ("100ms", 0.1),
        ("12us", 12e-6),
        ("12\u00b5s", 12e-6),
        ("12\u03bcs", 12e-6),
        ("1500ns", 1e-6),  # finer than a microsecond is cut
        ("-90s", -90.0),
        ("00000000000000000000000005s", 5.0),  # leading zeros are not digits that overflow
        ("0.100000000000000000000000001s", 0.1),
    ],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("60s-typo", 'time: unknown unit "s-typo" in duration "60s-typo"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("1e999s", 'time: unknown unit "e" in duration "1e999s"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),  # over 292 years
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("99999999999999999999s", 'time: invalid duration "99999999999999999999s"'),
        ("\uff15s", 'time: invalid duration "\\xef\\xbc\\x95s"'),  # a full-width five is no digit
        ('1"', 'time: unknown unit "\\"" in duration "1\\""'),
    ],
)
def test_parse_error(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_duration(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "1m30s"), (3600, "1h0m0s"), (1.5, "1.5s"), (0.25, "250ms"), (0.00001, "10µs"), (-61, "-1m1s")],
)
def test_format(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_format_reads_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text(max_size=30))
def test_parse_raises_nothing_else(text: str) -> None:
    with suppress(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, 7),
        (3, 3),
        ("3", 3),
        ("+3", 3),
        ("-1", -1),
        ("10%", 0),
        ("", 0),
        (" 3", 0),
        ("1_0", 0),
        ("\uff15", 0),
        ("99999999999999999999", (1 << 63) - 1),
        ("-99999999999999999999", -(1 << 63)),
    ],
)
def test_to_int(value: IntOrText | None, number: int) -> None:
    assert to_int(value, 7) == number


@pytest.mark.parametrize(
    ("count", "interval", "effective"),
    [
        (None, "", 1),
        (None, "1m", None),
        (0, "1m", None),
        ("ten", "1m", None),
        (0, "", 1),
        (3, "", 3),
        ("3", "1m", 3),
        (-1, "", -1),
    ],
)
def test_effective_count(count: IntOrText | None, interval: str, effective: int | None) -> None:
    assert effective_count(Metric(name="m", count=count, interval=interval)) == effective
