"""One look, from what both arms answered to what follows from it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from analysis_service.core.compare import foresight, interval, schedule, season, state, telling
from analysis_service.core.compare.asks import CANARY, EVENTS, STABLE, TOTALS
from analysis_service.core.compare.interval import Memory, Readings
from analysis_service.core.compare.spec import Spec, parse, plan_of
from analysis_service.core.compare.state import Setup, State
from analysis_service.core.compare.telling import Ending
from analysis_service.core.model import Look as StoredLook
from analysis_service.core.model import Metric, Phase
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.outlook_gauge import FEWEST


@dataclass(frozen=True, slots=True)
class Looked:
    """memory: for the next look.

    All else is None where these were the first readings of counters: no look yet.
    """

    memory: Memory
    state: State | None = None
    look: StoredLook | None = None
    ending: Ending | None = None
    guarantee: str = ""
    sample_ratio: str = ""

    @property
    def decided(self) -> bool:
        """Whether the comparison has ended with this look."""
        return self.ending is not None and self.ending.phase is not Phase.RUNNING


def look(
    setup: Setup,
    metric: Metric,
    before: State,
    memory: Memory,
    readings: Readings,
    started: datetime,
    at: datetime,
) -> Looked:
    """The look that was asked for at `at`. Never raises for data."""
    memory, taken = take(setup.spec, memory, readings, before.looks + 1, started, at)
    if taken is None:
        return Looked(memory)
    over = schedule.is_over(started, setup.spec.max_duration, at)
    return replace(judge(setup, metric, before, taken, over=over), memory=memory)


def take(
    spec: Spec, memory: Memory, readings: Readings, number: int, started: datetime, at: datetime
) -> tuple[Memory, Look | None]:
    """The look as data, not judged; None where these were the first readings of counters."""
    memory, found = interval.take(spec, memory, readings, at.timestamp())
    if found.first and not schedule.is_over(started, spec.max_duration, at):
        return memory, None
    return memory, Look(
        number=number,
        at=at,
        canary=found.canary,
        stable=found.stable,
        weight_percent=found.weight_percent,
        gaps=found.gaps,
        flags=found.flags,
        elapsed_seconds=(at - started).total_seconds(),
    )


def judge(setup: Setup, metric: Metric, before: State, taken: Look, *, over: bool) -> Looked:
    """What follows from a look that was taken. over: it is the last one."""
    if setup.spec.season is not None:
        taken = season.with_past(setup.plan, taken)
    after, told = state.step(setup, before, taken)
    return Looked(
        Memory(),
        after,
        state.stored(taken, told),
        telling.after_look(setup, metric, told, over=over),
        telling.guarantee(setup.spec, told),
        telling.sample_ratio(told),
    )


def missed(before: int, why: str, started: datetime, at: datetime) -> StoredLook:
    """The look whose query failed, or could not be asked. before: how many looks came before it."""
    taken = Look(number=before + 1, at=at, missed=why, elapsed_seconds=(at - started).total_seconds())
    return state.stored(taken, None)


def warm_up() -> None:
    """Weigh something once with each usual test, so that tables and imports are there before the first real look."""
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    data: dict[str, Callable[[float], ArmData]] = {  # what does not change is not weighed, nor what drifts
        "counts": lambda by: Counts(by, 9.0 * by),
        "gauge": Gauge,
        "histogram": lambda by: Histogram((1.0, 2.0), (30.0 * by, 20.0, 10.0)),
    }
    for shape, some in data.items():
        query = {"web": {"url": "{{arm.v}}"}}
        written = {shape: {EVENTS: query, TOTALS: query} if shape == "counts" else query}
        arms = {CANARY: {"v": "c"}, STABLE: {"v": "s"}}
        spec = parse({"arms": arms, "margin": {"relative": 0.5}, "maxDuration": "10s", **written}, timedelta(seconds=1))
        setup = Setup("", spec, plan_of(spec, 1.0))
        now = state.begin(setup)
        for number in range(1, FEWEST + 1):
            now, told = state.step(setup, now, Look(number, moment, some(number), some(number + number % 2)))
            telling.after_look(setup, Metric(""), told, over=True)
        foresight.foresee(setup, now)
