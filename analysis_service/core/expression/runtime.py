"""The operators on values, as expr-lang's machine has them at run time, with 64-bit integers that do not wrap."""

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from .errors import ExpressionError
from .kinds import Strings, Value, go_type, word
from .limits import (
    DATA_DEPTH,
    DATA_ITEMS,
    EXPONENT,
    INT_MAX,
    INT_MIN,
    LIST_ITEMS,
    RANGE_ITEMS,
    STEPS,
    TEXT_CHARACTERS,
)  # fmt: skip

_TEXT = frozenset({str})
_SCALARS = frozenset({float, str, bool, type(None)})
_NEST = frozenset({dict, list, tuple})
_NESTING = _SCALARS | _NEST
_LISTS = (list, tuple, array, range)


class Frame:
    """What one evaluation carries: the time, the steps left, the variables."""

    __slots__ = ("now", "slots", "steps")

    def __init__(self, now: datetime | None, slots: int) -> None:
        self.now = now
        self.steps = STEPS
        self.slots: list[Value] = [None] * slots


def charge(frame: Frame | None, steps: int) -> None:
    """Take `steps` from the budget. Without a frame there are no loops, and the number of nodes is the bound."""
    if frame is not None:
        frame.steps -= steps
        if frame.steps < 0:
            raise too_much(f"more than {STEPS} steps")


def too_much(what: str) -> ExpressionError:
    return ExpressionError("TooMuchWork", f"the expression asks for too much work: {what}")


def is_list(value: Value) -> bool:
    return isinstance(value, _LISTS)


def checked(value: int) -> int:
    """`value` if it fits in 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise ExpressionError("IntegerOverflow", "integer overflow", hint="integers have 64 bits; use float(x)")


def text_of(value: str, frame: Frame | None) -> str:
    """A new text, within its cap and paid for."""
    if len(value) > TEXT_CHARACTERS:
        raise too_much(f"a text of {len(value)} characters; limit {TEXT_CHARACTERS}")
    charge(frame, len(value) >> 6)
    return value


def list_of_values(value: list[Value], frame: Frame | None) -> list[Value]:
    """A new list, within its cap and paid for."""
    if len(value) > LIST_ITEMS:
        raise too_much(f"a list of {len(value)} items; limit {LIST_ITEMS}")
    charge(frame, len(value))
    return value


def mismatch(operator: str, a: Value, b: Value) -> ExpressionError:
    hint = f"cannot use {operator} between {word(a)} and {word(b)}"
    if is_list(a) or is_list(b):
        hint += "; take one item, as in result[0]"
    elif a is None or b is None:
        hint += "; a missing field is nil: test it with == nil or give a default with ??"
    elif isinstance(a, str) or isinstance(b, str):
        hint += "; asFloat(x) reads a number from a text"
    return ExpressionError("WrongType", f"invalid operation: {go_type(a)} {operator} {go_type(b)}", hint=hint)


def admit(result: Value) -> None:
    """Refuse data that the language cannot hold: unknown types, integers above 64 bits, nesting above DATA_DEPTH."""
    level = _inner((result,))
    left = DATA_ITEMS
    for _ in range(DATA_DEPTH):
        below: list[Value] = []
        for value in level:
            left -= len(value)
            if left < 0:
                raise too_much(f"data of more than {DATA_ITEMS} items")
            if type(value) is dict:
                if not set(map(type, value)) <= _TEXT:
                    raise _foreign(next(key for key in value if type(key) is not str))
                below += _inner(value.values())
            else:
                below += _inner(value)
        if not below:
            return
        level = below
    message = f"data nested deeper than {DATA_DEPTH}"
    raise ExpressionError("DataTooDeep", message, hint="select the part you need with jsonPath or a simpler query")


def _inner(values: Collection[Value]) -> list[Value]:
    """The lists and maps among `values`, once all of them are known to be values of the language."""
    kinds = set(map(type, values))
    if kinds <= _SCALARS:
        return []
    if not kinds <= _NESTING:
        for value in values:
            _admit_rare(value)
    return [value for value in values if type(value) in _NEST]


def _admit_rare(value: Value) -> None:
    kind = type(value)
    if kind is int:
        checked(value)
    elif kind is datetime:
        if value.utcoffset() is None:
            raise ExpressionError("WrongType", "a time without a time zone")
    elif kind is array:
        admit_array(value)
    elif kind is Strings:
        if not set(map(type, value)) <= _TEXT:
            raise _foreign(value)
    elif kind is not timedelta and kind not in _NESTING:
        raise _foreign(value)


def admit_array(result: Value) -> None:
    """admit for an array, which holds nothing but numbers: float64 it must be."""
    if result.typecode != "d":
        raise _foreign(result)


def admit_int(result: Value) -> None:
    """admit for an integer."""
    checked(result)


def _foreign(value: object) -> ExpressionError:
    return ExpressionError("WrongType", f"result holds a value of unsupported type {type(value).__name__}")


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


# -- comparison -------------------------------------------------------------------------------------------------


def equal(a: Value, b: Value, frame: Frame | None) -> bool:
    ta, tb = type(a), type(b)
    if ta is float or ta is int:
        if tb is float or tb is int:
            return bool(a == b) if ta is tb else float(a) == float(b)
        return False
    if ta is str:
        if tb is not str:
            return False
        charge(frame, min(len(a), len(b)) >> 6)
        return bool(a == b)
    if isinstance(a, _LISTS):
        return isinstance(b, _LISTS) and _equal_lists(a, b, frame)
    if ta is dict:
        return tb is dict and _equal_maps(a, b, frame)
    return ta is tb and bool(a == b)


def _equal_lists(a: Sequence[Value], b: Sequence[Value], frame: Frame | None) -> bool:
    if len(a) != len(b):
        return False
    charge(frame, len(a))
    return all(equal(x, y, frame) for x, y in zip(a, b, strict=True))


def _equal_maps(a: dict[Value, Value], b: dict[Value, Value], frame: Frame | None) -> bool:
    if len(a) != len(b):
        return False
    charge(frame, len(a))
    return all(k in b and equal(v, b[k], frame) for k, v in a.items())


def _ordered(operator: str, a: Value, b: Value) -> tuple[Value, Value]:
    """Both values as Python compares them, or the error that they have no order."""
    ta, tb = type(a), type(b)
    if (ta is float or ta is int) and (tb is float or tb is int):
        return (a, b) if ta is tb else (float(a), float(b))
    if ta is tb and (ta is str or ta is datetime or ta is timedelta):
        return a, b
    raise mismatch(operator, a, b)


def less(a: Value, b: Value, frame: Frame | None = None) -> bool:
    a, b = _ordered("<", a, b)
    _charge_texts(a, b, frame)
    return bool(a < b)


def more(a: Value, b: Value, frame: Frame | None = None) -> bool:
    a, b = _ordered(">", a, b)
    _charge_texts(a, b, frame)
    return bool(a > b)


def less_or_equal(a: Value, b: Value, frame: Frame | None = None) -> bool:
    a, b = _ordered("<=", a, b)
    _charge_texts(a, b, frame)
    return bool(a <= b)


def more_or_equal(a: Value, b: Value, frame: Frame | None = None) -> bool:
    a, b = _ordered(">=", a, b)
    _charge_texts(a, b, frame)
    return bool(a >= b)


def _charge_texts(a: Value, b: Value, frame: Frame | None) -> None:
    if frame is not None and type(a) is str:
        charge(frame, min(len(a), len(b)) >> 6)


# -- arithmetic -------------------------------------------------------------------------------------------------


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


# -- lists, maps, texts -----------------------------------------------------------------------------------------


def span(a: Value, b: Value, frame: Frame | None) -> range:
    """a..b, both ends included; empty when a > b."""
    low, high = to_int(a), to_int(b)
    if high - low >= RANGE_ITEMS:
        raise too_much(f"a range of {high - low + 1} items; limit {RANGE_ITEMS}")
    return range(low, max(high, low - 1) + 1)


def fetch(base: Value, key: Value) -> Value:
    """base[key] and base.key. A missing key of a map is nil; an index outside of a list is an error."""
    if type(base) is dict:
        if key is None:
            return base.get("")
        if type(key) is str:
            return base.get(key)
        if any(type(k) is not str for k in base):  # what groupBy gives has keys of all kinds
            return base.get(key) if _hashable(key) else None
        raise _map_key(key)
    if isinstance(base, _LISTS):
        index = to_int(key) if type(key) is not str else _no_field(base, key)
        try:
            return base[index]
        except IndexError:
            raise outside(base, index) from None
    if type(base) is str:
        octets = base.encode("utf-8", "surrogatepass")
        index = to_int(key)
        if -len(octets) <= index < len(octets):
            return octets[index]
        raise outside(octets, index)
    shown = key if type(key) in (str, int) else go_type(key)
    hint = "nil has no fields: an outer field is missing" if base is None else f"{word(base)} has no fields"
    raise ExpressionError("WrongType", f"cannot fetch {shown} from {go_type(base)}", hint=hint)


def _hashable(key: Value) -> bool:
    return type(key) in (str, int, float, bool) or key is None


def _map_key(key: Value) -> ExpressionError:
    message = f"reflect.Value.MapIndex: value of type {go_type(key)} is not assignable to type string"
    return ExpressionError("WrongType", message, hint=f"keys of a map are texts, got {word(key)}")


def _no_field(base: Value, key: str) -> int:
    hint = f"a list has no field {key!r}; take an item first, as in [0].{key}"
    raise ExpressionError("WrongType", "invalid operation: int(string)", hint=hint)


def outside(base: Sequence[Value], index: int) -> ExpressionError:
    size = len(base)
    index = index + size if index < 0 else index  # as Go reports it
    message = f"index out of range: {index} (array length is {size})"
    if size == 0:
        hint = "query returned no series; guard with len(result) > 0 or set onNoData"
        return ExpressionError("NoData", message, hint=hint)
    return ExpressionError("OutOfRange", message, hint=f"the list has {size} items, 0 to {size - 1}")


def cut_out(base: Value, low: Value, high: Value, frame: Frame | None) -> Value:
    """base[low:high], ends clamped; None for an end that was not written."""
    if type(base) is str:
        octets = base.encode("utf-8", "surrogatepass")
        return text_of(octets[_slice(len(octets), low, high)].decode("utf-8", "replace"), frame)
    if isinstance(base, _LISTS):
        part = base[_slice(len(base), low, high)]
        charge(frame, len(part))
        return Strings(base[_slice(len(base), low, high)]) if type(base) is Strings else part
    raise ExpressionError("WrongType", f"cannot slice {go_type(base)}")


def _slice(size: int, low: Value, high: Value) -> slice:
    a = 0 if low is None else to_int(low)
    b = size if high is None else to_int(high)
    a = max(a + size, 0) if a < 0 else a
    b = max(b + size, 0) if b < 0 else min(b, size)
    return slice(min(a, b), b)


def contains(needle: Value, hay: Value, frame: Frame | None) -> bool:
    """needle in hay: an item of a list, or a key of a map."""
    if hay is None:
        return False
    if type(hay) is dict:
        if needle is None:
            return "" in hay
        if type(needle) is not str and all(type(k) is str for k in hay):
            raise _map_key(needle)
        return _hashable(needle) and needle in hay
    if type(hay) is range:
        return type(needle) in (int, float) and not isinstance(needle, bool) and _in_range(float(needle), hay)
    if isinstance(hay, _LISTS):
        charge(frame, len(hay))
        return any(equal(item, needle, frame) for item in hay)
    hint = "use contains for a part of a text" if type(hay) is str else ""
    raise ExpressionError("WrongType", f'operator "in" not defined on {go_type(hay)}', hint=hint)


def _in_range(needle: float, hay: range) -> bool:
    return needle.is_integer() and int(needle) in hay
