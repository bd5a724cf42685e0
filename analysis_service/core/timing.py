"""Durations as Go writes and reads them: `90s`, `1h30m`, `1.5h`, `-2m`, `0`.

Argo reads every duration of a template with Go's `time.ParseDuration`, so its grammar, its limits (292 years) and
its error texts are the contract. Values are `timedelta`: what is finer than a microsecond is cut off.
"""

from datetime import timedelta
from functools import lru_cache

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LIMIT = 1 << 63  # Go keeps nanoseconds in an int64
_DIGITS = "0123456789"  # ASCII only: str.isdigit would take full-width digits
_FIRST_NON_ASCII = 0x80
_MAX_LENGTH = 256  # characters; Go has no bound, and nobody writes such a duration
_CACHE = 4096  # templates hold few different durations, and they are read at every reconcile


@lru_cache(maxsize=_CACHE)
def parse_duration(text: str) -> timedelta:
    """Read a Go duration.

    Raises ValueError with Go's words: `time: invalid duration "x"`, `time: missing unit in duration "5"`,
    `time: unknown unit "d" in duration "1d"`.
    """
    if len(text) > _MAX_LENGTH:
        raise _invalid(text[:_MAX_LENGTH])
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return timedelta()
    if not rest:
        raise _invalid(text)
    total = 0
    while rest:
        nanoseconds, rest = _term(text, rest)
        total += nanoseconds
        if total > _LIMIT:
            raise _invalid(text)
    if text[0] == "-":
        return timedelta(microseconds=-(total // 1_000))
    if total == _LIMIT:
        raise _invalid(text)
    return timedelta(microseconds=total // 1_000)


def is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def format_duration(duration: timedelta) -> str:
    """Write a duration as Go does: `1h30m0s`, `1.5s`, `250ms`, `10µs`, `0s`."""
    microseconds = duration // timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    if microseconds == 0:
        return "0s"
    if microseconds < 1_000:
        return f"{sign}{microseconds}µs"
    if microseconds < 1_000_000:
        return f"{sign}{_decimal(microseconds, 3)}ms"
    minutes, microseconds = divmod(microseconds, 60_000_000)
    seconds = _decimal(microseconds, 6) + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _term(text: str, rest: str) -> tuple[int, str]:
    """One number with its unit at the start of `rest`: its nanoseconds, and what follows."""
    whole = rest[: _span(rest, _DIGITS)]
    rest = rest[len(whole) :]
    fraction = ""
    if rest[:1] == ".":
        fraction = rest[1 : 1 + _span(rest[1:], _DIGITS)]
        rest = rest[1 + len(fraction) :]
    if not whole and not fraction:
        raise _invalid(text)
    # Go gives up on the digits before it looks at the unit; 19 digits are the most that an int64 can hold
    if len(whole.lstrip("0")) > 19 or int(whole or "0") > _LIMIT:
        raise _invalid(text)
    unit = rest[: next((i for i, c in enumerate(rest) if c in _DIGITS or c == "."), len(rest))]
    if not unit:
        raise ValueError(f"time: missing unit in duration {_quote(text)}")
    if unit not in _NANOSECONDS:
        raise ValueError(f"time: unknown unit {_quote(unit)} in duration {_quote(text)}")
    scale = _NANOSECONDS[unit]
    nanoseconds = int(whole or "0") * scale
    if fraction:
        digits = fraction[:18]  # an hour has 3.6e12 ns: later digits change nothing
        nanoseconds += int(digits) * scale // 10 ** len(digits)
    if nanoseconds > _LIMIT:
        raise _invalid(text)
    return nanoseconds, rest[len(unit) :]


def _span(text: str, characters: str) -> int:
    return len(text) - len(text.lstrip(characters))


def _decimal(value: int, places: int) -> str:
    whole, fraction = divmod(value, 10**places)
    return f"{whole}.{fraction:0{places}}".rstrip("0").rstrip(".")


def _invalid(text: str) -> ValueError:
    return ValueError(f"time: invalid duration {_quote(text)}")


def _quote(text: str) -> str:
    """Go's quoting inside package time: what is not printable ASCII becomes the hex of its UTF-8 bytes."""
    quoted = []
    for character in text:
        if ord(character) >= _FIRST_NON_ASCII or character < " ":
            quoted += [f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass")]
        else:
            quoted.append("\\" + character if character in '"\\' else character)
    return '"' + "".join(quoted) + '"'
