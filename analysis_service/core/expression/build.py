"""Tree to closures: what runs is Python functions calling one another; there is no eval and no code generation.

Types are checked before (check.py). Where the type of a part is certain at run time too, plain Python operators are
used; elsewhere the operators of runtime.py look at the values. The difference matters: a static type can be wrong
about nil, as `first([])` is.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence

from . import runtime
from .errors import ExpressionError
from .functions import ARGO_FUNCTIONS, BUILTINS, PREDICATES
from .kinds import Type, Value, go_type
from .limits import STEPS
from .lists import hashable, sorted_by
from .regex import matches
from .runtime import Frame, charge, fetch, is_list, list_of_values, not_a_boolean, string, too_much, truth
from .times import call_method
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
    size,
)  # fmt: skip

Closure = Callable[[Value, Frame], Value]
"""What a node became: a function of `result` and the frame (absent where no part of the condition needs one)."""

_BROKEN = object()  # travels from a ?. on nil to the end of its chain
_NODES_PER_STEP = 8
_SHOWN_FIELDS, _SHOWN_CHARACTERS = 10, 40

_COMPARE: Mapping[str, Callable[[Value, Value, Frame], bool]] = {
    "<": runtime.less,
    ">": runtime.more,
    "<=": runtime.less_or_equal,
    ">=": runtime.more_or_equal,
    "==": runtime.equal,
    "!=": lambda a, b, f: not runtime.equal(a, b, f),
}
_COMPUTE: Mapping[str, Callable[[Value, Value, Frame], Value]] = {
    "+": runtime.add,
    "-": runtime.subtract,
    "*": runtime.multiply,
    "/": runtime.divide,
    "%": runtime.modulo,
    "**": runtime.power,
    "^": runtime.power,
    "..": runtime.span,
    "in": runtime.contains,
}
_PLAIN: Mapping[str, Callable[[Closure, Closure], Closure]] = {
    "<": lambda a, b: lambda r, f: a(r, f) < b(r, f),
    ">": lambda a, b: lambda r, f: a(r, f) > b(r, f),
    "<=": lambda a, b: lambda r, f: a(r, f) <= b(r, f),
    ">=": lambda a, b: lambda r, f: a(r, f) >= b(r, f),
    "==": lambda a, b: lambda r, f: a(r, f) == b(r, f),
    "!=": lambda a, b: lambda r, f: a(r, f) != b(r, f),
}
_OPERATOR: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_PLAIN_CONSTANT: Mapping[str, Callable[[Closure, Value], Closure]] = {
    "<": lambda a, c: lambda r, f: a(r, f) < c,
    ">": lambda a, c: lambda r, f: a(r, f) > c,
    "<=": lambda a, c: lambda r, f: a(r, f) <= c,
    ">=": lambda a, c: lambda r, f: a(r, f) >= c,
    "==": lambda a, c: lambda r, f: a(r, f) == c,
    "!=": lambda a, c: lambda r, f: a(r, f) != c,
}
_SURE_BUILTINS = frozenset(
    {"len", "ceil", "floor", "round", "int", "float", "all", "none", "any", "one", "count", "hasPrefix", "hasSuffix"}
)
_SURE_OPERATORS = frozenset({*_COMPARE, "/", "**", "^", "%", "in", "matches", "contains", "startsWith", "endsWith"})


class Builder:
    """Builds the closures of one tree for one type of `result`."""

    def __init__(self, types: Mapping[int, Type]) -> None:
        self.slots = 0
        self.needs_frame = False
        self._types = types
        self._variables: dict[str, int] = {}
        self._items: list[tuple[int, bool]] = []  # slot of # (then #index, #acc), and whether its type is sure

    def build(self, node: Node) -> Closure:
        return _RULES[type(node)](self, node)

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
                floats = self._types[id(node.base)].name == "[]float64"
                return floats and isinstance(node.base, Name) and self.sure(node.base)
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

    def _is_result(self, node: Node, *kinds: str) -> bool:
        return isinstance(node, Name) and node.name == "result" and self.kind(node) in kinds

    def _sure_bool(self, node: Node) -> bool:
        return self.kind(node) == "bool" and self.sure(node)

    def boolean(self, node: Node) -> Closure:
        """A part whose value must be true or false."""
        inner = self.build(node)
        if self._sure_bool(node):
            return inner
        at, end = node.at, node.end

        def run(r: Value, f: Frame) -> bool:
            value = inner(r, f)
            if value is True or value is False:
                return bool(value)
            raise not_a_boolean(value).placed(at, end)

        return run

    # -- leaves -----------------------------------------------------------------------------------------------

    def literal(self, node: Literal) -> Closure:
        value = node.value
        return lambda r, f: value

    def name(self, node: Name) -> Closure:
        if node.name in self._variables:
            slot = self._variables[node.name]
            return lambda r, f: f.slots[slot]
        return lambda r, f: r

    def pointer(self, node: Pointer) -> Closure:
        slot = self._items[-1][0] + {"": 0, "index": 1, "acc": 2}[node.name]
        return lambda r, f: f.slots[slot]

    # -- operators --------------------------------------------------------------------------------------------

    def unary(self, node: Unary) -> Closure:
        if node.operator in ("!", "not"):
            run = self.boolean(node.operand)
            return lambda r, f: not run(r, f)
        value = constant(node)
        if value is not None:
            return lambda r, f: value
        run = self.build(node.operand)
        if node.operator == "-":
            return placed(node, lambda r, f: runtime.negate(run(r, f)))
        return run

    def logic(self, node: Logic) -> Closure:
        """All parts but the last must be booleans; the last one is the value, whatever it is."""
        stop = node.operator == "||"
        if any(isinstance(part, Literal) and part.value is stop for part in node.parts):
            return lambda r, f: stop  # settled by the text: expr-lang folds it without looking at the rest
        heads, last = [self.boolean(part) for part in node.parts[:-1]], self.build(node.parts[-1])
        first = heads[0]
        if len(heads) == 1 and node.operator == "&&":
            return lambda r, f: first(r, f) and last(r, f)
        if len(heads) == 1:
            return lambda r, f: first(r, f) or last(r, f)

        def run(r: Value, f: Frame) -> Value:
            for head in heads:
                if head(r, f) is stop:
                    return stop
            return last(r, f)

        return run

    def binary(self, node: Binary) -> Closure:
        sign = node.operator
        if sign == "??":
            return self._coalesce(node)
        if sign == "in" and (texts := _texts(node.right)) is not None:
            return self._in_texts(node, texts)
        if sign in ("matches", "contains", "startsWith", "endsWith"):
            return self._on_texts(node)
        if sign in _COMPARE and (plain := self._plain(node)) is not None:
            return plain
        left, right = self.build(node.left), self.build(node.right)
        rule = _COMPARE.get(sign) or _COMPUTE[sign]
        compare = _OPERATOR.get(sign)
        left_missing, right_missing = self._missing_field(node.left), self._missing_field(node.right)
        at, end = node.at, node.end

        def run(r: Value, f: Frame) -> Value:
            a, b = left(r, f), right(r, f)
            if compare is not None and type(a) is float and type(b) is float:
                return compare(a, b)  # by far the most frequent case
            try:
                return rule(a, b, f)
            except ExpressionError as error:
                if a is None or b is None:
                    error.hint = (left_missing if a is None else right_missing)(r, f) or error.hint
                raise error.placed(at, end) from None

        return run

    def _missing_field(self, node: Node) -> Callable[[Value, Frame], str]:
        """Says which field is missing, where `node` is a field of a map that lacks it."""
        if not isinstance(node, Member) or not isinstance(node.key, Literal):
            return lambda r, f: ""
        base, key = self.build(node.base), node.key.value

        def say(r: Value, f: Frame) -> str:
            holder = base(r, f)
            if type(holder) is not dict or key in holder:
                return ""
            known = ", ".join(str(name)[:_SHOWN_CHARACTERS] for name in list(holder)[:_SHOWN_FIELDS])
            return f"no field {key!r}; fields: {known}" if known else f"no field {key!r}: the map is empty"

        return say

    def _plain(self, node: Binary) -> Closure | None:
        """A comparison of two numbers whose types are certain, in Python's own operators."""
        kinds = {self.kind(node.left), self.kind(node.right)}
        if not kinds <= {"int", "int64", "float64"} or not (self.sure(node.left) and self.sure(node.right)):
            return None
        value = constant(node.right)
        mixed = "float64" in kinds and len(kinds) > 1
        if value is not None:
            if mixed and self.kind(node.left) != "float64":
                return None
            return self._against(node, float(value) if mixed else value)
        return None if mixed else _PLAIN[node.operator](self.build(node.left), self.build(node.right))

    def _against(self, node: Binary, limit: float) -> Closure:
        """A plain comparison with a constant; result[0] < 0.05 and len(result) > 0 are one function each."""
        left, compare = node.left, _OPERATOR[node.operator]
        if isinstance(left, Member) and self._is_result(left.base, "list"):
            index = constant(left.key)
            if isinstance(index, int):
                return _indexed_against(left, index, compare, limit)
        if isinstance(left, Builtin) and left.name == "len" and self._is_result(left.arguments[0], "list"):
            return lambda r, f: compare(len(r), limit)
        return _PLAIN_CONSTANT[node.operator](self.build(left), limit)

    def _coalesce(self, node: Binary) -> Closure:
        left, right = self.build(node.left), self.build(node.right)

        def run(r: Value, f: Frame) -> Value:
            value = left(r, f)
            return right(r, f) if value is None else value

        return run

    def _in_texts(self, node: Binary, texts: frozenset[str]) -> Closure:
        """x in ["a", "b"] is a look-up, which takes no other type than text or nil."""
        left = self.build(node.left)

        def run(r: Value, f: Frame) -> bool:
            value = left(r, f)
            if value is None:
                return "" in texts
            if type(value) is not str:
                message = f"reflect.Value.MapIndex: value of type {go_type(value)} is not assignable to type string"
                raise ExpressionError("WrongType", message, hint="the list holds texts only")
            return value in texts

        return placed(node, run)

    def _on_texts(self, node: Binary) -> Closure:
        left, right = self.build(node.left), self.build(node.right)
        rule = {"matches": matches, "contains": operator.contains, "startsWith": str.startswith,
                "endsWith": str.endswith}[node.operator]  # fmt: skip

        def run(r: Value, f: Frame) -> bool:
            a, b = left(r, f), right(r, f)
            if a is None or b is None:
                return False
            charge(f, len(string(a)) >> 6)
            return rule(a, string(b))

        return placed(node, run)

    # -- access -----------------------------------------------------------------------------------------------

    def chain(self, node: Chain) -> Closure:
        inner = self.build(node.inner)

        def run(r: Value, f: Frame) -> Value:
            value = inner(r, f)
            return None if value is _BROKEN else value

        return run

    def member(self, node: Member) -> Closure:
        base, key, optional = self.build(node.base), self.build(node.key), node.optional
        index = constant(node.key)
        if isinstance(index, int) and self._is_result(node.base, "list"):
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

    def slice(self, node: Slice) -> Closure:
        base = self.build(node.base)
        low = self.build(node.low) if node.low else _nothing
        high = self.build(node.high) if node.high else _nothing
        return placed(node, lambda r, f: runtime.cut_out(base(r, f), low(r, f), high(r, f), f))

    # -- calls ------------------------------------------------------------------------------------------------

    def call(self, node: Call) -> Closure:
        arguments = [self.build(argument) for argument in node.arguments]
        if isinstance(node.callee, Member):
            return self._method(node, node.callee, arguments)
        assert isinstance(node.callee, Name)
        name = node.callee.name
        if name == "default":
            return _default(*arguments)
        if name == "isNil":
            return _is_nil(*arguments)
        if name in ("isNaN", "isInf") and (value := constant(node.arguments[0])) is not None:
            number = float(value)  # a literal is a float where a float is wanted
            arguments = [lambda r, f: number]
        return self._function(node, ARGO_FUNCTIONS[name].run, arguments)

    def _function(
        self, node: Node, run: Callable[[Sequence[Value], Frame | None], Value], arguments: Sequence[Closure]
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

    def _method(self, node: Call, callee: Member, arguments: Sequence[Closure]) -> Closure:
        base, optional = self.build(callee.base), callee.optional
        name = callee.key.value if isinstance(callee.key, Literal) else None

        def run(r: Value, f: Frame) -> Value:
            value = base(r, f)
            if value is _BROKEN or (optional and value is None):
                return _BROKEN
            return call_method(value, str(name), [argument(r, f) for argument in arguments])

        return placed(node, run)

    def builtin(self, node: Builtin) -> Closure:
        if node.name in PREDICATES:
            return placed(node, _LOOPS[node.name](self, node))
        if node.name == "now":
            self.needs_frame = True
        if node.name == "len" and self._is_result(node.arguments[0], "list", "string", "map"):
            return lambda r, f: len(r)
        return self._function(node, BUILTINS[node.name].run, [self.build(argument) for argument in node.arguments])

    def body(self, node: Builtin, *, boolean: bool = False) -> tuple[int, Closure]:
        """The predicate of a builtin: the slot of its element (then index, accumulator), and what runs."""
        slot = self.slot(3)
        collection = node.arguments[0]
        floats = isinstance(collection, Name) and self._types[id(collection)].name == "[]float64"
        self._items.append((slot, floats and self.sure(collection)))
        predicate = node.arguments[1]
        assert isinstance(predicate, Predicate)
        run = self.boolean(predicate.body) if boolean else self.build(predicate.body)
        self._items.pop()
        return slot, run

    def walk(self, node: Builtin, slot: int) -> Callable[..., Iterator[Value]]:
        """Goes over the elements, each in its slot and paid for."""
        source = self.build(node.arguments[0])
        cost = 1 + size(node.arguments[1]) // _NODES_PER_STEP if len(node.arguments) > 1 else 1
        name = node.name

        def items(r: Value, f: Frame, backwards: bool = False) -> Iterator[Value]:
            values = source(r, f)
            if not is_list(values):
                message = f"builtin {name} takes only array (got {go_type(values)})"
                raise ExpressionError("WrongType", message, hint=f"{name} goes over a list")
            slots, count = f.slots, len(values)
            for i in range(count - 1, -1, -1) if backwards else range(count):
                f.steps -= cost
                if f.steps < 0:
                    raise too_much(f"more than {STEPS} steps")
                slots[slot] = value = values[i]
                slots[slot + 1] = i
                yield value

        return items

    # -- structure --------------------------------------------------------------------------------------------

    def predicate(self, node: Predicate) -> Closure:
        return self.build(node.body)

    def let(self, node: Let) -> Closure:
        value, slot = self.build(node.value), self.slot()
        self._variables[node.name] = slot
        body = self.build(node.body)
        del self._variables[node.name]

        def run(r: Value, f: Frame) -> Value:
            f.slots[slot] = value(r, f)
            return body(r, f)

        return run

    def bind(self, name: str, slot: int) -> None:
        """Make a variable known that something else filled (see explain.py)."""
        self._variables[name] = slot

    def enter(self, slot: int) -> None:
        """Make `#` known that something else filled."""
        self._items.append((slot, False))

    def leave(self) -> None:
        self._items.pop()

    def sequence(self, node: Block) -> Closure:
        parts = [self.build(part) for part in node.nodes]

        def run(r: Value, f: Frame) -> Value:
            value: Value = None
            for part in parts:
                value = part(r, f)
            return value

        return run

    def choice(self, node: Choice) -> Closure:
        condition, then, otherwise = self.boolean(node.condition), self.build(node.then), self.build(node.otherwise)
        return lambda r, f: then(r, f) if condition(r, f) else otherwise(r, f)

    def items(self, node: ListOf) -> Closure:
        if all(isinstance(item, Literal) for item in node.items):
            fixed = [item.value for item in node.items if isinstance(item, Literal)]
            return lambda r, f: fixed
        parts = [self.build(item) for item in node.items]
        return placed(node, lambda r, f: list_of_values([part(r, f) for part in parts], f))

    def pairs(self, node: MapOf) -> Closure:
        parts = [(self.build(key), self.build(value)) for key, value in node.pairs]

        def run(r: Value, f: Frame) -> Value:
            charge(f, len(parts))
            return {string(key(r, f)): value(r, f) for key, value in parts}

        return placed(node, run)


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


def _nothing(r: Value, f: Frame) -> Value:
    return None


def _texts(node: Node) -> frozenset[str] | None:
    """The items of a list of literal texts."""
    if not isinstance(node, ListOf) or not node.items:
        return None
    values = [item.value for item in node.items if isinstance(item, Literal) and isinstance(item.value, str)]
    return frozenset(values) if len(values) == len(node.items) else None


def _indexed(node: Member, index: int) -> Closure:
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> Value:
        try:
            return r[index]
        except IndexError:
            raise runtime.outside(r, index).placed(at, end) from None

    return run


def _indexed_against(node: Member, index: int, compare: Callable[[Value, Value], bool], limit: float) -> Closure:
    at, end = node.at, node.end

    def run(r: Value, f: Frame) -> bool:
        try:
            return compare(r[index], limit)
        except IndexError:
            raise runtime.outside(r, index).placed(at, end) from None

    return run


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


# -- builtins with a predicate ----------------------------------------------------------------------------------


def _all(builder: Builder, node: Builtin) -> Closure:
    slot, test = builder.body(node, boolean=True)
    walk = builder.walk(node, slot)
    return lambda r, f: all(test(r, f) for _ in walk(r, f))


def _any(builder: Builder, node: Builtin) -> Closure:
    slot, test = builder.body(node, boolean=True)
    walk = builder.walk(node, slot)
    return lambda r, f: any(test(r, f) for _ in walk(r, f))


def _none(builder: Builder, node: Builtin) -> Closure:
    found = _any(builder, node)
    return lambda r, f: not found(r, f)


def _count(builder: Builder, node: Builtin) -> Closure:
    if len(node.arguments) == 1:  # of a list of booleans
        slot = builder.slot(3)
        walk = builder.walk(node, slot)
        return lambda r, f: sum(1 for item in walk(r, f) if truth(item))
    slot, test = builder.body(node, boolean=True)
    walk = builder.walk(node, slot)
    return lambda r, f: sum(1 for _ in walk(r, f) if test(r, f))


def _one(builder: Builder, node: Builtin) -> Closure:
    count = _count(builder, node)
    return lambda r, f: count(r, f) == 1


def _filter(builder: Builder, node: Builtin) -> Closure:
    slot, test = builder.body(node, boolean=True)
    walk = builder.walk(node, slot)
    return lambda r, f: [item for item in walk(r, f) if test(r, f)]


def _map(builder: Builder, node: Builtin) -> Closure:
    slot, run = builder.body(node)
    walk = builder.walk(node, slot)
    return lambda r, f: [run(r, f) for _ in walk(r, f)]


def _sum(builder: Builder, node: Builtin) -> Closure:
    run: Closure | None = None
    if len(node.arguments) == 1:
        slot = builder.slot(3)
    else:
        slot, run = builder.body(node)
    walk = builder.walk(node, slot)

    def total(r: Value, f: Frame) -> Value:
        acc: Value = 0
        for item in walk(r, f):
            acc = runtime.add(item if run is None else run(r, f), acc, f)
        return acc

    return total


def _finder(*, backwards: bool, index: bool) -> Callable[[Builder, Builtin], Closure]:
    def make(builder: Builder, node: Builtin) -> Closure:
        slot, test = builder.body(node, boolean=True)
        walk = builder.walk(node, slot)

        def run(r: Value, f: Frame) -> Value:
            for item in walk(r, f, backwards):
                if test(r, f):
                    return f.slots[slot + 1] if index else item
            return None

        return run

    return make


def _group_by(builder: Builder, node: Builtin) -> Closure:
    slot, run = builder.body(node)
    walk = builder.walk(node, slot)

    def group(r: Value, f: Frame) -> Value:
        groups: dict[Value, list[Value]] = {}
        for item in walk(r, f):
            groups.setdefault(hashable(run(r, f)), []).append(item)
        return groups

    return group


def _sort_by(builder: Builder, node: Builtin) -> Closure:
    slot, run = builder.body(node)
    walk = builder.walk(node, slot)
    order = builder.build(node.arguments[2]) if len(node.arguments) > 2 else None

    def sort(r: Value, f: Frame) -> Value:
        way = "asc" if order is None else order(r, f)
        if type(way) is not str:
            raise ExpressionError("WrongType", "sortBy order argument must be a string")
        if way not in ("asc", "desc"):
            raise ExpressionError("WrongType", "unknown order, use asc or desc")
        ranked = [(run(r, f), item) for item in walk(r, f)]
        charge(f, len(ranked))
        return [item for _, item in sorted_by(ranked, lambda pair: pair[0], descending=way == "desc")]

    return sort


def _reduce(builder: Builder, node: Builtin) -> Closure:
    slot, run = builder.body(node)
    walk = builder.walk(node, slot)
    initial = builder.build(node.arguments[2]) if len(node.arguments) > 2 else None

    def fold(r: Value, f: Frame) -> Value:
        acc: Value = None
        started = initial is not None
        if initial is not None:
            acc = initial(r, f)
        for item in walk(r, f):
            if started:
                f.slots[slot + 2] = acc
                acc = run(r, f)
            else:
                acc, started = item, True
        if not started:
            message = "reduce of empty array with no initial value"
            raise ExpressionError("NoData", message, hint="give a third argument")
        return acc

    return fold


_LOOPS: Mapping[str, Callable[[Builder, Builtin], Closure]] = {
    "all": _all,
    "any": _any,
    "none": _none,
    "one": _one,
    "count": _count,
    "filter": _filter,
    "map": _map,
    "sum": _sum,
    "find": _finder(backwards=False, index=False),
    "findIndex": _finder(backwards=False, index=True),
    "findLast": _finder(backwards=True, index=False),
    "findLastIndex": _finder(backwards=True, index=True),
    "groupBy": _group_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}

_RULES: Mapping[type, Callable[..., Closure]] = {
    Literal: Builder.literal,
    Name: Builder.name,
    Pointer: Builder.pointer,
    Unary: Builder.unary,
    Logic: Builder.logic,
    Binary: Builder.binary,
    Chain: Builder.chain,
    Member: Builder.member,
    Slice: Builder.slice,
    Call: Builder.call,
    Builtin: Builder.builtin,
    Predicate: Builder.predicate,
    Let: Builder.let,
    Block: Builder.sequence,
    Choice: Builder.choice,
    ListOf: Builder.items,
    MapOf: Builder.pairs,
}
