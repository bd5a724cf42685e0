"""Closures of what reads and calls: members, slices, functions and methods."""

from collections.abc import Callable, Sequence

from .access import cut_out, fetch, outside
from .budget import Frame
from .build_loops import LOOPS
from .builder import Builder, Closure, constant, placed
from .errors import ExpressionError
from .functions import ARGO_FUNCTIONS, BUILTINS
from .kinds import Value
from .times import call_method
from .tree import Builtin, Call, Chain, Literal, Member, Name, Node, Slice

_BROKEN = object()  # travels from a ?. on nil to the end of its chain


def chain(builder: Builder, node: Chain) -> Closure:
    inner = builder.build(node.inner)

    def run(r: Value, f: Frame) -> Value:
        value = inner(r, f)
        return None if value is _BROKEN else value

    return run


def member(builder: Builder, node: Member) -> Closure:
    base, key, optional = builder.build(node.base), builder.build(node.key), node.optional
    index = constant(node.key)
    if isinstance(index, int) and builder.is_result(node.base, "list"):
        return _indexed(node, index)
    text = node.key.value if isinstance(node.key, Literal) and isinstance(node.key.value, str) else None
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> Value:
        value = base(r, f)
        if text is not None and type(value) is dict:
            return value.get(text)
        if value is _BROKEN or (optional and value is None):
            return _BROKEN
        name = key(r, f)
        try:
            return fetch(value, name)
        except ExpressionError as error:
            raise error.placed(at, end) from None

    return run


def _indexed(node: Member, index: int) -> Closure:
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> Value:
        try:
            return r[index]
        except IndexError:
            raise outside(r, index).placed(at, end) from None

    return run


def slice_(builder: Builder, node: Slice) -> Closure:
    base = builder.build(node.base)
    low = builder.build(node.low) if node.low else _nothing
    high = builder.build(node.high) if node.high else _nothing
    return placed(node, lambda r, f: cut_out(base(r, f), low(r, f), high(r, f), f))


def _nothing(r: Value, f: Frame) -> Value:
    return None


def call(builder: Builder, node: Call) -> Closure:
    arguments = [builder.build(argument) for argument in node.arguments]
    if isinstance(node.callee, Member):
        return _method(builder, node, node.callee, arguments)
    assert isinstance(node.callee, Name)
    name = node.callee.name
    if name == "default":
        return _default(*arguments)
    if name == "isNil":
        return _is_nil(*arguments)
    if name in ("isNaN", "isInf") and (value := constant(node.arguments[0])) is not None:
        number = float(value)  # a literal is a float where a float is wanted
        arguments = [lambda r, f: number]
    return _function(node, ARGO_FUNCTIONS[name].run, arguments)


def builtin(builder: Builder, node: Builtin) -> Closure:
    if node.name in LOOPS:
        return placed(node, LOOPS[node.name](builder, node))
    if node.name == "now":
        builder.needs_frame = True
    if node.name == "len" and builder.is_result(node.arguments[0], "list", "string", "map"):
        return lambda r, f: len(r)
    return _function(node, BUILTINS[node.name].run, [builder.build(argument) for argument in node.arguments])


def _function(
    node: Node, run: Callable[[Sequence[Value], Frame | None], Value], arguments: Sequence[Closure]
) -> Closure:
    at, end = node.at, node.end
    if len(arguments) == 1:
        only = arguments[0]

        def run_one(r: Value, f: Frame) -> Value:
            value = only(r, f)
            try:
                return run((value,), f)
            except ExpressionError as error:
                raise error.placed(at, end) from None

        return run_one

    def run_all(r: Value, f: Frame) -> Value:
        values = [argument(r, f) for argument in arguments]
        try:
            return run(values, f)
        except ExpressionError as error:
            raise error.placed(at, end) from None

    return run_all


def _method(builder: Builder, node: Call, callee: Member, arguments: Sequence[Closure]) -> Closure:
    base, optional = builder.build(callee.base), callee.optional
    name = callee.key.value if isinstance(callee.key, Literal) else None

    def run(r: Value, f: Frame) -> Value:
        value = base(r, f)
        if value is _BROKEN or (optional and value is None):
            return _BROKEN
        return call_method(value, str(name), [argument(r, f) for argument in arguments])

    return placed(node, run)


def _default(ignored: Closure, otherwise: Closure) -> Closure:
    """Argo's default(x, d): x is evaluated and ignored; the whole result, or d if that is nil."""

    def run(r: Value, f: Frame) -> Value:
        ignored(r, f)
        value = otherwise(r, f)
        return value if r is None else r

    return run


def _is_nil(ignored: Closure) -> Closure:
    """Argo's isNil(x): x is evaluated and ignored; whether the whole result is nil."""

    def run(r: Value, f: Frame) -> bool:
        ignored(r, f)
        return r is None

    return run
