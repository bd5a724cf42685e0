"""A bet on the last look: the test of fixed size that the planned end could be, worth something from the beginning.

A mixture over effects pays for looking at any time. Where the end is known a share of the evidence is put on it:
M = P(the t-test of all planned points rejects | the looks so far) / its level, both without a change. A conditional
probability is a martingale (Doob), so M is an e-process: 1 on average, and 1 / level at the end if the test rejects.
Its weighted sum with the mixture is an e-process too.

Without a change the direction of all points is uniform on a sphere, whatever their spread. So what the points so far
have of the square sum of all is Beta distributed, and the left points' mean is Student's: one integral over the one of
the other. Exact for independent Gaussian points; a run that misses looks only loses by it.
Source for the conditional power of a test as a way to stop early: Lan, Simon & Halperin (1982).
"""

import math
from functools import lru_cache

import msgspec

from .gauge_series import Whole
from .mixture import log_add
from .t_mixture import student_one

ALL_ON_HARM, ALL_ON_SAFETY = 24, 120  # looks of a plan in which all of the weight would be put on them
MOST = 0.65
LONGEST = 2000  # looks of a plan from which the share is too small to matter
FEWEST = 3.0  # points at the end


@lru_cache(maxsize=256)
def shares(planned: int) -> tuple[float, float]:
    """The bet's parts of the weight, on harm and on safety. planned: looks, 0 for open-ended: without a last look.

    Harm is found before the end where the plan is long; safety need not be found early.
    """
    if not FEWEST < planned <= LONGEST:
        return 0.0, 0.0
    return min(ALL_ON_HARM / planned, MOST), min(ALL_ON_SAFETY / planned, MOST)


class Bet(msgspec.Struct, frozen=True):
    """part: of the weight, 0 for none; left: planned looks that have brought no point yet."""

    part: float
    left: int


def joined(log_e: float, seen: Whole | None, null: float, sign: int, bet: Bet, limit: float) -> float:
    """log_e of the mixture and the bet together, against the null as in `t_mixture.log_e`.

    limit: the log e-value that decides, which the bet's level is made for. A mixture that decides is left as it is.
    """
    if bet.part == 0.0:
        return log_e
    log_e += math.log1p(-bet.part)
    if seen is None or log_e >= limit:
        return log_e
    gap = sign * (seen.mean - null)
    left = bet.left * seen.discount
    known = seen.known + seen.freedom + 1.0 - seen.n  # n counts the first point for more than the one that it is
    more = log_bet(
        gap, seen.deviation + gap * gap * seen.n, seen.n, known, left, bet.part * math.exp(-limit) * (1.0 - 1e-9)
    )
    return log_e if more == -math.inf else log_add(log_e, more + math.log(bet.part))


def log_bet(gap: float, square: float, n: float, prior: float, left: float, level: float) -> float:
    """log M; -inf where M is certainly not above 1, and after the last point.

    gap: mean of the n points so far beyond the null, towards what is to be shown; square: their squared distances from
    the null, and the prior's; prior: points that a known variance counts for; left: points to come; level: of the test
    at the end, one-sided.
    """
    end, known = n + left, n + prior
    if left < 0.0 or end < FEWEST or gap <= 0.0 or square <= 0.0:
        return -math.inf
    limit = bound(prior + end - 1.0, level) * math.sqrt(end)
    now = n * gap / math.sqrt(square)
    if left == 0.0:
        return -math.log(level) if now >= limit else -math.inf
    if now <= limit * math.sqrt((prior + end) / known) * (1.0 - math.sqrt(left / end)):
        return -math.inf
    chance = _chance(now, known, left, limit)
    return math.log(chance / level) if chance > 0.0 else -math.inf


def _chance(now: float, known: float, left: float, limit: float) -> float:
    """P((S + s) / sqrt(Q + q) >= limit) for the sums S, s and square sums Q, q of known and left points, S > 0.

    now: S / sqrt(Q). s = sqrt(left) u, with u one coordinate of the left points and w the square sum of the others.
    With V = Q + w the condition is a quadratic inequality in u / sqrt(V), and that is Student's.
    """
    freedom = known + max(left - 1.0, 0.0)
    root, width, slope = math.sqrt(freedom), math.sqrt(left), left - limit * limit
    student, total = student_one(), 0.0
    for part, weight in nodes(known, max(left - 1.0, 0.0)):
        s = now * math.sqrt(part)
        inside = s * s + slope
        if inside <= 0.0:  # too little is left
            continue
        reach = limit * math.sqrt(inside)
        chance = student(freedom, root * (s * s - limit * limit) / (reach + s * width))
        if slope < 0.0:  # so few are left that a very large one adds more to the spread than to the mean
            chance -= student(freedom, root * (s * width + reach) / slope)
        total += weight * chance
    return max(total, 0.0)


@lru_cache(maxsize=4096)
def bound(freedom: float, level: float) -> float:
    """The one-sided bound of a t-test as a cosine: sum / sqrt(points * square sum)."""
    from scipy.special import stdtrit  # not imported before somebody has gauges to compare

    t = float(stdtrit(freedom, 1.0 - level))
    return t / math.sqrt(freedom + t * t)


@lru_cache(maxsize=1024)  # both bets ask for the same, and an interval many times
def nodes(known: float, others: float) -> tuple[tuple[float, float], ...]:
    """Two nodes and weights that give the first moments of a Beta(known / 2, others / 2): three digits of M."""
    if others <= 0.0:
        return ((1.0, 1.0),)
    both = known + others
    mean = known / both
    spread = math.sqrt(mean * (1.0 - mean) * 2.0 / (both + 2.0))
    skew = (others - known) * math.sqrt((both + 2.0) * 2.0 / (known * others)) / (both + 4.0)
    wide = math.sqrt(1.0 + skew * skew)
    return (
        (mean + spread * (skew + wide), 0.5 * (1.0 - skew / wide)),
        (mean + spread * (skew - wide), 0.5 * (1.0 + skew / wide)),
    )
