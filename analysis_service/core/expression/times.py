"""Builtins on times: now, date, duration, and the methods of Go's Time and Duration that conditions use.

`now` is an argument of the evaluation, never a clock.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from analysis_service.core.timing import parse_duration

from .arithmetic import add, subtract
from .budget import Frame
from .demand import checked, string
from .errors import ExpressionError
from .kinds import BOOL, DURATION, FLOAT, INT, TEXT, TIME, Type, Value, go_type
from .tokens import go_quote

_LAYOUTS = (
    "2006-01-02",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PIECE = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|Z07:00|Z0700|-07:00|-0700|-07|[.,]0+|[.,]9+|01|02|03|04|05|06|15|_2|PM|pm|1|2|3|4|5"
)
_FIELD = {
    "2006": r"(?P<Y>\d{4})", "06": r"(?P<y>\d\d)", "01": r"(?P<m>\d\d)", "1": r"(?P<m>\d\d?)",
    "02": r"(?P<d>\d\d)", "2": r"(?P<d>\d\d?)", "_2": r"(?P<d> \d|\d\d)",
    "15": r"(?P<H>\d\d)", "03": r"(?P<I>\d\d)", "3": r"(?P<I>\d\d?)", "04": r"(?P<M>\d\d)", "4": r"(?P<M>\d\d?)",
    "05": r"(?P<S>\d\d)", "5": r"(?P<S>\d\d?)", "PM": r"(?P<p>AM|PM)", "pm": r"(?P<p>am|pm)",
    "January": f"(?P<b>{'|'.join(_MONTHS)})", "Jan": f"(?P<b>{'|'.join(m[:3] for m in _MONTHS)})",
    "Monday": f"(?:{'|'.join(_DAYS)})", "Mon": f"(?:{'|'.join(d[:3] for d in _DAYS)})",
    "MST": r"(?P<Z>[A-Z]{3,4})",
    "Z07:00": r"(?P<z>Z|[+-]\d\d:\d\d)", "Z0700": r"(?P<z>Z|[+-]\d{4})",
    "-07:00": r"(?P<z>[+-]\d\d:\d\d)", "-0700": r"(?P<z>[+-]\d{4})", "-07": r"(?P<z>[+-]\d\d)",
}  # fmt: skip
_LAYOUT_CHARACTERS = 128


def now(arguments: Sequence[Value], frame: Frame | None) -> datetime:
    """The time of the evaluation, UTC."""
    if frame is None or frame.now is None:
        raise ExpressionError("BadTime", "now() has no time here", hint="the caller gave no time of evaluation")
    return frame.now


def duration(arguments: Sequence[Value], frame: Frame | None) -> timedelta:
    text = string(arguments[0])
    try:
        return parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise ExpressionError("BadTime", str(error), hint="a duration such as 90s, 5m, 1h30m") from None


def date(arguments: Sequence[Value], frame: Frame | None) -> datetime:
    """date(text), date(text, layout), date(text, layout, zone): Go's layouts, UTC unless text or zone say more."""
    text, *rest = [string(value) for value in arguments]
    zone = _zone(rest[1]) if len(rest) > 1 else UTC
    layouts = rest[:1] or _LAYOUTS
    for layout in layouts:
        moment = _read(text, layout, zone)
        if moment is not None:
            return moment
    shown = text[:80]
    if rest:
        message = f"parsing time {go_quote(shown)} as {go_quote(rest[0][:80])}: cannot parse"
        hint = "the layout is Go's: 2006-01-02 15:04:05 stands for year, month, day, hour, minute, second"
        raise ExpressionError("BadTime", message, hint=hint)
    raise ExpressionError("BadTime", f"invalid date {shown}", hint="a date such as 2006-01-02 or 2006-01-02T15:04:05Z")


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ExpressionError(
            "BadTime", f"unknown time zone {name[:80]}", hint="a zone such as Europe/Berlin"
        ) from None


def _read(text: str, layout: str, zone: tzinfo) -> datetime | None:
    """Read a time by a Go layout; None if it does not fit. Fields the layout lacks are 1 January of year 1, 00:00."""
    pattern = _expression(layout)
    found = re.fullmatch(pattern, text, re.ASCII) if pattern and len(text) <= _LAYOUT_CHARACTERS else None
    if found is None:
        return None
    part = {name: value for name, value in found.groupdict().items() if value is not None}
    year = int(part.get("Y", "1"))
    if "y" in part:
        year = int(part["y"]) + (1900 if int(part["y"]) >= 69 else 2000)
    month = int(part.get("m", "1"))
    if "b" in part:
        month = next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(part["b"]))
    hour = int(part.get("H", part.get("I", "0")))
    if "p" in part:
        hour = hour % 12 + (12 if part["p"].upper() == "PM" else 0)
    fraction = int((part.get("f", "")[1:] + "000000")[:6])
    where = _offset(part["z"]) if "z" in part else zone
    try:
        return datetime(
            year,
            month,
            int(part.get("d", "1")),
            hour,
            int(part.get("M", "0")),
            int(part.get("S", "0")),
            fraction,
            where,
        )
    except ValueError:
        return None


def _expression(layout: str) -> str | None:
    """The regular expression of a layout; None for one that names a field twice or is too long."""
    if len(layout) > _LAYOUT_CHARACTERS:
        return None
    out, at = "", 0
    seen: set[str] = set()
    for piece in _PIECE.finditer(layout):
        token = piece.group()
        if token[0] in ".,":
            field = rf"(?P<f>[.,]\d{{{len(token) - 1}}})" if token[1] == "0" else r"(?P<f>[.,]\d+)?"
        else:
            field = _FIELD[token]
        out += re.escape(layout[at : piece.start()])
        at = piece.end()
        name = field[4:5] if field.startswith("(?P<") else ""
        if name in seen:
            return None
        seen.update(name)
        out += field
        if token in ("05", "5") and layout[at : at + 1] not in (".", ","):
            out += r"(?P<f>[.,]\d+)?"  # Go reads a fraction after the seconds whether asked or not
            seen.add("f")
    return out + re.escape(layout[at:])


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    by = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if by >= timedelta(hours=24):
        raise ExpressionError("BadTime", f"time zone offset {text} is out of range")
    return timezone(-by if text[0] == "-" else by)


def _unix(moment: datetime, unit: timedelta) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // unit


_MICROSECOND = timedelta(microseconds=1)
_Method = tuple[tuple[Type, ...], Type, Callable[..., Value]]

TIME_METHODS: Mapping[str, _Method] = {
    "Year": ((), INT, lambda t: t.year),
    "Month": ((), INT, lambda t: t.month),
    "Day": ((), INT, lambda t: t.day),
    "Hour": ((), INT, lambda t: t.hour),
    "Minute": ((), INT, lambda t: t.minute),
    "Second": ((), INT, lambda t: t.second),
    "YearDay": ((), INT, lambda t: t.timetuple().tm_yday),
    "Weekday": ((), INT, lambda t: t.isoweekday() % 7),
    "Unix": ((), INT, lambda t: _unix(t, timedelta(seconds=1))),
    "UnixMilli": ((), INT, lambda t: _unix(t, timedelta(milliseconds=1))),
    "UnixNano": ((), INT, lambda t: checked(_unix(t, _MICROSECOND) * 1_000)),
    "UTC": ((), TIME, lambda t: t.astimezone(UTC)),
    "Add": ((DURATION,), TIME, lambda t, d: add(t, d, None)),
    "Sub": ((TIME,), DURATION, lambda t, u: subtract(t, u, None)),
    "Before": ((TIME,), BOOL, lambda t, u: t < u),
    "After": ((TIME,), BOOL, lambda t, u: t > u),
    "Equal": ((TIME,), BOOL, lambda t, u: t == u),
}
DURATION_METHODS: Mapping[str, _Method] = {
    "Hours": ((), FLOAT, lambda d: d / timedelta(hours=1)),
    "Minutes": ((), FLOAT, lambda d: d / timedelta(minutes=1)),
    "Seconds": ((), FLOAT, lambda d: d / timedelta(seconds=1)),
    "Milliseconds": ((), INT, lambda d: d // timedelta(milliseconds=1)),
    "Microseconds": ((), INT, lambda d: d // _MICROSECOND),
    "Nanoseconds": ((), INT, lambda d: checked(d // _MICROSECOND * 1_000)),
    "String": ((), TEXT, lambda d: _duration_text(d)),
}


def _duration_text(value: timedelta) -> str:
    from .texts import go_text

    return go_text(value)


def call_method(base: Value, name: str, arguments: Sequence[Value]) -> Value:
    """base.name(arguments) at run time."""
    methods = TIME_METHODS if type(base) is datetime else DURATION_METHODS if type(base) is timedelta else {}
    if name not in methods:
        raise ExpressionError(
            "UnknownFunction", "invalid operation: cannot call nil", hint=f"there is no {name}() here"
        )
    wanted, _, rule = methods[name]
    given = [go_type(value) for value in arguments]
    if given != [t.name for t in wanted]:
        message = f"cannot call {name} with ({', '.join(given)})"
        raise ExpressionError("WrongType", message, hint=f"it takes ({', '.join(t.name for t in wanted)})")
    try:
        return rule(base, *arguments)
    except (OverflowError, ValueError):
        raise ExpressionError("OutOfRange", "a time out of range") from None
