"""Equality and order of values, as expr-lang's machine has them at run time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from .budget import Frame, charge
from .demand import LISTS, mismatch
from .kinds import Value


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
    if isinstance(a, LISTS):
        return isinstance(b, LISTS) and _equal_lists(a, b, frame)
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
