"""Closures of operators: comparisons, arithmetic, and, or, not, and tests of texts."""

import operator
from collections.abc import Callable, Mapping

from .access import contains, outside, span
from .arithmetic import add, divide, modulo, multiply, negate, power, subtract
from .budget import Frame, charge
from .builder import Builder, Closure, constant, placed
from .compare import equal, less, less_or_equal, more, more_or_equal
from .demand import string
from .errors import ExpressionError
from .kinds import Value, go_type
from .regex import matches
from .tree import Binary, Builtin, ListOf, Literal, Logic, Member, Node, Unary

_SHOWN_FIELDS, _SHOWN_CHARACTERS = 10, 40


_COMPARE: Mapping[str, Callable[[Value, Value, Frame], bool]] = {
    "<": less,
    ">": more,
    "<=": less_or_equal,
    ">=": more_or_equal,
    "==": equal,
    "!=": lambda a, b, f: not equal(a, b, f),
}
_COMPUTE: Mapping[str, Callable[[Value, Value, Frame], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "**": power,
    "^": power,
    "..": span,
    "in": contains,
}
_PLAIN: Mapping[str, Callable[[Closure, Closure], Closure]] = {
    "<": lambda a, b: lambda r, f: a(r, f) < b(r, f),
    ">": lambda a, b: lambda r, f: a(r, f) > b(r, f),
    "<=": lambda a, b: lambda r, f: a(r, f) <= b(r, f),
    ">=": lambda a, b: lambda r, f: a(r, f) >= b(r, f),
    "==": lambda a, b: lambda r, f: a(r, f) == b(r, f),
    "!=": lambda a, b: lambda r, f: a(r, f) != b(r, f),
}
_OPERATOR: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_PLAIN_CONSTANT: Mapping[str, Callable[[Closure, Value], Closure]] = {
    "<": lambda a, c: lambda r, f: a(r, f) < c,
    ">": lambda a, c: lambda r, f: a(r, f) > c,
    "<=": lambda a, c: lambda r, f: a(r, f) <= c,
    ">=": lambda a, c: lambda r, f: a(r, f) >= c,
    "==": lambda a, c: lambda r, f: a(r, f) == c,
    "!=": lambda a, c: lambda r, f: a(r, f) != c,
}


def unary(builder: Builder, node: Unary) -> Closure:
    if node.operator in ("!", "not"):
        run = builder.boolean(node.operand)
        return lambda r, f: not run(r, f)
    value = constant(node)
    if value is not None:
        return lambda r, f: value
    run = builder.build(node.operand)
    if node.operator == "-":
        return placed(node, lambda r, f: negate(run(r, f)))
    return run


def logic(builder: Builder, node: Logic) -> Closure:
    """All parts but the last must be booleans; the last one is the value, whatever it is."""
    stop = node.operator == "||"
    if any(isinstance(part, Literal) and part.value is stop for part in node.parts):
        return lambda r, f: stop  # settled by the text: expr-lang folds it without looking at the rest
    heads, last = [builder.boolean(part) for part in node.parts[:-1]], builder.build(node.parts[-1])
    first = heads[0]
    if len(heads) == 1 and node.operator == "&&":
        return lambda r, f: first(r, f) and last(r, f)
    if len(heads) == 1:
        return lambda r, f: first(r, f) or last(r, f)

    def run(r: Value, f: Frame) -> Value:
        for head in heads:
            if head(r, f) is stop:
                return stop
        return last(r, f)

    return run


def binary(builder: Builder, node: Binary) -> Closure:
    sign = node.operator
    if sign == "??":
        return _coalesce(builder, node)
    if sign == "in" and (texts := _texts(node.right)) is not None:
        return _in_texts(builder, node, texts)
    if sign in ("matches", "contains", "startsWith", "endsWith"):
        return _on_texts(builder, node)
    if sign in _COMPARE and (plain := _plain(builder, node)) is not None:
        return plain
    left, right = builder.build(node.left), builder.build(node.right)
    rule = _COMPARE.get(sign) or _COMPUTE[sign]
    compare = _OPERATOR.get(sign)
    left_missing, right_missing = _missing_field(builder, node.left), _missing_field(builder, node.right)
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> Value:
        a, b = left(r, f), right(r, f)
        if compare is not None and type(a) is float and type(b) is float:
            return compare(a, b)  # by far the most frequent case
        try:
            return rule(a, b, f)
        except ExpressionError as error:
            if a is None or b is None:
                error.hint = (left_missing if a is None else right_missing)(r, f) or error.hint
            raise error.placed(at, end) from None

    return run


def _missing_field(builder: Builder, node: Node) -> Callable[[Value, Frame], str]:
    """Says which field is missing, where `node` is a field of a map that lacks it."""
    if not isinstance(node, Member) or not isinstance(node.key, Literal):
        return lambda r, f: ""
    base, key = builder.build(node.base), node.key.value

    def say(r: Value, f: Frame) -> str:
        holder = base(r, f)
        if type(holder) is not dict or key in holder:
            return ""
        known = ", ".join(str(name)[:_SHOWN_CHARACTERS] for name in list(holder)[:_SHOWN_FIELDS])
        return f"no field {key!r}; fields: {known}" if known else f"no field {key!r}: the map is empty"

    return say


def _plain(builder: Builder, node: Binary) -> Closure | None:
    """A comparison of two numbers whose types are certain, in Python's own operators."""
    kinds = {builder.kind(node.left), builder.kind(node.right)}
    if not kinds <= {"int", "int64", "float64"} or not (builder.sure(node.left) and builder.sure(node.right)):
        return None
    value = constant(node.right)
    mixed = "float64" in kinds and len(kinds) > 1
    if value is not None:
        if mixed and builder.kind(node.left) != "float64":
            return None
        return _against(builder, node, float(value) if mixed else value)
    return None if mixed else _PLAIN[node.operator](builder.build(node.left), builder.build(node.right))


def _against(builder: Builder, node: Binary, limit: float) -> Closure:
    """A plain comparison with a constant; result[0] < 0.05 and len(result) > 0 are one function each."""
    left, compare = node.left, _OPERATOR[node.operator]
    if isinstance(left, Member) and builder.is_result(left.base, "list"):
        index = constant(left.key)
        if isinstance(index, int):
            return _indexed_against(left, index, compare, limit)
    if isinstance(left, Builtin) and left.name == "len" and builder.is_result(left.arguments[0], "list"):
        return lambda r, f: compare(len(r), limit)
    return _PLAIN_CONSTANT[node.operator](builder.build(left), limit)


def _indexed_against(node: Member, index: int, compare: Callable[[Value, Value], bool], limit: float) -> Closure:
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> bool:
        try:
            return compare(r[index], limit)
        except IndexError:
            raise outside(r, index).placed(at, end) from None

    return run


def _coalesce(builder: Builder, node: Binary) -> Closure:
    left, right = builder.build(node.left), builder.build(node.right)

    def run(r: Value, f: Frame) -> Value:
        value = left(r, f)
        return right(r, f) if value is None else value

    return run


def _in_texts(builder: Builder, node: Binary, texts: frozenset[str]) -> Closure:
    """x in ["a", "b"] is a look-up, which takes no other type than text or nil."""
    left = builder.build(node.left)

    def run(r: Value, f: Frame) -> bool:
        value = left(r, f)
        if value is None:
            return "" in texts
        if type(value) is not str:
            message = f"reflect.Value.MapIndex: value of type {go_type(value)} is not assignable to type string"
            raise ExpressionError("WrongType", message, hint="the list holds texts only")
        return value in texts

    return placed(node, run)


def _texts(node: Node) -> frozenset[str] | None:
    """The items of a list of literal texts."""
    if not isinstance(node, ListOf) or not node.items:
        return None
    values = [item.value for item in node.items if isinstance(item, Literal) and isinstance(item.value, str)]
    return frozenset(values) if len(values) == len(node.items) else None


def _on_texts(builder: Builder, node: Binary) -> Closure:
    left, right = builder.build(node.left), builder.build(node.right)
    rule = {"matches": matches, "contains": operator.contains, "startsWith": str.startswith,
            "endsWith": str.endswith}[node.operator]  # fmt: skip

    def run(r: Value, f: Frame) -> bool:
        a, b = left(r, f), right(r, f)
        if a is None or b is None:
            return False
        charge(f, len(string(a)) >> 6)
        return rule(a, string(b))

    return placed(node, run)
