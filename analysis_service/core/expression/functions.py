"""The table of functions: what each takes, what it gives, and what runs."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from . import lists, numbers, texts, times
from .budget import Frame
from .errors import ExpressionError
from .kinds import (
    ANY,
    ANY_MAP,
    ANYS,
    BOOL,
    DURATION,
    FLOAT,
    FLOATS,
    INT,
    INT64,
    STRINGS,
    TEXT,
    TIME,
    Type,
    Value,
    assignable,
    go_type,
    type_word,
)  # fmt: skip

Run = Callable[[Sequence[Value], Frame | None], Value]
Check = Callable[[str, Sequence[Type]], Type]


class Function(msgspec.Struct, frozen=True):
    check: Check
    run: Run


def mistake(message: str, hint: str = "") -> ExpressionError:
    return ExpressionError("WrongType", message, hint=hint)


def takes(*overloads: tuple[tuple[Type, ...], Type]) -> Check:
    """Fixed parameter lists, the first that fits; the message is about the last one, as in expr-lang."""

    def check(name: str, given: Sequence[Type]) -> Type:
        for parameters, result in overloads:
            if len(given) == len(parameters) and all(_fits(g, p) for g, p in zip(given, parameters, strict=True)):
                return result
        parameters = overloads[-1][0]
        if len(given) != len(parameters):
            raise mistake(f"{'too many' if len(given) > len(parameters) else 'not enough'} arguments to call {name}")
        for g, p in zip(given, parameters, strict=True):
            if not _fits(g, p):
                message = f"cannot use {g.name} as argument (type {p.name}) to call {name} "
                if g.kind == "nil":
                    message = f"cannot use nil as argument (type {p.name}) to call {name}"
                hint = f"{name} wants {type_word(p)}, got {type_word(g)}"
                raise mistake(message, hint + ("; use result[0]" if g.kind == "list" else ""))
        raise AssertionError("one parameter does not fit")

    return check


def _fits(given: Type, parameter: Type) -> bool:
    if given.kind == "nil":
        return parameter == ANY
    integer = given.integer and (parameter.integer or parameter == FLOAT)
    return given.unknown or integer or assignable(given, parameter)


def _count(given: Sequence[Type], *wanted: int) -> None:
    if len(given) not in wanted:
        raise mistake(f"invalid number of arguments (expected {wanted[0]}, got {len(given)})")


def _of(kinds: str, result: Callable[[Type], Type], complaint: str) -> Check:
    """One argument of one of `kinds`; `complaint` names function and type."""
    allowed = frozenset(kinds.split())

    def check(name: str, given: Sequence[Type]) -> Type:
        _count(given, 1)
        if given[0].kind not in allowed and not given[0].unknown:
            raise mistake(complaint.format(name=name, type=given[0].name), f"{name} cannot take {type_word(given[0])}")
        return result(given[0])

    return check


_INVALID = "invalid argument for {name} (type {type})"
_NUMBERS = "int int64 float64"


def _aggregate(name: str, given: Sequence[Type]) -> Type:
    if not given:
        raise mistake(f"not enough arguments to call {name}")
    for t in given:
        if t.unknown or t.kind == "list":
            return ANY
        if not t.number:
            raise mistake(_INVALID.format(name=name, type=t.name))
    return given[0]


def _take(name: str, given: Sequence[Type]) -> Type:
    _count(given, 2)
    if given[0].kind != "list" and not given[0].unknown:
        raise mistake(f"cannot take from {given[0].name}")
    if not given[1].integer and not given[1].unknown:
        raise mistake(f"cannot take {given[1].name} elements")
    return given[0]


def _concat(name: str, given: Sequence[Type]) -> Type:
    if not given:
        raise mistake("invalid number of arguments (expected at least 1, got 0)")
    for t in given:
        if t.kind != "list" and not t.unknown:
            raise mistake(f"cannot concat {t.name}")
    return ANYS


def _get(name: str, given: Sequence[Type]) -> Type:
    _count(given, 2)
    base, key = given
    if base.unknown:
        return ANY
    if base.kind == "list":
        if not key.integer and not key.unknown:
            raise mistake(f"non-integer slice index {key.name}")
        return base.items
    if base.kind == "map":
        if key.kind != "string" and not key.unknown:
            raise mistake(f"cannot use {key.name} to get an element from {base.name}")
        return base.items
    raise mistake(f"type {base.name} does not support indexing")


def _date(name: str, given: Sequence[Type]) -> Type:
    if not 1 <= len(given) <= 3:
        bound = "at least 1" if not given else "at most 3"
        raise mistake(f"invalid number of arguments (expected {bound}, got {len(given)})")
    return TIME


def _now(name: str, given: Sequence[Type]) -> Type:
    _count(given, 0)
    return TIME


def _one(rule: Callable[[Value], Value]) -> Run:
    return lambda arguments, frame: rule(arguments[0])


_SORTABLE = (ANYS, FLOATS, STRINGS, Type("[]int", "list", INT))
_JOINABLE = (ANYS, STRINGS)
_BITS = takes(((INT, INT), INT))


def _type_name(value: Value) -> str:
    name = go_type(value)
    short = {"<nil>": "nil", "float64": "float", "time.Time": "time.Time", "time.Duration": "time.Duration"}
    return short.get(name) or ("map" if name.startswith("map") else "array" if name.startswith("[]") else name)


BUILTINS: Mapping[str, Function] = {
    "len": Function(_of("list map string", lambda t: INT, _INVALID), _one(texts.length)),
    "type": Function(takes(((ANY,), TEXT)), _one(_type_name)),
    "abs": Function(_of(_NUMBERS, lambda t: t, _INVALID), _one(numbers.absolute)),
    "ceil": Function(_of(_NUMBERS, lambda t: FLOAT, _INVALID), _one(numbers.ceil)),
    "floor": Function(_of(_NUMBERS, lambda t: FLOAT, _INVALID), _one(numbers.floor)),
    "round": Function(_of(_NUMBERS, lambda t: FLOAT, _INVALID), _one(numbers.round_half_away)),
    "int": Function(_of(_NUMBERS + " string", lambda t: INT, _INVALID), _one(numbers.to_integer)),
    "float": Function(_of(_NUMBERS + " string", lambda t: FLOAT, _INVALID), _one(numbers.to_number)),
    "string": Function(takes(((ANY,), TEXT)), texts.to_text),
    "trim": Function(takes(((TEXT,), TEXT), ((TEXT, TEXT), TEXT)), texts.trim),
    "trimPrefix": Function(takes(((TEXT, TEXT), TEXT), ((TEXT,), TEXT)), texts.trim_prefix),
    "trimSuffix": Function(takes(((TEXT, TEXT), TEXT), ((TEXT,), TEXT)), texts.trim_suffix),
    "upper": Function(takes(((TEXT,), TEXT)), texts.upper),
    "lower": Function(takes(((TEXT,), TEXT)), texts.lower),
    "split": Function(takes(((TEXT, TEXT), STRINGS), ((TEXT, TEXT, INT), STRINGS)), texts.split),
    "splitAfter": Function(takes(((TEXT, TEXT), STRINGS), ((TEXT, TEXT, INT), STRINGS)), texts.split_after),
    "replace": Function(takes(((TEXT, TEXT, TEXT, INT), TEXT), ((TEXT, TEXT, TEXT), TEXT)), texts.replace),
    "repeat": Function(takes(((TEXT, INT), TEXT)), texts.repeat),
    "join": Function(
        takes(*(((t, TEXT), TEXT) for t in _JOINABLE), *(((t,), TEXT) for t in _JOINABLE)), texts.join
    ),
    "indexOf": Function(takes(((TEXT, TEXT), INT)), texts.index_of),
    "lastIndexOf": Function(takes(((TEXT, TEXT), INT)), texts.last_index_of),
    "hasPrefix": Function(takes(((TEXT, TEXT), BOOL)), texts.has_prefix),
    "hasSuffix": Function(takes(((TEXT, TEXT), BOOL)), texts.has_suffix),
    "max": Function(_aggregate, numbers.maximum),
    "min": Function(_aggregate, numbers.minimum),
    "mean": Function(_aggregate, numbers.mean),
    "median": Function(_aggregate, numbers.median),
    "toJSON": Function(takes(((ANY,), TEXT)), texts.to_json),
    "fromJSON": Function(takes(((TEXT,), ANY)), texts.from_json),
    "toBase64": Function(takes(((TEXT,), TEXT)), texts.to_base64),
    "fromBase64": Function(takes(((TEXT,), TEXT)), texts.from_base64),
    "now": Function(_now, times.now),
    "duration": Function(takes(((TEXT,), DURATION)), times.duration),
    "date": Function(_date, times.date),
    "first": Function(_of("list", lambda t: t.items, "cannot get first element from {type}"), lists.first),
    "last": Function(_of("list", lambda t: t.items, "cannot get last element from {type}"), lists.last),
    "get": Function(_get, lists.get),
    "take": Function(_take, lists.take),
    "keys": Function(_of("map", lambda t: ANYS, "cannot get keys from {type}"), lists.keys),
    "values": Function(_of("map", lambda t: ANYS, "cannot get values from {type}"), lists.values),
    "toPairs": Function(_of("map", lambda t: ANYS, "cannot transform {type} to pairs"), lists.to_pairs),
    "fromPairs": Function(_of("list", lambda t: ANY_MAP, "cannot transform {type} from pairs"), lists.from_pairs),
    "reverse": Function(_of("list", lambda t: ANYS, "cannot reverse {type}"), lists.reverse),
    "uniq": Function(_of("list", lambda t: ANYS, "cannot uniq {type}"), lists.unique),
    "concat": Function(_concat, lists.concat),
    "flatten": Function(_of("list", lambda t: ANYS, "cannot flatten {type}"), lists.flatten),
    "sort": Function(
        takes(*(((t, TEXT), ANYS) for t in _SORTABLE), *(((t,), ANYS) for t in _SORTABLE)), lists.sort
    ),
    "bitand": Function(_BITS, lists.bits("bitand", lambda a, b: a & b)),
    "bitor": Function(_BITS, lists.bits("bitor", lambda a, b: a | b)),
    "bitxor": Function(_BITS, lists.bits("bitxor", lambda a, b: a ^ b)),
    "bitnand": Function(_BITS, lists.bits("bitnand", lambda a, b: a & ~b)),
    "bitshl": Function(_BITS, lists.bits("bitshl", lambda a, b: a << b)),
    "bitshr": Function(_BITS, lists.bits("bitshr", lambda a, b: a >> b)),
    "bitushr": Function(_BITS, lists.bits("bitushr", lambda a, b: (a & 0xFFFF_FFFF_FFFF_FFFF) >> b)),
}  # fmt: skip

PREDICATES: Mapping[str, tuple[int, int]] = {
    "all": (2, 0), "none": (2, 0), "any": (2, 0), "one": (2, 0), "filter": (2, 0), "map": (2, 0),
    "count": (1, 1), "sum": (1, 1),
    "find": (2, 0), "findIndex": (2, 0), "findLast": (2, 0), "findLastIndex": (2, 0),
    "groupBy": (2, 0), "sortBy": (2, 1), "reduce": (2, 1),
}  # fmt: skip
"""Builtins with a predicate as second argument: how many arguments they need, and how many more they may have."""

ARGO_FUNCTIONS: Mapping[str, Function] = {
    "asInt": Function(takes(((ANY,), INT64)), _one(numbers.as_int)),
    "asFloat": Function(takes(((ANY,), FLOAT)), _one(numbers.as_float)),
    "isNaN": Function(takes(((FLOAT,), BOOL)), _one(numbers.is_nan)),
    "isInf": Function(takes(((FLOAT,), BOOL)), _one(numbers.is_inf)),
}
"""What Argo adds; `default` and `isNil` look at the whole result and are built in place."""

SPECIAL: Mapping[str, Check] = {"default": takes(((ANY, ANY), ANY)), "isNil": takes(((ANY,), BOOL))}
CONDITION_NAMES = ("result", "asInt", "asFloat", "isNaN", "isInf", "default", "isNil")
TIME_NAMES = ("isNaN", "isInf")
