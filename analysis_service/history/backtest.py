"""Templates over past data: how often an innocent version would have failed, and what harm would have been found.

Comparisons are judged on placebo pairs of the stable version (see `core.statistics.placebo`): its processes in the
canary's place, window by window, each calibrated by what lies before it, as live. Then the placebo canary is made worse
from the window's first look on. A test of fixed size needs no calibration: it is judged once in each window, at its
deadline (or at its planned looks). A comparison with a season has the days before each window for its past. Plain
metrics are replayed window by window; on data that were healthy every failure of theirs is a false alarm.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from analysis_service.core.compare import fixed
from analysis_service.core.compare.asks import CANARY, STABLE
from analysis_service.core.compare.season import WANTED_PERIODS
from analysis_service.core.compare.spec import KAYENTA, Spec, comparison_of, parse, plan_of, share_of
from analysis_service.core.model import Phase, RunSpec
from analysis_service.core.prepare import Ready, prepare
from analysis_service.core.statistics import placebo
from analysis_service.core.statistics.looks import ArmData, Look
from analysis_service.core.statistics.placebo_runs import EPOCH, Pair
from analysis_service.core.statistics.plan import Calibration, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step
from analysis_service.core.statistics.worse import worse
from analysis_service.history import season
from analysis_service.history.base import Asked, Frame, History
from analysis_service.history.calibrating import pod_rows, pods_of
from analysis_service.history.replay import questions, replay
from analysis_service.history.shift import scaled
from providers.base import BadQuery, NoData

LEARNINGS = 20  # calibrations of one backtest; windows between two of them share the earlier one
LOOK_BACK_POINTS = 720
UNPLANNED_LOOKS = 40  # of a comparison without maxDuration
MOST_PLAIN = 200  # windows of a plain metric

Progress = Callable[[int, int], None]
"""(done, of so many)."""


@dataclass(slots=True)
class Tally:
    """What windows of one metric came to, under one effect. effect 1: nothing was changed."""

    metric: str
    effect: float
    alpha: float | None  # the chance of a false alarm that was asked for; None: nobody asked for one
    look_seconds: float
    runs: int = 0
    failed: int = 0
    passed: int = 0
    delays: tuple[int, ...] = ()  # looks until it failed
    calibrated: int = 0  # runs whose look-back was long enough

    @property
    def rate(self) -> float:
        return self.failed / self.runs if self.runs else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.failed, self.runs)

    def add(self, failed_at: int, passed: bool, calibrated: bool) -> None:
        self.runs += 1
        self.failed += bool(failed_at)
        self.passed += passed and not failed_at
        self.calibrated += calibrated
        self.delays += (failed_at,) if failed_at else ()

    def delay(self, share: float) -> float | None:
        """Looks after which this share of those that failed had failed."""
        if not self.delays:
            return None
        ordered = sorted(self.delays)
        return float(ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1])


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson (1927)."""
    if n == 0:
        return 0.0, 1.0
    p, d = hits / n, 1.0 + z * z / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max((middle - half) / d, 0.0), min((middle + half) / d, 1.0)


async def backtest(
    history: History,
    spec: RunSpec,
    start: datetime,
    end: datetime,
    effects: Sequence[float],
    *,
    most_runs: int = 400,
    progress: Progress = lambda done, of: None,
) -> list[Tally]:
    """A tally for each metric and effect. effects: times worse, 1 for none. Raises ProviderError.

    Blocks: run it where nobody waits for the loop.
    """
    found: list[Tally] = []
    prepared = prepare(spec).metrics
    asked = questions(spec)
    for index, ready in enumerate(prepared):
        written = comparison_of(ready.metric.provider)
        mine = [one.asked for one in asked if one.asked.metric == ready.name]
        if written is None:
            alone = replace(spec, metrics=(spec.metrics[index],), dry_run=(), measurement_retention=())
            found += await _plain(history, ready, alone, mine[0], start, end, effects, most_runs, progress)
            continue
        compared = parse(written, ready.interval)
        share = share_of(ready.name, [(one.metric, one.dry_run) for one in prepared])
        if compared.season is not None:
            found += _seasonal(history, ready.name, compared, share, start, end, effects, most_runs, progress)
            continue
        if compared.single_arm:
            raise BadQuery(
                f"{ready.name}: {compared.test} has no placebo: it holds the canary to a number and compares it with "
                "nothing. Give it a stable arm and a margin, or leave --placebo out for one run over the data"
            )
        found += _compared(history, ready.name, compared, share, mine, start, end, effects, most_runs, progress)
    return found


def _compared(
    history: History,
    name: str,
    spec: Spec,
    share: float,
    asked: Sequence[Asked],
    start: datetime,
    end: datetime,
    effects: Sequence[float],
    most_runs: int,
    progress: Progress,
) -> list[Tally]:
    frames = {one.part: history.range(one, start, end, spec.interval) for one in asked if one.arm == STABLE}
    try:
        canary = len(pods_of(history.range(next(o for o in asked if o.arm == CANARY), start, end, spec.interval)))
    except NoData:
        canary = 1
    pods = pod_rows(spec, frames, start, end)
    if len(pods) == 1:
        canary = 1
    canary_pods = min(max(canary, 1), max(len(pods) - 1, 1))
    plan = plan_of(spec, share)
    size = max(plan.planned_looks, 1) if spec.once else plan.planned_looks or UNPLANNED_LOOKS
    pairs = [rows for rows in placebo.pairs_of(pods, canary_pods) if rows]
    windows = _windows(pairs, size, most_runs)
    if not windows:
        points = max((len(rows) for rows in pairs), default=0)
        raise NoData(f"{name}: {points} intervals of stable's data; one run takes {size}")
    asked_for = None if spec.test == KAYENTA else plan.alpha  # it promises nothing
    tallies = [Tally(name, effect, asked_for, spec.interval.total_seconds()) for effect in effects]
    if spec.once:
        for done, (rows, at) in enumerate(windows, start=1):
            for tally in tallies:
                failed_at, passed = _judged_once(name, spec, plan, rows[at : at + size], tally.effect)
                tally.add(failed_at, passed, True)
            progress(done, len(windows))
        return tallies
    learnt: dict[int, Calibration] = {}
    every = max(1, math.ceil(max(at for _, at in windows) / LEARNINGS))
    scale = 2 if len(pods) == 1 else 1  # one process is compared with itself: every pair takes two intervals
    for done, (rows, at) in enumerate(windows, start=1):
        slot = at // every * every
        if slot not in learnt:
            back = [row[max(scale * slot - LOOK_BACK_POINTS, 0) : scale * slot] for row in pods]
            learnt[slot] = placebo.learn(back, canary_pods, lambda found: plan_of(spec, share, found))
        calibrated = replace(plan, calibration=learnt[slot])
        for tally in tallies:
            failed_at, passed = _judged(calibrated, rows[at : at + size], tally.effect)
            tally.add(failed_at, passed, learnt[slot].sufficient)
        progress(done, len(windows))
    return tallies


def _seasonal(
    history: History,
    name: str,
    spec: Spec,
    share: float,
    start: datetime,
    end: datetime,
    effects: Sequence[float],
    most_runs: int,
    progress: Progress,
) -> list[Tally]:
    """Every stretch of the past as if it were the canary's, against the days before it."""
    stretch, plan = season.stretch_of(history, name, spec, start, end), plan_of(spec, share)
    size = plan.planned_looks or UNPLANNED_LOOKS
    starts = stretch.starts(size)
    if not starts:
        raise NoData(f"{name}: {len(stretch.values) - stretch.before} intervals of data; one run takes {size}")
    chosen = [starts[k * len(starts) // min(len(starts), most_runs)] for k in range(min(len(starts), most_runs))]
    tallies = [Tally(name, effect, plan.alpha, spec.interval.total_seconds()) for effect in effects]
    every = math.ceil(len(chosen) / LEARNINGS)
    learnt = Calibration()
    for done, at in enumerate(chosen):
        days = stretch.days(at)
        if done % every == 0:
            learnt = season.learn(days)
        enough = season.periods_of(days) >= WANTED_PERIODS
        rows = season.pairs_of(days, stretch.values[at : at + size])
        for tally in tallies:
            judged = _judged(replace(plan, calibration=learnt), rows, tally.effect) if enough else (0, False)
            tally.add(*judged, enough and learnt.sufficient)
        progress(done + 1, len(chosen))
    return tallies


def _windows(pairs: Sequence[Sequence[Pair]], size: int, most: int) -> list[tuple[Sequence[Pair], int]]:
    """(pair, first look) of every run, spread evenly where there are too many."""
    found = [(rows, at) for rows in pairs for at in range(0, len(rows) - size + 1, size)]
    found.sort(key=lambda one: one[1])
    if len(found) <= most:
        return found
    return [found[k * len(found) // most] for k in range(most)]


def _judged(plan: Plan, rows: Sequence[Pair], effect: float) -> tuple[int, bool]:
    """(look of FAIL or 0, passed). A run goes on after a pass: what it would have missed counts as found late."""
    family = families()[plan.test]
    state, verdict = family.start(plan), VerdictState()
    for number, (canary, stable) in enumerate(rows, start=1):
        data: ArmData | None = canary if effect == 1.0 or canary is None else worse(canary, effect, plan.direction)
        look = Look(number, EPOCH, data, stable, elapsed_seconds=plan.planned_seconds * number / max(len(rows), 1))
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
        if verdict.outcome:
            break
    return verdict.failed_at, verdict.outcome == "pass"


def _judged_once(name: str, spec: Spec, plan: Plan, rows: Sequence[Pair], effect: float) -> tuple[int, bool]:
    """(look of FAIL or 0, passed) of a test that is judged at planned looks, as `core.compare.state` folds it."""
    state, verdict = fixed.begin(), VerdictState()
    for number, (canary, stable) in enumerate(rows, start=1):
        data: ArmData | None = canary if effect == 1.0 or canary is None else worse(canary, effect, plan.direction)
        seconds = plan.planned_seconds * number / len(rows)
        look = Look(number, EPOCH, data, stable, elapsed_seconds=seconds)
        state = fixed.update(state, look)
        _, verdict = fixed.decide(name, spec, plan, state, verdict, look)
        state = fixed.judged(state, spec, look)
        if verdict.outcome:
            break
    return verdict.failed_at, verdict.outcome == "pass"


async def _plain(
    history: History,
    ready: Ready,
    spec: RunSpec,
    asked: Asked,
    start: datetime,
    end: datetime,
    effects: Sequence[float],
    most_runs: int,
    progress: Progress,
) -> list[Tally]:
    every = ready.interval or timedelta(minutes=1)
    frame = history.range(asked, start, end, every)
    looks = ready.count or UNPLANNED_LOOKS
    size = looks * every
    starts = list(_starts(start, end, size, min(most_runs, MOST_PLAIN)))
    if not starts:
        raise NoData(f"{ready.name}: the data span {end - start}; one run takes {size}")
    tallies = [Tally(ready.name, effect, None, every.total_seconds()) for effect in effects]
    key = questions(spec)[0].key
    for done, at in enumerate(starts, start=1):
        for tally in tallies:
            changed: Frame = scaled(frame, tally.effect, from_time=at.timestamp())
            run = (await replay(spec, {key: changed}, at, at + size)).run
            result = run.result(ready.name)
            failed = result.taken if result is not None and result.phase is Phase.FAILED else 0
            tally.add(failed, result is not None and result.phase is Phase.SUCCESSFUL, True)
        progress(done, len(starts))
    return tallies


def _starts(start: datetime, end: datetime, size: timedelta, most: int) -> Iterator[datetime]:
    count = math.floor((end - start) / size)
    used = min(count, most)
    for k in range(used):
        yield start + (k * count // used) * size
