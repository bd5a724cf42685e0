"""Words and numbers for a reader: nothing is rounded away, and nothing of what others wrote is markup."""

import math
from datetime import UTC, datetime

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
NONE = "–"


def escape(text: str) -> str:
    """Text for HTML and XML, also inside attributes. What hides (controls, direction marks) is written out.

    Line breaks and tabs are kept.
    """
    return "".join(_ENTITIES.get(c, c) for c in plain(text))


def plain(text: str) -> str:
    """The text with every character that does not print written out as \\u202e; line breaks and tabs are kept."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    return " " if character.isspace() and ord(character) > 0xA0 else character.encode("unicode_escape").decode()


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the middle left out: long names differ at both ends."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def number(value: float | None, digits: int = 4) -> str:
    """Significant digits, never decimals: 0.00004 is not 0. None is a dash."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-6 <= size < 1e15:
        decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
        text = f"{value:,.{decimals}f}".replace(",", " ") if size >= 10_000 else f"{value:.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}e{int(power)}"
    return text.replace("-", "−", 1) if value < 0 else text


def count(value: float) -> str:
    """A number of things, which may be fractional where a back-end extrapolates."""
    return number(value, max(4, len(str(int(abs(value))))))


def percent(share: float) -> str:
    return f"{number(100 * share, 3)} %"


def effect(value: float | None, unit: str) -> str:
    """×1.5 for ratios, +0.2 for differences."""
    if value is None:
        return NONE
    if unit == "ratio":
        return f"×{number(value, 3)}"
    if unit == "difference":
        return f"{'+' if value >= 0 else ''}{number(value, 3)}"
    return number(value, 3)


def between(lower: float | None, upper: float | None, unit: str) -> str:
    """×1.4 to ×2.6, above ×1.4, below ×2.6. None is unbounded, and so is a ratio of 0."""
    if lower is None or (lower == 0.0 and unit == "ratio"):
        return f"below {effect(upper, unit)}" if upper is not None else "unbounded"
    return f"above {effect(lower, unit)}" if upper is None else f"{effect(lower, unit)} to {effect(upper, unit)}"


def one_in(log_e: float) -> str:
    """An e-value from its natural logarithm, as "1 in N"."""
    if log_e <= 0:
        return "none"
    if log_e > math.log(1e6):
        return "1 in more than a million"
    size = math.exp(log_e)
    return f"1 in {size:.0f}" if size >= 10 else f"1 in {size:.1f}"


def moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at is not None else NONE


def clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S")


def span(seconds: float) -> str:
    """How long: 45 s, 12 min 30 s, 3 h 5 min, 2 d 4 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 2) if seconds < 10 else whole} s"
    for size, big, small_size, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def times(how_many: int, word: str) -> str:
    return f"{how_many} {word}{'' if how_many == 1 else 's'}"
