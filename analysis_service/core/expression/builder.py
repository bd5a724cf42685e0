"""What the closures of a tree are made with: their types, the places of variables, and what is certain at run time.

Types are checked before (check.py). Where the type of a part is certain at run time too, plain Python operators are
used; elsewhere the operators of compare.py and arithmetic.py look at the values. The difference matters: a static
type can be wrong about nil, as `first([])` is.
"""

from collections.abc import Callable, Mapping

from .budget import Frame
from .demand import not_a_boolean
from .errors import ExpressionError
from .functions import ARGO_FUNCTIONS
from .kinds import Type, Value
from .tree import Binary, Builtin, Call, Literal, Member, Name, Node, Pointer, Unary

Closure = Callable[[Value, Frame], Value]
"""What a node became: a function of `result` and the frame (absent where no part of the condition needs one)."""

Rules = Mapping[type, Callable[..., Closure]]
"""By the type of a node: what makes its closure, given the builder and the node."""


_SURE_BUILTINS = frozenset(
    {"len", "ceil", "floor", "round", "int", "float", "all", "none", "any", "one", "count", "hasPrefix", "hasSuffix"}
)
_SURE_OPERATORS = frozenset(
    {"<", ">", "<=", ">=", "==", "!=", "/", "**", "^", "%", "in", "matches", "contains", "startsWith", "endsWith"}
)


class Builder:
    """Builds the closures of one tree for one type of `result`. Made by `builder_for` of build.py."""

    def __init__(self, types: Mapping[int, Type], rules: Rules) -> None:
        self.slots = 0
        self.needs_frame = False
        self._types = types
        self._rules = rules
        self._variables: dict[str, int] = {}
        self._items: list[tuple[int, bool]] = []  # slot of # (then #index, #acc), and whether its type is sure

    def build(self, node: Node) -> Closure:
        return self._rules[type(node)](self, node)

    def slot(self, count: int = 1) -> int:
        self.needs_frame = True
        self.slots += count
        return self.slots - count

    def kind(self, node: Node) -> str:
        return self._types[id(node)].kind

    def sure(self, node: Node) -> bool:
        """Is the static type of `node` what its value will have?"""
        match node:
            case Literal():
                return True
            case Name():
                return node.name == "result"
            case Member():
                return self.surely_floats(node.base)
            case Pointer():
                return node.name == "" and self._items[-1][1]
            case Unary():
                return node.operator in ("!", "not") or self.sure(node.operand)
            case Binary():
                return node.operator in _SURE_OPERATORS
            case Builtin():
                return node.name in _SURE_BUILTINS
            case Call():
                return isinstance(node.callee, Name) and (
                    node.callee.name == "isNil" or node.callee.name in ARGO_FUNCTIONS
                )
            case _:
                return False

    def surely_floats(self, node: Node) -> bool:
        """Is `node` the result, and a list of nothing but floats?"""
        return self.is_result(node, "list") and self._types[id(node)].name == "[]float64"

    def is_result(self, node: Node, *kinds: str) -> bool:
        return isinstance(node, Name) and node.name == "result" and self.kind(node) in kinds

    def boolean(self, node: Node) -> Closure:
        """A part whose value must be true or false."""
        inner = self.build(node)
        if self.kind(node) == "bool" and self.sure(node):
            return inner
        at, end = node.at, node.end

        def run(r: Value, f: Frame) -> bool:
            value = inner(r, f)
            if value is True or value is False:
                return bool(value)
            raise not_a_boolean(value).placed(at, end)

        return run

    def variable(self, name: str) -> int | None:
        """The slot of a variable; None: `name` is no variable."""
        return self._variables.get(name)

    def bind(self, name: str, slot: int) -> None:
        """Make a variable known, which its binder fills (see also explain.py)."""
        self._variables[name] = slot

    def unbind(self, name: str) -> None:
        del self._variables[name]

    def element(self) -> int:
        """The slot of `#`; those of `#index` and `#acc` follow it."""
        return self._items[-1][0]

    def enter(self, slot: int, *, sure: bool = False) -> None:
        """Make `#` known, which who goes over the list fills; sure: its static type is that of every element."""
        self._items.append((slot, sure))

    def leave(self) -> None:
        self._items.pop()


def constant(node: Node) -> int | float | None:
    """The number that a literal, or its negative, stands for."""
    if isinstance(node, Literal) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, Unary) and node.operator in ("-", "+") and isinstance(node.operand, Literal):
        value = constant(node.operand)
        return value if value is None or node.operator == "+" else -value
    return None


def placed(node: Node, run: Closure) -> Closure:
    """`run`, whose errors without a place are errors of `node`."""
    at, end = node.at, node.end

    def guarded(r: Value, f: Frame) -> Value:
        try:
            return run(r, f)
        except ExpressionError as error:
            raise error.placed(at, end) from None

    return guarded
