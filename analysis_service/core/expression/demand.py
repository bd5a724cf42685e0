"""What operators and functions demand of a value, and the errors when it is another."""

import math
from array import array

from .errors import ExpressionError
from .kinds import Value, go_type, word
from .limits import INT_MAX, INT_MIN

LISTS = (list, tuple, array, range)


def is_list(value: Value) -> bool:
    return isinstance(value, LISTS)


def checked(value: int) -> int:
    """`value` if it fits in 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise ExpressionError("IntegerOverflow", "integer overflow", hint="integers have 64 bits; use float(x)")


def truth(value: Value) -> bool:
    """A boolean, demanded."""
    if value is True or value is False:
        return bool(value)
    raise not_a_boolean(value)


def not_a_boolean(value: Value) -> ExpressionError:
    name = "nil" if value is None else go_type(value)
    hint = f"true or false is needed here, got {word(value)}"
    return ExpressionError("WrongType", f"interface conversion: interface {{}} is {name}, not bool", hint=hint)


def string(value: Value) -> str:
    """A text, demanded."""
    if type(value) is str:
        return value
    name = "nil" if value is None else go_type(value)
    hint = f"a text is needed here, got {word(value)}"
    raise ExpressionError("WrongType", f"interface conversion: interface {{}} is {name}, not string", hint=hint)


def to_int(value: Value) -> int:
    """A number as an integer, cut toward zero, for indices and counts."""
    if type(value) is int:
        return value
    if type(value) is float:
        return cut(value)
    hint = f"a whole number is needed here, got {word(value)}"
    raise ExpressionError("WrongType", f"invalid operation: int({go_type(value)})", hint=hint)


def cut(value: float) -> int:
    """float64 to int64, toward zero; what does not fit is an error (Go leaves it undefined)."""
    if -9.3e18 < value < 9.3e18 and INT_MIN <= (whole := int(value)) <= INT_MAX:
        return whole
    shown = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN" if value != value else repr(value))
    raise ExpressionError("OutOfRange", f"{shown} is out of 64-bit range", hint="integers have 64 bits")


def to_float(value: Value) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise ExpressionError("WrongType", f"invalid operation: float({go_type(value)})")


def mismatch(operator: str, a: Value, b: Value) -> ExpressionError:
    hint = f"cannot use {operator} between {word(a)} and {word(b)}"
    if is_list(a) or is_list(b):
        hint += "; take one item, as in result[0]"
    elif a is None or b is None:
        hint += "; a missing field is nil: test it with == nil or give a default with ??"
    elif isinstance(a, str) or isinstance(b, str):
        hint += "; asFloat(x) reads a number from a text"
    return ExpressionError("WrongType", f"invalid operation: {go_type(a)} {operator} {go_type(b)}", hint=hint)
