"""Types and names, checked against the type that `result` has, before anything runs (expr-lang's checker)."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from .errors import Code, ExpressionError
from .functions import ARGO_FUNCTIONS, BUILTINS, PREDICATES, SPECIAL
from .kinds import (
    ANYS,
    BOOL,
    DURATION,
    FLOAT,
    GROUPS,
    INT,
    MAP,
    NIL,
    TEXT,
    TIME,
    UNKNOWN,
    Type,
    assignable,
    comparable,
    list_of,
    type_word,
)  # fmt: skip
from .operator_types import booleans, type_of_binary
from .regex import pattern
from .times import DURATION_METHODS, TIME_METHODS
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
    Node,
    Pointer,
    Predicate,
    Slice,
    Unary,
)  # fmt: skip

_LITERALS: Mapping[type, Type] = {type(None): NIL, bool: BOOL, int: INT, float: FLOAT, str: TEXT}
_UNDERSCORE = "names starting with _ are not allowed"
_BOOLEAN = frozenset({"all", "none", "any", "one"})
_FINDING = frozenset({"find", "findLast", "findIndex", "findLastIndex"})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # only when there is something to report

    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


class Types:
    """The type of every node of one tree, for one type of `result`. Raises the first error, in reading order."""

    def __init__(self, values: Mapping[str, Type], functions: Sequence[str]) -> None:
        self.of: dict[int, Type] = {}
        self._values = values
        self._functions = functions
        self._variables: list[tuple[str, Type]] = []
        self._collections: list[tuple[Type, Mapping[str, Type]]] = []

    def visit(self, node: Node) -> Type:
        found = _RULES[type(node)](self, node)
        self.of[id(node)] = found
        return found

    def error(self, node: Node, message: str, hint: str = "", code: Code = "WrongType") -> ExpressionError:
        return ExpressionError(code, message, hint=hint, at=node.at, end=node.end)

    def mismatch(self, node: Binary | Logic, operator: str, left: Type, right: Type) -> ExpressionError:
        hint = f"cannot use {operator} between {type_word(left)} and {type_word(right)}"
        if operator in ("<", ">", "<=", ">=", "==", "!="):
            hint = f"cannot compare {_bare(left)} with {_bare(right)}"
        if "list" in (left.kind, right.kind):
            hint += "; use result[0], or all(result, # ...)"
        elif "string" in (left.kind, right.kind):
            hint += "; asFloat(x) reads a number from a text"
        return self.error(node, f"invalid operation: {operator} (mismatched types {left.name} and {right.name})", hint)

    # -- leaves -----------------------------------------------------------------------------------------------

    def literal(self, node: Literal) -> Type:
        return _LITERALS[type(node.value)]

    def name(self, node: Name) -> Type:
        for name, known in reversed(self._variables):
            if name == node.name:
                return known
        if node.name in self._functions or node.name in BUILTINS or node.name in PREDICATES:
            raise self.error(node, f"{node.name} is a function", f"call it: {node.name}(...)")
        if node.name in self._values:
            return self._values[node.name]
        raise self._unknown(node)

    def _unknown(self, node: Name) -> ExpressionError:
        if node.name.startswith("_"):
            return self.error(node, f"unknown name {node.name}", _UNDERSCORE, "NotAllowed")
        mine = [*self._values, *(name for name, _ in self._variables), *self._functions]
        guess = did_you_mean(node.name, mine)
        use = f"{'You' if guess else 'you'} can use: {', '.join([*mine, 'len'])}" if mine else ""
        hint = " ".join(part for part in (guess, use) if part)
        return self.error(node, f"unknown name {node.name}", hint, "UnknownName")

    def pointer(self, node: Pointer) -> Type:
        if not self._collections:
            raise self.error(node, "cannot use pointer accessor outside predicate")
        collection, extra = self._collections[-1]
        if node.name == "":
            return UNKNOWN if collection.unknown else collection.items
        if node.name not in extra:
            raise self.error(node, f"unknown pointer #{node.name}", "#index is known in map and reduce, #acc in reduce")
        return extra[node.name]

    # -- operators --------------------------------------------------------------------------------------------

    def unary(self, node: Unary) -> Type:
        t = self.visit(node.operand)
        if node.operator in ("!", "not"):
            if t.kind == "bool" or t.unknown:
                return BOOL
        elif t.number or t.unknown:
            return t if t.number else UNKNOWN
        raise self.error(node, f"invalid operation: {node.operator} (mismatched type {t.name})")

    def logic(self, node: Logic) -> Type:
        left = self.visit(node.parts[0])
        for part in node.parts[1:]:
            right = self.visit(part)
            if not booleans(left, right):
                raise self.mismatch(node, node.written, left, right)
            left = BOOL
        return BOOL

    def binary(self, node: Binary) -> Type:
        left, right = self.visit(node.left), self.visit(node.right)
        if node.operator == "in":
            return self._in(node, left, right)
        found = type_of_binary(node.operator, left, right)
        if found is None:
            raise self.mismatch(node, node.operator, left, right)
        if node.operator == "matches" and isinstance(node.right, Literal) and isinstance(node.right.value, str):
            self._pattern(node.right, node.right.value)
        return found

    def _pattern(self, node: Node, text: str) -> None:
        try:
            pattern(text)
        except ExpressionError as error:
            raise error.placed(node.at, node.end) from None

    def _in(self, node: Binary, left: Type, right: Type) -> Type:
        if right.kind == "map":
            if right == MAP and not left.unknown and left.kind not in ("string", "nil"):
                raise self.error(node, f"cannot use {left.name} as type string in map key")
            return BOOL
        if right.kind == "list":
            if not comparable(left, right.items):
                raise self.error(node, f"cannot use {left.name} as type {right.items.name} in array")
            return BOOL
        if right.unknown or (left.unknown and right.kind == "string"):
            return BOOL
        raise self.mismatch(node, "in", left, right)

    # -- access -----------------------------------------------------------------------------------------------

    def chain(self, node: Chain) -> Type:
        return self.visit(node.inner)

    def member(self, node: Member) -> Type:
        base, key = self.visit(node.base), self.visit(node.key)
        if base.unknown:
            return UNKNOWN
        name = node.key.value if isinstance(node.key, Literal) and isinstance(node.key.value, str) else None
        if name is not None and base.kind == "nil":
            raise self.error(node, f"type nil has no field {name}")
        if name is not None and name in _methods(base):
            raise self.error(node, f"{name} is a function", f"call it: {name}()")
        if base.kind == "map":
            if base == MAP and key.kind != "string" and not key.unknown:
                message = f"cannot use {key.name} to get an element from {base.name}"
                raise self.error(node, message, "the result is a map: name a field, as in result.name")
            return base.items
        if base.kind == "list":
            if not key.integer and not key.unknown:
                message = f"array elements can only be selected using an integer (got {key.name})"
                raise self.error(
                    node, message, f"a list has no field {name}; use [0]" if name else "use a whole number"
                )
            return base.items
        if name is not None:
            raise self.error(node, f"type {base.name} has no field {name}", f"{type_word(base)} has no fields")
        hint = "a number is not a list: use result alone" if base.number else ""
        raise self.error(node, f"type {base.name}[{key.name}] is undefined", hint)

    def slice(self, node: Slice) -> Type:
        base = self.visit(node.base)
        if base.kind not in ("string", "list") and not base.unknown:
            raise self.error(node, f"cannot slice {base.name}")
        for end in (node.low, node.high):
            if end is not None:
                t = self.visit(end)
                if not base.unknown and not t.integer and not t.unknown:
                    raise self.error(end, f"non-integer slice index {t.name}")
        return UNKNOWN if base.unknown else base

    # -- calls ------------------------------------------------------------------------------------------------

    def call(self, node: Call) -> Type:
        if isinstance(node.callee, Name):
            return self._call_name(node, node.callee)
        if isinstance(node.callee, Member) and isinstance(node.callee.key, Literal):
            base, name = self.visit(node.callee.base), node.callee.key.value
            given = [self.visit(a) for a in node.arguments]
            if base.unknown:
                return UNKNOWN
            method = _methods(base).get(str(name))
            if base.kind == "nil":
                raise self.error(node, f"type nil has no field {name}")
            if method is None:
                raise self.error(node, f"type {base.name} has no method {name}", code="UnknownFunction")
            if [t.name for t in given if not t.unknown] != [p.name for p in method[0]][: len(given)]:
                raise self.error(node, f"cannot use these arguments to call {name}")
            if len(given) != len(method[0]):
                few = "not enough" if len(given) < len(method[0]) else "too many"
                raise self.error(node, f"{few} arguments to call {name}")
            return method[1]
        callee = self.visit(node.callee)
        raise self.error(node, f"{callee.name} is not callable", code="UnknownFunction")

    def _call_name(self, node: Call, callee: Name) -> Type:
        variable = next((t for name, t in reversed(self._variables) if name == callee.name), None)
        if variable is None and callee.name not in self._functions and callee.name not in self._values:
            hint = did_you_mean(callee.name, [*BUILTINS, *PREDICATES, *self._functions])
            hint = hint or "functions: " + ", ".join(self._functions)
            if callee.name.startswith("_"):
                raise self.error(callee, f"unknown name {callee.name}", _UNDERSCORE, "NotAllowed")
            raise self.error(callee, f"unknown name {callee.name}", hint, "UnknownFunction")
        if variable is not None or callee.name in self._values:
            t = variable or self._values[callee.name]
            if t.kind == "nil":
                raise self.error(node, f"{callee.name} is nil; cannot call nil as function", code="UnknownFunction")
            raise self.error(node, f"{t.name} is not callable", code="UnknownFunction")
        check = SPECIAL.get(callee.name) or ARGO_FUNCTIONS[callee.name].check
        return self._checked(node, check, callee.name, node.arguments)

    def _checked(
        self, node: Node, check: Callable[[str, Sequence[Type]], Type], name: str, arguments: Sequence[Node]
    ) -> Type:
        given = [self.visit(argument) for argument in arguments]
        try:
            return check(name, given)
        except ExpressionError as error:
            raise error.placed(node.at, node.end) from None

    def builtin(self, node: Builtin) -> Type:
        if node.name not in PREDICATES:
            return self._checked(node, BUILTINS[node.name].check, node.name, node.arguments)
        collection = self.visit(node.arguments[0])
        if collection.kind != "list" and not collection.unknown:
            message = f"builtin {node.name} takes only array (got {collection.name})"
            raise self.error(
                node.arguments[0], message, f"{node.name} goes over a list, and this is {type_word(collection)}"
            )
        if len(node.arguments) == 1:
            return INT if node.name == "count" else UNKNOWN if collection.unknown else collection.items
        extra: dict[str, Type] = {}
        if node.name in ("map", "reduce"):
            extra["index"] = INT
        if node.name == "reduce":
            extra["acc"] = UNKNOWN
        self._collections.append((collection, extra))
        out = self.visit(node.arguments[1])
        self._collections.pop()
        if out.kind == "nil":
            inputs = "two" if node.name == "reduce" else "one"
            raise self.error(node.arguments[1], f"predicate should has {inputs} input and one output param")
        last = self.visit(node.arguments[2]) if len(node.arguments) > 2 else None
        return self._predicate_result(node, collection, out, last)

    def _predicate_result(self, node: Builtin, collection: Type, out: Type, last: Type | None) -> Type:
        name = node.name
        if (name in _BOOLEAN or name in _FINDING or name in ("filter", "count")) and not (
            out.kind == "bool" or out.unknown
        ):
            raise self.error(node.arguments[1], f"predicate should return boolean (got {out.name})")
        if name in _BOOLEAN:
            return BOOL
        if name in ("findIndex", "findLastIndex", "count"):
            return INT
        if name in ("find", "findLast"):
            return UNKNOWN if collection.unknown else collection.items
        if name == "filter":
            return ANYS if collection.unknown else list_of(collection.items)
        if name == "map":
            return list_of(out)
        if name == "groupBy":
            return GROUPS
        if name == "sortBy":
            if last is not None and last.kind != "string" and not last.unknown:
                raise self.error(node.arguments[2], f"sortBy order argument must be a string (got {last.name})")
            return collection
        return out  # sum, reduce

    def predicate(self, node: Predicate) -> Type:
        return self.visit(node.body)

    # -- structure --------------------------------------------------------------------------------------------

    def let(self, node: Let) -> Type:
        kind = "builtin " if node.name in BUILTINS or node.name in PREDICATES else ""
        if any(name == node.name for name, _ in self._variables):
            kind = "variable "
        if kind or node.name in self._values or node.name in self._functions:
            raise self.error(node, f"cannot redeclare {kind}{node.name}")
        value = self.visit(node.value)
        self._variables.append((node.name, value))
        body = self.visit(node.body)
        self._variables.pop()
        return body

    def sequence(self, node: Block) -> Type:
        return [self.visit(part) for part in node.nodes][-1]

    def choice(self, node: Choice) -> Type:
        condition = self.visit(node.condition)
        if condition.kind != "bool" and not condition.unknown:
            raise self.error(node.condition, f"non-bool expression (type {condition.name}) used as condition")
        then, otherwise = self.visit(node.then), self.visit(node.otherwise)
        if then.kind == "nil":
            return otherwise
        if otherwise.kind == "nil":
            return then
        if not assignable(then, otherwise):
            return UNKNOWN
        if then.kind == otherwise.kind == "list" and then.items.name != otherwise.items.name:
            return ANYS
        return then

    def items(self, node: ListOf) -> Type:
        found = [self.visit(item) for item in node.items]
        if found and all(t.kind == found[0].kind for t in found):
            return list_of(found[-1])
        return ANYS if found else list_of(UNKNOWN)

    def pairs(self, node: MapOf) -> Type:
        for key, value in node.pairs:
            self.visit(key)
            self.visit(value)
        return MAP


def _bare(t: Type) -> str:
    return type_word(t).removeprefix("a ")


def _methods(t: Type) -> Mapping[str, tuple[tuple[Type, ...], Type, Callable[..., object]]]:
    return TIME_METHODS if t == TIME else DURATION_METHODS if t == DURATION else {}


_RULES: Mapping[type, Callable[..., Type]] = {
    Literal: Types.literal,
    Name: Types.name,
    Pointer: Types.pointer,
    Unary: Types.unary,
    Logic: Types.logic,
    Binary: Types.binary,
    Chain: Types.chain,
    Member: Types.member,
    Slice: Types.slice,
    Call: Types.call,
    Builtin: Types.builtin,
    Predicate: Types.predicate,
    Let: Types.let,
    Block: Types.sequence,
    Choice: Types.choice,
    ListOf: Types.items,
    MapOf: Types.pairs,
}
