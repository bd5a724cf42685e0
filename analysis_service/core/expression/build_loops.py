"""Closures of the builtins that take a predicate: each goes over a list and pays for every element."""

from collections.abc import Callable, Iterator, Mapping

from .arithmetic import add
from .budget import Frame, charge, too_much
from .builder import Builder, Closure
from .demand import is_list, truth
from .errors import ExpressionError
from .kinds import Value, go_type
from .limits import STEPS
from .lists import hashable, sorted_by
from .tree import Builtin, Predicate, size

_NODES_PER_STEP = 8


def _body(builder: Builder, node: Builtin, *, boolean: bool = False) -> tuple[int, Closure]:
    """The predicate of a builtin: the slot of its element (then index, accumulator), and what runs."""
    slot = builder.slot(3)
    builder.enter(slot, sure=builder.surely_floats(node.arguments[0]))
    predicate = node.arguments[1]
    assert isinstance(predicate, Predicate)
    run = builder.boolean(predicate.body) if boolean else builder.build(predicate.body)
    builder.leave()
    return slot, run


def _walk(builder: Builder, node: Builtin, slot: int) -> Callable[..., Iterator[Value]]:
    """Goes over the elements, each in its slot and paid for."""
    source = builder.build(node.arguments[0])
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


def _all(builder: Builder, node: Builtin) -> Closure:
    slot, test = _body(builder, node, boolean=True)
    walk = _walk(builder, node, slot)
    return lambda r, f: all(test(r, f) for _ in walk(r, f))


def _any(builder: Builder, node: Builtin) -> Closure:
    slot, test = _body(builder, node, boolean=True)
    walk = _walk(builder, node, slot)
    return lambda r, f: any(test(r, f) for _ in walk(r, f))


def _none(builder: Builder, node: Builtin) -> Closure:
    found = _any(builder, node)
    return lambda r, f: not found(r, f)


def _count(builder: Builder, node: Builtin) -> Closure:
    if len(node.arguments) == 1:  # of a list of booleans
        slot = builder.slot(3)
        walk = _walk(builder, node, slot)
        return lambda r, f: sum(1 for item in walk(r, f) if truth(item))
    slot, test = _body(builder, node, boolean=True)
    walk = _walk(builder, node, slot)
    return lambda r, f: sum(1 for _ in walk(r, f) if test(r, f))


def _one(builder: Builder, node: Builtin) -> Closure:
    count = _count(builder, node)
    return lambda r, f: count(r, f) == 1


def _filter(builder: Builder, node: Builtin) -> Closure:
    slot, test = _body(builder, node, boolean=True)
    walk = _walk(builder, node, slot)
    return lambda r, f: [item for item in walk(r, f) if test(r, f)]


def _map(builder: Builder, node: Builtin) -> Closure:
    slot, run = _body(builder, node)
    walk = _walk(builder, node, slot)
    return lambda r, f: [run(r, f) for _ in walk(r, f)]


def _sum(builder: Builder, node: Builtin) -> Closure:
    run: Closure | None = None
    if len(node.arguments) == 1:
        slot = builder.slot(3)
    else:
        slot, run = _body(builder, node)
    walk = _walk(builder, node, slot)

    def total(r: Value, f: Frame) -> Value:
        acc: Value = 0
        for item in walk(r, f):
            acc = add(item if run is None else run(r, f), acc, f)
        return acc

    return total


def _finder(*, backwards: bool, index: bool) -> Callable[[Builder, Builtin], Closure]:
    def make(builder: Builder, node: Builtin) -> Closure:
        slot, test = _body(builder, node, boolean=True)
        walk = _walk(builder, node, slot)

        def run(r: Value, f: Frame) -> Value:
            for item in walk(r, f, backwards):
                if test(r, f):
                    return f.slots[slot + 1] if index else item
            return None

        return run

    return make


def _group_by(builder: Builder, node: Builtin) -> Closure:
    slot, run = _body(builder, node)
    walk = _walk(builder, node, slot)

    def group(r: Value, f: Frame) -> Value:
        groups: dict[Value, list[Value]] = {}
        for item in walk(r, f):
            groups.setdefault(hashable(run(r, f)), []).append(item)
        return groups

    return group


def _sort_by(builder: Builder, node: Builtin) -> Closure:
    slot, run = _body(builder, node)
    walk = _walk(builder, node, slot)
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
    slot, run = _body(builder, node)
    walk = _walk(builder, node, slot)
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


LOOPS: Mapping[str, Callable[[Builder, Builtin], Closure]] = {
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
