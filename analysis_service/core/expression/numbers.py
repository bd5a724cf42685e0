"""Builtins on numbers, and Argo's asInt, asFloat, isNaN, isInf."""

import math
import re
from collections.abc import Callable, Sequence

from .budget import Frame, charge
from .compare import less, more
from .demand import checked, cut, is_list
from .errors import ExpressionError
from .kinds import Value, go_type, word
from .limits import INT_MAX, INT_MIN
from .texts import go_text
from .tokens import go_quote

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
_LONGEST_NUMERAL = 400  # characters; no float64 needs more, and Python refuses to read 5 000 digits


def as_int(value: Value) -> int:
    """Argo's asInt: any number cut toward zero, a text read in base 10.

    Raises ExpressionError: NotANumber for another text or type, OutOfRange beyond 64 bits.
    """
    if type(value) is int:
        return checked(value)
    if type(value) is float:
        return cut(value)
    if type(value) is str:
        if _INTEGER.fullmatch(value) and len(value) <= _LONGEST_NUMERAL:
            number = int(value)
            if INT_MIN <= number <= INT_MAX:
                return number
        return _unreadable("asInt", "ParseInt", value, in_range=not _INTEGER.fullmatch(value))
    raise _unsupported("asInt", value)


def as_float(value: Value) -> float:
    """Argo's asFloat: any number; a text as Go's ParseFloat reads it (NaN, Inf and 1e3 included).

    Raises ExpressionError: NotANumber for another text or type, OutOfRange for a text such as 1e999.
    """
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str:
        number = parse_float(value)
        if number is None:
            return _unreadable("asFloat", "ParseFloat", value, in_range=True)
        if math.isinf(number) and not _WORD.fullmatch(value):
            return _unreadable("asFloat", "ParseFloat", value, in_range=False)
        return number
    raise _unsupported("asFloat", value)


def parse_float(text: str) -> float | None:
    """Go's ParseFloat; None for what it does not read, an infinity for what is too large."""
    if len(text) > _LONGEST_NUMERAL:
        return None
    if _DECIMAL.fullmatch(text) or _WORD.fullmatch(text):
        return float(text)
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text)
        except ValueError:
            return None
        except OverflowError:
            return math.inf
    return None


def _unreadable(function: str, parser: str, text: str, *, in_range: bool) -> int:
    shown = text if len(text) <= 80 else text[:80] + "..."
    message = f"strconv.{parser}: parsing {go_quote(shown)}: " + (
        "invalid syntax" if in_range else "value out of range"
    )
    kind = "whole number" if function == "asInt" else "number"
    hint = f"{function}: {shown!r} is not a {kind}" if in_range else f"{function}: {shown!r} is out of 64-bit range"
    raise ExpressionError("NotANumber" if in_range else "OutOfRange", message, hint=hint)


def _unsupported(function: str, value: Value) -> ExpressionError:
    shown = go_text(value) if not is_list(value) and not isinstance(value, dict) else "..."
    message = f"{function}() not supported on {go_type(value)} {shown[:80]}"
    return ExpressionError("NotANumber", message, hint=f"{function} wants a number or a text, got {word(value)}")


def is_nan(value: Value) -> bool:
    """Argo's isNaN: float64 only."""
    return math.isnan(_float_only("isNaN", value))


def is_inf(value: Value) -> bool:
    """Argo's isInf: float64 only, either sign."""
    return math.isinf(_float_only("isInf", value))


def _float_only(function: str, value: Value) -> float:
    if type(value) is float:
        return value
    hint = f"{function} wants a number, got {word(value)}"
    if type(value) is int:
        hint = f"{function} wants a float, and an integer is always finite; use asFloat(x)"
    raise ExpressionError("WrongType", f"reflect: Call using {go_type(value)} as type float64", hint=hint)


def _invalid(name: str, value: Value) -> ExpressionError:
    hint = f"{name} wants a number, got {word(value)}"
    return ExpressionError("WrongType", f"invalid argument for {name} (type {go_type(value)})", hint=hint)


def absolute(value: Value) -> Value:
    if type(value) is float:
        return -value if value < 0 else value
    if type(value) is int:
        return checked(abs(value))
    raise _invalid("abs", value)


def _whole(name: str, rule: Callable[[float], float]) -> Callable[[Value], float]:
    def run(value: Value) -> float:
        if type(value) is int:
            return float(value)
        if type(value) is not float:
            raise _invalid(name, value)
        return value if math.isnan(value) or math.isinf(value) else rule(value)

    return run


def _half_away(value: float) -> float:
    """Go's Round: halves away from zero, and 0.49999999999999994 to 0."""
    whole = math.trunc(value)
    if abs(value - whole) >= 0.5:
        whole += 1 if value > 0 else -1
    return math.copysign(float(whole), value)


ceil = _whole("ceil", lambda x: math.copysign(float(math.ceil(x)), x))
floor = _whole("floor", lambda x: math.copysign(float(math.floor(x)), x))
round_half_away = _whole("round", _half_away)


def to_integer(value: Value) -> int:
    """The builtin int(x)."""
    if type(value) is float:
        return cut(value)
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value) and len(value) <= _LONGEST_NUMERAL:
        return checked(int(value))
    raise _conversion("int", value)


def to_number(value: Value) -> float:
    """The builtin float(x)."""
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and (number := parse_float(value)) is not None:
        return number
    raise _conversion("float", value)


def _conversion(name: str, value: Value) -> ExpressionError:
    shown = value[:80] if type(value) is str else go_type(value)
    hint = f"{name} wants a number or a text that is one"
    return ExpressionError("NotANumber", f"invalid operation: {name}({shown})", hint=hint)


def _numbers(name: str, arguments: Sequence[Value], frame: Frame | None) -> list[Value]:
    """All numbers in the arguments and in the lists among them, at any depth."""
    found: list[Value] = []
    todo = list(reversed(arguments))
    while todo:
        value = todo.pop()
        if type(value) is float or type(value) is int:
            found.append(value)
        elif is_list(value):
            charge(frame, len(value))
            todo.extend(reversed(value))
        else:
            raise _invalid(name, value)
    return found


def extreme(name: str, worse: Callable[[Value, Value], bool]) -> Callable[[Sequence[Value], Frame | None], Value]:
    """max and min: the first of equal ones; a leading NaN stays, a later one is passed over, as in Go."""

    def run(arguments: Sequence[Value], frame: Frame | None) -> Value:
        if len(arguments) == 1 and not is_list(arguments[0]):
            return arguments[0]
        best: Value = None
        for value in _numbers(name, arguments, frame):
            if best is None or worse(best, value):
                best = value
        return best

    return run


maximum = extreme("max", less)
minimum = extreme("min", more)


def mean(arguments: Sequence[Value], frame: Frame | None) -> float:
    """The mean of all numbers; 0 of none."""
    total, values = 0.0, _numbers("mean", arguments, frame)
    for value in values:
        total += value
    return total / len(values) if values else 0.0


def median(arguments: Sequence[Value], frame: Frame | None) -> float:
    """The median of all numbers, NaN below everything; 0 of none."""
    values = [float(value) for value in _numbers("median", arguments, frame)]
    values.sort(key=lambda x: (x == x, x if x == x else 0.0))
    middle, odd = divmod(len(values), 2)
    if not values:
        return 0.0
    return values[middle] if odd else (values[middle - 1] + values[middle]) / 2
