"""A condition: parsed once, specialised once per type of result, evaluated often."""

from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast

import msgspec

from .admit import admit, admit_array, admit_int
from .budget import Frame
from .build import builder_for
from .builder import Builder, Closure
from .check import Types
from .errors import ExpressionError
from .functions import CONDITION_NAMES, TIME_NAMES
from .kinds import ANY, INT64, RESULT_KINDS, Type, Value, go_type, type_of, type_word, word
from .limits import DEPTH
from .parser import parse
from .tree import Node
from .warn import Remark, warnings_of

_CACHE = 1_024  # conditions of live templates; each is a few kilobytes
_GUARDS: Mapping[type, Callable[[Value], None]] = {array: admit_array, int: admit_int}
_FLAT = frozenset({float, bool, str, type(None)})  # results that need no look inside
_NO_FRAME = cast(Frame, None)  # what a closure gets where nothing in the condition looks at the frame
_MACHINE_STACK = "nested too deeply to evaluate"


class Program(msgspec.Struct, frozen=True):
    """The closures of a condition for one type of result."""

    run: Closure
    guard: Callable[[Value], None] | None
    slots: int  # -1: no frame is needed
    type: Type


class Condition:
    """A parsed condition. Made by `compile_condition`; safe to share and to keep."""

    __slots__ = ("_programs", "explainers", "flaw", "functions", "names", "source", "tree", "warnings")

    def __init__(self, source: str, *, with_result: bool = True) -> None:
        self.source = source
        self.tree: Node = parse(source)
        self.names: tuple[str, ...] = ("result",) if with_result else ()
        self.functions = tuple(n for n in CONDITION_NAMES if n != "result") if with_result else TIME_NAMES
        self._programs: dict[type, Program] = {}
        self.explainers: dict[type, tuple[Builder, dict[int, Closure]]] = {}  # what `explain` built, by result type
        self.flaw: ExpressionError | None = None  # what is wrong with it whatever the result
        self.warnings: tuple[Remark, ...] = ()
        try:
            self.warnings = warnings_of(self.tree, self.types(ANY))
        except ExpressionError as error:
            self.flaw = error.copy()

    def types(self, result: Type) -> Mapping[int, Type]:
        """The type of every node, if `result` is of this type. Raises ExpressionError."""
        checker = Types(dict.fromkeys(self.names, result), self.functions)
        checker.visit(self.tree)
        return checker.of

    def expect(self, kinds: str) -> None:
        """Check it as a condition on a result of one of `kinds`: names of RESULT_KINDS joined by `|`.

        Raises the first kind's ExpressionError when it fits none of them, or cannot give true or false.
        """
        first: ExpressionError | None = None
        for kind in kinds.split("|"):
            try:
                found = self.types(RESULT_KINDS[kind])[id(self.tree)]
                if found.kind == "bool" or found.unknown:
                    return
                name = found.name if found.kind != "nil" else "<nil>"
                raise _not_boolean(name, type_word(found)).placed(self.tree.at, self.tree.end)
            except ExpressionError as error:
                first = first or error
        if first is not None:
            raise first

    def evaluate(self, result: Value, *, now: datetime | None = None) -> Value:
        """The value of the expression for `result`. Raises ExpressionError, and nothing else."""
        program = self._programs.get(type(result)) or self._specialised(type(result))
        try:
            if (guard := program.guard) is not None:
                guard(result)
            slots = program.slots
            return program.run(result, _NO_FRAME if slots < 0 else Frame(now, slots))
        except RecursionError:
            raise ExpressionError("TooDeep", _MACHINE_STACK) from None

    def decide(self, result: Value, *, now: datetime | None = None) -> bool:
        """True or false. Raises ExpressionError, also for any other outcome (Argo's rule)."""
        value = self.evaluate(result, now=now)
        if value is True or value is False:
            return bool(value)
        static = self._programs[type(result)].type
        name = static.name if static == INT64 and type(value) is int else go_type(value)
        raise _not_boolean(name, word(value)).placed(self.tree.at, self.tree.end)

    def _specialised(self, kind: type) -> Program:
        static = type_of(kind)
        if static is None:
            raise ExpressionError("WrongType", f"result holds a value of unsupported type {kind.__name__}")
        guard = None if kind in _FLAT else _GUARDS.get(kind, admit)
        try:
            types = self.types(static)
            builder = builder_for(types)
            run = builder.build(self.tree)
            program = Program(run, guard, builder.slots if builder.needs_frame else -1, types[id(self.tree)])
        except ExpressionError as error:
            program = Program(_raising(error.copy()), None, -1, ANY)
        self._programs[kind] = program
        return program


def _raising(error: ExpressionError) -> Closure:
    def run(r: Value, f: Frame) -> Value:
        raise error.copy()

    return run


def _not_boolean(name: str, found: str) -> ExpressionError:
    hint = f"a condition must give true or false, got {found.removeprefix('a ')}"
    return ExpressionError("NotBoolean", f"expected bool, but got {name}", hint=hint)


@lru_cache(maxsize=_CACHE)
def _compiled(source: str, with_result: bool) -> Condition | ExpressionError:
    try:
        return Condition(source, with_result=with_result)
    except ExpressionError as error:
        return error.copy()
    except RecursionError:
        return ExpressionError("TooDeep", f"nesting deeper than {DEPTH}")


def prepare_condition(source: str) -> Condition:
    """Parse a condition without checking it: names and types are then checked against each result, as Argo does it,
    so that the message names the result's type. Raises ExpressionError for what cannot be parsed.
    """
    found = _compiled(source, True)
    if isinstance(found, ExpressionError):
        raise found.copy()
    return found


def compile_condition(source: str, *, expects: str = "") -> Condition:
    """Parse a condition and check its names (cached).

    expects: what is known of the result, a name of RESULT_KINDS or several joined by `|` ("float|floats"; "any"
    for nothing). When given, types are checked too, and that the outcome can be true or false.

    Raises ExpressionError with code, message, place and hint.
    """
    found = prepare_condition(source)
    if found.flaw is not None:
        raise found.flaw.copy()
    if expects:
        found.expect(expects)
    return found


def evaluate_time(source: str, now: datetime) -> datetime:
    """The time that a rangeQuery's `start` or `end` stands for, such as `now() - duration("1h")`.

    now: UTC-aware. Raises ExpressionError.
    """
    found = _compiled(source, False)
    if isinstance(found, ExpressionError):
        raise found.copy()
    value = found.evaluate(None, now=now.astimezone(UTC))
    if type(value) is datetime:
        return value
    error = ExpressionError("WrongType", f"expected time.Time, but got {go_type(value)}", at=0, end=len(source))
    error.hint = 'a time such as now() - duration("1h")'
    raise error
