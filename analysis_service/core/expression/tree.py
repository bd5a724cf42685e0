"""The parsed condition. Every node knows where its text stands: `source[at:end]`."""

import msgspec


class Node(msgspec.Struct, frozen=True, eq=False, gc=False):
    at: int
    end: int


class Literal(Node, frozen=True, eq=False, gc=False):
    value: bool | int | float | str | None


class Name(Node, frozen=True, eq=False, gc=False):
    name: str


class Unary(Node, frozen=True, eq=False):
    operator: str  # "!", "not", "-", "+"
    operand: Node


class Binary(Node, frozen=True, eq=False):
    operator: str
    left: Node
    right: Node


class Logic(Node, frozen=True, eq=False):
    """a && b && c, flattened so that long conditions do not become deep ones."""

    operator: str  # "&&", "||"
    written: str  # "&&", "and", "||", "or"
    parts: tuple[Node, ...]


class Member(Node, frozen=True, eq=False):
    """base.name or base[key]; `key` is a Literal text for the first form."""

    base: Node
    key: Node
    optional: bool


class Chain(Node, frozen=True, eq=False):
    """Where the nil of a ?. inside `inner` comes to rest."""

    inner: Node


class Slice(Node, frozen=True, eq=False):
    base: Node
    low: Node | None
    high: Node | None


class Call(Node, frozen=True, eq=False):
    """Anything that is not a builtin of the language: asInt(result), result.method()."""

    callee: Node
    arguments: tuple[Node, ...]


class Builtin(Node, frozen=True, eq=False):
    name: str
    arguments: tuple[Node, ...]


class Predicate(Node, frozen=True, eq=False):
    body: Node


class Pointer(Node, frozen=True, eq=False, gc=False):
    """`#` (name ""), `#index`, `#acc`."""

    name: str


class Let(Node, frozen=True, eq=False):
    name: str
    value: Node
    body: Node


class Block(Node, frozen=True, eq=False):
    nodes: tuple[Node, ...]


class Choice(Node, frozen=True, eq=False):
    condition: Node
    then: Node
    otherwise: Node


class ListOf(Node, frozen=True, eq=False):
    items: tuple[Node, ...]


class MapOf(Node, frozen=True, eq=False):
    pairs: tuple[tuple[Node, Node], ...]


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly under `node`, in the order of the text."""
    match node:
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Logic():
            return node.parts
        case Member():
            return (node.base, node.key)
        case Chain():
            return (node.inner,)
        case Slice():
            return tuple(n for n in (node.base, node.low, node.high) if n is not None)
        case Call():
            return (node.callee, *node.arguments)
        case Builtin():
            return node.arguments
        case Predicate():
            return (node.body,)
        case Let():
            return (node.value, node.body)
        case Block():
            return node.nodes
        case Choice():
            return (node.condition, node.then, node.otherwise)
        case ListOf():
            return node.items
        case MapOf():
            return tuple(part for pair in node.pairs for part in pair)
        case _:
            return ()


def size(node: Node) -> int:
    """How many nodes a tree has."""
    total, todo = 0, [node]
    while todo:
        total += 1
        todo.extend(children(todo.pop()))
    return total
