"""What a comparison will be able to say: before its first look from the look-back, without one from its first looks.

    outlook = after(setup, [None], None)            # before the first look
    outlook = after(setup, [state, ...], outlook)   # after looks, one or many
    text = told(setup, outlook)

A forecast from history stands. One from looks is made anew while they are few (`is_due`), and then stands, too: it says
what was to be expected, and the looks say what came. It follows from the looks, and not from when it is made.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance

from msgspec.structs import replace

from analysis_service.core.compare import season
from analysis_service.core.compare.fixed import Collected
from analysis_service.core.compare.state import Setup, State, evidence_of
from analysis_service.core.digits import chance
from analysis_service.core.statistics import objective, odds_ratio, rate_ratio, sprt, t_test
from analysis_service.core.statistics.conditional import CountState
from analysis_service.core.statistics.group_sequential import GroupState
from analysis_service.core.statistics.histogram import HistogramState
from analysis_service.core.statistics.looks import Histogram
from analysis_service.core.statistics.outlook import Outlook
from analysis_service.core.statistics.outlook_counts import ONCE, outlook_counts, outlook_objective
from analysis_service.core.statistics.outlook_gauge import FEWEST, Noise, noise_of_history, noise_of_run, outlook_gauge
from analysis_service.core.statistics.outlook_histogram import outlook_histogram
from analysis_service.core.statistics.plan import Calibration, Traffic
from analysis_service.core.statistics.sentence import number
from analysis_service.core.statistics.sprt import SprtState
from analysis_service.core.statistics.t_test import TState

SETTLED = 9  # looks of its own after which a forecast is not made anew
_GROWTH = 3  # it is made anew when it could rest on so many times as many
PATIENCE = 60  # looks after which no first forecast is made: by then what comes is seen
_SURE = 1e-6  # a forecast is never surer
_UNSEEN = 0.5  # events taken to have happened where none did
_ONE_ARM = frozenset({objective.NAME})
_COUNTS = ONCE | {rate_ratio.NAME, odds_ratio.NAME, sprt.NAME}
_GAUGES = ONCE | {t_test.NAME}
_FORETOLD = {"counts": _COUNTS | _ONE_ARM, "gauge": _GAUGES}  # tests with a forecast; of histograms every one has


def is_due(setup: Setup, state: State | None, known: Outlook | None) -> bool:
    """Whether a forecast should be made. state: None before the first look. known: the forecast there is.

    Takes a microsecond or two: where it says no, `after` would change nothing.
    """
    if known is None:
        return (state is None or state.looks <= PATIENCE) and _may_speak(setup, state)
    return (
        state is not None
        and known.basis == "looks"
        and known.points < SETTLED
        and state.looks >= _GROWTH * known.points
    )


def after(setup: Setup, states: Sequence[State | None], known: Outlook | None) -> Outlook | None:
    """The forecast after these states, one after the other: the known one, or the last that was made anew."""
    for state in states:
        if is_due(setup, state, known):
            known = foresee(setup, state) or known
    return known


def foresee(setup: Setup, state: State | None) -> Outlook | None:
    """The forecast; None where nothing can be said yet, or never: of an open end, and of tests without a forecast.

    Takes a few milliseconds. Never raises for data.
    """
    if not _has_end(setup):
        return None
    calibration = setup.plan.calibration
    if calibration is not None and calibration.sufficient:
        found = _from_history(setup, calibration)
        if found is not None:
            return replace(found, basis="history", points=calibration.points)
    if state is None or state.looks <= 0:
        return None
    found = _from_looks(setup, state)
    return replace(found, basis="looks", points=_used(state)) if found is not None else None


def _has_end(setup: Setup) -> bool:
    """Whether there is a time in which something could be found."""
    return setup.plan.planned_looks > 0 and not (setup.spec.season is not None and season.why_capped(setup.plan))


def _may_speak(setup: Setup, state: State | None) -> bool:
    """False where `foresee` would have nothing to say, as far as that can be told at a glance."""
    spec, calibration = setup.spec, setup.plan.calibration
    if not _has_end(setup) or spec.test not in _FORETOLD.get(spec.shape, {spec.test}):
        return False
    if calibration is not None and calibration.sufficient:
        return True
    return state is not None and _used(state) >= (FEWEST if spec.shape == "gauge" else 1)


def _from_history(setup: Setup, calibration: Calibration) -> Outlook | None:
    plan, spec, traffic = setup.plan, setup.spec, calibration.traffic
    if spec.shape == "gauge":
        if spec.test not in _GAUGES:
            return None
        noise = noise_of_history(calibration, log_ratio=calibration.log_ratio and plan.margin.relative is not None)
        return _gauge(setup, noise)
    share = plan.expected_share or (traffic.canary_share if traffic is not None else None)
    return _of_traffic(setup, traffic, share) if traffic is not None and share is not None else None


def _of_traffic(setup: Setup, traffic: Traffic, share: float, dispersion: float | None = None) -> Outlook | None:
    plan, spec = setup.plan, setup.spec
    watched = spec.until == "terminated"
    if spec.shape == "histogram":
        if not traffic.edges:
            return None
        per_look = Histogram(traffic.edges, traffic.counts)
        return outlook_histogram(
            plan,
            looks=plan.planned_looks,
            per_look=per_look,
            canary_share=share,
            dispersion=dispersion,
            watched=watched,
        )
    if spec.test not in _COUNTS:
        return None
    return outlook_counts(
        plan,
        looks=plan.planned_looks,
        events_per_look=traffic.events,
        totals_per_look=traffic.total,
        canary_share=share,
        dispersion=dispersion,
        watched=watched,
    )


def _gauge(setup: Setup, noise: Noise | None) -> Outlook | None:
    if noise is None:
        return None
    watched = setup.spec.until == "terminated"
    return outlook_gauge(setup.plan, looks=setup.plan.planned_looks, noise=noise, watched=watched)


def _from_looks(setup: Setup, state: State) -> Outlook | None:
    """From what both arms returned until now; the noise is the calibration's where there is one."""
    plan, test, used = setup.plan, state.test, _used(state)
    if not used:
        return None
    if setup.spec.shape == "gauge":
        if isinstance(test, TState):
            return _gauge(setup, noise_of_run(plan, test))
        if isinstance(test, GroupState) and test.n >= FEWEST and test.square > 0.0:
            return _gauge(setup, Noise(math.sqrt(test.square / (test.n - 1.0)), baseline=test.stable_mean))
        return _gauge(setup, _noise_of_values(test)) if setup.spec.test in ONCE else None
    evidence = evidence_of(setup, state)
    known = plan.calibration is not None and plan.calibration.sufficient
    dispersion = evidence.dispersion if evidence is not None and not known else None
    if isinstance(test, HistogramState):
        n_c, n_s = math.fsum(test.canary), math.fsum(test.stable)
        both = tuple((c + s) / used for c, s in zip(test.canary, test.stable, strict=True))
        traffic = Traffic(total=(n_c + n_s) / used, edges=test.edges, counts=both)
        return _of_traffic(setup, traffic, n_c / (n_c + n_s), dispersion)
    x_c, n_c, x_s, n_s = _counted(test)
    if setup.spec.test in _ONE_ARM:
        return outlook_objective(
            plan,
            looks=plan.planned_looks,
            events_per_look=x_c / used,
            totals_per_look=n_c / used,
            dispersion=dispersion or 1.0,
        )
    if n_c <= 0.0 or n_s <= 0.0:
        return None
    events = x_s / n_s * (n_c + n_s) if x_s > 0.0 else max(x_c, _UNSEEN)  # at stable's rate
    traffic = Traffic(events / used, (n_c + n_s) / used)
    return _of_traffic(setup, traffic, n_c / (n_c + n_s), dispersion)


def _used(state: State) -> int:
    test = state.test
    if not isinstance(test, Collected):
        return int(getattr(test, "used", 0))
    if not test.whole:
        return state.looks
    return sum(math.isfinite(c) and math.isfinite(s) for c, s in zip(test.canary, test.stable, strict=True))


def _counted(test: object) -> tuple[float, float, float, float]:
    if isinstance(test, Collected):
        return test.counts
    if isinstance(test, CountState | SprtState | GroupState):
        return test.x_c, test.n_c, test.x_s, test.n_s
    return 0.0, 0.0, 0.0, 0.0


def _noise_of_values(test: object) -> Noise | None:
    """Of a test of fixed size, which compares the values themselves and not their differences."""
    if not isinstance(test, Collected) or not test.whole:
        return None
    canary, stable = (_finite(values) for values in (test.canary, test.stable))
    if min(len(canary), len(stable)) < FEWEST:
        return None
    spread = variance(canary) + variance(stable)
    return Noise(math.sqrt(spread), baseline=fmean(stable)) if spread > 0.0 else None


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def told(setup: Setup, outlook: Outlook) -> str:
    """The forecast in a sentence or two; the second warns, where a verdict is unlikely, and says what would help."""
    looks = f"{outlook.looks} look{'' if outlook.looks == 1 else 's'}"
    if outlook.basis == "history":
        rests = f"{outlook.points} intervals of history"
    else:
        rests = f"the first {outlook.points} looks" if outlook.points != 1 else "the first look"
    state = "if the rate stays as it is" if setup.spec.test in _ONE_ARM else "without any change"
    text = (
        f"Forecast from {rests}: {looks} find {_smallest(setup, outlook)}; {state} the chance of ending Inconclusive "
        f"is {chance(min(max(outlook.chance_inconclusive, _SURE), 1.0 - _SURE))}."
    )
    return f"{text} {warning(setup, outlook)}" if outlook.unlikely else text


def _smallest(setup: Setup, outlook: Outlook) -> str:
    effect, falls = outlook.smallest_effect, setup.plan.direction == "decrease"
    if effect is None:
        return f"no harm up to x{'1/' if falls else ''}30" if outlook.unit != "difference" else "no harm of any size"
    sign = {"ratio": "x", "difference": "+" if effect > 0 else "", "rate": "a rate of "}[outlook.unit]
    either = ", and as far the other way," if setup.plan.direction == "either" else ""
    return f"harm of {sign}{number(effect)} and {'below' if falls else 'above'}{either} four times in five"


def warning(setup: Setup, outlook: Outlook) -> str:
    """That a verdict is unlikely, and what would make one likelier."""
    spec, plan, calibration = setup.spec, setup.plan, setup.plan.calibration
    ways = []
    if outlook.wanted_looks is not None:
        ways.append(f"a maxDuration of about {_span(outlook.wanted_looks * spec.interval.total_seconds())}")
    elif spec.test not in ONCE:
        ways.append("a much longer maxDuration")
    if spec.test not in _ONE_ARM:
        ways.append("a larger margin")
    if spec.shape != "gauge":
        share = outlook.canary_share
        ways.append("more traffic to the canary" if share is not None and share < 0.4 else "more traffic")
    if spec.shape == "counts" and plan.absolute_floor is None and plan.direction != "decrease":
        ways.append("an absoluteFloor below which no rate matters")
    if spec.shape == "gauge" and (calibration is None or not calibration.sufficient):
        ways.append("a look-back (lookback, from a provider that has history)")
    if spec.season is not None:
        ways.append("a stable version beside the canary, as what all versions share then cancels")
    elif spec.shape == "gauge" and calibration is not None and calibration.noise_floor > 0.0:
        ways.append("more pods, as single ones differ among themselves")
    return f"Warning: it will probably end Inconclusive, even if nothing is wrong; what would help: {', '.join(ways)}."


def _span(seconds: float) -> str:
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{math.ceil(seconds)} s"
