"""Which part of a condition decided: each part's text, its value, and the numbers that were compared."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from .admit import admit
from .budget import Frame
from .build import builder_for
from .condition import Condition
from .demand import is_list
from .errors import ExpressionError
from .kinds import ANY, Value, type_of
from .texts import format_float, go_text
from .tree import Binary, Builtin, Let, Logic, Node, Predicate, Unary

_SHOWN_CHARACTERS = 60
_SHOWN_ITEMS = 4
NAN_NOTE = " (NaN compares as false with everything)"
_COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!=", "in", "contains", "startsWith", "endsWith", "matches"})


class Part(msgspec.Struct, frozen=True):
    """text: the source of the part. value: what it gave, None if it failed. detail: the same in numbers."""

    text: str
    value: object
    detail: str


def explain(condition: Condition, result: Value, *, now: datetime | None = None) -> tuple[Part, ...]:
    """The parts joined by && and ||, in order, as far as they were evaluated. Never raises."""
    try:
        admit(result)
        explainer = _Explainer(condition, result, now)
        return tuple(explainer.parts(condition.tree))
    except ExpressionError as error:
        return (Part(condition.source, None, error.hint or error.message),)
    except RecursionError:
        return (Part(condition.source, None, "nested too deeply to explain"),)


def show(value: Value) -> str:
    """A value in a sentence: numbers in full, lists and texts cut."""
    if type(value) is float:
        return format_float(value, high=21)
    if type(value) is str:
        return f'"{value}"' if len(value) <= _SHOWN_CHARACTERS else f'"{value[:_SHOWN_CHARACTERS]}..."'
    if value is None:
        return "nil"
    if is_list(value):
        shown = ", ".join(show(item) for item in value[:_SHOWN_ITEMS])
        return f"[{shown}]" if len(value) <= _SHOWN_ITEMS else f"[{shown}, ... {len(value)} items]"
    if isinstance(value, dict):
        return f"a map of {', '.join(str(k)[:20] for k in list(value)[:8])}" if value else "an empty map"
    return go_text(value)


class _Explainer:
    def __init__(self, condition: Condition, result: Value, now: datetime | None) -> None:
        self._source = condition.source
        self._result = result
        kind = type(result)
        known = condition.explainers.get(kind)
        if known is None or known[0].slots:  # variables and # have places of their own: built anew each time
            known = condition.explainers[kind] = (builder_for(condition.types(type_of(kind) or ANY)), {})
        self._builder, self._built = known
        self._frame = Frame(now, self._builder.slots)

    def _value(self, node: Node) -> Value:
        run = self._built.get(id(node))
        if run is None:
            slots = self._builder.slots
            run = self._builder.build(node)
            if slots == self._builder.slots == 0:  # a part that binds nothing means the same every time
                self._built[id(node)] = run
        self._frame.slots.extend([None] * (self._builder.slots - len(self._frame.slots)))
        return run(self._result, self._frame)

    def parts(self, node: Node) -> Iterator[Part]:
        if isinstance(node, Logic):
            for part in node.parts:
                found = list(self.parts(part))
                yield from found
                if self._truth(part) is (node.operator == "||"):
                    return  # the rest was not looked at
        elif isinstance(node, Let):
            slot = self._builder.slot()
            value = self._value(node.value)
            self._frame.slots[slot] = value
            self._builder.bind(node.name, slot)
            yield from self.parts(node.body)
        else:
            yield self._part(node)

    def _truth(self, node: Node) -> object:
        try:
            return self._value(node)
        except ExpressionError:
            return None

    def _part(self, node: Node) -> Part:
        text = self._source[node.at : node.end]
        try:
            value = self._value(node)
            return Part(text, value, self._detail(node, value))
        except ExpressionError as error:
            return Part(text, None, error.hint or error.message)

    def _detail(self, node: Node, value: Value) -> str:
        outcome = f"is {show(value)}"
        if isinstance(node, Binary) and node.operator in _COMPARISONS:
            left, right = self._value(node.left), self._value(node.right)
            note = NAN_NOTE if left != left or right != right else ""
            return f"{show(left)} {node.operator} {show(right)} {outcome}{note}"
        if isinstance(node, Unary) and node.operator in ("!", "not"):
            return f"not ({self._detail(node.operand, not value)})"
        if isinstance(node, Builtin) and node.name in ("all", "any", "none"):
            return self._of_items(node, outcome)
        if isinstance(node, Builtin) or not isinstance(node, Binary):
            return f"{self._source[node.at : node.end]} {outcome}"
        return outcome

    def _of_items(self, node: Builtin, outcome: str) -> str:
        """Names the first item that settled all, any or none."""
        predicate, items = node.arguments[1], self._value(node.arguments[0])
        assert isinstance(predicate, Predicate)
        slot = self._builder.slot(3)
        self._builder.enter(slot)
        run = self._builder.build(predicate.body)
        self._frame.slots.extend([None] * (self._builder.slots - len(self._frame.slots)))
        settles = node.name != "all"
        try:
            for i, item in enumerate(items):
                self._frame.slots[slot] = item
                self._frame.slots[slot + 1] = i
                if run(self._result, self._frame) is settles:
                    return f"item {i}: {self._detail(predicate.body, settles)}"
        finally:
            self._builder.leave()
        word = "every one of" if node.name == "all" else "not one of"
        return f"{word} {len(items)} items; {outcome}"
