"""Numbers as people say them."""

import math

_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


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
