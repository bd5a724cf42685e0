"""Before the start: what a comparison can find in its planned time, and how likely it is to end undecided.

Approximations for people, never part of a verdict: expected numbers, normal noise about them, and the test's own
limits (see `crossing`).
"""

import math
from collections.abc import Callable
from typing import Literal

import msgspec

Basis = Literal["history", "looks"]

UNLIKELY = 0.5  # chance of Inconclusive beyond which a verdict is unlikely, which is warned of
WANTED = 0.2  # chance of Inconclusive that a longer run is asked to come down to
LONGEST = 50  # times the planned looks: longer runs are not proposed


class Outlook(msgspec.Struct, frozen=True, omit_defaults=True):
    """smallest_effect: the smallest harm found four times in five, in `unit`; None: nothing up to x30 is found.

    A ratio is canary / stable, a difference is in the metric's unit and a rate in the objective's.
    chance_inconclusive: of no verdict when nothing has changed (an objective: when the rate stays as it was seen).
    """

    looks: int  # in maxDuration
    smallest_effect: float | None
    chance_inconclusive: float
    unit: Literal["ratio", "difference", "rate"] = "ratio"
    basis: Basis = "history"  # intervals before the run, or its own first looks
    points: int = 0  # how many of them
    events_per_look: float | None = None  # of both arms, at stable's rate
    canary_share: float | None = None  # of the traffic
    wanted_looks: int | None = None  # where a verdict is unlikely: with so many, four in five would end with one

    @property
    def unlikely(self) -> bool:
        """Whether it will probably end without a verdict."""
        return self.chance_inconclusive > UNLIKELY


def looks_wanted(passes: Callable[[int], float], looks: int) -> int | None:
    """How many looks let an unchanged canary pass four times in five; None where LONGEST times the planned do not.

    passes: the chance to pass with so many looks, growing. None, too, where a verdict is likely as it is planned.
    """
    if looks <= 0 or 1.0 - passes(looks) <= UNLIKELY:
        return None
    low, high = looks, looks * LONGEST
    if 1.0 - passes(high) > WANTED:
        return None
    while high - low > max(0.02 * high, 1.0):
        middle = math.floor(0.5 * (low + high))
        low, high = (middle, high) if 1.0 - passes(middle) > WANTED else (low, middle)
    return high


def found_first(early: float, harm: float, passed: float) -> float:
    """The chance that harm is shown before a pass ends the comparison.

    early: that it is shown before anything may pass; harm: ever; passed: that such a canary is shown to be safe.
    """
    return max(early, harm * (1.0 - passed))
