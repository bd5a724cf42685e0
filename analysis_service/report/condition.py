"""A metric judged by conditions: its values over time, the thresholds that can be drawn, and the limits' arithmetic."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis_service.core.expression import prepare_condition
from analysis_service.core.expression.errors import ExpressionError
from analysis_service.core.expression.tree import Binary, Builtin, Call, Literal, Logic, Member, Name, Node, Unary
from analysis_service.core.model import Measurement, MetricResult, Phase
from analysis_service.core.prepare import Ready
from analysis_service.report import scales
from analysis_service.report.chart import Axis, Chart, Line, Marks, Role, Rule, Shape, Table
from analysis_service.report.text import NONE, clock, cut, moment, number, times

LARGEST = 1e300  # beyond this a value is no place on an axis
MOST_SERIES = 12  # values of one measurement that are drawn
LOOKS: dict[Phase, tuple[Role, Shape]] = {
    Phase.SUCCESSFUL: ("good", "circle"),
    Phase.FAILED: ("bad", "triangle"),
    Phase.INCONCLUSIVE: ("unsure", "diamond"),
    Phase.ERROR: ("error", "cross"),
    Phase.RUNNING: ("idle", "ring"),
    Phase.PENDING: ("idle", "ring"),
}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_READERS = frozenset({"asFloat", "asInt", "float", "int", "default"})


@dataclass(frozen=True, slots=True)
class Threshold:
    """`result < 0.05` of a condition: something that can be drawn."""

    condition: str  # "success" or "failure"
    operator: str
    limit: float

    @property
    def label(self) -> str:
        return f"{self.condition} {self.operator} {number(self.limit, 3)}"


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement. ok: None while it is open."""

    ok: bool | None
    text: str


def chart(result: MetricResult, ready: Ready | None) -> Chart | None:
    """Values over time; None where nothing was measured."""
    taken = [m for m in result.measurements if _at(m) is not None]
    if not taken:
        return None
    places = [(at, m, values(m.value)) for m in taken if (at := _at(m)) is not None]
    found = thresholds(ready)
    drawn = [v for _, _, many in places for v in many]
    low, high = scales.bounds([*drawn, *(t.limit for t in found)])
    first, last = places[0][0], places[-1][0]
    room = max((last - first) * 0.03, 5.0)
    x = Axis("time", first - room, last + room, "time (UTC)")
    nowhere = low  # measurements without a number stand on the floor of the plot
    if any(not many for _, _, many in places) and drawn:
        nowhere = low = low - (high - low) * 0.12
    marks = []
    for phase, (role, shape) in LOOKS.items():
        points = [
            (at, y, _said(m)) for at, m, many in places if m.phase is phase for y in (many if many else [nowhere])
        ]
        if points:
            marks.append(
                Marks(f"{phase.value} ({sum(m.phase is phase for _, m, _ in places)})", role, shape, tuple(points))
            )
    single = all(len(many) <= 1 for _, _, many in places)
    line = tuple((at, many[0] if many else None) for at, _, many in places)
    without = sum(not many for _, _, many in places)
    return Chart(
        title="Values over time",
        summary=_summary(result, drawn),
        x=x,
        y=Axis("linear", low, high, "value" if single else "values"),
        table=Table(
            "Measurements",
            ("#", "Finished (UTC)", "Phase", "Value", "Why"),
            tuple(
                (
                    str(m.ordinal),
                    moment(m.finished_at or m.started_at),
                    m.phase.value,
                    cut(m.value, 200) or NONE,
                    cut((m.reason or m.message).removeprefix(f"{result.name}: "), 600) or NONE,
                )
                for m in result.measurements
            ),
            frozenset({0}),
        ),
        lines=(Line("", "rule", line, "none"),) if single and len(drawn) > 1 else (),
        rules=tuple(Rule(t.label, "good" if t.condition == "success" else "bad", t.limit) for t in found),
        marks=tuple(marks),
        note=f"{times(without, 'measurement')} without a number, at the bottom of the picture." if without else "",
    )


def _summary(result: MetricResult, drawn: Sequence[float]) -> str:
    text = f"{times(len(result.measurements), 'measurement')} of {result.name}"
    if drawn:
        text += f", values {number(min(drawn))} to {number(max(drawn))}, newest {number(drawn[-1])}"
    return text + "."


def _at(m: Measurement) -> float | None:
    at = m.finished_at or m.started_at
    return at.timestamp() if at is not None else None


def _said(m: Measurement) -> str:
    at = m.finished_at or m.started_at
    head = f"#{m.ordinal}, {clock(at)}" if at is not None else f"#{m.ordinal}"
    return f"{head}: {m.phase.value}" + (f", value {cut(m.value, 80)}" if m.value else f", {cut(m.message, 120)}")


def values(text: str) -> list[float]:
    """The finite numbers that a measurement's value is: one, or a list of them; none for anything else."""
    text = text.strip()
    found: object
    try:
        found = float(text)
    except ValueError:
        if not text.startswith("[") or len(text) > 100_000:
            return []
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            try:
                found = [float(part) for part in text.strip("[]").replace(",", " ").split()]  # as Go prints NaN
            except ValueError:
                return []
    many = found if isinstance(found, list) else [found]
    numbers = [float(v) for v in many if isinstance(v, int | float) and not isinstance(v, bool)]
    return [v for v in numbers if math.isfinite(v) and abs(v) < LARGEST][:MOST_SERIES]


def thresholds(ready: Ready | None) -> list[Threshold]:
    """The plain comparisons of the result with a number, in both conditions; a condition that is more has none."""
    if ready is None:
        return []
    found: list[Threshold] = []
    for word, source in (("success", ready.metric.success_condition), ("failure", ready.metric.failure_condition)):
        if not source:
            continue
        try:
            tree = prepare_condition(source).tree
        except ExpressionError:
            continue
        found += [Threshold(word, operator, limit) for operator, limit in _comparisons(tree)]
    return found


def _comparisons(node: Node) -> Iterator[tuple[str, float]]:
    if isinstance(node, Logic):
        for part in node.parts:
            yield from _comparisons(part)
    elif isinstance(node, Binary) and node.operator in _MIRRORED:
        left, right = _constant(node.left), _constant(node.right)
        if right is not None and _is_result(node.left):
            yield node.operator, right
        elif left is not None and _is_result(node.right):
            yield _MIRRORED[node.operator], left


def _constant(node: Node) -> float | None:
    if isinstance(node, Unary) and node.operator == "-":
        inner = _constant(node.operand)
        return -inner if inner is not None else None
    if isinstance(node, Literal) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        value = float(node.value) if abs(node.value) < LARGEST else math.inf
        return value if math.isfinite(value) else None
    return None


def _is_result(node: Node) -> bool:
    """`result`, `result[0]`, and these read as a number or with a default."""
    if isinstance(node, Name):
        return node.name == "result"
    if isinstance(node, Member):
        return isinstance(node.key, Literal) and type(node.key.value) is int and _is_result(node.base)
    if isinstance(node, Builtin):
        return node.name in _READERS and bool(node.arguments) and _is_result(node.arguments[0])
    if isinstance(node, Call):
        reads = isinstance(node.callee, Name) and node.callee.name in _READERS
        return reads and bool(node.arguments) and _is_result(node.arguments[0])
    return False


def checklist(result: MetricResult, ready: Ready | None) -> list[Check]:
    """What the metric needs to pass, and how far it was: the arithmetic of its limits."""
    if ready is None:
        return []
    done = result.phase.done
    checks = [_within("failure", result.failed, ready.failure_limit)]
    checks.append(_within("inconclusive measurement", result.inconclusive, ready.inconclusive_limit))
    checks.append(_within("error in a row", result.consecutive_error, ready.error_limit, "errors in a row"))
    if ready.success_limit > 0:
        reached = result.consecutive_success >= ready.success_limit
        text = f"{ready.success_limit} successes in a row: {result.consecutive_success} now"
        checks.append(Check(True if reached else (False if done else None), text))
    if ready.count is not None and ready.count > 0:
        reached = result.count >= ready.count
        text = f"{times(ready.count, 'measurement')} that count{'s' if ready.count == 1 else ''}: {result.count} taken"
        open_ = None if not done or (ready.success_limit > 0 and result.phase is Phase.SUCCESSFUL) else False
        checks.append(Check(True if reached else open_, text))
    return checks


def _within(word: str, used: int, limit: int, plural: str = "") -> Check:
    if limit < 0:
        return Check(True, f"Any number of {plural or word + 's'}: {used} so far")
    if limit == 0:
        return Check(used == 0, f"No {word}: {used} so far")
    many = (plural or word + "s") if limit != 1 else word
    return Check(used <= limit, f"At most {limit} {many}: {used} of {limit} used")
