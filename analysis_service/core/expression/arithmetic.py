"""Arithmetic on values, as expr-lang's machine has it at run time, with 64-bit integers that do not wrap."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .budget import Frame, text_of, too_much
from .demand import checked, mismatch, to_float
from .errors import ExpressionError
from .kinds import Value, go_type
from .limits import EXPONENT, TEXT_CHARACTERS


def add(a: Value, b: Value, frame: Frame | None) -> Value:
    ta, tb = type(a), type(b)
    if (ta is float and (tb is float or tb is int)) or (tb is float and ta is int):
        return a + b
    if ta is int and tb is int:
        return checked(a + b)
    if ta is str and tb is str:
        if len(a) + len(b) > TEXT_CHARACTERS:
            raise too_much(f"a text of {len(a) + len(b)} characters; limit {TEXT_CHARACTERS}")
        return text_of(a + b, frame)
    if ta is datetime and tb is timedelta:
        return _shifted(a, b)
    if ta is timedelta and tb is datetime:
        return _shifted(b, a)
    if ta is timedelta and tb is timedelta:
        return _duration(lambda: a + b)
    raise mismatch("+", a, b)


def subtract(a: Value, b: Value, frame: Frame | None) -> Value:
    ta, tb = type(a), type(b)
    if (ta is float and (tb is float or tb is int)) or (tb is float and ta is int):
        return a - b
    if ta is int and tb is int:
        return checked(a - b)
    if ta is datetime and tb is datetime:
        return a.astimezone(UTC) - b.astimezone(UTC)
    if ta is datetime and tb is timedelta:
        return _shifted(a, -b)
    if ta is timedelta and tb is timedelta:
        return _duration(lambda: a - b)
    raise mismatch("-", a, b)


def multiply(a: Value, b: Value, frame: Frame | None) -> Value:
    ta, tb = type(a), type(b)
    if (ta is float and (tb is float or tb is int)) or (tb is float and ta is int):
        return a * b
    if ta is int and tb is int:
        return checked(a * b)
    if ta is timedelta and (tb is int or tb is float):
        return _duration(lambda: a * b)
    if tb is timedelta and (ta is int or ta is float):
        return _duration(lambda: b * a)
    raise mismatch("*", a, b)


def divide(a: Value, b: Value, frame: Frame | None) -> float:
    """Always a float; by zero as IEEE 754 says."""
    if type(a) not in (int, float) or type(b) not in (int, float):
        raise mismatch("/", a, b)
    x, y = float(a), float(b)
    if y != 0.0:
        return x / y
    if x == 0.0 or x != x:
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


def modulo(a: Value, b: Value, frame: Frame | None) -> int:
    """Integers only; the sign is the dividend's."""
    if type(a) is not int or type(b) is not int:
        raise mismatch("%", a, b)
    if b == 0:
        raise ExpressionError("DivisionByZero", "modulo by zero")
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def power(a: Value, b: Value, frame: Frame | None) -> float:
    """Always a float, as C's pow: overflow is infinite, a root of a negative number is NaN."""
    if type(a) is int and abs(a) > 1 and type(b) in (int, float) and abs(b) > EXPONENT:
        raise too_much(f"an exponent of {b!r} on an integer; limit {EXPONENT}")
    x, y = to_float(a), to_float(b)
    odd = y.is_integer() and abs(y) < 2.0**53 and int(y) % 2 == 1
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0.0 and odd else math.inf
    except ValueError:
        if x == 0.0:  # zero to a negative power
            return math.copysign(math.inf, x) if odd else math.inf
        return math.nan


def negate(value: Value) -> Value:
    if type(value) is float:
        return -value
    if type(value) is int:
        return checked(-value)
    raise ExpressionError("WrongType", f"invalid operation: - {go_type(value)}")


def _shifted(moment: datetime, by: timedelta) -> datetime:
    """On the world's clock: a day with a change to summer time has 23 hours."""
    try:
        return (moment.astimezone(UTC) + by).astimezone(moment.tzinfo)
    except (OverflowError, ValueError):
        raise ExpressionError("OutOfRange", "a time before year 1 or after year 9999") from None


def _duration(compute: Callable[[], timedelta]) -> timedelta:
    try:
        return compute()
    except (OverflowError, ValueError):
        raise ExpressionError("OutOfRange", "a duration out of range") from None
