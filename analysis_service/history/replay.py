"""A run over past data as if live: the same planning, asking, judging and settling, under a clock that jumps.

Nothing here decides: `core.reconcile` plans and settles, `Measurer` asks a provider that answers from frames. So a
replayed verdict is the verdict that the engine would have given.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from analysis_service.asking import Asker, unwrap
from analysis_service.core.compare.spec import SpecError, comparison_of, parse
from analysis_service.core.model import Look, Run, RunSpec
from analysis_service.core.prepare import prepare
from analysis_service.core.reconcile import plan, settle, terminate
from analysis_service.core.secret_arguments import reference
from analysis_service.history.base import Asked, Frame
from analysis_service.history.recording import key_of
from analysis_service.measuring import Measurer
from analysis_service.secrets import Secrets
from analysis_service.stores.base import Page
from analysis_service.telemetry import Telemetry
from providers.base import Answer, BadQuery, Context, NoData, Spec

TICK = timedelta(microseconds=1)
STAND_IN = "secret"  # what a secret argument is worth to past data
MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """One query of a template. every: how often it is asked; None: once.

    optional: the run goes on without it, as live.
    """

    asked: Asked
    every: timedelta | None
    optional: bool = False

    @property
    def key(self) -> str:
        name, spec = unwrap(self.asked.provider)
        return key_of({name: spec})


@dataclass(frozen=True, slots=True)
class Replayed:
    """The run as it ended, and every look of its comparisons. ran_out: the data ended before the run did."""

    run: Run
    looks: Mapping[str, tuple[Look, ...]]
    ran_out: bool
    ended_at: datetime


def without_secrets(spec: RunSpec) -> RunSpec:
    """The spec with a word in place of each secret: past data need no credentials."""
    args = tuple(
        argument
        if reference(argument, strict=spec.strict) is None
        else replace(argument, value=STAND_IN, value_from=None)
        for argument in spec.args
    )
    return replace(spec, args=args)


def questions(spec: RunSpec) -> tuple[Question, ...]:
    """Every query that a run of this spec asks. Raises BadQuery for what cannot be replayed, and says why."""
    prepared = prepare(spec)
    if prepared.error:
        raise BadQuery(prepared.error)
    found: list[Question] = []
    for ready in prepared.metrics:
        after = ready.delay or timedelta()
        written = comparison_of(ready.metric.provider)
        if written is None:
            name, inner = unwrap(ready.metric.provider)
            if name == "prometheus" and inner.get("rangeQuery"):
                raise BadQuery(
                    f"{ready.name}: a rangeQuery cannot be replayed: each answer of it is many values, and past data "
                    "have one for each moment. Ask for the same in an instant, as avg_over_time((QUERY)[1h:1m])"
                )
            found.append(Question(Asked(ready.name, ready.metric.provider, after=after), ready.interval))
            continue
        try:
            parsed = parse(written, ready.interval)
        except SpecError as error:
            raise BadQuery(f"{ready.name}: compare: {error}") from None
        mine = [Question(Asked(ready.name, ask.union, ask.arm, ask.part, after), ready.interval) for ask in parsed.asks]
        if len({question.key for question in mine}) < len(mine):
            raise BadQuery(f"{ready.name}: both arms ask the same query: use {{{{arm.x}}}} in it")
        found += mine
        if (weight := parsed.weight) is not None:
            asked = Asked(ready.name, weight.union, weight.arm, weight.part, after)
            found.append(Question(asked, ready.interval, optional=True))
    return tuple(found)


def begins(asked: Sequence[Question], first: datetime) -> datetime:
    """When a run began whose first answer was recorded at `first`: an initialDelay before it, where all have one."""
    return first - min((one.asked.after for one in asked), default=timedelta())


def ends(frames: Iterable[Frame], last: datetime) -> datetime:
    """When all answers of a recording have been heard, the last of which came at `last`."""
    newest = (one.times[-1] for frame in frames for one in frame.series if one.times)
    return max([last, *(datetime.fromtimestamp(t, UTC) for t in newest)])


async def replay(
    spec: RunSpec, frames: Mapping[str, Frame], start: datetime, end: datetime, *, calibrate: Any = None
) -> Replayed:
    """Run `spec` from `start`; a run that has not ended at `end` is terminated there, as by hand.

    frames: by `Question.key`. calibrate: as `Comparer.calibrate`.
    """
    clock = JumpingClock(start)
    asker = Asker(lambda name: FrameProvider(name, frames), Secrets([]), clock, Telemetry())
    measurer = Measurer(asker, clock)
    measurer.comparer.settling.calibrate = calibrate
    measurer.comparer.settling.grace_seconds = math.inf  # a clock that jumps must not outrun the look-back
    measurer.comparer.foretelling.at_once = True  # nor the forecasts
    run = Run(id="replay", namespace="default", name="replay", spec=spec, created_at=start)
    kept: dict[tuple[str, int], list[Look]] = {}

    async def stored(run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]:
        found: tuple[Look, ...] = tuple(kept.get((metric, ordinal), ()))
        return Page(found)

    ran_out = False
    for _ in range(MOST_STEPS):
        step = plan(run, clock.at)
        taken, looks, described = await measurer.take(step, stored)
        for slot, some in looks.items():
            kept.setdefault(slot, []).extend(some)
        step = settle(step.run, taken, clock.at, described)
        run = step.run
        if run.phase.done:
            break
        if step.wake_at is None or step.wake_at > end:
            ran_out, clock.at = True, max(end, clock.at)
            run = terminate(run)
        else:
            clock.at = max(step.wake_at, clock.at + TICK)
    by_metric: dict[str, tuple[Look, ...]] = {}
    for (metric, _), taken_looks in kept.items():
        by_metric[metric] = (*by_metric.get(metric, ()), *taken_looks)
    return Replayed(run, by_metric, ran_out, clock.at)


@dataclass(slots=True)
class JumpingClock:
    """It is the time that the replay has reached, for everybody."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def wall(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@dataclass(slots=True)
class FrameProvider:
    """Answers any provider's questions from past data."""

    name: str
    frames: Mapping[str, Frame] = field(repr=False)

    def check(self, spec: Spec) -> list[str]:
        return []

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {}

    def timeout_seconds(self, spec: Spec) -> float:
        return 60.0

    def credentials(self, spec: Spec, context: Context) -> str:
        return ""

    async def query(self, spec: Spec, context: Context) -> Answer:
        frame = self.frames.get(key_of({self.name: spec}))
        if frame is None:
            raise NoData("there are no data for this query")
        answer = frame.answer(context.at)
        if frame.scalar and not answer.samples:
            raise NoData("no data were returned")
        return answer

    async def close(self) -> None:
        return None
