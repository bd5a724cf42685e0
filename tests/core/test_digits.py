"""Numbers in sentences keep the digits that the sentence needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.digits import chance, shorten


@pytest.mark.parametrize(
    ("text", "short"),
    [
        # what a division gives
        ("[0.13103448275862067]", "[0.131034]"),
        ("0.13103448275862067 < 0.05 is false", "0.131034 < 0.05 is false"),
        ("-1234.56789012 ms", "-1234.57 ms"),
        ("1.23456789e-09", "1.23457e-09"),
        # short ones stay
        ("0.05, 11 and 1.5e3", "0.05, 11 and 1.5e3"),
        ("123456789012", "123456789012"),
        # rounding would hide why: it is not 0.3, and not 0.05
        ("0.30000000000000004 == 0.3 is false", "0.30000000000000004 == 0.3 is false"),
        ("0.049999999999 < 0.05", "0.049999999999 < 0.05"),
        # two numbers that only their last digits tell apart
        ("0.1234567 < 0.1234568 is true", "0.1234567 < 0.1234568 is true"),
        ("0.12345678 > 0.123457 is false", "0.12345678 > 0.123457 is false"),
        # no numbers: versions, addresses, names
        ("v1.2345678901 at 10.0.123456789.1 x0.123456789", "v1.2345678901 at 10.0.123456789.1 x0.123456789"),
        ("", ""),
    ],
)
def test_shorten(text: str, short: str) -> None:
    assert shorten(text) == short


def test_what_is_quoted_stays() -> None:
    condition = "result < 0.123456789"
    assert shorten(f"0.987654321: {condition} is false", condition) == f"0.987654: {condition} is false"


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12))
def test_a_comparison_stays_true(left: float, right: float) -> None:
    a, b = shorten(f"{left!r} < {right!r}").split(" < ")
    assert (float(a) < float(b), float(a) == float(b)) == (left < right, left == right)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0%"),
        (1.41e-8, "under 0.1%"),
        (0.0009, "under 0.1%"),
        (0.001, "0.1%"),
        (0.0123, "1.2%"),
        (0.05, "5%"),
        (0.0997, "10%"),
        (0.5, "50%"),
        (0.623, "62%"),
        (0.9, "90%"),
        (0.9934, "99.3%"),
        (0.9999, "over 99.9%"),
        (1.0, "100%"),
        (1.0000001, "100%"),  # rounding of somebody's sum
    ],
)
def test_a_chance_as_people_say_it(probability: float, text: str) -> None:
    assert chance(probability) == text
