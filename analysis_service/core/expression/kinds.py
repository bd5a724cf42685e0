"""Static types, named as Go names them: they appear in messages that users of Argo know."""

from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

Value = Any
"""A value of the language: None, bool, int, float, str, list, tuple, dict, array('d'), range, datetime, timedelta."""


class Strings(tuple[str, ...]):
    """A typed list of texts (Go's []string), as `split` gives it."""

    __slots__ = ()


class Type(msgspec.Struct, frozen=True):
    """A static type. Two types are the same when their names are."""

    name: str
    kind: str
    element: "Type | None" = None

    @property
    def unknown(self) -> bool:
        return self.kind == "any"

    @property
    def number(self) -> bool:
        return self.kind in ("int", "int64", "float64")

    @property
    def integer(self) -> bool:
        return self.kind in ("int", "int64")

    @property
    def items(self) -> "Type":
        return self.element or ANY


UNKNOWN = Type("unknown", "any")  # nothing is known of it
ANY = Type("interface {}", "any")  # known to be anything
NIL = Type("unknown", "nil")
BOOL = Type("bool", "bool")
INT = Type("int", "int")
INT64 = Type("int64", "int64")
FLOAT = Type("float64", "float64")
TEXT = Type("string", "string")
TIME = Type("time.Time", "time")
DURATION = Type("time.Duration", "duration")
ANYS = Type("[]interface {}", "list", ANY)
INTS = Type("[]interface {}", "list", INT)
FLOATS = Type("[]float64", "list", FLOAT)
STRINGS = Type("[]string", "list", TEXT)
MAP = Type("map[string]interface {}", "map", ANY)
ANY_MAP = Type("map[interface {}]interface {}", "map", ANY)
GROUPS = Type("map[interface {}][]interface {}", "map", ANYS)

RESULT_KINDS: Mapping[str, Type] = {
    "any": ANY,
    "bool": BOOL,
    "int": INT,
    "float": FLOAT,
    "floats": FLOATS,
    "string": TEXT,
    "strings": STRINGS,
    "list": ANYS,
    "map": MAP,
}
"""What a caller may say of a result's type before there is one."""

_BY_TYPE: Mapping[type, Type] = {
    type(None): NIL,
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: TEXT,
    array: FLOATS,
    Strings: STRINGS,
    list: ANYS,
    tuple: ANYS,
    range: INTS,
    dict: MAP,
    datetime: TIME,
    timedelta: DURATION,
}


def list_of(element: Type) -> Type:
    """An untyped list whose elements are known to be `element`."""
    return Type(ANYS.name, "list", element)


def type_of(value_type: type) -> Type | None:
    """The static type of a Python type; None for a type that the language does not know."""
    return _BY_TYPE.get(value_type)


def go_type(value: Value) -> str:
    """What Go's %T prints."""
    if value is None:
        return "<nil>"
    if isinstance(value, range):
        return "[]int"
    known = _BY_TYPE.get(type(value))
    return known.name if known else type(value).__name__


def word(value: Value) -> str:
    """How a sentence names the kind of a value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, dict):
        return f"a map of {len(value)}"
    if isinstance(value, datetime):
        return "a time"
    if isinstance(value, timedelta):
        return "a duration"
    return f"a list of {len(value)}"


_WORDS = {
    "any": "a value", "nil": "nil", "bool": "a boolean", "int": "a number", "int64": "a number", "float64": "a number",
    "string": "a text", "list": "a list", "map": "a map", "time": "a time", "duration": "a duration",
}  # fmt: skip


def type_word(t: Type) -> str:
    """How a sentence names a static type."""
    return _WORDS[t.kind]


def assignable(a: Type, b: Type) -> bool:
    """Go's AssignableTo."""
    if a.kind == "nil":
        return b.kind in ("list", "map") or b == ANY
    if b == ANY:
        return a != UNKNOWN
    return a.name == b.name and a != UNKNOWN


def comparable(a: Type, b: Type) -> bool:
    """May == stand between them?"""
    return (
        a.unknown
        or b.unknown
        or a.kind == "nil"
        or b.kind == "nil"
        or (a.number and b.number)
        or (a.kind == b.kind and a.kind in ("duration", "time", "list"))
        or assignable(a, b)
    )
