"""The outlook of counts: rate ratios between two arms, and a rate against an objective."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from . import last_counts, odds_ratio, rate_ratio
from .crossing import POWER, Array, Points, at_end, critical_events, crossing, smallest
from .mixture import distances
from .outlook import Outlook, found_first, looks_wanted
from .plan import MAX_LOG_RATIO, Calibration, Plan, harm_sign, margin_log_ratio
from .rate_bound import rate_upper
from .starts import FIRST

_NORMAL = NormalDist()
ONCE = frozenset({"group-sequential", "fisher-exact", "poisson-e", "welch", "tost", "mann-whitney", "brunner-munzel"})
BETTING = frozenset({rate_ratio.NAME, odds_ratio.NAME})  # on the last look
_GUESS = 4.0  # standard errors from the null that most limits lie at
_FEW = 200.0  # events up to which Poisson chances are summed


@dataclass(frozen=True, slots=True)
class Expected:
    """One comparison of events at the end, per row of shape (K,). S, the log partition function, is scale * f(psi)."""

    canary: Array  # events expected of the canary
    error: Array  # their standard deviation
    scale: Array
    f: Callable[[Array], Array]  # of log ratios, shape (D,) -> (D,)
    share: Callable[[float], float]  # of `scale`, what the canary is expected to have at a log ratio
    most: Array  # events it can have

    def rows(self, part: NDArray[np.bool_]) -> "Expected":
        """Only these rows."""
        canary, error, scale, most = (column[part] for column in (self.canary, self.error, self.scale, self.most))
        return Expected(canary, error, scale, self.f, self.share, most)


def side(
    expected: Expected, *, null: float, sign: int, limit: float, phi: Array, points: Points
) -> tuple[Array, Array]:
    """(distance, bound) for showing that the log ratio lies beyond `null` in direction `sign`; NaN: out of reach."""
    middle = expected.scale * expected.share(null)
    needed = critical_events(
        expected.scale[:, None] * expected.f(null + sign * points[0])[None, :],
        expected.scale * expected.f(np.array([null]))[0],
        points,
        null=null,
        sign=sign,
        limit=limit,
        phi=phi,
        most=expected.most,
        guess=middle + sign * _GUESS * expected.error,
    )
    return sign * (expected.canary - middle) / expected.error, sign * (needed - middle) / expected.error


def two_arms(canary: Array, total: Array, share: float, error: Array) -> Expected:
    """Of `total` events `canary` are the canary's, which has `share` of the traffic: the conditional binomial."""
    return Expected(
        canary,
        error,
        total,
        lambda psi: np.log1p(share * np.expm1(psi)),
        lambda psi: share * math.exp(psi) / (1.0 + share * math.expm1(psi)),
        total,
    )


def noise(calibration: Calibration | None) -> float:
    """What the evidence is tempered by."""
    return max(calibration.dispersion, 1.0) * max(calibration.long_run, 1.0) if calibration else 1.0


def outlook_counts(
    plan: Plan,
    *,
    looks: int,
    events_per_look: float,
    canary_share: float,
    totals_per_look: float = 0.0,
    dispersion: float | None = None,
    watched: bool = False,
) -> Outlook:
    """events_per_look: of both arms together, at stable's rate; canary_share: of the traffic, in (0, 1).

    totals_per_look: of both arms; absolute margins and floors need it. dispersion: phi, where the run has shown one;
    otherwise the calibration's. watched: a pass does not end the comparison.
    """
    phi = dispersion if dispersion is not None else noise(plan.calibration)
    return _Counts(plan, events_per_look, canary_share, totals_per_look, max(phi, 1.0), watched).outlook(looks)


@dataclass(frozen=True, slots=True)
class _Counts:
    plan: Plan
    events: float  # per look, of both arms
    share: float
    totals: float
    phi: float
    watched: bool

    @property
    def baseline(self) -> float | None:
        if self.totals > 0.0:
            return self.events / self.totals
        return self.plan.calibration.baseline if self.plan.calibration is not None else None

    def outlook(self, looks: int) -> Outlook:
        found, passes, wanted = None, self.by_floor(looks), None
        if looks > 0 and self.events > 0.0 and 0.0 < self.share < 1.0:
            found = smallest(lambda effect: self.found(looks, effect))
            passes, wanted = self.passes(looks), looks_wanted(self.passes, looks)
        return Outlook(
            looks,
            math.exp(harm_sign(self.plan.direction) * found) if found is not None else None,
            1.0 - passes,
            events_per_look=self.events,
            canary_share=self.share,
            wanted_looks=wanted,
        )

    def found(self, looks: int, effect: float) -> float:
        """The chance to fail a canary that is worse by this log ratio; a little more where it is below POWER."""
        harm = self.finds(looks, effect)
        if self.watched or self.plan.test in ONCE or harm < POWER:  # then the rest, twice the work, changes nothing
            return harm
        baking = math.ceil(looks * self.plan.min_bake)
        early = self.finds(baking, effect, planned=looks) if self.plan.min_bake > 0 else 0.0
        passed = self.passes(looks, harm_sign(self.plan.direction) * effect, ended=False)  # at the last, harm is first
        return found_first(early, harm, passed)

    def expected(self, looks: int, log_ratio: float) -> Expected:
        at_stable, ratio = looks * self.events, math.exp(log_ratio)
        total = at_stable * (1.0 + self.share * (ratio - 1.0))
        canary = at_stable * self.share * ratio
        error = math.sqrt(self.phi * canary * (1.0 - canary / total))
        return two_arms(np.array([canary]), np.array([total]), self.share, np.array([error]))

    def parts(self, planned: int) -> tuple[float, float]:
        """Of the weight, what is bet on the last of so many looks: on harm, on safety."""
        betting = self.plan.restarts and self.plan.test in BETTING
        return last_counts.parts_of(planned) if betting else (0.0, 0.0)

    def chance(
        self,
        expected: Expected,
        null: float,
        sign: int,
        log_limit: float,
        points: Points,
        once: float,
        *,
        part: float = 0.0,
        ended: bool = True,
    ) -> float:
        """once: the error probability of a test that looks once. part: of it, bet on the last look, if it has ended."""
        phi = np.array([self.phi])
        middle = float(expected.scale[0]) * expected.share(null)
        if self.plan.test in ONCE:
            return at_end(float(sign * (expected.canary[0] - middle) / expected.error[0]), -_NORMAL.inv_cdf(once))
        limit = log_limit - math.log1p(-part)
        distance, bound = side(expected, null=null, sign=sign, limit=limit, phi=phi, points=points)
        last = math.inf
        if part > 0.0 and ended:
            trials, error = float(expected.scale[0]), float(expected.error[0])
            last = last_counts.won_at(trials, middle, sign, part * once, self.phi, error)
        return crossing(float(distance[0]), float(bound[0]), last)

    def margin(self, sign: int) -> float:
        return margin_log_ratio(self.plan, self.baseline, sign)

    def finds(self, looks: int, effect: float, *, planned: int = 0) -> float:
        """The chance to show harm of this log ratio. planned: looks, if there are more of them."""
        plan, sign = self.plan, harm_sign(self.plan.direction)
        floor, baseline = plan.absolute_floor, self.baseline
        if floor is not None and baseline is not None and baseline * math.exp(sign * effect) < floor:
            return 0.0
        alpha = plan.alpha / 2 if plan.direction == "either" else plan.alpha
        limit = -math.log(alpha)
        null, points = sign * self.margin(sign) if plan.fail_at == "margin" else 0.0, distances()
        if plan.test == "sprt":
            points = _single(self.margin(sign) or math.log(2.0))
        elif plan.restarts:
            limit -= math.log(FIRST)
        if abs(null) >= MAX_LOG_RATIO:
            return 0.0
        expected, part = self.expected(looks, sign * effect), self.parts(planned or looks)[0]
        return self.chance(expected, null, sign, limit, points, alpha, part=part, ended=not planned)

    def passes(self, looks: int, log_ratio: float = 0.0, *, ended: bool = True) -> float:
        """The chance to pass, when the arms are alike or the canary's rate is e^log_ratio times stable's.

        ended: with what is bet on the last of the looks.
        """
        plan, expected = self.plan, self.expected(looks, log_ratio)
        sign = harm_sign(plan.direction)
        chances = []
        for way in (1, -1) if plan.direction == "either" or plan.test == "tost" else (sign,):
            margin = self.margin(way)
            if margin <= 0.0:
                return self.by_floor(looks, log_ratio)
            points = distances() if plan.test != "sprt" else _single(margin)
            if margin >= MAX_LOG_RATIO and (plan.margin.relative is not None or self.baseline is not None):
                chances.append(1.0)  # nothing is too much
                continue
            limit, part, null = -math.log(plan.beta), self.parts(looks)[1], way * margin
            chances.append(self.chance(expected, null, -way, limit, points, plan.beta, part=part, ended=ended))
        return max(sum(chances) - len(chances) + 1.0, self.by_floor(looks, log_ratio), 0.0)

    def by_floor(self, looks: int, log_ratio: float = 0.0) -> float:
        """The chance that the canary's rate is shown to lie below the absolute floor."""
        floor, total = self.plan.absolute_floor, looks * self.totals * self.share
        if floor is None or total <= 0.0:
            return 0.0

        def below(events: float) -> bool:
            upper = rate_upper(events, total, self.plan.beta, self.phi)
            return upper is not None and upper < floor

        if not below(0.0):
            return 0.0
        low, high = 0.0, floor * total
        while high - low > max(0.05, 1e-3 * high):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if below(middle) else (low, middle)
        return at_most(low / self.phi, math.exp(log_ratio) * self.events * looks * self.share / self.phi)


def at_most(events: float, mean: float) -> float:
    """The chance of a Poisson number of at most `events`."""
    if mean > _FEW:
        return _NORMAL.cdf((events + 0.5 - mean) / math.sqrt(mean))
    term = total = math.exp(-mean)
    for k in range(1, math.floor(events) + 1):
        term *= mean / k
        total += term
    return min(total, 1.0)


def _single(distance: float) -> Points:
    """One alternative, as Wald's test has."""
    return np.array([distance]), np.zeros(1)


def outlook_objective(
    plan: Plan, *, looks: int, events_per_look: float, totals_per_look: float, dispersion: float = 1.0
) -> Outlook:
    """The canary alone against the objective: numbers of the canary's own looks."""
    objective, sign = plan.objective or 0.0, harm_sign(plan.direction)
    allowed = looks * totals_per_look * objective
    if allowed <= 0.0:
        return Outlook(looks, None, 1.0, "rate", events_per_look=events_per_look)
    phi = np.array([max(dispersion, 1.0)])
    parts = last_counts.parts_of(looks) if plan.restarts else (0.0, 0.0)

    def chance(log_ratio: float, way: int, limit: float, level: float, part: float) -> float:
        """level: of a test that looks once; part: of it, what is bet on the last look."""
        canary = allowed * math.exp(log_ratio)
        expected = Expected(
            canary=np.array([canary]),
            error=np.sqrt(max(canary, 0.5) * phi),
            scale=np.array([allowed]),
            f=np.exp,
            share=math.exp,
            most=np.array([50.0 * (canary + allowed) + 1000.0]),
        )
        limit -= math.log1p(-part)
        distance, bound = side(expected, null=0.0, sign=way, limit=limit, phi=phi, points=distances())
        last = math.inf
        if part > 0.0:
            last = last_counts.won_at(math.inf, allowed, way, part * level, float(phi[0]), float(expected.error[0]))
        return crossing(float(distance[0]), float(bound[0]), last)

    def finds(log_ratio: float) -> float:
        return chance(log_ratio, sign, to_fail, plan.alpha, parts[0])

    to_fail = -math.log(plan.alpha) - (math.log(FIRST) if plan.restarts else 0.0)
    found = smallest(lambda effect: finds(sign * effect))
    seen = math.log(max(events_per_look / totals_per_look / objective, 1e-9))
    now = min(max(seen, -20.0), 5.0)
    decided = chance(now, -sign, -math.log(plan.beta), plan.beta, parts[1]) if sign * now < 0 else finds(now)
    rate = objective * math.exp(sign * found) if found is not None else None
    return Outlook(looks, rate, 1.0 - decided, "rate", events_per_look=events_per_look)
