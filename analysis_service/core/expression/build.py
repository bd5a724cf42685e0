"""Tree to closures: what runs is Python functions calling one another; there is no eval and no code generation.

Here stand the leaves, what holds parts together, and the table of all rules.
"""

from collections.abc import Mapping

from . import build_access, build_operators
from .budget import Frame, charge, list_of_values
from .builder import Builder, Closure, Rules, placed
from .demand import string
from .kinds import Type, Value
from .tree import (
    Binary,
    Block,
    Builtin,
    Call,
    Chain,
    Choice,
    Let,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Member,
    Name,
    Pointer,
    Predicate,
    Slice,
    Unary,
)  # fmt: skip


def builder_for(types: Mapping[int, Type]) -> Builder:
    """What builds the closures of a tree whose nodes have these types (by the id of the node)."""
    return Builder(types, _RULES)


def _literal(builder: Builder, node: Literal) -> Closure:
    value = node.value
    return lambda r, f: value


def _name(builder: Builder, node: Name) -> Closure:
    slot = builder.variable(node.name)
    return (lambda r, f: r) if slot is None else (lambda r, f: f.slots[slot])


def _pointer(builder: Builder, node: Pointer) -> Closure:
    slot = builder.element() + {"": 0, "index": 1, "acc": 2}[node.name]
    return lambda r, f: f.slots[slot]


def _predicate(builder: Builder, node: Predicate) -> Closure:
    return builder.build(node.body)


def _let(builder: Builder, node: Let) -> Closure:
    value, slot = builder.build(node.value), builder.slot()
    builder.bind(node.name, slot)
    body = builder.build(node.body)
    builder.unbind(node.name)

    def run(r: Value, f: Frame) -> Value:
        f.slots[slot] = value(r, f)
        return body(r, f)

    return run


def _sequence(builder: Builder, node: Block) -> Closure:
    parts = [builder.build(part) for part in node.nodes]

    def run(r: Value, f: Frame) -> Value:
        value: Value = None
        for part in parts:
            value = part(r, f)
        return value

    return run


def _choice(builder: Builder, node: Choice) -> Closure:
    condition = builder.boolean(node.condition)
    then, otherwise = builder.build(node.then), builder.build(node.otherwise)
    return lambda r, f: then(r, f) if condition(r, f) else otherwise(r, f)


def _items(builder: Builder, node: ListOf) -> Closure:
    if all(isinstance(item, Literal) for item in node.items):
        fixed = [item.value for item in node.items if isinstance(item, Literal)]
        return lambda r, f: fixed
    parts = [builder.build(item) for item in node.items]
    return placed(node, lambda r, f: list_of_values([part(r, f) for part in parts], f))


def _pairs(builder: Builder, node: MapOf) -> Closure:
    parts = [(builder.build(key), builder.build(value)) for key, value in node.pairs]

    def run(r: Value, f: Frame) -> Value:
        charge(f, len(parts))
        return {string(key(r, f)): value(r, f) for key, value in parts}

    return placed(node, run)


_RULES: Rules = {
    Literal: _literal,
    Name: _name,
    Pointer: _pointer,
    Unary: build_operators.unary,
    Logic: build_operators.logic,
    Binary: build_operators.binary,
    Chain: build_access.chain,
    Member: build_access.member,
    Slice: build_access.slice_,
    Call: build_access.call,
    Builtin: build_access.builtin,
    Predicate: _predicate,
    Let: _let,
    Block: _sequence,
    Choice: _choice,
    ListOf: _items,
    MapOf: _pairs,
}
