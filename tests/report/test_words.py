"""Numbers are not rounded away, text of others is no markup, colours can be read."""

import math

import pytest

from analysis_service.report import palette, text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.004, "0.004"),  # two decimals would make it 0
        (0.00004, "0.00004"),
        (3e-9, "3e-9"),
        (0.0, "0"),
        (-0.25, "−0.25"),
        (1234.5678, "1235"),
        (1_234_567.0, "1 234 567"),
        (1e21, "1e21"),
        (math.nan, "NaN"),
        (-math.inf, "−∞"),
        (None, "–"),
        (99.996, "100"),
    ],
)
def test_number(value: float | None, written: str) -> None:
    assert text.number(value) == written


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
        ('"&<', "&quot;&amp;&lt;"),
        ("a\u202eb", r"a\u202eb"),  # turns the direction of what follows
        ("a\x00b\x1b[31m", r"a\x00b\x1b[31m"),  # no character of XML
        ("a\ud800", r"a\ud800"),  # half of a character: no UTF-8
        ("two\nlines\t.", "two\nlines\t."),
        ("ünï ✔ 漢", "ünï ✔ 漢"),
        ("a\u2009b", "a b"),
    ],
)
def test_escape(given: str, shown: str) -> None:
    assert text.escape(given) == shown


@pytest.mark.parametrize(
    ("lower", "upper", "unit", "written"),
    [
        (1.4, 2.6, "ratio", "×1.4 to ×2.6"),
        (1.4, None, "ratio", "above ×1.4"),
        (None, 2.6, "ratio", "below ×2.6"),
        (0.0, 2.6, "ratio", "below ×2.6"),  # no ratio is less
        (0.0, None, "ratio", "unbounded"),
        (0.0, 2.6, "difference", "+0 to +2.6"),
        (None, None, "ratio", "unbounded"),
    ],
)
def test_between(lower: float | None, upper: float | None, unit: str, written: str) -> None:
    assert text.between(lower, upper, unit) == written


def test_cut_keeps_both_ends() -> None:
    assert text.cut("checkout-errors-of-the-gateway-v2", 16) == "checkout-e…ay-v2"
    assert text.cut("short", 16) == "short"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.4, "0.4 s"), (45, "45 s"), (750, "12 min 30 s"), (3600, "1 h"), (11_100, "3 h 5 min"), (187_200, "2 d 4 h")],
)
def test_span(seconds: float, written: str) -> None:
    assert text.span(seconds) == written


@pytest.mark.parametrize("theme", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", sorted(set(palette.LIGHT) - palette.DECORATION - set(palette.GROUNDS)))
def test_contrast(theme: palette.Theme, name: str) -> None:
    """WCAG 2.2 AA: 4.5 for text (every role may be a label), 3 for edges that are only drawn."""
    least = 3.0 if name == "edge" else 4.5
    assert min(palette.contrast(theme[name], theme[ground]) for ground in palette.GROUNDS) >= least


def test_contrast_is_the_standard_s() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert set(palette.LIGHT) == set(palette.DARK)
