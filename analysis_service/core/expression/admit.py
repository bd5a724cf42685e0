"""The gate for data from outside: only values that the language can hold come in."""

from array import array
from collections.abc import Collection
from datetime import datetime, timedelta

from .budget import too_much
from .demand import checked
from .errors import ExpressionError
from .kinds import Strings, Value
from .limits import DATA_DEPTH, DATA_ITEMS

_TEXT = frozenset({str})
_SCALARS = frozenset({float, str, bool, type(None)})
_NEST = frozenset({dict, list, tuple})
_NESTING = _SCALARS | _NEST


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
