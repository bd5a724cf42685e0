"""Builtins on lists and maps that take no predicate."""

import itertools
from collections.abc import Callable, Sequence

from .access import fetch
from .budget import Frame, charge, list_of_values, too_much
from .compare import equal, less
from .demand import is_list, string, to_int
from .errors import ExpressionError
from .kinds import Strings, Value, go_type
from .limits import DATA_DEPTH, LIST_ITEMS


def _list(verb: str, value: Value) -> Sequence[Value]:
    if is_list(value):
        return value  # type: ignore[no-any-return]
    kind = {"string": "string", "<nil>": "invalid"}.get(go_type(value), go_type(value).partition("[")[0])
    raise ExpressionError("WrongType", f"cannot {verb} {kind}", hint="a list is needed here")


def _map(verb: str, value: Value) -> dict[Value, Value]:
    if type(value) is dict:
        return value
    kind = "slice" if is_list(value) else "invalid" if value is None else go_type(value)
    raise ExpressionError("WrongType", f"cannot {verb} {kind}", hint="a map is needed here")


def first(arguments: Sequence[Value], frame: Frame | None) -> Value:
    return _end(arguments[0], 0)


def last(arguments: Sequence[Value], frame: Frame | None) -> Value:
    return _end(arguments[0], -1)


def _end(value: Value, index: int) -> Value:
    """An end of a list, nil where there is none: these two never fail."""
    if is_list(value) or type(value) is str:
        return fetch(value, index) if len(value) else None
    return None


def get(arguments: Sequence[Value], frame: Frame | None) -> Value:
    """get(x, key): as x[key], but nil where that would be an error."""
    base, key = arguments
    if is_list(base) or type(base) is str:
        index = to_int(key)
        return fetch(base, index) if -len(base) <= index < len(base) else None
    return fetch(base, key) if type(base) is dict else None


def take(arguments: Sequence[Value], frame: Frame | None) -> Value:
    items, count = _list("take from", arguments[0]), arguments[1]
    if type(count) is not int:
        raise ExpressionError("WrongType", f"cannot take {go_type(count)} elements")
    if count < 0:
        raise ExpressionError("OutOfRange", "cannot take a negative number of elements")
    charge(frame, min(count, len(items)))
    return Strings(items[:count]) if type(items) is Strings else items[:count]


def keys(arguments: Sequence[Value], frame: Frame | None) -> Value:
    """The keys, in the order of the data (Go's is random)."""
    return list_of_values(list(_map("get keys from", arguments[0])), frame)


def values(arguments: Sequence[Value], frame: Frame | None) -> Value:
    return list_of_values(list(_map("get values from", arguments[0]).values()), frame)


def to_pairs(arguments: Sequence[Value], frame: Frame | None) -> Value:
    return list_of_values([[k, v] for k, v in _map("transform to pairs", arguments[0]).items()], frame)


def from_pairs(arguments: Sequence[Value], frame: Frame | None) -> Value:
    made: dict[Value, Value] = {}
    pairs = _list("transform from pairs", arguments[0])
    charge(frame, len(pairs))
    for pair in pairs:
        if not is_list(pair):
            raise ExpressionError("WrongType", f"invalid pair {go_type(pair)}")
        if len(pair) != 2:
            raise ExpressionError("WrongType", f"invalid pair length {len(pair)}")
        made[hashable(pair[0])] = pair[1]
    return made


def hashable(key: Value) -> Value:
    """A value that may be a key of a map."""
    if is_list(key) or type(key) is dict:
        raise ExpressionError("WrongType", f"runtime error: hash of unhashable type {go_type(key)}")
    return key


def reverse(arguments: Sequence[Value], frame: Frame | None) -> Value:
    return list_of_values(list(reversed(_list("reverse", arguments[0]))), frame)


def concat(arguments: Sequence[Value], frame: Frame | None) -> Value:
    size = sum(len(_list("concat", value)) for value in arguments)
    if size > LIST_ITEMS:
        raise too_much(f"a list of {size} items; limit {LIST_ITEMS}")
    return list_of_values([item for value in arguments for item in value], frame)


def flatten(arguments: Sequence[Value], frame: Frame | None) -> Value:
    """All items that are not lists, in order, out of lists nested at most DATA_DEPTH deep."""
    out: list[Value] = []
    stack = [iter(_list("flatten", arguments[0]))]
    steps = 0
    while stack:
        for item in stack[-1]:
            steps += 1
            if is_list(item):
                if len(stack) > DATA_DEPTH:
                    raise ExpressionError("DataTooDeep", f"data nested deeper than {DATA_DEPTH}")
                stack.append(iter(item))
                break
            out.append(item)
            if len(out) > LIST_ITEMS:
                raise too_much(f"a list of more than {LIST_ITEMS} items")
        else:
            stack.pop()
    charge(frame, steps)
    return out


def unique(arguments: Sequence[Value], frame: Frame | None) -> Value:
    """Each value once, by the language's ==: 1 and 1.0 are one value, every NaN is its own."""
    out: list[Value] = []
    seen: set[tuple[str, Value]] = set()
    lists_and_maps: list[Value] = []
    items = _list("uniq", arguments[0])
    charge(frame, len(items))
    for item in items:
        if is_list(item) or type(item) is dict:
            charge(frame, len(lists_and_maps) + 1)
            if any(equal(other, item, frame) for other in lists_and_maps):
                continue
            lists_and_maps.append(item)
        elif item == item:
            key = ("number", float(item)) if type(item) in (int, float) else (type(item).__name__, item)
            if key in seen:
                continue
            seen.add(key)
        out.append(item)
    return list_of_values(out, frame)


def sort(arguments: Sequence[Value], frame: Frame | None) -> Value:
    items = _list("sort", arguments[0])
    order = arguments[1] if len(arguments) > 1 else "asc"
    if type(order) is not str:
        raise ExpressionError("WrongType", f"sort order argument must be a string (got {go_type(order)})")
    if order not in ("asc", "desc"):
        raise ExpressionError("WrongType", f"invalid order {string(order)[:80]}, expected asc or desc")
    return sorted_by(list_of_values(list(items), frame), lambda item: item, descending=order == "desc")


def sorted_by(items: list[Value], key: Callable[[Value], Value], *, descending: bool) -> list[Value]:
    """Stable; values without an order between them are an error, as they are for `<`."""
    ranks = [key(item) for item in items]
    for a, b in itertools.pairwise(ranks):
        less(*((a, b) if descending else (b, a)))
    order = sorted(range(len(items)), key=_rank(ranks), reverse=descending)
    return [items[i] for i in order]


def _rank(ranks: list[Value]) -> Callable[[int], Value]:
    """Integers compared as floats where both occur; NaN first, so that the order is total."""
    if any(type(rank) is float for rank in ranks):
        return lambda i: (ranks[i] == ranks[i], float(ranks[i]) if ranks[i] == ranks[i] else 0.0)
    return lambda i: ranks[i]


def bits(name: str, rule: Callable[[int, int], int]) -> Callable[[Sequence[Value], Frame | None], Value]:
    """A builtin on the 64 bits of two integers."""

    def run(arguments: Sequence[Value], frame: Frame | None) -> Value:
        for value in arguments:
            if type(value) is not int:
                message = f"cannot use {go_type(value)} as argument (type int) to call {name}"
                raise ExpressionError("WrongType", message)
        a, b = arguments
        if name.startswith("bitsh") or name == "bitushr":
            if b < 0:
                message = f"invalid operation: negative shift count {b} (type int)"
                raise ExpressionError("OutOfRange", message)
            b = min(b, 64)
        wrapped = rule(a, b) & 0xFFFF_FFFF_FFFF_FFFF
        return wrapped - (1 << 64) if wrapped >> 63 else wrapped

    return run
