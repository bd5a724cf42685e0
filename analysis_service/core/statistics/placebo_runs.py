"""The whole rule on placebo pairs, look by look: how often it fails falsely, and what noise must be allowed for.

Nothing has changed between the arms of a placebo pair, so that every run that fails is a false alarm. The pairs are cut
into runs as long as the comparison's own, and taken in turns until the work is done. A look at a histogram is as much
work as several at counts, one for each edge that is judged: it gets fewer runs for that, but never fewer than ENOUGH
where there are so many, since of a handful no rate can be told.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, zip_longest

import msgspec

from .buckets import MOST_EDGES
from .looks import ArmData, Histogram, Look
from .plan import Calibration, Margin, Plan
from .registry import families
from .verdict import VerdictState, step

Row = ArmData | None
Pair = tuple[Row, Row]
Run = Sequence[Pair]

MOST_LOOKS = 5000  # of all runs together, at counts or a gauge: a third of a second of one core
EDGE_WORK = 0.6  # of a histogram's edge at one look, in looks at counts
ENOUGH = 30  # runs: a rate of four times the usual alpha shows in nearly nine out of ten look-backs
SHORTEST_RUN, USUAL_RUN = 10, 40  # looks of one placebo run, where the comparison plans none
WIDENINGS = 6  # how often the noise is taken for half as much again before the metric is called uncalibrated
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Placebos(msgspec.Struct, frozen=True):
    """How often the whole rule failed falsely on placebo runs. runs 0: there was not enough history for one."""

    runs: int = 0
    failed: int = 0

    @property
    def rate(self) -> float | None:
        return self.failed / self.runs if self.runs else None

    def too_many(self, alpha: float) -> bool:
        """More than alpha and two standard errors: not to be blamed on chance."""
        return self.runs > 0 and self.failed / self.runs > alpha + 2.0 * math.sqrt(alpha * (1.0 - alpha) / self.runs)


def allowing(
    found: Calibration,
    plan_with: Callable[[Calibration], Plan],
    pairs: Sequence[Run],
    wider: Callable[[Calibration], Calibration],
) -> tuple[Calibration, int, bool]:
    """(the calibration with its placebos' rate, how often its noise was widened, whether the placebos hold then).

    wider: the same calibration with more noise. What did not fail does not with more noise either: only the runs that
    failed are run again.
    """
    runs = runs_of(plan_with(found), pairs)
    failing: Sequence[Run] = runs
    for widened in range(WIDENINGS + 1):
        plan = plan_with(found)
        failing = [run for run in failing if fails(plan, run)]
        placebos = Placebos(len(runs), len(failing))
        found = msgspec.structs.replace(found, placebo_false_alarm=placebos.rate)
        if not placebos.too_many(plan.alpha):
            return found, widened, True
        if widened < WIDENINGS:
            found = wider(found)
    return found, WIDENINGS, False


def run_placebos(plan: Plan, pairs: Sequence[Run]) -> Placebos:
    """The whole rule on every run that there is time for."""
    runs = runs_of(plan, pairs)
    return Placebos(len(runs), sum(fails(plan, run) for run in runs))


def runs_of(plan: Plan, pairs: Sequence[Run]) -> list[Run]:
    """The runs that there is time for: first one of every pair, then the second of every pair, ..."""
    size = min(max(plan.planned_looks or USUAL_RUN, SHORTEST_RUN), max(len(rows) for rows in pairs))
    return list(islice(_stretches(pairs, size), most_runs(size, next(rows[0][0] for rows in pairs))))


def most_runs(looks: int, data: Row) -> int:
    """Runs of so many looks at such data."""
    work = max(EDGE_WORK * min(len(data.edges), MOST_EDGES), 1.0) if isinstance(data, Histogram) else 1.0
    most = MOST_LOOKS / looks
    return math.ceil(max(most / work, min(most, ENOUGH)))


def fails(plan: Plan, run: Run) -> bool:
    """Whether a run would fail, looked at every time. Its length is the planned one."""
    family = families()[plan.test]
    plan = msgspec.structs.replace(plan, planned_looks=len(run), planned_seconds=0.0)
    if plan.fail_at == "noharm" and isinstance(run[0][0], Histogram):
        plan = msgspec.structs.replace(plan, margin=Margin())  # half of the work is for the margin, to no end here
    state, verdict = family.start(plan), VerdictState()
    for number, (canary, stable) in enumerate(run, start=1):
        look = Look(number, EPOCH, canary, stable)
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
        if verdict.outcome == "fail":
            return True
    return False


def _stretches(pairs: Sequence[Run], size: int) -> Iterator[Run]:
    cut = [[rows[at : at + size] for at in range(0, len(rows) - size + 1, size)] for rows in pairs]
    for turn in zip_longest(*cut):
        for rows in turn:
            if rows is not None:
                yield rows
