"""The past as a baseline: what a metric usually is at this phase of its period, and how far innocent days lie off it.

A day here is a window of one period: as long as the run, `period` before it, or two, three, ... periods. A moment's
figure is the median of what the seven periods before it had at its phase. What that figure errs by is learnt from
placebo days: each past day, looked at as if it were the canary's, against the days before it.

Days differ as pods do: one is a little higher than the others throughout. That offset is the noise floor
(`calibration.noise_floor`), and within a run only what moves about the run's own mean is noise. Pure functions.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .calibration import LONGEST_MEMORY, REQUIRED_POINTS, acf, autocorrelation, fences
from .frozen import most
from .looks import ABSURD, Gauge
from .placebo_runs import SHORTEST_RUN, USUAL_RUN, Pair, allowing
from .plan import Calibration, Plan
from .shown import within_usual
from .wandering import block_factor, longer, memory_of

Array = NDArray[np.float64]
Day = Sequence[float | None]
"""One value for each step of a window; None: no data."""

WANTED = 7  # periods that a figure rests on, and without which there is no verdict
REACH = 2 * WANTED  # periods worth reading: the seven, and seven more for the placebos' own past
FEWEST_EARLIER = 3  # periods before a placebo day: a median of fewer tells more of its own noise than of the day's
PRESENT = 0.5  # share of a window that must have data for the period to count
DIGITS = 12  # of a figure, which is kept with every comparison

PlanWith = Callable[[Calibration], Plan]


def figures(days: Sequence[Day]) -> list[float | None]:
    """The median of the first seven days at each step; None where fewer than half of the days that count have a value.

    days: the latest first, of equal lengths.
    """
    latest = days[:WANTED]
    wanted = max((periods(latest) + 1) // 2, 1)
    found: list[float | None] = []
    for values in zip(*latest, strict=True):
        kept = [value for value in values if value is not None and abs(value) < ABSURD]
        found.append(float(f"{median(kept):.{DIGITS}g}") if len(kept) >= wanted else None)
    return found


def periods(days: Sequence[Day]) -> int:
    """How many of the first seven days have data for at least half of their window."""
    return sum(is_present(day) for day in days[:WANTED])


def is_present(day: Day) -> bool:
    return len(day) > 0 and sum(value is not None for value in day) >= PRESENT * len(day)


def placebo_days(days: Sequence[Day]) -> list[list[tuple[float, float]]]:
    """(value, figure) at each step of every day that has enough days before it; steps without either are left out."""
    found = []
    for at, day in enumerate(days):
        earlier = days[at + 1 : at + 1 + WANTED]
        if periods(earlier) < FEWEST_EARLIER:
            continue
        pairs = zip(day, figures(earlier), strict=True)
        kept = [(value, figure) for value, figure in pairs if value is not None and figure is not None]
        if kept:
            found.append(kept)
    return found


def learn(days: Sequence[Day], run: Sequence[Day], plan_with: PlanWith) -> tuple[Calibration, float]:
    """(the calibration, its noise floor in the metric's unit) of a canary that is compared with its past.

    days: as for `figures`; one step is one interval. run: the run's part of them. Fewer than seven periods, too few
    points, or placebo days that fail too often whatever is allowed for: not `sufficient`.
    """
    pairs = placebo_days(days)
    if not pairs:
        return Calibration(), 0.0
    plan = plan_with(Calibration())
    size = max(plan.planned_looks or USUAL_RUN, SHORTEST_RUN)
    positive = all(value > 0 and figure > 0 for day in pairs for value, figure in day)
    log_ratio = positive and plan.margin.absolute is None
    differences = [_differences(day, log_ratio=log_ratio) for day in pairs]
    found = _calibration(differences, size)
    absolute = _calibration([_differences(day, log_ratio=False) for day in pairs], size)
    found = replace(
        found,
        log_ratio=log_ratio,
        baseline=median(figure for day in pairs for _, figure in day),
        repeats=most([[Gauge(value) if value is not None else None for value in day] for day in days]),
    )
    found = replace(found, shown=within_usual(found, differences, plan.margin))
    if not found.sufficient or periods(run) < WANTED:
        return _unsure(found), absolute.noise_floor
    rows: list[list[Pair]] = [[(Gauge(value), Gauge(figure)) for value, figure in day] for day in pairs]
    found, widened, hold = allowing(found, plan_with, rows, _wider)
    return found if hold else _unsure(found), 1.5**widened * absolute.noise_floor


def _differences(day: Sequence[tuple[float, float]], *, log_ratio: bool) -> Array:
    values, past = np.array(day, float).T
    return np.asarray(np.log(values / past) if log_ratio else values - past)


def _calibration(days: Sequence[Array], size: int) -> Calibration:
    """Noise and offsets of differences. size: looks of a run."""
    runs = [run for day in days for run in _runs(day, size)]
    offsets = np.array([run.mean() for run in runs])
    centred = np.concatenate([run - run.mean() for run in runs])
    limits = fences(centred)
    clipped = np.clip(centred, *limits) if limits else centred
    rho = autocorrelation(clipped)
    shortest = min(len(run) for run in runs)
    rho += (1.0 + 3.0 * rho) / shortest  # Kendall's bias, of runs that were each centred about their own mean
    phi = min(max(rho, memory_of(block_factor(clipped))), LONGEST_MEMORY)
    variance = float(clipped.var())
    sampling = float(np.mean([variance / len(run) for run in runs])) * (1.0 + phi) / (1.0 - phi)
    floor = offset_floor(float(np.mean(offsets**2)) - sampling, len(days))
    return Calibration(
        points=len(centred),
        autocorrelation=phi,
        long_run=(1.0 + phi) / (1.0 - phi),
        fence_low=limits[0] - floor if limits else None,
        fence_high=limits[1] + floor if limits else None,
        noise_floor=floor,
        scale=math.sqrt(variance),
        lag_one=acf(clipped, 1)[1],
    )


def _runs(day: Array, size: int) -> list[Array]:
    """A day in stretches as long as a run; what is left over is a run if it is at least half of one."""
    cut = [day[at : at + size] for at in range(0, len(day), size)]
    return [run for run in cut if len(run) >= size / 2] or [day]


def offset_floor(square: float, days: int) -> float:
    """What an innocent day may differ by: t(.99, days) times the root of the mean square offset.

    square: mean square of the days' offsets, without what sampling explains.
    """
    if square <= 0.0 or days < 1:
        return 0.0
    from scipy.special import stdtrit

    return float(stdtrit(days, 0.99)) * math.sqrt(square)


def _wider(found: Calibration) -> Calibration:
    """The same metric with half as much noise again."""
    more = 0.5 * found.noise_floor
    return replace(
        found,
        autocorrelation=longer(found.autocorrelation),
        noise_floor=found.noise_floor + more,
        fence_low=found.fence_low - more if found.fence_low is not None else None,
        fence_high=found.fence_high + more if found.fence_high is not None else None,
    )


def _unsure(found: Calibration) -> Calibration:
    return replace(found, points=min(found.points, REQUIRED_POINTS - 1))
