"""Operators on lists, maps and texts: one item, a part, whether something is in it, and a range of numbers."""

from collections.abc import Sequence

from .budget import Frame, charge, text_of, too_much
from .compare import equal
from .demand import LISTS, to_int
from .errors import ExpressionError
from .kinds import Strings, Value, go_type, word
from .limits import RANGE_ITEMS


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
    if isinstance(base, LISTS):
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
    if isinstance(base, LISTS):
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
    if isinstance(hay, LISTS):
        charge(frame, len(hay))
        return any(equal(item, needle, frame) for item in hay)
    hint = "use contains for a part of a text" if type(hay) is str else ""
    raise ExpressionError("WrongType", f'operator "in" not defined on {go_type(hay)}', hint=hint)


def _in_range(needle: float, hay: range) -> bool:
    return needle.is_integer() and int(needle) in hay


def span(a: Value, b: Value, frame: Frame | None) -> range:
    """a..b, both ends included; empty when a > b."""
    low, high = to_int(a), to_int(b)
    if high - low >= RANGE_ITEMS:
        raise too_much(f"a range of {high - low + 1} items; limit {RANGE_ITEMS}")
    return range(low, max(high, low - 1) + 1)
