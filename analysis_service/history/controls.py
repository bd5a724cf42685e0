"""Negative controls of a test: what the canary is compared with, on both sides, and made worse in the canary's place.

The first must not fail. The second must, or it is said why it did not: a test whose data could not have shown harm
shows nothing by passing.
"""

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as fields_replaced
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from analysis_service.core.compare.asks import CANARY, LEVEL, STABLE
from analysis_service.core.compare.reading import PROCESS
from analysis_service.core.compare.season import figure_at
from analysis_service.core.compare.spec import Spec, comparison_of, parse
from analysis_service.core.model import MetricResult, Phase, RunSpec
from analysis_service.core.prepare import prepare
from analysis_service.history.base import Frame, Series
from analysis_service.history.replay import Question, replay
from analysis_service.history.shift import harmed

if TYPE_CHECKING:
    from analysis_service.core.statistics.plan import Calibration, Season

USUAL_HARM = 2.0  # times the margin: what a control injects
_NO_CONTROL = frozenset({"kayenta", "sample-ratio", "objective"})


@dataclass(frozen=True, slots=True)
class Control:
    """A negative control of one comparison. found: what the run made of it; fine: as it should be, or explained."""

    metric: str
    kind: str  # "same" or "harm"
    fine: bool
    text: str


async def controls_of(
    spec: RunSpec,
    asked: Sequence[Question],
    frames: Mapping[str, Frame],
    start: datetime,
    end: datetime,
    *,
    harm: float,
    past: "Callable[[str, Spec], Awaitable[Calibration | None]]",
) -> AsyncIterator[Control]:
    """Of every comparison that has any. harm: how many times worse; 0: twice the margin. past: `replay`'s calibrate."""
    for index, ready in enumerate(prepare(spec).metrics):
        written = comparison_of(ready.metric.provider)
        if written is None:
            continue
        compared = parse(written, ready.interval)
        if (compared.single_arm and compared.season is None) or compared.test in _NO_CONTROL:
            continue
        mine = [one for one in asked if one.asked.metric == ready.name]
        factor = harm or harm_of(compared)
        if factor > 1.0 and compared.settings.get("direction") == "decrease":
            factor = 1.0 / factor
        # alone: another metric's verdict must not end the run before this one's
        alone = replace(spec, metrics=(spec.metrics[index],), dry_run=(), measurement_retention=())
        known = await past(ready.name, compared) if compared.season is not None else None
        for kind, worse in (("same", 1.0), ("harm", factor)):
            if compared.season is None:
                swapped = with_stable_twice(compared, mine, frames, worse)
            else:
                season = known.season if known is not None else None
                swapped = with_past_twice(compared, mine, frames, season, worse, start, end)
            if swapped is None:
                continue
            result = (await replay(alone, swapped, start, end, calibrate=past)).run.result(ready.name)
            yield _judged(ready.name, kind, result, worse, "stable" if compared.season is None else "the past")


def harm_of(spec: Spec) -> float:
    """How many times worse the injected harm is: well beyond the margin, in the direction that is bad."""
    relative = spec.margin.relative
    factor = USUAL_HARM * (1.0 + relative) if relative is not None else 3.0
    return 1.0 / factor if spec.settings.get("direction") == "decrease" else factor


def with_stable_twice(
    spec: Spec, asked: Sequence[Question], frames: Mapping[str, Frame], factor: float
) -> dict[str, Frame] | None:
    """The frames with stable's data, made `factor` times worse, in the canary's place; None without stable's data."""
    growth = {(ask.arm, ask.part): ask.growth for ask in spec.asks}
    stable = {one.asked.part: frames.get(one.key) for one in asked if one.asked.arm == STABLE}
    swapped = dict(frames)
    for one in asked:
        if one.asked.arm != CANARY:
            continue
        source = stable.get(one.asked.part)
        if source is None or not source.points:
            return None
        counter = growth[STABLE, one.asked.part] is None
        swapped[one.key] = harmed(one.asked.part, _others(source), factor, counter=counter)
    return swapped


def _others(frame: Frame) -> Frame:
    """The same of other processes: a canary that is stable itself would be told as such."""
    series = tuple(
        Series({name: f"control:{text}" if name in PROCESS else text for name, text in one.labels.items()},
               one.times, one.values)
        for one in frame.series
    )  # fmt: skip
    return fields_replaced(frame, series=series)


def with_past_twice(
    spec: Spec,
    asked: Sequence[Question],
    frames: Mapping[str, Frame],
    season: "Season | None",
    factor: float,
    start: datetime,
    end: datetime,
) -> dict[str, Frame] | None:
    """The frames with the past's figures, made `factor` times worse, in the canary's place; None without figures."""
    if season is None or not season.figures:
        return None
    looks = (start.timestamp() + k * spec.interval.total_seconds() for k in range((end - start) // spec.interval + 1))
    found = [(at, figure) for at in looks if (figure := figure_at(season, at)) is not None]
    if not found:
        return None
    series = Series({}, array("d", [at for at, _ in found]), array("d", [figure for _, figure in found]))
    swapped = dict(frames)
    for one in asked:
        if one.asked.arm == CANARY:
            past = Frame((series,), start, end, spec.interval, spec.interval, frames[one.key].scalar)
            swapped[one.key] = harmed(LEVEL, past, factor)
    return swapped


def said_of(result: MetricResult) -> str:
    last = result.measurements[-1] if result.measurements else None
    said = (result.reason, last.reason if last else "", result.message)
    return " ".join(dict.fromkeys(text for text in said if text))


def _judged(name: str, kind: str, result: MetricResult | None, factor: float, of: str) -> Control:
    phase = result.phase if result is not None else Phase.PENDING
    said = (said_of(result) if result is not None else "") or "no reason"
    if kind == "same":
        if phase is Phase.FAILED:
            return Control(name, kind, False, f"{of}'s data on both sides failed: {said}")
        return Control(name, kind, True, f"{of}'s data on both sides: {phase.value or 'Pending'}")
    harm = f"harm of x{factor:.3g}"
    if phase is Phase.FAILED:
        return Control(name, kind, True, f"{harm} in the canary's place: Failed, as it must")
    if phase is Phase.SUCCESSFUL:
        return Control(name, kind, False, f"{harm} in the canary's place was passed: {said}")
    return Control(name, kind, True, f"{harm} in the canary's place was not found: {said}")
