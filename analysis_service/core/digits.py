"""Numbers in sentences: as many digits as a reader needs, and never so few that the sentence becomes untrue."""

import math
import re

_DIGITS = 6  # significant ones that are kept
_LONG = re.compile(r"(?<![\w.])-?\d+\.\d+(?:[eE][-+]?\d+)?(?![\w.])")
_ANY = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_CLOSE = 1e-4  # relative: what is nearer to another number of the text keeps all its digits


def shorten(text: str, quoted: str = "") -> str:
    """The text with `0.13103448275862067` as `0.131034`; numbers of `quoted`, such as a condition, are left alone.

    A number stays whole if rounding would bring it near a round one (0.3 for 0.30000000000000004), or if another
    number of the text is so near that the digits are what tells them apart.
    """
    if len(text) <= _DIGITS or "." not in text:
        return text
    numbers: set[float] | None = None

    def short(found: re.Match[str]) -> str:
        nonlocal numbers
        whole = found.group()
        rounded = f"{float(whole):.{_DIGITS}g}"
        if whole in quoted or len(rounded) >= len(whole) or _significant(rounded) < _DIGITS - 1:
            return whole
        if numbers is None:
            numbers = {float(number) for number in _ANY.findall(text)}
        value = float(whole)
        near = any(other != value and abs(other - value) <= _CLOSE * abs(value) for other in numbers)
        return whole if near else rounded

    return _LONG.sub(short, text)


def chance(probability: float) -> str:
    """A probability as people say it: 3.4%, 62%, under 0.1%, over 99.9%; an exact 0 or 1 as it is."""
    percent = 100.0 * min(max(probability, 0.0), 1.0)
    if percent in (0.0, 100.0):
        return f"{percent:.0f}%"
    if percent < 0.1:
        return "under 0.1%"
    if percent > 99.9:
        return "over 99.9%"
    if percent > 99.0 or percent < 9.95:
        text = f"{percent:.1f}"
        return f"{text.removesuffix('.0')}%"
    return f"{percent:.0f}%"


def number(value: float, digits: int = 3) -> str:
    """So many significant digits: 0.0123, 41.5 million; an exponent only where nobody would."""
    size = abs(value)
    nearly = 1.0 - 0.5 * 10.0**-digits  # what is rounded up to the next name
    if value != 0 and not 1e-4 <= size < nearly * 1e15:
        return f"{value:.{digits - 1}e}"
    for least, name in _LARGE:
        if size >= nearly * least:
            return f"{_rounded(value / least, digits)} {name}"
    return _rounded(value, digits)


def _rounded(value: float, digits: int) -> str:
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    text = f"{value:.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _significant(number: str) -> int:
    return len(re.sub(r"[eE].*", "", number).replace(".", "").lstrip("-0"))
