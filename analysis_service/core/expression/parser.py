"""Tokens to tree, by operator precedence (Pratt). Grammar and binding powers are expr-lang 1.17's."""

from .cursor import Cursor
from .errors import ExpressionError
from .growth import Growth
from .limits import SOURCE_BYTES
from .operands import Operands
from .tokens import BRACKET, END, IDENTIFIER, OPERATOR, Token
from .tree import (
    Binary,
    Block,
    Choice,
    Let,
    Logic,
    Node,
    Unary,
)  # fmt: skip

_BINARY = {
    "|": 0,
    "or": 10, "||": 10,
    "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25,
    "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60,
    "**": 100, "^": 100,
    "??": 500,
}  # fmt: skip
_RIGHT = frozenset({"**", "^"})
_COMPARISON = frozenset({"<", ">", ">=", "<="})
_NEGATABLE = frozenset({"contains", "matches", "startsWith", "endsWith", "in"})
_LOGIC = {"or": "||", "||": "||", "and": "&&", "&&": "&&"}


def parse(source: str) -> Node:
    """The tree of a condition.

    Raises ExpressionError: TooLong before anything is read, then Syntax, TooDeep or TooMuchWork with a place.
    """
    if len(source) > SOURCE_BYTES or len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES:
        message = f"the expression is longer than {SOURCE_BYTES} bytes"
        raise ExpressionError("TooLong", message, hint="split it: several metrics, or a simpler query")
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = Cursor(source)
        self._tree = Growth()
        self._operands = Operands(self._tokens, self._tree, self._sequence, self._expression)

    def whole(self) -> Node:
        node = self._sequence()
        if self._tokens.current.kind != END:
            self._tokens.unexpected()
        return node

    def _sequence(self) -> Node:
        start = self._tokens.current.at
        nodes = [self._expression(0)]
        while self._tokens.at(OPERATOR, ";"):
            self._tokens.next()
            if self._tokens.current.kind == END:
                break
            nodes.append(self._expression(0))
        return nodes[0] if len(nodes) == 1 else self._tree.made(Block(start, self._tokens.end, tuple(nodes)))

    def _expression(self, power: int) -> Node:
        if power == 0 and self._tokens.at(OPERATOR, "let"):
            return self._let()
        if power == 0 and self._tokens.at(OPERATOR, "if"):
            return self._tokens.nested(self._tokens.current, self._if)
        start = self._tokens.current.at
        left = self._operands.read()
        previous = ""
        while self._tokens.current.kind == OPERATOR:
            operator, negated = self._tokens.current, False
            if operator.value == "not":
                following = self._tokens.peek()
                if following.kind != OPERATOR or following.value not in _NEGATABLE:
                    self._tokens.next()
                    self._tokens.unexpected()
                if _BINARY[following.value] < power:
                    break
                self._tokens.next()
                operator, negated = following, True
            binding = _BINARY.get(operator.value)
            if binding is None or binding < power:
                break
            self._tokens.next()
            if operator.value == "|":
                left = self._operands.call(self._tokens.expect(IDENTIFIER), start, (left,))
            elif previous == "??" and operator.value != "??":
                self._tokens.fail(
                    f"Operator ({operator.value}) and coalesce expressions (??) cannot be mixed. "
                    "Wrap either by parentheses.",
                    operator,
                )
            elif operator.value in _COMPARISON:
                left = self._comparison(start, left, operator, binding)
            else:
                left = self._binary(start, left, operator.value, binding)
                if negated:
                    left = self._tree.made(Unary(start, self._tokens.end, "not", left))
            previous = operator.value
        return self._conditional(start, left) if power == 0 else left

    def _binary(self, start: int, left: Node, operator: str, binding: int) -> Node:
        if operator in _RIGHT:
            right = self._tokens.nested(self._tokens.current, lambda: self._expression(binding))
        else:
            right = self._expression(binding + 1)
        return self._joined(start, left, operator, right)

    def _joined(self, start: int, left: Node, operator: str, right: Node) -> Node:
        sign = _LOGIC.get(operator)
        if sign is None:
            return self._tree.made(Binary(start, self._tokens.end, operator, left, right))
        parts = left.parts if isinstance(left, Logic) and left.operator == sign else (left,)
        return self._tree.made(Logic(start, self._tokens.end, sign, operator, (*parts, right)))

    def _comparison(self, start: int, left: Node, operator: Token, binding: int) -> Node:
        """a < b < c means a < b && b < c."""
        whole: Node | None = None
        while True:
            at = self._tokens.current.at
            right = self._expression(binding + 1)
            test = self._tree.made(Binary(start, self._tokens.end, operator.value, left, right))
            whole = test if whole is None else self._joined(whole.at, whole, "&&", test)
            if self._tokens.current.kind != OPERATOR or self._tokens.current.value not in _COMPARISON:
                return whole
            left, start, operator = right, at, self._tokens.next()

    def _conditional(self, start: int, node: Node) -> Node:
        while self._tokens.at(OPERATOR, "?"):
            token = self._tokens.next()
            if self._tokens.at(OPERATOR, ":"):
                then = node
            else:
                then = self._tokens.nested(token, lambda: self._expression(0))
            self._tokens.expect(OPERATOR, ":")
            otherwise = self._tokens.nested(token, lambda: self._expression(0))
            node = self._tree.made(Choice(start, self._tokens.end, node, then, otherwise))
        return node

    def _let(self) -> Node:
        bindings: list[tuple[Token, Node]] = []
        while self._tokens.at(OPERATOR, "let"):
            self._tokens.next()
            name = self._tokens.expect(IDENTIFIER)
            self._tokens.expect(OPERATOR, "=")
            value = self._tokens.nested(name, lambda: self._expression(0))
            bindings.append((name, value))
            self._tokens.expect(OPERATOR, ";")
        node = self._tokens.nested(name, self._sequence)
        for name, value in reversed(bindings):
            node = self._tree.made(Let(name.at, self._tokens.end, name.value, value, node))
        return node

    def _if(self) -> Node:
        start = self._tokens.next().at
        condition = self._expression(0)
        then = self._braced()
        self._tokens.expect(OPERATOR, "else")
        otherwise = (
            self._tokens.nested(self._tokens.current, self._if) if self._tokens.at(OPERATOR, "if") else self._braced()
        )
        return self._tree.made(Choice(start, self._tokens.end, condition, then, otherwise))

    def _braced(self) -> Node:
        self._tokens.expect(BRACKET, "{")
        node = self._sequence()
        self._tokens.expect(BRACKET, "}")
        return node
