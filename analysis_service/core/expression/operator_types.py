"""The type that an operator gives for the types of its two sides."""

from collections.abc import Mapping

from .kinds import BOOL, DURATION, FLOAT, INT, INTS, TEXT, TIME, UNKNOWN, Type, assignable, comparable

_PLAIN: Mapping[str, tuple[tuple[str, ...], Type]] = {
    **dict.fromkeys(("<", ">", "<=", ">="), (("number", "string", "time", "duration"), BOOL)),
    **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), (("string",), BOOL)),
    **dict.fromkeys(("/", "**", "^"), (("number",), FLOAT)),
    "%": (("integer",), INT),
    "..": (("integer",), INTS),
}
"""What both sides may be alike, and what the operator then gives."""

_PAIRS: Mapping[str, Mapping[tuple[str, str], Type]] = {
    "+": {
        ("string", "string"): TEXT,
        ("time", "duration"): TIME,
        ("duration", "time"): TIME,
        ("duration", "duration"): DURATION,
    },
    "-": {("time", "time"): DURATION, ("time", "duration"): TIME, ("duration", "duration"): DURATION},
    "*": {(n, "duration"): DURATION for n in ("int", "int64", "float64")}
    | {("duration", n): DURATION for n in ("int", "int64", "float64")},
}


def type_of_binary(operator: str, left: Type, right: Type) -> Type | None:
    """None: the two sides do not go together. `in` is not for here: what it wants depends on what it looks into."""
    if operator in _PLAIN:
        kinds, result = _PLAIN[operator]
        fit = any(_is(left, kind) and _is(right, kind) for kind in kinds) or _maybe(left, right, *kinds)
        return result if fit else None
    if operator in ("==", "!="):
        return BOOL if comparable(left, right) else None
    if operator == "??":
        if left.kind == "nil":
            return right
        return left if right.kind == "nil" or assignable(right, left) else UNKNOWN
    return _arithmetic(operator, left, right)


def booleans(left: Type, right: Type) -> bool:
    """Can both sides be true or false?"""
    return _maybe(left, right, "bool") or left.kind == right.kind == "bool"


def _arithmetic(operator: str, left: Type, right: Type) -> Type | None:
    """The type of + - *, None when there is none."""
    if left.number and right.number:
        return FLOAT if "float64" in (left.kind, right.kind) else INT
    pair = (left.kind, right.kind)
    table = _PAIRS[operator]
    if pair in table:
        return table[pair]
    kinds = ("number", "duration") if operator == "*" else ("number", "time", "duration")
    return UNKNOWN if _maybe(left, right, *kinds, *(("string",) if operator == "+" else ())) else None


def _is(t: Type, kind: str) -> bool:
    return t.number if kind == "number" else t.integer if kind == "integer" else t.kind == kind


def _maybe(left: Type, right: Type, *kinds: str) -> bool:
    """One side unknown, and the other side something that would do."""
    if left.unknown and right.unknown:
        return True
    known = right if left.unknown else left
    return (left.unknown or right.unknown) and any(_is(known, kind) for kind in kinds)
