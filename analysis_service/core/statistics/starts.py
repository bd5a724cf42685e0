"""When the copies of an e-process start, and with what share of its weight: protection against late onset.

An e-process that has watched a healthy hour carries that hour as ballast. Copies that start later carry less, and
any weighted sum of e-processes whose weights add up to at most one is an e-process. The first start takes FIRST of
the weight; the rest is spread evenly over starts up to the planned end and, thinner, over each doubling after it.
Starts that lie close together compared with their age say the same, so only SLOTS of them are kept; giving one up
only lowers the sum.
"""

import math

FIRST = 0.5
PLANNED = 0.95  # share of the remaining weight that lies before the planned end
SLOTS = 16
DEFAULT_LOOKS = 240  # two hours at 30 s: assumed when the run is open-ended
PER_PLAN = 24  # starts per planned duration


def log_weight(look: int, planned: int) -> float | None:
    """Log weight of a start after `look` looks (0: the first), or None when none is due there.

    planned: looks planned, 0 for open-ended.
    """
    if look == 0:
        return math.log(FIRST)
    planned = planned or DEFAULT_LOOKS
    step = max(1, planned // PER_PLAN)
    rest = 1.0 - FIRST
    if look < planned:
        if look % step:
            return None
        return math.log(rest * PLANNED * step / planned)
    doubling = int(math.log2(look / planned))  # block [planned 2^i, planned 2^(i+1))
    step <<= doubling
    if look % step:
        return None
    share = rest * (1.0 - PLANNED) / ((doubling + 1) * (doubling + 2))  # sums to one over the doublings
    return math.log(share * step / (planned << doubling))


def surplus(ages: list[int], slots: int = SLOTS) -> int | None:
    """Index of the start to give up: the one most alike its neighbours by age, never the first or the last.

    ages: looks since each start, oldest first. slots: how many may stay, at least 3.
    """
    if len(ages) <= slots:
        return None
    return min(range(1, len(ages) - 1), key=lambda i: (ages[i - 1] + 1) / (ages[i + 1] + 1))
