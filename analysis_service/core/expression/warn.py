"""What is legal and yet probably not what was meant."""

from collections.abc import Iterator, Mapping
from typing import Literal as Words

import msgspec

from .kinds import Type
from .tree import Binary, Builtin, Call, Literal, Name, Node, children

RemarkCode = Words["ConstantCondition", "TextComparison", "IgnoredArgument", "EmptyPasses"]


class Remark(msgspec.Struct, frozen=True):
    """A remark on a condition; `column` is 1-based."""

    code: RemarkCode
    message: str
    column: int


def warnings_of(tree: Node, types: Mapping[int, Type]) -> tuple[Remark, ...]:
    """All remarks on a condition whose types are known as `types`."""
    nodes = list(_walk(tree))
    found = [remark for node in nodes for remark in _remarks(node, types)]
    if not any(_varies(node) for node in nodes):
        found.insert(0, Remark("ConstantCondition", "the condition does not look at result", tree.at + 1))
    if not any(isinstance(n, Builtin) and n.name == "len" for n in nodes):
        for node in nodes:
            if isinstance(node, Builtin) and node.name in ("all", "none") and _is_result(node.arguments[0]):
                message = f"{node.name}(result, ...) is true when the query returns no series; add len(result) > 0"
                found.append(Remark("EmptyPasses", message, node.at + 1))
    return tuple(found)


def _walk(tree: Node) -> Iterator[Node]:
    todo, seen = [tree], set()
    while todo:
        node = todo.pop()
        if id(node) not in seen:  # a < b < c holds b twice
            seen.add(id(node))
            yield node
            todo.extend(reversed(children(node)))


def _varies(node: Node) -> bool:
    return (isinstance(node, Name) and node.name in ("result", "default", "isNil")) or (
        isinstance(node, Builtin) and node.name == "now"
    )


def _is_result(node: Node) -> bool:
    return isinstance(node, Name) and node.name == "result"


def _remarks(node: Node, types: Mapping[int, Type]) -> Iterator[Remark]:
    if isinstance(node, Binary) and node.operator in ("<", ">", "<=", ">=") and _on_texts(node, types):
        message = f"comparing text, not numbers: {node.operator} goes by characters"
        yield Remark("TextComparison", message, node.at + 1)
    if isinstance(node, Call) and isinstance(node.callee, Name) and node.callee.name in ("default", "isNil"):
        what = f"{node.callee.name}() looks at the whole result and ignores its first argument (as in Argo)"
        if node.arguments and not _is_result(node.arguments[0]):
            yield Remark("IgnoredArgument", f"{what}; use ?? or == nil", node.at + 1)


def _on_texts(node: Binary, types: Mapping[int, Type]) -> bool:
    """Two texts, or anything against a number in quotes: such a comparison only fits texts."""
    sides = (node.left, node.right)
    quoted = any(isinstance(s, Literal) and isinstance(s.value, str) and _is_number(s.value) for s in sides)
    return quoted or all(types[id(side)].kind == "string" for side in sides)


def _is_number(text: str) -> bool:
    digits = text.replace(".", "", 1)
    return digits.isascii() and digits.isdigit()
