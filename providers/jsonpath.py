"""Kubernetes' dialect of JSONPath, as `kubectl -o jsonpath` and Argo's web metrics read it.

A template is text with actions in braces: `{$.items[0].name}`, `{.a['b\\.c']}`, `{..price}`, `{.list[1:-1:2]}`,
`{.list[?(@.state=="up")].rate}`, `{['a','b']}`, `{range .list[*]}{.x}{end}`, `{"quoted"}`. What stands outside of
braces is text and a result like any other. Errors are Kubernetes' own sentences.

Where the dialect leaves the order open (wildcards over a map) keys are taken in sorted order. Two differences are on
purpose: Kubernetes refuses to compare `@.x==1` with a decoded number ("incompatible types"), here numbers are numbers;
and it takes an error inside of `[?(@.list[5])]` for existence, here it is none.

Work is bounded: 4096 characters, MAX_STEPS values visited, and no recursion over the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from providers.jsonpath_template import (
    MAX_NESTING,
    Action,
    Field,
    Filter,
    Identifier,
    JsonPathError,
    Literal,
    Node,
    Recursive,
    Slice,
    Text,
    TooMuchWork,
    Union,
    Wildcard,
    read,
)

__all__ = ["JsonPath", "JsonPathError", "TooMuchWork", "parse"]

MAX_STEPS = 250_000

_NO_MORE = object()
_OPERATORS = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed template."""

    parts: tuple[Text | Action, ...]

    @property
    def only_text(self) -> bool:
        """No braces: the result is the template itself, which is hardly what was meant."""
        return all(isinstance(part, Text) for part in self.parts)

    def find(self, data: Any) -> list[list[Any]]:
        """One list of values per part of the template. Raises JsonPathError, TooMuchWork."""
        return _Walk(self.parts).block(data, 0)


def parse(text: str) -> JsonPath:
    """A template. Raises JsonPathError with a column."""
    return JsonPath(read(text))


class _Walk:
    """One evaluation: counts its steps, and finds the end of range blocks."""

    def __init__(self, parts: Sequence[Text | Action]) -> None:
        self._parts = parts
        self._left = MAX_STEPS

    def block(self, data: Any, first: int, depth: int = 0) -> list[list[Any]]:
        """Results of the parts from `first`: to the {end} inside of a range, else to the last."""
        if depth > MAX_NESTING:
            raise JsonPathError(f"ranges nested deeper than {MAX_NESTING}")
        found: list[list[Any]] = []
        at = first
        while at < len(self._parts):
            part = self._parts[at]
            at += 1
            self._spend(1)
            if isinstance(part, Text):
                found.append([part.text])
                continue
            match self._marker(part):
                case "range":
                    values = self._action([data], Action(part.nodes[1:]))
                    for value in values:
                        found.extend(self.block(value, at, depth + 1))
                    at = self._range_end(at)
                case "end" if depth:
                    return found
                case "end":
                    raise JsonPathError("not in range, nothing to end")
                case _:
                    found.append(self._action([data], part))
        return found

    def _marker(self, action: Action) -> str:
        first = action.nodes[0] if action.nodes else None
        return first.name if isinstance(first, Identifier) else ""

    def _range_end(self, first: int) -> int:
        """The part after the {end} that belongs to a {range} just before `first`; without one, the end of all."""
        open_ranges = 1
        for at in range(first, len(self._parts)):
            self._spend(1)
            part = self._parts[at]
            marker = self._marker(part) if isinstance(part, Action) else ""
            open_ranges += (marker == "range") - (marker == "end")
            if not open_ranges:
                return at + 1
        return len(self._parts)

    def _action(self, values: list[Any], action: Action) -> list[Any]:
        for node in action.nodes:
            self._spend(1 + len(values))
            values = self._node(values, node)
        return values

    def _node(self, values: list[Any], node: Node) -> list[Any]:
        match node:
            case Text(text):
                return [text]
            case Literal(value):
                return [value for _ in values]
            case Field(name):
                return self._field(values, name)
            case Wildcard():
                return [child for value in values for child in self._children(value)]
            case Recursive():
                return self._descend(values)
            case Slice():
                return [item for value in values if value is not None for item in self._slice(value, node)]
            case Filter():
                return [item for value in values for item in self._filter(value, node)]
            case Union(actions):
                return [found for action in actions for found in self._action(values, action)]
            case Identifier(name):
                raise JsonPathError(f"unrecognized identifier {name}")

    def _field(self, values: list[Any], name: str) -> list[Any]:
        if not values:
            return []
        found = [value[name] for value in values if isinstance(value, Mapping) and name in value]
        if not found:
            raise JsonPathError(f"{name} is not found")
        return found

    def _children(self, value: Any) -> Sequence[Any]:
        if isinstance(value, Mapping):
            self._spend(len(value))
            return [value[key] for key in sorted(value)]
        if isinstance(value, list):
            self._spend(len(value))
            return value
        if isinstance(value, str):  # Go walks over the bytes
            self._spend(len(value))
            return [float(byte) for byte in value.encode(errors="replace")]
        return ()

    def _descend(self, values: list[Any]) -> list[Any]:
        """Every list, map and text below that is not empty, each before what it holds."""
        found: list[Any] = []
        pending = [iter(values)]
        while pending:
            value = next(pending[-1], _NO_MORE)
            if value is _NO_MORE:
                pending.pop()
            elif isinstance(value, str):
                if value:
                    found.append(value)
            elif children := self._children(value):
                found.append(value)
                pending.append(iter(children))
        return found

    def _slice(self, value: Any, node: Slice) -> list[Any]:
        if not isinstance(value, list):
            raise JsonPathError(f"{_go_type(value)} is not array or slice")
        length = len(value)
        start = node.start + length if node.start < 0 else node.start
        end = length if node.end is None else node.end
        if end < 0 or (end == 0 and node.end_derived):
            end += length
        if start == end:
            return []
        if not 0 <= start < length:
            raise JsonPathError(f"array index out of bounds: index {start}, length {length}")
        if not 0 <= end <= length:
            raise JsonPathError(f"array index out of bounds: index {end - 1}, length {length}")
        if start > end:
            raise JsonPathError(f"starting index {start} is greater than ending index {end}")
        if node.step is not None and node.step <= 0:
            raise JsonPathError("step must be > 0")
        self._spend(end - start)
        return value[start : end : node.step or 1]

    def _filter(self, value: Any, node: Filter) -> Iterator[Any]:
        if not isinstance(value, list):
            raise JsonPathError(f"{_go_type(value)} is not array or slice and cannot be filtered")
        for item in value:
            if node.operator == "exists":
                if self._exists(item, node.left):
                    yield item
                continue
            left = self._action([item], node.left)
            right = self._action([item], node.right) if len(left) == 1 else [None]
            if len(left) > 1 or len(right) > 1:
                raise JsonPathError("can only compare one element at a time")
            if left and right and _compare(left[0], node.operator, right[0]):
                yield item

    def _exists(self, item: Any, path: Action) -> bool:
        try:
            return bool(self._action([item], path))
        except TooMuchWork:
            raise
        except JsonPathError:
            return False

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooMuchWork(f"TooMuchWork: more than {MAX_STEPS} values visited; write a narrower path")


def _compare(left: Any, operator: str, right: Any) -> bool:
    if operator not in _OPERATORS:
        raise JsonPathError(f"unrecognized filter operator {operator}")
    kinds = _kind(left), _kind(right)
    if "" in kinds:
        raise JsonPathError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise JsonPathError("incompatible types for comparison")
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
    if kinds[0] == "bool":
        raise JsonPathError("invalid type for comparison")
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float | int):
        return "number"
    return "text" if isinstance(value, str) else ""


def _go_type(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, Mapping):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return {"bool": "bool", "number": "float64", "text": "string"}[_kind(value)]
