"""When the copies of an e-process start, and with what share of its weight: protection against late onset.

An e-process that has watched a healthy hour carries that hour as ballast. Copies that start later carry less, and
any weighted sum of e-processes whose weights add up to at most one is an e-process. The weight goes

* FIRST to the copy that starts with the run, as a bad version is mostly bad from its first minute;
* ON_STEPS to equal parts of the plan, where the steps of a rollout fall;
* ANYWHERE to every STEP looks until the planned end: a harm at any look meets a copy that is at most STEP looks old,
  however long the plan is. The copy after k steps has k ** -FADE of it, as earlier harm is likelier;
* the rest, evenly, to every STEP looks of each doubling of the plan after its end.

Starts that lie close together compared with their age say the same, so only SLOTS of them are kept; giving one up
only lowers the sum.
"""

import math
from functools import lru_cache

FIRST = 0.55
ON_STEPS = 0.2
ANYWHERE = 0.22
FADE = 0.75
PARTS = 12  # of the plan: halves, thirds, quarters, sixths
STEP = 10  # looks between starts; fewer in plans so short that they would have less than STARTS
STARTS = 24
SLOTS = 16
DEFAULT_LOOKS = 240  # two hours at 30 s: assumed when the run is open-ended


@lru_cache(maxsize=256)
def _steps(planned: int) -> dict[int, float]:
    """Starts at equal parts of the plan, with their weights."""
    found: dict[int, float] = {}
    for part in range(1, PARTS):
        look = (2 * part * planned + PARTS) // (2 * PARTS)  # rounded half up
        if 0 < look < planned:
            found[look] = found.get(look, 0.0) + ON_STEPS / (PARTS - 1)
    return found


@lru_cache(maxsize=256)
def _faded(n: int) -> float:
    return math.fsum(k**-FADE for k in range(1, n + 1))


@lru_cache(maxsize=1024)  # every scale of a look asks for the same
def log_weight(look: int, planned: int) -> float | None:
    """Log weight of a start after `look` looks (0: the first), or None when none is due there.

    planned: looks planned, 0 for open-ended.
    """
    if look == 0:
        return math.log(FIRST)
    planned = planned or DEFAULT_LOOKS
    step = max(1, min(STEP, planned // STARTS))
    if look >= planned:
        if look % step:
            return None
        doubling = int(math.log2(look / planned))  # block [planned 2^i, planned 2^(i+1))
        share = (1.0 - FIRST - ON_STEPS - ANYWHERE) / ((doubling + 1) * (doubling + 2))  # sums to one over doublings
        return math.log(share * step / ((planned << doubling) + step))  # a block may hold one start more than its share
    weight = _steps(planned).get(look, 0.0)
    if look % step == 0:
        weight += ANYWHERE * (look // step) ** -FADE / _faded((planned - 1) // step)
    return math.log(weight) if weight > 0.0 else None


def surplus(ages: list[int], slots: int = SLOTS) -> int | None:
    """Index of the start to give up: the one most alike its neighbours by age, never the first or the last.

    ages: looks since each start, oldest first. slots: how many may stay, at least 3.
    """
    if len(ages) <= slots:
        return None
    return min(range(1, len(ages) - 1), key=lambda i: (ages[i - 1] + 1) / (ages[i + 1] + 1))
