"""A document as a tree that remembers where everything stood, so that a late error can still name its line."""

import re
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"\['(?P<quoted>[^']*)'\]|\[(?P<index>\d+)\]|\.?(?P<key>[^.\[]+)")


@dataclass(frozen=True, slots=True)
class Position:
    line: int  # 1-based; 0: not from a text
    column: int


NOWHERE = Position(0, 0)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """`value` is what the text means. `doubt` says how YAML 1.1 (which Argo's reader follows) and 1.2 differ on it:
    "" (they agree), "bool" (`no`), "int" (`010`), "time" (`1:30`), "letter" (`y`); `value` is Argo's reading."""

    value: str | int | float | bool | None
    text: str
    at: Position
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple["Node", ...]
    at: Position


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    at: Position
    node: "Node"


@dataclass(frozen=True, slots=True)
class MapNode:
    entries: tuple[Entry, ...]
    at: Position

    def get(self, key: str) -> "Node | None":
        return next((entry.node for entry in self.entries if entry.key == key), None)


@dataclass(frozen=True, slots=True)
class BrokenNode:
    """Stands where a problem was already reported, so that nobody reports a second one about the same place."""

    at: Position


Node = ScalarNode | ListNode | MapNode | BrokenNode


def plain(node: Node) -> Any:
    """The tree as plain values: dict, list, str, int, float, bool, None."""
    if isinstance(node, MapNode):
        return {entry.key: plain(entry.node) for entry in node.entries}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, ScalarNode) else None


def from_plain(value: Any) -> Node:
    """A tree without positions, of values that did not come from a text.

    Raises TypeError for values that no document can hold.
    """
    if isinstance(value, dict):
        return MapNode(tuple(Entry(str(key), NOWHERE, from_plain(item)) for key, item in value.items()), NOWHERE)
    if isinstance(value, list | tuple):
        return ListNode(tuple(from_plain(item) for item in value), NOWHERE)
    if value is None or isinstance(value, str | int | float | bool):
        return ScalarNode(value, str(value), NOWHERE)
    raise TypeError(f"a document cannot hold a {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document came from; turns a path back into a place."""

    root: Node
    text: str = ""

    def locate(self, path: str) -> Position:
        """The place of a path; of its nearest parent if the path is not in the document."""
        return self._walk(path)[1]

    def holds(self, path: str) -> bool:
        return self._walk(path)[2] == path

    def span(self, path: str) -> tuple[Position, int]:
        """What to underline for a path, and how much of it: the value if it is a text on one line, else the key."""
        node, at, walked = self._walk(path)
        if walked == path and isinstance(node, ScalarNode) and node.text and at != NOWHERE:
            first = node.text.strip().split("\n", 1)[0]
            return self.inside(path, 0) if isinstance(node.value, str) else node.at, max(1, len(first))
        key = _last_key(walked)
        return at, max(1, len(key))

    def inside(self, path: str, offset: int) -> Position:
        """The place of a character of a text value, as well as the text's own style allows."""
        node, at, walked = self._walk(path)
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or walked != path or not self.text:
            return at
        offset = min(offset, len(node.value.rstrip("\n")))  # the end of a block is the end of its last line
        before = node.value[:offset]
        number, within = before.count("\n"), offset - (before.rfind("\n") + 1)
        wanted = node.value.split("\n")[number]
        lines = self.text.split("\n")
        for line, start in ((node.at.line, node.at.column - 1), (node.at.line + 1 + number, 0)):
            if 0 < line <= len(lines) and wanted and (found := lines[line - 1].find(wanted, start)) >= 0:
                return Position(line, found + within + 1)
        return node.at

    def _walk(self, path: str) -> tuple[Node, Position, str]:
        """The node furthest along the path, the place of its key, and the part of the path that leads there."""
        node, at, walked = self.root, self.root.at, ""
        for step in _STEP.finditer(path):
            if isinstance(node, MapNode) and not step["index"]:
                key = step["quoted"] if step["quoted"] is not None else step["key"]
                entry = next((entry for entry in node.entries if entry.key == key), None)
                if entry is None:
                    break
                node, at = entry.node, entry.at
            elif isinstance(node, ListNode) and step["index"] and int(step["index"]) < len(node.items):
                node = node.items[int(step["index"])]
                at = node.at
            else:
                break
            walked = path[: step.end()]
        return node, at, walked


def _last_key(path: str) -> str:
    """The key a path ends in; "" if it ends in a list item."""
    steps = list(_STEP.finditer(path))
    return (steps[-1]["quoted"] or steps[-1]["key"] or "") if steps else ""
